/* exchange.c: see exchange.h. */
#include "exchange.h"

#include <string.h>

#include "doorbell.h"
#include "messages.h"
#include "room.h"
#include "watch.h"

/* ---- send ---- */

static int
count_full(tx *t, channel_shm *c)
{
    int rc;

    tx_set32(t, &c->full, c->full + 1);
    tx_count(t, &t->mailbox->full);
    return (rc = tx_commit(t)) != 0 ? rc : ASHM_FULL;
}

/* With the mailbox held: the lane's message goes to the channel. */
static int
deliver_held(tx *t, const address *to, const char *name, size_t length, uint64_t deadline,
             uint32_t capacity)
{
    uint32_t channel = channel_make(t, to->hash, name, length);
    channel_shm *c;
    bool expired;
    int rc;

    if (channel == 0) {
        goto short_of_memory;
    }
    c = channel_at(t, channel);
    channel_set_capacity(t, c, capacity);
    if (channel_is_full(t, c, &expired)) {
        if (!expired) {
            return count_full(t, c);
        }
        if ((rc = tx_commit(t)) != 0 || (rc = queue_expire(t, c)) != 0) {
            return rc;
        }
        if (c->live >= capacity) {
            return count_full(t, c);
        }
    }
    if (!channel_deliver(t, channel, t->lane->held, deadline)) {
        goto short_of_memory;
    }
    message_unhold(t, 1);
    /* Killed before: the reaper frees the message. After: it is in the queue, and the
     * reaper rings the bell that is owed. */
    return tx_commit(t);

short_of_memory:
    rc = t->fault != 0 ? t->fault : t->shortage;
    tx_rollback(t);
    return rc;
}

static int
drop_gone(tx *t)
{
    lane_count(&t->lane->counters.gone, 1);
    return 0;
}

int
exchange_send(tx *t, const char *name, size_t name_length, const void *body, uint32_t length,
              uint64_t expiry, uint32_t capacity)
{
    address to = slots_address(t->party.a, name, name_length);
    uint32_t message;
    int rc, dropped;

    if (to.mailbox == MAILBOXES) {
        return drop_gone(t);
    }
    if ((rc = message_make(t, length, 1, &message)) != 0) {
        return rc;
    }
    message_write(t, message, body, length);
    if ((rc = mailbox_enter(t, to.mailbox)) == 0) {
        if (slots_is_there(t, &to)) {
            rc = deliver_held(t, &to, name, name_length, deadline_of(t, expiry), capacity);
            lane_count(&t->lane->counters.sends, rc == 0);
        } else {
            rc = drop_gone(t);
        }
        mailbox_leave(t);
    }
    /* Busy: the lane's next user gives it back. */
    dropped = message_drop_held(t);
    return rc != 0 || dropped == ASHM_BUSY ? rc : dropped;
}

/* ---- receive ---- */

static uint32_t
own_slot(const tx *t)
{
    return lock_owner_slot(t->party.owner);
}

/* Normal channels may be read by anyone, a process's own by that process. */
static bool
may_receive(const tx *t, const address *from)
{
    return from->mailbox < COMMONS || from->mailbox == COMMONS + own_slot(t);
}

/* One receive, as its parts see it. */
typedef struct reception {
    const address *from;
    const char *name;
    size_t length;
    unsigned flags;
    uint64_t cookie;
    size_t size;
    ashm_received *out;
} reception;

/* This process has a message, the last of its channel if `last`. Does it go on waiting?
 * `waited` is the channel that the receive is for, which may stand for the prefix of the one
 * where the message was. */
static bool
end_wait(tx *t, const reception *r, uint32_t waited, bool same, bool last)
{
    bool stays = (r->flags & ASHM_STAY) != 0 && last && same && r->from->mailbox >= COMMONS;

    if (stays || (r->flags & ASHM_OTHERS) != 0) {
        return waiters_stay(t, waited, own_slot(t), r->cookie) && same && last;
    }
    if (waiters_leave(t, waited, own_slot(t)) && !same) {
        waiters_ring(t, channel_at(t, waited)); /* others may be left of the prefix */
    }
    return false;
}

/* Take the oldest message of a channel into the lane. `waited`: see end_wait(); 0 if it has
 * no record. */
static int
take(tx *t, const reception *r, uint32_t channel, uint32_t waited)
{
    ashm_received *out = r->out;
    channel_shm *c = channel_at(t, channel);
    const entry_shm *entry;
    uint32_t position, message;
    int rc;

    if ((rc = queue_expire(t, c)) != 0) {
        return rc;
    }
    if ((entry = queue_front(t, c, &position)) == NULL) {
        return t->fault != 0 ? tx_commit(t) : ASHM_EMPTY;
    }
    message = entry->message;
    out->length = message_length(t, message);
    if (out->length > (uint64_t)t->party.a->map.section[MESSAGES].count * PAGE_SIZE_SHM) {
        tx_fault(t, ASHM_CORRUPT);
    }
    if (out->length > r->size && t->fault == 0) {
        return ASHM_BUFFER;
    }
    out->shared = message_is_shared(t, message);
    queue_pop(t, c, position);
    message_hold(t, message);
    tx_count(t, &t->mailbox->received);
    out->waiting = waited != 0 && (r->flags & ASHM_WAIT) != 0 &&
                   end_wait(t, r, waited, waited == channel, c->live == 0);
    if (c->live != 0) {
        channel_tell(t, channel);
    }
    out->more = c->live;
    out->name_length = c->node.name_length;
    memcpy(out->name, node_name(t, channel), out->name_length % sizeof out->name);
    out->name[out->name_length % sizeof out->name] = '\0';
    /* Killed before: the message waits for the next reader. After: it is lost with us,
     * and its memory comes back. */
    return tx_commit(t);
}

/* Nothing was there: count as waiting for the channel. */
static int
await(tx *t, const reception *r)
{
    uint32_t channel = channel_make(t, r->from->hash, r->name, r->length);

    if (channel == 0 || !waiters_await(t, channel, own_slot(t), r->cookie)) {
        int rc = t->fault != 0 ? t->fault : t->shortage;

        tx_rollback(t);
        return rc;
    }
    return tx_commit(t);
}

static int
take_or_await(tx *t, const reception *r)
{
    uint32_t waited = channel_find(t, r->from->hash, r->name, r->length);
    uint32_t channel = waited;
    int rc = 0;

    if (r->name[r->length - 1] == '!') {
        rc = channel_oldest(t, r->name, r->length, &channel);
    } else if (t->fault != 0) {
        rc = tx_commit(t);
    }
    if (rc == 0) {
        rc = channel == 0 ? ASHM_EMPTY : take(t, r, channel, waited);
    }
    if (rc == ASHM_EMPTY && (r->flags & ASHM_WAIT) != 0) {
        rc = await(t, r);
        rc = rc == 0 ? ASHM_EMPTY : rc;
    }
    return rc;
}

int
exchange_arm(ashm *a, uint64_t seen, bool *rung)
{
    int bell, rc = doorbell_open(a, &bell);

    *rung = false;
    while (rc == 0 && !*rung && !doorbell_arm(a, seen)) {
        seen = doorbell_read(a);
        *rung = exchange_may_be_ready(a);
    }
    return rc;
}

int
exchange_receive(tx *t, const address *from, const char *name, size_t name_length,
                 unsigned flags, uint64_t cookie, void *buffer, size_t size, ashm_received *out)
{
    ashm *a = t->party.a;
    reception r = {.from = from,
                   .name = name,
                   .length = name_length,
                   .flags = flags,
                   .cookie = cookie,
                   .size = size,
                   .out = out};
    uint64_t seen;
    bool rung;
    int rc;

    if (!may_receive(t, from)) {
        return ASHM_NOT_OWNER;
    }
    seen = doorbell_read(a);
    if ((rc = mailbox_enter(t, from->mailbox)) != 0) {
        return rc;
    }
    rc = take_or_await(t, &r);
    mailbox_leave(t);
    if (rc == 0) {
        lane_count(&t->lane->counters.receives, 1);
        message_read(t, t->lane->held, buffer, (uint32_t)out->length);
        rc = t->fault;
        t->fault = 0;
        (void)message_drop_held(t); /* if it fails, the lane's next user gives it back */
    } else if (rc == ASHM_EMPTY && (flags & ASHM_WAIT) != 0) {
        rc = exchange_arm(a, seen, &rung);
        out->more = rung;
        rc = rc == 0 ? ASHM_EMPTY : rc;
    }
    return rc;
}

/* ---- waiting for room ---- */

static int
await_room(tx *t, const address *to, const char *name, size_t length, uint32_t capacity)
{
    uint32_t channel = channel_find(t, to->hash, name, length);
    channel_shm *c;
    int rc;

    if (channel == 0) {
        return tx_commit(t);
    }
    c = channel_at(t, channel);
    if ((rc = queue_expire(t, c)) != 0 || c->live < capacity) {
        return rc;
    }
    room_await(t, c);
    /* Killed before: nobody waits. After: somebody rings us for nothing. */
    return (rc = tx_commit(t)) != 0 ? rc : ASHM_FULL;
}

int
exchange_await_room(tx *t, const char *name, size_t length, uint32_t capacity, int *rung)
{
    ashm *a = t->party.a;
    address to = slots_address(a, name, length);
    uint64_t seen = doorbell_read(a);
    bool rang;
    int rc;

    if (to.mailbox == MAILBOXES) {
        return 0;
    }
    if ((rc = mailbox_enter(t, to.mailbox)) != 0) {
        return rc;
    }
    if (slots_is_there(t, &to)) {
        rc = await_room(t, &to, name, length, capacity);
    }
    mailbox_leave(t);
    if (rc == ASHM_FULL) {
        rc = exchange_arm(a, seen, &rang);
        *rung = rang;
        rc = rc == 0 ? ASHM_FULL : rc;
    }
    return rc;
}

int
exchange_unwait(tx *t, const char *name, size_t length)
{
    address from = slots_address(t->party.a, name, length);
    uint32_t channel;
    int rc;

    if (!may_receive(t, &from)) {
        return 0; /* nor does it wait there */
    }
    if ((rc = mailbox_enter(t, from.mailbox)) != 0) {
        return rc;
    }
    channel = channel_find(t, from.hash, name, length);
    if (channel != 0 && waiters_leave(t, channel, own_slot(t))) {
        channel_pass_turn(t, channel);
    }
    rc = tx_commit(t);
    mailbox_leave(t);
    return rc;
}

/* ---- ready ---- */

bool
exchange_may_be_ready(const ashm *a)
{
    uint32_t slot = a->own->slot;

    if (mailbox_may_have_broadcasts(a, COMMONS + slot) ||
        waiters_may_be_ready(a, COMMONS + slot, slot)) {
        return true;
    }
    if (!SABOTAGE(ARM_DEAF) &&
        (atomic_load_explicit(&handle_slot(a, slot)->room, memory_order_relaxed) != 0 ||
         watch_may_be_told(a, slot))) {
        return true;
    }
    for (uint32_t i = 0; i < COMMONS; i++) {
        if (waiters_may_be_ready(a, i, slot)) {
            return true;
        }
    }
    return false;
}

/* Stores of taking one waiter off the ready list. */
enum { READY_ROOM = 8 };

static int
ready_in(tx *t, uint32_t mailbox, uint64_t *cookies, size_t size, size_t *count)
{
    uint32_t slot = own_slot(t);
    size_t n = *count;
    int rc = mailbox_enter(t, mailbox);

    if (rc != 0) {
        return rc;
    }
    while (n < size && waiters_may_be_ready(t->party.a, mailbox, slot) && t->fault == 0) {
        n += waiters_next_ready(t, slot, &cookies[n]) ? 1 : 0;
        if (tx_room(t) < 2 * READY_ROOM) {
            if ((rc = tx_commit(t)) != 0) {
                break;
            }
            *count = n;
        }
    }
    if (rc == 0 && (rc = tx_commit(t)) == 0) {
        *count = n;
    }
    mailbox_leave(t);
    return rc;
}

int
exchange_ready(tx *t, uint64_t *cookies, size_t size, size_t *count)
{
    const ashm *a = t->party.a;
    uint32_t own = COMMONS + own_slot(t);
    size_t n = 0;
    int rc = 0;

    /* Taken before its senders try again. */
    if (size > 0 && atomic_exchange_explicit(&handle_slot(a, own - COMMONS)->room, 0,
                                             memory_order_acquire) != 0) {
        cookies[n++] = ASHM_ROOM;
    }
    n += watch_take(a, own - COMMONS, cookies + n, size - n);
    if (mailbox_may_have_broadcasts(a, own) || waiters_may_be_ready(a, own, own - COMMONS)) {
        rc = ready_in(t, own, cookies, size, &n);
    }
    for (uint32_t i = 0; i < COMMONS && n < size && rc == 0; i++) {
        if (waiters_may_be_ready(a, i, own - COMMONS)) {
            rc = ready_in(t, i, cookies, size, &n);
        }
    }
    /* What was taken off is told even if a later mailbox was not had. */
    *count = n;
    return n > 0 && rc != ASHM_BUSY ? 0 : rc;
}

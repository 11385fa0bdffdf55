/* mailbox.c: see mailbox.h. */
#include "mailbox.h"

#include "doorbell.h"
#include "messages.h"

/* Log entries that one more member may need: a ring that grows, a waiter that is rung,
 * and the end of the transaction. */
enum { MEMBER_ROOM = 64 };

/* Under the lock, so relaxed; without it they are a hint, made sure under it. */
static uint32_t
broadcast_head(const mailbox_shm *mailbox)
{
    return atomic_load_explicit(&mailbox->broadcast_head, memory_order_relaxed);
}

static uint32_t
broadcast_tail(const mailbox_shm *mailbox)
{
    return atomic_load_explicit(&mailbox->broadcast_tail, memory_order_relaxed);
}

/* How many wait; 0 and a fault if that is more than the ring has. */
static uint32_t
broadcasts(tx *t)
{
    uint32_t n = broadcast_tail(t->mailbox) - broadcast_head(t->mailbox);

    if (n > BROADCASTS) {
        tx_fault(t, ASHM_CORRUPT);
        return 0;
    }
    return n;
}

static broadcast_shm *
first_broadcast(tx *t)
{
    return &t->mailbox->ring[broadcast_head(t->mailbox) % BROADCASTS];
}

bool
mailbox_may_have_broadcasts(const ashm *a, uint32_t index)
{
    mailbox_shm *mailbox = handle_mailbox(a, index);

    return broadcast_tail(mailbox) != broadcast_head(mailbox);
}

/* ---- settling ---- */

/* The state of the fan-out of one broadcast, from one commit to the next. */
typedef struct fanout {
    const broadcast_shm *broadcast;
    uint32_t delivered; /* since the last commit */
} fanout;

/* Commit what was delivered so far; the next transaction goes on at `cursor`. */
static int
pause_at(tx *t, fanout *f, uint32_t cursor)
{
    if (f->delivered > 0) {
        message_ref(t, f->broadcast->message, f->delivered);
    }
    f->delivered = 0;
    tx_set32(t, &t->mailbox->cursor, cursor);
    return tx_commit(t);
}

/* The broadcast's own reference goes, and its place in the ring. */
static int
finish(tx *t, fanout *f)
{
    if (f->delivered > 1) {
        message_ref(t, f->broadcast->message, f->delivered - 1);
    } else if (f->delivered == 0) {
        message_unref(t, f->broadcast->message, 1);
    }
    tx_set32(t, &t->mailbox->cursor, 0);
    tx_set_atomic32(t, &t->mailbox->broadcast_head, broadcast_head(t->mailbox) + 1);
    return tx_commit(t);
}

static void
count_full(tx *t, group_shm *g, channel_shm *c)
{
    tx_set32(t, &c->full, c->full + 1);
    tx_set32(t, &g->full, g->full + 1);
    tx_set64(t, &t->mailbox->full, t->mailbox->full + 1);
}

/* Deliver to one member, who drops the message if it has no room or memory. */
static int
deliver(tx *t, fanout *f, uint32_t member)
{
    const member_shm *m = member_at(t, member);
    channel_shm *c = channel_at(t, m->channel);
    bool expired;
    int rc;

    if (m->deadline <= t->now) {
        return 0; /* the sweep removes it */
    }
    if (channel_is_full(t, c, &expired) && expired) {
        if ((rc = pause_at(t, f, member)) != 0 || (rc = queue_expire(t, c)) != 0) {
            return rc;
        }
    }
    /* Some memory was given back: a crash must find it untouched. */
    if ((t->freed && !SABOTAGE(TAKEN_AGAIN)) || tx_room(t) < MEMBER_ROOM) {
        if ((rc = pause_at(t, f, member)) != 0) {
            return rc;
        }
    }
    if (c->live < c->capacity &&
        channel_deliver(t, m->channel, f->broadcast->message, f->broadcast->deadline)) {
        f->delivered++;
    } else if (t->fault == 0) {
        count_full(t, group_at(t, m->group), c);
    }
    return 0;
}

static int
deliver_to_members(tx *t)
{
    fanout f = {.broadcast = first_broadcast(t)};
    group_shm *g = group_at(t, f.broadcast->group);
    uint32_t member = t->mailbox->cursor != 0 ? t->mailbox->cursor : g->head;
    uint32_t left = table_records(t) + 1;
    int rc;

    for (; member != 0 && t->fault == 0; member = member_at(t, member)->group_next) {
        if (left-- == 0) {
            tx_fault(t, ASHM_CORRUPT);
        } else if ((rc = deliver(t, &f, member)) != 0) {
            return rc;
        }
    }
    return finish(t, &f);
}

/* As if it were done when the message was sent. The clock is put back for it: who was a member
 * then gets the message, and what had not expired then takes its room. */
static int
settle_first(tx *t)
{
    uint64_t now = t->now;
    int rc;

    if (!SABOTAGE(SETTLE_NOW)) {
        t->now = first_broadcast(t)->sent;
    }
    rc = deliver_to_members(t);
    t->now = now;
    return rc;
}

int
mailbox_settle(tx *t)
{
    int rc;

    while (broadcasts(t) != 0) {
        if ((rc = settle_first(t)) != 0) {
            return rc;
        }
    }
    return tx_commit(t);
}

int
mailbox_enter(tx *t, uint32_t index)
{
    int rc = tx_enter(t, index);

    if (rc == 0 && ASHM_UNLIKELY(broadcasts(t) != 0 || t->fault != 0)) {
        if ((rc = mailbox_settle(t)) != 0) {
            mailbox_leave(t);
        }
    }
    return rc;
}

void
mailbox_leave(tx *t)
{
    tx_leave(t);
    doorbell_pay(t);
}

int
mailbox_drop_broadcasts(tx *t)
{
    int rc;

    while (broadcasts(t) != 0) {
        fanout f = {.broadcast = first_broadcast(t)};

        if ((rc = finish(t, &f)) != 0) {
            return rc;
        }
    }
    return tx_commit(t);
}

/* ---- sending ---- */

/* With the mailbox held: put the entry at the end of the ring. */
static int
append(tx *t, uint32_t group, uint64_t deadline)
{
    mailbox_shm *mailbox = t->mailbox;
    uint32_t tail = broadcast_tail(mailbox);

    if (t->fault != 0) {
        return tx_commit(t);
    }
    /* Behind the tail, so no log. */
    mailbox->ring[tail % BROADCASTS] = (broadcast_shm){
        .sent = t->now, .deadline = deadline, .message = t->lane->held, .group = group};
    tx_set_atomic32(t, &mailbox->broadcast_tail, tail + 1);
    message_unhold(t, 1);
    if (t->mailbox_index >= COMMONS) {
        doorbell_owe(t, t->mailbox_index - COMMONS);
    }
    return tx_commit(t);
}

int
mailbox_broadcast(tx *t, uint32_t index, uint32_t hash, const char *name, size_t length,
                  uint64_t deadline)
{
    uint32_t group;
    int rc = tx_enter(t, index);

    if (rc != 0) {
        return rc;
    }
    if (broadcasts(t) == BROADCASTS) {
        rc = mailbox_settle(t);
    }
    if (rc == 0) {
        group = group_find(t, hash, name, length);
        if (group != 0 && group_at(t, group)->count != 0) {
            rc = append(t, group, deadline);
        } else {
            rc = tx_commit(t); /* only the filter's bucket was the same */
        }
    }
    mailbox_leave(t);
    return rc;
}

/* mailbox.c: see mailbox.h. */
#include "mailbox.h"

#include "doorbell.h"
#include "linger.h"
#include "messages.h"
#include "slots.h"

/* Log entries that one more member may need: a ring that grows, a waiter that is rung,
 * and the end of the transaction. */
enum { MEMBER_ROOM = 64 };

/* Who waits for a mailbox that is being settled is let in after so many deliveries: who looks,
 * in some microseconds, and who has to be woken, in a fraction of a millisecond. After a
 * millisecond or two nobody is. */
enum { STEP = 128, STRETCH = 2048, LET_IN_MAX = 32768 };

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
    uint32_t delivered;   /* since the last commit */
    ashm_delivery report; /* since it began */
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
    tx_count(t, &t->mailbox->full);
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
    if (ASHM_UNLIKELY(f->broadcast->skip != 0) && m->skip == f->broadcast->skip) {
        return 0;
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
        f->report.delivered++;
    } else if (t->fault == 0) {
        f->report.full++;
        count_full(t, group_at(t, m->group), c);
    }
    return 0;
}

/* To so many of those that are left, or some more. */
static int
deliver_to_members(tx *t, unsigned most, ashm_delivery *report)
{
    fanout f = {.broadcast = first_broadcast(t)};
    group_shm *g = group_at(t, f.broadcast->group);
    uint32_t member = t->mailbox->cursor != 0 ? t->mailbox->cursor : g->head;
    uint32_t left = table_records(t) + 1;
    int rc;

    for (; member != 0 && t->fault == 0; member = member_at(t, member)->group_next) {
        if (f.report.delivered + f.report.full >= most) {
            *report = f.report;
            return pause_at(t, &f, member);
        }
        if (left-- == 0) {
            tx_fault(t, ASHM_CORRUPT);
        } else if ((rc = deliver(t, &f, member)) != 0) {
            return rc;
        }
    }
    *report = f.report;
    return finish(t, &f);
}

/* As if it were done when the message was sent. The clock is put back for it: who was a member
 * then gets the message, and what had not expired then takes its room. */
static int
settle_first(tx *t, unsigned most, ashm_delivery *report)
{
    uint64_t now = t->now;
    int rc;

    if (!SABOTAGE(SETTLE_NOW)) {
        t->now = first_broadcast(t)->sent;
    }
    rc = deliver_to_members(t, most, report);
    t->now = now;
    return rc;
}

/* How far a mailbox is settled. */
typedef struct settling {
    uint64_t deliveries; /* so far */
    uint64_t slept_at;   /* as many there were when a sleeper was let in */
} settling;

/* Whom to let in between two steps? Those who look, and now and then those who sleep. But not
 * so long that one who sends on and on keeps us here, and nobody who would find the ring full.
 */
static bool
has_guest(tx *t, settling *s)
{
    const lock_shm *lock = &t->mailbox->lock;

    if (s->deliveries > LET_IN_MAX || broadcasts(t) > BROADCASTS / 2) {
        return false;
    }
    if (s->deliveries - s->slept_at >= STRETCH && lock_is_awaited(lock)) {
        s->slept_at = s->deliveries;
        return true;
    }
    return lock_is_looked_for(lock);
}

/* *last is what became of the broadcast that was appended last. Others are let in meanwhile if
 * nothing that was read of the mailbox is needed any more; if they keep it, it is not held
 * then.
 */
static int
settle(tx *t, ashm_delivery *last, bool lets_in)
{
    settling s = {0};
    int rc;

    while (broadcasts(t) != 0) {
        if (s.deliveries + group_at(t, first_broadcast(t)->group)->count >= STRETCH) {
            linger();
        }
        if ((rc = settle_first(t, lets_in ? STEP : UINT32_MAX, last)) != 0) {
            return rc;
        }
        s.deliveries += last->delivered + last->full;
        if (lets_in && has_guest(t, &s) && (rc = tx_let_in(t)) != 0) {
            return rc;
        }
    }
    return tx_commit(t);
}

int
mailbox_settle(tx *t)
{
    ashm_delivery last;

    return settle(t, &last, false);
}

int
mailbox_enter(tx *t, uint32_t index)
{
    ashm_delivery last;
    int rc = tx_enter(t, index);

    if (rc == 0 && ASHM_UNLIKELY(broadcasts(t) != 0 || t->fault != 0)) {
        if ((rc = settle(t, &last, true)) != 0) {
            if (t->mailbox != NULL) {
                tx_leave(t);
            }
            doorbell_pay(t);
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

/* The membership of a channel that is in this mailbox, or 0. */
static uint32_t
find_member(tx *t, uint32_t group, const char *name, size_t length)
{
    address of = slots_address(t->party.a, name, length);
    uint32_t channel;

    if (of.mailbox != t->mailbox_index || !slots_is_there(t, &of)) {
        return 0;
    }
    channel = channel_find(t, of.hash, name, length);
    return channel != 0 ? table_find_member(t, group, channel) : 0;
}

/* A number that no mark has yet. Killed after the commit: one number less, as if an entry had
 * had it, or marks of a broadcast that never comes. */
static void
take_number(tx *t, uint32_t *number)
{
    *number = t->mailbox->sequence != 0 ? t->mailbox->sequence : 1;
    tx_set32(t, &t->mailbox->sequence, *number + 1);
}

/* Has a broadcast that waits marked it? There is one mark for a membership, so until that is
 * settled it may have no other. */
static bool
is_marked(tx *t, uint32_t member)
{
    uint32_t skip = member_at(t, member)->skip;
    uint32_t head = broadcast_head(t->mailbox);
    uint32_t n = broadcasts(t);

    for (uint32_t i = 0; i < n; i++) {
        if (skip != 0 && t->mailbox->ring[(head + i) % BROADCASTS].skip == skip) {
            return true;
        }
    }
    return false;
}

/* Transactions of its own: mark whom the broadcast leaves out. *skip stays 0 if none of them
 * is in this mailbox. */
static int
mark_excluded(tx *t, uint32_t group, const broadcast *b, uint32_t *skip)
{
    const char *end = b->exclude + b->exclude_length;
    int rc;

    for (const char *name = b->exclude; name < end; name += 1 + (size_t)*name) {
        uint32_t member = find_member(t, group, name + 1, (size_t)*name);

        if (member == 0) {
            continue;
        }
        if (is_marked(t, member) && (rc = mailbox_settle(t)) != 0) {
            return rc;
        }
        if (*skip == 0) {
            take_number(t, skip);
        }
        tx_set32(t, &member_at(t, member)->skip, *skip);
        if ((rc = tx_commit(t)) != 0) {
            return rc;
        }
    }
    return tx_commit(t);
}

/* With the mailbox held: put the entry at the end of the ring. */
static int
append(tx *t, uint32_t group, uint64_t deadline, uint32_t skip)
{
    mailbox_shm *mailbox = t->mailbox;
    uint32_t tail = broadcast_tail(mailbox);

    if (t->fault != 0) {
        return tx_commit(t);
    }
    /* Behind the tail, so no log. */
    mailbox->ring[tail % BROADCASTS] = (broadcast_shm){.sent = t->now,
                                                       .deadline = deadline,
                                                       .message = t->lane->held,
                                                       .group = group,
                                                       .skip = skip};
    tx_set_atomic32(t, &mailbox->broadcast_tail, tail + 1);
    message_unhold(t, 1);
    if (t->mailbox_index >= COMMONS) {
        doorbell_owe(t, t->mailbox_index - COMMONS);
    }
    return tx_commit(t);
}

/* With the mailbox held, and room in its ring. */
static int
broadcast_to(tx *t, uint32_t group, const broadcast *b, bool *sent)
{
    ashm_delivery report = {0};
    uint32_t skip = 0;
    int rc = 0;

    if (b->exclude_length != 0 && (rc = mark_excluded(t, group, b, &skip)) != 0) {
        return rc;
    }
    rc = append(t, group, b->deadline, skip);
    *sent = rc == 0;
    if (rc == 0 && b->report != NULL && (rc = settle(t, &report, false)) == 0) {
        b->report->delivered += report.delivered;
        b->report->full += report.full;
    }
    return rc;
}

int
mailbox_broadcast(tx *t, uint32_t index, const broadcast *b, bool *sent)
{
    uint32_t group;
    int rc = tx_enter(t, index);

    *sent = false;
    if (rc != 0) {
        return rc;
    }
    if (broadcasts(t) == BROADCASTS) {
        rc = mailbox_settle(t);
    }
    if (rc == 0) {
        group = group_find(t, b->hash, b->group, b->length);
        if (group != 0 && group_at(t, group)->count != 0) {
            rc = broadcast_to(t, group, b, sent);
        } else {
            rc = tx_commit(t); /* only the filter's bucket was the same */
            *sent = rc == 0;
        }
    }
    mailbox_leave(t);
    return rc;
}

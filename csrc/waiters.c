/* waiters.c: see waiters.h. */
#include "waiters.h"

#include "doorbell.h"

waitlist_shm *
waiters_list(const ashm *a, uint32_t mailbox, uint32_t slot)
{
    if (mailbox >= COMMONS) {
        return &handle_mailbox(a, mailbox)->own;
    }
    return (waitlist_shm *)(a->base + a->map.waitlists) + mailbox * ASHM_SLOTS +
           slot % ASHM_SLOTS;
}

static waitlist_shm *
waitlist(tx *t, uint32_t slot)
{
    return waiters_list(t->party.a, t->mailbox_index, slot);
}

static bool
is_family(tx *t, uint32_t channel)
{
    const node_shm *node = node_at(t, channel);

    return node->name_length > 0 && node_name(t, channel)[node->name_length - 1] == '!';
}

/* ---- records ---- */

static uint32_t
add(tx *t, uint32_t channel, uint32_t slot)
{
    waitlist_shm *list = waitlist(t, slot);
    channel_shm *c = channel_at(t, channel);
    uint32_t added = table_add_pair(t, NODE_WAITER, channel, slot);
    waiter_shm *w;

    if (added == 0) {
        return 0;
    }
    w = waiter_at(t, added);
    w->channel = channel; /* a fresh record: no log */
    w->slot = slot;
    w->slot_next = list->waiters;
    if (list->waiters != 0) {
        tx_set32(t, &waiter_at(t, list->waiters)->slot_prev, added);
    }
    tx_set32(t, &list->waiters, added);
    tx_set32(t, &c->waiters, c->waiters + 1);
    if (is_family(t, channel)) {
        tx_set32(t, &t->mailbox->families, t->mailbox->families + 1);
    }
    return added;
}

void
waiters_remove(tx *t, uint32_t waiter)
{
    waiter_shm *w = waiter_at(t, waiter);
    waitlist_shm *list = waitlist(t, w->slot);
    channel_shm *c = channel_at(t, w->channel);

    if (is_family(t, w->channel)) {
        tx_set32(t, &t->mailbox->families, t->mailbox->families - 1);
    }
    tx_set32(t, &c->waiters, c->waiters - 1);
    if (w->slot_prev != 0) {
        tx_set32(t, &waiter_at(t, w->slot_prev)->slot_next, w->slot_next);
    } else {
        tx_set32(t, &list->waiters, w->slot_next);
    }
    if (w->slot_next != 0) {
        tx_set32(t, &waiter_at(t, w->slot_next)->slot_prev, w->slot_prev);
    }
    table_remove(t, waiter);
}

uint32_t
waiters_of_slot(tx *t, uint32_t slot)
{
    return waitlist(t, slot)->waiters;
}

/* ---- the channel's list ---- */

static void
append(tx *t, channel_shm *c, uint32_t waiter)
{
    if (c->waiting_tail != 0) {
        tx_set32(t, &waiter_at(t, c->waiting_tail)->next, waiter);
    } else {
        tx_set32(t, &c->waiting_head, waiter);
    }
    tx_set32(t, &c->waiting_tail, waiter);
    tx_set32(t, &waiter_at(t, waiter)->next, 0);
}

static void
take_off(tx *t, channel_shm *c, uint32_t waiter)
{
    uint32_t before = 0;
    uint32_t left = ASHM_SLOTS;
    uint32_t next = waiter_at(t, waiter)->next;

    for (uint32_t at = c->waiting_head; at != waiter; at = waiter_at(t, at)->next) {
        if (at == 0 || left-- == 0) { /* no more waiters than slots */
            tx_fault(t, ASHM_CORRUPT);
            return;
        }
        before = at;
    }
    if (before != 0) {
        tx_set32(t, &waiter_at(t, before)->next, next);
    } else {
        tx_set32(t, &c->waiting_head, next);
    }
    if (next == 0) {
        tx_set32(t, &c->waiting_tail, before);
    }
}

static uint32_t
find(tx *t, uint32_t channel, uint32_t slot)
{
    return channel_at(t, channel)->waiters == 0 ? 0 : table_find_waiter(t, channel, slot);
}

static void
set_awaited(tx *t, uint32_t channel, uint32_t waiter, uint64_t cookie)
{
    waiter_shm *w = waiter_at(t, waiter);

    if (w->cookie != cookie) {
        tx_set64(t, &w->cookie, cookie);
    }
    if (w->state != WAITER_AWAITED) {
        tx_set32(t, &w->state, WAITER_AWAITED);
        append(t, channel_at(t, channel), waiter);
    }
}

bool
waiters_await(tx *t, uint32_t channel, uint32_t slot, uint64_t cookie)
{
    uint32_t waiter = find(t, channel, slot);

    if (waiter == 0 && (waiter = add(t, channel, slot)) == 0) {
        return false;
    }
    set_awaited(t, channel, waiter, cookie);
    return true;
}

bool
waiters_stay(tx *t, uint32_t channel, uint32_t slot, uint64_t cookie)
{
    uint32_t waiter = find(t, channel, slot);

    if (waiter != 0) {
        set_awaited(t, channel, waiter, cookie);
    }
    return waiter != 0;
}

bool
waiters_leave(tx *t, uint32_t channel, uint32_t slot)
{
    channel_shm *c = channel_at(t, channel);
    uint32_t waiter = find(t, channel, slot);
    waiter_shm *w;
    uint32_t state;

    if (waiter == 0) {
        return false;
    }
    w = waiter_at(t, waiter);
    state = w->state;
    if (state == WAITER_AWAITED) {
        take_off(t, c, waiter);
    }
    if (state != WAITER_IDLE) {
        tx_set32(t, &w->state, WAITER_IDLE);
    }
    return state == WAITER_RUNG;
}

/* ---- ringing, and the ready list of a slot ---- */

void
waiters_ring(tx *t, channel_shm *c)
{
    uint32_t waiter = c->waiting_head;
    waiter_shm *w;
    waitlist_shm *list;

    if (waiter == 0) {
        return;
    }
    w = waiter_at(t, waiter);
    tx_set32(t, &c->waiting_head, w->next);
    if (w->next == 0) {
        tx_set32(t, &c->waiting_tail, 0);
    }
    tx_set32(t, &w->state, WAITER_RUNG);
    doorbell_owe(t, w->slot);
    if (w->queued) {
        return;
    }
    list = waitlist(t, w->slot);
    if (list->ready_tail != 0) {
        tx_set32(t, &waiter_at(t, list->ready_tail)->ready_next, waiter);
    } else {
        tx_set_atomic32(t, &list->ready_head, waiter);
    }
    tx_set32(t, &list->ready_tail, waiter);
    tx_set32(t, &w->ready_next, 0);
    tx_set32(t, &w->queued, 1);
}

/* Under the lock, so relaxed. */
static uint32_t
ready_head(const waitlist_shm *list)
{
    return atomic_load_explicit(&list->ready_head, memory_order_relaxed);
}

static void
ready_pop(tx *t, waitlist_shm *list)
{
    waiter_shm *w = waiter_at(t, ready_head(list));

    tx_set_atomic32(t, &list->ready_head, w->ready_next);
    if (w->ready_next == 0) {
        tx_set32(t, &list->ready_tail, 0);
    }
    tx_set32(t, &w->queued, 0);
}

bool
waiters_next_ready(tx *t, uint32_t slot, uint64_t *cookie)
{
    waitlist_shm *list = waitlist(t, slot);
    uint32_t head;

    while ((head = ready_head(list)) != 0 && t->fault == 0) {
        const waiter_shm *w = waiter_at(t, head);

        if (!w->queued) { /* taken off before: the list is a circle */
            tx_fault(t, ASHM_CORRUPT);
            return false;
        }
        ready_pop(t, list);
        if (w->state == WAITER_RUNG) { /* else it has left or awaits again */
            *cookie = w->cookie;
            return true;
        }
        if (tx_room(t) < 8) {
            break; /* the rest in the next transaction */
        }
    }
    return false;
}

bool
waiters_may_be_ready(const ashm *a, uint32_t mailbox, uint32_t slot)
{
    return ready_head(waiters_list(a, mailbox, slot)) != 0;
}

void
waiters_unqueue(tx *t, uint32_t waiter)
{
    waiter_shm *w = waiter_at(t, waiter);
    waitlist_shm *list = waitlist(t, w->slot);
    uint32_t before = 0;
    uint32_t left = table_records(t);
    uint32_t at = ready_head(list);

    if (!w->queued) {
        return;
    }
    for (; at != waiter; at = waiter_at(t, at)->ready_next) {
        if (at == 0 || left-- == 0) {
            tx_fault(t, ASHM_CORRUPT);
            return;
        }
        before = at;
    }
    if (before == 0) {
        ready_pop(t, list);
        return;
    }
    tx_set32(t, &waiter_at(t, before)->ready_next, w->ready_next);
    if (w->ready_next == 0) {
        tx_set32(t, &list->ready_tail, before);
    }
    tx_set32(t, &w->queued, 0);
}

/* queue.c: see queue.h. */
#include "queue.h"

#include "messages.h"
#include "room.h"

enum {
    LOG2_INLINE = 1,
    DROPS = 8 /* entries that one transaction drops: some 20 stores each, 10 once */
};

_Static_assert(INLINE_ENTRIES == 1 << LOG2_INLINE, "layout");
_Static_assert(ENTRIES_PER_PAGE == 1 << RING_LOG2_PAGE, "layout");
_Static_assert(ASHM_CAPACITY_MAX == 1 << RING_LOG2_MAX, "layout");

static uint32_t
ring_pages(unsigned log2)
{
    return 1u << (log2 - RING_LOG2_PAGE);
}

/* The cell of a ring that is not in the channel record. */
static entry_shm *
ring_cell(tx *t, uint32_t ring, unsigned log2, uint32_t position)
{
    uint32_t index = position & ((1u << log2) - 1);

    if (log2 > RING_LOG2_PAGE) {
        uint32_t *pages = record_at(t, ring, PAGE_SIZE_SHM);

        ring = page_reference(pages[index >> RING_LOG2_PAGE]);
        index &= ENTRIES_PER_PAGE - 1;
    }
    return (entry_shm *)record_at(t, ring, (index + 1) * sizeof(entry_shm)) + index;
}

entry_shm *
queue_entry(tx *t, channel_shm *channel, uint32_t position)
{
    unsigned log2 = channel->node.log2;

    if (log2 == 0) { /* 0 stands for "in the record": records are made of zeros */
        return &channel->entries[position % INLINE_ENTRIES];
    }
    if (log2 > RING_LOG2_MAX) {
        return tx_scratch(t);
    }
    return ring_cell(t, channel->ring, log2, position);
}

static unsigned
ring_log2(const channel_shm *channel)
{
    return channel->node.log2 == 0 ? LOG2_INLINE : channel->node.log2;
}

/* ---- memory of rings ---- */

static uint32_t
ring_take(tx *t, unsigned log2)
{
    uint32_t directory, page, n;
    uint32_t *pages;

    if (log2 < RING_LOG2_PAGE) {
        return block_take(t, TABLES, &t->mailbox->heap, sizeof(entry_shm) << log2);
    }
    if (log2 == RING_LOG2_PAGE) {
        return page_reference(pages_take(t, TABLES, 1));
    }
    /* One chain: the first page for the page numbers, the others listed in it. */
    n = ring_pages(log2);
    if ((directory = pages_take(t, TABLES, n + 1)) == 0) {
        return 0;
    }
    pages = record_at(t, page_reference(directory), PAGE_SIZE_SHM);
    page = directory;
    for (uint32_t i = 0; i < n; i++) {
        page = page_next(t, TABLES, page);
        pages[i] = page; /* fresh: no log */
    }
    return page_reference(directory);
}

static void
ring_give(tx *t, uint32_t ring, unsigned log2)
{
    if (log2 < RING_LOG2_PAGE) {
        block_give(t, TABLES, &t->mailbox->heap, ring);
    } else {
        pages_give(t, TABLES, ring / UNITS_PER_PAGE);
    }
}

static void
set_log2(tx *t, channel_shm *channel, unsigned log2)
{
    node_set(t, &channel->node, channel->node.flags, (uint8_t)log2);
}

/* Make room for one more: a ring of twice the size, or, if half of this one is
 * holes, another of the same size without them. */
static bool
rewrite(tx *t, channel_shm *channel)
{
    unsigned old_log2 = channel->node.log2;
    unsigned log2 = ring_log2(channel);
    uint32_t old_ring = channel->ring;
    uint32_t tail = channel->tail, live = channel->live;
    uint32_t head = tail - live; /* the tail stays: it counts */
    uint32_t ring, n = 0;

    /* No capacity is above the largest size: what is full at that has holes. */
    if (log2 < RING_LOG2_MAX && (channel->live > (1u << log2) / 2 || old_log2 == 0)) {
        log2++;
    }
    if ((ring = ring_take(t, log2)) == 0) {
        return false;
    }
    for (uint32_t i = channel->head; i != tail && t->fault == 0; i++) {
        const entry_shm *entry = queue_entry(t, channel, i);

        if (entry->message != 0) {
            *ring_cell(t, ring, log2, head + n++) = *entry; /* fresh: no log */
        }
    }
    tx_set32(t, &channel->ring, ring);
    set_log2(t, channel, log2);
    tx_set32(t, &channel->head, head);
    if (n != live) {
        tx_fault(t, ASHM_CORRUPT);
    }
    if (old_log2 != 0) {
        ring_give(t, old_ring, old_log2);
    }
    return t->fault == 0;
}

void
queue_shrink(tx *t, channel_shm *channel)
{
    unsigned log2 = channel->node.log2;

    if (log2 != 0 && channel->live == 0) {
        uint32_t ring = channel->ring;

        set_log2(t, channel, 0);
        tx_set32(t, &channel->ring, 0);
        tx_set32(t, &channel->head, channel->tail);
        ring_give(t, ring, log2);
    }
}

/* ---- entries ---- */

/* Whether head and tail can be believed: loops over them are bounded by it. They go by the
 * tail that was looked at: in a damaged segment an entry may lie where the channel does. */
static bool
is_sound(tx *t, const channel_shm *channel)
{
    uint32_t span = channel->tail - channel->head;

    if (channel->node.log2 > RING_LOG2_MAX || span > 1u << ring_log2(channel) ||
        channel->live > span) {
        tx_fault(t, ASHM_CORRUPT);
        return false;
    }
    return true;
}

bool
queue_push(tx *t, channel_shm *channel, uint32_t message, uint64_t deadline)
{
    uint32_t coarse = (uint32_t)(deadline >> DEADLINE_SHIFT);

    if (!is_sound(t, channel)) {
        return false;
    }
    if (channel->tail - channel->head == 1u << ring_log2(channel) && !rewrite(t, channel)) {
        return false;
    }
    *queue_entry(t, channel, channel->tail) =
        (entry_shm){.deadline = deadline, .message = message, .sequence = t->mailbox->sequence};
    tx_set32(t, &t->mailbox->sequence, t->mailbox->sequence + 1);
    if (channel->live == 0 || coarse < channel->earliest) {
        tx_set32(t, &channel->earliest, coarse);
    }
    tx_set32(t, &channel->tail, channel->tail + 1);
    tx_set32(t, &channel->live, channel->live + 1);
    return true;
}

const entry_shm *
queue_front(tx *t, channel_shm *channel, uint32_t *position)
{
    uint32_t tail = channel->tail;

    if (channel->live == 0 || !is_sound(t, channel)) {
        return NULL;
    }
    for (uint32_t i = channel->head; i != tail && t->fault == 0; i++) {
        const entry_shm *entry = queue_entry(t, channel, i);

        if (entry->message != 0) {
            *position = i;
            return entry;
        }
    }
    tx_fault(t, ASHM_CORRUPT); /* live entries, and none found */
    return NULL;
}

void
queue_pop(tx *t, channel_shm *channel, uint32_t position)
{
    tx_set32(t, &channel->head, position + 1);
    tx_set32(t, &channel->live, channel->live - 1);
    room_made(t, channel);
}

/* Drop the entry at a position, leaving a hole, or nothing at the head. */
static void
drop(tx *t, channel_shm *channel, uint32_t position)
{
    entry_shm *entry = queue_entry(t, channel, position);

    message_unref(t, entry->message, 1);
    tx_set32(t, &entry->message, 0);
    tx_set32(t, &channel->live, channel->live - 1);
    if (position == channel->head) {
        tx_set32(t, &channel->head, position + 1);
    }
    room_made(t, channel);
}

int
queue_expire(tx *t, channel_shm *channel)
{
    uint32_t tail = channel->tail, earliest = UINT32_MAX;
    uint32_t drops = 0;
    int rc;

    if (channel->live == 0 || channel->earliest > (uint32_t)(t->now >> DEADLINE_SHIFT) ||
        !is_sound(t, channel)) {
        return tx_commit(t);
    }
    for (uint32_t i = channel->head; i != tail && t->fault == 0; i++) {
        const entry_shm *entry = queue_entry(t, channel, i);

        if (entry->message == 0) {
            continue;
        }
        if (entry->deadline > t->now) {
            uint32_t coarse = (uint32_t)(entry->deadline >> DEADLINE_SHIFT);

            earliest = coarse < earliest ? coarse : earliest;
            continue;
        }
        drop(t, channel, i);
        tx_count(t, &t->mailbox->expired);
        if (++drops % DROPS == 0 && (rc = tx_commit(t)) != 0) {
            return rc;
        }
    }
    tx_set32(t, &channel->earliest, earliest);
    return tx_commit(t);
}

int
queue_clear(tx *t, channel_shm *channel)
{
    uint32_t tail = channel->tail, drops = 0;
    int rc;

    if (!is_sound(t, channel)) {
        return tx_commit(t);
    }
    for (uint32_t i = channel->head; i != tail && t->fault == 0; i++) {
        if (queue_entry(t, channel, i)->message != 0) {
            drop(t, channel, i);
        }
        if (++drops % DROPS == 0 && (rc = tx_commit(t)) != 0) {
            return rc;
        }
    }
    return tx_commit(t);
}

/* look.c: see look.h. */
#include "look.h"

#include <string.h>

#include "hash.h"
#include "waiters.h"

enum { ATTEMPTS = 8 }; /* to read what changes */

/* Copy, and have the compiler use the copy: what lies in the segment may change. */
static void
copy(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    ordered();
}

static bool
look_at(const ashm *a, enum section section, uint32_t reference, uint64_t offset, void *to,
        size_t size)
{
    uint64_t at = (uint64_t)reference * UNIT + offset;

    if (reference < UNITS_PER_PAGE || !section_holds(a, section, at, size)) {
        return false;
    }
    copy(to, a->base + a->map.section[section].pages + at, size);
    return true;
}

static bool
look_page(const ashm *a, enum section section, uint32_t page, page_shm *record)
{
    if (page == 0 || page >= section_ready(a, section)) {
        return false;
    }
    copy(record, (page_shm *)(a->base + a->map.section[section].records) + page,
         sizeof *record);
    return true;
}

/* ---- tables ---- */

static table_shm
look_table(const ashm *a, uint32_t mailbox)
{
    table_shm table;

    copy(&table, &handle_mailbox(a, mailbox)->table, sizeof table);
    if (table.buckets > TABLE_BUCKETS_MAX) {
        table.buckets = 0;
    }
    return table;
}

uint32_t
look_buckets(const ashm *a, uint32_t mailbox)
{
    table_shm table = look_table(a, mailbox);

    return table_size(&table);
}

static bool
look_first(const ashm *a, const table_shm *table, uint32_t bucket, uint32_t *first)
{
    uint32_t page;

    return bucket < table->buckets &&
           look_at(a, TABLES, page_reference(table->directory),
                   bucket / TABLE_BUCKETS_PER_PAGE * sizeof page, &page, sizeof page) &&
           look_at(a, TABLES, page_reference(page),
                   bucket % TABLE_BUCKETS_PER_PAGE * sizeof *first, first, sizeof *first);
}

/* true: the chain was whole. */
static bool
try_bucket(const ashm *a, uint32_t mailbox, uint32_t bucket, uint32_t chain[LOOK_CHAIN],
           uint32_t *n)
{
    table_shm table = look_table(a, mailbox);
    node_shm node;
    uint32_t next;

    *n = 0;
    if (!look_first(a, &table, bucket, &next)) {
        return bucket >= table.buckets; /* the table has been given back */
    }
    for (; next != 0; next = node.next) {
        if (*n == LOOK_CHAIN || !look_at(a, TABLES, next, 0, &node, sizeof node) ||
            node.kind < NODE_CHANNEL || node.kind > NODE_WAITER ||
            table_bucket_of(table.buckets, node.hash) != bucket) {
            return false;
        }
        chain[(*n)++] = next;
    }
    return true;
}

uint32_t
look_bucket(const ashm *a, uint32_t mailbox, uint32_t bucket, uint32_t chain[LOOK_CHAIN])
{
    uint32_t n;

    for (int i = 0; i < ATTEMPTS && !try_bucket(a, mailbox, bucket, chain, &n); i++) {
    }
    return n; /* what was whole of it */
}

/* ---- records ---- */

static bool
look_named(const ashm *a, uint32_t reference, enum node_kind kind, void *record, size_t size,
           char name[ASHM_NAME_MAX + 1])
{
    const node_shm *node = record;

    if (!look_at(a, TABLES, reference, 0, record, size) || node->kind != kind ||
        node->name_length > ASHM_NAME_MAX ||
        !look_at(a, TABLES, reference, size, name, node->name_length)) {
        return false;
    }
    name[node->name_length] = '\0';
    return (uint32_t)hash_name(a->hash_key, name, node->name_length) == node->hash;
}

bool
look_channel(const ashm *a, uint32_t reference, channel_shm *channel,
             char name[ASHM_NAME_MAX + 1])
{
    return look_named(a, reference, NODE_CHANNEL, channel, offsetof(channel_shm, name), name);
}

bool
look_group(const ashm *a, uint32_t reference, group_shm *group, char name[ASHM_NAME_MAX + 1])
{
    return look_named(a, reference, NODE_GROUP, group, offsetof(group_shm, name), name);
}

bool
look_member(const ashm *a, uint32_t reference, member_shm *member)
{
    return look_at(a, TABLES, reference, 0, member, sizeof *member) &&
           member->node.kind == NODE_MEMBER &&
           member->node.hash == hash_pair(member->group, member->channel);
}

bool
look_find(const ashm *a, const char *name, size_t length, uint32_t *reference,
          channel_shm *channel)
{
    address to = slots_address(a, name, length);
    uint32_t chain[LOOK_CHAIN];
    char found[ASHM_NAME_MAX + 1];
    table_shm table;
    uint32_t n;

    if (to.mailbox == MAILBOXES) {
        return false;
    }
    table = look_table(a, to.mailbox);
    n = table.buckets == 0
            ? 0
            : look_bucket(a, to.mailbox, table_bucket_of(table.buckets, to.hash), chain);
    for (uint32_t i = 0; i < n; i++) {
        if (look_channel(a, chain[i], channel, found) && channel->node.name_length == length &&
            memcmp(found, name, length) == 0) {
            *reference = chain[i];
            return true;
        }
    }
    return false;
}

/* ---- who waits ---- */

static bool
look_waiter(const ashm *a, uint32_t reference, waiter_shm *waiter)
{
    return look_at(a, TABLES, reference, 0, waiter, sizeof *waiter) &&
           waiter->node.kind == NODE_WAITER;
}

uint32_t
look_waiting(const ashm *a, const channel_shm *channel)
{
    waiter_shm waiter;
    uint32_t n = 0;

    for (uint32_t at = channel->waiting_head;
         at != 0 && n < ASHM_SLOTS && look_waiter(a, at, &waiter); at = waiter.next) {
        n++;
    }
    return n;
}

uint32_t
look_waiters_of_slot(const ashm *a, uint32_t mailbox, uint32_t slot)
{
    uint32_t left = look_table(a, mailbox).count;
    waitlist_shm list;
    waiter_shm waiter;
    uint32_t n = 0;

    copy(&list, waiters_list(a, mailbox, slot), sizeof list);
    for (uint32_t at = list.waiters;
         at != 0 && left-- > 0 && look_waiter(a, at, &waiter) && waiter.slot == slot;
         at = waiter.slot_next) {
        n += waiter.state != WAITER_IDLE;
    }
    return n;
}

/* ---- queues ---- */

static bool
look_cell(const ashm *a, const channel_shm *channel, uint32_t position, entry_shm *entry)
{
    unsigned log2 = channel->node.log2;
    uint32_t index = position & ((1u << log2) - 1);
    uint32_t ring = channel->ring;

    if (log2 == 0) {
        *entry = channel->entries[position % INLINE_ENTRIES];
        return true;
    }
    if (log2 > RING_LOG2_PAGE) {
        uint32_t page;

        if (!look_at(a, TABLES, ring, (index >> RING_LOG2_PAGE) * sizeof page, &page,
                     sizeof page)) {
            return false;
        }
        ring = page_reference(page);
        index %= ENTRIES_PER_PAGE;
    }
    return look_at(a, TABLES, ring, index * sizeof *entry, entry, sizeof *entry);
}

/* Look again at what was a channel: false if it is that one no more. */
static bool
look_again(const ashm *a, uint32_t reference, channel_shm *channel)
{
    uint32_t hash = channel->node.hash;
    char name[ASHM_NAME_MAX + 1];

    return look_channel(a, reference, channel, name) && channel->node.hash == hash;
}

/* The queue is as it was: the same ring, and the position in it has not been passed. */
static bool
is_same(const channel_shm *now, const channel_shm *before, uint32_t position)
{
    return now->ring == before->ring && now->node.log2 == before->node.log2 &&
           now->tail - position <= now->tail - now->head;
}

bool
look_entry(const ashm *a, uint32_t reference, channel_shm *channel, uint32_t *position,
           entry_shm *entry)
{
    uint32_t at = *position, attempts = ATTEMPTS;

    while (attempts > 0 && look_again(a, reference, channel)) {
        channel_shm again = *channel;
        uint32_t span = channel->tail - channel->head;

        if (channel->node.log2 > RING_LOG2_MAX || span > ASHM_CAPACITY_MAX) {
            return false;
        }
        if (channel->tail - at > span) {
            at = channel->head; /* what was there has been taken */
        }
        if (at == channel->tail) {
            return false;
        }
        if (!look_cell(a, channel, at, entry) || !look_again(a, reference, &again) ||
            !is_same(&again, channel, at)) {
            attempts--;
        } else if (entry->message == 0) {
            at++; /* a hole */
        } else {
            *position = at;
            return true;
        }
    }
    return false;
}

bool
look_still_queued(const ashm *a, uint32_t reference, const channel_shm *before,
                  uint32_t position, const entry_shm *entry)
{
    channel_shm channel = *before;
    uint32_t at = position;
    entry_shm now;

    /* What was read of the message was read before this. */
    atomic_thread_fence(memory_order_acquire);
    return look_entry(a, reference, &channel, &at, &now) && at == position &&
           now.message == entry->message && now.sequence == entry->sequence;
}

bool
look_message(const ashm *a, uint32_t message, message_shm *head, void *body, size_t size)
{
    uint32_t page = message / UNITS_PER_PAGE;
    uint64_t offset = sizeof *head;
    char *to = body;

    if (!look_at(a, MESSAGES, message, 0, head, sizeof *head) ||
        head->length > (uint64_t)a->map.section[MESSAGES].count * PAGE_SIZE_SHM) {
        return false;
    }
    size = size < head->length ? size : head->length;
    if (size == 0) {
        return true; /* and there may be no buffer */
    }
    if ((uint64_t)head->length + sizeof *head <= BLOCK_MAX) {
        return look_at(a, MESSAGES, message, offset, to, size);
    }
    while (size > 0) {
        size_t room = PAGE_SIZE_SHM - offset;
        page_shm record;

        room = size < room ? size : room;
        if (!look_at(a, MESSAGES, page_reference(page), offset, to, room) ||
            !look_page(a, MESSAGES, page, &record)) {
            return false;
        }
        to += room;
        size -= room;
        offset = 0;
        page = record.next;
    }
    return true;
}

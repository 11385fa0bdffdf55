/* table.c: see table.h. */
#include "table.h"

#include <string.h>

#include "hash.h"

enum {
    SPLIT_MAX = 48 /* records that one transaction moves; longer chains stay */
};

static table_shm *
table_of(tx *t)
{
    return &t->mailbox->table;
}

/* ---- buckets ---- */

static uint32_t *
directory_at(tx *t, uint32_t index)
{
    uint32_t *directory = record_at(t, page_reference(table_of(t)->directory), PAGE_SIZE_SHM);

    return &directory[index % (PAGE_SIZE_SHM / 4)];
}

static uint32_t *
bucket_at(tx *t, uint32_t bucket)
{
    uint32_t page = *directory_at(t, bucket / TABLE_BUCKETS_PER_PAGE);
    uint32_t *buckets = record_at(t, page_reference(page), PAGE_SIZE_SHM);

    return &buckets[bucket % TABLE_BUCKETS_PER_PAGE];
}

uint32_t
table_bucket(tx *t, uint32_t bucket)
{
    return table_size(table_of(t)) == 0 ? 0 : *bucket_at(t, bucket);
}

uint32_t
table_buckets(tx *t)
{
    uint32_t buckets = table_size(table_of(t));

    if (buckets > TABLE_BUCKETS_MAX) {
        tx_fault(t, ASHM_CORRUPT);
        return 0;
    }
    return buckets;
}

uint32_t
table_records(tx *t)
{
    uint32_t most = section_ready(t->party.a, TABLES) * BLOCKS_PER_PAGE;
    uint32_t count = table_of(t)->count;

    return count < most ? count : most;
}

/* A page of zeros that nothing refers to yet. */
static uint32_t
take_zero_page(tx *t)
{
    uint32_t page = pages_take(t, TABLES, 1);

    if (page != 0) {
        memset(record_at(t, page_reference(page), PAGE_SIZE_SHM), 0, PAGE_SIZE_SHM);
    }
    return page;
}

static bool
make_first_buckets(tx *t)
{
    table_shm *table = table_of(t);
    uint32_t directory = take_zero_page(t);
    uint32_t page = directory != 0 ? take_zero_page(t) : 0;

    if (page == 0) {
        return false;
    }
    *(uint32_t *)record_at(t, page_reference(directory), PAGE_SIZE_SHM) = page; /* fresh */
    tx_set32(t, &table->directory, directory);
    tx_set_atomic32(t, &table->buckets, TABLE_BUCKETS_PER_PAGE);
    return true;
}

/* Add a bucket and move to it what belongs there. No memory, or a chain too long
 * for a transaction: the table goes on with the buckets it has. */
static void
split(tx *t)
{
    table_shm *table = table_of(t);
    uint32_t added = table_size(table);
    uint32_t source = added - table_level(added);
    uint32_t length = 0;
    uint32_t page, *from, *to;

    if (added >= TABLE_BUCKETS_MAX) {
        return;
    }
    from = bucket_at(t, source);
    for (uint32_t node = *from; node != 0; node = node_at(t, node)->next) {
        if (++length > SPLIT_MAX) {
            return;
        }
    }
    if (added % TABLE_BUCKETS_PER_PAGE == 0) {
        if ((page = take_zero_page(t)) == 0) {
            return;
        }
        tx_set32(t, directory_at(t, added / TABLE_BUCKETS_PER_PAGE), page);
    }
    tx_set_atomic32(t, &table->buckets, added + 1);
    to = bucket_at(t, added);
    tx_set32(t, to, 0);
    while (*from != 0 && t->fault == 0) {
        uint32_t moved = *from;
        node_shm *node = node_at(t, moved);

        if (table_bucket_of(table_size(table), node->hash) == added) {
            tx_set32(t, from, node->next);
            tx_set32(t, &node->next, *to);
            tx_set32(t, to, moved);
        } else {
            from = &node->next;
        }
    }
}

/* ---- finding ---- */

static uint32_t
first_of(tx *t, uint32_t hash)
{
    table_shm *table = table_of(t);

    return table_size(table) == 0 ? 0 : *bucket_at(t, table_bucket_of(table_size(table), hash));
}

/* Chains are bounded by the number of records: a longer one is a circle. */
#define FOR_CHAIN(t, node, hash)                                                               \
    for (uint32_t node = first_of(t, hash), left = table_records(t) + 1;                       \
         node != 0 && chain_goes_on(t, &left); node = node_at(t, node)->next)

static bool
chain_goes_on(tx *t, uint32_t *left)
{
    if ((*left)-- == 0) {
        tx_fault(t, ASHM_CORRUPT);
    }
    return t->fault == 0;
}

static uint32_t
name_offset(uint8_t kind)
{
    return kind == NODE_CHANNEL ? offsetof(channel_shm, name) : offsetof(group_shm, name);
}

const char *
node_name(tx *t, uint32_t node)
{
    node_shm *n = node_at(t, node);
    uint32_t offset = name_offset(n->kind);

    return (const char *)record_at(t, node, offset + n->name_length) + offset;
}

uint32_t
table_find_name(tx *t, enum node_kind kind, uint32_t hash, const char *name, size_t length)
{
    FOR_CHAIN(t, node, hash)
    {
        node_shm *n = node_at(t, node);

        if (n->hash == hash && n->kind == kind && n->name_length == length &&
            memcmp(node_name(t, node), name, length) == 0) {
            return node;
        }
    }
    return 0;
}

uint32_t
table_find_member(tx *t, uint32_t group, uint32_t channel)
{
    uint32_t hash = hash_pair(group, channel);

    FOR_CHAIN(t, node, hash)
    {
        member_shm *m = member_at(t, node);

        if (m->node.kind == NODE_MEMBER && m->group == group && m->channel == channel) {
            return node;
        }
    }
    return 0;
}

uint32_t
table_find_waiter(tx *t, uint32_t channel, uint32_t slot)
{
    uint32_t hash = hash_pair(channel, slot);

    FOR_CHAIN(t, node, hash)
    {
        waiter_shm *w = waiter_at(t, node);

        if (w->node.kind == NODE_WAITER && w->channel == channel && w->slot == slot) {
            return node;
        }
    }
    return 0;
}

/* ---- adding and removing ---- */

void
node_set(tx *t, node_shm *node, uint8_t flags, uint8_t log2)
{
    node_shm changed = *node;
    uint32_t word;

    changed.flags = flags;
    changed.log2 = log2;
    memcpy(&word, &changed.kind, sizeof word);
    tx_set32(t, (uint32_t *)(void *)&node->kind, word);
}

static uint32_t
add(tx *t, enum node_kind kind, uint32_t hash, const char *name, size_t length, uint32_t size)
{
    table_shm *table = table_of(t);
    uint32_t node, *bucket;
    node_shm *n;

    if (table_size(table) == 0 && !make_first_buckets(t)) {
        return 0;
    }
    if ((node = block_take(t, TABLES, &t->mailbox->heap, size)) == 0) {
        return 0;
    }
    bucket = bucket_at(t, table_bucket_of(table_size(table), hash));
    n = record_at(t, node, size);
    memset(n, 0, size); /* nothing refers to it yet: no log */
    *n = (node_shm){.next = *bucket,
                    .hash = hash,
                    .kind = (uint8_t)kind,
                    .name_length = (uint8_t)length,
                    .flags = NODE_NEW};
    if (length > 0) {
        memcpy((char *)n + name_offset((uint8_t)kind), name, length);
    }
    tx_set32(t, bucket, node);
    tx_set32(t, &table->count, table->count + 1);
    if (table->count > table_size(table)) {
        split(t);
    }
    return node;
}

uint32_t
table_add_name(tx *t, enum node_kind kind, uint32_t hash, const char *name, size_t length)
{
    return add(t, kind, hash, name, length, name_offset((uint8_t)kind) + (uint32_t)length);
}

uint32_t
table_add_pair(tx *t, enum node_kind kind, uint32_t first, uint32_t second)
{
    uint32_t size = kind == NODE_MEMBER ? sizeof(member_shm) : sizeof(waiter_shm);

    return add(t, kind, hash_pair(first, second), NULL, 0, size);
}

void
table_remove(tx *t, uint32_t node)
{
    table_shm *table = table_of(t);
    uint32_t hash = node_at(t, node)->hash;
    uint32_t left = table_records(t) + 1;
    uint32_t *link;

    if (table_size(table) == 0) {
        tx_fault(t, ASHM_CORRUPT);
        return;
    }
    link = bucket_at(t, table_bucket_of(table_size(table), hash));
    while (*link != node) {
        if (*link == 0 || !chain_goes_on(t, &left)) {
            tx_fault(t, ASHM_CORRUPT);
            return;
        }
        link = &node_at(t, *link)->next;
    }
    tx_set32(t, link, node_at(t, node)->next);
    tx_set32(t, &table->count, table->count - 1);
    block_give(t, TABLES, &t->mailbox->heap, node);
}

int
table_free(tx *t)
{
    table_shm *table = table_of(t);
    uint32_t pages = (table_size(table) + TABLE_BUCKETS_PER_PAGE - 1) / TABLE_BUCKETS_PER_PAGE;
    int rc;

    if (table->directory == 0) {
        return 0;
    }
    /* The last pages first, each in a transaction: the log is short. */
    for (uint32_t i = pages; i > 1; i--) {
        pages_give(t, TABLES, *directory_at(t, i - 1));
        tx_set_atomic32(t, &table->buckets, (i - 1) * TABLE_BUCKETS_PER_PAGE);
        if ((rc = tx_commit(t)) != 0) {
            return rc;
        }
    }
    pages_give(t, TABLES, *directory_at(t, 0));
    pages_give(t, TABLES, table->directory);
    tx_set32(t, &table->directory, 0);
    tx_set_atomic32(t, &table->buckets, 0);
    tx_set32(t, &table->hand, 0);
    return tx_commit(t);
}

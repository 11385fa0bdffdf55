/*
 * table.h: the hash table of a mailbox, with its channels, groups, memberships and
 * waiters as records.
 *
 * Linear hashing (Litwin 1980): the number of buckets grows by one at an insertion,
 * by splitting one bucket in two, so no insertion does more than a little work.
 * Buckets never become fewer while the mailbox is in use.
 *
 * All functions run inside a transaction that holds the mailbox.
 */
#ifndef ASHM_TABLE_H
#define ASHM_TABLE_H

#include "pages.h"

static inline void *
record_at(tx *t, uint32_t reference, uint32_t size)
{
    return section_at(t, TABLES, reference, size);
}

static inline node_shm *
node_at(tx *t, uint32_t node)
{
    return record_at(t, node, sizeof(node_shm));
}

static inline channel_shm *
channel_at(tx *t, uint32_t channel)
{
    return record_at(t, channel, sizeof(channel_shm));
}

static inline group_shm *
group_at(tx *t, uint32_t group)
{
    return record_at(t, group, sizeof(group_shm));
}

static inline member_shm *
member_at(tx *t, uint32_t member)
{
    return record_at(t, member, sizeof(member_shm));
}

static inline waiter_shm *
waiter_at(tx *t, uint32_t waiter)
{
    return record_at(t, waiter, sizeof(waiter_shm));
}

/* Change these two; the log keeps the word that they lie in. */
void node_set(tx *t, node_shm *node, uint8_t flags, uint8_t log2);

/* The name of a channel or group record, which has name_length bytes. */
const char *node_name(tx *t, uint32_t node);

/* References to records, or 0. The hash of a pair is the table's own business. */
uint32_t table_find_name(tx *t, enum node_kind kind, uint32_t hash, const char *name,
                         size_t length);
uint32_t table_find_member(tx *t, uint32_t group, uint32_t channel);
uint32_t table_find_waiter(tx *t, uint32_t channel, uint32_t slot);

/* New records, all zero but for the node. 0 and t->shortage without memory. */
uint32_t table_add_name(tx *t, enum node_kind kind, uint32_t hash, const char *name,
                        size_t length);
uint32_t table_add_pair(tx *t, enum node_kind kind, uint32_t first, uint32_t second);

/* Take a record out of its bucket and give its memory back. */
void table_remove(tx *t, uint32_t node);

/* As the table says it, with or without the lock. */
static inline uint32_t
table_size(const table_shm *table)
{
    return atomic_load_explicit(&table->buckets, memory_order_relaxed);
}

/* The highest power of two that is not above the number of buckets, which is not 0. */
static inline uint32_t
table_level(uint32_t buckets)
{
    return 1u << (31 - __builtin_clz(buckets));
}

static inline uint32_t
table_bucket_of(uint32_t buckets, uint32_t hash)
{
    uint32_t low = table_level(buckets);
    uint32_t bucket = hash & (2 * low - 1);

    return bucket < buckets ? bucket : bucket - low;
}

/* Walk: the first record of each bucket (0: none), then node->next. */
uint32_t table_bucket(tx *t, uint32_t bucket);

/* How many buckets there are, and records at the most, whatever the table says. */
uint32_t table_buckets(tx *t);
uint32_t table_records(tx *t);

/* Transactions of its own: give back the buckets of a table without records. */
int table_free(tx *t);

#endif

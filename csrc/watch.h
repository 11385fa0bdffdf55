/*
 * watch.h: the processes that watch groups for joins and leaves.
 *
 * A group's bucket is WATCH_BUCKETS of its name's hash. Each slot has the buckets that its
 * process watches, and the header those that anybody does: both change in one transaction
 * under the memory lock. Whoever adds or removes a membership reads the header's word, and
 * mostly that is all. Otherwise it marks the bucket in `changed` of each slot that watches it,
 * and owes it a ring, in its own transaction under the mailbox's lock.
 *
 * A watcher first watches and then looks who is in the group, mailbox by mailbox, and again
 * whenever it has taken the mark. What changed in a mailbox before its look is seen there; who
 * changes it later has had the lock after the watcher, and so sees that it watches. A mailbox
 * that the look passes by, since its filter is 0 or its slot was never taken, has no lock
 * between the two: there the fences in group_make() and watch_begin() say that the watcher
 * sees the filter, or the joiner the watcher.
 *
 * `changed` is marked before the commit and is no part of the transaction, since several
 * mailboxes' locks guard it by turns: undone, it was marked for nothing. Its taker waits for
 * the lock of who has marked it.
 */
#ifndef ASHM_WATCH_H
#define ASHM_WATCH_H

#include "tx.h"

enum { WATCH_BUCKETS = 64 }; /* bits of a word */

static inline uint32_t
watch_bucket(uint32_t hash)
{
    return hash % WATCH_BUCKETS;
}

/* Transactions of their own, without a lock held: this process watches a bucket, one less, or
 * none any more. */
int watch_begin(tx *t, uint32_t bucket);
int watch_end(tx *t, uint32_t bucket);
int watch_end_all(tx *t);

void watch_tell_all(tx *t, uint32_t bucket);

/* A membership of a group with this hash comes or goes, in a transaction that holds its
 * mailbox. */
static inline void
watch_tell(tx *t, uint32_t hash)
{
    uint32_t bucket = watch_bucket(hash);

    if (ASHM_UNLIKELY((load_relaxed64(&t->party.a->header->watched) >> bucket & 1) != 0)) {
        watch_tell_all(t, bucket);
    }
}

/* Have buckets of a slot changed? A hint. */
bool watch_may_be_told(const ashm *a, uint32_t slot);

/* Take the marks of up to `size` buckets, each as a cookie of ashm_ready(). */
size_t watch_take(const ashm *a, uint32_t slot, uint64_t *cookies, size_t size);

/* The buckets that any slot watches. Under the memory lock. */
uint64_t watch_union(const ashm *a);

#endif

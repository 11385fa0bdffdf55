/*
 * queue.h: a channel's queue: a ring buffer of (message, deadline).
 *
 * Positions run freely and are masked by the size, a power of two: 2 entries in
 * the channel record, then a block of 4 to 128, a page of 256, and from 512 on a
 * page of page numbers. A ring that is full of entries grows; one that is full of
 * holes is written anew in the same size. Either way the new ring is filled before
 * one store makes it the channel's.
 *
 * All functions run inside a transaction that holds the channel's mailbox.
 */
#ifndef ASHM_QUEUE_H
#define ASHM_QUEUE_H

#include "table.h"

/* The entry at a position, which is from head on and before tail. */
entry_shm *queue_entry(tx *t, channel_shm *channel, uint32_t position);

/* Append. The reference is the queue's from here on. false and t->shortage: no
 * memory for a larger ring. Since the cell behind the tail is written without a
 * log, nothing may have been popped in this transaction. */
bool queue_push(tx *t, channel_shm *channel, uint32_t message, uint64_t deadline);

/* The oldest entry and where it is, or NULL. */
const entry_shm *queue_front(tx *t, channel_shm *channel, uint32_t *position);

/* Take the oldest entry away; the reference is the caller's. */
void queue_pop(tx *t, channel_shm *channel, uint32_t position);

/* Transactions of its own: drop what has expired. Looks through the whole queue
 * only if something may have. */
int queue_expire(tx *t, channel_shm *channel);

/* Transactions of its own: drop everything. */
int queue_clear(tx *t, channel_shm *channel);

/* Give the ring of an empty queue back. */
void queue_shrink(tx *t, channel_shm *channel);

#endif

/*
 * waiters.h: the processes that wait for a channel, and their turns.
 *
 * A waiter is IDLE, AWAITED (on its channel's list, the longest waiting first) or
 * RUNG (told of a message). A message wakes one. The invariant, which every function
 * here keeps at each commit:
 *
 *     a channel that has messages and AWAITED waiters has a RUNG one, too
 *
 * and a RUNG waiter takes a message, awaits again, or passes its turn on; if its
 * process dies the reaper does that for it. The sweep rings once more where a RUNG
 * waiter lets a message lie (a stopped process).
 *
 * A waiter for all channels of a prefix waits for the channel named by the prefix.
 *
 * Unless they say otherwise, functions run inside a transaction that holds the mailbox.
 */
#ifndef ASHM_WAITERS_H
#define ASHM_WAITERS_H

#include "table.h"

/* What a slot has in a mailbox: its waiters, and which of them are ready. */
waitlist_shm *waiters_list(const ashm *a, uint32_t mailbox, uint32_t slot);

/* The slot counts as waiting for the channel. false: no memory for its record. */
bool waiters_await(tx *t, uint32_t channel, uint32_t slot, uint64_t cookie);

/* The same for one that has a record: false if it has none, and none is made. */
bool waiters_stay(tx *t, uint32_t channel, uint32_t slot, uint64_t cookie);

/* Tell the next waiter of this very channel, if there is one. */
void waiters_ring(tx *t, channel_shm *channel);

/* The slot took a message, or gives up: it is IDLE from here on. true if it was RUNG,
 * that is, if its turn has to go on to another: channel_tell(), if a message is left. */
bool waiters_leave(tx *t, uint32_t channel, uint32_t slot);

/* Take one RUNG waiter off the slot's ready list. false: there is none. */
bool waiters_next_ready(tx *t, uint32_t slot, uint64_t *cookie);

/* Is anything on the list? A hint, read without the lock. */
bool waiters_may_be_ready(const ashm *a, uint32_t mailbox, uint32_t slot);

/* Some waiter of a slot in this mailbox, or 0. */
uint32_t waiters_of_slot(tx *t, uint32_t slot);

/* Remove the record of a waiter that has left and is on no ready list. */
void waiters_remove(tx *t, uint32_t waiter);

/* For the reaper: take it off the ready list as well. */
void waiters_unqueue(tx *t, uint32_t waiter);

#endif

/*
 * doorbell.h: waking another process's event loop.
 *
 * A slot has one word, sequence << 1 | armed, and one primitive of the operating
 * system behind it: fifo.h, or in a private segment datagram.h.
 *
 *   receiver  1  seen = doorbell_read()            sender  1  publish, under a lock
 *             2  take what is ready, under the lock        2  fetch_add(word, 2)
 *             3  CAS(seen, seen | armed):                  3  if armed was set: ring
 *                fails if a sender came by: go to 1
 *             4  sleep until it is readable
 *
 * Both touch one location with read-modify-writes, so one of them comes first: a
 * sender before 3 makes the CAS fail, one after it sees the bit. Only the receiver
 * clears the bit, so that a ringer killed between 2 and 3 is made good by the next
 * one, by the reaper (the lane says which bells are owed) and by the receiver's tick.
 *
 * Model: docs/models/doorbell.pml.
 */
#ifndef ASHM_DOORBELL_H
#define ASHM_DOORBELL_H

#include "tx.h"

/* This process's own bell. */
int doorbell_open(ashm *a, int *fd);  /* made on first use */
uint64_t doorbell_read(const ashm *a);
bool doorbell_arm(ashm *a, uint64_t seen);
void doorbell_disarm(ashm *a);
void doorbell_drain(ashm *a);
void doorbell_close(ashm *a);

/* Ring a slot's bell if it is armed, and say if it was. */
bool doorbell_ring(ashm *a, uint32_t slot);

/* Remove what the bell of this holder has left in the file system, before another holds the
 * slot: the name is the slot's. What another user made may stay, and the next holder goes on
 * with it. */
void doorbell_unlink(const ashm *a, uint32_t slot, uint32_t generation);

/* Inside a transaction: owe a slot a ring. After it, without locks: pay. */
static inline void
doorbell_owe(tx *t, uint32_t slot)
{
    uint64_t *word = &t->lane->bells[slot / 64 % BELL_WORDS];

    if ((*word >> slot % 64 & 1) == 0) {
        tx_set64(t, word, *word | UINT64_C(1) << slot % 64);
    }
}

void doorbell_pay(tx *t);

#endif

/*
 * claim.h: opening a segment, and becoming a process of it.
 *
 * Opening: under the kernel's lock on the format byte whoever finds no magic formats, and
 * stores the magic last; if that one is killed half-way the next formats anew.
 *
 * Claiming a slot: the kernel's lock on the slot's byte makes one process its holder. If its
 * last holder was killed and nobody has reaped it, the new one does, while the generation is
 * still the old one's. Then it fills in who it is, publishes the next generation, and last
 * that the slot is taken. Killed before that last store, it leaves a free slot.
 */
#ifndef ASHM_CLAIM_H
#define ASHM_CLAIM_H

#include "handle.h"

int claim_open(const ashm_options *options, ashm **handle);

/* The map of the segment behind a descriptor. ENOENT: nobody has formatted it yet. */
int claim_inspect(int fd, section_map *map);

/* Give the slot back; no operation begins any more. ASHM_BUSY: not yet, try again. */
int claim_leave(ashm *a);

/* Let go of a slot that could not be given back: the other processes reap it. */
void claim_abandon(ashm *a);

/* And forget everything. */
void claim_close(ashm *a);

/* Claim a slot if this process (after fork: this child) has none. */
int claim_slot_slow(ashm *a);

static inline int
claim_slot(ashm *a)
{
    /* Acquire: the other fields of `own`. */
    if (ASHM_LIKELY(atomic_load_explicit(&a->own->attached, memory_order_acquire) != 0)) {
        return 0;
    }
    return claim_slot_slow(a);
}

#endif

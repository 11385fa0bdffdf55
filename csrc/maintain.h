/*
 * maintain.h: looking after the segment, a little at a time and by turns.
 *
 * Every process comes by now and then: after an operation, or on its event loop's tick.
 * One of them does the work of an interval: whoever moves the header's maintain_at on. If
 * that one is killed at it, the next interval has another.
 */
#ifndef ASHM_MAINTAIN_H
#define ASHM_MAINTAIN_H

#include "reap.h"

/* One who waits may tick just before this has passed, and then not before its next tick (TICK
 * of _attachment.py). Together that is less than the second within which the dead are to be
 * gone. */
#define MAINTAIN_INTERVAL (100 * NS_PER_MS)

/* Has this process not come by for an interval? */
static inline bool
maintain_is_due(const ashm *a, uint64_t now)
{
    /* Relaxed: two threads that both come by do no harm. */
    uint64_t at = load_relaxed64(&a->tick_at);

    return now >= at || at - now > 2 * MAINTAIN_INTERVAL; /* or the tests' clock was put back */
}

/* Has the segment lost its name? From then on every operation says ASHM_REPLACED. */
bool maintain_is_replaced(ashm *a);

/* ASHM_REPLACED if it has. */
int maintain_tick(ashm *a, tx *t);

/* Everything at once, for want of memory; not more often than makes sense. false: too soon. */
bool maintain_reclaim(ashm *a, tx *t);

#endif

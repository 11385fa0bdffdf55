/*
 * lock.h: the crash-robust lock.
 *
 * Ownership is one word: 0, or
 *
 *     63        32 31  25  24 23     8 7     1 0
 *    | generation | zero | L |  slot  | lane  | W |
 *
 * One compare-and-swap from 0 takes it; an exchange with 0 gives it back. L says
 * that somebody looks at the word again and again, as everybody does at first, for
 * as long as to be woken would take. W says that somebody may sleep on the named
 * semaphore. The semaphore is a place to sleep and nothing else: ownership never
 * depends on it, so a post that is lost (its poster was killed) costs its waiter
 * one slice of time, and one too many wakes somebody who looks at the word and
 * sleeps again.
 *
 * A waiter whose slice ends looks whether the owner lives. If not, it undoes the
 * owner's transaction and frees the words in its name (recover.h), and goes on.
 * A stopped owner lives, and its lock is never taken: an operation that has waited
 * for lock_wait_ns of its handle, in all, gives up with ASHM_BUSY and leaves word
 * of whom it waited for. For a moment after that others of the handle only look:
 * an event loop with many callers is not to wait for each of them in turn.
 *
 * Ranks. An operation takes them in this order, at most one of each:
 *   1  a mailbox of the commons, or a slot's mailbox
 *   2  memory
 * verify() alone takes all of rank 1, in the order of their indices. The recovery
 * lock is the kernel's (process.h) and is taken with locks of either rank held:
 * whoever holds it takes no lock but in the name of a dead process.
 *
 * Models: docs/models/lock.pml, docs/models/nested.pml.
 */
#ifndef ASHM_LOCK_H
#define ASHM_LOCK_H

#include "handle.h"

#define LOCK_WAITERS UINT64_C(1)
#define LOCK_LOOKERS (UINT64_C(1) << 24)
#define LOCK_AWAITED (LOCK_WAITERS | LOCK_LOOKERS)

static inline uint64_t
lock_owner(uint32_t generation, uint32_t slot, uint32_t lane)
{
    return (uint64_t)generation << 32 | (uint64_t)slot << 8 | (uint64_t)lane << 1;
}

static inline uint32_t
lock_owner_slot(uint64_t word)
{
    return (uint32_t)(word >> 8) & 0xffff;
}

static inline uint32_t
lock_owner_lane(uint64_t word)
{
    return (uint32_t)(word >> 1) % LANES;
}

static inline uint32_t
lock_owner_generation(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* Who takes a lock. */
typedef struct lock_party {
    ashm *a;
    uint64_t owner;    /* lock_owner() */
    uint64_t wait_ns;  /* how long to wait for locks */
    uint64_t deadline; /* when that is over; 0: it has not waited yet */
    bool recovering;   /* holds the recovery lock, and acts in a dead owner's name */
} lock_party;

/* Names of the ranks, for ashm_blame(). */
extern const char LOCK_COMMONS[], LOCK_MAILBOX[], LOCK_MEMORY[];

/* Not inline: the word is owned by somebody else. */
int lock_wait(lock_party *party, lock_shm *lock, const char *what);
void lock_wake(ashm *a, lock_shm *lock);

/* 0, ASHM_BUSY, or what recovery met. */
static inline int
lock_acquire(lock_party *party, lock_shm *lock, const char *what)
{
    if (ASHM_LIKELY(
            cas_acquire64(&lock->word, 0, party->owner))) { /* P1: with lock_release() */
        return 0;
    }
    return lock_wait(party, lock, what);
}

/* Does somebody look, or also sleep, until it is free? */
static inline bool
lock_is_looked_for(const lock_shm *lock)
{
    return (load_relaxed64(&lock->word) & LOCK_LOOKERS) != 0;
}

static inline bool
lock_is_awaited(const lock_shm *lock)
{
    return (load_relaxed64(&lock->word) & LOCK_AWAITED) != 0;
}

/* Give it back to whoever waits, and take it again once he has had it, or does not come at
 * once. As lock_acquire(), with the whole time to wait: if it fails it is not held. */
int lock_let_in(lock_party *party, lock_shm *lock, const char *what);

/* Killed before the exchange: a waiter recovers. After it, before the post: a
 * waiter sleeps to the end of its slice. */
static inline void
lock_release(ashm *a, lock_shm *lock)
{
    uint64_t word = atomic_exchange_explicit(&lock->word, 0, memory_order_release); /* P1 */

    if (ASHM_UNLIKELY(word & LOCK_WAITERS)) {
        lock_wake(a, lock);
    }
}

#endif

/* lock.c: the slow paths of lock.h. Models: docs/models/lock.pml,
 * docs/models/nested.pml. */
#include "lock.h"

#include <sched.h>

#include "linger.h"
#include "recover.h"

const char LOCK_COMMONS[] = "commons", LOCK_MAILBOX[] = "mailbox", LOCK_MEMORY[] = "memory";

enum { SPINS = 200 };

#define SLICE_FIRST (5 * NS_PER_MS)
#define SLICE_LAST (50 * NS_PER_MS)

/* So long after somebody gave up on a lock others of its handle do not wait for it. */
#define STUCK_TIME (20 * NS_PER_MS)

/* So long it takes at most to wake who sleeps, on a machine that is not overloaded. */
#define WAKING_TIME (NS_PER_MS / 10)

static sem_t *
lock_semaphore(const ashm *a, const lock_shm *lock)
{
    return a->semaphores[lock->semaphore % ASHM_SEMAPHORES];
}

void
lock_wake(ashm *a, lock_shm *lock)
{
    sem_post(lock_semaphore(a, lock)); /* EOVERFLOW: there are posts enough */
}

/* Sleep until a post, a signal, or the time given. Which it was the caller need not know:
 * the semaphore is shared, so a post may be meant for somebody else. */
static void
sleep_until(sem_t *semaphore, uint64_t until)
{
    struct timespec at = {.tv_sec = (time_t)(until / NS_PER_SECOND),
                          .tv_nsec = (long)(until % NS_PER_SECOND)};

    (void)(SABOTAGE(NO_SLICE) ? sem_wait(semaphore)
                              : sem_clockwait(semaphore, CLOCK_MONOTONIC, &at));
}

/* A slice has gone by: is the lock's owner dead? A reaper, who has the recovery lock, looks at
 * everybody: the owner may live and itself wait for a dead one. */
static int
look_for_dead(const lock_party *party, uint64_t word)
{
    int rc = party->recovering ? recover_others(party->a, lock_owner_slot(party->owner))
                               : recover_owner(party->a, word);

    return rc == ASHM_BUSY ? 0 : rc; /* somebody else is at it */
}

static int
gave_up(ashm *a, uint64_t word, const char *what)
{
    uint32_t slot = lock_owner_slot(word);

    handle_blame(a, slot < ASHM_SLOTS ? handle_slot(a, slot)->pid : 0, what);
    return ASHM_BUSY;
}

/* Others of the handle need not wait for it now. Only a hint, so its two words may be of
 * two locks. */
static void
remember_stuck(ashm *a, const lock_shm *lock, uint64_t now)
{
    atomic_store_explicit(&a->stuck, lock, memory_order_relaxed);
    store_relaxed64(&a->stuck_until, now + STUCK_TIME);
}

static bool
is_stuck(const ashm *a, const lock_shm *lock, uint64_t now)
{
    return atomic_load_explicit(&a->stuck, memory_order_relaxed) == lock &&
           now < load_relaxed64(&a->stuck_until);
}

static uint64_t
wait_until(lock_party *party, const lock_shm *lock, uint64_t now)
{
    if (party->deadline == 0) {
        party->deadline = now + party->wait_ns;
    }
    return is_stuck(party->a, lock, now) ? now : party->deadline;
}

/* Critical sections are short: most waits end in the first of these. */
static bool
spin(const lock_party *party, lock_shm *lock)
{
    for (int i = 0; i < SPINS; i++) {
        cpu_relax();
        if (load_relaxed64(&lock->word) == 0 && cas_acquire64(&lock->word, 0, party->owner)) {
            return true;
        }
    }
    return false;
}

/* Who is woken for the lock has it so much later, and who settles a mailbox lets in who looks
 * sooner than who sleeps. So that is tried first, and the owner told of it. */
static bool
look_on(const lock_party *party, lock_shm *lock, uint64_t until)
{
    do {
        uint64_t word = load_relaxed64(&lock->word);

        if (word != 0 && (word & LOCK_LOOKERS) == 0) {
            (void)cas_acquire64(&lock->word, word, word | LOCK_LOOKERS);
        }
        if (spin(party, lock)) {
            return true;
        }
        linger();
        sched_yield(); /* the owner may need this processor */
    } while (clock_monotonic() < until);
    return false;
}

/* Of a time that begins now; it ends at the deadline. */
static uint64_t
end_of(uint64_t time, uint64_t now, uint64_t deadline)
{
    return now + time < deadline ? now + time : deadline;
}

static int
wait_for(lock_party *party, lock_shm *lock, const char *what)
{
    ashm *a = party->a;
    uint64_t slice = SLICE_FIRST;
    uint64_t now, deadline, slice_end, word;
    bool slept = false, last = false;
    int rc;

    if (spin(party, lock)) {
        return 0;
    }
    now = clock_monotonic();
    deadline = wait_until(party, lock, now);
    if (now < deadline && look_on(party, lock, end_of(WAKING_TIME, now, deadline))) {
        return 0;
    }
    linger();
    now = clock_monotonic();
    slice_end = end_of(slice, now, deadline);
    for (;;) {
        word = load_relaxed64(&lock->word); /* the CAS below decides */
        if (word == 0) {
            /* Who had the post for those who sleep tells the next by W, if they still do: we
             * cannot know. */
            if (cas_acquire64(&lock->word, 0, party->owner | (slept ? LOCK_WAITERS : 0))) {
                return 0;
            }
            continue;
        }
        if (last) {
            return gave_up(a, word, what);
        }
        if (!(word & LOCK_WAITERS) && !SABOTAGE(NO_W) &&
            !cas_acquire64(&lock->word, word, word | LOCK_WAITERS)) {
            continue;
        }
        if (now < slice_end) {
            slept = true;
            sleep_until(lock_semaphore(a, lock), slice_end);
            if ((now = clock_monotonic()) < slice_end) {
                continue;
            }
            if (now >= deadline) {
                remember_stuck(a, lock, now);
            }
        }
        if ((rc = look_for_dead(party, word)) != 0) {
            return rc;
        }
        last = now >= deadline;
        slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
        slice_end = end_of(slice, now, deadline);
    }
}

int
lock_wait(lock_party *party, lock_shm *lock, const char *what)
{
    slot_shm *slot = handle_slot(party->a, lock_owner_slot(party->owner));
    lane_counters *counters = &slot->lanes[lock_owner_lane(party->owner)].counters;
    uint64_t began = clock_monotonic();
    int rc = wait_for(party, lock, what);

    lane_count(&counters->lock_waits, 1);
    lane_count(&counters->lock_wait_ns, clock_monotonic() - began);
    return rc;
}

int
lock_let_in(lock_party *party, lock_shm *lock, const char *what)
{
    uint64_t now, until;

    lock_release(party->a, lock);
    for (int i = 0; i < SPINS && load_relaxed64(&lock->word) == 0; i++) {
        cpu_relax();
    }
    until = (now = clock_monotonic()) + WAKING_TIME;
    while (load_relaxed64(&lock->word) == 0 && now < until) {
        linger();
        sched_yield(); /* he may need this processor */
        now = clock_monotonic();
    }
    party->deadline = 0; /* that he has it is our own wish */
    return lock_acquire(party, lock, what);
}

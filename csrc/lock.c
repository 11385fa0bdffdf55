/* lock.c: the slow paths of lock.h. */
#include "lock.h"

#include <errno.h>

#include "recover.h"

const char LOCK_COMMONS[] = "commons", LOCK_MAILBOX[] = "mailbox", LOCK_MEMORY[] = "memory";

enum { SPINS = 200 };

#define SLICE_FIRST (5 * NS_PER_MS)
#define SLICE_LAST (50 * NS_PER_MS)

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

/* Sleep until a post or the end of the slice. Interrupted is as good as woken. */
static bool
slept_a_slice(sem_t *semaphore, uint64_t slice)
{
    uint64_t until = clock_monotonic() + slice;
    struct timespec at = {.tv_sec = (time_t)(until / NS_PER_SECOND),
                          .tv_nsec = (long)(until % NS_PER_SECOND)};

    return sem_clockwait(semaphore, CLOCK_MONOTONIC, &at) != 0 && errno == ETIMEDOUT;
}

static int
gave_up(ashm *a, uint64_t word, const char *what)
{
    uint32_t slot = lock_owner_slot(word);
    uint32_t pid = slot < ASHM_SLOTS ? handle_slot(a, slot)->pid : 0;

    atomic_store_explicit(&a->blame_pid, pid, memory_order_relaxed); /* for a message only */
    atomic_store_explicit(&a->blame_lock, what, memory_order_relaxed);
    return ASHM_BUSY;
}

int
lock_wait(const lock_party *party, lock_shm *lock, const char *what)
{
    ashm *a = party->a;
    uint64_t owner = party->owner;
    uint64_t deadline = clock_monotonic() + a->lock_wait_ns;
    uint64_t slice = SLICE_FIRST;
    uint64_t word;

    /* Critical sections are short: most waits end here. */
    for (int i = 0; i < SPINS; i++) {
        cpu_relax();
        if (load_relaxed64(&lock->word) == 0 && cas_acquire64(&lock->word, 0, owner)) {
            return 0;
        }
    }
    for (;;) {
        word = load_relaxed64(&lock->word); /* the CAS below decides */
        if (word == 0) {
            /* Taken with W: others may sleep yet, and we cannot know. */
            if (cas_acquire64(&lock->word, 0, owner | LOCK_WAITERS)) {
                return 0;
            }
            continue;
        }
        if (!(word & LOCK_WAITERS) && !cas_acquire64(&lock->word, word, word | LOCK_WAITERS)) {
            continue;
        }
        if (!slept_a_slice(lock_semaphore(a, lock), slice)) {
            continue;
        }
        slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
        word = load_relaxed64(&lock->word);
        if (word != 0) {
            int rc = recover_owner(a, word, party->recovering);

            if (rc != 0 && rc != ASHM_BUSY) {
                return rc;
            }
        }
        if (clock_monotonic() >= deadline) {
            return gave_up(a, word, what);
        }
    }
}

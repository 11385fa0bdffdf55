/*
 * handle.h: a process's private handle on an open segment.
 *
 * The handle survives fork(); what belongs to one process only lies in a page
 * that the kernel wipes in the child (`own`): there all zero means "no slot yet".
 */
#ifndef ASHM_HANDLE_H
#define ASHM_HANDLE_H

#include <pthread.h>
#include <semaphore.h>

#include "clock.h"
#include "layout.h"
#include "process.h"

/* A wiped (zero) mutex is an unlocked one on Linux. */
typedef struct own_process {
    pthread_mutex_t claiming;
    pthread_mutex_t bells; /* our own, and the handle's peers */
    atomic_u32 attached;   /* the fields below are valid */
    uint32_t slot;
    uint32_t generation;
    atomic_u32 lanes; /* a bit for each lane in use */
    int bell; /* descriptor + 1, and what it was opened on; under `bells` */
    object_id bell_id;
} own_process;

/* A doorbell of another process that we have rung before. Under own->bells. */
typedef struct peer {
    int fd; /* + 1 */
    uint64_t holder; /* what was seen of doorbell.c's bell_of() */
    object_id id;
} peer;

/* What a private segment has in place of objects with names: a mapping that the children of
 * forks share, and nobody else. */
typedef struct unnamed {
    sem_t semaphores[ASHM_SEMAPHORES];
    atomic_u64 sockets[ASHM_SLOTS]; /* written by the slot's holder: see datagram.h */
} unnamed;

struct ashm {
    char *base;
    section_map map;
    own_process *own;
    header_shm *header;
    sem_t *semaphores[ASHM_SEMAPHORES];
    unnamed *unnamed; /* NULL: it is not private */
    uint64_t lock_wait_ns;
    uint64_t max_message_size;
    uint64_t hash_key[2];
    uint32_t segment_id;
    int64_t clock_offset;
    atomic_u64 clock_fixed; /* for tests; 0: the real clock */
    atomic_u64 tick_at;     /* when this process looks after the segment next */
    atomic_u64 reclaim_at;  /* when it may sweep everything again for want of memory */
    atomic_u32 replaced;    /* the name was seen to lead elsewhere */
    atomic_u32 closing;     /* no operation begins any more */
    atomic_u32 blame_pid;
    _Atomic(const char *) blame_lock;
    _Atomic(const lock_shm *) stuck; /* was waited for in vain: see lock.c */
    atomic_u64 stuck_until;

    char *name; /* of the object: see object.h */
    object_id id;
    _Atomic int fd; /* may have been closed under us: use handle_fd() */
    void *life;
    unsigned char random[32];
    char *scratch; /* LANES + 1 pages, where what cannot be reached is sent: see tx.h */
    peer peers[ASHM_SLOTS];
};

/* The segment's clock. */
static inline uint64_t
handle_now(const ashm *a)
{
    uint64_t now = load_relaxed64(&a->clock_fixed); /* set by tests between operations */
    uint64_t seen;

    if (now != 0) {
        return now;
    }
    now = clock_monotonic() - (uint64_t)a->clock_offset;
    seen = load_relaxed64(&a->header->clock); /* a bound; nothing was published with it */
    return now > seen || SABOTAGE(CLOCK_BACK) ? now : seen;
}

/* Who is waited for in vain, for ashm_blame(). For a message only: another thread may blame
 * another at the same time. */
static inline void
handle_blame(ashm *a, uint32_t pid, const char *lock)
{
    atomic_store_explicit(&a->blame_pid, pid, memory_order_relaxed);
    atomic_store_explicit(&a->blame_lock, lock, memory_order_relaxed);
}

/* A descriptor of the segment: for fcntl and fallocate. Programs that close all
 * descriptors (daemons) close ours too, so it is checked and opened again.
 * ASHM_REPLACED if the segment has lost its name. */
int handle_fd(ashm *a, int *fd);

static inline slot_shm *
handle_slot(const ashm *a, uint32_t slot) /* slot < ASHM_SLOTS */
{
    return (slot_shm *)(a->base + a->map.slots + slot * sizeof(slot_shm));
}

static inline mailbox_shm *
handle_mailbox(const ashm *a, uint32_t index) /* index < MAILBOXES */
{
    if (index < COMMONS) {
        return (mailbox_shm *)(a->base + a->map.commons + index * sizeof(mailbox_shm));
    }
    return &handle_slot(a, index - COMMONS)->mailbox;
}

/* Raise a counter of a lane that is ours: no one else writes it, so no read-modify-write. */
static inline void
lane_count(atomic_u64 *counter, uint64_t n)
{
    store_relaxed64(counter, load_relaxed64(counter) + n);
}

/* What the lanes of a slot have counted, in sum. */
static inline void
lanes_sum(const slot_shm *slot, lane_counters *sum)
{
#define X(name, unit, help)                                                                    \
    store_relaxed64(&sum->name, 0);                                                            \
    for (uint32_t i = 0; i < LANES; i++) {                                                     \
        lane_count(&sum->name, load_relaxed64(&slot->lanes[i].counters.name));                 \
    }
    LANE_COUNTERS(X)
#undef X
}

/* Slots that were ever taken are below this. */
static inline uint32_t
handle_slots_high(const ashm *a)
{
    uint32_t high = atomic_load_explicit(&a->header->slots_high, memory_order_acquire);

    return high < ASHM_SLOTS ? high : ASHM_SLOTS;
}

#endif

/* tx.c: see tx.h. Models: docs/models/lock.pml,
 * docs/models/nested.pml. */
#include "tx.h"

#include <string.h>
#include <unistd.h>

#include "linger.h"

/* Fork waits for a reaper (process.h), so a reaper does not wait long for a lock that a stopped
 * process may hold; it comes again. */
#define REAPER_WAIT (100 * NS_PER_MS)

static bool
lane_take(tx *t)
{
    own_process *own = t->party.a->own;
    uint32_t busy = atomic_load_explicit(&own->lanes, memory_order_relaxed);

    /* Acquire and release: what the lane's last user left in it. Sequential, too: whoever takes
     * a lane sees `closing`, or is seen by who closes (claim.c). */
    while (busy != (1u << LANES) - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(~busy);

        if (atomic_compare_exchange_weak_explicit(&own->lanes, &busy, busy | 1u << lane,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
            t->lane_index = lane;
            return true;
        }
    }
    return false;
}

static void
begin(tx *t, ashm *a, uint32_t slot, uint32_t generation)
{
    t->party.a = a;
    t->party.owner = lock_owner(generation, slot, t->lane_index);
    t->party.deadline = 0;
    t->lane = &handle_slot(a, slot)->lanes[t->lane_index];
    t->fault = 0;
    t->mailbox = NULL;
    t->memory = false;
    t->freed = false;
    t->now = handle_now(a);
}

int
tx_open(ashm *a, tx *t)
{
    t->party.a = a;
    if (ASHM_UNLIKELY(!lane_take(t))) {
        uint64_t deadline = clock_monotonic() + a->lock_wait_ns;
        const struct timespec pause = {.tv_nsec = 50000};

        linger();
        /* More threads inside than lanes: rare, and soon over. */
        while (!lane_take(t)) {
            if (clock_monotonic() > deadline) {
                handle_blame(a, (uint32_t)getpid(), "lane");
                return ASHM_BUSY;
            }
            nanosleep(&pause, NULL);
        }
    }
    begin(t, a, a->own->slot, a->own->generation);
    t->scratch = a->scratch + t->lane_index * PAGE_SIZE_SHM;
    t->party.wait_ns = a->lock_wait_ns;
    t->party.recovering = false;
    return 0;
}

void
tx_open_dead(ashm *a, uint32_t slot, uint32_t lane, tx *t)
{
    t->lane_index = lane;
    begin(t, a, slot,
          atomic_load_explicit(&handle_slot(a, slot)->generation, memory_order_acquire));
    t->scratch = a->scratch + LANES * PAGE_SIZE_SHM; /* one recovers at a time */
    t->party.wait_ns = a->lock_wait_ns < REAPER_WAIT ? a->lock_wait_ns : REAPER_WAIT;
    t->party.recovering = true;
}

void
tx_close(tx *t)
{
    ASHM_CHECK(t->mailbox == NULL && !t->memory);
    if (!t->party.recovering) {
        atomic_fetch_and_explicit(&t->party.a->own->lanes, ~(1u << t->lane_index),
                                  memory_order_release);
    }
}

static const char *
mailbox_rank(uint32_t index)
{
    return index < COMMONS ? LOCK_COMMONS : LOCK_MAILBOX;
}

int
tx_enter(tx *t, uint32_t index)
{
    mailbox_shm *mailbox = handle_mailbox(t->party.a, index);
    int rc;

    ASHM_DEBUG_CHECK(t->mailbox == NULL && !t->memory && t->lane->count == 0);
    rc = lock_acquire(&t->party, &mailbox->lock, mailbox_rank(index));
    if (rc == 0) {
        t->mailbox = mailbox;
        t->mailbox_index = index;
    }
    return rc;
}

void
tx_leave(tx *t)
{
    mailbox_shm *mailbox = t->mailbox;

    ASHM_DEBUG_CHECK(t->lane->count == 0 && !t->memory);
    t->mailbox = NULL;
    lock_release(t->party.a, &mailbox->lock);
}

int
tx_let_in(tx *t)
{
    mailbox_shm *mailbox = t->mailbox;
    int rc;

    ASHM_DEBUG_CHECK(t->lane->count == 0 && !t->memory);
    t->mailbox = NULL;
    rc = lock_let_in(&t->party, &mailbox->lock, mailbox_rank(t->mailbox_index));
    t->mailbox = rc == 0 ? mailbox : NULL;
    return rc;
}

bool
tx_memory(tx *t)
{
    if (!t->memory) {
        int rc = lock_acquire(&t->party, &t->party.a->header->memory_lock, LOCK_MEMORY);

        if (rc != 0) {
            tx_fault(t, rc);
            return false;
        }
        t->memory = true;
    }
    return true;
}

/* The end of a transaction, whichever way it went. */
static void
finish(tx *t)
{
    t->freed = false;
    if (t->memory) {
        t->memory = false;
        lock_release(t->party.a, &t->party.a->header->memory_lock);
    }
}

int
tx_undo(ashm *a, lane_shm *lane)
{
    uint32_t count = lane->count;

    if (count > LOG_ENTRIES) {
        return ASHM_CORRUPT;
    }
    while (count-- > 0 && !SABOTAGE(NO_UNDO)) {
        const undo_shm *entry = &lane->log[count];
        uint64_t wide = entry->where & 1;
        uint64_t offset = entry->where >> 1;

        if (offset > a->map.size - 8 || offset % (wide ? 8 : 4) != 0) {
            return ASHM_CORRUPT;
        }
        /* Atomic, since some of the words are read without their lock. */
        if (wide) {
            store_relaxed64((atomic_u64 *)(a->base + offset), entry->old);
        } else {
            atomic_store_explicit((atomic_u32 *)(a->base + offset), (uint32_t)entry->old,
                                  memory_order_relaxed);
        }
    }
    ordered();
    *(volatile uint32_t *)&lane->count = 0;
    return 0;
}

void
tx_rollback(tx *t)
{
    if (tx_undo(t->party.a, t->lane) != 0) {
        t->lane->count = 0; /* somebody wrote into our log: nothing can be undone by it */
    }
    t->fault = 0;
    finish(t);
}

int
tx_commit(tx *t)
{
    int fault = t->fault;

    if (ASHM_UNLIKELY(fault != 0)) {
        tx_rollback(t);
        return fault;
    }
    /* A kill before this undoes the transaction, a kill after it keeps it. */
    ordered();
    if (!SABOTAGE(NO_COMMIT)) {
        *(volatile uint32_t *)&t->lane->count = 0;
    }
    ordered();
    finish(t);
    return 0;
}

void *
tx_scratch(tx *t)
{
    tx_fault(t, ASHM_CORRUPT);
    return memset(t->scratch, 0, PAGE_SIZE_SHM);
}

void
tx_log_full(tx *t)
{
    /* Transactions are cut so that a sound segment cannot bring this about. */
    tx_fault(t, ASHM_CORRUPT);
}

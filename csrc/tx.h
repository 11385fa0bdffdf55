/*
 * tx.h: transactions: the stores of one critical section, all or none.
 *
 * Every store to what a lock guards goes through tx_set32() or tx_set64(), which
 * first writes the old value and its place to the lane's log, then counts it, then
 * stores. Setting the count to 0 commits. Whoever finds the lane's process dead
 * with a count above 0 writes the old values back (recover.h). What a kill leaves:
 *
 *     before the count is raised   the word is as it was; the entry does not count
 *     after it, before the store   undoing writes what is there already
 *     after the store              undoing writes the old value
 *     after the commit             nothing to undo; the locks are freed
 *
 * Bytes that nothing refers to yet (a fresh page, the cell behind a queue's tail)
 * are written without a log. For that to be right, a transaction never writes
 * without a log into what it has itself freed: frees come last, and a cell that was
 * popped is filled again only after a commit.
 *
 * Errors stick: what goes wrong inside (a reference out of bounds, a lock not had)
 * is kept in `fault`; the code runs on over a scratch page, tx_commit() then undoes
 * everything and returns the fault. So a damaged segment costs no check at each
 * line, only bounded loops.
 *
 * Locks: an operation begins without, holds at most one mailbox (tx_enter) over one
 * or several transactions, and in each may take the memory lock (tx_memory), which
 * the commit releases.
 */
#ifndef ASHM_TX_H
#define ASHM_TX_H

#include "lock.h"

typedef struct tx {
    lock_party party;
    lane_shm *lane;
    uint32_t lane_index;
    char *scratch;
    int fault;
    int shortage; /* why the last allocation gave nothing */
    mailbox_shm *mailbox;    /* whose lock we hold, or NULL */
    uint32_t mailbox_index;
    bool memory; /* we hold the memory lock */
    bool freed;  /* this transaction has given memory back: it may take none */
    uint64_t now; /* segment clock, read once for an operation */
} tx;

/* A lane of this process, which must be attached. ASHM_BUSY if all stay in use. */
int tx_open(ashm *a, tx *t);
void tx_close(tx *t);

/* The reaper's: in the name of a dead holder, under the recovery lock. */
void tx_open_dead(ashm *a, uint32_t slot, uint32_t lane, tx *t);

int tx_enter(tx *t, uint32_t mailbox); /* 0 or an error; nothing is held then */
void tx_leave(tx *t);                  /* after a commit */
bool tx_memory(tx *t);                 /* false: `fault` is set */

/* After a commit: whoever waits for the mailbox has it first. As tx_enter(). */
int tx_let_in(tx *t);

int tx_commit(tx *t);
void tx_rollback(tx *t); /* and forget the fault */

/* Undo what a lane has logged. For recovery; ASHM_CORRUPT. */
int tx_undo(ashm *a, lane_shm *lane);

static inline void
tx_fault(tx *t, int error)
{
    if (t->fault == 0) {
        t->fault = error;
    }
}

/* Where a reference out of bounds is sent. Zeroed each time. */
void *tx_scratch(tx *t);

/* Stores that the transaction may still make. */
static inline uint32_t
tx_room(const tx *t)
{
    return t->lane->count < LOG_ENTRIES ? LOG_ENTRIES - t->lane->count : 0;
}

void tx_log_full(tx *t);

static inline bool
tx_log(tx *t, const void *where, uint64_t old, uint64_t wide)
{
    uint64_t offset = (uint64_t)((const char *)where - t->party.a->base);
    uint32_t n = t->lane->count;

    if (ASHM_UNLIKELY(offset >= t->party.a->map.size)) {
        return false; /* the scratch page: not shared */
    }
    if (ASHM_UNLIKELY(n >= LOG_ENTRIES)) {
        tx_log_full(t);
        return false;
    }
    ASHM_DEBUG_CHECK(t->mailbox != NULL || t->memory);
    if (SABOTAGE(COUNTED_EARLY)) {
        *(volatile uint32_t *)&t->lane->count = n + 1;
    }
    t->lane->log[n] = (undo_shm){.where = offset << 1 | wide, .old = old};
    ordered();
    *(volatile uint32_t *)&t->lane->count = n + 1;
    ordered();
    return true;
}

static inline void
tx_set32(tx *t, uint32_t *where, uint32_t value)
{
    if (tx_log(t, where, *where, 0)) {
        *(volatile uint32_t *)where = value;
    }
}

static inline void
tx_set64(tx *t, uint64_t *where, uint64_t value)
{
    if (tx_log(t, where, *where, 1)) {
        *(volatile uint64_t *)where = value;
    }
}

/* For words that others read without the lock. They read a hint, or rely on what
 * they see after the doorbell's acquire: relaxed. */
static inline void
tx_set_atomic32(tx *t, atomic_u32 *where, uint32_t value)
{
    if (tx_log(t, where, atomic_load_explicit(where, memory_order_relaxed), 0)) {
        atomic_store_explicit(where, value, memory_order_relaxed);
    }
}

static inline void
tx_set_atomic64(tx *t, atomic_u64 *where, uint64_t value)
{
    if (tx_log(t, where, load_relaxed64(where), 1)) {
        store_relaxed64(where, value);
    }
}

/* A counter, which others read without the lock. */
static inline void
tx_count(tx *t, atomic_u64 *counter)
{
    tx_set_atomic64(t, counter, load_relaxed64(counter) + 1);
}

#endif

/* maintain.c: see maintain.h. */
#include "maintain.h"

#include <errno.h>

/* Sweep a table in so many intervals, 4 s; of a small one so many buckets in each. */
enum { SWEEP_INTERVALS = 40, SWEEP_MIN = 104 };

#define RECLAIM_INTERVAL (10 * NS_PER_MS)

bool
maintain_is_replaced(ashm *a)
{
    bool lost = object_is_lost(a->name, &a->id);

    if (lost) {
        atomic_store_explicit(&a->replaced, 1, memory_order_relaxed);
    }
    return lost;
}

static void
advance_clock(ashm *a, uint64_t now)
{
    uint64_t seen = load_relaxed64(&a->header->clock);

    while (seen < now &&
           !atomic_compare_exchange_weak_explicit(&a->header->clock, &seen, now,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* Of how many intervals is the work ours? 0: somebody has done it. Where none came by for an
 * interval or more, of two: to make up for all of them would keep others waiting. */
static uint32_t
take_turn(ashm *a, uint64_t now)
{
    uint64_t at = load_relaxed64(&a->header->maintain_at);

    if ((now < at && at - now <= MAINTAIN_INTERVAL) ||
        !cas_acquire64(&a->header->maintain_at, at, now + MAINTAIN_INTERVAL)) {
        return 0;
    }
    return now >= at && now - at < MAINTAIN_INTERVAL ? 1 : 2;
}

static int
sweep_a_part(tx *t, uint32_t intervals)
{
    uint32_t mailboxes = COMMONS + handle_slots_high(t->party.a);
    int rc = 0;

    for (uint32_t i = 0; i < mailboxes && rc == 0; i++) {
        /* Without the lock, a hint; sweep_some() goes by what it sees under it. */
        uint32_t buckets = table_size(&handle_mailbox(t->party.a, i)->table);

        if (buckets != 0) {
            uint32_t some = buckets % (TABLE_BUCKETS_MAX + 1) / SWEEP_INTERVALS;

            rc = sweep_some(t, i, intervals * (some > SWEEP_MIN ? some : SWEEP_MIN));
            rc = rc == ASHM_BUSY ? 0 : rc; /* another time: the others do not wait for it */
        }
    }
    return rc;
}

/* Somebody else is at it, or there is no descriptor to ask the kernel with, or no memory. */
static bool
may_pass(int rc)
{
    return rc == ASHM_BUSY || rc == EMFILE || rc == ENFILE || rc == ENOMEM;
}

int
maintain_tick(ashm *a, tx *t)
{
    uint64_t now = handle_now(a);
    uint32_t intervals;
    int rc;

    store_relaxed64(&a->tick_at, now + MAINTAIN_INTERVAL);
    if (maintain_is_replaced(a)) {
        return ASHM_REPLACED;
    }
    if ((intervals = take_turn(a, now)) == 0) {
        return 0;
    }
    advance_clock(a, now);
    rc = reap_dead(a);
    if (rc == 0 || may_pass(rc)) {
        t->now = now;
        rc = sweep_a_part(t, intervals);
    }
    return may_pass(rc) ? 0 : rc; /* the next interval comes */
}

bool
maintain_reclaim(ashm *a, tx *t)
{
    uint64_t at = load_relaxed64(&a->reclaim_at);
    int rc;

    t->now = handle_now(a);
    if (t->now < at && at - t->now <= RECLAIM_INTERVAL) {
        return false;
    }
    store_relaxed64(&a->reclaim_at, t->now + RECLAIM_INTERVAL);
    (void)reap_dead(a);
    rc = sweep_all(t);
    return rc == 0 || rc == ASHM_BUSY; /* what could be had may do */
}

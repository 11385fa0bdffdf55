/* watch.c: see watch.h. */
#include "watch.h"

_Static_assert(WATCH_BUCKETS == 8 * sizeof(uint64_t), "a bit for each bucket");

static slot_shm *
own_slot(const tx *t)
{
    return handle_slot(t->party.a, lock_owner_slot(t->party.owner));
}

uint64_t
watch_union(const ashm *a)
{
    uint32_t slots = handle_slots_high(a);
    uint64_t all = 0;

    for (uint32_t i = 0; i < slots; i++) {
        all |= load_relaxed64(&handle_slot(a, i)->watches);
    }
    return all;
}

/* The slot's word becomes (itself & keep) | add. */
static int
change(tx *t, uint64_t keep, uint64_t add)
{
    slot_shm *slot = own_slot(t);

    if (tx_memory(t)) {
        tx_set_atomic64(t, &slot->watches, (load_relaxed64(&slot->watches) & keep) | add);
        if (SABOTAGE(WATCH_NO_UNDO)) {
            store_relaxed64(&t->party.a->header->watched, watch_union(t->party.a));
        } else {
            tx_set_atomic64(t, &t->party.a->header->watched, watch_union(t->party.a));
        }
    }
    return tx_commit(t);
}

int
watch_begin(tx *t, uint32_t bucket)
{
    int rc = change(t, ~UINT64_C(0), UINT64_C(1) << bucket);

    atomic_thread_fence(memory_order_seq_cst); /* pairs with group_make() */
    return rc;
}

int
watch_end(tx *t, uint32_t bucket)
{
    return change(t, ~(UINT64_C(1) << bucket), 0);
}

int
watch_end_all(tx *t)
{
    return load_relaxed64(&own_slot(t)->watches) != 0 ? change(t, 0, 0) : 0;
}

/* Mark the bucket in those of 64 slots that watch it: a bit for each of these. */
static uint64_t
mark(const ashm *a, uint32_t first, uint32_t bucket)
{
    uint32_t slots = handle_slots_high(a);
    uint64_t marked = 0;

    for (uint32_t i = 0; i < 64 && first + i < slots; i++) {
        slot_shm *slot = handle_slot(a, first + i);

        if ((load_relaxed64(&slot->watches) >> bucket & 1) != 0) {
            atomic_fetch_or_explicit(&slot->changed, UINT64_C(1) << bucket,
                                     memory_order_release);
            marked |= UINT64_C(1) << i;
        }
    }
    return marked;
}

void
watch_tell_all(tx *t, uint32_t bucket)
{
    for (uint32_t i = 0; i < BELL_WORDS; i++) {
        uint64_t slots = mark(t->party.a, 64 * i, bucket);

        if ((slots & ~t->lane->bells[i]) != 0 && !SABOTAGE(WATCH_SILENT)) {
            tx_set64(t, &t->lane->bells[i], t->lane->bells[i] | slots);
        }
    }
}

bool
watch_may_be_told(const ashm *a, uint32_t slot)
{
    return load_relaxed64(&handle_slot(a, slot)->changed) != 0;
}

size_t
watch_take(const ashm *a, uint32_t slot, uint64_t *cookies, size_t size)
{
    atomic_u64 *word = &handle_slot(a, slot)->changed;
    uint64_t changed = load_relaxed64(word);
    size_t n = 0;

    for (; changed != 0 && n < size; changed &= changed - 1) {
        uint64_t bit = changed & -changed;

        atomic_fetch_and_explicit(word, SABOTAGE(WATCH_LOSES) ? 0 : ~bit, memory_order_acquire);
        cookies[n++] = ASHM_CHANGED | (uint64_t)__builtin_ctzll(bit);
    }
    return n;
}

/* recover.c: see recover.h. Models: docs/models/lock.pml,
 * docs/models/nested.pml. */
#include "recover.h"

#include "lock.h"
#include "tx.h"

/* The holder of the slot is dead and no newer one has begun, so the generation
 * need not be compared. */
static void
free_lock(ashm *a, lock_shm *lock, uint32_t slot)
{
    uint64_t word = load_relaxed64(&lock->word); /* nobody else frees it */

    if (word != 0 && lock_owner_slot(word) == slot) {
        lock_release(a, lock);
    }
}

static void
free_locks(ashm *a, uint32_t slot)
{
    uint32_t mailboxes = COMMONS + handle_slots_high(a); /* the rest has no memory yet */

    free_lock(a, &a->header->memory_lock, slot);
    for (uint32_t i = 0; i < mailboxes; i++) {
        free_lock(a, &handle_mailbox(a, i)->lock, slot);
    }
}

int
recover_slot(ashm *a, uint32_t slot)
{
    if (SABOTAGE(FREE_FIRST)) {
        free_locks(a, slot);
    }
    for (uint32_t lane = 0; lane < LANES; lane++) {
        int rc = tx_undo(a, &handle_slot(a, slot)->lanes[lane]);

        if (rc != 0) {
            return rc;
        }
    }
    free_locks(a, slot);
    return 0;
}

static bool
is_dead(ashm *a, int fd, uint64_t word)
{
    uint32_t slot = lock_owner_slot(word);

    if (slot >= ASHM_SLOTS) {
        return false;
    }
    /* Acquire: the generation was published before any word carried it. */
    uint32_t generation =
        atomic_load_explicit(&handle_slot(a, slot)->generation, memory_order_acquire);

    /* A slot that is not free and has no life is claimed under the recovery lock only; a free
     * one at any time, so who holds that lock must not take it for a dead holder's. */
    return lock_owner_generation(word) == generation &&
           (atomic_load_explicit(&handle_slot(a, slot)->state, memory_order_acquire) !=
                SLOT_FREE ||
            SABOTAGE(NO_STATE)) &&
           (!life_exists(fd, BYTE_LIFE(slot)) || SABOTAGE(LEASE));
}

int
recover_owner(ashm *a, uint64_t word)
{
    int fd, guard, rc;

    if (lock_owner_slot(word) >= ASHM_SLOTS || lock_owner_generation(word) == 0) {
        return ASHM_CORRUPT;
    }
    if ((rc = handle_fd(a, &fd)) != 0) {
        return rc;
    }
    if (!is_dead(a, fd, word)) {
        return 0;
    }
    if ((rc = kernel_lock(a->name, &a->id, BYTE_RECOVERY, 0, &guard)) != 0) {
        return rc;
    }
    /* Somebody may have been here before us, and the slot have a new holder. */
    if (is_dead(a, fd, word) || SABOTAGE(NO_RECHECK)) {
        rc = recover_slot(a, lock_owner_slot(word));
    }
    kernel_unlock(guard, BYTE_RECOVERY);
    return rc;
}

int
recover_others(ashm *a, uint32_t own)
{
    uint32_t slots = handle_slots_high(a);
    int fd, rc;

    if ((rc = handle_fd(a, &fd)) != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t state = atomic_load_explicit(&handle_slot(a, i)->state, memory_order_acquire);

        if (i != own && state != SLOT_FREE && !life_exists(fd, BYTE_LIFE(i)) &&
            (rc = recover_slot(a, i)) != 0) {
            return rc;
        }
    }
    return 0;
}

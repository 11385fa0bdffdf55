/* reap.c: see reap.h. Model: docs/models/lock.pml. */
#include "reap.h"

#include "doorbell.h"
#include "messages.h"
#include "recover.h"
#include "watch.h"

static int
give_back_lanes(ashm *a, uint32_t slot)
{
    for (uint32_t lane = 0; lane < LANES; lane++) {
        tx t;
        int rc;

        tx_open_dead(a, slot, lane, &t);
        if (!SABOTAGE(NO_DEBT)) {
            doorbell_pay(&t);
        }
        rc = SABOTAGE(FORGET_HELD) ? 0 : message_drop_held(&t);
        tx_close(&t);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int
empty_mailbox(tx *t, slot_shm *slot, uint32_t index)
{
    int rc = tx_enter(t, COMMONS + index);

    if (rc != 0) {
        return rc;
    }
    /* Under the mailbox's lock: a sender that holds it sees this or is before us. */
    tx_set_atomic32(t, &slot->state, SLOT_CLOSING);
    if ((rc = tx_commit(t)) == 0) {
        rc = sweep_clear(t);
    }
    mailbox_leave(t);
    return rc;
}

/* A turn that the slot had in a channel of the commons goes on to another. */
static int
leave_channel(tx *t, uint32_t waiter, uint32_t slot)
{
    uint32_t channel = waiter_at(t, waiter)->channel;

    if (waiters_leave(t, channel, slot) && !SABOTAGE(KEPT_TURN)) {
        channel_pass_turn(t, channel);
    }
    waiters_unqueue(t, waiter);
    waiters_remove(t, waiter);
    return tx_commit(t);
}

static int
leave_commons(tx *t, uint32_t slot)
{
    uint32_t waiter;
    int rc = 0;

    for (uint32_t i = 0; i < COMMONS && rc == 0; i++) {
        if ((rc = mailbox_enter(t, i)) != 0) {
            return rc;
        }
        while (rc == 0 && (waiter = waiters_of_slot(t, slot)) != 0) {
            rc = leave_channel(t, waiter, slot);
        }
        mailbox_leave(t);
    }
    return rc;
}

int
reap_slot(ashm *a, uint32_t index)
{
    slot_shm *slot = handle_slot(a, index);
    tx t;
    int rc;

    if ((rc = recover_slot(a, index)) != 0 || (rc = give_back_lanes(a, index)) != 0) {
        return rc;
    }
    if (SABOTAGE(FREE_SLOT_FIRST)) {
        atomic_store_explicit(&slot->state, SLOT_FREE, memory_order_release);
    }
    tx_open_dead(a, index, 0, &t);
    rc = SABOTAGE(WATCH_KEPT) ? 0 : watch_end_all(&t);
    if (rc == 0 && (rc = empty_mailbox(&t, slot, index)) == 0) {
        rc = leave_commons(&t, index);
    }
    tx_close(&t);
    if (rc == 0) {
        doorbell_unlink(a, index,
                        atomic_load_explicit(&slot->generation, memory_order_relaxed));
        /* The last store: before it the whole is done again, which changes nothing. */
        atomic_store_explicit(&slot->state, SLOT_FREE, memory_order_release);
    }
    return rc;
}

static bool
is_dead(ashm *a, int fd, uint32_t slot)
{
    return atomic_load_explicit(&handle_slot(a, slot)->state, memory_order_acquire) !=
               SLOT_FREE &&
           !life_exists(fd, BYTE_LIFE(slot));
}

int
reap_dead(ashm *a)
{
    uint32_t slots = handle_slots_high(a);
    int fd, guard, rc;

    if ((rc = handle_fd(a, &fd)) != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < slots; i++) {
        if (!is_dead(a, fd, i)) {
            continue;
        }
        if ((rc = kernel_lock(a->name, &a->id, BYTE_RECOVERY, 0, &guard)) != 0) {
            return rc;
        }
        if (is_dead(a, fd, i)) { /* still, and nobody can claim it but under this lock */
            rc = reap_slot(a, i);
        }
        kernel_unlock(guard, BYTE_RECOVERY);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/*
 * messages.h: message bodies in the messages section.
 *
 * A message is made with references that its maker's lane holds; each that goes to
 * a queue or a broadcast ring is taken off the lane's in the same transaction. A
 * message popped goes back to the lane until it is copied out. So a reference is
 * always somewhere, and if its holder is killed the reaper gives the lane's back.
 *
 * Bodies are copied while no lock is held: before anything refers to the message,
 * or while the lane holds it.
 */
#ifndef ASHM_MESSAGES_H
#define ASHM_MESSAGES_H

#include "pages.h"

/* A transaction of its own: a message of `length` bytes with `refs` references held
 * by the lane. ASHM_MESSAGES_FULL, ASHM_SHM_FULL. */
int message_make(tx *t, uint32_t length, uint32_t refs, uint32_t *message);

/* Only its maker, before it is queued. */
void message_write(tx *t, uint32_t message, const void *body, uint32_t length);

/* Only while the lane holds it. The caller's buffer has message_length() bytes. */
uint32_t message_length(tx *t, uint32_t message);
void message_read(tx *t, uint32_t message, void *buffer, uint32_t length);

/* A hint: others have references to it, too. Only while something that the caller holds refers
 * to it. */
bool message_is_shared(tx *t, uint32_t message);

/* How long ago a message was made, in ns; modulo 2^32 units, as `sent` is kept. */
static inline uint64_t
message_age_at(const message_shm *message, uint64_t now)
{
    uint32_t age = (uint32_t)(now >> AGE_SHIFT) - message->sent;

    return (uint64_t)age << AGE_SHIFT;
}

/* The same by the clock of the transaction. Only while something that the caller holds refers
 * to it. */
uint64_t message_age(tx *t, uint32_t message);

/* Inside a transaction; they take the memory lock. */
void message_ref(tx *t, uint32_t message, uint32_t n);
void message_unref(tx *t, uint32_t message, uint32_t n);

/* Inside a transaction: move references from the lane, and to it. The lane holds
 * one message at a time. */
void message_unhold(tx *t, uint32_t n);
void message_hold(tx *t, uint32_t message);

/* A transaction of its own: give back what the lane holds, if anything. */
int message_drop_held(tx *t);

#endif

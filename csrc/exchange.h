/*
 * exchange.h: sending to a channel and receiving from it.
 *
 * Whole operations: they begin and end without locks. Names have been checked, and
 * the process is attached.
 */
#ifndef ASHM_EXCHANGE_H
#define ASHM_EXCHANGE_H

#include "mailbox.h"
#include "slots.h"

/* A deadline from an expiry; ASHM_NEVER stays so. */
static inline uint64_t
deadline_of(const tx *t, uint64_t expiry)
{
    return expiry < ASHM_NEVER - t->now ? t->now + expiry : ASHM_NEVER;
}

int exchange_send(tx *t, const char *channel, size_t channel_length, const void *body,
                  uint32_t length, uint64_t expiry, uint32_t capacity);

/* As ashm_receive(); `from` is the channel's address. */
int exchange_receive(tx *t, const address *from, const char *channel, size_t channel_length,
                     unsigned flags, uint64_t cookie, void *buffer, size_t size,
                     ashm_received *out);

/* As ashm_await_room(). */
int exchange_await_room(tx *t, const char *channel, size_t channel_length, uint32_t capacity,
                        int *rung);

int exchange_unwait(tx *t, const char *channel, size_t channel_length);

/* As ashm_ready(), without the bell. */
int exchange_ready(tx *t, uint64_t *cookies, size_t size, size_t *count);

/* Arm the bell, made if there is none, unless something has come since its word was `seen`:
 * *rung then. */
int exchange_arm(ashm *a, uint64_t seen, bool *rung);

/* Is there something for exchange_ready()? A hint, read without a lock; exact for
 * whatever was published before the doorbell's word was read. */
bool exchange_may_be_ready(const ashm *a);

#endif

/*
 * channels.h: channel records: making them, delivering to them, forgetting them.
 *
 * Unless they say otherwise the functions run inside a transaction that holds the
 * mailbox.
 */
#ifndef ASHM_CHANNELS_H
#define ASHM_CHANNELS_H

#include "queue.h"
#include "waiters.h"

static inline uint32_t
channel_find(tx *t, uint32_t hash, const char *name, size_t length)
{
    return table_find_name(t, NODE_CHANNEL, hash, name, length);
}

/* Find or make. 0 and t->shortage: no memory. */
uint32_t channel_make(tx *t, uint32_t hash, const char *name, size_t length);

void channel_set_capacity(tx *t, channel_shm *channel, uint32_t capacity);

/* Is it full, with nothing expired in it? If something has, *expired is set and the
 * caller, when its transaction is committed, calls queue_expire() and asks again. */
bool channel_is_full(tx *t, const channel_shm *channel, bool *expired);

/* Append and wake. Counts. false and t->shortage: no memory. */
bool channel_deliver(tx *t, uint32_t channel, uint32_t message, uint64_t deadline);

/* Transactions of its own: the channel with the oldest message among those that begin
 * with the prefix; 0: none has one. Looks at every record of the mailbox. */
int channel_oldest(tx *t, const char *prefix, size_t length, uint32_t *oldest);

/* The channel has a message: tell the next that waits for it, or else for its prefix. */
void channel_tell(tx *t, uint32_t channel);

/* Somebody who was told of a message goes without it: tell the next, if it may be there. */
void channel_pass_turn(tx *t, uint32_t channel);

/* Free a record that has no message, member or waiter. */
bool channel_is_unused(const channel_shm *channel);
void channel_remove(tx *t, uint32_t channel);

#endif

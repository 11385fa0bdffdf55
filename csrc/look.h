/*
 * look.h: reading a segment without a lock.
 *
 * Whoever may only read a segment can take no lock, so whatever is read here may change
 * under our eyes, and be given back and hold something else. So a record is copied first,
 * then checked (its bounds, its kind, the hash of its name, the bucket that it is found in)
 * and only then believed; a chain that does not hold is read again. What needs several
 * reads, such as a message and its place in a queue, is compared with a second look at
 * where the first began.
 *
 * Nothing here writes to the segment: it is mapped for reading alone.
 */
#ifndef ASHM_LOOK_H
#define ASHM_LOOK_H

#include "slots.h"

/* A chain longer than this is cut. */
enum { LOOK_CHAIN = 1024 };

/* References of the records in a bucket; how many. */
uint32_t look_bucket(const ashm *a, uint32_t mailbox, uint32_t bucket,
                     uint32_t chain[LOOK_CHAIN]);

/* As the mailbox's table says, and not more than there can be. */
uint32_t look_buckets(const ashm *a, uint32_t mailbox);

/* Copy a record if it is of that kind, and its name, if it has one, its own. */
bool look_channel(const ashm *a, uint32_t reference, channel_shm *channel,
                  char name[ASHM_NAME_MAX + 1]);
bool look_group(const ashm *a, uint32_t reference, group_shm *group,
                char name[ASHM_NAME_MAX + 1]);
bool look_member(const ashm *a, uint32_t reference, member_shm *member);

/* A channel record by its name. */
bool look_find(const ashm *a, const char *name, size_t length, uint32_t *reference,
               channel_shm *channel);

/* How many processes wait on the channel's list. */
uint32_t look_waiting(const ashm *a, const channel_shm *channel);

/* How many channels of a mailbox a slot waits for. */
uint32_t look_waiters_of_slot(const ashm *a, uint32_t mailbox, uint32_t slot);

/* The first entry from *position on, which is moved to it. `channel` is a copy of what
 * was at `reference`, and is renewed. false: there is none, or another channel by now. */
bool look_entry(const ashm *a, uint32_t reference, channel_shm *channel, uint32_t *position,
                entry_shm *entry);

/* The head of a message, and up to `size` bytes of its body. They are of that message if
 * look_still_queued() says so afterwards. */
bool look_message(const ashm *a, uint32_t message, message_shm *head, void *body, size_t size);
bool look_still_queued(const ashm *a, uint32_t reference, const channel_shm *channel,
                       uint32_t position, const entry_shm *entry);

#endif

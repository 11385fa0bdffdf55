/*
 * mailbox.h: entering a mailbox, and the broadcasts that wait in it.
 *
 * A group send leaves one entry in the broadcast ring of each mailbox with members.
 * mailbox_enter() settles them, that is, delivers to the members, before anything
 * else happens in the mailbox. So the outcome is as if the sender had delivered at
 * once: the same members, the same order against other messages, the same capacity.
 * A membership cannot be added or removed, nor a group forgotten, past a broadcast
 * that is under way.
 */
#ifndef ASHM_MAILBOX_H
#define ASHM_MAILBOX_H

#include "groups.h"

/* Hold the mailbox, with nothing left to settle. 0 or an error; then nothing is held. */
int mailbox_enter(tx *t, uint32_t mailbox);

/* Let go, and ring the bells that are owed. */
void mailbox_leave(tx *t);

/* Transactions of its own, with the mailbox held: settle what is there. */
int mailbox_settle(tx *t);

/* Transactions of its own, with the mailbox held: drop what is there. */
int mailbox_drop_broadcasts(tx *t);

/* Is there anything to settle? A hint, read without the lock. */
bool mailbox_may_have_broadcasts(const ashm *a, uint32_t mailbox);

/* A message of the lane's to a group. */
typedef struct broadcast {
    uint32_t hash; /* of the group's name */
    const char *group;
    size_t length;
    uint64_t deadline;
    const char *exclude; /* names, each after a byte with its length */
    size_t exclude_length;
    ashm_delivery *report; /* NULL: nobody wants to know */
} broadcast;

/* Transactions of its own, from outside: send the lane's message, of which it holds a
 * reference for each mailbox, to the members of the group in this one. *sent is set as soon
 * as that is certain, whatever is returned. */
int mailbox_broadcast(tx *t, uint32_t mailbox, const broadcast *b, bool *sent);

#endif

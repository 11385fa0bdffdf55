/*
 * groups.h: the part of a group that lies in one mailbox: its record and its
 * memberships, each on a list of its group and on one of its channel.
 *
 * The mailbox's filter counts its groups by hash. A sender reads it without the lock,
 * so it must never say 0 while a membership is there. It is raised in the transaction
 * that makes the group, and lowered in one of its own, after the last membership has
 * been removed for good: were it lowered in the same one, a sender might read the 0,
 * and a kill bring the membership back.
 *
 * All functions run inside a transaction that holds the mailbox.
 */
#ifndef ASHM_GROUPS_H
#define ASHM_GROUPS_H

#include "channels.h"
#include "hash.h"

static inline uint32_t
group_hash(const ashm *a, const char *name, size_t length)
{
    return (uint32_t)hash_name(a->hash_key, name, length);
}

static inline uint32_t
group_find(tx *t, uint32_t hash, const char *name, size_t length)
{
    return table_find_name(t, NODE_GROUP, hash, name, length);
}

uint32_t group_make(tx *t, uint32_t hash, const char *name, size_t length);

/* The membership, new or old, which lasts until the deadline. 0 and t->shortage. */
uint32_t group_join(tx *t, uint32_t group, uint32_t channel, uint64_t deadline);

/* Remove a membership; its group record stays. */
void group_leave(tx *t, uint32_t member);

/* Free the record of a group without members. In a transaction of its own. */
void group_remove(tx *t, uint32_t group);

/* Might the mailbox have members? Read without the lock. */
bool group_may_be_in(const ashm *a, uint32_t mailbox, uint32_t hash);

#endif

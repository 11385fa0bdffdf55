/* channels.c: see channels.h. */
#include "channels.h"

#include <string.h>

#include "hash.h"
#include "linger.h"
#include "room.h"
#include "slots.h"

uint32_t
channel_make(tx *t, uint32_t hash, const char *name, size_t length)
{
    uint32_t channel = channel_find(t, hash, name, length);

    return channel != 0 ? channel : table_add_name(t, NODE_CHANNEL, hash, name, length);
}

void
channel_set_capacity(tx *t, channel_shm *channel, uint32_t capacity)
{
    uint32_t before = channel->capacity;

    if (before != capacity) {
        tx_set32(t, &channel->capacity, capacity);
        if (capacity > before) {
            room_made(t, channel);
        }
    }
}

bool
channel_is_full(tx *t, const channel_shm *channel, bool *expired)
{
    *expired = false;
    if (channel->live < channel->capacity) {
        return false;
    }
    *expired = channel->earliest <= (uint32_t)(t->now >> DEADLINE_SHIFT);
    return true;
}

/* Somebody waits for all channels of this one's prefix. */
static void
tell_family(tx *t, uint32_t channel)
{
    const char *name = node_name(t, channel);
    size_t family = slots_family(name, node_at(t, channel)->name_length);
    uint32_t hash, prefix;

    if (family != 0) {
        hash = (uint32_t)hash_name(t->party.a->hash_key, name, family);
        if ((prefix = channel_find(t, hash, name, family)) != 0) {
            waiters_ring(t, channel_at(t, prefix));
        }
    }
}

void
channel_tell(tx *t, uint32_t channel)
{
    channel_shm *c = channel_at(t, channel);

    if (c->waiting_head != 0) {
        waiters_ring(t, c);
    } else if (ASHM_UNLIKELY(t->mailbox->families != 0)) {
        tell_family(t, channel);
    }
}

void
channel_pass_turn(tx *t, uint32_t channel)
{
    channel_shm *c = channel_at(t, channel);
    size_t length = c->node.name_length;

    /* Whether a channel of a prefix has one nobody knows without a look at all of them. */
    if (c->live != 0) {
        channel_tell(t, channel);
    } else if (length > 0 && node_name(t, channel)[length - 1] == '!') {
        waiters_ring(t, c);
    }
}

bool
channel_deliver(tx *t, uint32_t channel, uint32_t message, uint64_t deadline)
{
    channel_shm *c = channel_at(t, channel);

    if (!queue_push(t, c, message, deadline)) {
        return false;
    }
    tx_count(t, &t->mailbox->sent);
    channel_tell(t, channel);
    return true;
}

int
channel_oldest(tx *t, const char *prefix, size_t length, uint32_t *oldest)
{
    uint32_t sequence = 0, position;
    uint32_t left = table_records(t) + 1;
    int rc;

    linger();
    *oldest = 0;
    for (uint32_t bucket = 0; bucket < table_buckets(t) && t->fault == 0; bucket++) {
        for (uint32_t node = table_bucket(t, bucket); node != 0 && t->fault == 0;
             node = node_at(t, node)->next) {
            channel_shm *c = channel_at(t, node);
            const entry_shm *entry;

            if (left-- == 0) {
                tx_fault(t, ASHM_CORRUPT);
                break;
            }
            if (c->node.kind != NODE_CHANNEL || c->live == 0 || c->node.name_length < length ||
                memcmp(node_name(t, node), prefix, length) != 0) {
                continue;
            }
            if ((rc = queue_expire(t, c)) != 0) {
                return rc;
            }
            entry = queue_front(t, c, &position);
            if (entry != NULL && (*oldest == 0 || (int32_t)(entry->sequence - sequence) < 0)) {
                *oldest = node;
                sequence = entry->sequence;
            }
        }
    }
    return tx_commit(t);
}

bool
channel_is_unused(const channel_shm *channel)
{
    return channel->live == 0 && channel->members == 0 && channel->waiters == 0;
}

void
channel_remove(tx *t, uint32_t channel)
{
    queue_shrink(t, channel_at(t, channel));
    table_remove(t, channel);
}

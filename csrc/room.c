/* room.c: see room.h. */
#include "room.h"

void
room_await(tx *t, channel_shm *channel)
{
    uint32_t slot = lock_owner_slot(t->party.owner);
    uint64_t *word = &t->mailbox->senders[slot / 64 % BELL_WORDS];

    tx_set64(t, word, *word | UINT64_C(1) << slot % 64);
    node_set(t, &channel->node, channel->node.flags | NODE_SENDERS, channel->node.log2);
}

static void
tell_slots(tx *t, uint32_t first, uint64_t slots)
{
    for (; slots != 0; slots &= SABOTAGE(ROOM_FOR_ONE) ? 0 : slots - 1) {
        uint32_t slot = first + (uint32_t)__builtin_ctzll(slots);

        if (slot < handle_slots_high(t->party.a)) {
            /* Relaxed: whoever the bell wakes sees it by the bell's word. */
            atomic_store_explicit(&handle_slot(t->party.a, slot)->room, 1,
                                  memory_order_relaxed);
        }
    }
}

void
room_tell(tx *t, channel_shm *channel)
{
    node_set(t, &channel->node, channel->node.flags & (uint8_t)~NODE_SENDERS,
             channel->node.log2);
    for (uint32_t i = 0; i < BELL_WORDS; i++) {
        uint64_t slots = t->mailbox->senders[i];

        if (slots != 0) {
            tell_slots(t, 64 * i, slots);
            if (!SABOTAGE(ROOM_SILENT)) {
                tx_set64(t, &t->lane->bells[i], t->lane->bells[i] | slots);
            }
            tx_set64(t, &t->mailbox->senders[i], 0);
        }
    }
}

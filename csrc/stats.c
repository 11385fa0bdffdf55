/* stats.c: see stats.h. */
#include "stats.h"

#include <string.h>

uint64_t
stats_section_used(const ashm *a, enum section section)
{
    const arena_shm *arena = &a->header->arenas[section];
    uint32_t used = arena->used, not_used = arena->free_count + 1;

    return used > not_used ? (uint64_t)(used - not_used) * PAGE_SIZE_SHM : 0;
}

static void
count_record(tx *t, uint32_t node, ashm_info *info)
{
    switch (node_at(t, node)->kind) {
    case NODE_CHANNEL:
        info->channels++;
        info->messages += channel_at(t, node)->live;
        break;
    case NODE_GROUP:
        info->groups++;
        break;
    case NODE_MEMBER:
        info->memberships++;
        break;
    default:
        break;
    }
}

static void
count_mailbox(tx *t, ashm_info *info)
{
    const mailbox_shm *mailbox = t->mailbox;
    uint32_t left = table_records(t);

    for (uint32_t i = 0; i < table_buckets(t) && t->fault == 0; i++) {
        for (uint32_t node = table_bucket(t, i); node != 0 && t->fault == 0;
             node = node_at(t, node)->next) {
            if (left-- == 0) {
                tx_fault(t, ASHM_CORRUPT);
            }
            count_record(t, node, info);
        }
    }
#define X(name, unit, help) info->name += load_relaxed64(&mailbox->name);
    MAILBOX_COUNTERS(X)
#undef X
}

void
stats_count_slot(const slot_shm *slot, ashm_info *info)
{
    lane_counters sum;

    /* A hint, and counters. */
    info->attached += atomic_load_explicit(&slot->state, memory_order_relaxed) == SLOT_TAKEN;
    lanes_sum(slot, &sum);
#define X(name, unit, help) info->name += load_relaxed64(&sum.name);
    LANE_COUNTERS(X)
#undef X
}

const ashm_counter *
stats_counters(size_t *count)
{
#define X(name, unit, help) {#name, unit, help, offsetof(ashm_info, name)},
    static const ashm_counter counters[] = {MAILBOX_COUNTERS(X) LANE_COUNTERS(X)};
#undef X

    *count = sizeof counters / sizeof counters[0];
    return counters;
}

int
stats_collect(tx *t, ashm_info *info)
{
    const ashm *a = t->party.a;
    uint32_t slots = handle_slots_high(a);
    ashm_info sum = {.segment_size = a->map.size,
                     .message_memory = a->header->message_memory,
                     .group_memory = a->header->group_memory,
                     .clock = t->now,
                     .slot = a->own->slot};
    int rc;

    for (uint32_t i = 0; i < COMMONS + slots; i++) {
        if ((rc = mailbox_enter(t, i)) != 0) {
            return rc;
        }
        count_mailbox(t, &sum);
        rc = tx_commit(t);
        mailbox_leave(t);
        if (rc != 0) {
            return rc;
        }
    }
    for (uint32_t i = 0; i < slots; i++) {
        stats_count_slot(handle_slot(a, i), &sum);
    }
    if (tx_memory(t)) {
        sum.message_used = stats_section_used(a, MESSAGES);
        sum.group_used = stats_section_used(a, TABLES);
    }
    if ((rc = tx_commit(t)) == 0) {
        *info = sum;
    }
    return rc;
}

static void
add_losses(const mailbox_shm *mailbox, uint64_t *full, uint64_t *expired)
{
    *full += load_relaxed64(&mailbox->full);
    *expired += load_relaxed64(&mailbox->expired);
}

int
stats_losses(const tx *t, ashm_losses *losses)
{
    const ashm *a = t->party.a;
    ashm_losses sum = {.slot = a->own->slot, .first = 1};

    add_losses(handle_mailbox(a, COMMONS + sum.slot), &sum.own_full, &sum.own_expired);
    for (uint32_t i = 0; i < COMMONS; i++) {
        add_losses(handle_mailbox(a, i), &sum.common_full, &sum.common_expired);
    }
    for (uint32_t i = 0; i < sum.slot; i++) {
        /* A hint. */
        if (atomic_load_explicit(&handle_slot(a, i)->state, memory_order_relaxed) ==
            SLOT_TAKEN) {
            sum.first = 0;
        }
    }
    *losses = sum;
    return 0;
}

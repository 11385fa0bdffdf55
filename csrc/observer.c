/*
 * observer.c: the part of ashm.h for those who look in from outside, over a mapping that
 * cannot be written to. See look.h for how what changes is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "claim.h"
#include "look.h"
#include "messages.h"
#include "names.h"
#include "stats.h"

/* A handle of which only what reading needs is filled in: it never becomes a process. */
struct ashm_observer {
    ashm a;
};

/* ---- opening ---- */

static int
open_object(ashm *a, const char *name)
{
    int fd, rc;

    if ((rc = object_find(name, O_RDONLY, &fd)) != 0) {
        return rc;
    }
    a->fd = fd;
    if ((rc = claim_inspect(a->fd, &a->map)) != 0) {
        return rc;
    }
    a->base = mmap(NULL, a->map.size, PROT_READ, MAP_SHARED, a->fd, 0);
    if (a->base == MAP_FAILED) {
        a->base = NULL;
        return errno;
    }
    return 0;
}

int
ashm_observe(const char *name, ashm_observer **observer)
{
    ashm_observer *o = calloc(1, sizeof *o);
    int rc;

    if (o == NULL) {
        return ENOMEM;
    }
    o->a.fd = -1;
    if ((rc = open_object(&o->a, name)) != 0) {
        ashm_observe_end(o);
        return rc;
    }
    o->a.header = (header_shm *)o->a.base;
    o->a.clock_offset = clock_namespace_offset();
    o->a.segment_id = o->a.header->segment_id;
    memcpy(o->a.hash_key, o->a.header->hash_key, sizeof o->a.hash_key);
    *observer = o;
    return 0;
}

void
ashm_observe_end(ashm_observer *o)
{
    if (o->a.base != NULL) {
        munmap(o->a.base, o->a.map.size);
    }
    if (o->a.fd >= 0) {
        close(o->a.fd);
    }
    free(o);
}

/* ---- lists ---- */

/* The slot that a mailbox belongs to, or ASHM_SLOTS. */
static uint32_t
slot_of(uint32_t mailbox)
{
    return mailbox < COMMONS ? ASHM_SLOTS : mailbox - COMMONS;
}

static uint32_t
mailboxes(const ashm *a)
{
    return COMMONS + handle_slots_high(a);
}

/* Tells of a record: false if it is none of the kind that is asked for. */
typedef bool (*teller)(const ashm *a, uint32_t mailbox, uint32_t reference, void *out);

typedef struct list {
    teller tell;
    char *out;
    size_t item, size, count;
} list;

/* false: the rest of the bucket did not fit. */
static bool
tell_bucket(const ashm *a, list *l, uint32_t mailbox, uint32_t bucket)
{
    uint32_t chain[LOOK_CHAIN];
    uint32_t n = look_bucket(a, mailbox, bucket, chain);

    for (uint32_t i = 0; i < n; i++) {
        if (l->count == l->size) {
            return false;
        }
        l->count += l->tell(a, mailbox, chain[i], l->out + l->count * l->item) ? 1 : 0;
    }
    return true;
}

/* A cursor is mailbox << 32 | bucket. A bucket that does not fit is left to the next part,
 * unless it would fit in none. */
static uint64_t
tell_from(const ashm *a, list *l, uint64_t cursor)
{
    uint32_t bucket = (uint32_t)cursor;

    for (uint32_t mailbox = (uint32_t)(cursor >> 32); mailbox < mailboxes(a); mailbox++) {
        for (; bucket < look_buckets(a, mailbox); bucket++) {
            size_t before = l->count;

            if (!tell_bucket(a, l, mailbox, bucket)) {
                bool cut = before == 0;

                l->count = cut ? l->count : before;
                return (uint64_t)mailbox << 32 | (bucket + cut);
            }
        }
        bucket = 0;
    }
    return ASHM_NEVER;
}

static int
see(ashm_observer *o, teller tell, uint64_t *cursor, void *out, size_t item, size_t size,
    size_t *count)
{
    list l = {.tell = tell, .out = out, .item = item, .size = size};

    if (size == 0) {
        return ASHM_BAD_ARGUMENT;
    }
    if (*cursor != ASHM_NEVER) {
        *cursor = tell_from(&o->a, &l, *cursor);
    }
    *count = l.count;
    return 0;
}

static uint64_t
time_left(const ashm *a, uint64_t deadline)
{
    uint64_t now = handle_now(a);

    if (deadline == ASHM_NEVER) {
        return ASHM_NEVER;
    }
    return deadline > now ? deadline - now : 0;
}

/* ---- channels ---- */

static uint64_t
oldest_age(const ashm *a, uint32_t reference, channel_shm channel)
{
    uint32_t position = channel.head;
    message_shm head;
    entry_shm entry;

    while (look_entry(a, reference, &channel, &position, &entry)) {
        if (look_message(a, entry.message, &head, NULL, 0) &&
            look_still_queued(a, reference, &channel, position, &entry)) {
            return message_age_at(&head, handle_now(a));
        }
        position++; /* it has been taken meanwhile, or lies out of bounds */
    }
    return 0;
}

static bool
tell_channel(const ashm *a, uint32_t mailbox, uint32_t reference, void *out)
{
    ashm_seen_channel *seen = out;
    channel_shm channel;

    if (!look_channel(a, reference, &channel, seen->name)) {
        return false;
    }
    seen->slot = slot_of(mailbox);
    seen->pending = channel.live;
    seen->capacity = channel.capacity;
    seen->waiting = look_waiting(a, &channel);
    seen->sent = channel.tail;
    seen->full = channel.full;
    seen->age = channel.live == 0 ? 0 : oldest_age(a, reference, channel);
    return true;
}

int
ashm_see_channels(ashm_observer *o, uint64_t *cursor, ashm_seen_channel *out, size_t size,
                  size_t *count)
{
    return see(o, tell_channel, cursor, out, sizeof *out, size, count);
}

int
ashm_see_message(ashm_observer *o, const char *name, size_t length, uint64_t *cursor,
                 void *buffer, size_t size, ashm_seen_message *out)
{
    const ashm *a = &o->a;
    uint32_t reference, position;
    channel_shm channel;
    message_shm head;
    entry_shm entry;

    if (!names_is_channel(name, length)) {
        return ASHM_BAD_NAME;
    }
    if (!look_find(a, name, length, &reference, &channel)) {
        return ASHM_EMPTY;
    }
    /* A cursor is 1 << 32 | the position that comes next. */
    position = *cursor == 0 ? channel.head : (uint32_t)*cursor;
    for (; look_entry(a, reference, &channel, &position, &entry); position++) {
        bool whole = look_message(a, entry.message, &head, buffer, size);

        if (!whole || !look_still_queued(a, reference, &channel, position, &entry)) {
            continue;
        }
        out->length = head.length;
        if (head.length > size) {
            return ASHM_BUFFER;
        }
        out->age = message_age_at(&head, handle_now(a));
        out->expiry = time_left(a, entry.deadline);
        *cursor = UINT64_C(1) << 32 | (position + 1);
        return 0;
    }
    return ASHM_EMPTY;
}

/* ---- groups ---- */

static bool
tell_group(const ashm *a, uint32_t mailbox, uint32_t reference, void *out)
{
    ashm_seen_group *seen = out;
    group_shm group;

    if (!look_group(a, reference, &group, seen->name) || group.count == 0) {
        return false;
    }
    seen->slot = slot_of(mailbox);
    seen->members = group.count;
    seen->full = group.full;
    return true;
}

int
ashm_see_groups(ashm_observer *o, uint64_t *cursor, ashm_seen_group *out, size_t size,
                size_t *count)
{
    return see(o, tell_group, cursor, out, sizeof *out, size, count);
}

static bool
tell_member(const ashm *a, uint32_t mailbox, uint32_t reference, void *out)
{
    ashm_seen_member *seen = out;
    member_shm member;
    channel_shm channel;
    group_shm group;

    if (!look_member(a, reference, &member) ||
        !look_group(a, member.group, &group, seen->group) ||
        !look_channel(a, member.channel, &channel, seen->channel)) {
        return false;
    }
    seen->slot = slot_of(mailbox);
    seen->expiry = time_left(a, member.deadline);
    return true;
}

int
ashm_see_members(ashm_observer *o, uint64_t *cursor, ashm_seen_member *out, size_t size,
                 size_t *count)
{
    return see(o, tell_member, cursor, out, sizeof *out, size, count);
}

/* ---- processes ---- */

static void
count_process(const slot_shm *slot, ashm_seen_process *seen)
{
    lane_counters sum;

    lanes_sum(slot, &sum);
    /* Raised meanwhile, or the slot's next holder has begun: never below 0. */
#define X(name, unit, help)                                                                    \
    seen->name = load_relaxed64(&sum.name);                                                    \
    seen->name -= load_relaxed64(&slot->before.name) <= seen->name                             \
                      ? load_relaxed64(&slot->before.name)                                     \
                      : seen->name;
    LANE_COUNTERS(X)
#undef X
}

static uint64_t
count_pending(const ashm *a, uint32_t mailbox)
{
    char name[ASHM_NAME_MAX + 1];
    uint32_t chain[LOOK_CHAIN];
    channel_shm channel;
    uint64_t pending = 0;

    for (uint32_t bucket = 0; bucket < look_buckets(a, mailbox); bucket++) {
        uint32_t n = look_bucket(a, mailbox, bucket, chain);

        for (uint32_t i = 0; i < n; i++) {
            pending += look_channel(a, chain[i], &channel, name) ? channel.live : 0;
        }
    }
    return pending;
}

static uint32_t
count_waiting(const ashm *a, uint32_t slot)
{
    uint32_t waiting = look_waiters_of_slot(a, COMMONS + slot, slot);

    for (uint32_t i = 0; i < COMMONS; i++) {
        waiting += look_waiters_of_slot(a, i, slot);
    }
    return waiting;
}

static uint32_t
count_broadcasts(const mailbox_shm *mailbox)
{
    uint32_t head = atomic_load_explicit(&mailbox->broadcast_head, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(&mailbox->broadcast_tail, memory_order_relaxed) - head;

    return n <= BROADCASTS ? n : 0; /* one was settled between the two loads */
}

int
ashm_see_process(ashm_observer *o, uint32_t index, ashm_seen_process *out)
{
    const ashm *a = &o->a;
    ashm_seen_process seen = {0};
    const slot_shm *slot;
    uint64_t now = handle_now(a);

    if (index >= handle_slots_high(a)) {
        return ASHM_EMPTY;
    }
    slot = handle_slot(a, index);
    if (atomic_load_explicit(&slot->state, memory_order_acquire) == SLOT_FREE) {
        return ASHM_EMPTY;
    }
    seen.pid = slot->pid;
    seen.generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);
    seen.alive = life_exists(a->fd, BYTE_LIFE(index));
    seen.waiting = count_waiting(a, index);
    seen.broadcasts = count_broadcasts(&slot->mailbox);
    seen.pending = count_pending(a, COMMONS + index);
    seen.age = now > slot->since ? now - slot->since : 0;
    count_process(slot, &seen);
    memcpy(seen.command, slot->command, ASHM_COMMAND_MAX);
    *out = seen;
    return 0;
}

/* ---- the whole ---- */

static void
count_records(const ashm *a, uint32_t mailbox, ashm_info *info)
{
    char name[ASHM_NAME_MAX + 1];
    uint32_t chain[LOOK_CHAIN];
    channel_shm channel;
    member_shm member;
    group_shm group;

    for (uint32_t bucket = 0; bucket < look_buckets(a, mailbox); bucket++) {
        uint32_t n = look_bucket(a, mailbox, bucket, chain);

        for (uint32_t i = 0; i < n; i++) {
            if (look_channel(a, chain[i], &channel, name)) {
                info->channels++;
                info->messages += channel.live;
            } else if (look_member(a, chain[i], &member)) {
                info->memberships++;
            } else {
                info->groups += look_group(a, chain[i], &group, name);
            }
        }
    }
#define X(name, unit, help) info->name += load_relaxed64(&handle_mailbox(a, mailbox)->name);
    MAILBOX_COUNTERS(X)
#undef X
}

int
ashm_see_info(ashm_observer *o, ashm_info *info)
{
    const ashm *a = &o->a;
    ashm_info sum = {.segment_size = a->map.size,
                     .message_memory = a->header->message_memory,
                     .group_memory = a->header->group_memory,
                     .message_used = stats_section_used(a, MESSAGES),
                     .group_used = stats_section_used(a, TABLES),
                     .clock = handle_now(a),
                     .slot = ASHM_SLOTS};

    for (uint32_t i = 0; i < mailboxes(a); i++) {
        count_records(a, i, &sum);
    }
    for (uint32_t i = 0; i < handle_slots_high(a); i++) {
        stats_count_slot(handle_slot(a, i), &sum);
    }
    *info = sum;
    return 0;
}

/* ---- locks ---- */

static bool
tell_lock(const ashm *a, const lock_shm *lock, ashm_seen_lock *seen)
{
    uint64_t word = load_relaxed64(&lock->word);

    if (lock_owner_slot(word) >= handle_slots_high(a) || lock_owner_generation(word) == 0) {
        return false;
    }
    seen->holder = lock_owner_slot(word);
    seen->pid = handle_slot(a, seen->holder)->pid;
    seen->waited = (word & LOCK_AWAITED) != 0;
    return true;
}

int
ashm_see_locks(ashm_observer *o, ashm_seen_lock *out, size_t size, size_t *count)
{
    const ashm *a = &o->a;
    size_t n = 0;

    if (size > 0 && tell_lock(a, &a->header->memory_lock, out)) {
        out[n].what = LOCK_MEMORY;
        out[n++].slot = ASHM_SLOTS;
    }
    for (uint32_t i = 0; i < mailboxes(a) && n < size; i++) {
        if (tell_lock(a, &handle_mailbox(a, i)->lock, &out[n])) {
            out[n].what = i < COMMONS ? LOCK_COMMONS : LOCK_MAILBOX;
            out[n++].slot = slot_of(i);
        }
    }
    *count = n;
    return 0;
}

/* lab.c: see lab.h. */
#include "lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "doorbell.h"
#include "maintain.h"
#include "messages.h"

/* ---- the segments ---- */

void
lab_parts(const ashm *a, lab_part parts[LAB_PARTS])
{
    parts[0] = (lab_part){0, a->map.slots + LAB_SLOTS * sizeof(slot_shm)};
    for (int i = 0; i < SECTIONS; i++) {
        uint64_t ready = section_ready(a, (enum section)i);

        parts[1 + 2 * i] = (lab_part){a->map.section[i].records, ready * sizeof(page_shm)};
        parts[2 + 2 * i] = (lab_part){a->map.section[i].pages, ready * PAGE_SIZE_SHM};
    }
}

static ashm *
open_unattached(const segment *s)
{
    ashm *a;

    OK(ashm_open(&s->options, &a));
    lab_settle_down(a);
    return a;
}

void
lab_settle_down(ashm *a)
{
    ashm_set_clock(a, LAB_NOW);
    store_relaxed64(&a->tick_at, LAB_NOW + MAINTAIN_INTERVAL);
    store_relaxed64(&a->reclaim_at, 0);
}

void
lab_make(lab *l)
{
    segment_make(&l->stage_objects);
    segment_make(&l->copy_objects);
    /* Room for one message of 1 MiB, and no second. */
    l->stage_objects.options.message_memory = MIB + MIB / 4;
    l->copy_objects.options.message_memory = MIB + MIB / 4;
    /* One hash key and one segment id, so that a copy is as good as the original. */
    memcpy(l->copy_objects.options.random, l->stage_objects.options.random,
           sizeof l->copy_objects.options.random);
    l->stage = open_unattached(&l->stage_objects);
    l->worker = open_unattached(&l->stage_objects);
    l->copy = open_unattached(&l->copy_objects);
    l->heir = open_unattached(&l->copy_objects);
    OK(ashm_attach(l->stage));
    OK(ashm_attach(l->copy));
    OK(ashm_bell(l->stage, &l->stage_bell));
    OK(ashm_bell(l->copy, &l->copy_bell));
    l->begin = malloc(l->stage->map.size);
    EXPECT(l->begin != NULL);
    memcpy(l->begin, l->stage->base, l->stage->map.size);
}

void
lab_remove(lab *l)
{
    lab_clear_stage(l);
    lab_copy_stage(l);
    ashm_close(l->stage);
    ashm_close(l->worker);
    ashm_close(l->copy);
    ashm_close(l->heir);
    segment_remove(&l->stage_objects);
    segment_remove(&l->copy_objects);
    free(l->begin);
}

static void
drain(int bell)
{
    char bytes[256];

    while (read(bell, bytes, sizeof bytes) > 0) {
    }
}

void
lab_clear_stage(lab *l)
{
    ashm *a = l->stage;
    header_shm *old = (header_shm *)l->begin;
    lab_part parts[LAB_PARTS];

    for (uint32_t slot = 1; slot < LAB_SLOTS; slot++) {
        doorbell_unlink(a, slot, handle_slot(a, slot)->generation);
    }
    lab_parts(a, parts);
    for (int i = 0; i < LAB_PARTS; i++) {
        memcpy(a->base + parts[i].at, l->begin + parts[i].at, parts[i].size);
    }
    memcpy(a->header, old, PAGE_SIZE_SHM);
    drain(l->stage_bell);
    lab_settle_down(a);
    lab_settle_down(l->worker);
}

void
lab_copy_stage(lab *l)
{
    lab_part parts[LAB_PARTS];

    lab_parts(l->stage, parts);
    for (int i = 0; i < LAB_PARTS; i++) {
        memcpy(l->copy->base + parts[i].at, l->stage->base + parts[i].at, parts[i].size);
    }
    drain(l->copy_bell);
    lab_settle_down(l->copy);
    lab_settle_down(l->heir);
}

/* ---- messages ---- */

static char body[MIB + 1];
static size_t body_length;

void
lab_prepare(uint32_t number, size_t length)
{
    uint32_t head[2] = {number, (uint32_t)length};

    EXPECT(length >= sizeof head && length <= MIB);
    memset(body, (int)(number * 31 + 7), length);
    memcpy(body, head, sizeof head);
    body_length = length;
}

int
lab_send_prepared(ashm *a, const char *channel, uint64_t expiry, uint32_t capacity)
{
    return ashm_send(a, channel, strlen(channel), body, body_length, expiry, capacity);
}

int
lab_send(ashm *a, const char *channel, uint32_t number, size_t length, uint64_t expiry,
         uint32_t capacity)
{
    lab_prepare(number, length);
    return lab_send_prepared(a, channel, expiry, capacity);
}

int
lab_group_send(ashm *a, const char *group, uint32_t number, size_t length)
{
    ashm_reached reached = {{0}};

    lab_prepare(number, length);
    return ashm_group_send(a, group, strlen(group), body, length, 60 * SECOND, &reached);
}

uint32_t
lab_receive(ashm *a, const char *channel)
{
    uint32_t head[2];
    ashm_received out;
    int rc = ashm_receive(a, channel, strlen(channel), 0, 0, body, MIB, &out);

    if (rc == ASHM_EMPTY) {
        return 0;
    }
    OK(rc);
    memcpy(head, body, sizeof head);
    EXPECT_EQ(out.length, head[1]);
    if (out.length > sizeof head) {
        EXPECT_EQ((unsigned char)body[sizeof head], (head[0] * 31 + 7) & 0xff);
        EXPECT(memcmp(body + sizeof head, body + sizeof head + 1,
                      out.length - sizeof head - 1) == 0);
    }
    return head[0];
}

/* ---- facts ---- */

static void
copy_name(tx *t, uint32_t node, char name[ASHM_NAME_MAX + 1])
{
    uint32_t length = node_at(t, node)->name_length;

    memcpy(name, node_name(t, node), length);
    name[length] = '\0';
}

static void
add_fact(facts *f, const fact *new)
{
    EXPECT(f->count < LAB_FACTS);
    f->list[f->count++] = *new;
}

typedef struct names {
    char list[LAB_FACTS][ASHM_NAME_MAX + 1];
    uint32_t count;
} names;

/* Calls `visit` for each record of a mailbox, which is held. */
static void
each_record(tx *t, void (*visit)(tx *t, uint32_t node, void *argument), void *argument)
{
    for (uint32_t bucket = 0; bucket < t->mailbox->table.buckets; bucket++) {
        uint32_t node = table_bucket(t, bucket);

        for (; node != 0; node = node_at(t, node)->next) {
            visit(t, node, argument);
        }
    }
    OK(tx_commit(t));
}

static void
note_membership(tx *t, uint32_t node, void *argument)
{
    fact found = {.kind = 'g'};

    if (node_at(t, node)->kind == NODE_MEMBER) {
        copy_name(t, member_at(t, node)->group, found.first);
        copy_name(t, member_at(t, node)->channel, found.second);
        add_fact(argument, &found);
    }
}

static void
note_channel(tx *t, uint32_t node, void *argument)
{
    names *n = argument;

    if (node_at(t, node)->kind == NODE_CHANNEL && channel_at(t, node)->live != 0) {
        EXPECT(n->count < LAB_FACTS);
        copy_name(t, node, n->list[n->count++]);
    }
}

static void
take_messages(ashm *a, const char *channel, facts *f)
{
    fact found = {.kind = 'm'};
    uint32_t before = 0;

    snprintf(found.first, sizeof found.first, "%s", channel);
    while ((found.message = lab_receive(a, channel)) != 0) {
        if (found.message <= before) {
            test_failed(__FILE__, __LINE__, "%s: message %u comes after message %u", channel,
                        found.message, before);
        }
        before = found.message;
        add_fact(f, &found);
    }
}

static int
compare_facts(const void *one, const void *other)
{
    const fact *a = one, *b = other;
    int order = a->kind - b->kind;

    order = order != 0 ? order : strcmp(a->first, b->first);
    order = order != 0 ? order : strcmp(a->second, b->second);
    return order != 0 ? order : (a->message > b->message) - (a->message < b->message);
}

void
facts_take(ashm *a, facts *f)
{
    static names channels;
    uint32_t own = COMMONS + a->own->slot;
    tx t;

    f->count = 0;
    channels.count = 0;
    lane_open(a, &t);
    for (uint32_t i = 0; i <= COMMONS; i++) {
        OK(mailbox_enter(&t, i < COMMONS ? i : own));
        each_record(&t, note_membership, f);
        each_record(&t, note_channel, &channels);
        mailbox_leave(&t);
    }
    tx_close(&t);
    for (uint32_t i = 0; i < channels.count; i++) {
        take_messages(a, channels.list[i], f);
    }
    qsort(f->list, f->count, sizeof f->list[0], compare_facts);
}

static uint32_t
count(const facts *f, const fact *searched)
{
    const fact *found = bsearch(searched, f->list, f->count, sizeof f->list[0], compare_facts);
    const fact *end = f->list + f->count;
    uint32_t n = 1;

    if (found == NULL) {
        return 0;
    }
    for (const fact *at = found + 1; at < end && compare_facts(at, searched) == 0; at++) {
        n++;
    }
    for (const fact *at = found; at > f->list && compare_facts(at - 1, searched) == 0; at--) {
        n++;
    }
    return n;
}

static void
compare_one(const fact *one, const facts *f, const facts *before, const facts *after)
{
    uint32_t n = count(f, one), b = count(before, one), a = count(after, one);

    if (n > (b > a ? b : a) || n < (b < a ? b : a)) {
        test_failed(__FILE__, __LINE__,
                    "%s %s %s%u: %u times before, %u times after, %u times if killed between",
                    one->kind == 'm' ? "message in" : "member", one->first, one->second,
                    one->message, b, a, n);
    }
}

void
facts_compare(const facts *f, const facts *before, const facts *after)
{
    for (uint32_t i = 0; i < f->count; i++) {
        compare_one(&f->list[i], f, before, after);
    }
    for (uint32_t i = 0; i < before->count; i++) {
        compare_one(&before->list[i], f, before, after);
    }
}

/* ---- nothing is left ---- */

static void
note_any_channel(tx *t, uint32_t node, void *argument)
{
    names *n = argument;

    if (node_at(t, node)->kind == NODE_CHANNEL && n->count < LAB_FACTS) {
        copy_name(t, node, n->list[n->count++]);
    }
}

static void
stop_waiting(ashm *a)
{
    static names channels;
    tx t;

    channels.count = 0;
    lane_open(a, &t);
    for (uint32_t i = 0; i <= COMMONS; i++) {
        OK(mailbox_enter(&t, i < COMMONS ? i : COMMONS + a->own->slot));
        each_record(&t, note_any_channel, &channels);
        mailbox_leave(&t);
    }
    tx_close(&t);
    for (uint32_t i = 0; i < channels.count; i++) {
        OK(ashm_unwait(a, channels.list[i], strlen(channels.list[i])));
    }
}

void
lab_expect_no_leak(ashm *a)
{
    uint64_t cookies[64];
    size_t n;

    stop_waiting(a);
    OK(ashm_ready(a, cookies, 64, &n));
    OK(ashm_flush(a));
    OK(ashm_sweep(a));
    verified(a);
    emptied(a);
}

void
lab_expect_idle(ashm *a, uint32_t index)
{
    const slot_shm *slot = handle_slot(a, index);

    for (int i = 0; i < LANES; i++) {
        EXPECT_EQ(slot->lanes[i].count, 0);
        EXPECT_EQ(slot->lanes[i].held, 0);
        for (int j = 0; j < BELL_WORDS; j++) {
            EXPECT_EQ(slot->lanes[i].bells[j], 0);
        }
    }
}

void
lab_expect_free(ashm *a, uint32_t index)
{
    const slot_shm *slot = handle_slot(a, index);

    EXPECT_EQ(slot->state, SLOT_FREE);
    EXPECT_EQ(slot->mailbox.table.count, 0);
    EXPECT_EQ(slot->mailbox.table.directory, 0);
    lab_expect_idle(a, index);
}

/* test_verify.c: verify finds damage wherever it is done, changes nothing, and no operation on
 * a damaged segment ends in a signal or a hang. */
#include "verify.h"

#include <stdio.h>
#include <unistd.h>

#include "maintain.h"
#include "slots.h"
#include "support.h"

/* A segment with one of everything. */
typedef struct {
    segment s;
    ashm *a, *b;
    char own[ASHM_NAME_MAX + 1];
} fixture;

static void
begin(fixture *f)
{
    char text[32];

    f->a = fixture_begin(&f->s);
    f->b = segment_open(&f->s);
    own_channel(f->a, "x", f->own);
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "%d", i);
        OK(put(f->a, "work", text));
        OK(put(f->b, f->own, text));
    }
    OK(ashm_send(f->a, "large", 5, f->a->base, 20000, 60 * SECOND, 10));
    OK(join(f->a, "room", f->own));
    OK(join(f->a, "room", "work"));
    OK(join(f->a, "room", "other"));
    OK(join(f->a, "hall", "work"));
    EXPECT_EQ(wait_for(f->a, "idle", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(f->b, "idle", 2), ASHM_EMPTY);
    EXPECT_EQ(wait_for(f->b, "woken", 3), ASHM_EMPTY);
    OK(put(f->a, "woken", "x"));
    OK(tell(f->b, "room", "not settled in a's mailbox"));
    verified(f->a);
}

static void
end(fixture *f)
{
    verified(f->a);
    ashm_close(f->b);
    fixture_end(&f->s, f->a);
}

/* The record of a name, in the mailbox that this channel is in. */
static void *
record_of(fixture *f, enum node_kind kind, const char *name, const char *channel)
{
    address at = slots_address(f->a, channel, strlen(channel));
    uint32_t node;
    void *record;
    tx t;

    mailbox_hold(f->a, &t, at.mailbox);
    node = table_find_name(&t, kind, hash_of(f->a, name), name, strlen(name));
    EXPECT(node != 0);
    record = node_at(&t, node);
    mailbox_let_go(&t);
    return record;
}

static channel_shm *
channel_of(fixture *f, const char *name)
{
    return record_of(f, NODE_CHANNEL, name, name);
}

/* Is a word that says something else found? It is put right again. */
#define FINDS(f, field, wrong)                                                                 \
    do {                                                                                       \
        __typeof__(field) right_ = (field);                                                    \
        char report_[200] = "";                                                                \
                                                                                               \
        EXPECT(right_ != (wrong));                                                             \
        (field) = (wrong);                                                                     \
        EXPECT_EQ(ashm_verify((f)->a, report_, sizeof report_), ASHM_CORRUPT);                 \
        EXPECT(report_[0] != '\0');                                                            \
        (field) = right_;                                                                      \
        verified((f)->a);                                                                      \
    } while (0)

static void
test_damaged_queues(void)
{
    fixture f;
    channel_shm *c;
    tx t;

    begin(&f);
    c = channel_of(&f, "work");
    FINDS(&f, c->live, c->live + 1);
    FINDS(&f, c->live, 0);
    FINDS(&f, c->head, c->head + 1);
    FINDS(&f, c->head, c->head - 100);
    FINDS(&f, c->ring, c->ring + 1);
    FINDS(&f, c->ring, 0);
    FINDS(&f, c->ring, UINT32_MAX);
    FINDS(&f, c->node.log2, 0);
    FINDS(&f, c->node.log2, 17);
    FINDS(&f, c->node.log2, 19);
    FINDS(&f, c->node.log2, 77);
    FINDS(&f, c->earliest, UINT32_MAX);
    mailbox_hold(f.a, &t, slots_address(f.a, "work", 4).mailbox);
    entry_shm *entry = queue_entry(&t, c, c->head + 1);
    mailbox_let_go(&t);
    FINDS(&f, entry->message, 0);
    FINDS(&f, entry->message, entry->message + 1);
    FINDS(&f, entry->message, UINT32_MAX);
    FINDS(&f, entry->sequence, entry->sequence + 50);
    FINDS(&f, entry->deadline, 0);
    end(&f);
}

static void
test_damaged_names_and_tables(void)
{
    fixture f;
    channel_shm *c;
    group_shm *g;
    table_shm *table;

    begin(&f);
    c = channel_of(&f, "work");
    g = record_of(&f, NODE_GROUP, "hall", "work");
    table = &handle_mailbox(f.a, slots_address(f.a, "work", 4).mailbox)->table;
    FINDS(&f, c->name[0], 'W');
    FINDS(&f, g->name[0], 'H');
    FINDS(&f, c->node.name_length, 3);
    FINDS(&f, c->node.hash, c->node.hash + 1);
    FINDS(&f, c->node.kind, NODE_GROUP);
    FINDS(&f, c->node.kind, 77);
    FINDS(&f, c->node.next, UINT32_MAX);
    FINDS(&f, g->node.hash, g->node.hash + 1);
    FINDS(&f, table->count, table->count - 1);
    FINDS(&f, table->buckets, 0);
    FINDS(&f, table->directory, 0);
    FINDS(&f, table->directory, table->directory + 1);
    end(&f);
}

static void
test_damaged_groups(void)
{
    fixture f;
    group_shm *g;
    mailbox_shm *mailbox;
    member_shm *m;
    page_shm *page;
    tx t;

    begin(&f);
    g = record_of(&f, NODE_GROUP, "hall", "work");
    mailbox = handle_mailbox(f.a, slots_address(f.a, "work", 4).mailbox);
    mailbox_hold(f.a, &t, slots_address(f.a, "work", 4).mailbox);
    m = member_at(&t, g->head);
    page = page_record(&t, TABLES, g->head / UNITS_PER_PAGE);
    mailbox_let_go(&t);
    FINDS(&f, g->count, 2);
    FINDS(&f, g->head, 0);
    FINDS(&f, g->tail, 0);
    FINDS(&f, m->group_next, g->head);
    FINDS(&f, m->channel, m->group);
    FINDS(&f, m->channel_prev, 5);
    FINDS(&f, m->group_prev, 5);
    for (int i = 0; i < FREE_WORDS; i++) {
        FINDS(&f, page->free[i], page->free[i] ^ 1u << 20);
    }
    FINDS(&f, page->free[2], page->free[2] | 1u << 21); /* there are 85 */
    FINDS(&f, mailbox->heap.partial[0], 0);
    for (int i = 0; i < FILTER_BUCKETS; i++) {
        FINDS(&f, mailbox->filter[i], mailbox->filter[i] + 1);
    }
    end(&f);
}

static void
test_damaged_waiters(void)
{
    fixture f;
    channel_shm *c;
    waiter_shm *w;
    tx t;

    begin(&f);
    c = channel_of(&f, "idle");
    mailbox_hold(f.a, &t, slots_address(f.a, "idle", 4).mailbox);
    w = waiter_at(&t, c->waiting_head);
    mailbox_let_go(&t);
    FINDS(&f, c->waiting_head, 0);
    FINDS(&f, c->waiting_tail, 0);
    FINDS(&f, c->waiters, 1);
    FINDS(&f, w->state, WAITER_IDLE);
    FINDS(&f, w->state, 9);
    FINDS(&f, w->slot, 1);
    FINDS(&f, w->slot, ASHM_SLOTS);
    FINDS(&f, w->queued, 1);
    FINDS(&f, w->next, 0);
    FINDS(&f, w->slot_prev, 3);
    c = channel_of(&f, "woken"); /* a message, and nobody who was told */
    mailbox_hold(f.a, &t, slots_address(f.a, "woken", 5).mailbox);
    w = waiter_at(&t, table_find_waiter(
                          &t, table_find_name(&t, NODE_CHANNEL, c->node.hash, "woken", 5), 1));
    mailbox_let_go(&t);
    FINDS(&f, w->queued, 0);
    end(&f);
}

static void
test_damaged_memory(void)
{
    fixture f;
    header_shm *h;
    channel_shm *c;
    message_shm *m;
    page_shm *page, *split, *medium;
    const entry_shm *entry;
    uint32_t position;
    tx t;

    begin(&f);
    OK(ashm_send(f.a, "medium", 6, f.a->base, 200, 60 * SECOND, 10));
    h = f.a->header;
    c = channel_of(&f, "large");
    mailbox_hold(f.a, &t, slots_address(f.a, "large", 5).mailbox);
    entry = queue_front(&t, c, &position);
    m = section_at(&t, MESSAGES, entry->message, sizeof *m);
    page = page_record(&t, MESSAGES, entry->message / UNITS_PER_PAGE);
    split = page_record(&t, MESSAGES, h->message_heap.partial[0]);
    medium = page_record(&t, MESSAGES, h->message_heap.partial[block_class_for(200)]);
    mailbox_let_go(&t);
    FINDS(&f, m->refs, 2);
    FINDS(&f, m->refs, 0);
    FINDS(&f, m->length, 30000);
    FINDS(&f, m->length, 100);
    FINDS(&f, m->length, UINT32_MAX);
    FINDS(&f, page->next, 0);
    FINDS(&f, page->next, page->next + 1);
    FINDS(&f, page->class, 1);
    FINDS(&f, page->free[0], 3);
    FINDS(&f, split->free[0], split->free[0] ^ 1);
    FINDS(&f, split->free[1], split->free[1] ^ 1u << 31);
    FINDS(&f, split->free[2], split->free[2] ^ 1u << 20);
    FINDS(&f, split->free[2], split->free[2] | 1u << 21); /* there are 85 */
    FINDS(&f, split->class, 2);
    FINDS(&f, medium->free[0], medium->free[0] | 1u << 20);
    FINDS(&f, medium->free[1], 1);
    FINDS(&f, split->prev, 9);
    FINDS(&f, h->message_heap.partial[0], 0);
    for (int i = 0; i < SECTIONS; i++) {
        FINDS(&f, h->arenas[i].used, 0);
        FINDS(&f, h->arenas[i].used, h->arenas[i].used + 1);
        FINDS(&f, h->arenas[i].used, UINT32_MAX);
        FINDS(&f, h->arenas[i].free_count, h->arenas[i].free_count + 1);
        FINDS(&f, h->arenas[i].free_head, 1);
        FINDS(&f, h->arenas[i].free_head, UINT32_MAX);
    }
    end(&f);
}

/* Each unit of the page belongs to something, as with one of a chain. */
static void
test_a_full_page_with_a_free_block(void)
{
    fixture f;
    page_shm *page;
    uint32_t number;
    tx t;

    begin(&f);
    OK(ashm_send(f.a, "full", 4, f.a->base, 50, 60 * SECOND, 64));
    number = f.a->header->message_heap.partial[block_class_for(50 + sizeof(message_shm))];
    for (int i = 1; i < 64; i++) {
        OK(ashm_send(f.a, "full", 4, f.a->base, 50, 60 * SECOND, 64));
    }
    mailbox_hold(f.a, &t, 0);
    page = page_record(&t, MESSAGES, number);
    mailbox_let_go(&t);
    EXPECT_EQ(page->class, 2);
    EXPECT(!page_has_free(page));
    FINDS(&f, page->free[0], 1);
    FINDS(&f, page->free[1], 1u << 31);
    end(&f);
}

static void
test_damaged_slots(void)
{
    fixture f;
    lane_shm *lane;
    mailbox_shm *mailbox;

    begin(&f);
    lane = &handle_slot(f.a, 1)->lanes[2];
    mailbox = handle_mailbox(f.a, COMMONS);
    FINDS(&f, lane->count, 1);
    FINDS(&f, lane->held, UNITS_PER_PAGE);
    FINDS(&f, lane->held_refs, 1);
    FINDS(&f, mailbox->broadcast_tail, mailbox->broadcast_tail + 1);
    FINDS(&f, mailbox->broadcast_head, mailbox->broadcast_head - 100);
    FINDS(&f, mailbox->ring[0].message, 3);
    FINDS(&f, mailbox->ring[0].group, mailbox->ring[0].group + 1);
    end(&f);
}

static void
test_verify_changes_nothing(void)
{
    fixture f;
    char *before, report[100];
    size_t size;

    begin(&f);
    size = f.a->map.size;
    before = malloc(size);
    EXPECT(before != NULL);
    memcpy(before, f.a->base, size);
    OK(ashm_verify(f.a, report, sizeof report));
    EXPECT(memcmp(before, f.a->base, size) == 0);
    free(before);
    end(&f);
}

/* ---- lists that do not end ---- */

static void
test_a_ready_list_that_is_a_circle(void)
{
    fixture f;
    channel_shm *c;
    waiter_shm *w;
    waitlist_shm *list;
    uint32_t waiter, mailbox;
    uint64_t cookies[8];
    size_t n;
    tx t;

    begin(&f);
    c = channel_of(&f, "woken");
    mailbox = slots_address(f.b, "woken", 5).mailbox;
    mailbox_hold(f.a, &t, mailbox);
    waiter = table_find_waiter(&t, table_find_name(&t, NODE_CHANNEL, c->node.hash, "woken", 5),
                               f.b->own->slot);
    w = waiter_at(&t, waiter);
    mailbox_let_go(&t);
    list = (waitlist_shm *)(void *)(f.a->base + f.a->map.waitlists) + mailbox * ASHM_SLOTS +
           f.b->own->slot;
    EXPECT_EQ(list->ready_head, waiter);
    for (uint32_t state = WAITER_IDLE; state <= WAITER_RUNG; state++) {
        w->state = state;
        w->ready_next = waiter;
        w->queued = 1;
        EXPECT_EQ(ashm_ready(f.b, cookies, 8, &n), ASHM_CORRUPT);
    }
    w->ready_next = 0;
    end(&f);
}

/* Buckets that hold the same records: each record may be visited once only. */
static void
test_a_table_of_one_page_of_buckets_many_times(void)
{
    fixture f;
    table_shm *table;
    uint32_t *directory;
    char report[100];
    ashm_info info;
    tx t;

    begin(&f);
    table = &handle_mailbox(f.a, slots_address(f.a, "work", 4).mailbox)->table;
    mailbox_hold(f.a, &t, slots_address(f.a, "work", 4).mailbox);
    directory = record_at(&t, page_reference(table->directory), PAGE_SIZE_SHM);
    mailbox_let_go(&t);
    for (int i = 1; i < TABLE_BUCKETS_PER_PAGE; i++) {
        directory[i] = directory[0];
    }
    table->buckets = TABLE_BUCKETS_MAX;
    EXPECT_EQ(ashm_sweep(f.a), ASHM_CORRUPT);
    EXPECT_EQ(ashm_flush(f.a), ASHM_CORRUPT);
    EXPECT_EQ(ashm_get_info(f.a, &info), ASHM_CORRUPT);
    EXPECT_EQ(ashm_verify(f.a, report, sizeof report), ASHM_CORRUPT);
    ashm_close(f.b);
    ashm_close(f.a);
    segment_remove(&f.s);
}

/* ---- any damage ---- */

static uint32_t random_state;

static uint32_t
random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(random_state >> 8) * limit >> 24);
}

/* Bytes of the segment that somebody uses. */
static size_t
random_offset(const ashm *a)
{
    const section_map *map = &a->map;

    switch (random_below(6)) {
    case 0:
        return random_below(sizeof(header_shm));
    case 1:
        return map->commons + random_below(COMMONS * sizeof(mailbox_shm));
    case 2:
        return map->slots + random_below(2 * sizeof(slot_shm));
    case 3:
        return map->section[random_below(2)].records + random_below(12 * sizeof(page_shm));
    default:
        return map->section[random_below(2)].pages + PAGE_SIZE_SHM +
               random_below(10 * PAGE_SIZE_SHM);
    }
}

/* Whatever comes back, it comes back. */
static void
use_damaged(fixture *f)
{
    static char buffer[MIB];
    static const char *const channels[] = {"work",  "large", "idle", "woken",
                                           "other", "new",   "x!"};
    ashm *a = f->a;
    uint64_t cookies[8];
    char report[100];
    ashm_received out;
    ashm_info info;
    size_t n;

    store_relaxed64(&a->reclaim_at, 0);
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        (void)put(a, channels[i], "more");
        (void)ashm_receive(a, channels[i], strlen(channels[i]), i % 2 ? ASHM_WAIT : 0, i,
                           buffer, sizeof buffer, &out);
    }
    (void)ashm_receive(a, f->own, strlen(f->own), 0, 0, buffer, sizeof buffer, &out);
    (void)tell(a, "room", "x");
    (void)join(a, "room", "large");
    (void)leave(a, "room", "work");
    (void)ashm_ready(a, cookies, 8, &n);
    (void)ashm_get_info(a, &info);
    (void)ashm_verify(a, report, sizeof report);
    ashm_set_clock(a, 1000 * SECOND);
    (void)ashm_tick(a);
    (void)ashm_sweep(a);
    (void)ashm_flush(a);
}

static void
test_no_damage_ends_in_a_signal_or_a_hang(void)
{
    enum { ROUNDS = 400 };
    fixture f;
    char *right;

    begin(&f);
    f.a->lock_wait_ns = f.b->lock_wait_ns = 0; /* a lock word may be damaged, too */
    right = malloc(f.a->map.size);
    EXPECT(right != NULL);
    memcpy(right, f.a->base, f.a->map.size);
    for (int round = 0; round < ROUNDS; round++) {
        random_state = (uint32_t)round * 7919;
        snprintf(test_context, sizeof test_context, "round %d", round);
        for (uint32_t i = random_below(4) + 1; i > 0; i--) {
            uint32_t word = random_below(3) == 0 ? UINT32_MAX : random_below(1u << 24);

            memcpy(f.a->base + random_offset(f.a) / 4 * 4, &word, 4);
        }
        alarm(20);
        use_damaged(&f);
        memcpy(f.a->base, right, f.a->map.size);
    }
    test_context[0] = '\0';
    free(right);
    end(&f);
}

int
main(void)
{
    RUN(test_damaged_queues);
    RUN(test_damaged_names_and_tables);
    RUN(test_damaged_groups);
    RUN(test_damaged_waiters);
    RUN(test_damaged_memory);
    RUN(test_a_full_page_with_a_free_block);
    RUN(test_damaged_slots);
    RUN(test_verify_changes_nothing);
    RUN(test_a_ready_list_that_is_a_circle);
    RUN(test_a_table_of_one_page_of_buckets_many_times);
    RUN(test_no_damage_ends_in_a_signal_or_a_hang);
    return tests_end();
}

/* test_queue.c: a queue is first in, first out, whatever ring it lies in. */
#include "queue.h"

#include "channels.h"
#include "messages.h"
#include "support.h"

/* A channel in mailbox 0, which the lane holds, and one message that all entries refer to. */
typedef struct {
    segment s;
    ashm *a;
    tx t;
    channel_shm *channel;
    uint32_t node, message;
    uint32_t next; /* number of the next entry, kept as its deadline */
    uint32_t first;
} fixture;

static void
begin(fixture *f)
{
    tx maker;

    memset(f, 0, sizeof *f);
    segment_make(&f->s);
    f->s.options.group_memory = 16 * MIB;
    f->a = segment_open(&f->s);
    ashm_set_clock(f->a, SECOND);
    lane_open(f->a, &maker);
    OK(message_make(&maker, 8, 1, &f->message)); /* held by this lane to the end */
    mailbox_hold(f->a, &f->t, 0);
    f->node = channel_make(&f->t, 1, "c", 1);
    EXPECT(f->node != 0);
    f->channel = channel_at(&f->t, f->node);
    OK(tx_commit(&f->t));
    tx_close(&maker);
}

static void
end(fixture *f)
{
    OK(queue_clear(&f->t, f->channel));
    channel_remove(&f->t, f->node);
    OK(tx_commit(&f->t));
    mailbox_let_go(&f->t);
    fixture_end(&f->s, f->a); /* whose operations give the held message back */
}

/* Deadlines far ahead, and rising. */
static uint64_t
deadline_of_number(uint32_t n)
{
    return 1000 * SECOND + n;
}

static bool
push(fixture *f)
{
    bool pushed = queue_push(&f->t, f->channel, f->message, deadline_of_number(f->next));

    if (pushed) {
        f->next++;
        message_ref(&f->t, f->message, 1);
    }
    OK(tx_commit(&f->t));
    return pushed;
}

static void
push_expiring(fixture *f, uint64_t deadline)
{
    EXPECT(queue_push(&f->t, f->channel, f->message, deadline));
    message_ref(&f->t, f->message, 1);
    OK(tx_commit(&f->t));
}

static void
pop(fixture *f)
{
    uint32_t position;
    const entry_shm *entry = queue_front(&f->t, f->channel, &position);

    EXPECT(entry != NULL);
    EXPECT_EQ(entry->deadline, deadline_of_number(f->first));
    f->first++;
    queue_pop(&f->t, f->channel, position);
    message_unref(&f->t, f->message, 1);
    OK(tx_commit(&f->t));
}

static void
expect_empty(fixture *f)
{
    uint32_t position;

    EXPECT(queue_front(&f->t, f->channel, &position) == NULL);
    EXPECT_EQ(f->t.fault, 0);
    EXPECT_EQ(f->channel->live, 0);
}

/* ---- the tests ---- */

static void
test_the_first_entries_lie_in_the_record(void)
{
    fixture f;

    begin(&f);
    expect_empty(&f);
    for (int round = 0; round < 10; round++) {
        EXPECT(push(&f) && push(&f));
        EXPECT_EQ(f.channel->node.log2, 0);
        pop(&f);
        pop(&f);
        expect_empty(&f);
    }
    end(&f);
}

static void
test_it_grows_from_a_block_over_a_page_to_a_page_of_pages(void)
{
    static const struct {
        uint32_t entries, log2;
    } steps[] = {{2, 0}, {3, 2}, {5, 3}, {128, 7}, {129, 8}, {256, 8}, {257, 9}, {2000, 11}};
    fixture f;

    begin(&f);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        while (f.next < steps[i].entries) {
            EXPECT(push(&f));
        }
        EXPECT_EQ(f.channel->node.log2, steps[i].log2);
    }
    while (f.first < f.next) {
        pop(&f);
    }
    expect_empty(&f);
    queue_shrink(&f.t, f.channel);
    OK(tx_commit(&f.t));
    EXPECT_EQ(f.channel->node.log2, 0);
    EXPECT_EQ(f.channel->ring, 0);
    EXPECT(push(&f));
    EXPECT_EQ(f.channel->tail, f.next); /* it counts what was ever pushed */
    pop(&f);
    end(&f);
}

static void
test_it_wraps_and_keeps_its_size(void)
{
    static const uint32_t fills[] = {1, 2, 4, 7, 100, 255, 300};
    fixture f;

    begin(&f);
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        uint32_t log2;

        while (f.next - f.first < fills[i]) {
            EXPECT(push(&f));
        }
        log2 = f.channel->node.log2;
        for (int j = 0; j < 1000; j++) { /* round and round */
            pop(&f);
            EXPECT(push(&f));
        }
        EXPECT_EQ(f.channel->node.log2, log2);
    }
    end(&f);
}

static void
test_it_grows_while_it_is_wrapped(void)
{
    fixture f;

    begin(&f);
    for (int i = 0; i < 600; i++) {
        EXPECT(push(&f));
        EXPECT(push(&f));
        pop(&f);
    }
    EXPECT_EQ(f.channel->tail, f.next);
    while (f.first < f.next) {
        pop(&f);
    }
    expect_empty(&f);
    end(&f);
}

static void
test_what_expires_leaves_holes_that_are_passed_over(void)
{
    fixture f;

    begin(&f);
    EXPECT(push(&f)); /* 0 */
    push_expiring(&f, 2 * SECOND);
    EXPECT(push(&f)); /* 1 */
    push_expiring(&f, 3 * SECOND);
    f.t.now = 2 * SECOND;
    OK(queue_expire(&f.t, f.channel));
    EXPECT_EQ(f.channel->live, 3);
    pop(&f);
    f.t.now = 10 * SECOND;
    OK(queue_expire(&f.t, f.channel));
    EXPECT_EQ(f.channel->live, 1);
    EXPECT_EQ(f.t.mailbox->expired, 2);
    pop(&f);
    expect_empty(&f);
    end(&f);
}

static void
test_an_entry_expires_at_its_deadline_and_not_before(void)
{
    fixture f;

    begin(&f);
    push_expiring(&f, 5 * SECOND);
    f.t.now = 5 * SECOND - 1;
    OK(queue_expire(&f.t, f.channel));
    EXPECT_EQ(f.channel->live, 1);
    f.t.now = 5 * SECOND;
    OK(queue_expire(&f.t, f.channel));
    EXPECT_EQ(f.channel->live, 0);
    push_expiring(&f, ASHM_NEVER);
    f.t.now = ASHM_NEVER - 1;
    OK(queue_expire(&f.t, f.channel));
    EXPECT_EQ(f.channel->live, 1);
    end(&f);
}

static void
test_a_ring_full_of_holes_is_written_anew_in_its_size(void)
{
    fixture f;

    begin(&f);
    EXPECT(push(&f));
    for (int i = 0; i < 7; i++) {
        push_expiring(&f, 2 * SECOND);
    }
    EXPECT_EQ(f.channel->node.log2, 3);
    f.t.now = 2 * SECOND;
    OK(queue_expire(&f.t, f.channel));
    EXPECT_EQ(f.channel->tail - f.channel->head, 8);
    EXPECT(push(&f));
    EXPECT_EQ(f.channel->node.log2, 3);
    EXPECT_EQ(f.channel->tail - f.channel->head, 2);
    pop(&f);
    pop(&f);
    expect_empty(&f);
    end(&f);
}

static void
test_a_ring_of_the_largest_size_is_never_outgrown(void)
{
    fixture f;

    begin(&f);
    EXPECT(push(&f));
    push_expiring(&f, 2 * SECOND); /* a hole to be, in the middle */
    while (f.channel->live < ASHM_CAPACITY_MAX) {
        EXPECT(push(&f));
    }
    EXPECT_EQ(f.channel->tail - f.channel->head, ASHM_CAPACITY_MAX);
    f.t.now = 2 * SECOND;
    OK(queue_expire(&f.t, f.channel));
    EXPECT_EQ(f.channel->live, ASHM_CAPACITY_MAX - 1);
    EXPECT(push(&f));
    EXPECT_EQ(f.channel->live, ASHM_CAPACITY_MAX);
    for (int i = 0; i < 100; i++) {
        pop(&f);
    }
    end(&f);
}

static void
test_positions_may_run_over(void)
{
    fixture f;

    begin(&f);
    for (int i = 0; i < 4; i++) {
        EXPECT(push(&f));
    }
    while (f.first < f.next) {
        pop(&f);
    }
    f.channel->head = f.channel->tail = UINT32_MAX - 1;
    f.t.mailbox->sequence = UINT32_MAX - 1;
    for (int i = 0; i < 3; i++) {
        EXPECT(push(&f));
    }
    EXPECT(f.channel->tail < f.channel->head);
    for (int i = 0; i < 3; i++) {
        pop(&f);
    }
    expect_empty(&f);
    end(&f);
}

static void
test_without_memory_for_a_larger_ring_nothing_changes(void)
{
    fixture f;
    uint32_t all;

    begin(&f);
    for (int i = 0; i < 128; i++) {
        EXPECT(push(&f));
    }
    all = pages_take(&f.t, TABLES,
                     f.a->map.section[TABLES].count - f.a->header->arenas[TABLES].used +
                         f.a->header->arenas[TABLES].free_count);
    EXPECT(all != 0);
    OK(tx_commit(&f.t));
    EXPECT(!push(&f));
    EXPECT_EQ(f.t.shortage, ASHM_TABLES_FULL);
    EXPECT_EQ(f.channel->live, 128);
    pages_give(&f.t, TABLES, all);
    OK(tx_commit(&f.t));
    EXPECT(push(&f));
    while (f.first < f.next) {
        pop(&f);
    }
    end(&f);
}

static void
test_positions_that_make_no_sense_are_found(void)
{
    fixture f;
    uint32_t position, head;

    begin(&f);
    EXPECT(push(&f) && push(&f) && push(&f));
    head = f.channel->head;
    f.channel->head = head - 2; /* more entries than the ring has */
    EXPECT(queue_front(&f.t, f.channel, &position) == NULL);
    EXPECT_EQ(tx_commit(&f.t), ASHM_CORRUPT);
    f.channel->head = head;
    f.channel->live = 4; /* more than lie between head and tail */
    EXPECT(!queue_push(&f.t, f.channel, f.message, ASHM_NEVER));
    EXPECT_EQ(tx_commit(&f.t), ASHM_CORRUPT);
    f.channel->live = 3;
    f.channel->node.log2 = 40;
    EXPECT(queue_front(&f.t, f.channel, &position) == NULL);
    EXPECT_EQ(tx_commit(&f.t), ASHM_CORRUPT);
    f.channel->node.log2 = 2;
    end(&f);
}

int
main(void)
{
    RUN(test_the_first_entries_lie_in_the_record);
    RUN(test_it_grows_from_a_block_over_a_page_to_a_page_of_pages);
    RUN(test_it_wraps_and_keeps_its_size);
    RUN(test_it_grows_while_it_is_wrapped);
    RUN(test_what_expires_leaves_holes_that_are_passed_over);
    RUN(test_an_entry_expires_at_its_deadline_and_not_before);
    RUN(test_a_ring_full_of_holes_is_written_anew_in_its_size);
    RUN(test_a_ring_of_the_largest_size_is_never_outgrown);
    RUN(test_positions_may_run_over);
    RUN(test_without_memory_for_a_larger_ring_nothing_changes);
    RUN(test_positions_that_make_no_sense_are_found);
    return tests_end();
}

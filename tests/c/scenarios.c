/* scenarios.c: see scenarios.h. */
#include "scenarios.h"

#include <stdio.h>

#include "maintain.h"
#include "slots.h"

/* Messages that are there before have numbers below 1000, those of the operation from there
 * on: what comes later has the higher number. */
enum { NEW = 1000, MORE = 1001, SMALL = 100, LARGE = MIB };

static int
send_to(ashm *a, const char *channel, uint32_t number, uint32_t capacity)
{
    return lab_send(a, channel, number, SMALL, 60 * SECOND, capacity);
}

static void
fill_channel(ashm *a, const char *channel, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        OK(send_to(a, channel, first + i, ASHM_CAPACITY_MAX));
    }
}

static void
take_from(ashm *a, const char *channel, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        EXPECT(lab_receive(a, channel) != 0);
    }
}

/* As fill_channel(), of messages that have expired by LAB_NOW. */
static void
fill_with_expired(ashm *a, const char *channel, uint32_t first, uint32_t n)
{
    ashm_set_clock(a, LAB_NOW - 100 * SECOND);
    store_relaxed64(&a->tick_at, LAB_NOW - 100 * SECOND + MAINTAIN_INTERVAL);
    fill_channel(a, channel, first, n);
    lab_settle_down(a);
}

/* ---- sending to a channel of the commons ---- */

static int
send_work(ashm *a)
{
    return send_to(a, "work", NEW, 100);
}

static int
send_more_work(ashm *a)
{
    return send_to(a, "work", MORE, 100);
}

/* To a ring larger than `capacity` above. */
static int
send_to_any(ashm *a)
{
    return send_to(a, "work", NEW, ASHM_CAPACITY_MAX);
}

static void
one_waits(lab *l)
{
    fill_channel(l->stage, "work", 1, 1);
}

static void
inline_ring_is_full(lab *l)
{
    fill_channel(l->stage, "work", 1, 2);
}

static void
block_ring_is_full(lab *l)
{
    fill_channel(l->stage, "work", 1, 4);
}

static void
ring_wraps(lab *l)
{
    fill_channel(l->stage, "work", 1, 4);
    take_from(l->stage, "work", 2);
    fill_channel(l->stage, "work", 5, 1);
}

static void
ring_is_full_of_holes(lab *l)
{
    fill_channel(l->stage, "work", 1, 1);
    fill_with_expired(l->stage, "work", 2, 3);
    OK(ashm_sweep(l->stage));
}

static void
full_block_of_128(lab *l)
{
    fill_channel(l->stage, "work", 1, 128);
}

static void
full_page_of_256(lab *l)
{
    fill_channel(l->stage, "work", 1, 256);
}

static int
send_to_full(ashm *a)
{
    return send_to(a, "work", NEW, 4);
}

static void
full_of_expired(lab *l)
{
    fill_with_expired(l->stage, "work", 1, 4);
}

static void
full_with_an_expired_one(lab *l)
{
    fill_channel(l->stage, "work", 1, 2);
    fill_with_expired(l->stage, "work", 3, 1);
    fill_channel(l->stage, "work", 4, 1);
}

static void
buckets_are_about_to_split(lab *l)
{
    char name[20];

    for (int i = 0; i < TABLE_BUCKETS_PER_PAGE; i++) {
        /* One prefix, so one mailbox; a membership keeps each record in use. */
        snprintf(name, sizeof name, "many!%d", i);
        OK(send_to(l->stage, name, 1, 10));
    }
}

static int
send_to_one_more(ashm *a)
{
    return send_to(a, "many!more", NEW, 10);
}

static void
prepare_large(ashm *a)
{
    (void)a;
    lab_prepare(NEW, LARGE);
}

static int
send_large(ashm *a)
{
    return lab_send_prepared(a, "work", 60 * SECOND, 100);
}

static void
memory_is_scattered(lab *l)
{
    /* Pages used and given back in another order, so that a chain has no order, either. */
    for (uint32_t i = 0; i < 20; i++) {
        OK(lab_send(l->stage, i % 2 ? "odd" : "even", i + 1, 5000, 60 * SECOND, 100));
    }
    take_from(l->stage, "odd", 10);
    take_from(l->stage, "even", 10);
}

static void
memory_is_full(lab *l)
{
    OK(lab_send(l->stage, "large", 1, LARGE, 60 * SECOND, 100));
}

static void
memory_is_full_of_expired(lab *l)
{
    ashm_set_clock(l->stage, LAB_NOW - 100 * SECOND);
    store_relaxed64(&l->stage->tick_at, LAB_NOW - 100 * SECOND + MAINTAIN_INTERVAL);
    OK(lab_send(l->stage, "large", 1, LARGE, 60 * SECOND, 100));
    lab_settle_down(l->stage);
}

/* A thread of the child's is in another mailbox, in the middle of a transaction. */
static void
another_thread_is_inside(ashm *a)
{
    static tx t;
    mailbox_shm *mailbox = handle_mailbox(a, COMMONS + a->own->slot);

    mailbox_hold(a, &t, COMMONS + a->own->slot);
    tx_set_atomic64(&t, &mailbox->sent, 12345);
    tx_set32(&t, &mailbox->table.count, 77);
}

/* ---- receiving ---- */

static void
three_wait(lab *l)
{
    fill_channel(l->stage, "work", 1, 3);
}

static int
receive_work(ashm *a)
{
    EXPECT(lab_receive(a, "work") != 0);
    return 0;
}

static int
await_room(ashm *a)
{
    int rung;
    int rc = ashm_await_room(a, "work", 4, SCENARIO_FULL, &rung);

    return rc == ASHM_FULL ? 0 : rc;
}

static void
we_wait_for_room(lab *l)
{
    fill_channel(l->stage, "work", 1, SCENARIO_FULL);
    OK(await_room(l->stage));
}

/* The oldest expires at once. */
static void
we_wait_for_what_is_over(lab *l)
{
    int rung;

    fill_with_expired(l->stage, "work", 1, 1);
    fill_channel(l->stage, "work", 2, SCENARIO_FULL - 1);
    ashm_set_clock(l->stage, LAB_NOW - 100 * SECOND);
    EXPECT_EQ(ashm_await_room(l->stage, "work", 4, SCENARIO_FULL, &rung), ASHM_FULL);
    lab_settle_down(l->stage);
}

static int
receive_nothing(ashm *a)
{
    return lab_receive(a, "work") == 0 ? ASHM_EMPTY : 0;
}

static int
await_work(ashm *a)
{
    return wait_for(a, "work", 1);
}

static void
child_awaits_work(ashm *a)
{
    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
}

static void
large_waits(lab *l)
{
    OK(lab_send(l->stage, "work", 1, 20000, 60 * SECOND, 100));
}

static void
expired_come_first(lab *l)
{
    fill_with_expired(l->stage, "work", 1, 3);
    fill_channel(l->stage, "work", 4, 2);
}

static void
two_of_a_family(lab *l)
{
    fill_channel(l->stage, "family!b", 1, 1);
    fill_channel(l->stage, "family!a", 2, 2);
}

static int
receive_family(ashm *a)
{
    EXPECT_EQ(lab_receive(a, "family!"), 1);
    return 0;
}

static void
child_sends_to_itself(ashm *a)
{
    char name[ASHM_NAME_MAX + 1];

    fill_channel(a, own_channel(a, "mine", name), 500, 3);
}

static int
receive_own(ashm *a)
{
    char name[ASHM_NAME_MAX + 1];

    EXPECT_EQ(lab_receive(a, own_channel(a, "mine", name)), 500);
    return 0;
}

/* ---- waiting, and turns ---- */

static void
we_wait_for_work(lab *l)
{
    EXPECT_EQ(wait_for(l->stage, "work", SCENARIO_COOKIE), ASHM_EMPTY);
}

static void
we_wait_for_family(lab *l)
{
    EXPECT_EQ(wait_for(l->stage, "family!", SCENARIO_COOKIE), ASHM_EMPTY);
}

static int
send_to_family(ashm *a)
{
    return send_to(a, "family!a", NEW, 10);
}

/* The child waited first, so the message is its turn; this process waits behind it. */
static void
we_wait_behind_the_child(lab *l)
{
    we_wait_for_work(l);
    fill_channel(l->stage, "work", 1, 1);
}

/* As who waited does. */
static int
receive_my_turn(ashm *a, const char *channel, unsigned flags)
{
    char text[200];
    ashm_received out;

    return ashm_receive(a, channel, strlen(channel), ASHM_WAIT | flags, 1, text, sizeof text,
                        &out);
}

static int
receive_turn(ashm *a)
{
    return receive_my_turn(a, "work", 0);
}

static int
receive_turn_for_others(ashm *a)
{
    return receive_my_turn(a, "work", ASHM_OTHERS);
}

/* The child waits for a channel of its own, and has a message. */
static void
child_awaits_its_own(ashm *a)
{
    char name[ASHM_NAME_MAX + 1];

    EXPECT_EQ(wait_for(a, own_channel(a, "mine", name), 1), ASHM_EMPTY);
    fill_channel(a, name, 1, 1);
}

static int
receive_own_and_come_back(ashm *a)
{
    char name[ASHM_NAME_MAX + 1];

    return receive_my_turn(a, own_channel(a, "mine", name), ASHM_STAY);
}

static void
child_awaits_family(ashm *a)
{
    EXPECT_EQ(wait_for(a, "family!", 1), ASHM_EMPTY);
}

static void
we_wait_for_the_name(lab *l)
{
    EXPECT_EQ(wait_for(l->stage, "family!a", SCENARIO_COOKIE), ASHM_EMPTY);
    fill_channel(l->stage, "family!b", 1, 1);
    fill_channel(l->stage, "family!a", 2, 1);
}

static int
receive_family_turn(ashm *a)
{
    return receive_my_turn(a, "family!", 0);
}

static int
unwait_work(ashm *a)
{
    return ashm_unwait(a, "work", 4);
}

static int
ready(ashm *a)
{
    uint64_t cookies[4];
    size_t n;
    int rc = ashm_ready(a, cookies, 4, &n);

    return rc != 0 ? rc : n == 1 ? 0 : -1000;
}

static int
arm(ashm *a)
{
    int pending;

    return ashm_arm(a, &pending);
}

/* ---- other processes' channels ---- */

static char ours[ASHM_NAME_MAX + 1]; /* a channel of this process */

static void
name_ours(lab *l)
{
    own_channel(l->stage, "ours", ours);
}

static void
we_wait_for_ours(lab *l)
{
    name_ours(l);
    EXPECT_EQ(wait_for(l->stage, ours, SCENARIO_COOKIE), ASHM_EMPTY);
}

static int
send_to_ours(ashm *a)
{
    return send_to(a, ours, NEW, 100);
}

/* ---- groups ---- */

static int
join_work(ashm *a)
{
    return join(a, "room", "work");
}

static int
join_ours(ashm *a)
{
    return join(a, "room", ours);
}

static int
join_own(ashm *a)
{
    char name[ASHM_NAME_MAX + 1];

    return join(a, "room", own_channel(a, "mine", name));
}

static void
child_joins(ashm *a)
{
    OK(join_own(a));
}

static int
leave_work(ashm *a)
{
    return leave(a, "room", "work");
}

/* Without two of its members, and with a report. */
static int
tell_most_of_room(ashm *a)
{
    static const char exclude[] = "\4work\5first";
    ashm_delivery report = {0};
    ashm_reached reached = {0};
    uint32_t body[] = {NEW + 2, 8};

    return ashm_group_send_but(a, "room", 4, body, sizeof body, 60 * SECOND, exclude,
                               sizeof exclude - 1, &reached, &report);
}

static int
leave_all(ashm *a)
{
    return ashm_discard_all(a, "work", 4);
}

static int
ask_for_members(ashm *a)
{
    char names[400];
    size_t size = sizeof names, count;
    uint64_t cursor = 0;
    int rc = 0;

    while (cursor != ASHM_NEVER && rc == 0) {
        rc = ashm_group_members(a, "room", 4, &cursor, names, &size, &count);
    }
    return rc;
}

static int
watch_room(ashm *a)
{
    uint32_t bucket;

    return ashm_watch(a, "room", 4, &bucket);
}

static int
watch_and_unwatch(ashm *a)
{
    uint32_t bucket;

    OK(ashm_watch(a, "room", 4, &bucket));
    return ashm_unwatch(a, bucket);
}

static int
is_gone(ashm *a)
{
    int gone;

    return ashm_is_gone(a, "specific.AAAAAAAAAAAAAAAA!x", 27, &gone);
}

static void
child_watches(ashm *a)
{
    OK(watch_room(a));
}

/* And has looked who is there. */
static void
we_watch_room(lab *l)
{
    uint64_t cookies[8];
    size_t n;
    int pending;

    OK(watch_room(l->stage));
    OK(ashm_ready(l->stage, cookies, 8, &n));
    OK(ashm_arm(l->stage, &pending));
    EXPECT_EQ(pending, 0);
}

static int
ask_for_work(ashm *a)
{
    ashm_channel found;

    return ashm_ask_channel(a, "work", 4, &found);
}

static void
work_is_in_room(lab *l)
{
    OK(join(l->stage, "room", "work"));
}

static void
three_are_in_room(lab *l)
{
    OK(join(l->stage, "room", "first"));
    OK(join(l->stage, "room", "work"));
    OK(join(l->stage, "room", "family!a"));
    OK(join(l->stage, "other", "work"));
}

static void
we_watch_three(lab *l)
{
    three_are_in_room(l);
    we_watch_room(l);
}

static void
we_watch_work(lab *l)
{
    work_is_in_room(l);
    we_watch_room(l);
}

static void
we_watch_who_is_over(lab *l)
{
    OK(ashm_group_add(l->stage, "room", 4, "work", 4, 0, 10));
    we_watch_room(l);
}

/* Members in two mailboxes of the commons, in ours, and (by the child) in its own. */
static void
room_is_everywhere(lab *l)
{
    name_ours(l);
    three_are_in_room(l);
    OK(join(l->stage, "room", ours));
}

static void
room_is_everywhere_else(lab *l)
{
    name_ours(l);
    OK(join(l->stage, "room", "first"));
    OK(send_to(l->stage, "work", 1, 10));
}

static int
tell_room(ashm *a)
{
    return lab_group_send(a, "room", NEW, SMALL);
}

static void
members_are_full(lab *l)
{
    room_is_everywhere(l);
    OK(ashm_group_add(l->stage, "room", 4, "work", 4, ASHM_NEVER, 2));
    OK(ashm_group_add(l->stage, "room", 4, "first", 5, ASHM_NEVER, 2));
    fill_channel(l->stage, "work", 1, 2);
    fill_with_expired(l->stage, "first", 1, 2);
    OK(ashm_group_add(l->stage, "room", 4, "work", 4, ASHM_NEVER, 2));
    OK(ashm_group_add(l->stage, "room", 4, "first", 5, ASHM_NEVER, 2));
}

static void
memberships_have_expired(lab *l)
{
    room_is_everywhere(l);
    OK(ashm_group_add(l->stage, "room", 4, "work", 4, 0, 10));
    OK(ashm_group_add(l->stage, "room", 4, ours, strlen(ours), 0, 10));
}

static void
broadcasts_wait(lab *l)
{
    room_is_everywhere(l);
    for (uint32_t i = 1; i <= 3; i++) {
        OK(lab_group_send(l->stage, "room", i, SMALL));
    }
}

static void
broadcast_ring_is_full(lab *l)
{
    name_ours(l);
    OK(ashm_group_add(l->stage, "room", 4, ours, strlen(ours), ASHM_NEVER, 2 * BROADCASTS));
    for (uint32_t i = 1; i <= BROADCASTS; i++) {
        OK(lab_group_send(l->stage, "room", i, SMALL));
    }
}

static void
we_tell_room(lab *l)
{
    OK(lab_group_send(l->stage, "room", 1, SMALL));
}

static int
receive_what_was_told(ashm *a)
{
    char name[ASHM_NAME_MAX + 1];

    EXPECT_EQ(lab_receive(a, own_channel(a, "mine", name)), 1);
    return 0;
}

/* So many that one transaction does not hold the stores. */
static void
many_are_in_room(lab *l)
{
    char name[ASHM_NAME_MAX + 1], suffix[20];

    name_ours(l);
    for (int i = 0; i < 40; i++) {
        snprintf(suffix, sizeof suffix, "m%d", i);
        OK(join(l->stage, "room", own_channel(l->stage, suffix, name)));
    }
    OK(join(l->stage, "room", ours));
    OK(lab_group_send(l->stage, "room", 1, SMALL));
}

/* Two members in one mailbox whose rings are full. What the first gives back when its ring
 * grows fits the second. */
static void
two_rings_are_full(lab *l)
{
    OK(join(l->stage, "room", "family!a"));
    OK(join(l->stage, "room", "family!b"));
    fill_channel(l->stage, "family!a", 1, 4);
    fill_channel(l->stage, "family!b", 1, 8);
    OK(join(l->stage, "other", "family!a"));
}

static void
we_wait_in_room(lab *l)
{
    we_wait_for_ours(l);
    OK(join(l->stage, "room", ours));
}

static void
work_leaves(lab *l)
{
    OK(leave(l->stage, "room", "work"));
}

/* ---- the whole segment ---- */

static void
much_is_over(lab *l)
{
    room_is_everywhere(l);
    fill_with_expired(l->stage, "work", 1, 3);
    fill_with_expired(l->stage, "gone", 1, 6);
    fill_channel(l->stage, "mixed", 1, 1);
    fill_with_expired(l->stage, "mixed", 2, 2);
    fill_channel(l->stage, "mixed", 4, 2);
    OK(ashm_group_add(l->stage, "room", 4, "work", 4, 0, 10));
    OK(ashm_group_add(l->stage, "brief", 5, "only", 4, 0, 10));
    OK(lab_group_send(l->stage, "room", 5, SMALL));
}

static int
sweep(ashm *a)
{
    return ashm_sweep(a);
}

static int
flush_all(ashm *a)
{
    return ashm_flush(a);
}

static int
tick(ashm *a)
{
    return ashm_tick(a);
}

/* ---- processes ---- */

static int
attach(ashm *a)
{
    return ashm_attach(a);
}

enum { EARLIER = 5 }; /* a generation */

/* Slot 1 has had holders, who are gone. */
static void
slot_was_used(lab *l)
{
    handle_slot(l->stage, 1)->generation = EARLIER;
}

/* Who has found an address before a process left must see that it has a new holder. */
static void
earlier_holder_is_gone(ashm *a)
{
    address found = {.mailbox = COMMONS + 1, .generation = EARLIER};
    tx t;

    lane_open(a, &t);
    EXPECT(!slots_is_there(&t, &found));
    tx_close(&t);
}

/* What a process can have: channels with messages, memberships of its own and of others,
 * broadcasts to come, turns. */
static void
child_has_much(ashm *a)
{
    char name[ASHM_NAME_MAX + 1];

    child_sends_to_itself(a);
    OK(join(a, "room", own_channel(a, "mine", name)));
    OK(join(a, "room", own_channel(a, "other", name)));
    EXPECT_EQ(wait_for(a, name, 3), ASHM_EMPTY);
    OK(lab_group_send(a, "room", 600, SMALL));
    EXPECT_EQ(wait_for(a, "jobs", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(a, "idle", 2), ASHM_EMPTY);
    OK(send_to(a, "jobs", 700, 100));
}

static int
detach(ashm *a)
{
    return ashm_leave(a);
}

static int
claim_first(ashm *a)
{
    return scenario_claim(a, 1);
}

static int
verify_all(ashm *a)
{
    char report[200];

    return ashm_verify(a, report, sizeof report);
}

/* ---- the list ---- */

/* Whose deaths others recover from while they are killed themselves. */
static const scenario SEND = {
    .name = "send", .operation = send_work, .stage = block_ring_is_full};
static const scenario RECEIVE = {.name = "receive",
                                 .operation = receive_work,
                                 .child = child_awaits_work,
                                 .then = we_wait_behind_the_child};
static const scenario TELL = {.name = "group_send",
                              .operation = tell_room,
                              .stage = room_is_everywhere,
                              .child = child_joins};
static const scenario DETACH = {.name = "detach",
                                .operation = detach,
                                .stage = room_is_everywhere,
                                .child = child_has_much};

static const scenario SCENARIOS[] = {
    /* sending */
    {.name = "send: into an empty segment", .operation = send_work},
    {.name = "send: one waits", .operation = send_work, .stage = one_waits},
    {.name = "send: ring leaves the record",
     .operation = send_work,
     .stage = inline_ring_is_full},
    {.name = "send: ring grows", .operation = send_work, .stage = block_ring_is_full},
    {.name = "send: ring wraps", .operation = send_work, .stage = ring_wraps},
    {.name = "send: ring full of holes",
     .operation = send_work,
     .stage = ring_is_full_of_holes},
    {.name = "send: ring becomes a page", .operation = send_to_any, .stage = full_block_of_128},
    {.name = "send: ring becomes two pages",
     .operation = send_to_any,
     .stage = full_page_of_256},
    {.name = "send: full",
     .operation = send_to_full,
     .stage = block_ring_is_full,
     .result = ASHM_FULL},
    {.name = "send: full of expired", .operation = send_to_full, .stage = full_of_expired},
    {.name = "send: full with an expired one",
     .operation = send_to_full,
     .stage = full_with_an_expired_one},
    {.name = "send: buckets split",
     .operation = send_to_one_more,
     .stage = buckets_are_about_to_split},
    {.name = "send: 1 MiB", .operation = send_large, .child = prepare_large},
    {.name = "send: 1 MiB into scattered pages",
     .operation = send_large,
     .stage = memory_is_scattered,
     .child = prepare_large},
    {.name = "send: memory full",
     .operation = send_large,
     .stage = memory_is_full,
     .child = prepare_large,
     .result = ASHM_MESSAGES_FULL},
    {.name = "send: memory full of expired",
     .operation = send_large,
     .stage = memory_is_full_of_expired,
     .child = prepare_large},
    {.name = "send: while another thread is inside",
     .operation = send_work,
     .stage = block_ring_is_full,
     .child = another_thread_is_inside},
    {.name = "send: to who waits",
     .operation = send_work,
     .stage = we_wait_for_work,
     .awaited = "work"},
    {.name = "send: to who waits for a family",
     .operation = send_to_family,
     .stage = we_wait_for_family,
     .awaited = "family!"},
    {.name = "send: to another process that waits",
     .operation = send_to_ours,
     .stage = we_wait_for_ours,
     .awaited = ours},
    /* receiving */
    {.name = "receive: one of three", .operation = receive_work, .stage = three_wait},
    {.name = "receive: the last", .operation = receive_work, .stage = one_waits},
    {.name = "receive: 20 kB", .operation = receive_work, .stage = large_waits},
    {.name = "receive: expired come first",
     .operation = receive_work,
     .stage = expired_come_first},
    {.name = "receive: all expired",
     .operation = receive_nothing,
     .stage = full_of_expired,
     .result = ASHM_EMPTY},
    {.name = "receive: of a family", .operation = receive_family, .stage = two_of_a_family},
    {.name = "receive: its own", .operation = receive_own, .child = child_sends_to_itself},
    {.name = "receive: a sender waits for room",
     .operation = receive_work,
     .stage = we_wait_for_room,
     .full = "work"},
    {.name = "sweep: a sender waits for what is over",
     .operation = sweep,
     .stage = we_wait_for_what_is_over,
     .full = "work"},
    {.name = "flush: a sender waits for room",
     .operation = flush_all,
     .stage = we_wait_for_room,
     .full = "work"},
    {.name = "await_room: another waits as well",
     .operation = await_room,
     .stage = we_wait_for_room,
     .full = "work"},
    {.name = "receive: its turn",
     .operation = receive_work,
     .child = child_awaits_work,
     .then = we_wait_behind_the_child,
     .awaited = "work"},
    {.name = "receive: its turn, and waits no more",
     .operation = receive_turn,
     .child = child_awaits_work,
     .then = we_wait_behind_the_child,
     .awaited = "work"},
    {.name = "receive: its turn, and others wait",
     .operation = receive_turn_for_others,
     .child = child_awaits_work,
     .then = we_wait_behind_the_child,
     .awaited = "work"},
    {.name = "receive: its turn, and comes back",
     .operation = receive_own_and_come_back,
     .child = child_awaits_its_own},
    {.name = "receive: its turn in a family",
     .operation = receive_family_turn,
     .child = child_awaits_family,
     .then = we_wait_for_the_name,
     .awaited = "family!a"},
    {.name = "receive: waits, nothing there", .operation = await_work, .result = ASHM_EMPTY},
    {.name = "receive: waits again",
     .operation = await_work,
     .stage = we_wait_for_work,
     .child = child_awaits_work,
     .result = ASHM_EMPTY},
    {.name = "unwait: its turn",
     .operation = unwait_work,
     .child = child_awaits_work,
     .then = we_wait_behind_the_child,
     .awaited = "work"},
    {.name = "unwait: no turn", .operation = unwait_work, .child = child_awaits_work},
    {.name = "ready: its turn",
     .operation = ready,
     .child = child_awaits_work,
     .then = we_wait_behind_the_child,
     .awaited = "work"},
    /* groups */
    {.name = "group_add: the first member", .operation = join_work},
    {.name = "group_add: another", .operation = join_work, .stage = three_are_in_room},
    {.name = "group_add: once more", .operation = join_work, .stage = work_is_in_room},
    {.name = "group_add: another process's channel",
     .operation = join_ours,
     .stage = name_ours},
    {.name = "group_add: its own channel", .operation = join_own},
    {.name = "group_discard: the last member",
     .operation = leave_work,
     .stage = work_is_in_room},
    {.name = "group_discard: one of three",
     .operation = leave_work,
     .stage = three_are_in_room},
    {.name = "group_discard: none", .operation = leave_work, .stage = room_is_everywhere_else},
    {.name = "discard_all: two groups", .operation = leave_all, .stage = three_are_in_room},
    {.name = "group_members: with broadcasts to settle",
     .operation = ask_for_members,
     .stage = broadcasts_wait},
    {.name = "ask_channel: full of expired",
     .operation = ask_for_work,
     .stage = full_of_expired},
    {.name = "group_send: to nobody", .operation = tell_room},
    {.name = "group_send: to many mailboxes",
     .operation = tell_room,
     .stage = room_is_everywhere,
     .child = child_joins},
    {.name = "group_send: to full members", .operation = tell_room, .stage = members_are_full},
    {.name = "group_send: to expired members",
     .operation = tell_room,
     .stage = memberships_have_expired},
    {.name = "group_send: to a full broadcast ring",
     .operation = tell_room,
     .stage = broadcast_ring_is_full},
    {.name = "group_send: to who waits",
     .operation = tell_room,
     .stage = we_wait_in_room,
     .awaited = ours},
    {.name = "settle: three broadcasts", .operation = send_to_ours, .stage = broadcasts_wait},
    {.name = "settle: when it receives",
     .operation = receive_what_was_told,
     .child = child_joins,
     .then = we_tell_room},
    {.name = "settle: rings of two members grow",
     .operation = tell_room,
     .stage = two_rings_are_full},
    {.name = "settle: forty members", .operation = send_to_ours, .stage = many_are_in_room},
    /* watching */
    {.name = "watch: another does as well", .operation = watch_room, .stage = we_watch_three},
    {.name = "unwatch: another does as well",
     .operation = watch_and_unwatch,
     .stage = we_watch_three},
    {.name = "leave: while it watches", .operation = detach, .child = child_watches},
    {.name = "ready: a group has changed",
     .operation = ready,
     .stage = work_is_in_room,
     .child = child_watches,
     .then = work_leaves},
    {.name = "group_add: the first member, watched",
     .operation = join_work,
     .stage = we_watch_room,
     .watched = 1},
    {.name = "group_add: its own channel, watched",
     .operation = join_own,
     .stage = we_watch_room,
     .watched = 1},
    {.name = "group_discard: the last member, watched",
     .operation = leave_work,
     .stage = we_watch_work,
     .watched = 1 + 1},
    {.name = "discard_all: watched",
     .operation = leave_all,
     .stage = we_watch_three,
     .watched = 1 + 3},
    {.name = "flush: watched",
     .operation = flush_all,
     .stage = we_watch_three,
     .watched = 1 + 3},
    {.name = "sweep: watched, and over", .operation = sweep, .stage = we_watch_who_is_over},
    {.name = "leave: a member, watched",
     .operation = detach,
     .child = child_joins,
     .then = we_watch_room,
     .watched = 1 + 1},
    {.name = "group_send: a member dies, watched",
     .operation = tell_room,
     .child = child_joins,
     .then = we_watch_room,
     .watched = 1 + 1},
    /* the whole */
    {.name = "sweep: much is over",
     .operation = sweep,
     .stage = much_is_over,
     .child = child_has_much},
    {.name = "flush: much",
     .operation = flush_all,
     .stage = much_is_over,
     .child = child_has_much},
    {.name = "tick: much is over",
     .operation = tick,
     .stage = much_is_over,
     .child = child_has_much},
    {.name = "verify: much", .operation = verify_all, .stage = much_is_over},
    {.name = "attach: where others were",
     .operation = attach,
     .stage = slot_was_used,
     .unattached = true,
     .others = earlier_holder_is_gone},
    {.name = "leave: with much",
     .operation = detach,
     .stage = room_is_everywhere,
     .child = child_has_much},
    /* recovering */
    {.name = "recover: for one lock, send", .operation = send_more_work, .predecessor = &SEND},
    {.name = "recover: for one lock, group_send",
     .operation = send_more_work,
     .predecessor = &TELL},
    {.name = "recover: for all locks, send", .operation = verify_all, .predecessor = &SEND},
    {.name = "reap: the dead, send", .operation = tick, .predecessor = &SEND},
    {.name = "reap: the dead, receive",
     .operation = tick,
     .predecessor = &RECEIVE,
     .awaited = "work"},
    {.name = "reap: the dead, group_send", .operation = tick, .predecessor = &TELL},
    {.name = "reap: the dead, detach", .operation = tick, .predecessor = &DETACH},
    {.name = "claim: the slot of the dead, send",
     .operation = claim_first,
     .unattached = true,
     .predecessor = &SEND},
    {.name = "claim: the slot of the dead, group_send",
     .operation = claim_first,
     .unattached = true,
     .predecessor = &TELL},
    {.name = "claim: the slot of the dead, detach",
     .operation = claim_first,
     .unattached = true,
     .predecessor = &DETACH},
};

/* ---- every operation in every state ---- */

typedef enum { FRESH, FULL, WRAPPED, PREDECESSOR_DEAD, STATES } state;

static const char *const state_names[STATES] = {"fresh", "full", "wrapped", "predecessor dead"};

static void
tell_ours(lab *l, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        OK(lab_group_send(l->stage, "room", first + i, SMALL));
    }
}

/* A channel that is full, and a mailbox whose broadcasts are. */
static void
all_is_full(lab *l)
{
    broadcast_ring_is_full(l);
    OK(join(l->stage, "room", "work"));
    fill_channel(l->stage, "work", 1, 4);
    OK(ashm_group_add(l->stage, "room", 4, "work", 4, ASHM_NEVER, 4));
}

/* A channel's ring and a mailbox's broadcasts that go on from their end to their beginning. */
static void
all_wraps(lab *l)
{
    name_ours(l);
    OK(join(l->stage, "room", ours));
    tell_ours(l, 1, BROADCASTS / 2); /* a channel has room for so many */
    take_from(l->stage, ours, BROADCASTS / 2);
    tell_ours(l, BROADCASTS / 2 + 1, BROADCASTS / 2 - 2);
    take_from(l->stage, ours, BROADCASTS / 2 - 3);
    tell_ours(l, BROADCASTS - 1, 4);
    ring_wraps(l);
    OK(join(l->stage, "room", "work"));
}

static void
room_is_everywhere_and_one_waits(lab *l)
{
    room_is_everywhere(l);
    one_waits(l);
}

static const scenario PREDECESSOR = {
    .name = "group_send", .operation = tell_room, .stage = room_is_everywhere_and_one_waits};

static void (*const state_stages[STATES])(lab *l) = {
    [FRESH] = name_ours, [FULL] = all_is_full, [WRAPPED] = all_wraps};

typedef struct operation {
    const char *name;
    int (*run)(ashm *a);
    void (*child)(ashm *a);
    bool unattached;
    int results[STATES];
} operation;

static int
send_to_four(ashm *a)
{
    return send_to(a, "work", MORE, 4);
}

static int
send_more_to_ours(ashm *a)
{
    return send_to(a, ours, MORE, 2 * BROADCASTS);
}

static void
prepare_more(ashm *a)
{
    (void)a;
    lab_prepare(MORE, LARGE);
}

static int
receive_if_any(ashm *a)
{
    return lab_receive(a, "work") == 0 ? ASHM_EMPTY : 0;
}

static int
tell_room_more(ashm *a)
{
    return lab_group_send(a, "room", MORE, SMALL);
}

static int
ready_if_any(ashm *a)
{
    uint64_t cookies[4];
    size_t n;

    return ashm_ready(a, cookies, 4, &n);
}

static int
bell(ashm *a)
{
    int fd;

    return ashm_bell(a, &fd);
}

static int
client(ashm *a)
{
    char text[ASHM_CLIENT_LENGTH];

    return ashm_client(a, text);
}

static int
abandon(ashm *a)
{
    ashm_abandon(a);
    return 0;
}

static int
end(ashm *a)
{
    ashm_close(a);
    return 0;
}

static int
get_info(ashm *a)
{
    ashm_info info;

    return ashm_get_info(a, &info);
}

static const operation OPERATIONS[] = {
    {.name = "attach", .run = attach, .unattached = true},
    {.name = "client", .run = client, .unattached = true},
    {.name = "send", .run = send_to_four, .results = {[FULL] = ASHM_FULL}},
    {.name = "send of 1 MiB", .run = send_large, .child = prepare_more},
    {.name = "send to another process", .run = send_more_to_ours},
    {.name = "receive", .run = receive_if_any, .results = {[FRESH] = ASHM_EMPTY}},
    {.name = "receive and wait", .run = receive_turn, .results = {[FRESH] = ASHM_EMPTY}},
    {.name = "await_room", .run = await_room},
    {.name = "unwait", .run = unwait_work},
    {.name = "bell", .run = bell},
    {.name = "ready", .run = ready_if_any},
    {.name = "arm", .run = arm},
    {.name = "group_add", .run = join_work},
    {.name = "group_discard", .run = leave_work},
    {.name = "discard_all", .run = leave_all},
    {.name = "group_members", .run = ask_for_members},
    {.name = "ask_channel", .run = ask_for_work},
    {.name = "watch", .run = watch_room},
    {.name = "unwatch", .run = watch_and_unwatch},
    {.name = "is_gone", .run = is_gone},
    {.name = "group_send", .run = tell_room_more},
    {.name = "group_send_but", .run = tell_most_of_room},
    {.name = "flush", .run = flush_all},
    {.name = "tick", .run = tick},
    {.name = "sweep", .run = sweep},
    {.name = "verify", .run = verify_all},
    {.name = "get_info", .run = get_info},
    {.name = "leave", .run = detach},
    {.name = "abandon", .run = abandon},
    {.name = "close", .run = end},
};

enum {
    SCENARIOS_COUNT = sizeof SCENARIOS / sizeof SCENARIOS[0],
    OPERATIONS_COUNT = sizeof OPERATIONS / sizeof OPERATIONS[0]
};

bool
scenario_get(size_t index, scenario *sc)
{
    static char name[100];
    const operation *o;
    state found;

    if (index >= OPERATIONS_COUNT * STATES) {
        index -= OPERATIONS_COUNT * STATES;
        if (index < SCENARIOS_COUNT) {
            *sc = SCENARIOS[index];
        }
        return index < SCENARIOS_COUNT;
    }
    o = &OPERATIONS[index / STATES];
    found = index % STATES;
    snprintf(name, sizeof name, "%s: %s", o->name, state_names[found]);
    *sc = (scenario){.name = name,
                     .stage = state_stages[found],
                     .child = o->child,
                     .unattached = o->unattached,
                     .operation = o->run,
                     .result = o->results[found],
                     .predecessor = found == PREDECESSOR_DEAD ? &PREDECESSOR : NULL};
    return true;
}

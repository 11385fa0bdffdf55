/* test_busy.c: an operation that finds a lock held by a stopped process says so and has
 * changed nothing, or only what is complete; when the process has died all is well. */
#include <signal.h>

#include <string.h>

#include "hash.h"
#include "mailbox.h"
#include "messages.h"
#include "reap.h"
#include "slots.h"
#include "support.h"

enum { MEMORY, ALL_COMMONS, OUR_MAILBOX, LOCKS };

static int to_hold;

/* Holds what it can of the locks; one operation holds one mailbox, so lanes hold the rest. */
static void
hold_and_stop(void *argument)
{
    ashm *a = argument;
    tx t[LANES];

    for (int i = 0; i < LANES; i++) {
        lane_open(a, &t[i]);
    }
    switch (to_hold) {
    case MEMORY:
        EXPECT(tx_memory(&t[0]));
        break;
    case OUR_MAILBOX:
        OK(tx_enter(&t[0], COMMONS));
        break;
    default:
        for (uint32_t i = 0; i < COMMONS; i++) {
            OK(lock_acquire(&t[0].party, &handle_mailbox(a, i)->lock, LOCK_COMMONS));
        }
        break;
    }
}

/* A handle that waits a moment for locks, and one for the child that will hold them. */
static ashm *
begin(segment *s, ashm **for_child)
{
    ashm *a;

    segment_make(s);
    s->clock = 1000 * SECOND;
    s->options.lock_wait_ns = NS_PER_MS;
    a = segment_open(s);
    *for_child = segment_open_for_child(s);
    return a;
}

static pid_t
stop_with(ashm *b, int locks)
{
    to_hold = locks;
    return child_start(hold_and_stop, b);
}

/* What it held is recovered by whoever has the patience. */
static void
end(pid_t child, ashm *a)
{
    child_kill(child);
    a->lock_wait_ns = 10 * SECOND;
}

static void
expect_done_or_busy(int rc)
{
    if (rc != ASHM_BUSY && rc != ASHM_EMPTY) {
        OK(rc);
    }
}

/* Each operation, and how often it was not served. */
static int
try_everything(ashm *a, const char *ours)
{
    char text[64], report[100];
    uint64_t cookies[4];
    size_t n;
    ashm_received out;
    ashm_info info;
    int busy = 0;

#define TRY(call)                                                                              \
    do {                                                                                       \
        int rc_ = (call);                                                                      \
                                                                                               \
        expect_done_or_busy(rc_);                                                              \
        busy += rc_ == ASHM_BUSY;                                                              \
    } while (0)
    TRY(put(a, "work", "more"));
    TRY(put(a, ours, "more"));
    TRY(put(a, "new", "first"));
    TRY(ashm_receive(a, "work", 4, 0, 0, text, sizeof text, &out));
    TRY(ashm_receive(a, ours, strlen(ours), 0, 0, text, sizeof text, &out));
    TRY(wait_for(a, "idle", 1));
    TRY(ashm_unwait(a, "idle", 4));
    TRY(ashm_ready(a, cookies, 4, &n));
    TRY(join(a, "room", "work"));
    TRY(join(a, "room", ours));
    TRY(leave(a, "room", "other"));
    TRY(tell(a, "room", "hello"));
    TRY(ashm_sweep(a));
    TRY(ashm_flush(a));
    TRY(ashm_get_info(a, &info));
    TRY(ashm_verify(a, report, sizeof report));
#undef TRY
    return busy;
}

static void
try_with(int lock)
{
    segment s;
    ashm *a, *b;
    pid_t child;
    char ours[ASHM_NAME_MAX + 1];

    a = begin(&s, &b);
    own_channel(a, "x", ours);
    for (int i = 0; i < 3; i++) {
        OK(put(a, "work", "x"));
        OK(put(a, ours, "x"));
        OK(join(a, "room", "other"));
        OK(join(a, "room", ours));
        OK(tell(a, "room", "x"));
    }
    child = stop_with(b, lock);
    EXPECT_EQ(kill(child, SIGSTOP), 0);
    EXPECT(try_everything(a, ours) > 0);
    EXPECT(try_everything(a, ours) > 0); /* its lanes are free again */
    end(child, a);
    EXPECT_EQ(try_everything(a, ours), 0);
    verified(a);
    OK(ashm_flush(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_the_memory_is_locked(void)
{
    try_with(MEMORY);
}

static void
test_the_commons_are_locked(void)
{
    try_with(ALL_COMMONS);
}

static void
test_our_mailbox_is_locked(void)
{
    try_with(OUR_MAILBOX);
}

/* A message whose memory could not be given back at once is given back by the next. */
static void
test_nothing_is_held_for_ever(void)
{
    segment s;
    ashm *a, *b;
    pid_t child;
    char text[64];
    ashm_received out;
    tx t;

    a = begin(&s, &b);
    OK(put(a, "work", "one"));
    OK(put(a, "work", "two"));
    child = stop_with(b, MEMORY);
    OK(ashm_receive(a, "work", 4, 0, 0, text, sizeof text, &out)); /* needs no memory lock */
    EXPECT_EQ(out.length, 3);
    lane_open(a, &t);
    EXPECT(t.lane->held != 0);
    tx_close(&t);
    EXPECT_EQ(ashm_receive(a, "work", 4, 0, 0, text, sizeof text, &out), ASHM_BUSY);
    end(child, a);
    EXPECT_TEXT(take(a, "work"), "two");
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

/* The mailbox that is held misses a group message, and what waits behind it does not; the next
 * attempt reaches the rest, and nobody twice. */
static void
test_a_group_send_goes_on_where_it_was_refused(void)
{
    segment s;
    ashm *a, *b;
    pid_t child;
    char ours[ASHM_NAME_MAX + 1];
    ashm_reached reached = {{0}};

    a = begin(&s, &b);
    own_channel(a, "x", ours);
    OK(join(a, "room", ours));
    OK(join(a, "room", "common"));
    child = stop_with(b, OUR_MAILBOX);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(ashm_group_send(a, "room", 4, "hello", 5, 60 * SECOND, &reached), ASHM_BUSY);
        if (i == 0) {
            EXPECT_TEXT(take(a, "common"), "hello");
        } else {
            EXPECT(take(a, "common") == NULL);
        }
    }
    end(child, a);
    OK(ashm_group_send(a, "room", 4, "hello", 5, 60 * SECOND, &reached));
    EXPECT_TEXT(take(a, ours), "hello");
    EXPECT(take(a, ours) == NULL);
    EXPECT(take(a, "common") == NULL);
    verified(a);
    ashm_close(b);
    fixture_end(&s, a);
}

/* Refused for the memory's lock nothing is sent; the next attempt settles the commons as well,
 * since nobody who waits there would come by himself. */
static void
test_a_group_send_to_the_commons_is_settled_by_its_sender(void)
{
    segment s;
    ashm *a, *b;
    pid_t child;
    ashm_reached reached = {{0}};
    uint64_t cookie;
    size_t n;

    a = begin(&s, &b);
    OK(join(a, "room", "common"));
    EXPECT_EQ(wait_for(a, "common", 7), ASHM_EMPTY);
    child = stop_with(b, MEMORY);
    EXPECT_EQ(ashm_group_send(a, "room", 4, "hello", 5, 60 * SECOND, &reached), ASHM_BUSY);
    end(child, a);
    OK(ashm_group_send(a, "room", 4, "hello", 5, 60 * SECOND, &reached));
    OK(ashm_ready(a, &cookie, 1, &n));
    EXPECT_EQ(n, 1);
    EXPECT_TEXT(take(a, "common"), "hello");
    EXPECT(take(a, "common") == NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

/* A broadcast in the commons whose sender is stopped there before it is settled. */
static void
test_a_group_send_does_not_wait_for_that_of_another(void)
{
    segment s;
    ashm *a, *b;
    pid_t child;
    char ours[ASHM_NAME_MAX + 1];
    ashm_reached reached = {{0}};
    broadcast other = {.group = "other", .length = 5, .deadline = ASHM_NEVER};
    uint32_t message;
    bool sent;
    tx t;

    a = begin(&s, &b);
    OK(join(a, "room", own_channel(a, "x", ours)));
    OK(join(a, "other", "common"));
    other.hash = (uint32_t)hash_name(a->hash_key, "other", 5);
    lane_open(a, &t);
    OK(message_make(&t, 5, 1, &message));
    message_write(&t, message, "hello", 5);
    OK(mailbox_broadcast(&t, slots_address(a, "common", 6).mailbox, &other, &sent));
    EXPECT(sent);
    tx_close(&t);
    child = stop_with(b, ALL_COMMONS);
    OK(ashm_group_send(a, "room", 4, "hello", 5, 60 * SECOND, &reached));
    EXPECT_TEXT(take(a, ours), "hello");
    end(child, a);
    EXPECT_TEXT(take(a, "common"), "hello");
    ashm_close(b);
    fixture_end(&s, a);
}

/* What is behind a lock is swept another time, the rest at once. */
static void
test_the_rest_is_swept(void)
{
    static char large[MIB];
    segment s;
    ashm *a, *b;
    pid_t child;
    char ours[ASHM_NAME_MAX + 1];
    size_t length;
    int rc;

    a = begin(&s, &b);
    OK(put(a, "common", "x"));
    length = strlen(own_channel(a, "x", ours));
    child = stop_with(b, ALL_COMMONS);

    ashm_set_clock(a, 1000 * SECOND);
    OK(ashm_send(a, ours, length, "", 0, SECOND, 100));
    ashm_set_clock(a, 1002 * SECOND);
    EXPECT_EQ(ashm_sweep(a), ASHM_BUSY);
    EXPECT_EQ(handle_mailbox(a, COMMONS + a->own->slot)->expired, 1);

    OK(ashm_send(a, ours, length, "", 0, SECOND, 100));
    for (int i = 0; i < 16; i++) {
        ashm_set_clock(a, (1004 + (uint64_t)i) * SECOND);
        OK(ashm_tick(a));
    }
    EXPECT_EQ(handle_mailbox(a, COMMONS + a->own->slot)->expired, 2);

    while ((rc = ashm_send(a, ours, length, large, MIB / 2, SECOND, 100)) == 0) {
    }
    EXPECT_EQ(rc, ASHM_MESSAGES_FULL);
    ashm_set_clock(a, 1100 * SECOND);
    OK(ashm_send(a, ours, length, large, MIB / 2, SECOND, 100));
    child_kill(child);
    ashm_close(b);
    ashm_set_clock(a, 0);
    fixture_end(&s, a);
}

/* Who cannot give its slot back may try again, or leave it to others. */
static void
leave_in_two_steps(int abandoned)
{
    segment s;
    ashm *a, *b, *c;
    pid_t child;
    char name[ASHM_NAME_MAX + 1];

    a = begin(&s, &b);
    c = segment_open(&s);
    OK(put(a, own_channel(c, "x", name), "dropped"));
    child = stop_with(b, MEMORY);
    EXPECT_EQ(ashm_leave(c), ASHM_BUSY);
    EXPECT_EQ(put(c, "work", "x"), ASHM_CLOSED);
    if (abandoned) {
        ashm_abandon(c);
    }
    end(child, a);
    c->lock_wait_ns = 10 * SECOND;
    if (abandoned) {
        OK(reap_dead(a));
    } else {
        EXPECT_EQ(handle_slot(a, 1)->state, SLOT_CLOSING);
        OK(ashm_leave(c));
    }
    EXPECT_EQ(handle_slot(a, 1)->state, SLOT_FREE);
    EXPECT_EQ(info_of(a).messages, 0);
    ashm_close(c);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_leaving_is_done_later(void)
{
    leave_in_two_steps(0);
}

static void
test_leaving_is_left_to_others(void)
{
    leave_in_two_steps(1);
}

/* Many callers of one event loop do not wait one after the other: here each would wait for
 * ever. */
static void
test_a_lock_that_was_waited_for_in_vain_is_only_looked_at(void)
{
    segment s;
    ashm *a, *b;
    pid_t child;

    a = begin(&s, &b);
    OK(ashm_attach(a));
    child = stop_with(b, ALL_COMMONS);
    EXPECT_EQ(put(a, "work", "x"), ASHM_BUSY);
    a->lock_wait_ns = UINT64_MAX / 2;
    for (int i = 0; i < 100; i++) {
        store_relaxed64(&a->stuck_until, UINT64_MAX);
        EXPECT_EQ(put(a, "work", "x"), ASHM_BUSY);
    }
    child_kill(child);
    OK(put(a, "work", "x")); /* and whether its owner has died is looked at, too */
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_the_memory_is_locked);
    RUN(test_the_commons_are_locked);
    RUN(test_our_mailbox_is_locked);
    RUN(test_nothing_is_held_for_ever);
    RUN(test_a_group_send_goes_on_where_it_was_refused);
    RUN(test_a_group_send_to_the_commons_is_settled_by_its_sender);
    RUN(test_a_group_send_does_not_wait_for_that_of_another);
    RUN(test_the_rest_is_swept);
    RUN(test_leaving_is_done_later);
    RUN(test_leaving_is_left_to_others);
    RUN(test_a_lock_that_was_waited_for_in_vain_is_only_looked_at);
    return tests_end();
}

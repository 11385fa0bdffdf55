/* test_reap.c: what a process had goes with it, whether it leaves or is killed, and whoever
 * finds that out. */
#include "reap.h"

#include <poll.h>
#include <signal.h>

#include "maintain.h"
#include "messages.h"
#include "slots.h"
#include "support.h"

static uint64_t now = 1000 * SECOND;

static ashm *
begin(segment *s)
{
    segment_make(s);
    s->clock = now;
    return segment_open(s);
}

/* The tick of the next interval. */
static void
tick_later(ashm *a)
{
    now += 2 * MAINTAIN_INTERVAL;
    ashm_set_clock(a, now);
    OK(ashm_tick(a));
}

/* Everything that a process can have. */
static void
have_much(void *argument)
{
    ashm *a = argument;
    char name[ASHM_NAME_MAX + 1], text[8];
    ashm_received out;
    tx t;
    uint32_t message;

    own_channel(a, "x", name);
    for (int i = 0; i < 10; i++) {
        OK(put(a, name, "queued"));
    }
    OK(join(a, "room", name));
    OK(join(a, "own", name));
    OK(tell(a, "room", "not settled yet"));
    EXPECT_EQ(ashm_receive(a, "work", 4, ASHM_WAIT, 1, text, 8, &out), ASHM_EMPTY);
    EXPECT_EQ(ashm_receive(a, "idle", 4, ASHM_WAIT, 2, text, 8, &out), ASHM_EMPTY);
    lane_open(a, &t);
    OK(message_make(&t, 5000, 3, &message)); /* and held when it dies */
}

static void
expect_nothing_left(ashm *a)
{
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).attached, 1);
    emptied(a);
}

static void
test_what_a_killed_process_had_is_gone(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open_for_child(&s);
    child_kill(child_start(have_much, b));
    EXPECT(info_of(a).channels >= 3);
    EXPECT_EQ(info_of(a).attached, 2);
    EXPECT_EQ(segment_bells(&s), 1);
    tick_later(a);
    EXPECT_EQ(segment_bells(&s), 0);
    expect_nothing_left(a);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_what_a_process_had_that_closes_is_gone(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];

    own_channel(b, "x", name);
    OK(put(a, name, "queued"));
    OK(join(a, "room", name));
    OK(tell(a, "room", "not settled"));
    EXPECT_EQ(wait_for(b, "work", 1), ASHM_EMPTY);
    ashm_close(b);
    expect_nothing_left(a);
    fixture_end(&s, a);
}

static void
test_what_others_have_stays(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open(&s);
    char ours[ASHM_NAME_MAX + 1], theirs[ASHM_NAME_MAX + 1];

    own_channel(a, "x", ours);
    own_channel(b, "x", theirs);
    OK(put(b, ours, "from b"));
    OK(put(b, "work", "for anybody"));
    OK(join(b, "room", ours));
    OK(join(b, "room", theirs));
    OK(join(b, "room", "normal"));
    OK(tell(b, "room", "sent before"));
    ashm_close(b);
    EXPECT_TEXT(take(a, ours), "from b");
    EXPECT_TEXT(take(a, ours), "sent before");
    EXPECT_TEXT(take(a, "work"), "for anybody");
    EXPECT_TEXT(take(a, "normal"), "sent before");
    EXPECT_EQ(info_of(a).memberships, 2);
    fixture_end(&s, a);
}

static void
wait_for_work(void *argument)
{
    EXPECT_EQ(wait_for(argument, "work", 1), ASHM_EMPTY);
}

static void
test_the_turn_of_a_dead_process_goes_on(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open_for_child(&s), *c = segment_open(&s);
    pid_t child = child_start(wait_for_work, b);
    uint64_t cookie;
    size_t n;

    EXPECT_EQ(wait_for(c, "work", 2), ASHM_EMPTY);
    OK(put(a, "work", "x")); /* the child is told */
    child_kill(child);
    OK(ashm_ready(c, &cookie, 1, &n));
    EXPECT_EQ(n, 0);
    tick_later(a);
    OK(ashm_ready(c, &cookie, 1, &n));
    EXPECT_EQ(n, 1);
    EXPECT_TEXT(take(c, "work"), "x");
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

enum { TURNS = 5 };

/* For channels of one mailbox, and for their prefix. */
static void
wait_for_many(void *argument)
{
    static const char *const names[TURNS] = {"x!0", "x!1", "x!2", "x!3", "x!"};

    for (int i = 0; i < TURNS; i++) {
        EXPECT_EQ(wait_for(argument, names[i], (uint64_t)i), ASHM_EMPTY);
    }
}

static void
test_all_turns_of_a_dead_process_go_on(void)
{
    static const char *const names[TURNS] = {"x!2", "x!0", "x!3", "x!1", "x!4"};
    segment s;
    ashm *a = begin(&s), *b = segment_open_for_child(&s), *c = segment_open(&s);
    pid_t child = child_start(wait_for_many, b);
    uint64_t cookies[TURNS + 1];
    size_t n;

    wait_for_many(c);
    for (int i = 0; i < TURNS; i++) {
        OK(put(a, names[i], "x")); /* the child is told of each */
    }
    child_kill(child);
    OK(ashm_ready(c, cookies, TURNS + 1, &n));
    EXPECT_EQ(n, 0);
    tick_later(a);
    verified(a);
    OK(ashm_ready(c, cookies, TURNS + 1, &n));
    EXPECT_EQ(n, TURNS);
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

static void
test_the_turn_of_a_process_that_closes_goes_on(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open(&s), *c = segment_open(&s);
    uint64_t cookie;
    size_t n;

    EXPECT_EQ(wait_for(b, "work", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(c, "work", 2), ASHM_EMPTY);
    OK(put(a, "work", "x"));
    ashm_close(b);
    OK(ashm_ready(c, &cookie, 1, &n));
    EXPECT_EQ(n, 1);
    ashm_close(c);
    fixture_end(&s, a);
}

/* Dies after the commit and before it rings; in the last lane, as another thread would. */
static void
send_and_owe(void *argument)
{
    ashm *a = argument;
    tx lanes[LANES];
    tx *last = &lanes[LANES - 1];

    for (int i = 0; i < LANES; i++) {
        lane_open(a, &lanes[i]);
    }
    OK(tx_enter(last, 0));
    tx_set64(last, &last->lane->bells[0], 1); /* slot 0 */
    OK(tx_commit(last));
}

static void
test_a_bell_that_a_dead_process_owed_is_rung(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open_for_child(&s);
    struct pollfd polled = {.events = POLLIN};

    OK(ashm_bell(a, &polled.fd));
    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY); /* which arms it */
    child_kill(child_start(send_and_owe, b));
    EXPECT_EQ(poll(&polled, 1, 0), 0);
    tick_later(a);
    EXPECT_EQ(poll(&polled, 1, 0), 1);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_the_stopped_are_not_reaped(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open_for_child(&s);
    pid_t child = child_start(wait_for_work, b);

    EXPECT_EQ(kill(child, SIGSTOP), 0);
    tick_later(a);
    EXPECT_EQ(info_of(a).attached, 2);
    child_kill(child);
    tick_later(a);
    EXPECT_EQ(info_of(a).attached, 1);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_reaping_again_what_is_half_reaped(void)
{
    segment s;
    ashm *a = begin(&s), *b = segment_open_for_child(&s);

    child_kill(child_start(have_much, b));
    OK(reap_slot(a, 1)); /* no other process could hold the recovery lock here */
    atomic_store(&handle_slot(a, 1)->state, SLOT_CLOSING); /* killed before its last store */
    verified(a);
    tick_later(a);
    EXPECT_EQ(handle_slot(a, 1)->state, SLOT_FREE);
    expect_nothing_left(a);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_the_memory_of_the_dead_is_found_when_it_is_needed(void)
{
    static char large[MIB];
    segment s;
    ashm *a = begin(&s), *b = segment_open_for_child(&s);
    char name[ASHM_NAME_MAX + 1];
    pid_t child = child_start(wait_for_work, b);

    slots_client(a, 1, 1, name + 2);
    memcpy(name, "x.", 2);
    strcpy(name + 2 + ASHM_CLIENT_LENGTH, "!y");
    OK(ashm_send(a, name, strlen(name), large, 1000000, ASHM_NEVER, 10));
    EXPECT_EQ(ashm_send(a, "c", 1, large, 1000000, SECOND, 10), ASHM_MESSAGES_FULL);
    child_kill(child);
    store_relaxed64(&a->reclaim_at, 0);
    OK(ashm_send(a, "c", 1, large, 1000000, SECOND, 10));
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_what_a_killed_process_had_is_gone);
    RUN(test_what_a_process_had_that_closes_is_gone);
    RUN(test_what_others_have_stays);
    RUN(test_the_turn_of_a_dead_process_goes_on);
    RUN(test_all_turns_of_a_dead_process_go_on);
    RUN(test_the_turn_of_a_process_that_closes_goes_on);
    RUN(test_a_bell_that_a_dead_process_owed_is_rung);
    RUN(test_the_stopped_are_not_reaped);
    RUN(test_reaping_again_what_is_half_reaped);
    RUN(test_the_memory_of_the_dead_is_found_when_it_is_needed);
    return tests_end();
}

/* test_room.c: who waits until a full channel has room is told, whatever makes it. */
#include "room.h"

#include <poll.h>
#include <stdio.h>

#include "support.h"

static int
send_one(ashm *a, const char *channel, uint32_t capacity)
{
    return ashm_send(a, channel, strlen(channel), "x", 1, 60 * SECOND, capacity);
}

static int
await_room(ashm *a, const char *channel, uint32_t capacity)
{
    int rung = 0;
    int rc = ashm_await_room(a, channel, strlen(channel), capacity, &rung);

    EXPECT_EQ(rung, 0);
    return rc;
}

/* Was the handle told of room? It is not told twice. */
static bool
told(ashm *a)
{
    uint64_t cookies[8];
    size_t n;

    OK(ashm_ready(a, cookies, 8, &n));
    for (size_t i = 0; i < n; i++) {
        if (cookies[i] == ASHM_ROOM) {
            return true;
        }
    }
    return false;
}

static bool
rings(ashm *a)
{
    struct pollfd polled = {.events = POLLIN};

    OK(ashm_bell(a, &polled.fd));
    return poll(&polled, 1, 0) == 1;
}

static void
test_a_receive_makes_room(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);

    OK(await_room(b, "work", 1));
    OK(send_one(a, "work", 1));
    EXPECT_EQ(await_room(b, "work", 1), ASHM_FULL);
    EXPECT(!rings(b));
    verified(a);
    EXPECT_TEXT(take(a, "work"), "x");
    EXPECT(rings(b));
    EXPECT(told(b));
    EXPECT(!told(b));
    OK(send_one(b, "work", 1));
    EXPECT_TEXT(take(a, "work"), "x"); /* nobody waits any more */
    EXPECT(!rings(b));
    EXPECT(!told(b));
    ashm_close(b);
    fixture_end(&s, a);
}

/* Whatever they wait for in the mailbox: each tries again. */
static void
test_all_who_wait_are_told(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s), *c = segment_open(&s);

    OK(send_one(a, "x!one", 1));
    OK(send_one(a, "x!two", 1));
    EXPECT_EQ(await_room(b, "x!one", 1), ASHM_FULL);
    EXPECT_EQ(await_room(c, "x!two", 1), ASHM_FULL);
    EXPECT_EQ(await_room(a, "x!two", 1), ASHM_FULL);
    EXPECT_TEXT(take(a, "x!one"), "x");
    EXPECT(told(a) && told(b) && told(c));
    EXPECT_EQ(await_room(c, "x!two", 1), ASHM_FULL);
    EXPECT_TEXT(take(b, "x!two"), "x");
    EXPECT(told(c));
    EXPECT(!told(a));
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

static void
test_what_expires_makes_room(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    OK(ashm_send(a, "work", 4, "x", 1, SECOND, 1));
    EXPECT_EQ(await_room(a, "work", 1), ASHM_FULL);
    ashm_set_clock(a, s.clock + 2 * SECOND);
    OK(ashm_sweep(a));
    EXPECT(told(a));
    OK(ashm_send(a, "work", 4, "x", 1, SECOND, 1));
    ashm_set_clock(a, s.clock + 4 * SECOND);
    OK(await_room(a, "work", 1)); /* drops it itself */
    fixture_end(&s, a);
}

static void
test_a_flush_and_a_larger_capacity_make_room(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    OK(send_one(a, "work", 1));
    EXPECT_EQ(await_room(a, "work", 1), ASHM_FULL);
    OK(ashm_flush(a));
    EXPECT(told(a));
    OK(send_one(a, "work", 1));
    EXPECT_EQ(await_room(a, "work", 1), ASHM_FULL);
    OK(ashm_group_add(a, "room", 4, "work", 4, ASHM_NEVER, 2));
    EXPECT(told(a));
    fixture_end(&s, a);
}

/* Then the message is dropped, and nobody waits for its room. */
static void
test_the_end_of_a_process_makes_room(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];

    OK(send_one(a, own_channel(b, "x", name), 1));
    EXPECT_EQ(await_room(a, name, 1), ASHM_FULL);
    ashm_close(b);
    EXPECT(told(a));
    OK(await_room(a, name, 1));
    OK(send_one(a, name, 1));
    fixture_end(&s, a);
}

static void
test_who_waits_and_goes_is_forgotten(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);

    OK(send_one(a, "work", 1));
    EXPECT_EQ(await_room(b, "work", 1), ASHM_FULL);
    ashm_close(b);
    EXPECT_TEXT(take(a, "work"), "x");
    b = segment_open(&s); /* the same slot, and it waits for nothing */
    EXPECT(!told(b));
    ashm_close(b);
    fixture_end(&s, a);
}

/* The bell is armed only if there was no room when its word was read. */
static void
test_arming_sees_room(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    int pending;

    OK(send_one(a, "work", 1));
    EXPECT_EQ(await_room(a, "work", 1), ASHM_FULL);
    EXPECT_TEXT(take(a, "work"), "x");
    OK(ashm_arm(a, &pending));
    EXPECT_EQ(pending, 1);
    EXPECT(told(a));
    OK(ashm_arm(a, &pending));
    EXPECT_EQ(pending, 0);
    EXPECT_EQ(ashm_await_room(a, "a b", 3, 1, &pending), ASHM_BAD_NAME);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_a_receive_makes_room);
    RUN(test_all_who_wait_are_told);
    RUN(test_what_expires_makes_room);
    RUN(test_a_flush_and_a_larger_capacity_make_room);
    RUN(test_the_end_of_a_process_makes_room);
    RUN(test_who_waits_and_goes_is_forgotten);
    RUN(test_arming_sees_room);
    return tests_end();
}

/* test_exchange.c: send and receive, and who is woken by a message. */
#include "exchange.h"

#include <poll.h>
#include <stdio.h>

#include "support.h"

static bool
is_rung(ashm *a)
{
    struct pollfd polled = {.events = POLLIN};

    OK(ashm_bell(a, &polled.fd));
    return poll(&polled, 1, 0) == 1;
}

/* The one cookie that is ready, or 0. */
static uint64_t
ready(ashm *a)
{
    uint64_t cookies[8];
    size_t n;

    OK(ashm_ready(a, cookies, 8, &n));
    EXPECT(n <= 1);
    return n == 1 ? cookies[0] : 0;
}

/* Take a message as one who waited for it does. */
static const char *
take_my_turn(ashm *a, const char *channel, unsigned flags)
{
    static char text[100];
    ashm_received out;
    int rc = ashm_receive(a, channel, strlen(channel), ASHM_WAIT | flags, 1, text,
                          sizeof text - 1, &out);

    if (rc == ASHM_EMPTY) {
        return NULL;
    }
    OK(rc);
    text[out.length] = '\0';
    return text;
}

static int
unwait(ashm *a, const char *channel)
{
    return ashm_unwait(a, channel, strlen(channel));
}

/* ---- send and receive ---- */

static void
test_messages_come_out_in_their_order(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);

    OK(put(a, "work", "one"));
    OK(put(b, "work", "two"));
    OK(put(a, "other", "else"));
    EXPECT_TEXT(take(b, "work"), "one");
    EXPECT_TEXT(take(a, "work"), "two");
    EXPECT(take(a, "work") == NULL);
    EXPECT_TEXT(take(a, "other"), "else");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_arguments_are_checked(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char body[8] = "";
    ashm_received out;

    EXPECT_EQ(put(a, "with space", ""), ASHM_BAD_NAME);
    EXPECT_EQ(ashm_send(a, "c", 1, "", 0, SECOND, 0), ASHM_BAD_ARGUMENT);
    EXPECT_EQ(ashm_send(a, "c", 1, "", 0, SECOND, ASHM_CAPACITY_MAX + 1), ASHM_BAD_ARGUMENT);
    EXPECT_EQ(ashm_send(a, "c", 1, body, MIB + 1, SECOND, 1), ASHM_TOO_LARGE);
    EXPECT_EQ(ashm_receive(a, "", 0, 0, 0, body, 8, &out), ASHM_BAD_NAME);
    EXPECT_EQ(ashm_unwait(a, "!", 1), ASHM_BAD_NAME);
    EXPECT_EQ(join(a, "room!", "c"), ASHM_BAD_NAME);
    EXPECT_EQ(leave(a, "room", "c c"), ASHM_BAD_NAME);
    EXPECT_EQ(tell(a, "no?", ""), ASHM_BAD_NAME);
    EXPECT_EQ(ashm_send(NULL, "c", 1, "", 0, SECOND, 1), ASHM_CLOSED);
    fixture_end(&s, a);
}

static void
test_a_channel_holds_its_capacity_and_not_one_more(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    for (int i = 0; i < 5; i++) {
        OK(ashm_send(a, "c", 1, "x", 1, 60 * SECOND, 5));
    }
    EXPECT_EQ(ashm_send(a, "c", 1, "y", 1, 60 * SECOND, 5), ASHM_FULL);
    EXPECT_EQ(info_of(a).full, 1);
    OK(ashm_send(a, "other", 5, "x", 1, 60 * SECOND, 5));
    EXPECT_TEXT(take(a, "c"), "x");
    OK(ashm_send(a, "c", 1, "y", 1, 60 * SECOND, 5));
    fixture_end(&s, a);
}

static void
test_what_has_expired_is_neither_delivered_nor_counted(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    ashm_set_clock(a, 100 * SECOND);
    OK(ashm_send(a, "c", 1, "long", 4, 60 * SECOND, 2));
    OK(ashm_send(a, "c", 1, "brief", 5, SECOND, 2));
    EXPECT_EQ(ashm_send(a, "c", 1, "more", 4, SECOND, 2), ASHM_FULL);
    ashm_set_clock(a, 101 * SECOND);
    OK(ashm_send(a, "c", 1, "more", 4, 60 * SECOND, 2));
    EXPECT_TEXT(take(a, "c"), "long");
    EXPECT_TEXT(take(a, "c"), "more");
    EXPECT(take(a, "c") == NULL);
    EXPECT_EQ(info_of(a).expired, 1);
    fixture_end(&s, a);
}

static void
test_a_buffer_too_small_takes_nothing(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char text[8];
    ashm_received out;

    OK(put(a, "c", "12345678"));
    EXPECT_EQ(ashm_receive(a, "c", 1, 0, 0, text, 7, &out), ASHM_BUFFER);
    EXPECT_EQ(out.length, 8);
    OK(ashm_receive(a, "c", 1, 0, 0, text, 8, &out));
    EXPECT(memcmp(text, "12345678", 8) == 0);
    fixture_end(&s, a);
}

static void
test_what_a_receive_tells(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char text[8];
    ashm_received out;

    OK(put(a, "x!a", "one"));
    OK(put(a, "x!b", "two"));
    OK(put(a, "x!b", "three"));
    OK(ashm_receive(a, "x!", 2, 0, 0, text, 8, &out));
    EXPECT_EQ(out.length, 3);
    EXPECT_TEXT(out.name, "x!a");
    EXPECT_EQ(out.name_length, 3);
    EXPECT_EQ(out.more, 0);
    OK(ashm_receive(a, "x!", 2, 0, 0, text, 8, &out));
    EXPECT_TEXT(out.name, "x!b");
    EXPECT_EQ(out.more, 1);
    EXPECT_TEXT(take(a, "x!"), "three");
    EXPECT(take(a, "x!") == NULL);
    fixture_end(&s, a);
}

static void
test_a_prefix_gives_the_oldest_of_its_channels(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    static const char *const sent[][2] = {{"x!b", "1"}, {"x!a", "2"}, {"x!b", "3"},
                                          {"y!a", "-"}, {"x!c", "4"}, {"x!a", "5"}};
    static const char *const taken[] = {"1", "2", "3", "4", "5"};

    for (size_t i = 0; i < 6; i++) {
        OK(put(a, sent[i][0], sent[i][1]));
    }
    for (size_t i = 0; i < 5; i++) {
        EXPECT_TEXT(take(a, "x!"), taken[i]);
    }
    EXPECT(take(a, "x!") == NULL);
    EXPECT_TEXT(take(a, "y!a"), "-");
    fixture_end(&s, a);
}

static void
test_a_process_reads_its_own_channels_and_no_others(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1], text[8];
    ashm_received out;

    own_channel(a, "x", name);
    OK(put(b, name, "for a"));
    EXPECT_EQ(ashm_receive(b, name, strlen(name), 0, 0, text, 8, &out), ASHM_NOT_OWNER);
    EXPECT_TEXT(take(a, name), "for a");
    OK(unwait(b, name));
    ashm_close(b);
    fixture_end(&s, a);
}

/* ashm_receive_by(). */
static int
receive_by(ashm *a, ashm_way *way, const char *channel, const char *text)
{
    char buffer[100];
    ashm_received out;
    int rc =
        ashm_receive_by(a, way, channel, strlen(channel), 0, 0, buffer, sizeof buffer, &out);

    EXPECT(rc != 0 || (out.length == strlen(text) && memcmp(buffer, text, out.length) == 0));
    return rc;
}

static void
test_a_way_is_found_out_anew_where_it_does_not_lead_any_more(void)
{
    segment s, other;
    ashm *a = fixture_begin(&s), *b = segment_open(&s), *c = fixture_begin(&other);
    ashm_way own = {.known = 0}, work = {.known = 0}, bad = {.known = 0};
    char name[ASHM_NAME_MAX + 1];

    own_channel(a, "x", name);
    for (int i = 0; i < 2; i++) {
        OK(put(b, name, "own"));
        OK(receive_by(a, &own, name, "own"));
        EXPECT_EQ(receive_by(a, &own, name, ""), ASHM_EMPTY);
        EXPECT_EQ(receive_by(b, &own, name, ""), ASHM_NOT_OWNER); /* as in a fork */
        OK(put(a, "work", "here"));
        OK(put(c, "work", "there"));
        OK(receive_by(a, &work, "work", "here"));
        OK(receive_by(c, &work, "work", "there"));
        EXPECT_EQ(receive_by(a, &bad, "no name", ""), ASHM_BAD_NAME);
    }
    ashm_close(b);
    fixture_end(&other, c);
    fixture_end(&s, a);
}

/* The slot's next holder has the same index, and another generation. */
static void
test_a_way_ends_with_its_process(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    ashm_way way = {.known = 0};
    char name[ASHM_NAME_MAX + 1];

    own_channel(b, "x", name);
    EXPECT_EQ(receive_by(b, &way, name, ""), ASHM_EMPTY);
    ashm_close(b);
    b = segment_open(&s);
    EXPECT_EQ(receive_by(b, &way, name, ""), ASHM_NOT_OWNER);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_message_to_a_process_that_is_gone_is_dropped_and_counted(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];

    own_channel(b, "x", name);
    ashm_close(b);
    OK(put(a, name, "late"));
    OK(join(a, "room", name));
    OK(leave(a, "room", name));
    EXPECT_EQ(info_of(a).gone, 1);
    EXPECT_EQ(info_of(a).messages, 0);
    EXPECT_EQ(info_of(a).memberships, 0);
    fixture_end(&s, a);
}

static void
test_memory_that_is_full_is_told_and_comes_back(void)
{
    static char large[MIB];
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t n = 0;
    int rc;

    while ((rc = ashm_send(a, "c", 1, large, 100000, 60 * SECOND, 100)) == 0) {
        n++;
    }
    EXPECT_EQ(rc, ASHM_MESSAGES_FULL);
    EXPECT_EQ(n, MIB / (25 * PAGE_SIZE_SHM)); /* 25 pages each */
    OK(put(a, "small", "fits into what is left"));
    ashm_received out;
    OK(ashm_receive(a, "c", 1, 0, 0, large, MIB, &out));
    OK(ashm_send(a, "c", 1, large, 100000, 60 * SECOND, 100));
    fixture_end(&s, a);
}

static void
test_what_has_expired_makes_room(void)
{
    static char large[MIB];
    segment s;
    ashm *a = fixture_begin(&s);

    ashm_set_clock(a, 100 * SECOND);
    OK(ashm_send(a, "never-read", 10, large, 1000000, SECOND, 100));
    EXPECT_EQ(ashm_send(a, "c", 1, large, 1000000, SECOND, 100), ASHM_MESSAGES_FULL);
    ashm_set_clock(a, 102 * SECOND);
    OK(ashm_send(a, "c", 1, large, 1000000, SECOND, 100));
    fixture_end(&s, a);
}

static void
test_a_table_that_is_full_is_told_and_loses_nothing(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char name[20];
    int n = 0, rc;

    do { /* a family: one mailbox */
        snprintf(name, sizeof name, "x!%d", n++);
    } while ((rc = ashm_send(a, name, strlen(name), "", 0, ASHM_NEVER, 10)) == 0);
    EXPECT_EQ(rc, ASHM_TABLES_FULL);
    EXPECT_EQ(join(a, "room", name), ASHM_TABLES_FULL);
    EXPECT_EQ(wait_for(a, name, 1), ASHM_TABLES_FULL);
    OK(ashm_send(a, "x!0", 3, "", 0, ASHM_NEVER, 10)); /* in the record */
    EXPECT_EQ(ashm_send(a, "x!0", 3, "", 0, ASHM_NEVER, 10), ASHM_TABLES_FULL);
    EXPECT_EQ(info_of(a).messages, n);
    verified(a);
    OK(ashm_flush(a));
    EXPECT_EQ(info_of(a).group_used, 0);
    OK(put(a, name, "x"));
    fixture_end(&s, a);
}

/* Deadlines are looked at coarsely first: a quarter of a second. */
static void
test_full_of_what_is_about_to_expire_is_full(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t edge = UINT64_C(4000) << DEADLINE_SHIFT;

    ashm_set_clock(a, edge);
    OK(ashm_send(a, "c", 1, "x", 1, 1000, 1));
    EXPECT_EQ(ashm_send(a, "c", 1, "x", 1, 1000, 1), ASHM_FULL);
    ashm_set_clock(a, edge + 999);
    EXPECT_EQ(ashm_send(a, "c", 1, "x", 1, 1000, 1), ASHM_FULL);
    ashm_set_clock(a, edge + 1000);
    OK(ashm_send(a, "c", 1, "x", 1, 1000, 1));
    fixture_end(&s, a);
}

/* ---- waiting ---- */

static void
test_who_waits_is_rung_and_told_which(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);

    EXPECT_EQ(wait_for(a, "work", 11), ASHM_EMPTY);
    EXPECT_EQ(wait_for(a, "other", 12), ASHM_EMPTY);
    EXPECT(!is_rung(a));
    OK(put(b, "other", "x"));
    EXPECT(is_rung(a));
    EXPECT_EQ(ready(a), 12);
    EXPECT(!is_rung(a));
    EXPECT_EQ(ready(a), 0);
    EXPECT_TEXT(take_my_turn(a, "other", 0), "x");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_no_bell_is_rung_for_who_does_not_sleep(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    int pending;

    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
    EXPECT_EQ(ready(a), 0); /* awake, and the bell disarmed */
    OK(put(b, "work", "x"));
    EXPECT(!is_rung(a));
    OK(ashm_arm(a, &pending));
    EXPECT_EQ(pending, 1); /* so it does not go to sleep */
    EXPECT_EQ(ready(a), 1);
    OK(ashm_arm(a, &pending));
    EXPECT_EQ(pending, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_message_wakes_one_of_many_the_longest_waiting_first(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s), *c = segment_open(&s);

    EXPECT_EQ(wait_for(b, "work", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(c, "work", 2), ASHM_EMPTY);
    OK(put(a, "work", "one"));
    EXPECT(is_rung(b) && !is_rung(c));
    OK(put(a, "work", "two"));
    EXPECT(is_rung(c));
    EXPECT_EQ(ready(b), 1);
    EXPECT_EQ(ready(c), 2);
    EXPECT_TEXT(take_my_turn(c, "work", 0), "one");
    EXPECT_TEXT(take_my_turn(b, "work", 0), "two");
    EXPECT_EQ(wait_for(c, "work", 3), ASHM_EMPTY); /* now c was there first */
    EXPECT_EQ(wait_for(b, "work", 4), ASHM_EMPTY);
    OK(put(a, "work", "three"));
    EXPECT_EQ(ready(c), 3);
    EXPECT_EQ(ready(b), 0);
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

static void
test_who_gives_up_passes_its_turn_on(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s), *c = segment_open(&s);

    EXPECT_EQ(wait_for(b, "work", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(c, "work", 2), ASHM_EMPTY);
    OK(put(a, "work", "one"));
    EXPECT_EQ(ready(b), 1);
    OK(unwait(b, "work"));
    EXPECT(is_rung(c));
    EXPECT_EQ(ready(c), 2);
    EXPECT_TEXT(take_my_turn(c, "work", 0), "one");
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

static void
test_who_waits_no_more_is_not_woken(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);

    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
    OK(unwait(a, "work"));
    OK(put(b, "work", "x"));
    EXPECT(!is_rung(a));
    EXPECT_EQ(ready(a), 0);
    OK(unwait(a, "work")); /* twice is once */
    OK(unwait(a, "never-waited-for"));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_message_taken_ends_the_wait_unless_others_go_on(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);

    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
    OK(put(b, "work", "one"));
    EXPECT_EQ(ready(a), 1);
    EXPECT_TEXT(take_my_turn(a, "work", ASHM_OTHERS), "one");
    OK(put(b, "work", "two"));
    EXPECT_EQ(ready(a), 1);
    EXPECT_TEXT(take_my_turn(a, "work", 0), "two");
    OK(put(b, "work", "three"));
    EXPECT_EQ(ready(a), 0);
    ashm_close(b);
    fixture_end(&s, a);
}

/* Take what was sent to a channel that is waited for, as somebody who will come back. */
static void
take_and_come_back(ashm *a, ashm *sender, const char *channel, const char *text, bool waiting)
{
    char buffer[100];
    ashm_received out;

    OK(put(sender, channel, text));
    EXPECT_EQ(ready(a), 1);
    OK(ashm_receive(a, channel, strlen(channel), ASHM_WAIT | ASHM_STAY, 1, buffer,
                    sizeof buffer, &out));
    EXPECT_EQ(out.waiting, waiting);
}

static void
test_who_comes_back_to_a_channel_of_its_own_goes_on_waiting(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char own[ASHM_NAME_MAX + 1];

    own_channel(a, "x", own);
    EXPECT_EQ(wait_for(a, own, 1), ASHM_EMPTY);
    take_and_come_back(a, b, own, "one", true);
    take_and_come_back(a, b, own, "two", true);
    OK(unwait(a, own));
    OK(put(b, own, "three"));
    EXPECT_EQ(ready(a), 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_nobody_stays_who_would_keep_a_message_from_somebody(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char own[ASHM_NAME_MAX + 1], family[ASHM_NAME_MAX + 1], text[100];
    ashm_received out;

    /* Others may want a message of a normal channel. */
    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
    take_and_come_back(a, b, "work", "one", false);
    OK(put(b, "work", "two"));
    EXPECT_EQ(ready(a), 0);
    /* One that is left is there already, and nothing tells of it. */
    own_channel(a, "x", own);
    EXPECT_EQ(wait_for(a, own, 1), ASHM_EMPTY);
    OK(put(b, own, "left"));
    take_and_come_back(a, b, own, "one", false);
    EXPECT_TEXT(take(a, own), "one");
    /* In other channels of the prefix there may be some. */
    strcpy(family, own);
    strchr(family, '!')[1] = '\0';
    EXPECT_EQ(wait_for(a, family, 1), ASHM_EMPTY);
    OK(put(b, own, "one"));
    EXPECT_EQ(ready(a), 1);
    OK(ashm_receive(a, family, strlen(family), ASHM_WAIT | ASHM_STAY, 1, text, sizeof text,
                    &out));
    EXPECT_EQ(out.waiting, 0);
    OK(put(b, own, "two"));
    EXPECT_EQ(ready(a), 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_message_that_was_taken_by_somebody_else(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);

    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
    OK(put(b, "work", "one"));
    EXPECT_TEXT(take(b, "work"), "one");
    EXPECT_EQ(ready(a), 1);
    EXPECT_EQ(wait_for(a, "work", 2), ASHM_EMPTY);
    OK(put(b, "work", "two"));
    EXPECT_EQ(ready(a), 2);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_who_waits_for_a_prefix_is_woken_by_any_of_its_channels(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];

    EXPECT_EQ(wait_for(a, "x!", 5), ASHM_EMPTY);
    OK(put(b, "x!any", "one"));
    EXPECT_EQ(ready(a), 5);
    EXPECT_TEXT(take_my_turn(a, "x!", 0), "one");

    own_channel(a, "", name); /* the prefix of its own channels */
    EXPECT_EQ(wait_for(a, name, 6), ASHM_EMPTY);
    OK(put(b, own_channel(a, "some", name), "two"));
    EXPECT_EQ(ready(a), 6);
    own_channel(a, "", name);
    EXPECT_TEXT(take_my_turn(a, name, 0), "two");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_turn_goes_on_from_a_name_to_its_prefix(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s), *c = segment_open(&s);

    EXPECT_EQ(wait_for(b, "x!one", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(c, "x!", 2), ASHM_EMPTY);
    OK(put(a, "x!one", "m"));
    EXPECT_EQ(ready(b), 1);
    EXPECT_EQ(ready(c), 0);
    OK(unwait(b, "x!one"));
    EXPECT_EQ(ready(c), 2);
    EXPECT_TEXT(take_my_turn(c, "x!", 0), "m");
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

static void
test_more_ready_than_asked_for(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[20];
    uint64_t cookies[30];
    uint64_t seen = 0;
    size_t n;

    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "c%d", i);
        EXPECT_EQ(wait_for(a, name, (uint64_t)i), ASHM_EMPTY);
        OK(put(b, name, "x"));
    }
    do {
        OK(ashm_ready(a, cookies, 30, &n));
        for (size_t i = 0; i < n; i++) {
            EXPECT((seen >> cookies[i] & 1) == 0);
            seen |= UINT64_C(1) << cookies[i];
        }
    } while (n == 30);
    EXPECT(seen == (UINT64_C(1) << 50) - 1);
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_messages_come_out_in_their_order);
    RUN(test_arguments_are_checked);
    RUN(test_a_channel_holds_its_capacity_and_not_one_more);
    RUN(test_what_has_expired_is_neither_delivered_nor_counted);
    RUN(test_a_buffer_too_small_takes_nothing);
    RUN(test_what_a_receive_tells);
    RUN(test_a_prefix_gives_the_oldest_of_its_channels);
    RUN(test_a_process_reads_its_own_channels_and_no_others);
    RUN(test_a_way_is_found_out_anew_where_it_does_not_lead_any_more);
    RUN(test_a_way_ends_with_its_process);
    RUN(test_a_message_to_a_process_that_is_gone_is_dropped_and_counted);
    RUN(test_memory_that_is_full_is_told_and_comes_back);
    RUN(test_what_has_expired_makes_room);
    RUN(test_a_table_that_is_full_is_told_and_loses_nothing);
    RUN(test_full_of_what_is_about_to_expire_is_full);
    RUN(test_who_waits_is_rung_and_told_which);
    RUN(test_no_bell_is_rung_for_who_does_not_sleep);
    RUN(test_a_message_wakes_one_of_many_the_longest_waiting_first);
    RUN(test_who_gives_up_passes_its_turn_on);
    RUN(test_who_waits_no_more_is_not_woken);
    RUN(test_a_message_taken_ends_the_wait_unless_others_go_on);
    RUN(test_who_comes_back_to_a_channel_of_its_own_goes_on_waiting);
    RUN(test_nobody_stays_who_would_keep_a_message_from_somebody);
    RUN(test_a_message_that_was_taken_by_somebody_else);
    RUN(test_who_waits_for_a_prefix_is_woken_by_any_of_its_channels);
    RUN(test_a_turn_goes_on_from_a_name_to_its_prefix);
    RUN(test_more_ready_than_asked_for);
    return tests_end();
}

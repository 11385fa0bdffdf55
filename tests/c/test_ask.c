/* test_ask.c: who is in a group, what is in a channel, and leaving every group. */
#include <stdio.h>

#include "support.h"

/* The members of a group, each followed by a blank. */
static const char *
members(ashm *a, const char *group)
{
    static char text[4000];
    char names[1000];
    uint64_t cursor = 0;
    size_t count, length = 0;

    text[0] = '\0';
    while (cursor != ASHM_NEVER) {
        size_t size = sizeof names;
        const char *at = names;

        OK(ashm_group_members(a, group, strlen(group), &cursor, names, &size, &count));
        for (; count > 0; count--) {
            length +=
                (size_t)snprintf(text + length, sizeof text - length, "%.*s ", *at, at + 1);
            at += 1 + *at;
        }
    }
    return text;
}

static size_t
count_members(ashm *a, const char *group)
{
    uint64_t cursor = 0;
    size_t n, sum = 0;

    while (cursor != ASHM_NEVER) {
        size_t size = 0;

        OK(ashm_group_members(a, group, strlen(group), &cursor, NULL, &size, &n));
        sum += n;
    }
    return sum;
}

static ashm_channel
ask(ashm *a, const char *channel)
{
    ashm_channel found;

    OK(ashm_ask_channel(a, channel, strlen(channel), &found));
    return found;
}

static void
test_members_of_every_mailbox(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    char one[ASHM_NAME_MAX + 1], two[ASHM_NAME_MAX + 1], expected[400];

    EXPECT_TEXT(members(a, "room"), "");
    own_channel(a, "x", one);
    own_channel(b, "x", two);
    OK(join(a, "room", two));
    OK(join(a, "room", one));
    OK(join(a, "room", "work"));
    OK(join(a, "hall", "other"));
    snprintf(expected, sizeof expected, "work %s %s ", one, two);
    EXPECT_TEXT(members(a, "room"), expected);
    EXPECT_EQ(count_members(b, "room"), 3);
    ashm_close(b);
    EXPECT_EQ(count_members(a, "room"), 2);
    fixture_end(&s, a);
}

static void
test_a_membership_that_is_over_is_none(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    OK(ashm_group_add(a, "room", 4, "work", 4, SECOND, 1));
    OK(ashm_group_add(a, "room", 4, "other", 5, 3 * SECOND, 1));
    ashm_set_clock(a, s.clock + 2 * SECOND);
    EXPECT_TEXT(members(a, "room"), "other ");
    EXPECT_EQ(count_members(a, "room"), 1);
    fixture_end(&s, a);
}

static void
test_names_that_do_not_fit(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t cursor = 0;
    char names[30];
    size_t size = 10, count = 99;

    OK(join(a, "room", "x!first"));
    OK(join(a, "room", "x!second"));
    EXPECT_EQ(ashm_group_members(a, "room", 4, &cursor, names, &size, &count), ASHM_BUFFER);
    EXPECT_EQ(size, 8 + 9);
    EXPECT_EQ(cursor, 0);
    EXPECT_EQ(count, 99);
    OK(ashm_group_members(a, "room", 4, &cursor, names, &size, &count));
    EXPECT_EQ(count, 2);
    EXPECT_EQ(ashm_group_members(a, "a b", 3, &cursor, names, &size, &count), ASHM_BAD_NAME);
    fixture_end(&s, a);
}

static void
test_what_is_in_a_channel(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_channel found = ask(a, "work");

    EXPECT(found.pending == 0 && found.sent == 0 && found.full == 0 && found.age == 0);
    OK(ashm_send(a, "work", 4, "over", 4, SECOND, 2));
    ashm_set_clock(a, s.clock + SECOND);
    OK(ashm_send(a, "work", 4, "x", 1, 60 * SECOND, 2));
    EXPECT_EQ(ashm_send(a, "work", 4, "y", 1, 60 * SECOND, 1), ASHM_FULL);
    ashm_set_clock(a, s.clock + 11 * SECOND);
    found = ask(a, "work");
    EXPECT_EQ(found.pending, 1);
    EXPECT_EQ(found.sent, 2);
    EXPECT_EQ(found.full, 1);
    EXPECT(found.age > 10 * SECOND - (UINT64_C(2) << AGE_SHIFT));
    EXPECT(found.age < 10 * SECOND + (UINT64_C(2) << AGE_SHIFT));
    EXPECT_EQ(info_of(a).expired, 1);
    EXPECT_EQ(ask(a, "specific.AAAAAAAAAAAAAAAA!x").pending, 0);
    fixture_end(&s, a);
}

static void
test_a_channel_leaves_every_group(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char group[20];

    for (int i = 0; i < 300; i++) {
        snprintf(group, sizeof group, "room-%d", i);
        OK(join(a, group, "work"));
    }
    OK(join(a, "room-7", "other"));
    OK(ashm_discard_all(a, "work", 4));
    EXPECT_EQ(info_of(a).memberships, 1);
    EXPECT_EQ(info_of(a).groups, 1);
    EXPECT_TEXT(members(a, "room-7"), "other ");
    OK(ashm_discard_all(a, "work", 4));
    OK(ashm_discard_all(a, "nobody", 6));
    EXPECT_EQ(ashm_discard_all(a, "a b", 3), ASHM_BAD_NAME);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_members_of_every_mailbox);
    RUN(test_a_membership_that_is_over_is_none);
    RUN(test_names_that_do_not_fit);
    RUN(test_what_is_in_a_channel);
    RUN(test_a_channel_leaves_every_group);
    return tests_end();
}

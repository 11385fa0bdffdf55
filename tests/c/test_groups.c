/* test_groups.c: a group send reaches who is a member at that time, each once, in order. */
#include "groups.h"

#include <stdio.h>

#include "support.h"

static char ours[ASHM_NAME_MAX + 1], theirs[ASHM_NAME_MAX + 1];

static ashm *
two_processes(segment *s, ashm **a)
{
    ashm *b;

    *a = fixture_begin(s);
    b = segment_open(s);
    own_channel(*a, "x", ours);
    own_channel(b, "x", theirs);
    return b;
}

static const char *
numbered(const char *prefix, int i)
{
    static char name[40];

    snprintf(name, sizeof name, "%s%d", prefix, i);
    return name;
}

/* ---- membership ---- */

static void
test_members_in_every_mailbox_get_it_once(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    OK(join(a, "room", ours));
    OK(join(a, "room", theirs));
    OK(join(a, "room", "normal"));
    OK(join(b, "room", ours)); /* twice is once */
    OK(tell(b, "room", "hello"));
    EXPECT_TEXT(take(a, ours), "hello");
    EXPECT_TEXT(take(b, theirs), "hello");
    EXPECT_TEXT(take(b, "normal"), "hello");
    EXPECT(take(a, ours) == NULL);
    EXPECT(take(b, theirs) == NULL);
    EXPECT(take(b, "normal") == NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_nobody_else_gets_it(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    OK(tell(a, "room", "to nobody"));
    OK(join(a, "room", ours));
    OK(join(a, "other", theirs));
    OK(join(a, "room", "left"));
    OK(leave(b, "room", "left"));
    OK(leave(b, "room", "never-there"));
    OK(leave(b, "no-room", ours));
    OK(tell(b, "room", "hello"));
    EXPECT(take(b, theirs) == NULL);
    EXPECT(take(b, "left") == NULL);
    EXPECT_TEXT(take(a, ours), "hello");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_who_was_a_member_at_the_time_counts(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    OK(join(a, "room", ours));
    OK(tell(b, "room", "one"));
    OK(leave(b, "room", ours)); /* after the send, before anybody has settled it */
    OK(tell(b, "room", "two"));
    OK(join(b, "room", ours));
    OK(tell(b, "room", "three"));
    EXPECT_TEXT(take(a, ours), "one");
    EXPECT_TEXT(take(a, ours), "three");
    EXPECT(take(a, ours) == NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_sends_and_group_sends_keep_their_order(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    OK(join(a, "room", ours));
    OK(put(b, ours, "1"));
    OK(tell(b, "room", "2"));
    OK(put(b, ours, "3"));
    OK(tell(b, "room", "4"));
    OK(tell(b, "room", "5"));
    for (int i = 1; i <= 5; i++) {
        EXPECT_TEXT(take(a, ours), numbered("", i));
    }
    ashm_close(b);
    fixture_end(&s, a);
}

static uint32_t
is_shared(ashm *a, const char *channel)
{
    char text[8];
    ashm_received out;

    OK(ashm_receive(a, channel, strlen(channel), 0, 0, text, sizeof text, &out));
    return out.shared;
}

static void
test_who_receives_is_told_whether_others_are_to_get_the_same(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    OK(join(a, "room", ours));
    OK(join(a, "room", theirs));
    OK(join(a, "room", "normal"));
    OK(tell(b, "room", "hello"));
    EXPECT_EQ(is_shared(b, theirs), 1);
    EXPECT_EQ(is_shared(b, "normal"), 1);
    EXPECT_EQ(is_shared(a, ours), 0);
    OK(put(b, ours, "hello"));
    EXPECT_EQ(is_shared(a, ours), 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_group_without_members_leaves_nothing(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);
    uint32_t hash = hash_of(a, "room");

    OK(join(a, "room", ours));
    EXPECT(group_may_be_in(a, COMMONS, hash));
    EXPECT(!group_may_be_in(a, COMMONS + 1, hash));
    OK(leave(a, "room", ours));
    EXPECT(!group_may_be_in(a, COMMONS, hash));
    EXPECT_EQ(info_of(a).groups, 0);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).channels, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_groups_whose_hashes_meet_in_the_filter(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    for (int i = 0; i < 3 * FILTER_BUCKETS; i++) {
        OK(join(a, numbered("room", i), ours));
    }
    for (int i = 0; i < 3 * FILTER_BUCKETS; i += 2) {
        OK(leave(a, numbered("room", i), ours));
    }
    verified(a);
    OK(tell(b, "room0", "no"));
    OK(tell(b, "room1", "yes"));
    EXPECT_TEXT(take(a, ours), "yes");
    EXPECT(take(a, ours) == NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_memberships_expire(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    ashm_set_clock(a, 100 * SECOND);
    ashm_set_clock(b, 100 * SECOND);
    OK(ashm_group_add(a, "room", 4, ours, strlen(ours), 10 * SECOND, 100));
    OK(ashm_group_add(a, "room", 4, "brief", 5, 5 * SECOND, 100));
    OK(ashm_group_add(a, "room", 4, "renewed", 7, 5 * SECOND, 100));
    OK(ashm_group_add(a, "room", 4, "renewed", 7, 20 * SECOND, 100));
    ashm_set_clock(a, 106 * SECOND);
    ashm_set_clock(b, 106 * SECOND);
    OK(tell(b, "room", "hello"));
    EXPECT_TEXT(take(a, ours), "hello");
    EXPECT_TEXT(take(a, "renewed"), "hello");
    EXPECT(take(a, "brief") == NULL);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).memberships, 2);
    ashm_close(b);
    fixture_end(&s, a);
}

/* ---- capacity ---- */

static void
test_a_full_member_drops_it_alone(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    OK(ashm_group_add(a, "room", 4, ours, strlen(ours), ASHM_NEVER, 2));
    OK(join(a, "room", "roomy"));
    for (int i = 1; i <= 4; i++) {
        OK(tell(b, "room", numbered("", i)));
    }
    for (int i = 1; i <= 4; i++) {
        EXPECT_TEXT(take(a, "roomy"), numbered("", i));
    }
    EXPECT_TEXT(take(a, ours), "1");
    EXPECT_TEXT(take(a, ours), "2");
    EXPECT(take(a, ours) == NULL);
    EXPECT_EQ(info_of(a).full, 2);
    OK(tell(b, "room", "again"));
    EXPECT_TEXT(take(a, ours), "again");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_expired_messages_make_room_in_a_full_member(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    ashm_set_clock(a, 100 * SECOND);
    ashm_set_clock(b, 100 * SECOND);
    OK(ashm_group_add(a, "room", 4, ours, strlen(ours), ASHM_NEVER, 2));
    OK(ashm_send(b, ours, strlen(ours), "brief", 5, SECOND, 2));
    OK(ashm_send(b, ours, strlen(ours), "long", 4, 60 * SECOND, 2));
    ashm_set_clock(a, 102 * SECOND);
    ashm_set_clock(b, 102 * SECOND);
    OK(tell(b, "room", "new"));
    EXPECT_TEXT(take(a, ours), "long");
    EXPECT_TEXT(take(a, ours), "new");
    EXPECT(take(a, ours) == NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
set_clocks(ashm *a, ashm *b, uint64_t now)
{
    ashm_set_clock(a, now);
    ashm_set_clock(b, now);
}

static void
test_members_and_their_room_are_those_of_the_time_of_the_send(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);
    char full[ASHM_NAME_MAX + 1];

    own_channel(a, "full", full);
    set_clocks(a, b, 100 * SECOND);
    OK(ashm_group_add(a, "room", 4, ours, strlen(ours), 5 * SECOND, 100));
    OK(ashm_group_add(a, "room", 4, full, strlen(full), ASHM_NEVER, 1));
    OK(ashm_send(a, full, strlen(full), "brief", 5, 5 * SECOND, 1));
    OK(tell(b, "room", "hello"));
    set_clocks(a, b,
               106 * SECOND); /* the membership is over, and so is what filled the other */
    EXPECT_TEXT(take(a, ours), "hello");
    EXPECT(take(a, full) == NULL);
    EXPECT_EQ(info_of(a).full, 1);
    ashm_close(b);
    fixture_end(&s, a);
}

/* ---- broadcasts ---- */

static void
test_a_broadcast_waits_in_the_mailbox_until_it_is_entered(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);
    char another[ASHM_NAME_MAX + 1];

    OK(join(a, "room", ours));
    OK(join(a, "room", own_channel(a, "y", another)));
    OK(tell(b, "room", "hello"));
    EXPECT(mailbox_may_have_broadcasts(a, COMMONS));
    verified(a);
    EXPECT_TEXT(take(a, ours), "hello");
    EXPECT(!mailbox_may_have_broadcasts(a, COMMONS));
    EXPECT_TEXT(take(a, another), "hello");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_full_broadcast_ring_is_settled_by_the_sender(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    OK(ashm_group_add(a, "room", 4, ours, strlen(ours), ASHM_NEVER, 10 * BROADCASTS));
    for (int i = 0; i < 3 * BROADCASTS + 1; i++) {
        OK(tell(b, "room", numbered("", i)));
    }
    verified(a);
    for (int i = 0; i < 3 * BROADCASTS + 1; i++) {
        EXPECT_TEXT(take(a, ours), numbered("", i));
    }
    EXPECT(take(a, ours) == NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_broadcast_that_expires_unsettled_is_not_delivered(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);

    ashm_set_clock(a, 100 * SECOND);
    ashm_set_clock(b, 100 * SECOND);
    OK(join(a, "room", ours));
    OK(tell(b, "room", "old"));
    ashm_set_clock(a, 161 * SECOND);
    EXPECT(take(a, ours) == NULL);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_many_members(void)
{
    enum { MEMBERS = 2000 };
    segment s;
    ashm *a, *b;
    char name[ASHM_NAME_MAX + 1];

    segment_make(&s);
    s.options.group_memory = 4 * MIB;
    a = segment_open(&s);
    b = segment_open(&s);
    for (int i = 0; i < MEMBERS; i++) {
        OK(join(a, "room", own_channel(a, numbered("", i), name)));
    }
    for (int i = 0; i < 4; i++) { /* beyond the record, too */
        OK(tell(b, "room", numbered("", i)));
    }
    EXPECT_EQ(info_of(a).messages, 4 * MEMBERS);
    verified(a);
    for (int i = 0; i < MEMBERS; i++) {
        own_channel(a, numbered("", i), name);
        for (int j = 0; j < 4; j++) {
            EXPECT_TEXT(take(a, name), numbered("", j));
        }
    }
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_who_waits_is_rung_by_a_broadcast(void)
{
    segment s;
    ashm *a, *b = two_processes(&s, &a);
    uint64_t cookie;
    size_t n;
    int pending;

    OK(join(a, "room", ours));
    EXPECT_EQ(wait_for(a, ours, 9), ASHM_EMPTY);
    OK(tell(b, "room", "hello"));
    OK(ashm_arm(a, &pending));
    EXPECT_EQ(pending, 1);
    OK(ashm_ready(a, &cookie, 1, &n));
    EXPECT_EQ(n, 1);
    EXPECT_EQ(cookie, 9);
    EXPECT_TEXT(take(a, ours), "hello");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_without_memory_for_the_message_nobody_gets_it_and_it_is_counted(void)
{
    static char large[MIB];
    segment s;
    ashm *a, *b = two_processes(&s, &a);
    ashm_reached reached = {{0}};

    OK(join(a, "room", ours));
    OK(ashm_send(a, "large", 5, large, 1000000, 60 * SECOND, 10));
    EXPECT_EQ(ashm_group_send(a, "room", 4, large, 1000000, 60 * SECOND, &reached),
              ASHM_MESSAGES_FULL);
    EXPECT_EQ(info_of(a).unsent, 1);
    EXPECT(take(a, ours) == NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

/* Send to all but these, and say what became of it. */
static ashm_delivery
tell_but(ashm *a, const char *group, const char *text, const char *one, const char *other)
{
    ashm_delivery report = {0};
    ashm_reached reached = {0};
    char names[2 * ASHM_NAME_MAX + 3];

    snprintf(names, sizeof names, "%c%s%c%s", (int)strlen(one), one, (int)strlen(other), other);
    OK(ashm_group_send_but(a, group, strlen(group), text, strlen(text), 60 * SECOND, names,
                           strlen(names), &reached, &report));
    return report;
}

static void
test_members_that_are_left_out(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    char mine[ASHM_NAME_MAX + 1], theirs[ASHM_NAME_MAX + 1];
    ashm_delivery report;

    OK(join(a, "room", own_channel(a, "x", mine)));
    OK(join(a, "room", own_channel(b, "x", theirs)));
    OK(join(a, "room", "work"));
    OK(join(a, "hall", theirs));
    report = tell_but(a, "room", "one", theirs, "work");
    EXPECT_EQ(report.delivered, 1);
    EXPECT_EQ(report.full, 0);
    report = tell_but(a, "room", "two", "nobody", mine);
    EXPECT_EQ(report.delivered, 2);
    OK(tell(a, "room", "three")); /* what left them out before does so no more */
    report = tell_but(a, "hall", "four", mine, "work");
    EXPECT_EQ(report.delivered, 1);
    EXPECT_TEXT(take(a, mine), "one");
    EXPECT_TEXT(take(a, mine), "three");
    EXPECT(take(a, mine) == NULL);
    EXPECT_TEXT(take(b, theirs), "two");
    EXPECT_TEXT(take(b, theirs), "three");
    EXPECT_TEXT(take(b, theirs), "four");
    EXPECT_TEXT(take(a, "work"), "two");
    EXPECT_TEXT(take(a, "work"), "three");
    verified(a);
    ashm_close(b);
    fixture_end(&s, a);
}

/* Several wait in the ring, each without others. */
static void
test_who_is_left_out_is_so_when_it_is_settled_later(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    char one[ASHM_NAME_MAX + 1], other[ASHM_NAME_MAX + 1], exclude[ASHM_NAME_MAX + 2];
    ashm_reached reached = {0};

    OK(join(a, "room", own_channel(b, "one", one)));
    OK(join(a, "room", own_channel(b, "other", other)));
    OK(tell(a, "room", "all"));
    snprintf(exclude, sizeof exclude, "%c%s", (int)strlen(one), one);
    OK(ashm_group_send_but(a, "room", 4, "not one", 7, 60 * SECOND, exclude, strlen(exclude),
                           &reached, NULL));
    OK(tell(a, "room", "all again"));
    EXPECT(mailbox_may_have_broadcasts(a, COMMONS + b->own->slot));
    EXPECT_TEXT(take(b, one), "all");
    EXPECT_TEXT(take(b, one), "all again");
    EXPECT_TEXT(take(b, other), "all");
    EXPECT_TEXT(take(b, other), "not one");
    EXPECT_TEXT(take(b, other), "all again");
    ashm_close(b);
    fixture_end(&s, a);
}

/* Again and again, while none of it is settled. */
static void
test_who_is_left_out_twice_gets_neither(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    char one[ASHM_NAME_MAX + 1], other[ASHM_NAME_MAX + 1], exclude[2 * ASHM_NAME_MAX + 3];
    ashm_reached reached = {0};

    OK(join(a, "room", own_channel(b, "one", one)));
    OK(join(a, "room", own_channel(b, "other", other)));
    snprintf(exclude, sizeof exclude, "%c%s%c%s", (int)strlen(one), one, (int)strlen(other),
             other);
    OK(ashm_group_send_but(a, "room", 4, "not one", 7, 60 * SECOND, exclude, 1 + strlen(one),
                           &reached, NULL));
    OK(ashm_group_send_but(a, "room", 4, "nobody", 6, 60 * SECOND, exclude, strlen(exclude),
                           &reached, NULL));
    OK(ashm_group_send_but(a, "room", 4, "not one, too", 12, 60 * SECOND, exclude,
                           1 + strlen(one), &reached, NULL));
    OK(tell(a, "room", "all"));
    EXPECT_TEXT(take(b, one), "all");
    EXPECT_TEXT(take(b, other), "not one");
    EXPECT_TEXT(take(b, other), "not one, too");
    EXPECT_TEXT(take(b, other), "all");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_report_counts_who_was_full(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_delivery report;
    char name[20];

    for (int i = 0; i < 100; i++) { /* more than one transaction takes */
        snprintf(name, sizeof name, "x!%d", i);
        OK(ashm_group_add(a, "room", 4, name, strlen(name), ASHM_NEVER, 1));
        if (i % 4 == 0) {
            OK(ashm_send(a, name, strlen(name), "", 0, 60 * SECOND, 1));
        }
    }
    report = tell_but(a, "room", "x", "x!1", "x!4");
    EXPECT_EQ(report.delivered, 74);
    EXPECT_EQ(report.full, 24);
    report = tell_but(a, "nobody", "x", "x!1", "x!4");
    EXPECT_EQ(report.delivered, 0);
    fixture_end(&s, a);
}

static void
test_bad_names_to_be_left_out(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_reached reached = {0};
    static const char *const bad[] = {"\1", "\2a", "\1 ", "\1ab", "\377a"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT_EQ(ashm_group_send_but(a, "room", 4, "", 0, SECOND, bad[i], strlen(bad[i]),
                                      &reached, NULL),
                  ASHM_BAD_NAME);
    }
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_members_in_every_mailbox_get_it_once);
    RUN(test_nobody_else_gets_it);
    RUN(test_who_was_a_member_at_the_time_counts);
    RUN(test_sends_and_group_sends_keep_their_order);
    RUN(test_who_receives_is_told_whether_others_are_to_get_the_same);
    RUN(test_a_group_without_members_leaves_nothing);
    RUN(test_groups_whose_hashes_meet_in_the_filter);
    RUN(test_memberships_expire);
    RUN(test_a_full_member_drops_it_alone);
    RUN(test_expired_messages_make_room_in_a_full_member);
    RUN(test_members_and_their_room_are_those_of_the_time_of_the_send);
    RUN(test_a_broadcast_waits_in_the_mailbox_until_it_is_entered);
    RUN(test_a_full_broadcast_ring_is_settled_by_the_sender);
    RUN(test_a_broadcast_that_expires_unsettled_is_not_delivered);
    RUN(test_many_members);
    RUN(test_who_waits_is_rung_by_a_broadcast);
    RUN(test_without_memory_for_the_message_nobody_gets_it_and_it_is_counted);
    RUN(test_members_that_are_left_out);
    RUN(test_who_is_left_out_is_so_when_it_is_settled_later);
    RUN(test_who_is_left_out_twice_gets_neither);
    RUN(test_a_report_counts_who_was_full);
    RUN(test_bad_names_to_be_left_out);
    return tests_end();
}

/* test_sweep.c: what is over goes, without anybody reading; and everything, on demand. */
#include "sweep.h"

#include <stdio.h>

#include "maintain.h"
#include "support.h"

static void
set_clocks(ashm *a, ashm *b, uint64_t now)
{
    ashm_set_clock(a, now);
    ashm_set_clock(b, now);
}

static void
test_unread_messages_give_their_memory_back(void)
{
    static char large[MIB];
    segment s;
    ashm *a = fixture_begin(&s);

    ashm_set_clock(a, 100 * SECOND);
    OK(ashm_send(a, "c", 1, large, 500000, SECOND, 10));
    OK(ashm_send(a, "c", 1, large, 100, 60 * SECOND, 10));
    OK(ashm_send(a, "c", 1, large, 100000, SECOND, 10));
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).messages, 3);
    ashm_set_clock(a, 102 * SECOND);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).messages, 1);
    EXPECT_EQ(info_of(a).message_used, PAGE_SIZE_SHM);
    EXPECT_EQ(info_of(a).expired, 2);
    ashm_set_clock(a, 200 * SECOND);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    EXPECT_EQ(info_of(a).group_used, 0);
    fixture_end(&s, a);
}

static void
test_a_record_is_removed_when_nothing_needs_it(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    OK(put(a, "message", "x"));
    OK(put(a, "read", "x"));
    EXPECT_TEXT(take(a, "read"), "x");
    OK(join(a, "room", "member"));
    EXPECT_EQ(wait_for(a, "awaited", 1), ASHM_EMPTY);
    EXPECT_EQ(info_of(a).channels, 4);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).channels, 3);
    EXPECT_TEXT(take(a, "message"), "x");
    OK(leave(a, "room", "member"));
    OK(ashm_unwait(a, "awaited", 7));
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).channels, 0);
    fixture_end(&s, a);
}

static void
test_the_sweep_by_the_way_spares_what_is_new_once(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    OK(put(a, "work", "x"));
    EXPECT_TEXT(take(a, "work"), "x");
    lane_open(a, &t);
    for (uint32_t i = 0; i < COMMONS; i++) {
        OK(sweep_some(&t, i, UINT32_MAX));
    }
    tx_close(&t);
    EXPECT_EQ(info_of(a).channels, 1);
    lane_open(a, &t);
    for (uint32_t i = 0; i < COMMONS; i++) {
        OK(sweep_some(&t, i, UINT32_MAX));
    }
    tx_close(&t);
    EXPECT_EQ(info_of(a).channels, 0);
    fixture_end(&s, a);
}

static void
test_it_goes_round_a_part_at_a_time(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char name[20];
    uint32_t parts = 0;
    tx t;

    ashm_set_clock(a, 100 * SECOND);
    for (int i = 0; i < 200; i++) { /* one mailbox */
        snprintf(name, sizeof name, "x!%d", i);
        OK(ashm_send(a, name, strlen(name), "", 0, SECOND, 1));
    }
    ashm_set_clock(a, 102 * SECOND);
    store_relaxed64(&a->tick_at, 102 * SECOND + MAINTAIN_INTERVAL);
    while (a->header->arenas[MESSAGES].used != 0 && parts < 100) {
        uint64_t expired = 0;

        lane_open(a, &t);
        for (uint32_t i = 0; i < COMMONS; i++) {
            OK(sweep_some(&t, i, TABLE_BUCKETS_PER_PAGE / 16));
            expired += handle_mailbox(a, i)->expired;
        }
        tx_close(&t);
        parts++;
        if (expired == 200) {
            break;
        }
    }
    EXPECT(parts > 1 && parts <= 16);
    fixture_end(&s, a);
}

static void
test_a_tick_sweeps_in_the_end_whatever_is_over(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);

    set_clocks(a, b, 100 * SECOND);
    OK(ashm_send(a, "c", 1, "x", 1, SECOND, 10));
    OK(ashm_group_add(a, "room", 4, "m", 1, SECOND, 10));
    for (uint64_t i = 0; i < 40; i++) {
        set_clocks(a, b, 102 * SECOND + i * MAINTAIN_INTERVAL);
        OK(ashm_tick(i % 2 ? a : b)); /* by turns */
    }
    EXPECT_EQ(info_of(a).messages, 0);
    EXPECT_EQ(info_of(a).memberships, 0);
    EXPECT_EQ(info_of(a).groups, 0);
    EXPECT_EQ(info_of(a).channels, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

/* How many ticks, so far from one to the next, until all of so many channels are swept. */
static uint32_t
ticks_to_sweep(uint32_t channels, uint64_t step)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t now = 100 * SECOND;
    uint32_t ticks = 0;
    char name[20];

    ashm_set_clock(a, now);
    OK(ashm_tick(a));
    store_relaxed64(&a->tick_at, now + 100 * SECOND); /* the sends do not */
    for (uint32_t i = 0; i < channels; i++) { /* one mailbox */
        snprintf(name, sizeof name, "x!%d", (int)i);
        OK(ashm_send(a, name, strlen(name), "", 0, 1, 1));
    }
    do {
        now += step;
        ticks++;
        ashm_set_clock(a, now);
        OK(ashm_tick(a));
    } while (info_of(a).messages != 0 && ticks < 1000);
    fixture_end(&s, a);
    return ticks;
}

static void
test_the_smallest_table_is_swept_in_a_second(void)
{
    EXPECT(ticks_to_sweep(500, MAINTAIN_INTERVAL) * MAINTAIN_INTERVAL <= SECOND);
}

static void
test_a_large_table_is_swept_in_four_seconds(void)
{
    uint64_t time = ticks_to_sweep(5000, MAINTAIN_INTERVAL) * MAINTAIN_INTERVAL;

    EXPECT(time > 3 * SECOND && time <= 4 * SECOND + MAINTAIN_INTERVAL);
}

static void
test_who_comes_seldom_sweeps_two_parts(void)
{
    EXPECT(ticks_to_sweep(500, 5 * MAINTAIN_INTERVAL) <= 5);
    EXPECT(ticks_to_sweep(5000, 5 * MAINTAIN_INTERVAL) <= 21);
}

static void
test_a_ring_that_is_empty_shrinks(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t used;

    for (int i = 0; i < 3; i++) {
        OK(put(a, "c", "x"));
    }
    OK(join(a, "room", "c")); /* keeps the record */
    for (int i = 0; i < 100; i++) {
        OK(ashm_send(a, "c", 1, "x", 1, 60 * SECOND, 1000));
    }
    used = info_of(a).group_used;
    while (take(a, "c") != NULL) {
    }
    OK(ashm_sweep(a));
    EXPECT(info_of(a).group_used < used);
    fixture_end(&s, a);
}

static void
test_who_was_told_and_does_not_come_is_passed_over(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s), *c = segment_open(&s);
    uint64_t cookie;
    size_t n;

    EXPECT_EQ(wait_for(b, "work", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(c, "work", 2), ASHM_EMPTY);
    OK(put(a, "work", "x")); /* b is told, and stopped */
    OK(ashm_sweep(a));
    OK(ashm_ready(c, &cookie, 1, &n));
    EXPECT_EQ(n, 1);
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

/* ---- flush ---- */

static void
test_flush_drops_messages_and_memberships(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];

    own_channel(b, "x", name);
    OK(put(a, "work", "x"));
    OK(put(a, name, "x"));
    OK(join(a, "room", name));
    OK(join(a, "room", "work"));
    OK(tell(a, "room", "unsettled"));
    OK(ashm_flush(a));
    EXPECT(take(a, "work") == NULL);
    EXPECT(take(b, name) == NULL);
    OK(tell(a, "room", "nobody there"));
    EXPECT(take(b, name) == NULL);
    EXPECT_EQ(info_of(a).messages + info_of(a).groups + info_of(a).memberships, 0);
    EXPECT_EQ(info_of(a).message_used, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_who_waits_goes_on_waiting_after_a_flush(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];
    uint64_t cookies[4];
    size_t n;

    own_channel(a, "x", name);
    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(a, name, 2), ASHM_EMPTY);
    OK(ashm_flush(b));
    OK(put(b, "work", "x"));
    OK(put(b, name, "y"));
    OK(ashm_ready(a, cookies, 4, &n));
    EXPECT_EQ(n, 2);
    EXPECT_EQ(cookies[0] + cookies[1], 3);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_the_clock_does_not_go_back(void)
{
    segment s;
    ashm *a, *b;
    uint64_t ahead;

    segment_make(&s); /* on the real clock */
    a = segment_open(&s);
    b = segment_open(&s);
    a->clock_offset -= 1000 * (int64_t)SECOND; /* it took the host for one that runs longer */
    ahead = handle_now(a);
    OK(ashm_tick(a));
    EXPECT(handle_now(b) >= ahead);
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_unread_messages_give_their_memory_back);
    RUN(test_a_record_is_removed_when_nothing_needs_it);
    RUN(test_the_sweep_by_the_way_spares_what_is_new_once);
    RUN(test_it_goes_round_a_part_at_a_time);
    RUN(test_a_tick_sweeps_in_the_end_whatever_is_over);
    RUN(test_the_smallest_table_is_swept_in_a_second);
    RUN(test_a_large_table_is_swept_in_four_seconds);
    RUN(test_who_comes_seldom_sweeps_two_parts);
    RUN(test_a_ring_that_is_empty_shrinks);
    RUN(test_who_was_told_and_does_not_come_is_passed_over);
    RUN(test_flush_drops_messages_and_memberships);
    RUN(test_who_waits_goes_on_waiting_after_a_flush);
    RUN(test_the_clock_does_not_go_back);
    return tests_end();
}

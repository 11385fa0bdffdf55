/* test_stats.c: counters say what happened, and outlive who counted. */
#include "stats.h"

#include "support.h"

static const ashm_counter *
counter(const char *name)
{
    size_t count;
    const ashm_counter *counters = ashm_counters(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(counters[i].name, name) == 0) {
            return &counters[i];
        }
    }
    test_failed(__FILE__, __LINE__, "there is no counter %s", name);
}

static void
test_the_table_leads_to_the_figures(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_info info;
    uint64_t sent;

    OK(put(a, "work", "x"));
    OK(put(a, "work", "y"));
    info = info_of(a);
    memcpy(&sent, (const char *)&info + counter("sent")->offset, sizeof sent);
    EXPECT_EQ(sent, 2);
    EXPECT_TEXT(counter("sent")->unit, "messages");
    EXPECT_TEXT(counter("lock_wait_ns")->unit, "nanoseconds");
    fixture_end(&s, a);
}

static void
test_each_call_counts_once(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char name[ASHM_NAME_MAX + 1];
    ashm_info info;

    own_channel(a, "mine", name);
    OK(join(a, "room", name));
    OK(join(a, "room", "work"));
    OK(put(a, "work", "x"));
    EXPECT_EQ(ashm_send(a, "work", 4, "y", 1, 60 * SECOND, 1), ASHM_FULL);
    OK(tell(a, "room", "z"));
    OK(tell(a, "empty", "z"));
    EXPECT_TEXT(take(a, "work"), "x");
    EXPECT_EQ(wait_for(a, "idle", 1), ASHM_EMPTY);
    OK(put(a, "idle", "x")); /* and rings: nobody is awake to see it */
    info = info_of(a);
    EXPECT_EQ(info.sends, 2);
    EXPECT_EQ(info.group_sends, 2);
    EXPECT_EQ(info.receives, 1);
    EXPECT_EQ(info.rings, 1);
    EXPECT_EQ(info.full, 2); /* "y", and "z" for "work", whose capacity had become 1 */
    EXPECT_EQ(info.sent, 3);
    EXPECT_EQ(info.received, 1);
    EXPECT_EQ(info.lock_waits, 0);
    fixture_end(&s, a);
}

static void
test_what_a_process_counted_stays(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    uint32_t slot = b->own->slot;

    OK(put(b, "work", "x"));
    ashm_close(b);
    EXPECT_EQ(info_of(a).sends, 1);
    b = segment_open(&s);
    EXPECT_EQ(b->own->slot, slot);
    EXPECT_EQ(info_of(a).sends, 1);
    EXPECT_EQ(load_relaxed64(&handle_slot(a, slot)->before.sends), 1);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_losses_are_told_by_whose_they_are(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];
    ashm_losses losses;

    own_channel(b, "mine", name);
    OK(ashm_send(a, name, strlen(name), "x", 1, 60 * SECOND, 1));
    EXPECT_EQ(ashm_send(a, name, strlen(name), "y", 1, 60 * SECOND, 1), ASHM_FULL);
    OK(ashm_send(a, "work", 4, "x", 1, 1, 1));
    EXPECT_EQ(ashm_send(a, "work", 4, "y", 1, 1, 1), ASHM_FULL);
    OK(ashm_get_losses(a, &losses));
    EXPECT_EQ(losses.own_full, 0);
    EXPECT_EQ(losses.common_full, 1);
    EXPECT_EQ(losses.first, 1);
    OK(ashm_get_losses(b, &losses));
    EXPECT_EQ(losses.own_full, 1);
    EXPECT_EQ(losses.own_expired, 0);
    EXPECT_EQ(losses.common_full, 1);
    EXPECT_EQ(losses.slot, b->own->slot);
    EXPECT_EQ(losses.first, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_waits_for_a_lock_count(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    pid_t child = child_holding_commons(&s);
    tx t;

    child_kill(child);
    lane_open(a, &t);
    OK(tx_enter(&t, 0)); /* by recovery, after a slice */
    tx_leave(&t);
    tx_close(&t);
    EXPECT_EQ(info_of(a).lock_waits, 1);
    EXPECT(info_of(a).lock_wait_ns > 0);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_the_table_leads_to_the_figures);
    RUN(test_each_call_counts_once);
    RUN(test_what_a_process_counted_stays);
    RUN(test_losses_are_told_by_whose_they_are);
    RUN(test_waits_for_a_lock_count);
    return tests_end();
}

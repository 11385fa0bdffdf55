/* test_linger.c: an operation says before it takes long, and most have nothing to say. */
#include "linger.h"

#include <stdio.h>

#include "mailbox.h"
#include "support.h"

static unsigned lingered;

/* What is true of a handle when it lingers first, and is to become true after that. */
static const ashm *looked_at;
static bool (*look)(const ashm *);
static bool seen;

static void
count(void)
{
    if (looked_at != NULL && lingered == 0) {
        seen = look(looked_at);
    }
    lingered++;
}

static void
begin_looking(const ashm *a, bool (*at)(const ashm *))
{
    looked_at = a;
    look = at;
    seen = true;
}

static bool
end_looking(void)
{
    looked_at = NULL;
    return seen;
}

/* What `call` has said. */
#define LINGERS(call) (lingered = 0, (void)(call), lingered)

static int
arm(ashm *a)
{
    int pending;

    return ashm_arm(a, &pending);
}

static int
ready(ashm *a)
{
    uint64_t cookies[4];
    size_t n;

    return ashm_ready(a, cookies, 4, &n);
}

static void
test_what_is_done_at_once(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char own[ASHM_NAME_MAX + 1];

    own_channel(a, "x", own);
    EXPECT_EQ(LINGERS(wait_for(a, own, 1)), 0);
    EXPECT_EQ(LINGERS(join(a, "room", own)), 0);
    EXPECT_EQ(LINGERS(put(b, own, "one")), 0);
    EXPECT_EQ(LINGERS(tell(b, "room", "two")), 0);
    EXPECT_EQ(LINGERS(ready(a)), 0);
    EXPECT_EQ(LINGERS(arm(a)), 0);
    EXPECT_EQ(LINGERS(take(a, own)), 0);
    EXPECT_EQ(LINGERS(leave(a, "room", own)), 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static bool
is_attached(const ashm *a)
{
    return a->own->attached != 0;
}

static void
test_the_first_operation_of_a_process(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open_for_child(&s);

    begin_looking(b, is_attached);
    EXPECT(LINGERS(put(b, "work", "one")) > 0);
    EXPECT(!end_looking());
    EXPECT_EQ(LINGERS(put(b, "work", "two")), 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_who_waits_for_a_lock(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    tx t;

    a->lock_wait_ns = NS_PER_MS;
    lane_open(b, &t);
    EXPECT(tx_memory(&t));
    EXPECT(LINGERS(put(a, "work", "one")) > 0);
    OK(tx_commit(&t));
    tx_close(&t);
    EXPECT_EQ(LINGERS(put(a, "work", "one")), 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_who_waits_for_a_lane(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t[LANES];

    a->lock_wait_ns = NS_PER_MS;
    for (int i = 0; i < LANES; i++) {
        lane_open(a, &t[i]);
    }
    EXPECT(LINGERS(put(a, "work", "one")) > 0);
    for (int i = 0; i < LANES; i++) {
        tx_close(&t[i]);
    }
    EXPECT_EQ(LINGERS(put(a, "work", "one")), 0);
    fixture_end(&s, a);
}

static void
test_who_looks_after_the_segment(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    OK(put(a, "work", "one"));
    ashm_set_clock(a, s.clock + SECOND);
    EXPECT(LINGERS(put(a, "work", "two")) > 0);
    EXPECT_EQ(LINGERS(put(a, "work", "three")), 0);
    fixture_end(&s, a);
}

static void
test_who_sweeps_for_want_of_memory(void)
{
    static char large[100000];
    segment s;
    ashm *a = fixture_begin(&s);
    int rc;

    do {
        lingered = 0;
        rc = ashm_send(a, "work", 4, large, sizeof large, 60 * SECOND, 100);
    } while (rc == 0);
    EXPECT_EQ(rc, ASHM_MESSAGES_FULL);
    EXPECT(lingered > 0);
    fixture_end(&s, a);
}

static void
test_who_looks_through_a_mailbox(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    OK(put(a, "x!a", "one"));
    EXPECT(LINGERS(take(a, "x!")) > 0);
    fixture_end(&s, a);
}

static bool
has_delivered(const ashm *a)
{
    return !mailbox_may_have_broadcasts(a, COMMONS + a->own->slot);
}

/* Before it does. */
static void
test_who_delivers_to_many(void)
{
    enum { MEMBERS = 700 };
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char own[ASHM_NAME_MAX + 1], suffix[12];

    for (int i = 0; i < MEMBERS; i++) {
        snprintf(suffix, sizeof suffix, "%d", i);
        own_channel(a, suffix, own);
        OK(join(a, "room", own));
    }
    OK(tell(b, "room", "one"));
    EXPECT_EQ(LINGERS(take(a, own)), 0);
    for (int i = 0; i < 3; i++) {
        OK(tell(b, "room", "more"));
    }
    begin_looking(a, has_delivered);
    EXPECT(LINGERS(take(a, own)) > 0);
    EXPECT(!end_looking());
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    ashm_on_linger(count);
    RUN(test_what_is_done_at_once);
    RUN(test_the_first_operation_of_a_process);
    RUN(test_who_waits_for_a_lock);
    RUN(test_who_waits_for_a_lane);
    RUN(test_who_looks_after_the_segment);
    RUN(test_who_sweeps_for_want_of_memory);
    RUN(test_who_looks_through_a_mailbox);
    RUN(test_who_delivers_to_many);
    return tests_end();
}

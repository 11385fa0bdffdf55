/* test_watch.c: who watches a group is told of joins and leaves, whatever makes them. */
#include "watch.h"

#include <poll.h>

#include "support.h"

static uint32_t
watch(ashm *a, const char *group)
{
    uint32_t bucket = WATCH_BUCKETS;

    OK(ashm_watch(a, group, strlen(group), &bucket));
    EXPECT(bucket < WATCH_BUCKETS);
    return bucket;
}

static bool
rings(ashm *a)
{
    struct pollfd polled = {.events = POLLIN};

    OK(ashm_bell(a, &polled.fd));
    return poll(&polled, 1, 0) == 1;
}

/* Was the handle told of the bucket, and of nothing else? It is not told twice. */
static bool
told(ashm *a, uint32_t bucket)
{
    uint64_t cookies[8];
    size_t n;
    int pending;

    OK(ashm_ready(a, cookies, 8, &n));
    EXPECT(n <= 1);
    EXPECT(n == 0 || cookies[0] == (ASHM_CHANGED | bucket));
    OK(ashm_arm(a, &pending));
    EXPECT_EQ(pending, 0);
    return n == 1;
}

static void
test_joins_and_leaves_are_told(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    uint32_t room = watch(b, "room");

    EXPECT(!told(b, room));
    OK(join(a, "room", "work"));
    EXPECT(rings(b));
    verified(a);
    EXPECT(told(b, room));
    OK(join(a, "room", "work")); /* it is in it */
    EXPECT(!rings(b) && !told(b, room));
    OK(join(a, "room", "more"));
    EXPECT(rings(b) && told(b, room));
    OK(leave(a, "room", "work"));
    EXPECT(rings(b) && told(b, room));
    OK(ashm_discard_all(a, "more", 4));
    EXPECT(rings(b) && told(b, room));
    OK(leave(a, "room", "work")); /* nobody is */
    EXPECT(!rings(b) && !told(b, room));
    OK(join(a, "room", "work"));
    EXPECT(told(b, room));
    OK(ashm_flush(a));
    EXPECT(rings(b) && told(b, room));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_who_does_not_watch_is_not_told(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s), *c = segment_open(&s);
    uint32_t room = watch(b, "room");
    char other[] = "a";

    while (watch(c, other) == room) {
        OK(ashm_unwatch(c, room));
        other[0]++;
    }
    EXPECT(!told(b, room) && !told(c, room));
    OK(join(a, "room", "work"));
    EXPECT(rings(b) && !rings(c) && !told(c, room));
    EXPECT(told(b, room));
    OK(ashm_unwatch(b, room));
    OK(leave(a, "room", "work"));
    EXPECT(!rings(b) && !told(b, room));
    EXPECT_EQ(ashm_unwatch(b, WATCH_BUCKETS), ASHM_BAD_ARGUMENT);
    EXPECT_EQ(ashm_watch(b, "a b", 3, &room), ASHM_BAD_NAME);
    verified(a);
    ashm_close(c);
    ashm_close(b);
    EXPECT_EQ(load_relaxed64(&a->header->watched), 0);
    fixture_end(&s, a);
}

static void
test_what_expires_is_told(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t room = watch(a, "room");

    OK(ashm_group_add(a, "room", 4, "work", 4, SECOND, 10));
    EXPECT(told(a, room));
    ashm_set_clock(a, s.clock + 2 * SECOND);
    OK(ashm_sweep(a));
    EXPECT(rings(a) && told(a, room));
    fixture_end(&s, a);
}

/* And whose process has ended can be told from who has left. */
static void
test_the_end_of_a_process_is_told(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    uint32_t room = watch(a, "room");
    char name[ASHM_NAME_MAX + 1];
    int gone = -1;

    OK(join(b, "room", own_channel(b, "x", name)));
    EXPECT(told(a, room));
    OK(ashm_is_gone(a, name, strlen(name), &gone));
    EXPECT_EQ(gone, 0);
    ashm_close(b);
    EXPECT(rings(a) && told(a, room));
    OK(ashm_is_gone(a, name, strlen(name), &gone));
    EXPECT_EQ(gone, 1);
    OK(ashm_is_gone(a, "work", 4, &gone));
    EXPECT_EQ(gone, 0);
    EXPECT_EQ(ashm_is_gone(a, "a b", 3, &gone), ASHM_BAD_NAME);
    fixture_end(&s, a);
}

static void
test_who_watches_and_goes_is_forgotten(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    uint32_t room = watch(b, "room");

    OK(join(a, "room", "work"));
    ashm_close(b);
    verified(a);
    b = segment_open(&s); /* the same slot, and it watches nothing */
    EXPECT(!told(b, room));
    OK(leave(a, "room", "work"));
    EXPECT(!told(b, room));
    ashm_close(b);
    fixture_end(&s, a);
}

/* The bell is armed only if nothing had changed when its word was read. */
static void
test_arming_sees_changes(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t room = watch(a, "room");
    int pending;

    OK(join(a, "room", "work"));
    OK(ashm_arm(a, &pending));
    EXPECT_EQ(pending, 1);
    EXPECT(told(a, room));
    fixture_end(&s, a);
}

/* More buckets than cookies: the rest comes with the next call. */
static void
test_all_buckets_are_told(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t cookies[4], seen = 0, watched = 0;
    size_t n;

    for (char group[] = "a"; group[0] <= 'z'; group[0]++) {
        watched |= UINT64_C(1) << watch(a, group);
        OK(join(a, group, "work"));
    }
    do {
        OK(ashm_ready(a, cookies, 4, &n));
        for (size_t i = 0; i < n; i++) {
            seen |= UINT64_C(1) << (cookies[i] & ~ASHM_CHANGED);
        }
    } while (n == 4);
    EXPECT_EQ(seen, watched);
    fixture_end(&s, a);
}

static void
test_verify_knows_who_watches(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char report[200];

    (void)watch(a, "room");
    OK(ashm_verify(a, report, sizeof report));
    store_relaxed64(&a->header->watched, 0);
    EXPECT_EQ(ashm_verify(a, report, sizeof report), ASHM_CORRUPT);
    store_relaxed64(&a->header->watched, watch_union(a));
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_joins_and_leaves_are_told);
    RUN(test_who_does_not_watch_is_not_told);
    RUN(test_what_expires_is_told);
    RUN(test_the_end_of_a_process_is_told);
    RUN(test_who_watches_and_goes_is_forgotten);
    RUN(test_arming_sees_changes);
    RUN(test_all_buckets_are_told);
    RUN(test_verify_knows_who_watches);
    return tests_end();
}

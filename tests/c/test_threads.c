/* test_threads.c: every operation at the same time, by threads that stand for processes.
 *
 * Each thread has a handle, and so a slot, of its own; all share a mapping, so that
 * ThreadSanitizer sees what one does to another. Messages are numbered by their sender: each
 * comes out once at most, and in its sender's order. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

enum { SENDERS = 2, READERS = 2, MESSAGES_EACH = 3000 };

typedef struct {
    ashm *a;
    int number;
    atomic_u32 *left;             /* messages that nobody has read yet */
    uint32_t next[SENDERS];       /* numbers of a sender rise */
    unsigned char seen[SENDERS][MESSAGES_EACH]; /* by this reader */
} worker;

typedef struct {
    uint32_t sender, number;
} body;

static void
run(pthread_t *thread, void *(*work)(void *), void *argument)
{
    EXPECT_EQ(pthread_create(thread, NULL, work, argument), 0);
}

/* ---- a work queue ---- */

static void *
send_many(void *argument)
{
    const worker *w = argument;

    for (uint32_t i = 0; i < MESSAGES_EACH; i++) {
        body b = {(uint32_t)w->number, i};
        int rc;

        while ((rc = ashm_send(w->a, "work", 4, &b, sizeof b, 60 * SECOND, 50)) == ASHM_FULL) {
            sched_yield();
        }
        OK(rc);
    }
    return NULL;
}

static void
note(worker *w, const body *b)
{
    EXPECT(b->sender < SENDERS && b->number < MESSAGES_EACH);
    EXPECT(b->number >= w->next[b->sender]);
    w->next[b->sender] = b->number + 1;
    w->seen[b->sender][b->number]++;
    atomic_fetch_sub(w->left, 1);
}

/* Asleep until the bell rings, as an event loop is. */
static void
sleep_until_rung(worker *w)
{
    struct pollfd polled = {.events = POLLIN};
    uint64_t cookies[4];
    size_t n;

    OK(ashm_bell(w->a, &polled.fd));
    EXPECT(poll(&polled, 1, 10) >= 0); /* the end may come without a message */
    OK(ashm_ready(w->a, cookies, 4, &n));
}

static void *
read_many(void *argument)
{
    worker *w = argument;

    while (atomic_load(w->left) != 0) {
        ashm_received out;
        body b;
        int rc = ashm_receive(w->a, "work", 4, ASHM_WAIT, 1, &b, sizeof b, &out);

        if (rc == 0) {
            note(w, &b);
        } else {
            EXPECT_EQ(rc, ASHM_EMPTY);
            if (out.more == 0) {
                sleep_until_rung(w);
            }
        }
    }
    OK(ashm_unwait(w->a, "work", 4));
    return NULL;
}

static void
test_a_work_queue(void)
{
    static worker senders[SENDERS], readers[READERS];
    segment s;
    ashm *a = fixture_begin(&s);
    pthread_t threads[SENDERS + READERS];
    atomic_u32 left = SENDERS * MESSAGES_EACH;

    for (int i = 0; i < READERS; i++) {
        readers[i] = (worker){.a = segment_open_sharing(&s, a), .left = &left};
        run(&threads[i], read_many, &readers[i]);
    }
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (worker){.a = segment_open_sharing(&s, a), .number = i};
        run(&threads[READERS + i], send_many, &senders[i]);
    }
    for (int i = 0; i < SENDERS + READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < SENDERS; i++) {
        for (int j = 0; j < MESSAGES_EACH; j++) {
            int times = 0;

            for (int k = 0; k < READERS; k++) {
                times += readers[k].seen[i][j];
            }
            EXPECT_EQ(times, 1);
        }
    }
    verified(a);
    for (int i = 0; i < READERS; i++) {
        segment_close_sharing(readers[i].a);
    }
    for (int i = 0; i < SENDERS; i++) {
        segment_close_sharing(senders[i].a);
    }
    fixture_end(&s, a);
}

/* ---- everything at once ---- */

enum { CROWD = 4, ROUNDS = 400 };

/* What is called less often. */
static void
ask_everything(ashm *a, const char *own)
{
    static const char exclude[] = "\4work";
    char names[1000];
    uint64_t cursor = 0;
    uint32_t bucket;
    size_t size = sizeof names, n;
    ashm_reached reached = {0};
    ashm_delivery delivery = {0};
    ashm_channel channel;
    ashm_losses losses;
    int yes;

    OK(ashm_watch(a, "room", 4, &bucket));
    OK(ashm_group_send_but(a, "room", 4, "but", 3, SECOND, exclude, 5, &reached, &delivery));
    OK(ashm_group_members(a, "room", 4, &cursor, names, &size, &n));
    OK(ashm_ask_channel(a, "work", 4, &channel));
    OK(ashm_get_losses(a, &losses));
    OK(ashm_is_gone(a, own, strlen(own), &yes));
    EXPECT_EQ(yes, 0);
    EXPECT(ashm_await_room(a, "work", 4, 1, &yes) != ASHM_CORRUPT);
    OK(ashm_discard_all(a, own, strlen(own)));
    OK(ashm_unwatch(a, bucket));
}

static void *
do_everything(void *argument)
{
    const worker *w = argument;
    ashm *a = w->a;
    char name[ASHM_NAME_MAX + 1], report[200] = "";
    char large[9000] = "";
    uint64_t cookies[8];
    ashm_info info;
    size_t n;
    int pending;

    own_channel(a, "x", name);
    for (int i = 0; i < ROUNDS; i++) {
        ashm_received out;

        OK(join(a, "room", name));
        OK(join(a, i % 2 ? "room" : "hall", "work"));
        OK(tell(a, "room", "hello"));
        EXPECT(put(a, "work", "x") != ASHM_CORRUPT);
        EXPECT(ashm_send(a, "large", 5, large, sizeof large, SECOND, 5) != ASHM_CORRUPT);
        (void)take(a, "work");
        (void)take(a, name);
        EXPECT(ashm_receive(a, "large", 5, 0, 0, large, sizeof large, &out) != ASHM_CORRUPT);
        EXPECT(wait_for(a, "idle", 1) != ASHM_CORRUPT);
        OK(ashm_ready(a, cookies, 8, &n));
        OK(ashm_arm(a, &pending));
        OK(ashm_unwait(a, "idle", 4));
        if (i % 3 == 0) {
            OK(leave(a, "room", name));
        }
        if (i % 10 == w->number) {
            ask_everything(a, name);
        }
        if (i % 50 == w->number) {
            ashm_set_clock(a, handle_now(a) + SECOND); /* so that it is time for it */
            OK(ashm_tick(a));
            OK(ashm_sweep(a));
            OK(ashm_get_info(a, &info));
        }
        if (i % 100 == w->number) {
            int rc = ashm_verify(a, report, sizeof report);

            if (rc != 0) {
                test_failed(__FILE__, __LINE__, "verify: %d: %s", rc, report);
            }
        }
        if (i % 150 == w->number) {
            OK(ashm_flush(a));
        }
    }
    return NULL;
}

static void
test_everything_at_once(void)
{
    static worker crowd[CROWD];
    segment s;
    ashm *a = fixture_begin(&s);
    pthread_t threads[CROWD];

    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (worker){.a = segment_open_sharing(&s, a), .number = i};
        run(&threads[i], do_everything, &crowd[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    verified(a);
    for (int i = 0; i < CROWD; i++) {
        segment_close_sharing(crowd[i].a);
    }
    OK(ashm_flush(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    EXPECT_EQ(info_of(a).group_used, 0);
    fixture_end(&s, a);
}

static void
test_everything_at_once_by_threads_of_one_process(void)
{
    static worker crowd[CROWD];
    segment s;
    ashm *a = fixture_begin(&s);
    pthread_t threads[CROWD];

    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (worker){.a = a, .number = i};
        run(&threads[i], do_everything, &crowd[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    fixture_end(&s, a);
}

/* ---- coming and going ---- */

static void *
come_and_go(void *argument)
{
    const segment *s = argument;

    for (int i = 0; i < 60; i++) {
        ashm *a = segment_open(s);
        char name[ASHM_NAME_MAX + 1];

        OK(join(a, "room", own_channel(a, "x", name)));
        OK(tell(a, "room", "hello"));
        EXPECT_TEXT(take(a, name), "hello");
        ashm_close(a);
    }
    return NULL;
}

static void
test_processes_come_and_go(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    pthread_t threads[CROWD];

    s.clock = 0;
    for (int i = 0; i < CROWD; i++) {
        run(&threads[i], come_and_go, &s);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT_EQ(info_of(a).attached, 1);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    fixture_end(&s, a);
}

/* A message of theirs: so they are at it. */
static const char *
wait_and_take(ashm *a)
{
    const char *text;

    while ((text = take(a, "work")) == NULL) {
        sched_yield();
    }
    return text;
}

/* ---- leaving while others are inside ---- */

static void *
send_until_closed(void *argument)
{
    ashm *a = argument;
    int rc;

    do {
        rc = put(a, "work", "x");
    } while (rc == 0 || rc == ASHM_FULL);
    EXPECT_EQ(rc, ASHM_CLOSED);
    return NULL;
}

static void
test_a_process_leaves_while_its_threads_are_inside(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    pthread_t threads[CROWD];

    for (int round = 0; round < 5; round++) {
        ashm *b = segment_open(&s);

        for (int i = 0; i < CROWD; i++) {
            run(&threads[i], send_until_closed, b);
        }
        EXPECT_TEXT(wait_and_take(a), "x");
        OK(ashm_leave(b));
        for (int i = 0; i < CROWD; i++) {
            pthread_join(threads[i], NULL);
        }
        ashm_close(b);
        EXPECT_EQ(info_of(a).attached, 1);
        OK(ashm_flush(a));
        verified(a);
    }
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_a_work_queue);
    RUN(test_everything_at_once);
    RUN(test_everything_at_once_by_threads_of_one_process);
    RUN(test_processes_come_and_go);
    RUN(test_a_process_leaves_while_its_threads_are_inside);
    return tests_end();
}

/* test_doorbell.c: whoever goes to sleep after looking is rung by whoever comes after. */
#include "doorbell.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static bool
is_readable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, 0) == 1;
}

static void
test_an_armed_bell_is_rung_and_an_unarmed_is_not(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    int bell;

    OK(ashm_bell(a, &bell));
    doorbell_ring(b, 0);
    EXPECT(!is_readable(bell));
    EXPECT(doorbell_arm(a, doorbell_read(a)));
    doorbell_ring(b, 0);
    EXPECT(is_readable(bell));
    doorbell_drain(a);
    EXPECT(!is_readable(bell));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_it_cannot_be_armed_past_a_ring(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    uint64_t seen = doorbell_read(a);

    doorbell_ring(b, 0);
    EXPECT(!doorbell_arm(a, seen));
    seen = doorbell_read(a);
    EXPECT(doorbell_arm(a, seen));
    EXPECT(doorbell_arm(a, seen)); /* it is already */
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_bell_that_another_thread_has_armed_is_no_answer_to_what_came_before(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    uint64_t seen = doorbell_read(a);

    doorbell_ring(b, 0);
    EXPECT(doorbell_arm(a, doorbell_read(a))); /* another thread, which has seen the ring */
    EXPECT(!doorbell_arm(a, seen));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_only_the_receiver_disarms(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s), *c = segment_open(&s);
    int bell;

    OK(ashm_bell(a, &bell));
    EXPECT(doorbell_arm(a, doorbell_read(a)));
    doorbell_ring(b, 0);
    doorbell_drain(a); /* as if b had been killed before it rang */
    doorbell_ring(c, 0);
    EXPECT(is_readable(bell));
    doorbell_disarm(a);
    doorbell_drain(a);
    doorbell_ring(c, 0);
    EXPECT(!is_readable(bell));
    ashm_close(b);
    ashm_close(c);
    fixture_end(&s, a);
}

static void
test_what_is_owed_is_paid_once(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    uint64_t before;
    tx t;

    mailbox_hold(b, &t, 0);
    before = doorbell_read(a);
    doorbell_owe(&t, 0);
    doorbell_owe(&t, 0);
    EXPECT_EQ(t.lane->bells[0], 1);
    OK(tx_commit(&t));
    tx_leave(&t);
    doorbell_pay(&t);
    EXPECT_EQ(t.lane->bells[0], 0);
    EXPECT_EQ(doorbell_read(a), before + 2);
    doorbell_pay(&t);
    EXPECT_EQ(doorbell_read(a), before + 2);
    tx_close(&t);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_debt_is_undone_with_its_transaction(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    mailbox_hold(a, &t, 0);
    doorbell_owe(&t, 200);
    EXPECT(t.lane->bells[3] != 0);
    tx_rollback(&t);
    EXPECT_EQ(t.lane->bells[3], 0);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_full_bell_is_rung_enough(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    int bell;

    OK(ashm_bell(a, &bell));
    EXPECT(doorbell_arm(a, doorbell_read(a)));
    for (int i = 0; i < 70000; i++) { /* more than a FIFO holds; nobody waits */
        doorbell_ring(b, 0);
    }
    EXPECT(is_readable(bell));
    for (int i = 0; i < 100 && is_readable(bell); i++) {
        doorbell_drain(a);
    }
    EXPECT(!is_readable(bell));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_receiver_that_is_gone_is_no_error(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    int bell;

    OK(ashm_bell(b, &bell));
    EXPECT(doorbell_arm(b, doorbell_read(b)));
    doorbell_ring(a, 1);
    ashm_close(b);
    doorbell_ring(a, 1); /* nobody there: neither an error nor SIGPIPE */
    b = segment_open(&s); /* the next holder of the slot has a bell of its own */
    OK(ashm_bell(b, &bell));
    EXPECT(!is_readable(bell));
    EXPECT(doorbell_arm(b, doorbell_read(b)));
    doorbell_ring(a, 1);
    EXPECT(is_readable(bell));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_descriptor_that_was_closed_under_us(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    int bell, stranger;

    OK(ashm_bell(a, &bell));
    EXPECT(doorbell_arm(a, doorbell_read(a)));
    doorbell_ring(b, 0);
    doorbell_drain(a);
    EXPECT_EQ(close(b->peers[0].fd - 1), 0);
    stranger = open("/dev/null", O_RDWR);
    EXPECT_EQ(stranger, b->peers[0].fd - 1); /* its number is another file's now */
    doorbell_ring(b, 0);
    EXPECT(is_readable(bell));
    EXPECT_EQ(fcntl(stranger, F_GETFD), 0);
    close(stranger);
    ashm_close(b);
    fixture_end(&s, a);
}

/* Where the bell of slot 0 stands, as long as nobody else makes one. */
static void
bell_path(const segment *s, const ashm *a, char path[320])
{
    snprintf(path, 320, "/dev/shm%s:bell.%08x.0", s->name, a->segment_id);
}

static void
test_a_bell_that_a_dead_holder_left_is_used(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    struct stat left, used;
    char path[320];
    int bell;

    bell_path(&s, a, path);
    EXPECT_EQ(mkfifo(path, 0600), 0);
    EXPECT_EQ(stat(path, &left), 0);
    OK(ashm_bell(a, &bell));
    EXPECT_EQ(fstat(bell, &used), 0);
    EXPECT_EQ(used.st_ino, left.st_ino);
    EXPECT(doorbell_arm(a, doorbell_read(a)));
    doorbell_ring(b, 0);
    EXPECT(is_readable(bell));
    ashm_close(b);
    fixture_end(&s, a); /* and is removed */
}

static void
test_what_is_no_bell_of_ours_is_replaced(void)
{
    for (int kind = 0; kind < 3; kind++) {
        segment s;
        ashm *a = fixture_begin(&s), *b = segment_open(&s);
        struct stat st;
        char path[320];
        int bell;

        bell_path(&s, a, path);
        switch (kind) {
        case 0:
            EXPECT_EQ(mkfifo(path, 0600), 0);
            EXPECT_EQ(chmod(path, 0666), 0); /* others could take our rings away */
            break;
        case 1:
            EXPECT_EQ(mkfifo(path, 0600), 0);
            EXPECT_EQ(chown(path, (uid_t)-1, getuid() == 0 ? 1 : getegid()), 0);
            EXPECT_EQ(chmod(path, 0), 0);
            break;
        default:
            EXPECT_EQ(mknod(path, S_IFREG | 0600, 0), 0);
        }
        OK(ashm_bell(a, &bell));
        EXPECT_EQ(fstat(bell, &st), 0);
        EXPECT_EQ(st.st_mode, S_IFIFO | 0600);
        EXPECT(doorbell_arm(a, doorbell_read(a)));
        doorbell_ring(b, 0);
        EXPECT(is_readable(bell));
        EXPECT_EQ(segment_bells(&s), 1);
        ashm_close(b);
        fixture_end(&s, a);
    }
}

static void
test_a_bell_that_lost_its_name_and_its_descriptor_is_made_anew(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char path[320];
    int bell;

    bell_path(&s, a, path);
    OK(ashm_bell(a, &bell));
    EXPECT_EQ(unlink(path), 0);
    EXPECT_EQ(close(bell), 0);
    OK(ashm_bell(a, &bell));
    EXPECT(doorbell_arm(a, doorbell_read(a)));
    doorbell_ring(b, 0);
    EXPECT(is_readable(bell));
    ashm_close(b);
    fixture_end(&s, a);
}

/* ---- no wake-up is lost ---- */

enum { ROUNDS = 5000 };

typedef struct {
    ashm *a;
    atomic_u32 *work; /* published before each ring, taken after each wake-up */
} ringer;

static void *
ring_and_ring(void *argument)
{
    const ringer *r = argument;

    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add_explicit(r->work, 1, memory_order_relaxed);
        doorbell_ring(r->a, 0);
    }
    return NULL;
}

static void
test_no_ring_is_lost_between_looking_and_sleeping(void)
{
    enum { RINGERS = 2 };
    segment s;
    ashm *a = fixture_begin(&s), *others[RINGERS];
    pthread_t threads[RINGERS];
    ringer ringers[RINGERS];
    atomic_u32 work = 0;
    uint32_t taken = 0;
    int bell;

    OK(ashm_bell(a, &bell));
    for (int i = 0; i < RINGERS; i++) {
        others[i] = segment_open_sharing(&s, a);
        ringers[i] = (ringer){others[i], &work};
        EXPECT_EQ(pthread_create(&threads[i], NULL, ring_and_ring, &ringers[i]), 0);
    }
    while (taken < RINGERS * ROUNDS) {
        struct pollfd polled = {.fd = bell, .events = POLLIN};
        uint64_t seen;

        doorbell_drain(a);
        doorbell_disarm(a);
        seen = doorbell_read(a);
        taken += atomic_exchange_explicit(&work, 0, memory_order_relaxed);
        if (taken < RINGERS * ROUNDS && doorbell_arm(a, seen)) {
            EXPECT_EQ(poll(&polled, 1, -1), 1); /* for ever, if one was lost */
        }
    }
    for (int i = 0; i < RINGERS; i++) {
        pthread_join(threads[i], NULL);
        segment_close_sharing(others[i]);
    }
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_an_armed_bell_is_rung_and_an_unarmed_is_not);
    RUN(test_it_cannot_be_armed_past_a_ring);
    RUN(test_a_bell_that_another_thread_has_armed_is_no_answer_to_what_came_before);
    RUN(test_only_the_receiver_disarms);
    RUN(test_what_is_owed_is_paid_once);
    RUN(test_a_debt_is_undone_with_its_transaction);
    RUN(test_a_full_bell_is_rung_enough);
    RUN(test_a_receiver_that_is_gone_is_no_error);
    RUN(test_a_descriptor_that_was_closed_under_us);
    RUN(test_a_bell_that_a_dead_holder_left_is_used);
    RUN(test_what_is_no_bell_of_ours_is_replaced);
    RUN(test_a_bell_that_lost_its_name_and_its_descriptor_is_made_anew);
    RUN(test_no_ring_is_lost_between_looking_and_sleeping);
    return tests_end();
}

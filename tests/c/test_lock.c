/* test_lock.c: the lock excludes, survives its owner's death, and is never taken from the
 * living. */
#include "lock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "claim.c" /* for try_slot(): a certain slot, which find_slot() would not choose */
#include "recover.h"
#include "support.h"

static lock_shm *
commons_lock(const ashm *a, uint32_t index)
{
    return &handle_mailbox(a, index)->lock;
}

/* Who sleeps here sleeps on no lock, but tries again and again. */
static bool may_sleep = true;

int
nanosleep(const struct timespec *pause, struct timespec *left)
{
    EXPECT(may_sleep);
    return clock_nanosleep(CLOCK_MONOTONIC, 0, pause, left) == 0 ? 0 : -1;
}

/* A word of the segment that nobody else uses. */
static uint64_t *
counter(const ashm *a)
{
    return (uint64_t *)(void *)handle_mailbox(a, 0)->ring;
}

/* Dying with the mailbox and the memory locked and stores made. */
static void
hold_both(void *argument)
{
    ashm *a = argument;
    tx t;

    mailbox_hold(a, &t, 0);
    EXPECT(tx_memory(&t));
    tx_set64(&t, counter(a), 111);
    tx_set64(&t, counter(a), 222);
    tx_set64(&t, counter(a) + 1, 333);
}

static void
hold_mailbox(void *argument)
{
    tx t;

    mailbox_hold(argument, &t, 0);
}

static void
hold_memory(void *argument)
{
    tx t;

    lane_open(argument, &t);
    EXPECT(tx_memory(&t));
}

static void
attach_only(void *argument)
{
    OK(ashm_attach(argument));
}

/* ---- the living ---- */

static void
test_the_word_names_the_owner(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    lock_shm *lock = commons_lock(a, 0);
    tx t;

    EXPECT_EQ(lock->word, 0);
    mailbox_hold(a, &t, 0);
    EXPECT_EQ(lock_owner_slot(lock->word), a->own->slot);
    EXPECT_EQ(lock_owner_generation(lock->word), a->own->generation);
    EXPECT_EQ(lock->word & LOCK_WAITERS, 0);
    mailbox_let_go(&t);
    EXPECT_EQ(lock->word, 0);
    fixture_end(&s, a);
}

typedef struct {
    ashm *a;
    int rounds;
} worker;

static void *
count(void *argument)
{
    const worker *w = argument;

    for (int i = 0; i < w->rounds; i++) {
        tx t;

        mailbox_hold(w->a, &t, 0);
        *counter(w->a) += 1; /* not atomic: the lock alone keeps it right */
        mailbox_let_go(&t);
    }
    return NULL;
}

static void
test_it_excludes_processes(void)
{
    enum { THREADS = 4, ROUNDS = 20000 };
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *others[THREADS];
    pthread_t threads[THREADS];
    worker workers[THREADS];

    for (int i = 0; i < THREADS; i++) {
        others[i] = segment_open_sharing(&s, a);
        workers[i] = (worker){others[i], ROUNDS};
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, count, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        segment_close_sharing(others[i]);
    }
    EXPECT_EQ(*counter(a), THREADS * ROUNDS);
    *counter(a) = 0;
    fixture_end(&s, a);
}

static void
test_it_excludes_threads_of_one_process(void)
{
    enum { THREADS = LANES + 2, ROUNDS = 5000 }; /* more than lanes: they take turns */
    segment s;
    ashm *a = fixture_begin(&s);
    pthread_t threads[THREADS];
    worker one = {a, ROUNDS};

    for (int i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, count, &one), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT_EQ(*counter(a), THREADS * ROUNDS);
    *counter(a) = 0;
    fixture_end(&s, a);
}

/* ---- waiting ---- */

static void *
take_once(void *argument)
{
    tx t;

    mailbox_hold(argument, &t, 0);
    mailbox_let_go(&t);
    return NULL;
}

/* Returns when the waiter has said in the word that it sleeps. */
static void
await_waiter(const lock_shm *lock)
{
    while ((load_relaxed64(&lock->word) & LOCK_WAITERS) == 0) {
        cpu_relax();
    }
}

static void
test_a_waiter_is_woken(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open_sharing(&s, a);
    pthread_t thread;
    tx t;

    mailbox_hold(a, &t, 0);
    EXPECT_EQ(pthread_create(&thread, NULL, take_once, b), 0);
    await_waiter(commons_lock(a, 0));
    mailbox_let_go(&t);
    pthread_join(thread, NULL);
    EXPECT_EQ(commons_lock(a, 0)->word, 0);
    segment_close_sharing(b);
    fixture_end(&s, a);
}

/* Was there a post that nobody has had? There is none after it. */
static bool
was_posted(const ashm *a, const lock_shm *lock)
{
    return sem_trywait(a->semaphores[lock->semaphore % ASHM_SEMAPHORES]) == 0;
}

/* By the machine's leave, once of many times: it sleeps after all if the lock is not given back
 * soon, and who has slept does not know whether others do. */
static void
test_who_looks_is_told_of_and_not_posted_for(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open_sharing(&s, a);
    lock_shm *lock = commons_lock(a, 0);
    pthread_t thread;
    bool unposted = false;
    tx t;

    for (int i = 0; i < 100; i++) {
        mailbox_hold(a, &t, 0);
        EXPECT_EQ(pthread_create(&thread, NULL, take_once, b), 0);
        while (!lock_is_looked_for(lock)) {
            cpu_relax();
        }
        EXPECT_EQ(lock_owner_slot(lock->word), a->own->slot);
        EXPECT_EQ(lock_owner_generation(lock->word), a->own->generation);
        mailbox_let_go(&t);
        pthread_join(thread, NULL);
        EXPECT_EQ(lock->word, 0);
        unposted |= !was_posted(a, lock);
    }
    EXPECT(unposted);
    segment_close_sharing(b);
    fixture_end(&s, a);
}

static void
test_a_post_that_is_lost_costs_a_slice_of_time(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open_sharing(&s, a);
    pthread_t thread;
    tx t;

    mailbox_hold(a, &t, 0);
    EXPECT_EQ(pthread_create(&thread, NULL, take_once, b), 0);
    await_waiter(commons_lock(a, 0));
    store_release64(&commons_lock(a, 0)->word, 0); /* killed before its post */
    pthread_join(thread, NULL);
    t.mailbox = NULL;
    tx_close(&t);
    segment_close_sharing(b);
    fixture_end(&s, a);
}

static void
test_posts_that_nobody_waited_for_let_nobody_in(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open_sharing(&s, a);
    pthread_t thread;
    worker w = {b, 200};
    tx t;

    for (int i = 0; i < 1000; i++) {
        lock_wake(a, commons_lock(a, 0));
    }
    mailbox_hold(a, &t, 0);
    EXPECT_EQ(pthread_create(&thread, NULL, count, &w), 0);
    await_waiter(commons_lock(a, 0));
    EXPECT_EQ(*counter(a), 0);
    mailbox_let_go(&t);
    pthread_join(thread, NULL);
    EXPECT_EQ(*counter(a), 200);
    *counter(a) = 0;
    segment_close_sharing(b);
    fixture_end(&s, a);
}

static void
test_a_stopped_owner_is_waited_for_and_named(void)
{
    segment s;
    ashm *a, *b;
    pid_t child;
    int pid;
    const char *lock;
    tx t;

    segment_make(&s);
    s.options.lock_wait_ns = 20 * NS_PER_MS;
    a = segment_open(&s);
    b = segment_open_for_child(&s);
    child = child_start(hold_mailbox, b);
    EXPECT_EQ(kill(child, SIGSTOP), 0);
    lane_open(a, &t);
    EXPECT_EQ(tx_enter(&t, 0), ASHM_BUSY);
    ashm_blame(a, &pid, &lock);
    EXPECT_EQ(pid, child);
    EXPECT_TEXT(lock, "commons");
    EXPECT_EQ(lock_owner_slot(commons_lock(a, 0)->word), 1);
    tx_close(&t);
    child_kill(child);
    ashm_close(b);
    OK(put(a, "after", "it"));
    fixture_end(&s, a);
}

/* ---- the dead ---- */

static void
test_a_waiter_undoes_a_dead_owner_and_goes_on(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;
    tx t;

    b = segment_open_for_child(&s);
    counter(a)[0] = 7;
    child_kill(child_start(hold_both, b));
    EXPECT_EQ(counter(a)[0], 222);
    EXPECT_EQ(lock_owner_slot(a->header->memory_lock.word), 1);
    mailbox_hold(a, &t, 0);
    EXPECT_EQ(counter(a)[0], 7);
    EXPECT_EQ(counter(a)[1], 0);
    EXPECT_EQ(a->header->memory_lock.word, 0);
    EXPECT_EQ(handle_slot(a, 1)->lanes[0].count, 0);
    mailbox_let_go(&t);
    counter(a)[0] = 0;
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_many_waiters_for_one_dead_owner(void)
{
    enum { THREADS = 4 };
    segment s;
    ashm *a = fixture_begin(&s), *b, *others[THREADS];
    pthread_t threads[THREADS];
    worker workers[THREADS];

    b = segment_open_for_child(&s);
    for (int i = 0; i < THREADS; i++) {
        others[i] = segment_open_sharing(&s, a);
        workers[i] = (worker){others[i], 10};
    }
    child_kill(child_start(hold_both, b));
    for (int i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, count, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        segment_close_sharing(others[i]);
    }
    EXPECT_EQ(counter(a)[0], THREADS * 10);
    EXPECT_EQ(counter(a)[1], 0);
    counter(a)[0] = 0;
    ashm_close(b);
    fixture_end(&s, a);
}

typedef struct {
    ashm *a;
    atomic_u32 stop;
} poster;

static void *
post_and_post(void *argument)
{
    poster *p = argument;

    while (atomic_load(&p->stop) == 0) {
        lock_wake(p->a, commons_lock(p->a, 0));
        usleep(100);
    }
    return NULL;
}

static void
test_posts_for_others_do_not_keep_a_waiter_from_a_dead_owner(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;
    poster p = {.a = a};
    pthread_t thread;

    b = segment_open_for_child(&s);
    child_kill(child_start(hold_mailbox, b));
    EXPECT_EQ(pthread_create(&thread, NULL, post_and_post, &p), 0);
    take_once(a);
    atomic_store(&p.stop, 1);
    pthread_join(thread, NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

/* ---- the dead while somebody reaps ---- */

/* Holds a mailbox of the commons and waits for the memory. */
typedef struct {
    ashm *a;
    gate go, held;
} between;

static void
wait_for_memory(void *argument)
{
    const between *b = argument;
    tx t;

    OK(ashm_attach(b->a));
    gate_wait(b->go);
    mailbox_hold(b->a, &t, 0);
    gate_open(b->held);
    EXPECT(tx_memory(&t));
    OK(tx_commit(&t));
    mailbox_let_go(&t);
}

static void
test_a_reaper_helps_whom_it_waits_for(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;
    between living;
    pid_t child;
    int guard;

    b = segment_open_for_child(&s);
    living = (between){b, gate_make(), gate_make()};
    child_kill(child_start(attach_only, b));     /* slot 1, to be reaped */
    child = child_spawn(wait_for_memory, &living); /* slot 2, or 1 again */
    child_kill(child_start(hold_memory, b));
    OK(kernel_lock(a->name, &a->id, BYTE_RECOVERY, SECOND, &guard));
    gate_open(living.go);
    gate_wait(living.held);
    /* The living one cannot recover the dead: we have the recovery lock. We wait for it. */
    for (uint32_t slot = 1; slot < handle_slots_high(a); slot++) {
        int rc = 0;

        while (!life_exists(a->fd, BYTE_LIFE(slot)) &&
               handle_slot(a, slot)->state != SLOT_FREE &&
               (rc = reap_slot(a, slot)) == ASHM_BUSY) {
        }
        OK(rc);
    }
    kernel_unlock(guard, BYTE_RECOVERY);
    child_join(child);
    gate_remove(living.go);
    gate_remove(living.held);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
hold_recovery(void *argument)
{
    const ashm *a = argument;
    int guard;

    OK(kernel_lock(a->name, &a->id, BYTE_RECOVERY, SECOND, &guard));
}

static void
test_the_next_holder_does_not_wait_while_it_seems_to_be_the_dead(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;
    pid_t reaper;

    b = segment_open_for_child(&s);
    child_kill(child_start(attach_only, b)); /* slot 1 */
    reaper = child_start(hold_recovery, a);
    may_sleep = false;
    EXPECT_EQ(try_slot(b, 1), ASHM_BUSY);
    may_sleep = true;
    EXPECT(!life_exists(a->fd, BYTE_LIFE(1)));
    child_kill(reaper);
    OK(try_slot(b, 1));
    EXPECT(life_exists(a->fd, BYTE_LIFE(1)));
    atomic_store(&b->own->attached, 1);
    ashm_close(b);
    fixture_end(&s, a);
}

typedef struct {
    ashm *a;
    uint64_t word;
    int rc;
} asker;

static void *
ask_for_recovery(void *argument)
{
    asker *k = argument;

    k->rc = recover_owner(k->a, k->word);
    return NULL;
}

static void
test_a_thread_that_finds_its_process_at_recovery_does_not_wait(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;
    pthread_t thread;
    asker k = {.a = a};
    int guard;

    b = segment_open_for_child(&s);
    child_kill(child_start(hold_mailbox, b));
    k.word = commons_lock(a, 0)->word;
    OK(kernel_lock(a->name, &a->id, BYTE_RECOVERY, SECOND, &guard));
    EXPECT_EQ(pthread_create(&thread, NULL, ask_for_recovery, &k), 0);
    pthread_join(thread, NULL); /* although this thread has the lock */
    EXPECT_EQ(k.rc, ASHM_BUSY);
    kernel_unlock(guard, BYTE_RECOVERY);
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_the_word_names_the_owner);
    RUN(test_it_excludes_processes);
    RUN(test_it_excludes_threads_of_one_process);
    RUN(test_a_waiter_is_woken);
    RUN(test_who_looks_is_told_of_and_not_posted_for);
    RUN(test_a_post_that_is_lost_costs_a_slice_of_time);
    RUN(test_posts_that_nobody_waited_for_let_nobody_in);
    RUN(test_a_stopped_owner_is_waited_for_and_named);
    RUN(test_a_waiter_undoes_a_dead_owner_and_goes_on);
    RUN(test_many_waiters_for_one_dead_owner);
    RUN(test_posts_for_others_do_not_keep_a_waiter_from_a_dead_owner);
    RUN(test_a_reaper_helps_whom_it_waits_for);
    RUN(test_the_next_holder_does_not_wait_while_it_seems_to_be_the_dead);
    RUN(test_a_thread_that_finds_its_process_at_recovery_does_not_wait);
    return tests_end();
}

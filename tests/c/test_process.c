/* test_process.c: life and the kernel's locks are one process's, and go with it. */
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

enum { BYTE = 9 };

static void *claimed;

static int
claim(const ashm *a)
{
    return life_claim(a->name, &a->id, BYTE_LIFE(BYTE), &claimed);
}

static bool
exists(const ashm *a)
{
    return life_exists(a->fd, BYTE_LIFE(BYTE));
}

static void
claim_as_child(void *argument)
{
    OK(claim(argument));
}

static void
nothing(void *argument)
{
    (void)argument;
}

static bool
is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static void
close_everything(void *argument)
{
    OK(claim(argument));
    for (int fd = 3; fd < 1024; fd++) { /* as daemons do, but for the pipe of child_start() */
        if (!is_pipe(fd)) {
            close(fd);
        }
    }
}

static void
test_a_life_is_claimed_by_one(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    void *again;

    EXPECT(!exists(a));
    OK(claim(a));
    EXPECT(exists(a));
    EXPECT_EQ(life_claim(a->name, &a->id, BYTE_LIFE(BYTE), &again), EAGAIN);
    life_release(claimed);
    EXPECT(!exists(a));
    fixture_end(&s, a);
}

static void
test_it_ends_with_the_process(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    pid_t child = child_start(claim_as_child, a);

    EXPECT(exists(a));
    EXPECT_EQ(kill(child, SIGSTOP), 0);
    EXPECT(exists(a));
    child_kill(child);
    EXPECT(!exists(a));
    fixture_end(&s, a);
}

static void
test_it_does_not_go_on_in_a_child(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    pid_t child;

    OK(claim(a));
    child = child_start(nothing, NULL); /* forked while we live */
    life_release(claimed);
    EXPECT(!exists(a));
    child_kill(child);
    fixture_end(&s, a);
}

static void
test_it_outlives_its_descriptors(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    pid_t child = child_start(close_everything, a);

    EXPECT(exists(a));
    child_kill(child);
    EXPECT(!exists(a));
    fixture_end(&s, a);
}

static void
lock_recovery(void *argument)
{
    const ashm *a = argument;
    int guard;

    OK(kernel_lock(a->name, &a->id, BYTE_RECOVERY, 0, &guard));
}

static void
test_a_kernel_lock_goes_with_its_holder(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    pid_t child = child_start(lock_recovery, a);
    int guard;

    EXPECT_EQ(kernel_lock(a->name, &a->id, BYTE_RECOVERY, 0, &guard), ASHM_BUSY);
    EXPECT_EQ(kernel_lock(a->name, &a->id, BYTE_RECOVERY, 2 * NS_PER_MS, &guard), ASHM_BUSY);
    child_kill(child);
    OK(kernel_lock(a->name, &a->id, BYTE_RECOVERY, 0, &guard));
    kernel_unlock(guard, BYTE_RECOVERY);
    OK(kernel_lock(a->name, &a->id, BYTE_RECOVERY, 0, &guard));
    kernel_unlock(guard, BYTE_RECOVERY);
    fixture_end(&s, a);
}

static void
test_an_object_that_was_replaced_is_told(void)
{
    segment s, other;
    ashm *a = fixture_begin(&s), *b = fixture_begin(&other);
    object_id stranger = b->id;
    int fd;

    OK(object_open(a->name, &a->id, &fd));
    EXPECT(object_is(fd, &a->id) && !object_is(fd, &stranger));
    close(fd);
    EXPECT_EQ(object_open(a->name, &stranger, &fd), ASHM_REPLACED);
    EXPECT_EQ(object_open("/ashm-test-no-such-object", &stranger, &fd), ASHM_REPLACED);
    EXPECT_EQ(life_claim(a->name, &stranger, BYTE_LIFE(BYTE), &claimed), ASHM_REPLACED);
    EXPECT_EQ(kernel_lock(a->name, &stranger, BYTE_RECOVERY, 0, &fd), ASHM_REPLACED);
    fixture_end(&other, b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_a_life_is_claimed_by_one);
    RUN(test_it_ends_with_the_process);
    RUN(test_it_does_not_go_on_in_a_child);
    RUN(test_it_outlives_its_descriptors);
    RUN(test_a_kernel_lock_goes_with_its_holder);
    RUN(test_an_object_that_was_replaced_is_told);
    return tests_end();
}

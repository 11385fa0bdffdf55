/* test_private.c: a segment without a name: forked children share it, however they came, and
 * nothing of it is in the file system. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datagram.h"
#include "doorbell.h"
#include "support.h"

static ashm *
open_private(void)
{
    ashm_options options = {.message_memory = MIB,
                            .group_memory = MIB,
                            .max_message_size = MIB,
                            .lock_wait_ns = 10 * SECOND,
                            .random = "of the segment"};
    ashm *a;

    OK(ashm_open(&options, &a));
    ashm_set_clock(a, 1000 * SECOND); /* so nobody looks after the segment by the way */
    return a;
}

static void
end_private(ashm *a)
{
    verified(a);
    ashm_close(a);
}

static bool
is_readable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, 0) == 1;
}

/* Wait for `work`, or else be told of it: as a receiver that goes to sleep. */
static int
await_work(ashm *a)
{
    int bell, pending;

    OK(ashm_bell(a, &bell));
    EXPECT_EQ(wait_for(a, "work", 1), ASHM_EMPTY);
    OK(ashm_arm(a, &pending));
    EXPECT(!pending && !is_readable(bell));
    return bell;
}

/* And take it. */
static const char *
rung(ashm *a)
{
    uint64_t cookie;
    size_t count;

    OK(ashm_ready(a, &cookie, 1, &count));
    EXPECT(count == 1 && cookie == 1);
    return take(a, "work");
}

/* ---- sharing ---- */

static void
send_work(void *a)
{
    OK(put(a, "work", "of the child"));
}

static void
test_a_child_sends_to_its_parent(void)
{
    ashm *a = open_private();
    int bell = await_work(a);
    pid_t child = child_start(send_work, a);

    EXPECT(is_readable(bell));
    EXPECT_TEXT(rung(a), "of the child");
    EXPECT_EQ(info_of(a).attached, 2);
    child_kill(child);
    end_private(a);
}

static gate told;

static void
wait_and_take(void *a)
{
    struct pollfd polled = {.events = POLLIN};

    polled.fd = await_work(a);
    gate_open(told);
    EXPECT_EQ(poll(&polled, 1, -1), 1);
    EXPECT_TEXT(rung(a), "of the parent");
}

static void
test_a_parent_sends_to_its_child(void)
{
    for (int attached = 0; attached <= 1; attached++) {
        ashm *a = open_private();
        pid_t child;

        told = gate_make();
        if (attached) {
            OK(ashm_attach(a));
        }
        child = child_spawn(wait_and_take, a);
        gate_wait(told);
        OK(put(a, "work", "of the parent"));
        child_join(child);
        gate_remove(told);
        end_private(a);
    }
}

static void
join_room(void *a)
{
    OK(join(a, "room", "specific"));
}

static void
test_siblings_are_in_one_group(void)
{
    ashm *a = open_private();
    pid_t one = child_start(join_room, a), other = child_start(send_work, a);

    OK(tell(a, "room", "all"));
    EXPECT_TEXT(take(a, "specific"), "all");
    EXPECT_TEXT(take(a, "work"), "of the child");
    EXPECT_EQ(info_of(a).attached, 3);
    child_kill(one);
    child_kill(other);
    end_private(a);
}

static void
test_each_has_its_own(void)
{
    ashm *a = open_private(), *b = open_private();

    OK(put(a, "work", "for a"));
    EXPECT(take(b, "work") == NULL);
    EXPECT_TEXT(take(a, "work"), "for a");
    end_private(b);
    end_private(a);
}

static void
take_when_told(void *a)
{
    gate_wait(told);
    EXPECT_TEXT(take(a, "work"), "of the parent");
    verified(a);
}

static void
test_a_child_goes_on_when_its_parent_has_closed(void)
{
    ashm *a = open_private();
    pid_t child;

    told = gate_make();
    OK(put(a, "work", "of the parent"));
    child = child_spawn(take_when_told, a);
    ashm_close(a);
    gate_open(told);
    child_join(child);
    gate_remove(told);
}

static void
sleep_on_semaphore(void *argument)
{
    const ashm *a = argument;

    EXPECT_EQ(sem_wait(a->semaphores[3]), 0);
}

static bool
is_asleep(pid_t process)
{
    char path[40], state = ' ';
    FILE *stat;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    EXPECT((stat = fopen(path, "r")) != NULL);
    EXPECT_EQ(fscanf(stat, "%*d (%*[^)]) %c", &state), 1);
    fclose(stat);
    return state == 'S';
}

static void
test_a_post_wakes_a_child(void)
{
    ashm *a = open_private();
    pid_t child = child_spawn(sleep_on_semaphore, a);

    while (!is_asleep(child)) {
        sched_yield();
    }
    EXPECT_EQ(sem_post(a->semaphores[3]), 0);
    child_join(child);
    end_private(a);
}

/* ---- the dead ---- */

static void
die_waiting(void *a)
{
    (void)await_work(a);
}

static void
test_what_a_killed_child_had_is_gone(void)
{
    ashm *a = open_private();
    pid_t child = child_start(die_waiting, a);
    int bell;

    OK(ashm_attach(a));
    EXPECT_EQ(info_of(a).attached, 2);
    child_kill(child);
    ashm_set_clock(a, 1001 * SECOND);
    OK(ashm_tick(a));
    EXPECT_EQ(info_of(a).attached, 1);
    /* And the next holder of its slot is rung where it is, not where the dead one was. */
    child = child_start(send_work, a);
    EXPECT_TEXT(take(a, "work"), "of the child");
    child_kill(child);
    bell = await_work(a);
    child = child_start(send_work, a);
    EXPECT(is_readable(bell));
    child_kill(child);
    end_private(a);
}

/* ---- descriptors ---- */

static void
test_the_descriptor_was_closed(void)
{
    ashm *a = open_private();
    int fd = a->fd, stranger, opened;
    object_id id;

    OK(ashm_tick(a)); /* so that the next has nothing to do but to look for the object */
    EXPECT_EQ(close(fd), 0);
    stranger = socket(AF_UNIX, SOCK_STREAM, 0); /* of which opening would say something else */
    EXPECT_EQ(stranger, fd); /* its number is another file's now */
    OK(object_identify(stranger, &id));
    EXPECT_EQ(object_open(a->name, &a->id, &opened), ASHM_REPLACED);
    EXPECT_EQ(ashm_tick(a), ASHM_REPLACED);
    EXPECT_EQ(put(a, "work", "for nobody"), ASHM_REPLACED);
    ashm_close(a);
    EXPECT(object_is(stranger, &id));
    close(stranger);
}

static gate rung_once;

static void
send_twice(void *a)
{
    send_work(a);
    gate_open(rung_once);
    gate_wait(told);
    send_work(a);
}

/* The child has it from its parent, and is connected to it. */
static void
test_a_bell_that_is_open_elsewhere_is_not_rung_any_more(void)
{
    ashm *a = open_private();
    int before = await_work(a), after;
    pid_t child;

    told = gate_make();
    rung_once = gate_make();
    child = child_spawn(send_twice, a);
    gate_wait(rung_once);
    EXPECT_TEXT(rung(a), "of the child");
    EXPECT_EQ(close(before), 0);
    after = await_work(a);
    gate_open(told);
    child_join(child);
    EXPECT(is_readable(after));
    EXPECT_TEXT(rung(a), "of the child");
    gate_remove(told);
    gate_remove(rung_once);
    end_private(a);
}

static void
ring_and_ring(void *argument)
{
    ashm *a = argument;

    OK(ashm_attach(a));
    for (int i = 0; i < 1000; i++) { /* more than a socket holds; nobody waits */
        doorbell_ring(a, 0);
    }
}

static void
test_a_full_bell_is_rung_enough(void)
{
    ashm *a = open_private();
    int bell = await_work(a);
    pid_t child = child_start(ring_and_ring, a);

    EXPECT(is_readable(bell));
    for (int i = 0; i < 1000 && is_readable(bell); i++) {
        doorbell_drain(a);
    }
    EXPECT(!is_readable(bell));
    child_kill(child);
    end_private(a);
}

static void
test_a_peer_that_is_gone_is_no_error(void)
{
    ashm *a = open_private();
    pid_t child = child_start(die_waiting, a);

    OK(put(a, "work", "1"));
    child_kill(child);
    doorbell_ring(a, 0); /* neither an error nor SIGPIPE */
    doorbell_ring(a, 0);
    EXPECT_TEXT(take(a, "work"), "1");
    end_private(a);
}

/* ---- looking in ---- */

static void
test_it_is_seen_from_within(void)
{
    ashm *a = open_private();
    ashm_observer *o;
    ashm_seen_channel seen;
    uint64_t cursor = 0;
    size_t count;

    OK(put(a, "work", "1"));
    OK(ashm_observe(ashm_name(a), &o));
    OK(ashm_see_channels(o, &cursor, &seen, 1, &count));
    EXPECT(count == 1 && seen.pending == 1);
    ashm_observe_end(o);
    end_private(a);
}

int
main(void)
{
    RUN(test_a_child_sends_to_its_parent);
    RUN(test_a_parent_sends_to_its_child);
    RUN(test_siblings_are_in_one_group);
    RUN(test_each_has_its_own);
    RUN(test_a_child_goes_on_when_its_parent_has_closed);
    RUN(test_a_post_wakes_a_child);
    RUN(test_what_a_killed_child_had_is_gone);
    RUN(test_the_descriptor_was_closed);
    RUN(test_a_bell_that_is_open_elsewhere_is_not_rung_any_more);
    RUN(test_a_full_bell_is_rung_enough);
    RUN(test_a_peer_that_is_gone_is_no_error);
    RUN(test_it_is_seen_from_within);
    return tests_end();
}

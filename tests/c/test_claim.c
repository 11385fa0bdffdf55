/* test_claim.c: opening formats a segment once, refuses what is none, and gives each process a
 * slot of its own. */
#include "claim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static int
try_open(const segment *s)
{
    ashm *a;
    int rc = ashm_open(&s->options, &a);

    if (rc == 0) {
        ashm_close(a);
    }
    return rc;
}

/* Write to the object as it lies there. */
static void
poke(const segment *s, uint64_t offset, const void *bytes, size_t size)
{
    int fd = shm_open(s->name, O_RDWR, 0);

    EXPECT(fd >= 0);
    EXPECT_EQ(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

static void
resize_object(const segment *s, uint64_t size)
{
    int fd = shm_open(s->name, O_RDWR, 0);

    EXPECT(fd >= 0);
    EXPECT_EQ(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

/* ---- opening ---- */

static void
test_the_first_formats_and_the_next_find_it(void)
{
    segment s;
    ashm *a, *b;

    segment_make(&s);
    a = segment_open(&s);
    OK(put(a, "work", "x"));
    b = segment_open(&s);
    EXPECT(b->base != a->base);
    EXPECT_TEXT(take(b, "work"), "x");
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_what_nobody_made_is_not_there(void)
{
    segment s;
    char semaphore[80] = "";

    segment_make(&s);
    snprintf(semaphore, sizeof semaphore, "%s:3", s.name);
    OK(sem_unlink(semaphore));
    EXPECT_EQ(try_open(&s), ENOENT);
    OK(shm_unlink(s.name));
    EXPECT_EQ(try_open(&s), ENOENT);
    segment_remove(&s);
}

static void
test_options_are_checked(void)
{
    segment s;
    char name[300];

    segment_make(&s);
    s.options.message_memory = 1000;
    EXPECT_EQ(try_open(&s), ASHM_BAD_ARGUMENT);
    s.options.message_memory = UINT64_MAX;
    EXPECT_EQ(try_open(&s), ASHM_BAD_ARGUMENT);
    s.options.message_memory = MIB;
    s.options.max_message_size = 0;
    EXPECT_EQ(try_open(&s), ASHM_BAD_ARGUMENT);
    s.options.max_message_size = UINT64_C(1) << 40;
    EXPECT_EQ(try_open(&s), ASHM_BAD_ARGUMENT);
    s.options.max_message_size = MIB;
    memset(name, 'x', sizeof name);
    name[0] = '/';
    name[299] = '\0';
    s.options.name = name;
    EXPECT_EQ(try_open(&s), ASHM_BAD_ARGUMENT);
    s.options.name = "no-slash";
    EXPECT_EQ(try_open(&s), ASHM_BAD_ARGUMENT);
    segment_remove(&s);
}

static void
test_who_comes_with_other_sizes_gets_those_that_are(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;
    uint64_t sizes[2];

    s.options.message_memory = 8 * MIB;
    s.options.group_memory = 2 * MIB;
    b = segment_open(&s);
    ashm_sizes(b, sizes);
    EXPECT_EQ(sizes[0], MIB);
    EXPECT_EQ(sizes[1], MIB);
    OK(put(b, "work", "x"));
    EXPECT_TEXT(take(a, "work"), "x");
    ashm_close(b);
    fixture_end(&s, a);
}

typedef struct {
    const segment *s;
    ashm *a;
} opener;

static void *
open_and_attach(void *argument)
{
    opener *o = argument;

    o->a = segment_open(o->s);
    return NULL;
}

static void
test_many_who_open_at_once_get_one_segment_and_slots_of_their_own(void)
{
    enum { THREADS = 8 };
    segment s;
    opener openers[THREADS];
    pthread_t threads[THREADS];
    bool taken[ASHM_SLOTS] = {false};

    segment_make(&s);
    for (int i = 0; i < THREADS; i++) {
        openers[i] = (opener){.s = &s};
        EXPECT_EQ(pthread_create(&threads[i], NULL, open_and_attach, &openers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        EXPECT(!taken[openers[i].a->own->slot]);
        taken[openers[i].a->own->slot] = true;
        EXPECT_EQ(openers[i].a->segment_id, openers[0].a->segment_id);
    }
    OK(put(openers[0].a, "work", "x"));
    EXPECT_TEXT(take(openers[THREADS - 1].a, "work"), "x");
    EXPECT_EQ(info_of(openers[0].a).attached, THREADS);
    for (int i = 1; i < THREADS; i++) {
        ashm_close(openers[i].a);
    }
    fixture_end(&s, openers[0].a);
}

static void
open_only(void *argument)
{
    opener *o = argument;

    o->a = segment_open(o->s);
    OK(put(o->a, "c", "x"));
    EXPECT(take(o->a, "c") != NULL);
    ashm_close(o->a);
}

static void
test_processes_that_open_at_once(void)
{
    enum { CHILDREN = 6 };
    segment s;
    opener o = {.s = &s};
    pid_t children[CHILDREN];

    segment_make(&s);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = child_spawn(open_only, &o);
    }
    for (int i = 0; i < CHILDREN; i++) {
        child_join(children[i]);
    }
    fixture_end(&s, segment_open(&s));
}

/* ---- what is no segment ---- */

static void
test_what_is_half_made_is_made_anew(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t size = a->map.size, zero = 0;
    char garbage[64];

    ashm_close(a);
    memset(garbage, 0xa5, sizeof garbage);
    /* Its maker was killed before it had stored the magic: with any part of the rest. */
    poke(&s, 0, &zero, sizeof zero);
    poke(&s, offsetof(header_shm, memory_lock), garbage, sizeof garbage);
    OK(try_open(&s));
    poke(&s, 0, &zero, sizeof zero);
    resize_object(&s, size / 2);
    OK(try_open(&s));
    resize_object(&s, 0);
    OK(try_open(&s));
    resize_object(&s, 0);
    resize_object(&s, 3);
    OK(try_open(&s));
    a = segment_open(&s);
    OK(put(a, "work", "x"));
    EXPECT_TEXT(take(a, "work"), "x");
    fixture_end(&s, a);
}

static void
test_what_is_not_ours_is_refused(void)
{
    segment s;
    char garbage[4096];

    segment_make(&s);
    memset(garbage, 'x', sizeof garbage);
    poke(&s, 0, garbage, 5);
    EXPECT_EQ(try_open(&s), ASHM_FOREIGN);
    poke(&s, 0, garbage, sizeof garbage);
    EXPECT_EQ(try_open(&s), ASHM_FOREIGN);
    EXPECT_EQ(try_open(&s), ASHM_FOREIGN); /* and left as it is */
    segment_remove(&s);
}

static void
test_another_layout_is_refused(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t signature = a->header->signature;

    ashm_close(a);
    poke(&s, offsetof(header_shm, signature), &(uint64_t){signature + 1}, 8);
    EXPECT_EQ(try_open(&s), ASHM_LAYOUT);
    poke(&s, offsetof(header_shm, signature), &signature, 8);
    OK(try_open(&s));
    segment_remove(&s);
}

static void
test_a_header_that_makes_no_sense_is_refused(void)
{
    static const uint64_t wrong[] = {0, 1, UINT64_MAX, UINT64_C(1) << 62, 2 * MIB};
    static const size_t fields[] = {offsetof(header_shm, size),
                                    offsetof(header_shm, message_memory),
                                    offsetof(header_shm, group_memory)};
    segment s;
    ashm *a = fixture_begin(&s);
    header_shm right = *a->header;

    ashm_close(a);
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            poke(&s, fields[i], &wrong[j], 8);
            EXPECT_EQ(try_open(&s), ASHM_CORRUPT);
            poke(&s, fields[i], (char *)&right + fields[i], 8);
        }
    }
    OK(try_open(&s));
    segment_remove(&s);
}

/* And not cut off and made anew: those who use it would be killed by it. */
static void
test_a_segment_in_use_that_lost_its_head_is_refused(void)
{
    static const char nothing[8];
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t magic = a->header->magic;

    s.options.message_memory = s.options.group_memory = MIB / 2;
    poke(&s, 0, nothing, sizeof nothing);
    EXPECT_EQ(try_open(&s), ASHM_CORRUPT);
    OK(ashm_send(a, "large", 5, a->base, MIB / 2, SECOND, 10));
    OK(ashm_flush(a));
    poke(&s, 0, &magic, sizeof magic);
    OK(try_open(&s));
    fixture_end(&s, a);
}

static void
test_a_truncated_segment_is_refused(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint64_t size = a->map.size;

    ashm_close(a);
    resize_object(&s, size - 1);
    EXPECT_EQ(try_open(&s), ASHM_CORRUPT);
    resize_object(&s, 4096);
    EXPECT_EQ(try_open(&s), ASHM_CORRUPT);
    resize_object(&s, size + 4096); /* more is no harm */
    OK(try_open(&s));
    segment_remove(&s);
}

/* ---- slots ---- */

static void
test_a_slot_is_claimed_at_the_first_operation(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;

    b = segment_open_for_child(&s);
    EXPECT_EQ(info_of(a).attached, 1);
    OK(put(b, "work", "x"));
    EXPECT_EQ(info_of(a).attached, 2);
    EXPECT_EQ(info_of(b).slot, 1);
    ashm_close(b);
    EXPECT_EQ(info_of(a).attached, 1);
    fixture_end(&s, a);
}

static void
test_a_slot_is_used_again_with_the_next_generation(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t generation = 0;

    for (int i = 0; i < 5; i++) {
        ashm *b = segment_open(&s);

        EXPECT_EQ(b->own->slot, 1);
        EXPECT_EQ(b->own->generation, generation + 1);
        generation = b->own->generation;
        ashm_close(b);
    }
    EXPECT_EQ(a->header->slots_high, 2);
    fixture_end(&s, a);
}

static void
test_a_generation_is_never_0(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);

    ashm_close(b);
    atomic_store(&handle_slot(a, 1)->generation, UINT32_MAX);
    b = segment_open(&s);
    EXPECT_EQ(b->own->generation, 1);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_all_slots_can_be_taken_and_then_it_is_said(void)
{
    segment s;
    static ashm *all[ASHM_SLOTS];
    ashm *one_more;

    segment_make(&s);
    for (int i = 0; i < ASHM_SLOTS; i++) {
        all[i] = segment_open(&s);
        EXPECT_EQ(all[i]->own->slot, i);
    }
    OK(ashm_open(&s.options, &one_more));
    EXPECT_EQ(ashm_attach(one_more), ASHM_NO_SLOT);
    ashm_close(all[77]);
    OK(ashm_attach(one_more));
    EXPECT_EQ(one_more->own->slot, 77);
    ashm_close(one_more);
    for (int i = 1; i < ASHM_SLOTS; i++) {
        if (i != 77) {
            ashm_close(all[i]);
        }
    }
    fixture_end(&s, all[0]);
}

static void
attach_only(void *argument)
{
    OK(ashm_attach(argument));
}

static void
test_when_all_are_taken_a_dead_process_makes_room(void)
{
    segment s;
    static ashm *all[ASHM_SLOTS];
    ashm *dead, *next;
    char name[ASHM_NAME_MAX + 1];

    segment_make(&s);
    s.clock = 1000 * SECOND; /* nobody looks for the dead by the way */
    all[0] = segment_open(&s);
    dead = segment_open_for_child(&s);
    child_kill(child_start(attach_only, dead)); /* slot 1 */
    for (int i = 2; i < ASHM_SLOTS; i++) {
        all[i] = segment_open(&s);
    }
    next = segment_open_for_child(&s);
    own_channel(next, "x", name);
    EXPECT_EQ(next->own->slot, 1);
    EXPECT_EQ(next->own->generation, 2);
    OK(put(all[5], name, "x"));
    EXPECT_TEXT(take(next, name), "x");
    ashm_close(next);
    ashm_close(dead);
    for (int i = 2; i < ASHM_SLOTS; i++) {
        ashm_close(all[i]);
    }
    fixture_end(&s, all[0]);
}

static void
test_who_has_left_does_nothing_more(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];

    OK(put(a, own_channel(b, "x", name), "dropped"));
    OK(ashm_leave(b));
    EXPECT_EQ(info_of(a).attached, 1);
    EXPECT_EQ(info_of(a).messages, 0);
    EXPECT_EQ(put(b, "work", "x"), ASHM_CLOSED);
    EXPECT_EQ(ashm_attach(b), ASHM_CLOSED);
    EXPECT_EQ(wait_for(b, "work", 1), ASHM_CLOSED);
    OK(ashm_leave(b)); /* twice is once */
    ashm_close(b);
    fixture_end(&s, a);
}

/* ---- fork ---- */

typedef struct {
    ashm *a;
    char name[ASHM_NAME_MAX + 1]; /* the parent's channel */
} family;

static void
use_in_child(void *argument)
{
    family *f = argument;
    char name[ASHM_NAME_MAX + 1];

    EXPECT_EQ(put(f->a, f->name, "from the child"), 0);
    EXPECT(strcmp(own_channel(f->a, "x", name), f->name) != 0);
    EXPECT_EQ(f->a->own->slot, 1);
    OK(put(f->a, name, "to itself"));
    EXPECT_TEXT(take(f->a, name), "to itself");
    ashm_close(f->a);
}

static void
close_unused(void *argument)
{
    ashm_close(argument);
}

static void
test_a_child_is_a_process_of_its_own(void)
{
    segment s;
    family f = {.a = fixture_begin(&s)};

    own_channel(f.a, "x", f.name);
    child_join(child_spawn(use_in_child, &f));
    EXPECT_TEXT(take(f.a, f.name), "from the child");
    child_join(child_spawn(close_unused, f.a));
    EXPECT_EQ(info_of(f.a).attached, 1);
    OK(put(f.a, f.name, "x"));
    fixture_end(&s, f.a);
}

static void
test_a_descriptor_that_was_closed_under_us_is_opened_again(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    int stranger;

    EXPECT_EQ(close(a->fd), 0);
    stranger = open("/dev/null", O_RDWR); /* perhaps by the same number */
    EXPECT(stranger >= 0);
    OK(put(a, "work", "x")); /* takes memory, for which it needs the descriptor */
    EXPECT_TEXT(take(b, "work"), "x");
    ashm_close(b);
    fixture_end(&s, a);
    EXPECT(fcntl(stranger, F_GETFD) >= 0);
    close(stranger);
}

/* ---- replaced ---- */

static void
test_a_segment_that_lost_its_name_is_noticed(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    OK(ashm_tick(a));
    OK(shm_unlink(s.name));
    EXPECT_EQ(ashm_tick(a), ASHM_REPLACED);
    EXPECT_EQ(put(a, "work", "x"), ASHM_REPLACED);
    EXPECT_EQ(ashm_attach(a), ASHM_REPLACED);
    ashm_close(a);
    segment_remove(&s);
}

int
main(void)
{
    RUN(test_the_first_formats_and_the_next_find_it);
    RUN(test_what_nobody_made_is_not_there);
    RUN(test_options_are_checked);
    RUN(test_who_comes_with_other_sizes_gets_those_that_are);
    RUN(test_many_who_open_at_once_get_one_segment_and_slots_of_their_own);
    RUN(test_processes_that_open_at_once);
    RUN(test_what_is_half_made_is_made_anew);
    RUN(test_what_is_not_ours_is_refused);
    RUN(test_another_layout_is_refused);
    RUN(test_a_header_that_makes_no_sense_is_refused);
    RUN(test_a_segment_in_use_that_lost_its_head_is_refused);
    RUN(test_a_truncated_segment_is_refused);
    RUN(test_a_slot_is_claimed_at_the_first_operation);
    RUN(test_a_slot_is_used_again_with_the_next_generation);
    RUN(test_a_generation_is_never_0);
    RUN(test_all_slots_can_be_taken_and_then_it_is_said);
    RUN(test_when_all_are_taken_a_dead_process_makes_room);
    RUN(test_who_has_left_does_nothing_more);
    RUN(test_a_child_is_a_process_of_its_own);
    RUN(test_a_descriptor_that_was_closed_under_us_is_opened_again);
    RUN(test_a_segment_that_lost_its_name_is_noticed);
    return tests_end();
}

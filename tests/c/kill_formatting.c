/*
 * kill_formatting.c: whatever instruction the process that formats a segment is killed at, the
 * next that opens the object finds it whole or makes it anew.
 *
 * As kill_every_instruction.c, but the child maps the segment itself: claim.c is compiled here
 * with an mmap() that has the stepper watch what it maps.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stepper.h"
#include "support.h"

static bool watching;

static void *
watched_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *map = mmap(at, size, protection, flags, fd, offset);

    if (watching && map != MAP_FAILED && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        stepper_watch(map, size);
    }
    return map;
}

#define mmap watched_mmap
#include "claim.c"
#undef mmap

static void
open_it(void *argument)
{
    const segment *s = argument;
    ashm *a;

    watching = true;
    stepper_mark();
    OK(ashm_open(&s->options, &a));
    stepper_mark();
}

/* What has been written of one object, to another that had something else in it. */
static void
copy_object(const segment *from, const segment *to)
{
    static char bytes[1 << 16];
    int in = shm_open(from->name, O_RDONLY, 0), out = shm_open(to->name, O_RDWR, 0);
    struct stat st;
    ssize_t n;

    EXPECT(in >= 0 && out >= 0);
    EXPECT_EQ(fstat(in, &st), 0);
    EXPECT_EQ(ftruncate(out, 0), 0);
    EXPECT_EQ(ftruncate(out, st.st_size), 0);
    EXPECT((n = read(in, bytes, sizeof bytes)) >= 0);
    EXPECT_EQ(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static void
expect_usable(const segment *s)
{
    ashm *a = segment_open(s);

    EXPECT_EQ(a->own->slot, 0);
    OK(put(a, "work", "hello"));
    EXPECT_TEXT(take(a, "work"), "hello");
    verified(a);
    EXPECT_EQ(a->header->size, a->map.size);
    EXPECT_EQ(a->header->memory_lock.semaphore, SEMAPHORE_MEMORY);
    for (uint32_t i = 0; i < COMMONS; i++) {
        EXPECT_EQ(handle_mailbox(a, i)->lock.semaphore, semaphore_of(i));
    }
    EXPECT(memcmp(a->header->hash_key, s->options.random, sizeof a->hash_key) == 0);
    ashm_close(a);
}

static void
test_a_formatter_killed_anywhere(void)
{
    segment stage, copy;
    uint32_t changes = 0;
    stepper s;

    segment_make(&stage);
    segment_make(&copy);
    memcpy(copy.options.random, stage.options.random, sizeof copy.options.random);
    stepper_start(&s, open_it, &stage);
    while (stepper_next(&s)) {
        changes++;
        snprintf(test_context, sizeof test_context, "change %u, segment+%#llx", changes,
                 (unsigned long long)s.last.offset);
        copy_object(&stage, &copy);
        expect_usable(&copy);
    }
    test_context[0] = '\0';
    EXPECT(changes >= 10); /* the stepper has seen it */
    printf("%u changes of the segment, killed and opened %u times\n", changes, changes);
    stepper_end(&s);
    expect_usable(&stage);
    segment_remove(&stage);
    segment_remove(&copy);
}

int
main(void)
{
    if (!stepper_is_possible()) {
        return tests_skip("the stepper is for x86-64");
    }
    RUN(test_a_formatter_killed_anywhere);
    return tests_end();
}

/* test_addresses.c: no pointer is stored. Two handles have the segment at different addresses,
 * which even change from one operation to the next, and no word in it is an address of
 * anything that a handle has. */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "support.h"

enum { MESSAGES_EACH = 500 };

static bool
is_in(uint64_t word, const void *begin, uint64_t size)
{
    return word - (uint64_t)(uintptr_t)begin < size;
}

/* Of something that the handle has. */
static bool
is_address(uint64_t word, const ashm *a)
{
    bool found = is_in(word, a->base, a->map.size) || is_in(word, a, sizeof *a) ||
                 is_in(word, a->own, PAGE_SIZE_SHM) ||
                 is_in(word, a->scratch, (LANES + 1) * PAGE_SIZE_SHM) ||
                 is_in(word, a->life, PAGE_SIZE_SHM) || is_in(word, a->name, 64);

    for (int i = 0; i < ASHM_SEMAPHORES; i++) {
        found = found || is_in(word, a->semaphores[i], sizeof(sem_t));
    }
    return found;
}

/* The offset of a word that is an address, or the segment's size. */
static uint64_t
find_address(const ashm *a, const ashm *b)
{
    for (uint64_t at = 0; at + 8 <= a->map.size; at += 4) {
        uint64_t word;

        memcpy(&word, a->base + at, sizeof word);
        if (word != 0 && (is_address(word, a) || is_address(word, b))) {
            return at;
        }
    }
    return a->map.size;
}

static bool
overlap(const ashm *a, const ashm *b)
{
    return a->base < b->base + b->map.size && b->base < a->base + a->map.size;
}

/* To where nothing is mapped; what was there is not mapped any more. */
static ashm *
moved(ashm *a)
{
    char *to = mmap(NULL, a->map.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    EXPECT(to != MAP_FAILED && to != a->base);
    EXPECT(mremap(a->base, a->map.size, a->map.size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    a->base = to;
    a->header = (header_shm *)(void *)to;
    return a;
}

static void
test_no_word_is_an_address(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    static const char large[20000];
    char of_a[ASHM_NAME_MAX + 1], of_b[ASHM_NAME_MAX + 1], name[32];
    const void *planted = a->base + 100;

    EXPECT(!overlap(a, b));
    own_channel(a, "x", of_a);
    own_channel(b, "x", of_b);
    EXPECT_EQ(wait_for(a, "idle", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(b, "idle", 2), ASHM_EMPTY);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "channel.%d", i);
        OK(put(i % 2 ? a : b, name, "x"));
        OK(join(a, "room", name));
    }
    OK(ashm_send(b, "large", 5, large, sizeof large, SECOND, 10));
    OK(join(a, "room", of_a));
    OK(join(b, "room", of_b));
    OK(tell(b, "room", "x"));
    OK(put(a, "idle", "x"));
    EXPECT_EQ(find_address(a, b), a->map.size);

    OK(ashm_send(a, of_b, strlen(of_b), &planted, sizeof planted, SECOND, 100));
    EXPECT(find_address(a, b) < a->map.size); /* and it would be found */
    OK(ashm_flush(a));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_the_mapping_moves_between_operations(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char of_b[ASHM_NAME_MAX + 1];
    uint64_t cookies[4];
    int pending;
    size_t n;

    own_channel(b, "x", of_b);
    for (int i = 0; i < 20; i++) {
        OK(join(moved(b), "room", of_b));
        OK(join(moved(b), "room", "work"));
        EXPECT_EQ(wait_for(moved(b), "idle", 7), ASHM_EMPTY);
        OK(tell(moved(a), "room", "x"));
        OK(put(moved(a), "idle", "y"));
        OK(ashm_ready(moved(b), cookies, 4, &n));
        EXPECT_EQ(n, 1);
        EXPECT_EQ(cookies[0], 7);
        EXPECT_TEXT(take(moved(b), of_b), "x");
        EXPECT_TEXT(take(moved(b), "work"), "x");
        EXPECT_TEXT(take(moved(b), "idle"), "y");
        OK(ashm_unwait(moved(b), "idle", 4));
        OK(ashm_arm(moved(b), &pending));
        OK(leave(moved(b), "room", of_b));
        OK(ashm_sweep(moved(a)));
        verified(moved(a));
    }
    ashm_close(moved(b));
    fixture_end(&s, moved(a));
}

static void *
send_numbers(void *argument)
{
    for (uint32_t i = 0; i < MESSAGES_EACH;) {
        int rc = ashm_send(argument, "work", 4, &i, sizeof i, 60 * SECOND, 50);

        if (rc == ASHM_FULL) {
            sched_yield();
            continue;
        }
        OK(rc);
        i++;
    }
    return NULL;
}

/* Two threads at once, each by its own addresses. */
static void
test_two_at_once(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    pthread_t sender;

    EXPECT(!overlap(a, b));
    EXPECT_EQ(pthread_create(&sender, NULL, send_numbers, a), 0);
    for (uint32_t expected = 0, number; expected < MESSAGES_EACH;) {
        ashm_received out;
        int rc = ashm_receive(b, "work", 4, 0, 0, &number, sizeof number, &out);

        if (rc == ASHM_EMPTY) {
            sched_yield();
            continue;
        }
        OK(rc);
        EXPECT_EQ(number, expected++);
    }
    pthread_join(sender, NULL);
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_no_word_is_an_address);
    RUN(test_the_mapping_moves_between_operations);
    RUN(test_two_at_once);
    return tests_end();
}

/* test_observer.c: who may only read sees what there is, and disturbs nobody. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "look.h"
#include "messages.h"
#include "support.h"

enum { SEEN = 64 };

static ashm_observer *
observe(const segment *s)
{
    ashm_observer *o;

    OK(ashm_observe(s->name, &o));
    return o;
}

/* The observer's clock is the machine's: the tests that look at times stand still there. */
static uint64_t
clock_of(ashm_observer *o)
{
    ashm_info info;

    OK(ashm_see_info(o, &info));
    return info.clock;
}

static ashm_seen_channel
see_channel(ashm_observer *o, const char *name)
{
    ashm_seen_channel seen[SEEN];
    uint64_t cursor = 0;
    size_t n;

    OK(ashm_see_channels(o, &cursor, seen, SEEN, &n));
    EXPECT_EQ(cursor, ASHM_NEVER);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(seen[i].name, name) == 0) {
            return seen[i];
        }
    }
    test_failed(__FILE__, __LINE__, "channel %s is not seen", name);
}

static const char *
see_message(ashm_observer *o, const char *channel, uint64_t *cursor)
{
    static char text[1000];
    ashm_seen_message seen;
    int rc =
        ashm_see_message(o, channel, strlen(channel), cursor, text, sizeof text - 1, &seen);

    if (rc == ASHM_EMPTY) {
        return NULL;
    }
    OK(rc);
    text[seen.length] = '\0';
    return text;
}

static void
test_there_is_nothing_to_observe(void)
{
    segment s;
    ashm_observer *o;

    EXPECT_EQ(ashm_observe("/asgi_shm.1.no-such-segment", &o), ENOENT);
    segment_make(&s); /* and nobody has formatted it */
    EXPECT_EQ(ashm_observe(s.name, &o), ENOENT);
    segment_remove(&s);
}

static void
test_what_is_no_segment_is_not_observed(void)
{
    segment s;
    ashm_observer *o;
    int fd;

    segment_make(&s);
    fd = shm_open(s.name, O_RDWR, 0);
    EXPECT_EQ(write(fd, "something else", 14), 14);
    EXPECT_EQ(ashm_observe(s.name, &o), ASHM_FOREIGN);
    close(fd);
    segment_remove(&s);
}

static void
test_channels(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    char name[ASHM_NAME_MAX + 1];
    ashm_seen_channel seen;

    OK(put(a, "work", "x"));
    OK(put(a, "work", "y"));
    EXPECT_EQ(ashm_send(a, "work", 4, "z", 1, 60 * SECOND, 2), ASHM_FULL);
    EXPECT_TEXT(take(a, "work"), "x");
    EXPECT_EQ(wait_for(a, "idle", 1), ASHM_EMPTY);
    OK(put(a, own_channel(a, "mine", name), "x"));
    seen = see_channel(o, "work");
    EXPECT_EQ(seen.slot, ASHM_SLOTS);
    EXPECT_EQ(seen.pending, 1);
    EXPECT_EQ(seen.capacity, 2);
    EXPECT_EQ(seen.sent, 2);
    EXPECT_EQ(seen.full, 1);
    EXPECT_EQ(seen.waiting, 0);
    EXPECT_EQ(see_channel(o, "idle").waiting, 1);
    EXPECT_EQ(see_channel(o, "idle").age, 0);
    EXPECT_EQ(see_channel(o, name).slot, a->own->slot);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_the_age_is_the_oldest_unread_messages(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    uint64_t now = clock_of(o), age;

    ashm_set_clock(a, now - 100 * SECOND);
    OK(ashm_send(a, "work", 4, "x", 1, SECOND, 10));
    OK(put(a, "work", "y"));
    ashm_set_clock(a, now - 50 * SECOND);
    OK(put(a, "work", "z"));
    OK(ashm_sweep(a)); /* leaves a hole, or moves the head */
    age = see_channel(o, "work").age;
    EXPECT(age > 99 * SECOND && age < 1000 * SECOND);
    EXPECT_TEXT(take(a, "work"), "y");
    age = see_channel(o, "work").age;
    EXPECT(age > 49 * SECOND && age < 99 * SECOND);
    ashm_set_clock(a, 0);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

/* Twenty parts have all that one has, whatever shares a bucket. */
static void
test_lists_come_in_parts(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    ashm_seen_channel seen[3];
    char name[20];
    bool found[40] = {false};
    uint64_t cursor = 0;
    size_t n, total = 0;

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "x!%d", i);
        OK(put(a, name, "x"));
    }
    while (cursor != ASHM_NEVER) {
        OK(ashm_see_channels(o, &cursor, seen, 3, &n));
        EXPECT(n <= 3);
        for (size_t i = 0; i < n; i++) {
            found[atoi(seen[i].name + 2)] = true;
            total++;
        }
    }
    EXPECT_EQ(total, 40);
    for (int i = 0; i < 40; i++) {
        EXPECT(found[i]);
    }
    OK(ashm_see_channels(o, &cursor, seen, 3, &n));
    EXPECT_EQ(n, 0);
    cursor = 0;
    EXPECT_EQ(ashm_see_channels(o, &cursor, seen, 0, &n), ASHM_BAD_ARGUMENT);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_groups_and_members(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    char name[ASHM_NAME_MAX + 1];
    ashm_seen_member members[SEEN];
    ashm_seen_group groups[SEEN];
    uint64_t cursor = 0;
    size_t n;

    OK(join(a, "room", "work"));
    OK(join(a, "room", own_channel(a, "mine", name)));
    OK(ashm_see_groups(o, &cursor, groups, SEEN, &n));
    EXPECT_EQ(n, 2); /* a part for each mailbox, the commons first */
    EXPECT_TEXT(groups[0].name, "room");
    EXPECT_EQ(groups[0].slot, ASHM_SLOTS);
    EXPECT_EQ(groups[1].slot, a->own->slot);
    EXPECT_EQ(groups[1].members, 1);
    cursor = 0;
    OK(ashm_see_members(o, &cursor, members, SEEN, &n));
    EXPECT_EQ(n, 2);
    EXPECT_TEXT(members[0].group, "room");
    EXPECT_TEXT(members[0].channel, "work");
    EXPECT_EQ(members[0].expiry, ASHM_NEVER);
    EXPECT_TEXT(members[1].channel, name);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_messages_are_seen_and_stay(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    uint64_t cursor = 0;

    EXPECT(see_message(o, "work", &cursor) == NULL);
    OK(put(a, "work", "one"));
    OK(ashm_send(a, "work", 4, "over", 4, SECOND, 100));
    OK(put(a, "work", "two"));
    ashm_set_clock(a, s.clock + 2 * SECOND);
    OK(ashm_sweep(a)); /* leaves a hole */
    EXPECT_TEXT(see_message(o, "work", &cursor), "one");
    EXPECT_TEXT(see_message(o, "work", &cursor), "two");
    EXPECT(see_message(o, "work", &cursor) == NULL);
    OK(put(a, "work", "three"));
    EXPECT_TEXT(see_message(o, "work", &cursor), "three");
    cursor = 0;
    EXPECT_TEXT(take(a, "work"), "one");
    EXPECT_TEXT(see_message(o, "work", &cursor), "two");
    EXPECT_TEXT(take(a, "work"), "two"); /* what the cursor had passed, and more, is gone */
    EXPECT_TEXT(take(a, "work"), "three");
    EXPECT(see_message(o, "work", &cursor) == NULL);
    EXPECT(see_message(o, "specific.AAAAAAAAAAAAAAAA!x", &cursor) == NULL);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_large_messages_and_large_queues(void)
{
    static char large[100000], found[100000];
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    ashm_seen_message seen;
    uint64_t cursor = 0;
    char number[20];

    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = (char)(i * 7 + i / 4096);
    }
    OK(ashm_send(a, "large", 5, large, sizeof large, 60 * SECOND, 10));
    EXPECT_EQ(ashm_see_message(o, "large", 5, &cursor, found, 10, &seen), ASHM_BUFFER);
    EXPECT_EQ(seen.length, sizeof large);
    OK(ashm_see_message(o, "large", 5, &cursor, found, sizeof found, &seen));
    EXPECT(memcmp(large, found, sizeof large) == 0);
    for (int i = 0; i < 600; i++) { /* a page of page numbers */
        snprintf(number, sizeof number, "%d", i);
        OK(ashm_send(a, "many", 4, number, strlen(number), 60 * SECOND, 1000));
    }
    cursor = 0;
    for (int i = 0; i < 600; i++) {
        snprintf(number, sizeof number, "%d", i);
        EXPECT_TEXT(see_message(o, "many", &cursor), number);
    }
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_processes(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm *b = segment_open(&s);
    ashm_observer *o = observe(&s);
    char name[ASHM_NAME_MAX + 1];
    ashm_seen_process seen;

    own_channel(b, "mine", name);
    OK(join(a, "room", name));
    OK(put(a, name, "x"));
    OK(tell(a, "room", "y"));
    EXPECT_EQ(wait_for(b, "idle", 1), ASHM_EMPTY);
    OK(ashm_see_process(o, a->own->slot, &seen));
    EXPECT_EQ(seen.pid, getpid());
    EXPECT_EQ(seen.alive, 1);
    EXPECT_EQ(seen.sends, 1);
    EXPECT_EQ(seen.group_sends, 1);
    EXPECT_EQ(seen.waiting, 0);
    EXPECT(strstr(seen.command, "test_observer") != NULL);
    OK(ashm_see_process(o, b->own->slot, &seen));
    EXPECT_EQ(seen.sends, 0);
    EXPECT_EQ(seen.pending, 1);
    EXPECT_EQ(seen.broadcasts, 1);
    EXPECT_EQ(seen.waiting, 1);
    ashm_close(b);
    EXPECT_EQ(ashm_see_process(o, 1, &seen), ASHM_EMPTY);
    EXPECT_EQ(ashm_see_process(o, ASHM_SLOTS, &seen), ASHM_EMPTY);
    b = segment_open(&s); /* the same slot: it begins to count anew */
    OK(ashm_see_process(o, b->own->slot, &seen));
    EXPECT_EQ(seen.receives, 0);
    EXPECT_EQ(seen.lock_waits, 0);
    ashm_close(b);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_who_holds_a_lock(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    pid_t child = child_holding_commons(&s);
    ashm_seen_process process;
    ashm_seen_lock locks[SEEN];
    size_t n;

    OK(ashm_see_locks(o, locks, SEEN, &n));
    EXPECT_EQ(n, 1);
    EXPECT_TEXT(locks[0].what, "commons");
    EXPECT_EQ(locks[0].slot, ASHM_SLOTS);
    EXPECT_EQ(locks[0].pid, child);
    EXPECT_EQ(locks[0].waited, 0);
    OK(ashm_see_process(o, locks[0].holder, &process));
    EXPECT_EQ(process.alive, 1);
    child_kill(child);
    OK(ashm_see_process(o, locks[0].holder, &process));
    EXPECT_EQ(process.alive, 0);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_figures_are_those_of_who_is_inside(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    ashm_info inside, outside;

    OK(join(a, "room", "work"));
    OK(tell(a, "room", "x"));
    EXPECT_EQ(wait_for(a, "idle", 1), ASHM_EMPTY);
    EXPECT_TEXT(take(a, "work"), "x");
    OK(put(a, "work", "y"));
    inside = info_of(a);
    OK(ashm_see_info(o, &outside));
    EXPECT_EQ(outside.slot, ASHM_SLOTS);
    outside.slot = inside.slot;
    outside.clock = inside.clock;
    EXPECT(memcmp(&inside, &outside, sizeof inside) == 0);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

/* Everything that an observer reads, whatever lies there. */
static void
see_everything(ashm_observer *o)
{
    static ashm_seen_channel channels[SEEN];
    static ashm_seen_member members[SEEN];
    static ashm_seen_group groups[SEEN];
    static char body[MIB];
    ashm_seen_process process;
    ashm_seen_message message;
    ashm_seen_lock locks[SEEN];
    ashm_info info;
    uint64_t cursor;
    size_t n;

    OK(ashm_see_info(o, &info));
    OK(ashm_see_locks(o, locks, SEEN, &n));
    for (uint32_t i = 0; i <= ASHM_SLOTS; i++) {
        (void)ashm_see_process(o, i, &process);
    }
    for (cursor = 0; cursor != ASHM_NEVER;) {
        OK(ashm_see_groups(o, &cursor, groups, SEEN, &n));
    }
    for (cursor = 0; cursor != ASHM_NEVER;) {
        OK(ashm_see_members(o, &cursor, members, SEEN, &n));
    }
    for (cursor = 0; cursor != ASHM_NEVER;) {
        OK(ashm_see_channels(o, &cursor, channels, SEEN, &n));
        for (size_t i = 0; i < n; i++) {
            uint64_t at = 0;

            while (ashm_see_message(o, channels[i].name, strlen(channels[i].name), &at, body,
                                    sizeof body, &message) == 0) {
            }
        }
    }
}

/* Whoever is told that a message is larger than the buffer makes room for it. */
static void
test_no_message_is_larger_than_the_segment(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    ashm_seen_message seen;
    uint64_t cursor = 0;
    message_shm *m;
    char byte;
    tx t;

    OK(put(a, "work", "text"));
    EXPECT_EQ(ashm_see_message(o, "work", 4, &cursor, &byte, 1, &seen), ASHM_BUFFER);
    EXPECT_EQ(seen.length, 4);
    lane_open(a, &t);
    m = section_at(&t, MESSAGES, UNITS_PER_PAGE, sizeof *m);
    tx_close(&t);
    EXPECT_EQ(m->length, 4);
    m->length = UINT32_MAX;
    EXPECT_EQ(ashm_see_message(o, "work", 4, &cursor, &byte, 1, &seen), ASHM_EMPTY);
    m->length = 4;
    ashm_observe_end(o);
    fixture_end(&s, a);
}

static void
test_damage_ends_in_no_signal_and_no_hang(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    char name[ASHM_NAME_MAX + 1];
    uint32_t random = 12345;
    char *sound;
    uint64_t end;

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "channel-%d", i % 30);
        OK(ashm_send(a, name, strlen(name), name, 20, 60 * SECOND, 100));
        OK(join(a, "room", name));
    }
    OK(ashm_send(a, "large", 5, a->base, 50000, 60 * SECOND, 100));
    EXPECT_EQ(wait_for(a, "idle", 1), ASHM_EMPTY);
    end = a->map.section[TABLES].pages + (uint64_t)section_ready(a, TABLES) * PAGE_SIZE_SHM;
    EXPECT((sound = malloc(end)) != NULL);
    memcpy(sound, a->base, end);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 200; i++) {
            uint64_t at;

            random = random * 1664525 + 1013904223;
            /* Most lie in pages; some in the commons and the slot in use. */
            at = i % 4 != 0 ? a->map.section[TABLES].pages + random % (64 * PAGE_SIZE_SHM)
                            : a->map.commons +
                                  random % (a->map.slots - a->map.commons + sizeof(slot_shm));
            random = random * 1664525 + 1013904223;
            *(uint32_t *)(a->base + at / 4 * 4) = i % 3 == 0 ? random : random % 4096;
        }
        see_everything(o);
        memcpy(a->base, sound, end);
    }
    free(sound);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

/* Another process makes, reads and drops as fast as it can. */
static void
work_for_ever(void *argument)
{
    ashm *a = segment_open_for_child(argument);
    char name[40];

    OK(ashm_attach(a));
    for (uint32_t i = 0;; i++) {
        snprintf(name, sizeof name, "x!%u", i % 997);
        (void)ashm_send(a, name, strlen(name), name, strlen(name) + 1, 60 * SECOND, 5);
        (void)ashm_group_add(a, "room", 4, name, strlen(name), ASHM_NEVER, 5);
        if (i % 3 != 0) {
            snprintf(name, sizeof name, "x!%u", i * 7 % 997);
            (void)take(a, name);
            (void)ashm_group_discard(a, "room", 4, name, strlen(name));
        }
        if (i % 5000 == 0) {
            (void)ashm_flush(a);
        }
    }
}

/* Each message is its channel's name: what is seen of a channel is of that channel. */
static void
expect_consistent(ashm_observer *o)
{
    static ashm_seen_channel channels[1000];
    uint64_t cursor = 0, at;
    size_t n;

    OK(ashm_see_channels(o, &cursor, channels, 1000, &n));
    for (size_t i = 0; i < n; i++) {
        const char *text;

        EXPECT(channels[i].name[0] == 'x' && channels[i].pending <= 5);
        at = 0;
        while ((text = see_message(o, channels[i].name, &at)) != NULL) {
            EXPECT_TEXT(text, channels[i].name);
        }
    }
}

static void
test_what_is_told_is_whole_while_others_work(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    ashm_observer *o = observe(&s);
    pid_t child = child_spawn(work_for_ever, &s);

    while (info_of(a).sent < 1000) {
    }
    for (int i = 0; i < 100; i++) {
        expect_consistent(o);
        see_everything(o);
    }
    child_kill(child);
    ashm_observe_end(o);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_there_is_nothing_to_observe);
    RUN(test_what_is_no_segment_is_not_observed);
    RUN(test_channels);
    RUN(test_the_age_is_the_oldest_unread_messages);
    RUN(test_lists_come_in_parts);
    RUN(test_groups_and_members);
    RUN(test_messages_are_seen_and_stay);
    RUN(test_large_messages_and_large_queues);
    RUN(test_processes);
    RUN(test_who_holds_a_lock);
    RUN(test_figures_are_those_of_who_is_inside);
    RUN(test_no_message_is_larger_than_the_segment);
    RUN(test_damage_ends_in_no_signal_and_no_hang);
    RUN(test_what_is_told_is_whole_while_others_work);
    return tests_end();
}

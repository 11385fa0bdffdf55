/* fuzz_segment.c: a damaged segment under every operation, as libFuzzer thinks of it.
 *
 * An input says how a segment that holds one of everything is damaged, what is done then, and
 * when. Whatever comes back must be a code that a segment can be the reason of, and it must
 * come back: the core is built with a clock of this file's (fuzz.cmake), which goes on only
 * when somebody waits, so no time is lost at a lock that seems to be held, and a wait that
 * does not end is seen.
 *
 *   byte 0        what opens the segment, and the time
 *   byte 1        how many words are damaged, up to DAMAGES
 *   8 bytes each  kind, place (3), value (4)
 *   the rest      an operation each
 *
 * Compiled without ASHM_DEBUG, whose checks take the segment for sound. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "messages.h"
#include "slots.h"
#include "support.h"

enum { DAMAGES = 32, OPERATIONS = 64, LARGE = 20000, MEMORY = 64 * PAGE_SIZE_SHM };

#define NOW (1000 * SECOND)
#define LOCK_WAIT (20 * NS_PER_MS)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- time, as the core is built to ask for it ---- */

int fuzz_clock_gettime(clockid_t clock, struct timespec *now);
int fuzz_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);
int fuzz_nanosleep(const struct timespec *pause, struct timespec *left);
int fuzz_sched_yield(void);

static uint64_t fake_now = NOW;

int
fuzz_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    *now = (struct timespec){.tv_sec = (time_t)(fake_now / SECOND),
                             .tv_nsec = (long)(fake_now % SECOND)};
    return 0;
}

int
fuzz_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    uint64_t at = (uint64_t)until->tv_sec * SECOND + (uint64_t)until->tv_nsec;

    (void)semaphore;
    (void)clock;
    fake_now = fake_now > at ? fake_now : at;
    errno = ETIMEDOUT;
    return -1;
}

int
fuzz_nanosleep(const struct timespec *pause, struct timespec *left)
{
    (void)left;
    fake_now += (uint64_t)pause->tv_sec * SECOND + (uint64_t)pause->tv_nsec;
    return 0;
}

int
fuzz_sched_yield(void)
{
    fake_now += NS_PER_MS / 50;
    return 0;
}

/* ---- the segment ---- */

static const char *const channels[] = {"work",  "long",  "huge",    "large", "idle",
                                       "woken", "other", "family!", "new"};
static const char *const groups[] = {"room", "hall", "new"};

enum {
    CHANNELS = sizeof channels / sizeof channels[0],
    GROUPS = sizeof groups / sizeof *groups
};

static segment s;
static ashm *a, *b;
static const char body[LARGE];
static char own[ASHM_NAME_MAX + 1], of_the_dead[ASHM_NAME_MAX + 1];
static uint64_t a_tick_at;

/* The parts of a segment that are in use, how they were, and their words but for zeros. */
static struct {
    uint64_t at, size;
    char *was;
} parts[1 + SECTIONS];
static uint32_t part_words, filled_words;
static uint32_t *filled; /* indices into the words of all parts */

/* Killed with everything: channels, a membership, a wait, a message, and in a transaction. */
static void
live_and_die(void *argument)
{
    ashm *dead = argument;
    char name[ASHM_NAME_MAX + 1];
    uint32_t message;
    tx t;

    OK(put(dead, own_channel(dead, "x", name), "x"));
    OK(join(dead, "room", name));
    EXPECT_EQ(wait_for(dead, "idle", 1), ASHM_EMPTY);
    lane_open(dead, &t);
    OK(message_make(&t, 100, 2, &message));
    OK(tx_enter(&t, 3));
    tx_set32(&t, &t.mailbox->sequence, t.mailbox->sequence + 1);
    EXPECT(tx_memory(&t));
    tx_set32(&t, &dead->header->arenas[MESSAGES].free_count,
             dead->header->arenas[MESSAGES].free_count);
}

static void
fill(void)
{
    char name[ASHM_NAME_MAX + 1];

    own_channel(a, "x", own);
    for (int i = 0; i < 600; i++) {
        OK(ashm_send(a, "huge", 4, body, 8, 60 * SECOND, 1000));
    }
    for (int i = 0; i < 20; i++) {
        OK(put(a, "long", "x"));
    }
    for (int i = 0; i < 5; i++) {
        OK(put(a, "work", "x"));
        OK(put(b, own, "x"));
        snprintf(name, sizeof name, "family!%d", i);
        OK(put(a, name, "x"));
        OK(join(a, "hall", name));
    }
    OK(ashm_send(a, "large", 5, body, LARGE, 60 * SECOND, 10));
    OK(join(a, "room", own));
    OK(join(a, "room", "work"));
    OK(join(a, "room", "other"));
    OK(join(b, "hall", "work"));
    EXPECT_EQ(wait_for(a, "idle", 1), ASHM_EMPTY);
    EXPECT_EQ(wait_for(b, "idle", 2), ASHM_EMPTY);
    EXPECT_EQ(wait_for(b, "woken", 3), ASHM_EMPTY);
    EXPECT_EQ(wait_for(a, "none!", 4), ASHM_EMPTY);
    OK(put(a, "woken", "x"));
    OK(tell(b, "room", "not settled in a's mailbox"));
}

static void
take_part(int part, uint64_t at, uint64_t size)
{
    parts[part].at = at;
    parts[part].size = size;
    EXPECT((parts[part].was = malloc(size)) != NULL);
    memcpy(parts[part].was, a->base + at, size);
    for (uint32_t i = 0; i < size / 4; i++) {
        if (((uint32_t *)(void *)parts[part].was)[i] != 0) {
            filled[filled_words++] = part_words + i;
        }
    }
    part_words += (uint32_t)(size / 4);
}

static uint32_t *
word_at(uint32_t index)
{
    for (int part = 0;; part++) {
        if (index < parts[part].size / 4) {
            return (uint32_t *)(void *)(a->base + parts[part].at) + index;
        }
        index -= (uint32_t)(parts[part].size / 4);
    }
}

static void
put_back(void)
{
    uint64_t unused = parts[0].size;

    for (int part = 0; part < 1 + SECTIONS; part++) {
        memcpy(a->base + parts[part].at, parts[part].was, parts[part].size);
    }
    /* The slots that nobody had taken. */
    OK(fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)unused,
                 (off_t)(parts[1].at - unused)));
    store_relaxed64(&a->tick_at, a_tick_at);
    store_relaxed64(&b->tick_at, a_tick_at);
    store_relaxed64(&a->reclaim_at, 0);
    store_relaxed64(&b->reclaim_at, 0);
    fake_now = NOW;
    ashm_set_clock(a, NOW);
    ashm_set_clock(b, NOW);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const int signals[] = {SIGABRT, SIGALRM, SIGTERM, SIGINT};
    ashm *dead;

    (void)argc;
    (void)argv;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        signal(signals[i], SIG_DFL); /* libFuzzer has its own */
    }
    alarm(0);
    tests_clean_up_when_killed();
    segment_make(&s);
    s.clock = NOW;
    s.options.message_memory = s.options.group_memory = MEMORY;
    s.options.lock_wait_ns = LOCK_WAIT;
    a = segment_open(&s);
    b = segment_open(&s);
    fill();
    dead = segment_open_for_child(&s);
    child_kill(child_start(live_and_die, dead));
    ashm_close(dead);
    memcpy(of_the_dead, own, sizeof own);
    slots_client(a, 2, 1, of_the_dead + (strchr(own, '.') + 1 - own));
    store_relaxed64(&a->header->maintain_at, 0);
    a_tick_at = load_relaxed64(&a->tick_at);
    EXPECT((filled = malloc(a->map.size)) != NULL);
    take_part(0, 0, a->map.slots + 4 * sizeof(slot_shm));
    take_part(1, a->map.section[MESSAGES].records,
              a->map.section[TABLES].records - a->map.section[MESSAGES].records);
    take_part(2, a->map.section[TABLES].records, a->map.size - a->map.section[TABLES].records);
    put_back();
    return 0;
}

/* ---- damage ---- */

typedef struct {
    const uint8_t *at, *end;
} input;

static uint32_t
number(input *in, int bytes)
{
    uint32_t n = 0;

    for (int i = 0; i < bytes && in->at < in->end; i++) {
        n |= (uint32_t)*in->at++ << 8 * i;
    }
    return n;
}

/* A word of those in use: any of them, or one that is not zero. */
static uint32_t *
some_word(uint32_t n, bool any)
{
    return word_at(any ? n % part_words : filled[n % filled_words]);
}

static void
damage(input *in)
{
    uint32_t kind = number(in, 1);
    uint32_t *word = some_word(number(in, 3), (kind & 8) != 0);
    uint32_t value = number(in, 4);

    switch (kind & 7) {
    case 0:
        *word = value;
        break;
    case 1:
        *word ^= 1u << value % 32;
        break;
    case 2:
        *word += value % 257 - 128;
        break;
    case 3: /* what stands elsewhere: circles, and two that refer to one */
        *word = *some_word(value, (kind & 16) != 0);
        break;
    case 4:
        memset((char *)word - (uintptr_t)word % CACHE_LINE, value % 2 ? 0xff : 0, CACHE_LINE);
        break;
    case 5:
        memset((char *)word - (uintptr_t)word % PAGE_SIZE_SHM, value % 2 ? 0xff : 0,
               PAGE_SIZE_SHM);
        break;
    case 6: /* one byte of it */
        *word = (*word & ~(0xffu << value / 256 % 4 * 8)) | value % 256 << value / 256 % 4 * 8;
        break;
    default: /* a page, once more */
        memcpy((char *)word - (uintptr_t)word % PAGE_SIZE_SHM,
               (char *)some_word(value, true) -
                   (uintptr_t)some_word(value, true) % PAGE_SIZE_SHM,
               PAGE_SIZE_SHM);
        break;
    }
}

/* ---- use ---- */

/* Locks in the name of the living. */
static int
locks_held(void)
{
    int n =
        lock_owner_slot(a->header->memory_lock.word) < 2 && a->header->memory_lock.word != 0;

    for (uint32_t i = 0; i < COMMONS + 4; i++) {
        uint64_t word = handle_mailbox(a, i)->lock.word;

        n += word != 0 && lock_owner_slot(word) < 2;
    }
    return n;
}

static void
check(int rc, uint64_t began, int held)
{
    /* A broadcast goes to each mailbox, whatever becomes of the others. */
    EXPECT(fake_now - began <= MAILBOXES * (LOCK_WAIT + SECOND));
    EXPECT(locks_held() <= held);
    EXPECT_EQ(a->own->lanes, 0);
    EXPECT_EQ(b->own->lanes, 0);
    switch (rc) {
    case 0:
    case ASHM_EMPTY:
    case ASHM_FULL:
    case ASHM_MESSAGES_FULL:
    case ASHM_TABLES_FULL:
    case ASHM_BUFFER:
    case ASHM_BUSY:
    case ASHM_NO_SLOT:
    case ASHM_CORRUPT:
    case ASHM_LAYOUT:
    case ASHM_FOREIGN:
    case ASHM_NOT_OWNER:
        return;
    default:
        fprintf(stderr, "%s gave %d\n", test_context, rc);
        abort();
    }
}

#define TRY(call)                                                                              \
    do {                                                                                       \
        uint64_t began_ = fake_now;                                                            \
        int held_ = locks_held();                                                              \
                                                                                               \
        snprintf(test_context, sizeof test_context, "%s", #call);                              \
        check(call, began_, held_);                                                            \
    } while (0)

static int
receive(ashm *h, const char *channel, unsigned flags, size_t room)
{
    ashm_received out;
    char *buffer = malloc(room); /* so that ASan knows its end */
    int rc = ashm_receive(h, channel, strlen(channel), flags, 9, buffer, room, &out);

    EXPECT(rc != 0 || (out.length <= room && out.name_length <= 255));
    free(buffer);
    return rc;
}

static int
ready(ashm *h, size_t size)
{
    uint64_t *cookies = malloc(size * sizeof *cookies);
    size_t n = 0;
    int rc = ashm_ready(h, cookies, size, &n);

    EXPECT(n <= size);
    free(cookies);
    return rc;
}

static void
operate(ashm *h, uint32_t what)
{
    const char *channel = what / 16 < CHANNELS ? channels[what / 16]
                          : what % 2 == 0      ? own
                                               : of_the_dead;
    const char *group = groups[what / 16 % GROUPS];
    char *report;
    ashm_info info;
    int fd, pending;

    switch (what % 16) {
    case 0:
        TRY(put(h, channel, "more"));
        break;
    case 1:
        TRY(ashm_send(h, channel, strlen(channel), body, 3000, SECOND, 9));
        break;
    case 2:
        TRY(receive(h, channel, 0, LARGE));
        break;
    case 3:
        TRY(receive(h, channel, ASHM_WAIT, 60));
        break;
    case 4:
        TRY(receive(h, channel, ASHM_WAIT | ASHM_OTHERS, MEMORY));
        break;
    case 5:
        TRY(ashm_unwait(h, channel, strlen(channel)));
        break;
    case 6:
        TRY(join(h, group, channel));
        break;
    case 7:
        TRY(leave(h, group, channel));
        break;
    case 8:
        TRY(tell(h, group, "x"));
        break;
    case 9:
        TRY(ready(h, 1 + what / 16));
        TRY(ashm_arm(h, &pending));
        break;
    case 10:
        TRY(ashm_tick(h));
        break;
    case 11:
        TRY(ashm_sweep(h));
        break;
    case 12:
        EXPECT((report = calloc(1, 100)) != NULL);
        TRY(ashm_verify(h, report, 100));
        free(report);
        break;
    case 13:
        TRY(ashm_get_info(h, &info));
        TRY(ashm_bell(h, &fd));
        break;
    case 14:
        if (what / 16 == 15) {
            TRY(ashm_flush(h));
        }
        break;
    default:
        ashm_set_clock(h, NOW + what / 16 * 5 * SECOND);
    }
}

/* Everything once, whatever the input has asked for. */
static void
operate_all(ashm *h)
{
    for (uint32_t what = 0; what < 15; what++) {
        operate(h, what + 16 * (what % CHANNELS));
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        operate(h, 2 + 16 * i);
    }
    operate(h, 12);
    operate(h, 14 + 16 * 15);
    operate(h, 12);
}

/* Those who only look: every list to its end, in parts of different sizes. */
static void
look(void)
{
    enum { SIZE = 20 };
    static ashm_seen_channel seen[SIZE];
    static ashm_seen_group seen_groups[SIZE];
    static ashm_seen_member members[SIZE];
    static ashm_seen_lock locks[9 + ASHM_SLOTS];
    ashm_seen_process process;
    ashm_seen_message message;
    ashm_observer *o = NULL;
    uint64_t cursor;
    ashm_info info;
    size_t n;

    if (a->header->magic == 0) {
        EXPECT_EQ(ashm_observe(s.name, &o), ENOENT); /* as if it were not formatted yet */
        return;
    }
    TRY(ashm_observe(s.name, &o));
    if (o == NULL) {
        return;
    }
    TRY(ashm_see_info(o, &info));
    TRY(ashm_see_locks(o, locks, 9 + ASHM_SLOTS, &n));
    for (uint32_t slot = 0; slot < 5; slot++) {
        TRY(ashm_see_process(o, slot, &process));
    }
    for (cursor = 0; cursor != ASHM_NEVER;) {
        TRY(ashm_see_channels(o, &cursor, seen, 1, &n));
    }
    for (cursor = 0; cursor != ASHM_NEVER;) {
        TRY(ashm_see_groups(o, &cursor, seen_groups, SIZE, &n));
    }
    for (cursor = 0; cursor != ASHM_NEVER;) {
        TRY(ashm_see_members(o, &cursor, members, 3, &n));
    }
    for (uint32_t i = 0; i < CHANNELS; i++) {
        char *buffer = malloc(60);
        int rc = 0;

        for (cursor = 0; rc == 0;) {
            rc = ashm_see_message(o, channels[i], strlen(channels[i]), &cursor, buffer, 60,
                                  &message);
        }
        /* Whoever asks makes room for as much as that. */
        EXPECT(rc == ASHM_EMPTY || (rc == ASHM_BUFFER && message.length <= a->map.size));
        free(buffer);
    }
    ashm_observe_end(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, data + size};
    uint32_t how = number(&in, 1);
    uint32_t damages = number(&in, 1) % (DAMAGES + 1);
    ashm *h = how & 1 ? a : b, *opened = NULL;

    ashm_set_clock(h, NOW + (how >> 4) * 5 * SECOND);
    for (uint32_t i = 0; i < damages && in.at < in.end; i++) {
        damage(&in);
    }
    if (how & 2) {
        TRY(ashm_open(&s.options, &opened));
        if (opened != NULL) {
            ashm_set_clock(opened, load_relaxed64(&h->clock_fixed));
            h = opened;
        }
    }
    if (how & 4) {
        look();
    }
    for (int i = 0; i < OPERATIONS && in.at < in.end; i++) {
        operate(h, number(&in, 1));
    }
    operate_all(h);
    if (opened != NULL) {
        ashm_close(opened);
    }
    put_back();
    return 0;
}

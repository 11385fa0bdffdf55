/* test_faults.c: every call of the system that the core makes fails, once for each time that
 * it is made and each reason that it may have, and from then on as well.
 *
 * The linker leads these calls here (--wrap, in CMakeLists.txt). A process opens a segment,
 * does everything, forks a child that does things, too, and closes; in each run one call
 * fails. Each operation either succeeds, or says why it did not: with the very errno, or a
 * code of ashm.h that is not ASHM_CORRUPT. Afterwards nobody but the bystander lives, no
 * descriptor and no mapping is left, no lock is held, the segment is sound, and the same goes
 * well without a fault. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

/* ---- calls that fail ---- */

typedef enum { ONCE, FROM_THEN_ON } how;

/* Shared with the child. */
static struct {
    bool armed;    /* inside an operation */
    int call;      /* which is to fail; -1: none */
    int error;
    how how;
    uint32_t at;   /* at which time it is made */
    uint32_t made[32];
} *faults;

/* What each may say of itself; closing, unmapping and posting do not fail. From then on it
 * says the first. */
#define CALLS(X)                                                                               \
    X(shm_open, int, -1, EMFILE, ENFILE, ENOMEM, EACCES, EINTR)                                \
    X(open, int, -1, EMFILE, ENFILE, ENOMEM, EACCES, EINTR)                                    \
    X(fstat, int, -1, 0, 0, 0, 0, EBADF)                                                       \
    X(lstat, int, -1, EACCES, ENOMEM, 0, 0, EINTR)                                             \
    X(ftruncate, int, -1, EPERM, ENOSPC, ENOMEM, 0, EINTR)                                     \
    X(pread, ssize_t, -1, EIO, ENOMEM, 0, 0, EINTR)                                            \
    X(mmap, void *, MAP_FAILED, ENOMEM, EACCES, EPERM, ENFILE, EAGAIN)                         \
    X(madvise, int, -1, ENOMEM, EINVAL, 0, 0, EAGAIN)                                          \
    X(memfd_create, int, -1, EMFILE, ENFILE, ENOMEM, EPERM, EINVAL)                            \
    X(sem_init, int, -1, ENOSYS, EINVAL, 0, 0, 0)                                              \
    X(getrandom, ssize_t, -1, ENOSYS, EFAULT, 0, 0, EINTR)                                     \
    X(socket, int, -1, EMFILE, ENFILE, ENOMEM, EACCES, ENOBUFS)                                \
    X(bind, int, -1, EADDRINUSE, EACCES, ENOMEM, 0, EPERM)                                     \
    X(connect, int, -1, ECONNREFUSED, EACCES, EPERM, 0, EAGAIN)                                \
    X(sem_open, sem_t *, SEM_FAILED, EMFILE, ENFILE, ENOMEM, EACCES, EINTR)                    \
    X(fcntl, int, -1, ENOLCK, ENOMEM, EPERM, 0, EAGAIN)                                        \
    X(posix_fallocate, int, error, ENOSPC, ENOMEM, EPERM, EFBIG, EINTR)                        \
    X(mkfifo, int, -1, ENOSPC, EACCES, ENOMEM, EEXIST, EINTR)                                  \
    X(rename, int, -1, ENOSPC, EACCES, ENOMEM, EPERM, EINTR)                                   \
    X(chmod, int, -1, EPERM, ENOMEM, 0, 0, EINTR)                                              \
    X(unlink, int, -1, EPERM, EACCES, ENOMEM, 0, EINTR)                                        \
    X(write, ssize_t, -1, EAGAIN, ENOSPC, EPIPE, 0, EINTR)                                     \
    X(read, ssize_t, -1, EAGAIN, EIO, ENOMEM, 0, EINTR)                                        \
    X(calloc, void *, NULL, ENOMEM, 0, 0, 0, 0)                                                \
    X(strdup, char *, NULL, ENOMEM, 0, 0, 0, 0)

enum { ERRORS = 5 };

/* With a sanitizer, whose processes take long to fork, one reason for each time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { ALL = 0 };
#else
enum { ALL = 1 };
#endif

typedef enum {
#define X(name, type, failure, ...) CALL_##name,
    CALLS(X)
#undef X
        CALLS_COUNT
} call;

static const struct {
    const char *name;
    int errors[ERRORS];
} calls[] = {
#define X(name, type, failure, ...) {#name, {__VA_ARGS__}},
    CALLS(X)
#undef X
};

static bool
fails(call which)
{
    uint32_t at;

    if (faults == NULL || !faults->armed) {
        return false;
    }
    at = faults->made[which]++;
    if (faults->call != (int)which ||
        !(at == faults->at || (faults->how == FROM_THEN_ON && at > faults->at))) {
        return false;
    }
    errno = faults->error;
    return true;
}

/* The wrapped function, and the real one. */
#define WRAP(name, type, failure, parameters, arguments)                                       \
    type __real_##name parameters;                                                             \
    type __wrap_##name parameters;                                                             \
    type __wrap_##name parameters                                                              \
    {                                                                                          \
        return fails(CALL_##name) ? (failure) : __real_##name arguments;                       \
    }

WRAP(shm_open, int, -1, (const char *name, int flags, mode_t mode), (name, flags, mode))
WRAP(open, int, -1, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(fstat, int, -1, (int fd, struct stat *st), (fd, st))
WRAP(lstat, int, -1, (const char *path, struct stat *st), (path, st))
WRAP(ftruncate, int, -1, (int fd, off_t size), (fd, size))
WRAP(pread, ssize_t, -1, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
WRAP(mmap, void *, MAP_FAILED,
     (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))
WRAP(madvise, int, -1, (void *at, size_t size, int advice), (at, size, advice))
WRAP(sem_open, sem_t *, SEM_FAILED, (const char *name, int flags, mode_t mode, unsigned value),
     (name, flags, mode, value))
WRAP(memfd_create, int, -1, (const char *name, unsigned flags), (name, flags))
WRAP(sem_init, int, -1, (sem_t * semaphore, int shared, unsigned value),
     (semaphore, shared, value))
WRAP(getrandom, ssize_t, -1, (void *to, size_t size, unsigned flags), (to, size, flags))
WRAP(socket, int, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(bind, int, -1, (int fd, const struct sockaddr *at, socklen_t size), (fd, at, size))
WRAP(connect, int, -1, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size))
WRAP(fcntl, int, -1, (int fd, int command, void *argument), (fd, command, argument))
WRAP(posix_fallocate, int, errno, (int fd, off_t at, off_t size), (fd, at, size))
WRAP(mkfifo, int, -1, (const char *path, mode_t mode), (path, mode))
WRAP(rename, int, -1, (const char *from, const char *to), (from, to))
WRAP(chmod, int, -1, (const char *path, mode_t mode), (path, mode))
WRAP(unlink, int, -1, (const char *path), (path))
WRAP(write, ssize_t, -1, (int fd, const void *from, size_t size), (fd, from, size))
WRAP(read, ssize_t, -1, (int fd, void *to, size_t size), (fd, to, size))
WRAP(calloc, void *, NULL, (size_t n, size_t size), (n, size))
WRAP(strdup, char *, NULL, (const char *text), (text))

/* ---- everything that a process does ---- */

/* An operation: it went well, or says why not. Which it was. */
static bool
went_well(const char *what, int rc, int expected)
{
    if (rc == expected) {
        return true;
    }
    if (faults->call < 0 || rc == ASHM_CORRUPT || rc == ASHM_FOREIGN || rc == ASHM_LAYOUT ||
        (rc >= 0 && rc != faults->error)) {
        test_failed(__FILE__, __LINE__, "%s is %d", what, rc);
    }
    return false;
}

#define TRY_FOR(expected, operation)                                                           \
    (faults->armed = true, rc_ = (operation), faults->armed = false,                           \
     went_well(#operation, rc_, expected))
#define TRY(operation) TRY_FOR(0, operation)

static int rc_;
static const char large[20000];

static int
named(ashm *a, char name[ASHM_NAME_MAX + 1])
{
    char client[ASHM_CLIENT_LENGTH + 1] = {0};
    int rc = ashm_client(a, client);

    snprintf(name, ASHM_NAME_MAX + 1, "specific.%s!x", client);
    return rc;
}

static int
receive(ashm *a, const char *channel)
{
    static char body[sizeof large];
    ashm_received out;

    return ashm_receive(a, channel, strlen(channel), 0, 0, body, sizeof body, &out);
}

static void
use(ashm *a)
{
    char name[ASHM_NAME_MAX + 1], report[200];
    uint64_t cookies[4];
    ashm_info info;
    size_t n;
    int pending;

    if (TRY(named(a, name)) && TRY(put(a, name, "x"))) {
        (void)TRY(receive(a, name));
        (void)TRY(join(a, "room", name));
        (void)TRY(tell(a, "room", "x"));
        (void)TRY(leave(a, "room", name));
    }
    (void)TRY(ashm_send(a, "large", 5, large, sizeof large, SECOND, 10));
    (void)TRY_FOR(rc_ == 0 ? 0 : ASHM_EMPTY, receive(a, "large"));
    (void)TRY(put(a, "awaited", "x")); /* rings the bystander */
    (void)TRY_FOR(ASHM_EMPTY, wait_for(a, "idle", 1));
    (void)TRY(ashm_ready(a, cookies, 4, &n));
    (void)TRY(ashm_arm(a, &pending));
    (void)TRY(ashm_unwait(a, "idle", 4));
    (void)TRY(ashm_tick(a)); /* reaps who was killed */
    (void)TRY(ashm_sweep(a));
    (void)TRY(ashm_get_info(a, &info));
    (void)TRY(ashm_verify(a, report, sizeof report));
}

static void
use_in_child(void *argument)
{
    ashm *a = argument;

    use(a);
    faults->armed = true;
    ashm_close(a);
    faults->armed = false;
}

static void
look(const char *name)
{
    ashm_observer *o;
    ashm_seen_process seen;

    if (TRY(ashm_observe(name, &o))) {
        (void)TRY(ashm_see_process(o, 0, &seen));
        ashm_observe_end(o);
    }
}

static void
live(const segment *s)
{
    ashm *a;

    if (!TRY(ashm_open(&s->options, &a))) {
        return;
    }
    ashm_set_clock(a, s->clock);
    use(a);
    look(s->name);
    child_join(child_spawn(use_in_child, a));
    (void)TRY(ashm_flush(a));
    faults->armed = true;
    ashm_close(a);
    faults->armed = false;
}

/* ---- one run ---- */

static int
count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int n = 0;

    EXPECT(directory != NULL);
    while (readdir(directory) != NULL) {
        n++;
    }
    closedir(directory);
    return n;
}

/* Of the object: a life is one. */
static int
count_mappings(const char *name)
{
    char line[600];
    FILE *maps = fopen("/proc/self/maps", "r");
    int n = 0;

    EXPECT(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        n += strstr(line, name) != NULL && strstr(line, ":") != NULL;
    }
    fclose(maps);
    return n;
}

static void
expect_no_lock(const ashm *a)
{
    EXPECT_EQ(a->header->memory_lock.word, 0);
    for (uint32_t i = 0; i < COMMONS + handle_slots_high(a); i++) {
        EXPECT_EQ(handle_mailbox(a, i)->lock.word, 0);
    }
}

static void
attach_and_hold(void *argument)
{
    char name[ASHM_NAME_MAX + 1];
    tx t;

    OK(put(argument, own_channel(argument, "x", name), "x"));
    mailbox_hold(argument, &t, 2);
}

/* Somebody waits, and somebody was killed inside. */
static void
prepare(const segment *s, ashm *bystander)
{
    ashm *dead = segment_open_for_child(s);
    int pending;

    child_kill(child_start(attach_and_hold, dead));
    ashm_close(dead);
    EXPECT_EQ(wait_for(bystander, "awaited", 1), ASHM_EMPTY);
    OK(ashm_arm(bystander, &pending));
    store_relaxed64(&bystander->header->maintain_at, 0);
}

/* Whatever was left undone is done by those who go on. */
static void
expect_nothing_left(const segment *s, ashm *bystander, int descriptors, int mappings)
{
    uint64_t cookies[4];
    size_t n;

    /* What is no descriptor for fstat() was closed by somebody else: it is opened anew. */
    EXPECT(count_descriptors() == descriptors ||
           (faults->call == CALL_fstat && count_descriptors() > descriptors));
    EXPECT_EQ(count_mappings(s->name), mappings);
    OK(ashm_ready(bystander, cookies, 4, &n));
    OK(ashm_unwait(bystander, "awaited", 7));
    store_relaxed64(&bystander->header->maintain_at, 0);
    OK(ashm_tick(bystander));
    expect_no_lock(bystander);
    EXPECT_EQ(info_of(bystander).attached, 1);
    verified(bystander);
    OK(ashm_flush(bystander));
    EXPECT_EQ(info_of(bystander).message_used, 0);
    EXPECT_EQ(info_of(bystander).group_used, 0);
}

static uint32_t tried;

/* Something of which one call is to fail; and once more, when none does. */
typedef void (*attempt)(segment *s, ashm *bystander);

static void
run_with(attempt run, segment *s, ashm *bystander, call which, uint32_t at, int error, how how)
{
    static const char *const hows[] = {"", ", from then on"};

    alarm(60);
    snprintf(test_context, sizeof test_context, "%s, time %u: %s%s", calls[which].name, at,
             strerror(error), hows[how]);
    tried++;
    faults->call = (int)which;
    faults->at = at;
    faults->error = error;
    faults->how = how;
    memset(faults->made, 0, sizeof faults->made);
    run(s, bystander);
    faults->call = -1;
}

static void
try_errors(attempt run, segment *s, ashm *bystander, call which, uint32_t at)
{
    bool one = false;

    for (uint32_t i = 0; i < ERRORS; i++) {
        int error = calls[which].errors[(at + i) % ERRORS];

        if (error != 0 && (ALL || !one)) {
            one = true;
            run_with(run, s, bystander, which, at, error, ONCE);
        }
    }
    if (ALL && calls[which].errors[0] != 0) {
        run_with(run, s, bystander, which, at, calls[which].errors[0], FROM_THEN_ON);
    }
}

static bool ever_made[CALLS_COUNT];

/* Each call that it makes. */
static void
run_with_each(attempt run, segment *s, ashm *bystander)
{
    uint32_t made[CALLS_COUNT];

    memset(faults->made, 0, sizeof faults->made);
    run(s, bystander);
    memcpy(made, faults->made, sizeof made);
    for (int i = 0; i < CALLS_COUNT; i++) {
        ever_made[i] |= made[i] != 0;
        for (uint32_t at = 0; at < made[i]; at++) {
            try_errors(run, s, bystander, (call)i, at);
        }
    }
    test_context[0] = '\0';
}

/* ---- among others ---- */

static void
come_and_go(segment *s, ashm *bystander)
{
    int descriptors, mappings;

    for (int i = 0; i < 2; i++) {
        prepare(s, bystander);
        descriptors = count_descriptors();
        mappings = count_mappings(s->name);
        live(s);
        expect_nothing_left(s, bystander, descriptors, mappings);
        faults->call = -1;
    }
}

static void
test_each_call_among_others(void)
{
    segment s;
    ashm *bystander = fixture_begin(&s);

    s.options.lock_wait_ns = 50 * NS_PER_MS;
    come_and_go(&s, bystander); /* the bystander's descriptors are all open now */
    run_with_each(come_and_go, &s, bystander);
    fixture_end(&s, bystander);
}

/* ---- the first ---- */

static void
come_first(segment *s, ashm *bystander)
{
    int descriptors = count_descriptors();
    ashm *a;

    (void)bystander;
    segment_make(s);
    s->clock = 1000 * SECOND;
    s->options.lock_wait_ns = 50 * NS_PER_MS;
    live(s);
    if (faults->call != CALL_fstat) {
        EXPECT_EQ(count_descriptors(), descriptors);
    }
    EXPECT_EQ(count_mappings(s->name), 0);
    faults->call = -1;
    live(s);
    a = segment_open(s);
    store_relaxed64(&a->header->maintain_at, 0);
    OK(ashm_tick(a)); /* who could not leave is as good as dead */
    expect_no_lock(a);
    EXPECT_EQ(info_of(a).attached, 1);
    fixture_end(s, a);
}

static void
test_each_call_of_who_comes_first(void)
{
    segment s;

    run_with_each(come_first, &s, NULL);
}

/* ---- in private ---- */

/* Who could not leave is as good as dead. */
static void
expect_sound_and_alone(ashm *a)
{
    call which = (call)faults->call;
    int rc;

    faults->call = -1;
    store_relaxed64(&a->header->maintain_at, 0);
    rc = ashm_tick(a);
    if (rc == 0) {
        expect_no_lock(a);
        EXPECT_EQ(info_of(a).attached, 1);
        verified(a);
    } else {
        EXPECT(rc == ASHM_REPLACED && which == CALL_fstat); /* it has seen it closed */
    }
    faults->call = (int)which;
}

static void
live_in_private(const segment *s)
{
    int pending;
    ashm *a;

    if (!TRY(ashm_open(&s->options, &a))) {
        /* That is what Linux before 6.3 says of a flag. */
        EXPECT(faults->call != CALL_memfd_create || faults->error != EINVAL);
        return;
    }
    ashm_set_clock(a, s->clock);
    use(a);
    look(ashm_name(a));
    (void)TRY_FOR(rc_ == 0 ? 0 : ASHM_EMPTY, receive(a, "awaited"));
    (void)TRY_FOR(rc_ == 0 ? 0 : ASHM_EMPTY, wait_for(a, "awaited", 1));
    (void)TRY(ashm_arm(a, &pending));
    child_join(child_spawn(use_in_child, a)); /* and rings */
    (void)TRY(ashm_flush(a));
    expect_sound_and_alone(a);
    faults->armed = true;
    ashm_close(a);
    faults->armed = false;
}

static void
come_alone(segment *s, ashm *bystander)
{
    int descriptors = count_descriptors(), shared = count_mappings("/dev/zero");

    (void)bystander;
    live_in_private(s);
    if (faults->call != CALL_fstat) {
        EXPECT_EQ(count_descriptors(), descriptors);
    }
    EXPECT_EQ(count_mappings("/memfd:asgi_shm"), 0);
    EXPECT_EQ(count_mappings("/dev/zero"), shared); /* it has no name of its own */
    faults->call = -1;
    live_in_private(s);
}

static void
test_each_call_of_who_is_private(void)
{
    segment s = {.clock = 1000 * SECOND,
                 .options = {.message_memory = MIB,
                             .group_memory = MIB,
                             .max_message_size = MIB,
                             .lock_wait_ns = 50 * NS_PER_MS}};

    run_with_each(come_alone, &s, NULL);
}

int
main(void)
{
    faults =
        mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(faults != MAP_FAILED);
    faults->call = -1;
    RUN(test_each_call_of_who_comes_first);
    RUN(test_each_call_among_others);
    RUN(test_each_call_of_who_is_private);
    for (int i = 0; i < CALLS_COUNT; i++) {
        if (!ever_made[i]) {
            test_failed(__FILE__, __LINE__, "nobody calls %s", calls[i].name);
        }
    }
    printf("%u faults\n", tried);
    return tests_end();
}

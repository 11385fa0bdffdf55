/* support.c: see support.h. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hash.h"

enum { PATIENCE = 60 }; /* seconds; whatever takes longer hangs */

char test_context[400];

static const char *running = "(no test)";
static int tests;
static pid_t tester;

/* ---- the end of a program ---- */

/* Everything in /dev/shm whose name begins as ours do. */
static void
remove_objects(void)
{
    char begin[32], path[300];
    DIR *directory = opendir("/dev/shm");
    const struct dirent *entry;

    if (directory == NULL) {
        return;
    }
    snprintf(begin, sizeof begin, "ashm-test-%d-", (int)tester);
    while ((entry = readdir(directory)) != NULL) {
        if (strstr(entry->d_name, begin) != NULL) {
            snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
            unlink(path);
        }
    }
    closedir(directory);
}

static void
at_exit(void)
{
    if (getpid() == tester) {
        remove_objects();
    }
}

void
tests_clean_up_when_killed(void)
{
    int life[2];
    char byte;

    EXPECT_EQ(pipe2(life, O_CLOEXEC), 0);
    if (fork() == 0) {
        setsid(); /* Ctrl-C is not for this one */
        alarm(0);
        close(life[1]);
        (void)!read(life[0], &byte, 1);
        remove_objects();
        _exit(0);
    }
    close(life[0]);
}

/* The program is lost anyhow: tidy up, and end as the signal does. */
static void
on_signal(int number)
{
    static const char late[] = "timed out in ";

    if (number == SIGALRM && write(2, late, sizeof late - 1) > 0 &&
        write(2, running, strlen(running)) > 0 && write(2, "\n    ", 5) > 0 &&
        write(2, test_context, strlen(test_context)) >= 0 && write(2, "\n", 1) > 0) {
        number = SIGKILL;
    }
    at_exit();
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor)) static void
tests_begin(void)
{
    tester = getpid();
    atexit(at_exit);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    alarm(PATIENCE);
}

void
test_failed(const char *file, int line, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s:%d: %s: ", file, line, running);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (test_context[0] != '\0') {
        fprintf(stderr, "    %s\n", test_context);
    }
    if (getpid() == tester) {
        exit(1);
    }
    _exit(1);
}

void
test_run(const char *name, void (*test)(void))
{
    running = name;
    alarm(PATIENCE);
    test();
    tests++;
    printf("ok %s\n", name);
    fflush(stdout);
}

int
tests_end(void)
{
    printf("%d passed\n", tests);
    return 0;
}

int
tests_skip(const char *reason)
{
    const char *no_skip = getenv("ASHM_NO_SKIP");

    printf("skipped: %s\n", reason);
    return no_skip == NULL || *no_skip == '\0' || strcmp(no_skip, "0") == 0 ? 77 : 1;
}

/* ---- segments ---- */

void
segment_make(segment *s)
{
    static int made;
    char semaphore[80];
    sem_t *opened;
    int fd;

    memset(s, 0, sizeof *s);
    snprintf(s->name, sizeof s->name, "/ashm-test-%d-%d", (int)tester, made++);
    s->options = (ashm_options){.name = s->name,
                                .message_memory = MIB,
                                .group_memory = MIB,
                                .max_message_size = MIB,
                                .lock_wait_ns = 10 * SECOND};
    for (size_t i = 0; i < sizeof s->options.random; i++) {
        s->options.random[i] = (unsigned char)(i * 37 + (size_t)made);
    }
    EXPECT((fd = shm_open(s->name, O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0);
    close(fd);
    for (int i = 0; i < ASHM_SEMAPHORES; i++) {
        snprintf(semaphore, sizeof semaphore, "%s:%d", s->name, i);
        EXPECT((opened = sem_open(semaphore, O_CREAT | O_EXCL, 0600, 0)) != SEM_FAILED);
        sem_close(opened);
    }
}

/* Files of the segment whose names go on like this, semaphores too. One of them. */
static int
count_files(const segment *s, const char *suffix, char found[300])
{
    DIR *directory = opendir("/dev/shm");
    const struct dirent *entry;
    int n = 0;

    EXPECT(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        const char *begin = strstr(entry->d_name, s->name + 1);
        const char *rest = begin != NULL ? begin + strlen(s->name + 1) : NULL;

        if (rest != NULL && (*rest == '\0' || *rest == ':') &&
            strncmp(rest, suffix, strlen(suffix)) == 0) {
            snprintf(found, 300, "%s", entry->d_name);
            n++;
        }
    }
    closedir(directory);
    return n;
}

void
segment_remove(const segment *s)
{
    char name[300];

    shm_unlink(s->name);
    for (int i = 0; i < ASHM_SEMAPHORES; i++) {
        snprintf(name, sizeof name, "%s:%d", s->name, i);
        sem_unlink(name);
    }
    if (count_files(s, "", name) != 0) {
        test_failed(__FILE__, __LINE__, "left behind: /dev/shm/%s", name);
    }
}

int
segment_bells(const segment *s)
{
    char name[300];

    return count_files(s, ":bell.", name);
}

ashm *
segment_open_for_child(const segment *s)
{
    ashm *a;

    OK(ashm_open(&s->options, &a));
    ashm_set_clock(a, s->clock);
    return a;
}

ashm *
segment_open(const segment *s)
{
    ashm *a = segment_open_for_child(s);

    OK(ashm_attach(a));
    return a;
}

ashm *
segment_open_sharing(const segment *s, const ashm *other)
{
    ashm *a;

    OK(ashm_open(&s->options, &a));
    munmap(a->base, a->map.size);
    a->base = other->base;
    a->header = other->header;
    OK(ashm_attach(a));
    return a;
}

void
segment_close_sharing(ashm *a)
{
    size_t size = a->map.size;
    char *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);

    EXPECT(own != MAP_FAILED);
    a->base = own;
    a->header = (header_shm *)own;
    ashm_close(a);
}

ashm *
fixture_begin(segment *s)
{
    segment_make(s);
    s->clock = 1000 * SECOND;
    return segment_open(s);
}

void
fixture_end(segment *s, ashm *a)
{
    verified(a);
    ashm_close(a);
    segment_remove(s);
}

/* ---- operations ---- */

int
put(ashm *a, const char *channel, const char *text)
{
    return ashm_send(a, channel, strlen(channel), text, strlen(text), 60 * SECOND, 100);
}

const char *
take(ashm *a, const char *channel)
{
    static _Thread_local char text[4096];
    ashm_received out;
    int rc = ashm_receive(a, channel, strlen(channel), 0, 0, text, sizeof text - 1, &out);

    if (rc == ASHM_EMPTY) {
        return NULL;
    }
    OK(rc);
    text[out.length] = '\0';
    return text;
}

int
wait_for(ashm *a, const char *channel, uint64_t cookie)
{
    char text[64];
    ashm_received out;

    return ashm_receive(a, channel, strlen(channel), ASHM_WAIT, cookie, text, sizeof text,
                        &out);
}

int
join(ashm *a, const char *group, const char *channel)
{
    return ashm_group_add(a, group, strlen(group), channel, strlen(channel), ASHM_NEVER, 100);
}

int
leave(ashm *a, const char *group, const char *channel)
{
    return ashm_group_discard(a, group, strlen(group), channel, strlen(channel));
}

int
tell(ashm *a, const char *group, const char *text)
{
    ashm_reached reached = {{0}};

    return ashm_group_send(a, group, strlen(group), text, strlen(text), 60 * SECOND, &reached);
}

const char *
own_channel(ashm *a, const char *suffix, char name[ASHM_NAME_MAX + 1])
{
    char client[ASHM_CLIENT_LENGTH + 1] = {0};

    OK(ashm_client(a, client));
    snprintf(name, ASHM_NAME_MAX + 1, "specific.%s!%s", client, suffix);
    return name;
}

void
verified(ashm *a)
{
    char report[200] = "";
    int rc = ashm_verify(a, report, sizeof report);

    if (rc != 0) {
        test_failed(__FILE__, __LINE__, "verify: %d: %s", rc, report);
    }
}

ashm_info
info_of(ashm *a)
{
    ashm_info info;

    OK(ashm_get_info(a, &info));
    return info;
}

void
emptied(ashm *a)
{
    ashm_info info = info_of(a);

    EXPECT_EQ(info.channels, 0);
    EXPECT_EQ(info.groups, 0);
    EXPECT_EQ(info.memberships, 0);
    EXPECT_EQ(info.messages, 0);
    EXPECT_EQ(info.message_used, 0);
    EXPECT_EQ(info.group_used, 0);
}

/* ---- inside the core ---- */

void
lane_open(ashm *a, tx *t)
{
    OK(claim_slot(a));
    OK(tx_open(a, t));
}

void
mailbox_hold(ashm *a, tx *t, uint32_t mailbox)
{
    lane_open(a, t);
    OK(tx_enter(t, mailbox));
}

void
mailbox_let_go(tx *t)
{
    tx_leave(t);
    tx_close(t);
}

uint32_t
hash_of(const ashm *a, const char *name)
{
    return (uint32_t)hash_name(a->hash_key, name, strlen(name));
}

/* ---- processes ---- */

pid_t
child_spawn(void (*body)(void *), void *argument)
{
    pid_t child;

    fflush(NULL);
    EXPECT((child = fork()) >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGABRT, SIG_DFL);
        body(argument);
        _exit(0);
    }
    return child;
}

void
child_join(pid_t child)
{
    int status;

    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

struct signalling {
    void (*body)(void *);
    void *argument;
    int done[2];
};

static void
signalling_body(void *argument)
{
    struct signalling *s = argument;

    s->body(s->argument);
    EXPECT_EQ(write(s->done[1], "", 1), 1);
    for (;;) {
        pause();
    }
}

pid_t
child_start(void (*body)(void *), void *argument)
{
    struct signalling s = {.body = body, .argument = argument};
    char byte;
    pid_t child;

    EXPECT_EQ(pipe(s.done), 0);
    child = child_spawn(signalling_body, &s);
    close(s.done[1]);
    EXPECT_EQ(read(s.done[0], &byte, 1), 1);
    close(s.done[0]);
    return child;
}

void
child_kill(pid_t child)
{
    EXPECT_EQ(kill(child, SIGKILL), 0);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
}

static void
hold_commons(void *argument)
{
    tx t;

    mailbox_hold(segment_open(argument), &t, 0);
}

pid_t
child_holding_commons(segment *s)
{
    return child_start(hold_commons, s);
}

gate
gate_make(void)
{
    gate g = {.fd = eventfd(0, EFD_CLOEXEC)};

    EXPECT(g.fd >= 0);
    return g;
}

void
gate_open(gate g)
{
    EXPECT_EQ(eventfd_write(g.fd, 1), 0);
}

void
gate_wait(gate g)
{
    struct pollfd polled = {.fd = g.fd, .events = POLLIN};

    EXPECT_EQ(poll(&polled, 1, -1), 1);
}

void
gate_remove(gate g)
{
    close(g.fd);
}

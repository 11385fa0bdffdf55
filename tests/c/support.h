/*
 * support.h: what the tests in C share: assertions, a fresh segment for each test, child
 * processes that can be killed.
 *
 * A test is a function; main() runs each with RUN() and ends with `return tests_end();`. A
 * test that fails says where and ends its program. However the program ends, but for
 * SIGKILL, the IPC objects of its segments are removed.
 */
#ifndef ASHM_TEST_SUPPORT_H
#define ASHM_TEST_SUPPORT_H

#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "claim.h"
#include "mailbox.h"

/* ---- assertions ---- */

void test_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

#define EXPECT(condition)                                                                      \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            test_failed(__FILE__, __LINE__, "expected: %s", #condition);                       \
        }                                                                                      \
    } while (0)

/* Integers. */
#define EXPECT_EQ(actual, expected)                                                            \
    do {                                                                                       \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);            \
                                                                                               \
        if (actual_ != expected_) {                                                            \
            test_failed(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, actual_,     \
                        expected_);                                                            \
        }                                                                                      \
    } while (0)

/* A call that returns 0, or a code of ashm.h. */
#define OK(call) EXPECT_EQ(call, 0)

/* Text; NULL is like no other. */
#define EXPECT_TEXT(actual, expected)                                                          \
    do {                                                                                       \
        const char *actual_ = (actual);                                                        \
                                                                                               \
        if (actual_ == NULL || strcmp(actual_, expected) != 0) {                               \
            test_failed(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #actual,          \
                        actual_ == NULL ? "(nothing)" : actual_, expected);                    \
        }                                                                                      \
    } while (0)

/* What is being tried, for the message of a failure. */
extern char test_context[400];

#define RUN(test) test_run(#test, test)
void test_run(const char *name, void (*test)(void));
int tests_end(void);

/* What main() returns where the system does not let the program test anything: a skip, with its
 * reason, or with ASHM_NO_SKIP set a failure. */
int tests_skip(const char *reason);

/* For programs that end without atexit(): another process removes the objects then. */
void tests_clean_up_when_killed(void);

/* ---- segments ---- */

enum { MIB = 1 << 20 };

#define SECOND NS_PER_SECOND

/* What a test opens; change it before the first open for other sizes. With a clock, handles
 * are opened on one that stands there: then nobody looks after the segment by the way. */
typedef struct segment {
    char name[64];
    ashm_options options;
    uint64_t clock;
} segment;

/* The IPC objects of a fresh name, with 1 MiB for messages and 1 MiB for tables. The
 * object is empty: the first who opens it formats it. */
void segment_make(segment *s);

/* Another handle on it, as a process of its own would have; attached. */
ashm *segment_open(const segment *s);

/* The same, for a child: not attached. */
ashm *segment_open_for_child(const segment *s);

/* A handle that uses the mapping of another: ThreadSanitizer knows memory by its address,
 * so it sees what threads do to each other only if they share a mapping. */
ashm *segment_open_sharing(const segment *s, const ashm *other);
void segment_close_sharing(ashm *a);

/* Remove the IPC objects, and say if a process has left something else behind. */
void segment_remove(const segment *s);

/* How many doorbells its processes have in the file system. */
int segment_bells(const segment *s);

/* The usual: a segment with a clock and one attached handle on it, made and removed by these
 * two. The end verifies the segment. */
ashm *fixture_begin(segment *s);
void fixture_end(segment *s, ashm *a);

/* ---- operations, for names that are C strings ---- */

/* ashm_send() of a text, with a capacity of 100 and an expiry of 60 s. */
int put(ashm *a, const char *channel, const char *text);

/* ashm_receive() as a text, or NULL if there is none. Valid until this thread's next. */
const char *take(ashm *a, const char *channel);

int wait_for(ashm *a, const char *channel, uint64_t cookie); /* ashm_receive(ASHM_WAIT) */
int join(ashm *a, const char *group, const char *channel);   /* capacity 100, no expiry */
int leave(ashm *a, const char *group, const char *channel);
int tell(ashm *a, const char *group, const char *text); /* group_send */

/* "<prefix>.<client>!<suffix>": a channel of this handle's process. */
const char *own_channel(ashm *a, const char *suffix, char name[ASHM_NAME_MAX + 1]);

void verified(ashm *a);
void emptied(ashm *a); /* all memory is free, and no record is left */
ashm_info info_of(ashm *a);

/* ---- inside the core ---- */

/* A lane of the handle, in which the caller takes locks and makes transactions. */
void lane_open(ashm *a, tx *t);

/* A lane that holds the mailbox. */
void mailbox_hold(ashm *a, tx *t, uint32_t mailbox);
void mailbox_let_go(tx *t);

/* The hash of a name in the handle's tables. */
uint32_t hash_of(const ashm *a, const char *name);

/* ---- processes ---- */

/* Fork; the child runs `body` and then sleeps until it is killed. Returns when the child
 * has finished `body`. */
pid_t child_start(void (*body)(void *), void *argument);

/* As child_start(), but returns at once; child_join() waits for the end of `body`. */
pid_t child_spawn(void (*body)(void *), void *argument);
void child_join(pid_t child);

void child_kill(pid_t child);

/* A child with a slot of its own that holds the first of the commons until it is killed. */
pid_t child_holding_commons(segment *s);

/* A gate is opened once and lets everybody through, processes and threads. */
typedef struct gate {
    int fd;
} gate;

gate gate_make(void);
void gate_open(gate g);
void gate_wait(gate g);
void gate_remove(gate g);

#endif

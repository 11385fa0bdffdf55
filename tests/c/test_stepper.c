/*
 * test_stepper.c: the stepper misses nothing: the same operation, stepped one instruction after
 * the other by ptrace and the segment compared after each, changes it at the same instructions.
 */
#include "stepper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"

enum { CHANGES_MAX = 2000, REFUSED = 3 };

typedef struct changes {
    uint64_t code[CHANGES_MAX];
    uint32_t n;
} changes;

static lab the_lab;
static void (*operation)(ashm *a);

static void
note(changes *c, uint64_t code)
{
    EXPECT(c->n < CHANGES_MAX);
    c->code[c->n++] = code;
}

static void
clear_stage(void)
{
    lab_clear_stage(&the_lab);
    OK(put(the_lab.stage, "work", "first"));
    OK(join(the_lab.stage, "room", "work"));
}

/* ---- with the stepper ---- */

static void
stepped(void *argument)
{
    ashm *a = argument;

    OK(ashm_attach(a));
    stepper_mark();
    stepper_watch(a->base, a->map.size);
    operation(a);
    stepper_mark();
}

static void
find_by_stepper(changes *found)
{
    stepper s;

    clear_stage();
    stepper_start(&s, stepped, the_lab.worker);
    while (stepper_next(&s)) {
        note(found, s.last.code);
    }
    stepper_end(&s);
}

/* ---- with ptrace ---- */

static void
traced(ashm *a)
{
    OK(ashm_attach(a));
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(REFUSED);
    }
    raise(SIGSTOP);
    operation(a);
    _exit(0);
}

static bool
is_stopped(pid_t child, int *status)
{
    EXPECT_EQ(waitpid(child, status, 0), child);
    return WIFSTOPPED(*status);
}

/* Has the segment changed since this was asked last? */
static bool
has_changed(const ashm *a, char *last)
{
    lab_part parts[LAB_PARTS];
    bool changed = false;

    lab_parts(a, parts);
    for (int i = 0; i < LAB_PARTS; i++) {
        if (memcmp(last + parts[i].at, a->base + parts[i].at, parts[i].size) != 0) {
            memcpy(last + parts[i].at, a->base + parts[i].at, parts[i].size);
            changed = true;
        }
    }
    return changed;
}

static uint64_t
next_instruction(pid_t child)
{
#ifdef __x86_64__
    struct user_regs_struct registers;

    EXPECT_EQ(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
    return registers.rip;
#else
    (void)child;
    return 0;
#endif
}

/* How many instructions; 0: ptrace is refused. */
static uint32_t
find_by_ptrace(changes *found, char *last)
{
    uint32_t instructions = 0;
    pid_t child;
    int status;

    clear_stage();
    EXPECT((child = fork()) >= 0);
    if (child == 0) {
        traced(the_lab.worker);
    }
    if (!is_stopped(child, &status)) {
        EXPECT_EQ(WEXITSTATUS(status), REFUSED);
        return 0;
    }
    (void)has_changed(the_lab.stage, last);
    for (;;) {
        uint64_t code = next_instruction(child);

        EXPECT_EQ(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        if (!is_stopped(child, &status)) {
            break;
        }
        instructions++;
        if (has_changed(the_lab.stage, last)) {
            note(found, code);
        }
    }
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return instructions;
}

/* ---- operations ---- */

static void
send_one(ashm *a)
{
    OK(put(a, "work", "second"));
}

static void
receive_one(ashm *a)
{
    EXPECT_TEXT(take(a, "work"), "first");
}

static void
tell_room(ashm *a)
{
    OK(tell(a, "room", "all"));
}

static bool
expect_the_same(const char *name, void (*tried)(ashm *a), char *last)
{
    static changes by_stepper, by_ptrace;
    uint32_t instructions;

    operation = tried;
    by_stepper.n = by_ptrace.n = 0;
    instructions = find_by_ptrace(&by_ptrace, last);
    if (instructions == 0) {
        return false;
    }
    find_by_stepper(&by_stepper);
    EXPECT(by_stepper.n > 10);
    EXPECT_EQ(by_stepper.n, by_ptrace.n);
    for (uint32_t i = 0; i < by_ptrace.n; i++) {
        EXPECT_EQ(by_stepper.code[i], by_ptrace.code[i]);
    }
    printf("ok %s: %u instructions, %u of them change the segment\n", name, instructions,
           by_ptrace.n);
    return true;
}

int
main(void)
{
    char *last;
    bool possible;

    if (!stepper_is_possible()) {
        return tests_skip("the stepper is for x86-64");
    }
    lab_make(&the_lab);
    EXPECT((last = calloc(1, the_lab.stage->map.size)) != NULL);
    possible = expect_the_same("send", send_one, last) &&
               expect_the_same("receive", receive_one, last) &&
               expect_the_same("group_send", tell_room, last);
    free(last);
    lab_remove(&the_lab);
    return possible ? 0 : tests_skip("ptrace is refused here");
}

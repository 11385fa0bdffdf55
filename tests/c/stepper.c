/* stepper.c: see stepper.h. */
#include "stepper.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "support.h"

enum {
    PAGE = 4096,
    REACH = 64,       /* bytes of the widest store */
    TRAP_FLAG = 0x100 /* of the flags register */
};

#define MARK UINT64_MAX /* instead of an offset */

/* ---- the child's side ---- */

static struct {
    char *base;
    size_t size;
    size_t open, open_end; /* the part that may be written to just now */
    int from, to;
    bool (*wanted)(uint64_t code);
    change now;
    size_t saved; /* bytes of `before` */
    char before[REACH];
} child;

#ifdef __x86_64__

static void
report(const change *c)
{
    char byte;

    if (write(child.to, c, sizeof *c) != sizeof *c || read(child.from, &byte, 1) != 1) {
        _exit(1); /* whoever steps us is gone */
    }
}

static void
protect(size_t from, size_t to, int protection)
{
    if (mprotect(child.base + from, to - from, protection) != 0) {
        _exit(1);
    }
}

/* A store may reach into the next page; or into the one before, which then faults next. */
static void
open_at(size_t offset)
{
    size_t from = offset / PAGE * PAGE;
    size_t to = from + 2 * PAGE < child.size ? from + 2 * PAGE : child.size;

    protect(from, to, PROT_READ | PROT_WRITE);
    child.open = from < child.open ? from : child.open;
    child.open_end = to > child.open_end ? to : child.open_end;
}

static void
close_again(void)
{
    protect(child.open, child.open_end, PROT_READ);
    child.open = child.size;
    child.open_end = 0;
}

/* An instruction is about to store. */
static void
on_store(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t offset = (uint64_t)((char *)info->si_addr - child.base);
    int kept = errno;

    if (child.base == NULL || offset >= child.size) {
        signal(number, SIG_DFL); /* a fault like any other: the instruction does it again */
        return;
    }
    child.now.code = (uint64_t)registers[REG_RIP];
    child.now.offset = offset;
    child.saved = child.size - offset < REACH ? child.size - offset : REACH;
    memcpy(child.before, info->si_addr, child.saved);
    open_at(offset);
    registers[REG_EFL] |= TRAP_FLAG;
    errno = kept;
}

static void
on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    int kept = errno;

    (void)number, (void)info;
    registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    close_again();
    child.now.stores++;
    if (memcmp(child.before, child.base + child.now.offset, child.saved) != 0) {
        child.now.changes++;
        if (child.wanted == NULL || child.wanted(child.now.code)) {
            report(&child.now);
        }
    }
    errno = kept;
}

void
stepper_watch(void *base, size_t size)
{
    struct sigaction store = {.sa_sigaction = on_store, .sa_flags = SA_SIGINFO};
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

    child.base = base;
    child.size = size;
    EXPECT_EQ(sigaction(SIGSEGV, &store, NULL), 0);
    EXPECT_EQ(sigaction(SIGTRAP, &trap, NULL), 0);
    child.open = 0;
    child.open_end = size;
    close_again();
}

void
stepper_mark(void)
{
    change mark = child.now;

    mark.offset = MARK;
    report(&mark);
}

bool
stepper_is_possible(void)
{
    return true;
}

#else

bool
stepper_is_possible(void)
{
    return false;
}

void
stepper_watch(void *base, size_t size)
{
    (void)base, (void)size;
}

void
stepper_mark(void)
{
}

#endif

void
stepper_choose(bool (*wanted)(uint64_t code))
{
    child.wanted = wanted;
}

/* ---- the stepping process's side ---- */

/* Wait until the child tells something: a change, and not a mark? */
static bool
told(stepper *s)
{
    ssize_t n = read(s->from, &s->last, sizeof s->last);

    if (n != sizeof s->last) {
        test_failed(__FILE__, __LINE__, "the child has ended where it should not");
    }
    return s->last.offset != MARK;
}

struct start {
    void (*body)(void *);
    void *argument;
    int up[2], down[2];
};

static void
start_body(void *argument)
{
    const struct start *start = argument;

    close(start->up[0]);
    close(start->down[1]);
    child.to = start->up[1];
    child.from = start->down[0];
    start->body(start->argument);
}

void
stepper_start(stepper *s, void (*body)(void *), void *argument)
{
    struct start start = {.body = body, .argument = argument};

    EXPECT(pipe(start.up) == 0 && pipe(start.down) == 0);
    *s = (stepper){.from = start.up[0], .to = start.down[1]};
    s->pid = child_spawn(start_body, &start);
    close(start.up[1]);
    close(start.down[0]);
    EXPECT(!told(s));
}

bool
stepper_next(stepper *s)
{
    EXPECT_EQ(write(s->to, "", 1), 1);
    return told(s);
}

void
stepper_end(stepper *s)
{
    child_kill(s->pid);
    close(s->from);
    close(s->to);
}

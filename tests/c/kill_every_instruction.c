/*
 * kill_every_instruction.c: whatever instruction a process is killed at, the others go on,
 * and nothing is lost but what it held itself.
 *
 * Each scenario steps a child through one operation. After every instruction that has
 * changed the segment the child is declared dead on a copy (lab.h), and recovered from in
 * three ways. Then the segment must be of use, recovering again must find nothing, all
 * invariants must hold, each message and membership must be there as before or as after the
 * operation, who waits for a message must have been told of it, and no memory may be lost.
 *
 *   kill_every_instruction [--all] [SCENARIO...]
 *
 * Where one instruction changes the segment again and again (a loop over pages, a body that is
 * copied), only some of those times are tried, and where a process dies while it recovers from
 * the death of another, only some deaths of the other. Without --all they are few, and at each
 * point only one way of recovering is tried.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* For try_slot(): a process takes any free slot, and here it must be a certain one. */
#include "claim.c"
#include "exchange.h"
#include "lab.h"
#include "maintain.h"
#include "scenarios.h"
#include "slots.h"
#include "stepper.h"

/* Nobody else runs while a test waits for a lock, so the time that a waiter sleeps may be over
 * at once: here time passes when somebody sleeps, and a little whenever somebody asks. */
static uint64_t time_now = SECOND;

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    time_now += 1000;
    *now = (struct timespec){.tv_sec = (time_t)(time_now / SECOND),
                             .tv_nsec = (long)(time_now % SECOND)};
    return 0;
}

static lab the_lab;

/* Does a lock's word say that somebody sleeps? */
static bool
is_waited_for(const ashm *a)
{
    bool found = (a->header->memory_lock.word & LOCK_WAITERS) != 0;

    for (uint32_t i = 0; i < COMMONS + handle_slots_high(a); i++) {
        found |= (handle_mailbox(a, i)->lock.word & LOCK_WAITERS) != 0;
    }
    return found;
}

int
sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    (void)semaphore, (void)clock;
    EXPECT(is_waited_for(the_lab.stage) || is_waited_for(the_lab.copy));
    time_now = (uint64_t)until->tv_sec * SECOND + (uint64_t)until->tv_nsec;
    errno = ETIMEDOUT;
    return -1;
}

int
sem_wait(sem_t *semaphore)
{
    (void)semaphore;
    test_failed(__FILE__, __LINE__, "somebody waits for a post that may never come");
}

int
scenario_claim(ashm *a, uint32_t slot)
{
    int rc = try_slot(a, slot);

    if (rc == 0) {
        atomic_store_explicit(&a->own->attached, 1, memory_order_release);
    }
    return rc;
}

enum { PATIENCE = 60 /* seconds for one recovery: it hangs */ };

static bool all;

/* Of the times at which one instruction changes the segment: the first, then every so-manyth,
 * then fewer still. */
typedef struct selection {
    uint32_t always, sometimes, seldom;
    uint32_t deaths; /* of a predecessor, evenly over its changes */
} selection;

static const selection SOME = {5, 100, 8000, 4}, MOST = {100, 20, 1000, 1},
                       MOST_OF_TWO = {5, 100, 8000, 20};
static const selection *tried = &SOME;

/* What has been done of one operation, or of all. */
typedef struct figures {
    char operation[40];
    uint32_t states;
    uint64_t instructions; /* that have stored to the segment, each stepped */
    uint64_t changes; /* those of them that have changed it */
    uint64_t points; /* those of them after which the child was declared dead */
    uint64_t recoveries;
} figures;

enum { OPERATIONS_MAX = 64 };

static figures table[OPERATIONS_MAX];
static uint32_t operations;
static figures *now; /* those of the operation that is under way */

/* ---- recovering, on the copy ---- */

typedef enum { SURVIVOR, WAITER, NEXT_HOLDER, WAYS } way;

static const char *const way_names[WAYS] = {"survivor", "waiter", "next holder"};

/* Somebody's tick, so many seconds later. */
static void
tick(ashm *a, uint32_t later)
{
    ashm_set_clock(a, LAB_NOW + later * SECOND);
    OK(ashm_tick(a));
    lab_settle_down(a);
}

static void
operate(ashm *a)
{
    OK(lab_send(a, "probe", 9000, 300, 60 * SECOND, 10));
    EXPECT_EQ(lab_receive(a, "probe"), 9000);
}

static void
recover(lab *l, way how, uint32_t victim)
{
    switch (how) {
    case SURVIVOR:
        tick(l->copy, 1);
        lab_expect_free(l->copy, victim);
        break;
    case WAITER:
        verified(l->copy); /* it takes every lock there is */
        operate(l->copy);
        tick(l->copy, 1);
        lab_expect_free(l->copy, victim);
        break;
    default:
        OK(scenario_claim(l->heir, victim));
        lab_expect_idle(l->heir, victim);
        operate(l->heir);
        tick(l->heir, 1);
        break;
    }
    for (uint32_t slot = 1; slot < victim; slot++) {
        lab_expect_free(l->copy, slot);
    }
}

/* The next holder goes, as if it had not been. */
static void
forget_heir(lab *l)
{
    if (l->heir->own->attached) {
        life_release(l->heir->life);
        memset(l->heir->own, 0, PAGE_SIZE_SHM);
    }
}

static bool
has_message(ashm *a, const char *name)
{
    address from = slots_address(a, name, strlen(name));
    uint32_t channel;
    bool found;
    tx t;

    lane_open(a, &t);
    OK(mailbox_enter(&t, from.mailbox));
    if (name[strlen(name) - 1] == '!') {
        OK(channel_oldest(&t, name, strlen(name), &channel));
        found = channel != 0;
    } else {
        channel = channel_find(&t, from.hash, name, strlen(name));
        found = channel != 0 && channel_at(&t, channel)->live != 0;
    }
    OK(tx_commit(&t));
    mailbox_leave(&t);
    tx_close(&t);
    return found;
}

static bool
is_readable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, 0) == 1;
}

/* This process waits for the channel. If a message is there its bell has been rung, by the
 * child before its death or by who recovered. */
static void
expect_told(lab *l, const char *awaited)
{
    uint64_t cookies[8];
    size_t n;
    bool told = false;

    if (awaited == NULL || !has_message(l->copy, awaited)) {
        return;
    }
    EXPECT(is_readable(l->stage_bell) || is_readable(l->copy_bell));
    OK(ashm_ready(l->copy, cookies, 8, &n));
    for (size_t i = 0; i < n; i++) {
        told |= cookies[i] == SCENARIO_COOKIE;
    }
    EXPECT(told);
}

static uint32_t
count_messages(ashm *a, const char *channel)
{
    ashm_channel found;

    OK(ashm_ask_channel(a, channel, strlen(channel), &found));
    return found.pending;
}

/* This process waits to send. As above, if the channel has room by now. */
static void
expect_told_of_room(lab *l, const char *full)
{
    uint64_t cookies[8];
    size_t n;
    bool told = false;

    if (full == NULL || count_messages(l->copy, full) >= SCENARIO_FULL) {
        return;
    }
    EXPECT(is_readable(l->stage_bell) || is_readable(l->copy_bell));
    OK(ashm_ready(l->copy, cookies, 8, &n));
    for (size_t i = 0; i < n; i++) {
        told |= cookies[i] == ASHM_ROOM;
    }
    EXPECT(told);
}

/* This process watches a group. As above, if its members are others by now. */
static void
expect_told_of_change(lab *l, uint32_t watched)
{
    uint64_t cookies[8], cursor = 0;
    size_t n, none = 0, members = 0;
    bool told = false;

    while (watched != 0 && cursor != ASHM_NEVER) {
        OK(ashm_group_members(l->copy, "room", 4, &cursor, NULL, &none, &n));
        members += n;
    }
    if (watched == 0 || members + 1 == watched) {
        return;
    }
    EXPECT(is_readable(l->stage_bell) || is_readable(l->copy_bell));
    OK(ashm_ready(l->copy, cookies, 8, &n));
    for (size_t i = 0; i < n; i++) {
        told |= cookies[i] >= ASHM_CHANGED;
    }
    EXPECT(told);
}

/* Copy, recover, and tell what there is. */
static void
kill_and_tell(lab *l, const scenario *sc, way how, uint32_t victim, facts *f)
{
    alarm(PATIENCE);
    lab_copy_stage(l);
    if (sc->others != NULL) {
        sc->others(l->copy);
    }
    recover(l, how, victim);
    verified(l->copy);
    expect_told(l, sc->awaited);
    expect_told_of_room(l, sc->full);
    expect_told_of_change(l, sc->watched);
    operate(l->copy);
    tick(l->copy, 2); /* again, and there is nothing to recover */
    verified(l->copy);
    facts_take(l->copy, f);
    lab_expect_no_leak(l->copy);
    forget_heir(l);
}

/* ---- a child that is stepped through an operation ---- */

typedef struct {
    lab *l;
    const scenario *sc;
    int *result; /* shared with the child */
    bool unwatched; /* not stepped: it runs through the operation at once */
    bool chosen; /* it stops at the changes that are tried, and not at all */
} task;

/* How often this instruction has changed the segment. */
static uint32_t
count_visits(uint64_t code)
{
    enum { PLACES = 1 << 14 };
    static struct {
        uint64_t code;
        uint32_t n;
    } seen[PLACES];
    size_t i = (code * UINT64_C(0x9e3779b97f4a7c15)) >> 50;

    while (seen[i].code != code && seen[i].code != 0) {
        i = (i + 1) % PLACES;
    }
    seen[i].code = code;
    return ++seen[i].n;
}

/* In the child, for its next change. */
static bool
is_tried(uint64_t code)
{
    uint32_t visits = count_visits(code);
    bool often = visits > 10 * tried->sometimes;

    return visits <= tried->always || visits % (often ? tried->seldom : tried->sometimes) == 0;
}

static void
child_body(void *argument)
{
    const task *t = argument;
    ashm *a = t->l->worker;

    lab_settle_down(a);
    if (!t->sc->unattached) {
        OK(ashm_attach(a));
    }
    if (t->sc->child != NULL) {
        t->sc->child(a);
    }
    stepper_mark();
    stepper_choose(t->chosen ? is_tried : NULL);
    if (!t->unwatched) {
        stepper_watch(a->base, a->map.size);
    }
    *t->result = t->sc->operation(a);
    stepper_mark();
}

static void
begin(task *t, stepper *s)
{
    *t->result = -1000;
    stepper_start(s, child_body, t);
    if (t->sc->then != NULL) {
        t->sc->then(t->l);
    }
}

static void
expect_result(const task *t)
{
    EXPECT_EQ(*t->result, t->sc->result);
}

/* What is to be tried: a dead predecessor is killed at its so-many-th change. */
static void
set_stage(task *t, uint32_t death)
{
    stepper s;
    const scenario *before = t->sc->predecessor;
    task first = {.l = t->l, .sc = before, .result = t->result};

    lab_clear_stage(t->l);
    if (before != NULL) {
        if (before->stage != NULL) {
            before->stage(t->l);
        }
        begin(&first, &s);
        for (uint32_t i = 0; i <= death && stepper_next(&s); i++) {
        }
        stepper_end(&s);
    }
    if (t->sc->stage != NULL) {
        t->sc->stage(t->l);
    }
}

/* ---- one scenario ---- */

static void
describe(const scenario *sc, uint32_t death, const stepper *s, way how)
{
    Dl_info place = {0};

    dladdr((void *)(uintptr_t)s->last.code, &place);
    snprintf(test_context, sizeof test_context,
             "%s%s%s (death %u), change %llu, store %llu, code %s+%#llx, segment+%#llx; "
             "recovered by: %s",
             sc->name, sc->predecessor ? " after " : "",
             sc->predecessor ? sc->predecessor->name : "", death,
             (unsigned long long)s->last.changes, (unsigned long long)s->last.stores,
             place.dli_fname ? place.dli_fname : "?",
             (unsigned long long)(s->last.code - (uint64_t)(uintptr_t)place.dli_fbase),
             (unsigned long long)s->last.offset, way_names[how]);
}

static void
step_through(task *t, uint32_t death, const facts *before, const facts *after)
{
    static facts killed;
    uint32_t victim = t->sc->predecessor != NULL ? 2 : 1;
    stepper s;

    set_stage(t, death);
    t->chosen = true;
    begin(t, &s);
    while (stepper_next(&s)) {
        now->points++;
        for (way how = 0; how < WAYS; how++) {
            if (!all && s.last.changes % WAYS != how) {
                continue;
            }
            describe(t->sc, death, &s, how);
            kill_and_tell(t->l, t->sc, how, victim, &killed);
            facts_compare(&killed, before, after);
            now->recoveries++;
        }
    }
    test_context[0] = '\0';
    expect_result(t);
    now->instructions += s.last.stores;
    now->changes += s.last.changes;
    stepper_end(&s);
    t->chosen = false;
}

/* What there is before the operation, and what after it. */
static void
run_through(task *t, uint32_t death, facts *before, facts *after)
{
    uint32_t victim = t->sc->predecessor != NULL ? 2 : 1;
    stepper s;

    set_stage(t, death);
    t->unwatched = true;
    begin(t, &s);
    describe(t->sc, death, &s, SURVIVOR);
    kill_and_tell(t->l, t->sc, SURVIVOR, victim, before);
    EXPECT(!stepper_next(&s));
    t->unwatched = false;
    expect_result(t);
    kill_and_tell(t->l, t->sc, SURVIVOR, victim, after);
    stepper_end(&s);
}

/* How many changes an operation makes. */
static uint32_t
count_changes(lab *l, const scenario *sc, int *result)
{
    task t = {.l = l, .sc = sc, .result = result};
    uint32_t n = 0;
    stepper s;

    set_stage(&t, 0);
    begin(&t, &s);
    while (stepper_next(&s)) {
        n++;
    }
    stepper_end(&s);
    return n;
}

/* The name of a scenario begins with its operation's. */
static figures *
figures_of(const char *name)
{
    int length = (int)strcspn(name, ":");
    uint32_t i = 0;

    while (i < operations && (strncmp(table[i].operation, name, (size_t)length) != 0 ||
                              table[i].operation[length] != '\0')) {
        i++;
    }
    if (i == operations) {
        EXPECT(operations < OPERATIONS_MAX);
        snprintf(table[i].operation, sizeof table[i].operation, "%.*s", length, name);
        operations++;
    }
    return &table[i];
}

static void
run_scenario(lab *l, const scenario *sc, int *result)
{
    static facts before, after;
    task t = {.l = l, .sc = sc, .result = result};
    uint32_t deaths = sc->predecessor != NULL ? count_changes(l, sc->predecessor, result) : 1;
    uint32_t stride;

    if (all) {
        tried = sc->predecessor != NULL ? &MOST_OF_TWO : &MOST;
    }
    stride = deaths > tried->deaths ? deaths / tried->deaths : 1;
    now = figures_of(sc->name);
    now->states++;
    for (uint32_t death = 0; death < deaths; death += stride) {
        run_through(&t, death, &before, &after);
        step_through(&t, death, &before, &after);
    }
}

/* ---- what has been done ---- */

static void
print_line(const figures *f)
{
    printf("%-24s %6u %12llu %9llu %9llu %10llu\n", f->operation, f->states,
           (unsigned long long)f->instructions, (unsigned long long)f->changes,
           (unsigned long long)f->points, (unsigned long long)f->recoveries);
}

static void
print_table(void)
{
    figures total = {.operation = "all"};

    printf("%-24s %6s %12s %9s %9s %10s\n", "operation", "states", "instructions", "changes",
           "killed at", "recoveries");
    for (uint32_t i = 0; i < operations; i++) {
        const figures *f = &table[i];

        print_line(f);
        total.states += f->states;
        total.instructions += f->instructions;
        total.changes += f->changes;
        total.points += f->points;
        total.recoveries += f->recoveries;
    }
    print_line(&total);
    printf("%u operations in %u states, %llu storing instructions stepped, %llu crash points "
           "tried\n",
           operations, total.states, (unsigned long long)total.instructions,
           (unsigned long long)total.points);
}

static bool
is_wanted(const char *name, int count, char **wanted)
{
    for (int i = 0; i < count; i++) {
        if (strstr(name, wanted[i]) != NULL) {
            return true;
        }
    }
    return count == 0;
}

/* The C library copies and clears much memory with one instruction that stores a byte at
 * each step. It reads this when a program starts. */
static void
copy_in_large_steps(char **argv)
{
    static const char tunables[] = "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_"
                                   "rep_stosb_threshold=1000000000";

    if (getenv("GLIBC_TUNABLES") == NULL) {
        setenv("GLIBC_TUNABLES", tunables, 1);
        execv("/proc/self/exe", argv);
    }
}

int
main(int argc, char **argv)
{
    int *result =
        mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    scenario sc;

    if (!stepper_is_possible()) {
        return tests_skip("the stepper is for x86-64");
    }
    copy_in_large_steps(argv);
    EXPECT(result != MAP_FAILED);
    all = argc > 1 && strcmp(argv[1], "--all") == 0;
    lab_make(&the_lab);
    for (size_t i = 0; scenario_get(i, &sc); i++) {
        if (is_wanted(sc.name, argc - 1 - all, argv + 1 + all)) {
            run_scenario(&the_lab, &sc, result);
        }
    }
    lab_remove(&the_lab);
    EXPECT(operations > 0); /* some are called so */
    print_table();
    return 0;
}

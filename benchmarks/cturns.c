/*
 * Two processors that compute in turn, and look for their turn without a system call: what
 * the machine alone, by its timer's interrupts and its host, adds to a round trip.
 *
 * Usage: cturns PROCESSOR PROCESSOR ROUND_TRIPS NANOSECONDS. Each process computes for about
 * so long in each round trip. Prints the time of each in ns.
 */

#include "processor.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARM_UP 200
#define TRIES 100

static void
compute(int64_t rounds)
{
    volatile int64_t left = rounds;
    while (left > 0)
        left--;
}

/* So many rounds take so long when nothing disturbs them. */
static int64_t
rounds_of(int64_t nanoseconds)
{
    const int64_t tried = 10000;
    int64_t best = INT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        int64_t began = now();
        compute(tried);
        int64_t took = now() - began;
        if (took < best)
            best = took;
    }
    return nanoseconds * tried / best;
}

static void
wait_for(atomic_int *turn, int mine)
{
    while (atomic_load_explicit(turn, memory_order_acquire) != mine)
        ;
}

int
main(int argc, char **argv)
{
    atomic_int *turn =
        mmap(NULL, sizeof *turn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc != 5 || turn == MAP_FAILED)
        return 1;
    int trips = atoi(argv[3]) + WARM_UP;
    int64_t *took = calloc((size_t)trips, sizeof *took);
    pin(atoi(argv[1]));
    int64_t rounds = rounds_of(atoi(argv[4]));
    pid_t child = fork();
    if (!took || child < 0)
        return 1;
    if (child == 0) {
        pin(atoi(argv[2]));
        for (int i = 0; i < trips; i++) {
            wait_for(turn, 1);
            compute(rounds);
            atomic_store_explicit(turn, 0, memory_order_release);
        }
        _exit(0);
    }
    for (int i = 0; i < trips; i++) {
        int64_t started = now();
        compute(rounds);
        atomic_store_explicit(turn, 1, memory_order_release);
        wait_for(turn, 0);
        took[i] = now() - started;
    }
    waitpid(child, NULL, 0);
    for (int i = WARM_UP; i < trips; i++)
        printf("%lld\n", (long long)took[i]);
    return 0;
}

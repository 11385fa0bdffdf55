/*
 * clock.h: the clocks of the machine, in nanoseconds.
 *
 * Deadlines stand on CLOCK_MONOTONIC as the initial time namespace sees it, so
 * that processes in different time namespaces agree.
 */
#ifndef ASHM_CLOCK_H
#define ASHM_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* CLOCK_MONOTONIC of this process. */
static inline uint64_t
clock_monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* What to subtract from clock_monotonic() to get the initial namespace's. */
int64_t clock_namespace_offset(void);

#endif

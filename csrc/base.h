/*
 * base.h: what every file of the core uses: the checks that stay in release
 * builds, and a few helpers on integers.
 */
#ifndef ASHM_BASE_H
#define ASHM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "ashm.h"
#include "sabotage.h"

/* For our own bugs only, never for what a segment contains: a segment may be
 * damaged by anyone, so that is an error code. Survives -DNDEBUG. */
#define ASHM_CHECK(condition)                                                                  \
    do {                                                                                       \
        if (__builtin_expect(!(condition), 0)) {                                               \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

/* Costs too much for a release build. */
#ifdef ASHM_DEBUG
#define ASHM_DEBUG_CHECK(condition) ASHM_CHECK(condition)
#else
#define ASHM_DEBUG_CHECK(condition) ((void)0)
#endif

#define ASHM_LIKELY(x) __builtin_expect(!!(x), 1)
#define ASHM_UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline uint64_t
round_up(uint64_t value, uint64_t unit) /* unit: a power of two */
{
    return (value + unit - 1) & ~(unit - 1);
}

/* The smallest n with 1 << n >= value; value >= 1. */
static inline unsigned
log2_up(uint64_t value)
{
    return value <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(value - 1);
}

#endif

/*
 * atomic.h: the atomic operations of the core, under names that say the order.
 *
 * Two kinds of ordering are needed, and they are not the same:
 *  - between living threads: acquire and release, given by the lock words and
 *    the doorbell words;
 *  - between a process that is killed and those that repair what it left. A
 *    killed process has executed some prefix of its instructions and none after
 *    it, and all its stores reach memory, so only the compiler's order of the
 *    stores matters: ordered() below.
 */
#ifndef ASHM_ATOMIC_H
#define ASHM_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t atomic_u64;
typedef _Atomic uint32_t atomic_u32;

/* The compiler keeps stores before this point before those after it. */
static inline void
ordered(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline uint64_t
load_acquire64(const atomic_u64 *p)
{
    return atomic_load_explicit(p, memory_order_acquire);
}

/* For words whose reader needs nothing that was written before them. */
static inline uint64_t
load_relaxed64(const atomic_u64 *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static inline void
store_relaxed64(atomic_u64 *p, uint64_t value)
{
    atomic_store_explicit(p, value, memory_order_relaxed);
}

static inline void
store_release64(atomic_u64 *p, uint64_t value)
{
    atomic_store_explicit(p, value, memory_order_release);
}

/* True and acquire if *p was `expected` and is `desired` now. */
static inline bool
cas_acquire64(atomic_u64 *p, uint64_t expected, uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(p, &expected, desired, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void
cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif

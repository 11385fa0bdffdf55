/* linger.c: see linger.h. */
#include "linger.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic(void (*)(void)) called;

void
linger(void)
{
    void (*hook)(void) = atomic_load_explicit(&called, memory_order_relaxed);

    if (hook != NULL) {
        hook();
    }
}

void
linger_call(void (*hook)(void))
{
    atomic_store_explicit(&called, hook, memory_order_relaxed);
}

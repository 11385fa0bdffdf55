/* linger.c: see linger.h. */
#include "linger.h"

#include <stddef.h>

static void (*called)(void); /* set before the first operation */

void
linger(void)
{
    if (called != NULL) {
        called();
    }
}

void
linger_call(void (*hook)(void))
{
    called = hook;
}

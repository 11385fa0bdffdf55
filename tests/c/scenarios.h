/*
 * scenarios.h: the operations that processes are killed in, each with what it finds.
 */
#ifndef ASHM_TEST_SCENARIOS_H
#define ASHM_TEST_SCENARIOS_H

#include "lab.h"

typedef struct scenario {
    const char *name; /* operation: what it finds */
    /* This process, on the stage. */
    void (*stage)(lab *l);
    /* The child, before it is stepped. */
    void (*child)(ashm *a);
    bool unattached; /* it has not even a slot */
    /* This process again, after the child. */
    void (*then)(lab *l);
    int (*operation)(ashm *a); /* which is stepped, and what it returns */
    int result;
    /* The channel that this process waits for, with the cookie below. */
    const char *awaited;
    /* Somebody was killed before, in this. */
    const struct scenario *predecessor;
} scenario;

enum { SCENARIO_COOKIE = 7 };

extern const scenario SCENARIOS[];
extern const size_t SCENARIOS_COUNT;

/* Claim exactly this slot. */
int scenario_claim(ashm *a, uint32_t slot);

#endif

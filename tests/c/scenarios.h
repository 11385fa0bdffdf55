/*
 * scenarios.h: the operations that processes are killed in, each with what it finds.
 *
 * Every operation is tried in every state (OPERATIONS and STATES in scenarios.c), and then
 * there are scenarios of their own for what a state in common does not bring about. A new
 * operation needs a function that calls it and a line in OPERATIONS; tests/test_house.py sees
 * that none of ashm.h is forgotten.
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
    /* What others may see at any time: this process on the copy, before it recovers. */
    void (*others)(ashm *a);
    /* The channel that this process waits for, with the cookie below. */
    const char *awaited;
    /* The channel that this process waits to have room, as long as it holds SCENARIO_FULL. */
    const char *full;
    /* This process watches the group "room", in which so many are + 1. 0: it does not. */
    uint32_t watched;
    /* Somebody was killed before, in this. */
    const struct scenario *predecessor;
} scenario;

enum { SCENARIO_COOKIE = 7, SCENARIO_FULL = 4 };

/* The so-manyth scenario. false: there are no more. */
bool scenario_get(size_t index, scenario *sc);

/* Claim exactly this slot. */
int scenario_claim(ashm *a, uint32_t slot);

#endif

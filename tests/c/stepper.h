/*
 * stepper.h: a process that stops after each instruction that has changed a segment.
 *
 * In the stepped process the segment is mapped for reading only. A store to it is a
 * segmentation fault: the handler allows writing and sets the processor's trap flag, so that
 * just this instruction runs; the trap that follows forbids writing again, tells the stepping
 * process and waits for its word. All other instructions run at full speed, so nothing is
 * missed and nothing is decoded. An instruction that stores what is there already is no
 * change. test_stepper.c steps through every instruction by ptrace, and finds the same changes;
 * it is slower by far, and refused in places.
 *
 * For x86-64; elsewhere stepper_is_possible() says no.
 */
#ifndef ASHM_TEST_STEPPER_H
#define ASHM_TEST_STEPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the stepped process tells of a change. */
typedef struct change {
    uint64_t code;    /* the address of the instruction */
    uint64_t offset;  /* where it changed the segment */
    uint64_t stores;  /* instructions that have stored to the segment so far */
    uint64_t changes; /* those of them that have changed it */
} change;

/* The stepping process's side. */
typedef struct stepper {
    pid_t pid;
    int from, to; /* pipes */
    change last;
} stepper;

bool stepper_is_possible(void);

/* Fork a child that runs `body` until it calls stepper_mark(), and wait for that. */
void stepper_start(stepper *s, void (*body)(void *), void *argument);

/* In the child: from here on stop at each change of this mapping. Also again, for another
 * mapping. */
void stepper_watch(void *base, size_t size);

/* In the child: do not stop at changes that this does not want, given the instruction. It is
 * called in a signal handler. */
void stepper_choose(bool (*wanted)(uint64_t code));

/* In the child: tell that the preparation, or the operation, is over, and wait. */
void stepper_mark(void);

/* Go on to the next change. false: to the next mark. */
bool stepper_next(stepper *s);

/* Kill the child. */
void stepper_end(stepper *s);

#endif

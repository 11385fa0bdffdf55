/*
 * lab.h: two segments alike, for asking what would be if a process died just now.
 *
 * On the *stage* a child process works, and this process stands by with slot 0. To declare
 * the child dead its segment is copied to the *copy*, where nobody holds the child's life.
 * There this process has slot 0, too, and recovers: as a survivor, as one who waits for a
 * lock, or as the next holder of the child's slot.
 *
 * What is in a segment is told as facts: this message is in that channel, this channel is in
 * that group. Taking the facts empties the segment.
 */
#ifndef ASHM_TEST_LAB_H
#define ASHM_TEST_LAB_H

#include "support.h"

/* The clock of all handles stands here while scenarios run. */
#define LAB_NOW (1000 * SECOND)

enum { LAB_SLOTS = 4, LAB_FACTS = 1200 };

typedef struct lab {
    segment stage_objects, copy_objects;
    ashm *stage;  /* this process on the stage: slot 0 */
    ashm *worker; /* a handle on the stage for children, attached by none */
    ashm *copy;   /* this process on the copy: slot 0 */
    ashm *heir;   /* a handle on the copy that is not attached */
    char *begin;  /* the stage as it was at first */
    int stage_bell, copy_bell;
} lab;

void lab_make(lab *l);
void lab_remove(lab *l);

/* The stage as it was at first; its children must be dead. */
void lab_clear_stage(lab *l);

/* The copy becomes what the stage is. */
void lab_copy_stage(lab *l);

/* The parts of a segment that have memory: of a section, as far as `ready` says. */
typedef struct lab_part {
    uint64_t at, size;
} lab_part;

enum { LAB_PARTS = 1 + 2 * SECTIONS };

void lab_parts(const ashm *a, lab_part parts[LAB_PARTS]);

/* This handle does no maintenance by the way as long as its clock stands at LAB_NOW. */
void lab_settle_down(ashm *a);

/* ---- messages that can be told apart ---- */

/* Send the message `number`, of so many bytes (at least 8). */
int lab_send(ashm *a, const char *channel, uint32_t number, size_t length, uint64_t expiry,
             uint32_t capacity);
/* The same in two steps, so that an operation consists of the second. */
void lab_prepare(uint32_t number, size_t length);
int lab_send_prepared(ashm *a, const char *channel, uint64_t expiry, uint32_t capacity);

int lab_group_send(ashm *a, const char *group, uint32_t number, size_t length);

/* Receive one: its number, or 0 if there is none. */
uint32_t lab_receive(ashm *a, const char *channel);

/* ---- facts ---- */

typedef struct fact {
    char kind;        /* 'm': a message in a channel; 'g': a channel in a group */
    uint32_t message; /* its number */
    char first[ASHM_NAME_MAX + 1], second[ASHM_NAME_MAX + 1];
} fact;

typedef struct facts {
    fact list[LAB_FACTS];
    uint32_t count;
} facts;

/* Take them from the commons and the mailbox of this process. Messages of a channel must
 * come out in the order of their numbers, and whole. */
void facts_take(ashm *a, facts *f);

/* What is in both of `before` and `after` must be in `f`; what is in neither must not; and
 * nothing may be there more often than in one of them. */
void facts_compare(const facts *f, const facts *before, const facts *after);

/* What is left can be removed, and then nothing is left. */
void lab_expect_no_leak(ashm *a);

/* Nothing is under way in the slot, and it holds and owes nothing. */
void lab_expect_idle(ashm *a, uint32_t slot);

/* It is free besides. */
void lab_expect_free(ashm *a, uint32_t slot);

#endif

/*
 * verify.h: the full check of every invariant, without writing anything but lock words.
 *
 * It holds all mailboxes and the memory lock at once, so every figure is of one instant:
 * each block and page belongs to exactly one thing, each message has as many references as
 * point to it. For tests and operators; it stops everybody while it runs.
 */
#ifndef ASHM_VERIFY_H
#define ASHM_VERIFY_H

#include "mailbox.h"

/* 0, or ASHM_CORRUPT with a line in `report`, or why it could not be done. */
int verify(tx *t, char *report, size_t size);

#endif

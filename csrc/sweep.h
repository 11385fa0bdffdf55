/*
 * sweep.h: dropping what is over: expired messages and memberships, records that
 * nothing uses; and, on demand, everything.
 *
 * Each function holds one mailbox while it works, in transactions of a few stores.
 */
#ifndef ASHM_SWEEP_H
#define ASHM_SWEEP_H

#include "mailbox.h"

/* Visit the next `buckets` of a mailbox's table. */
int sweep_some(tx *t, uint32_t mailbox, uint32_t buckets);

/* Visit all of every mailbox, spare nothing for being new, and give back spare memory. */
int sweep_all(tx *t);

/* Drop all messages and memberships of every mailbox; waiters stay. */
int sweep_flush(tx *t);

/* For the reaper, with the mailbox held: remove every record and give the table's memory
 * back. No waiter of another slot is in it. */
int sweep_clear(tx *t);

#endif

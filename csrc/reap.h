/*
 * reap.h: clearing the slot of a process that is gone or goes.
 *
 * Under the kernel's recovery lock, in the holder's own name and lanes, so that a reaper
 * that is killed leaves what any dead process leaves, and the next one goes on. Steps, each
 * repeatable: undo (recover.h); ring the bells that it owed; give back the messages it held;
 * close its mailbox to senders and empty it; take its waiters out of the commons, passing
 * their turns on; remove its bell; mark the slot free.
 */
#ifndef ASHM_REAP_H
#define ASHM_REAP_H

#include "sweep.h"

/* The caller holds the recovery lock and knows that the holder is dead, or is it. */
int reap_slot(ashm *a, uint32_t slot);

/* Look for dead holders and reap them. ASHM_BUSY: somebody else is at it. */
int reap_dead(ashm *a);

#endif

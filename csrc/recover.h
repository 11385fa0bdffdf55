/*
 * recover.h: undo the unfinished transactions of a dead process and free its locks.
 *
 * The recoverer holds the kernel's recovery lock and no identity of its own. It
 * writes old values back from the dead owner's log, last store first; a store
 * undone twice is undone all the same, so a recoverer that is killed is followed
 * by another which starts again. The locks stay in the dead owner's name until the
 * logs are empty: nobody enters what is not yet whole.
 *
 * The reaper (reap.h) goes on in the dead owner's name and lane, under the same
 * recovery lock, and is repaired in the same way if it is killed.
 */
#ifndef ASHM_RECOVER_H
#define ASHM_RECOVER_H

#include "handle.h"

/* If the owner of this lock word is dead, recover its slot. 0: done, or it lives.
 * ASHM_BUSY: somebody else is at it. */
int recover_owner(ashm *a, uint64_t word);

/* Recover every slot whose holder is dead, but for the one in whose name the caller acts. The
 * caller holds the recovery lock. */
int recover_others(ashm *a, uint32_t own);

/* Undo and free, for a slot whose holder is known to be dead. The caller holds
 * the recovery lock. ASHM_CORRUPT if the log is beyond use. */
int recover_slot(ashm *a, uint32_t slot);

#endif

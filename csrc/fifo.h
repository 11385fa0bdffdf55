/*
 * fifo.h: the doorbell's primitive in a segment with a name: a FIFO in /dev/shm, opened for
 * reading and for writing by the receiver, who so never sees the end of the file, and by
 * senders, who so never get the SIGPIPE of a receiver that is gone.
 *
 * Its name is the slot's, and not its holder's: where other users share the segment the next
 * holder may not be able to remove what a killed one has left, and goes on with it.
 */
#ifndef ASHM_FIFO_H
#define ASHM_FIFO_H

#include "handle.h"

int fifo_own(ashm *a, int *fd); /* this process's, made if there is none */
int fifo_of(const ashm *a, uint32_t slot, int *fd);

/* Remove what the slot's FIFO and an unfinished one of this holder have left. */
void fifo_unlink(const ashm *a, uint32_t slot, uint32_t generation);

#endif

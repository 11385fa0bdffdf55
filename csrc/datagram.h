/*
 * datagram.h: the doorbell's primitive in a private segment: a datagram socket with a name in
 * Linux's abstract namespace, which goes with its descriptors and never is a file.
 *
 * The holder of a slot binds it to a random number, and then tells the others that in
 * `unnamed`, before it arms its bell. A number is used once: a child of a fork keeps its
 * parent's socket, and so its name, for as long as the child lives. Who is of another network
 * namespace by now is not reached, and wakes at its next tick.
 *
 * Whoever is not of the segment can send there, too: that wakes the receiver in vain, and
 * hides no ring.
 */
#ifndef ASHM_DATAGRAM_H
#define ASHM_DATAGRAM_H

#include "handle.h"

/* What the socket of the slot's holder is called; or that of an earlier holder, while this one
 * has none and has not armed its bell. */
static inline uint64_t
datagram_name(const ashm *a, uint32_t slot)
{
    return load_acquire64(&a->unnamed->sockets[slot]);
}

int datagram_own(ashm *a, int *fd); /* made anew, and told */
int datagram_to(uint64_t name, int *fd);

#endif

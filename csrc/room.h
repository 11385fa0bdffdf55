/*
 * room.h: the processes that wait until a full channel has room.
 *
 * The channel is marked (NODE_SENDERS), and the process's slot is noted in its mailbox, in the
 * transaction that finds the channel full. Whatever makes room in a marked channel (a message
 * that is taken or dropped, a larger capacity) tells all slots that are noted, in the same
 * transaction, and forgets mark and notes. A process that is told tries all its senders again,
 * whatever channel they wait for, and those that find no room are noted anew.
 *
 * So nobody has a turn: who dies or gives up after being told leaves the room to the others,
 * who were told as well; a note of a process that is gone costs one ring. The price is that
 * all wake where one can send.
 *
 * To tell is to set the slot's `room`, which its process takes in exchange_ready(), and to
 * owe it a ring. `room` is set before the commit and is no part of the transaction, since
 * several mailboxes' locks guard it by turns: undone, it was set for nothing.
 *
 * All functions run inside a transaction that holds the mailbox.
 */
#ifndef ASHM_ROOM_H
#define ASHM_ROOM_H

#include "table.h"

/* This process waits for room in the channel. */
void room_await(tx *t, channel_shm *channel);

void room_tell(tx *t, channel_shm *channel);

/* The channel holds one message less, or may hold more. */
static inline void
room_made(tx *t, channel_shm *channel)
{
    if (ASHM_UNLIKELY((channel->node.flags & NODE_SENDERS) != 0)) {
        room_tell(t, channel);
    }
}

#endif

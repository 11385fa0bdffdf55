/*
 * ask.h: what is in a group or a channel, for those who take part.
 *
 * Whole operations, under the lock of a mailbox at a time: what is told of one mailbox is of
 * one instant. Names have been checked, and the process is attached.
 */
#ifndef ASHM_ASK_H
#define ASHM_ASK_H

#include "mailbox.h"

/* As ashm_group_members() and ashm_ask_channel(). */
int ask_members(tx *t, const char *group, size_t length, uint64_t *cursor, char *names,
                size_t *size, size_t *count);
int ask_channel(tx *t, const char *name, size_t length, ashm_channel *out);

#endif

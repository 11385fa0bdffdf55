/*
 * stats.h: figures about a segment.
 */
#ifndef ASHM_STATS_H
#define ASHM_STATS_H

#include "mailbox.h"

/* Holds each mailbox in turn: sums over mailboxes are not of one instant. */
int stats_collect(tx *t, ashm_info *info);

const ashm_counter *stats_counters(size_t *count);

#endif

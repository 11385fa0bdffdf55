/*
 * stats.h: figures about a segment.
 */
#ifndef ASHM_STATS_H
#define ASHM_STATS_H

#include "mailbox.h"

/* Without a lock: what a slot counts, and what a section has in use. */
void stats_count_slot(const slot_shm *slot, ashm_info *info);
uint64_t stats_section_used(const ashm *a, enum section section);

/* Holds each mailbox in turn: sums over mailboxes are not of one instant. */
int stats_collect(tx *t, ashm_info *info);

/* Without a lock: counters that only rise. */
int stats_losses(const tx *t, ashm_losses *losses);

const ashm_counter *stats_counters(size_t *count);

#endif

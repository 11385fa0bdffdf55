/*
 * membership.h: joining and leaving groups, and sending to them.
 *
 * Whole operations: they begin and end without locks. Names have been checked, and
 * the process is attached.
 */
#ifndef ASHM_MEMBERSHIP_H
#define ASHM_MEMBERSHIP_H

#include "exchange.h"

int membership_add(tx *t, const char *group, size_t group_length, const char *channel,
                   size_t channel_length, uint64_t expiry, uint32_t capacity);
int membership_discard(tx *t, const char *group, size_t group_length, const char *channel,
                       size_t channel_length);
int membership_discard_all(tx *t, const char *channel, size_t length);

/* As ashm_group_send_but() has them. */
typedef struct membership_how {
    uint64_t expiry;
    const char *exclude;
    size_t exclude_length;
    ashm_delivery *report;
} membership_how;

int membership_send(tx *t, const char *group, size_t group_length, const void *body,
                    uint32_t length, const membership_how *how, ashm_reached *reached);

#endif

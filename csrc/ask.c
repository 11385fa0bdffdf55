/* ask.c: see ask.h. */
#include "ask.h"

#include <string.h>

#include "messages.h"
#include "slots.h"

/* ---- groups ---- */

typedef struct roll {
    char *names;
    size_t size, used, count;
} roll;

static void
call(tx *t, roll *r, const member_shm *member)
{
    const node_shm *channel = node_at(t, member->channel);
    size_t length = channel->name_length;

    if (r->names != NULL && r->used + 1 + length <= r->size) {
        r->names[r->used] = (char)length;
        memcpy(r->names + r->used + 1, node_name(t, member->channel), length);
    }
    r->used += 1 + length;
    r->count++;
}

static void
call_members(tx *t, uint32_t group, roll *r)
{
    uint32_t left = table_records(t) + 1;

    for (uint32_t member = group_at(t, group)->head; member != 0 && t->fault == 0;
         member = member_at(t, member)->group_next) {
        const member_shm *m = member_at(t, member);

        if (left-- == 0) {
            tx_fault(t, ASHM_CORRUPT);
        } else if (m->deadline > t->now) {
            call(t, r, m);
        }
    }
}

/* The next mailbox that may have members; MAILBOXES: there is none. */
static uint32_t
next_mailbox(const ashm *a, uint64_t from, uint32_t hash)
{
    uint32_t mailboxes = COMMONS + handle_slots_high(a);

    while (from < mailboxes && !group_may_be_in(a, (uint32_t)from, hash)) {
        from++;
    }
    return from < mailboxes ? (uint32_t)from : MAILBOXES;
}

int
ask_members(tx *t, const char *name, size_t length, uint64_t *cursor, char *names, size_t *size,
            size_t *count)
{
    uint32_t hash = group_hash(t->party.a, name, length);
    uint32_t mailbox = next_mailbox(t->party.a, *cursor, hash);
    roll r = {.names = names, .size = *size};
    uint32_t group;
    int rc;

    if (mailbox == MAILBOXES) {
        *cursor = ASHM_NEVER;
        *count = 0;
        return 0;
    }
    if ((rc = mailbox_enter(t, mailbox)) != 0) {
        return rc;
    }
    if ((group = group_find(t, hash, name, length)) != 0) {
        call_members(t, group, &r);
    }
    rc = tx_commit(t);
    mailbox_leave(t);
    if (rc == 0 && names != NULL && r.used > r.size) {
        *size = r.used;
        return ASHM_BUFFER;
    }
    if (rc == 0) {
        *cursor = (uint64_t)mailbox + 1;
        *count = r.count;
    }
    return rc;
}

/* ---- channels ---- */

static int
look_into(tx *t, uint32_t channel, ashm_channel *out)
{
    channel_shm *c = channel_at(t, channel);
    const entry_shm *entry;
    uint32_t position;
    int rc;

    if ((rc = queue_expire(t, c)) != 0) {
        return rc;
    }
    *out = (ashm_channel){.pending = c->live, .sent = c->tail, .full = c->full};
    if ((entry = queue_front(t, c, &position)) != NULL) {
        out->age = message_age(t, entry->message);
    }
    return tx_commit(t);
}

int
ask_channel(tx *t, const char *name, size_t length, ashm_channel *out)
{
    address from = slots_address(t->party.a, name, length);
    ashm_channel found = {0};
    uint32_t channel;
    int rc;

    if (from.mailbox == MAILBOXES) {
        *out = found;
        return 0;
    }
    if ((rc = mailbox_enter(t, from.mailbox)) != 0) {
        return rc;
    }
    channel = channel_find(t, from.hash, name, length);
    rc = channel != 0 ? look_into(t, channel, &found) : tx_commit(t);
    mailbox_leave(t);
    if (rc == 0) {
        *out = found;
    }
    return rc;
}

/* membership.c: see membership.h. */
#include "membership.h"

#include "messages.h"
#include "slots.h"

static int
join(tx *t, const char *group_name, size_t group_length, const address *to, const char *name,
     size_t length, uint64_t deadline, uint32_t capacity)
{
    uint32_t hash = group_hash(t->party.a, group_name, group_length);
    uint32_t group, channel = 0, member = 0;
    int rc;

    if ((group = group_make(t, hash, group_name, group_length)) != 0 &&
        (channel = channel_make(t, to->hash, name, length)) != 0) {
        channel_set_capacity(t, channel_at(t, channel), capacity);
        member = group_join(t, group, channel, deadline);
    }
    if (member == 0) {
        rc = t->fault != 0 ? t->fault : t->shortage;
        tx_rollback(t);
        return rc;
    }
    return tx_commit(t);
}

int
membership_add(tx *t, const char *group, size_t group_length, const char *channel,
               size_t channel_length, uint64_t expiry, uint32_t capacity)
{
    address to = slots_address(t->party.a, channel, channel_length);
    int rc;

    if (to.mailbox == MAILBOXES) {
        return 0; /* its process is gone, and would take the membership with it */
    }
    if ((rc = mailbox_enter(t, to.mailbox)) != 0) {
        return rc;
    }
    if (slots_is_there(t, &to)) {
        rc = join(t, group, group_length, &to, channel, channel_length, deadline_of(t, expiry),
                  capacity);
    }
    mailbox_leave(t);
    return rc;
}

/* Transactions of its own: end a membership, and with the last one the group. */
static int
part(tx *t, uint32_t member)
{
    uint32_t group = member_at(t, member)->group;
    int rc;

    group_leave(t, member);
    /* Killed after this: an empty group, which the sweep removes. */
    if ((rc = tx_commit(t)) == 0 && group_at(t, group)->count == 0) {
        group_remove(t, group);
    }
    return rc != 0 ? rc : tx_commit(t);
}

int
membership_discard(tx *t, const char *group_name, size_t group_length, const char *name,
                   size_t length)
{
    address to = slots_address(t->party.a, name, length);
    uint32_t hash = group_hash(t->party.a, group_name, group_length);
    uint32_t group, channel, member;
    int rc;

    if (to.mailbox == MAILBOXES) {
        return 0;
    }
    if ((rc = mailbox_enter(t, to.mailbox)) != 0) {
        return rc;
    }
    group = group_find(t, hash, group_name, group_length);
    channel = channel_find(t, to.hash, name, length);
    member = group != 0 && channel != 0 ? table_find_member(t, group, channel) : 0;
    rc = member != 0 ? part(t, member) : tx_commit(t);
    mailbox_leave(t);
    return rc;
}

int
membership_discard_all(tx *t, const char *name, size_t length)
{
    address to = slots_address(t->party.a, name, length);
    uint32_t channel, member;
    int rc;

    if (to.mailbox == MAILBOXES) {
        return 0;
    }
    if ((rc = mailbox_enter(t, to.mailbox)) != 0) {
        return rc;
    }
    channel = channel_find(t, to.hash, name, length);
    while (rc == 0 && channel != 0 && (member = channel_at(t, channel)->members) != 0) {
        rc = part(t, member);
    }
    if (rc == 0) {
        rc = tx_commit(t);
    }
    mailbox_leave(t);
    return rc;
}

_Static_assert(MAILBOXES <= 64 * sizeof(ashm_reached) / sizeof(uint64_t),
               "a bit for each mailbox");

static bool
is_reached(const ashm_reached *reached, uint32_t mailbox)
{
    return (reached->bits[mailbox / 64] >> mailbox % 64 & 1) != 0;
}

/* The mailboxes that may have members, but for those that an earlier attempt has reached. */
static uint32_t
find_targets(const ashm *a, uint32_t hash, const ashm_reached *reached,
             uint16_t targets[MAILBOXES])
{
    uint32_t mailboxes = COMMONS + handle_slots_high(a);
    uint32_t n = 0;

    for (uint32_t i = 0; i < mailboxes; i++) {
        if (group_may_be_in(a, i, hash) && !is_reached(reached, i)) {
            targets[n++] = (uint16_t)i;
        }
    }
    return n;
}

/* Append a broadcast to each target. A mailbox that cannot be entered misses the message; the
 * others get it. */
static int
send_to_each(tx *t, const broadcast *b, const void *body, uint32_t length,
             ashm_reached *reached)
{
    uint16_t targets[MAILBOXES];
    uint32_t n = find_targets(t->party.a, b->hash, reached, targets);
    uint32_t message;
    int rc, one;

    if (n == 0) {
        return 0;
    }
    if ((rc = message_make(t, length, n, &message)) != 0) {
        return rc;
    }
    message_write(t, message, body, length);
    for (uint32_t i = 0; i < n; i++) {
        bool sent;

        one = mailbox_broadcast(t, targets[i], b, &sent);
        if (sent) {
            reached->bits[targets[i] / 64] |= UINT64_C(1) << targets[i] % 64;
        }
        rc = rc != 0 ? rc : one;
    }
    one = message_drop_held(t); /* busy: the lane's next user gives it back */
    return rc != 0 || one == ASHM_BUSY ? rc : one;
}

/* The commons have no process that would settle them. What waits in others than those that were
 * reached is not ours to wait for. */
static int
settle_commons(tx *t, const ashm_reached *reached)
{
    int rc = 0, one;

    for (uint32_t i = 0; i < COMMONS; i++) {
        if (is_reached(reached, i) && mailbox_may_have_broadcasts(t->party.a, i)) {
            if ((one = mailbox_enter(t, i)) == 0) {
                mailbox_leave(t);
            }
            rc = rc != 0 ? rc : one;
        }
    }
    return rc;
}

int
membership_send(tx *t, const char *group, size_t group_length, const void *body,
                uint32_t length, const membership_how *how, ashm_reached *reached)
{
    ashm_reached so_far = *reached;
    broadcast b = {.hash = group_hash(t->party.a, group, group_length),
                   .group = group,
                   .length = group_length,
                   .deadline = deadline_of(t, how->expiry),
                   .exclude = how->exclude,
                   .exclude_length = how->exclude_length,
                   .report = how->report};
    int rc = send_to_each(t, &b, body, length, &so_far);
    int settled = settle_commons(t, &so_far);

    rc = rc != 0 ? rc : settled;
    if (rc == ASHM_BUSY) {
        *reached = so_far;
    }
    return rc;
}

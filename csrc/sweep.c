/* sweep.c: see sweep.h. */
#include "sweep.h"

/* ---- what one visit does to one record; transactions of its own ---- */

/* true: spared this time, since it is new. */
static bool
spare_new(tx *t, node_shm *node)
{
    if ((node->flags & NODE_NEW) == 0) {
        return false;
    }
    node_set(t, node, node->flags & (uint8_t)~NODE_NEW, node->log2);
    return true;
}

static int
sweep_channel(tx *t, uint32_t channel)
{
    channel_shm *c = channel_at(t, channel);
    int rc;

    if ((rc = queue_expire(t, c)) != 0) {
        return rc;
    }
    if (c->live != 0) {
        channel_tell(t, channel); /* whoever was told may be stopped */
    } else if (channel_is_unused(c)) {
        if (!spare_new(t, &c->node)) {
            channel_remove(t, channel);
        }
    } else {
        queue_shrink(t, c);
    }
    return tx_commit(t);
}

static int
sweep_member(tx *t, uint32_t member)
{
    if (member_at(t, member)->deadline <= t->now) {
        group_leave(t, member);
    }
    return tx_commit(t);
}

static int
sweep_group(tx *t, uint32_t group)
{
    if (group_at(t, group)->count == 0) {
        group_remove(t, group);
    }
    return tx_commit(t);
}

static int
sweep_waiter(tx *t, uint32_t waiter)
{
    waiter_shm *w = waiter_at(t, waiter);

    if (w->state == WAITER_IDLE && !w->queued && !spare_new(t, &w->node)) {
        waiters_remove(t, waiter);
    }
    return tx_commit(t);
}

static int
sweep_node(tx *t, uint32_t node)
{
    switch (node_at(t, node)->kind) {
    case NODE_CHANNEL:
        return sweep_channel(t, node);
    case NODE_MEMBER:
        return sweep_member(t, node);
    case NODE_GROUP:
        return sweep_group(t, node);
    case NODE_WAITER:
        return sweep_waiter(t, node);
    default:
        tx_fault(t, ASHM_CORRUPT);
        return tx_commit(t);
    }
}

/* The same, for who wants the memory now: nothing is spared for being new. */
static int
purge_node(tx *t, uint32_t node)
{
    node_shm *n = node_at(t, node);

    if ((n->flags & NODE_NEW) != 0) {
        node_set(t, n, n->flags & (uint8_t)~NODE_NEW, n->log2);
    }
    return sweep_node(t, node);
}

/* ---- walks ---- */

/* Visit each record of a bucket. A visit removes its own record at most. `left` bounds the
 * visits of a whole walk: what a damaged table may be is many buckets with the same records. */
static int
walk_bucket(tx *t, uint32_t bucket, int (*visit)(tx *, uint32_t), uint32_t *left)
{
    uint32_t node = table_bucket(t, bucket);
    uint32_t next;
    int rc;

    for (; node != 0; node = next) {
        next = node_at(t, node)->next;
        if ((*left)-- == 0) {
            tx_fault(t, ASHM_CORRUPT);
            return tx_commit(t);
        }
        if ((rc = visit(t, node)) != 0) {
            return rc;
        }
    }
    return tx_commit(t);
}

static int
walk_all(tx *t, int (*visit)(tx *, uint32_t))
{
    uint32_t left = table_records(t) + 1;
    int rc = 0;

    for (uint32_t i = 0; i < table_buckets(t) && rc == 0; i++) {
        rc = walk_bucket(t, i, visit, &left);
    }
    return rc != 0 ? rc : tx_commit(t);
}

/* ---- sweeping ---- */

int
sweep_some(tx *t, uint32_t mailbox, uint32_t buckets)
{
    table_shm *table = &handle_mailbox(t->party.a, mailbox)->table;
    uint32_t left;
    int rc = mailbox_enter(t, mailbox);

    if (rc != 0) {
        return rc;
    }
    left = table_records(t) + 1;
    for (uint32_t i = 0; i < buckets && i < table_buckets(t) && rc == 0; i++) {
        uint32_t bucket = table->hand < table_size(table) ? table->hand : 0;

        if ((rc = walk_bucket(t, bucket, sweep_node, &left)) == 0) {
            tx_set32(t, &table->hand, bucket + 1);
            rc = tx_commit(t);
        }
    }
    if (rc == 0) {
        rc = tx_commit(t);
    }
    mailbox_leave(t);
    return rc;
}

/* Give back what an empty table, and blocks that are free, keep for the next use. */
static int
trim(tx *t)
{
    int rc;

    if (t->mailbox->table.count == 0 && (rc = table_free(t)) != 0) {
        return rc;
    }
    heap_trim(t, TABLES, &t->mailbox->heap);
    return tx_commit(t);
}

/* Twice: memberships and waiters go first, then the groups and channels they were of. */
static int
purge(tx *t)
{
    int rc;

    if ((rc = walk_all(t, purge_node)) != 0 || (rc = walk_all(t, purge_node)) != 0) {
        return rc;
    }
    return trim(t);
}

static int
trim_messages(tx *t)
{
    if (tx_memory(t)) {
        heap_trim(t, MESSAGES, &t->party.a->header->message_heap);
    }
    return tx_commit(t);
}

int
sweep_all(tx *t)
{
    uint32_t mailboxes = COMMONS + handle_slots_high(t->party.a);
    int rc = 0, busy = 0;

    for (uint32_t i = 0; i < mailboxes && rc == 0; i++) {
        if ((rc = mailbox_enter(t, i)) == 0) {
            rc = purge(t);
            mailbox_leave(t);
        }
        if (rc == ASHM_BUSY) { /* the others do not wait for it */
            busy = rc;
            rc = 0;
        }
    }
    rc = rc != 0 ? rc : trim_messages(t);
    return rc != 0 ? rc : busy;
}

/* ---- flushing ---- */

static int
flush_node(tx *t, uint32_t node)
{
    switch (node_at(t, node)->kind) {
    case NODE_CHANNEL:
        return queue_clear(t, channel_at(t, node));
    case NODE_MEMBER:
        group_leave(t, node);
        break;
    default:
        break;
    }
    return tx_commit(t);
}

int
sweep_flush(tx *t)
{
    uint32_t mailboxes = COMMONS + handle_slots_high(t->party.a);
    int rc = 0;

    for (uint32_t i = 0; i < mailboxes && rc == 0; i++) {
        if ((rc = tx_enter(t, i)) != 0) {
            return rc;
        }
        if ((rc = mailbox_drop_broadcasts(t)) == 0 && (rc = walk_all(t, flush_node)) == 0) {
            rc = purge(t); /* the empty records */
        }
        mailbox_leave(t);
    }
    return rc != 0 ? rc : trim_messages(t);
}

/* ---- clearing ---- */

static int
clear_waiters(tx *t, uint32_t slot)
{
    uint32_t waiter;
    int rc;

    while ((waiter = waiters_of_slot(t, slot)) != 0) {
        waiters_leave(t, waiter_at(t, waiter)->channel, slot);
        waiters_unqueue(t, waiter);
        waiters_remove(t, waiter);
        if ((rc = tx_commit(t)) != 0) {
            return rc;
        }
    }
    return tx_commit(t);
}

static int
remove_empty(tx *t, uint32_t node)
{
    if (node_at(t, node)->kind == NODE_GROUP) {
        group_remove(t, node);
    } else {
        channel_remove(t, node);
    }
    return tx_commit(t);
}

int
sweep_clear(tx *t)
{
    int rc;

    if ((rc = mailbox_drop_broadcasts(t)) != 0 ||
        (rc = clear_waiters(t, t->mailbox_index - COMMONS)) != 0 ||
        (rc = walk_all(t, flush_node)) != 0 || (rc = walk_all(t, remove_empty)) != 0) {
        return rc;
    }
    return trim(t);
}

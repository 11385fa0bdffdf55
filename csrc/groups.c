/* groups.c: see groups.h. */
#include "groups.h"

#include "watch.h"

static void
filter_add(tx *t, uint32_t hash, uint32_t n)
{
    atomic_u32 *count = &t->mailbox->filter[hash % FILTER_BUCKETS];

    /* Under the lock, so relaxed. */
    tx_set_atomic32(t, count, atomic_load_explicit(count, memory_order_relaxed) + n);
}

bool
group_may_be_in(const ashm *a, uint32_t mailbox, uint32_t hash)
{
    /* Acquire: a group_add that returned before this send is seen by it in whatever way
     * the caller came to know of it. */
    return atomic_load_explicit(&handle_mailbox(a, mailbox)->filter[hash % FILTER_BUCKETS],
                                memory_order_acquire) != 0;
}

uint32_t
group_make(tx *t, uint32_t hash, const char *name, size_t length)
{
    uint32_t group = group_find(t, hash, name, length);

    if (group == 0 && (group = table_add_name(t, NODE_GROUP, hash, name, length)) != 0) {
        filter_add(t, hash, 1);
        atomic_thread_fence(memory_order_seq_cst); /* pairs with watch_begin() */
    }
    return group;
}

void
group_remove(tx *t, uint32_t group)
{
    filter_add(t, node_at(t, group)->hash, (uint32_t)-1);
    table_remove(t, group);
}

uint32_t
group_join(tx *t, uint32_t group, uint32_t channel, uint64_t deadline)
{
    uint32_t member = table_find_member(t, group, channel);
    group_shm *g = group_at(t, group);
    channel_shm *c = channel_at(t, channel);
    member_shm *m;

    if (member != 0) {
        tx_set64(t, &member_at(t, member)->deadline, deadline);
        return member;
    }
    if ((member = table_add_pair(t, NODE_MEMBER, group, channel)) == 0) {
        return 0;
    }
    m = member_at(t, member);
    m->group = group; /* a fresh record: no log */
    m->channel = channel;
    m->deadline = deadline;
    m->group_prev = g->tail;
    m->channel_next = c->members;
    if (g->tail != 0) {
        tx_set32(t, &member_at(t, g->tail)->group_next, member);
    } else {
        tx_set32(t, &g->head, member);
    }
    tx_set32(t, &g->tail, member);
    tx_set32(t, &g->count, g->count + 1);
    if (c->members != 0) {
        tx_set32(t, &member_at(t, c->members)->channel_prev, member);
    }
    tx_set32(t, &c->members, member);
    watch_tell(t, g->node.hash);
    return member;
}

static void
leave_group(tx *t, const member_shm *m)
{
    group_shm *g = group_at(t, m->group);

    if (m->group_prev != 0) {
        tx_set32(t, &member_at(t, m->group_prev)->group_next, m->group_next);
    } else {
        tx_set32(t, &g->head, m->group_next);
    }
    if (m->group_next != 0) {
        tx_set32(t, &member_at(t, m->group_next)->group_prev, m->group_prev);
    } else {
        tx_set32(t, &g->tail, m->group_prev);
    }
    tx_set32(t, &g->count, g->count - 1);
}

static void
leave_channel(tx *t, const member_shm *m)
{
    channel_shm *c = channel_at(t, m->channel);

    if (m->channel_prev != 0) {
        tx_set32(t, &member_at(t, m->channel_prev)->channel_next, m->channel_next);
    } else {
        tx_set32(t, &c->members, m->channel_next);
    }
    if (m->channel_next != 0) {
        tx_set32(t, &member_at(t, m->channel_next)->channel_prev, m->channel_prev);
    }
}

void
group_leave(tx *t, uint32_t member)
{
    const member_shm *m = member_at(t, member);

    watch_tell(t, group_at(t, m->group)->node.hash);
    leave_group(t, m);
    leave_channel(t, m);
    table_remove(t, member);
}

/* verify.c: see verify.h. */
#include "verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "messages.h"
#include "slots.h"
#include "watch.h"

/* What of a page belongs to something. */
typedef struct page_claims {
    uint32_t blocks[FREE_WORDS]; /* a bit for each */
    bool whole;                  /* it is in a chain */
} page_claims;

typedef struct check {
    tx *t;
    char *report;
    size_t size;
    bool failed;
    uint32_t slots; /* those that there were when the mailboxes were locked */
    /* What the walk has found, to compare with what the records say. */
    page_claims *claims[SECTIONS]; /* for each page */
    uint32_t *refs;                /* for each unit of the messages section */
    uint32_t filter[FILTER_BUCKETS];
} check;

__attribute__((format(printf, 2, 3))) static void
wrong(check *c, const char *format, ...)
{
    va_list arguments;

    if (!c->failed && c->size > 0) {
        va_start(arguments, format);
        vsnprintf(c->report, c->size, format, arguments);
        va_end(arguments);
    }
    c->failed = true;
}

#define EXPECT(c, condition, ...)                                                              \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            wrong(c, __VA_ARGS__);                                                             \
        }                                                                                      \
    } while (0)

static bool
goes_on(check *c, uint32_t *left, const char *what)
{
    if (c->t->fault != 0) {
        wrong(c, "%s: a reference leads out of bounds", what);
    } else if ((*left)-- == 0) {
        wrong(c, "%s: a list is longer than it can be", what);
    }
    return !c->failed;
}

/* ---- memory in use ---- */

static const char *
section_name(enum section section)
{
    return section == MESSAGES ? "messages" : "tables";
}

static page_claims *
claims_of(check *c, enum section section, uint32_t page, const char *what)
{
    if (page == 0 || page >= c->t->party.a->header->arenas[section].used) {
        wrong(c, "%s: page %u is outside the %s section", what, page, section_name(section));
        return NULL;
    }
    return &c->claims[section][page];
}

static bool
is_unclaimed(const page_claims *claims)
{
    return !claims->whole && (claims->blocks[0] | claims->blocks[1] | claims->blocks[2]) == 0;
}

static void
claim_block(check *c, enum section section, uint32_t reference, uint32_t size, const char *what)
{
    uint32_t page = reference / UNITS_PER_PAGE;
    uint32_t class = block_class_for(size);
    uint32_t units = block_classes[class].size / UNIT;
    uint32_t block = reference % UNITS_PER_PAGE / units;
    uint32_t word = block / 32, bit = 1u << block % 32;
    page_claims *claims = claims_of(c, section, page, what);

    if (claims == NULL) {
        return;
    }
    EXPECT(c, page_record(c->t, section, page)->class == class + 1,
           "%s: block %u is not of its page's class", what, reference);
    EXPECT(c,
           reference % UNITS_PER_PAGE % units == 0 &&
               (block_classes[class].free[word] & bit) != 0,
           "%s: no block begins at %u", what, reference);
    EXPECT(c, !claims->whole && (claims->blocks[word] & bit) == 0,
           "%s: %s page %u is used twice", what, section_name(section), page);
    claims->blocks[word] |= bit;
}

static void
claim_chain(check *c, enum section section, uint32_t page, uint32_t n, const char *what)
{
    uint32_t last = 0;

    for (uint32_t i = 0; i < n && !c->failed; i++) {
        page_claims *claims = claims_of(c, section, page, what);
        const page_shm *record;

        if (claims == NULL) {
            return;
        }
        EXPECT(c, is_unclaimed(claims), "%s: %s page %u is used twice", what,
               section_name(section), page);
        claims->whole = true;
        record = page_record(c->t, section, page);
        EXPECT(c, i > 0 || (record->class == 0 && record->free[0] == n),
               "%s: the first page of a chain says %u pages, not %u", what, record->free[0], n);
        last = page;
        page = record->next;
    }
    EXPECT(c, c->failed || page == 0, "%s: a chain has more than its %u pages", what, n);
    (void)last;
}

/* ---- messages ---- */

static void
count_ref(check *c, uint32_t message, uint32_t n, const char *what)
{
    uint32_t limit = c->t->party.a->header->arenas[MESSAGES].used * UNITS_PER_PAGE;

    if (message < UNITS_PER_PAGE || message >= limit) {
        wrong(c, "%s: message %u is outside its section", what, message);
        return;
    }
    if (c->refs[message] == 0) { /* the first that leads to it */
        uint64_t bytes = (uint64_t)message_length(c->t, message) + sizeof(message_shm);

        if (bytes <= BLOCK_MAX) {
            claim_block(c, MESSAGES, message, (uint32_t)bytes, what);
        } else {
            claim_chain(c, MESSAGES, message / UNITS_PER_PAGE,
                        (uint32_t)((bytes + PAGE_SIZE_SHM - 1) / PAGE_SIZE_SHM), what);
        }
    }
    c->refs[message] += n;
}

static void
check_refs(check *c)
{
    uint32_t limit = c->t->party.a->header->arenas[MESSAGES].used * UNITS_PER_PAGE;

    for (uint32_t m = 0; m < limit && !c->failed; m++) {
        if (c->refs[m] != 0) {
            const message_shm *message = section_at(c->t, MESSAGES, m, sizeof *message);

            EXPECT(c, message->refs == c->refs[m], "message %u: counts %u references, has %u",
                   m, message->refs, c->refs[m]);
        }
    }
}

/* ---- the records of a mailbox ---- */

static void
check_ring(check *c, channel_shm *channel)
{
    unsigned log2 = channel->node.log2;

    if (log2 == 0) {
        EXPECT(c, channel->ring == 0, "channel: a ring besides the entries in the record");
    } else if (log2 > RING_LOG2_MAX) {
        wrong(c, "channel: a ring of 2^%u entries", log2);
    } else if (log2 < RING_LOG2_PAGE) {
        claim_block(c, TABLES, channel->ring, (uint32_t)sizeof(entry_shm) << log2, "ring");
    } else {
        claim_chain(c, TABLES, channel->ring / UNITS_PER_PAGE,
                    log2 == RING_LOG2_PAGE ? 1 : (1u << (log2 - RING_LOG2_PAGE)) + 1, "ring");
    }
}

static void
check_entries(check *c, channel_shm *channel)
{
    uint32_t span = channel->tail - channel->head;
    uint32_t live = 0, before = 0;

    EXPECT(c,
           channel->node.log2 <= RING_LOG2_MAX &&
               span <= 1u << (channel->node.log2 | !channel->node.log2),
           "channel: %u entries in a ring of 2^%u", span, channel->node.log2);
    for (uint32_t i = channel->head; i != channel->tail && !c->failed; i++) {
        const entry_shm *entry = queue_entry(c->t, channel, i);

        if (entry->message == 0) {
            continue;
        }
        EXPECT(c, live == 0 || (int32_t)(entry->sequence - before) > 0,
               "channel: entries are out of order");
        EXPECT(c, channel->earliest <= (uint32_t)(entry->deadline >> DEADLINE_SHIFT),
               "channel: an entry expires before the earliest");
        before = entry->sequence;
        live++;
        count_ref(c, entry->message, 1, "queue entry");
    }
    EXPECT(c, live != 0 || (channel->node.flags & NODE_SENDERS) == 0,
           "channel: it is empty, and senders wait for room in it");
    EXPECT(c, live == channel->live, "channel: counts %u messages, has %u", channel->live,
           live);
}

static void
check_waiting(check *c, uint32_t reference, channel_shm *channel)
{
    uint32_t left = ASHM_SLOTS + 1;
    uint32_t last = 0;

    for (uint32_t w = channel->waiting_head; w != 0 && goes_on(c, &left, "waiting list");
         w = waiter_at(c->t, w)->next) {
        const waiter_shm *waiter = waiter_at(c->t, w);

        EXPECT(c, waiter->node.kind == NODE_WAITER && waiter->channel == reference,
               "channel: its waiting list has what is no waiter of it");
        EXPECT(c, waiter->state == WAITER_AWAITED,
               "channel: a waiter on the list is not waiting");
        last = w;
    }
    EXPECT(c, c->failed || last == channel->waiting_tail,
           "channel: the waiting list's tail is not its last");
}

/* A channel with messages and somebody who waits has told somebody. */
static void
check_told(check *c, uint32_t reference, channel_shm *channel)
{
    uint32_t waiters = 0, rung = 0;

    for (uint32_t slot = 0; slot < ASHM_SLOTS && channel->waiters != 0; slot++) {
        uint32_t w = table_find_waiter(c->t, reference, slot);

        if (w != 0) {
            waiters++;
            rung += waiter_at(c->t, w)->state == WAITER_RUNG;
        }
    }
    EXPECT(c, waiters == channel->waiters, "channel: counts %u waiters, has %u",
           channel->waiters, waiters);
    EXPECT(c, channel->live == 0 || channel->waiting_head == 0 || rung > 0,
           "channel: it has messages, and nobody who waits was told");
}

/* A name that was changed where it lies would never be found again. */
static void
check_name(check *c, uint32_t reference, const char *what)
{
    const node_shm *node = node_at(c->t, reference);
    const char *name = node_name(c->t, reference);

    EXPECT(c,
           node->hash == (uint32_t)hash_name(c->t->party.a->hash_key, name, node->name_length),
           "%s: its name has another hash", what);
    EXPECT(c,
           table_find_name(c->t, node->kind, node->hash, name, node->name_length) == reference,
           "%s: its name finds another record", what);
}

static void
check_channel(check *c, uint32_t reference)
{
    channel_shm *channel = channel_at(c->t, reference);
    uint32_t left = table_records(c->t) + 1;
    uint32_t before = 0;

    claim_block(c, TABLES, reference,
                (uint32_t)offsetof(channel_shm, name) + channel->node.name_length, "channel");
    check_name(c, reference, "channel");
    check_ring(c, channel);
    check_entries(c, channel);
    check_waiting(c, reference, channel);
    check_told(c, reference, channel);
    for (uint32_t m = channel->members; m != 0 && goes_on(c, &left, "channel's memberships");
         m = member_at(c->t, m)->channel_next) {
        const member_shm *member = member_at(c->t, m);

        EXPECT(c,
               member->node.kind == NODE_MEMBER && member->channel == reference &&
                   member->channel_prev == before,
               "channel: its list of memberships is broken");
        before = m;
    }
}

static void
check_group(check *c, uint32_t reference)
{
    group_shm *group = group_at(c->t, reference);
    uint32_t left = table_records(c->t) + 1;
    uint32_t before = 0, count = 0;

    claim_block(c, TABLES, reference,
                (uint32_t)offsetof(group_shm, name) + group->node.name_length, "group");
    check_name(c, reference, "group");
    c->filter[group->node.hash % FILTER_BUCKETS]++;
    for (uint32_t m = group->head; m != 0 && goes_on(c, &left, "group's memberships");
         m = member_at(c->t, m)->group_next) {
        const member_shm *member = member_at(c->t, m);

        EXPECT(c,
               member->node.kind == NODE_MEMBER && member->group == reference &&
                   member->group_prev == before,
               "group: its list of memberships is broken");
        before = m;
        count++;
    }
    EXPECT(c, c->failed || (count == group->count && before == group->tail),
           "group: counts %u memberships, has %u", group->count, count);
}

static void
check_member(check *c, uint32_t reference)
{
    const member_shm *member = member_at(c->t, reference);

    claim_block(c, TABLES, reference, sizeof *member, "membership");
    EXPECT(c,
           node_at(c->t, member->group)->kind == NODE_GROUP &&
               node_at(c->t, member->channel)->kind == NODE_CHANNEL,
           "membership: of what is no group, or no channel");
    EXPECT(c, table_find_member(c->t, member->group, member->channel) == reference,
           "membership: there are two of the same");
}

static void
check_waiter(check *c, uint32_t reference)
{
    const waiter_shm *waiter = waiter_at(c->t, reference);

    claim_block(c, TABLES, reference, sizeof *waiter, "waiter");
    EXPECT(c,
           node_at(c->t, waiter->channel)->kind == NODE_CHANNEL && waiter->slot < ASHM_SLOTS &&
               waiter->state <= WAITER_RUNG && waiter->queued <= 1,
           "waiter: it makes no sense");
    EXPECT(c,
           waiter->state != WAITER_RUNG || waiter->slot >= c->slots ||
               atomic_load_explicit(&handle_slot(c->t->party.a, waiter->slot)->state,
                                    memory_order_relaxed) != SLOT_FREE,
           "waiter: a free slot was told of a message");
}

static void
check_node(check *c, uint32_t reference)
{
    switch (node_at(c->t, reference)->kind) {
    case NODE_CHANNEL:
        check_channel(c, reference);
        break;
    case NODE_GROUP:
        check_group(c, reference);
        break;
    case NODE_MEMBER:
        check_member(c, reference);
        break;
    case NODE_WAITER:
        check_waiter(c, reference);
        break;
    default:
        wrong(c, "table: a record of no kind");
    }
}

/* ---- a mailbox ---- */

static void
check_table(check *c)
{
    const table_shm *table = &c->t->mailbox->table;
    uint32_t left = table_records(c->t) + 1;
    uint32_t pages = (table_size(table) + TABLE_BUCKETS_PER_PAGE - 1) / TABLE_BUCKETS_PER_PAGE;
    uint32_t count = 0;
    const uint32_t *directory;

    if (table_size(table) == 0) {
        EXPECT(c, table->count == 0 && table->directory == 0, "table: records without buckets");
        return;
    }
    claim_chain(c, TABLES, table->directory, 1, "directory");
    directory = record_at(c->t, page_reference(table->directory), PAGE_SIZE_SHM);
    for (uint32_t i = 0; i < pages && i < PAGE_SIZE_SHM / 4 && !c->failed; i++) {
        claim_chain(c, TABLES, directory[i], 1, "buckets");
    }
    for (uint32_t i = 0; i < table_buckets(c->t) && !c->failed; i++) {
        for (uint32_t node = table_bucket(c->t, i); node != 0 && goes_on(c, &left, "bucket");
             node = node_at(c->t, node)->next) {
            check_node(c, node);
            count++;
        }
    }
    EXPECT(c, c->failed || count == table->count, "table: counts %u records, has %u",
           table->count, count);
}

static void
check_broadcasts(check *c)
{
    const mailbox_shm *mailbox = c->t->mailbox;
    uint32_t head = atomic_load_explicit(&mailbox->broadcast_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&mailbox->broadcast_tail, memory_order_relaxed);

    EXPECT(c, tail - head <= BROADCASTS, "mailbox: %u broadcasts in a ring", tail - head);
    for (uint32_t i = head; i != tail && !c->failed; i++) {
        const broadcast_shm *broadcast = &mailbox->ring[i % BROADCASTS];

        EXPECT(c, node_at(c->t, broadcast->group)->kind == NODE_GROUP,
               "broadcast: to what is no group");
        count_ref(c, broadcast->message, 1, "broadcast");
    }
}

/* All waiters of the slot are on its list, and those that are queued on its ready list. */
static void
check_waitlist(check *c, const waitlist_shm *list, uint32_t slot)
{
    uint32_t left = table_records(c->t) + 1;
    uint32_t before = 0, queued = 0, ready = 0, last = 0;

    for (uint32_t w = list->waiters; w != 0 && goes_on(c, &left, "slot's waiters");
         w = waiter_at(c->t, w)->slot_next) {
        const waiter_shm *waiter = waiter_at(c->t, w);

        EXPECT(c,
               waiter->node.kind == NODE_WAITER && waiter->slot == slot &&
                   waiter->slot_prev == before,
               "slot: its list of waiters is broken");
        queued += waiter->queued;
        before = w;
    }
    left = queued + 1;
    for (uint32_t w = atomic_load_explicit(&list->ready_head, memory_order_relaxed);
         w != 0 && goes_on(c, &left, "ready list"); w = waiter_at(c->t, w)->ready_next) {
        EXPECT(c, waiter_at(c->t, w)->queued == 1, "slot: what is ready is not marked so");
        last = w;
        ready++;
    }
    EXPECT(c, c->failed || (ready == queued && last == list->ready_tail),
           "slot: %u waiters are marked ready, %u are on the list", queued, ready);
}

static void
check_mailbox(check *c, uint32_t index)
{
    ashm *a = c->t->party.a;

    c->t->mailbox = handle_mailbox(a, index);
    c->t->mailbox_index = index;
    memset(c->filter, 0, sizeof c->filter);
    check_table(c);
    check_broadcasts(c);
    for (uint32_t i = 0; i < FILTER_BUCKETS && !c->failed; i++) {
        EXPECT(c,
               c->filter[i] ==
                   atomic_load_explicit(&c->t->mailbox->filter[i], memory_order_relaxed),
               "mailbox: its filter miscounts the groups");
    }
    if (index >= COMMONS) {
        check_waitlist(c, &c->t->mailbox->own, index - COMMONS);
        return;
    }
    for (uint32_t slot = 0; slot < ASHM_SLOTS && !c->failed; slot++) {
        const waitlist_shm *lists = (const waitlist_shm *)(a->base + a->map.waitlists);

        check_waitlist(c, &lists[index * ASHM_SLOTS + slot], slot);
    }
}

/* ---- slots and pages ---- */

static void
check_slot(check *c, uint32_t index)
{
    slot_shm *slot = handle_slot(c->t->party.a, index);
    bool is_free = atomic_load_explicit(&slot->state, memory_order_acquire) == SLOT_FREE;

    for (uint32_t i = 0; i < LANES && !c->failed; i++) {
        const lane_shm *lane = &slot->lanes[i];

        EXPECT(c, lane->count == 0, "slot %u: an unfinished transaction", index);
        EXPECT(c, (lane->held == 0) == (lane->held_refs == 0), "slot %u: lane %u miscounts",
               index, i);
        if (lane->held != 0) {
            count_ref(c, lane->held, lane->held_refs, "lane");
        }
        EXPECT(c, !is_free || lane->held == 0, "slot %u: free, and holds a message", index);
    }
    EXPECT(c, !is_free || slot->mailbox.table.count == 0, "slot %u: free, and has records",
           index);
}

static void
check_split_page(check *c, enum section section, uint32_t page, const page_shm *record)
{
    const block_class *class = &block_classes[record->class - 1];
    const page_claims *claims = &c->claims[section][page];

    for (int i = 0; i < FREE_WORDS; i++) {
        uint32_t in_use = class->free[i] & ~record->free[i];

        EXPECT(c, (record->free[i] & ~class->free[i]) == 0,
               "page %u: more blocks are free than it has", page);
        EXPECT(c, in_use == claims->blocks[i],
               "%s page %u: of its blocks from %d on %x are in use, and %x belong to something",
               section_name(section), page, 32 * i, in_use, claims->blocks[i]);
    }
}

/* Marks for pages on the free list and on a class's list. */
static uint32_t
walk_free_list(check *c, enum section section, unsigned char *seen)
{
    const arena_shm *arena = &c->t->party.a->header->arenas[section];
    uint32_t left = arena->used + 1;
    uint32_t n = 0;

    for (uint32_t page = arena->free_head; page != 0 && goes_on(c, &left, "free pages");
         page = page_record(c->t, section, page)->next) {
        if (page >= arena->used || seen[page] != 0) {
            wrong(c, "free pages: page %u is not to be there", page);
            return n;
        }
        seen[page] = 1;
        n++;
    }
    return n;
}

static void
walk_heap(check *c, enum section section, const heap_shm *heap, unsigned char *seen)
{
    const arena_shm *arena = &c->t->party.a->header->arenas[section];

    for (uint32_t class = 0; class < BLOCK_CLASSES; class++) {
        uint32_t left = arena->used + 1;
        uint32_t before = 0;

        for (uint32_t page = heap->partial[class]; page != 0 && goes_on(c, &left, "heap");
             page = page_record(c->t, section, page)->next) {
            const page_shm *record = page_record(c->t, section, page);

            if (page >= arena->used || seen[page] != 0 || record->class != class + 1 ||
                record->prev != before || !page_has_free(record)) {
                wrong(c, "heap: page %u is not to be on the list of class %u", page, class);
                return;
            }
            seen[page] = 2;
            before = page;
        }
    }
}

static void
check_pages(check *c, enum section section, unsigned char *seen)
{
    ashm *a = c->t->party.a;
    const arena_shm *arena = &a->header->arenas[section];
    uint32_t free_pages = walk_free_list(c, section, seen);

    EXPECT(c, c->failed || free_pages == arena->free_count, "free pages: counts %u, has %u",
           arena->free_count, free_pages);
    if (section == MESSAGES) {
        walk_heap(c, section, &a->header->message_heap, seen);
    } else {
        for (uint32_t i = 0; i < COMMONS + c->slots; i++) {
            walk_heap(c, section, &handle_mailbox(a, i)->heap, seen);
        }
    }
    for (uint32_t page = 1; page < arena->used && !c->failed; page++) {
        const page_shm *record = page_record(c->t, section, page);
        const page_claims *claims = &c->claims[section][page];
        const char *name = section_name(section);

        if (seen[page] == 1) {
            EXPECT(c, is_unclaimed(claims), "%s page %u: free, and used", name, page);
        } else if (claims->whole) {
            EXPECT(c, seen[page] == 0, "%s page %u: in a chain, and split", name, page);
        } else if (record->class == 0 || record->class > BLOCK_CLASSES) {
            wrong(c, "%s page %u: lost", name, page);
        } else {
            check_split_page(c, section, page, record);
            EXPECT(c, page_has_free(record) == (seen[page] == 2),
                   "%s page %u: split, and not on its list", name, page);
        }
    }
}

/* ---- the whole ---- */

static int
make_room(check *c)
{
    const ashm *a = c->t->party.a;

    for (int i = 0; i < SECTIONS; i++) {
        c->claims[i] = calloc(a->header->arenas[i].used + 1, sizeof(page_claims));
        if (c->claims[i] == NULL) {
            return ENOMEM;
        }
    }
    c->refs = calloc(((size_t)a->header->arenas[MESSAGES].used + 1) * UNITS_PER_PAGE,
                     sizeof(uint32_t));
    return c->refs != NULL ? 0 : ENOMEM;
}

static void
check_watches(check *c)
{
    const ashm *a = c->t->party.a;

    for (uint32_t i = 0; i < c->slots; i++) {
        const slot_shm *slot = handle_slot(a, i);

        EXPECT(c,
               load_relaxed64(&slot->watches) == 0 ||
                   atomic_load_explicit(&slot->state, memory_order_acquire) != SLOT_FREE,
               "slot %u: it is free, and watches groups", i);
    }
    EXPECT(c, load_relaxed64(&a->header->watched) == watch_union(a),
           "header: what it says of who watches groups is not what the slots say");
}

static int
check_everything(check *c)
{
    ashm *a = c->t->party.a;
    uint32_t slots = c->slots;
    unsigned char *seen;
    int rc;

    for (int i = 0; i < SECTIONS; i++) {
        const arena_shm *arena = &a->header->arenas[i];

        if (arena->used == 0 || arena->used > a->map.section[i].count ||
            (arena->used > 1 && arena->used > section_ready(a, (enum section)i))) {
            wrong(c, "section %d: %u pages used", i, arena->used);
            return 0;
        }
    }
    if ((rc = make_room(c)) != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < COMMONS + slots && !c->failed; i++) {
        check_mailbox(c, i);
    }
    for (uint32_t i = 0; i < slots && !c->failed; i++) {
        check_slot(c, i);
    }
    if (!c->failed) {
        check_watches(c);
        check_refs(c);
    }
    for (int i = 0; i < SECTIONS && !c->failed; i++) {
        if ((seen = calloc(a->header->arenas[i].used, 1)) == NULL) {
            return ENOMEM;
        }
        check_pages(c, (enum section)i, seen);
        free(seen);
    }
    if (c->t->fault != 0) {
        wrong(c, "a reference leads out of bounds");
    }
    return 0;
}

/* The one place that holds more than one mailbox: in the order of their indices. */
static int
lock_mailboxes(tx *t, uint32_t mailboxes, uint32_t *locked)
{
    int rc = 0;

    for (; *locked < mailboxes && rc == 0; *locked += rc == 0) {
        rc = lock_acquire(&t->party, &handle_mailbox(t->party.a, *locked)->lock, LOCK_MAILBOX);
    }
    return rc;
}

/* All mailboxes, and memory. Whoever claims a new slot meanwhile may hold a message already;
 * once memory is locked, one that comes can hold none. */
static int
lock_all(tx *t, uint32_t *locked)
{
    uint32_t slots;
    int rc;

    for (;;) {
        slots = handle_slots_high(t->party.a);
        if ((rc = lock_mailboxes(t, COMMONS + slots, locked)) != 0) {
            return rc;
        }
        if (!tx_memory(t)) {
            rc = t->fault;
            t->fault = 0;
            return rc;
        }
        if (handle_slots_high(t->party.a) == slots) {
            return 0;
        }
        tx_rollback(t); /* lets the memory lock go, which ranks below the mailboxes */
    }
}

int
verify(tx *t, char *report, size_t size)
{
    check c = {.t = t, .report = report, .size = size};
    uint32_t locked = 0;
    int rc;

    /* As long for each lock as an operation has for its one or two. */
    t->party.wait_ns *= COMMONS + handle_slots_high(t->party.a);
    if ((rc = lock_all(t, &locked)) == 0) {
        c.slots = locked - COMMONS;
        rc = check_everything(&c);
    }
    free(c.claims[MESSAGES]);
    free(c.claims[TABLES]);
    free(c.refs);
    t->mailbox = NULL;
    tx_rollback(t); /* nothing was written: this lets the memory lock go */
    while (locked-- > 0) {
        lock_release(t->party.a, &handle_mailbox(t->party.a, locked)->lock);
    }
    return rc != 0 ? rc : c.failed ? ASHM_CORRUPT : 0;
}

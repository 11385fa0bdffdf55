/* clang-format off */
/*
 * layout.h: everything that lies in the segment.
 *
 *   offset         section               written by            guarded by
 *   0              header                the formatter         see fields
 *   commons        mailbox_shm[8]        any process           the mailbox's lock
 *   waitlists      waitlist_shm[8][256]  any process           the commons mailbox's lock
 *   slots          slot_shm[256]         see fields            see fields
 *   message pages  page_shm[]            any process           the memory lock
 *   messages       4 KiB pages           a message's maker     nothing: read-only once queued
 *   table pages    page_shm[]            any process           memory lock, or their mailbox's
 *   tables         4 KiB pages           any process           their mailbox's lock
 *
 * No pointer is stored. A reference counts units of 16 bytes from the start of the messages or
 * the tables section; 0 is none, for page 0 of both is never handed out. Sections begin on page
 * boundaries. All of it but the header, the commons and the slots in use is a hole in the file
 * until it is needed (see pages.h).
 *
 * "Guarded by X" means: read and written under X only, and every store goes through the
 * transaction (tx.h). What may be read without its guard says so.
 */
/* clang-format on */
#ifndef ASHM_LAYOUT_H
#define ASHM_LAYOUT_H

#include "atomic.h"
#include "base.h"

/* Raise ASHM_LAYOUT_VERSION with any change to this file. It is part of the object's name
 * (segment.py) and of the signature: two versions never meet in a segment. */

#define SEGMENT_MAGIC UINT64_C(0x314d48535f494753) /* bytes "SGI_SHM1" */

enum {
    PAGE_SIZE_SHM = 4096,
    UNIT = 16, /* bytes that a reference counts */
    UNITS_PER_PAGE = PAGE_SIZE_SHM / UNIT,
    PAGES_MAX = UINT32_MAX / UNITS_PER_PAGE, /* of a section */
    CACHE_LINE = 64,

    COMMONS = 8, /* mailboxes of no process */
    MAILBOXES = COMMONS + ASHM_SLOTS,
    LANES = 4,         /* operations that one process has under way at once */
    LOG_ENTRIES = 248, /* stores of one transaction */

    BLOCK_CLASSES = 7, /* 48, 64, 128, ... 2048 bytes */
    BLOCK_MIN = 48,    /* a membership */
    BLOCK_MAX = 2048,
    BLOCKS_PER_PAGE = PAGE_SIZE_SHM / BLOCK_MIN, /* at the most */
    FREE_WORDS = 3, /* of 32 bits, a bit for each */

    TABLE_BUCKETS_PER_PAGE = PAGE_SIZE_SHM / 4,
    TABLE_BUCKETS_MAX = TABLE_BUCKETS_PER_PAGE * (PAGE_SIZE_SHM / 4),
    FILTER_BUCKETS = 128,
    BROADCASTS = 128,     /* entries of a broadcast ring; a power of two */
    INLINE_ENTRIES = 2,   /* of a queue, in the channel record */
    ENTRIES_PER_PAGE = 256,
    BELL_WORDS = ASHM_SLOTS / 64
};

/* ---- memory: guarded by the memory lock (messages) or the mailbox's (heaps of tables) ---- */

/* Describes one page of a section. A free page uses `next` alone, as does a page
 * inside a chain; the first page of a chain says in free[0] how many they are and
 * in `prev` which is the last. A split page is on its class's list while it has a
 * free block. */
typedef struct page_shm {
    uint32_t free[FREE_WORDS]; /* split: a bit for each free block */
    uint32_t next;
    uint32_t prev;
    uint32_t class; /* split: block class + 1. Otherwise 0 */
} page_shm;

/* The two sections of pages. */
enum section { MESSAGES, TABLES, SECTIONS };

/* The pages of a section. Pages below `used` are free (on the list) or taken;
 * those from there on were never taken; those below `ready` have memory. */
typedef struct arena_shm {
    uint32_t used;
    atomic_u32 ready; /* raised under the memory lock, not in transactions; read by anyone */
    uint32_t free_head;
    uint32_t free_count;
} arena_shm;

/* Split pages with a free block, a list for each class. */
typedef struct heap_shm {
    uint32_t partial[BLOCK_CLASSES];
} heap_shm;

/* The head of a message; the body follows, over as many pages as it takes. The last two
 * are written before anything refers to it. */
typedef struct message_shm {
    atomic_u32 refs; /* queue entries, broadcasts and lanes that hold it; memory lock */
    uint32_t length; /* of the body */
    uint32_t sent;   /* when it was made, in 1 << AGE_SHIFT ns; its age is a difference */
} message_shm;

/* Coarse time for ages: 2^24 ns are 17 ms, and 32 bits of them two years. */
#define AGE_SHIFT 24

/* ---- tables: guarded by their mailbox's lock ---- */

enum node_kind { NODE_CHANNEL = 1, NODE_GROUP, NODE_MEMBER, NODE_WAITER };

/* How each record begins: a link of its bucket's chain. */
typedef struct node_shm {
    uint32_t next;
    uint32_t hash;
    uint8_t kind;
    uint8_t name_length;
    uint8_t flags;
    uint8_t log2; /* channel: of the entries of its ring; 0: they are in the record */
} node_shm;

enum {
    NODE_NEW = 1,    /* made since the sweep last came by */
    NODE_SENDERS = 2 /* a channel: processes wait until it has room; it holds a message */
};

/* A cell of a queue. message == 0: a hole, left where a message expired. */
typedef struct entry_shm {
    uint64_t deadline; /* ns on the segment's clock */
    uint32_t message;
    uint32_t sequence; /* order of arrival in the mailbox */
} entry_shm;

/* node.log2 of a channel: its ring has 1 << log2 entries; 0: they are in the record. */
enum {
    RING_LOG2_PAGE = 8, /* a page; less is a block, more a page of page numbers */
    RING_LOG2_MAX = 18  /* ASHM_CAPACITY_MAX entries */
};

typedef struct channel_shm {
    node_shm node;
    /* Free-running positions of the ring. Nothing resets the tail, so it is also
     * how many messages this record was ever given, modulo 2^32. */
    uint32_t head, tail;
    uint32_t live;       /* entries that are no holes */
    uint32_t capacity;
    uint32_t ring; /* where it is, if it is not in the record */
    uint32_t members; /* first membership */
    uint32_t waiting_head, waiting_tail; /* waiters in state AWAITED, the next to ring first */
    uint32_t waiters; /* records of kind NODE_WAITER for this channel */
    uint32_t full; /* messages dropped or refused because it was full */
    uint32_t earliest; /* no deadline is below this; in 1 << DEADLINE_SHIFT ns */
    entry_shm entries[INLINE_ENTRIES];
    char name[];
} channel_shm;

/* Coarse time for `earliest`: 2^28 ns are 0.27 s, and 32 bits of them 36 years. */
#define DEADLINE_SHIFT 28

typedef struct group_shm {
    node_shm node;
    uint32_t head, tail; /* memberships, the oldest first */
    uint32_t count;
    uint32_t full; /* messages not delivered to a full member */
    char name[];
} group_shm;

typedef struct member_shm {
    node_shm node;
    uint32_t group, channel;
    uint32_t group_next, group_prev;
    uint32_t channel_next, channel_prev;
    uint32_t skip; /* the last broadcast that left it out */
    uint64_t deadline;
} member_shm;

enum waiter_state { WAITER_IDLE, WAITER_AWAITED, WAITER_RUNG };

/* A process that has waited for a channel. AWAITED: on the channel's list. RUNG:
 * told of a message; it must take it, await again or pass the turn on. */
typedef struct waiter_shm {
    node_shm node;
    uint32_t channel;
    uint32_t slot;
    uint32_t state;
    uint32_t queued; /* it is on its slot's ready list */
    uint32_t next; /* on the channel's list */
    uint32_t ready_next;
    uint32_t slot_next, slot_prev; /* all waiters of the slot in this mailbox */
    uint32_t unused;
    uint64_t cookie;
} waiter_shm;

/* What a mailbox has for one slot that waits in it. */
typedef struct waitlist_shm {
    atomic_u32 ready_head; /* read without the lock as a hint: 0 or not */
    uint32_t ready_tail;
    uint32_t waiters;
    uint32_t unused;
} waitlist_shm;

/* Linear hashing: buckets are split one at a time. */
typedef struct table_shm {
    uint32_t directory; /* page of page numbers; 0: no bucket yet */
    atomic_u32 buckets; /* at least TABLE_BUCKETS_PER_PAGE; read without the lock as a hint */
    uint32_t count; /* records */
    uint32_t hand; /* the bucket that the sweep visits next */
} table_shm;

typedef struct lock_shm {
    atomic_u64 word; /* owner, or 0: see lock.h */
    uint32_t semaphore; /* where waiters sleep; written by the formatter */
    uint32_t unused;
} lock_shm;

/* A message on its way to the members of a group in this mailbox. */
typedef struct broadcast_shm {
    uint64_t sent; /* when: members and their room are those of that time */
    uint64_t deadline;
    uint32_t message;
    uint32_t group;
    /* Members with this number in their `skip` are left out; 0: none is. It is a number
     * of the mailbox's `sequence` that no entry has. */
    uint32_t skip;
    uint32_t unused;
} broadcast_shm;

/* ---- counters: name, unit, what it counts ----
 *
 * Declared here and nowhere else: ashm_counters() gives them to whoever shows them. All
 * count from when the segment was made, and never fall. */

/* Of a mailbox, raised in the transaction that they count. */
#define MAILBOX_COUNTERS(X)                                                                    \
    X(sent, "messages", "put into a channel; a group message counts once for each member")     \
    X(received, "messages", "taken out of a channel by a receive")                             \
    X(full, "messages", "refused or dropped because their channel was full")                   \
    X(expired, "messages", "dropped because nobody read them in time")

/* Of what a process does. Each of its lanes has its own, which only the thread that has
 * the lane raises: no lock, no transaction, and a kill may cost a count of one. */
#define LANE_COUNTERS(X)                                                                       \
    X(sends, "calls", "of send that put a message into a channel")                             \
    X(group_sends, "calls", "of group_send")                                                   \
    X(receives, "calls", "of receive that gave a message")                                     \
    X(gone, "messages", "dropped because the process they were for is gone")                   \
    X(unsent, "messages", "to a group dropped for want of memory")                             \
    X(rings, "calls", "to wake another process that waited")                                   \
    X(lock_waits, "waits", "for a lock that somebody else held")                               \
    X(lock_wait_ns, "nanoseconds", "spent in these waits")

typedef struct mailbox_shm {
    lock_shm lock;
    uint32_t sequence; /* of the next entry */
    uint32_t families; /* waiters for all channels of a prefix */
    /* Broadcasts wait in ring[head..tail); `cursor` is the membership that the
     * first of them delivers to next, 0 before it has begun. */
    uint32_t cursor;
    atomic_u32 broadcast_head, broadcast_tail; /* read without the lock as a hint */
    table_shm table;
    heap_shm heap;
    uint64_t senders[BELL_WORDS]; /* slots that wait for room in a channel: room.h */
    waitlist_shm own; /* of the slot that the mailbox belongs to */
#define X(name, unit, help) atomic_u64 name;
    MAILBOX_COUNTERS(X)
#undef X
    /* How many groups have members here, by hash: a sender reads it without the
     * lock, and passes by where it is 0. It falls only after the last membership
     * is gone for good (groups.c). */
    atomic_u32 filter[FILTER_BUCKETS];
    broadcast_shm ring[BROADCASTS];
} mailbox_shm;

/* ---- processes ---- */

typedef struct undo_shm {
    uint64_t where; /* offset << 1 | (the word has 8 bytes, not 4) */
    uint64_t old;
} undo_shm;

/* Read by anyone at any time. */
typedef struct lane_counters {
#define X(name, unit, help) atomic_u64 name;
    LANE_COUNTERS(X)
#undef X
} lane_counters;

/* The record of one operation under way, written by its thread alone while the
 * process lives, and afterwards by whoever holds the recovery lock. */
typedef struct lane_shm {
    uint32_t count; /* stores to undo; 0 commits */
    /* A message between two transactions, with the references that are ours. */
    uint32_t held, held_refs;
    uint32_t unused;
    uint64_t bells[BELL_WORDS]; /* slots whose doorbell we still have to ring */
    lane_counters counters; /* of every holder of the slot so far */
    uint8_t pad[128 - 16 - 8 * BELL_WORDS - sizeof(lane_counters)];
    undo_shm log[LOG_ENTRIES];
} lane_shm;

enum slot_state {
    SLOT_FREE,
    SLOT_TAKEN,
    SLOT_CLOSING /* its holder leaves or is reaped: nothing more comes in */
};

/* Written by its holder while claiming it (the kernel's lock on the slot's byte
 * makes that one process), and by the reaper under the recovery lock. It becomes
 * CLOSING under the lock of its mailbox: who holds that and sees TAKEN may fill it. */
typedef struct slot_shm {
    atomic_u32 generation; /* rises with each holder; read by anyone */
    atomic_u32 state; /* read by anyone as a hint */
    uint32_t pid; /* as its own namespace sees it; for messages to people */
    uint32_t nonce; /* 16 random bits of the client's name */
    uint64_t since; /* clock when it was claimed */
    atomic_u32 room; /* 1: a channel may have room for what it waits to send: room.h */
    uint32_t unused;
    atomic_u64 watches; /* buckets of groups that it watches; memory lock: watch.h */
    atomic_u64 changed; /* those that have changed */
    uint8_t pad1[CACHE_LINE - 48];
    atomic_u64 bell; /* sequence << 1 | armed: see doorbell.h */
    uint8_t pad2[CACHE_LINE - 8];
    lane_counters before; /* what its lanes had counted, in sum, when it was claimed */
    char command[ASHM_COMMAND_MAX + 1]; /* command line, cut; for people */
    mailbox_shm mailbox;
    uint8_t pad3[2 * PAGE_SIZE_SHM - 2 * CACHE_LINE - sizeof(lane_counters) - ASHM_COMMAND_MAX -
                 1 - sizeof(mailbox_shm)];
    lane_shm lanes[LANES];
} slot_shm;

typedef struct header_shm {
    /* Written by the formatter; the magic last. */
    atomic_u64 magic;
    uint64_t signature; /* layout_signature() */
    uint64_t size;
    uint64_t message_memory, group_memory;
    uint64_t hash_key[2];
    uint32_t segment_id; /* random: part of the <client> of a channel name */
    uint32_t unused;

    /* Atomic hints; any value is safe. */
    atomic_u64 clock; /* the segment's clock does not go back before this */
    atomic_u64 maintain_at; /* when the next maintenance is due */
    atomic_u32 slots_high; /* no slot from here on was ever taken */
    uint32_t unused2;

    /* Memory lock, and read by anyone: the buckets that slots watch (watch.h). */
    atomic_u64 watched;
    uint8_t pad1[2 * CACHE_LINE - 64 - 32];

    lock_shm memory_lock;
    arena_shm arenas[SECTIONS]; /* memory lock */
    heap_shm message_heap; /* memory lock */
} header_shm;

_Static_assert(sizeof(page_shm) == 24, "layout");
_Static_assert(BLOCKS_PER_PAGE <= 32 * FREE_WORDS, "a bit for each block");
_Static_assert(BLOCK_MIN % UNIT == 0, "a reference for each block");
_Static_assert(sizeof(message_shm) == 12, "layout");
_Static_assert(sizeof(node_shm) == 12, "layout");
_Static_assert(sizeof(entry_shm) == 16, "layout");
_Static_assert(offsetof(channel_shm, entries) == 56, "layout");
_Static_assert(offsetof(channel_shm, name) == 88, "a usual name fits in 128 bytes");
_Static_assert(offsetof(group_shm, name) == 28, "layout");
_Static_assert(sizeof(member_shm) == BLOCK_MIN, "at most 64 bytes for a membership");
_Static_assert(sizeof(waiter_shm) == 56, "layout");
_Static_assert(sizeof(waitlist_shm) == 16, "layout");
_Static_assert(sizeof(lane_shm) == PAGE_SIZE_SHM, "layout");
_Static_assert(sizeof(slot_shm) == (2 + LANES) * PAGE_SIZE_SHM, "layout");
_Static_assert(offsetof(slot_shm, bell) == CACHE_LINE, "layout");
_Static_assert(offsetof(header_shm, memory_lock) == 2 * CACHE_LINE, "layout");
_Static_assert(sizeof(header_shm) <= PAGE_SIZE_SHM, "layout");
_Static_assert(sizeof(atomic_u64) == 8 && sizeof(atomic_u32) == 4, "lock-free words");

/* Where the sections are: computed alike by the formatter and by whoever opens
 * the segment, and kept in the private handle, so that a damaged header leads
 * nobody astray. */
typedef struct section_map {
    uint64_t commons, waitlists, slots;
    struct {
        uint64_t records; /* page_shm[count] */
        uint64_t pages;
        uint32_t count;
    } section[SECTIONS];
    uint64_t size;
} section_map;

/* ASHM_BAD_ARGUMENT: too little for a section, or more than references reach. */
int layout_map(uint64_t message_memory, uint64_t group_memory, section_map *map);

/* Differs wherever a build would read the segment otherwise. */
uint64_t layout_signature(void);

#endif

/*
 * pages.h: the memory of a section: 4 KiB pages, chains of them, and pages split
 * into blocks of 48, 64, 128, ... 2048 bytes.
 *
 * Pages have no order: a chain takes whichever are free, so that what fits in the
 * free pages is never refused for being scattered. The file behind the segment is
 * full of holes; pages get real memory in extents, before they are touched, so
 * that a full file system is an error here and not a SIGBUS later.
 *
 * All functions run inside a transaction. Those on pages take the memory lock
 * themselves; a heap is guarded by what its owner says (messages: memory lock;
 * tables: the mailbox's).
 */
#ifndef ASHM_PAGES_H
#define ASHM_PAGES_H

#include "tx.h"

/* Pages below this have memory. Relaxed: a reference to a page was published under
 * a lock after `ready` had been raised. */
static inline uint32_t
section_ready(const ashm *a, enum section section)
{
    uint32_t ready =
        atomic_load_explicit(&a->header->arenas[section].ready, memory_order_relaxed);
    uint32_t count = a->map.section[section].count;

    return ready < count ? ready : count;
}

/* The record of a page; the scratch page if it is out of bounds. */
static inline page_shm *
page_record(tx *t, enum section section, uint32_t page)
{
    const ashm *a = t->party.a;

    if (ASHM_UNLIKELY(page == 0 || page >= section_ready(a, section))) {
        return tx_scratch(t);
    }
    return (page_shm *)(a->base + a->map.section[section].records) + page;
}

/* Do `size` bytes from `at` on lie in the section, in pages that have memory? Page 0 is
 * nobody's. */
static inline bool
section_holds(const ashm *a, enum section section, uint64_t at, uint64_t size)
{
    uint64_t high = (uint64_t)section_ready(a, section) * PAGE_SIZE_SHM;

    return at >= PAGE_SIZE_SHM && size <= high && at <= high - size;
}

/* `size` bytes at a reference. They must lie in the section, in pages that have
 * memory; that they lie in one block is the caller's knowledge. */
static inline void *
section_at(tx *t, enum section section, uint32_t reference, uint64_t size)
{
    const ashm *a = t->party.a;
    uint64_t at = (uint64_t)reference * UNIT;

    if (ASHM_UNLIKELY(!section_holds(a, section, at, size)) && !SABOTAGE(NO_BOUNDS)) {
        return tx_scratch(t);
    }
    return a->base + a->map.section[section].pages + at;
}

static inline uint32_t
page_reference(uint32_t page)
{
    return page * UNITS_PER_PAGE;
}

/* A chain of n pages, linked by page_next(); 0 and t->shortage if there are not
 * so many. Contents are undefined. */
uint32_t pages_take(tx *t, enum section section, uint32_t n);
void pages_give(tx *t, enum section section, uint32_t first);

static inline uint32_t
page_next(tx *t, enum section section, uint32_t page)
{
    return page_record(t, section, page)->next;
}

/* What there is in a page that is split into blocks of a class. */
typedef struct block_class {
    uint32_t size;
    uint32_t free[FREE_WORDS]; /* as a page has it whose blocks are all free */
} block_class;

extern const block_class block_classes[BLOCK_CLASSES];

/* The class of the smallest blocks that hold `size` bytes. */
static inline uint32_t
block_class_for(uint32_t size)
{
    return size <= BLOCK_MIN ? 0 : 1 + log2_up(size) - log2_up(64);
}

/* Is a block free of a page that is split? */
static inline bool
page_has_free(const page_shm *record)
{
    return (record->free[0] | record->free[1] | record->free[2]) != 0;
}

/* A reference to a block of at least `size` bytes (at most BLOCK_MAX); 0 and
 * t->shortage if there is none. */
uint32_t block_take(tx *t, enum section section, heap_shm *heap, uint32_t size);
void block_give(tx *t, enum section section, heap_shm *heap, uint32_t reference);

/* Give back the pages that block_give() has kept although they are empty. */
void heap_trim(tx *t, enum section section, heap_shm *heap);

/* Make sure that the file has memory for a range of the segment. */
int segment_allocate(ashm *a, uint64_t offset, uint64_t length);

#endif

/* pages.c: see pages.h. */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { EXTENT = 64 }; /* pages that get memory at once: 256 KiB */

int
segment_allocate(ashm *a, uint64_t offset, uint64_t length)
{
    int fd, rc;

    if ((rc = handle_fd(a, &fd)) != 0) {
        return rc;
    }
    do {
        rc = posix_fallocate(fd, (off_t)offset, (off_t)length);
    } while (rc == EINTR);
    return rc == ENOSPC || rc == ENOMEM ? ASHM_SHM_FULL : rc;
}

/* Raise `ready` to at least `want`. Outside the transaction: memory that is there
 * although nobody came to use it does no harm. */
static bool
extend(tx *t, enum section section, uint32_t want)
{
    ashm *a = t->party.a;
    arena_shm *arena = &a->header->arenas[section];
    uint32_t count = a->map.section[section].count;
    uint32_t from = section_ready(a, section);
    uint32_t to = (uint32_t)round_up(want, EXTENT);
    int rc;

    if (to > count) {
        to = count;
    }
    if (from >= to) { /* beyond the section: the caller has counted wrongly, or it is damaged */
        tx_fault(t, ASHM_CORRUPT);
        return false;
    }
    rc = segment_allocate(a, a->map.section[section].records + from * sizeof(page_shm),
                          (to - from) * sizeof(page_shm));
    if (rc == 0) {
        rc = segment_allocate(a, a->map.section[section].pages + (uint64_t)from * PAGE_SIZE_SHM,
                              (uint64_t)(to - from) * PAGE_SIZE_SHM);
    }
    if (rc != 0) {
        t->shortage = rc;
        return false;
    }
    atomic_store_explicit(&arena->ready, to, memory_order_release);
    return true;
}

static int
section_shortage(enum section section)
{
    return section == MESSAGES ? ASHM_MESSAGES_FULL : ASHM_TABLES_FULL;
}

/* Link `n` pages that were never taken; nothing refers to them yet: no log. */
static void
link_fresh(tx *t, enum section section, uint32_t first, uint32_t n, uint32_t after)
{
    for (uint32_t i = 0; i < n; i++) {
        page_shm *page = page_record(t, section, first + i);

        *page = (page_shm){.next = i + 1 < n ? first + i + 1 : after};
    }
}

uint32_t
pages_take(tx *t, enum section section, uint32_t n)
{
    arena_shm *arena = &t->party.a->header->arenas[section];
    uint32_t count = t->party.a->map.section[section].count;
    uint32_t old, fresh, first, last;
    page_shm *head;

    ASHM_DEBUG_CHECK(!t->freed);
    if (!tx_memory(t)) {
        return 0;
    }
    if (arena->used > count || arena->free_count > arena->used) {
        tx_fault(t, ASHM_CORRUPT);
        return 0;
    }
    old = n < arena->free_count ? n : arena->free_count;
    fresh = n - old;
    if (fresh > count - arena->used) {
        t->shortage = section_shortage(section);
        return 0;
    }
    if (fresh > 0 && arena->used + fresh > section_ready(t->party.a, section) &&
        !extend(t, section, arena->used + fresh)) {
        return 0;
    }
    /* The fresh ones first, then `old` ones, which are linked already. */
    first = fresh > 0 ? arena->used : arena->free_head;
    last = first + fresh - 1;
    if (fresh > 0) {
        link_fresh(t, section, first, fresh, old > 0 ? arena->free_head : 0);
        tx_set32(t, &arena->used, arena->used + fresh);
    }
    if (old > 0) {
        last = arena->free_head;
        for (uint32_t i = 1; i < old; i++) {
            last = page_next(t, section, last);
        }
        tx_set32(t, &arena->free_head, page_next(t, section, last));
        tx_set32(t, &arena->free_count, arena->free_count - old);
        tx_set32(t, &page_record(t, section, last)->next, 0);
    }
    head = page_record(t, section, first);
    tx_set32(t, &head->free[0], n);
    tx_set32(t, &head->prev, last);
    tx_set32(t, &head->class, 0);
    return first;
}

void
pages_give(tx *t, enum section section, uint32_t first)
{
    arena_shm *arena = &t->party.a->header->arenas[section];
    page_shm *head = page_record(t, section, first);
    uint32_t n = head->free[0];
    uint32_t last = head->prev;

    if (!tx_memory(t)) {
        return;
    }
    if (first == 0 || head->class != 0 || n == 0 || n > arena->used) {
        tx_fault(t, ASHM_CORRUPT);
        return;
    }
    t->freed = true;
    tx_set32(t, &page_record(t, section, last)->next, arena->free_head);
    tx_set32(t, &arena->free_head, first);
    tx_set32(t, &arena->free_count, arena->free_count + n);
}

/* ---- blocks ---- */

/* 48 bytes are there for memberships. */
const block_class block_classes[BLOCK_CLASSES] = {
    {48, {UINT32_MAX, UINT32_MAX, 0x1fffff}},
    {64, {UINT32_MAX, UINT32_MAX}},
    {128, {UINT32_MAX}},
    {256, {0xffff}},
    {512, {0xff}},
    {1024, {0xf}},
    {2048, {0x3}},
};

static bool
page_is_empty(const page_shm *record, const block_class *blocks)
{
    return memcmp(record->free, blocks->free, sizeof record->free) == 0;
}

/* Of a page that has one. Each word is read once: in a damaged segment it may change. */
static uint32_t
first_free(const page_shm *record)
{
    uint32_t i = 0, word = record->free[0];

    while (word == 0 && i < 2) {
        word = record->free[++i];
    }
    return i * 32 + (word != 0 ? (uint32_t)__builtin_ctz(word) : 0);
}

/* A bit of the words that say which blocks are free. */
static bool
block_bit(const uint32_t *free, uint32_t block)
{
    return (free[block / 32] >> block % 32 & 1) != 0;
}

static void
block_flip(tx *t, page_shm *record, uint32_t block)
{
    uint32_t *word = &record->free[block / 32];

    tx_set32(t, word, *word ^ 1u << block % 32);
}

static void
list_push(tx *t, enum section section, uint32_t *list, uint32_t page)
{
    page_shm *record = page_record(t, section, page);

    if (*list != 0) {
        tx_set32(t, &page_record(t, section, *list)->prev, page);
    }
    tx_set32(t, &record->next, *list);
    tx_set32(t, &record->prev, 0);
    tx_set32(t, list, page);
}

static void
list_remove(tx *t, enum section section, uint32_t *list, uint32_t page)
{
    page_shm *record = page_record(t, section, page);

    if (record->prev != 0) {
        tx_set32(t, &page_record(t, section, record->prev)->next, record->next);
    } else {
        tx_set32(t, list, record->next);
    }
    if (record->next != 0) {
        tx_set32(t, &page_record(t, section, record->next)->prev, record->prev);
    }
}

static uint32_t
split_page(tx *t, enum section section, heap_shm *heap, uint32_t class)
{
    uint32_t page = pages_take(t, section, 1);
    page_shm *record;

    if (page != 0) {
        record = page_record(t, section, page);
        tx_set32(t, &record->class, class + 1);
        for (int i = 0; i < FREE_WORDS; i++) {
            tx_set32(t, &record->free[i], block_classes[class].free[i]);
        }
        list_push(t, section, &heap->partial[class], page);
    }
    return page;
}

uint32_t
block_take(tx *t, enum section section, heap_shm *heap, uint32_t size)
{
    uint32_t class = block_class_for(size);
    const block_class *blocks;
    uint32_t page, block;
    page_shm *record;

    ASHM_CHECK(class < BLOCK_CLASSES);
    ASHM_DEBUG_CHECK(!t->freed);
    blocks = &block_classes[class];
    page = heap->partial[class];
    if (page == 0 && (page = split_page(t, section, heap, class)) == 0) {
        return 0;
    }
    record = page_record(t, section, page);
    if (!page_has_free(record) || record->class != class + 1) {
        tx_fault(t, ASHM_CORRUPT);
        return 0;
    }
    block = first_free(record);
    if (!block_bit(blocks->free, block)) {
        tx_fault(t, ASHM_CORRUPT); /* the page has not so many */
        return 0;
    }
    block_flip(t, record, block);
    if (!page_has_free(record)) {
        list_remove(t, section, &heap->partial[class], page);
    }
    return page_reference(page) + block * (blocks->size / UNIT);
}

static void
give_split_page(tx *t, enum section section, heap_shm *heap, uint32_t page)
{
    page_shm *record = page_record(t, section, page);

    if (record->class - 1 >= BLOCK_CLASSES) {
        tx_fault(t, ASHM_CORRUPT);
        return;
    }
    list_remove(t, section, &heap->partial[record->class - 1], page);
    tx_set32(t, &record->class, 0);
    tx_set32(t, &record->free[0], 1);
    tx_set32(t, &record->prev, page);
    pages_give(t, section, page);
}

void
block_give(tx *t, enum section section, heap_shm *heap, uint32_t reference)
{
    uint32_t page = reference / UNITS_PER_PAGE;
    page_shm *record = page_record(t, section, page);
    uint32_t class = record->class - 1;
    const block_class *blocks;
    uint32_t units, block;

    if (class >= BLOCK_CLASSES) {
        tx_fault(t, ASHM_CORRUPT);
        return;
    }
    blocks = &block_classes[class];
    units = blocks->size / UNIT;
    block = reference % UNITS_PER_PAGE / units;
    if (reference % UNITS_PER_PAGE % units != 0 || !block_bit(blocks->free, block) ||
        block_bit(record->free, block)) {
        tx_fault(t, ASHM_CORRUPT); /* no block, or freed twice */
        return;
    }
    t->freed = true;
    if (!page_has_free(record)) {
        list_push(t, section, &heap->partial[class], page);
    }
    block_flip(t, record, block);
    /* The last page of a class stays, or one message that comes and goes would
     * split and join a page each time. */
    if (page_is_empty(record, blocks) && (record->next != 0 || record->prev != 0)) {
        give_split_page(t, section, heap, page);
    }
}

void
heap_trim(tx *t, enum section section, heap_shm *heap)
{
    for (uint32_t class = 0; class < BLOCK_CLASSES; class++) {
        uint32_t page = heap->partial[class];

        if (page != 0 && page_is_empty(page_record(t, section, page), &block_classes[class])) {
            give_split_page(t, section, heap, page);
        }
    }
}

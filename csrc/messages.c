/* messages.c: see messages.h. */
#include "messages.h"

#include <string.h>

#define BODY_OFFSET ((uint32_t)sizeof(message_shm))

static message_shm *
message_at(tx *t, uint32_t message)
{
    return section_at(t, MESSAGES, message, sizeof(message_shm));
}

/* Under the memory lock, so relaxed; without it a hint. */
static uint32_t
references(const message_shm *m)
{
    return atomic_load_explicit(&m->refs, memory_order_relaxed);
}

static uint32_t
pages_of(uint32_t length)
{
    return (uint32_t)(((uint64_t)length + BODY_OFFSET + PAGE_SIZE_SHM - 1) / PAGE_SIZE_SHM);
}

static bool
in_block(uint32_t length)
{
    return (uint64_t)length + BODY_OFFSET <= BLOCK_MAX;
}

int
message_make(tx *t, uint32_t length, uint32_t refs, uint32_t *message)
{
    heap_shm *heap = &t->party.a->header->message_heap;
    uint32_t made = 0;
    message_shm *m;
    int rc;

    if (tx_memory(t)) {
        made = in_block(length) ? block_take(t, MESSAGES, heap, length + BODY_OFFSET)
                                : page_reference(pages_take(t, MESSAGES, pages_of(length)));
    }
    if (made == 0) {
        rc = t->fault != 0 ? t->fault : t->shortage;
        tx_rollback(t);
        return rc;
    }
    m = message_at(t, made);
    m->length = length; /* no log: nothing refers to it */
    m->sent = (uint32_t)(t->now >> AGE_SHIFT);
    atomic_store_explicit(&m->refs, refs, memory_order_relaxed);
    tx_set32(t, &t->lane->held, made);
    tx_set32(t, &t->lane->held_refs, refs);
    /* Killed before: the memory is free. After: the reaper finds it in the lane. */
    if ((rc = tx_commit(t)) == 0) {
        *message = made;
    }
    return rc;
}

/* Calls `copy` for each piece of the body that lies in one page. */
static void
each_piece(tx *t, uint32_t message, uint32_t length,
           void (*copy)(void *piece, char **data, size_t size), char *data)
{
    uint32_t page = message / UNITS_PER_PAGE;
    uint32_t room;

    if (in_block(length)) {
        copy((char *)section_at(t, MESSAGES, message, length + BODY_OFFSET) + BODY_OFFSET,
             &data, length);
        return;
    }
    room = PAGE_SIZE_SHM - BODY_OFFSET;
    room = length < room ? length : room;
    copy((char *)section_at(t, MESSAGES, message, PAGE_SIZE_SHM) + BODY_OFFSET, &data, room);
    for (length -= room; length > 0 && t->fault == 0; length -= room) {
        page = page_next(t, MESSAGES, page);
        room = length < PAGE_SIZE_SHM ? length : PAGE_SIZE_SHM;
        copy(section_at(t, MESSAGES, page_reference(page), room), &data, room);
    }
}

static void
copy_in(void *piece, char **data, size_t size)
{
    memcpy(piece, *data, size);
    *data += size;
}

static void
copy_out(void *piece, char **data, size_t size)
{
    memcpy(*data, piece, size);
    *data += size;
}

void
message_write(tx *t, uint32_t message, const void *body, uint32_t length)
{
    each_piece(t, message, length, copy_in, (char *)(uintptr_t)body);
}

uint32_t
message_length(tx *t, uint32_t message)
{
    return message_at(t, message)->length;
}

uint64_t
message_age(tx *t, uint32_t message)
{
    return message_age_at(message_at(t, message), t->now);
}

bool
message_is_shared(tx *t, uint32_t message)
{
    return references(message_at(t, message)) > 1;
}

void
message_read(tx *t, uint32_t message, void *buffer, uint32_t length)
{
    each_piece(t, message, length, copy_out, buffer);
}

void
message_ref(tx *t, uint32_t message, uint32_t n)
{
    if (tx_memory(t)) {
        message_shm *m = message_at(t, message);

        tx_set_atomic32(t, &m->refs, references(m) + n);
    }
}

void
message_unref(tx *t, uint32_t message, uint32_t n)
{
    message_shm *m = message_at(t, message);
    uint32_t left;

    if (!tx_memory(t)) {
        return;
    }
    if (references(m) < n) {
        tx_fault(t, ASHM_CORRUPT);
        return;
    }
    left = references(m) - n;
    tx_set_atomic32(t, &m->refs, left);
    if (left > 0) {
        return;
    }
    if (in_block(m->length)) {
        block_give(t, MESSAGES, &t->party.a->header->message_heap, message);
    } else {
        pages_give(t, MESSAGES, message / UNITS_PER_PAGE);
    }
}

void
message_unhold(tx *t, uint32_t n)
{
    uint32_t left = t->lane->held_refs - n;

    tx_set32(t, &t->lane->held_refs, left);
    if (left == 0) {
        tx_set32(t, &t->lane->held, 0);
    }
}

void
message_hold(tx *t, uint32_t message)
{
    ASHM_DEBUG_CHECK(t->lane->held == 0);
    tx_set32(t, &t->lane->held, message);
    tx_set32(t, &t->lane->held_refs, 1);
}

int
message_drop_held(tx *t)
{
    uint32_t message = t->lane->held;
    uint32_t refs = t->lane->held_refs;

    if (message == 0) {
        return 0;
    }
    if (tx_memory(t)) {
        message_unref(t, message, refs);
        if (SABOTAGE(FREED_TWICE)) {
            (void)tx_commit(t);
            (void)tx_memory(t);
        }
        tx_set32(t, &t->lane->held_refs, 0);
        tx_set32(t, &t->lane->held, 0);
    }
    return tx_commit(t);
}

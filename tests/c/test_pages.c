/* test_pages.c: pages.h hands out pages and blocks, each once, and takes them back. */
#include "pages.h"

#include "support.h"

static arena_shm *
arena(const ashm *a)
{
    return &a->header->arenas[TABLES];
}

static uint32_t
free_pages(const ashm *a)
{
    return a->map.section[TABLES].count - arena(a)->used + arena(a)->free_count;
}

static uint32_t
take_chain(tx *t, uint32_t n)
{
    uint32_t first = pages_take(t, TABLES, n);

    OK(tx_commit(t));
    return first;
}

static void
give_chain(tx *t, uint32_t first)
{
    pages_give(t, TABLES, first);
    OK(tx_commit(t));
}

static uint32_t
chain_length(tx *t, uint32_t page)
{
    uint32_t n = 0;

    for (; page != 0 && n < 1000; page = page_next(t, TABLES, page)) {
        n++;
    }
    return n;
}

static heap_shm *
heap(const tx *t)
{
    return &t->mailbox->heap;
}

static uint32_t
take_block(tx *t, uint32_t size)
{
    uint32_t block = block_take(t, TABLES, heap(t), size);

    OK(tx_commit(t));
    return block;
}

static void
give_block(tx *t, uint32_t block)
{
    block_give(t, TABLES, heap(t), block);
    OK(tx_commit(t));
}

/* ---- pages ---- */

static void
test_a_chain_has_as_many_pages_as_asked_for(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t before = free_pages(a);
    tx t;

    mailbox_hold(a, &t, 0);
    for (uint32_t n = 1; n <= 9; n += 4) {
        uint32_t first = take_chain(&t, n);

        EXPECT(first != 0);
        EXPECT_EQ(chain_length(&t, first), n);
        EXPECT_EQ(free_pages(a), before - n);
        give_chain(&t, first);
        EXPECT_EQ(free_pages(a), before);
    }
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_chain_takes_whichever_pages_are_free(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t one[20], all, n;
    tx t;

    mailbox_hold(a, &t, 0);
    for (int i = 0; i < 20; i++) {
        one[i] = take_chain(&t, 1);
    }
    for (int i = 0; i < 20; i += 2) { /* every other one: no two are neighbours */
        give_chain(&t, one[i]);
    }
    n = free_pages(a);
    EXPECT((all = take_chain(&t, n)) != 0);
    EXPECT_EQ(chain_length(&t, all), n);
    EXPECT_EQ(free_pages(a), 0);
    give_chain(&t, all);
    for (int i = 1; i < 20; i += 2) {
        give_chain(&t, one[i]);
    }
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_too_few_pages_is_a_shortage_and_takes_none(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t n;
    tx t;

    mailbox_hold(a, &t, 0);
    n = free_pages(a);
    EXPECT_EQ(pages_take(&t, TABLES, n + 1), 0);
    EXPECT_EQ(t.shortage, ASHM_TABLES_FULL);
    EXPECT_EQ(pages_take(&t, MESSAGES, a->map.section[MESSAGES].count), 0);
    EXPECT_EQ(t.shortage, ASHM_MESSAGES_FULL);
    OK(tx_commit(&t));
    EXPECT_EQ(free_pages(a), n);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_rollback_gives_pages_back(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t first, before, head;
    tx t;

    mailbox_hold(a, &t, 0);
    give_chain(&t, take_chain(&t, 3));
    before = free_pages(a);
    head = arena(a)->free_head;
    EXPECT(pages_take(&t, TABLES, 5) != 0); /* three that were used, two fresh ones */
    tx_rollback(&t);
    EXPECT_EQ(free_pages(a), before);
    EXPECT_EQ(arena(a)->free_head, head);
    first = take_chain(&t, 2);
    pages_give(&t, TABLES, first);
    tx_rollback(&t);
    EXPECT_EQ(free_pages(a), before - 2);
    EXPECT_EQ(chain_length(&t, first), 2);
    give_chain(&t, first);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_pages_get_memory_before_they_are_handed_out(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t first;
    tx t;

    EXPECT_EQ(section_ready(a, TABLES), 0);
    mailbox_hold(a, &t, 0);
    first = take_chain(&t, 1);
    EXPECT(section_ready(a, TABLES) > first);
    EXPECT(section_ready(a, TABLES) < a->map.section[TABLES].count); /* not all at once */
    give_chain(&t, first);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_chain_that_is_none_is_not_taken_back(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t block;
    tx t;

    mailbox_hold(a, &t, 0);
    block = take_block(&t, 64);
    pages_give(&t, TABLES, block / UNITS_PER_PAGE); /* a split page */
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    pages_give(&t, TABLES, 0);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    pages_give(&t, TABLES, a->map.section[TABLES].count);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    give_block(&t, block);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

/* ---- references ---- */

static void
test_references_are_checked_against_what_has_memory(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t block, ready;
    tx t;

    mailbox_hold(a, &t, 0);
    block = take_block(&t, 128);
    EXPECT(section_at(&t, TABLES, block, 128) ==
           a->base + a->map.section[TABLES].pages + (uint64_t)block * UNIT);
    OK(tx_commit(&t));
    ready = section_ready(a, TABLES) * UNITS_PER_PAGE;
    EXPECT(section_at(&t, TABLES, 0, 1) == t.scratch);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    EXPECT(section_at(&t, TABLES, ready, 1) == t.scratch);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    EXPECT(section_at(&t, TABLES, ready - 1, UNIT + 1) == t.scratch);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    EXPECT(section_at(&t, TABLES, UINT32_MAX, 64) == t.scratch);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    give_block(&t, block);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_references_reach_the_end_of_the_largest_section(void)
{
    const uint64_t most = UINT64_C(63) << 30; /* MEMORY_MAX of config.py */
    const uint64_t pages = PAGES_MAX - 1;     /* page 0 is nobody's */
    section_map map;

    OK(layout_map(most, most, &map));
    OK(layout_map(pages * PAGE_SIZE_SHM, MIB, &map));
    EXPECT_EQ(map.section[MESSAGES].count, PAGES_MAX);
    EXPECT_EQ(page_reference(PAGES_MAX - 1) / UNITS_PER_PAGE, PAGES_MAX - 1);
    EXPECT_EQ((uint64_t)page_reference(PAGES_MAX), (uint64_t)PAGES_MAX * UNITS_PER_PAGE);
    EXPECT_EQ(layout_map((pages + 1) * PAGE_SIZE_SHM, MIB, &map), ASHM_BAD_ARGUMENT);
    EXPECT_EQ(layout_map(MIB, (pages + 1) * PAGE_SIZE_SHM, &map), ASHM_BAD_ARGUMENT);
}

/* ---- blocks ---- */

static void
test_blocks_of_each_size_lie_apart(void)
{
    static const uint32_t sizes[] = {1, 48, 49, 64, 65, 128, 129, 500, 512, 1024, 1025, 2048};
    enum { SIZES = sizeof sizes / sizeof sizes[0], EACH = 90 };
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t blocks[SIZES][EACH];
    tx t;

    mailbox_hold(a, &t, 0);
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < EACH; j++) {
            EXPECT((blocks[i][j] = take_block(&t, sizes[i])) != 0);
            memset(section_at(&t, TABLES, blocks[i][j], sizes[i]), i * EACH + j, sizes[i]);
        }
    }
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < EACH; j++) {
            const unsigned char *bytes = section_at(&t, TABLES, blocks[i][j], sizes[i]);

            for (uint32_t k = 0; k < sizes[i]; k++) {
                EXPECT_EQ(bytes[k], (i * EACH + j) & 0xff);
            }
            give_block(&t, blocks[i][j]);
        }
    }
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_an_empty_page_goes_back_unless_it_is_the_last_of_its_class(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t before = free_pages(a);
    uint32_t blocks[4];
    tx t;

    mailbox_hold(a, &t, 0);
    for (int i = 0; i < 4; i++) {
        blocks[i] = take_block(&t, 2048); /* two to a page */
    }
    EXPECT_EQ(free_pages(a), before - 2);
    for (int i = 0; i < 4; i++) {
        give_block(&t, blocks[i]);
    }
    EXPECT_EQ(free_pages(a), before - 1);
    blocks[0] = take_block(&t, 2048);
    EXPECT_EQ(free_pages(a), before - 1);
    give_block(&t, blocks[0]);
    heap_trim(&t, TABLES, heap(&t));
    OK(tx_commit(&t));
    EXPECT_EQ(free_pages(a), before);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_what_is_freed_twice_is_found(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t block, other;
    tx t;

    mailbox_hold(a, &t, 0);
    block = take_block(&t, 100);
    other = take_block(&t, 100);
    give_block(&t, block);
    block_give(&t, TABLES, heap(&t), block);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    block_give(&t, TABLES, heap(&t), other + 1); /* inside a block */
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    block_give(&t, TABLES, heap(&t), 0);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    give_block(&t, other);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_blocks_that_a_page_does_not_have_are_not_handed_out(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    page_shm *page;
    uint32_t block;
    tx t;

    mailbox_hold(a, &t, 0);
    block = take_block(&t, 1024);
    page = page_record(&t, TABLES, block / UNITS_PER_PAGE);
    for (int i = 0; i < FREE_WORDS; i++) {
        uint32_t right = page->free[i];

        page->free[0] &= ~UINT32_C(15); /* its four are in use */
        page->free[i] |= 16;
        EXPECT_EQ(block_take(&t, TABLES, heap(&t), 1024), 0);
        EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
        page->free[i] = right;
        page->free[0] = 14;
    }
    give_block(&t, block);
    heap_trim(&t, TABLES, heap(&t));
    OK(tx_commit(&t));
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_rollback_takes_a_block_back(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t block;
    tx t;

    mailbox_hold(a, &t, 0);
    block = take_block(&t, 2048);
    EXPECT(block_take(&t, TABLES, heap(&t), 2048) != 0); /* which fills the page */
    tx_rollback(&t);
    block_give(&t, TABLES, heap(&t), block);
    tx_rollback(&t);
    give_block(&t, block);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

/* Memberships: more to a page than a word has bits. */
static void
test_a_page_holds_85_blocks_of_48_bytes(void)
{
    enum { EACH = 85 };
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t before = free_pages(a);
    uint32_t blocks[EACH], more, page;
    tx t;

    mailbox_hold(a, &t, 0);
    for (int i = 0; i < EACH; i++) {
        blocks[i] = take_block(&t, sizeof(member_shm));
        page = page_reference(blocks[i] / UNITS_PER_PAGE);
        EXPECT_EQ((blocks[i] - page) * UNIT, i * 48);
    }
    EXPECT_EQ(free_pages(a), before - 1);
    EXPECT_EQ(heap(&t)->partial[0], 0); /* full */
    more = take_block(&t, sizeof(member_shm));
    EXPECT_EQ(free_pages(a), before - 2);
    give_block(&t, more);
    block_give(&t, TABLES, heap(&t), blocks[EACH - 1]);
    tx_rollback(&t);
    block_give(&t, TABLES, heap(&t), blocks[EACH - 1]);
    OK(tx_commit(&t));
    EXPECT_EQ(block_take(&t, TABLES, heap(&t), sizeof(member_shm)), blocks[EACH - 1]);
    tx_rollback(&t);
    EXPECT_EQ(take_block(&t, sizeof(member_shm)), blocks[EACH - 1]);
    for (int i = 0; i < EACH; i += 12) { /* some of each word: they come again */
        give_block(&t, blocks[i]);
        block_give(&t, TABLES, heap(&t), blocks[i]);
        EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
        EXPECT_EQ(take_block(&t, sizeof(member_shm)), blocks[i]);
    }
    block_give(&t, TABLES, heap(&t), page + UNITS_PER_PAGE - 1); /* what is left of the page */
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    for (int i = 0; i < EACH; i++) {
        give_block(&t, blocks[i]);
    }
    EXPECT_EQ(free_pages(a), before - 1);
    heap_trim(&t, TABLES, heap(&t));
    OK(tx_commit(&t));
    EXPECT_EQ(free_pages(a), before);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

/* The words of a page that was split otherwise say nothing of it. */
static void
test_a_page_may_be_split_again_into_others(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t page = 0;
    tx t;

    mailbox_hold(a, &t, 0);
    for (int class = 0; class < 2 * BLOCK_CLASSES; class++) {
        uint32_t size = block_classes[class % BLOCK_CLASSES].size;
        uint32_t block = take_block(&t, size);

        EXPECT(page == 0 || page == block / UNITS_PER_PAGE);
        page = block / UNITS_PER_PAGE;
        for (int i = 1; i < (int)(PAGE_SIZE_SHM / size); i++) {
            EXPECT_EQ(take_block(&t, size), block + (uint32_t)i * (size / UNIT));
        }
        EXPECT_EQ(heap(&t)->partial[class % BLOCK_CLASSES], 0);
        for (int i = 0; i < (int)(PAGE_SIZE_SHM / size); i++) {
            give_block(&t, block + (uint32_t)i * (size / UNIT));
        }
        heap_trim(&t, TABLES, heap(&t));
        OK(tx_commit(&t));
    }
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_a_chain_has_as_many_pages_as_asked_for);
    RUN(test_a_chain_takes_whichever_pages_are_free);
    RUN(test_too_few_pages_is_a_shortage_and_takes_none);
    RUN(test_a_rollback_gives_pages_back);
    RUN(test_pages_get_memory_before_they_are_handed_out);
    RUN(test_a_chain_that_is_none_is_not_taken_back);
    RUN(test_references_are_checked_against_what_has_memory);
    RUN(test_references_reach_the_end_of_the_largest_section);
    RUN(test_blocks_of_each_size_lie_apart);
    RUN(test_an_empty_page_goes_back_unless_it_is_the_last_of_its_class);
    RUN(test_what_is_freed_twice_is_found);
    RUN(test_blocks_that_a_page_does_not_have_are_not_handed_out);
    RUN(test_a_rollback_takes_a_block_back);
    RUN(test_a_page_holds_85_blocks_of_48_bytes);
    RUN(test_a_page_may_be_split_again_into_others);
    return tests_end();
}

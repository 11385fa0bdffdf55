/* test_tx.c: a transaction's stores are all kept or all undone. */
#include "tx.h"

#include "support.h"

/* Words of the segment to store to: cells of a broadcast ring, which nobody uses here. */
static uint64_t *
words(const ashm *a)
{
    return (uint64_t *)(void *)handle_mailbox(a, 0)->ring;
}

static void
clear_words(const ashm *a)
{
    memset(words(a), 0, sizeof handle_mailbox(a, 0)->ring);
}

static void
test_a_commit_keeps_the_stores(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    mailbox_hold(a, &t, 0);
    tx_set64(&t, &words(a)[0], 1);
    tx_set32(&t, (uint32_t *)&words(a)[1], 2);
    OK(tx_commit(&t));
    EXPECT_EQ(words(a)[0], 1);
    EXPECT_EQ(words(a)[1], 2);
    EXPECT_EQ(t.lane->count, 0);
    mailbox_let_go(&t);
    clear_words(a);
    fixture_end(&s, a);
}

static void
test_a_rollback_undoes_them_last_store_first(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    words(a)[0] = UINT64_C(0x1122334455667788);
    mailbox_hold(a, &t, 0);
    for (uint64_t i = 0; i < 10; i++) {
        tx_set64(&t, &words(a)[0], i);
    }
    tx_set32(&t, (uint32_t *)&words(a)[0] + 1, 7); /* the upper half alone */
    tx_set_atomic32(&t, (atomic_u32 *)&words(a)[1], 9);
    EXPECT_EQ(t.lane->count, 12);
    tx_rollback(&t);
    EXPECT_EQ(words(a)[0], 0x1122334455667788);
    EXPECT_EQ(words(a)[1], 0);
    EXPECT_EQ(t.lane->count, 0);
    mailbox_let_go(&t);
    clear_words(a);
    fixture_end(&s, a);
}

static void
test_a_fault_undoes_at_the_commit_and_is_told_once(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    mailbox_hold(a, &t, 0);
    tx_set64(&t, &words(a)[0], 1);
    tx_fault(&t, ASHM_CORRUPT);
    tx_fault(&t, ASHM_BUSY); /* the first counts */
    tx_set64(&t, &words(a)[1], 2);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    EXPECT_EQ(words(a)[0], 0);
    EXPECT_EQ(words(a)[1], 0);
    OK(tx_commit(&t));
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_reference_out_of_bounds_leads_to_the_scratch_page(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t *scratch;
    tx t;

    mailbox_hold(a, &t, 0);
    scratch = tx_scratch(&t);
    tx_set32(&t, scratch, 5);
    EXPECT_EQ(*scratch, 0);          /* not shared, so neither logged nor stored */
    EXPECT_EQ(t.lane->count, 0);
    *scratch = 6;
    EXPECT(tx_scratch(&t) == scratch && *scratch == 0);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_full_log_stores_no_more_and_fails(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    mailbox_hold(a, &t, 0);
    for (uint32_t i = 0; i < LOG_ENTRIES; i++) {
        EXPECT_EQ(tx_room(&t), LOG_ENTRIES - i);
        tx_set64(&t, &words(a)[i % 100], i + 1);
    }
    EXPECT_EQ(tx_room(&t), 0);
    tx_set64(&t, &words(a)[100], 1);
    EXPECT_EQ(words(a)[100], 0);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(words(a)[i], 0);
    }
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_the_log_is_written_before_the_store(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    words(a)[3] = 5;
    mailbox_hold(a, &t, 0);
    tx_set64(&t, &words(a)[3], 6);
    tx_set32(&t, (uint32_t *)&words(a)[4], 7);
    EXPECT_EQ(t.lane->log[0].where, (uint64_t)((char *)&words(a)[3] - a->base) << 1 | 1);
    EXPECT_EQ(t.lane->log[0].old, 5);
    EXPECT_EQ(t.lane->log[1].where, (uint64_t)((char *)&words(a)[4] - a->base) << 1);
    EXPECT_EQ(t.lane->log[1].old, 0);
    tx_rollback(&t);
    words(a)[3] = 0;
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_undoing_twice_is_undoing_once(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    mailbox_hold(a, &t, 0);
    tx_set64(&t, &words(a)[0], 1);
    tx_set64(&t, &words(a)[0], 2);
    uint32_t count = t.lane->count;

    OK(tx_undo(a, t.lane));
    t.lane->count = count; /* as if the first had been killed before its end */
    OK(tx_undo(a, t.lane));
    EXPECT_EQ(words(a)[0], 0);
    tx_rollback(&t);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_log_that_makes_no_sense_is_refused(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    lane_shm *lane = &handle_slot(a, a->own->slot)->lanes[3];

    lane->count = LOG_ENTRIES + 1;
    EXPECT_EQ(tx_undo(a, lane), ASHM_CORRUPT);
    lane->count = 1;
    lane->log[0] = (undo_shm){.where = a->map.size << 1 | 1};
    EXPECT_EQ(tx_undo(a, lane), ASHM_CORRUPT);
    lane->log[0] = (undo_shm){.where = (a->map.size - 4) << 1 | 1}; /* half of it outside */
    EXPECT_EQ(tx_undo(a, lane), ASHM_CORRUPT);
    lane->log[0] = (undo_shm){.where = 4 << 1 | 1}; /* 8 bytes, aligned to 4 */
    EXPECT_EQ(tx_undo(a, lane), ASHM_CORRUPT);
    lane->log[0] = (undo_shm){.where = UINT64_MAX};
    EXPECT_EQ(tx_undo(a, lane), ASHM_CORRUPT);
    lane->count = 0;
    fixture_end(&s, a);
}

static void
test_a_commit_lets_the_memory_lock_go_and_keeps_the_mailbox(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    mailbox_hold(a, &t, 0);
    EXPECT(tx_memory(&t) && tx_memory(&t));
    EXPECT_EQ(a->header->memory_lock.word, t.party.owner);
    OK(tx_commit(&t));
    EXPECT_EQ(a->header->memory_lock.word, 0);
    EXPECT_EQ(handle_mailbox(a, 0)->lock.word, t.party.owner);
    EXPECT(tx_memory(&t));
    tx_rollback(&t);
    EXPECT_EQ(a->header->memory_lock.word, 0);
    mailbox_let_go(&t);
    EXPECT_EQ(handle_mailbox(a, 0)->lock.word, 0);
    fixture_end(&s, a);
}

static void
test_each_operation_under_way_has_a_lane_of_its_own(void)
{
    segment s;
    ashm *a;
    tx t[LANES], one_more;

    segment_make(&s);
    s.options.lock_wait_ns = NS_PER_MS;
    a = segment_open(&s);
    for (int i = 0; i < LANES; i++) {
        OK(tx_open(a, &t[i]));
        for (int j = 0; j < i; j++) {
            EXPECT(t[i].lane != t[j].lane && t[i].party.owner != t[j].party.owner);
        }
    }
    EXPECT_EQ(tx_open(a, &one_more), ASHM_BUSY);
    tx_close(&t[1]);
    OK(tx_open(a, &one_more));
    EXPECT(one_more.lane == t[1].lane);
    tx_close(&one_more);
    tx_close(&t[0]);
    tx_close(&t[2]);
    tx_close(&t[3]);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_a_commit_keeps_the_stores);
    RUN(test_a_rollback_undoes_them_last_store_first);
    RUN(test_a_fault_undoes_at_the_commit_and_is_told_once);
    RUN(test_a_reference_out_of_bounds_leads_to_the_scratch_page);
    RUN(test_a_full_log_stores_no_more_and_fails);
    RUN(test_the_log_is_written_before_the_store);
    RUN(test_undoing_twice_is_undoing_once);
    RUN(test_a_log_that_makes_no_sense_is_refused);
    RUN(test_a_commit_lets_the_memory_lock_go_and_keeps_the_mailbox);
    RUN(test_each_operation_under_way_has_a_lane_of_its_own);
    return tests_end();
}

/* test_messages.c: bodies come out as they went in, and their memory comes back with the last
 * reference. */
#include "messages.h"

#include "support.h"

static char written[MIB], found[MIB];

static uint32_t
make(tx *t, uint32_t length, uint32_t refs)
{
    uint32_t message;

    for (uint32_t i = 0; i < length; i++) {
        written[i] = (char)(i * 7 + length);
    }
    OK(message_make(t, length, refs, &message));
    message_write(t, message, written, length);
    return message;
}

static void
expect_body(tx *t, uint32_t message, uint32_t length)
{
    EXPECT_EQ(message_length(t, message), length);
    memset(found, 0, length);
    message_read(t, message, found, length);
    EXPECT(memcmp(found, written, length) == 0);
    EXPECT_EQ(t->fault, 0);
}

static void
test_bodies_of_all_sizes(void)
{
    static const uint32_t lengths[] = {0,    1,    52,   53,   116,  117,  2036,   2037,
                                       4083, 4084, 4085, 8179, 8180, 8181, 100000, 1000000};
    segment s;
    ashm *a = fixture_begin(&s);
    tx t;

    lane_open(a, &t);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        expect_body(&t, make(&t, lengths[i], 1), lengths[i]);
        OK(message_drop_held(&t));
        EXPECT_EQ(t.lane->held, 0);
    }
    tx_close(&t);
    OK(ashm_sweep(a));
    EXPECT_EQ(info_of(a).message_used, 0);
    fixture_end(&s, a);
}

static void
test_the_lane_holds_what_was_made(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t message;
    tx t;

    lane_open(a, &t);
    message = make(&t, 100, 3);
    EXPECT_EQ(t.lane->held, message);
    EXPECT_EQ(t.lane->held_refs, 3);
    EXPECT(tx_memory(&t));
    message_unhold(&t, 2);
    EXPECT_EQ(t.lane->held_refs, 1);
    EXPECT_EQ(t.lane->held, message);
    tx_rollback(&t);
    EXPECT_EQ(t.lane->held_refs, 3);
    OK(message_drop_held(&t));
    tx_close(&t);
    fixture_end(&s, a);
}

static void
test_memory_comes_back_with_the_last_reference(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t message;
    uint64_t used;
    tx t;

    lane_open(a, &t);
    message = make(&t, 10000, 1);
    message_ref(&t, message, 2);
    OK(tx_commit(&t));
    used = a->header->arenas[MESSAGES].free_count;
    OK(message_drop_held(&t));
    message_unref(&t, message, 1);
    OK(tx_commit(&t));
    expect_body(&t, message, 10000);
    EXPECT_EQ(a->header->arenas[MESSAGES].free_count, used);
    message_unref(&t, message, 1);
    OK(tx_commit(&t));
    EXPECT_EQ(a->header->arenas[MESSAGES].free_count, used + 3);
    tx_close(&t);
    fixture_end(&s, a);
}

static void
test_more_references_than_there_are_cannot_be_given_back(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t message;
    tx t;

    lane_open(a, &t);
    message = make(&t, 10, 2);
    message_unref(&t, message, 3);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    OK(message_drop_held(&t));
    tx_close(&t);
    fixture_end(&s, a);
}

static void
test_without_memory_nothing_is_made(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t pages = a->map.section[MESSAGES].count - 1, message;
    tx t;

    lane_open(a, &t);
    EXPECT_EQ(message_make(&t, pages * PAGE_SIZE_SHM, 1, &message), ASHM_MESSAGES_FULL);
    EXPECT_EQ(t.lane->held, 0);
    OK(message_make(&t, pages * PAGE_SIZE_SHM - sizeof(message_shm), 1,
                    &message)); /* to the last byte */
    tx_close(&t);
    lane_open(a, &t);
    OK(message_drop_held(&t));
    tx_close(&t);
    fixture_end(&s, a);
}

static void
test_a_chain_that_ends_early_is_found(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t message, page, next;
    tx t;

    lane_open(a, &t);
    message = make(&t, 20000, 1);
    page = message / UNITS_PER_PAGE;
    next = page_record(&t, MESSAGES, page)->next;
    page_record(&t, MESSAGES, page)->next = 0;
    message_read(&t, message, found, 20000);
    EXPECT_EQ(t.fault, ASHM_CORRUPT);
    t.fault = 0;
    page_record(&t, MESSAGES, page)->next = next;
    expect_body(&t, message, 20000);
    OK(message_drop_held(&t));
    tx_close(&t);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_bodies_of_all_sizes);
    RUN(test_the_lane_holds_what_was_made);
    RUN(test_memory_comes_back_with_the_last_reference);
    RUN(test_more_references_than_there_are_cannot_be_given_back);
    RUN(test_without_memory_nothing_is_made);
    RUN(test_a_chain_that_ends_early_is_found);
    return tests_end();
}

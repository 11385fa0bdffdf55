/* test_recover.c: what a dead process had under way is undone, in every lane, and only then
 * are its locks freed. */
#include "recover.h"

#include <signal.h>

#include "support.h"
#include "tx.h"

static uint64_t *
words(const ashm *a)
{
    return (uint64_t *)(void *)handle_mailbox(a, 0)->ring;
}

/* Two operations at once, as two threads would have. */
static void
two_under_way(void *argument)
{
    ashm *a = argument;
    tx one, other;

    mailbox_hold(a, &one, 0);
    mailbox_hold(a, &other, 1);
    tx_set64(&one, &words(a)[0], 1);
    tx_set64(&other, &words(a)[1], 2);
    EXPECT(tx_memory(&other));
    tx_set64(&other, &words(a)[1], 3);
}

static void
committed_and_not(void *argument)
{
    ashm *a = argument;
    tx t;

    mailbox_hold(a, &t, 0);
    tx_set64(&t, &words(a)[0], 1);
    OK(tx_commit(&t));
    tx_set64(&t, &words(a)[1], 2);
}

/* Somebody who died in `body`, of whom `b` was the handle. */
static ashm *
die_in(const segment *s, void (*body)(void *))
{
    ashm *b;

    b = segment_open_for_child(s);
    child_kill(child_start(body, b));
    return b;
}

static void
test_every_lane_is_undone(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = die_in(&s, two_under_way);

    OK(recover_owner(a, handle_mailbox(a, 0)->lock.word));
    EXPECT_EQ(words(a)[0], 0);
    EXPECT_EQ(words(a)[1], 0);
    EXPECT_EQ(handle_mailbox(a, 0)->lock.word, 0);
    EXPECT_EQ(handle_mailbox(a, 1)->lock.word, 0);
    EXPECT_EQ(a->header->memory_lock.word, 0);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_what_was_committed_stays(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = die_in(&s, committed_and_not);

    OK(recover_owner(a, handle_mailbox(a, 0)->lock.word));
    EXPECT_EQ(words(a)[0], 1);
    EXPECT_EQ(words(a)[1], 0);
    words(a)[0] = 0;
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_the_living_are_left_alone(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b;
    pid_t child;

    b = segment_open_for_child(&s);
    child = child_start(two_under_way, b);
    EXPECT_EQ(kill(child, SIGSTOP), 0);
    OK(recover_owner(a, handle_mailbox(a, 0)->lock.word));
    EXPECT_EQ(words(a)[0], 1);
    EXPECT_EQ(words(a)[1], 3);
    EXPECT(handle_mailbox(a, 0)->lock.word != 0);
    child_kill(child);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_word_of_an_earlier_holder_is_no_reason(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = die_in(&s, two_under_way);
    uint64_t word = handle_mailbox(a, 0)->lock.word;

    OK(recover_owner(a, word + (UINT64_C(1) << 32)));
    EXPECT(handle_mailbox(a, 0)->lock.word == word);
    OK(recover_owner(a, word));
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_word_that_nobody_wrote_is_refused(void)
{
    segment s;
    ashm *a = fixture_begin(&s);

    EXPECT_EQ(recover_owner(a, lock_owner(1, ASHM_SLOTS, 0)), ASHM_CORRUPT);
    EXPECT_EQ(recover_owner(a, lock_owner(0, 0, 0)), ASHM_CORRUPT);
    EXPECT_EQ(recover_owner(a, UINT64_MAX), ASHM_CORRUPT);
    fixture_end(&s, a);
}

static void
test_a_log_beyond_use_is_told(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = die_in(&s, two_under_way);

    handle_slot(a, 1)->lanes[1].count = LOG_ENTRIES + 1;
    EXPECT_EQ(recover_owner(a, handle_mailbox(a, 0)->lock.word), ASHM_CORRUPT);
    EXPECT(handle_mailbox(a, 0)->lock.word != 0); /* nobody enters what is not whole */
    handle_slot(a, 1)->lanes[1].count = 2;
    OK(recover_owner(a, handle_mailbox(a, 0)->lock.word));
    ashm_close(b);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_every_lane_is_undone);
    RUN(test_what_was_committed_stays);
    RUN(test_the_living_are_left_alone);
    RUN(test_a_word_of_an_earlier_holder_is_no_reason);
    RUN(test_a_word_that_nobody_wrote_is_refused);
    RUN(test_a_log_beyond_use_is_told);
    return tests_end();
}

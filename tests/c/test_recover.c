/* test_recover.c: what a dead process had under way is undone, in every lane, and only then
 * are its locks freed. */
#include "recover.h"

#include <signal.h>

#include "reap.h"
#include "support.h"
#include "tx.h"

/* What happens before somebody gets the recovery lock for which he asks. */
static void (*meanwhile)(ashm *a);
static ashm *meanwhile_of;

static int
awaited_kernel_lock(const char *name, const object_id *id, uint64_t byte, uint64_t wait_ns,
                    int *fd)
{
    void (*happens)(ashm *a) = meanwhile;

    meanwhile = NULL;
    if (happens != NULL) {
        happens(meanwhile_of);
    }
    return kernel_lock(name, id, byte, wait_ns, fd);
}

#define kernel_lock awaited_kernel_lock
#include "recover.c"
#undef kernel_lock

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

/* A transaction that is under way in the slot, of whoever has it now. */
static void
begin_in_slot(ashm *a, uint32_t slot)
{
    lane_shm *lane = &handle_slot(a, slot)->lanes[0];
    uint64_t offset = (uint64_t)((char *)&words(a)[5] - a->base);

    lane->log[0] = (undo_shm){.where = offset << 1 | 1, .old = 0};
    lane->count = 1;
    words(a)[5] = 55;
}

static void
expect_it_goes_on(ashm *a, uint32_t slot)
{
    EXPECT_EQ(handle_slot(a, slot)->lanes[0].count, 1);
    EXPECT_EQ(words(a)[5], 55);
    handle_slot(a, slot)->lanes[0].count = 0;
    words(a)[5] = 0;
}

static void
test_the_log_of_a_free_slot_is_its_next_holders(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    uint64_t word = lock_owner(b->own->generation, 1, 0);

    ashm_close(b);
    begin_in_slot(a, 1);
    OK(recover_owner(a, word)); /* as read from a lock before b was reaped */
    expect_it_goes_on(a, 1);
    fixture_end(&s, a);
}

/* Another process recovers and reaps the dead one, and a third has its slot. */
static void
the_slot_changes_hands(ashm *a)
{
    slot_shm *slot = handle_slot(a, 1);

    OK(reap_slot(a, 1));
    atomic_store(&slot->generation, slot->generation + 1);
    atomic_store(&slot->state, SLOT_TAKEN);
    begin_in_slot(a, 1);
}

static void
test_who_comes_late_to_recovery_leaves_the_next_holder_alone(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = die_in(&s, two_under_way);

    meanwhile = the_slot_changes_hands;
    meanwhile_of = a;
    OK(recover_owner(a, handle_mailbox(a, 0)->lock.word));
    EXPECT(meanwhile == NULL); /* it has happened */
    expect_it_goes_on(a, 1);
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
    RUN(test_the_log_of_a_free_slot_is_its_next_holders);
    RUN(test_who_comes_late_to_recovery_leaves_the_next_holder_alone);
    RUN(test_a_word_that_nobody_wrote_is_refused);
    RUN(test_a_log_beyond_use_is_told);
    return tests_end();
}

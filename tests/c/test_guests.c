/* test_guests.c: who waits for a mailbox that somebody settles is let in meanwhile.
 *
 * There are no threads here: the guest comes when who settles lingers, which is before each
 * step and while it waits for the guest, and sets the bits of the word that who waits would
 * set. */
#include <stdio.h>

#include "linger.h"
#include "mailbox.h"
#include "support.h"

enum { MEMBERS = 3000, STEP = 128, STRETCH = 2048, LET_IN_MAX = 32768 }; /* as in mailbox.c */

static struct {
    ashm *host, *guest;
    uint64_t asks;    /* bits of the word */
    unsigned stays;   /* visits that send nothing */
    unsigned steps;   /* of the host's, before the first visit */
    unsigned visits;
    unsigned at_most; /* visits that are tried */
    bool asked, inside;
} g;

static void
visit(mailbox_shm *mailbox)
{
    EXPECT(mailbox->cursor != 0 || mailbox->broadcast_head != mailbox->broadcast_tail);
    g.inside = true;
    g.visits++;
    if (g.visits > g.stays) {
        OK(tell(g.guest, "room", "late"));
    } else {
        tx t;

        mailbox_hold(g.guest, &t, COMMONS + g.host->own->slot);
        mailbox_let_go(&t);
    }
    g.inside = false;
}

static void
come(void)
{
    mailbox_shm *mailbox;
    uint64_t word;

    if (g.host == NULL || g.inside || g.visits == g.at_most) {
        return;
    }
    mailbox = handle_mailbox(g.host, COMMONS + g.host->own->slot);
    word = load_relaxed64(&mailbox->lock.word);
    if (word == 0 && g.asked) {
        g.asked = false;
        visit(mailbox);
    } else if (word != 0) {
        g.asked = true;
        g.steps += g.visits == 0;
        EXPECT(cas_acquire64(&mailbox->lock.word, word, word | g.asks));
    }
}

static const char *
member(ashm *a, int i)
{
    static char name[ASHM_NAME_MAX + 1];
    char suffix[20];

    snprintf(suffix, sizeof suffix, "%d", i);
    return own_channel(a, suffix, name);
}

/* So many messages are sent, and then settled with the guest about. Each member gets them, and
 * then the guest's. */
static void
settle(int pending, uint64_t asks, unsigned at_most, unsigned stays)
{
    segment s;
    ashm *a, *b;
    uint64_t cookies[4];
    size_t n;

    segment_make(&s);
    s.clock = 1000 * SECOND;
    s.options.group_memory = 16 * 1024 * 1024;
    a = segment_open(&s);
    b = segment_open_sharing(&s, a);
    ashm_set_clock(b, s.clock);
    OK(tell(b, "nobody", "")); /* it sweeps, and as the clock stands does so no more */
    for (int i = 0; i < MEMBERS; i++) {
        OK(join(a, "room", member(a, i)));
    }
    for (int i = 0; i < pending; i++) {
        OK(tell(b, "room", "early"));
    }
    memset(&g, 0, sizeof g);
    g.guest = b;
    g.asks = asks;
    g.at_most = at_most;
    g.stays = stays;
    g.host = a;
    OK(ashm_ready(a, cookies, 4, &n));
    g.host = NULL;
    for (int i = 0; i < MEMBERS; i += MEMBERS / 30) {
        for (int k = 0; k < pending; k++) {
            EXPECT_TEXT(take(a, member(a, i)), "early");
        }
        for (unsigned k = stays; k < g.visits; k++) {
            EXPECT_TEXT(take(a, member(a, i)), "late");
        }
        EXPECT(take(a, member(a, i)) == NULL);
    }
    verified(a);
    segment_close_sharing(b);
    fixture_end(&s, a);
}

static void
test_who_looks_is_let_in_before_all_members_have_a_message(void)
{
    settle(1, LOCK_LOOKERS, 1, 0);
    EXPECT_EQ(g.visits, 1);
    EXPECT_EQ(g.steps, 1);
}

static void
test_who_sleeps_is_let_in_after_a_stretch(void)
{
    settle(1, LOCK_WAITERS, 1, 0);
    EXPECT_EQ(g.visits, 1);
    EXPECT_EQ(g.steps, STRETCH / STEP);
}

static void
test_nobody_is_let_in_who_does_not_wait(void)
{
    settle(1, 0, 1, 0);
    EXPECT_EQ(g.visits, 0);
}

/* Who sends on and on adds to what is settled. */
static void
test_who_sends_on_is_not_let_in_when_too_much_is_pending(void)
{
    settle(1, LOCK_LOOKERS, 1000, 0);
    EXPECT(g.visits >= BROADCASTS / 2);
    EXPECT(g.visits <= BROADCASTS / 2 + LET_IN_MAX / MEMBERS + 1);
}

static void
test_who_comes_on_is_not_let_in_for_ever(void)
{
    settle(60, LOCK_LOOKERS, 1000, 1000);
    EXPECT(g.visits >= LET_IN_MAX / STEP);
    EXPECT(g.visits <= LET_IN_MAX / STEP + 60); /* the last step of a message may be shorter */
}

static void
test_who_sleeps_is_let_in_once_in_each_stretch(void)
{
    settle(60, LOCK_WAITERS, 1000, 1000);
    EXPECT(g.visits >= LET_IN_MAX / STRETCH - 1); /* a stretch ends with a step */
    EXPECT(g.visits <= LET_IN_MAX / STRETCH + 1);
}

int
main(void)
{
    ashm_on_linger(come);
    RUN(test_who_looks_is_let_in_before_all_members_have_a_message);
    RUN(test_who_sleeps_is_let_in_after_a_stretch);
    RUN(test_nobody_is_let_in_who_does_not_wait);
    RUN(test_who_sends_on_is_not_let_in_when_too_much_is_pending);
    RUN(test_who_sleeps_is_let_in_once_in_each_stretch);
    RUN(test_who_comes_on_is_not_let_in_for_ever);
    return tests_end();
}

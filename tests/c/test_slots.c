/* test_slots.c: a channel's name leads to the mailbox of the process that it names. */
#include "slots.h"

#include <ctype.h>
#include <stdio.h>

#include "support.h"

static address
address_of(const ashm *a, const char *name)
{
    return slots_address(a, name, strlen(name));
}

static void
test_a_client_is_16_plain_characters(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    char client[ASHM_CLIENT_LENGTH];

    OK(ashm_client(a, client));
    for (int i = 0; i < ASHM_CLIENT_LENGTH; i++) {
        EXPECT(isalnum((unsigned char)client[i]) || client[i] == '-' || client[i] == '_');
    }
    fixture_end(&s, a);
}

static void
test_a_name_with_a_client_leads_to_its_process(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1];
    address to;

    to = address_of(a, own_channel(b, "x", name));
    EXPECT_EQ(to.mailbox, COMMONS + 1);
    EXPECT_EQ(to.generation, b->own->generation);
    to = address_of(b, own_channel(a, "x", name));
    EXPECT_EQ(to.mailbox, COMMONS);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_any_other_name_leads_to_the_commons(void)
{
    static const char *const names[] = {"work",
                                        "a!b",
                                        "a.b!c",
                                        "specific.ABCDEFGHIJKLMNOP!x",
                                        "x.ABCDEFGHIJKLMNO!",
                                        ".ABCDEFGHIJKLMNOP!y",
                                        "specific.ABCDEFGH?JKLMNOP!x"};
    segment s, other;
    ashm *a = fixture_begin(&s), *b = fixture_begin(&other);
    char name[ASHM_NAME_MAX + 1];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        address to = address_of(a, names[i]);

        EXPECT(to.mailbox < COMMONS);
        EXPECT_EQ(to.generation, 0);
    }
    own_channel(b, "x", name);
    EXPECT(address_of(a, name).mailbox < COMMONS); /* another segment's client */
    fixture_end(&other, b);
    fixture_end(&s, a);
}

static void
test_a_client_that_has_gone_leads_nowhere(void)
{
    segment s;
    ashm *a = fixture_begin(&s), *b = segment_open(&s);
    char name[ASHM_NAME_MAX + 1], next[ASHM_NAME_MAX + 1];
    address to;
    tx t;

    to = address_of(a, own_channel(b, "x", name));
    lane_open(a, &t);
    EXPECT(slots_is_there(&t, &to));
    ashm_close(b);
    EXPECT(!slots_is_there(&t, &to));
    EXPECT_EQ(address_of(a, name).mailbox, MAILBOXES);
    b = segment_open(&s); /* the same slot, another process */
    EXPECT_EQ(b->own->slot, 1);
    own_channel(b, "x", next);
    EXPECT(strcmp(name, next) != 0);
    EXPECT_EQ(address_of(a, name).mailbox, MAILBOXES);
    EXPECT_EQ(address_of(a, next).mailbox, COMMONS + 1);
    EXPECT(!slots_is_there(&t, &to));
    tx_close(&t);
    ashm_close(b);
    fixture_end(&s, a);
}

static void
test_a_family_lives_in_one_mailbox(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t prefix = address_of(a, "family!").mailbox;
    char name[40];
    uint32_t used = 0;

    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "family!%d", i);
        EXPECT_EQ(address_of(a, name).mailbox, prefix);
        snprintf(name, sizeof name, "other%d", i);
        used |= 1u << address_of(a, name).mailbox;
    }
    EXPECT_EQ(used, (1u << COMMONS) - 1); /* others are spread over all of them */
    fixture_end(&s, a);
}

static void
test_the_family_of_a_name(void)
{
    EXPECT_EQ(slots_family("a.b!c", 5), 4);
    EXPECT_EQ(slots_family("a.b!", 4), 4);
    EXPECT_EQ(slots_family("a.b", 3), 0);
}

int
main(void)
{
    RUN(test_a_client_is_16_plain_characters);
    RUN(test_a_name_with_a_client_leads_to_its_process);
    RUN(test_any_other_name_leads_to_the_commons);
    RUN(test_a_client_that_has_gone_leads_nowhere);
    RUN(test_a_family_lives_in_one_mailbox);
    RUN(test_the_family_of_a_name);
    return tests_end();
}

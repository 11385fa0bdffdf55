/* test_table.c: records are found by name or pair, however many there are. */
#include "table.h"

#include <stdio.h>

#include "support.h"

static uint32_t
add_channel(ashm *a, tx *t, const char *name)
{
    uint32_t added = table_add_name(t, NODE_CHANNEL, hash_of(a, name), name, strlen(name));

    OK(tx_commit(t));
    return added;
}

static uint32_t
find_channel(ashm *a, tx *t, const char *name)
{
    return table_find_name(t, NODE_CHANNEL, hash_of(a, name), name, strlen(name));
}

static void
remove_record(tx *t, uint32_t node)
{
    table_remove(t, node);
    OK(tx_commit(t));
}

static const char *
numbered(int i)
{
    static char name[20];

    snprintf(name, sizeof name, "n%d", i);
    return name;
}

/* ---- the tests ---- */

static void
test_a_name_finds_its_record(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t one, other;
    tx t;

    mailbox_hold(a, &t, 0);
    EXPECT_EQ(find_channel(a, &t, "one"), 0);
    EXPECT((one = add_channel(a, &t, "one")) != 0);
    EXPECT((other = add_channel(a, &t, "other")) != 0);
    EXPECT_EQ(find_channel(a, &t, "one"), one);
    EXPECT_EQ(find_channel(a, &t, "other"), other);
    EXPECT(memcmp(node_name(&t, one), "one", 3) == 0);
    EXPECT_EQ(node_at(&t, one)->name_length, 3);
    EXPECT(node_at(&t, one)->flags == NODE_NEW);
    remove_record(&t, one);
    EXPECT_EQ(find_channel(a, &t, "one"), 0);
    EXPECT_EQ(find_channel(a, &t, "other"), other);
    remove_record(&t, other);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_channels_and_groups_have_names_of_their_own(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t channel, group, hash = hash_of(a, "same");
    tx t;

    mailbox_hold(a, &t, 0);
    channel = add_channel(a, &t, "same");
    EXPECT_EQ(table_find_name(&t, NODE_GROUP, hash, "same", 4), 0);
    group = table_add_name(&t, NODE_GROUP, hash, "same", 4);
    OK(tx_commit(&t));
    EXPECT(group != 0 && group != channel);
    EXPECT_EQ(table_find_name(&t, NODE_GROUP, hash, "same", 4), group);
    EXPECT_EQ(find_channel(a, &t, "same"), channel);
    remove_record(&t, channel);
    EXPECT_EQ(table_find_name(&t, NODE_GROUP, hash, "same", 4), group);
    remove_record(&t, group);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_names_of_one_hash_are_told_apart(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t nodes[50], hash = 77;
    tx t;

    mailbox_hold(a, &t, 0);
    for (int i = 0; i < 50; i++) {
        const char *name = numbered(i);

        nodes[i] = table_add_name(&t, NODE_CHANNEL, hash, name, strlen(name));
        OK(tx_commit(&t));
    }
    for (int i = 0; i < 50; i++) {
        const char *name = numbered(i);

        EXPECT_EQ(table_find_name(&t, NODE_CHANNEL, hash, name, strlen(name)), nodes[i]);
    }
    for (int i = 0; i < 50; i += 7) { /* out of the middle of the chain */
        remove_record(&t, nodes[i]);
    }
    for (int i = 0; i < 50; i++) {
        const char *name = numbered(i);

        EXPECT_EQ(table_find_name(&t, NODE_CHANNEL, hash, name, strlen(name)),
                  i % 7 == 0 ? 0 : nodes[i]);
    }
    for (int i = 0; i < 50; i++) {
        if (i % 7 != 0) {
            remove_record(&t, nodes[i]);
        }
    }
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_it_grows_bucket_by_bucket(void)
{
    enum { N = 3000 };
    static uint32_t nodes[N];
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t buckets = 0, walked = 0;
    tx t;

    mailbox_hold(a, &t, 0);
    for (int i = 0; i < N; i++) {
        EXPECT((nodes[i] = add_channel(a, &t, numbered(i))) != 0);
        EXPECT(t.mailbox->table.buckets >= buckets);
        buckets = t.mailbox->table.buckets;
        EXPECT(buckets <= TABLE_BUCKETS_PER_PAGE || buckets <= t.mailbox->table.count + 1);
    }
    EXPECT(buckets > 2 * TABLE_BUCKETS_PER_PAGE); /* over more than one level */
    for (uint32_t i = 0; i < buckets; i++) {
        for (uint32_t node = table_bucket(&t, i); node != 0; node = node_at(&t, node)->next) {
            walked++;
        }
    }
    EXPECT_EQ(walked, N);
    for (int i = 0; i < N; i++) {
        EXPECT_EQ(find_channel(a, &t, numbered(i)), nodes[i]);
    }
    for (int i = 0; i < N; i++) {
        remove_record(&t, nodes[i]);
    }
    EXPECT_EQ(t.mailbox->table.count, 0);
    OK(table_free(&t));
    EXPECT_EQ(t.mailbox->table.buckets, 0);
    EXPECT_EQ(t.mailbox->table.directory, 0);
    EXPECT((nodes[0] = add_channel(a, &t, "again")) != 0);
    EXPECT_EQ(find_channel(a, &t, "again"), nodes[0]);
    remove_record(&t, nodes[0]);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_an_insertion_is_undone_with_its_split(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t nodes[TABLE_BUCKETS_PER_PAGE];
    tx t;

    mailbox_hold(a, &t, 0);
    for (int i = 0; i < TABLE_BUCKETS_PER_PAGE; i++) {
        nodes[i] = add_channel(a, &t, numbered(i));
    }
    EXPECT(table_add_name(&t, NODE_CHANNEL, hash_of(a, "more"), "more", 4) != 0);
    EXPECT_EQ(t.mailbox->table.buckets, TABLE_BUCKETS_PER_PAGE + 1);
    tx_rollback(&t);
    EXPECT_EQ(t.mailbox->table.buckets, TABLE_BUCKETS_PER_PAGE);
    EXPECT_EQ(t.mailbox->table.count, TABLE_BUCKETS_PER_PAGE);
    EXPECT_EQ(find_channel(a, &t, "more"), 0);
    for (int i = 0; i < TABLE_BUCKETS_PER_PAGE; i++) {
        EXPECT_EQ(find_channel(a, &t, numbered(i)), nodes[i]);
        remove_record(&t, nodes[i]);
    }
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_pairs(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t group = 1000, channel = 2000, member, waiter;
    tx t;

    mailbox_hold(a, &t, 0);
    EXPECT((member = table_add_pair(&t, NODE_MEMBER, group, channel)) != 0);
    member_at(&t, member)->group = group;
    member_at(&t, member)->channel = channel;
    EXPECT((waiter = table_add_pair(&t, NODE_WAITER, group, channel)) != 0);
    waiter_at(&t, waiter)->channel = group;
    waiter_at(&t, waiter)->slot = channel;
    OK(tx_commit(&t));
    EXPECT_EQ(table_find_member(&t, group, channel), member);
    EXPECT_EQ(table_find_member(&t, channel, group), 0);
    EXPECT_EQ(table_find_waiter(&t, group, channel), waiter);
    remove_record(&t, member);
    EXPECT_EQ(table_find_member(&t, group, channel), 0);
    EXPECT_EQ(table_find_waiter(&t, group, channel), waiter);
    remove_record(&t, waiter);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_without_memory_nothing_is_added(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t all;
    tx t;

    mailbox_hold(a, &t, 0);
    all = pages_take(&t, TABLES, a->map.section[TABLES].count - 2); /* but for one */
    EXPECT(all != 0);
    OK(tx_commit(&t));
    EXPECT_EQ(table_add_name(&t, NODE_CHANNEL, 1, "x", 1), 0);
    EXPECT_EQ(t.shortage, ASHM_TABLES_FULL);
    tx_rollback(&t);
    EXPECT_EQ(t.mailbox->table.buckets, 0);
    pages_give(&t, TABLES, all);
    OK(tx_commit(&t));
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

static void
test_a_circle_is_found_and_not_walked_for_ever(void)
{
    segment s;
    ashm *a = fixture_begin(&s);
    uint32_t one, other;
    tx t;

    mailbox_hold(a, &t, 0);
    one = table_add_name(&t, NODE_CHANNEL, 5, "one", 3);
    other = table_add_name(&t, NODE_CHANNEL, 5, "other", 5);
    OK(tx_commit(&t));
    node_at(&t, one)->next = other;
    EXPECT_EQ(table_find_name(&t, NODE_CHANNEL, 5, "absent", 6), 0);
    EXPECT_EQ(tx_commit(&t), ASHM_CORRUPT);
    node_at(&t, one)->next = 0;
    remove_record(&t, one);
    remove_record(&t, other);
    mailbox_let_go(&t);
    fixture_end(&s, a);
}

int
main(void)
{
    RUN(test_a_name_finds_its_record);
    RUN(test_channels_and_groups_have_names_of_their_own);
    RUN(test_names_of_one_hash_are_told_apart);
    RUN(test_it_grows_bucket_by_bucket);
    RUN(test_an_insertion_is_undone_with_its_split);
    RUN(test_pairs);
    RUN(test_without_memory_nothing_is_added);
    RUN(test_a_circle_is_found_and_not_walked_for_ever);
    return tests_end();
}

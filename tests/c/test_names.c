/* test_names.c: names.h allows what the channel layer specification allows. */
#include "names.h"

#include "support.h"

static bool
channel(const char *name)
{
    return names_is_channel(name, strlen(name));
}

static bool
group(const char *name)
{
    return names_is_group(name, strlen(name));
}

static void
test_plain_names(void)
{
    const char *all = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    EXPECT(channel(all) && group(all));
    EXPECT(channel("a") && group("a"));
    EXPECT(channel("-") && group("."));
}

static void
test_marks_are_for_channels(void)
{
    EXPECT(channel("specific.client!room"));
    EXPECT(channel("specific.client!"));
    EXPECT(channel("one-off?reply"));
    EXPECT(channel("x?y!z"));
    EXPECT(!group("specific.client!room"));
    EXPECT(!group("one-off?reply"));
}

static void
test_one_mark_of_each_kind_at_most(void)
{
    EXPECT(!channel("a!b!c"));
    EXPECT(!channel("a!!"));
    EXPECT(!channel("a?b?c"));
    EXPECT(!channel("!a"));
    EXPECT(!channel("!"));
}

static void
test_no_other_byte_is_allowed(void)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[3] = {'a', (char)byte, 'b'};
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.';

        EXPECT(names_is_group(name, 3) == plain);
        EXPECT(names_is_channel(name, 3) == (plain || byte == '!' || byte == '?'));
    }
}

static void
test_lengths(void)
{
    char name[ASHM_NAME_MAX + 1];

    memset(name, 'a', sizeof name);
    EXPECT(names_is_channel(name, ASHM_NAME_MAX) && names_is_group(name, ASHM_NAME_MAX));
    EXPECT(!names_is_channel(name, sizeof name) && !names_is_group(name, sizeof name));
    EXPECT(!names_is_channel(name, 0) && !names_is_group(name, 0));
}

int
main(void)
{
    RUN(test_plain_names);
    RUN(test_marks_are_for_channels);
    RUN(test_one_mark_of_each_kind_at_most);
    RUN(test_no_other_byte_is_allowed);
    RUN(test_lengths);
    return tests_end();
}

/* names.c: see names.h. */
#include "names.h"

#include "ashm.h"

/* A name's characters are summed, each kind in a byte of the sum: no branch for a character.
 * What is not allowed counts nothing, so the lowest byte falls short of the length. */
enum { PLAIN = 1, MARK = 1 << 8 | PLAIN, QUESTION = 1 << 16 | PLAIN };

_Static_assert(ASHM_NAME_MAX < 256, "no byte of a sum runs over");

static const uint32_t value_of[256] = {
    ['-'] = PLAIN,    ['.'] = PLAIN,         ['_'] = PLAIN,         ['!'] = MARK,
    ['?'] = QUESTION, ['0' ... '9'] = PLAIN, ['A' ... 'Z'] = PLAIN, ['a' ... 'z'] = PLAIN,
};

static uint32_t
sum(const char *name, size_t length)
{
    uint32_t total = 0;

    for (size_t i = 0; i < length; i++) {
        total += value_of[(unsigned char)name[i]];
    }
    return total;
}

bool
names_is_channel(const char *name, size_t length)
{
    uint32_t total;

    if (length == 0 || length > ASHM_NAME_MAX || name[0] == '!') {
        return false;
    }
    total = sum(name, length);
    return (total & 0xff) == length && (total >> 8 & 0xff) <= 1 && total >> 16 <= 1;
}

bool
names_is_group(const char *name, size_t length)
{
    return length != 0 && length <= ASHM_NAME_MAX && sum(name, length) == length;
}

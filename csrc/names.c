/* names.c: see names.h. */
#include "names.h"

#include "ashm.h"

enum { PLAIN = 1, MARK = 2, QUESTION = 3 };

static const unsigned char class_of[256] = {
    ['-'] = PLAIN,    ['.'] = PLAIN,         ['_'] = PLAIN,         ['!'] = MARK,
    ['?'] = QUESTION, ['0' ... '9'] = PLAIN, ['A' ... 'Z'] = PLAIN, ['a' ... 'z'] = PLAIN,
};

bool
names_is_channel(const char *name, size_t length)
{
    unsigned marks = 0, questions = 0;

    if (length == 0 || length > ASHM_NAME_MAX || name[0] == '!') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned class = class_of[(unsigned char)name[i]];

        if (class == 0) {
            return false;
        }
        marks += class == MARK;
        questions += class == QUESTION;
    }
    return marks <= 1 && questions <= 1;
}

bool
names_is_group(const char *name, size_t length)
{
    if (length == 0 || length > ASHM_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (class_of[(unsigned char)name[i]] != PLAIN) {
            return false;
        }
    }
    return true;
}

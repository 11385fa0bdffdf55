/* test_body.c: body.h tells the bodies that a message may have from all others. */
#include "body.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition)                                                                      \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                    \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

/* The verdict on a copy of exactly that size, so that a sanitizer sees a read
 * beyond the end. */
static int
check(const char *bytes, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    int verdict;

    EXPECT(copy != NULL);
    memcpy(copy, bytes, length);
    verdict = ashm_check_body(copy, length);
    free(copy);
    return verdict;
}

#define CHECK(literal) check(literal, sizeof(literal) - 1)

/* A map with one element, whose value is the literal. */
#define VALUE(literal) CHECK("\x81\xa1v" literal)

static void
test_allowed(void)
{
    EXPECT(CHECK("\x80") == ASHM_BODY_GOOD);
    EXPECT(CHECK("\xde\x00\x01\xa1v\x01") == ASHM_BODY_GOOD);
    EXPECT(CHECK("\xdf\x00\x00\x00\x01\xa1v\x01") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xc0") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xc2") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xc3") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\x7f") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xe0") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xca"
                 "1234") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xcb"
                 "12345678") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xcc"
                 "1") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xcd"
                 "12") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xce"
                 "1234") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xd0"
                 "1") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xd1"
                 "12") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xd2"
                 "1234") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xd3\x80\x00\x00\x00\x00\x00\x00\x00") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xa3"
                 "abc") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xd9\x03"
                 "abc") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xda\x00\x03"
                 "abc") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xdb\x00\x00\x00\x03"
                 "abc") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\x92\x01\x80") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xdc\x00\x02\x01\x02") == ASHM_BODY_GOOD);
    EXPECT(VALUE("\xdd\x00\x00\x00\x02\x01\x02") == ASHM_BODY_GOOD);
}

static void
test_byte_strings_are_told(void)
{
    EXPECT(VALUE("\xc4\x01x") == ASHM_BODY_BYTES);
    EXPECT(VALUE("\xc5\x00\x01x") == ASHM_BODY_BYTES);
    EXPECT(VALUE("\xc6\x00\x00\x00\x01x") == ASHM_BODY_BYTES);
    EXPECT(VALUE("\x92\x91\xc4\x00\x01") == ASHM_BODY_BYTES);
}

static void
test_not_allowed(void)
{
    EXPECT(CHECK("\x01") == ASHM_BODY_BAD);
    EXPECT(CHECK("\x90") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xc1") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xcf\x80\x00\x00\x00\x00\x00\x00\x00") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xd4\x01x") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xd6\xff"
                 "1234") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xc7\x01\x01x") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xc8\x00\x01\x01x") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xc9\x00\x00\x00\x01\x01x") == ASHM_BODY_BAD);
}

static void
test_keys_are_strings(void)
{
    EXPECT(CHECK("\x82\xa1v\x01\xa1w\x02") == ASHM_BODY_GOOD);
    EXPECT(CHECK("\x81\x01\x02") == ASHM_BODY_BAD);
    EXPECT(CHECK("\x82\xa1v\x01\xc0\x02") == ASHM_BODY_BAD);
    EXPECT(CHECK("\x81\xc4\x01x\x02") == ASHM_BODY_BAD);
    EXPECT(CHECK("\x81\x90\x02") == ASHM_BODY_BAD);
    EXPECT(VALUE("\x91\x81\x01\x02") == ASHM_BODY_BAD);
    EXPECT(VALUE("\x81\xa1w\x81\xc3\x02") == ASHM_BODY_BAD);
}

static void
test_nothing_is_read_beyond_the_end(void)
{
    static const char body[] = "\x84\xa1v\x92\xcb"
                               "12345678"
                               "\xda\x00\x02no\xa1w\xc4\x02xx"
                               "\xa1x\xde\x00\x01\xa1y\xcf"
                               "12345678"
                               "\xa1z\xc0";
    size_t length = sizeof body - 1;

    EXPECT(check(body, length) == ASHM_BODY_BYTES);
    for (size_t cut = 0; cut < length; cut++) {
        EXPECT(check(body, cut) == ASHM_BODY_BAD);
    }
    EXPECT(check(body, length + 1) == ASHM_BODY_BAD); /* the zero at the end */
}

static void
test_lengths_that_no_body_has(void)
{
    EXPECT(VALUE("\xdb\xff\xff\xff\xff"
                 "abc") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xdd\xff\xff\xff\xff"
                 "abc") == ASHM_BODY_BAD);
    EXPECT(VALUE("\xdf\xff\xff\xff\xff"
                 "\xa1x\x01") == ASHM_BODY_BAD);
}

static void
test_depth(void)
{
    char body[2000];

    memcpy(body, "\x81\xa1v", 3);
    memset(body + 3, '\x91', sizeof body - 3);
    EXPECT(check(body, sizeof body) == ASHM_BODY_BAD);
    body[3 + 500] = '\x01';
    EXPECT(check(body, 3 + 501) == ASHM_BODY_GOOD);
}

/* Every first byte and many bodies of noise: an answer, and no report of a sanitizer. */
static void
test_noise(void)
{
    uint32_t state = 1;

    for (int round = 0; round < 100000; round++) {
        char body[24];

        for (size_t i = 0; i < sizeof body; i++) {
            state = state * 1664525 + 1013904223;
            body[i] = (char)(state >> 24);
        }
        body[0] = (char)0x82;
        body[1] = (char)0xa0;
        int verdict = check(body, sizeof body);

        EXPECT(verdict >= ASHM_BODY_GOOD && verdict <= ASHM_BODY_BAD);
    }
}

int
main(void)
{
    test_allowed();
    test_byte_strings_are_told();
    test_not_allowed();
    test_keys_are_strings();
    test_nothing_is_read_beyond_the_end();
    test_lengths_that_no_body_has();
    test_depth();
    test_noise();
    return 0;
}

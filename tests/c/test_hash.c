/* test_hash.c: hash.h is SipHash-1-3, keyed, and mixes pairs. */
#include "hash.h"

#include "support.h"

/* SipHash-c-d written anew from the paper, byte by byte, with any number of rounds: its
 * 2-4 form is held against the vectors that the authors published. */
static uint64_t
rotl(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void
sip_round(uint64_t *v0, uint64_t *v1, uint64_t *v2, uint64_t *v3)
{
    *v0 += *v1, *v1 = rotl(*v1, 13), *v1 ^= *v0, *v0 = rotl(*v0, 32);
    *v2 += *v3, *v3 = rotl(*v3, 16), *v3 ^= *v2;
    *v0 += *v3, *v3 = rotl(*v3, 21), *v3 ^= *v0;
    *v2 += *v1, *v1 = rotl(*v1, 17), *v1 ^= *v2, *v2 = rotl(*v2, 32);
}

static uint64_t
little_endian(const unsigned char *bytes, size_t n)
{
    uint64_t word = 0;

    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)bytes[i] << 8 * i;
    }
    return word;
}

static uint64_t
siphash(int c, int d, const unsigned char key[16], const unsigned char *data, size_t length)
{
    uint64_t k0 = little_endian(key, 8), k1 = little_endian(key + 8, 8);
    uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
    uint64_t v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;

    for (size_t at = 0; at <= length; at += 8) {
        size_t rest = length - at < 8 ? length - at : 8;
        uint64_t word = little_endian(data + at, rest);

        if (rest < 8) {
            word |= (uint64_t)(length & 0xff) << 56;
        }
        v3 ^= word;
        for (int i = 0; i < c; i++) {
            sip_round(&v0, &v1, &v2, &v3);
        }
        v0 ^= word;
    }
    v2 ^= 0xff;
    for (int i = 0; i < d; i++) {
        sip_round(&v0, &v1, &v2, &v3);
    }
    return v0 ^ v1 ^ v2 ^ v3;
}

static unsigned char key[16], data[256];

static void
test_the_model_is_siphash(void)
{
    /* "SipHash: a fast short-input PRF", appendix A: 15 bytes 00 01 ... under 00 01 ... */
    EXPECT(siphash(2, 4, key, data, 15) == 0xa129ca6149be45e5);
    /* vectors.h of the reference implementation: the empty input, and 8 bytes. */
    EXPECT(siphash(2, 4, key, data, 0) == 0x726fdb47dd0e0e31);
    EXPECT(siphash(2, 4, key, data, 8) == 0x93f5f5799a932462);
}

static void
test_names_are_hashed_by_siphash_1_3(void)
{
    uint64_t words[2] = {little_endian(key, 8), little_endian(key + 8, 8)};

    for (size_t length = 0; length <= ASHM_NAME_MAX; length++) {
        EXPECT(hash_name(words, (const char *)data, length) ==
               siphash(1, 3, key, data, length));
    }
}

static void
test_the_key_matters(void)
{
    uint64_t one[2] = {1, 2}, other[2] = {1, 3};

    EXPECT(hash_name(one, "room", 4) != hash_name(other, "room", 4));
}

static void
test_nothing_is_read_beyond_a_name(void)
{
    uint64_t words[2] = {1, 2};

    for (size_t length = 1; length <= 32; length++) {
        char *name = malloc(length);

        EXPECT(name != NULL);
        memset(name, 'x', length);
        (void)hash_name(words, name, length);
        free(name);
    }
}

static void
test_pairs_spread_over_the_buckets(void)
{
    enum { BUCKETS = 1024 };
    unsigned char filled[BUCKETS] = {0};
    int most = 0;

    /* One group with consecutive channels: what a table is full of. */
    for (uint32_t channel = 0; channel < BUCKETS; channel++) {
        unsigned char *count = &filled[hash_pair(64, 64 + channel) % BUCKETS];

        *count += 1;
        most = *count > most ? *count : most;
    }
    EXPECT(most <= 16);
}

int
main(void)
{
    for (int i = 0; i < 256; i++) {
        data[i] = (unsigned char)i;
    }
    memcpy(key, data, sizeof key);
    RUN(test_the_model_is_siphash);
    RUN(test_names_are_hashed_by_siphash_1_3);
    RUN(test_the_key_matters);
    RUN(test_nothing_is_read_beyond_a_name);
    RUN(test_pairs_spread_over_the_buckets);
    return tests_end();
}

/*
 * hash.h: SipHash-1-3 of names, and a mixer for pairs of references.
 *
 * Names come from users (a room's name is a group's name), so the hash is keyed
 * with a secret of the segment: nobody can choose names that share a bucket.
 * Reference: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#ifndef ASHM_HASH_H
#define ASHM_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t
hash_rotl(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void
hash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = hash_rotl(v[1], 13) ^ v[0];
    v[0] = hash_rotl(v[0], 32);
    v[2] += v[3];
    v[3] = hash_rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = hash_rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = hash_rotl(v[1], 17) ^ v[2];
    v[2] = hash_rotl(v[2], 32);
}

static inline uint64_t
hash_name(const uint64_t key[2], const char *name, size_t length)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    uint64_t word;
    size_t left = length;

    for (; left >= 8; left -= 8, name += 8) {
        memcpy(&word, name, 8);
        v[3] ^= word;
        hash_round(v);
        v[0] ^= word;
    }
    word = 0;
    memcpy(&word, name, left);
    word |= (uint64_t)length << 56;
    v[3] ^= word;
    hash_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        hash_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* For keys that are two references: the allocator's, not a user's, choice. */
static inline uint32_t
hash_pair(uint32_t a, uint32_t b)
{
    uint64_t x = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15;

    return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

#endif

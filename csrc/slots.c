/* slots.c: see slots.h. */
#include "slots.h"

#include <string.h>

#include "hash.h"

enum { CLIENT_BYTES = ASHM_CLIENT_LENGTH / 4 * 3 };

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int
digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static bool
decode(const char *text, unsigned char bytes[CLIENT_BYTES])
{
    for (size_t i = 0; i < ASHM_CLIENT_LENGTH; i += 4) {
        int bits = 0;

        for (size_t j = 0; j < 4; j++) {
            int d = digit(text[i + j]);

            if (d < 0) {
                return false;
            }
            bits = bits << 6 | d;
        }
        *bytes++ = (unsigned char)(bits >> 16);
        *bytes++ = (unsigned char)(bits >> 8);
        *bytes++ = (unsigned char)bits;
    }
    return true;
}

static void
encode(const unsigned char bytes[CLIENT_BYTES], char *text)
{
    for (size_t i = 0; i < CLIENT_BYTES; i += 3) {
        unsigned bits = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];

        for (int shift = 18; shift >= 0; shift -= 6) {
            *text++ = alphabet[bits >> shift & 63];
        }
    }
}

struct client {
    uint32_t segment, slot, generation, nonce;
};

static void
pack(const struct client *client, unsigned char bytes[CLIENT_BYTES])
{
    memcpy(bytes, &client->segment, 4);
    memcpy(bytes + 4, &(uint16_t){(uint16_t)client->slot}, 2);
    memcpy(bytes + 6, &client->generation, 4);
    memcpy(bytes + 10, &(uint16_t){(uint16_t)client->nonce}, 2);
}

static void
unpack(const unsigned char bytes[CLIENT_BYTES], struct client *client)
{
    uint16_t slot, nonce;

    memcpy(&client->segment, bytes, 4);
    memcpy(&slot, bytes + 4, 2);
    memcpy(&client->generation, bytes + 6, 4);
    memcpy(&nonce, bytes + 10, 2);
    client->slot = slot;
    client->nonce = nonce;
}

void
slots_client(const ashm *a, uint32_t slot, uint32_t generation, char *client)
{
    unsigned char bytes[CLIENT_BYTES];
    struct client parts = {.segment = a->segment_id,
                           .slot = slot,
                           .generation = generation,
                           .nonce = handle_slot(a, slot)->nonce};

    pack(&parts, bytes);
    encode(bytes, client);
}

size_t
slots_family(const char *name, size_t length)
{
    const char *mark = memchr(name, '!', length);

    return mark == NULL ? 0 : (size_t)(mark - name) + 1;
}

/* Is this a client of this segment? */
static bool
find_client(const ashm *a, const char *name, size_t family, struct client *client)
{
    unsigned char bytes[CLIENT_BYTES];

    if (family < ASHM_CLIENT_LENGTH + 3 || name[family - ASHM_CLIENT_LENGTH - 2] != '.' ||
        !decode(name + family - 1 - ASHM_CLIENT_LENGTH, bytes)) {
        return false;
    }
    unpack(bytes, client);
    return client->segment == a->segment_id;
}

static bool
lives(const ashm *a, const struct client *client)
{
    slot_shm *slot;

    if (client->slot >= handle_slots_high(a)) {
        return false;
    }
    slot = handle_slot(a, client->slot);
    return atomic_load_explicit(&slot->generation, memory_order_acquire) ==
               client->generation &&
           slot->nonce == client->nonce &&
           atomic_load_explicit(&slot->state, memory_order_relaxed) == SLOT_TAKEN;
}

address
slots_address(const ashm *a, const char *name, size_t length)
{
    size_t family = slots_family(name, length);
    uint64_t hash = hash_name(a->hash_key, name, length);
    address to = {.hash = (uint32_t)hash};
    struct client client;

    if (family != 0 && find_client(a, name, family, &client)) {
        to.mailbox = lives(a, &client) ? COMMONS + client.slot : MAILBOXES;
        to.generation = client.generation;
    } else {
        if (family != 0 && family != length) {
            hash = hash_name(a->hash_key, name, family);
        }
        to.mailbox = (uint32_t)(hash >> 32) % COMMONS; /* buckets go by the lower half */
    }
    return to;
}

bool
slots_is_there(const tx *t, const address *to)
{
    slot_shm *slot;

    if (to->mailbox < COMMONS) {
        return true;
    }
    slot = handle_slot(t->party.a, to->mailbox - COMMONS);
    return atomic_load_explicit(&slot->generation, memory_order_acquire) == to->generation &&
           atomic_load_explicit(&slot->state, memory_order_relaxed) == SLOT_TAKEN;
}

/* slots.c: see slots.h. */
#include "slots.h"

#include <string.h>

#include "hash.h"

/* A client is two numbers of 48 bits, of NUMBER_LENGTH digits each, the highest first:
 * segment << 16 | slot, and generation << 16 | nonce. */
enum { NUMBER_LENGTH = ASHM_CLIENT_LENGTH / 2, DIGIT_BITS = 6 };

_Static_assert(48 / DIGIT_BITS == NUMBER_LENGTH, "a number has 48 bits");

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* From a character of the alphabet to its place there; 0: it is none of it. */
static const signed char to_digit[256] = {
    ['A' ... 'Z'] = 0 - 'A', ['a' ... 'z'] = 26 - 'a', ['0' ... '9'] = 52 - '0',
    ['-'] = 62 - '-',        ['_'] = 63 - '_',
};

static bool
decode(const char *text, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < NUMBER_LENGTH; i++) {
        int distance = to_digit[(unsigned char)text[i]];

        if (distance == 0) {
            return false;
        }
        *number = *number << DIGIT_BITS | (uint64_t)(text[i] + distance);
    }
    return true;
}

static void
encode(uint64_t number, char *text)
{
    for (int i = NUMBER_LENGTH; i-- > 0; number >>= DIGIT_BITS) {
        text[i] = alphabet[number & 63];
    }
}

struct client {
    uint32_t segment, slot, generation, nonce;
};

void
slots_client(const ashm *a, uint32_t slot, uint32_t generation, char *client)
{
    uint32_t nonce = handle_slot(a, slot)->nonce;

    encode((uint64_t)a->segment_id << 16 | slot, client);
    encode((uint64_t)generation << 16 | (nonce & 0xffff), client + NUMBER_LENGTH);
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
    const char *text;
    uint64_t high, low;

    if (family < ASHM_CLIENT_LENGTH + 3) {
        return false;
    }
    text = name + family - 1 - ASHM_CLIENT_LENGTH;
    if (text[-1] != '.' || !decode(text, &high) || !decode(text + NUMBER_LENGTH, &low)) {
        return false;
    }
    *client = (struct client){.segment = (uint32_t)(high >> 16),
                              .slot = (uint32_t)high & 0xffff,
                              .generation = (uint32_t)(low >> 16),
                              .nonce = (uint32_t)low & 0xffff};
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

/*
 * slots.h: which mailbox a channel name belongs to.
 *
 * new_channel() makes <prefix>.<client>!<random>, where <client> is 16 characters of the
 * alphabet of base64url: the segment's id (32 bits), slot (16), generation (32), nonce (16).
 * Such a name of this segment leads to its process's mailbox; every other name, other
 * segments' clients among them, lives in the commons, by the hash of the name up to its '!'.
 */
#ifndef ASHM_SLOTS_H
#define ASHM_SLOTS_H

#include "tx.h"

typedef struct address {
    uint32_t mailbox;    /* index; MAILBOXES: its process is gone */
    uint32_t generation; /* of the slot; 0 in the commons */
    uint32_t hash;       /* of the full name */
} address;

/* A name that names_check() has passed. */
address slots_address(const ashm *a, const char *name, size_t length);

/* With the mailbox held: is the process that the address means still there? */
bool slots_is_there(const tx *t, const address *to);

/* The prefix of a name up to and including its '!', or 0 bytes if it has none. */
size_t slots_family(const char *name, size_t length);

/* ASHM_CLIENT_LENGTH characters. */
void slots_client(const ashm *a, uint32_t slot, uint32_t generation, char *client);

#endif

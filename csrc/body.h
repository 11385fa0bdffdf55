/*
 * body.h: what the body of a message may hold.
 *
 * A body is one MessagePack map. MessagePack can say more than the channel layer
 * specification allows in a message, and the packer in Python packs all of it
 * without a word, so the packed bytes are looked through here: some 50 ns for a
 * small message, where a walk over its objects in Python takes longer than
 * packing them. Needs no segment, so this is not part of ashm.h.
 *
 * Reference: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#ifndef ASHM_BODY_H
#define ASHM_BODY_H

#include "ashm.h"

/* <cffi> */

enum {
    ASHM_BODY_GOOD = 0,
    ASHM_BODY_BYTES = 1, /* good, and has byte strings in it */
    ASHM_BODY_BAD = 2    /* truncated, or holds what a message may not */
};

/* Tell whether `body` is one map whose keys are strings, at every level, and
 * whose integers fit 64 bits with a sign; without extension types. */
ASHM_API int ashm_check_body(const void *body, size_t length);

/* </cffi> */

#endif

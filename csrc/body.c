/* body.c: see body.h. */
#include "body.h"

#include "base.h"

/* Containers in containers. The packer stops at 512. */
enum { DEPTH_MAX = 520 };

typedef enum { BAD, SCALAR, UINT64, STRING, BYTES, ARRAY, MAP } kind_t;

/* The first bytes 0xc0 to 0xdf: what follows, and in how many bytes the value of
 * a scalar, or the length of anything else. */
static const struct {
    uint8_t kind;
    uint8_t width;
} formats[32] = {
    {SCALAR, 0}, {BAD, 0},    {SCALAR, 0}, {SCALAR, 0}, /* nil, -, false, true */
    {BYTES, 1},  {BYTES, 2},  {BYTES, 4},               /* bin */
    {BAD, 0},    {BAD, 0},    {BAD, 0},                 /* ext */
    {SCALAR, 4}, {SCALAR, 8},                           /* float */
    {SCALAR, 1}, {SCALAR, 2}, {SCALAR, 4}, {UINT64, 8}, /* uint */
    {SCALAR, 1}, {SCALAR, 2}, {SCALAR, 4}, {SCALAR, 8}, /* int */
    {BAD, 0},    {BAD, 0},    {BAD, 0},    {BAD, 0},    {BAD, 0}, /* fixext */
    {STRING, 1}, {STRING, 2}, {STRING, 4},              /* str */
    {ARRAY, 2},  {ARRAY, 4},  {MAP, 2},    {MAP, 4},
};

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} reader;

typedef struct {
    kind_t kind;
    uint64_t number; /* UINT64: the value; STRING, BYTES: bytes; ARRAY, MAP: elements */
} item;

/* A container that is being read. */
typedef struct {
    uint64_t left; /* items that are still to come: two for each element of a map */
    bool map;
} level;

static bool
skip(reader *r, uint64_t bytes)
{
    if (bytes > (uint64_t)(r->end - r->at)) {
        return false;
    }
    r->at += bytes;
    return true;
}

/* The head of the next item; false if it is cut off or of no allowed kind. */
static bool
read_head(reader *r, item *out)
{
    if (r->at == r->end) {
        return false;
    }
    uint8_t first = *r->at++;

    if (first < 0x80 || first >= 0xe0) {
        *out = (item){SCALAR, 0};
    } else if (first < 0x90) {
        *out = (item){MAP, first & 0x0f};
    } else if (first < 0xa0) {
        *out = (item){ARRAY, first & 0x0f};
    } else if (first < 0xc0) {
        *out = (item){STRING, first & 0x1f};
    } else {
        const uint8_t *value = r->at;
        unsigned width = formats[first - 0xc0].width;

        *out = (item){(kind_t)formats[first - 0xc0].kind, 0};
        if (!skip(r, width)) {
            return false;
        }
        for (unsigned i = 0; i < width; i++) {
            out->number = out->number << 8 | value[i];
        }
    }
    return out->kind != BAD;
}

int
ashm_check_body(const void *body, size_t length)
{
    reader r = {body, (const uint8_t *)body + length};
    level levels[DEPTH_MAX];
    unsigned depth = 0;
    int result = ASHM_BODY_GOOD;
    item it;

    if (!read_head(&r, &it) || it.kind != MAP) {
        return ASHM_BODY_BAD;
    }
    levels[0] = (level){2 * it.number, true};
    for (;;) {
        while (levels[depth].left == 0) {
            if (depth == 0) {
                return r.at == r.end ? result : ASHM_BODY_BAD;
            }
            depth--;
        }
        bool is_key = levels[depth].map && levels[depth].left % 2 == 0;

        levels[depth].left--;
        if (!read_head(&r, &it) || (is_key && it.kind != STRING)) {
            return ASHM_BODY_BAD;
        }
        switch (it.kind) {
        case UINT64:
            if (it.number > INT64_MAX) {
                return ASHM_BODY_BAD;
            }
            break;
        case BYTES:
            result = ASHM_BODY_BYTES;
            /* fall through */
        case STRING:
            if (!skip(&r, it.number)) {
                return ASHM_BODY_BAD;
            }
            break;
        case ARRAY:
        case MAP:
            if (++depth == DEPTH_MAX) {
                return ASHM_BODY_BAD;
            }
            levels[depth] = (level){it.kind == MAP ? 2 * it.number : it.number, it.kind == MAP};
            break;
        default:
            break;
        }
    }
}

/*
 * attachment.c: the public API: checks the arguments, claims a slot where there is none,
 * opens a lane, and calls down. See ashm.h.
 */
#include "ask.h"
#include "claim.h"
#include "doorbell.h"
#include "linger.h"
#include "maintain.h"
#include "membership.h"
#include "messages.h"
#include "names.h"
#include "slots.h"
#include "stats.h"
#include "verify.h"
#include "watch.h"

/* ---- the frame of an operation ---- */

/* A damaged segment may have been removed, so that another can be made: that is the news. */
static int
look_again(ashm *a, int rc)
{
    return rc == ASHM_CORRUPT && maintain_is_replaced(a) ? ASHM_REPLACED : rc;
}

static int
begin(ashm *a, tx *t)
{
    int rc;

    if (ASHM_UNLIKELY(a == NULL)) {
        return ASHM_CLOSED;
    }
    if (ASHM_UNLIKELY(atomic_load_explicit(&a->replaced, memory_order_relaxed) != 0)) {
        return ASHM_REPLACED;
    }
    if ((rc = claim_slot(a)) != 0 || (rc = tx_open(a, t)) != 0) {
        return look_again(a, rc);
    }
    if (ASHM_UNLIKELY(atomic_load_explicit(&a->closing, memory_order_seq_cst) != 0)) {
        tx_close(t);
        return ASHM_CLOSED;
    }
    /* The lane's last operation could not get the memory lock to give it back. */
    if (ASHM_UNLIKELY(t->lane->held != 0) && (rc = message_drop_held(t)) != 0) {
        tx_close(t);
    }
    return look_again(a, rc);
}

static int
end(ashm *a, tx *t, int rc)
{
    if (ASHM_UNLIKELY(maintain_is_due(a, t->now))) {
        linger();
        (void)maintain_tick(a, t); /* it is not this operation that failed */
    }
    tx_close(t);
    return look_again(a, rc);
}

static bool
is_shortage(int rc)
{
    return rc == ASHM_MESSAGES_FULL || rc == ASHM_TABLES_FULL || rc == ASHM_SHM_FULL;
}

static bool
reclaim(ashm *a, tx *t)
{
    linger();
    return maintain_reclaim(a, t);
}

/* A message to a group that finds no memory is lost, for the caller of the layer in silence. */
static int
end_group_send(ashm *a, tx *t, int rc)
{
    lane_count(&t->lane->counters.group_sends, rc != ASHM_BUSY); /* then it comes again */
    lane_count(&t->lane->counters.unsent, is_shortage(rc));
    return end(a, t, rc);
}

/* Run `call`; if memory was short, sweep what is over and run it once more. */
#define OPERATION(a, t, call) OPERATION_ENDING(a, t, call, end)
#define OPERATION_ENDING(a, t, call, end)                                                      \
    do {                                                                                       \
        tx t;                                                                                  \
        int rc = begin(a, &t);                                                                 \
                                                                                               \
        if (rc != 0) {                                                                         \
            return rc;                                                                         \
        }                                                                                      \
        rc = (call);                                                                           \
        if (ASHM_UNLIKELY(is_shortage(rc)) && reclaim(a, &t)) {                                \
            rc = (call);                                                                       \
        }                                                                                      \
        return end(a, &t, rc);                                                                 \
    } while (0)

/* ---- opening and closing ---- */

int
ashm_open(const ashm_options *options, ashm **handle)
{
    return claim_open(options, handle);
}

const char *
ashm_name(const ashm *a)
{
    return a->name;
}

int
ashm_leave(ashm *a)
{
    return claim_leave(a);
}

void
ashm_abandon(ashm *a)
{
    claim_abandon(a);
}

void
ashm_close(ashm *a)
{
    claim_close(a);
}

void
ashm_sizes(const ashm *a, uint64_t sizes[2])
{
    sizes[0] = a->header->message_memory;
    sizes[1] = a->header->group_memory;
}

int
ashm_attach(ashm *a)
{
    OPERATION(a, t, 0);
}

static int
client(ashm *a, char *text)
{
    slots_client(a, a->own->slot, a->own->generation, text);
    return 0;
}

int
ashm_client(ashm *a, char *text)
{
    OPERATION(a, t, client(a, text));
}

/* ---- messages ---- */

static bool
is_too_large(const ashm *a, size_t length)
{
    return length > a->max_message_size ||
           length > (uint64_t)(a->map.section[MESSAGES].count - 2) * PAGE_SIZE_SHM;
}

int
ashm_send(ashm *a, const char *channel, size_t channel_length, const void *body, size_t length,
          uint64_t expiry, uint32_t capacity)
{
    if (!names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    if (capacity == 0 || capacity > ASHM_CAPACITY_MAX) {
        return ASHM_BAD_ARGUMENT;
    }
    if (a != NULL && is_too_large(a, length)) {
        return ASHM_TOO_LARGE;
    }
    OPERATION(
        a, t,
        exchange_send(&t, channel, channel_length, body, (uint32_t)length, expiry, capacity));
}

/* A process's own channels are so as long as it has its slot, and another's never are: of which
 * slot the generation is need not be compared. Those of the commons are where they are. */
static bool
leads(const ashm *a, const ashm_way *way)
{
    return way->known != 0 && way->segment == a->hash_key[0] &&
           (way->mailbox < COMMONS || way->generation == a->own->generation);
}

static address
address_by(const ashm *a, ashm_way *way, const char *channel, size_t channel_length)
{
    if (!leads(a, way)) {
        address found = slots_address(a, channel, channel_length);

        *way = (ashm_way){.segment = a->hash_key[0],
                          .known = 1,
                          .mailbox = found.mailbox,
                          .generation = found.generation,
                          .hash = found.hash};
    }
    return (address){way->mailbox, way->generation, way->hash};
}

static int
receive_by(tx *t, ashm_way *way, const char *channel, size_t channel_length, unsigned flags,
           uint64_t cookie, void *buffer, size_t size, ashm_received *out)
{
    address from = address_by(t->party.a, way, channel, channel_length);

    return exchange_receive(t, &from, channel, channel_length, flags, cookie, buffer, size,
                            out);
}

int
ashm_receive_by(ashm *a, ashm_way *way, const char *channel, size_t channel_length,
                unsigned flags, uint64_t cookie, void *buffer, size_t size, ashm_received *out)
{
    if (way->known == 0 && !names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t,
              receive_by(&t, way, channel, channel_length, flags, cookie, buffer, size, out));
}

int
ashm_receive(ashm *a, const char *channel, size_t channel_length, unsigned flags,
             uint64_t cookie, void *buffer, size_t size, ashm_received *out)
{
    ashm_way way = {.known = 0};

    return ashm_receive_by(a, &way, channel, channel_length, flags, cookie, buffer, size, out);
}

int
ashm_await_room(ashm *a, const char *channel, size_t channel_length, uint32_t capacity,
                int *rung)
{
    if (!names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, exchange_await_room(&t, channel, channel_length, capacity, rung));
}

int
ashm_unwait(ashm *a, const char *channel, size_t channel_length)
{
    if (!names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, exchange_unwait(&t, channel, channel_length));
}

/* ---- the doorbell ---- */

int
ashm_bell(ashm *a, int *fd)
{
    OPERATION(a, t, doorbell_open(a, fd));
}

static int
ready(tx *t, uint64_t *cookies, size_t size, size_t *count)
{
    doorbell_drain(t->party.a);
    doorbell_disarm(t->party.a);
    return exchange_ready(t, cookies, size, count);
}

int
ashm_ready(ashm *a, uint64_t *cookies, size_t size, size_t *count)
{
    OPERATION(a, t, ready(&t, cookies, size, count));
}

static int
arm(ashm *a, int *pending)
{
    uint64_t seen = doorbell_read(a);
    bool rung = exchange_may_be_ready(a);
    int rc = rung ? 0 : exchange_arm(a, seen, &rung);

    *pending = rung;
    return rc;
}

int
ashm_arm(ashm *a, int *pending)
{
    OPERATION(a, t, arm(a, pending));
}

/* ---- groups ---- */

int
ashm_group_add(ashm *a, const char *group, size_t group_length, const char *channel,
               size_t channel_length, uint64_t expiry, uint32_t capacity)
{
    if (!names_is_group(group, group_length) || !names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    if (capacity == 0 || capacity > ASHM_CAPACITY_MAX) {
        return ASHM_BAD_ARGUMENT;
    }
    OPERATION(
        a, t,
        membership_add(&t, group, group_length, channel, channel_length, expiry, capacity));
}

int
ashm_group_discard(ashm *a, const char *group, size_t group_length, const char *channel,
                   size_t channel_length)
{
    if (!names_is_group(group, group_length) || !names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, membership_discard(&t, group, group_length, channel, channel_length));
}

/* Names, each after a byte with its length. */
static bool
are_channels(const char *names, size_t length)
{
    size_t at = 0;

    while (at < length) {
        size_t one = (unsigned char)names[at];

        if (one > length - at - 1 || !names_is_channel(names + at + 1, one)) {
            return false;
        }
        at += 1 + one;
    }
    return true;
}

int
ashm_group_send(ashm *a, const char *group, size_t group_length, const void *body,
                size_t length, uint64_t expiry, ashm_reached *reached)
{
    return ashm_group_send_but(a, group, group_length, body, length, expiry, NULL, 0, reached,
                               NULL);
}

int
ashm_group_send_but(ashm *a, const char *group, size_t group_length, const void *body,
                    size_t length, uint64_t expiry, const char *exclude, size_t exclude_length,
                    ashm_reached *reached, ashm_delivery *report)
{
    membership_how how = {.expiry = expiry,
                          .exclude = exclude,
                          .exclude_length = exclude_length,
                          .report = report};

    if (!names_is_group(group, group_length) || !are_channels(exclude, exclude_length)) {
        return ASHM_BAD_NAME;
    }
    if (a != NULL && is_too_large(a, length)) {
        return ASHM_TOO_LARGE;
    }
    OPERATION_ENDING(
        a, t, membership_send(&t, group, group_length, body, (uint32_t)length, &how, reached),
        end_group_send);
}

int
ashm_discard_all(ashm *a, const char *channel, size_t channel_length)
{
    if (!names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, membership_discard_all(&t, channel, channel_length));
}

int
ashm_group_members(ashm *a, const char *group, size_t group_length, uint64_t *cursor,
                   char *names, size_t *size, size_t *count)
{
    if (!names_is_group(group, group_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, ask_members(&t, group, group_length, cursor, names, size, count));
}

static int
watch(tx *t, const char *group, size_t group_length, uint32_t *bucket)
{
    uint32_t hash = group_hash(t->party.a, group, group_length);
    int rc = watch_begin(t, watch_bucket(hash));

    if (rc == 0) {
        *bucket = watch_bucket(hash);
    }
    return rc;
}

int
ashm_watch(ashm *a, const char *group, size_t group_length, uint32_t *bucket)
{
    if (!names_is_group(group, group_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, watch(&t, group, group_length, bucket));
}

int
ashm_unwatch(ashm *a, uint32_t bucket)
{
    if (bucket >= WATCH_BUCKETS) {
        return ASHM_BAD_ARGUMENT;
    }
    OPERATION(a, t, watch_end(&t, bucket));
}

static int
is_gone(ashm *a, const char *channel, size_t channel_length, int *gone)
{
    *gone = slots_address(a, channel, channel_length).mailbox == MAILBOXES;
    return 0;
}

int
ashm_is_gone(ashm *a, const char *channel, size_t channel_length, int *gone)
{
    if (!names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, is_gone(a, channel, channel_length, gone));
}

int
ashm_ask_channel(ashm *a, const char *channel, size_t channel_length, ashm_channel *out)
{
    if (!names_is_channel(channel, channel_length)) {
        return ASHM_BAD_NAME;
    }
    OPERATION(a, t, ask_channel(&t, channel, channel_length, out));
}

/* ---- the whole ---- */

int
ashm_flush(ashm *a)
{
    OPERATION(a, t, sweep_flush(&t));
}

int
ashm_sweep(ashm *a)
{
    OPERATION(a, t, sweep_all(&t));
}

int
ashm_tick(ashm *a)
{
    tx t;
    int rc = begin(a, &t);

    if (rc == 0) {
        rc = maintain_tick(a, &t);
        tx_close(&t);
    }
    return look_again(a, rc);
}

int
ashm_verify(ashm *a, char *report, size_t size)
{
    OPERATION(a, t, verify(&t, report, size));
}

int
ashm_get_info(ashm *a, ashm_info *info)
{
    OPERATION(a, t, stats_collect(&t, info));
}

int
ashm_get_losses(ashm *a, ashm_losses *losses)
{
    OPERATION(a, t, stats_losses(&t, losses));
}

const ashm_counter *
ashm_counters(size_t *count)
{
    return stats_counters(count);
}

void
ashm_blame(ashm *a, int *pid, const char **lock)
{
    if (a == NULL) {
        *pid = 0;
        *lock = NULL;
        return;
    }
    *pid = (int)atomic_load_explicit(&a->blame_pid, memory_order_relaxed);
    *lock = atomic_load_explicit(&a->blame_lock, memory_order_relaxed);
}

void
ashm_on_linger(void (*hook)(void))
{
    linger_call(hook);
}

void
ashm_set_clock(ashm *a, uint64_t now)
{
    store_relaxed64(&a->clock_fixed, now);
}

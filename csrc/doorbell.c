/* doorbell.c: see doorbell.h. Model: docs/models/doorbell.pml. */
#include "doorbell.h"

#include <errno.h>
#include <unistd.h>

#include "datagram.h"
#include "fifo.h"
#include "linger.h"

static atomic_u64 *
word_of(const ashm *a, uint32_t slot)
{
    return &handle_slot(a, slot)->bell;
}

/* Whoever has them may be making one, or ringing it. */
static void
lock_bells(own_process *own)
{
    if (pthread_mutex_trylock(&own->bells) != 0) {
        linger();
        pthread_mutex_lock(&own->bells);
    }
}

/* ---- the primitive: by what the segment is ---- */

/* What tells a slot's bell from those that it had: see `peer`. */
static uint64_t
bell_of(const ashm *a, uint32_t slot)
{
    return a->unnamed != NULL
               ? datagram_name(a, slot)
               : atomic_load_explicit(&handle_slot(a, slot)->generation, memory_order_acquire);
}

static int
open_peer(const ashm *a, uint32_t slot, uint64_t holder, int *fd)
{
    return a->unnamed != NULL ? datagram_to(holder, fd) : fifo_of(a, slot, fd);
}

static int
open_own(ashm *a, int *fd)
{
    return a->unnamed != NULL ? datagram_own(a, fd) : fifo_own(a, fd);
}

/* Take over what was opened, or close it. */
static int
keep(int rc, int opened, int *fd, object_id *id)
{
    if (rc == 0 && (rc = object_identify(opened, id)) != 0) {
        close(opened);
    }
    *fd = rc == 0 ? opened + 1 : 0;
    return rc;
}

/* The bell of a peer, from an earlier ring if that is still it: the program may
 * have closed our descriptor and opened another file under its number. */
static int
peer_bell(ashm *a, uint32_t slot)
{
    peer *p = &a->peers[slot];
    uint64_t holder = bell_of(a, slot);
    int opened = -1, rc;

    if (p->fd != 0 && object_is(p->fd - 1, &p->id)) {
        if (p->holder == holder) {
            return p->fd - 1;
        }
        close(p->fd - 1);
    }
    rc = open_peer(a, slot, holder, &opened);
    (void)keep(rc, opened, &p->fd, &p->id);
    p->holder = holder;
    return p->fd - 1;
}

/* A full bell has been rung enough. If it cannot be opened (no descriptors left, or
 * the receiver is going), the receiver's tick finds what we have published. */
static void
write_to(ashm *a, uint32_t slot)
{
    int fd;

    lock_bells(a->own);
    if ((fd = peer_bell(a, slot)) >= 0) {
        while (write(fd, "", 1) < 0 && errno == EINTR) {
        }
    }
    pthread_mutex_unlock(&a->own->bells);
}

void
doorbell_unlink(const ashm *a, uint32_t slot, uint32_t generation)
{
    if (a->unnamed == NULL) {
        fifo_unlink(a, slot, generation);
    }
}

/* ---- this process's bell ---- */

/* Under `bells`. The program may have closed our descriptor, and have another file under its
 * number: that one is neither read nor closed. */
static bool
has_bell(const own_process *own)
{
    return own->bell != 0 && object_is(own->bell - 1, &own->bell_id);
}

static int
open_bell(ashm *a)
{
    int opened = -1;
    int rc = open_own(a, &opened);

    return keep(rc, opened, &a->own->bell, &a->own->bell_id);
}

int
doorbell_open(ashm *a, int *fd)
{
    own_process *own = a->own;
    int rc = 0;

    lock_bells(own);
    if (!has_bell(own)) {
        rc = open_bell(a);
    }
    if (rc == 0) {
        *fd = own->bell - 1;
    }
    pthread_mutex_unlock(&own->bells);
    return rc;
}

uint64_t
doorbell_read(const ashm *a)
{
    return load_acquire64(word_of(a, a->own->slot)); /* P2: pairs with doorbell_ring() */
}

bool
doorbell_arm(ashm *a, uint64_t seen)
{
    atomic_u64 *word = word_of(a, a->own->slot);
    uint64_t now = load_acquire64(word);

    if (SABOTAGE(ARM_BLINDLY) || (SABOTAGE(ARMED_WILL_DO) && (now & 1) != 0)) {
        seen = now;
    }
    if (now >> 1 != seen >> 1) {
        return false;
    }
    /* Armed already, by another thread, and nobody has come: whoever comes will ring. */
    return (now & 1) != 0 ||
           atomic_compare_exchange_strong_explicit(word, &now, now | 1, memory_order_acq_rel,
                                                   memory_order_acquire); /* P2 */
}

void
doorbell_disarm(ashm *a)
{
    atomic_fetch_and_explicit(word_of(a, a->own->slot), ~UINT64_C(1),
                              memory_order_acq_rel); /* P2 */
}

void
doorbell_drain(ashm *a)
{
    own_process *own = a->own;
    char bytes[4096];

    lock_bells(own); /* another thread may be closing it */
    if (has_bell(own)) {
        /* More bytes than these, or more datagrams: it stays readable, and we come again. */
        while (read(own->bell - 1, bytes, sizeof bytes) < 0 && errno == EINTR) {
        }
    }
    pthread_mutex_unlock(&own->bells);
}

void
doorbell_close(ashm *a)
{
    own_process *own = a->own;

    lock_bells(own);
    if (has_bell(own)) {
        close(own->bell - 1);
    }
    own->bell = 0;
    for (uint32_t i = 0; i < ASHM_SLOTS; i++) {
        if (a->peers[i].fd != 0 && object_is(a->peers[i].fd - 1, &a->peers[i].id)) {
            close(a->peers[i].fd - 1);
        }
        a->peers[i].fd = 0;
    }
    pthread_mutex_unlock(&own->bells);
}

/* ---- ringing ---- */

bool
doorbell_ring(ashm *a, uint32_t slot)
{
    /* P2. A kill here leaves the bell owed. */
    uint64_t before = atomic_fetch_add_explicit(word_of(a, slot), 2, memory_order_acq_rel);

    if (before & 1) {
        if (SABOTAGE(SENDER_DISARMS)) {
            atomic_fetch_and_explicit(word_of(a, slot), ~UINT64_C(1), memory_order_acq_rel);
        }
        write_to(a, slot);
    }
    return (before & 1) != 0;
}

void
doorbell_pay(tx *t)
{
    for (uint32_t i = 0; i < BELL_WORDS; i++) {
        uint64_t *word = &t->lane->bells[i];

        while (*word != 0) {
            uint32_t bit = (uint32_t)__builtin_ctzll(*word);

            if (i * 64 + bit < handle_slots_high(t->party.a)) {
                lane_count(&t->lane->counters.rings, doorbell_ring(t->party.a, i * 64 + bit));
            }
            *(volatile uint64_t *)word &= *word - 1; /* our own record: no log */
        }
    }
}

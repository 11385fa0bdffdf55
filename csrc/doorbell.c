/* doorbell.c: see doorbell.h. Model: docs/models/doorbell.pml. */
#include "doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_u64 *
word_of(const ashm *a, uint32_t slot)
{
    return &handle_slot(a, slot)->bell;
}

/* ---- the FIFO ---- */

enum { PATH_SIZE = 320 };

/* The slot's, and not its holder's: where other users share the segment the next holder may
 * not be able to remove what a killed one has left, and goes on with it. */
static void
fifo_path(const ashm *a, uint32_t slot, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/dev/shm%s:bell.%08x.%u", a->name, a->segment_id, slot);
}

/* Where a holder makes it: under the slot's name it is never found half-made. */
static void
fifo_path_unfinished(const ashm *a, uint32_t slot, uint32_t generation, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/dev/shm%s:bell.%08x.%u.%u", a->name, a->segment_id, slot,
             generation);
}

static int
segment_stat(ashm *a, struct stat *st)
{
    int fd, rc;

    if ((rc = handle_fd(a, &fd)) != 0) {
        return rc;
    }
    return fstat(fd, st) == 0 ? 0 : errno;
}

/* Does it matter which group it is of? Not where everybody may do what the group may. */
static bool
group_matters(const struct stat *segment)
{
    return (segment->st_mode >> 3 & 07 & ~segment->st_mode) != 0;
}

/* As the segment: those who may write to it may ring. */
static int
fifo_permit(ashm *a, const char *path)
{
    struct stat segment;
    int rc;

    if ((rc = segment_stat(a, &segment)) != 0) {
        return rc;
    }
    if (group_matters(&segment) && segment.st_gid != getegid() &&
        chown(path, (uid_t)-1, segment.st_gid) != 0) {
        return errno;
    }
    return chmod(path, segment.st_mode & 0777) == 0 ? 0 : errno; /* whatever the umask was */
}

/* Is it open to those whom the segment lets in, and to nobody else? */
static bool
fifo_is_permitted(ashm *a, int fd)
{
    struct stat st, segment;

    return fstat(fd, &st) == 0 && segment_stat(a, &segment) == 0 &&
           (st.st_gid == segment.st_gid || !group_matters(&segment)) &&
           ((st.st_mode ^ segment.st_mode) & 0777) == 0;
}

/* For reading and for writing, both for the receiver, who so never sees the end of the file,
 * and for senders, who so never get the SIGPIPE of a receiver that is gone. */
static int
fifo_open(const char *path, int *fd, object_id *id)
{
    struct stat st;
    int opened = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    int rc;

    if (opened < 0) {
        return errno;
    }
    rc = fstat(opened, &st) != 0 ? errno : S_ISFIFO(st.st_mode) ? 0 : ENOENT;
    if (rc != 0) {
        close(opened);
        return rc;
    }
    *fd = opened;
    *id = (object_id){.device = st.st_dev, .inode = st.st_ino};
    return 0;
}

static int
fifo_make(ashm *a, const char *path)
{
    char unfinished[PATH_SIZE];
    int rc;

    fifo_path_unfinished(a, a->own->slot, a->own->generation, unfinished);
    if (mkfifo(unfinished, 0600) != 0) {
        return errno == ENOSPC ? ASHM_SHM_FULL : errno;
    }
    if ((rc = fifo_permit(a, unfinished)) == 0 && rename(unfinished, path) != 0) {
        rc = errno;
    }
    if (rc != 0) {
        unlink(unfinished);
    }
    return rc;
}

/* The FIFO of a peer, from an earlier ring if that is still it: the program may
 * have closed our descriptor and opened another file under its number. */
static int
fifo_of_peer(ashm *a, uint32_t slot, uint32_t generation)
{
    peer *p = &a->peers[slot];
    char path[PATH_SIZE];
    int fd;

    if (p->fd != 0 && object_is(p->fd - 1, &p->id)) {
        if (p->generation == generation) {
            return p->fd - 1;
        }
        close(p->fd - 1);
    }
    fifo_path(a, slot, path);
    p->fd = fifo_open(path, &fd, &p->id) == 0 ? fd + 1 : 0;
    p->generation = generation;
    return p->fd - 1;
}

/* A full FIFO has been rung enough. If it cannot be opened (no descriptors left, or
 * the receiver is going), the receiver's tick finds what we have published. */
static void
fifo_write(ashm *a, uint32_t slot)
{
    uint32_t generation =
        atomic_load_explicit(&handle_slot(a, slot)->generation, memory_order_acquire);
    int fd;

    pthread_mutex_lock(&a->own->bells);
    if ((fd = fifo_of_peer(a, slot, generation)) >= 0) {
        while (write(fd, "", 1) < 0 && errno == EINTR) {
        }
    }
    pthread_mutex_unlock(&a->own->bells);
}

void
doorbell_unlink(const ashm *a, uint32_t slot, uint32_t generation)
{
    char path[PATH_SIZE];

    fifo_path(a, slot, path);
    unlink(path);
    fifo_path_unfinished(a, slot, generation, path);
    unlink(path);
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
    own_process *own = a->own;
    char path[PATH_SIZE];
    int fd, rc;

    fifo_path(a, own->slot, path);
    /* The one that is there: others may have it open since we lost its descriptor, or since
     * they saw our generation. What an earlier holder was rung for wakes us once in vain. */
    rc = fifo_open(path, &fd, &own->bell_id);
    if (rc == 0 && !fifo_is_permitted(a, fd)) {
        close(fd);
        rc = EACCES;
    }
    if ((rc == ENOENT || rc == EACCES) && (rc = fifo_make(a, path)) == 0) {
        rc = fifo_open(path, &fd, &own->bell_id);
    }
    if (rc == 0) {
        own->bell = fd + 1;
    }
    return rc;
}

int
doorbell_open(ashm *a, int *fd)
{
    own_process *own = a->own;
    int rc = 0;

    pthread_mutex_lock(&own->bells);
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

    pthread_mutex_lock(&own->bells); /* another thread may be closing it */
    if (has_bell(own)) {
        /* More bytes than these: it stays readable, and we come again. */
        while (read(own->bell - 1, bytes, sizeof bytes) < 0 && errno == EINTR) {
        }
    }
    pthread_mutex_unlock(&own->bells);
}

void
doorbell_close(ashm *a)
{
    own_process *own = a->own;

    pthread_mutex_lock(&own->bells);
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
        fifo_write(a, slot);
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

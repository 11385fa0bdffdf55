/* doorbell.c: see doorbell.h. */
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

static void
fifo_path(const ashm *a, uint32_t slot, uint32_t generation, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "/dev/shm%s:bell.%08x.%u.%u", a->name, a->segment_id, slot,
             generation);
}

/* As the segment: those who may write to it may ring. */
static int
fifo_permit(ashm *a, const char *path)
{
    struct stat st;
    int fd, rc;

    if ((rc = handle_fd(a, &fd)) != 0) {
        return rc;
    }
    if (fstat(fd, &st) != 0) {
        return errno;
    }
    if (st.st_gid != getegid() && chown(path, (uid_t)-1, st.st_gid) != 0) {
        return errno;
    }
    return chmod(path, st.st_mode & 0777) == 0 ? 0 : errno; /* whatever the umask was */
}

static int
fifo_make(ashm *a, int *fd)
{
    char path[PATH_SIZE];
    int opened, rc;

    fifo_path(a, a->own->slot, a->own->generation, path);
    unlink(path);
    if (mkfifo(path, 0600) != 0) {
        return errno == ENOSPC ? ASHM_SHM_FULL : errno;
    }
    rc = fifo_permit(a, path);
    /* For writing too: it never sees the end of file that way. */
    if (rc == 0 && (opened = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0) {
        rc = errno;
    }
    if (rc != 0) {
        unlink(path);
        return rc;
    }
    *fd = opened;
    return 0;
}

/* For reading too: a write is then never the SIGPIPE of a receiver that is gone. */
static int
fifo_open(ashm *a, uint32_t slot, uint32_t generation)
{
    char path[PATH_SIZE];
    struct stat st;
    int fd;

    fifo_path(a, slot, generation, path);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode))) {
        close(fd);
        return -1;
    }
    if (fd >= 0) {
        a->peers[slot].id = (object_id){.device = st.st_dev, .inode = st.st_ino};
    }
    return fd;
}

/* The FIFO of a peer, from an earlier ring if that is still it: the program may
 * have closed our descriptor and opened another file under its number. */
static int
fifo_of_peer(ashm *a, uint32_t slot, uint32_t generation)
{
    peer *p = &a->peers[slot];

    if (p->fd != 0 && object_is(p->fd - 1, &p->id)) {
        if (p->generation == generation) {
            return p->fd - 1;
        }
        close(p->fd - 1);
    }
    p->fd = fifo_open(a, slot, generation) + 1;
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

    fifo_path(a, slot, generation, path);
    unlink(path);
}

/* ---- this process's bell ---- */

int
doorbell_open(ashm *a, int *fd)
{
    own_process *own = a->own;
    int rc = 0;

    pthread_mutex_lock(&own->bells);
    if (own->bell == 0) {
        int made;

        if ((rc = fifo_make(a, &made)) == 0) {
            own->bell = made + 1;
        }
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

    if (now & 1) {
        return true; /* another thread has armed it: whoever came since has rung */
    }
    return now >> 1 == seen >> 1 &&
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
    if (own->bell != 0) {
        while (read(own->bell - 1, bytes, sizeof bytes) == sizeof bytes) {
        }
    }
    pthread_mutex_unlock(&own->bells);
}

void
doorbell_close(ashm *a)
{
    own_process *own = a->own;

    pthread_mutex_lock(&own->bells);
    if (own->bell != 0) {
        close(own->bell - 1);
        own->bell = 0;
        doorbell_unlink(a, own->slot, own->generation);
    }
    for (uint32_t i = 0; i < ASHM_SLOTS; i++) {
        if (a->peers[i].fd != 0 && object_is(a->peers[i].fd - 1, &a->peers[i].id)) {
            close(a->peers[i].fd - 1);
        }
        a->peers[i].fd = 0;
    }
    pthread_mutex_unlock(&own->bells);
}

/* ---- ringing ---- */

void
doorbell_ring(ashm *a, uint32_t slot)
{
    /* P2. A kill here leaves the bell owed. */
    uint64_t before = atomic_fetch_add_explicit(word_of(a, slot), 2, memory_order_acq_rel);

    if (before & 1) {
        fifo_write(a, slot);
    }
}

void
doorbell_pay(tx *t)
{
    for (uint32_t i = 0; i < BELL_WORDS; i++) {
        uint64_t *word = &t->lane->bells[i];

        while (*word != 0) {
            uint32_t bit = (uint32_t)__builtin_ctzll(*word);

            if (i * 64 + bit < handle_slots_high(t->party.a)) {
                doorbell_ring(t->party.a, i * 64 + bit);
            }
            *(volatile uint64_t *)word &= *word - 1; /* our own record: no log */
        }
    }
}

/* process.c: see process.h. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ashm.h"
#include "clock.h"
#include "sabotage.h"

static pthread_mutex_t fork_guard = PTHREAD_MUTEX_INITIALIZER;

static void
fork_guard_lock(void)
{
    pthread_mutex_lock(&fork_guard);
}

static void
fork_guard_unlock(void)
{
    pthread_mutex_unlock(&fork_guard);
}

__attribute__((constructor)) static void
fork_guard_install(void)
{
    pthread_atfork(fork_guard_lock, fork_guard_unlock, fork_guard_unlock);
}

static int
byte_set(int fd, short type, uint64_t byte)
{
    struct flock range = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

int
life_claim(const char *name, const object_id *id, uint64_t byte, void **life)
{
    long page = sysconf(_SC_PAGESIZE);
    void *map = MAP_FAILED;
    int fd, rc;

    fork_guard_lock();
    if ((rc = object_open(name, id, &fd)) != 0) {
        goto unguard;
    }
    map = mmap(NULL, (size_t)page, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED ||
        (!SABOTAGE(LIFE_INHERITED) && madvise(map, (size_t)page, MADV_DONTFORK) != 0)) {
        rc = errno;
        goto out;
    }
    rc = byte_set(fd, F_WRLCK, byte);
    if (rc == EACCES) {
        rc = EAGAIN;
    }
out:
    close(fd);
    if (rc == 0) {
        *life = map;
    } else if (map != MAP_FAILED) {
        munmap(map, (size_t)page);
    }
unguard:
    fork_guard_unlock();
    return rc;
}

void
life_release(void *life)
{
    munmap(life, (size_t)sysconf(_SC_PAGESIZE));
}

int
life_find(int fd, uint64_t byte, uint64_t n, bool *found)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = (off_t)n};

    if (fcntl(fd, F_OFD_GETLK, &range) != 0) {
        return errno;
    }
    *found = range.l_type != F_UNLCK;
    return 0;
}

bool
life_exists(int fd, uint64_t byte)
{
    bool found = true; /* unless it can be told */

    (void)life_find(fd, byte, 1, &found);
    return found;
}

int
kernel_lock(const char *name, const object_id *id, uint64_t byte, uint64_t wait_ns, int *fd)
{
    const struct timespec pause = {.tv_nsec = NS_PER_MS / 2};
    uint64_t until = clock_monotonic() + wait_ns;

    for (;;) {
        int opened, rc;

        if (wait_ns > 0) {
            fork_guard_lock();
        } else if (pthread_mutex_trylock(&fork_guard) != 0) {
            return ASHM_BUSY; /* another thread is at something of the kind */
        }
        /* Tried and not waited for: a fork must not wait for another process. */
        if ((rc = object_open(name, id, &opened)) == 0) {
            if ((rc = byte_set(opened, F_WRLCK, byte)) == 0) {
                *fd = opened;
                return 0; /* with the fork guard, until kernel_unlock() */
            }
            close(opened);
        }
        fork_guard_unlock();
        if (rc != EAGAIN && rc != EACCES) {
            return rc;
        }
        if (clock_monotonic() >= until) {
            return ASHM_BUSY;
        }
        nanosleep(&pause, NULL);
    }
}

void
kernel_unlock(int fd, uint64_t byte)
{
    byte_set(fd, F_UNLCK, byte); /* and not only closed: a vforked child may share it */
    close(fd);
    fork_guard_unlock();
}

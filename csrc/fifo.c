/* fifo.c: see fifo.h. */
#include "fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void
fifo_path(const ashm *a, uint32_t slot, char path[OBJECT_PATH])
{
    snprintf(path, OBJECT_PATH, "/dev/shm%s:bell.%08x.%u", a->name, a->segment_id, slot);
}

/* Where a holder makes it: under the slot's name it is never found half-made. */
static void
unfinished_path(const ashm *a, uint32_t slot, uint32_t generation, char path[OBJECT_PATH])
{
    snprintf(path, OBJECT_PATH, "/dev/shm%s:bell.%08x.%u.%u", a->name, a->segment_id, slot,
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
permit(ashm *a, const char *path)
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
is_permitted(ashm *a, int fd)
{
    struct stat st, segment;

    return fstat(fd, &st) == 0 && segment_stat(a, &segment) == 0 &&
           (st.st_gid == segment.st_gid || !group_matters(&segment)) &&
           ((st.st_mode ^ segment.st_mode) & 0777) == 0;
}

static int
fifo_open(const char *path, int *fd)
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
    return 0;
}

static int
fifo_make(ashm *a, const char *path)
{
    char unfinished[OBJECT_PATH];
    int rc;

    unfinished_path(a, a->own->slot, a->own->generation, unfinished);
    if (mkfifo(unfinished, 0600) != 0) {
        return errno == ENOSPC ? ASHM_SHM_FULL : errno;
    }
    if ((rc = permit(a, unfinished)) == 0 && rename(unfinished, path) != 0) {
        rc = errno;
    }
    if (rc != 0) {
        unlink(unfinished);
    }
    return rc;
}

int
fifo_own(ashm *a, int *fd)
{
    char path[OBJECT_PATH];
    int rc;

    fifo_path(a, a->own->slot, path);
    /* The one that is there: others may have it open since we lost its descriptor, or since
     * they saw our generation. What an earlier holder was rung for wakes us once in vain. */
    rc = fifo_open(path, fd);
    if (rc == 0 && !is_permitted(a, *fd)) {
        close(*fd);
        rc = EACCES;
    }
    if ((rc == ENOENT || rc == EACCES) && (rc = fifo_make(a, path)) == 0) {
        rc = fifo_open(path, fd);
    }
    return rc;
}

int
fifo_of(const ashm *a, uint32_t slot, int *fd)
{
    char path[OBJECT_PATH];

    fifo_path(a, slot, path);
    return fifo_open(path, fd);
}

void
fifo_unlink(const ashm *a, uint32_t slot, uint32_t generation)
{
    char path[OBJECT_PATH];

    fifo_path(a, slot, path);
    unlink(path);
    unfinished_path(a, slot, generation, path);
    unlink(path);
}

/* object.c: see object.h. */
#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ashm.h"

static const char PRIVATE[] = "/proc/self/fd/";

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

int
object_identify(int fd, object_id *id)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return errno;
    }
    *id = (object_id){.device = st.st_dev, .inode = st.st_ino};
    return 0;
}

static bool
is_same(const struct stat *st, const object_id *id)
{
    return st->st_dev == id->device && st->st_ino == id->inode;
}

bool
object_is(int fd, const object_id *id)
{
    struct stat st;

    return fstat(fd, &st) == 0 && is_same(&st, id);
}

static bool
is_private(const char *name)
{
    return strncmp(name, PRIVATE, sizeof PRIVATE - 1) == 0;
}

/* Of a private object. */
static int
inherited_descriptor(const char *name)
{
    return (int)strtol(name + sizeof PRIVATE - 1, NULL, 10);
}

int
object_make_private(char name[OBJECT_PRIVATE_NAME], int *fd)
{
    /* Where the system forbids memory that could be executed it has to be said that this is
     * not to be; Linux before 6.3 does not know the flag. */
    int made = memfd_create("asgi_shm", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (made < 0 && errno == EINVAL) {
        made = memfd_create("asgi_shm", MFD_CLOEXEC);
    }
    if (made < 0) {
        return errno;
    }
    snprintf(name, OBJECT_PRIVATE_NAME, "%s%d", PRIVATE, made);
    *fd = made;
    return 0;
}

int
object_find(const char *name, int flags, int *fd)
{
    int opened =
        is_private(name) ? open(name, flags | O_CLOEXEC) : shm_open(name, flags | O_CLOEXEC, 0);

    if (opened < 0) {
        return errno;
    }
    *fd = opened;
    return 0;
}

int
object_open(const char *name, const object_id *id, int *fd)
{
    int opened, rc;

    /* Not even opened, for its number may be a terminal's or a device's by now. */
    if (is_private(name) && !object_is(inherited_descriptor(name), id)) {
        return ASHM_REPLACED;
    }
    if ((rc = object_find(name, O_RDWR, &opened)) != 0) {
        return rc == ENOENT && !is_private(name) ? ASHM_REPLACED : rc;
    }
    if (!object_is(opened, id)) {
        close(opened);
        return ASHM_REPLACED;
    }
    *fd = opened;
    return 0;
}

bool
object_is_lost(const char *name, const object_id *id)
{
    char path[OBJECT_PATH];
    struct stat st;

    if (is_private(name)) {
        return !object_is(inherited_descriptor(name), id);
    }
    /* Every process asks this many times a second, and opening it costs twice as much. */
    snprintf(path, sizeof path, "/dev/shm%s", name);
    if (lstat(path, &st) != 0) {
        return errno == ENOENT;
    }
    return !is_same(&st, id);
}

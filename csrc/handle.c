/* handle.c: see handle.h. */
#include "handle.h"

int
handle_fd(ashm *a, int *fd)
{
    int rc, opened;

    if (ASHM_LIKELY(a->fd >= 0 && object_is(a->fd, &a->id))) {
        *fd = a->fd;
        return 0;
    }
    /* Somebody closed it, and its number may be another file's now: that one stays. */
    if ((rc = object_open(a->name, &a->id, &opened)) == 0) {
        a->fd = opened;
        *fd = opened;
    }
    return rc;
}

/* datagram.c: see datagram.h. */
#include "datagram.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Abstract: the first byte of the path is 0, and the length says where it ends. */
static socklen_t
address_of(uint64_t name, struct sockaddr_un *address)
{
    int length;

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                      "asgi_shm.%016" PRIx64, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static int
open_socket(uint64_t name, int (*at)(int, const struct sockaddr *, socklen_t), int *fd)
{
    struct sockaddr_un address;
    socklen_t length = address_of(name, &address);
    int opened = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

    if (opened < 0) {
        return errno;
    }
    if (at(opened, (const struct sockaddr *)&address, length) != 0) {
        rc = errno;
        close(opened);
        return rc;
    }
    *fd = opened;
    return 0;
}

int
datagram_own(ashm *a, int *fd)
{
    uint64_t name;
    int rc;

    if (getrandom(&name, sizeof name, 0) != (ssize_t)sizeof name) {
        return errno;
    }
    if ((rc = open_socket(name, bind, fd)) == 0) {
        store_release64(&a->unnamed->sockets[a->own->slot], name);
    }
    return rc;
}

int
datagram_to(uint64_t name, int *fd)
{
    return open_socket(name, connect, fd);
}

/*
 * object.h: the shared-memory object behind a segment, and how it is opened again.
 *
 * One descriptor does not do: each lock of the kernel's needs a file description of its own,
 * and programs close descriptors that they do not know. So an object is opened again by its
 * name: what shm_open() takes; or, of a private one, which no file system ever showed,
 * "/proc/self/fd/<number>", the descriptor that its processes have from the first of them.
 */
#ifndef ASHM_OBJECT_H
#define ASHM_OBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What tells one object from another that has taken its name, or its descriptor's number. */
typedef struct object_id {
    dev_t device;
    ino_t inode;
} object_id;

int object_identify(int fd, object_id *id);
bool object_is(int fd, const object_id *id);

/* Bytes of a private object's name, and of a path in /dev/shm that begins with a name. */
enum { OBJECT_PRIVATE_NAME = 40, OBJECT_PATH = 320 };

/* Make a private object, of no size yet. */
int object_make_private(char name[OBJECT_PRIVATE_NAME], int *fd);

/* Whatever object has the name now. `flags` are open()'s. */
int object_find(const char *name, int flags, int *fd);

/* A new description of this object. ASHM_REPLACED if the name leads to something else by
 * now; errno otherwise. */
int object_open(const char *name, const object_id *id, int *fd);

/* Does the name lead elsewhere, or nowhere? Any doubt is a no. */
bool object_is_lost(const char *name, const object_id *id);

#endif

/*
 * process.h: whether a process lives, and locks that the kernel gives back.
 *
 * Proof of life is an open-file-description (OFD) lock on one byte of the
 * shared-memory object, far beyond its end. It needs no PID, so it holds across
 * PID namespaces and users and cannot be fooled by a PID used again.
 *
 * The lock belongs to the open file description and goes with the last reference
 * to it. Those are: the descriptor, its copies in forked children, and mappings
 * made through it. So a life is claimed on a descriptor of its own, one page is
 * mapped through it with MADV_DONTFORK, and the descriptor is closed: what stays
 * is one mapping, which no child inherits, no closerange() touches, and which goes
 * with the process's memory.
 *
 * Between open and close a fork in another thread would give the child a copy of
 * the descriptor, and the life (or lock) would outlive its owner. Hence the fork
 * guard: it is held while such a descriptor is open, and taken by fork() itself.
 */
#ifndef ASHM_PROCESS_H
#define ASHM_PROCESS_H

#include "object.h"

/* Bytes of the object that stand for something. */
#define BYTE_FORMAT (UINT64_C(1) << 60)
#define BYTE_RECOVERY (BYTE_FORMAT + 1)
#define BYTE_LIFE(slot) (BYTE_FORMAT + 16 + (slot))

/* Claim the life of a slot: EAGAIN if somebody lives there. *life is what holds it. */
int life_claim(const char *name, const object_id *id, uint64_t byte, void **life);
void life_release(void *life);

/* Does anybody hold this byte? Any doubt is a yes. */
bool life_exists(int fd, uint64_t byte);

/* Or one of `n` from there on? 0, or an errno. */
int life_find(int fd, uint64_t byte, uint64_t n, bool *found);

/* A lock for the rare and long things (formatting, recovery), which the kernel
 * takes back from a killed holder. ASHM_BUSY after wait_ns. Holds the fork guard
 * until it is released. */
int kernel_lock(const char *name, const object_id *id, uint64_t byte, uint64_t wait_ns,
                int *fd);
void kernel_unlock(int fd, uint64_t byte);

#endif

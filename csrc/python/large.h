/*
 * large.h: the buffer that large bodies are received into.
 *
 * Memory of that size goes back to the kernel when it is freed, and to have it again costs a
 * page fault for each 4 KiB: three times as long as to copy the body. So the buffer is kept,
 * until forget() (copies.h).
 */
#ifndef ASHM_PYTHON_LARGE_H
#define ASHM_PYTHON_LARGE_H

#include "held.h"

/* A bytearray of so many bytes that nobody else has, or NULL. */
PyObject *large_taken(kept *s, size_t size);

/* The caller gives up its reference. If it was the last, of a bytearray, that is the next that
 * is taken. */
void large_given(kept *s, PyObject *body);

#endif

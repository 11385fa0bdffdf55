/*
 * copies.h: messages of bodies that come more than once.
 *
 * Each member of a group gets a message of its own, made of the same body. To unpack it is most
 * of what Python does to receive it, and to copy the objects takes a sixth of that. So what the
 * first member unpacked is kept, and the next who gets an equal body gets a copy: new dicts and
 * lists, and in them the values that nobody can change.
 */
#ifndef ASHM_PYTHON_COPIES_H
#define ASHM_PYTHON_COPIES_H

#include "held.h"

enum { COPIES_BODY_MAX = 1024 }; /* larger bodies are not kept: bytes */

/* A copy of the message that was kept with this body; or a tuple of the body. */
PyObject *copies_received(const kept *s, const char *body, size_t length);

/* Keep a copy of what was made of the body; none of a large body, or without memory. */
void copies_keep(kept *s, PyObject *body, PyObject *message);

/* forget(): all that was kept, large.h's buffer too. */
PyObject *copies_forget(PyObject *module, PyObject *ignored);

#endif

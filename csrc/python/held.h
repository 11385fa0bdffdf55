/* held.h: types whose objects begin with objects that they hold, and what the module keeps. */
#ifndef ASHM_PYTHON_HELD_H
#define ASHM_PYTHON_HELD_H

#include "calls.h"

#include <structmember.h>

/* Each object begins with as many, so that one function visits those of all types. */
enum { HELD = 5 };

typedef struct held_object {
    PyObject_HEAD PyObject *held[HELD];
} held_object;

/* A new type of the module, and a new reference to it, or NULL. `more` are slots besides those
 * of the collector, and end with {0, NULL}. */
PyObject *held_add_type(PyObject *module, const char *name, int size, unsigned flags,
                        const PyType_Slot *more);

/* A message, and the body that it was made of; or two NULLs. */
typedef struct copied {
    PyObject *body, *message;
} copied;

/* A body has its place in one of so many sets of places: a few times as many in all as a
 * channel holds messages by default. */
enum { COPIES_SETS = 256, COPIES_WAYS = 2 };

/* The module's state: objects only. */
typedef struct kept {
    PyObject *entry, *watch, *handles, *waiting, *future; /* types */
    PyObject *append, *popleft;                 /* methods of deques */
    PyObject *running_loop;                     /* the function of asyncio */
    PyObject *cancelled, *invalid_state;        /* errors */
    PyObject *call_soon, *context, *correct, *pack, *run; /* names */
    PyObject *new_packer, *unpackb, *pack_otherwise, *unpack_otherwise; /* see packing.h */
    PyObject *packer; /* one that nobody uses now, or NULL */
    PyObject *large;  /* see large.h; or NULL */
    copied copies[COPIES_SETS * COPIES_WAYS]; /* see copies.h */
} kept;

/* Fill the state, but for the types. -1: an exception. */
int kept_begin(kept *s);

int kept_traverse(PyObject *module, visitproc visit, void *arg);
int kept_clear(PyObject *module);
void kept_free(void *module);

#endif

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

/* The module's state: objects only. */
typedef struct kept {
    PyObject *entry, *watch, *handles, *waiting, *future; /* types */
    PyObject *append, *popleft;                 /* methods of deques */
    PyObject *cancelled, *invalid_state;        /* errors */
    PyObject *call_soon, *context, *correct, *run; /* names */
    PyObject *copies; /* a dict: from bodies to messages */
} kept;

/* Fill the state, but for the types. -1: an exception. */
int kept_begin(kept *s);

int kept_traverse(PyObject *module, visitproc visit, void *arg);
int kept_clear(PyObject *module);
void kept_free(void *module);

#endif

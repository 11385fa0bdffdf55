/* calls.h: what the files of module `calls` share: see calls.c. */
#ifndef ASHM_PYTHON_CALLS_H
#define ASHM_PYTHON_CALLS_H

#include <pyconfig.h>
#ifndef Py_GIL_DISABLED /* free-threaded builds have no stable ABI before 3.15 */
#define Py_LIMITED_API 0x030a0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "ashm.h"

static inline ashm *
calls_handle(PyObject *address)
{
    return PyLong_AsVoidPtr(address);
}

static inline int
calls_have(Py_ssize_t wanted, Py_ssize_t n)
{
    if (n != wanted) {
        PyErr_Format(PyExc_TypeError, "%zd arguments are needed, not %zd", wanted, n);
    }
    return n == wanted;
}

static inline PyObject *
calls_none(void)
{
    Py_IncRef(Py_None); /* Py_RETURN_NONE of 3.12 would take it for immortal, in 3.11 too */
    return Py_None;
}

struct kept;

/* Around a native call, which copies so many bytes: the GIL is let go of for a large copy, or
 * as soon as the call lingers, and had again after it. Otherwise it is kept, since whoever lets
 * go of it while another thread computes waits for milliseconds to have it back. */
void calls_enter(size_t bytes);
void calls_leave(void);

typedef struct reception {
    ashm *handle;
    const char *name;
    Py_ssize_t name_length;
    unsigned flags;
    uint64_t cookie;
    ashm_way way; /* the caller's own: other threads may run meanwhile */
    int copies; /* may other members of a group here get the same message? */
} reception;

/* What was received: a body, as bytes, or if it is large as a bytearray of large.h; or, of a
 * message that other members of its group get as well, a copy of the message that one of them
 * had, or a tuple of the body. None: the channel is empty; or an int: what else ashm_receive()
 * returns. */
PyObject *calls_receive(struct kept *s, reception *r, ashm_received *out);

#endif

/* large.c: see large.h. */
#include "large.h"

enum { LARGE_MAX = 4 << 20 }; /* bytes: what is larger is not kept; it may have twice as many */

PyObject *
large_taken(kept *s, size_t size)
{
    PyObject *body = s->large;

    s->large = NULL;
    if (body == NULL) {
        return PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)size);
    }
    if (PyByteArray_Resize(body, (Py_ssize_t)size) != 0) {
        Py_CLEAR(body);
    }
    return body;
}

void
large_given(kept *s, PyObject *body)
{
    if (s->large == NULL && PyByteArray_CheckExact(body) && Py_REFCNT(body) == 1 &&
        PyByteArray_Size(body) <= LARGE_MAX) {
        s->large = body;
    } else {
        Py_DecRef(body);
    }
}

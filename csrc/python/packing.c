/* packing.c: see packing.h. */
#include "packing.h"

#include "body.h"
#include "copies.h"

enum { PACKED_MAX = 65536 }; /* bytes: a packer whose buffer has grown beyond it is not kept */

PyObject *
packing_serialize_with(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    kept *s = PyModule_GetState(module);
    PyObject **places[] = {&s->new_packer, &s->unpackb, &s->pack_otherwise,
                           &s->unpack_otherwise};
    const Py_ssize_t wanted = sizeof places / sizeof *places;

    if (!calls_have(wanted, n)) {
        return NULL;
    }
    Py_CLEAR(s->packer);
    for (Py_ssize_t i = 0; i < wanted; i++) {
        PyObject *old = *places[i];

        Py_IncRef(arguments[i]);
        *places[i] = arguments[i];
        Py_DecRef(old);
    }
    return calls_none();
}

static int
can_serialize(const kept *s)
{
    if (s->unpack_otherwise == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "serialize_with() was not called");
    }
    return s->unpack_otherwise != NULL;
}

/* One is kept, for whoever is first: a message may run anything while it is packed, and so
 * have another packed meanwhile. */
static PyObject *
packed(kept *s, PyObject *message)
{
    PyObject *packer = s->packer, *body;

    s->packer = NULL;
    if (packer == NULL && (packer = PyObject_CallObject(s->new_packer, NULL)) == NULL) {
        return NULL;
    }
    body = PyObject_CallMethodObjArgs(packer, s->pack, message, NULL);
    if (body != NULL && s->packer == NULL && PyBytes_Size(body) <= PACKED_MAX) {
        s->packer = packer;
    } else {
        Py_DecRef(packer);
    }
    return body;
}

static int
is_good(PyObject *body)
{
    char *at;
    Py_ssize_t length;

    return PyBytes_AsStringAndSize(body, &at, &length) == 0 &&
           ashm_check_body(at, (size_t)length) == ASHM_BODY_GOOD;
}

PyObject *
packing_pack(PyObject *module, PyObject *message)
{
    kept *s = PyModule_GetState(module);
    PyObject *body, *result;

    if (!can_serialize(s)) {
        return NULL;
    }
    body = packed(s, message);
    if (body != NULL ? is_good(body) : !PyErr_ExceptionMatches(PyExc_Exception)) {
        return body;
    }
    PyErr_Clear();
    result = PyObject_CallFunctionObjArgs(s->pack_otherwise, message,
                                          body != NULL ? body : Py_None, NULL);
    Py_DecRef(body);
    return result;
}

static PyObject *
unpacked(const kept *s, PyObject *body)
{
    PyObject *message = PyObject_CallFunctionObjArgs(s->unpackb, body, NULL);

    if (message != NULL ? PyDict_CheckExact(message)
                        : !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return message;
    }
    PyErr_Clear();
    Py_DecRef(message);
    return PyObject_CallFunctionObjArgs(s->unpack_otherwise, body, NULL);
}

PyObject *
packing_unpack(PyObject *module, PyObject *body)
{
    const kept *s = PyModule_GetState(module);

    return can_serialize(s) ? unpacked(s, body) : NULL;
}

PyObject *
packing_message(kept *s, PyObject *found)
{
    int shared = found != NULL && PyTuple_Check(found);
    PyObject *body = shared ? PyTuple_GetItem(found, 0) : found;
    PyObject *message;

    if (found == NULL || !PyBytes_Check(body)) {
        return found;
    }
    message = can_serialize(s) ? unpacked(s, body) : NULL;
    if (message != NULL && shared) {
        copies_keep(s, body, message);
    }
    Py_DecRef(found);
    return message;
}

/* packing.c: see packing.h. */
#include "packing.h"

#include "body.h"
#include "copies.h"
#include "large.h"

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
    if (s->new_packer == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "serialize_with() was not called");
    }
    return s->new_packer != NULL;
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

/* The exception that is raised, which is not raised any more; or NULL, if it is none of the
 * refusals. */
static PyObject *
taken_refusal(PyObject *const *refusals, size_t n)
{
    PyObject *type, *error, *traceback;
    size_t i = 0;

    while (i < n && !PyErr_ExceptionMatches(refusals[i])) {
        i++;
    }
    if (i == n) {
        return NULL;
    }
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    Py_DecRef(type);
    Py_DecRef(traceback);
    return error;
}

PyObject *
packing_pack(PyObject *module, PyObject *message)
{
    PyObject *const refusals[] = {PyExc_TypeError, PyExc_ValueError, PyExc_OverflowError,
                                  PyExc_BufferError};
    kept *s = PyModule_GetState(module);
    PyObject *found, *result = NULL;

    if (!can_serialize(s)) {
        return NULL;
    }
    found = packed(s, message);
    if (found == NULL) {
        found = taken_refusal(refusals, sizeof refusals / sizeof *refusals);
    } else if (is_good(found)) {
        return found;
    }
    if (found != NULL) {
        result = PyObject_CallFunctionObjArgs(s->pack_otherwise, message, found, NULL);
    }
    Py_DecRef(found);
    return result;
}

static PyObject *
unpacked(const kept *s, PyObject *body)
{
    PyObject *found = PyObject_CallFunctionObjArgs(s->unpackb, body, NULL), *result = NULL;

    if (found == NULL) {
        found = taken_refusal(&PyExc_ValueError, 1);
    } else if (PyDict_CheckExact(found)) {
        return found;
    }
    if (found != NULL) {
        result = PyObject_CallFunctionObjArgs(s->unpack_otherwise, found, NULL);
    }
    Py_DecRef(found);
    return result;
}

PyObject *
packing_unpack(PyObject *module, PyObject *body)
{
    const kept *s = PyModule_GetState(module);

    return can_serialize(s) ? unpacked(s, body) : NULL;
}

PyObject *
packing_message(kept *s, PyObject *found, int has_tick)
{
    int shared = found != NULL && PyTuple_Check(found);
    PyObject *body = shared ? PyTuple_GetItem(found, 0) : found;
    PyObject *message;

    if (found == NULL || !(PyBytes_Check(body) || PyByteArray_Check(body))) {
        return found;
    }
    message = can_serialize(s) ? unpacked(s, body) : NULL;
    if (message != NULL && shared) {
        copies_keep(s, body, message);
    }
    if (has_tick) {
        large_given(s, found);
    } else {
        Py_DecRef(found);
    }
    return message;
}

/* copies.c: see copies.h. */
#include "copies.h"

#include <string.h>

static PyObject *copy_of(PyObject *value);

static int
is_container(PyObject *value)
{
    return PyDict_CheckExact(value) || PyList_CheckExact(value);
}

/* Nobody else has the copy yet. Its keys stay as they are, so it may be walked meanwhile. */
static PyObject *
copy_of_dict(PyObject *dict)
{
    PyObject *copy = PyDict_Copy(dict), *key, *value;
    Py_ssize_t at = 0;

    while (copy != NULL && PyDict_Next(copy, &at, &key, &value)) {
        if (is_container(value)) {
            PyObject *own = copy_of(value);

            if (own == NULL || PyDict_SetItem(copy, key, own) != 0) {
                Py_DecRef(copy);
                copy = NULL;
            }
            Py_DecRef(own);
        }
    }
    return copy;
}

static PyObject *
copy_of_list(PyObject *list)
{
    Py_ssize_t n = PyList_Size(list);
    PyObject *copy = PyList_GetSlice(list, 0, n);

    for (Py_ssize_t i = 0; copy != NULL && i < n; i++) {
        PyObject *value = PyList_GetItem(copy, i);

        if (is_container(value)) {
            PyObject *own = copy_of(value);

            if (own == NULL || PyList_SetItem(copy, i, own) != 0) {
                Py_DecRef(copy);
                copy = NULL;
            }
        }
    }
    return copy;
}

/* Of a container, as deep as it goes: what unpack() has made is not too deep. */
static PyObject *
copy_of(PyObject *value)
{
    return PyDict_CheckExact(value) ? copy_of_dict(value) : copy_of_list(value);
}

/* The first of the places for a body. Bodies may be chosen to collide; then they are unpacked.
 */
static size_t
place_of(const char *body, size_t length)
{
    uint64_t hash = length, word;

    for (; length > sizeof word; length -= sizeof word, body += sizeof word) {
        memcpy(&word, body, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, body, length);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    return (size_t)(hash >> 32) % COPIES_SETS * COPIES_WAYS;
}

static int
is_of(const copied *place, const char *body, size_t length)
{
    return place->body != NULL && (size_t)PyBytes_Size(place->body) == length &&
           memcmp(PyBytes_AsString(place->body), body, length) == 0;
}

PyObject *
copies_received(const kept *s, const char *body, size_t length)
{
    const copied *places = &s->copies[place_of(body, length)];
    PyObject *bytes, *result;

    for (int i = 0; i < COPIES_WAYS; i++) {
        if (is_of(&places[i], body, length)) {
            PyObject *message = places[i].message;

            Py_IncRef(message); /* it may be forgotten, by whatever a collection runs */
            result = copy_of(message);
            Py_DecRef(message);
            return result;
        }
    }
    bytes = PyBytes_FromStringAndSize(body, (Py_ssize_t)length);
    result = bytes != NULL ? PyTuple_Pack(1, bytes) : NULL;
    Py_DecRef(bytes);
    return result;
}

/* Into the first place; what was in the last goes. */
static void
put(copied *places, PyObject *body, PyObject *message)
{
    copied last = places[COPIES_WAYS - 1];

    memmove(places + 1, places, (COPIES_WAYS - 1) * sizeof *places);
    places[0] = (copied){body, message};
    Py_DecRef(last.body);
    Py_DecRef(last.message);
}

void
copies_keep(kept *s, PyObject *body, PyObject *message)
{
    size_t length = (size_t)PyBytes_Size(body);
    PyObject *copy = length <= COPIES_BODY_MAX ? copy_of(message) : NULL;

    if (copy != NULL) {
        Py_IncRef(body);
        put(&s->copies[place_of(PyBytes_AsString(body), length)], body, copy);
    }
    PyErr_Clear();
}

PyObject *
copies_forget(PyObject *module, PyObject *ignored)
{
    kept *s = PyModule_GetState(module);

    (void)ignored;
    Py_CLEAR(s->large);
    for (int i = 0; i < COPIES_SETS * COPIES_WAYS; i++) {
        copied old = s->copies[i];

        s->copies[i] = (copied){NULL, NULL};
        Py_DecRef(old.body);
        Py_DecRef(old.message);
    }
    return calls_none();
}

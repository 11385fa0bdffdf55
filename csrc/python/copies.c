/* copies.c: see copies.h. */
#include "copies.h"

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

PyObject *
copies_of(const kept *s, PyObject *body)
{
    PyObject *message = PyDict_GetItemWithError(s->copies, body), *copy = NULL;

    if (message != NULL) {
        Py_IncRef(message); /* it may be forgotten meanwhile, by whatever a collection runs */
        copy = copy_of(message);
        Py_DecRef(message);
    }
    return copy;
}

PyObject *
copies_keep(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    const kept *s = PyModule_GetState(module);
    PyObject *copy;
    int rc;

    if (!calls_have(2, n)) {
        return NULL;
    }
    if (!PyBytes_CheckExact(arguments[0]) || !PyDict_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "bytes and a dict are needed");
        return NULL;
    }
    if (PyBytes_Size(arguments[0]) > COPIES_BODY_MAX) {
        return calls_none();
    }
    copy = copy_of(arguments[1]);
    if (copy != NULL && PyDict_Size(s->copies) >= COPIES_MAX) {
        PyDict_Clear(s->copies);
    }
    rc = copy != NULL ? PyDict_SetItem(s->copies, arguments[0], copy) : -1;
    Py_DecRef(copy);
    return rc == 0 ? calls_none() : NULL;
}

PyObject *
copies_forget(PyObject *module, PyObject *ignored)
{
    const kept *s = PyModule_GetState(module);

    (void)ignored;
    PyDict_Clear(s->copies);
    return calls_none();
}

/*
 * calls.c: the calls that every message makes, for Python, without cffi in between.
 *
 * cffi wants a name as bytes, and gives a body out by way of a buffer of its own and a struct
 * that tells its length. Here a name is a str, a body is written once, and the arguments come
 * without a tuple around them. All other calls go through cffi: what they save is not worth a
 * line of this.
 *
 * The module is in the object file of cffi's (_calls.py loads it), and in its stable ABI. A
 * handle is the address of an `ashm`, or 0.
 */
#include "copies.h"
#include "future.h"
#include "large.h"
#include "packing.h"
#include "waiting.h"

#include "body.h"

#include <stdbool.h>

enum {
    SMALL = 16384, /* bytes: bodies up to this are received on the stack, others at once more */
    READY = 256 /* cookies that are asked for at a time */
};

/* ---- the GIL ---- */

static _Thread_local bool keeps; /* the thread has the GIL, in a native call */
static _Thread_local PyThreadState *without_it; /* or it has let go of it there */

static void
let_go(void)
{
    if (keeps && without_it == NULL) {
        without_it = PyEval_SaveThread();
    }
}

void
calls_enter(size_t bytes)
{
    keeps = true;
    if (bytes > SMALL) {
        let_go();
    }
}

void
calls_leave(void)
{
    PyThreadState *state = without_it;

    keeps = false;
    without_it = NULL;
    if (state != NULL) {
        PyEval_RestoreThread(state);
    }
}

/* ---- the calls ---- */

/* send(handle, channel, body, expiry, capacity): what ashm_send() returns. */
static PyObject *
call_send(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    ashm *handle;
    const char *name;
    char *body;
    Py_ssize_t name_length, length;
    unsigned long long expiry, capacity;
    int rc;

    if (!calls_have(5, n) ||
        (name = PyUnicode_AsUTF8AndSize(arguments[1], &name_length)) == NULL ||
        PyBytes_AsStringAndSize(arguments[2], &body, &length) < 0) {
        return NULL;
    }
    handle = calls_handle(arguments[0]);
    expiry = PyLong_AsUnsignedLongLong(arguments[3]);
    capacity = PyLong_AsUnsignedLongLong(arguments[4]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    if (capacity > ASHM_CAPACITY_MAX) {
        return PyLong_FromLong(ASHM_BAD_ARGUMENT);
    }
    calls_enter((size_t)length);
    rc = ashm_send(handle, name, (size_t)name_length, body, (size_t)length, expiry,
                   (uint32_t)capacity);
    calls_leave();
    return PyLong_FromLong(rc);
}

/* group_send(handle, group, body, expiry): what ashm_group_send() returns; or bytes, for a lock
 * was not had: the ashm_reached to go on with. */
static PyObject *
call_group_send(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    ashm *handle;
    const char *group;
    char *body;
    Py_ssize_t group_length, length;
    unsigned long long expiry;
    ashm_reached reached = {{0}};
    int rc;

    if (!calls_have(4, n) ||
        (group = PyUnicode_AsUTF8AndSize(arguments[1], &group_length)) == NULL ||
        PyBytes_AsStringAndSize(arguments[2], &body, &length) < 0) {
        return NULL;
    }
    handle = calls_handle(arguments[0]);
    expiry = PyLong_AsUnsignedLongLong(arguments[3]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    calls_enter((size_t)length);
    rc = ashm_group_send(handle, group, (size_t)group_length, body, (size_t)length, expiry,
                         &reached);
    calls_leave();
    if (rc == ASHM_BUSY) {
        return PyBytes_FromStringAndSize((const char *)&reached, sizeof reached);
    }
    return PyLong_FromLong(rc);
}

static int
receive_into(reception *r, void *buffer, size_t size, ashm_received *out)
{
    int rc;

    calls_enter(size);
    rc = ashm_receive_by(r->handle, &r->way, r->name, (size_t)r->name_length, r->flags,
                         r->cookie, buffer, size, out);
    calls_leave();
    return rc;
}

/* The body that comes next has so many bytes, or had: another reader may be faster. */
static PyObject *
receive_large(kept *s, reception *r, ashm_received *out, int *rc)
{
    PyObject *body;

    do {
        size_t size = out->length;

        body = large_taken(s, size);
        if (body == NULL) {
            return NULL;
        }
        *rc = receive_into(r, PyByteArray_AsString(body), size, out);
        if (*rc == 0 && PyByteArray_Resize(body, (Py_ssize_t)out->length) == 0) {
            return body;
        }
        large_given(s, body);
    } while (*rc == ASHM_BUFFER);
    return NULL;
}

PyObject *
calls_receive(kept *s, reception *r, ashm_received *out)
{
    char small[SMALL];
    int rc = receive_into(r, small, sizeof small, out);

    if (rc == 0 && r->copies && out->shared && out->length <= COPIES_BODY_MAX) {
        return copies_received(s, small, out->length);
    }
    if (rc == 0) {
        return PyBytes_FromStringAndSize(small, (Py_ssize_t)out->length);
    }
    if (rc == ASHM_BUFFER) {
        PyObject *body = receive_large(s, r, out, &rc);

        if (body != NULL || PyErr_Occurred() != NULL) {
            return body;
        }
    }
    if (rc == ASHM_EMPTY) {
        return calls_none();
    }
    return PyLong_FromLong(rc);
}

/* take(handle, channel): as calls_receive(). Nobody waits. */
static PyObject *
call_take(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    reception r = {.flags = 0};
    ashm_received out;

    if (!calls_have(2, n) ||
        (r.name = PyUnicode_AsUTF8AndSize(arguments[1], &r.name_length)) == NULL) {
        return NULL;
    }
    r.handle = calls_handle(arguments[0]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    return calls_receive(PyModule_GetState(module), &r, &out);
}

/* wait(handle, channel, flags, cookie): with ASHM_WAIT, (body, whether it goes on waiting) or
 * (None, whether the bell was rung meanwhile); or an int, as above. */
static PyObject *
call_wait(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    reception r = {.flags = ASHM_WAIT};
    ashm_received out;
    PyObject *found, *pair;

    if (!calls_have(4, n) ||
        (r.name = PyUnicode_AsUTF8AndSize(arguments[1], &r.name_length)) == NULL) {
        return NULL;
    }
    r.handle = calls_handle(arguments[0]);
    r.flags |= (unsigned)PyLong_AsUnsignedLong(arguments[2]);
    r.cookie = PyLong_AsUnsignedLongLong(arguments[3]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    found = calls_receive(PyModule_GetState(module), &r, &out);
    if (found == NULL || PyLong_Check(found)) {
        return found;
    }
    pair = PyTuple_Pack(2, found,
                        (found == Py_None ? out.more : out.waiting) != 0 ? Py_True : Py_False);
    Py_DecRef(found);
    return pair;
}

static int
ready_into(ashm *handle, uint64_t *cookies, size_t *count)
{
    int rc;

    *count = 0;
    calls_enter(0);
    rc = ashm_ready(handle, cookies, READY, count);
    calls_leave();
    return rc;
}

/* ready(handle, cookies): appends to the list `cookies` those that there are, and returns what
 * ashm_ready() does. */
static PyObject *
call_ready(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    uint64_t cookies[READY];
    size_t count;
    ashm *handle;
    int rc;

    if (!calls_have(2, n)) {
        return NULL;
    }
    handle = calls_handle(arguments[0]);
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    do {
        rc = ready_into(handle, cookies, &count);
        for (size_t i = 0; i < count; i++) {
            PyObject *cookie = PyLong_FromUnsignedLongLong(cookies[i]);
            int failed = cookie == NULL || PyList_Append(arguments[1], cookie) != 0;

            Py_DecRef(cookie);
            if (failed) {
                return NULL;
            }
        }
    } while (rc == 0 && count == READY);
    return PyLong_FromLong(rc);
}

/* arm(handle): True if something came meanwhile, False if not; or an int: what else ashm_arm()
 * returns. */
static PyObject *
call_arm(PyObject *module, PyObject *argument)
{
    ashm *handle = calls_handle(argument);
    int rc, pending;

    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    calls_enter(0);
    rc = ashm_arm(handle, &pending);
    calls_leave();
    return rc == 0 ? PyBool_FromLong(pending) : PyLong_FromLong(rc);
}

/* check(body): what ashm_check_body() returns. */
static PyObject *
call_check(PyObject *module, PyObject *argument)
{
    char *body;
    Py_ssize_t length;

    if (PyBytes_AsStringAndSize(argument, &body, &length) < 0) {
        return NULL;
    }
    return PyLong_FromLong(ashm_check_body(body, (size_t)length));
}

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

static PyMethodDef functions[] = {
    {"send", FAST(call_send), NULL},
    {"group_send", FAST(call_group_send), NULL},
    {"take", FAST(call_take), NULL},
    {"wait", FAST(call_wait), NULL},
    {"ready", FAST(call_ready), NULL},
    {"arm", call_arm, METH_O, NULL},
    {"check", call_check, METH_O, NULL},
    {"serialize_with", FAST(packing_serialize_with), NULL},
    {"pack", packing_pack, METH_O, NULL},
    {"unpack", packing_unpack, METH_O, NULL},
    {"forget", copies_forget, METH_NOARGS, NULL},
    {"stand", FAST(waiting_stand), NULL},
    {"turn", FAST(waiting_turn), NULL},
    {"wake", FAST(waiting_wake), NULL},
    {"run", waiting_run, METH_O, NULL},
    {"step_out", FAST(waiting_step_out), NULL},
    {NULL, NULL, 0, NULL},
};

static int
begin(PyObject *module)
{
    kept *s = PyModule_GetState(module);
    int rc = kept_begin(s);

    ashm_on_linger(let_go);
    if (rc == 0) {
        rc = future_begin(module, s);
    }
    return rc == 0 ? waiting_begin(module, s) : rc;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)begin}, {0, NULL}};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT,  .m_name = "calls",
                                 .m_size = sizeof(kept), .m_methods = functions,
                                 .m_slots = slots,       .m_traverse = kept_traverse,
                                 .m_clear = kept_clear,  .m_free = kept_free};

PyMODINIT_FUNC PyInit_calls(void);

PyMODINIT_FUNC
PyInit_calls(void)
{
    return PyModuleDef_Init(&definition);
}

/* future.c: see future.h. */
#include "future.h"

#include <stddef.h>

enum { PENDING, DONE, CANCELLED };

static const kept *
kept_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self)); /* it has no subclasses */
}

/* ---- for who wakes ---- */

int
future_settle(future_object *future)
{
    if (future->state != PENDING) {
        return 0;
    }
    future->state = DONE;
    return 1;
}

/* NULL: nobody awaits it. Otherwise the caller has the references. */
static PyObject *
take_callback(future_object *future, PyObject **context)
{
    PyObject *callback = future->callback;

    *context = future->context;
    future->callback = future->context = NULL;
    return callback;
}

void
future_run(const kept *s, future_object *future)
{
    PyObject *context, *callback = take_callback(future, &context);

    if (callback != NULL) {
        Py_DecRef(PyObject_CallMethodObjArgs(context, s->run, callback, future, NULL));
        Py_DecRef(callback);
        Py_DecRef(context);
    }
}

/* loop.call_soon(callback, future, context=context) */
static int
call_soon(const kept *s, future_object *future, PyObject *callback, PyObject *context)
{
    PyObject *method = PyObject_GetAttr(future->loop, s->call_soon);
    PyObject *arguments = PyTuple_Pack(2, callback, future);
    PyObject *keywords = PyDict_New();
    PyObject *handle = NULL;

    if (method != NULL && arguments != NULL && keywords != NULL &&
        PyDict_SetItem(keywords, s->context, context) == 0) {
        handle = PyObject_Call(method, arguments, keywords);
    }
    Py_DecRef(handle);
    Py_DecRef(keywords);
    Py_DecRef(arguments);
    Py_DecRef(method);
    return handle != NULL ? 0 : -1;
}

static int
schedule(future_object *future)
{
    PyObject *context, *callback = take_callback(future, &context);
    int rc = 0;

    if (callback != NULL) {
        rc = call_soon(kept_of((PyObject *)future), future, callback, context);
        Py_DecRef(callback);
        Py_DecRef(context);
    }
    return rc;
}

/* Into a final state, and its task goes on in the next round of the loop. */
static PyObject *
finish(future_object *future, int state, PyObject *error)
{
    if (future->state != PENDING) {
        PyErr_SetString(kept_of((PyObject *)future)->invalid_state, "the future is done");
        return NULL;
    }
    if (error != NULL) {
        Py_IncRef(error);
        future->error = error;
    }
    future->state = (char)state;
    return schedule(future) == 0 ? calls_none() : NULL;
}

/* ---- what a task calls ---- */

/* A new one each time: with its traceback it holds the frame that holds the future. */
static void
raise_cancelled(future_object *future)
{
    PyObject *type = kept_of((PyObject *)future)->cancelled;
    PyObject *error = PyObject_CallFunctionObjArgs(type, future->error, NULL);

    if (error != NULL) {
        PyErr_SetObject(type, error);
        Py_DecRef(error);
    }
}

/* One error may be that of many, each of which has a traceback that begins where it arose. */
static void
raise_error(future_object *future)
{
    PyObject *traceback = future->traceback != NULL ? future->traceback : Py_None;

    if (PyException_SetTraceback(future->error, traceback) == 0) {
        PyErr_SetObject((PyObject *)Py_TYPE(future->error), future->error);
    }
}

/* None, or the error, as an exception. */
static PyObject *
call_result(PyObject *self, PyObject *ignored)
{
    future_object *future = (future_object *)self;

    (void)ignored;
    if (future->state == PENDING) {
        PyErr_SetString(kept_of(self)->invalid_state, "the future is not done");
    } else if (future->state == CANCELLED) {
        raise_cancelled(future);
    } else if (future->error != NULL) {
        raise_error(future);
    } else {
        return calls_none();
    }
    return NULL;
}

static PyObject *
next(PyObject *self)
{
    future_object *future = (future_object *)self;
    PyObject *result;

    if (future->state == PENDING) {
        future->blocking = 1;
        Py_IncRef(self);
        return self;
    }
    result = call_result(self, NULL);
    Py_DecRef(result);
    return NULL; /* the end of the iteration, or the error */
}

static PyObject *
itself(PyObject *self)
{
    Py_IncRef(self);
    return self;
}

static PyObject *
call_get_loop(PyObject *self, PyObject *ignored)
{
    (void)ignored;
    return itself(((future_object *)self)->loop);
}

static int
is_context_alone(PyObject *names)
{
    return names != NULL && PyTuple_Size(names) == 1 &&
           PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "context") == 0;
}

/* add_done_callback(callback, *, context) */
static PyObject *
call_add_done_callback(PyObject *self, PyObject *const *arguments, Py_ssize_t n,
                       PyObject *names)
{
    future_object *future = (future_object *)self;
    PyObject *callback, *context;

    if (n != 1 || !is_context_alone(names)) {
        PyErr_SetString(PyExc_TypeError, "a callback is needed, and the keyword context");
        return NULL;
    }
    callback = arguments[0];
    context = arguments[1];
    if (future->callback != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "another task awaits this future");
        return NULL;
    }
    if (future->state != PENDING) {
        return call_soon(kept_of(self), future, callback, context) == 0 ? calls_none() : NULL;
    }
    Py_IncRef(callback);
    Py_IncRef(context);
    future->callback = callback;
    future->context = context;
    return calls_none();
}

static PyObject *
call_cancel(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"msg", NULL};
    PyObject *message = Py_None, *result;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O", names, &message)) {
        return NULL;
    }
    if (((future_object *)self)->state != PENDING) {
        return PyBool_FromLong(0);
    }
    result = finish((future_object *)self, CANCELLED, message != Py_None ? message : NULL);
    Py_DecRef(result);
    return result != NULL ? PyBool_FromLong(1) : NULL;
}

static PyObject *
call_done(PyObject *self, PyObject *ignored)
{
    (void)ignored;
    return PyBool_FromLong(((future_object *)self)->state != PENDING);
}

static PyObject *
call_cancelled(PyObject *self, PyObject *ignored)
{
    (void)ignored;
    return PyBool_FromLong(((future_object *)self)->state == CANCELLED);
}

static PyObject *
call_set_result(PyObject *self, PyObject *result)
{
    if (result != Py_None) {
        PyErr_SetString(PyExc_TypeError, "the result is None");
        return NULL;
    }
    return finish((future_object *)self, DONE, NULL);
}

static PyObject *
call_set_exception(PyObject *self, PyObject *error)
{
    if (!PyObject_TypeCheck(error, (PyTypeObject *)PyExc_BaseException)) {
        PyErr_SetString(PyExc_TypeError, "an exception is needed");
        return NULL;
    }
    if (((future_object *)self)->state == PENDING) {
        ((future_object *)self)->traceback = PyException_GetTraceback(error);
    }
    return finish((future_object *)self, DONE, error);
}

/* ---- the type ---- */

static PyMemberDef members[] = {
    {"_asyncio_future_blocking", T_BOOL, offsetof(future_object, blocking), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define KEYWORDS(function) (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef methods[] = {
    {"get_loop", call_get_loop, METH_NOARGS, NULL},
    {"add_done_callback", (PyCFunction)(void (*)(void))call_add_done_callback,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"cancel", KEYWORDS(call_cancel), NULL},
    {"done", call_done, METH_NOARGS, NULL},
    {"cancelled", call_cancelled, METH_NOARGS, NULL},
    {"result", call_result, METH_NOARGS, NULL},
    {"set_result", call_set_result, METH_O, NULL},
    {"set_exception", call_set_exception, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject *
make(PyTypeObject *type, PyObject *loop)
{
    future_object *future = (future_object *)PyType_GenericAlloc(type, 0);

    if (future != NULL) {
        Py_IncRef(loop);
        future->loop = loop;
    }
    return (PyObject *)future;
}

/* Future(loop) */
static PyObject *
new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"loop", NULL};
    PyObject *loop;

    return PyArg_ParseTupleAndKeywords(arguments, keywords, "O", names, &loop)
               ? make(type, loop)
               : NULL;
}

PyObject *
future_new(const kept *s, PyObject *loop)
{
    return make((PyTypeObject *)s->future, loop);
}

int
future_begin(PyObject *module, kept *s)
{
    const PyType_Slot slots[] = {{Py_tp_new, (void *)new},       {Py_am_await, (void *)itself},
                                 {Py_tp_iternext, (void *)next}, {Py_tp_methods, methods},
                                 {Py_tp_members, members},       {0, NULL}};

    s->future =
        held_add_type(module, "asgi_shm._ashm.calls.Future", sizeof(future_object), 0, slots);
    return s->future != NULL ? 0 : -1;
}

/* held.c: see held.h. */
#include "held.h"

#include <string.h>

static int
visit_all(PyObject **objects, size_t n, visitproc visit, void *arg)
{
    for (size_t i = 0; i < n; i++) {
        Py_VISIT(objects[i]);
    }
    return 0;
}

static int
clear_all(PyObject **objects, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Py_CLEAR(objects[i]);
    }
    return 0;
}

/* ---- objects ---- */

static int
traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return visit_all(((held_object *)self)->held, HELD, visit, arg);
}

static int
clear(PyObject *self)
{
    return clear_all(((held_object *)self)->held, HELD);
}

static void
dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    clear(self);
    release(self);
    Py_DecRef((PyObject *)type);
}

enum { SLOTS = 12 }; /* the last is {0, NULL} */

PyObject *
held_add_type(PyObject *module, const char *name, int size, unsigned flags,
              const PyType_Slot *more)
{
    PyType_Slot slots[SLOTS] = {{Py_tp_traverse, (void *)traverse},
                                {Py_tp_clear, (void *)clear},
                                {Py_tp_dealloc, (void *)dealloc}};
    PyType_Spec spec = {.name = name,
                        .basicsize = size,
                        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | flags,
                        .slots = slots};
    PyObject *type;

    for (int i = 3; more->slot != 0; i++) {
        if (i == SLOTS - 1) {
            PyErr_BadInternalCall();
            return NULL;
        }
        slots[i] = *more++;
    }
    type = PyType_FromModuleAndSpec(module, &spec, NULL);
    if (type != NULL && PyModule_AddObjectRef(module, strrchr(name, '.') + 1, type) != 0) {
        Py_CLEAR(type);
    }
    return type;
}

/* ---- what the module keeps ---- */

enum { KEPT = sizeof(kept) / sizeof(PyObject *) };

static PyObject *
imported(const char *module, const char *name, const char *method)
{
    PyObject *found = PyImport_ImportModule(module);
    PyObject *owner = found != NULL ? PyObject_GetAttrString(found, name) : NULL;
    PyObject *result = owner;

    if (owner != NULL && method != NULL) {
        result = PyObject_GetAttrString(owner, method);
        Py_DecRef(owner);
    }
    Py_DecRef(found);
    return result;
}

int
kept_begin(kept *s)
{
    s->append = imported("collections", "deque", "append");
    s->popleft = imported("collections", "deque", "popleft");
    s->running_loop = imported("asyncio", "_get_running_loop", NULL);
    s->cancelled = imported("asyncio", "CancelledError", NULL);
    s->invalid_state = imported("asyncio", "InvalidStateError", NULL);
    s->call_soon = PyUnicode_InternFromString("call_soon");
    s->context = PyUnicode_InternFromString("context");
    s->correct = PyUnicode_InternFromString("_correct");
    s->pack = PyUnicode_InternFromString("pack");
    s->run = PyUnicode_InternFromString("run");
    return s->append != NULL && s->popleft != NULL && s->running_loop != NULL &&
                   s->cancelled != NULL && s->invalid_state != NULL && s->call_soon != NULL &&
                   s->context != NULL && s->correct != NULL && s->pack != NULL && s->run != NULL
               ? 0
               : -1;
}

int
kept_traverse(PyObject *module, visitproc visit, void *arg)
{
    PyObject **all = PyModule_GetState(module);

    return all != NULL ? visit_all(all, KEPT, visit, arg) : 0;
}

int
kept_clear(PyObject *module)
{
    PyObject **all = PyModule_GetState(module);

    return all != NULL ? clear_all(all, KEPT) : 0;
}

void
kept_free(void *module)
{
    (void)kept_clear(module);
}

/* waiting.c: see waiting.h. */
#include "waiting.h"

#include <stddef.h>

#include "future.h"
#include "packing.h"

/* ---- what the classes of _receiver.py have ---- */

typedef struct {
    PyObject_HEAD PyObject *channel, *futures, *inside, *handed_over, *none;
    unsigned long long cookie;
    long long missed, quiet_since;
    ashm_way way; /* to the channel */
    int stay;
    char dropped;
} entry_object;

typedef struct {
    PyObject_HEAD PyObject *loop, *tick, *woken, *none[2];
    Py_ssize_t inside;
    char arming;
} watch_object;

typedef struct {
    PyObject_HEAD PyObject *none[HELD];
    unsigned long long address;
} handles_object;

typedef struct {
    PyObject_HEAD PyObject *handles, *entries, *by_cookie, *watches, *idle;
    char closed;
} waiting_object;

/* Objects that are missing are an AttributeError to Python, and never are here: the classes
 * begin with all of them. */
static PyMemberDef entry_members[] = {
    {"channel", T_OBJECT_EX, offsetof(entry_object, channel), 0, NULL},
    {"futures", T_OBJECT_EX, offsetof(entry_object, futures), 0, NULL},
    {"inside", T_OBJECT_EX, offsetof(entry_object, inside), 0, NULL},
    {"handed_over", T_OBJECT_EX, offsetof(entry_object, handed_over), 0, NULL},
    {"cookie", T_ULONGLONG, offsetof(entry_object, cookie), 0, NULL},
    {"missed", T_LONGLONG, offsetof(entry_object, missed), 0, NULL},
    {"quiet_since", T_LONGLONG, offsetof(entry_object, quiet_since), 0, NULL},
    {"stay", T_INT, offsetof(entry_object, stay), 0, NULL},
    {"dropped", T_BOOL, offsetof(entry_object, dropped), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef watch_members[] = {
    {"loop", T_OBJECT_EX, offsetof(watch_object, loop), 0, NULL},
    {"tick", T_OBJECT_EX, offsetof(watch_object, tick), 0, NULL},
    {"woken", T_OBJECT_EX, offsetof(watch_object, woken), 0, NULL},
    {"inside", T_PYSSIZET, offsetof(watch_object, inside), 0, NULL},
    {"arming", T_BOOL, offsetof(watch_object, arming), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef handles_members[] = {
    {"address", T_ULONGLONG, offsetof(handles_object, address), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef waiting_members[] = {
    {"_handles", T_OBJECT_EX, offsetof(waiting_object, handles), 0, NULL},
    {"_entries", T_OBJECT_EX, offsetof(waiting_object, entries), 0, NULL},
    {"_by_cookie", T_OBJECT_EX, offsetof(waiting_object, by_cookie), 0, NULL},
    {"_watches", T_OBJECT_EX, offsetof(waiting_object, watches), 0, NULL},
    {"_idle", T_OBJECT_EX, offsetof(waiting_object, idle), 0, NULL},
    {"_closed", T_BOOL, offsetof(waiting_object, closed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* ---- what is received ---- */

/* Has somebody waited, so that there is a tick by which what is kept is forgotten? If its loop
 * is closed before, that is that of the next who waits. */
static int
has_tick(const waiting_object *w)
{
    return PyDict_Size(w->watches) > 0;
}

/* Are there others, too, who may get the same? */
static int
may_keep(const waiting_object *w)
{
    return PyDict_Size(w->entries) > 1 && has_tick(w);
}

/* As calls_receive(); the entry, if there is one, knows the way. */
static PyObject *
receive(kept *s, const waiting_object *w, reception *r, entry_object *entry, ashm_received *out)
{
    PyObject *found;

    if (entry != NULL) {
        r->way = entry->way;
    }
    r->copies = may_keep(w);
    found = calls_receive(s, r, out);
    if (entry != NULL) {
        entry->way = r->way;
    }
    return found;
}

/* Rather than None or an int. */
static int
is_received(PyObject *found)
{
    return PyBytes_Check(found) || PyByteArray_Check(found) || PyDict_Check(found) ||
           PyTuple_Check(found);
}

/* ---- arguments ---- */

static int
is_whole(PyObject *object, PyObject *type, int held)
{
    if (!PyObject_TypeCheck(object, (PyTypeObject *)type)) {
        PyErr_Format(PyExc_TypeError, "a %R is needed", type);
        return 0;
    }
    for (int i = 0; i < held; i++) {
        if (((held_object *)object)->held[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "a %R that has all its members is needed", type);
            return 0;
        }
    }
    return 1;
}

static int
is_entry(const kept *s, PyObject *object)
{
    return is_whole(object, s->entry, 4);
}

static int
is_watch(const kept *s, PyObject *object)
{
    return is_whole(object, s->watch, 3);
}

static int
is_future(const kept *s, PyObject *object)
{
    int right = (PyObject *)Py_TYPE(object) == s->future;

    if (!right) {
        PyErr_Format(PyExc_TypeError, "a %R is needed", s->future);
    }
    return right;
}

/* The first of the arguments, all of which are there. */
static waiting_object *
waiting_of(const kept *s, Py_ssize_t wanted, PyObject *const *arguments, Py_ssize_t n)
{
    int right = calls_have(wanted, n) && is_whole(arguments[0], s->waiting, HELD) &&
                is_whole(((waiting_object *)arguments[0])->handles, s->handles, 0);

    return right ? (waiting_object *)arguments[0] : NULL;
}

static ashm *
handle_of(const waiting_object *w)
{
    return (ashm *)(uintptr_t)((handles_object *)w->handles)->address;
}

/* A new reference; or NULL, with an exception or without. */
static PyObject *
found_in(PyObject *dict, PyObject *key)
{
    PyObject *found;

    Py_IncRef(dict); /* a key that is no str may run anything */
    found = PyDict_GetItemWithError(dict, key);
    if (found != NULL) {
        Py_IncRef(found);
    } else if (PyErr_Occurred() != NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear(); /* it has no hash, so it is not in there */
    }
    Py_DecRef(dict);
    return found;
}

/* ---- places ----
 *
 * A list of Python's: the entry, the watch and the future of a coroutine that waits. It is
 * empty if it does not; so whoever has it can tell, wherever an exception came from. */

typedef struct {
    entry_object *entry;
    watch_object *watch;
    PyObject *future;
} place;

/* References that the list keeps. */
static int
place_read(const kept *s, PyObject *list, place *p)
{
    PyObject *entry, *watch;

    if (PyList_Size(list) != 3) {
        if (PyErr_Occurred() == NULL) {
            PyErr_SetString(PyExc_ValueError, "nobody waits in this place");
        }
        return 0;
    }
    entry = PyList_GetItem(list, 0);
    watch = PyList_GetItem(list, 1);
    *p = (place){(entry_object *)entry, (watch_object *)watch, PyList_GetItem(list, 2)};
    return is_entry(s, entry) && is_watch(s, watch);
}

static int
place_fill(PyObject *list, const place *p)
{
    return PyList_Append(list, (PyObject *)p->entry) == 0 &&
           PyList_Append(list, (PyObject *)p->watch) == 0 &&
           PyList_Append(list, p->future) == 0;
}

static void
place_clear(PyObject *list)
{
    (void)PyList_SetSlice(list, 0, PyList_Size(list), NULL);
}

static void
step_out(const waiting_object *w, const place *p, PyObject *list)
{
    PyObject *inside = p->entry->inside;

    p->watch->inside--;
    if (PySet_Discard(inside, p->future) < 0 ||
        (PySet_Size(inside) == 0 && PySet_Add(w->idle, (PyObject *)p->entry) != 0)) {
        PyErr_Clear(); /* no memory: the entry is not dropped until it is idle again */
    }
    place_clear(list);
}

PyObject *
waiting_step_out(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    const kept *s = PyModule_GetState(module);
    const waiting_object *w = waiting_of(s, 2, arguments, n);
    place p;

    if (w == NULL || !place_read(s, arguments[1], &p)) {
        return NULL;
    }
    step_out(w, &p, arguments[1]);
    return calls_none();
}

/* ---- to wait ---- */

static int
is_quiet(const waiting_object *w, const place *p)
{
    const entry_object *entry = p->entry;

    return !w->closed && p->watch->tick != Py_None && !entry->dropped &&
           entry->missed == entry->quiet_since;
}

/* The bell is armed, or will be in this round of the loop. */
static int
is_armed(const kept *s, const waiting_object *w, const place *p)
{
    ashm *handle;
    int rc, pending;

    if (p->watch->arming) {
        return 1;
    }
    handle = handle_of(w);
    if (handle == NULL) {
        return 0;
    }
    calls_enter(0);
    rc = ashm_arm(handle, &pending);
    calls_leave();
    return rc == 0 && !pending;
}

static int
go_inside(const place *p)
{
    p->entry->stay = ASHM_STAY; /* somebody has come back */
    return PySet_Add(p->entry->inside, p->future) == 0;
}

static int
line_up(const place *p)
{
    return PyList_Append(p->entry->futures, p->future) == 0;
}

/* Undo what is done of entering. */
static void
step_back(const place *p, PyObject *list)
{
    PyObject *type, *error, *traceback;

    PyErr_Fetch(&type, &error, &traceback);
    p->watch->inside--;
    (void)PySet_Discard(p->entry->inside, p->future);
    place_clear(list);
    PyErr_Restore(type, error, traceback);
}

/* For a channel that is known to be empty.
 *
 * The list is made first. From the last look at the entry to the end of line_up() nothing is
 * allocated that the garbage collector knows, which would run before 3.12, and with it whatever
 * it likes: nobody may drop the entry, or look for its futures in vain, in between. */
static PyObject *
enter_quiet(const kept *s, const waiting_object *w, const place *p, PyObject *list)
{
    int entered = 0;

    p->watch->inside++; /* whoever disarms the bell sees that somebody wants it armed */
    if (place_fill(list, p) && is_quiet(w, p) && is_armed(s, w, p) && is_quiet(w, p)) {
        entered = go_inside(p) && line_up(p);
    }
    if (!entered) {
        step_back(p, list);
    }
    return PyErr_Occurred() == NULL ? calls_none() : NULL;
}

/* For one that is not: is there a message? */
static PyObject *
look(kept *s, const waiting_object *w, entry_object *entry, PyObject *channel)
{
    reception r = {.handle = handle_of(w)};
    ashm_received out;

    if (entry != NULL) { /* the way is of its str, and not of any that says it is equal */
        channel = entry->channel;
    }
    r.name = PyUnicode_AsUTF8AndSize(channel, &r.name_length);
    if (r.name == NULL) {
        PyErr_Clear();
        return PyLong_FromLong(ASHM_BAD_NAME);
    }
    return receive(s, w, &r, entry, &out);
}

/* As _take() of _receiver.py does it. */
static PyObject *
take(kept *s, const waiting_object *w, const place *p, ashm_received *out)
{
    entry_object *entry = p->entry;
    reception r = {.handle = handle_of(w), .cookie = entry->cookie};
    long long missed = entry->missed;
    int others = PySet_Size(entry->inside) > 1;
    PyObject *found;

    if (r.handle == NULL) {
        return calls_none(); /* it is not open */
    }
    r.flags = ASHM_WAIT | (unsigned)entry->stay | (others ? ASHM_OTHERS : 0);
    r.name = PyUnicode_AsUTF8AndSize(entry->channel, &r.name_length);
    found = r.name != NULL ? receive(s, w, &r, entry, out) : NULL;
    if (found == NULL || !is_received(found)) {
        return found;
    }
    if (out->waiting) {
        entry->quiet_since = missed;
    } else {
        entry->missed++; /* whoever came meanwhile, and knows it to be quiet, is wrong now */
    }
    if (others != (PySet_Size(entry->inside) > 1)) {
        PyObject *result =
            PyObject_CallMethodObjArgs((PyObject *)w, s->correct, entry, p->watch->loop, NULL);

        Py_DecRef(result);
        if (result == NULL) {
            Py_DecRef(found);
            return NULL;
        }
    }
    return found;
}

/* For one where there was none: wait as go_on() of _receiver.py does, or leave it to that. The
 * same holds of what is allocated between the look at `dropped` and go_inside(), and between
 * the last look at `missed` and line_up(). */
static PyObject *
enter(const kept *s, const waiting_object *w, const place *p, PyObject *list)
{
    entry_object *entry = p->entry;
    ashm_received out = {.more = 0};
    long long missed = entry->missed;
    PyObject *found;
    int waits;

    if (w->closed || p->watch->tick == Py_None || handle_of(w) == NULL) {
        return calls_none();
    }
    p->watch->inside++;
    if (!place_fill(list, p) || entry->dropped || !go_inside(p)) {
        step_back(p, list);
        return PyErr_Occurred() == NULL ? calls_none() : NULL;
    }
    found = take(s, w, p, &out);
    if (found != NULL && is_received(found)) {
        step_out(w, p, list);
        return found;
    }
    waits = found == Py_None && !out.more && missed == entry->missed && !w->closed;
    Py_DecRef(found);
    if (found == NULL || (waits && !line_up(p))) {
        return NULL;
    }
    return waits ? calls_none() : PyBool_FromLong(out.more != 0);
}

/* With a new future, if the loop has a watch. */
static PyObject *
stand(const kept *s, const waiting_object *w, entry_object *entry, PyObject *const *arguments,
      PyObject *(*how)(const kept *, const waiting_object *, const place *, PyObject *))
{
    PyObject *loop = PyObject_CallObject(s->running_loop, NULL);
    PyObject *watch = loop != NULL ? found_in(w->watches, loop) : NULL;
    place p = {entry, (watch_object *)watch, NULL};
    PyObject *result = NULL;

    Py_DecRef(loop);
    if (watch != NULL && is_watch(s, watch)) {
        p.future = future_new(s, p.watch->loop);
    }
    if (p.future != NULL) {
        result = how(s, w, &p, arguments[2]);
    } else if (PyErr_Occurred() == NULL) {
        result = calls_none();
    }
    Py_DecRef(watch);
    Py_DecRef(p.future);
    return result;
}

static PyObject *
come_back(kept *s, const waiting_object *w, entry_object *entry, PyObject *const *arguments)
{
    PyObject *found;

    if (entry->missed == entry->quiet_since) {
        return stand(s, w, entry, arguments, enter_quiet);
    }
    found = look(s, w, entry, arguments[1]);
    if (found != Py_None) {
        return found;
    }
    Py_DecRef(found);
    return stand(s, w, entry, arguments, enter);
}

PyObject *
waiting_stand(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    kept *s = PyModule_GetState(module);
    const waiting_object *w = waiting_of(s, 3, arguments, n);
    PyObject *entry, *result = NULL;

    if (w == NULL) {
        return NULL;
    }
    entry = found_in(w->entries, arguments[1]);
    if (entry != NULL && is_entry(s, entry)) {
        result = come_back(s, w, (entry_object *)entry, arguments);
    } else if (PyErr_Occurred() == NULL) {
        result = look(s, w, NULL, arguments[1]);
    }
    Py_DecRef(entry);
    return packing_message(s, result, has_tick(w));
}

/* ---- the turn ---- */

PyObject *
waiting_turn(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    kept *s = PyModule_GetState(module);
    const waiting_object *w = waiting_of(s, 2, arguments, n);
    ashm_received out = {.more = 0};
    PyObject *found;
    int is_empty;
    place p;

    if (w == NULL || !place_read(s, arguments[1], &p)) {
        return NULL;
    }
    if (w->closed || p.watch->tick == Py_None || p.entry->missed == p.entry->quiet_since) {
        return calls_none();
    }
    found = take(s, w, &p, &out);
    if (found == NULL) {
        return NULL;
    }
    if (is_received(found)) {
        step_out(w, &p, arguments[1]);
        return packing_message(s, found, has_tick(w));
    }
    is_empty = found == Py_None;
    Py_DecRef(found);
    /* Or refused: go_on() is told why. */
    return is_empty ? PyBool_FromLong(out.more != 0) : calls_none();
}

/* ---- to wake ---- */

/* The future that has waited longest is to go on, when run() comes to it: 1. Or it was done
 * before: 0. -1: an exception. */
static int
wake_first(const kept *s, PyObject *futures, future_object *first, watch_object *watch)
{
    PyObject *result = NULL;
    int woken;

    Py_IncRef((PyObject *)first);
    woken = PyList_SetSlice(futures, 0, 1, NULL) == 0 ? future_settle(first) : -1;
    if (woken > 0) {
        result = PyObject_CallFunctionObjArgs(s->append, watch->woken, first, NULL);
        woken = result != NULL ? 1 : -1;
    }
    Py_DecRef(result);
    Py_DecRef((PyObject *)first);
    return woken;
}

/* Wake one, if the first that can be woken is of this loop: 1, 0, -1. */
static int
give_turn(const kept *s, entry_object *entry, watch_object *watch)
{
    PyObject *futures = entry->futures;
    Py_ssize_t left = 0;
    int woken = 0;

    entry->missed++; /* the channel is not quiet */
    while (woken == 0 && (left = PyList_Size(futures)) > 0) {
        PyObject *first = PyList_GetItem(futures, 0);

        if (!is_future(s, first)) {
            return -1;
        }
        if (((future_object *)first)->loop != watch->loop) {
            return 0;
        }
        woken = wake_first(s, futures, (future_object *)first, watch);
    }
    return left < 0 ? -1 : woken;
}

PyObject *
waiting_wake(PyObject *module, PyObject *const *arguments, Py_ssize_t n)
{
    const kept *s = PyModule_GetState(module);
    const waiting_object *w = waiting_of(s, 3, arguments, n);
    PyObject *cookies;
    Py_ssize_t count, left = 0;

    if (w == NULL || !is_watch(s, arguments[2])) {
        return NULL;
    }
    cookies = arguments[1];
    count = PyList_Size(cookies);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *cookie = PyList_GetItem(cookies, i);
        PyObject *entry = found_in(w->by_cookie, cookie);
        int woken = PyErr_Occurred() == NULL ? 0 : -1;

        if (entry != NULL) {
            woken = is_entry(s, entry)
                        ? give_turn(s, (entry_object *)entry, (watch_object *)arguments[2])
                        : -1;
        }
        Py_DecRef(entry);
        if (woken < 0) {
            return NULL;
        }
        if (!woken) {
            Py_IncRef(cookie);
            PyList_SetItem(cookies, left++, cookie);
        }
    }
    if (count < 0 || PyList_SetSlice(cookies, left, count, NULL) != 0) {
        return NULL;
    }
    return PyLong_FromSsize_t(count - left);
}

PyObject *
waiting_run(PyObject *module, PyObject *object)
{
    const kept *s = PyModule_GetState(module);
    PyObject *woken, *future;

    if (!is_watch(s, object)) {
        return NULL;
    }
    woken = ((watch_object *)object)->woken;
    Py_IncRef(woken);
    /* Not those that come meanwhile: the loop has more to do. Some may have been run by a loop
     * that ran inside a task. */
    for (Py_ssize_t n = PyObject_Size(woken); n > 0 && PyObject_Size(woken) > 0; n--) {
        future = PyObject_CallFunctionObjArgs(s->popleft, woken, NULL);
        if (future != NULL && is_future(s, future)) {
            future_run(s, (future_object *)future);
        }
        Py_DecRef(future);
        if (PyErr_Occurred() != NULL) {
            break;
        }
    }
    Py_DecRef(woken);
    return PyErr_Occurred() == NULL ? calls_none() : NULL;
}

/* ---- the types ---- */

int
waiting_begin(PyObject *module, kept *s)
{
    const PyType_Slot of_entry[] = {{Py_tp_members, entry_members}, {0, NULL}};
    const PyType_Slot of_watch[] = {{Py_tp_members, watch_members}, {0, NULL}};
    const PyType_Slot of_handles[] = {{Py_tp_members, handles_members}, {0, NULL}};
    const PyType_Slot of_waiting[] = {{Py_tp_members, waiting_members}, {0, NULL}};
    const unsigned base = Py_TPFLAGS_BASETYPE;

    s->entry = held_add_type(module, "asgi_shm._ashm.calls.Entry", sizeof(entry_object), base,
                             of_entry);
    s->watch = held_add_type(module, "asgi_shm._ashm.calls.Watch", sizeof(watch_object), base,
                             of_watch);
    s->handles = held_add_type(module, "asgi_shm._ashm.calls.Handles", sizeof(handles_object),
                               base, of_handles);
    s->waiting = held_add_type(module, "asgi_shm._ashm.calls.Waiting", sizeof(waiting_object),
                               base, of_waiting);
    return s->entry != NULL && s->watch != NULL && s->handles != NULL && s->waiting != NULL
               ? 0
               : -1;
}

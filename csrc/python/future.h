/*
 * future.h: what a coroutine awaits that waits for a channel.
 *
 * It is a future of asyncio, as far as a task and this package use one: asyncio takes whatever
 * has `_asyncio_future_blocking`. What differs is how its task goes on. A future of asyncio has
 * its loop call the task in the next round, by way of a handle; here whoever is called by the
 * loop itself, and by no task, may run the task at once, as the loop would: see waiting_run().
 * That is a round of the loop less for a message, with its system call, and a handle less for
 * each of many.
 */
#ifndef ASHM_PYTHON_FUTURE_H
#define ASHM_PYTHON_FUTURE_H

#include "held.h"

typedef struct future_object {
    PyObject_HEAD PyObject *loop;
    PyObject *callback, *context; /* of the task that awaits it */
    PyObject *error, *traceback; /* of one that has failed; or the message of one cancelled */
    char state, blocking;
} future_object;

/* A new type, which `s` has from then on. -1: an exception. */
int future_begin(PyObject *module, kept *s);

PyObject *future_new(const kept *s, PyObject *loop);

/* It is done, without having its task go on: false if it was done already. */
int future_settle(future_object *future);

/* Have the task of one that is done go on, here and now. What it raises the loop is to be told.
 */
void future_run(const kept *s, future_object *future);

#endif

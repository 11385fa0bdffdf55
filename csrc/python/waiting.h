/*
 * waiting.h: the shortest ways through _receiver.py, for who comes back to a channel.
 *
 * _receiver.py says what is done, and why in that order; here are the rounds that most
 * messages take, step for step, and whatever is unusual is left to it. Between steps no other
 * thread runs Python unless it says so: this relies on the GIL, which free-threaded builds
 * turn on for it, unless they are told not to, and on futures that are not written in Python.
 */
#ifndef ASHM_PYTHON_WAITING_H
#define ASHM_PYTHON_WAITING_H

#include "calls.h"

/* For the module: its state, with Entry, Watch and Waiting, which are bases of the classes of
 * _receiver.py and have what is read here. */
enum { WAITING_STATE = 11 * sizeof(PyObject *) };
int waiting_begin(PyObject *module);
int waiting_traverse(PyObject *module, visitproc visit, void *arg);
int waiting_clear(PyObject *module);
void waiting_free(void *module);

/* stand(waiting, channel, loop, place): a body; or None, where the channel is empty: into the
 * empty list `place` it has put the entry, the watch and the future to await, or nothing where
 * the wait is to be made otherwise; or an int: what else ashm_receive() returns. */
PyObject *waiting_stand(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* turn(waiting, place): a body, and the place is empty; or, without a change, whether the bell
 * was rung meanwhile, None for not knowing. */
PyObject *waiting_turn(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* step_out(waiting, place): the future is inside the entry no more, and the place is empty. */
PyObject *waiting_step_out(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* wake(waiting, cookies, running): takes those off the list whose channel's turn it gave to a
 * future of the loop that runs, and returns how many that were. */
PyObject *waiting_wake(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

#endif

/*
 * waiting.h: the shortest ways through _receiver.py, for who comes back to a channel.
 *
 * _receiver.py says what is done, and why in that order; here are the rounds that most
 * messages take, step for step, and whatever is unusual is left to it. Between steps no other
 * thread runs Python unless it says so: this relies on the GIL, which free-threaded builds
 * turn on for it, unless they are told not to.
 */
#ifndef ASHM_PYTHON_WAITING_H
#define ASHM_PYTHON_WAITING_H

#include "held.h"

/* Entry, Watch and Waiting, which `s` has from then on, are bases of the classes of
 * _receiver.py, and Handles of that of _attachment.py; they have what is read here. -1: an
 * exception. */
int waiting_begin(PyObject *module, kept *s);

/* stand(waiting, channel, place): the message received; or an int: what else ashm_receive()
 * returns; or, where the channel is empty, into the empty list `place` it has put the entry,
 * the watch and a future: to await, with None; or for go_on() to go on with, with whether the
 * bell was rung meanwhile. None with nothing in the place: the wait is to be made otherwise. */
PyObject *waiting_stand(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* turn(waiting, place): the message received, and the place is empty; or, without a change,
 * whether the bell was rung meanwhile, None for not knowing. */
PyObject *waiting_turn(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* step_out(waiting, place): the future is inside the entry no more, and the place is empty. */
PyObject *waiting_step_out(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* wake(waiting, cookies, watch): takes those off the list whose channel's turn it gave to a
 * future of the watch's loop, and returns how many that were. Whatever it raises, run() is to
 * follow: nothing else lets the tasks of these futures go on. */
PyObject *waiting_wake(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* run(watch): the tasks of the futures that were woken go on, one after another. For who was
 * called by the watch's loop: no task may run. With an exception some are left. */
PyObject *waiting_run(PyObject *module, PyObject *watch);

#endif

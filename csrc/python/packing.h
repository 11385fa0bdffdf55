/*
 * packing.h: a message as a body, and back, where nothing is unusual.
 *
 * What packs and unpacks, and what is done where that does not do, serializers.py hands down.
 */
#ifndef ASHM_PYTHON_PACKING_H
#define ASHM_PYTHON_PACKING_H

#include "held.h"

/* serialize_with(packer, unpackb, pack_otherwise, unpack_otherwise): see serializers.py. */
PyObject *packing_serialize_with(PyObject *module, PyObject *const *arguments, Py_ssize_t n);

/* pack(message): the body, if it is a good one; or what pack_otherwise(message, body) makes of
 * it, which is given the exception if there is no body. */
PyObject *packing_pack(PyObject *module, PyObject *message);

/* unpack(body): the message, if it is a dict; or what unpack_otherwise() makes of what it is
 * instead, or of the exception. */
PyObject *packing_unpack(PyObject *module, PyObject *body);

/* The message of what calls_receive() found, to which the caller gives its reference; what is
 * no message's, or NULL, is returned as it is. Its buffer is kept if there is a tick to forget
 * it. */
PyObject *packing_message(kept *s, PyObject *found, int has_tick);

#endif

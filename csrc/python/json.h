/* Python values to JSON and back, strictly: what JSON cannot say is an error. */
#ifndef RT_PYTHON_JSON_H
#define RT_PYTHON_JSON_H

#include "python/module.h"

#include <jansson.h>

/* A new JSON value of None, bool, int (64 bits), finite float, str, list, tuple
 * and dict with str keys, at most RT_MAX_JSON_DEPTH deep; NULL with an exception. */
json_t *rt_py_to_json(PyObject *object, int depth);

/* A new reference, or NULL with an exception. */
PyObject *rt_py_from_json(const json_t *value, int depth);

#endif

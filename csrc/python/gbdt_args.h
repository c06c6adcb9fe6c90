/* Python arguments of the GBDT functions as core structures. */
#ifndef RT_PYTHON_GBDT_ARGS_H
#define RT_PYTHON_GBDT_ARGS_H

#include "python/arrays.h"

#include "base/matrix.h"
#include "gbdt/params.h"
#include "model/model.h"

/* A view of `object` (float32 or float64 as it is, in any layout; anything else
 * that NumPy can widen safely becomes float64). `hold` keeps the memory alive. */
int rt_py_matrix(PyObject *object, const char *name, rt_matrix *out,
                 PyArrayObject **hold);

/* A parameter dict over the defaults; unknown names are refused. */
int rt_py_params(PyObject *dict, rt_gbdt_params *params);
PyObject *rt_py_params_dict(const rt_gbdt_params *params);

/* A sequence of (name, kind, categories) into a fresh model. */
int rt_py_features(rt_module_state *state, PyObject *features, rt_model *model);

#endif

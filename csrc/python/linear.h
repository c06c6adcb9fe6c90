/* What a linear model is called in Python. */
#ifndef RT_PYTHON_LINEAR_H
#define RT_PYTHON_LINEAR_H

#include "python/arrays.h"

#include "linear/fit.h"

const char *rt_py_linear_objective(rt_linear_loss loss);
PyObject *rt_py_linear_params_dict(const rt_linear_params *params);

/* What a call names: 0, or -1 with an exception set. */
int rt_py_linear_loss(const char *name, rt_linear_loss *loss);
int rt_py_linear_params(PyObject *dict, rt_linear_params *params);

#endif

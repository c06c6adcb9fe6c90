/* What a linear model is called in Python. */
#ifndef RT_PYTHON_LINEAR_H
#define RT_PYTHON_LINEAR_H

#include "python/arrays.h"

#include "linear/fit.h"

const char *rt_py_linear_objective(rt_linear_loss loss);
PyObject *rt_py_linear_params_dict(const rt_linear_params *params);

#endif

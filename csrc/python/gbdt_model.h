/* _core.Model. */
#ifndef RT_PYTHON_GBDT_MODEL_H
#define RT_PYTHON_GBDT_MODEL_H

#include "python/module.h"

#include "model/model.h"
#include "serving/schema.h"

/* Takes the model over, also when it fails. */
PyObject *rt_py_model_new(rt_module_state *state, rt_model *model);
PyType_Spec *rt_py_model_spec(void);

/* A copy of a _core.Model's model: 0, or -1 with an exception set. */
int rt_py_model_copy(rt_module_state *state, PyObject *object, rt_model *copy);

/* The same of an argument that must be a _core.Model of trees. */
int rt_py_trees_copy(rt_module_state *state, PyObject *object, const char *name,
                     rt_model *copy);

/* What requests to a _core.Model are read by, made once; NULL with an exception set. */
const rt_schema *rt_py_model_schema(rt_module_state *state, PyObject *self);

#endif

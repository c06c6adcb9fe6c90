/* What the GBDT binding files share. */
#ifndef RT_PYTHON_GBDT_H
#define RT_PYTHON_GBDT_H

#include "python/arrays.h"

#include "gbdt/fit.h"
#include "model/model.h"

/* A view of `object` (float32 or float64 as it is, in any layout; anything else
 * that NumPy can widen safely becomes float64). `hold` keeps the memory alive. */
int rt_py_matrix(PyObject *object, const char *name, rt_matrix *out,
                 PyArrayObject **hold);

/* gbdt_rows.c: rows and what keeps their memory alive. */
typedef struct rt_py_rows {
    rt_gbdt_rows rows;
    PyArrayObject *hold_x, *hold_weight, *hold_value;
    uint8_t *label; /* owned */
} rt_py_rows;

/* y: labels, or amounts for squared error; weight may be None. -1 leaves what was
 * taken to rt_py_drop_rows. */
int rt_py_take_rows(rt_module_state *state, PyObject *x, PyObject *y, PyObject *weight,
                    rt_loss loss, rt_py_rows *out);
void rt_py_drop_rows(rt_py_rows *rows);
uint8_t *rt_py_labels(rt_module_state *state, PyObject *y, int64_t rows, int32_t most,
                      const char *name);
int32_t rt_py_classes(const rt_gbdt_rows *rows);

/* A parameter dict over the defaults; unknown names are refused. */
int rt_py_params(PyObject *dict, rt_gbdt_params *params);
PyObject *rt_py_params_dict(const rt_gbdt_params *params);

/* A sequence of (name, kind, categories) into a fresh model. */
int rt_py_features(rt_module_state *state, PyObject *features, rt_model *model);

/* gbdt.c: 'binary', 'softmax' or 'squared_error' */
const char *rt_py_objective(rt_loss loss);

/* gbdt_model.c: the Model type; rt_py_model_new takes the model over. */
PyObject *rt_py_model_new(rt_module_state *state, rt_model *model);
PyType_Spec *rt_py_model_spec(void);

#endif

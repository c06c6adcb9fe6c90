/* Rows to learn from, or to evaluate on, from Python arrays. */
#ifndef RT_PYTHON_GBDT_ROWS_H
#define RT_PYTHON_GBDT_ROWS_H

#include "python/arrays.h"

#include "gbdt/targets.h"

/* Rows and what keeps their memory alive. */
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

/* A fresh array of whole numbers from 0 to `most`, or NULL with an exception set. */
uint8_t *rt_py_labels(rt_module_state *state, PyObject *y, int64_t rows, int32_t most,
                      const char *name);

/* The largest label and one more. */
int32_t rt_py_classes(const rt_gbdt_rows *rows);

#endif

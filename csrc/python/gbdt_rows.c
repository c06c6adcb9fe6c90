/* Rows to learn from, or to evaluate on, from Python arrays. */
#include "python/gbdt_rows.h"

#include "base/alloc.h"
#include "python/gbdt_args.h"

/* A fresh array of the whole numbers 0 to `most` from any numbers that are exactly
 * those. */
uint8_t *rt_py_labels(rt_module_state *state, PyObject *y, int64_t rows, int32_t most,
                      const char *name)
{
    rt_error err = {RT_OK, NULL, ""};
    void *labels = NULL;
    PyArrayObject *array = rt_py_array(y, NPY_FLOAT64, 1, name);
    if (array == NULL) {
        return NULL;
    }
    const double *values = PyArray_DATA(array);
    if (PyArray_DIM(array, 0) != rows) {
        PyErr_Format(PyExc_ValueError, "%s has %zd rows, the data %lld", name,
                     (Py_ssize_t)PyArray_DIM(array, 0), (long long)rows);
        goto done;
    }
    if (rt_alloc(&labels, rows, 1, "gbdt_train", &err) != RT_OK) {
        rt_py_raise(state, &err);
        goto done;
    }
    for (int64_t i = 0; i < rows; i++) {
        double value = values[i];
        bool known = value >= 0.0 && value <= (double)most;
        if (!known || (double)(uint8_t)value != value) {
            PyErr_Format(PyExc_ValueError,
                         most == 1 ? "%s of row %lld is neither 0 nor 1"
                                   : "%s of row %lld is no whole number from 0 to %d",
                         name, (long long)i, (int)most);
            rt_free(labels);
            labels = NULL;
            goto done;
        }
        ((uint8_t *)labels)[i] = (uint8_t)value;
    }
done:
    Py_DECREF(array);
    return labels;
}

int rt_py_take_rows(rt_module_state *state, PyObject *x, PyObject *y, PyObject *weight,
                    rt_loss loss, rt_py_rows *out)
{
    rt_gbdt_rows *rows = &out->rows;
    if (rt_py_matrix(x, "x", &rows->x, &out->hold_x) < 0) {
        return -1;
    }
    if (weight != Py_None) {
        out->hold_weight = rt_py_vector(weight, "weight", rows->x.rows, &rows->weight);
        if (out->hold_weight == NULL) {
            return -1;
        }
    }
    if (loss == RT_LOSS_SQUARE) {
        out->hold_value = rt_py_vector(y, "y", rows->x.rows, &rows->value);
        return out->hold_value == NULL ? -1 : 0;
    }
    int32_t most = loss == RT_LOSS_BINARY ? 1 : RT_MAX_OUTPUTS - 1;
    out->label = rt_py_labels(state, y, rows->x.rows, most, "y");
    rows->label = out->label;
    return out->label == NULL ? -1 : 0;
}

void rt_py_drop_rows(rt_py_rows *rows)
{
    rt_free(rows->label);
    Py_CLEAR(rows->hold_x);
    Py_CLEAR(rows->hold_weight);
    Py_CLEAR(rows->hold_value);
}

int32_t rt_py_classes(const rt_gbdt_rows *rows)
{
    int32_t most = 0;
    for (int64_t i = 0; i < rows->x.rows; i++) {
        most = rows->label[i] > most ? rows->label[i] : most;
    }
    return most + 1;
}

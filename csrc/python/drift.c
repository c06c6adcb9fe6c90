/* Binding of evaluation/drift.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/drift.h"

#include <string.h>

#include "base/limits.h"
#include "evaluation/quantiles.h"

PyDoc_STRVAR(quantile_edges_doc,
             "quantile_edges(x, n_bins) -> float64[<= n_bins - 1]\n\n"
             "Exact inner quantile edges of the finite values of x (float64[n]),\n"
             "strictly increasing: the order statistics of rank ceil(i m / n_bins),\n"
             "duplicates collapsed. Empty when no value is finite.");

typedef struct edges_job {
    const double *x;
    int64_t n_rows;
    int32_t n_bins;
    int32_t n_edges;
    rt_ctl ctl;
    double edges[RT_MAX_DRIFT_BINS];
} edges_job;

static rt_status run_edges(void *argument, rt_error *err)
{
    edges_job *job = argument;
    return rt_quantile_edges(job->x, job->n_rows, job->n_bins, &job->ctl, job->edges,
                             &job->n_edges, err);
}

static PyObject *quantile_edges(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"x", "n_bins", NULL};
    PyObject *x_object = NULL;
    PyArrayObject *x = NULL;
    PyArrayObject *result = NULL;
    edges_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi:quantile_edges", names,
                                     &x_object, &job.n_bins)) {
        return NULL;
    }
    x = rt_py_array(x_object, NPY_FLOAT64, 1, "x");
    if (x == NULL) {
        return NULL;
    }
    job.x = PyArray_DATA(x);
    job.n_rows = PyArray_DIM(x, 0);
    if (rt_py_run(rt_module_get_state(module), run_edges, &job, &job.ctl) == 0) {
        npy_intp shape[] = {job.n_edges};
        result = rt_py_new_array(NPY_FLOAT64, 1, shape);
    }
    if (result != NULL) {
        memcpy(PyArray_DATA(result), job.edges, (size_t)job.n_edges * sizeof(double));
    }
    Py_DECREF((PyObject *)x);
    return (PyObject *)result;
}

PyDoc_STRVAR(drift_counts_doc,
             "drift_counts(x, day, edges, n_days, *, n_threads=0)"
             " -> int64[n_days, k + 4]\n\n"
             "Rows per day and bin: x float64[n], day int32[n] in 0..n_days-1, edges\n"
             "float64[k] strictly increasing. Columns 0..k are the bins\n"
             "edges[i-1] < x <= edges[i]; then -inf, +inf, NaN. ValueError names the\n"
             "first row whose day is out of range.");

typedef struct drift_job {
    rt_drift_column column;
    int32_t n_threads;
    int64_t *counts;
    rt_ctl ctl;
} drift_job;

static rt_status run_drift(void *argument, rt_error *err)
{
    drift_job *job = argument;
    return rt_drift_counts(&job->column, job->n_threads, &job->ctl, job->counts, err);
}

/* The result of a table of counts; negative shapes are left to the kernel,
 * which says what is wrong with them. */
static PyArrayObject *new_table(int32_t n_days, npy_intp width)
{
    npy_intp shape[] = {n_days > 0 ? n_days : 0, width};
    if (shape[0] > 0 && width > RT_MAX_COUNTS / shape[0]) {
        PyErr_Format(PyExc_ValueError,
                     "a table of %d days x %zd columns passes the limit of %d counts",
                     n_days, (Py_ssize_t)width, RT_MAX_COUNTS);
        return NULL;
    }
    return rt_py_new_array(NPY_INT64, 2, shape);
}

static int same_rows(PyArrayObject *a, const char *a_name, PyArrayObject *b)
{
    if (PyArray_DIM(a, 0) != PyArray_DIM(b, 0)) {
        PyErr_Format(PyExc_ValueError, "%s has %zd rows, day has %zd", a_name,
                     (Py_ssize_t)PyArray_DIM(a, 0), (Py_ssize_t)PyArray_DIM(b, 0));
        return 0;
    }
    return 1;
}

static PyArrayObject *count_numeric(PyObject *module, PyArrayObject *x,
                                    PyArrayObject *day, PyArrayObject *edges,
                                    drift_job *job)
{
    PyArrayObject *table = NULL;
    npy_intp n_edges = PyArray_DIM(edges, 0);
    if (!same_rows(x, "x", day)) {
        return NULL;
    }
    if (n_edges >= RT_MAX_DRIFT_BINS) {
        PyErr_Format(PyExc_ValueError, "edges has %zd items, at most %d are possible",
                     (Py_ssize_t)n_edges, RT_MAX_DRIFT_BINS - 1);
        return NULL;
    }
    table = new_table(job->column.n_days, n_edges + 1 + RT_DRIFT_EXTRA);
    if (table == NULL) {
        return NULL;
    }
    job->column.x = PyArray_DATA(x);
    job->column.day = PyArray_DATA(day);
    job->column.edges = PyArray_DATA(edges);
    job->column.n_rows = PyArray_DIM(x, 0);
    job->column.n_edges = (int32_t)n_edges;
    job->counts = PyArray_DATA(table);
    if (rt_py_run(rt_module_get_state(module), run_drift, job, &job->ctl) < 0) {
        Py_CLEAR(table);
    }
    return table;
}

static PyObject *drift_counts(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"x", "day", "edges", "n_days", "n_threads", NULL};
    PyObject *objects[3] = {NULL, NULL, NULL};
    PyArrayObject *x = NULL;
    PyArrayObject *day = NULL;
    PyArrayObject *edges = NULL;
    PyArrayObject *table = NULL;
    drift_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOi|$i:drift_counts", names,
                                     &objects[0], &objects[1], &objects[2],
                                     &job.column.n_days, &job.n_threads)) {
        return NULL;
    }
    if ((x = rt_py_array(objects[0], NPY_FLOAT64, 1, "x")) != NULL &&
        (day = rt_py_array(objects[1], NPY_INT32, 1, "day")) != NULL &&
        (edges = rt_py_array(objects[2], NPY_FLOAT64, 1, "edges")) != NULL) {
        table = count_numeric(module, x, day, edges, &job);
    }
    Py_XDECREF((PyObject *)edges);
    Py_XDECREF((PyObject *)day);
    Py_XDECREF((PyObject *)x);
    return (PyObject *)table;
}

PyDoc_STRVAR(category_counts_doc,
             "category_counts(code, day, n_levels, n_days, *, n_threads=0)"
             " -> int64[n_days, n_levels + 2]\n\n"
             "Rows per day and level: code int32[n], 0..n_levels-1 or -1 (missing) or\n"
             "-2 (unseen); day int32[n] in 0..n_days-1. Columns: levels, unseen,\n"
             "missing. ValueError names the first row that is out of range.");

typedef struct category_job {
    rt_category_column column;
    int32_t n_threads;
    int64_t *counts;
    rt_ctl ctl;
} category_job;

static rt_status run_category(void *argument, rt_error *err)
{
    category_job *job = argument;
    return rt_category_counts(&job->column, job->n_threads, &job->ctl, job->counts,
                              err);
}

static PyArrayObject *count_category(PyObject *module, PyArrayObject *code,
                                     PyArrayObject *day, category_job *job)
{
    PyArrayObject *table = NULL;
    npy_intp n_levels = job->column.n_levels;
    if (!same_rows(code, "code", day)) {
        return NULL;
    }
    table = new_table(job->column.n_days,
                      (n_levels > 0 ? n_levels : 0) + RT_CATEGORY_EXTRA);
    if (table == NULL) {
        return NULL;
    }
    job->column.code = PyArray_DATA(code);
    job->column.day = PyArray_DATA(day);
    job->column.n_rows = PyArray_DIM(code, 0);
    job->counts = PyArray_DATA(table);
    if (rt_py_run(rt_module_get_state(module), run_category, job, &job->ctl) < 0) {
        Py_CLEAR(table);
    }
    return table;
}

static PyObject *category_counts(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"code", "day", "n_levels", "n_days", "n_threads", NULL};
    PyObject *objects[2] = {NULL, NULL};
    PyArrayObject *code = NULL;
    PyArrayObject *day = NULL;
    PyArrayObject *table = NULL;
    category_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOii|$i:category_counts", names,
                                     &objects[0], &objects[1], &job.column.n_levels,
                                     &job.column.n_days, &job.n_threads)) {
        return NULL;
    }
    if ((code = rt_py_array(objects[0], NPY_INT32, 1, "code")) != NULL &&
        (day = rt_py_array(objects[1], NPY_INT32, 1, "day")) != NULL) {
        table = count_category(module, code, day, &job);
    }
    Py_XDECREF((PyObject *)day);
    Py_XDECREF((PyObject *)code);
    return (PyObject *)table;
}

static PyMethodDef methods[] = {
    {"quantile_edges", RT_PY_KEYWORDS(quantile_edges), quantile_edges_doc},
    {"drift_counts", RT_PY_KEYWORDS(drift_counts), drift_counts_doc},
    {"category_counts", RT_PY_KEYWORDS(category_counts), category_counts_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_drift(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

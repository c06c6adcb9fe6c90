/* Binding of evaluation/amounts.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/amounts.h"

PyDoc_STRVAR(
    amount_sums_doc,
    "amount_sums(kind, day, level, y, champion, challenger, at, n_days, n_levels, *,"
    " n_threads=0) -> int64[n_days, n_levels, 9, 10]\n\n"
    "With v and w the values of a row under champion and challenger, d = w - v and b\n"
    "its base, the exact sums of v, w, b, dd, db, bb, vv, vd and vb, each as ten\n"
    "digits: digit k counts 2^(32 k - 128); vv and vd are 0 where the metric's score "
    "is\n"
    "linear in v: not of \"squared\", \"error\" and \"given\". kind is \"absolute\", "
    "\"squared\",\n"
    "\"error\", \"pinball\", \"percent\", \"symmetric\", \"spread\" or \"given\";\n"
    "csrc/evaluation/amounts.h says what a row's value is. day and level int32[n], y\n"
    "and what is predicted float64[n], at float64[n_levels]: the quantile of pinball,\n"
    "the label's mean of spread. ValueError names the argument and the first row that\n"
    "cannot be summed.");

enum { COLUMNS = 6, ROW_COLUMNS = 5 };

static const struct {
    const char *name;
    int type;
} columns[COLUMNS] = {{"day", NPY_INT32},          {"level", NPY_INT32},
                      {"y", NPY_FLOAT64},          {"champion", NPY_FLOAT64},
                      {"challenger", NPY_FLOAT64}, {"at", NPY_FLOAT64}};

static const char *const kinds[RT_AMOUNT_KINDS] = {
    [RT_ABSOLUTE] = "absolute", [RT_SQUARED] = "squared", [RT_ERROR] = "error",
    [RT_PINBALL] = "pinball",   [RT_PERCENT] = "percent", [RT_SYMMETRIC] = "symmetric",
    [RT_SPREAD] = "spread",     [RT_GIVEN] = "given",
};

typedef struct amount_job {
    rt_amount_rows rows;
    rt_amount_kind kind;
    int32_t n_threads;
    PyArrayObject *column[COLUMNS];
    int64_t *sums;
    rt_ctl ctl;
} amount_job;

static rt_status run_sums(void *argument, rt_error *err)
{
    amount_job *job = argument;
    return rt_sum_amounts(&job->rows, job->kind, job->n_threads, &job->ctl, job->sums,
                          err);
}

static int take_columns(amount_job *job, PyObject *const *objects)
{
    for (int i = 0; i < COLUMNS; i++) {
        job->column[i] = rt_py_array(objects[i], columns[i].type, 1, columns[i].name);
        if (job->column[i] == NULL) {
            return -1;
        }
        const npy_intp wanted =
            i < ROW_COLUMNS ? PyArray_DIM(job->column[0], 0) : job->rows.n_levels;
        if (PyArray_DIM(job->column[i], 0) != wanted) {
            PyErr_Format(PyExc_ValueError, "%s has %zd values, it must have %zd",
                         columns[i].name, (Py_ssize_t)PyArray_DIM(job->column[i], 0),
                         (Py_ssize_t)wanted);
            return -1;
        }
    }
    rt_amount_rows *rows = &job->rows;
    rows->day = PyArray_DATA(job->column[0]);
    rows->level = PyArray_DATA(job->column[1]);
    rows->y = PyArray_DATA(job->column[2]);
    rows->champion = PyArray_DATA(job->column[3]);
    rows->challenger = PyArray_DATA(job->column[4]);
    rows->at = PyArray_DATA(job->column[5]);
    rows->n_rows = PyArray_DIM(job->column[0], 0);
    return 0;
}

static PyObject *amount_sums(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"kind",     "day",        "level", "y",
                            "champion", "challenger", "at",    "n_days",
                            "n_levels", "n_threads",  NULL};
    PyObject *objects[COLUMNS] = {NULL};
    PyArrayObject *table = NULL;
    const char *kind = NULL;
    amount_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sOOOOOOii|$i:amount_sums", names, &kind, &objects[0],
            &objects[1], &objects[2], &objects[3], &objects[4], &objects[5],
            &job.rows.n_days, &job.rows.n_levels, &job.n_threads)) {
        return NULL;
    }
    const int found = rt_py_kind(kind, kinds, RT_AMOUNT_KINDS, "value of amounts");
    if (found >= 0 && take_columns(&job, objects) == 0 &&
        (table = rt_py_day_sums(job.rows.n_days, job.rows.n_levels, RT_AMOUNT_SUMS,
                                RT_DIGITS)) != NULL) {
        job.kind = (rt_amount_kind)found;
        job.sums = PyArray_DATA(table);
        if (rt_py_run(rt_module_get_state(module), run_sums, &job, &job.ctl) < 0) {
            Py_CLEAR(table);
        }
    }
    for (int i = 0; i < COLUMNS; i++) {
        Py_CLEAR(job.column[i]);
    }
    return (PyObject *)table;
}

static PyMethodDef methods[] = {
    {"amount_sums", RT_PY_KEYWORDS(amount_sums), amount_sums_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_amounts(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

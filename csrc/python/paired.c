/* Binding of evaluation/paired.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/paired.h"

PyDoc_STRVAR(
    paired_sums_doc,
    "paired_sums(kind, day, level, y, champion, challenger, n_days, n_levels, *,"
    " n_threads=0) -> int64[n_days, n_levels, 6, 2]\n\n"
    "Sums of the champion's values over negatives and positives, of the\n"
    "challenger's, and of the squared differences of both, exact: two words each,\n"
    "low * 1 + high * 2^64 with the low one unsigned. kind is \"log_loss\", "
    "\"brier\",\n"
    "\"roc_auc\", \"average_precision\" or \"ks\"; csrc/evaluation/paired.h says what "
    "a\n"
    "row's value is. day and level int32[n], y uint8[n] (or bool), 0 or 1, the scores\n"
    "float64[n]. ValueError names the argument and the first row that cannot be\n"
    "counted.");

enum { COLUMNS = 5 };

static const struct {
    const char *name;
    int type;
} columns[COLUMNS] = {{"day", NPY_INT32},
                      {"level", NPY_INT32},
                      {"y", NPY_UINT8},
                      {"champion", NPY_FLOAT64},
                      {"challenger", NPY_FLOAT64}};

static const char *const kinds[RT_SCORE_KINDS] = {
    [RT_LOG_LOSS] = "log_loss",
    [RT_BRIER] = "brier",
    [RT_ROC_AUC] = "roc_auc",
    [RT_AVERAGE_PRECISION] = "average_precision",
    [RT_KS] = "ks",
};

typedef struct paired_job {
    rt_paired_rows rows;
    rt_score_kind kind;
    int32_t n_threads;
    PyArrayObject *column[COLUMNS];
    int64_t *sums;
    rt_ctl ctl;
} paired_job;

static rt_status run_sums(void *argument, rt_error *err)
{
    paired_job *job = argument;
    return rt_sum_paired(&job->rows, job->kind, job->n_threads, &job->ctl, job->sums,
                         err);
}

static int take_columns(paired_job *job, PyObject *const *objects)
{
    for (int i = 0; i < COLUMNS; i++) {
        job->column[i] =
            rt_py_column(objects[i], columns[i].type, columns[i].name, job->column[0]);
        if (job->column[i] == NULL) {
            return -1;
        }
    }
    rt_paired_rows *rows = &job->rows;
    rows->day = PyArray_DATA(job->column[0]);
    rows->level = PyArray_DATA(job->column[1]);
    rows->y = PyArray_DATA(job->column[2]);
    rows->champion = PyArray_DATA(job->column[3]);
    rows->challenger = PyArray_DATA(job->column[4]);
    rows->n_rows = PyArray_DIM(job->column[0], 0);
    return 0;
}

static PyObject *paired_sums(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"kind",       "day",    "level",    "y",         "champion",
                            "challenger", "n_days", "n_levels", "n_threads", NULL};
    PyObject *objects[COLUMNS] = {NULL};
    PyArrayObject *table = NULL;
    const char *kind = NULL;
    paired_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sOOOOOii|$i:paired_sums", names,
                                     &kind, &objects[0], &objects[1], &objects[2],
                                     &objects[3], &objects[4], &job.rows.n_days,
                                     &job.rows.n_levels, &job.n_threads)) {
        return NULL;
    }
    const int found = rt_py_kind(kind, kinds, RT_SCORE_KINDS, "metric of scores");
    if (found >= 0 && take_columns(&job, objects) == 0 &&
        (table = rt_py_day_sums(job.rows.n_days, job.rows.n_levels, RT_PAIRED_SUMS,
                                2)) != NULL) {
        job.kind = (rt_score_kind)found;
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
    {"paired_sums", RT_PY_KEYWORDS(paired_sums), paired_sums_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_paired(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

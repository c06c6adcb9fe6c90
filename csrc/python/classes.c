/* Binding of evaluation/classes.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/classes.h"

PyDoc_STRVAR(
    class_counts_doc,
    "class_counts(day, level, y, champion, challenger, n_days, n_levels, n_classes, *,"
    " n_threads=0) -> int64[n_days, n_levels, 5, n_classes^2]\n\n"
    "Rows by label y, champion's class a and challenger's class b, as five tables "
    "with\n"
    "the first of a pair in the row: y, a; y, b; a, b; y, a where b = y; y, b where\n"
    "a = y. day and level int32[n] in 0..n_days-1 and 0..n_levels-1; y, champion and\n"
    "challenger uint8[n] in 0..n_classes-1. ValueError names the argument and the "
    "first\n"
    "row that is out of range.");

enum { COLUMNS = 5 };

static const struct {
    const char *name;
    int type;
} columns[COLUMNS] = {{"day", NPY_INT32},
                      {"level", NPY_INT32},
                      {"y", NPY_UINT8},
                      {"champion", NPY_UINT8},
                      {"challenger", NPY_UINT8}};

typedef struct classes_job {
    rt_class_rows rows;
    int32_t n_threads;
    PyArrayObject *column[COLUMNS];
    int64_t *counts;
    rt_ctl ctl;
} classes_job;

static rt_status run_counts(void *argument, rt_error *err)
{
    classes_job *job = argument;
    return rt_count_classes(&job->rows, job->n_threads, &job->ctl, job->counts, err);
}

static int take_columns(classes_job *job, PyObject *const *objects)
{
    for (int i = 0; i < COLUMNS; i++) {
        job->column[i] =
            rt_py_column(objects[i], columns[i].type, columns[i].name, job->column[0]);
        if (job->column[i] == NULL) {
            return -1;
        }
    }
    rt_class_rows *rows = &job->rows;
    rows->day = PyArray_DATA(job->column[0]);
    rows->level = PyArray_DATA(job->column[1]);
    rows->y = PyArray_DATA(job->column[2]);
    rows->champion = PyArray_DATA(job->column[3]);
    rows->challenger = PyArray_DATA(job->column[4]);
    rows->n_rows = PyArray_DIM(job->column[0], 0);
    return 0;
}

static PyArrayObject *new_table(const rt_class_rows *rows)
{
    if (rows->n_classes < 1 || rows->n_classes > UINT8_MAX + 1) {
        PyErr_Format(PyExc_ValueError, "n_classes is %d, it must lie in 1..%d",
                     rows->n_classes, UINT8_MAX + 1);
        return NULL;
    }
    return rt_py_day_sums(rows->n_days, rows->n_levels, RT_CLASS_TABLES,
                          rows->n_classes * rows->n_classes);
}

static PyObject *class_counts(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"day",        "level",  "y",        "champion",
                            "challenger", "n_days", "n_levels", "n_classes",
                            "n_threads",  NULL};
    PyObject *objects[COLUMNS] = {NULL};
    PyArrayObject *table = NULL;
    classes_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOOiii|$i:class_counts", names,
                                     &objects[0], &objects[1], &objects[2], &objects[3],
                                     &objects[4], &job.rows.n_days, &job.rows.n_levels,
                                     &job.rows.n_classes, &job.n_threads)) {
        return NULL;
    }
    if (take_columns(&job, objects) == 0 && (table = new_table(&job.rows)) != NULL) {
        job.counts = PyArray_DATA(table);
        if (rt_py_run(rt_module_get_state(module), run_counts, &job, &job.ctl) < 0) {
            Py_CLEAR(table);
        }
    }
    for (int i = 0; i < COLUMNS; i++) {
        Py_CLEAR(job.column[i]);
    }
    return (PyObject *)table;
}

static PyMethodDef methods[] = {
    {"class_counts", RT_PY_KEYWORDS(class_counts), class_counts_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_classes(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

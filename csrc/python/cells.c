/* Binding of evaluation/cells.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/cells.h"

#include "base/limits.h"

PyDoc_STRVAR(joint_cells_doc,
             "joint_cells(day, level, y, champion, challenger, n_days, n_levels, *,"
             " n_threads=0) -> int64[n_days, n_levels, 8]\n\n"
             "Rows per day, level and cell 4*y + 2*champion + challenger. day and\n"
             "level int32[n] in 0..n_days-1 and 0..n_levels-1; y, champion and\n"
             "challenger uint8[n] (or bool), 0 or 1. ValueError names the argument\n"
             "and the first row that is out of range.");

PyDoc_STRVAR(
    joint_cube_doc,
    "joint_cube(day, levels, y, champion, challenger, n_days, n_levels, *,"
    " n_threads=0) -> int64[n_days, *n_levels, 8]\n\n"
    "joint_cells for up to 8 slice columns at once: levels is a sequence of\n"
    "int32[n] arrays, n_levels of their sizes. Sums over axes of the cube are\n"
    "the cells of single columns and of intersections.");

enum { COLUMNS = 4, ARRAYS = COLUMNS + RT_MAX_SLICE_COLUMNS };

static const struct {
    const char *name;
    int type;
} columns[COLUMNS] = {
    {"day", NPY_INT32},
    {"y", NPY_UINT8},
    {"champion", NPY_UINT8},
    {"challenger", NPY_UINT8},
};

typedef struct cells_job {
    rt_joint_rows rows;
    int32_t n_threads;
    PyArrayObject *arrays[ARRAYS]; /* the columns above, then the levels */
    int64_t *counts;
    rt_ctl ctl;
} cells_job;

static rt_status run_cells(void *argument, rt_error *err)
{
    cells_job *job = argument;
    return rt_joint_cells(&job->rows, job->n_threads, &job->ctl, job->counts, err);
}

/* `object` as array number `i`, of as many rows as day has. */
static int take_column(cells_job *job, int i, PyObject *object)
{
    const char *name = i < COLUMNS ? columns[i].name : "level";
    int type = i < COLUMNS ? columns[i].type : NPY_INT32;
    job->arrays[i] = rt_py_column(object, type, name, job->arrays[0]);
    return job->arrays[i] == NULL ? -1 : 0;
}

static int take_columns(cells_job *job, PyObject *const *objects)
{
    for (int i = 0; i < COLUMNS; i++) {
        if (take_column(job, i, objects[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The cube, made here so that its size is known to be sane before it is. */
static PyArrayObject *new_cube(const rt_joint_rows *rows)
{
    npy_intp shape[RT_MAX_SLICE_COLUMNS + 2];
    int64_t size = RT_CELLS;
    for (int axis = 0; axis <= rows->n_columns; axis++) {
        int32_t length = axis == 0 ? rows->n_days : rows->n_levels[axis - 1];
        shape[axis] = length > 0 ? length : 0;
        size *= shape[axis] > 0 ? shape[axis] : 1;
        if (size > RT_MAX_COUNTS) {
            PyErr_Format(PyExc_ValueError,
                         "%d days and these slice columns pass the limit of %d counts: "
                         "take fewer columns at once",
                         rows->n_days, RT_MAX_COUNTS);
            return NULL;
        }
    }
    shape[rows->n_columns + 1] = RT_CELLS;
    return rt_py_new_array(NPY_INT64, rows->n_columns + 2, shape);
}

static PyArrayObject *count_cells(PyObject *module, cells_job *job)
{
    rt_joint_rows *rows = &job->rows;
    PyArrayObject *cube = new_cube(rows);
    if (cube == NULL) {
        return NULL;
    }
    rows->day = PyArray_DATA(job->arrays[0]);
    rows->y = PyArray_DATA(job->arrays[1]);
    rows->champion = PyArray_DATA(job->arrays[2]);
    rows->challenger = PyArray_DATA(job->arrays[3]);
    rows->n_rows = PyArray_DIM(job->arrays[0], 0);
    for (int i = 0; i < rows->n_columns; i++) {
        rows->level[i] = PyArray_DATA(job->arrays[COLUMNS + i]);
    }
    job->counts = PyArray_DATA(cube);
    if (rt_py_run(rt_module_get_state(module), run_cells, job, &job->ctl) < 0) {
        Py_CLEAR(cube);
    }
    return cube;
}

static void drop_columns(cells_job *job)
{
    for (int i = 0; i < ARRAYS; i++) {
        Py_CLEAR(job->arrays[i]);
    }
}

static PyObject *joint_cells(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"day",    "level",    "y",         "champion", "challenger",
                            "n_days", "n_levels", "n_threads", NULL};
    PyObject *objects[COLUMNS] = {NULL};
    PyObject *level = NULL;
    PyArrayObject *table = NULL;
    cells_job job = {.rows = {.n_columns = 1}};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOOii|$i:joint_cells", names,
                                     &objects[0], &level, &objects[1], &objects[2],
                                     &objects[3], &job.rows.n_days,
                                     &job.rows.n_levels[0], &job.n_threads)) {
        return NULL;
    }
    if (take_columns(&job, objects) == 0 && take_column(&job, COLUMNS, level) == 0) {
        table = count_cells(module, &job);
    }
    drop_columns(&job);
    return (PyObject *)table;
}

/* Fills the job's slice columns from two sequences of one length. */
static int take_levels(cells_job *job, PyObject *levels, PyObject *n_levels)
{
    Py_ssize_t count = PySequence_Size(levels);
    Py_ssize_t sizes = count < 0 ? -1 : PySequence_Size(n_levels);
    if (sizes < 0) {
        return -1;
    }
    if (count != sizes || count > RT_MAX_SLICE_COLUMNS) {
        PyErr_Format(PyExc_ValueError,
                     "levels has %zd columns and n_levels %zd: both must be the same "
                     "and at most %d",
                     count, sizes, RT_MAX_SLICE_COLUMNS);
        return -1;
    }
    job->rows.n_columns = (int32_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *size = PySequence_GetItem(n_levels, i);
        long length = size == NULL ? -1 : PyLong_AsLong(size);
        Py_XDECREF(size);
        if (length == -1 && PyErr_Occurred() != NULL) {
            return -1;
        }
        /* Too large a size stays too large; the kernel refuses it by name. */
        job->rows.n_levels[i] = length > INT32_MAX ? INT32_MAX
                                : length < 0       ? -1
                                                   : (int32_t)length;
        PyObject *level = PySequence_GetItem(levels, i);
        int taken = level == NULL ? -1 : take_column(job, COLUMNS + (int)i, level);
        Py_XDECREF(level);
        if (taken < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *joint_cube(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"day",    "levels",   "y",         "champion", "challenger",
                            "n_days", "n_levels", "n_threads", NULL};
    PyObject *objects[COLUMNS] = {NULL};
    PyObject *levels = NULL;
    PyObject *n_levels = NULL;
    PyArrayObject *cube = NULL;
    cells_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOOiO|$i:joint_cube", names,
                                     &objects[0], &levels, &objects[1], &objects[2],
                                     &objects[3], &job.rows.n_days, &n_levels,
                                     &job.n_threads)) {
        return NULL;
    }
    if (take_columns(&job, objects) == 0 && take_levels(&job, levels, n_levels) == 0) {
        cube = count_cells(module, &job);
    }
    drop_columns(&job);
    return (PyObject *)cube;
}

static PyMethodDef methods[] = {
    {"joint_cells", RT_PY_KEYWORDS(joint_cells), joint_cells_doc},
    {"joint_cube", RT_PY_KEYWORDS(joint_cube), joint_cube_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_cells(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

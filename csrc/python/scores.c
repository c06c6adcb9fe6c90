/* Binding of evaluation/scores.h and of the runs of evaluation/ranks.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/scores.h"

#include <string.h>

#include "base/alloc.h"
#include "evaluation/ranks.h"

PyDoc_STRVAR(score_sums_doc,
             "score_sums(y, score, *, n_threads=0) -> int64[66]\n\n"
             "rows, positives; log-loss and Brier sums; 15 equal-width bins of rows,\n"
             "positives and score sum. A sum is two numbers: units and 2^-40ths.\n"
             "y uint8[n], 0 or 1; score float64[n] in [0, 1]. ValueError names the\n"
             "first row that is not.");

PyDoc_STRVAR(
    line_sums_doc,
    "line_sums(y, score, intercept, slope, *, n_threads=0) -> int64[10]\n\n"
    "Sums of e, e l, w, w l, w l^2 (units and 2^-40ths each) with l =\n"
    "logit(score), s = logistic(intercept + slope l), e = y - s, w = s (1 - s):\n"
    "one Newton step of the calibration line.");

PyDoc_STRVAR(
    rank_runs_doc,
    "rank_runs(y, score, *, n_threads=0) -> int64[m, 3]\n\n"
    "(key, positives, negatives) of each distinct score, ascending; the key\n"
    "is the score's bits made to order as a signed integer. y uint8[n], score\n"
    "float64[n] without NaN.");

typedef struct scores_job {
    const uint8_t *y;
    const double *score;
    int64_t n_rows;
    double intercept, slope;
    int32_t n_threads;
    void *out; /* the table to fill; of rank_runs, a block of its own */
    int64_t n_runs;
    rt_ctl ctl;
} scores_job;

static rt_status run_sums(void *argument, rt_error *err)
{
    scores_job *job = argument;
    return rt_sum_scores(job->y, job->score, job->n_rows, job->n_threads, &job->ctl,
                         job->out, err);
}

static rt_status run_line(void *argument, rt_error *err)
{
    scores_job *job = argument;
    return rt_sum_line(job->y, job->score, job->n_rows, job->intercept, job->slope,
                       job->n_threads, &job->ctl, job->out, err);
}

static rt_status run_runs(void *argument, rt_error *err)
{
    scores_job *job = argument;
    rt_scored_rows rows = {job->y, job->score, job->n_rows, 0, job->n_threads};
    return rt_rank_runs(&rows, &job->ctl, &job->out, &job->n_runs, err);
}

/* Takes (y, score) and runs `body` over them; 0, or -1 with an exception set. */
static int run_over(PyObject *module, PyObject *const *objects, rt_task_body body,
                    scores_job *job)
{
    PyArrayObject *score = NULL;
    int done = -1;
    PyArrayObject *y = rt_py_array(objects[0], NPY_UINT8, 1, "y");
    if (y != NULL) {
        score = rt_py_array(objects[1], NPY_FLOAT64, 1, "score");
    }
    if (score != NULL && PyArray_DIM(score, 0) != PyArray_DIM(y, 0)) {
        PyErr_Format(PyExc_ValueError, "score has %zd rows, y has %zd",
                     (Py_ssize_t)PyArray_DIM(score, 0), (Py_ssize_t)PyArray_DIM(y, 0));
    } else if (score != NULL) {
        job->y = PyArray_DATA(y);
        job->score = PyArray_DATA(score);
        job->n_rows = PyArray_DIM(y, 0);
        done = rt_py_run(rt_module_get_state(module), body, job, &job->ctl);
    }
    Py_XDECREF((PyObject *)score);
    Py_XDECREF((PyObject *)y);
    return done;
}

static PyObject *sums_into(PyObject *module, PyObject *const *objects,
                           rt_task_body body, npy_intp size, scores_job *job)
{
    PyArrayObject *table = rt_py_new_array(NPY_INT64, 1, &size);
    if (table == NULL) {
        return NULL;
    }
    job->out = PyArray_DATA(table);
    if (run_over(module, objects, body, job) < 0) {
        Py_CLEAR(table);
    }
    return (PyObject *)table;
}

static PyObject *score_sums(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"y", "score", "n_threads", NULL};
    PyObject *objects[2] = {NULL, NULL};
    scores_job job = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$i:score_sums", names,
                                     &objects[0], &objects[1], &job.n_threads)) {
        return NULL;
    }
    return sums_into(module, objects, run_sums, sizeof(rt_score_sums) / sizeof(int64_t),
                     &job);
}

static PyObject *line_sums(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"y", "score", "intercept", "slope", "n_threads", NULL};
    PyObject *objects[2] = {NULL, NULL};
    scores_job job = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOdd|$i:line_sums", names,
                                     &objects[0], &objects[1], &job.intercept,
                                     &job.slope, &job.n_threads)) {
        return NULL;
    }
    return sums_into(module, objects, run_line, sizeof(rt_line_sums) / sizeof(int64_t),
                     &job);
}

static PyObject *rank_runs(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"y", "score", "n_threads", NULL};
    PyObject *objects[2] = {NULL, NULL};
    PyArrayObject *table = NULL;
    scores_job job = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$i:rank_runs", names,
                                     &objects[0], &objects[1], &job.n_threads)) {
        return NULL;
    }
    if (run_over(module, objects, run_runs, &job) == 0) {
        npy_intp shape[] = {job.n_runs, 3};
        table = rt_py_new_array(NPY_INT64, 2, shape);
    }
    if (table != NULL) {
        memcpy(PyArray_DATA(table), job.out, (size_t)job.n_runs * 3 * sizeof(int64_t));
    }
    rt_free(job.out);
    return (PyObject *)table;
}

static PyMethodDef methods[] = {
    {"score_sums", RT_PY_KEYWORDS(score_sums), score_sums_doc},
    {"line_sums", RT_PY_KEYWORDS(line_sums), line_sums_doc},
    {"rank_runs", RT_PY_KEYWORDS(rank_runs), rank_runs_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_scores(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

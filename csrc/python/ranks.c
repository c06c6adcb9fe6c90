/* Binding of evaluation/ranks.h and of the counter RNG, base/philox.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/ranks.h"

#include <stdbool.h>

#include "base/philox.h"
#include "evaluation/delong.h"
#include "evaluation/distances.h"

#define LABELS_AND_SCORES                                                              \
    "y uint8[n] (or bool), 0 or 1; score float64[n], or float32[n], which is ranked\n" \
    "by its own bits. ValueError names the first row with a NaN score or another\n"    \
    "label."

PyDoc_STRVAR(
    roc_auc_doc,
    "roc_auc(y, score, *, n_threads=0) -> (u2, n_pos, n_neg)\n\n"
    "Exact AUC = u2 / (2 n_pos n_neg), ties count one half.\n" LABELS_AND_SCORES);

PyDoc_STRVAR(
    average_precision_doc,
    "average_precision(y, score, *, n_threads=0) -> (weighted, n_pos, n_neg)\n\n"
    "Average precision = weighted / n_pos.\n" LABELS_AND_SCORES);

PyDoc_STRVAR(sample_distance_doc,
             "sample_distance(a, b, *, n_threads=0) -> (above, below, wasserstein)\n\n"
             "Of two samples float64[n], float64[m]: the Kolmogorov-Smirnov distances\n"
             "D+ n m and D- n m as integers, and the Wasserstein-1 distance.\n"
             "ValueError names the first NaN.");

PyDoc_STRVAR(
    delong_sums_doc,
    "delong_sums(y, score_a, score_b, *, n_threads=0) -> (n_pos, n_neg, pos, neg)\n\n"
    "pos and neg: (sum a, sum b, sum aa, sum bb, sum ab) of the placements of\n"
    "positives and negatives: twice the other class below, plus the other class\n"
    "tied. y uint8[n], scores float64[n].");

/* high * 2^64 + low as a Python int. */
static PyObject *int_of_wide(rt_wide x)
{
    PyObject *shift = PyLong_FromLong(64);
    PyObject *upper = PyLong_FromUnsignedLongLong(x.high);
    PyObject *lower = PyLong_FromUnsignedLongLong(x.low);
    PyObject *shifted = NULL;
    PyObject *result = NULL;

    if (shift != NULL && upper != NULL && lower != NULL) {
        shifted = PyNumber_Lshift(upper, shift);
    }
    if (shifted != NULL) {
        result = PyNumber_Or(shifted, lower);
    }
    Py_XDECREF(shifted);
    Py_XDECREF(lower);
    Py_XDECREF(upper);
    Py_XDECREF(shift);
    return result;
}

enum { MAX_COLUMNS = 3 };

/* What every function of this file reads: one to three columns and a team. */
typedef struct ranks_job {
    PyArrayObject *column[MAX_COLUMNS];
    int32_t n_threads;
    union {
        rt_auc auc;
        rt_precision precision;
        rt_distance distance;
        rt_delong delong;
    } out;
    rt_ctl ctl;
} ranks_job;

static void drop_columns(ranks_job *job)
{
    for (int i = 0; i < MAX_COLUMNS; i++) {
        Py_CLEAR(job->column[i]);
    }
}

/* float32 stays float32; everything else has to be a double without loss. */
static PyArrayObject *take_scores(PyObject *object, const char *name)
{
    bool single =
        PyArray_Check(object) && PyArray_TYPE((PyArrayObject *)object) == NPY_FLOAT32;
    return rt_py_array(object, single ? NPY_FLOAT32 : NPY_FLOAT64, 1, name);
}

static int same_rows(const ranks_job *job, int column, const char *name)
{
    npy_intp rows = PyArray_DIM(job->column[0], 0);
    if (PyArray_DIM(job->column[column], 0) == rows) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s has %zd rows, y has %zd", name,
                 (Py_ssize_t)PyArray_DIM(job->column[column], 0), (Py_ssize_t)rows);
    return -1;
}

static rt_scored_rows scored_rows(const ranks_job *job)
{
    return (rt_scored_rows){
        .y = PyArray_DATA(job->column[0]),
        .score = PyArray_DATA(job->column[1]),
        .n_rows = PyArray_DIM(job->column[0], 0),
        .is_float = PyArray_TYPE(job->column[1]) == NPY_FLOAT32,
        .n_threads = job->n_threads,
    };
}

static rt_status run_auc(void *argument, rt_error *err)
{
    ranks_job *job = argument;
    rt_scored_rows rows = scored_rows(job);
    return rt_roc_auc(&rows, &job->ctl, &job->out.auc, err);
}

static rt_status run_precision(void *argument, rt_error *err)
{
    ranks_job *job = argument;
    rt_scored_rows rows = scored_rows(job);
    return rt_average_precision(&rows, &job->ctl, &job->out.precision, err);
}

/* Runs `body` over (y, score); 0, or -1 with an exception set. */
static int rank_scores(PyObject *module, PyObject *args, PyObject *kwargs,
                       const char *format, rt_task_body body, ranks_job *job)
{
    static char *names[] = {"y", "score", "n_threads", NULL};
    PyObject *objects[2] = {NULL, NULL};
    int done = -1;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &objects[0],
                                     &objects[1], &job->n_threads)) {
        return -1;
    }
    if ((job->column[0] = rt_py_array(objects[0], NPY_UINT8, 1, "y")) != NULL &&
        (job->column[1] = take_scores(objects[1], "score")) != NULL &&
        same_rows(job, 1, "score") == 0) {
        done = rt_py_run(rt_module_get_state(module), body, job, &job->ctl);
    }
    drop_columns(job);
    return done;
}

static PyObject *roc_auc(PyObject *module, PyObject *args, PyObject *kwargs)
{
    ranks_job job = {0};
    if (rank_scores(module, args, kwargs, "OO|$i:roc_auc", run_auc, &job) < 0) {
        return NULL;
    }
    PyObject *u2 = int_of_wide(job.out.auc.u2);
    if (u2 == NULL) {
        return NULL;
    }
    return Py_BuildValue("(NLL)", u2, (long long)job.out.auc.n_pos,
                         (long long)job.out.auc.n_neg);
}

static PyObject *average_precision(PyObject *module, PyObject *args, PyObject *kwargs)
{
    ranks_job job = {0};
    if (rank_scores(module, args, kwargs, "OO|$i:average_precision", run_precision,
                    &job) < 0) {
        return NULL;
    }
    return Py_BuildValue("(dLL)", job.out.precision.weighted,
                         (long long)job.out.precision.n_pos,
                         (long long)job.out.precision.n_neg);
}

static rt_status run_distance(void *argument, rt_error *err)
{
    ranks_job *job = argument;
    return rt_sample_distance(
        PyArray_DATA(job->column[0]), PyArray_DIM(job->column[0], 0),
        PyArray_DATA(job->column[1]), PyArray_DIM(job->column[1], 0), job->n_threads,
        &job->ctl, &job->out.distance, err);
}

/* "N" takes over whatever it gets, a NULL with an exception set included. */
static PyObject *sample_distance(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"a", "b", "n_threads", NULL};
    PyObject *objects[2] = {NULL, NULL};
    ranks_job job = {0};
    int done = -1;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$i:sample_distance", names,
                                     &objects[0], &objects[1], &job.n_threads)) {
        return NULL;
    }
    if ((job.column[0] = rt_py_array(objects[0], NPY_FLOAT64, 1, "a")) != NULL &&
        (job.column[1] = rt_py_array(objects[1], NPY_FLOAT64, 1, "b")) != NULL) {
        done = rt_py_run(rt_module_get_state(module), run_distance, &job, &job.ctl);
    }
    drop_columns(&job);
    if (done < 0) {
        return NULL;
    }
    return Py_BuildValue("(NNd)", int_of_wide(job.out.distance.above),
                         int_of_wide(job.out.distance.below),
                         job.out.distance.wasserstein);
}

static rt_status run_delong(void *argument, rt_error *err)
{
    ranks_job *job = argument;
    return rt_delong_sums(PyArray_DATA(job->column[0]), PyArray_DATA(job->column[1]),
                          PyArray_DATA(job->column[2]), PyArray_DIM(job->column[0], 0),
                          job->n_threads, &job->ctl, &job->out.delong, err);
}

static PyObject *sums_of_class(const rt_delong *delong, int group)
{
    return Py_BuildValue(
        "(NNNNN)", int_of_wide(delong->sum[group][0]),
        int_of_wide(delong->sum[group][1]), int_of_wide(delong->product[group][0]),
        int_of_wide(delong->product[group][1]), int_of_wide(delong->product[group][2]));
}

static PyObject *delong_sums(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"y", "score_a", "score_b", "n_threads", NULL};
    PyObject *objects[MAX_COLUMNS] = {NULL};
    ranks_job job = {0};
    int done = -1;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|$i:delong_sums", names,
                                     &objects[0], &objects[1], &objects[2],
                                     &job.n_threads)) {
        return NULL;
    }
    if ((job.column[0] = rt_py_array(objects[0], NPY_UINT8, 1, "y")) != NULL &&
        (job.column[1] = rt_py_array(objects[1], NPY_FLOAT64, 1, "score_a")) != NULL &&
        (job.column[2] = rt_py_array(objects[2], NPY_FLOAT64, 1, "score_b")) != NULL &&
        same_rows(&job, 1, "score_a") == 0 && same_rows(&job, 2, "score_b") == 0) {
        done = rt_py_run(rt_module_get_state(module), run_delong, &job, &job.ctl);
    }
    drop_columns(&job);
    if (done < 0) {
        return NULL;
    }
    return Py_BuildValue(
        "(LLNN)", (long long)job.out.delong.n_pos, (long long)job.out.delong.n_neg,
        sums_of_class(&job.out.delong, 0), sums_of_class(&job.out.delong, 1));
}

PyDoc_STRVAR(philox_doc,
             "philox(seed, stream, n) -> uint32[n]\n\n"
             "The first n words of a Philox4x32-10 stream: key = seed, counter =\n"
             "(block, stream), 64 bits each, low words first. A pure function of its\n"
             "arguments. OverflowError when seed or stream is outside 0..2^64-1.");

typedef struct philox_job {
    uint64_t seed;
    uint64_t stream;
    int64_t count;
    uint32_t *out;
    rt_ctl ctl;
} philox_job;

static rt_status run_philox(void *argument, rt_error *err)
{
    enum { CHUNK_WORDS = 1 << 20 };
    philox_job *job = argument;
    for (int64_t first = 0; first < job->count; first += CHUNK_WORDS) {
        int64_t left = job->count - first;
        if (rt_ctl_cancelled(&job->ctl)) {
            return rt_fail(err, RT_CANCELLED, "philox", "cancelled while drawing");
        }
        rt_philox_fill(job->seed, job->stream, (uint64_t)first,
                       left < CHUNK_WORDS ? left : CHUNK_WORDS, job->out + first);
    }
    return RT_OK;
}

static int take_uint64(PyObject *object, uint64_t *value)
{
    *value = PyLong_AsUnsignedLongLong(object);
    return PyErr_Occurred() != NULL ? -1 : 0;
}

static PyObject *philox(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"seed", "stream", "n", NULL};
    PyObject *seed = NULL;
    PyObject *stream = NULL;
    Py_ssize_t n = 0;
    philox_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOn:philox", names, &seed, &stream,
                                     &n) ||
        take_uint64(seed, &job.seed) < 0 || take_uint64(stream, &job.stream) < 0) {
        return NULL;
    }
    if (n < 0) {
        return PyErr_Format(PyExc_ValueError, "n is %zd, it cannot be negative", n);
    }
    npy_intp shape[] = {n};
    PyArrayObject *out = rt_py_new_array(NPY_UINT32, 1, shape);
    if (out == NULL) {
        return NULL;
    }
    job.count = n;
    job.out = PyArray_DATA(out);
    if (rt_py_run(rt_module_get_state(module), run_philox, &job, &job.ctl) < 0) {
        Py_CLEAR(out);
    }
    return (PyObject *)out;
}

static PyMethodDef methods[] = {
    {"roc_auc", RT_PY_KEYWORDS(roc_auc), roc_auc_doc},
    {"average_precision", RT_PY_KEYWORDS(average_precision), average_precision_doc},
    {"sample_distance", RT_PY_KEYWORDS(sample_distance), sample_distance_doc},
    {"delong_sums", RT_PY_KEYWORDS(delong_sums), delong_sums_doc},
    {"philox", RT_PY_KEYWORDS(philox), philox_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_ranks(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* Binding of evaluation/shadow.h. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/shadow.h"

#include <string.h>

PyDoc_STRVAR(
    shadow_counts_doc,
    "shadow_counts(champion_score, challenger_score, champion_threshold,\n"
    "              challenger_threshold, *, n_threads=0) -> dict\n\n"
    "Both models on the same rows, scores float64[n]; a decision is score >=\n"
    "threshold. rows; champion_bad, challenger_bad: scores that are not\n"
    "finite or outside [0, 1]; compared: rows with two good scores, of which\n"
    "champion_positive, challenger_positive, flips_up, flips_down and\n"
    "score_counts (int64[2, 20], equal bins of [0, 1]); challenger_low and\n"
    "challenger_high: IEEE bits of the least and greatest good challenger score\n"
    "(none: low > high); challenger_distinct: these are none (0), all equal (1)\n"
    "or differ (2).");

typedef struct shadow_job {
    rt_shadow_rows rows;
    int32_t n_threads;
    rt_shadow_counts counts;
    rt_ctl ctl;
} shadow_job;

static rt_status run_shadow(void *argument, rt_error *err)
{
    shadow_job *job = argument;
    return rt_shadow_count(&job->rows, job->n_threads, &job->ctl, &job->counts, err);
}

static int distinct(const rt_shadow_counts *counts)
{
    if (counts->challenger_low > counts->challenger_high) {
        return 0;
    }
    return counts->challenger_low < counts->challenger_high ? 2 : 1;
}

static PyObject *counts_as_dict(const rt_shadow_counts *counts)
{
    npy_intp shape[] = {2, RT_SCORE_BINS};
    PyArrayObject *scores = rt_py_new_array(NPY_INT64, 2, shape);
    if (scores == NULL) {
        return NULL;
    }
    memcpy(PyArray_DATA(scores), counts->score_counts, sizeof counts->score_counts);
    return Py_BuildValue(
        "{s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:L,s:i,s:N}", "rows",
        (long long)counts->rows, "compared", (long long)counts->compared,
        "champion_positive", (long long)counts->champion_positive,
        "challenger_positive", (long long)counts->challenger_positive, "flips_up",
        (long long)counts->flips_up, "flips_down", (long long)counts->flips_down,
        "champion_bad", (long long)counts->champion_bad, "challenger_bad",
        (long long)counts->challenger_bad, "challenger_low",
        (long long)counts->challenger_low, "challenger_high",
        (long long)counts->challenger_high, "challenger_distinct", distinct(counts),
        "score_counts", (PyObject *)scores);
}

static PyObject *count_scores(PyObject *module, PyArrayObject *champion,
                              PyArrayObject *challenger, shadow_job *job)
{
    job->rows.champion = PyArray_DATA(champion);
    job->rows.challenger = PyArray_DATA(challenger);
    job->rows.n_rows = PyArray_DIM(champion, 0);
    if (PyArray_DIM(challenger, 0) != PyArray_DIM(champion, 0)) {
        PyErr_Format(PyExc_ValueError,
                     "challenger_score has %zd rows, champion_score has %zd",
                     (Py_ssize_t)PyArray_DIM(challenger, 0),
                     (Py_ssize_t)PyArray_DIM(champion, 0));
        return NULL;
    }
    if (rt_py_run(rt_module_get_state(module), run_shadow, job, &job->ctl) < 0) {
        return NULL;
    }
    return counts_as_dict(&job->counts);
}

static PyObject *shadow_counts(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"champion_score",     "challenger_score",
                            "champion_threshold", "challenger_threshold",
                            "n_threads",          NULL};
    PyObject *objects[2] = {NULL, NULL};
    PyArrayObject *champion = NULL;
    PyArrayObject *challenger = NULL;
    PyObject *result = NULL;
    shadow_job job = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOdd|$i:shadow_counts", names,
                                     &objects[0], &objects[1],
                                     &job.rows.champion_threshold,
                                     &job.rows.challenger_threshold, &job.n_threads)) {
        return NULL;
    }
    champion = rt_py_array(objects[0], NPY_FLOAT64, 1, "champion_score");
    if (champion != NULL) {
        challenger = rt_py_array(objects[1], NPY_FLOAT64, 1, "challenger_score");
    }
    if (challenger != NULL) {
        result = count_scores(module, champion, challenger, &job);
    }
    Py_XDECREF((PyObject *)challenger);
    Py_XDECREF((PyObject *)champion);
    return result;
}

static PyMethodDef methods[] = {
    {"shadow_counts", RT_PY_KEYWORDS(shadow_counts), shadow_counts_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_shadow(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* The extension benchmarks._probe: kernels alone, for a benchmark to time. It is built
 * in place only and is no part of the wheel. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/limits.h"
#include "bench/probe.h"
#include "parallel/task.h"
#include "parallel/threads.h"

enum { MAX_FEATURES = 4096, MAX_PASSES = 1000 };

typedef struct probing {
    int64_t rows;
    int32_t features, threads, passes;
} probing;

static rt_status probe_body(void *argument, rt_error *err)
{
    const probing *job = argument;
    return rt_probe_histogram(job->rows, job->features,
                              rt_resolve_threads(job->threads), job->passes, err);
}

static bool in_range(const probing *job)
{
    return job->rows >= 1 && job->rows <= INT32_MAX && job->features >= 1 &&
           job->features <= MAX_FEATURES && job->passes >= 1 &&
           job->passes <= MAX_PASSES &&
           rt_check_threads(job->threads, "histogram_passes", NULL) == RT_OK;
}

PyDoc_STRVAR(passes_doc,
             "histogram_passes(rows, features, n_threads, passes) -> int\n\n"
             "Runs the histogram kernel alone over random bins, to be timed by a "
             "benchmark. Returns the updates done, rows x features x passes.");

static PyObject *histogram_passes(PyObject *Py_UNUSED(module), PyObject *args)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_status status = RT_OK;
    probing job = {0};
    long long rows = 0;
    if (!PyArg_ParseTuple(args, "Liii:histogram_passes", &rows, &job.features,
                          &job.threads, &job.passes)) {
        return NULL;
    }
    job.rows = rows;
    if (!in_range(&job)) {
        return PyErr_Format(PyExc_ValueError,
                            "histogram_passes: rows from 1 on, 1 to %d features, 0 to "
                            "%d threads and 1 to %d passes",
                            (int)MAX_FEATURES, (int)RT_MAX_THREADS, (int)MAX_PASSES);
    }
    PyThreadState *saved = PyEval_SaveThread();
    status = rt_task_run(probe_body, &job, &err);
    PyEval_RestoreThread(saved);
    if (status != RT_OK) {
        return PyErr_Format(PyExc_RuntimeError, "%s: %s", err.where, err.message);
    }
    return PyLong_FromLongLong(rows * job.features * job.passes);
}

static PyMethodDef methods[] = {
    {"histogram_passes", histogram_passes, METH_VARARGS, passes_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "benchmarks._probe",
    .m_doc = "Kernels of the core alone, to be timed.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__probe(void)
{
    return PyModuleDef_Init(&definition);
}

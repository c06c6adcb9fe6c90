/* _core.gbdt_train and _core.f1_threshold. */
#include "python/gbdt.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "kernels/f1.h"
#include "kernels/gbdt.h"
#include "kernels/probe.h"

typedef struct training {
    rt_model model;
    rt_gbdt_data data;
    int32_t n_threads;
    rt_ctl ctl;
    rt_gbdt_report report;
    PyObject *progress; /* borrowed; NULL: nobody watches */
    int64_t reported;
} training;

static rt_status train_body(void *argument, rt_error *err)
{
    training *job = argument;
    rt_status status =
        rt_gbdt_fit(&job->data, &job->model.params, job->model.seed, job->n_threads,
                    &job->ctl, &job->model.forest, &job->report, err);
    return status == RT_OK ? rt_model_check(&job->model, err) : status;
}

static int report_progress(training *job, int64_t done)
{
    PyObject *result =
        PyObject_CallFunction(job->progress, "Lii", (long long)done,
                              rt_param_i32(&job->model.params, RT_P_N_ESTIMATORS),
                              (int)atomic_load(&job->report.team));
    Py_XDECREF(result);
    job->reported = done;
    return result == NULL ? -1 : 0;
}

static int watch_progress(void *watched)
{
    training *job = watched;
    int64_t done = atomic_load(&job->ctl.done);
    if (job->progress == NULL || done == job->reported) {
        return 0;
    }
    return report_progress(job, done);
}

/* A fresh array of 0 and 1 from any numbers that are exactly that. */
static uint8_t *make_labels(rt_module_state *state, PyObject *y, int64_t rows,
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
        bool yes = values[i] == 1.0;
        if (!yes && values[i] != 0.0) {
            PyErr_Format(PyExc_ValueError, "%s of row %lld is neither 0 nor 1", name,
                         (long long)i);
            rt_free(labels);
            labels = NULL;
            goto done;
        }
        ((uint8_t *)labels)[i] = yes ? 1 : 0;
    }
done:
    Py_DECREF(array);
    return labels;
}

static int take_weight(PyObject *object, training *job, PyArrayObject **hold)
{
    if (object == Py_None) {
        return 0;
    }
    *hold = rt_py_array(object, NPY_FLOAT64, 1, "weight");
    if (*hold == NULL) {
        return -1;
    }
    if (PyArray_DIM(*hold, 0) != job->data.x.rows) {
        PyErr_Format(PyExc_ValueError, "weight has %zd rows, x has %lld",
                     (Py_ssize_t)PyArray_DIM(*hold, 0), (long long)job->data.x.rows);
        return -1;
    }
    job->data.weight = PyArray_DATA(*hold);
    return 0;
}

static int32_t *make_levels(rt_module_state *state, const rt_model *model)
{
    rt_error err = {RT_OK, NULL, ""};
    void *levels = NULL;
    if (rt_alloc(&levels, model->n_features, sizeof(int32_t), "gbdt_train", &err) !=
        RT_OK) {
        rt_py_raise(state, &err);
        return NULL;
    }
    for (int32_t f = 0; f < model->n_features; f++) {
        ((int32_t *)levels)[f] = rt_model_levels(model, f);
    }
    return levels;
}

static int check_call(const training *job)
{
    if (job->model.n_features != job->data.x.columns) {
        PyErr_Format(PyExc_ValueError, "x has %d columns, features names %d",
                     job->data.x.columns, job->model.n_features);
        return -1;
    }
    if (job->n_threads < 0 || job->n_threads > RT_MAX_THREADS) {
        PyErr_Format(PyExc_ValueError, "n_threads must lie between 0 and %d",
                     (int)RT_MAX_THREADS);
        return -1;
    }
    return 0;
}

static int take_seed(PyObject *object, uint64_t *seed)
{
    *seed = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "seed must be a whole number in [0, 2**64)");
        return -1;
    }
    return 0;
}

/* Trains on views that the caller holds; NULL or a Model. */
static PyObject *run_training(rt_module_state *state, training *job)
{
    if (rt_py_run_watched(state, train_body, job, &job->ctl, watch_progress, job) < 0) {
        return NULL;
    }
    if (job->progress != NULL &&
        report_progress(job, atomic_load(&job->ctl.done)) < 0) {
        return NULL;
    }
    return rt_py_model_new(state, &job->model);
}

/* Keyword-only arguments are optional to the parser. */
static int require(PyObject *argument, const char *name)
{
    if (argument == NULL) {
        PyErr_Format(PyExc_TypeError, "gbdt_train needs the argument %s", name);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(
    train_doc,
    "gbdt_train(x, y, *, features, params, seed, n_threads=0, weight=None, "
    "progress=None) -> Model\n\n"
    "Gradient boosted trees on x, float32 or float64 [n, F], and labels y in {0, 1}. "
    "features: F times (name, 'numeric' or 'categorical', categories ascending by "
    "UTF-8 bytes); categorical columns hold the number of the category, NaN is "
    "missing. The model's bytes depend on x, y, features, params, seed and weight "
    "alone. progress(done, rounds, threads) is called with the GIL about every 50 ms "
    "and at the end; an exception from it ends the training.");

static PyObject *gbdt_train(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"x",         "y",      "features", "params", "seed",
                            "n_threads", "weight", "progress", NULL};
    rt_module_state *state = rt_module_get_state(module);
    PyObject *x = NULL, *y = NULL, *features = NULL, *params = NULL, *seed = NULL;
    PyObject *weight = Py_None, *progress = Py_None, *result = NULL;
    PyArrayObject *hold_x = NULL, *hold_weight = NULL;
    int32_t *levels = NULL;
    uint8_t *labels = NULL;
    rt_gbdt_params parsed;
    training job = {.reported = 0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OO!OiOO:gbdt_train", names, &x,
                                     &y, &features, &PyDict_Type, &params, &seed,
                                     &job.n_threads, &weight, &progress) ||
        require(features, "features") < 0 || require(params, "params") < 0 ||
        require(seed, "seed") < 0 || rt_py_params(params, &parsed) < 0 ||
        rt_py_matrix(x, "x", &job.data.x, &hold_x) < 0 ||
        rt_py_features(state, features, &job.model) < 0) {
        goto done;
    }
    job.model.params = parsed;
    job.progress = progress == Py_None ? NULL : progress;
    if (take_seed(seed, &job.model.seed) < 0 || check_call(&job) < 0 ||
        take_weight(weight, &job, &hold_weight) < 0) {
        goto done;
    }
    labels = make_labels(state, y, job.data.x.rows, "y");
    levels = labels == NULL ? NULL : make_levels(state, &job.model);
    if (levels != NULL) {
        job.data.label = labels;
        job.data.levels = levels;
        result = run_training(state, &job);
    }
done:
    rt_model_clear(&job.model);
    rt_free(labels);
    rt_free(levels);
    Py_XDECREF((PyObject *)hold_x);
    Py_XDECREF((PyObject *)hold_weight);
    return result;
}

typedef struct threshold_search {
    const double *score;
    const uint8_t *label;
    int64_t rows;
    rt_f1_best best;
} threshold_search;

static rt_status search_body(void *argument, rt_error *err)
{
    threshold_search *job = argument;
    return rt_f1_threshold(job->score, job->label, job->rows, &job->best, err);
}

PyDoc_STRVAR(f1_doc,
             "f1_threshold(score, y) -> (threshold, f1)\n\n"
             "The score t for which `score >= t` has the largest F1 = 2 TP / "
             "(predicted + positives), compared as exact fractions; of equal F1 the "
             "largest t, which has the fewest positive decisions. Without a positive "
             "label every F1 is 0 and the largest score is returned.");

static PyObject *f1_threshold(PyObject *module, PyObject *args)
{
    rt_module_state *state = rt_module_get_state(module);
    PyObject *score = NULL;
    PyObject *y = NULL;
    PyObject *result = NULL;
    rt_ctl ctl = {0};
    if (!PyArg_ParseTuple(args, "OO:f1_threshold", &score, &y)) {
        return NULL;
    }
    PyArrayObject *scores = rt_py_array(score, NPY_FLOAT64, 1, "score");
    if (scores == NULL) {
        return NULL;
    }
    threshold_search job = {.score = PyArray_DATA(scores),
                            .rows = PyArray_DIM(scores, 0)};
    uint8_t *labels = make_labels(state, y, job.rows, "y");
    job.label = labels;
    if (labels != NULL && rt_py_run(state, search_body, &job, &ctl) == 0) {
        int64_t denominator = job.best.predicted + job.best.positives;
        result =
            Py_BuildValue("(dd)", job.best.threshold,
                          2.0 * (double)job.best.true_positives / (double)denominator);
    }
    rt_free(labels);
    Py_DECREF(scores);
    return result;
}

PyDoc_STRVAR(params_doc,
             "gbdt_params(params) -> dict\n\n"
             "All training parameters: the defaults with `params` over them. Unknown "
             "names and values outside their range raise ValueError.");

static PyObject *gbdt_params(PyObject *module, PyObject *args)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_gbdt_params parsed;
    PyObject *params = NULL;
    if (!PyArg_ParseTuple(args, "O!:gbdt_params", &PyDict_Type, &params) ||
        rt_py_params(params, &parsed) < 0) {
        return NULL;
    }
    if (rt_gbdt_params_check(&parsed, &err) != RT_OK) {
        return rt_py_raise(rt_module_get_state(module), &err);
    }
    return rt_py_params_dict(&parsed);
}

typedef struct probing {
    int64_t rows;
    int32_t features, threads, passes;
} probing;

static rt_status probe_body(void *argument, rt_error *err)
{
    probing *job = argument;
    return rt_probe_histogram(job->rows, job->features,
                              rt_resolve_threads(job->threads), job->passes, err);
}

PyDoc_STRVAR(passes_doc,
             "histogram_passes(rows, features, n_threads, passes) -> int\n\n"
             "Runs the histogram kernel alone over random bins, to be timed by a "
             "benchmark. Returns the updates done, rows x features x passes.");

static PyObject *histogram_passes(PyObject *module, PyObject *args)
{
    rt_ctl ctl = {0};
    probing job = {0};
    long long rows = 0;
    if (!PyArg_ParseTuple(args, "Liii:histogram_passes", &rows, &job.features,
                          &job.threads, &job.passes)) {
        return NULL;
    }
    job.rows = rows;
    if (rows < 1 || rows > INT32_MAX || job.features < 1 || job.features > 4096 ||
        job.threads < 0 || job.threads > RT_MAX_THREADS || job.passes < 1 ||
        job.passes > 1000) {
        PyErr_SetString(PyExc_ValueError, "histogram_passes: out of range");
        return NULL;
    }
    if (rt_py_run(rt_module_get_state(module), probe_body, &job, &ctl) < 0) {
        return NULL;
    }
    return PyLong_FromLongLong(rows * job.features * job.passes);
}

static PyMethodDef methods[] = {
    {"gbdt_train", (PyCFunction)(void (*)(void))gbdt_train,
     METH_VARARGS | METH_KEYWORDS, train_doc},
    {"gbdt_params", gbdt_params, METH_VARARGS, params_doc},
    {"histogram_passes", histogram_passes, METH_VARARGS, passes_doc},
    {"f1_threshold", f1_threshold, METH_VARARGS, f1_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_gbdt(PyObject *module)
{
    rt_module_state *state = rt_module_get_state(module);
    state->model_type = PyType_FromModuleAndSpec(module, rt_py_model_spec(), NULL);
    if (state->model_type == NULL ||
        PyModule_AddType(module, (PyTypeObject *)state->model_type) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, methods);
}

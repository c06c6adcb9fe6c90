/* _core.gbdt_train and _core.f1_threshold. */
#include "python/gbdt.h"

#include <string.h>

#include "base/alloc.h"
#include "evaluation/f1.h"
#include "gbdt/fit.h"
#include "model/check.h"
#include "parallel/threads.h"
#include "python/gbdt_args.h"
#include "python/gbdt_model.h"
#include "python/gbdt_rows.h"

typedef struct training {
    rt_model model;
    rt_gbdt_data data;
    rt_py_rows rows, eval;
    rt_model init; /* a copy of the model to go on from; without features: none */
    int32_t *place;
    int32_t *levels;
    int8_t *monotone;
    double *losses;
    int32_t n_threads;
    rt_ctl ctl;
    rt_gbdt_report report;
    PyObject *progress; /* borrowed; NULL: nobody watches */
    int64_t reported;
} training;

static const struct {
    const char *name;
    rt_loss loss;
} objectives[] = {{"binary", RT_LOSS_BINARY},
                  {"softmax", RT_LOSS_SOFTMAX},
                  {"squared_error", RT_LOSS_SQUARE}};

const char *rt_py_objective(rt_loss loss)
{
    return objectives[loss - RT_LOSS_BINARY].name;
}

static rt_status train_body(void *argument, rt_error *err)
{
    training *job = argument;
    rt_status status =
        rt_gbdt_fit(&job->data, &job->model.params, job->model.seed, job->n_threads,
                    &job->ctl, &job->model.forest, &job->report, err);
    if (status == RT_OK && job->init.n_features > 0) {
        /* The parameter counts all rounds of the model. */
        job->model.params.value[RT_P_N_ESTIMATORS] +=
            job->init.forest.n_trees / job->init.forest.n_outputs;
    }
    return status == RT_OK ? rt_model_check(&job->model, err) : status;
}

static int report_round(const training *job, int64_t done)
{
    PyObject *loss = job->losses == NULL ? Py_NewRef(Py_None)
                                         : PyFloat_FromDouble(job->losses[done - 1]);
    if (loss == NULL) {
        return -1;
    }
    PyObject *result =
        PyObject_CallFunction(job->progress, "LiiN", (long long)done,
                              rt_param_i32(&job->model.params, RT_P_N_ESTIMATORS),
                              (int)atomic_load(&job->report.team), loss);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Every round where each has a loss to tell, else the newest alone. */
static int watch_progress(void *watched)
{
    training *job = watched;
    int64_t done = atomic_load(&job->ctl.done);
    if (job->progress == NULL || done == job->reported) {
        return 0;
    }
    int64_t next = job->losses == NULL ? done : job->reported + 1;
    for (; next <= done; next++) {
        job->reported = next;
        if (report_round(job, next) < 0) {
            return -1;
        }
    }
    return 0;
}

static void *make_array(rt_module_state *state, int64_t count, size_t item_bytes)
{
    rt_error err = {RT_OK, NULL, ""};
    void *block = NULL;
    if (rt_alloc(&block, count, item_bytes, "gbdt_train", &err) != RT_OK) {
        rt_py_raise(state, &err);
        return NULL;
    }
    return block;
}

static int take_levels(rt_module_state *state, training *job)
{
    job->levels = make_array(state, job->model.n_features, sizeof *job->levels);
    if (job->levels == NULL) {
        return -1;
    }
    for (int32_t f = 0; f < job->model.n_features; f++) {
        job->levels[f] = rt_model_levels(&job->model, f);
    }
    job->data.levels = job->levels;
    return 0;
}

/* A sequence of -1, 0 and 1, one for every feature; None: no feature is bound. */
static int take_monotone(rt_module_state *state, PyObject *object, training *job)
{
    if (object == Py_None) {
        return 0;
    }
    PyArrayObject *array = rt_py_array(object, NPY_FLOAT64, 1, "monotone");
    if (array == NULL) {
        return -1;
    }
    const double *values = PyArray_DATA(array);
    bool fits = PyArray_DIM(array, 0) == job->model.n_features;
    for (int32_t f = 0; fits && f < job->model.n_features; f++) {
        fits = values[f] == -1.0 || values[f] == 0.0 || values[f] == 1.0;
    }
    if (!fits) {
        PyErr_Format(PyExc_ValueError,
                     "monotone must hold -1, 0 or 1 for each of %d "
                     "features",
                     job->model.n_features);
    } else {
        job->monotone = make_array(state, job->model.n_features, 1);
    }
    for (int32_t f = 0; job->monotone != NULL && f < job->model.n_features; f++) {
        job->monotone[f] = (int8_t)values[f];
    }
    Py_DECREF(array);
    job->data.monotone = job->monotone;
    return job->monotone == NULL ? -1 : 0;
}

/* (x, y) or (x, y, weight) */
static int take_eval(rt_module_state *state, PyObject *object, training *job)
{
    PyObject *x = NULL;
    PyObject *y = NULL;
    PyObject *weight = Py_None;
    if (object == Py_None) {
        return 0;
    }
    if (!PyTuple_Check(object) || !PyArg_ParseTuple(object, "OO|O", &x, &y, &weight)) {
        PyErr_SetString(PyExc_TypeError, "evaluation must be (x, y) or (x, y, weight)");
        return -1;
    }
    if (rt_py_take_rows(state, x, y, weight, job->data.loss, &job->eval) < 0) {
        return -1;
    }
    job->data.eval = &job->eval.rows;
    job->losses = make_array(state, rt_param_i32(&job->model.params, RT_P_N_ESTIMATORS),
                             sizeof(double));
    job->data.losses = job->losses;
    return job->losses == NULL ? -1 : 0;
}

/* The earlier model, and where its categories stand among those of now. */
static int take_init(rt_module_state *state, PyObject *object, training *job)
{
    rt_error err = {RT_OK, NULL, ""};
    if (object == Py_None) {
        return 0;
    }
    if (rt_py_trees_copy(state, object, "init", &job->init) < 0) {
        return -1;
    }
    if (rt_model_places(&job->init, &job->model, &job->place, &err) != RT_OK) {
        rt_py_raise(state, &err);
        return -1;
    }
    job->data.resume = (rt_resume){&job->init.forest, job->place};
    job->data.classes = job->init.forest.n_outputs;
    return 0;
}

static int take_objective(const char *name, rt_loss *loss)
{
    for (size_t i = 0; i < sizeof objectives / sizeof objectives[0]; i++) {
        if (strcmp(objectives[i].name, name) == 0) {
            *loss = objectives[i].loss;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "objective is 'binary', 'softmax' or 'squared_error', not '%s'", name);
    return -1;
}

static int check_call(rt_module_state *state, const training *job)
{
    rt_error err = {RT_OK, NULL, ""};
    if (job->model.n_features != job->data.rows.x.columns) {
        PyErr_Format(PyExc_ValueError, "x has %d columns, features names %d",
                     job->data.rows.x.columns, job->model.n_features);
        return -1;
    }
    if (rt_check_threads(job->n_threads, "gbdt_train", &err) != RT_OK) {
        rt_py_raise(state, &err);
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
    if (watch_progress(job) < 0) {
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
    "progress=None, objective='binary', monotone=None, evaluation=None, init=None) -> "
    "Model\n\n"
    "Gradient boosted trees on x, float32 or float64 [n, F]. y holds labels in {0, 1} "
    "('binary'), classes 0 to K-1 ('softmax', at most 256) or amounts "
    "('squared_error'). "
    "features: F times (name, 'numeric' or 'categorical', categories ascending by "
    "UTF-8 bytes); categorical columns hold the number of the category, NaN is "
    "missing. monotone: F times -1, 0 or 1. The model's bytes depend on x, y, "
    "features, "
    "params, seed, weight, objective and monotone alone, and on evaluation, (x, y) or "
    "(x, y, weight), where early_stopping_rounds is set. init is a Model of trees of "
    "the same columns and objective, whose categories are among `features`: the new "
    "rounds come behind its own, and n_estimators in params becomes that of all. "
    "progress(done, rounds, "
    "threads, loss) is called with the GIL about every 50 ms, for every round where "
    "evaluation gives it a loss, and at the end; an exception from it ends the "
    "training.");

/* What the call asks for, as views; -1 leaves what was taken to drop_job. */
static int take_call(rt_module_state *state, PyObject *args, PyObject *kwargs,
                     training *job)
{
    static char *names[] = {"x",          "y",      "features", "params",    "seed",
                            "n_threads",  "weight", "progress", "objective", "monotone",
                            "evaluation", "init",   NULL};
    PyObject *x = NULL, *y = NULL, *features = NULL, *params = NULL, *seed = NULL;
    PyObject *weight = Py_None, *progress = Py_None;
    PyObject *monotone = Py_None, *evaluation = Py_None, *init = Py_None;
    const char *objective = "binary";
    rt_gbdt_params parsed;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OO!OiOOsOOO:gbdt_train", names,
                                     &x, &y, &features, &PyDict_Type, &params, &seed,
                                     &job->n_threads, &weight, &progress, &objective,
                                     &monotone, &evaluation, &init) ||
        require(features, "features") < 0 || require(params, "params") < 0 ||
        require(seed, "seed") < 0 || rt_py_params(params, &parsed) < 0 ||
        take_objective(objective, &job->data.loss) < 0 ||
        rt_py_features(state, features, &job->model) < 0) {
        return -1;
    }
    job->model.params = parsed;
    job->progress = progress == Py_None ? NULL : progress;
    if (rt_py_take_rows(state, x, y, weight, job->data.loss, &job->rows) < 0) {
        return -1;
    }
    job->data.rows = job->rows.rows;
    if (job->data.loss == RT_LOSS_SOFTMAX) {
        job->data.classes = rt_py_classes(&job->data.rows);
    }
    if (take_seed(seed, &job->model.seed) < 0 || check_call(state, job) < 0 ||
        take_levels(state, job) < 0 || take_monotone(state, monotone, job) < 0 ||
        take_init(state, init, job) < 0) {
        return -1;
    }
    return take_eval(state, evaluation, job);
}

static void drop_job(training *job)
{
    rt_model_clear(&job->model);
    rt_model_clear(&job->init);
    rt_free(job->place);
    rt_py_drop_rows(&job->rows);
    rt_py_drop_rows(&job->eval);
    rt_free(job->levels);
    rt_free(job->monotone);
    rt_free(job->losses);
}

static PyObject *gbdt_train(PyObject *module, PyObject *args, PyObject *kwargs)
{
    rt_module_state *state = rt_module_get_state(module);
    training job = {.reported = 0};
    PyObject *result = NULL;
    if (take_call(state, args, kwargs, &job) == 0) {
        result = run_training(state, &job);
    }
    drop_job(&job);
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
    uint8_t *labels = rt_py_labels(state, y, job.rows, 1, "y");
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

static PyMethodDef methods[] = {
    {"gbdt_train", RT_PY_KEYWORDS(gbdt_train), train_doc},
    {"gbdt_params", gbdt_params, METH_VARARGS, params_doc},
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

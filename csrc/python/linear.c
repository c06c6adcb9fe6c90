/* _core.linear_fit and _core.linear_params. */
#include "python/linear.h"

#include <string.h>

#include "base/alloc.h"
#include "linear/fit.h"
#include "model/check.h"
#include "parallel/threads.h"
#include "python/gbdt_args.h"
#include "python/gbdt_model.h"

typedef struct fitting {
    rt_model model;
    rt_linear_rows rows;
    PyArrayObject *hold_x, *hold_y, *hold_weight;
    PyArrayObject *hold_prior[4];
    rt_linear_prior prior;
    rt_linear_memory remember;
    int32_t *levels;
    int32_t n_threads;
    rt_ctl ctl;
    rt_linear_report report;
} fitting;

static const char *const objectives[] = {
    [RT_LINEAR_LOGISTIC] = "binary",
    [RT_LINEAR_SOFTMAX] = "softmax",
    [RT_LINEAR_SQUARE] = "squared_error",
    [RT_LINEAR_POISSON] = "poisson",
};

const char *rt_py_linear_objective(rt_linear_loss loss)
{
    return objectives[loss];
}

static rt_status fit_body(void *argument, rt_error *err)
{
    fitting *job = argument;
    rt_status status =
        rt_linear_fit(&job->rows, &job->model.linear_params,
                      job->prior.precision != NULL ? &job->prior : NULL, job->remember,
                      job->n_threads, &job->ctl, &job->model.linear, &job->report, err);
    return status == RT_OK ? rt_model_check(&job->model, err) : status;
}

int rt_py_linear_loss(const char *name, rt_linear_loss *loss)
{
    for (int32_t i = RT_LINEAR_LOGISTIC; i <= RT_LINEAR_POISSON; i++) {
        if (strcmp(objectives[i], name) == 0) {
            *loss = (rt_linear_loss)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "objective is 'binary', 'softmax', 'squared_error' or 'poisson', not "
                 "'%s'",
                 name);
    return -1;
}

int rt_py_linear_params(PyObject *dict, rt_linear_params *params)
{
    Py_ssize_t at = 0;
    PyObject *key = NULL;
    PyObject *value = NULL;
    *params = rt_linear_defaults();
    while (PyDict_Next(dict, &at, &key, &value)) {
        int32_t which = 0;
        while (which < RT_LINEAR_PARAMS &&
               !(PyUnicode_Check(key) && PyUnicode_CompareWithASCIIString(
                                             key, rt_linear_rules[which].name) == 0)) {
            which++;
        }
        if (which == RT_LINEAR_PARAMS) {
            PyErr_Format(PyExc_ValueError, "unknown parameter %R of a linear model",
                         key);
            return -1;
        }
        params->value[which] = PyFloat_AsDouble(value) + 0.0; /* no -0 */
        if (PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError, "parameter %s must be a number",
                         rt_linear_rules[which].name);
            return -1;
        }
    }
    return 0;
}

PyObject *rt_py_linear_params_dict(const rt_linear_params *params)
{
    PyObject *dict = PyDict_New();
    for (int32_t i = 0; i < RT_LINEAR_PARAMS && dict != NULL; i++) {
        const double number = params->value[i];
        PyObject *value = rt_linear_rules[i].whole ? PyLong_FromDouble(number)
                                                   : PyFloat_FromDouble(number);
        int failed = value == NULL ||
                     PyDict_SetItemString(dict, rt_linear_rules[i].name, value) < 0;
        Py_XDECREF(value);
        if (failed) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static int take_levels(rt_module_state *state, fitting *job)
{
    rt_error err = {RT_OK, NULL, ""};
    void *block = NULL;
    if (job->model.n_features != job->rows.x.columns) {
        PyErr_Format(PyExc_ValueError, "x has %d columns, features names %d",
                     job->rows.x.columns, job->model.n_features);
        return -1;
    }
    if (rt_check_threads(job->n_threads, "linear_fit", &err) != RT_OK ||
        rt_alloc(&block, job->model.n_features, sizeof(int32_t), "linear_fit", &err) !=
            RT_OK) {
        rt_py_raise(state, &err);
        return -1;
    }
    job->levels = block;
    for (int32_t f = 0; f < job->model.n_features; f++) {
        job->levels[f] = rt_model_levels(&job->model, f);
    }
    job->rows.levels = job->levels;
    return 0;
}

/* (intercepts [K], slopes [K M], centres [F], precision [n n], gamma, rows) */
static int take_prior(PyObject *prior, fitting *job)
{
    const int64_t outputs = job->rows.loss == RT_LINEAR_SOFTMAX ? job->rows.classes : 1;
    PyObject *part[4] = {NULL, NULL, NULL, NULL};
    int64_t slopes = 0;
    for (int32_t f = 0; f < job->model.n_features; f++) {
        slopes += rt_linear_width(rt_model_levels(&job->model, f));
    }
    const int64_t n = outputs * (1 + slopes);
    const int64_t count[4] = {outputs, outputs * slopes, job->model.n_features, n * n};
    const double **out[4] = {&job->prior.intercept, &job->prior.slope,
                             &job->prior.centre, &job->prior.precision};
    if (!PyArg_ParseTuple(prior, "OOOOdd:prior", &part[0], &part[1], &part[2], &part[3],
                          &job->prior.gamma, &job->prior.rows)) {
        return -1;
    }
    if (!(job->prior.gamma >= 0.0 && job->prior.gamma <= 1.0)) {
        PyErr_SetString(PyExc_ValueError, "gamma must lie between 0 and 1");
        return -1;
    }
    for (int32_t i = 0; i < 4; i++) {
        job->hold_prior[i] = rt_py_vector(part[i], "part of prior", count[i], out[i]);
        if (job->hold_prior[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int take_remember(const char *name, rt_linear_memory *kind)
{
    static const struct {
        const char *name;
        rt_linear_memory kind;
    } kinds[] = {{"nothing", RT_MEMORY_NONE},
                 {"diagonal", RT_MEMORY_DIAGONAL},
                 {"full", RT_MEMORY_FULL}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *kind = kinds[i].kind;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "remember is 'nothing', 'diagonal' or 'full', not '%s'", name);
    return -1;
}

static int take_call(rt_module_state *state, PyObject *args, PyObject *kwargs,
                     fitting *job)
{
    static char *names[] = {"x",         "y",        "features",  "params",
                            "objective", "weight",   "n_threads", "classes",
                            "prior",     "remember", NULL};
    PyObject *x = NULL, *y = NULL, *features = NULL, *params = NULL;
    PyObject *weight = Py_None, *prior = Py_None;
    const char *objective = NULL, *remember = "nothing";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO!s|$OiiOs:linear_fit", names,
                                     &x, &y, &features, &PyDict_Type, &params,
                                     &objective, &weight, &job->n_threads,
                                     &job->rows.classes, &prior, &remember) ||
        take_remember(remember, &job->remember) < 0 ||
        rt_py_linear_loss(objective, &job->rows.loss) < 0 ||
        rt_py_features(state, features, &job->model) < 0 ||
        rt_py_linear_params(params, &job->model.linear_params) < 0 ||
        rt_py_matrix(x, "x", &job->rows.x, &job->hold_x) < 0) {
        return -1;
    }
    const int64_t rows = job->rows.x.rows;
    job->hold_y = rt_py_vector(y, "y", rows, &job->rows.target);
    if (job->hold_y == NULL) {
        return -1;
    }
    if (weight != Py_None) {
        job->hold_weight = rt_py_vector(weight, "weight", rows, &job->rows.weight);
        if (job->hold_weight == NULL) {
            return -1;
        }
    }
    if (prior != Py_None && take_prior(prior, job) < 0) {
        return -1;
    }
    return take_levels(state, job);
}

static void drop_job(fitting *job)
{
    rt_model_clear(&job->model);
    rt_free(job->levels);
    Py_CLEAR(job->hold_x);
    Py_CLEAR(job->hold_y);
    Py_CLEAR(job->hold_weight);
    for (int32_t i = 0; i < 4; i++) {
        Py_CLEAR(job->hold_prior[i]);
    }
}

/* (model, iterations, converged, loss, gradient) */
static PyObject *run_fit(rt_module_state *state, fitting *job)
{
    if (rt_py_run(state, fit_body, job, &job->ctl) < 0) {
        return NULL;
    }
    const rt_linear_report *report = &job->report;
    PyObject *model = rt_py_model_new(state, &job->model);
    if (model == NULL) {
        return NULL;
    }
    return Py_BuildValue("(NiNdd)", model, (int)report->iterations,
                         PyBool_FromLong(report->converged), report->loss,
                         report->gradient);
}

PyDoc_STRVAR(
    fit_doc,
    "linear_fit(x, y, features, params, objective, *, weight=None, n_threads=0, "
    "classes=0, prior=None, remember='nothing') -> (Model, iterations, converged, "
    "loss, "
    "gradient)\n\n"
    "A linear model on x, float32 or float64 [n, F], by Newton's method. y, float64 "
    "[n], "
    "holds 0 and 1 ('binary'), classes 0 to classes - 1 ('softmax'), amounts "
    "('squared_error') or amounts >= 0 ('poisson', whose logarithm is linear). "
    "features as in gbdt_train; a category gets a slope for each of its levels. NaN "
    "counts as the column's mean. prior, of an earlier fit, is (intercepts [K], slopes "
    "[K M], centres [F], precision [n n], gamma, rows), n = K (1 + M), all float64 and "
    "flat; remember makes the model keep its own ('diagonal' or 'full'). The model's "
    "bytes depend on all arguments but "
    "n_threads. loss and gradient (the largest derivative over the sum of weights) are "
    "those before the last step.");

static PyObject *linear_fit(PyObject *module, PyObject *args, PyObject *kwargs)
{
    rt_module_state *state = rt_module_get_state(module);
    fitting job = {.n_threads = 0};
    PyObject *result = NULL;
    if (take_call(state, args, kwargs, &job) == 0) {
        result = run_fit(state, &job);
    }
    drop_job(&job);
    return result;
}

PyDoc_STRVAR(params_doc,
             "linear_params(params) -> dict\n\n"
             "All parameters of a linear fit: the defaults with `params` over them. "
             "Unknown names and values outside their range raise ValueError.");

static PyObject *linear_params(PyObject *module, PyObject *args)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_linear_params parsed;
    PyObject *params = NULL;
    if (!PyArg_ParseTuple(args, "O!:linear_params", &PyDict_Type, &params) ||
        rt_py_linear_params(params, &parsed) < 0) {
        return NULL;
    }
    if (rt_linear_params_check(&parsed, &err) != RT_OK) {
        return rt_py_raise(rt_module_get_state(module), &err);
    }
    return rt_py_linear_params_dict(&parsed);
}

static PyMethodDef methods[] = {
    {"linear_fit", RT_PY_KEYWORDS(linear_fit), fit_doc},
    {"linear_params", linear_params, METH_VARARGS, params_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_linear(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* _core.linear_blank and _core.linear_learn: linear models that learn row by row. */
#include "python/linear.h"

#include "base/math.h"
#include "linear/online.h"
#include "model/check.h"
#include "python/gbdt_args.h"
#include "python/gbdt_model.h"

/* Less work than this is done at once on the calling thread: starting a task takes
 * longer. */
enum { ALONE = 1 << 18 };

typedef struct learning {
    rt_model model;
    rt_linear_rows rows;
    PyArrayObject *hold_x, *hold_y, *hold_weight;
    double rate;
    rt_ctl ctl;
} learning;

static rt_status learn_body(void *argument, rt_error *err)
{
    learning *job = argument;
    const bool intercept = job->model.linear_params.value[RT_LP_INTERCEPT] != 0.0;
    rt_status status = rt_linear_learn(&job->rows, job->rate, intercept, &job->ctl,
                                       &job->model.linear, err);
    return status == RT_OK ? rt_model_check(&job->model, err) : status;
}

static int take_call(rt_module_state *state, PyObject *args, PyObject *kwargs,
                     learning *job)
{
    static char *names[] = {"model", "x", "y", "weight", "rate", NULL};
    PyObject *model = NULL, *x = NULL, *y = NULL;
    PyObject *weight = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO|$Od:linear_learn", names,
                                     (PyTypeObject *)state->model_type, &model, &x, &y,
                                     &weight, &job->rate) ||
        rt_py_model_copy(state, model, &job->model) < 0) {
        return -1;
    }
    if (!rt_model_is_linear(&job->model)) {
        PyErr_SetString(PyExc_ValueError, "trees do not learn row by row");
        return -1;
    }
    if (rt_py_matrix(x, "x", &job->rows.x, &job->hold_x) < 0) {
        return -1;
    }
    const int64_t rows = job->rows.x.rows;
    job->hold_y = rt_py_vector(y, "y", rows, &job->rows.target);
    if (job->hold_y == NULL) {
        return -1;
    }
    if (weight != Py_None) {
        job->hold_weight = rt_py_vector(weight, "weight", rows, &job->rows.weight);
    }
    job->rows.loss = job->model.linear.loss;
    job->rows.classes = job->model.linear.n_outputs;
    job->rows.levels = job->model.linear.levels;
    return weight == Py_None || job->hold_weight != NULL ? 0 : -1;
}

static int run_learning(rt_module_state *state, learning *job)
{
    const rt_linear *linear = &job->model.linear;
    const int64_t width = (linear->n_slopes + 8) * linear->n_outputs;
    rt_error err = {RT_OK, NULL, ""};
    if (job->rows.x.rows > ALONE / width) {
        return rt_py_run(state, learn_body, job, &job->ctl);
    }
    uint32_t saved = rt_fp_enter();
    rt_status status = learn_body(job, &err);
    rt_fp_leave(saved);
    if (status != RT_OK) {
        rt_py_raise(state, &err);
        return -1;
    }
    return 0;
}

static void drop_job(learning *job)
{
    rt_model_clear(&job->model);
    Py_CLEAR(job->hold_x);
    Py_CLEAR(job->hold_y);
    Py_CLEAR(job->hold_weight);
}

PyDoc_STRVAR(
    learn_doc,
    "linear_learn(model, x, y, *, weight=None, rate=0.5) -> Model\n\n"
    "The model after one look at each row of x, float32 or float64 [n, F], in their "
    "order; y and weight float64 [n] as in linear_fit. The model comes from "
    "linear_blank or from here. A step is `rate` over the largest value of its column "
    "so far and over the root of the sum of its squared gradients (Ross, Mineiro and "
    "Langford 2013). Missing numbers move nothing. The model's bytes hold what the "
    "next "
    "call goes on from, and are the same wherever rows are cut into calls, the first "
    "call's apart: its rows give the columns' means.");

static PyObject *linear_learn(PyObject *module, PyObject *args, PyObject *kwargs)
{
    rt_module_state *state = rt_module_get_state(module);
    learning job = {.rate = 0.5};
    PyObject *result = NULL;
    if (take_call(state, args, kwargs, &job) == 0 && run_learning(state, &job) == 0) {
        result = rt_py_model_new(state, &job.model);
    }
    drop_job(&job);
    return result;
}

PyDoc_STRVAR(blank_doc,
             "linear_blank(features, params, objective, classes=0) -> Model\n\n"
             "A linear model that knows nothing, for linear_learn; arguments as in "
             "linear_fit.");

static PyObject *linear_blank(PyObject *module, PyObject *args)
{
    rt_module_state *state = rt_module_get_state(module);
    PyObject *features = NULL, *params = NULL;
    const char *objective = NULL;
    int classes = 0;
    rt_linear_loss loss;
    rt_error err = {RT_OK, NULL, ""};
    rt_model model = {0};
    PyObject *result = NULL;
    if (PyArg_ParseTuple(args, "OO!s|i:linear_blank", &features, &PyDict_Type, &params,
                         &objective, &classes) &&
        rt_py_linear_loss(objective, &loss) == 0 &&
        rt_py_features(state, features, &model) == 0 &&
        rt_py_linear_params(params, &model.linear_params) == 0) {
        const bool softmax = loss == RT_LINEAR_SOFTMAX;
        rt_status status =
            rt_model_start_linear(&model, loss, softmax ? classes : 1, &err);
        if (status == RT_OK) {
            return rt_py_model_new(state, &model);
        }
        result = rt_py_raise(state, &err);
    }
    rt_model_clear(&model);
    return result;
}

static PyMethodDef methods[] = {
    {"linear_blank", linear_blank, METH_VARARGS, blank_doc},
    {"linear_learn", RT_PY_KEYWORDS(linear_learn), learn_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_online(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

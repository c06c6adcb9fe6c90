/* _core.gbdt_refit and _core.gbdt_drop_rounds: trees that go on. */
#include "python/gbdt_model.h" /* Python.h has to come first */

#include "gbdt/refit.h"
#include "gbdt/rounds.h"
#include "model/check.h"
#include "python/gbdt_rows.h"

typedef struct refitting {
    rt_model model;
    rt_py_rows rows;
    double gamma;
    int32_t n_threads;
    rt_ctl ctl;
} refitting;

static rt_status refit_body(void *argument, rt_error *err)
{
    refitting *job = argument;
    rt_status status =
        rt_gbdt_refit(&job->rows.rows, &job->model.params, job->gamma, job->n_threads,
                      &job->ctl, &job->model.forest, err);
    return status == RT_OK ? rt_model_check(&job->model, err) : status;
}

PyDoc_STRVAR(
    refit_doc,
    "gbdt_refit(model, x, y, *, gamma=1.0, weight=None, n_threads=0) -> Model\n\n"
    "The model of trees with its leaves fitted to x, float32 or float64 [n, F], and y "
    "as in gbdt_train, anchored at their old values v by the second derivatives H of "
    "the rows they come from: v' = (gamma (H + l2) v - rate G') / (gamma H + H' + l2), "
    "with the sums G', H' of the new rows, tree after tree. Splits, the base score and "
    "the threshold stay. gamma, 0 to 1, is how much of H still holds.");

static PyObject *gbdt_refit(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"model", "x", "y", "gamma", "weight", "n_threads", NULL};
    rt_module_state *state = rt_module_get_state(module);
    PyObject *model = NULL, *x = NULL, *y = NULL, *result = NULL;
    PyObject *weight = Py_None;
    refitting job = {.gamma = 1.0};
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|$dOi:gbdt_refit", names, &model,
                                    &x, &y, &job.gamma, &weight, &job.n_threads) &&
        rt_py_trees_copy(state, model, "model", &job.model) == 0 &&
        rt_py_take_rows(state, x, y, weight, job.model.forest.loss, &job.rows) == 0 &&
        rt_py_run(state, refit_body, &job, &job.ctl) == 0) {
        result = rt_py_model_new(state, &job.model);
    }
    rt_model_clear(&job.model);
    rt_py_drop_rows(&job.rows);
    return result;
}

PyDoc_STRVAR(drop_doc,
             "gbdt_drop_rounds(model, rounds) -> Model\n\n"
             "The model of trees without its oldest rounds. Each of their trees leaves "
             "its mean over the rows that it was grown from in the base score.");

static PyObject *gbdt_drop_rounds(PyObject *module, PyObject *args)
{
    rt_module_state *state = rt_module_get_state(module);
    PyObject *model = NULL;
    int rounds = 0;
    rt_model copy = {0};
    rt_error err = {RT_OK, NULL, ""};
    if (!PyArg_ParseTuple(args, "Oi:gbdt_drop_rounds", &model, &rounds) ||
        rt_py_trees_copy(state, model, "model", &copy) < 0) {
        return NULL;
    }
    rt_status status = rt_forest_drop_rounds(&copy.forest, rounds, &err);
    if (status == RT_OK) {
        status = rt_model_check(&copy, &err);
    }
    if (status == RT_OK) {
        return rt_py_model_new(state, &copy);
    }
    rt_model_clear(&copy);
    return rt_py_raise(state, &err);
}

static PyMethodDef methods[] = {
    {"gbdt_refit", RT_PY_KEYWORDS(gbdt_refit), refit_doc},
    {"gbdt_drop_rounds", gbdt_drop_rounds, METH_VARARGS, drop_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_gbdt_rounds(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* Requests answered by a _core.Model, and the hash that chooses one. */
#include "python/module.h"

#include <string.h>

#include "base/siphash.h"
#include "model/predict.h"
#include "python/gbdt_model.h"
#include "serving/request.h"

/* From this size on a request is worth a switch of threads. */
enum { LARGE_BODY_BYTES = 32768 };

PyDoc_STRVAR(
    answer_doc,
    "answer_request(model, body, csv, most_rows, unit, key, previous, limit) -> "
    "(bytes, int, int)\n\n"
    "MLflow's answer to the body of a scoring request, JSON or CSV, and its number of "
    "rows. `unit`, bytes, names the column of a canary's units, empty: none; units "
    "whose SipHash-2-4 under `key` (16 bytes) is not below `limit` are scored by "
    "`previous`, a Model or None: the third value is how many rows those are. Raises "
    "ValueError that says what the sender has to change: it names columns of the model "
    "and repeats nothing of the body.");

/* Fills arms and unit; -1 with an exception set. */
static int take_arms(rt_module_state *state, PyObject *model, PyObject *previous,
                     PyObject *key, rt_unit *unit, rt_arms *arms)
{
    const Py_ssize_t key_bytes = PyBytes_Size(key);
    arms->champion = rt_py_model_schema(state, model);
    if (arms->champion == NULL) {
        return -1;
    }
    if (unit->name.length > 0 && key_bytes != RT_SIPHASH_KEY_BYTES) {
        PyErr_SetString(PyExc_ValueError, "the key must have 16 bytes");
        return -1;
    }
    if (unit->name.length > 0) {
        memcpy(unit->key, PyBytes_AsString(key), RT_SIPHASH_KEY_BYTES);
        arms->unit = unit;
    }
    if (previous == Py_None) {
        return 0;
    }
    arms->previous = rt_py_model_schema(state, previous);
    if (arms->previous != NULL && rt_model_outputs(arms->previous->model) !=
                                      rt_model_outputs(arms->champion->model)) {
        PyErr_SetString(PyExc_TypeError, "the models have other outputs");
        return -1;
    }
    return arms->previous != NULL ? 0 : -1;
}

static PyObject *run_request(rt_module_state *state, const rt_arms *arms,
                             rt_request *request)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_dynbuf answer;
    PyObject *result = NULL;
    rt_dynbuf_init(&answer, INT64_MAX / 4);
    PyThreadState *saved =
        request->body.length >= LARGE_BODY_BYTES ? PyEval_SaveThread() : NULL;
    rt_status status = rt_request_answer(arms, request, &answer, &err);
    if (saved != NULL) {
        PyEval_RestoreThread(saved);
    }
    if (status == RT_OK) {
        result = Py_BuildValue("(y#LL)", rt_dynbuf_text(&answer),
                               (Py_ssize_t)answer.size_bytes, (long long)request->rows,
                               (long long)request->previous_rows);
    } else {
        rt_py_raise(state, &err);
    }
    rt_dynbuf_free(&answer);
    return result;
}

/* `body` is bytes alone, which nobody can change while they are read. */
static PyObject *answer_request(PyObject *module, PyObject *args)
{
    rt_module_state *state = rt_module_get_state(module);
    PyObject *model = NULL;
    PyObject *body = NULL;
    PyObject *name = NULL;
    PyObject *key = NULL;
    PyObject *previous = NULL;
    rt_unit unit;
    rt_arms arms = {.previous = NULL};
    unsigned long long limit = 0;
    int csv = 0;
    long long most = 0;
    if (!PyArg_ParseTuple(args, "OSpLSSOK:answer_request", &model, &body, &csv, &most,
                          &name, &key, &previous, &limit)) {
        return NULL;
    }
    unit.name = (rt_text){PyBytes_AsString(name), PyBytes_Size(name)};
    if (take_arms(state, model, previous, key, &unit, &arms) < 0) {
        return NULL;
    }
    arms.limit = limit;
    rt_request request = {.kind = csv ? RT_BODY_CSV : RT_BODY_JSON,
                          .body = {PyBytes_AsString(body), PyBytes_Size(body)},
                          .most_rows = most};
    return run_request(state, &arms, &request);
}

PyDoc_STRVAR(siphash_doc, "siphash(key, data) -> int\n\n"
                          "SipHash-2-4 of bytes under a key of 16 bytes, 64 bits.");

static PyObject *siphash(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *key = NULL;
    const char *data = NULL;
    Py_ssize_t key_bytes = 0;
    Py_ssize_t bytes = 0;
    if (!PyArg_ParseTuple(args, "y#y#:siphash", &key, &key_bytes, &data, &bytes)) {
        return NULL;
    }
    if (key_bytes != RT_SIPHASH_KEY_BYTES) {
        PyErr_SetString(PyExc_ValueError, "the key must have 16 bytes");
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(
        rt_siphash((const uint8_t *)key, data, (size_t)bytes));
}

static PyMethodDef methods[] = {
    {"siphash", siphash, METH_VARARGS, siphash_doc},
    {"answer_request", answer_request, METH_VARARGS, answer_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_serving(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

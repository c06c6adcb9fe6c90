/* _core.Arms, who answers requests, and the hash that chooses one. */
#include "python/module.h"

#include <stdatomic.h>
#include <string.h>

#include "base/siphash.h"
#include "model/predict.h"
#include "python/arrays.h"
#include "python/gbdt_model.h"
#include "python/request_log.h"
#include "serving/head.h"

/* From this size on a request is worth a switch of threads. */
enum { LARGE_BODY_BYTES = 32768 };

typedef struct arms_object {
    PyObject_HEAD
    PyObject *models; /* and the unit's name: what `arms` points into */
    rt_arms arms;
    _Atomic int64_t in_use;
} arms_object;

static rt_module_state *state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

static int arms_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((arms_object *)self)->models);
    return 0;
}

static void arms_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((arms_object *)self)->models);
    release(self);
    Py_DECREF(type);
}

/* A model that may be None. */
static int take_model(rt_module_state *state, PyObject *model, const rt_arms *arms,
                      const rt_schema **schema)
{
    *schema = NULL;
    if (model == Py_None) {
        return 0;
    }
    *schema = rt_py_model_schema(state, model);
    if (*schema == NULL) {
        return -1;
    }
    if (arms->champion != NULL &&
        rt_model_outputs((*schema)->model) != rt_model_outputs(arms->champion->model)) {
        PyErr_SetString(PyExc_TypeError, "the models have other outputs");
        return -1;
    }
    return 0;
}

static int take_key(PyObject *name, PyObject *key, rt_arms *arms)
{
    if (PyBytes_Size(key) != RT_SIPHASH_KEY_BYTES) {
        PyErr_SetString(PyExc_ValueError, "the key must have 16 bytes");
        return -1;
    }
    arms->unit.name = (rt_text){PyBytes_AsString(name), PyBytes_Size(name)};
    memcpy(arms->unit.key, PyBytes_AsString(key), RT_SIPHASH_KEY_BYTES);
    return 0;
}

PyDoc_STRVAR(
    arms_doc,
    "Arms(champion, previous, shadow, unit, key, limit, versions)\n--\n\n"
    "Who answers requests: the champion, a Model, and beside a canary "
    "`previous`, a Model or None, which meets the units whose SipHash-2-4 under "
    "`key` (16 bytes) is not below `limit`. `unit`, bytes, names the column that "
    "says a row's unit; empty: the request says it. `shadow`, a Model or None, "
    "answers nobody, and is scored by the log. `versions` are the three's, as "
    "int; 0: none.");

static PyObject *arms_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"champion", "previous", "shadow",   "unit",
                            "key",      "limit",    "versions", NULL};
    rt_module_state *state = PyType_GetModuleState(type);
    PyObject *model[3] = {NULL};
    PyObject *name = NULL;
    PyObject *key = NULL;
    unsigned long long limit = 0;
    long long version[3] = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOSSK(LLL)", names, &model[0],
                                     &model[1], &model[2], &name, &key, &limit,
                                     &version[0], &version[1], &version[2])) {
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    arms_object *self = (arms_object *)alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    rt_arms *arms = &self->arms;
    self->models = Py_BuildValue("(OOOO)", model[0], model[1], model[2], name);
    if (self->models == NULL || take_key(name, key, arms) < 0 ||
        (arms->champion = rt_py_model_schema(state, model[0])) == NULL ||
        take_model(state, model[1], arms, &arms->previous) < 0 ||
        take_model(state, model[2], arms, &arms->shadow) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    arms->champion_version = version[0];
    arms->previous_version = version[1];
    arms->shadow_version = version[2];
    arms->limit = limit;
    arms->in_use = &self->in_use;
    return (PyObject *)self;
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

PyDoc_STRVAR(
    answer_doc,
    "answer(body, csv, most_rows, unit=b'', id=b'', log=None) -> (bytes, int, int)\n\n"
    "MLflow's answer to the body of a scoring request, JSON or CSV, its number of "
    "rows, "
    "and how many of them `previous` scored. `unit` says whose request it is where no "
    "column does; with `log`, a RequestLog, the answer is in it under `id` before this "
    "returns. Raises ValueError that says what the sender has to change: it names "
    "columns of the model and repeats nothing of the body.");

/* All arguments are bytes, which nobody can change while they are read. */
static PyObject *arms_answer(PyObject *self, PyObject *args)
{
    arms_object *object = (arms_object *)self;
    rt_module_state *state = state_of(self);
    PyObject *body = NULL;
    PyObject *unit = NULL;
    PyObject *id = NULL;
    PyObject *log = Py_None;
    int csv = 0;
    long long most = 0;
    if (!PyArg_ParseTuple(args, "SpL|SSO:answer", &body, &csv, &most, &unit, &id,
                          &log)) {
        return NULL;
    }
    rt_request request = {.kind = csv ? RT_BODY_CSV : RT_BODY_JSON,
                          .body = {PyBytes_AsString(body), PyBytes_Size(body)},
                          .unit = {"", 0},
                          .id = {"", 0},
                          .most_rows = most};
    if (unit != NULL) {
        request.unit = (rt_text){PyBytes_AsString(unit), PyBytes_Size(unit)};
    }
    if (id != NULL) {
        request.id = (rt_text){PyBytes_AsString(id), PyBytes_Size(id)};
    }
    if (log == Py_None) {
        return run_request(state, &object->arms, &request);
    }
    PyObject *answer = NULL;
    atomic_fetch_add(&object->in_use, 1); /* before the log looks whom it may let go */
    request.log = rt_py_log_of(state, log, self, &object->in_use);
    if (request.log != NULL) {
        answer = run_request(state, &object->arms, &request);
    }
    atomic_fetch_sub(&object->in_use, 1);
    return answer;
}

static PyMethodDef arms_methods[] = {
    {"answer", arms_answer, METH_VARARGS, answer_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot arms_slots[] = {
    {Py_tp_doc, (void *)arms_doc}, {Py_tp_new, arms_new},
    {Py_tp_methods, arms_methods}, {Py_tp_traverse, arms_traverse},
    {Py_tp_dealloc, arms_dealloc}, {0, NULL},
};

static PyType_Spec arms_spec = {
    .name = "retrain_ops._core.Arms",
    .basicsize = sizeof(arms_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = arms_slots,
};

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

PyDoc_STRVAR(
    siphashes_doc,
    "siphashes(key, data, bounds) -> uint64[n]\n\n"
    "SipHash-2-4 of n texts that lie one after the other in `data`: text i has "
    "the bytes from bounds[i] up to bounds[i + 1], `bounds` int64[n + 1]. "
    "ValueError where they do not lie in `data` in that order.");

typedef struct hash_job {
    const uint8_t *key;
    const uint8_t *data;
    const int64_t *bounds;
    int64_t count;
    uint64_t *out;
    rt_ctl ctl;
} hash_job;

static rt_status run_hashes(void *argument, rt_error *err)
{
    enum { CHUNK_TEXTS = 1 << 16 };
    hash_job *job = argument;
    for (int64_t first = 0; first < job->count; first += CHUNK_TEXTS) {
        const int64_t left = job->count - first;
        if (rt_ctl_cancelled(&job->ctl)) {
            return rt_fail(err, RT_CANCELLED, "siphashes", "cancelled while hashing");
        }
        rt_siphash_all(job->key, job->data, job->bounds + first,
                       left < CHUNK_TEXTS ? left : CHUNK_TEXTS, job->out + first);
    }
    return RT_OK;
}

static bool are_bounds(const int64_t *bounds, npy_intp number, Py_ssize_t bytes)
{
    bool sound = number > 0 && bounds[0] >= 0 && bounds[number - 1] <= bytes;
    for (npy_intp i = 1; sound && i < number; i++) {
        sound = bounds[i - 1] <= bounds[i];
    }
    return sound;
}

static PyObject *siphashes(PyObject *module, PyObject *args)
{
    PyObject *key = NULL;
    PyObject *data = NULL;
    PyObject *object = NULL;
    if (!PyArg_ParseTuple(args, "SSO:siphashes", &key, &data, &object)) {
        return NULL;
    }
    PyArrayObject *bounds = rt_py_array(object, NPY_INT64, 1, "bounds");
    PyArrayObject *out = NULL;
    if (bounds == NULL) {
        return NULL;
    }
    const npy_intp number = PyArray_DIM(bounds, 0);
    if (PyBytes_Size(key) != RT_SIPHASH_KEY_BYTES) {
        PyErr_SetString(PyExc_ValueError, "the key must have 16 bytes");
    } else if (!are_bounds(PyArray_DATA(bounds), number, PyBytes_Size(data))) {
        PyErr_SetString(PyExc_ValueError, "bounds must ascend within data");
    } else {
        const npy_intp shape[] = {number - 1};
        out = rt_py_new_array(NPY_UINT64, 1, shape);
    }
    if (out != NULL) {
        hash_job job = {.key = (const uint8_t *)PyBytes_AsString(key),
                        .data = (const uint8_t *)PyBytes_AsString(data),
                        .bounds = PyArray_DATA(bounds),
                        .count = number - 1,
                        .out = PyArray_DATA(out)};
        if (rt_py_run(rt_module_get_state(module), run_hashes, &job, &job.ctl) < 0) {
            Py_CLEAR(out);
        }
    }
    Py_DECREF(bounds);
    return (PyObject *)out;
}

PyDoc_STRVAR(
    scoring_request_doc,
    "scoring_request(data, path, names) -> tuple[bytes, bytes, bytes, bytes] | None\n\n"
    "The body of a POST of `path` and its values of three headers, names in lower case "
    "and "
    "a value that does not come empty. None unless `data` is exactly one such request, "
    "whole and in no way unusual: csrc/serving/head.h.");

static PyObject *scoring_request(PyObject *Py_UNUSED(module), PyObject *args)
{
    enum { HEADERS = 3 };
    PyObject *data = NULL;
    PyObject *path = NULL;
    PyObject *name[HEADERS] = {NULL};
    rt_header headers[HEADERS];
    rt_text body;
    if (!PyArg_ParseTuple(args, "SS(SSS):scoring_request", &data, &path, &name[0],
                          &name[1], &name[2])) {
        return NULL;
    }
    for (int i = 0; i < HEADERS; i++) {
        headers[i].name = (rt_text){PyBytes_AsString(name[i]), PyBytes_Size(name[i])};
    }
    if (!rt_head_read((rt_text){PyBytes_AsString(data), PyBytes_Size(data)},
                      (rt_text){PyBytes_AsString(path), PyBytes_Size(path)}, headers,
                      HEADERS, &body)) {
        Py_RETURN_NONE;
    }
    for (int i = 0; i < HEADERS; i++) {
        headers[i].value.bytes =
            headers[i].value.bytes == NULL ? "" : headers[i].value.bytes;
    }
    return Py_BuildValue("(y#y#y#y#)", body.bytes, (Py_ssize_t)body.length,
                         headers[0].value.bytes, (Py_ssize_t)headers[0].value.length,
                         headers[1].value.bytes, (Py_ssize_t)headers[1].value.length,
                         headers[2].value.bytes, (Py_ssize_t)headers[2].value.length);
}

static PyMethodDef methods[] = {
    {"scoring_request", scoring_request, METH_VARARGS, scoring_request_doc},
    {"siphash", siphash, METH_VARARGS, siphash_doc},
    {"siphashes", siphashes, METH_VARARGS, siphashes_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_serving(PyObject *module)
{
    rt_module_state *state = rt_module_get_state(module);
    PyObject *arms = PyType_FromModuleAndSpec(module, &arms_spec, NULL);
    state->log_type = PyType_FromModuleAndSpec(module, rt_py_log_spec(), NULL);
    int failed = arms == NULL || state->log_type == NULL ||
                 PyModule_AddType(module, (PyTypeObject *)arms) < 0 ||
                 PyModule_AddType(module, (PyTypeObject *)state->log_type) < 0;
    Py_XDECREF(arms);
    return failed ? -1 : PyModule_AddFunctions(module, methods);
}

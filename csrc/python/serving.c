/* Requests answered by a _core.Model, and the hash that chooses one. */
#include "python/module.h"

#include "base/siphash.h"
#include "python/gbdt_model.h"
#include "serving/request.h"

/* From this size on a request is worth a switch of threads. */
enum { LARGE_BODY_BYTES = 32768 };

typedef struct request {
    const rt_schema *schema;
    rt_body_kind kind;
    rt_text body;
    int64_t most_rows, rows;
    rt_dynbuf answer;
} request;

static rt_status answer(request *r, rt_error *err)
{
    return rt_request_answer(r->schema, r->kind, r->body, r->most_rows, &r->answer,
                             &r->rows, err);
}

PyDoc_STRVAR(answer_doc,
             "answer_request(model, body, csv, most_rows) -> (bytes, int)\n\n"
             "MLflow's answer to the body of a scoring request, JSON or CSV, and its "
             "number of rows. Raises ValueError that says what the sender has to "
             "change: it names columns of the model and repeats nothing of the body.");

/* `body` is bytes alone, which nobody can change while they are read. */
static PyObject *answer_request(PyObject *module, PyObject *args)
{
    rt_module_state *state = rt_module_get_state(module);
    rt_error err = {RT_OK, NULL, ""};
    PyObject *model = NULL;
    PyObject *body = NULL;
    PyObject *result = NULL;
    int csv = 0;
    long long most = 0;
    if (!PyArg_ParseTuple(args, "OSpL:answer_request", &model, &body, &csv, &most)) {
        return NULL;
    }
    request r = {.schema = rt_py_model_schema(state, model),
                 .kind = csv ? RT_BODY_CSV : RT_BODY_JSON,
                 .body = {PyBytes_AsString(body), PyBytes_Size(body)},
                 .most_rows = most};
    if (r.schema == NULL) {
        return NULL;
    }
    rt_dynbuf_init(&r.answer, INT64_MAX / 4);
    PyThreadState *saved =
        r.body.length >= LARGE_BODY_BYTES ? PyEval_SaveThread() : NULL;
    rt_status status = answer(&r, &err);
    if (saved != NULL) {
        PyEval_RestoreThread(saved);
    }
    if (status == RT_OK) {
        result = Py_BuildValue("(y#L)", rt_dynbuf_text(&r.answer),
                               (Py_ssize_t)r.answer.size_bytes, (long long)r.rows);
    } else {
        rt_py_raise(state, &err);
    }
    rt_dynbuf_free(&r.answer);
    return result;
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

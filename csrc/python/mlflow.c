/* Binding of csrc/net: MlflowConnection, one server and the calls it knows.
 *
 * Every method has the same shape: read the arguments while the GIL is held, run
 * one call on a task without it, turn the answer or the failure into Python. */
#include "python/json.h"

#include "net/mlflow.h"
#include "net/retry.h"

typedef struct connection {
    PyObject_HEAD
    rt_http *http;
} connection;

/* What a task needs and what it brings back. */
typedef struct job {
    rt_http *http;
    const rt_endpoint *endpoint;
    json_t *arguments;
    const char *path;
    Py_buffer view;
    const char *file;
    json_t *answer;
    rt_dynbuf bytes;
    uint8_t digest[RT_SHA256_BYTES];
    rt_mlflow_failure failure;
    rt_mlflow_patience patience;
    rt_ctl ctl;
} job;

/* ------------------------------------------------------------- helpers */

/* The exception that is set gets what the caller must know to go on: the status
 * line, the server's own code, and whether the thing may exist now. */
static void annotate(const rt_mlflow_failure *failure)
{
    PyObject *type = NULL;
    PyObject *value = NULL;
    PyObject *trace = NULL;
    const char *code = failure->error_code[0] != '\0' ? failure->error_code : NULL;

    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *status = PyLong_FromLong(failure->http_status);
    PyObject *error_code = Py_BuildValue("z", code);
    if (status != NULL && error_code != NULL) {
        PyObject *ambiguous = failure->ambiguous ? Py_True : Py_False;
        (void)PyObject_SetAttrString(value, "status", status);
        (void)PyObject_SetAttrString(value, "error_code", error_code);
        (void)PyObject_SetAttrString(value, "ambiguous", ambiguous);
    }
    Py_XDECREF(status);
    Py_XDECREF(error_code);
    /* Replaces whatever went wrong above: the first failure is the story. */
    PyErr_Restore(type, value, trace);
}

static int set_patience(job *work, double deadline)
{
    if (!(deadline > 0.0 && deadline <= 86400.0)) {
        PyErr_SetString(PyExc_ValueError, "deadline must be in (0, 86400] seconds");
        return -1;
    }
    work->patience.ctl = &work->ctl;
    work->patience.deadline_ms = rt_now_ms() + (int64_t)(deadline * 1000.0);
    return 0;
}

static int run(PyObject *self, rt_task_body body, job *work)
{
    rt_module_state *state = PyType_GetModuleState(Py_TYPE(self));
    work->http = ((connection *)self)->http;
    if (work->http == NULL) {
        PyErr_SetString(PyExc_ValueError, "this connection was never opened");
        return -1;
    }
    if (rt_py_run(state, body, work, &work->ctl) == 0) {
        return 0;
    }
    if (work->failure.attempts > 0) {
        annotate(&work->failure);
    }
    return -1;
}

/* --------------------------------------------------------------- calls */

static rt_status call_body(void *opaque, rt_error *err)
{
    job *work = opaque;
    return rt_mlflow_call(work->http, work->endpoint, work->arguments, &work->patience,
                          &work->answer, &work->failure, err);
}

PyDoc_STRVAR(call_doc,
             "call(endpoint, arguments, *, deadline)\n--\n\n"
             "One REST call, for example call('GET registered-models/get',\n"
             "{'name': 'm'}, deadline=30.0); the answer as a dict. Raises ValueError\n"
             "for arguments the server would misread, RemoteError, NetworkError,\n"
             "TimeoutError or CancelledError, each with .status, .error_code and\n"
             ".ambiguous (what was to be created may exist).");

static PyObject *call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"endpoint", "arguments", "deadline", NULL};
    const char *endpoint = NULL;
    PyObject *arguments = NULL;
    PyObject *result = NULL;
    double deadline = 0.0;
    job work = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!$d", names, &endpoint,
                                     &PyDict_Type, &arguments, &deadline) ||
        set_patience(&work, deadline) < 0) {
        return NULL;
    }
    work.endpoint = rt_endpoint_find(endpoint);
    if (work.endpoint == NULL) {
        return PyErr_Format(PyExc_ValueError, "%s is not a call that is spoken here",
                            endpoint);
    }
    work.arguments = rt_py_to_json(arguments, 0);
    if (work.arguments != NULL && run(self, call_body, &work) == 0) {
        result = rt_py_from_json(work.answer, 0);
    }
    json_decref(work.arguments);
    json_decref(work.answer);
    return result;
}

static rt_status upload_body(void *opaque, rt_error *err)
{
    job *work = opaque;
    return rt_mlflow_upload(work->http, work->path, work->view.buf, work->view.len,
                            work->file, work->digest, &work->patience, &work->failure,
                            err);
}

static PyObject *hex_digest(const job *work)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * RT_SHA256_BYTES + 1] = "";
    for (size_t i = 0; i < RT_SHA256_BYTES; i++) {
        text[2 * i] = digits[work->digest[i] >> 4];
        text[2 * i + 1] = digits[work->digest[i] & 15];
    }
    return PyUnicode_FromString(text);
}

PyDoc_STRVAR(upload_doc, "upload(path, data, *, deadline)\n--\n\n"
                         "Puts bytes at `path` below the artefact root, overwriting;\n"
                         "returns their SHA-256 in hex.");

static PyObject *upload(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"path", "data", "deadline", NULL};
    double deadline = 0.0;
    job work = {0};
    int done = -1;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sy*$d", names, &work.path,
                                     &work.view, &deadline)) {
        return NULL;
    }
    if (set_patience(&work, deadline) == 0) {
        done = run(self, upload_body, &work);
    }
    PyBuffer_Release(&work.view);
    return done == 0 ? hex_digest(&work) : NULL;
}

PyDoc_STRVAR(upload_file_doc,
             "upload_file(path, file, *, deadline)\n--\n\n"
             "Streams the file named `file` (str, bytes or PathLike) to `path` below\n"
             "the artefact root, overwriting; returns the SHA-256 of what was sent.");

static PyObject *with_file(PyObject *self, PyObject *args, PyObject *kwargs,
                           rt_task_body body)
{
    static char *names[] = {"path", "file", "deadline", NULL};
    PyObject *file = NULL;
    double deadline = 0.0;
    job work = {0};
    int done = -1;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO&$d", names, &work.path,
                                     PyUnicode_FSConverter, &file, &deadline)) {
        return NULL;
    }
    work.file = PyBytes_AsString(file);
    if (work.file != NULL && set_patience(&work, deadline) == 0) {
        done = run(self, body, &work);
    }
    Py_DECREF(file);
    return done == 0 ? hex_digest(&work) : NULL;
}

static PyObject *upload_file(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return with_file(self, args, kwargs, upload_body);
}

static rt_status download_file_body(void *opaque, rt_error *err)
{
    job *work = opaque;
    return rt_mlflow_download_file(work->http, work->path, work->file, work->digest,
                                   &work->patience, &work->failure, err);
}

PyDoc_STRVAR(download_file_doc,
             "download_file(path, file, *, deadline)\n--\n\n"
             "Streams what is at `path` below the artefact root into the new file\n"
             "`file`, which must not exist; returns its SHA-256 in hex. Leaves no\n"
             "file when it fails.");

static PyObject *download_file(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return with_file(self, args, kwargs, download_file_body);
}

static rt_status download_body(void *opaque, rt_error *err)
{
    job *work = opaque;
    return rt_mlflow_download(work->http, work->path, &work->patience, &work->bytes,
                              &work->failure, err);
}

static rt_status text_body(void *opaque, rt_error *err)
{
    job *work = opaque;
    return rt_mlflow_text(work->http, work->path, &work->patience, &work->bytes,
                          &work->failure, err);
}

static PyObject *fetch(PyObject *self, PyObject *args, PyObject *kwargs,
                       rt_task_body body)
{
    static char *names[] = {"path", "deadline", NULL};
    PyObject *result = NULL;
    double deadline = 0.0;
    job work = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s$d", names, &work.path,
                                     &deadline) ||
        set_patience(&work, deadline) < 0) {
        return NULL;
    }
    if (run(self, body, &work) == 0) {
        result = PyBytes_FromStringAndSize(rt_dynbuf_text(&work.bytes),
                                           (Py_ssize_t)work.bytes.size_bytes);
    }
    rt_dynbuf_free(&work.bytes);
    return result;
}

PyDoc_STRVAR(download_doc, "download(path, *, deadline)\n--\n\n"
                           "The bytes at `path` below the artefact root.");

static PyObject *download(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return fetch(self, args, kwargs, download_body);
}

PyDoc_STRVAR(get_doc, "get(path, *, deadline)\n--\n\n"
                      "The bytes of a resource at the server's root ('version').");

static PyObject *get(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return fetch(self, args, kwargs, text_body);
}

/* ---------------------------------------------------------------- type */

static int connection_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"base_url", "username",        "password",        "token",
                            "ca_path",  "allow_plaintext", "connect_timeout", NULL};
    rt_server_options options = {0};
    rt_error err = {RT_OK, NULL, ""};
    rt_http *http = NULL;
    int allow_plaintext = 0;
    double connect_timeout = 10.0;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "s|$zzzzpd", names, &options.base_url, &options.username,
            &options.password, &options.token, &options.ca_path, &allow_plaintext,
            &connect_timeout)) {
        return -1;
    }
    if (!(connect_timeout > 0.0 && connect_timeout <= 3600.0)) {
        PyErr_SetString(PyExc_ValueError,
                        "connect_timeout must be in (0, 3600] seconds");
        return -1;
    }
    if (((connection *)self)->http != NULL) {
        PyErr_SetString(PyExc_ValueError, "this connection is open already");
        return -1;
    }
    options.allow_plaintext = allow_plaintext != 0;
    options.connect_timeout_ms = (int32_t)(connect_timeout * 1000.0);
    if (rt_http_open(&http, &options, &err) != RT_OK) {
        rt_py_raise(PyType_GetModuleState(Py_TYPE(self)), &err);
        return -1;
    }
    ((connection *)self)->http = http;
    return 0;
}

static void connection_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    rt_http_close(((connection *)self)->http);
    release(self);
    Py_DECREF(type);
}

static PyObject *connection_repr(PyObject *self)
{
    const rt_http *http = ((connection *)self)->http;
    const char *url = http != NULL ? rt_http_server(http)->base_url : "closed";
    return PyUnicode_FromFormat("<MlflowConnection %s>", url);
}

static PyMethodDef connection_methods[] = {
    {"call", RT_PY_KEYWORDS(call), call_doc},
    {"upload", RT_PY_KEYWORDS(upload), upload_doc},
    {"upload_file", RT_PY_KEYWORDS(upload_file), upload_file_doc},
    {"download", RT_PY_KEYWORDS(download), download_doc},
    {"download_file", RT_PY_KEYWORDS(download_file), download_file_doc},
    {"get", RT_PY_KEYWORDS(get), get_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(connection_doc,
             "MlflowConnection(base_url, *, username=None, password=None, token=None,\n"
             "                 ca_path=None, allow_plaintext=False, "
             "connect_timeout=10.0)\n--\n\n"
             "One MLflow server. Opens no socket until the first call; may be shared\n"
             "by threads and used in forked children. Cannot be pickled.");

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, (void *)connection_doc},
    {Py_tp_init, connection_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, connection_dealloc},
    {Py_tp_repr, connection_repr},
    {Py_tp_methods, connection_methods},
    {0, NULL},
};

static PyType_Spec connection_spec = {
    .name = "retrain_ops._core.MlflowConnection",
    .basicsize = sizeof(connection),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = connection_slots,
};

/* So that code which catches these errors can read the attributes whoever raised
 * them. */
static int add_defaults(PyObject *exception)
{
    PyObject *zero = PyLong_FromLong(0);
    int failed = zero == NULL ||
                 PyObject_SetAttrString(exception, "status", zero) < 0 ||
                 PyObject_SetAttrString(exception, "error_code", Py_None) < 0 ||
                 PyObject_SetAttrString(exception, "ambiguous", Py_False) < 0;
    Py_XDECREF(zero);
    return failed ? -1 : 0;
}

int rt_bind_mlflow(PyObject *module)
{
    rt_module_state *state = rt_module_get_state(module);
    state->client_type = PyType_FromModuleAndSpec(module, &connection_spec, NULL);
    if (state->client_type == NULL || add_defaults(state->remote_error) < 0 ||
        add_defaults(state->network_error) < 0 ||
        add_defaults(state->cancelled_error) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "MlflowConnection", state->client_type);
}

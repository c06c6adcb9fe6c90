/* _core.RequestLog, and a closed segment of it as arrays. */
#include "python/request_log.h"

#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "python/arrays.h"
#include "serving/read_log.h"

enum { MOST_HELD = 64 };

/* Arms whose models the log's thread may still ask. */
typedef struct held {
    PyObject *arms;
    _Atomic int64_t *in_use;
} held;

typedef struct log_object {
    PyObject_HEAD
    rt_request_log *log;
    Py_buffer counts;
    held kept[MOST_HELD];
    int32_t n_kept; /* the newest is last */
} log_object;

PyDoc_STRVAR(
    log_doc,
    "RequestLog(folder, counts, bounds_ns, *, segment_bytes, segment_ns,\n"
    "           reserve_bytes, unsynced_bytes, queue_bytes)\n--\n\n"
    "Appends answers of this process to segments in `folder`, str, and scores them by "
    "the other model, on a thread. `counts` is a writable buffer of int64 "
    "[RequestLog.WIDTH]: requests logged, dropped; bytes; shadow rows scored, failed; "
    "requests whose shadow was dropped; troubles of the disk; for champion, previous, "
    "shadow each the nanoseconds and the counts of the 13 buckets of latency whose 12 "
    "upper ends are `bounds_ns`. Sizes in bytes: of a segment, what the disk must keep "
    "free, what may be unsynced, what may wait for the other model.");

static int take_bounds(PyObject *bounds, rt_log_options *options)
{
    if (PyTuple_Size(bounds) != RT_LOG_BOUNDS) {
        PyErr_SetString(PyExc_ValueError, "bounds_ns must have 12 numbers");
        return -1;
    }
    for (Py_ssize_t i = 0; i < RT_LOG_BOUNDS; i++) {
        options->bounds_ns[i] = PyLong_AsLongLong(PyTuple_GetItem(bounds, i));
    }
    return PyErr_Occurred() != NULL ? -1 : 0;
}

static PyObject *log_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"folder",         "counts",      "bounds_ns",
                            "segment_bytes",  "segment_ns",  "reserve_bytes",
                            "unsynced_bytes", "queue_bytes", NULL};
    rt_log_options options = {.folder = NULL};
    rt_error err = {RT_OK, NULL, ""};
    PyObject *bounds = NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    log_object *self = (log_object *)alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sw*O!$LLLLL", names, &options.folder, &self->counts,
            &PyTuple_Type, &bounds, (long long *)&options.segment_bytes,
            (long long *)&options.segment_ns, (long long *)&options.reserve_bytes,
            (long long *)&options.unsynced_bytes, (long long *)&options.queue_bytes) ||
        take_bounds(bounds, &options) < 0) {
        goto failed;
    }
    if (self->counts.len != RT_LOG_WIDTH * (Py_ssize_t)sizeof(int64_t)) {
        PyErr_Format(PyExc_ValueError, "counts must have %d numbers", RT_LOG_WIDTH);
        goto failed;
    }
    options.counts = self->counts.buf;
    if (rt_log_open(&self->log, &options, &err) != RT_OK) {
        rt_py_raise(PyType_GetModuleState(type), &err);
        goto failed;
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static void drop_arms(log_object *self)
{
    while (self->n_kept > 0) {
        Py_DECREF(self->kept[--self->n_kept].arms);
    }
}

PyDoc_STRVAR(close_doc,
             "close()\n--\n\n"
             "Scores what still waits, syncs, and ends the thread. Answers that "
             "come later are counted as dropped.");

static PyObject *log_close(PyObject *self, PyObject *Py_UNUSED(none))
{
    log_object *object = (log_object *)self;
    Py_BEGIN_ALLOW_THREADS
    rt_log_stop(object->log);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static int log_traverse(PyObject *self, visitproc visit, void *arg)
{
    log_object *object = (log_object *)self;
    Py_VISIT(Py_TYPE(self));
    for (int32_t i = 0; i < object->n_kept; i++) {
        Py_VISIT(object->kept[i].arms);
    }
    return 0;
}

static void log_dealloc(PyObject *self)
{
    log_object *object = (log_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(self);
    rt_log_free(object->log);
    drop_arms(object);
    if (object->counts.obj != NULL) {
        PyBuffer_Release(&object->counts);
    }
    release(self);
    Py_DECREF(type);
}

/* Those that nothing waits for any more; the newest stays. */
static void drop_unused(log_object *self)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < self->n_kept; i++) {
        const bool newest = i == self->n_kept - 1;
        if (newest || atomic_load(self->kept[i].in_use) > 0) {
            self->kept[kept++] = self->kept[i];
        } else {
            Py_DECREF(self->kept[i].arms);
        }
    }
    self->n_kept = kept;
}

rt_request_log *rt_py_log_of(rt_module_state *state, PyObject *log, PyObject *arms,
                             _Atomic int64_t *in_use)
{
    if (!PyObject_TypeCheck(log, (PyTypeObject *)state->log_type)) {
        PyErr_SetString(PyExc_TypeError, "a RequestLog is needed");
        return NULL;
    }
    log_object *self = (log_object *)log;
    for (int32_t i = self->n_kept - 1; i >= 0; i--) {
        if (self->kept[i].arms == arms) {
            return self->log;
        }
    }
    drop_unused(self);
    if (self->n_kept == MOST_HELD) {
        PyErr_SetString(PyExc_RuntimeError, "too many models wait to be asked");
        return NULL;
    }
    self->kept[self->n_kept++] = (held){Py_NewRef(arms), in_use};
    return self->log;
}

static PyMethodDef log_methods[] = {
    {"close", log_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot log_slots[] = {
    {Py_tp_doc, (void *)log_doc}, {Py_tp_new, log_new},
    {Py_tp_methods, log_methods}, {Py_tp_traverse, log_traverse},
    {Py_tp_dealloc, log_dealloc}, {0, NULL},
};

PyType_Spec *rt_py_log_spec(void)
{
    static PyType_Spec spec = {
        .name = "retrain_ops._core.RequestLog",
        .basicsize = sizeof(log_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = log_slots,
    };
    return &spec;
}

/* ---------------------------------------------------- closed segments */

/* The columns that a log is to have, as a model without trees whose categories take
 * any level. */
typedef struct columns {
    rt_model model;
    rt_schema schema;
    rt_levels *levels;
} columns;

static void clear_columns(columns *c)
{
    for (int32_t f = 0; c->levels != NULL && f < c->model.n_features; f++) {
        rt_levels_clear(&c->levels[f]);
    }
    rt_free(c->levels);
    rt_schema_clear(&c->schema);
    rt_model_clear(&c->model);
}

/* `names` is a list of (bytes, bool): a column, and whether it is a category. */
static int64_t bytes_of(PyObject *names)
{
    int64_t bytes = 0;
    for (Py_ssize_t f = 0; f < PyList_Size(names); f++) {
        PyObject *name = NULL;
        int category = 0;
        if (!PyArg_ParseTuple(PyList_GetItem(names, f), "Sp", &name, &category)) {
            return -1;
        }
        bytes += PyBytes_Size(name);
    }
    return bytes;
}

static void name_columns(columns *c, PyObject *names)
{
    rt_model *model = &c->model;
    for (int32_t f = 0; f < model->n_features; f++) {
        PyObject *pair = PyList_GetItem(names, f);
        PyObject *name = PyTuple_GetItem(pair, 0);
        const int64_t at = model->text_start[f];
        model->features[f].kind = PyObject_IsTrue(PyTuple_GetItem(pair, 1)) == 1
                                      ? RT_CATEGORICAL
                                      : RT_NUMERIC;
        memcpy(model->text + at, PyBytes_AsString(name), (size_t)PyBytes_Size(name));
        model->text_start[f + 1] = at + PyBytes_Size(name);
        rt_levels_init(&c->levels[f]);
    }
}

static rt_status make_columns(columns *c, PyObject *names, int64_t bytes, rt_error *err)
{
    const int32_t n = (int32_t)PyList_Size(names);
    void *block = NULL;
    rt_status status = rt_model_init(&c->model, n, n, bytes, err);
    if (status == RT_OK) {
        status = rt_alloc(&block, n, sizeof *c->levels, "read_log", err);
        c->levels = block;
    }
    if (status == RT_OK) {
        name_columns(c, names);
        status = rt_model_link(&c->model, err);
    }
    if (status == RT_OK) {
        status = rt_schema_init(&c->schema, &c->model, err);
    }
    c->schema.levels = c->levels;
    c->schema.last_is_optional = true;
    return status;
}

/* The levels of a category as (bytes, ends int64[n + 1]). */
static PyObject *levels_as_pair(const rt_levels *levels)
{
    npy_intp shape[] = {levels->count + 1};
    PyArrayObject *start = rt_py_new_array(NPY_INT64, 1, shape);
    if (start == NULL) {
        return NULL;
    }
    if (levels->start != NULL) {
        memcpy(PyArray_DATA(start), levels->start, (size_t)shape[0] * sizeof(int64_t));
    }
    return Py_BuildValue("(y#N)", rt_dynbuf_text(&levels->text),
                         (Py_ssize_t)levels->text.size_bytes, (PyObject *)start);
}

static PyObject *all_levels(const columns *c)
{
    PyObject *list = PyList_New(0);
    for (int32_t f = 0; list != NULL && f < c->model.n_features; f++) {
        PyObject *pair = levels_as_pair(&c->levels[f]);
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
    }
    return list;
}

typedef struct reading {
    rt_text segment;
    rt_log_totals totals;
    columns columns;
    rt_log_rows rows[2]; /* answers, shadows */
    PyArrayObject *array[2][3];
    int64_t unread;
} reading;

static int make_arrays(reading *r)
{
    const npy_intp rows[] = {r->totals.answer_rows, r->totals.shadow_rows};
    for (int32_t i = 0; i < 2; i++) {
        const npy_intp numbers[] = {RT_LOG_NUMBERS, rows[i]};
        const npy_intp scores[] = {rows[i], r->totals.outputs};
        const npy_intp x[] = {i == 0 ? rows[i] : 0, r->columns.model.n_features};
        r->array[i][0] = rt_py_new_array(NPY_INT64, 2, numbers);
        r->array[i][1] = rt_py_new_array(NPY_DOUBLE, 2, scores);
        r->array[i][2] = rt_py_new_array(NPY_DOUBLE, 2, x);
        if (r->array[i][0] == NULL || r->array[i][1] == NULL ||
            r->array[i][2] == NULL) {
            return -1;
        }
        r->rows[i] = (rt_log_rows){.numbers = PyArray_DATA(r->array[i][0]),
                                   .scores = PyArray_DATA(r->array[i][1]),
                                   .x = PyArray_DATA(r->array[i][2]),
                                   .rows = rows[i]};
    }
    return 0;
}

static PyObject *run_reading(rt_module_state *state, reading *r)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_status status = RT_OK;
    Py_BEGIN_ALLOW_THREADS
    rt_log_scan(r->segment, &r->totals);
    Py_END_ALLOW_THREADS
    if (make_arrays(r) < 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = rt_log_read(r->segment, &r->totals, &r->columns.schema, &r->rows[0],
                         &r->rows[1], &r->unread, &err);
    Py_END_ALLOW_THREADS
    if (status != RT_OK) {
        return rt_py_raise(state, &err);
    }
    return Py_BuildValue("((OOO)(OO)NLL)", r->array[0][0], r->array[0][1],
                         r->array[0][2], r->array[1][0], r->array[1][1],
                         all_levels(&r->columns), (long long)r->totals.sound_bytes,
                         (long long)r->unread);
}

PyDoc_STRVAR(
    read_log_doc,
    "read_log(segment, columns) -> (answers, shadows, levels, sound_bytes, unread)\n\n"
    "A closed segment's rows. `columns` is a list of (name, is a category), bytes and "
    "bool; the last is the request's id. answers: (int64[9, rows], scores "
    "float64[rows, "
    "outputs], cells float64[rows, columns]), shadows the same without cells; the "
    "whole "
    "numbers are writer, sequence, row, time (ns since 1970), nanoseconds, version, "
    "unit "
    "(of a shadow: nanoseconds after the answer), status, limit of the units that met "
    "the "
    "champion (uint64). levels: for each column its "
    "texts (bytes, ends int64[n + 1]), which a category's cells number; NaN: missing. "
    "What lies behind sound_bytes was cut off; the cells of `unread` bodies are "
    "missing, "
    "since the columns could not read them.");

static PyObject *read_log(PyObject *module, PyObject *args)
{
    rt_module_state *state = rt_module_get_state(module);
    rt_error err = {RT_OK, NULL, ""};
    reading r = {.unread = 0};
    Py_buffer view;
    PyObject *names = NULL;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*O!:read_log", &view, &PyList_Type, &names)) {
        return NULL;
    }
    const int64_t bytes = bytes_of(names);
    r.segment = (rt_text){view.buf, view.len};
    if (bytes >= 0 && make_columns(&r.columns, names, bytes, &err) != RT_OK) {
        rt_py_raise(state, &err);
    } else if (bytes >= 0) {
        result = run_reading(state, &r);
    }
    for (int32_t i = 0; i < 6; i++) {
        Py_XDECREF((PyObject *)r.array[i / 3][i % 3]);
    }
    clear_columns(&r.columns);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef methods[] = {
    {"read_log", read_log, METH_VARARGS, read_log_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_request_log(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* _core.Model: an immutable trained model. */
#include "python/gbdt_model.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/math.h"
#include "base/sha256.h"
#include "linear/online.h"
#include "model/predict.h"
#include "model/read.h"
#include "model/write.h"
#include "parallel/threads.h"
#include "python/gbdt.h"
#include "python/gbdt_args.h"
#include "python/linear.h"

typedef struct model_object {
    PyObject_HEAD
    rt_model model;
    PyObject *sha256; /* hexadecimal, made when first asked for */
    rt_schema schema; /* no slots until requests are first answered */
} model_object;

static rt_module_state *state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

PyObject *rt_py_model_new(rt_module_state *state, rt_model *model)
{
    PyTypeObject *type = (PyTypeObject *)state->model_type;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = alloc(type, 0);
    if (self == NULL) {
        rt_model_clear(model);
        return NULL;
    }
    ((model_object *)self)->model = *model;
    memset(model, 0, sizeof *model);
    return self;
}

const rt_schema *rt_py_model_schema(rt_module_state *state, PyObject *self)
{
    rt_error err = {RT_OK, NULL, ""};
    if (!PyObject_TypeCheck(self, (PyTypeObject *)state->model_type)) {
        PyErr_SetString(PyExc_TypeError, "a Model is needed");
        return NULL;
    }
    model_object *object = (model_object *)self;
    if (object->schema.slot == NULL &&
        rt_schema_init(&object->schema, &object->model, &err) != RT_OK) {
        rt_py_raise(state, &err);
        return NULL;
    }
    return &object->schema;
}

/* Instances of a heap type own a reference to it, which the collector must see. */
static int model_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void model_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    model_object *object = (model_object *)self;
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(self);
    rt_schema_clear(&object->schema);
    rt_model_clear(&object->model);
    Py_CLEAR(object->sha256);
    release(self);
    Py_DECREF(type);
}

static PyObject *read_model(rt_module_state *state, const void *data, size_t bytes)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_model model;
    if (rt_model_read(&model, data, bytes, &err) != RT_OK) {
        return rt_py_raise(state, &err);
    }
    return rt_py_model_new(state, &model);
}

PyDoc_STRVAR(from_bytes_doc,
             "from_bytes(buffer) -> Model\n\n"
             "Reads a model file. Any bytes are safe to pass; all that are not a "
             "model raise CorruptError.");

static PyObject *model_from_bytes(PyObject *type, PyObject *args)
{
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "y*:from_bytes", &view)) {
        return NULL;
    }
    PyObject *self = read_model(PyType_GetModuleState((PyTypeObject *)type), view.buf,
                                (size_t)view.len);
    PyBuffer_Release(&view);
    return self;
}

static PyObject *model_to_bytes(PyObject *self, PyObject *Py_UNUSED(none))
{
    rt_error err = {RT_OK, NULL, ""};
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (rt_model_write(&((model_object *)self)->model, &data, &bytes, &err) != RT_OK) {
        return rt_py_raise(state_of(self), &err);
    }
    PyObject *result = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)bytes);
    rt_free(data);
    return result;
}

static PyObject *model_sha256(PyObject *self, void *Py_UNUSED(closure))
{
    static const char digits[] = "0123456789abcdef";
    model_object *object = (model_object *)self;
    rt_error err = {RT_OK, NULL, ""};
    uint8_t digest[RT_SHA256_BYTES];
    char text[2 * RT_SHA256_BYTES + 1] = "";
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (object->sha256 == NULL) {
        if (rt_model_write(&object->model, &data, &bytes, &err) != RT_OK) {
            return rt_py_raise(state_of(self), &err);
        }
        rt_sha256(data, bytes, digest);
        rt_free(data);
        for (int i = 0; i < RT_SHA256_BYTES; i++) {
            text[2 * i] = digits[digest[i] >> 4];
            text[2 * i + 1] = digits[digest[i] & 15];
        }
        object->sha256 = PyUnicode_FromString(text);
    }
    return Py_XNewRef(object->sha256);
}

typedef struct prediction {
    const rt_model *model;
    rt_matrix x;
    int32_t n_threads;
    rt_ctl ctl;
    double *out;
} prediction;

static rt_status predict_body(void *argument, rt_error *err)
{
    prediction *job = argument;
    return rt_model_predict(job->model, &job->x, job->n_threads, &job->ctl, job->out,
                            err);
}

/* Little work is done at once on this thread, with its floating-point mode put
 * right for the while; more goes to a task with the GIL released. */
static int run_prediction(rt_module_state *state, prediction *job)
{
    rt_error err = {RT_OK, NULL, ""};
    if (!rt_model_runs_alone(job->model, job->x.rows)) {
        return rt_py_run(state, predict_body, job, &job->ctl);
    }
    uint32_t saved = rt_fp_enter();
    rt_status status = predict_body(job, &err);
    rt_fp_leave(saved);
    if (status != RT_OK) {
        rt_py_raise(state, &err);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(predict_doc,
             "predict(x, *, n_threads=0) -> float64[n] or [n, K]\n\n"
             "P(label = 1) of each row of x, float32 or float64 [n, F] in any layout; "
             "P of each class for softmax, the amount for squared error and Poisson. "
             "Categorical columns hold the number of the category; NaN is missing, "
             "and so is a number that names no category. Small inputs are scored on "
             "the calling thread whatever n_threads says; the bits are the same.");

static PyObject *model_predict(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"x", "n_threads", NULL};
    PyObject *x = NULL;
    PyArrayObject *hold = NULL;
    PyArrayObject *out = NULL;
    rt_error err = {RT_OK, NULL, ""};
    prediction job = {.model = &((model_object *)self)->model};
    const int32_t outputs = rt_model_outputs(job.model);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$i:predict", names, &x,
                                     &job.n_threads) ||
        rt_py_matrix(x, "x", &job.x, &hold) < 0) {
        return NULL;
    }
    if (rt_check_threads(job.n_threads, "predict", &err) != RT_OK) {
        rt_py_raise(state_of(self), &err);
        goto done;
    }
    npy_intp shape[2] = {job.x.rows, outputs};
    out = rt_py_new_array(NPY_FLOAT64, outputs > 1 ? 2 : 1, shape);
    if (out == NULL) {
        goto done;
    }
    job.out = PyArray_DATA(out);
    if (run_prediction(state_of(self), &job) < 0) {
        Py_CLEAR(out);
    }
done:
    Py_DECREF(hold);
    return (PyObject *)out;
}

int rt_py_model_copy(rt_module_state *state, PyObject *object, rt_model *copy)
{
    rt_error err = {RT_OK, NULL, ""};
    uint8_t *data = NULL;
    size_t bytes = 0;
    rt_status status =
        rt_model_write(&((model_object *)object)->model, &data, &bytes, &err);
    if (status == RT_OK) {
        status = rt_model_read(copy, data, bytes, &err);
    }
    rt_free(data);
    if (status != RT_OK) {
        rt_py_raise(state, &err);
        return -1;
    }
    return 0;
}

int rt_py_trees_copy(rt_module_state *state, PyObject *object, const char *name,
                     rt_model *copy)
{
    if (!PyObject_TypeCheck(object, (PyTypeObject *)state->model_type) ||
        rt_model_is_linear(&((model_object *)object)->model)) {
        PyErr_Format(PyExc_TypeError, "%s must be a Model of trees", name);
        return -1;
    }
    return rt_py_model_copy(state, object, copy);
}

PyDoc_STRVAR(with_threshold_doc, "with_threshold(threshold) -> Model\n\n"
                                 "The same model with another decision threshold.");

static PyObject *model_with_threshold(PyObject *self, PyObject *args)
{
    double threshold = 0.0;
    rt_model copy;
    if (!PyArg_ParseTuple(args, "d:with_threshold", &threshold)) {
        return NULL;
    }
    if (!isfinite(threshold)) {
        PyErr_SetString(PyExc_ValueError, "the threshold must be finite");
        return NULL;
    }
    if (rt_py_model_copy(state_of(self), self, &copy) < 0) {
        return NULL;
    }
    copy.threshold = threshold + 0.0; /* -0 and 0 are one threshold */
    return rt_py_model_new(state_of(self), &copy);
}

static PyObject *text_object(const rt_model *model, int64_t number)
{
    rt_text text = rt_model_text(model, number);
    return PyUnicode_DecodeUTF8(text.bytes, (Py_ssize_t)text.length, "strict");
}

static PyObject *feature_object(const rt_model *model, const rt_feature *feature)
{
    PyObject *name = text_object(model, feature->text);
    PyObject *categories = PyList_New(0);
    PyObject *result = NULL;
    for (int64_t i = 1; i <= feature->n_categories && categories != NULL; i++) {
        PyObject *category = text_object(model, feature->text + i);
        if (category == NULL || PyList_Append(categories, category) < 0) {
            Py_CLEAR(categories);
        }
        Py_XDECREF(category);
    }
    if (name != NULL && categories != NULL) {
        const char *kind = feature->kind == RT_NUMERIC ? "numeric" : "categorical";
        result = Py_BuildValue("(OsO)", name, kind, categories);
    }
    Py_XDECREF(name);
    Py_XDECREF(categories);
    return result;
}

static PyObject *model_features(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_model *model = &((model_object *)self)->model;
    PyObject *list = PyList_New(0);
    for (int32_t f = 0; f < model->n_features && list != NULL; f++) {
        PyObject *feature = feature_object(model, &model->features[f]);
        if (feature == NULL || PyList_Append(list, feature) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(feature);
    }
    return list;
}

static PyObject *model_threshold(PyObject *self, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(((model_object *)self)->model.threshold);
}

static PyObject *model_objective(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_model *model = &((model_object *)self)->model;
    return PyUnicode_FromString(rt_model_is_linear(model)
                                    ? rt_py_linear_objective(model->linear.loss)
                                    : rt_py_objective(model->forest.loss));
}

static PyObject *model_kind(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_model *model = &((model_object *)self)->model;
    return PyUnicode_FromString(rt_model_is_linear(model) ? "linear" : "trees");
}

static PyObject *number_list(const double *numbers, int64_t count)
{
    PyObject *list = PyList_New(0);
    for (int64_t i = 0; i < count && list != NULL; i++) {
        PyObject *number = PyFloat_FromDouble(numbers[i]);
        if (number == NULL || PyList_Append(list, number) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(number);
    }
    return list;
}

static PyObject *model_base_scores(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_model *model = &((model_object *)self)->model;
    return number_list(rt_model_is_linear(model) ? model->linear.intercept
                                                 : model->forest.base_score,
                       rt_model_outputs(model));
}

static PyObject *model_slopes(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_linear *linear = &((model_object *)self)->model.linear;
    npy_intp shape[2] = {linear->n_outputs, linear->n_slopes};
    PyArrayObject *out = rt_py_new_array(NPY_FLOAT64, 2, shape);
    if (out != NULL && linear->n_outputs * linear->n_slopes > 0) {
        memcpy(PyArray_DATA(out), linear->slope,
               (size_t)(linear->n_outputs * linear->n_slopes) * sizeof(double));
    }
    return (PyObject *)out;
}

static PyObject *model_fills(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_linear *linear = &((model_object *)self)->model.linear;
    return number_list(linear->fill, linear->n_features);
}

static PyObject *model_rows_learnt(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_linear *linear = &((model_object *)self)->model.linear;
    const bool learns = linear->kind == RT_MEMORY_ONLINE;
    return PyLong_FromDouble(learns ? linear->memory[RT_ONLINE_ROWS] : 0.0);
}

/* The upper triangle, or the diagonal, as a whole matrix. */
static void spread_precision(const rt_linear *linear, int64_t n, double *out)
{
    const double *at = linear->memory + 1;
    for (int64_t a = 0; a < n; a++) {
        for (int64_t b = a; b < (linear->kind == RT_MEMORY_FULL ? n : a + 1); b++) {
            out[a * n + b] = out[b * n + a] = *at++;
        }
    }
}

static PyObject *model_precision(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_linear *linear = &((model_object *)self)->model.linear;
    const npy_intp n = linear->n_outputs * (1 + linear->n_slopes);
    const npy_intp shape[2] = {n, n};
    if (linear->kind != RT_MEMORY_DIAGONAL && linear->kind != RT_MEMORY_FULL) {
        Py_RETURN_NONE;
    }
    PyArrayObject *matrix = rt_py_new_array(NPY_FLOAT64, 2, shape);
    if (matrix == NULL) {
        return NULL;
    }
    spread_precision(linear, n, PyArray_DATA(matrix));
    return Py_BuildValue("(dN)", linear->memory[0], matrix);
}

static PyObject *model_n_trees(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((model_object *)self)->model.forest.n_trees);
}

static PyObject *model_n_features(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((model_object *)self)->model.n_features);
}

static PyObject *model_params(PyObject *self, void *Py_UNUSED(closure))
{
    const rt_model *model = &((model_object *)self)->model;
    return rt_model_is_linear(model) ? rt_py_linear_params_dict(&model->linear_params)
                                     : rt_py_params_dict(&model->params);
}

static PyObject *model_seed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(((model_object *)self)->model.seed);
}

static PyMethodDef model_methods[] = {
    {"from_bytes", model_from_bytes, METH_VARARGS | METH_CLASS, from_bytes_doc},
    {"to_bytes", model_to_bytes, METH_NOARGS,
     "to_bytes() -> bytes\n\nThe model file; equal models give equal bytes."},
    {"predict", RT_PY_KEYWORDS(model_predict), predict_doc},
    {"with_threshold", model_with_threshold, METH_VARARGS, with_threshold_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef model_properties[] = {
    {"sha256", model_sha256, NULL, "SHA-256 of to_bytes(), hexadecimal.", NULL},
    {"threshold", model_threshold, NULL, "Scores from here on mean yes.", NULL},
    {"kind", model_kind, NULL, "'trees' or 'linear'.", NULL},
    {"objective", model_objective, NULL,
     "'binary', 'softmax', 'squared_error' or, of a linear model, 'poisson'.", NULL},
    {"base_scores", model_base_scores, NULL,
     "Raw score before the first tree, or the intercept, of each output.", NULL},
    {"slopes", model_slopes, NULL,
     "float64 [K, M] of a linear model: one for a number, one for each level of a "
     "category; [0, 0] of trees.",
     NULL},
    {"fills", model_fills, NULL,
     "What stands for a missing number, of each feature of a linear model.", NULL},
    {"rows_learnt", model_rows_learnt, NULL,
     "Rows that linear_learn has looked at; 0 of a model that was fitted at once.",
     NULL},
    {"precision", model_precision, NULL,
     "Of a linear fit that remembers: the weight of its rows, and float64 [n, n], "
     "n = K (1 + M), the second derivatives of its penalised loss by intercepts at the "
     "fills and slopes, output by output; else None.",
     NULL},
    {"n_trees", model_n_trees, NULL, "Trees; they add to the outputs in turn.", NULL},
    {"n_features", model_n_features, NULL, "Columns that predict expects.", NULL},
    {"features", model_features, NULL, "[(name, kind, [category, ...]), ...]", NULL},
    {"params", model_params, NULL, "The parameters of the training run.", NULL},
    {"seed", model_seed, NULL, "The seed of the training run.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot model_slots[] = {
    {Py_tp_doc, "A trained model; made by gbdt_train, linear_fit or from_bytes."},
    {Py_tp_dealloc, model_dealloc},
    {Py_tp_traverse, model_traverse},
    {Py_tp_methods, model_methods},
    {Py_tp_getset, model_properties},
    {0, NULL},
};

PyType_Spec *rt_py_model_spec(void)
{
    static PyType_Spec spec = {
        .name = "retrain_ops._core.Model",
        .basicsize = sizeof(model_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
                 Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = model_slots,
    };
    return &spec;
}

/* Python arguments of the GBDT functions as core structures. */
#include "python/gbdt_args.h"

#include <string.h>

int rt_py_matrix(PyObject *object, const char *name, rt_matrix *out,
                 PyArrayObject **hold)
{
    bool narrow =
        PyArray_Check(object) && PyArray_TYPE((PyArrayObject *)object) == NPY_FLOAT32;
    PyArray_Descr *type = PyArray_DescrFromType(narrow ? NPY_FLOAT32 : NPY_FLOAT64);
    PyObject *array = PyArray_FromAny(object, type, 0, 0,
                                      NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED, NULL);
    *hold = NULL;
    if (array == NULL) {
        PyErr_Format(PyExc_TypeError, "%s must be an array of numbers", name);
        return -1;
    }
    PyArrayObject *matrix = (PyArrayObject *)array;
    if (PyArray_NDIM(matrix) != 2 || PyArray_DIM(matrix, 1) > INT32_MAX) {
        PyErr_Format(PyExc_ValueError,
                     "%s must have two dimensions (rows, features), it has %d", name,
                     PyArray_NDIM(matrix));
        Py_DECREF(array);
        return -1;
    }
    *out = (rt_matrix){.data = PyArray_DATA(matrix),
                       .rows = PyArray_DIM(matrix, 0),
                       .columns = (int32_t)PyArray_DIM(matrix, 1),
                       .row_bytes = PyArray_STRIDE(matrix, 0),
                       .column_bytes = PyArray_STRIDE(matrix, 1),
                       .is_f64 = !narrow};
    *hold = matrix;
    return 0;
}

static int find_param(const char *name)
{
    for (int i = 0; i < RT_PARAM_COUNT; i++) {
        if (strcmp(rt_param_rules[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static int set_param(PyObject *key, PyObject *value, rt_gbdt_params *params)
{
    const char *name = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, NULL) : "";
    if (name == NULL) {
        return -1;
    }
    int which = find_param(name);
    if (which < 0) {
        PyErr_Format(PyExc_ValueError,
                     "unknown training parameter %R; known are "
                     "those of retrain_ops.models.DEFAULT_PARAMS",
                     key);
        return -1;
    }
    double number = PyFloat_AsDouble(value);
    if (PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "training parameter %s must be a number", name);
        return -1;
    }
    params->value[which] = number;
    return 0;
}

int rt_py_params(PyObject *dict, rt_gbdt_params *params)
{
    Py_ssize_t at = 0;
    PyObject *key = NULL;
    PyObject *value = NULL;
    *params = rt_gbdt_defaults();
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (set_param(key, value, params) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *rt_py_params_dict(const rt_gbdt_params *params)
{
    PyObject *dict = PyDict_New();
    for (int i = 0; i < RT_PARAM_COUNT && dict != NULL; i++) {
        double number = params->value[i];
        PyObject *value = rt_param_rules[i].whole ? PyLong_FromDouble(number)
                                                  : PyFloat_FromDouble(number);
        int failed = value == NULL ||
                     PyDict_SetItemString(dict, rt_param_rules[i].name, value) < 0;
        Py_XDECREF(value);
        if (failed) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

/* (name, kind, categories) with categories as a tuple, checked for types; a new
 * reference that keeps every string alive. */
static PyObject *normalise_feature(PyObject *item)
{
    PyObject *name = NULL;
    PyObject *kind = NULL;
    PyObject *categories = NULL;
    PyObject *result = NULL;
    PyObject *parts = PySequence_Tuple(item);
    if (parts == NULL) {
        return NULL;
    }
    if (!PyArg_ParseTuple(parts, "UUO:feature", &name, &kind, &categories)) {
        goto done;
    }
    PyObject *levels = PySequence_Tuple(categories);
    if (levels != NULL) {
        result = PyTuple_Pack(3, name, kind, levels);
        Py_DECREF(levels);
    }
done:
    Py_DECREF(parts);
    return result;
}

static PyObject *normalise_features(PyObject *features)
{
    PyObject *list = PySequence_List(features);
    if (list == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        PyObject *feature = normalise_feature(PyList_GetItem(list, i));
        if (feature == NULL || PyList_SetItem(list, i, feature) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

/* The i-th string of a feature: its name, then its categories. Borrowed. */
static const char *feature_text(PyObject *feature, Py_ssize_t i, Py_ssize_t *bytes)
{
    PyObject *levels = PyTuple_GetItem(feature, 2);
    PyObject *text =
        i == 0 ? PyTuple_GetItem(feature, 0) : PyTuple_GetItem(levels, i - 1);
    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "categories of feature %R must be strings",
                     PyTuple_GetItem(feature, 0));
        return NULL;
    }
    return PyUnicode_AsUTF8AndSize(text, bytes);
}

static Py_ssize_t feature_texts(PyObject *feature)
{
    return 1 + PyTuple_Size(PyTuple_GetItem(feature, 2));
}

static int count_texts(PyObject *list, int64_t *texts, int64_t *bytes)
{
    *texts = 0;
    *bytes = 0;
    for (Py_ssize_t f = 0; f < PyList_Size(list); f++) {
        PyObject *feature = PyList_GetItem(list, f);
        for (Py_ssize_t i = 0; i < feature_texts(feature); i++) {
            Py_ssize_t length = 0;
            if (feature_text(feature, i, &length) == NULL) {
                return -1;
            }
            *bytes += length;
        }
        *texts += feature_texts(feature);
    }
    return 0;
}

static int copy_texts(PyObject *feature, rt_model *model, int64_t *next)
{
    for (Py_ssize_t i = 0; i < feature_texts(feature); i++, (*next)++) {
        Py_ssize_t length = 0;
        const char *text = feature_text(feature, i, &length);
        if (text == NULL) {
            return -1;
        }
        memcpy(model->text + model->text_start[*next], text, (size_t)length);
        model->text_start[*next + 1] = model->text_start[*next] + length;
    }
    return 0;
}

static int fill_features(PyObject *list, rt_model *model)
{
    int64_t next = 0;
    for (Py_ssize_t f = 0; f < PyList_Size(list); f++) {
        PyObject *feature = PyList_GetItem(list, f);
        PyObject *kind = PyTuple_GetItem(feature, 1);
        bool numeric = PyUnicode_CompareWithASCIIString(kind, "numeric") == 0;
        if (!numeric && PyUnicode_CompareWithASCIIString(kind, "categorical") != 0) {
            PyErr_Format(PyExc_ValueError,
                         "feature %R: kind must be 'numeric' or 'categorical', not %R",
                         PyTuple_GetItem(feature, 0), kind);
            return -1;
        }
        model->features[f].kind = numeric ? RT_NUMERIC : RT_CATEGORICAL;
        model->features[f].n_categories = (int32_t)(feature_texts(feature) - 1);
        if (copy_texts(feature, model, &next) < 0) {
            return -1;
        }
    }
    return 0;
}

int rt_py_features(rt_module_state *state, PyObject *features, rt_model *model)
{
    rt_error err = {RT_OK, NULL, ""};
    int64_t texts = 0;
    int64_t bytes = 0;
    int result = -1;
    PyObject *list = normalise_features(features);
    if (list == NULL) {
        return -1;
    }
    if (count_texts(list, &texts, &bytes) < 0) {
        goto done;
    }
    if (PyList_Size(list) > INT32_MAX || texts > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many features or categories");
        goto done;
    }
    if (rt_model_init(model, (int32_t)PyList_Size(list), texts, bytes, &err) != RT_OK) {
        rt_py_raise(state, &err);
        goto done;
    }
    if (fill_features(list, model) == 0) {
        if (rt_model_link(model, &err) == RT_OK) {
            result = 0;
        } else {
            rt_py_raise(state, &err);
        }
    }
    if (result < 0) {
        rt_model_clear(model);
    }
done:
    Py_DECREF(list);
    return result;
}

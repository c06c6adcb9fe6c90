/* Python objects to JSON and back, to a bounded depth. */
#include "python/json.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"

static json_t *no_memory(void)
{
    return (json_t *)(void *)PyErr_NoMemory();
}

static json_t *checked(json_t *value)
{
    return value != NULL ? value : no_memory();
}

static json_t *text_to_json(PyObject *object)
{
    Py_ssize_t size = 0;
    const char *text = PyUnicode_AsUTF8AndSize(object, &size);
    return text != NULL ? checked(json_stringn(text, (size_t)size)) : NULL;
}

static json_t *integer_to_json(PyObject *object)
{
    long long value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return checked(json_integer(value));
}

static json_t *number_to_json(PyObject *object)
{
    double value = PyFloat_AsDouble(object);
    if (!isfinite(value)) {
        PyErr_SetString(PyExc_ValueError,
                        "JSON has no infinity and no NaN: send a finite number");
        return NULL;
    }
    return checked(json_real(value));
}

static json_t *sequence_to_json(PyObject *object, int depth)
{
    Py_ssize_t count = PySequence_Size(object);
    json_t *array = count < 0 ? NULL : checked(json_array());
    for (Py_ssize_t i = 0; array != NULL && i < count; i++) {
        PyObject *item = PySequence_GetItem(object, i);
        json_t *value = item != NULL ? rt_py_to_json(item, depth + 1) : NULL;
        Py_XDECREF(item);
        if (value == NULL || json_array_append_new(array, value) != 0) {
            if (value != NULL) {
                (void)no_memory();
            }
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static int add_member(json_t *object, PyObject *key, PyObject *item, int depth)
{
    Py_ssize_t size = 0;
    if (!PyUnicode_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "JSON objects have texts as keys");
        return -1;
    }
    const char *name = PyUnicode_AsUTF8AndSize(key, &size);
    if (name == NULL) {
        return -1;
    }
    if (strlen(name) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "a key contains a NUL");
        return -1;
    }
    json_t *value = rt_py_to_json(item, depth + 1);
    if (value == NULL) {
        return -1;
    }
    if (json_object_set_new(object, name, value) != 0) {
        (void)no_memory();
        return -1;
    }
    return 0;
}

/* Over a copy of the keys: converting an item may run Python code, which may
 * change the dict. */
static json_t *dict_to_json(PyObject *dict, int depth)
{
    PyObject *keys = PyDict_Keys(dict);
    json_t *object = keys != NULL ? checked(json_object()) : NULL;
    Py_ssize_t count = keys != NULL ? PyList_Size(keys) : 0;
    for (Py_ssize_t i = 0; object != NULL && i < count; i++) {
        PyObject *key = PyList_GetItem(keys, i);
        PyObject *item = PyObject_GetItem(dict, key);
        if (item == NULL || add_member(object, key, item, depth) < 0) {
            json_decref(object);
            object = NULL;
        }
        Py_XDECREF(item);
    }
    Py_XDECREF(keys);
    return object;
}

json_t *rt_py_to_json(PyObject *object, int depth)
{
    if (depth > RT_MAX_JSON_DEPTH) {
        PyErr_Format(PyExc_ValueError, "nested deeper than the allowed %d levels",
                     RT_MAX_JSON_DEPTH);
        return NULL;
    }
    if (object == Py_None) {
        return json_null();
    }
    if (PyBool_Check(object)) {
        return json_boolean(object == Py_True);
    }
    if (PyUnicode_Check(object)) {
        return text_to_json(object);
    }
    if (PyLong_Check(object)) {
        return integer_to_json(object);
    }
    if (PyFloat_Check(object)) {
        return number_to_json(object);
    }
    if (PyList_Check(object) || PyTuple_Check(object)) {
        return sequence_to_json(object, depth);
    }
    if (PyDict_Check(object)) {
        return dict_to_json(object, depth);
    }
    PyErr_SetString(PyExc_TypeError,
                    "JSON is made of None, bool, int, float, str, list and dict");
    return NULL;
}

static PyObject *array_from_json(const json_t *value, int depth)
{
    PyObject *list = PyList_New((Py_ssize_t)json_array_size(value));
    for (size_t i = 0; list != NULL && i < json_array_size(value); i++) {
        PyObject *item = rt_py_from_json(json_array_get(value, i), depth + 1);
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *object_from_json(const json_t *value, int depth)
{
    const char *name = NULL;
    json_t *member = NULL;
    PyObject *dict = PyDict_New();
    if (dict == NULL) {
        return NULL;
    }
    json_object_foreach((json_t *)value, name, member) {
        PyObject *item = rt_py_from_json(member, depth + 1);
        if (item == NULL || PyDict_SetItemString(dict, name, item) < 0) {
            Py_XDECREF(item);
            Py_DECREF(dict);
            return NULL;
        }
        Py_DECREF(item);
    }
    return dict;
}

PyObject *rt_py_from_json(const json_t *value, int depth)
{
    if (depth > RT_MAX_JSON_DEPTH) {
        PyErr_Format(PyExc_ValueError, "the answer nests deeper than %d levels",
                     RT_MAX_JSON_DEPTH);
        return NULL;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return object_from_json(value, depth);
    case JSON_ARRAY:
        return array_from_json(value, depth);
    case JSON_STRING:
        return PyUnicode_DecodeUTF8(json_string_value(value),
                                    (Py_ssize_t)json_string_length(value), "strict");
    case JSON_INTEGER:
        return PyLong_FromLongLong(json_integer_value(value));
    case JSON_REAL:
        return PyFloat_FromDouble(json_real_value(value));
    case JSON_TRUE:
    case JSON_FALSE:
        return PyBool_FromLong(json_is_true(value));
    case JSON_NULL:
        break;
    }
    return Py_NewRef(Py_None);
}

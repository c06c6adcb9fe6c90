/* NumPy arrays in the layout that the core reads, or a TypeError that names them. */
#include "python/arrays.h"

#include <string.h>

#include "base/limits.h"

PyArrayObject *rt_py_array(PyObject *object, int type, int dimensions, const char *name)
{
    PyArray_Descr *descriptor = PyArray_DescrFromType(type);
    if (descriptor == NULL) {
        return NULL;
    }
    /* Without FORCECAST NumPy refuses casts that could lose information. */
    PyObject *array =
        PyArray_FromAny(object, descriptor, 0, 0, NPY_ARRAY_IN_ARRAY, NULL);
    if (array == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Format(PyExc_TypeError, "%s cannot be used as the array it must be",
                         name);
        }
        return NULL;
    }
    if (PyArray_NDIM((PyArrayObject *)array) != dimensions) {
        PyErr_Format(PyExc_ValueError, "%s must have %d dimension(s), it has %d", name,
                     dimensions, PyArray_NDIM((PyArrayObject *)array));
        Py_DECREF(array);
        return NULL;
    }
    return (PyArrayObject *)array;
}

PyArrayObject *rt_py_column(PyObject *object, int type, const char *name,
                            PyArrayObject *day)
{
    PyArrayObject *column = rt_py_array(object, type, 1, name);
    if (column != NULL && day != NULL &&
        PyArray_DIM(column, 0) != PyArray_DIM(day, 0)) {
        PyErr_Format(PyExc_ValueError, "%s has %zd rows, day has %zd", name,
                     (Py_ssize_t)PyArray_DIM(column, 0),
                     (Py_ssize_t)PyArray_DIM(day, 0));
        Py_CLEAR(column);
    }
    return column;
}

PyArrayObject *rt_py_vector(PyObject *object, const char *name, int64_t rows,
                            const double **values)
{
    PyArrayObject *array = rt_py_array(object, NPY_FLOAT64, 1, name);
    if (array != NULL && PyArray_DIM(array, 0) != rows) {
        PyErr_Format(PyExc_ValueError, "%s has %zd rows, x has %lld", name,
                     (Py_ssize_t)PyArray_DIM(array, 0), (long long)rows);
        Py_CLEAR(array);
    }
    *values = array == NULL ? NULL : PyArray_DATA(array);
    return array;
}

PyArrayObject *rt_py_new_array(int type, int dimensions, const npy_intp *shape)
{
    return (PyArrayObject *)PyArray_ZEROS(dimensions, shape, type, 0);
}

PyArrayObject *rt_py_day_sums(int32_t days, int32_t levels, int32_t sums, int32_t words)
{
    const npy_intp shape[] = {days > 0 ? days : 0, levels > 0 ? levels : 0, sums,
                              words};
    if (shape[1] > 0 && shape[0] > RT_MAX_COUNTS / (sums * words) / shape[1]) {
        PyErr_Format(PyExc_ValueError,
                     "%d days and %d levels pass the limit of %d counts", days, levels,
                     RT_MAX_COUNTS);
        return NULL;
    }
    return rt_py_new_array(NPY_INT64, 4, shape);
}

int rt_py_kind(const char *name, const char *const *kinds, int count, const char *what)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(name, kinds[i]) == 0) {
            return i;
        }
    }
    PyErr_Format(PyExc_ValueError, "kind is \"%s\", there is no such %s", name, what);
    return -1;
}

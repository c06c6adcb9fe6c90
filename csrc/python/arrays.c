/* NumPy arrays in the layout that the core reads, or a TypeError that names them. */
#include "python/arrays.h"

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

/* NumPy arrays as borrowed C views. Included by binding files only. */
#ifndef RT_PYTHON_ARRAYS_H
#define RT_PYTHON_ARRAYS_H

#include "python/module.h"

#define NPY_NO_DEPRECATED_API NPY_1_25_API_VERSION
#define NPY_TARGET_VERSION NPY_1_25_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL rt_numpy_api
#ifndef RT_IMPORT_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

/* A new reference to `object` as an aligned C-contiguous array of `type` with
 * `dimensions` axes (copied only where the layout forces it), or NULL with an
 * exception that names the argument. Lossy casts are refused. */
PyArrayObject *rt_py_array(PyObject *object, int type, int dimensions,
                           const char *name);

/* The same for a column of as many rows as `day` has; NULL where it is the day itself.
 */
PyArrayObject *rt_py_column(PyObject *object, int type, const char *name,
                            PyArrayObject *day);

/* The same for one number per row of x; `values` points into what is returned. */
PyArrayObject *rt_py_vector(PyObject *object, const char *name, int64_t rows,
                            const double **values);

/* A new, zeroed C-contiguous array. */
PyArrayObject *rt_py_new_array(int type, int dimensions, const npy_intp *shape);

/* A new int64[days][levels][sums][words] of zeros, made here so that its size is known
 * to be sane before it is; a ValueError where it is not. */
PyArrayObject *rt_py_day_sums(int32_t days, int32_t levels, int32_t sums,
                              int32_t words);

/* Which of `count` kinds has the name, or -1 with a ValueError that calls it `what`. */
int rt_py_kind(const char *name, const char *const *kinds, int count, const char *what);

#endif

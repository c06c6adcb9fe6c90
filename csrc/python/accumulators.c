/* Binding of evaluation/accumulator.h: bytes in, bytes out. */
#include "python/arrays.h" /* Python.h has to come first */

#include "evaluation/accumulator.h"

#include <string.h>

#include "base/alloc.h"

PyDoc_STRVAR(pack_doc,
             "accumulator_pack(kind, basis, counts) -> bytes\n\n"
             "The byte form of counts: kind 1 drift, 2 cells, 3 runs, 4 scores, 5\n"
             "shadow; basis float64[b], what has to be equal for two to merge; counts\n"
             "int64, of the kind's shape. CorruptError when they do not fit together.");

PyDoc_STRVAR(unpack_doc, "accumulator_unpack(data) -> (kind, basis, counts)\n\n"
                         "CorruptError names what is wrong with the bytes.");

PyDoc_STRVAR(merge_doc,
             "accumulator_merge(a, b) -> bytes\n\n"
             "As if the rows of both had been counted at once. CorruptError for bytes\n"
             "that are no accumulator, ValueError when they are not about the same\n"
             "thing.");

static PyObject *bytes_of(const rt_accum *accum)
{
    PyObject *bytes =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)rt_accum_bytes(accum));
    if (bytes != NULL) {
        rt_accum_write(accum, (uint8_t *)PyBytes_AsString(bytes));
    }
    return bytes;
}

static PyObject *pack_arrays(PyObject *module, int kind, PyArrayObject *basis,
                             PyArrayObject *counts)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_accum accum = {.kind = kind,
                      .n_axes = PyArray_NDIM(counts),
                      .n_basis = PyArray_DIM(basis, 0),
                      .basis = PyArray_DATA(basis),
                      .counts = PyArray_DATA(counts)};
    for (int i = 0; i < accum.n_axes && i < RT_ACCUM_AXES; i++) {
        accum.axis[i] = PyArray_DIM(counts, i);
    }
    if (rt_accum_check(&accum, &err) != RT_OK) {
        return rt_py_raise(rt_module_get_state(module), &err);
    }
    return bytes_of(&accum);
}

static PyObject *accumulator_pack(PyObject *module, PyObject *args)
{
    int kind = 0;
    PyObject *objects[2] = {NULL, NULL};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "iOO:accumulator_pack", &kind, &objects[0],
                          &objects[1])) {
        return NULL;
    }
    PyArrayObject *basis = rt_py_array(objects[0], NPY_FLOAT64, 1, "basis");
    PyArrayObject *counts = (PyArrayObject *)PyArray_FROMANY(
        objects[1], NPY_INT64, 1, RT_ACCUM_AXES, NPY_ARRAY_IN_ARRAY);
    if (basis != NULL && counts != NULL) {
        result = pack_arrays(module, kind, basis, counts);
    }
    Py_XDECREF((PyObject *)counts);
    Py_XDECREF((PyObject *)basis);
    return result;
}

static PyObject *arrays_of(const rt_accum *accum)
{
    npy_intp shape[RT_ACCUM_AXES];
    npy_intp n_basis = accum->n_basis;
    for (int i = 0; i < accum->n_axes; i++) {
        shape[i] = accum->axis[i];
    }
    PyArrayObject *basis = rt_py_new_array(NPY_FLOAT64, 1, &n_basis);
    PyArrayObject *counts = rt_py_new_array(NPY_INT64, accum->n_axes, shape);
    if (basis == NULL || counts == NULL) {
        Py_XDECREF((PyObject *)counts);
        Py_XDECREF((PyObject *)basis);
        return NULL;
    }
    memcpy(PyArray_DATA(basis), accum->basis, (size_t)n_basis * sizeof(double));
    memcpy(PyArray_DATA(counts), accum->counts,
           (size_t)accum->n_counts * sizeof(int64_t));
    return Py_BuildValue("(iNN)", accum->kind, (PyObject *)basis, (PyObject *)counts);
}

static PyObject *accumulator_unpack(PyObject *module, PyObject *args)
{
    Py_buffer data = {0};
    rt_error err = {RT_OK, NULL, ""};
    rt_accum accum;
    void *block = NULL;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*:accumulator_unpack", &data)) {
        return NULL;
    }
    if (rt_accum_read(data.buf, data.len, &accum, &block, &err) == RT_OK) {
        result = arrays_of(&accum);
    } else {
        rt_py_raise(rt_module_get_state(module), &err);
    }
    rt_free(block);
    PyBuffer_Release(&data);
    return result;
}

typedef struct merge_job {
    Py_buffer data[2];
    rt_accum accum[3]; /* the two, and their merge */
    void *block[3];
    rt_ctl ctl;
} merge_job;

static rt_status run_merge(void *argument, rt_error *err)
{
    merge_job *job = argument;
    rt_status status = RT_OK;
    for (int i = 0; i < 2 && status == RT_OK; i++) {
        status = rt_accum_read(job->data[i].buf, job->data[i].len, &job->accum[i],
                               &job->block[i], err);
    }
    if (status == RT_OK) {
        status = rt_accum_merge(&job->accum[0], &job->accum[1], &job->accum[2],
                                &job->block[2], err);
    }
    return status;
}

static PyObject *accumulator_merge(PyObject *module, PyObject *args)
{
    merge_job job = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*:accumulator_merge", &job.data[0], &job.data[1])) {
        return NULL;
    }
    if (rt_py_run(rt_module_get_state(module), run_merge, &job, &job.ctl) == 0) {
        result = bytes_of(&job.accum[2]);
    }
    for (int i = 0; i < 3; i++) {
        rt_free(job.block[i]);
    }
    PyBuffer_Release(&job.data[1]);
    PyBuffer_Release(&job.data[0]);
    return result;
}

static PyMethodDef methods[] = {
    {"accumulator_pack", accumulator_pack, METH_VARARGS, pack_doc},
    {"accumulator_unpack", accumulator_unpack, METH_VARARGS, unpack_doc},
    {"accumulator_merge", accumulator_merge, METH_VARARGS, merge_doc},
    {NULL, NULL, 0, NULL},
};

int rt_bind_accumulators(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

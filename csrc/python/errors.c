/* A core status as the Python exception that fits it. */
#include "python/module.h"

static int add_exception(PyObject *module, PyObject **slot, const char *name,
                         const char *doc, PyObject *base)
{
    char full_name[64];
    PyOS_snprintf(full_name, sizeof full_name, "retrain_ops._core.%s", name);
    *slot = PyErr_NewExceptionWithDoc(full_name, doc, base, NULL);
    return *slot == NULL ? -1 : PyModule_AddObjectRef(module, name, *slot);
}

int rt_py_add_exceptions(PyObject *module, rt_module_state *state)
{
    if (add_exception(module, &state->corrupt_error, "CorruptError",
                      "Bytes from outside break their format.", PyExc_ValueError) < 0 ||
        add_exception(module, &state->cancelled_error, "CancelledError",
                      "A long call was asked to stop.", PyExc_RuntimeError) < 0 ||
        add_exception(module, &state->network_error, "NetworkError",
                      "No usable answer came over the wire.",
                      PyExc_ConnectionError) < 0 ||
        add_exception(module, &state->remote_error, "RemoteError",
                      "The server answered with an error of its own.",
                      PyExc_RuntimeError) < 0) {
        return -1;
    }
    return 0;
}

static PyObject *exception_for(const rt_module_state *state, rt_status status)
{
    switch (status) {
    case RT_NO_MEMORY:
        return PyExc_MemoryError;
    case RT_INVALID:
    case RT_LIMIT:
        return PyExc_ValueError;
    case RT_CORRUPT:
        return state->corrupt_error;
    case RT_CANCELLED:
        return state->cancelled_error;
    case RT_TIMEOUT:
        return PyExc_TimeoutError;
    case RT_SYSTEM:
        return PyExc_OSError;
    case RT_NETWORK:
        return state->network_error;
    case RT_REMOTE:
        return state->remote_error;
    case RT_OK:
        break;
    }
    return PyExc_SystemError;
}

PyObject *rt_py_raise(rt_module_state *state, const rt_error *err)
{
    PyErr_SetString(exception_for(state, err->status), err->message);
    return NULL;
}

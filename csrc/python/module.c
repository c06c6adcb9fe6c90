/* The module itself: multi-phase initialisation, per-module state, one table of
 * topics. Importing it opens no socket and starts no thread. */
#define RT_IMPORT_NUMPY
#include "python/arrays.h"

rt_module_state *rt_module_get_state(PyObject *module)
{
    return PyModule_GetState(module);
}

static int module_exec(PyObject *module)
{
    static int (*const topics[])(PyObject *) = {
        rt_bind_base,    rt_bind_gbdt,   rt_bind_gbdt_rounds,  rt_bind_linear,
        rt_bind_drift,   rt_bind_cells,  rt_bind_ranks,        rt_bind_shadow,
        rt_bind_scores,  rt_bind_paired, rt_bind_accumulators, rt_bind_mlflow,
        rt_bind_serving, rt_bind_online, rt_bind_request_log,  rt_bind_amounts,
        rt_bind_classes,
    };
    import_array1(-1);
    if (rt_py_add_exceptions(module, rt_module_get_state(module)) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        if (topics[i](module) < 0) {
            return -1;
        }
    }
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    rt_module_state *state = rt_module_get_state(module);
    Py_VISIT(state->corrupt_error);
    Py_VISIT(state->cancelled_error);
    Py_VISIT(state->network_error);
    Py_VISIT(state->remote_error);
    Py_VISIT(state->model_type);
    Py_VISIT(state->client_type);
    Py_VISIT(state->log_type);
    return 0;
}

static int module_clear(PyObject *module)
{
    rt_module_state *state = rt_module_get_state(module);
    Py_CLEAR(state->corrupt_error);
    Py_CLEAR(state->cancelled_error);
    Py_CLEAR(state->network_error);
    Py_CLEAR(state->remote_error);
    Py_CLEAR(state->model_type);
    Py_CLEAR(state->client_type);
    Py_CLEAR(state->log_type);
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

struct PyModuleDef rt_module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "retrain_ops._core",
    .m_doc = "The C core of retrain_ops: rows in, exact numbers out.",
    .m_size = sizeof(rt_module_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&rt_module_definition);
}

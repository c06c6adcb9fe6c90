/* The only door between Python and the core: what all binding files share. */
#ifndef RT_PYTHON_MODULE_H
#define RT_PYTHON_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/ctl.h"
#include "base/status.h"
#include "parallel/task.h"

typedef struct rt_module_state {
    PyObject *corrupt_error;   /* CorruptError(ValueError) */
    PyObject *cancelled_error; /* CancelledError(RuntimeError) */
    PyObject *network_error;   /* NetworkError(ConnectionError) */
    PyObject *remote_error;    /* RemoteError(RuntimeError) */
    PyObject *model_type;      /* heap types; NULL until their topic is bound */
    PyObject *client_type;
    PyObject *log_type;
} rt_module_state;

extern struct PyModuleDef rt_module_definition;

rt_module_state *rt_module_get_state(PyObject *module);

/* Every topic adds its functions and types; 0 or -1 with an exception set. */
int rt_bind_base(PyObject *module);
int rt_bind_gbdt(PyObject *module);
int rt_bind_gbdt_rounds(PyObject *module);
int rt_bind_linear(PyObject *module);
int rt_bind_online(PyObject *module);
int rt_bind_drift(PyObject *module);
int rt_bind_cells(PyObject *module);
int rt_bind_ranks(PyObject *module);
int rt_bind_shadow(PyObject *module);
int rt_bind_scores(PyObject *module);
int rt_bind_paired(PyObject *module);
int rt_bind_amounts(PyObject *module);
int rt_bind_classes(PyObject *module);
int rt_bind_accumulators(PyObject *module);
int rt_bind_mlflow(PyObject *module);
int rt_bind_serving(PyObject *module);
int rt_bind_request_log(PyObject *module);

/* A function with keywords, for a table of methods: its address and its flags. */
#define RT_PY_KEYWORDS(function)                                                       \
    (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

/* errors.c: sets the exception that fits `err`; always returns NULL. */
PyObject *rt_py_raise(rt_module_state *state, const rt_error *err);
int rt_py_add_exceptions(PyObject *module, rt_module_state *state);

/* call.c: runs `body` on a task with the GIL released and looks for signals
 * every 50 ms; a pending KeyboardInterrupt or an exception from a signal
 * handler sets `ctl->cancelled` and wins over the body's status. 0, or -1 with
 * an exception set. */
int rt_py_run(rt_module_state *state, rt_task_body body, void *argument, rt_ctl *ctl);

/* The same, calling `watch(watched)` with the GIL at every look; when it returns
 * -1 with an exception set, the body is cancelled as for a signal. */
typedef int (*rt_py_watch)(void *watched);
int rt_py_run_watched(rt_module_state *state, rt_task_body body, void *argument,
                      rt_ctl *ctl, rt_py_watch watch, void *watched);

#endif

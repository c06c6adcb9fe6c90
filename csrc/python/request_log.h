/* _core.RequestLog. */
#ifndef RT_PYTHON_REQUEST_LOG_H
#define RT_PYTHON_REQUEST_LOG_H

#include "python/module.h"

#include "serving/log.h"

PyType_Spec *rt_py_log_spec(void);

/* The log of a RequestLog, which then keeps `arms`, an Arms whose answers are counted
 * in `in_use`, for as long as any of them waits. NULL with an exception set. */
rt_request_log *rt_py_log_of(rt_module_state *state, PyObject *log, PyObject *arms,
                             _Atomic int64_t *in_use);

#endif

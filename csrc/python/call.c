/* A long call as Python sees it: the GIL is released, signals are still served. */
#include <stdbool.h>

#include "python/module.h"

enum { SIGNAL_CHECK_MS = 50 };

int rt_py_run(rt_module_state *state, rt_task_body body, void *argument, rt_ctl *ctl)
{
    return rt_py_run_watched(state, body, argument, ctl, NULL, NULL);
}

/* A signal handler's or the watcher's exception; true if there is none. */
static bool all_quiet(rt_py_watch watch, void *watched)
{
    return PyErr_CheckSignals() == 0 && (watch == NULL || watch(watched) == 0);
}

int rt_py_run_watched(rt_module_state *state, rt_task_body body, void *argument,
                      rt_ctl *ctl, rt_py_watch watch, void *watched)
{
    rt_error err = {RT_OK, NULL, ""};
    rt_task *task = NULL;
    bool finished = false;
    int interrupted = 0;

    if (rt_task_start(&task, body, argument, &err) != RT_OK) {
        rt_py_raise(state, &err);
        return -1;
    }
    while (!finished) {
        Py_BEGIN_ALLOW_THREADS
        finished = rt_task_wait(task, SIGNAL_CHECK_MS);
        Py_END_ALLOW_THREADS
        if (!interrupted && !all_quiet(watch, watched)) {
            /* The exception stays set; the body is only asked to hurry. */
            interrupted = 1;
            atomic_store(&ctl->cancelled, true);
        }
    }
    rt_status status = rt_task_join(task, &err);
    if (interrupted) {
        return -1;
    }
    if (status != RT_OK) {
        rt_py_raise(state, &err);
        return -1;
    }
    return 0;
}

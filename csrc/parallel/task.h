/* A helper thread for one piece of work, always joined.
 *
 * Every OpenMP region of the core runs inside a task. libgomp keeps its team
 * alive per calling thread and a forked child that enters a region waits for
 * threads that were not forked with it; a team that belongs to a helper thread
 * dies with the helper, so neither parent nor child ever inherits one. Airflow
 * forks its task processes, which is why this is not optional.
 *
 * A task starts with the default floating-point environment, whatever a foreign
 * library did to the caller's (flush-to-zero changes results), and its team
 * inherits it. */
#ifndef RT_PARALLEL_TASK_H
#define RT_PARALLEL_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef rt_status (*rt_task_body)(void *argument, rt_error *err);
typedef struct rt_task rt_task;

RT_CHECKED rt_status rt_task_start(rt_task **out, rt_task_body body, void *argument,
                                   rt_error *err);

/* True once the body has returned; waits at most `timeout_ms`. */
bool rt_task_wait(rt_task *task, int32_t timeout_ms);

/* Waits for the body, frees the task, and gives the body's status and error. */
RT_CHECKED rt_status rt_task_join(rt_task *task, rt_error *err);

/* start + join. */
RT_CHECKED rt_status rt_task_run(rt_task_body body, void *argument, rt_error *err);

#endif

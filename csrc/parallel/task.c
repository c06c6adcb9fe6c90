#define _GNU_SOURCE
#include "parallel/task.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "base/alloc.h"

struct rt_task {
    rt_task_body body;
    void *argument;
    rt_error error;
    rt_status status;
    bool finished;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

static void reset_floating_point(void)
{
#if defined(__x86_64__)
    _mm_setcsr(0x1f80u); /* round to nearest, no flush-to-zero, all masked */
#endif
}

static void *task_main(void *opaque)
{
    rt_task *task = opaque;
    reset_floating_point();
    rt_status status = task->body(task->argument, &task->error);
    pthread_mutex_lock(&task->mutex);
    task->status = status;
    task->finished = true;
    pthread_cond_signal(&task->condition);
    pthread_mutex_unlock(&task->mutex);
    return NULL;
}

static void init_condition(pthread_cond_t *condition)
{
    /* The monotonic clock: a wall clock that is set back must not hold us. */
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void task_destroy(rt_task *task)
{
    pthread_cond_destroy(&task->condition);
    pthread_mutex_destroy(&task->mutex);
    rt_free(task);
}

rt_status rt_task_start(rt_task **out, rt_task_body body, void *argument, rt_error *err)
{
    rt_task *task = NULL;
    void *block = NULL;
    int failure = 0;

    *out = NULL;
    rt_status status = rt_alloc(&block, 1, sizeof *task, "rt_task_start", err);
    if (status != RT_OK) {
        return status;
    }
    task = block;
    task->body = body;
    task->argument = argument;
    pthread_mutex_init(&task->mutex, NULL);
    init_condition(&task->condition);
    failure = pthread_create(&task->thread, NULL, task_main, task);
    if (failure != 0) {
        task_destroy(task);
        return rt_fail(err, RT_SYSTEM, "rt_task_start",
                       "no thread could be started (%d)", failure);
    }
    *out = task;
    return RT_OK;
}

static struct timespec deadline_after(int32_t timeout_ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += timeout_ms / 1000;
    when.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (when.tv_nsec >= 1000000000L) {
        when.tv_sec += 1;
        when.tv_nsec -= 1000000000L;
    }
    return when;
}

bool rt_task_wait(rt_task *task, int32_t timeout_ms)
{
    struct timespec deadline = deadline_after(timeout_ms);
    int code = 0;
    pthread_mutex_lock(&task->mutex);
    while (!task->finished && code != ETIMEDOUT) {
        code = pthread_cond_timedwait(&task->condition, &task->mutex, &deadline);
    }
    bool finished = task->finished;
    pthread_mutex_unlock(&task->mutex);
    return finished;
}

rt_status rt_task_join(rt_task *task, rt_error *err)
{
    pthread_join(task->thread, NULL);
    rt_status status = task->status;
    if (status != RT_OK && err != NULL) {
        *err = task->error;
    }
    task_destroy(task);
    return status;
}

rt_status rt_task_run(rt_task_body body, void *argument, rt_error *err)
{
    rt_task *task = NULL;
    rt_status status = rt_task_start(&task, body, argument, err);
    if (status != RT_OK) {
        return status;
    }
    return rt_task_join(task, err);
}

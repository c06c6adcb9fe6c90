/* One thread for one piece of work. What the body leaves is read after the join; only
 * whether it has finished is asked earlier, under the mutex. Unit: one task. */
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
    rt_error error; /* of the body, read after the join */
    rt_status status;
    bool finished; /* guarded by the mutex */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t condition; /* signalled once, when it has finished */
};

/* A new thread inherits its creator's control word, and OpenMP's threads inherit this
 * one's: all of the team round and keep subnormals alike. */
static void reset_floating_point(void)
{
#if defined(__x86_64__)
    _mm_setcsr(0x1f80u); /* round to nearest, no flush-to-zero, all masked */
#endif
}

/* The status is written under the mutex as well, so whoever sees `finished` sees it. */
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

/* Only once the thread is gone, or was never there. */
static void task_destroy(rt_task *task)
{
    pthread_cond_destroy(&task->condition);
    pthread_mutex_destroy(&task->mutex);
    rt_free(task);
}

/* The task is on the heap: it outlives this call, and the thread holds its address. */
rt_status rt_task_start(rt_task **out, rt_task_body body, void *argument, rt_error *err)
{
    rt_task *task = NULL;
    void *block = NULL;
    int failure = 0;

    *out = NULL; /* unless a thread runs */
    rt_status status = rt_alloc(&block, 1, sizeof *task, "rt_task_start", err);
    if (status != RT_OK) {
        return status;
    }
    task = block;
    /* All is set before the thread exists, which needs no lock then. */
    task->body = body;
    task->argument = argument;
    pthread_mutex_init(&task->mutex, NULL);
    init_condition(&task->condition);
    /* The one failure to expect: a limit on threads or memory. Nothing runs yet, so the
     * task is freed here. */
    failure = pthread_create(&task->thread, NULL, task_main, task);
    if (failure != 0) {
        task_destroy(task);
        return rt_fail(err, RT_SYSTEM, "rt_task_start",
                       "no thread could be started (%d)", failure);
    }
    *out = task;
    return RT_OK;
}

/* An absolute time on the condition's clock, so that a wake-up without cause does not
 * start the wait anew. */
static struct timespec deadline_after(int32_t timeout_ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += timeout_ms / 1000;
    when.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    /* Nanoseconds must stay below a second; two parts below one carry once at most. */
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
    /* A condition may wake without a signal: `finished` is what counts. */
    while (!task->finished && code != ETIMEDOUT) {
        code = pthread_cond_timedwait(&task->condition, &task->mutex, &deadline);
    }
    bool finished = task->finished; /* also at the very deadline */
    pthread_mutex_unlock(&task->mutex);
    return finished;
}

rt_status rt_task_join(rt_task *task, rt_error *err)
{
    /* All that the thread wrote is visible from here on. */
    pthread_join(task->thread, NULL);
    rt_status status = task->status;
    /* The task is freed below: the caller's copy is what remains of the error. */
    if (status != RT_OK && err != NULL) {
        *err = task->error;
    }
    task_destroy(task);
    return status;
}

/* For callers that have nothing to do meanwhile: no signals, no progress. */
rt_status rt_task_run(rt_task_body body, void *argument, rt_error *err)
{
    rt_task *task = NULL;
    rt_status status = rt_task_start(&task, body, argument, err);
    if (status != RT_OK) {
        return status;
    }
    return rt_task_join(task, err);
}

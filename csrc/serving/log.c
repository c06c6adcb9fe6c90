/* Two sides share the segment under a lock that is held for one write: who answers
 * appends, and the thread appends scores, syncs, and changes segments. Only the thread
 * opens and closes files. Unit: one answer. */
#define _GNU_SOURCE /* getrandom */
#include "serving/log.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "model/predict.h"
#include "parallel/task.h"
#include "serving/record.h"
#include "serving/segment.h"

enum {
    TICK_MS = 20,
    RETRY_MS = 1000,     /* an open that failed */
    SAME_EVERY = 16,     /* answers that their own model scores again: the noise */
    FLUSH_BYTES = 262144 /* of scores, at once */
};

typedef enum arm { CHAMPION, PREVIOUS, SHADOW } arm;

/* An answer that waits for the other model; its body follows. */
typedef struct job {
    rt_record_head head;
    const rt_schema *model[2]; /* NULL: not asked */
    int64_t version[2];
    _Atomic int64_t *in_use;
} job;

struct rt_request_log {
    rt_log_options options;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    rt_task *task;
    pid_t process;
    int64_t writer;
    /* under the lock */
    bool stop, no_shadow, no_log;
    int64_t sequence, unsynced;
    rt_segment segment;
    rt_dynbuf frame, waiting;
    /* of the thread */
    rt_dynbuf taken, scored;
    int64_t opened_ns; /* when it last tried to */
};

int64_t rt_log_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The array is shared with whoever reads it, so counts are whole at any time. */
static void count(rt_request_log *log, int32_t what, int64_t n)
{
    (void)__atomic_fetch_add(&log->options.counts[what], n, __ATOMIC_RELAXED);
}

static void count_latency(rt_request_log *log, arm who, int64_t ns)
{
    const int32_t at = RT_LOG_LATENCY + (int32_t)who * (RT_LOG_BOUNDS + 2);
    int32_t bucket = 0;
    while (bucket < RT_LOG_BOUNDS && ns > log->options.bounds_ns[bucket]) {
        bucket++;
    }
    count(log, at, ns);
    count(log, at + 1 + bucket, 1);
}

/* ------------------------------------------------------- who answers */

/* Under the lock. */
static bool write_bytes(rt_request_log *log, const rt_dynbuf *bytes)
{
    const bool written =
        rt_segment_write(&log->segment, rt_dynbuf_text(bytes), bytes->size_bytes);
    count(log, written ? RT_LOG_BYTES : RT_LOG_TROUBLES,
          written ? bytes->size_bytes : 1);
    log->unsynced += written ? bytes->size_bytes : 0;
    return written;
}

static bool append(rt_request_log *log, const rt_record *record)
{
    if (log->no_log || log->segment.fd < 0 ||
        log->unsynced > log->options.unsynced_bytes) {
        return false;
    }
    rt_dynbuf_clear(&log->frame);
    return rt_record_write(&log->frame, record, NULL) == RT_OK &&
           write_bytes(log, &log->frame);
}

/* Which models are to score the answer once it is logged: the other one, and every so
 * often its own again. Rows that met both are scored by both. */
static job job_of(const rt_arms *arms, const rt_request *request,
                  const rt_record_head *head)
{
    const bool canary = arms->previous != NULL;
    const rt_schema *other = canary ? arms->previous : arms->shadow;
    const bool again = head->sequence % SAME_EVERY == 0;
    const bool by_champion = request->previous_rows < request->rows;
    const bool by_other = request->previous_rows > 0;
    return (job){
        .head = *head,
        .model = {by_other || again ? arms->champion : NULL,
                  by_champion || again ? other : NULL},
        .version = {arms->champion_version,
                    canary ? arms->previous_version : arms->shadow_version},
        .in_use = arms->in_use,
    };
}

static void enqueue(rt_request_log *log, const rt_arms *arms, const rt_request *request,
                    const rt_record_head *head)
{
    if (arms->previous == NULL && arms->shadow == NULL) {
        return;
    }
    const job next = job_of(arms, request, head);
    const int64_t before = log->waiting.size_bytes;
    const bool behind =
        log->no_shadow || log->unsynced > log->options.unsynced_bytes / 2;
    if (behind || rt_dynbuf_add(&log->waiting, &next, sizeof next, NULL) != RT_OK ||
        rt_dynbuf_add(&log->waiting, request->body.bytes, request->body.length, NULL) !=
            RT_OK) {
        log->waiting.size_bytes = before;
        count(log, RT_LOG_SHADOW_DROPPED, 1);
        return;
    }
    atomic_fetch_add(next.in_use, 1);
}

static rt_record record_of(rt_request_log *log, const rt_arms *arms,
                           const rt_request *request, const double *scores,
                           const uint64_t *units, int64_t took_ns)
{
    return (rt_record){
        .head = {.writer = log->writer,
                 .sequence = log->sequence++,
                 .time_ns = wall_clock(),
                 .took_ns = took_ns,
                 .version = arms->champion_version,
                 .previous = arms->previous != NULL ? arms->previous_version : 0,
                 .limit = arms->limit,
                 .rows = request->rows,
                 .id_bytes = request->id.length,
                 .body_bytes = request->body.length,
                 .outputs = rt_model_outputs(arms->champion->model),
                 .kind = RT_RECORD_ANSWER,
                 .csv = request->kind == RT_BODY_CSV ? 1 : 0,
                 .status = RT_RECORD_SCORED},
        .scores = (const char *)scores,
        .units = (const char *)units,
        .id = request->id,
        .body = request->body,
    };
}

void rt_log_answer(rt_request_log *log, const rt_arms *arms, const rt_request *request,
                   const double *scores, const uint64_t *units, int64_t took_ns)
{
    if (log->process != getpid()) { /* no thread of ours, and the parent's file */
        count(log, RT_LOG_DROPPED, 1);
        return;
    }
    pthread_mutex_lock(&log->lock);
    const rt_record record = record_of(log, arms, request, scores, units, took_ns);
    const bool logged = append(log, &record);
    count(log, logged ? RT_LOG_LOGGED : RT_LOG_DROPPED, 1);
    if (logged) {
        enqueue(log, arms, request, &record.head);
    }
    pthread_mutex_unlock(&log->lock);
    if (request->previous_rows < request->rows) {
        count_latency(log, CHAMPION, took_ns);
    }
    if (request->previous_rows > 0) {
        count_latency(log, PREVIOUS, took_ns);
    }
}

/* -------------------------------------------------------- the thread */

static void flush_scored(rt_request_log *log)
{
    if (log->scored.size_bytes == 0) {
        return;
    }
    pthread_mutex_lock(&log->lock);
    if (log->segment.fd < 0 || log->no_shadow || !write_bytes(log, &log->scored)) {
        count(log, RT_LOG_SHADOW_DROPPED, 1);
    }
    pthread_mutex_unlock(&log->lock);
    rt_dynbuf_clear(&log->scored);
}

/* A model that cannot read or score the rows has said so: no number, for each. */
static rt_status fill_failed(rt_record_head *head, double **scores)
{
    void *block = NULL;
    rt_free(*scores);
    rt_status status = rt_alloc_scratch(&block, head->rows * head->outputs,
                                        sizeof(double), "rt_log", NULL);
    *scores = block;
    for (int64_t i = 0; i < head->rows * head->outputs && status == RT_OK; i++) {
        (*scores)[i] = (double)NAN;
    }
    head->status = RT_RECORD_FAILED;
    return status;
}

/* One answer by one model. */
static void score_job(rt_request_log *log, const job *next, int32_t which, rt_text body)
{
    const rt_request request = {.kind =
                                    next->head.csv != 0 ? RT_BODY_CSV : RT_BODY_JSON,
                                .body = body,
                                .most_rows = next->head.rows};
    rt_record record = {.head = next->head};
    rt_request_rows rows;
    double *scores = NULL;
    const int64_t begun = rt_log_clock();
    rt_status status =
        rt_request_score_by(next->model[which], NULL, &request, &rows, &scores, NULL);
    record.head.took_ns = rt_log_clock() - begun;
    record.head.delay_ns = wall_clock() - next->head.time_ns;
    record.head.kind = RT_RECORD_SHADOW;
    record.head.version = next->version[which];
    if (status != RT_OK && status != RT_NO_MEMORY) {
        status = fill_failed(&record.head, &scores);
        count(log, RT_LOG_SHADOW_FAILED, record.head.rows);
    }
    record.scores = (const char *)scores;
    if (status == RT_OK) {
        status = rt_record_write(&log->scored, &record, NULL);
    }
    if (status == RT_OK) {
        count(log, RT_LOG_SHADOW_ROWS, record.head.rows);
        count_latency(log, SHADOW, record.head.took_ns);
    } else {
        count(log, RT_LOG_SHADOW_DROPPED, 1);
    }
    rt_free(scores);
    rt_request_rows_clear(&rows);
}

static void score_taken(rt_request_log *log)
{
    const char *at = rt_dynbuf_text(&log->taken);
    const char *end = at + log->taken.size_bytes;
    while (at < end) {
        job next;
        memcpy(&next, at, sizeof next);
        const rt_text body = {at + sizeof next, next.head.body_bytes};
        for (int32_t which = 0; which < 2; which++) {
            if (next.model[which] != NULL) {
                score_job(log, &next, which, body);
            }
        }
        atomic_fetch_sub(next.in_use, 1);
        at = body.bytes + body.length;
        if (log->scored.size_bytes >= FLUSH_BYTES) {
            flush_scored(log);
        }
    }
    rt_dynbuf_clear(&log->taken);
    flush_scored(log);
}

static void sync_segment(rt_request_log *log)
{
    pthread_mutex_lock(&log->lock);
    const int64_t written = log->unsynced;
    const int64_t room = rt_segment_room(&log->segment);
    log->no_log = room < log->options.reserve_bytes;
    log->no_shadow = room / 2 < log->options.reserve_bytes;
    pthread_mutex_unlock(&log->lock);
    if (written == 0) {
        return;
    }
    if (!rt_segment_sync(&log->segment)) {
        count(log, RT_LOG_TROUBLES, 1);
    }
    pthread_mutex_lock(&log->lock);
    log->unsynced -= written;
    pthread_mutex_unlock(&log->lock);
}

/* A full or old segment is closed, a missing one opened. */
static void change_segment(rt_request_log *log)
{
    const int64_t now = rt_log_clock();
    pthread_mutex_lock(&log->lock);
    const rt_segment old = log->segment;
    pthread_mutex_unlock(&log->lock);
    const bool due = old.fd < 0 || (old.bytes > 0 &&
                                    (old.bytes >= log->options.segment_bytes ||
                                     now - old.opened_ns >= log->options.segment_ns));
    const bool tried =
        log->opened_ns != 0 && now - log->opened_ns < (int64_t)RETRY_MS * 1000000;
    rt_segment fresh;
    if (!due || (old.fd < 0 && tried)) {
        return;
    }
    log->opened_ns = now;
    if (!rt_segment_open(&fresh, log->options.folder, log->writer)) {
        count(log, RT_LOG_TROUBLES, 1);
        return;
    }
    pthread_mutex_lock(&log->lock);
    rt_segment last = log->segment; /* one that a failed write closed is gone by now */
    log->segment = fresh;
    pthread_mutex_unlock(&log->lock);
    (void)(last.fd >= 0 && rt_segment_sync(&last));
    rt_segment_close(&last);
}

/* True once the log is being closed. */
static bool take_waiting(rt_request_log *log)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)TICK_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&log->lock);
    if (!log->stop) {
        (void)pthread_cond_timedwait(&log->wake, &log->lock, &until);
    }
    const rt_dynbuf swapped = log->taken;
    log->taken = log->waiting;
    log->waiting = swapped;
    const bool stop = log->stop;
    pthread_mutex_unlock(&log->lock);
    return stop;
}

static rt_status run(void *argument, rt_error *err)
{
    rt_request_log *log = argument;
    bool stop = false;
    (void)err; /* nothing here fails for good */
    while (!stop) {
        stop = take_waiting(log);
        score_taken(log);
        sync_segment(log);
        if (!stop) {
            change_segment(log);
        }
    }
    pthread_mutex_lock(&log->lock);
    rt_segment_close(&log->segment);
    pthread_mutex_unlock(&log->lock);
    (void)take_waiting(log); /* what came since: counted, since it cannot be written */
    score_taken(log);
    return RT_OK;
}

/* --------------------------------------------------- opened and closed */

static void init_wake(pthread_cond_t *wake)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void destroy(rt_request_log *log)
{
    pthread_cond_destroy(&log->wake);
    pthread_mutex_destroy(&log->lock);
    rt_dynbuf_free(&log->frame);
    rt_dynbuf_free(&log->waiting);
    rt_dynbuf_free(&log->taken);
    rt_dynbuf_free(&log->scored);
    rt_free((void *)log->options.folder);
    rt_free(log);
}

static rt_status init(rt_request_log *log, const rt_log_options *options, rt_error *err)
{
    const int64_t bytes = (int64_t)strlen(options->folder) + 1;
    void *folder = NULL;
    log->options = *options;
    log->process = getpid();
    log->segment.fd = -1;
    pthread_mutex_init(&log->lock, NULL);
    init_wake(&log->wake);
    rt_dynbuf_init(&log->frame, INT64_MAX / 4);
    rt_dynbuf_init(&log->waiting, options->queue_bytes);
    rt_dynbuf_init(&log->taken, options->queue_bytes);
    rt_dynbuf_init(&log->scored, INT64_MAX / 4);
    rt_status status = rt_alloc(&folder, bytes, 1, "rt_log_open", err);
    log->options.folder = folder;
    if (status != RT_OK) {
        return status;
    }
    memcpy(folder, options->folder, (size_t)bytes);
    if (getrandom(&log->writer, sizeof log->writer, 0) != sizeof log->writer) {
        return rt_fail(err, RT_SYSTEM, "rt_log_open", "no random numbers to be had");
    }
    log->writer &= INT64_MAX;
    change_segment(log);
    return rt_task_start(&log->task, run, log, err);
}

rt_status rt_log_open(rt_request_log **out, const rt_log_options *options,
                      rt_error *err)
{
    void *block = NULL;
    *out = NULL;
    rt_status status = rt_alloc(&block, 1, sizeof(rt_request_log), "rt_log_open", err);
    if (status != RT_OK) {
        return status;
    }
    rt_request_log *log = block;
    status = init(log, options, err);
    if (status != RT_OK) {
        rt_segment_close(&log->segment);
        destroy(log);
        return status;
    }
    *out = log;
    return RT_OK;
}

void rt_log_stop(rt_request_log *log)
{
    if (log->task == NULL ||
        log->process != getpid()) { /* a child has no such thread */
        return;
    }
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
    (void)!rt_task_join(log->task, NULL);
    log->task = NULL;
}

void rt_log_free(rt_request_log *log)
{
    if (log != NULL) {
        rt_log_stop(log);
        destroy(log);
    }
}

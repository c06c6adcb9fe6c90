/* The request log of one process: what was answered is in a segment before the answer
 * leaves; a thread then scores it by the other model, appends that too, and syncs.
 *
 * Nothing here keeps an answer back. Where disk or thread cannot follow, the other
 * model's scores are dropped first, then the records, and both are counted. */
#ifndef RT_SERVING_LOG_H
#define RT_SERVING_LOG_H

#include "serving/request.h"

enum { RT_LOG_BOUNDS = 12 };

/* Where the counts lie in the caller's array; they only grow. */
enum {
    RT_LOG_LOGGED,         /* requests in the log */
    RT_LOG_DROPPED,        /* requests answered without it */
    RT_LOG_BYTES,          /* written */
    RT_LOG_SHADOW_ROWS,    /* scored by the other model */
    RT_LOG_SHADOW_FAILED,  /* rows that it could not read or score */
    RT_LOG_SHADOW_DROPPED, /* requests that it was not asked about, or whose scores
                              could not be written */
    RT_LOG_TROUBLES,       /* writes, syncs and opens that failed */
    RT_LOG_LATENCY,        /* [champion, previous, shadow][nanoseconds, buckets] */
    RT_LOG_WIDTH = RT_LOG_LATENCY + 3 * (RT_LOG_BOUNDS + 2)
};

typedef struct rt_log_options {
    const char *folder;
    int64_t segment_bytes, segment_ns; /* from which on a segment is closed */
    int64_t queue_bytes;               /* answers that wait for the other model */
    int64_t unsynced_bytes; /* from which on nothing is logged; half: no shadow */
    int64_t
        reserve_bytes; /* of disk that are not ours: nothing is logged; twice: no shadow
                        */
    int64_t bounds_ns[RT_LOG_BOUNDS]; /* upper ends of the buckets of latency */
    int64_t *counts;                  /* [RT_LOG_WIDTH], borrowed */
} rt_log_options;

typedef struct rt_request_log rt_request_log;

/* Starts the thread. A folder that cannot be written is a count, not an error. */
RT_CHECKED rt_status rt_log_open(rt_request_log **out, const rt_log_options *options,
                                 rt_error *err);

/* Scores what is still waiting, syncs, and ends the thread. Answers that come later are
 * counted as dropped. */
void rt_log_stop(rt_request_log *log);

/* Stops it first. NULL is fine. */
void rt_log_free(rt_request_log *log);

/* An answer: `scores` [rows][outputs], `units` [rows] hashes. Counted as dropped in a
 * process that was forked from the one that opened the log. */
void rt_log_answer(rt_request_log *log, const rt_arms *arms, const rt_request *request,
                   const double *scores, const uint64_t *units, int64_t took_ns);

/* Monotonic, in nanoseconds. */
int64_t rt_log_clock(void);

#endif

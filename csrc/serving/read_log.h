/* A closed segment of the request log to columns. */
#ifndef RT_SERVING_READ_LOG_H
#define RT_SERVING_READ_LOG_H

#include "serving/schema.h"

typedef struct rt_log_totals {
    int64_t answer_rows, shadow_rows;
    int64_t sound_bytes; /* what follows was cut off, and is no record */
    int32_t outputs;     /* the most of any record, at least 1 */
} rt_log_totals;

void rt_log_scan(rt_text segment, rt_log_totals *totals);

/* Whole numbers of a row, by column. */
enum {
    RT_LOG_WRITER,
    RT_LOG_SEQUENCE,
    RT_LOG_ROW,
    RT_LOG_TIME_NS,
    RT_LOG_TOOK_NS,
    RT_LOG_VERSION,
    RT_LOG_UNIT,   /* of a shadow: its delay in nanoseconds */
    RT_LOG_STATUS, /* 200, or 500 where the model failed */
    RT_LOG_LIMIT,  /* below which units met the champion, 64 bits without a sign */
    RT_LOG_NUMBERS
};

typedef struct rt_log_rows {
    int64_t *numbers; /* [RT_LOG_NUMBERS][rows] */
    double *scores;   /* [rows][outputs], NaN beyond the record's own */
    double *x; /* [rows][features], answers' alone; NaN for a row that the columns
                  cannot read */
    int64_t rows, done;
} rt_log_rows;

/* Rows of a segment that was scanned, in the order in which they were written.
 * `columns` takes any level; its last feature is the request's id, optional in a body:
 * a row without one has the id of its request, and beyond one row ".<row>". `unread` is
 * how many answers' bodies the columns could not read. */
RT_CHECKED rt_status rt_log_read(rt_text segment, const rt_log_totals *totals,
                                 const rt_schema *columns, rt_log_rows *answers,
                                 rt_log_rows *shadows, int64_t *unread, rt_error *err);

#endif

/* A request's body to rows, and rows to the answer: MLflow's scoring protocol.
 * docs/serving.md lists where it is stricter than MLflow. */
#ifndef RT_SERVING_REQUEST_H
#define RT_SERVING_REQUEST_H

#include "base/dynbuf.h"
#include "serving/rows.h"

typedef enum rt_body_kind { RT_BODY_JSON, RT_BODY_CSV } rt_body_kind;

/* Rows of an initialised table. RT_INVALID and RT_LIMIT say what the sender has to
 * change, and at least one row is there afterwards. */
RT_CHECKED rt_status rt_request_read(rt_request_rows *rows, rt_body_kind kind,
                                     rt_text body, rt_error *err);

/* What the model says of the rows, [rows][outputs], on this thread. */
RT_CHECKED rt_status rt_request_score(const rt_request_rows *rows, double *scores,
                                      rt_error *err);

/* {"predictions": [...]}: a number for each row, or a list of them. */
RT_CHECKED rt_status rt_answer_write(rt_dynbuf *answer, const double *scores,
                                     int64_t rows, int32_t outputs, rt_error *err);

/* Who answers: the champion, and beside a canary the one it replaced, which meets the
 * units whose hash is not below the limit. Both have the same number of outputs. */
typedef struct rt_arms {
    const rt_schema *champion, *previous; /* previous may be NULL */
    const rt_unit *unit;                  /* NULL: no column names one */
    uint64_t limit;
} rt_arms;

typedef struct rt_request {
    rt_body_kind kind;
    rt_text body;
    int64_t most_rows;
    int64_t rows, previous_rows; /* that were scored, and by the previous model */
} rt_request;

/* All of it: the body to the answer, an empty buffer without a bound of its own. */
RT_CHECKED rt_status rt_request_answer(const rt_arms *arms, rt_request *request,
                                       rt_dynbuf *answer, rt_error *err);

#endif

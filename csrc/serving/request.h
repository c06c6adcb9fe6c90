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
 * units whose hash is not below the limit. A shadow answers nobody. All have the same
 * number of outputs. */
typedef struct rt_arms {
    const rt_schema *champion, *previous, *shadow; /* the latter two may be NULL */
    int64_t champion_version, previous_version, shadow_version;
    rt_unit unit; /* without a name no column names a row's unit: the request does */
    uint64_t limit;
    _Atomic int64_t
        *in_use; /* answers that the log has still to score by other models */
} rt_arms;

struct rt_request_log;

typedef struct rt_request {
    rt_body_kind kind;
    rt_text body;
    rt_text unit, id; /* of the whole request; the id is the log's alone */
    int64_t most_rows;
    struct rt_request_log *log;  /* NULL: none */
    int64_t rows, previous_rows; /* that were scored, and by the previous model */
} rt_request;

/* Rows as one model reads them, scored by it into a fresh block; the caller clears both
 * in any case. */
RT_CHECKED rt_status rt_request_score_by(const rt_schema *schema, const rt_unit *unit,
                                         const rt_request *request,
                                         rt_request_rows *rows, double **scores,
                                         rt_error *err);

/* All of it: the body to the answer, an empty buffer without a bound of its own. It is
 * in the log, if there is one that takes it, before this returns. */
RT_CHECKED rt_status rt_request_answer(const rt_arms *arms, rt_request *request,
                                       rt_dynbuf *answer, rt_error *err);

#endif

/* What an answer means. MLflow mixes JSON errors with HTML and plain text, says
 * 400 for "already exists", for a missing alias and for a busy database alike, so
 * the verdict comes from the error code first and the status line last. */
#ifndef RT_NET_ANSWER_H
#define RT_NET_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct rt_failure {
    int32_t http_status; /* 0: no answer came */
    char error_code[64]; /* "" when the server named none */
    bool transient;      /* the same request may succeed a moment later */
    bool unsure;         /* the server may have carried the request out */
} rt_failure;

/* RT_OK for a 2xx (with *json parsed unless `json` is NULL); RT_REMOTE for an
 * error of the server's, RT_NETWORK for an answer that makes no sense; both fill
 * `failure` and a message of printable bytes with a hint how to fix it. */
RT_CHECKED rt_status rt_answer_read(int32_t http_status, const char *content_type,
                                    const char *body, int64_t body_bytes, json_t **json,
                                    rt_failure *failure, rt_error *err);

#endif

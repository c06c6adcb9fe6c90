/* JSON as it came over the wire. rt_json_check looks at every byte once; what walks the
 * text afterwards relies on it and stops at nothing. */
#ifndef RT_SERVING_JSON_H
#define RT_SERVING_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/dynbuf.h"
#include "base/status.h"
#include "model/text.h"

/* Where long arrays and objects of a body end, so that they are not walked to be
 * stepped over: the first few whose members are two and three deep. */
enum { RT_JSON_SPANS = 4, RT_JSON_SPAN_LEVELS = 2, RT_JSON_SPAN_BYTES = 64 };

typedef struct rt_json_spans {
    const char *end; /* of the body */
    int32_t n[RT_JSON_SPAN_LEVELS];
    const char *first[RT_JSON_SPAN_LEVELS][RT_JSON_SPANS];
    const char *after[RT_JSON_SPAN_LEVELS][RT_JSON_SPANS];
} rt_json_spans;

/* RT_INVALID, with the byte, unless the text is one JSON value: UTF-8, at most
 * RT_MAX_JSON_DEPTH deep, numbers and texts by RFC 8259. NaN, Infinity and -Infinity
 * pass too: MLflow's clients send them. */
RT_CHECKED rt_status rt_json_check(rt_text json, rt_json_spans *spans, rt_error *err);

typedef enum rt_json_kind {
    RT_JSON_OBJECT,
    RT_JSON_ARRAY,
    RT_JSON_TEXT,
    RT_JSON_NUMBER,
    RT_JSON_TRUE,
    RT_JSON_FALSE,
    RT_JSON_NULL,
    RT_JSON_NAN,
    RT_JSON_INFINITY /* of either sign */
} rt_json_kind;

/* Where a walk over checked text stands: always before a value, or behind one. */
typedef struct rt_json {
    const char *at;
    const rt_json_spans *spans; /* of the check */
} rt_json;

rt_json rt_json_start(rt_text json, const rt_json_spans *spans);
rt_json_kind rt_json_kind_of(const rt_json *json);

/* Over the value. */
void rt_json_skip(rt_json *json);

/* The value as it is written, a text without its quotes; steps behind it. */
rt_text rt_json_take(rt_json *json);

/* Into an object or array: before its first element, or, false, behind an empty one. */
bool rt_json_enter(rt_json *json);

/* Behind an element: before the next, or, false, behind the object or array. */
bool rt_json_next(rt_json *json);

/* Before a member of an object: its name as it is written; steps before its value. */
rt_text rt_json_name(rt_json *json);

/* A text without its escapes; lies in `room` if it had any. RT_INVALID for half a
 * surrogate pair. */
RT_CHECKED rt_status rt_json_unescape(rt_text raw, rt_dynbuf *room, rt_text *out,
                                      rt_error *err);

#endif

/* What of MLflow's REST interface is spoken: one table, one checker, one builder.
 *
 * Arguments are checked here and not left to the server, because it corrupts what
 * it cannot read and answers 200: a metric "abc" is stored as 0.0, an unknown run
 * status is ignored, an unknown field is dropped. */
#ifndef RT_NET_ENDPOINTS_H
#define RT_NET_ENDPOINTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/dynbuf.h"
#include "base/status.h"

typedef enum rt_argument_kind {
    RT_KIND_NONE, /* ends a list of fields */
    RT_KIND_TEXT, /* not empty, no control bytes */
    RT_KIND_KEY,  /* a text of at most RT_MAX_NAME_BYTES */
    RT_KIND_NAME, /* a key without / : % and .. (it also becomes part of URIs) */
    RT_KIND_FREE, /* any string */
    RT_KIND_WHOLE,
    RT_KIND_VERSION, /* decimal digits in a string: an integer is answered 400 */
    RT_KIND_STATUS,
    RT_KIND_TEXTS,
    RT_KIND_TAGS,   /* [{"key", "value"}], for parameters too */
    RT_KIND_METRICS /* [{"key", "value", "timestamp", "step"}] */
} rt_argument_kind;

typedef struct rt_field {
    const char *name;
    rt_argument_kind kind;
    bool optional;
} rt_field;

enum { RT_ENDPOINT_FIELDS = 7 };

typedef struct rt_endpoint {
    const char *method;
    const char *path;
    bool repeatable; /* doing it twice leaves the same state as doing it once */
    rt_field fields[RT_ENDPOINT_FIELDS];
} rt_endpoint;

/* By "METHOD path", for example "POST runs/create"; NULL when not spoken. */
const rt_endpoint *rt_endpoint_find(const char *call);

/* RT_INVALID names the argument that is missing, unknown or of the wrong shape. */
RT_CHECKED rt_status rt_endpoint_check(const rt_endpoint *endpoint,
                                       const json_t *arguments, rt_error *err);

/* Checked arguments as "/api/2.0/...?query" and a JSON body (empty for GET). */
RT_CHECKED rt_status rt_endpoint_build(const rt_endpoint *endpoint,
                                       const json_t *arguments, rt_dynbuf *target,
                                       rt_dynbuf *body, rt_error *err);

#endif

/* One HTTP request over libcurl. http.c is the only file that knows libcurl, so
 * every rule about the wire is enforced in one place:
 *   certificates are always verified, redirects are never followed, netrc is
 *   never read, only http and https are spoken;
 *   credentials travel by libcurl's own options, never in a header made here,
 *   and never over plain http except to this machine or when told so;
 *   answers are bounded in headers, body and time, and can be cancelled.
 *
 * Nothing is retried here: a failure says whether the request had been sent, and
 * the caller knows what may be repeated. */
#ifndef RT_NET_HTTP_H
#define RT_NET_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/dynbuf.h"
#include "base/status.h"
#include "net/body.h"
#include "net/server.h"

typedef struct rt_http rt_http;

typedef struct rt_http_request {
    const char *method;
    const char *target;       /* "/path?query", already encoded */
    const char *content_type; /* NULL: no body */
    const void *body;
    int64_t body_bytes;
    const char *body_file; /* a file streamed instead of `body` */
    rt_sink *sink;         /* NULL, or where the body of a 2xx answer goes */
    int64_t reply_bytes_max;
    bool fresh_connection; /* see http.c: for requests that must not repeat */
} rt_http_request;

typedef struct rt_http_reply {
    int32_t http_status;
    char content_type[64];
    int64_t retry_after_ms; /* -1: the server named none */
    bool sent;              /* when no answer came: part of the request had left */
    bool permanent;         /* when no answer came: trying again would not help */
    rt_dynbuf body;
    uint8_t sent_sha256[RT_SHA256_BYTES]; /* of `body_file` as it was sent */
} rt_http_reply;

/* Checks and copies the options; opens no socket. */
RT_CHECKED rt_status rt_http_open(rt_http **out, const rt_server_options *options,
                                  rt_error *err);

/* Wipes the credentials. NULL is fine. */
void rt_http_close(rt_http *http);

/* RT_OK with any status line the server sent; RT_NETWORK, RT_TIMEOUT or
 * RT_CANCELLED otherwise. Safe to call from several threads at a time and in a
 * forked child. `reply` is initialised here; its body is freed by the caller. */
RT_CHECKED rt_status rt_http_perform(rt_http *http, const rt_http_request *request,
                                     int64_t deadline_ms, rt_ctl *ctl,
                                     rt_http_reply *reply, rt_error *err);

/* Borrowed; lives as long as `http`. */
const rt_server *rt_http_server(const rt_http *http);

#endif

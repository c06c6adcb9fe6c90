/* Calls, uploads and downloads: one attempt, and the rules by which it is repeated. */
#define _POSIX_C_SOURCE 200809L
#include "net/mlflow.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/retry.h"
#include "net/url.h"

static const char artifact_root[] = "/api/2.0/mlflow-artifacts/artifacts";

/* One call and what it may do. `json` and `bytes` say where the answer goes. */
typedef struct exchange {
    rt_http_request request;
    const char *path; /* for messages: the template, without values */
    bool repeatable;
    json_t **json;
    rt_dynbuf *bytes;
    uint8_t *digest; /* of the file that was sent */
} exchange;

static rt_status attempt(rt_http *http, const exchange *what,
                         const rt_mlflow_patience *patience, rt_failure *failure,
                         int64_t *retry_after_ms, rt_error *err)
{
    rt_http_reply reply;
    *failure = (rt_failure){0};
    *retry_after_ms = -1;
    if (what->request.sink != NULL) {
        rt_status empty = rt_sink_restart(what->request.sink, err);
        if (empty != RT_OK) {
            return empty;
        }
    }
    rt_status status = rt_http_perform(http, &what->request, patience->deadline_ms,
                                       patience->ctl, &reply, err);
    *retry_after_ms = reply.retry_after_ms;
    if (status == RT_OK && reply.http_status >= 300 && reply.body.data != NULL) {
        /* Before anything is cut to length: half a secret is still a secret. */
        rt_server_redact(rt_http_server(http), reply.body.data);
    }
    if (status == RT_OK) {
        status = rt_answer_read(reply.http_status, reply.content_type,
                                rt_dynbuf_text(&reply.body), reply.body.size_bytes,
                                what->json, failure, err);
    } else {
        failure->transient =
            (status == RT_NETWORK || status == RT_TIMEOUT) && !reply.permanent;
        failure->unsure = reply.sent;
    }
    if (what->digest != NULL) {
        memcpy(what->digest, reply.sent_sha256, RT_SHA256_BYTES);
    }
    if (status == RT_OK && what->bytes != NULL) {
        *what->bytes = reply.body; /* changes hands */
    } else {
        rt_dynbuf_free(&reply.body);
    }
    return status;
}

/* Says which call failed and how often it was tried, and hides what the server
 * may have echoed. */
static rt_status conclude(const rt_http *http, const exchange *what, int32_t attempts,
                          rt_status status, rt_error *err)
{
    rt_error story = *err;
    char tried[48] = "";
    if (attempts > 1) {
        (void)snprintf(tried, sizeof tried, " (tried %d times)", (int)attempts);
    }
    rt_server_redact(rt_http_server(http), story.message);
    return rt_fail(err, status, "rt_mlflow", "%s %s: %s%s", what->request.method,
                   what->path, story.message, tried);
}

static void report(const rt_http *http, const rt_failure *failure, bool repeatable,
                   int32_t attempts, rt_mlflow_failure *out)
{
    out->http_status = failure->http_status;
    memcpy(out->error_code, failure->error_code, sizeof out->error_code);
    rt_server_redact(rt_http_server(http), out->error_code);
    out->ambiguous = failure->unsure && !repeatable;
    out->attempts = attempts;
}

static rt_status send(rt_http *http, const exchange *what,
                      const rt_mlflow_patience *patience, rt_mlflow_failure *out,
                      rt_error *err)
{
    rt_failure failure = {0};
    rt_error local = {RT_OK, NULL, ""};
    int32_t attempts = 0;
    rt_status status = RT_OK;
    bool again = true;

    if (err == NULL) {
        err = &local;
    }
    while (again) {
        int64_t asked_ms = -1;
        status = attempt(http, what, patience, &failure, &asked_ms, err);
        attempts++;
        uint64_t seed = (uint64_t)rt_now_ms() ^ ((uint64_t)getpid() << 32) ^
                        (uint64_t)(uintptr_t)&failure;
        int64_t next_ms = rt_now_ms() + rt_retry_delay_ms(attempts - 1, asked_ms, seed);
        /* A pause that ends after the deadline would only hide the real error
         * behind a timeout: the error is reported now. */
        again = status != RT_OK && failure.transient && attempts < RT_MAX_ATTEMPTS &&
                next_ms < patience->deadline_ms &&
                (what->repeatable || !failure.unsure);
        if (again) {
            rt_error wait = {RT_OK, NULL, ""};
            again = rt_sleep_until(next_ms, patience->ctl, &wait) == RT_OK;
            if (!again) {
                status = RT_CANCELLED;
                *err = wait;
            }
        }
    }
    report(http, &failure, what->repeatable, attempts, out);
    return status == RT_OK ? RT_OK : conclude(http, what, attempts, status, err);
}

rt_status rt_mlflow_call(rt_http *http, const rt_endpoint *endpoint,
                         const json_t *arguments, const rt_mlflow_patience *patience,
                         json_t **answer, rt_mlflow_failure *failure, rt_error *err)
{
    rt_dynbuf target;
    rt_dynbuf body;
    assert(endpoint != NULL && patience != NULL);

    *answer = NULL;
    *failure = (rt_mlflow_failure){0};
    rt_dynbuf_init(&target, RT_MAX_URL_BYTES);
    rt_dynbuf_init(&body, RT_MAX_JSON_BYTES);
    rt_status status = rt_endpoint_check(endpoint, arguments, err);
    if (status == RT_OK) {
        status = rt_endpoint_build(endpoint, arguments, &target, &body, err);
    }
    if (status == RT_OK) {
        bool has_body = body.size_bytes > 0;
        exchange what = {
            .request = {.method = endpoint->method,
                        .target = rt_dynbuf_text(&target),
                        .content_type =
                            has_body ? "Content-Type: application/json" : NULL,
                        .body = body.data,
                        .body_bytes = body.size_bytes,
                        .reply_bytes_max = RT_MAX_JSON_BYTES,
                        .fresh_connection = !endpoint->repeatable},
            .path = endpoint->path,
            .repeatable = endpoint->repeatable,
            .json = answer,
        };
        status = send(http, &what, patience, failure, err);
    }
    rt_dynbuf_free(&target);
    rt_dynbuf_free(&body);
    return status;
}

/* Paths below the artefact root are encoded part by part: a "/" separates, and
 * nothing a caller writes can climb out. */
static rt_status artifact_target(const char *path, rt_dynbuf *target, rt_error *err)
{
    rt_dynbuf_init(target, RT_MAX_URL_BYTES);
    rt_status status = rt_dynbuf_add_text(target, artifact_root, err);
    return status != RT_OK ? status : rt_url_add_path(target, path, err);
}

rt_status rt_mlflow_upload(rt_http *http, const char *path, const void *bytes,
                           int64_t size_bytes, const char *file,
                           uint8_t digest[RT_SHA256_BYTES],
                           const rt_mlflow_patience *patience,
                           rt_mlflow_failure *failure, rt_error *err)
{
    rt_dynbuf target;

    *failure = (rt_mlflow_failure){0};
    rt_status status = artifact_target(path, &target, err);
    if (status == RT_OK) {
        exchange what = {
            .request = {.method = "PUT",
                        .target = rt_dynbuf_text(&target),
                        .content_type = "Content-Type: application/octet-stream",
                        .body = bytes,
                        .body_bytes = size_bytes,
                        .body_file = file,
                        .reply_bytes_max = RT_MAX_JSON_BYTES},
            .path = "artifacts",
            .repeatable = true,
            .digest = file != NULL ? digest : NULL,
        };
        status = send(http, &what, patience, failure, err);
    }
    if (file == NULL) {
        rt_sha256(bytes, (size_t)size_bytes, digest);
    }
    rt_dynbuf_free(&target);
    return status;
}

static rt_status fetch(rt_http *http, const char *target, const char *path,
                       const rt_mlflow_patience *patience, rt_dynbuf *out,
                       rt_mlflow_failure *failure, rt_error *err)
{
    exchange what = {
        .request = {.method = "GET",
                    .target = target,
                    .reply_bytes_max = RT_MAX_DOWNLOAD_BYTES},
        .path = path,
        .repeatable = true,
        .bytes = out,
    };
    return send(http, &what, patience, failure, err);
}

rt_status rt_mlflow_download(rt_http *http, const char *path,
                             const rt_mlflow_patience *patience, rt_dynbuf *out,
                             rt_mlflow_failure *failure, rt_error *err)
{
    rt_dynbuf target;

    *failure = (rt_mlflow_failure){0};
    rt_dynbuf_init(out, 0);
    rt_status status = artifact_target(path, &target, err);
    if (status == RT_OK) {
        status = fetch(http, rt_dynbuf_text(&target), "artifacts", patience, out,
                       failure, err);
    }
    rt_dynbuf_free(&target);
    return status;
}

rt_status rt_mlflow_download_file(rt_http *http, const char *path, const char *file,
                                  uint8_t digest[RT_SHA256_BYTES],
                                  const rt_mlflow_patience *patience,
                                  rt_mlflow_failure *failure, rt_error *err)
{
    rt_sink sink = {.file = -1};
    rt_dynbuf target;

    *failure = (rt_mlflow_failure){0};
    rt_status status = artifact_target(path, &target, err);
    if (status == RT_OK) {
        status = rt_sink_open(&sink, file, RT_MAX_FILE_BYTES, err);
    }
    if (status == RT_OK) {
        exchange what = {
            .request = {.method = "GET",
                        .target = rt_dynbuf_text(&target),
                        .sink = &sink,
                        .reply_bytes_max = RT_MAX_JSON_BYTES},
            .path = "artifacts",
            .repeatable = true,
        };
        status = send(http, &what, patience, failure, err);
        rt_sha256_end(&sink.hash, digest);
    }
    rt_sink_close(&sink, file, status == RT_OK);
    rt_dynbuf_free(&target);
    return status;
}

rt_status rt_mlflow_text(rt_http *http, const char *path,
                         const rt_mlflow_patience *patience, rt_dynbuf *out,
                         rt_mlflow_failure *failure, rt_error *err)
{
    rt_dynbuf target;

    *failure = (rt_mlflow_failure){0};
    rt_dynbuf_init(out, 0);
    rt_dynbuf_init(&target, RT_MAX_URL_BYTES);
    rt_status status = rt_url_add_path(&target, path, err);
    if (status == RT_OK) {
        status =
            fetch(http, rt_dynbuf_text(&target), path, patience, out, failure, err);
    }
    rt_dynbuf_free(&target);
    return status;
}

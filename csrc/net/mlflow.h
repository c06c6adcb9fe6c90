/* Calls to an MLflow server: one deadline over all attempts, and the rule which
 * failure may be answered by trying again.
 *
 * A call that is repeatable (endpoints.h) is tried again after any transient
 * failure. A create is tried again only when the server cannot have carried it
 * out; else `failure->ambiguous` is set and the caller must look what is there. */
#ifndef RT_NET_MLFLOW_H
#define RT_NET_MLFLOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/dynbuf.h"
#include "base/status.h"
#include "net/answer.h"
#include "net/endpoints.h"
#include "net/http.h"

typedef struct rt_mlflow_failure {
    int32_t http_status;
    char error_code[64];
    bool ambiguous; /* what was asked for may exist now */
    int32_t attempts;
} rt_mlflow_failure;

/* How long one call may take, and the line to whoever may stop it. */
typedef struct rt_mlflow_patience {
    int64_t deadline_ms; /* on the clock of rt_now_ms */
    rt_ctl *ctl;
} rt_mlflow_patience;

/* *answer is owned by the caller. */
RT_CHECKED rt_status rt_mlflow_call(rt_http *http, const rt_endpoint *endpoint,
                                    const json_t *arguments,
                                    const rt_mlflow_patience *patience, json_t **answer,
                                    rt_mlflow_failure *failure, rt_error *err);

/* Puts `bytes`, or the file when `file` is not NULL, at `path` below the artefact
 * root; overwrites. `digest` is the SHA-256 of what was sent. */
RT_CHECKED rt_status rt_mlflow_upload(rt_http *http, const char *path,
                                      const void *bytes, int64_t size_bytes,
                                      const char *file, uint8_t digest[RT_SHA256_BYTES],
                                      const rt_mlflow_patience *patience,
                                      rt_mlflow_failure *failure, rt_error *err);

/* The bytes at `path`; `out` is initialised here and freed by the caller. */
RT_CHECKED rt_status rt_mlflow_download(rt_http *http, const char *path,
                                        const rt_mlflow_patience *patience,
                                        rt_dynbuf *out, rt_mlflow_failure *failure,
                                        rt_error *err);

/* The same into a new file, never whole in memory; `digest` is its SHA-256. On
 * failure no file is left. */
RT_CHECKED rt_status rt_mlflow_download_file(rt_http *http, const char *path,
                                             const char *file,
                                             uint8_t digest[RT_SHA256_BYTES],
                                             const rt_mlflow_patience *patience,
                                             rt_mlflow_failure *failure, rt_error *err);

/* A plain text resource at the server's root: "health", "version". */
RT_CHECKED rt_status rt_mlflow_text(rt_http *http, const char *path,
                                    const rt_mlflow_patience *patience, rt_dynbuf *out,
                                    rt_mlflow_failure *failure, rt_error *err);

#endif

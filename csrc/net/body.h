/* Files that are streamed as the body of a request or of an answer. What passes is
 * hashed on its way, so nothing has to be read twice. */
#ifndef RT_NET_BODY_H
#define RT_NET_BODY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/sha256.h"
#include "base/status.h"

typedef struct rt_body {
    int file; /* -1: none */
    int64_t size_bytes;
    rt_sha256_state hash; /* of what was read since the last rewind */
} rt_body;

/* Regular files only: a pipe could not be sent a second time. NULL opens none. */
RT_CHECKED rt_status rt_body_open(rt_body *body, const char *path, rt_error *err);
void rt_body_close(rt_body *body);

/* Bytes read, 0 at the end, -1 on failure. */
ssize_t rt_body_read(rt_body *body, void *bytes, size_t room);

/* 0, or -1 when the file cannot be rewound; only to its start, where the hash begins.
 */
int rt_body_rewind(rt_body *body);

/* Where an answer goes. */
typedef struct rt_sink {
    int file; /* -1: none */
    int64_t size_bytes;
    int64_t bytes_max;
    rt_sha256_state hash;
} rt_sink;

/* A new file that only this user may read; RT_INVALID when the name is taken, be it
 * by a link: what a server sends must never land in a file somebody else chose. */
RT_CHECKED rt_status rt_sink_open(rt_sink *sink, const char *path, int64_t bytes_max,
                                  rt_error *err);

/* RT_LIMIT beyond the maximum, RT_SYSTEM when the disk is full. */
RT_CHECKED rt_status rt_sink_add(rt_sink *sink, const void *bytes, int64_t size_bytes,
                                 rt_error *err);

/* Empty again, for another attempt. */
RT_CHECKED rt_status rt_sink_restart(rt_sink *sink, rt_error *err);

/* Closes; removes the file unless `keep`. */
void rt_sink_close(rt_sink *sink, const char *path, bool keep);

#endif

/* Files on their way to and from a server, hashed as they pass. Unit: bytes. */
#define _POSIX_C_SOURCE 200809L
#include "net/body.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

rt_status rt_body_open(rt_body *body, const char *path, rt_error *err)
{
    struct stat about;

    *body = (rt_body){.file = -1};
    if (path == NULL) {
        return RT_OK;
    }
    body->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (body->file < 0) {
        return rt_fail(err, RT_SYSTEM, "rt_body_open",
                       "%.300s cannot be opened (errno %d)", path, errno);
    }
    if (fstat(body->file, &about) != 0 || !S_ISREG(about.st_mode)) {
        rt_body_close(body);
        return rt_fail(err, RT_INVALID, "rt_body_open", "%.300s is not a regular file",
                       path);
    }
    body->size_bytes = about.st_size;
    rt_sha256_init(&body->hash);
    return RT_OK;
}

void rt_body_close(rt_body *body)
{
    if (body->file >= 0) {
        close(body->file);
        body->file = -1;
    }
}

ssize_t rt_body_read(rt_body *body, void *bytes, size_t room)
{
    ssize_t got = 0;
    do {
        got = read(body->file, bytes, room);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        rt_sha256_add(&body->hash, bytes, (size_t)got);
    }
    return got;
}

int rt_body_rewind(rt_body *body)
{
    rt_sha256_init(&body->hash);
    return lseek(body->file, 0, SEEK_SET) == 0 ? 0 : -1;
}

rt_status rt_sink_open(rt_sink *sink, const char *path, int64_t bytes_max,
                       rt_error *err)
{
    *sink = (rt_sink){.file = -1, .bytes_max = bytes_max};
    rt_sha256_init(&sink->hash);
    sink->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (sink->file >= 0) {
        return RT_OK;
    }
    return errno == EEXIST
               ? rt_fail(err, RT_INVALID, "rt_sink_open",
                         "%.300s is there already; name a new file", path)
               : rt_fail(err, RT_SYSTEM, "rt_sink_open",
                         "%.300s cannot be created (errno %d)", path, errno);
}

rt_status rt_sink_add(rt_sink *sink, const void *bytes, int64_t size_bytes,
                      rt_error *err)
{
    const char *next = bytes;
    if (size_bytes > sink->bytes_max - sink->size_bytes) {
        return rt_fail(err, RT_LIMIT, "rt_sink_add", "more than the allowed %lld bytes",
                       (long long)sink->bytes_max);
    }
    rt_sha256_add(&sink->hash, bytes, (size_t)size_bytes);
    sink->size_bytes += size_bytes;
    while (size_bytes > 0) {
        ssize_t put = write(sink->file, next, (size_t)size_bytes);
        if (put < 0 && errno != EINTR) {
            return rt_fail(err, RT_SYSTEM, "rt_sink_add",
                           "writing the download failed (errno %d)", errno);
        }
        next += put > 0 ? put : 0;
        size_bytes -= put > 0 ? put : 0;
    }
    return RT_OK;
}

rt_status rt_sink_restart(rt_sink *sink, rt_error *err)
{
    sink->size_bytes = 0;
    rt_sha256_init(&sink->hash);
    if (ftruncate(sink->file, 0) != 0 || lseek(sink->file, 0, SEEK_SET) != 0) {
        return rt_fail(err, RT_SYSTEM, "rt_sink_restart",
                       "emptying the download failed (errno %d)", errno);
    }
    return RT_OK;
}

void rt_sink_close(rt_sink *sink, const char *path, bool keep)
{
    if (sink->file >= 0) {
        close(sink->file);
        sink->file = -1;
        if (!keep) {
            (void)unlink(path);
        }
    }
}

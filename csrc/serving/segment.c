/* Files by the system's own calls: a record is in the page cache, safe from any death
 * of the process, when write returns. Unit: one file. */
#define _DEFAULT_SOURCE /* flock */
#include "serving/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sync_folder(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

bool rt_segment_open(rt_segment *segment, const char *folder, int64_t writer)
{
    char part[PATH_MAX];
    char name[PATH_MAX];
    const long long now = (long long)nanoseconds(CLOCK_REALTIME);
    const unsigned long long who = (unsigned long long)writer;
    *segment = (rt_segment){.fd = -1, .opened_ns = nanoseconds(CLOCK_MONOTONIC)};
    const int length =
        snprintf(name, sizeof name, "%s/%020lld-%016llx.log", folder, now, who);
    (void)snprintf(part, sizeof part, "%s/.%020lld-%016llx.part", folder, now, who);
    if (length < 0 || length >= (int)sizeof name) {
        return false;
    }
    segment->fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (segment->fd >= 0 && flock(segment->fd, LOCK_EX | LOCK_NB) == 0 &&
        rename(part, name) == 0) {
        sync_folder(folder);
        return true;
    }
    rt_segment_close(segment);
    (void)unlink(part);
    return false;
}

bool rt_segment_write(rt_segment *segment, const char *bytes, int64_t count)
{
    int64_t done = 0;
    while (done < count) {
        const ssize_t n = write(segment->fd, bytes + done, (size_t)(count - done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        done += n;
    }
    if (done < count) {
        if (done > 0 && ftruncate(segment->fd, (off_t)segment->bytes) != 0) {
            rt_segment_close(segment); /* nothing may follow half a record */
        }
        return false;
    }
    segment->bytes += count;
    return true;
}

bool rt_segment_sync(const rt_segment *segment)
{
    return fdatasync(segment->fd) == 0;
}

void rt_segment_close(rt_segment *segment)
{
    if (segment->fd >= 0) {
        (void)close(segment->fd);
    }
    segment->fd = -1;
}

int64_t rt_segment_room(const rt_segment *segment)
{
    struct statvfs disk;
    int64_t bytes = INT64_MAX;
    if (segment->fd < 0 || fstatvfs(segment->fd, &disk) != 0 ||
        __builtin_mul_overflow((int64_t)disk.f_bavail, (int64_t)disk.f_frsize,
                               &bytes)) {
        return INT64_MAX;
    }
    return bytes;
}

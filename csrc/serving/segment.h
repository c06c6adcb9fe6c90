/* A file of the request log while it is written. Who writes it holds its lock (flock),
 * which the kernel gives back when the process ends: a segment that can be locked is
 * closed. */
#ifndef RT_SERVING_SEGMENT_H
#define RT_SERVING_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct rt_segment {
    int fd; /* -1: none */
    int64_t bytes;
    int64_t opened_ns; /* monotonic */
} rt_segment;

/* A new, locked file <time>-<writer>.log of the folder, and the folder synced. It has
 * its name from the moment that it is locked. False when the disk refuses. */
bool rt_segment_open(rt_segment *segment, const char *folder, int64_t writer);

/* All of it or, false, nothing: what was written in part is cut off again. */
bool rt_segment_write(rt_segment *segment, const char *bytes, int64_t count);

bool rt_segment_sync(const rt_segment *segment);
void rt_segment_close(rt_segment *segment);

/* What its disk has left; INT64_MAX when nobody knows. */
int64_t rt_segment_room(const rt_segment *segment);

#endif

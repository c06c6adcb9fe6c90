/* A growing run of bytes that is born with a maximum: whatever a server sends,
 * the memory it can make us take is decided here, before the first byte. The
 * bytes are always followed by a NUL that is not counted. */
#ifndef RT_BASE_DYNBUF_H
#define RT_BASE_DYNBUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct rt_dynbuf {
    char *data; /* NULL until the first byte comes */
    int64_t size_bytes;
    int64_t room_bytes;
    int64_t bytes_max;
} rt_dynbuf;

void rt_dynbuf_init(rt_dynbuf *buffer, int64_t bytes_max);

/* RT_LIMIT when the bytes would pass the maximum; the buffer is then unchanged. */
RT_CHECKED rt_status rt_dynbuf_add(rt_dynbuf *buffer, const void *bytes,
                                   int64_t size_bytes, rt_error *err);
RT_CHECKED rt_status rt_dynbuf_add_text(rt_dynbuf *buffer, const char *text,
                                        rt_error *err);

/* Never NULL: "" when empty. */
const char *rt_dynbuf_text(const rt_dynbuf *buffer);

/* Forgets the bytes and keeps the memory. */
void rt_dynbuf_clear(rt_dynbuf *buffer);

/* Gives the memory back; the buffer stays usable, with the same maximum. */
void rt_dynbuf_free(rt_dynbuf *buffer);

#endif

#include "base/dynbuf.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

enum { SMALLEST_ROOM = 256 };

void rt_dynbuf_init(rt_dynbuf *buffer, int64_t bytes_max)
{
    assert(bytes_max >= 0 && bytes_max < INT64_MAX / 2);
    *buffer = (rt_dynbuf){.bytes_max = bytes_max};
}

/* Doubling keeps the copies linear in the final size; the last step stops at
 * the maximum, so a full buffer costs the maximum and not twice it. */
static rt_status make_room(rt_dynbuf *buffer, int64_t needed, rt_error *err)
{
    int64_t room = buffer->room_bytes > 0 ? buffer->room_bytes : SMALLEST_ROOM;
    void *block = buffer->data;

    if (needed <= buffer->room_bytes) {
        return RT_OK;
    }
    while (room < needed) {
        room *= 2;
    }
    if (room > buffer->bytes_max + 1) {
        room = buffer->bytes_max + 1;
    }
    rt_status status =
        rt_grow(&block, buffer->size_bytes, room, 1, "rt_dynbuf_add", err);
    if (status == RT_OK) {
        buffer->data = block;
        buffer->room_bytes = room;
    }
    return status;
}

rt_status rt_dynbuf_add(rt_dynbuf *buffer, const void *bytes, int64_t size_bytes,
                        rt_error *err)
{
    assert(size_bytes >= 0);
    if (size_bytes > buffer->bytes_max - buffer->size_bytes) {
        return rt_fail(err, RT_LIMIT, "rt_dynbuf_add",
                       "more than the allowed %lld bytes",
                       (long long)buffer->bytes_max);
    }
    rt_status status = make_room(buffer, buffer->size_bytes + size_bytes + 1, err);
    if (status != RT_OK) {
        return status;
    }
    if (size_bytes > 0) {
        memcpy(buffer->data + buffer->size_bytes, bytes, (size_t)size_bytes);
    }
    buffer->size_bytes += size_bytes;
    buffer->data[buffer->size_bytes] = '\0';
    return RT_OK;
}

rt_status rt_dynbuf_add_text(rt_dynbuf *buffer, const char *text, rt_error *err)
{
    return rt_dynbuf_add(buffer, text, (int64_t)strlen(text), err);
}

const char *rt_dynbuf_text(const rt_dynbuf *buffer)
{
    return buffer->data != NULL ? buffer->data : "";
}

void rt_dynbuf_clear(rt_dynbuf *buffer)
{
    buffer->size_bytes = 0;
    if (buffer->data != NULL) {
        buffer->data[0] = '\0';
    }
}

void rt_dynbuf_free(rt_dynbuf *buffer)
{
    rt_free(buffer->data);
    rt_dynbuf_init(buffer, buffer->bytes_max);
}

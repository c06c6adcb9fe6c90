/* A frame (mark, CRC-32C, length) before each record tells a whole record from one that
 * was cut off. Unit: one record. */
#include "serving/record.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/sizes.h"

typedef struct frame {
    uint32_t mark, crc;
    int64_t bytes; /* that follow */
} frame;

static const uint32_t mark = 0x676f4c52U; /* RLog */

/* Bytes behind the head; false when they are none that a record can have. */
static bool sizes_of(const rt_record_head *head, int64_t *scores, int64_t *units,
                     int64_t *all)
{
    const bool answer = head->kind == RT_RECORD_ANSWER;
    *units = 0;
    return head->rows >= 0 && head->outputs > 0 && head->id_bytes >= 0 &&
           head->body_bytes >= 0 && rt_mul_i64(head->rows, 8, units) &&
           rt_mul_i64(*units, head->outputs, scores) &&
           rt_add_i64(*scores, answer ? *units : 0, all) &&
           rt_add_i64(*all, head->id_bytes, all) &&
           rt_add_i64(*all, head->body_bytes, all) &&
           rt_add_i64(*all, (int64_t)sizeof *head, all);
}

rt_status rt_record_write(rt_dynbuf *out, const rt_record *record, rt_error *err)
{
    rt_record_head head = record->head;
    int64_t scores = 0;
    int64_t units = 0;
    int64_t all = 0;
    head.id_bytes = record->id.length;
    head.body_bytes = record->body.length;
    if (!sizes_of(&head, &scores, &units, &all)) {
        return rt_fail(err, RT_INVALID, "rt_record_write", "the sizes make no record");
    }
    const rt_text parts[] = {
        {(const char *)&head, sizeof head},
        {record->scores, scores},
        {record->units, head.kind == RT_RECORD_ANSWER ? units : 0},
        record->id,
        record->body,
    };
    frame before = {.mark = mark, .bytes = all};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        before.crc = rt_crc32c(before.crc, parts[i].bytes, (size_t)parts[i].length);
    }
    rt_status status = rt_dynbuf_add(out, &before, sizeof before, err);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == RT_OK; i++) {
        status = rt_dynbuf_add(out, parts[i].bytes, parts[i].length, err);
    }
    return status;
}

int64_t rt_record_read(rt_text segment, int64_t at, rt_record *record)
{
    frame before;
    int64_t scores = 0;
    int64_t units = 0;
    int64_t all = 0;
    const int64_t left = segment.length - at - (int64_t)sizeof before;
    if (left < (int64_t)sizeof record->head) {
        return 0;
    }
    memcpy(&before, segment.bytes + at, sizeof before);
    const char *from = segment.bytes + at + sizeof before;
    memcpy(&record->head, from, sizeof record->head);
    const bool sized =
        before.mark == mark && sizes_of(&record->head, &scores, &units, &all);
    if (!sized || before.bytes != all || all > left ||
        before.crc != rt_crc32c(0, from, (size_t)all)) {
        return 0;
    }
    record->scores = from + sizeof record->head;
    record->units = record->scores + scores;
    const char *id =
        record->units + (record->head.kind == RT_RECORD_ANSWER ? units : 0);
    record->id = (rt_text){id, record->head.id_bytes};
    record->body = (rt_text){id + record->head.id_bytes, record->head.body_bytes};
    return (int64_t)sizeof before + all;
}

int64_t rt_record_answered_by(const rt_record *record, int64_t row)
{
    uint64_t unit = 0;
    memcpy(&unit, record->units + row * (int64_t)sizeof unit, sizeof unit);
    const bool by_previous = record->head.previous != 0 && unit >= record->head.limit;
    return by_previous ? record->head.previous : record->head.version;
}

/* A record of the request log, as it lies in a segment: what was answered, or what
 * another model says of it. Written and read on one machine: the bytes are its own. */
#ifndef RT_SERVING_RECORD_H
#define RT_SERVING_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/dynbuf.h"
#include "model/text.h"

typedef enum rt_record_kind {
    RT_RECORD_ANSWER = 1,
    RT_RECORD_SHADOW = 2
} rt_record_kind;

enum { RT_RECORD_SCORED = 200, RT_RECORD_FAILED = 500 };

typedef struct rt_record_head {
    int64_t writer, sequence; /* who answered, and its how manieth answer */
    int64_t time_ns;          /* of the answer, since 1970 */
    int64_t took_ns;          /* reading and scoring */
    int64_t delay_ns;         /* of a shadow: from the answer to its score */
    int64_t version;          /* the champion; of a shadow: who scored */
    int64_t previous;         /* the version that it replaced; 0 outside a canary */
    uint64_t limit;           /* units whose hash lies below it met the champion */
    int64_t rows, id_bytes, body_bytes;
    int32_t outputs, kind, csv, status;
} rt_record_head;

/* `scores` are [rows][outputs] doubles, `units` [rows] hashes of 64 bits, neither
 * aligned; units and body are an answer's alone. */
typedef struct rt_record {
    rt_record_head head;
    const char *scores, *units;
    rt_text id, body;
} rt_record;

/* Adds the record; the head's sizes of id and body are the texts'. */
RT_CHECKED rt_status rt_record_write(rt_dynbuf *out, const rt_record *record,
                                     rt_error *err);

/* The record at a byte of a segment. Returns how many bytes it takes; 0 when no whole
 * and sound record lies there: the end, or where a write was cut off. */
int64_t rt_record_read(rt_text segment, int64_t at, rt_record *record);

/* Which version answered a row. */
int64_t rt_record_answered_by(const rt_record *record, int64_t row);

#endif

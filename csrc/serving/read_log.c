/* Bodies are read again, by the columns that the log is to have rather than by a model.
 * Unit: one record. */
#include "serving/read_log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "serving/record.h"
#include "serving/request.h"

void rt_log_scan(rt_text segment, rt_log_totals *totals)
{
    rt_record record;
    *totals = (rt_log_totals){.outputs = 1};
    int64_t bytes = rt_record_read(segment, 0, &record);
    while (bytes > 0) {
        const rt_record_head *head = &record.head;
        totals->answer_rows += head->kind == RT_RECORD_ANSWER ? head->rows : 0;
        totals->shadow_rows += head->kind == RT_RECORD_ANSWER ? 0 : head->rows;
        totals->outputs =
            head->outputs > totals->outputs ? head->outputs : totals->outputs;
        totals->sound_bytes += bytes;
        bytes = rt_record_read(segment, totals->sound_bytes, &record);
    }
}

static void put(rt_log_rows *rows, int32_t column, int64_t row, int64_t value)
{
    rows->numbers[column * rows->rows + rows->done + row] = value;
}

static int64_t unit_of(const rt_record *record, int64_t row)
{
    int64_t unit = 0;
    memcpy(&unit, record->units + row * (int64_t)sizeof unit, sizeof unit);
    return unit;
}

/* What both kinds of records have. */
static void put_numbers(const rt_record *record, int32_t outputs, rt_log_rows *rows)
{
    const rt_record_head *head = &record->head;
    const bool answer = head->kind == RT_RECORD_ANSWER;
    for (int64_t i = 0; i < head->rows; i++) {
        put(rows, RT_LOG_WRITER, i, head->writer);
        put(rows, RT_LOG_SEQUENCE, i, head->sequence);
        put(rows, RT_LOG_ROW, i, i);
        put(rows, RT_LOG_TIME_NS, i, head->time_ns);
        put(rows, RT_LOG_TOOK_NS, i, head->took_ns);
        put(rows, RT_LOG_VERSION, i,
            answer ? rt_record_answered_by(record, i) : head->version);
        put(rows, RT_LOG_UNIT, i, answer ? unit_of(record, i) : head->delay_ns);
        put(rows, RT_LOG_STATUS, i, head->status);
        put(rows, RT_LOG_LIMIT, i,
            (int64_t)(head->previous != 0 ? head->limit : UINT64_MAX));
        double *scores = rows->scores + (rows->done + i) * outputs;
        for (int32_t k = 0; k < outputs; k++) {
            scores[k] = (double)NAN;
        }
        memcpy(scores, record->scores + i * head->outputs * (int64_t)sizeof *scores,
               (size_t)head->outputs * sizeof *scores);
    }
}

/* The request's own id, for the rows whose body names none. */
static void put_ids(const rt_record *record, const rt_schema *columns, double *x)
{
    const int32_t width = rt_schema_width(columns);
    rt_levels *ids = &columns->levels[width - 1];
    char text[512];
    for (int64_t i = 0; i < record->head.rows; i++) {
        double *id = &x[(i + 1) * width - 1];
        if (isnan(*id) && record->head.rows == 1) {
            *id = rt_levels_number(ids, record->id);
        } else if (isnan(*id)) {
            const int length =
                snprintf(text, sizeof text, "%.*s.%lld",
                         (int)(record->id.length < 400 ? record->id.length : 400),
                         record->id.bytes, (long long)i);
            *id = rt_levels_number(ids, (rt_text){text, length});
        }
    }
}

static rt_status put_cells(const rt_record *record, const rt_schema *columns, double *x,
                           int64_t *unread, rt_error *err)
{
    const int64_t cells = record->head.rows * rt_schema_width(columns);
    rt_request_rows rows;
    rt_status status = rt_request_rows_init(&rows, columns, NULL, record->head.rows,
                                            record->body.length, err);
    if (status == RT_OK) {
        status =
            rt_request_read(&rows, record->head.csv != 0 ? RT_BODY_CSV : RT_BODY_JSON,
                            record->body, err);
    }
    if (status == RT_OK && rows.rows == record->head.rows) {
        memcpy(x, rows.x, (size_t)cells * sizeof *x);
    } else if (status != RT_NO_MEMORY) {
        for (int64_t i = 0; i < cells; i++) {
            x[i] = (double)NAN;
        }
        *unread += 1;
        status = RT_OK;
    }
    rt_request_rows_clear(&rows);
    if (status == RT_OK) {
        put_ids(record, columns, x);
    }
    return status;
}

static rt_status check_levels(const rt_schema *columns, rt_error *err)
{
    for (int32_t f = 0; f < rt_schema_width(columns); f++) {
        if (columns->levels[f].status != RT_OK) {
            return rt_fail(err, RT_NO_MEMORY, "rt_log_read",
                           "no memory for the levels");
        }
    }
    return RT_OK;
}

rt_status rt_log_read(rt_text segment, const rt_log_totals *totals,
                      const rt_schema *columns, rt_log_rows *answers,
                      rt_log_rows *shadows, int64_t *unread, rt_error *err)
{
    rt_record record;
    rt_status status = RT_OK;
    *unread = 0;
    for (int64_t at = 0; at < totals->sound_bytes && status == RT_OK;) {
        at += rt_record_read(segment, at, &record);
        rt_log_rows *rows = record.head.kind == RT_RECORD_ANSWER ? answers : shadows;
        put_numbers(&record, totals->outputs, rows);
        if (rows == answers) {
            double *x = rows->x + rows->done * rt_schema_width(columns);
            status = put_cells(&record, columns, x, unread, err);
        }
        rows->done += record.head.rows;
    }
    return status == RT_OK ? check_levels(columns, err) : status;
}

/* The rows of a request while they are read: numbers as a model wants them, and whose
 * cells are still missing. What is refused names the column and the row (from 1), and
 * never repeats what was sent. */
#ifndef RT_SERVING_ROWS_H
#define RT_SERVING_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/dynbuf.h"
#include "base/siphash.h"
#include "serving/json.h"
#include "serving/schema.h"

/* The column whose values are units of a canary, and the key that hashes them. */
typedef struct rt_unit {
    rt_text name;
    uint8_t key[RT_SIPHASH_KEY_BYTES];
} rt_unit;

/* Columns are numbered as the model's features; the unit, where there is one, comes
 * after them, and may be one of them too. */
typedef struct rt_request_rows {
    const rt_schema *schema;
    const rt_unit *unit; /* NULL: none */
    int64_t most;        /* rows a request may have */
    int64_t body_bytes;  /* no request has more cells than bytes */
    double *x;           /* [rows][features] */
    uint64_t *hash;      /* [rows] of the unit */
    int64_t rows, room;
    int32_t *feature_of; /* [columns] of the request: its number, or -1 */
    int32_t columns, column_room;
    int32_t next;         /* the feature that probably comes next */
    int32_t unit_feature; /* the feature that is the unit too, or -1 */
    int64_t *seen;  /* [features and unit] the last row (from 1) that had a cell */
    rt_dynbuf text; /* a name or cell without its escapes */
} rt_request_rows;

RT_CHECKED rt_status rt_request_rows_init(rt_request_rows *rows,
                                          const rt_schema *schema, const rt_unit *unit,
                                          int64_t most, int64_t body_bytes,
                                          rt_error *err);
void rt_request_rows_clear(rt_request_rows *rows);

/* `count` more rows, their cells to be filled. RT_LIMIT beyond `most`, RT_INVALID when
 * so many cells cannot lie in the body: memory stays in proportion to what was sent. */
RT_CHECKED rt_status rt_request_rows_add(rt_request_rows *rows, int64_t count,
                                         rt_error *err);

/* The number of a column that the request names, or -1. */
int32_t rt_request_rows_find(rt_request_rows *rows, rt_text name);

/* Its name as messages quote it. */
const char *rt_request_rows_quote(const rt_request_rows *rows, int32_t column,
                                  char room[RT_QUOTED_ROOM]);

/* The next of the request's columns. RT_INVALID for a feature that was named already.
 */
RT_CHECKED rt_status rt_request_rows_add_column(rt_request_rows *rows, rt_text name,
                                                rt_error *err);

/* RT_INVALID unless every feature is among the columns. */
RT_CHECKED rt_status rt_request_rows_check_columns(const rt_request_rows *rows,
                                                   rt_error *err);

/* RT_INVALID unless the newest row has a cell of every feature. */
RT_CHECKED rt_status rt_request_rows_check_cells(const rt_request_rows *rows,
                                                 rt_error *err);

/* A cell of the row (from 0); steps over the value. */
RT_CHECKED rt_status rt_request_rows_set_json(rt_request_rows *rows, int64_t row,
                                              int32_t feature, rt_json *json,
                                              rt_error *err);

/* The same from the text of a CSV cell. */
RT_CHECKED rt_status rt_request_rows_set_text(rt_request_rows *rows, int64_t row,
                                              int32_t feature, rt_text cell,
                                              rt_error *err);

#endif

/* One pass over the text; a quoted cell is copied without its quotes. Unit: one cell.
 */
#include "serving/read_csv.h"

#include <string.h>

typedef struct csv {
    const char *at, *end;
    int64_t line;
} csv;

static bool ends_cell(char c)
{
    return c == ',' || c == '\n' || c == '\r';
}

static rt_status broken(const csv *c, const char *problem, rt_error *err)
{
    return rt_fail(err, RT_INVALID, "rt_read_csv", "line %lld of the CSV %s",
                   (long long)c->line, problem);
}

/* From behind the opening quote; a quote inside is written twice. */
static rt_status take_quoted(csv *c, rt_dynbuf *room, rt_text *out, rt_error *err)
{
    rt_dynbuf_clear(room);
    for (;;) {
        const char *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
        if (quote == NULL) {
            return broken(c, "opens a quote that never closes", err);
        }
        const bool doubled = quote + 1 < c->end && quote[1] == '"';
        rt_status status =
            rt_dynbuf_add(room, c->at, quote - c->at + (doubled ? 1 : 0), err);
        c->at = quote + (doubled ? 2 : 1);
        if (status != RT_OK) {
            return status;
        }
        if (!doubled) {
            *out = (rt_text){rt_dynbuf_text(room), room->size_bytes};
            return c->at == c->end || ends_cell(*c->at)
                       ? RT_OK
                       : broken(c, "goes on behind a closing quote", err);
        }
    }
}

/* A cell; stands then at what ended it. */
static rt_status take_cell(csv *c, rt_dynbuf *room, rt_text *out, rt_error *err)
{
    const char *first = c->at;
    if (first < c->end && *first == '"') {
        c->at++;
        return take_quoted(c, room, out, err);
    }
    while (c->at < c->end && !ends_cell(*c->at)) {
        c->at++;
    }
    *out = (rt_text){first, c->at - first};
    return RT_OK;
}

/* Over a comma: the line goes on. */
static bool take_comma(csv *c)
{
    const bool found = c->at < c->end && *c->at == ',';
    c->at += found ? 1 : 0;
    return found;
}

/* Over the ends of lines, blank lines included. */
static void skip_line_ends(csv *c)
{
    while (c->at < c->end && (*c->at == '\n' || *c->at == '\r')) {
        c->line += *c->at == '\n' ? 1 : 0;
        c->at++;
    }
}

static rt_status read_header(rt_request_rows *rows, csv *c, rt_error *err)
{
    do {
        rt_text name;
        rt_status status = take_cell(c, &rows->text, &name, err);
        if (status == RT_OK) {
            status = rt_request_rows_add_column(rows, name, err);
        }
        if (status != RT_OK) {
            return status;
        }
    } while (take_comma(c));
    return rt_request_rows_check_columns(rows, err);
}

static rt_status wrong_width(const rt_request_rows *rows, const csv *c, rt_error *err)
{
    return rt_fail(err, RT_INVALID, "rt_read_csv",
                   "line %lld of the CSV does not have one cell for each of the %d "
                   "columns",
                   (long long)c->line, rows->columns);
}

static rt_status read_line(rt_request_rows *rows, csv *c, rt_error *err)
{
    int32_t column = 0;
    do {
        rt_text cell;
        rt_status status = take_cell(c, &rows->text, &cell, err);
        if (status == RT_OK && column == rows->columns) {
            status = wrong_width(rows, c, err);
        }
        const int32_t feature = status == RT_OK ? rows->feature_of[column++] : -1;
        if (feature >= 0) {
            status = rt_request_rows_set_text(rows, rows->rows - 1, feature, cell, err);
        }
        if (status != RT_OK) {
            return status;
        }
    } while (take_comma(c));
    return column == rows->columns ? RT_OK : wrong_width(rows, c, err);
}

rt_status rt_read_csv(rt_request_rows *rows, rt_text body, rt_error *err)
{
    csv c = {body.bytes, body.bytes + body.length, 1};
    skip_line_ends(&c);
    rt_status status = read_header(rows, &c, err);
    for (skip_line_ends(&c); status == RT_OK && c.at < c.end; skip_line_ends(&c)) {
        status = rt_request_rows_add(rows, 1, err);
        if (status == RT_OK) {
            status = read_line(rows, &c, err);
        }
    }
    return status;
}

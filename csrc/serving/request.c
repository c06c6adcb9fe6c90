/* Nothing is shared between two calls, so requests may be answered side by side. Unit:
 * one request. */
#include "serving/request.h"

#include <string.h>

#include "base/alloc.h"
#include "base/math.h"
#include "model/predict.h"
#include "serving/log.h"
#include "serving/read_csv.h"
#include "serving/read_json.h"

/* A request is mostly ASCII: eight bytes at a time say so. */
static bool is_utf8(rt_text text)
{
    const uint64_t high = 0x8080808080808080U;
    int64_t at = 0;
    for (; at + 8 <= text.length; at += 8) {
        uint64_t eight = 0;
        memcpy(&eight, text.bytes + at, sizeof eight);
        if ((eight & high) != 0) {
            break;
        }
    }
    return rt_text_is_utf8((rt_text){text.bytes + at, text.length - at}) != 0;
}

static rt_text without_mark(rt_text body)
{
    const bool marked = body.length >= 3 && memcmp(body.bytes, "\xef\xbb\xbf", 3) == 0;
    return marked ? (rt_text){body.bytes + 3, body.length - 3} : body;
}

rt_status rt_request_read(rt_request_rows *rows, rt_body_kind kind, rt_text body,
                          rt_error *err)
{
    body = without_mark(body);
    if (body.length == 0) {
        return rt_fail(err, RT_INVALID, "rt_request_read", "the body is empty");
    }
    if (!is_utf8(body)) {
        return rt_fail(err, RT_INVALID, "rt_request_read", "the body is not UTF-8");
    }
    rt_status status = kind == RT_BODY_JSON ? rt_read_json(rows, body, err)
                                            : rt_read_csv(rows, body, err);
    if (status == RT_OK && rows->rows == 0) {
        return rt_fail(err, RT_INVALID, "rt_request_read", "the request has no rows");
    }
    return status;
}

rt_status rt_request_score(const rt_request_rows *rows, double *scores, rt_error *err)
{
    const rt_model *model = rows->schema->model;
    const rt_matrix x = {.data = (const char *)rows->x,
                         .rows = rows->rows,
                         .columns = model->n_features,
                         .row_bytes = model->n_features * (int64_t)sizeof(double),
                         .column_bytes = sizeof(double),
                         .is_f64 = true};
    return rt_model_predict(model, &x, 1, NULL, scores, err);
}

static rt_status write_row(rt_dynbuf *answer, const double *scores, int32_t outputs,
                           rt_error *err)
{
    char text[RT_NUMBER_TEXT_ROOM];
    rt_status status = RT_OK;
    for (int32_t k = 0; k < outputs && status == RT_OK; k++) {
        status = k > 0 ? rt_dynbuf_add(answer, ", ", 2, err) : RT_OK;
        if (status == RT_OK) {
            status = rt_dynbuf_add(answer, text, rt_number_write(scores[k], text), err);
        }
    }
    return status;
}

rt_status rt_answer_write(rt_dynbuf *answer, const double *scores, int64_t rows,
                          int32_t outputs, rt_error *err)
{
    const char *open = outputs > 1 ? "[" : "";
    const char *close = outputs > 1 ? "]" : "";
    rt_status status = rt_dynbuf_add_text(answer, "{\"predictions\": [", err);
    for (int64_t i = 0; i < rows && status == RT_OK; i++) {
        status = i > 0 ? rt_dynbuf_add(answer, ", ", 2, err) : RT_OK;
        status = status == RT_OK ? rt_dynbuf_add_text(answer, open, err) : status;
        status = status == RT_OK ? write_row(answer, scores + i * outputs, outputs, err)
                                 : status;
        status = status == RT_OK ? rt_dynbuf_add_text(answer, close, err) : status;
    }
    return status == RT_OK ? rt_dynbuf_add_text(answer, "]}", err) : status;
}

rt_status rt_request_score_by(const rt_schema *schema, const rt_unit *unit,
                              const rt_request *request, rt_request_rows *rows,
                              double **scores, rt_error *err)
{
    void *block = NULL;
    rt_status status = rt_request_rows_init(rows, schema, unit, request->most_rows,
                                            request->body.length, err);
    if (status == RT_OK) {
        status = rt_request_read(rows, request->kind, request->body, err);
    }
    if (status == RT_OK) {
        status = rt_alloc_scratch(&block, rows->rows * rt_model_outputs(schema->model),
                                  sizeof(double), "rt_request_answer", err);
    }
    *scores = block;
    return status == RT_OK ? rt_request_score(rows, block, err) : status;
}

static bool meets_previous(const rt_arms *arms, uint64_t hash)
{
    return arms->previous != NULL && hash >= arms->limit;
}

/* Scores of the units that meet the previous model, over those of the champion. The two
 * read the rows anew: a category has another number in each. */
static rt_status put_previous(const rt_arms *arms, const rt_request *request,
                              const rt_request_rows *champion, double *scores,
                              rt_error *err)
{
    const int32_t outputs = rt_model_outputs(arms->previous->model);
    rt_request_rows rows;
    double *found = NULL;
    rt_status status =
        rt_request_score_by(arms->previous, NULL, request, &rows, &found, err);
    for (int64_t i = 0; i < champion->rows && status == RT_OK; i++) {
        if (meets_previous(arms, champion->hash[i])) {
            memcpy(scores + i * outputs, found + i * outputs,
                   (size_t)outputs * sizeof *scores);
        }
    }
    rt_free(found);
    rt_request_rows_clear(&rows);
    return status;
}

/* Rows that name their units may meet both models. */
static rt_status score_units(const rt_arms *arms, rt_request *request,
                             rt_request_rows *rows, double **scores, rt_error *err)
{
    rt_status status =
        rt_request_score_by(arms->champion, &arms->unit, request, rows, scores, err);
    for (int64_t i = 0; i < rows->rows && status == RT_OK; i++) {
        request->previous_rows += meets_previous(arms, rows->hash[i]) ? 1 : 0;
    }
    return status == RT_OK && request->previous_rows > 0
               ? put_previous(arms, request, rows, *scores, err)
               : status;
}

/* All rows are of one unit, and meet one model. */
static rt_status score_request(const rt_arms *arms, rt_request *request,
                               rt_request_rows *rows, double **scores, rt_error *err)
{
    const uint64_t hash = request->unit.length > 0
                              ? rt_siphash(arms->unit.key, request->unit.bytes,
                                           (size_t)request->unit.length)
                              : 0;
    const bool previous = meets_previous(arms, hash);
    void *block = NULL;
    rt_status status = rt_request_score_by(previous ? arms->previous : arms->champion,
                                           NULL, request, rows, scores, err);
    if (status == RT_OK && request->log != NULL) {
        status = rt_alloc_scratch(&block, rows->rows, sizeof *rows->hash,
                                  "rt_request_answer", err);
        rows->hash = block;
    }
    for (int64_t i = 0; i < rows->rows && rows->hash != NULL; i++) {
        rows->hash[i] = hash;
    }
    request->previous_rows = previous ? rows->rows : 0;
    return status;
}

static rt_status answer_by(const rt_arms *arms, rt_request *request, rt_dynbuf *answer,
                           rt_error *err)
{
    rt_request_rows rows;
    double *scores = NULL;
    const int64_t begun = request->log != NULL ? rt_log_clock() : 0;
    request->previous_rows = 0;
    rt_status status = arms->unit.name.length > 0
                           ? score_units(arms, request, &rows, &scores, err)
                           : score_request(arms, request, &rows, &scores, err);
    request->rows = rows.rows;
    if (status == RT_OK) {
        status = rt_answer_write(answer, scores, rows.rows,
                                 rt_model_outputs(arms->champion->model), err);
    }
    if (status == RT_OK && request->log != NULL) {
        rt_log_answer(request->log, arms, request, scores, rows.hash,
                      rt_log_clock() - begun);
    }
    rt_free(scores);
    rt_request_rows_clear(&rows);
    return status;
}

rt_status rt_request_answer(const rt_arms *arms, rt_request *request, rt_dynbuf *answer,
                            rt_error *err)
{
    const uint32_t saved = rt_fp_enter();
    rt_status status = answer_by(arms, request, answer, err);
    rt_fp_leave(saved);
    return status;
}

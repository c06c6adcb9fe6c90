/* Scores of an earlier run's trees come from the masks that watched rows are scored by:
 * leaves are added in the order of trees, as training added them. */
#include "gbdt/resume.h"

#include <omp.h>
#include <string.h>

#include "base/alloc.h"
#include "gbdt/eval.h"
#include "gbdt/rounds.h"
#include "parallel/placement.h"

rt_status rt_resume_trees(const rt_resume *resume, rt_forest *forest, rt_error *err)
{
    const rt_forest *from = resume->forest;
    if (from->loss != forest->loss || from->n_outputs != forest->n_outputs ||
        from->n_features != forest->n_features) {
        return rt_fail(err, RT_INVALID, "rt_gbdt_fit",
                       "the model to go on from has another objective, other classes "
                       "or other columns");
    }
    memcpy(forest->base_score, from->base_score,
           (size_t)from->n_outputs * sizeof *from->base_score);
    return rt_forest_append(forest, from, 0, resume->place, err);
}

static void add_all(rt_eval *eval, int32_t threads)
{
    rt_barrier barrier;
    rt_barrier_init(&barrier);
    rt_spread_team(threads);
#pragma omp parallel num_threads(threads) default(none) shared(eval, barrier)
    {
        rt_team team = {omp_get_thread_num(), omp_get_num_threads(), &barrier};
        rt_eval_add(eval, team);
    }
    rt_barrier_destroy(&barrier);
}

rt_status rt_resume_scores(const rt_forest *forest, const rt_gbdt_rows *rows,
                           int32_t threads, double **score, rt_error *err)
{
    rt_eval eval;
    rt_status status = rt_eval_init(&eval, rows, forest, err);
    *score = NULL;
    if (status == RT_OK) {
        status = rt_eval_take(&eval, 0, threads, err);
    }
    if (status == RT_OK) {
        add_all(&eval, threads);
        *score = eval.score;
        eval.score = NULL; /* the caller's from here on */
    }
    rt_eval_clear(&eval);
    return status;
}

rt_span rt_resume_span(const rt_gbdt_rows *rows, const double *score)
{
    rt_span span = {INFINITY, -INFINITY};
    for (int64_t i = 0; i < rows->x.rows; i++) {
        if (rows->weight == NULL || rows->weight[i] > 0.0) {
            span.low = score[i] < span.low ? score[i] : span.low;
            span.high = score[i] > span.high ? score[i] : span.high;
        }
    }
    return span;
}

void rt_resume_gradients(const rt_dense_rows *dense, int64_t rows, const double *score,
                         rt_gradients *gradients)
{
    for (int32_t k = 0; k < gradients->targets.outputs; k++) {
        double *out = gradients->score + k * dense->count;
        for (int64_t i = 0; i < dense->count; i++) {
            const int64_t from = dense->source == NULL ? i : dense->source[i];
            out[i] = (score[k * rows + from] - dense->lowest) / dense->scale;
        }
    }
}

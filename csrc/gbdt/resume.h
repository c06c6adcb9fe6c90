/* Where training stands that goes on from the trees of an earlier run: they come first
 * in the forest, and rows begin at their scores. */
#ifndef RT_GBDT_RESUME_H
#define RT_GBDT_RESUME_H

#include <stdint.h>

#include "base/status.h"
#include "gbdt/forest.h"
#include "gbdt/gradient.h"
#include "gbdt/targets.h"

typedef struct rt_resume {
    const rt_forest *forest; /* NULL: training begins */
    const int32_t *place;    /* of its levels, as in rt_forest_append, or NULL */
} rt_resume;

/* Its base scores and trees into an empty forest of the same features and outputs. */
RT_CHECKED rt_status rt_resume_trees(const rt_resume *resume, rt_forest *forest,
                                     rt_error *err);

/* Scores [outputs][rows] of all rows by the trees of a forest, in a block that the
 * caller frees. Opens a parallel region. */
RT_CHECKED rt_status rt_resume_scores(const rt_forest *forest, const rt_gbdt_rows *rows,
                                      int32_t threads, double **score, rt_error *err);

/* What those scores span over the rows that have weight. */
rt_span rt_resume_span(const rt_gbdt_rows *rows, const double *score);

/* Those of the rows that are learnt from become the gradients' scores. */
void rt_resume_gradients(const rt_dense_rows *dense, int64_t rows, const double *score,
                         rt_gradients *gradients);

#endif

/* What a forest says of rows. */
#ifndef RT_GBDT_PREDICT_H
#define RT_GBDT_PREDICT_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/matrix.h"
#include "base/status.h"
#include "gbdt/forest.h"

/* Below this many (row, tree) pairs one thread is always used: starting a team
 * would take longer than the work. */
enum { RT_PREDICT_ALONE = 32768 };

/* out[row][output] = base + sum of the output's leaves, in tree order; for labels a
 * probability: the sigmoid of the one sum, the softmax of all. A column must hold what
 * training saw: numbers, or the number of a level. With more than one thread it opens a
 * parallel region: call it on a task. */
RT_CHECKED rt_status rt_predict(const rt_forest *forest, const rt_matrix *x,
                                int32_t n_threads, rt_ctl *ctl, double *out,
                                rt_error *err);

/* True when rt_predict would use the calling thread only. */
int rt_predict_runs_alone(const rt_forest *forest, int64_t rows);

#endif

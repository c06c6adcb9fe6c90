/* What a model says of rows, whatever it is made of. */
#ifndef RT_MODEL_PREDICT_H
#define RT_MODEL_PREDICT_H

#include "model/model.h"

/* Numbers of one row's prediction: classes of softmax, else 1. */
int32_t rt_model_outputs(const rt_model *model);

/* out[row][output], as rt_predict or rt_linear_predict. With more than one thread it
 * opens a parallel region: call it on a task. */
RT_CHECKED rt_status rt_model_predict(const rt_model *model, const rt_matrix *x,
                                      int32_t n_threads, rt_ctl *ctl, double *out,
                                      rt_error *err);

/* True when rt_model_predict would use the calling thread only. */
bool rt_model_runs_alone(const rt_model *model, int64_t rows);

#endif

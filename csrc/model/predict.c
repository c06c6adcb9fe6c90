/* Trees or a linear model: decided here, once. */
#include "model/predict.h"

#include "gbdt/predict.h"
#include "linear/linear.h"

int32_t rt_model_outputs(const rt_model *model)
{
    return rt_model_is_linear(model) ? model->linear.n_outputs
                                     : model->forest.n_outputs;
}

rt_status rt_model_predict(const rt_model *model, const rt_matrix *x, int32_t n_threads,
                           rt_ctl *ctl, double *out, rt_error *err)
{
    return rt_model_is_linear(model)
               ? rt_linear_predict(&model->linear, x, n_threads, ctl, out, err)
               : rt_predict(&model->forest, x, n_threads, ctl, out, err);
}

bool rt_model_runs_alone(const rt_model *model, int64_t rows)
{
    return rt_model_is_linear(model) ? rt_linear_runs_alone(&model->linear, rows)
                                     : rt_predict_runs_alone(&model->forest, rows) != 0;
}

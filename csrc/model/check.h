/* Is a model whole: what prediction and writing rely on. */
#ifndef RT_MODEL_CHECK_H
#define RT_MODEL_CHECK_H

#include "model/model.h"

/* Everything that rt_model_link has not looked at and that makes a model safe to
 * predict with and to write. */
RT_CHECKED rt_status rt_model_check(const rt_model *model, rt_error *err);

#endif

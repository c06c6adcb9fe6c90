/* Any bytes to a model, or a refusal (docs/model-format.md). */
#ifndef RT_MODEL_READ_H
#define RT_MODEL_READ_H

#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

/* Any bytes are safe to pass: RT_CORRUPT unless they are exactly a model that
 * rt_model_write could have written. */
RT_CHECKED rt_status rt_model_read(rt_model *model, const uint8_t *data, size_t bytes,
                                   rt_error *err);

#endif

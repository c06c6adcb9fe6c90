/* A model as the bytes of a file (docs/model-format.md). */
#ifndef RT_MODEL_WRITE_H
#define RT_MODEL_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

/* Equal models give equal bytes. The block is the caller's (rt_free). */
RT_CHECKED rt_status rt_model_write(const rt_model *model, uint8_t **out, size_t *bytes,
                                    rt_error *err);

#endif

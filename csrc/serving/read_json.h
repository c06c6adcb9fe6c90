/* MLflow's JSON requests to rows. */
#ifndef RT_SERVING_READ_JSON_H
#define RT_SERVING_READ_JSON_H

#include "serving/rows.h"

/* An object with exactly one of dataframe_split, dataframe_records, instances and
 * inputs; other keys are ignored, and of a key that comes twice the last counts.
 * RT_INVALID says what is wrong with any other bytes. */
RT_CHECKED rt_status rt_read_json(rt_request_rows *rows, rt_text body, rt_error *err);

#endif

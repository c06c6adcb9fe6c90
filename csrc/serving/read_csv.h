/* CSV requests to rows. */
#ifndef RT_SERVING_READ_CSV_H
#define RT_SERVING_READ_CSV_H

#include "serving/rows.h"

/* A header that names the columns, then a line for each row, as pandas writes them
 * (RFC 4180, lines may end as they like). An empty cell is a missing value. RT_INVALID
 * says what is wrong with any other text, a row with a cell too many or too few
 * included. */
RT_CHECKED rt_status rt_read_csv(rt_request_rows *rows, rt_text body, rt_error *err);

#endif

/* Linear models that learn row by row: the normalised adaptive gradient of Ross,
 * Mineiro and Langford, "Normalized Online Learning" (2013), algorithm 3.
 *
 * Units do not matter: a slope's step is divided by the largest value of its column so
 * far, and by the root of the sum of its squared gradients. Numbers are taken from the
 * mean of the first rows, amounts in a power of two near their spread. One thread, in
 * the order of the rows: batches cut anywhere behind the first give the same bits. */
#ifndef RT_LINEAR_ONLINE_H
#define RT_LINEAR_ONLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"
#include "linear/fit.h"
#include "linear/linear.h"

/* Learns from the rows in their order, after those of earlier calls or after a fit. On
 * failure the model is of no use. Losses: all but Poisson. */
RT_CHECKED rt_status rt_linear_learn(const rt_linear_rows *rows, double rate,
                                     bool intercept, rt_ctl *ctl, rt_linear *linear,
                                     rt_error *err);

#endif

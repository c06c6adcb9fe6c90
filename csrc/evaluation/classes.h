/* The classes that two models say of the same rows, counted against the labels per day
 * and slice.
 *
 * With y the class that occurred, a the champion's and b the challenger's, five tables
 * of n_classes x n_classes rows each hold what metrics of each class's precision and
 * recall need, and the squares of what a row moves them by:
 *
 *   RT_CLASSES_OLD    y, a
 *   RT_CLASSES_NEW    y, b
 *   RT_CLASSES_SAID   a, b
 *   RT_CLASSES_FIXED  y, a of the rows that the challenger gets right
 *   RT_CLASSES_KEPT   y, b of the rows that the champion gets right
 *
 * All triples y, a, b would be n_classes^3. */
#ifndef RT_EVALUATION_CLASSES_H
#define RT_EVALUATION_CLASSES_H

#include <stdint.h>

#include "base/ctl.h"
#include "base/status.h"

enum {
    RT_CLASSES_OLD,
    RT_CLASSES_NEW,
    RT_CLASSES_SAID,
    RT_CLASSES_FIXED,
    RT_CLASSES_KEPT,
    RT_CLASS_TABLES
};

typedef struct rt_class_rows {
    const int32_t *day;
    const int32_t *level;
    const uint8_t *y;
    const uint8_t *champion;
    const uint8_t *challenger;
    int64_t n_rows;
    int32_t n_days;
    int32_t n_levels;
    int32_t n_classes; /* at most 256 */
} rt_class_rows;

/* counts: n_days x n_levels x RT_CLASS_TABLES x n_classes x n_classes. Must run inside
 * a task. */
RT_CHECKED rt_status rt_count_classes(const rt_class_rows *rows, int32_t n_threads,
                                      rt_ctl *ctl, int64_t *counts, rt_error *err);

#endif

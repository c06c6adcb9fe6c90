/* A borrowed table of numbers, float32 or float64, in any layout. */
#ifndef RT_BASE_MATRIX_H
#define RT_BASE_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

typedef struct rt_matrix {
    const char *data;
    int64_t rows;
    int32_t columns;
    int64_t row_bytes, column_bytes; /* may be negative */
    bool is_f64;
} rt_matrix;

/* float32 widens exactly, so one code path serves both. */
static inline double rt_matrix_at(const rt_matrix *x, int64_t row, int32_t column)
{
    const char *at = x->data + row * x->row_bytes + column * x->column_bytes;
    return x->is_f64 ? *(const double *)(const void *)at
                     : (double)*(const float *)(const void *)at;
}

#endif

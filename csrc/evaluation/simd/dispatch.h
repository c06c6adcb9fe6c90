/* Many rows of one day and level at a time, built once per x86 level from block.h and
 * chosen at run time. Sums are exact: all builds give the same. */
#ifndef RT_EVALUATION_SIMD_DISPATCH_H
#define RT_EVALUATION_SIMD_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "evaluation/amounts.h"

enum { RT_AMOUNT_BLOCK = 512 };

/* Adds rows [first, first + n), n at most RT_AMOUNT_BLOCK, to the sums of their day and
 * level; false, and nothing is added, if one of them does not fit. */
typedef bool (*rt_amount_adder)(const rt_amount_rows *rows, rt_amount_kind kind,
                                int64_t first, int64_t n, int64_t *sums);

/* The build for the level in use (base/isa.h). */
rt_amount_adder rt_amount_adder_in_use(void);

bool rt_add_amounts_baseline(const rt_amount_rows *rows, rt_amount_kind kind,
                             int64_t first, int64_t n, int64_t *sums);
#if defined(__x86_64__)
bool rt_add_amounts_avx2(const rt_amount_rows *rows, rt_amount_kind kind, int64_t first,
                         int64_t n, int64_t *sums);
bool rt_add_amounts_avx512(const rt_amount_rows *rows, rt_amount_kind kind,
                           int64_t first, int64_t n, int64_t *sums);
#endif

#endif

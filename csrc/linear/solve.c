/* Cholesky by rows: the loops run along lines of memory and add in the order of rows,
 * so there is one result. */
#include "linear/solve.h"

#include <math.h>

/* What is left of a diagonal after all rows before it, as a share: 1 - R^2. */
static const double flat = 1e-12;

/* A = R' R with R above the diagonal (Cholesky); a flat row is all zero. */
static void factor(double *a, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        double *restrict row = a + (int64_t)i * n;
        /* Before anything is taken off: what is left is judged against it. */
        const double whole = row[i];
        for (int32_t k = 0; k < i; k++) {
            const double *above = a + (int64_t)k * n;
            const double share = above[i];
            /* Columns that are flat or only fill up have shares of 0: nothing to take
             * off. */
            for (int32_t j = i; share != 0.0 && j < n; j++) {
                row[j] -= share * above[j];
            }
        }
        /* A pivot that is rounding error alone would make a slope of any size. */
        const double root = row[i] > whole * flat ? sqrt(row[i]) : 0.0;
        const double factor = root > 0.0 ? 1.0 / root : 0.0;
        for (int32_t j = i + 1; j < n; j++) {
            row[j] *= factor;
        }
        row[i] = root;
    }
}

/* R' z = b from the front, then R x = z from the back, both in place of b. */
void rt_linear_solve(double *a, int32_t n, double *b)
{
    factor(a, n);
    for (int32_t i = 0; i < n; i++) {
        const double *row = a + (int64_t)i * n;
        b[i] = row[i] > 0.0 ? b[i] / row[i] : 0.0;
        for (int32_t j = i + 1; j < n; j++) {
            b[j] -= row[j] * b[i];
        }
    }
    for (int32_t i = n - 1; i >= 0; i--) {
        const double *row = a + (int64_t)i * n;
        double sum = b[i];
        for (int32_t j = i + 1; j < n; j++) {
            sum -= row[j] * b[j];
        }
        b[i] = row[i] > 0.0 ? sum / row[i] : 0.0;
    }
}

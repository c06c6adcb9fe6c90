/* The step of Newton's method: a symmetric system by Cholesky. */
#ifndef RT_LINEAR_SOLVE_H
#define RT_LINEAR_SOLVE_H

#include <stdint.h>

/* Solves A x = b in place of b; the upper triangle of A [n][n] is lost. A direction in
 * which A is flat (constant and repeated columns, the sum of all levels) is left out:
 * its x is 0, as R's glm leaves out an aliased column. */
void rt_linear_solve(double *a, int32_t n, double *b);

#endif

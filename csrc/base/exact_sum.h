/* A sum that carries its own rounding error (Neumaier, ZAMM 54, 1974): the
 * result is as if added in twice the precision. For sums whose order is fixed
 * by the data, such as sums over sorted values; what must not depend on any
 * order is summed in fixed point instead. */
#ifndef RT_BASE_EXACT_SUM_H
#define RT_BASE_EXACT_SUM_H

typedef struct rt_exact_sum {
    double sum, lost;
} rt_exact_sum;

static inline void rt_exact_add(rt_exact_sum *s, double x)
{
    double sum = s->sum + x;
    double big = s->sum < 0.0 ? -s->sum : s->sum;
    double small = x < 0.0 ? -x : x;
    s->lost += big >= small ? (s->sum - sum) + x : (x - sum) + s->sum;
    s->sum = sum;
}

static inline double rt_exact_value(const rt_exact_sum *s)
{
    return s->sum + s->lost;
}

#endif

/* Which instruction set the hot loops use. The choice changes speed, never bits;
 * it can be forced down so that tests can hold the builds against each other. */
#ifndef RT_BASE_ISA_H
#define RT_BASE_ISA_H

#include <stdbool.h>

typedef enum rt_isa { RT_ISA_BASELINE, RT_ISA_AVX2, RT_ISA_AVX512 } rt_isa;

/* The best that this processor and its operating system can run. */
rt_isa rt_isa_best(void);

/* The level in use: the best, unless forced. */
rt_isa rt_isa_in_use(void);

/* Forces a level for the whole process; false if this processor lacks it. */
bool rt_isa_force(rt_isa level);

#endif

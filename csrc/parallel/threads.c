/* Processors are counted as the kernel grants them: the machine's number would start
 * far too many threads in a container. */
#define _GNU_SOURCE
#include "parallel/threads.h"

#include <sched.h>
#include <stdio.h>

#include "base/limits.h"

/* Whole CPUs that the cgroup grants, rounded up; 0 when there is no quota. Version 2
 * has both numbers (microseconds) in one file, version 1 a file each, with a quota of
 * -1 for none. */
static int32_t cgroup_cpus(void)
{
    double quota = -1.0;
    double period = 0.0; /* microseconds, as the quota */
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file != NULL) {
        if (fscanf(file, "%lf %lf", &quota, &period) != 2) {
            quota = -1.0; /* the word "max" */
        }
        fclose(file);
    } else if ((file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) != NULL) {
        FILE *period_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
        if (period_file != NULL) {
            if (fscanf(file, "%lf", &quota) != 1 ||
                fscanf(period_file, "%lf", &period) != 1) {
                quota = -1.0;
            }
            fclose(period_file);
        }
        fclose(file);
    }
    if (quota <= 0.0 || period <= 0.0) {
        return 0;
    }
    /* One and a half CPUs keep two threads busier than one. */
    return (int32_t)((quota + period - 1.0) / period);
}

/* The affinity mask holds what taskset and cpusets allow; where it cannot be read, one
 * thread is always right. */
int32_t rt_default_threads(void)
{
    int32_t threads = 1;
    cpu_set_t allowed; /* room for 1,024 processors */
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        threads = CPU_COUNT(&allowed);
    }
    int32_t quota = cgroup_cpus();
    if (quota > 0 && quota < threads) {
        threads = quota;
    }
    threads = threads < RT_MAX_THREADS ? threads : RT_MAX_THREADS;
    return threads > 0 ? threads : 1;
}

int32_t rt_resolve_threads(int32_t requested)
{
    return requested > 0 ? requested : rt_default_threads();
}

int32_t rt_useful_threads(int32_t requested, int64_t rows, int64_t rows_per_thread)
{
    const int32_t threads = rt_resolve_threads(requested);
    /* One at least, also without rows. */
    const int64_t useful = 1 + rows / rows_per_thread;
    /* Who asks for a number gets it: tests rely on teams of any size. */
    return requested == 0 && useful < threads ? (int32_t)useful : threads;
}

/* Beyond any machine a number is a mistake, and each thread has memory of its own. */
rt_status rt_check_threads(int32_t requested, const char *where, rt_error *err)
{
    if (requested < 0 || requested > RT_MAX_THREADS) {
        return rt_fail(err, RT_INVALID, where, "n_threads is %d, it must lie in 0..%d",
                       requested, (int)RT_MAX_THREADS);
    }
    return RT_OK;
}

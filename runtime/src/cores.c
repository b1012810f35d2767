/* SPDX-License-Identifier: MIT
 *
 * cgroup v2: Documentation/admin-guide/cgroup-v2.rst of the kernel, "cpu.max". A container sees its
 * own cgroup as the root of the mount, so that path "/" is looked at, too. v1: cpu.cfs_quota_us.
 */
#include "cores.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOUNT_V2     "/sys/fs/cgroup"
#define MOUNT_V1     "/sys/fs/cgroup/cpu"
#define LINE_BYTES   256
#define AFFINITY_MAX (1 << 16)

static unsigned min_of(unsigned a, unsigned b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

static bool line_read(const char *path, char *ret_line, int bytes)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool is_read = fgets(ret_line, bytes, file);
    (void)fclose(file);
    return is_read;
}

static unsigned cores_of_quota(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long cores = (quota + period - 1) / period;
    return cores > INT_MAX ? INT_MAX : (unsigned)cores;
}

unsigned weft_cores_of_cpu_max(const char *line)
{
    char *end;
    long long quota = strtoll(line, &end, 10); /* "max" is 0 */
    if (*end != ' ')
        return 0;
    return cores_of_quota(quota, strtoll(end, &end, 10));
}

unsigned weft_cores_of_cgroup(const char *mount, const char *path)
{
    char dir[PATH_MAX], file[PATH_MAX + sizeof "/cpu.max"], line[LINE_BYTES];
    unsigned cores = 0;
    int wanted = snprintf(dir, sizeof dir, "%s%s", mount, path);
    if (wanted < 0 || (size_t)wanted >= sizeof dir)
        return 0;
    for (;;) {
        (void)snprintf(file, sizeof file, "%s/cpu.max", dir);
        if (line_read(file, line, sizeof line))
            cores = min_of(cores, weft_cores_of_cpu_max(line));
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < strlen(mount))
            return cores;
        *slash = '\0';
    }
}

static unsigned cores_of_own_cgroup(void)
{
    char line[PATH_MAX + 8];
    unsigned cores = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0)
            cores = min_of(cores, weft_cores_of_cgroup(MOUNT_V2, line + 3));
    }
    (void)fclose(file);
    return cores;
}

static unsigned cores_of_v1(void)
{
    char quota[LINE_BYTES], period[LINE_BYTES];
    if (!line_read(MOUNT_V1 "/cpu.cfs_quota_us", quota, sizeof quota))
        return 0;
    if (!line_read(MOUNT_V1 "/cpu.cfs_period_us", period, sizeof period))
        return 0;
    return cores_of_quota(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

static unsigned cores_of_affinity(void)
{
    for (size_t cpus = CPU_SETSIZE; cpus <= AFFINITY_MAX; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            return 0;
        size_t bytes = CPU_ALLOC_SIZE(cpus);
        int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
    }
    return 0;
}

unsigned weft_cores(void)
{
    unsigned cores = min_of(cores_of_affinity(), min_of(cores_of_own_cgroup(), cores_of_v1()));
    return cores > 0 ? cores : 1;
}

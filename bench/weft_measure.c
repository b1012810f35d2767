/* SPDX-License-Identifier: MIT
 *
 * What weft_bench.h promises to all tests.
 */
#include "weft_bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CPU_DIVISOR    10
#define MEMORY_DIVISOR 20
#define LIST_ITEMS     1000

int bench_run(unsigned threads, weft_fn fn, void *arg)
{
    int rc = weft_configure(&(struct weft_opts){ .threads = threads });
    if (rc < 0)
        return rc;
    rc = weft_run(fn, arg);
    int ended = weft_shutdown();
    return rc < 0 ? rc : ended;
}

void bench_line(const char *test, double value, const char *unit, const char *variant, ...)
{
    char name[VARIANT_BYTES];
    va_list args;
    va_start(args, variant);
    (void)vsnprintf(name, sizeof name, variant, args);
    va_end(args);
    (void)printf("weft\t%s\t%s\t%.6g\t%s\n", test, name, value, unit);
    (void)fflush(stdout);
}

int64_t bench_cpu_ns(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

/* A row of /proc/self/status; -1 if it is not there. */
static long status_kib(const char *key)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return -1;
    while (kib < 0 && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtol(line + strlen(key), NULL, 10);
    }
    (void)fclose(file);
    return kib;
}

long bench_rss_kib(void)
{
    return status_kib("VmRSS:");
}

long bench_rss_peak_kib(void)
{
    return status_kib("VmHWM:");
}

long bench_page_tables_kib(void)
{
    return status_kib("VmPTE:");
}

/* xorshift64, Marsaglia 2003. */
uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 0x9E3779B97F4A7C15u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* The empty asm statements here keep the compiler from working the loops out beforehand. */
__attribute__((noinline)) int bench_work_cpu(void)
{
    int i = (INT32_MAX / CPU_DIVISOR) | 1;
    while (i > 0) {
        i -= i % 2 == 0 ? 1 : 2;
        __asm__ volatile("" : "+r"(i));
    }
    return i;
}

/* The hash code of a list of lists, as Java has it. */
static uint32_t hash_lists(int *const *const *lists)
{
    uint32_t outer = 1;
    for (int j = 0; j < LIST_ITEMS; j++) {
        uint32_t inner = 1;
        for (int i = 0; i < LIST_ITEMS; i++)
            inner = 31 * inner + (uint32_t)*lists[j][i];
        __asm__ volatile("" : "+r"(inner) : : "memory");
        outer = 31 * outer + inner;
    }
    return outer;
}

/* A list of boxed numbers, a list of a thousand times that list, and the hash of that one. */
static int hash_boxes(int **boxes, int ***lists)
{
    uint32_t hash = 1;
    for (int i = 0; i < LIST_ITEMS; i++)
        lists[i] = boxes;
    for (int k = 0; k < LIST_ITEMS / MEMORY_DIVISOR; k++)
        hash = 31 * hash + hash_lists((int *const *const *)lists);
    return (int)(hash & INT32_MAX);
}

__attribute__((noinline)) int bench_work_memory(void)
{
    int **boxes = calloc(LIST_ITEMS, sizeof *boxes);
    int ***lists = calloc(LIST_ITEMS, sizeof *lists);
    int rc = boxes && lists ? 0 : -1;
    for (int i = 0; rc == 0 && i < LIST_ITEMS; i++) {
        boxes[i] = malloc(sizeof *boxes[i]);
        if (boxes[i])
            *boxes[i] = i;
        else
            rc = -1;
    }
    if (rc == 0)
        rc = hash_boxes(boxes, lists);
    for (int i = 0; boxes && i < LIST_ITEMS; i++)
        free(boxes[i]);
    free(boxes);
    free(lists);
    return rc;
}

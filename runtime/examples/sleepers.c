/* SPDX-License-Identifier: MIT
 *
 * usage: weft_sleepers [COUNT [MS]]
 *
 * Starts COUNT coroutines (100,000) that each sleep for MS milliseconds (1,000), waits for all of
 * them, and says what that took. A sleeping coroutine holds no thread, and of its stack only the
 * page that it has touched.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <weft/weft.h>

#define COUNT_MAX 1000000
#define MS_MAX    60000

struct crowd {
    long count, ms;
    atomic_long woken;
};

static int sleeper(void *arg)
{
    struct crowd *crowd = arg;
    int rc = weft_sleep_ms(crowd->ms);
    crowd->woken++;
    return rc;
}

static int sleepers(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (long i = 0; i < crowd->count; i++)
        weft_launch(&scope, NULL, sleeper, crowd); /* a start that fails comes out of close */
    return weft_scope_close(&scope, 0);
}

static long number(const char *text, long max)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > max) {
        (void)fprintf(stderr, "'%s' is not a number from 1 to %ld\n", text, max);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct crowd crowd = { .count = 100000, .ms = 1000 };
    if (argc > 1)
        crowd.count = number(argv[1], COUNT_MAX);
    if (argc > 2)
        crowd.ms = number(argv[2], MS_MAX);

    int64_t from_ns = weft_now_ns();
    int rc = weft_run(sleepers, &crowd);
    int64_t took_ms = (weft_now_ns() - from_ns) / 1000000;
    if (rc < 0) {
        (void)fprintf(stderr, "%s\n", weft_strerror(rc));
        return 1;
    }

    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%ld coroutines slept for %ld ms: %" PRId64 " ms in all, %ld MiB at the most\n",
                 (long)crowd.woken, crowd.ms, took_ms, usage.ru_maxrss >> 10);
    return weft_shutdown() < 0;
}

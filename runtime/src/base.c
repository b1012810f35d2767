/* SPDX-License-Identifier: MIT */
#include <weft/base.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "test_run.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

const char *weft_strerror(int rc)
{
    if (rc >= 0)
        return "success";
    if (rc == WEFT_ECHILD)
        return "what was waited for was cancelled";
    if (rc == WEFT_ESTUCK)
        return "every coroutine waits, and no timer is left to wake one";
    const char *text = rc > WEFT_ECHILD ? strerrordesc_np(-rc) : NULL;
    return text ? text : "unknown error";
}

int64_t weft_now_ns(void)
{
    const struct weft_test *test = weft_test_here();
    if (test)
        return test->now_ns;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t weft_deadline_ms(int64_t ms)
{
    int64_t now_ns = weft_now_ns();
    if (ms <= 0)
        return now_ns;
    if (ms > (WEFT_NEVER - now_ns) / NS_PER_MS)
        return WEFT_NEVER;
    return now_ns + ms * NS_PER_MS;
}

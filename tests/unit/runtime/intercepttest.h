/* SPDX-License-Identifier: MIT
 *
 * Tests of intercepted calls: many coroutines wait inside the call at once, on fewer threads, and
 * one more on the same threads lets them go. If the call held its thread, that one would not run.
 */
#pragma once

#include "wefttest.h"

#define CROWD 16 /* more than virtual has threads, here and on any machine that runs tests */

struct crowd {
    weft_fn wait;    /* calls crowd_enter(), then the call */
    weft_fn release; /* runs when all are inside, or about to be */
    void *arg;
    int count; /* of waiting ones */
    atomic_int inside;
};

static inline int crowd_release(void *arg)
{
    struct crowd *crowd = arg;
    while (crowd->inside < crowd->count) {
        int rc = weft_sleep_ms(1);
        if (rc < 0)
            return rc;
    }
    int rc = weft_sleep_ms(5); /* so that they are most probably parked */
    return rc < 0 ? rc : crowd->release(crowd->arg);
}

static inline int crowd_body(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_deadline(&scope, weft_deadline_ms(TEST_WAIT_MS));
    for (int i = 0; i < crowd->count; i++)
        weft_launch(&scope, NULL, crowd->wait, crowd->arg);
    if (crowd->release)
        weft_launch(&scope, NULL, crowd_release, crowd);
    return weft_scope_close(&scope, 0);
}

/* Of waits that end by themselves, after some time: whether all were inside at once is what shows
 * that none held its thread. Each calls these two around its call. */
struct nappers {
    int count;
    atomic_int inside;
    atomic_bool were_together;
};

static inline void napper_enter(struct nappers *nappers)
{
    if (++nappers->inside == nappers->count)
        nappers->were_together = true;
}

static inline void napper_leave(struct nappers *nappers)
{
    nappers->inside--;
}

/* The next time to try, if they were not together: on a slow machine the first of them may be awake
 * again before the last one has begun. 0: there were enough tries. */
#define NAP_MS_MAX 8000

static inline int64_t longer_nap(const struct nappers *nappers, int64_t nap_ms)
{
    return nappers->were_together || nap_ms >= NAP_MS_MAX ? 0 : 2 * nap_ms;
}

/* Coroutine: runs fn(arg), cancels it inside the call before which it has set the flag, some `ms`
 * later so that it is parked there, and gives its result. */
static inline int cancel_inside(weft_fn fn, void *arg, const atomic_bool *is_inside, int64_t ms)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, fn, arg);
    bool has_come = test_await(is_inside);
    (void)weft_sleep_ms(ms);
    weft_cancel(task);
    int rc = weft_await(task);
    (void)weft_scope_close(&scope, 0);
    return has_come ? rc : -ETIMEDOUT;
}

/* The whole crowd, on virtual: the first failure, or 0. */
static inline int crowd_run(struct crowd *crowd)
{
    return run_virtual(crowd_body, crowd);
}

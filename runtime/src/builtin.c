/* SPDX-License-Identifier: MIT */
#include "builtin.h"

#include <pthread.h>

#include "fixed.h"
#include "seat.h"
#include "test_run.h"

/* They can be asked where a thread is before they have started. */
struct weft_pool weft_pool_default = { .base = { .name = "default", .ops = &weft_pool_ops } };
struct weft_pool weft_pool_virtual = {
    .base = {
        .name = "virtual",
        .ops = &weft_pool_ops,
        .fixed = &weft_pool_virtual,
        .intercepts = true,
    },
};
struct weft_pool *const weft_builtin[WEFT_BUILTIN_COUNT] = { &weft_pool_default,
                                                             &weft_pool_virtual };

static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static bool pools_are_open; /* under it */

int weft_pools_init(const struct weft_pool_limits *limits)
{
    int rc = weft_pool_init(&weft_pool_default, "default", limits->threads, false);
    if (rc == 0)
        rc = weft_pool_init(&weft_pool_virtual, "virtual", limits->virtual_threads, true);
    if (rc < 0) {
        weft_pools_fini();
        return rc;
    }
    weft_pool_virtual.has_spares = true;
    return 0;
}

struct weft_dispatcher *weft_default(void)
{
    return weft_test_door(WEFT_TEST_DEFAULT, &weft_pool_default.base);
}

struct weft_dispatcher *weft_virtual(void)
{
    return weft_test_door(WEFT_TEST_VIRTUAL, &weft_pool_virtual.base);
}

void weft_pools_show(bool are_open)
{
    (void)pthread_mutex_lock(&pools_lock);
    pools_are_open = are_open;
    (void)pthread_mutex_unlock(&pools_lock);
}

void weft_pools_each(void (*visit)(struct weft_pool *pool, void *arg), void *arg)
{
    (void)pthread_mutex_lock(&pools_lock);
    for (size_t i = 0; i < WEFT_BUILTIN_COUNT && pools_are_open; i++)
        visit(weft_builtin[i], arg);
    if (pools_are_open)
        weft_fixed_each(visit, arg);
    (void)pthread_mutex_unlock(&pools_lock);
}

void weft_pools_lock(void)
{
    (void)pthread_mutex_lock(&pools_lock);
}

void weft_pools_unlock(void)
{
    (void)pthread_mutex_unlock(&pools_lock);
}

void weft_pools_fini(void)
{
    for (size_t i = 0; i < WEFT_BUILTIN_COUNT; i++)
        weft_pool_fini(weft_builtin[i]);
}

void weft_pool_look(const struct weft_pool *pool, struct weft_pool_state *state,
                    struct weft_lane_state *ret_lane)
{
    *ret_lane = (struct weft_lane_state){
        .name = pool->base.name,
        .limit = pool->seat_count,
        .queued = weft_pool_queued(pool),
    };
    for (unsigned i = 0; i < pool->seat_count; i++) {
        const struct weft_seat *seat = &pool->seats[i];
        ret_lane->queued += seat->queued;
        if (seat->thread)
            ret_lane->running++;
        else if (seat->watcher)
            state->idle++;
    }
}

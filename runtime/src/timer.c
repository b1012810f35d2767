/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <weft/base.h>

#include "die.h"
#include "poller.h"

#define HEAP_CAPACITY_MIN 64
/* After so many the lock is given back for a moment, so that setting a timer never waits long. */
#define FIRE_BATCH_MAX 64

static bool is_before(const struct berth_heap_node *a, const struct berth_heap_node *b);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct berth_heap heap = { .is_before = is_before };
static int64_t poller_wakes_ns; /* the poller sleeps until then at the most; 0: it is awake */

static const struct weft_timer *timer_of(const struct berth_heap_node *node)
{
    return berth_container_of(node, struct weft_timer, node);
}

static bool is_before(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    return timer_of(a)->deadline_ns < timer_of(b)->deadline_ns;
}

static int heap_grow(void)
{
    size_t capacity = heap.capacity > 0 ? 2 * heap.capacity : HEAP_CAPACITY_MIN;
    struct berth_heap_node **nodes =
        realloc(heap.nodes, capacity * sizeof(struct berth_heap_node *));
    if (!nodes)
        return -ENOMEM;
    berth_heap_move(&heap, nodes, capacity);
    return 0;
}

int weft_timer_set(struct weft_timer *timer, int64_t deadline_ns)
{
    (void)pthread_mutex_lock(&lock);
    int rc = 0;
    if (berth_heap_is_linked(&timer->node)) {
        timer->deadline_ns = deadline_ns;
        berth_heap_update(&heap, &timer->node);
    } else {
        if (heap.count == heap.capacity)
            rc = heap_grow();
        if (rc == 0) {
            timer->deadline_ns = deadline_ns;
            berth_heap_push(&heap, &timer->node);
        }
    }
    bool must_wake = rc == 0 && deadline_ns < poller_wakes_ns;
    if (must_wake)
        poller_wakes_ns = deadline_ns; /* one wake is enough */
    (void)pthread_mutex_unlock(&lock);
    if (must_wake)
        weft_poll_wake();
    return rc;
}

void weft_timer_cancel(struct weft_timer *timer)
{
    (void)pthread_mutex_lock(&lock);
    if (berth_heap_is_linked(&timer->node))
        berth_heap_remove(&heap, &timer->node);
    (void)pthread_mutex_unlock(&lock);
}

int64_t weft_timer_run(void)
{
    int64_t next_ns = 0;
    bool is_done = false;
    while (!is_done) {
        (void)pthread_mutex_lock(&lock);
        poller_wakes_ns = 0;
        int64_t now_ns = weft_now_ns();
        struct berth_heap_node *node = berth_heap_first(&heap);
        for (int i = 0; i < FIRE_BATCH_MAX && node && timer_of(node)->deadline_ns <= now_ns; i++) {
            (void)berth_heap_pop(&heap);
            struct weft_timer *timer = berth_container_of(node, struct weft_timer, node);
            timer->fire(timer);
            node = berth_heap_first(&heap);
        }
        next_ns = node ? timer_of(node)->deadline_ns : WEFT_NEVER;
        is_done = next_ns > now_ns;
        if (is_done)
            poller_wakes_ns = next_ns;
        (void)pthread_mutex_unlock(&lock);
    }
    return next_ns;
}

void weft_timer_fini(void)
{
    (void)pthread_mutex_lock(&lock);
    WEFT_REQUIRE(heap.count == 0, "timers are still set at the end");
    free(heap.nodes);
    heap = (struct berth_heap){ .is_before = is_before };
    poller_wakes_ns = 0;
    (void)pthread_mutex_unlock(&lock);
}

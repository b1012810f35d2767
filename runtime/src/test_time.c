/* SPDX-License-Identifier: MIT
 *
 * The clock of a test run.
 *
 * It is exact to the nanosecond, which a wheel is not: an hour of minutes, slept one by one, is an
 * hour. The order of what is due in the same instant is drawn. Of a timer only its address and its
 * `fire` are used.
 */
#include "test_run.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include <weft/test.h>

#include "base/container.h"

#include "die.h"
#include "random.h"
#include "tree.h"

#define HEAP_CAPACITY_MIN 64

struct set_timer {
    struct weft_timer *timer;
    struct berth_heap_node node;
    int64_t deadline_ns;
    uint32_t draw;   /* the order of equal deadlines, */
    uint64_t number; /* and of equal draws */
};

/* Somebody in weft_test_advance_ms(). */
struct advance {
    struct berth_list_node node;
    struct weft_task *task;
    int64_t deadline_ns;
    atomic_bool is_done;
};

static const struct set_timer *set_timer_of(const struct berth_heap_node *node)
{
    return berth_container_of(node, const struct set_timer, node);
}

static bool is_before(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct set_timer *x = set_timer_of(a), *y = set_timer_of(b);
    if (x->deadline_ns != y->deadline_ns)
        return x->deadline_ns < y->deadline_ns;
    return x->draw != y->draw ? x->draw < y->draw : x->number < y->number;
}

static int compare(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct set_timer *)a)->timer;
    uintptr_t y = (uintptr_t)((const struct set_timer *)b)->timer;
    return (x > y) - (x < y);
}

void weft_test_time_init(struct weft_test *test)
{
    test->now_ns = WEFT_TEST_BEGIN_NS;
    berth_heap_init(&test->timers, NULL, 0, is_before);
    berth_list_init(&test->advances);
}

void weft_test_time_fini(struct weft_test *test)
{
    WEFT_REQUIRE(test->timers.count == 0, "timers are still set at the end of a test run");
    free(test->timers.nodes);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void heap_grow(struct berth_heap *heap)
{
    size_t capacity = heap->capacity > 0 ? 2 * heap->capacity : HEAP_CAPACITY_MIN;
    struct berth_heap_node **nodes =
        realloc(heap->nodes, capacity * sizeof(struct berth_heap_node *));
    WEFT_REQUIRE(nodes, "no memory for the timers of a test run");
    berth_heap_move(heap, nodes, capacity);
}

static struct set_timer *find(const struct weft_test *test, struct weft_timer *timer)
{
    const struct set_timer key = { .timer = timer };
    struct set_timer *const *found = tfind(&key, &test->timers_by_address, compare);
    return found ? *found : NULL;
}

static void set_timer_remove(struct weft_test *test, struct set_timer *entry)
{
    if (berth_heap_is_linked(&entry->node))
        berth_heap_remove(&test->timers, &entry->node);
    (void)tdelete(entry, &test->timers_by_address, compare);
    free(entry);
}

void weft_test_timer_set(struct weft_timer *timer, int64_t deadline_ns)
{
    struct weft_test *test = weft_test_here();
    weft_test_timer_cancel(timer);
    if (test->timers.count == test->timers.capacity)
        heap_grow(&test->timers);
    struct set_timer *entry = calloc(1, sizeof *entry);
    WEFT_REQUIRE(entry, "no memory for the timers of a test run");
    entry->timer = timer;
    entry->deadline_ns = deadline_ns;
    entry->draw = weft_random();
    entry->number = test->timers_set++;
    WEFT_REQUIRE(tsearch(entry, &test->timers_by_address, compare),
                 "no memory for the timers of a test run");
    berth_heap_push(&test->timers, &entry->node);
}

void weft_test_timer_cancel(struct weft_timer *timer)
{
    struct weft_test *test = weft_test_here();
    struct set_timer *entry = find(test, timer);
    if (entry)
        set_timer_remove(test, entry);
}

bool weft_test_is_due(const struct weft_test *test)
{
    const struct berth_heap_node *node = berth_heap_first(&test->timers);
    return node && set_timer_of(node)->deadline_ns <= test->now_ns;
}

void weft_test_fire(struct weft_test *test)
{
    struct berth_heap_node *node = berth_heap_pop(&test->timers);
    struct set_timer *entry = berth_container_of(node, struct set_timer, node);
    struct weft_timer *timer = entry->timer;
    set_timer_remove(test, entry);
    timer->fire(timer);
}

/* ---- going on -------------------------------------------------------------------------------- */

static struct advance *first_advance(const struct weft_test *test)
{
    struct advance *first = NULL;
    BERTH_LIST_FOREACH (node, &test->advances) {
        struct advance *advance = berth_container_of(node, struct advance, node);
        if (!first || advance->deadline_ns < first->deadline_ns)
            first = advance;
    }
    return first;
}

bool weft_test_jump(struct weft_test *test)
{
    const struct berth_heap_node *node = berth_heap_first(&test->timers);
    struct advance *advance = first_advance(test);
    bool is_timer = node && (!advance || set_timer_of(node)->deadline_ns <= advance->deadline_ns);
    if (!is_timer && !advance)
        return false;
    int64_t next_ns = is_timer ? set_timer_of(node)->deadline_ns : advance->deadline_ns;
    if (next_ns > test->now_ns)
        test->now_ns = next_ns;
    if (!is_timer) {
        berth_list_remove(&advance->node);
        advance->is_done = true;
        weft_wake(advance->task);
    }
    return true;
}

int weft_test_advance_ms(int64_t ms)
{
    struct weft_task *self = weft_self();
    struct weft_test *test = weft_test_here();
    if (!self || !test)
        return -EPERM;
    int rc = weft_wait_check(self, WEFT_NEVER);
    if (rc < 0)
        return rc;
    int64_t deadline_ns = weft_deadline_ms(ms);
    if (ms < 0 || deadline_ns == WEFT_NEVER)
        return -EINVAL;
    struct advance *advance = calloc(1, sizeof *advance);
    if (!advance)
        return -ENOMEM;
    advance->task = self;
    advance->deadline_ns = deadline_ns;
    berth_list_push_back(&test->advances, &advance->node);
    rc = weft_wait(self, "advance", &advance->is_done, WEFT_NEVER);
    if (berth_list_is_linked(&advance->node))
        berth_list_remove(&advance->node);
    free(advance);
    return rc;
}

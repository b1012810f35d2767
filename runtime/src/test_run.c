/* SPDX-License-Identifier: MIT
 *
 * A test run: step by step, until everything has ended.
 */
#include "test_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <weft/test.h>

#include "die.h"
#include "guest.h"
#include "random.h"
#include "tree.h"
#include "view.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)
/* Instead of 0, which would mean that nobody can foresee it. */
#define SEED_ZERO UINT64_C(0x77656674)

static int step(struct weft_test *test);
static bool give_up(struct weft_test *test, int rc);
static bool end_others(struct weft_test *test, const struct weft_task *root, int *rc);
static void let_go(const struct weft_test *test);
static void report(const struct weft_test *test, weft_fn fn, int rc);

static atomic_int_fast64_t real_ms = WEFT_TEST_REAL_MS_DEFAULT;
static struct {
    weft_test_step_fn fn;
    void *arg;
} on_step;

void weft_test_real_ms_set(int64_t ms)
{
    real_ms = ms;
}

void weft_test_on_step(weft_test_step_fn fn, void *arg)
{
    on_step.fn = fn;
    on_step.arg = arg;
}

static int64_t real_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static struct weft_test *test_new(uint64_t seed)
{
    struct weft_test *test = calloc(1, sizeof *test);
    if (!test)
        return NULL;
    test->seed = seed;
    test->real_until_ns = real_now_ns() + real_ms * NS_PER_MS;
    weft_test_lanes_init(test);
    weft_test_time_init(test);
    return test;
}

static void test_free(struct weft_test *test)
{
    weft_views_fini(test);
    weft_test_time_fini(test);
    free(test);
}

/* A step, or an attempt to come to an end. False: there is none. */
static bool work(struct weft_test *test)
{
    int rc = step(test);
    return rc == 0 || give_up(test, rc);
}

static bool work_until_end(struct weft_test *test, const struct weft_tree *tree)
{
    bool goes_on = true;
    while (goes_on && !tree->has_ended)
        goes_on = work(test);
    return goes_on;
}

/* In the run: all of it. Whether nothing of it is left. */
static bool run(struct weft_test *test, weft_fn fn, void *arg, int *ret_rc)
{
    struct weft_task *root = weft_root_open(weft_default(), fn, arg);
    if (!root) {
        *ret_rc = weft_root_close(NULL); /* why */
        return true;
    }
    int rest_rc = 0;
    bool is_over = work_until_end(test, root->tree) && end_others(test, root, &rest_rc);
    while (is_over && test->ready_count > 0) /* what was cancelled in a queue stays there */
        is_over = work(test);
    int rc = is_over ? weft_root_close(root) : test->rc;
    if (test->rc == 0 && rc >= 0 && test->uncaught < 0)
        rc = test->uncaught;
    else if (test->rc == 0 && rc >= 0 && rest_rc < 0)
        rc = rest_rc;
    else if (test->rc == 0 && rc >= 0 && test->is_inbox_touched)
        rc = -ENOTSUP;
    *ret_rc = test->rc < 0 ? test->rc : rc;
    return is_over;
}

int weft_test_run(uint64_t seed, weft_fn fn, void *arg)
{
    if (!fn)
        return -EINVAL;
    if (weft_thread_self())
        return -EPERM;
    struct weft_test *test = test_new(seed);
    if (!test)
        return -ENOMEM;
    struct weft_guest guest;
    weft_guest_enter(&guest);
    guest.thread.test = test;
    weft_random_seed(seed != 0 ? seed : SEED_ZERO);
    int rc;
    bool is_over = run(test, fn, arg, &rc);
    weft_random_seed(0);
    guest.thread.test = NULL;
    weft_guest_leave(&guest);
    report(test, fn, rc);
    if (is_over) { /* else coroutines are left that point to it */
        let_go(test);
        test_free(test);
    }
    return rc;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void tell_step(const struct weft_test *test, const char *lane, const struct weft_turn *turn)
{
    if (!on_step.fn)
        return;
    char buffer[WEFT_NAME_BYTES];
    const char *name = "";
    if (turn && weft_turn_is_task(turn))
        name = weft_task_name(berth_container_of(turn, const struct weft_task, turn), buffer);
    on_step.fn(on_step.arg, test->now_ns, lane, name);
}

static void run_turn(struct weft_test *test)
{
    struct weft_turn *turn = weft_test_take(test);
    tell_step(test, test->here->base.name, turn);
    weft_thread_run(weft_thread_self(), turn);
    test->here = NULL;
}

/* One turn, one timer, or a leap of the clock. Negative: there is none, or it is too late. */
static int step(struct weft_test *test)
{
    if (real_now_ns() >= test->real_until_ns)
        return -ETIME;
    test->step_count++;
    weft_test_collect(test);
    bool is_due = weft_test_is_due(test);
    size_t count = test->ready_count + is_due;
    if (count == 0)
        return weft_test_jump(test) ? 0 : WEFT_ESTUCK;
    if (!is_due || weft_random() % count != 0) {
        run_turn(test);
    } else {
        tell_step(test, "time", NULL);
        weft_test_fire(test);
    }
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void cancel_all(const struct weft_test *test)
{
    for (struct weft_tree *tree = weft_tree_next(NULL); tree; tree = weft_tree_next(tree)) {
        if (tree->test == test)
            weft_cancel(tree->root);
    }
}

/* The first time it cancels everything: true. The second time there is nothing left to try. */
static bool give_up(struct weft_test *test, int rc)
{
    if (rc == WEFT_ESTUCK)
        weft_say("weft_test_run: every coroutine waits, and no timer is left to wake one:");
    else
        weft_say("weft_test_run: after %" PRIdFAST64 " ms of real time there is still something "
                 "to do:",
                 real_ms);
    (void)weft_dump(STDERR_FILENO);
    if (test->rc < 0) {
        weft_say("weft_test_run: all was cancelled, but will not end; it is left as it is");
        return false;
    }
    test->rc = rc;
    test->real_until_ns = real_now_ns() + real_ms * NS_PER_MS;
    cancel_all(test);
    return true;
}

/* Sees to the end of roots that were left open. False: they cannot be ended. */
static bool end_others(struct weft_test *test, const struct weft_task *root, int *rc)
{
    bool is_over = true;
    for (struct weft_tree *tree = weft_tree_next(NULL); tree; tree = weft_tree_next(tree)) {
        if (tree->test != test || tree->root == root)
            continue;
        char name[WEFT_NAME_BYTES];
        weft_say("weft_test_run: root '%s' was not closed%s",
                 weft_task_name_search(tree->root, name),
                 tree->has_ended ? "" : ", and is cancelled");
        *rc = -EBUSY;
        weft_cancel(tree->root);
        is_over = is_over && work_until_end(test, tree);
    }
    return is_over;
}

/* Roots that were not closed outlive the run: they become real ones. */
static void let_go(const struct weft_test *test)
{
    for (struct weft_tree *tree = weft_tree_next(NULL); tree; tree = weft_tree_next(tree)) {
        if (tree->test != test)
            continue;
        tree->test = NULL;
        tree->root->dispatcher = weft_default();
    }
}

static void report(const struct weft_test *test, weft_fn fn, int rc)
{
    if (rc >= 0)
        return;
    char name[WEFT_NAME_BYTES];
    weft_say("weft_test_run failed: %s (%d); to see it again: weft_test_run(%" PRIu64 ", %s, ...). "
             "It was at step %zu, %" PRId64 " ms after its beginning",
             weft_strerror(rc), rc, test->seed, weft_fn_name_search(fn, name), test->step_count,
             (test->now_ns - WEFT_TEST_BEGIN_NS) / NS_PER_MS);
}

/* SPDX-License-Identifier: MIT
 *
 * Many at the same objects, cancelled at any moment: no lock and no permit is lost.
 */
#include "wefttest.h"

#include "handover.h"

#define STRESS_ROUNDS (TEST_IS_SLOW ? 30 : 150)
#define PERMITS       2

struct stress {
    struct weft_mutex mutex;
    struct weft_cond cond;
    struct weft_semaphore semaphore;
    atomic_int in_mutex, in_progress, wrong, done;
};

static int64_t some_deadline(int i)
{
    return i % 7 == 0 ? 0 : i % 7 == 1 ? weft_now_ns() + 20000 : WEFT_NEVER;
}

static int use_mutex(struct stress *stress, int i)
{
    int rc = weft_mutex_lock(&stress->mutex, some_deadline(i));
    if (rc < 0)
        return rc;
    stress->wrong += stress->in_mutex++ != 0;
    rc = weft_yield();
    if (i % 3 == 0)
        weft_cond_broadcast(&stress->cond);
    if (i % 3 == 1) {
        stress->in_mutex--;
        rc = weft_cond_wait(&stress->cond, &stress->mutex, weft_now_ns() + 50000);
        stress->wrong += stress->in_mutex++ != 0;
    }
    stress->in_mutex--;
    weft_mutex_unlock(&stress->mutex);
    stress->done++;
    return rc;
}

static int use_permit(struct stress *stress, int i)
{
    int rc = weft_semaphore_acquire(&stress->semaphore, some_deadline(i));
    if (rc < 0)
        return rc;
    stress->wrong += stress->in_progress++ >= PERMITS;
    rc = weft_yield();
    stress->in_progress--;
    weft_semaphore_release(&stress->semaphore);
    return rc;
}

static int use_all(void *arg)
{
    struct stress *stress = arg;
    for (int i = 0;; i++) {
        int rc = use_mutex(stress, i);
        if (rc == 0 || rc == -ETIMEDOUT)
            rc = use_permit(stress, i);
        if (rc != 0 && rc != -ETIMEDOUT && rc != -ECANCELED)
            stress->wrong++;
        if (weft_yield() < 0)
            return 0;
    }
}

static int stress_rounds(void *arg)
{
    int rc = 0;
    for (int round = 0; round < STRESS_ROUNDS && rc == 0; round++) {
        struct weft_scope scope;
        weft_scope_open(&scope);
        for (int i = 0; i < 6; i++)
            weft_launch(&scope, i % 2 ? weft_io() : NULL, use_all, arg);
        for (int i = 0; i < 5 * (round % 8) && rc == 0; i++)
            rc = weft_yield();
        weft_scope_cancel_children(&scope);
        rc = weft_scope_close(&scope, rc);
    }
    return rc;
}

static void whoever_is_cancelled_no_lock_and_no_permit_is_lost(void **state)
{
    (void)state;
    for (int is_boxed = 0; is_boxed < 2; is_boxed++) {
        struct stress stress = { .wrong = 0 };
        weft_semaphore_init(&stress.semaphore, PERMITS);
        weft_handover_boxes_all = is_boxed;
        assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2, .io_threads = 2 }), 0);

        assert_int_equal(weft_run(stress_rounds, &stress), 0);

        assert_int_equal(stress.wrong, 0);
        assert_true(stress.done > 0);
        assert_int_equal(weft_mutex_lock(&stress.mutex, 0), 0);
        for (int i = 0; i < PERMITS; i++)
            assert_int_equal(weft_semaphore_acquire(&stress.semaphore, 0), 0);
        assert_int_equal(weft_semaphore_acquire(&stress.semaphore, 0), -ETIMEDOUT);
        assert_int_equal(weft_shutdown(), 0);
    }
    weft_handover_boxes_all = false;
}

static int complete(void *arg)
{
    return weft_completion_set(arg, 1);
}

static int complete_many(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    int rc = 1;
    for (int i = 0; i < STRESS_ROUNDS * 10 && rc == 1; i++) {
        struct weft_completion *completion = calloc(1, sizeof *completion);
        weft_launch(&scope, weft_io(), complete, completion);
        rc = weft_completion_wait(completion, WEFT_NEVER);
        free(completion); /* though its setter may not have returned */
    }
    return weft_scope_close(&scope, rc == 1 ? 0 : -EINVAL);
}

static void a_completion_may_go_as_soon_as_it_has_been_awaited(void **state)
{
    (void)state;
    assert_int_equal(weft_run(complete_many, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(whoever_is_cancelled_no_lock_and_no_permit_is_lost),
        weft_unit_test(a_completion_may_go_as_soon_as_it_has_been_awaited),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "handover.h"
#include "support/faulty.h"

#define WORKERS 20
#define ROUNDS  (TEST_IS_SLOW ? 20 : 200)

struct seen {
    struct weft_mutex mutex;
    struct weft_cond cond;
    struct weft_semaphore semaphore;
    struct weft_completion completion;
    int count, inside, inside_max, rc, other_rc;
    atomic_int waiting, ended;
    atomic_bool is_ready;
    char order[WORKERS + 1];
};

/* ---- mutex ----------------------------------------------------------------------------------- */

static int add_under_mutex(void *arg)
{
    struct seen *seen = arg;
    for (int i = 0; i < ROUNDS; i++) {
        int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
        if (rc < 0)
            return rc;
        int read = seen->count;
        rc = weft_yield();
        seen->count = read + 1;
        weft_mutex_unlock(&seen->mutex);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int launch_adders(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < WORKERS; i++)
        weft_launch(&scope, i % 2 ? weft_io() : NULL, add_under_mutex, arg);
    return weft_scope_close(&scope, 0);
}

static void a_mutex_keeps_others_out_across_a_park(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_run(launch_adders, &seen), 0);

    assert_int_equal(seen.count, WORKERS * ROUNDS);
}

static int lock_for_long(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    seen->is_ready = true;
    if (rc == 0)
        rc = weft_sleep_ms(TEST_WAIT_MS);
    weft_mutex_unlock(&seen->mutex);
    return rc;
}

static int try_locks(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, lock_for_long, seen);
    (void)test_await(&seen->is_ready);
    seen->rc = weft_mutex_lock(&seen->mutex, 0);
    seen->other_rc = weft_mutex_lock(&seen->mutex, weft_deadline_ms(10));
    weft_scope_cancel_children(&scope);
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    if (rc == 0 && weft_mutex_lock(&seen->mutex, WEFT_NEVER) != -EDEADLK)
        rc = -EINVAL;
    weft_mutex_unlock(&seen->mutex);
    return weft_scope_close(&scope, rc);
}

static void a_locked_mutex_times_out_and_is_not_recursive(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_run(try_locks, &seen), 0);

    assert_int_equal(seen.rc, -ETIMEDOUT);
    assert_int_equal(seen.other_rc, -ETIMEDOUT);
}

static int unlock_foreign(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, lock_for_long, seen);
    (void)test_await(&seen->is_ready);
    weft_mutex_unlock(&seen->mutex);
    return weft_scope_close(&scope, -EINVAL);
}

static int run_unlock_foreign(void *arg)
{
    return weft_run(unlock_foreign, arg);
}

static int cond_without_mutex(void *arg)
{
    struct seen *seen = arg;
    return weft_cond_wait(&seen->cond, &seen->mutex, WEFT_NEVER);
}

static int run_cond_without_mutex(void *arg)
{
    return weft_run(cond_without_mutex, arg);
}

static void unlocking_what_one_has_not_locked_ends_the_program(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    assert_dies(run_unlock_foreign, &seen, "weft_mutex_unlock: the caller has not locked it");
    assert_dies(run_cond_without_mutex, &seen, "weft_cond_wait: the caller has not locked");
}

/* ---- order ----------------------------------------------------------------------------------- */

struct waiter {
    struct seen *seen;
    char letter;
};

static int wait_in_order(void *arg)
{
    struct waiter *waiter = arg;
    struct seen *seen = waiter->seen;
    seen->waiting++;
    int rc = weft_semaphore_acquire(&seen->semaphore, WEFT_NEVER);
    if (rc == 0)
        seen->order[seen->count++] = waiter->letter;
    return rc;
}

static int serve_in_order(void *arg)
{
    struct seen *seen = arg;
    struct waiter waiters[5];
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 5; i++) {
        waiters[i] = (struct waiter){ seen, (char)('a' + i) };
        weft_launch(&scope, NULL, wait_in_order, &waiters[i]);
    }
    while (seen->waiting < 5)
        (void)weft_yield();
    for (int i = 0; i < 5; i++)
        weft_semaphore_release(&seen->semaphore);
    return weft_scope_close(&scope, 0);
}

static void those_who_wait_are_served_in_order_of_arrival(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(serve_in_order, &seen), 0);

    assert_string_equal(seen.order, "abcde");
}

/* ---- semaphore ------------------------------------------------------------------------------- */

static int work_with_permit(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_semaphore_acquire(&seen->semaphore, WEFT_NEVER);
    if (rc < 0)
        return rc;
    if (++seen->inside > seen->inside_max)
        seen->inside_max = seen->inside;
    for (int i = 0; i < 5 && rc == 0; i++)
        rc = weft_yield();
    seen->inside--;
    weft_semaphore_release(&seen->semaphore);
    return rc;
}

static int launch_workers(void *arg)
{
    return launch_many(NULL, WORKERS, work_with_permit, arg);
}

static void a_semaphore_limits_what_is_in_progress_parked_or_not(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    weft_semaphore_init(&seen.semaphore, 3);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(launch_workers, &seen), 0);

    assert_int_equal(seen.inside_max, 3);
}

static int time_out_at_semaphore(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_semaphore_acquire(&seen->semaphore, 0);
    return weft_semaphore_acquire(&seen->semaphore, weft_deadline_ms(10));
}

static void no_permit_in_time_is_etimedout(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    weft_semaphore_init(&seen.semaphore, 0);

    assert_int_equal(weft_run(time_out_at_semaphore, &seen), -ETIMEDOUT);

    assert_int_equal(seen.rc, -ETIMEDOUT);
}

/* ---- condition ------------------------------------------------------------------------------- */

static int wait_for_count(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    if (rc < 0)
        return rc;
    seen->waiting++;
    while (seen->count == 0 && rc == 0)
        rc = weft_cond_wait(&seen->cond, &seen->mutex, weft_deadline_ms(TEST_WAIT_MS));
    if (rc == 0 && seen->count > 0)
        seen->count--;
    seen->ended++;
    weft_mutex_unlock(&seen->mutex);
    return rc;
}

static int set_count(struct seen *seen, int count)
{
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    if (rc < 0)
        return rc;
    seen->count = count;
    weft_mutex_unlock(&seen->mutex);
    return 0;
}

static int signal_one_then_all(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 5; i++)
        weft_launch(&scope, NULL, wait_for_count, seen);
    while (seen->waiting < 5)
        (void)weft_yield();
    int rc = set_count(seen, 1);
    weft_cond_signal(&seen->cond);
    while (seen->ended < 1)
        (void)weft_yield();
    for (int i = 0; i < 20; i++)
        (void)weft_yield();
    seen->rc = seen->ended;
    if (rc == 0)
        rc = set_count(seen, 4);
    weft_cond_broadcast(&seen->cond);
    return weft_scope_close(&scope, rc);
}

static void signal_wakes_one_and_broadcast_all(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_run(signal_one_then_all, &seen), 0);

    assert_int_equal(seen.rc, 1);
    assert_int_equal(seen.ended, 5);
    assert_int_equal(seen.count, 0);
}

static int time_out_at_cond(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    seen->rc = weft_cond_wait(&seen->cond, &seen->mutex, weft_deadline_ms(10));
    seen->other_rc = weft_cond_wait(&seen->cond, &seen->mutex, 0);
    weft_mutex_unlock(&seen->mutex); /* would die if it were not ours */
    return rc;
}

static void no_signal_in_time_is_etimedout_and_the_mutex_is_ours(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_run(time_out_at_cond, &seen), 0);

    assert_int_equal(seen.rc, -ETIMEDOUT);
    assert_int_equal(seen.other_rc, -ETIMEDOUT);
}

/* ---- completion ------------------------------------------------------------------------------ */

static int await_completion(void *arg)
{
    struct seen *seen = arg;
    seen->is_ready = true;
    int rc = weft_completion_wait(&seen->completion, weft_deadline_ms(TEST_WAIT_MS));
    seen->other_rc = weft_completion_wait(&seen->completion, WEFT_NEVER);
    return rc;
}

static void a_plain_thread_completes_what_a_coroutine_awaits(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    struct weft_task *root = weft_root_open(NULL, await_completion, &seen);
    assert_true(test_block_until(&seen.is_ready));
    assert_int_equal(weft_completion_wait(&seen.completion, 0), -ETIMEDOUT);

    assert_int_equal(weft_completion_set(&seen.completion, 17), 0);

    assert_int_equal(weft_root_close(root), 17);
    assert_int_equal(seen.other_rc, 17);
    assert_int_equal(weft_completion_set(&seen.completion, 18), -EALREADY);
    assert_int_equal(weft_completion_wait(&seen.completion, 0), 17);
    assert_int_equal(weft_completion_wait(&seen.completion, WEFT_NEVER), -EPERM);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static int lock_and_count(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    if (rc == 0) {
        seen->count++;
        weft_mutex_unlock(&seen->mutex);
    }
    return rc;
}

static int acquire_and_count(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    int rc = weft_semaphore_acquire(&seen->semaphore, WEFT_NEVER);
    seen->count += rc == 0;
    return rc;
}

static int await_signal_and_count(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    seen->waiting++;
    if (rc == 0)
        rc = weft_cond_wait(&seen->cond, &seen->mutex, WEFT_NEVER);
    seen->count += rc == 0;
    weft_mutex_unlock(&seen->mutex);
    return rc;
}

/* Two wait; the first is given what it waits for, and is cancelled before it runs. */
static int cancel_the_first_of_two(struct seen *seen, weft_fn fn, void (*give)(struct seen *seen))
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *first = weft_async(&scope, NULL, fn, seen);
    while (seen->waiting < 1)
        (void)weft_yield();
    struct weft_task *second = weft_async(&scope, NULL, fn, seen);
    while (seen->waiting < 2)
        (void)weft_yield();
    give(seen);
    weft_cancel(first);
    seen->rc = weft_await(first);
    seen->other_rc = weft_await(second);
    return weft_scope_close(&scope, 0);
}

static void give_mutex(struct seen *seen)
{
    weft_mutex_unlock(&seen->mutex);
}

static void give_permit(struct seen *seen)
{
    weft_semaphore_release(&seen->semaphore);
}

static void give_signal(struct seen *seen)
{
    weft_cond_signal(&seen->cond);
}

static int cancel_the_next_owner(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    return rc < 0 ? rc : cancel_the_first_of_two(seen, lock_and_count, give_mutex);
}

static int cancel_the_next_permit(void *arg)
{
    return cancel_the_first_of_two(arg, acquire_and_count, give_permit);
}

static int cancel_the_signalled(void *arg)
{
    return cancel_the_first_of_two(arg, await_signal_and_count, give_signal);
}

static void what_a_cancelled_one_was_given_goes_to_the_next(void **state)
{
    (void)state;
    const weft_fn bodies[] = { cancel_the_next_owner, cancel_the_next_permit,
                               cancel_the_signalled };
    for (int i = 0; i < 6; i++) {
        struct seen seen = { .rc = 0 };
        weft_handover_boxes_all = i >= 3;
        assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

        assert_int_equal(weft_run(bodies[i % 3], &seen), 0);

        assert_int_equal(seen.rc, WEFT_ECHILD);
        assert_int_equal(seen.other_rc, 0);
        assert_int_equal(seen.count, 1);
        assert_int_equal(weft_mutex_lock(&seen.mutex, 0), 0);
        assert_int_equal(weft_semaphore_acquire(&seen.semaphore, 0), -ETIMEDOUT);
        assert_int_equal(weft_shutdown(), 0);
    }
    weft_handover_boxes_all = false;
}

static int wait_without_memory(void *arg)
{
    struct seen *seen = arg;
    weft_handover_boxes_all = true;
    int rc = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    faulty_fail_at(1);
    seen->rc = weft_cond_wait(&seen->cond, &seen->mutex, WEFT_NEVER);
    faulty_fail_at(1);
    seen->other_rc = weft_semaphore_acquire(&seen->semaphore, WEFT_NEVER);
    faulty_fail_at(1);
    seen->count = weft_completion_wait(&seen->completion, WEFT_NEVER);
    faulty_stop();
    weft_mutex_unlock(&seen->mutex); /* it is still ours */
    faulty_fail_at(1);
    seen->inside = weft_mutex_lock(&seen->mutex, WEFT_NEVER);
    faulty_stop();
    weft_handover_boxes_all = false;
    return rc;
}

static void without_memory_to_wait_with_nothing_is_taken(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(wait_without_memory, &seen), 0);

    assert_int_equal(seen.rc, -ENOMEM);
    assert_int_equal(seen.other_rc, -ENOMEM);
    assert_int_equal(seen.count, -ENOMEM);
    assert_int_equal(seen.inside, -ENOMEM);
    assert_int_equal(weft_mutex_lock(&seen.mutex, 0), 0);
}

/* ---- plain threads --------------------------------------------------------------------------- */

static void a_plain_thread_may_try_but_not_wait(void **state)
{
    (void)state;
    struct weft_mutex mutex = { { 0 } };
    struct weft_cond cond = { { 0 } };
    struct weft_semaphore semaphore;
    weft_semaphore_init(&semaphore, 1);

    assert_int_equal(weft_mutex_lock(&mutex, WEFT_NEVER), -EPERM);
    assert_int_equal(weft_mutex_lock(&mutex, 0), 0);
    assert_int_equal(weft_mutex_lock(&mutex, 0), -EDEADLK);
    assert_int_equal(weft_cond_wait(&cond, &mutex, 0), -EPERM);
    weft_mutex_unlock(&mutex);
    assert_int_equal(weft_semaphore_acquire(&semaphore, weft_deadline_ms(1)), -EPERM);
    assert_int_equal(weft_semaphore_acquire(&semaphore, 0), 0);
    assert_int_equal(weft_semaphore_acquire(&semaphore, 0), -ETIMEDOUT);
    weft_cond_signal(&cond);
    weft_cond_broadcast(&cond);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_mutex_keeps_others_out_across_a_park),
        weft_unit_test(a_locked_mutex_times_out_and_is_not_recursive),
        weft_unit_test(unlocking_what_one_has_not_locked_ends_the_program),
        weft_unit_test(those_who_wait_are_served_in_order_of_arrival),
        weft_unit_test(a_semaphore_limits_what_is_in_progress_parked_or_not),
        weft_unit_test(no_permit_in_time_is_etimedout),
        weft_unit_test(signal_wakes_one_and_broadcast_all),
        weft_unit_test(no_signal_in_time_is_etimedout_and_the_mutex_is_ours),
        weft_unit_test(a_plain_thread_completes_what_a_coroutine_awaits),
        weft_unit_test(what_a_cancelled_one_was_given_goes_to_the_next),
        weft_unit_test(without_memory_to_wait_with_nothing_is_taken),
        weft_unit_test(a_plain_thread_may_try_but_not_wait),
    };
    return berth_test_main(tests, NULL, NULL);
}

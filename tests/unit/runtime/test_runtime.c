/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <sys/resource.h>

struct seen {
    atomic_bool is_ready, is_free;
    int rc, other_rc;
    struct weft_task *root;
    struct weft_dispatcher *dispatcher;
};

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int stay(void *arg)
{
    struct seen *seen = arg;
    seen->is_ready = true;
    return test_await(&seen->is_free) ? 5 : -ETIMEDOUT;
}

static int sleep_long(void *arg)
{
    struct seen *seen = arg;
    seen->is_ready = true;
    return weft_sleep_until(WEFT_NEVER);
}

/* ---- configure ------------------------------------------------------------------------------- */

static void options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    const struct weft_opts bad[] = {
        { .stack_bytes = WEFT_STACK_BYTES_MIN - 1 },
        { .stack_bytes = WEFT_STACK_BYTES_MAX + 1 },
        { .threads = 4, .threads_max = 4 },
        { .threads_max = 1 },
        { .threads_max = 1000000 },
        { .io_threads = 1000000 },
        { .threads = 5000 },
        { .reserved = { 0, 0, 0, 0, 0, 0, 0, 1 } },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(weft_configure(&bad[i]), -EINVAL);
}

static int shut_down(void *arg)
{
    (void)arg;
    return weft_shutdown();
}

static void no_coroutine_can_shut_its_runtime_down(void **state)
{
    (void)state;
    assert_int_equal(weft_run(shut_down, NULL), -EBUSY);
}

static void options_come_before_the_first_use_and_again_after_shutdown(void **state)
{
    (void)state;
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2 }), 0);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 3 }), 0);
    assert_int_equal(weft_run(nothing, NULL), 0);

    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 3 }), -EALREADY);

    assert_int_equal(weft_shutdown(), 0);
    assert_int_equal(weft_shutdown(), 0); /* nothing to do */
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 3 }), 0);
    assert_int_equal(weft_run(nothing, NULL), 0);
}

/* Each of the descriptors that a start takes is refused once. */
static void want_of_descriptors_is_told_as_that(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int rc = -EMFILE;
    unsigned refused = 0;
    for (rlim_t count = 3; rc == -EMFILE && count < 64; count++) {
        struct rlimit few = { .rlim_cur = count, .rlim_max = before.rlim_max };
        assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2 }), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rc = weft_run(nothing, NULL);
        int root_rc = weft_root_close(weft_root_open(NULL, nothing, NULL));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(root_rc, rc);
        assert_int_equal(weft_shutdown(), 0);
        refused += rc == -EMFILE;
    }
    assert_int_equal(rc, 0);
    assert_true(refused >= 8); /* two for each of two seats, twice, at the least */
}

/* ---- roots ----------------------------------------------------------------------------------- */

static void a_root_is_opened_without_waiting_and_closed_for_its_result(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    struct weft_task *root = weft_root_open(weft_io(), stay, &seen);
    assert_non_null(root);
    assert_true(test_block_until(&seen.is_ready));
    assert_int_equal(weft_await_until(root, 0), -ETIMEDOUT);
    assert_int_equal(weft_shutdown(), -EBUSY);
    seen.is_free = true;

    assert_int_equal(weft_root_close(root), 5);
}

static void a_root_can_be_cancelled_from_any_thread(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    struct weft_task *root = weft_root_open(NULL, sleep_long, &seen);
    assert_true(test_block_until(&seen.is_ready));

    weft_cancel(root);
    weft_cancel(root);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
}

static void a_root_cancelled_before_it_starts_never_runs_and_has_ended_at_once(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    struct io_block block;
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 1 }), 0);
    io_block(&block);
    struct weft_task *root = weft_root_open(weft_io(), stay, &seen);
    assert_int_equal(weft_await_until(root, 0), -ETIMEDOUT);

    weft_cancel(root);

    assert_int_equal(weft_await_until(root, 0), WEFT_ECHILD); /* though io is still blocked */
    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_false(seen.is_ready);
    io_free(&block);
}

static int close_itself(void *arg)
{
    struct seen *seen = arg;
    if (!test_await(&seen->is_ready))
        return -ETIMEDOUT;
    seen->rc = weft_root_close(seen->root);
    return 0;
}

static void closing_oneself_is_edeadlk(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    seen.root = weft_root_open(NULL, close_itself, &seen);
    seen.is_ready = true;

    assert_int_equal(weft_root_close(seen.root), 0);

    assert_int_equal(seen.rc, -EDEADLK);
    assert_int_equal(weft_root_close(NULL), -ENOMEM);
}

static int open_and_close(void *arg)
{
    struct seen *seen = arg;
    struct weft_task *root = weft_root_open(NULL, stay, seen);
    seen->is_free = true;
    return weft_root_close(root);
}

static void a_coroutine_may_open_and_close_roots(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_int_equal(weft_run(open_and_close, &seen), 5);
}

static int is_no_root(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_root_close(weft_async(&scope, NULL, nothing, NULL));
    return weft_scope_close(&scope, 0);
}

static int run_is_no_root(void *arg)
{
    return weft_run(is_no_root, arg);
}

static void closing_a_task_that_is_no_root_ends_the_program(void **state)
{
    (void)state;
    assert_dies(run_is_no_root, NULL, "not a root, but a task of the scope that is_no_root()");
}

static void no_fn_is_no_root(void **state)
{
    (void)state;
    assert_null(weft_root_open(NULL, NULL, NULL));
    assert_int_equal(weft_root_close(NULL), -EINVAL); /* why it was not opened */
    assert_int_equal(weft_root_close(NULL), -ENOMEM);
    assert_int_equal(weft_run(NULL, NULL), -EINVAL);
}

static void beyond_tasks_max_there_is_no_memory(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .tasks_max = 1 }), 0);
    struct weft_task *root = weft_root_open(NULL, stay, &seen);

    assert_null(weft_root_open(NULL, stay, &seen));
    assert_int_equal(weft_run(stay, &seen), -ENOMEM);

    seen.is_free = true;
    assert_int_equal(weft_root_close(root), 5);
}

/* ---- run ------------------------------------------------------------------------------------- */

static int give_ecanceled(void *arg)
{
    (void)arg;
    return -ECANCELED;
}

static void run_never_says_that_the_caller_was_cancelled(void **state)
{
    (void)state;
    assert_int_equal(weft_run(give_ecanceled, NULL), WEFT_ECHILD);
}

static int note_dispatcher(void *arg)
{
    ((struct seen *)arg)->dispatcher = weft_current();
    return 3;
}

static int run_inside(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_run(note_dispatcher, seen);
    return 0;
}

static int run_on_io(void *arg)
{
    return weft_with(weft_io(), run_inside, arg);
}

static void run_in_a_coroutine_parks_it(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    /* One thread for each: a run that blocked default's would never end. */
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1, .io_threads = 1 }), 0);

    assert_int_equal(weft_run(run_inside, &seen), 0);
    assert_int_equal(seen.rc, 3);
    assert_int_equal(weft_run(run_on_io, &seen), 0);

    assert_ptr_equal(seen.dispatcher, weft_default());
}

static int run_sleeper(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_run(sleep_long, seen);
    seen->other_rc = weft_check();
    return seen->rc;
}

static void cancelling_a_coroutine_reaches_what_it_runs(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    struct weft_task *root = weft_root_open(NULL, run_sleeper, &seen);
    assert_true(test_block_until(&seen.is_ready));

    weft_cancel(root);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_int_equal(seen.rc, WEFT_ECHILD);
    assert_int_equal(seen.other_rc, -ECANCELED);
}

/* ---- many doors at once ---------------------------------------------------------------------- */

#define CLIENTS 4
#define ROUNDS  (TEST_IS_SLOW ? 50 : 500)

static void *run_often(void *arg)
{
    atomic_int *failures = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct seen seen = { .rc = 0 };
        struct weft_task *root = weft_root_open(i % 2 ? weft_io() : NULL, sleep_long, &seen);
        if (!root || weft_run(nothing, NULL) != 0)
            ++*failures;
        weft_cancel(root);
        if (weft_root_close(root) != WEFT_ECHILD)
            ++*failures;
    }
    return NULL;
}

static void many_plain_threads_use_the_doors_at_once(void **state)
{
    (void)state;
    pthread_t clients[CLIENTS];
    atomic_int failures = 0;
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, run_often, &failures), 0);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(clients[i], NULL), 0);

    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(options_that_cannot_be_are_refused),
        weft_unit_test(no_coroutine_can_shut_its_runtime_down),
        weft_unit_test(options_come_before_the_first_use_and_again_after_shutdown),
        weft_unit_test(want_of_descriptors_is_told_as_that),
        weft_unit_test(a_root_is_opened_without_waiting_and_closed_for_its_result),
        weft_unit_test(a_root_can_be_cancelled_from_any_thread),
        weft_unit_test(a_root_cancelled_before_it_starts_never_runs_and_has_ended_at_once),
        weft_unit_test(closing_oneself_is_edeadlk),
        weft_unit_test(a_coroutine_may_open_and_close_roots),
        weft_unit_test(closing_a_task_that_is_no_root_ends_the_program),
        weft_unit_test(no_fn_is_no_root),
        weft_unit_test(beyond_tasks_max_there_is_no_memory),
        weft_unit_test(run_never_says_that_the_caller_was_cancelled),
        weft_unit_test(run_in_a_coroutine_parks_it),
        weft_unit_test(cancelling_a_coroutine_reaches_what_it_runs),
        weft_unit_test(many_plain_threads_use_the_doors_at_once),
    };
    return berth_test_main(tests, NULL, NULL);
}

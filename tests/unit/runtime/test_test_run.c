/* SPDX-License-Identifier: MIT */
#include "runtest.h"

#include <poll.h>

#include "test_run.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int count_one(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int sleep_a_day(void *arg)
{
    (void)arg;
    return weft_sleep_ms(86400000);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static int wait_for_ever(void *arg)
{
    return weft_completion_wait(arg, WEFT_NEVER);
}

static int stuck(void *arg)
{
    struct weft_completion completion = { 0 };
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    const struct weft_task_opts opts = { .name = "the patient one" };
    weft_launch_opts(&scope, weft_io(), wait_for_ever, &completion, &opts);
    return weft_scope_close(&scope, 0);
}

static void a_run_that_is_stuck_names_who_waits_for_what(void **state)
{
    (void)state;
    struct capture capture;

    assert_int_equal(run_captured(99, stuck, NULL, &capture), WEFT_ESTUCK);

    assert_says(capture, "'the patient one' on io: parked, waits for completion");
    assert_says(capture, "on default: parked, waits for children");
    assert_says(capture, "weft_test_run(99, ");
}

static int spin(void *arg)
{
    bool *has_begun = arg;
    *has_begun = true;
    weft_test_real_ms_set(TEST_WAIT_MS); /* so long it may take to end */
    int rc;
    while ((rc = weft_yield()) == 0) {
    }
    return rc;
}

static void a_run_that_takes_too_long_is_cancelled(void **state)
{
    (void)state;
    struct capture capture;
    bool has_begun = false;
    int rc = 0;
    for (int64_t ms = 20; !has_begun && ms < TEST_WAIT_MS; ms *= 2) {
        weft_test_real_ms_set(ms); /* on a busy machine it may be over before the first turn */
        rc = run_captured(5, spin, &has_begun, &capture);
    }

    weft_test_real_ms_set(WEFT_TEST_REAL_MS_DEFAULT);
    assert_true(has_begun);
    assert_int_equal(rc, -ETIME);
    assert_says(capture, "ms of real time there is still something to do");
    assert_says(capture, "on default: ready");
    assert_says(capture, "weft_test_run(5, ");
}

struct deaf {
    pthread_mutex_t mutex;
    bool has_tried;
};

static int wait_deaf(void *arg)
{
    struct deaf *deaf = arg;
    deaf->has_tried = true;
    return -pthread_mutex_lock(&deaf->mutex); /* no result of it says "cancelled" */
}

static int wait_deaf_on_virtual(void *arg)
{
    return weft_with(weft_virtual(), wait_deaf, arg);
}

static int hold_and_run(void *arg)
{
    struct deaf *deaf = arg;
    int rc = 0;
    (void)pthread_mutex_lock(&deaf->mutex);
    for (int64_t ms = 20; !deaf->has_tried && ms < TEST_WAIT_MS; ms *= 2) {
        weft_test_real_ms_set(ms);
        rc = weft_test_run(5, wait_deaf_on_virtual, deaf);
    }
    if (rc == -ETIME)
        abort();
    return 0;
}

static void what_cannot_be_cancelled_is_left_as_it_is(void **state)
{
    (void)state;
    struct deaf deaf = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    assert_dies(hold_and_run, &deaf, "will not end; it is left as it is");
}

static int give_back(void *arg)
{
    return *(int *)arg;
}

static int supervise(void *arg)
{
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_launch(&scope, NULL, give_back, arg);
    return weft_scope_close(&scope, 0);
}

static void the_result_and_the_seed_of_a_failure_come_out(void **state)
{
    (void)state;
    struct capture capture;
    int rc = -EDOM;

    assert_int_equal(run_captured(UINT64_MAX, give_back, &rc, &capture), -EDOM);
    assert_says(capture, "weft_test_run(18446744073709551615, ");

    rc = 17;
    assert_int_equal(weft_test_run(1, give_back, &rc), 17);
}

static void a_failure_of_which_nobody_hears_fails_the_run(void **state)
{
    (void)state;
    struct capture capture;
    int rc = -EDOM;

    assert_int_equal(run_captured(3, supervise, &rc, &capture), -EDOM);

    assert_says(capture, "failed: Numerical argument out of domain");
    assert_says(capture, "weft_test_run(3, ");
}

static void hear(void *arg, const char *task, int rc)
{
    (void)task;
    *(int *)arg = rc;
}

static int supervise_and_hear(void *arg)
{
    int heard = 0;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_scope_on_failure(&scope, hear, &heard);
    weft_launch(&scope, NULL, give_back, arg);
    int rc = weft_scope_close(&scope, 0);
    return rc < 0 || heard == *(int *)arg ? rc : -ERANGE;
}

static void a_failure_that_is_heard_does_not(void **state)
{
    (void)state;
    int rc = -EDOM;
    assert_int_equal(weft_test_run(3, supervise_and_hear, &rc), 0);
}

static int leave_root(void *arg)
{
    struct weft_task **ret_root = arg;
    *ret_root = weft_root_open(NULL, sleep_a_day, NULL);
    return weft_yield();
}

static int leave_ended_root(void *arg)
{
    struct weft_task **ret_root = arg;
    *ret_root = weft_root_open(weft_io(), nothing, NULL);
    return weft_sleep_ms(1);
}

static void a_root_that_was_not_closed_is_reported(void **state)
{
    (void)state;
    struct capture capture;
    struct weft_task *root = NULL;

    assert_int_equal(run_captured(4, leave_ended_root, &root, &capture), -EBUSY);
    assert_says(capture, "root 'nothing' was not closed\n");
    assert_int_equal(weft_root_close(root), 0);
}

static void a_root_that_was_left_open_is_cancelled(void **state)
{
    (void)state;
    struct capture capture;
    struct weft_task *root = NULL;

    assert_int_equal(run_captured(4, leave_root, &root, &capture), -EBUSY);
    assert_says(capture, "root 'sleep_a_day' was not closed, and is cancelled");
    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
}

static int use_root(void *arg)
{
    int rc = weft_root_close(weft_root_open(weft_io(), nothing, arg));
    return rc < 0 ? rc : weft_run(nothing, NULL);
}

static void roots_inside_belong_to_the_run(void **state)
{
    (void)state;
    assert_int_equal(weft_test_run(4, use_root, NULL), 0);
}

static int drop_queued(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 100; i++)
        weft_launch(&scope, NULL, count_one, arg);
    weft_scope_cancel(&scope);
    return weft_scope_close(&scope, 0);
}

static void what_was_cancelled_in_a_queue_leaves_nothing(void **state)
{
    (void)state;
    int ran = 0;
    assert_int_equal(weft_test_run(4, drop_queued, &ran), 0);
    assert_int_equal(ran, 0);
}

/* ---- doors ----------------------------------------------------------------------------------- */

static int run_inside(void *arg)
{
    (void)arg;
    return weft_test_run(1, nothing, NULL);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    struct capture capture;
    assert_int_equal(weft_test_run(1, NULL, NULL), -EINVAL);
    assert_int_equal(weft_run(run_inside, NULL), -EPERM);
    assert_int_equal(run_captured(1, run_inside, NULL, &capture), -EPERM);
}

static int on_one_thread(void *arg)
{
    pthread_t *thread = arg;
    return pthread_equal(*thread, pthread_self()) ? 0 : -EXDEV;
}

static int on_all(void *arg)
{
    struct weft_dispatcher *view;
    int rc = weft_view_independent(3, "an independent one", &view);
    struct weft_dispatcher *const all[] = { weft_default(), weft_io(),         weft_virtual(),
                                            weft_main(),    weft_unconfined(), view };
    for (size_t i = 0; i < sizeof all / sizeof all[0] && rc == 0; i++) {
        rc = weft_with(all[i], on_one_thread, arg);
        if (rc == 0 && weft_current() != weft_default())
            rc = -ERANGE;
    }
    return rc;
}

static void all_dispatchers_run_on_the_calling_thread(void **state)
{
    (void)state;
    pthread_t self = pthread_self();
    for (uint64_t seed = 0; seed < 5; seed++) /* the view's name is free again each time */
        assert_int_equal(weft_test_run(seed, on_all, &self), 0);
}

static int replace_main(void *arg)
{
    (void)arg;
    struct weft_dispatcher *own = weft_main(), *serial;
    int rc = weft_view_serial(weft_default(), "stands for main", &serial);
    if (rc == 0)
        rc = weft_main_replace(serial);
    if (rc < 0 || weft_main() != serial)
        return rc < 0 ? rc : -ERANGE;
    rc = weft_with(weft_main(), nothing, NULL);
    (void)weft_main_replace(NULL);
    if (rc == 0 && weft_main() != own)
        rc = -ERANGE;
    return rc < 0 ? rc : weft_main_replace(serial);
}

static void a_run_replaces_main_for_itself_alone(void **state)
{
    (void)state;
    struct weft_dispatcher *real = weft_main();

    assert_int_equal(weft_test_run(1, replace_main, NULL), 0);

    assert_ptr_equal(weft_main(), real);
}

struct outsider {
    struct weft_dispatcher *d;
    int rc_with, rc_root, rc_view;
};

static int use_outsider(void *arg)
{
    struct outsider *outsider = arg;
    outsider->rc_with = weft_with(outsider->d, nothing, NULL);
    outsider->rc_root = weft_root_open(outsider->d, nothing, NULL) ? 0 : -ENOTSUP;
    struct weft_dispatcher *view;
    outsider->rc_view = weft_view_serial(outsider->d, "inner", &view);
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, outsider->d, nothing, NULL);
    return weft_scope_close(&scope, 0);
}

static void dispatchers_from_outside_are_refused_by_name(void **state)
{
    (void)state;
    struct capture capture;
    struct outsider outsider = { 0 };
    assert_int_equal(weft_view_serial(weft_default(), "outer one", &outsider.d), 0);

    assert_int_equal(run_captured(1, use_outsider, &outsider, &capture), -ENOTSUP);

    assert_int_equal(outsider.rc_with, -ENOTSUP);
    assert_int_equal(outsider.rc_root, -ENOTSUP);
    assert_int_equal(outsider.rc_view, -ENOTSUP);
    assert_says(capture, "weft_with: dispatcher 'outer one' was made outside this test run");
    assert_says(capture, "weft_launch: dispatcher 'outer one' was made outside this test run");
}

static int immediate_inside(void *arg)
{
    int *ran = arg, seen;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_immediate(weft_default()), count_one, ran);
    seen = *ran;
    weft_launch(&scope, weft_immediate(weft_io()), count_one, ran);
    seen = seen == 1 && *ran == 1 ? 0 : -ERANGE;
    return weft_scope_close(&scope, seen);
}

static void immediates_run_in_place_only_inside_their_dispatcher(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        int ran = 0;
        assert_int_equal(weft_test_run(seed, immediate_inside, &ran), 0);
        assert_int_equal(ran, 2);
    }
}

struct pipe_ends {
    int fds[2];
    int rc_wait, rc_ready, rc_read, rc_interruptible, errno_read;
};

static int read_by_libc(void *arg)
{
    struct pipe_ends *ends = arg;
    char byte;
    ends->rc_read = (int)read(ends->fds[0], &byte, 1);
    ends->errno_read = errno;
    return 0;
}

static int use_real_time(void *arg)
{
    struct pipe_ends *ends = arg;
    ends->rc_wait = weft_fd_wait(ends->fds[0], POLLIN, WEFT_NEVER);
    ends->rc_ready = weft_fd_wait(ends->fds[1], POLLOUT, WEFT_NEVER);
    ends->rc_interruptible = weft_interruptible(nothing, NULL);
    return weft_with(weft_virtual(), read_by_libc, ends);
}

static void sources_of_real_time_are_refused_by_name(void **state)
{
    (void)state;
    struct capture capture;
    struct pipe_ends ends = { 0 };
    assert_int_equal(pipe(ends.fds), 0);

    assert_int_equal(run_captured(1, use_real_time, &ends, &capture), 0);

    assert_int_equal(ends.rc_wait, -ENOTSUP);
    assert_int_equal(ends.rc_ready, POLLOUT);
    assert_int_equal(ends.rc_interruptible, -ENOTSUP);
    assert_int_equal(ends.rc_read, -1);
    assert_int_equal(ends.errno_read, ENOTSUP);
    assert_says(capture, "'use_real_time': waiting for a descriptor: refused in a test run");
    assert_says(capture, "'use_real_time': weft_interruptible: refused in a test run");
    (void)close(ends.fds[0]);
    (void)close(ends.fds[1]);
}

static int fail_alone(void *arg)
{
    (void)arg;
    return -EDOM;
}

static int have_it_fail(void *d)
{
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_launch(&scope, d, fail_alone, NULL);
    return weft_scope_close(&scope, 0);
}

/* Not of test runs alone, but here is what can hear it. */
static void a_failure_of_which_nobody_hears_is_a_line_with_the_functions_name(void **state)
{
    (void)state;
    struct weft_dispatcher *const ways[] = { weft_default(), weft_virtual() };
    for (int i = 0; i < 2; i++) {
        struct capture capture;
        capture_begin(&capture);

        int rc = weft_run(have_it_fail, ways[i]);

        (void)capture_end(&capture);
        assert_int_equal(rc, 0);
        assert_says(capture, "weft: coroutine 'fail_alone' failed: Numerical argument out of");
    }
}

static void *set_completion(void *arg)
{
    (void)weft_completion_set(arg, 0);
    return NULL;
}

/* arg: whether it waits on the unconfined dispatcher. */
static int be_woken_from_outside(void *arg)
{
    struct weft_dispatcher *d = *(bool *)arg ? weft_unconfined() : weft_default();
    struct weft_completion completion = { 0 };
    pthread_t thread;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, d, wait_for_ever, &completion);
    int rc = weft_test_advance_ms(0); /* now it waits */
    if (rc == 0)
        rc = -pthread_create(&thread, NULL, set_completion, &completion);
    if (rc == 0)
        (void)pthread_join(thread, NULL);
    return weft_scope_close(&scope, rc);
}

static void a_wake_by_another_thread_comes_but_fails_the_run(void **state)
{
    (void)state;
    struct capture capture;
    for (int i = 0; i < 2; i++) {
        bool is_unconfined = i == 1;
        assert_int_equal(run_captured(1, be_woken_from_outside, &is_unconfined, &capture),
                         -ENOTSUP);
        assert_says(capture, "another thread has woken a coroutine");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_run_that_is_stuck_names_who_waits_for_what),
        weft_unit_test(a_run_that_takes_too_long_is_cancelled),
        weft_unit_test(what_cannot_be_cancelled_is_left_as_it_is),
        weft_unit_test(the_result_and_the_seed_of_a_failure_come_out),
        weft_unit_test(a_failure_of_which_nobody_hears_fails_the_run),
        weft_unit_test(a_failure_that_is_heard_does_not),
        weft_unit_test(a_root_that_was_not_closed_is_reported),
        weft_unit_test(a_root_that_was_left_open_is_cancelled),
        weft_unit_test(roots_inside_belong_to_the_run),
        weft_unit_test(what_was_cancelled_in_a_queue_leaves_nothing),
        weft_unit_test(wrong_calls_are_refused),
        weft_unit_test(all_dispatchers_run_on_the_calling_thread),
        weft_unit_test(a_run_replaces_main_for_itself_alone),
        weft_unit_test(dispatchers_from_outside_are_refused_by_name),
        weft_unit_test(immediates_run_in_place_only_inside_their_dispatcher),
        weft_unit_test(sources_of_real_time_are_refused_by_name),
        weft_unit_test(a_failure_of_which_nobody_hears_is_a_line_with_the_functions_name),
        weft_unit_test(a_wake_by_another_thread_comes_but_fails_the_run),
    };
    return berth_test_main(tests, NULL, NULL);
}

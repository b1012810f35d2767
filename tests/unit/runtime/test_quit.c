/* SPDX-License-Identifier: MIT
 *
 * SIGQUIT. Most of it needs a program of its own: this one, with a word that says which.
 */
#include "wefttest.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "support/process.h"

/* ---- the programs ---- */

static int say_and_sleep(void *arg)
{
    (void)arg;
    (void)dprintf(STDOUT_FILENO, "here\n");
    return weft_sleep_until(WEFT_NEVER);
}

static int say_and_spin(void *arg)
{
    struct weft_scope scope;
    (void)arg;
    weft_scope_open(&scope);
    (void)dprintf(STDOUT_FILENO, "here\n");
    static volatile bool is_over;
    while (!is_over) {
    }
    return weft_scope_close(&scope, 0);
}

static int spin_everywhere(void *arg)
{
    (void)weft_root_open(NULL, say_and_spin, arg);
    return say_and_spin(arg);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* stderr is a pipe that is full and stays so. */
static int shut_down_in_mid_dump(void)
{
    int ends[2];
    char bytes[4096] = { 0 };
    if (weft_run(nothing, NULL) != 0 || pipe2(ends, O_NONBLOCK) < 0) /* ASan writes at the first */
        return 2;
    while (write(ends[1], bytes, sizeof bytes) > 0) {
    }
    (void)fcntl(ends[1], F_SETFL, 0);
    int before = dup(STDERR_FILENO);
    (void)dup2(ends[1], STDERR_FILENO);
    for (int i = 0; i < 10; i++) {
        if (weft_run(nothing, NULL) != 0)
            return 3;
        (void)raise(SIGQUIT);
        (void)sched_yield();
        if (weft_shutdown() != 0)
            return 4;
    }
    (void)dup2(before, STDERR_FILENO); /* for what a sanitizer has to say at the end */
    return 0;
}

static void *run(void *fn)
{
    (void)weft_run(*(weft_fn *)fn, NULL);
    return NULL;
}

/* The main thread waits in a call in which ThreadSanitizer lets handlers run. */
static int run_for_ever(weft_fn fn)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &fn) != 0)
        return 2;
    for (;;)
        (void)pause();
}

static int be(const char *what)
{
    if (strcmp(what, "asleep") == 0)
        return run_for_ever(say_and_sleep);
    if (strcmp(what, "stuck") == 0) {
        (void)weft_configure(&(struct weft_opts){ .threads = 2 });
        return run_for_ever(spin_everywhere);
    }
    if (strcmp(what, "without") == 0) {
        (void)weft_configure(&(struct weft_opts){ .no_sigquit_dump = true });
        return weft_run(say_and_sleep, NULL);
    }
    if (strcmp(what, "over") == 0) {
        (void)weft_run(nothing, NULL);
        (void)weft_shutdown();
        return raise(SIGQUIT);
    }
    return shut_down_in_mid_dump();
}

/* ---- the tests ---- */

static void start(struct process *process, const char *what)
{
    process_start(process, (const char *const[]){ "/proc/self/exe", what, NULL }, NULL);
}

static void it_dumps_and_the_program_goes_on(void **state)
{
    (void)state;
    struct process process;
    start(&process, "asleep");
    assert_true(process_await_text(&process, "here\n", TEST_WAIT_MS));

    process_kill(&process, SIGQUIT);
    assert_true(process_await_text(&process, "' on default: ", TEST_WAIT_MS));
    assert_true(process_await_text(&process, "weft: 1 coroutines", TEST_WAIT_MS));
    process_kill(&process, SIGQUIT);
    process_kill(&process, SIGTERM);

    assert_int_equal(process_await_exit(&process, TEST_WAIT_MS), 128 + SIGTERM);
    process_fini(&process);
}

static void it_dumps_when_all_threads_are_stuck(void **state)
{
    (void)state;
    struct process process;
    start(&process, "stuck");
    assert_true(process_await_text(&process, "here\nhere\n", TEST_WAIT_MS));

    process_kill(&process, SIGQUIT);

    assert_true(process_await_text(&process, "weft: 2 coroutines: 2 running", TEST_WAIT_MS));
    process_fini(&process);
}

static void switched_off_it_ends_the_program_as_ever(void **state)
{
    (void)state;
    struct process process;
    start(&process, "without");
    assert_true(process_await_text(&process, "here\n", TEST_WAIT_MS));

    process_kill(&process, SIGQUIT);

    assert_int_equal(process_await_exit(&process, TEST_WAIT_MS), 128 + SIGQUIT);
    process_fini(&process);
}

static void after_the_end_of_weft_it_ends_the_program_as_ever(void **state)
{
    (void)state;
    struct process process;
    start(&process, "over");

    assert_int_equal(process_await_exit(&process, TEST_WAIT_MS), 128 + SIGQUIT);
    process_fini(&process);
}

static void a_shutdown_does_not_wait_for_the_reader_of_a_dump(void **state)
{
    (void)state;
    struct process process;
    start(&process, "full");

    assert_int_equal(process_await_exit(&process, TEST_WAIT_MS), 0);
    process_fini(&process);
}

static volatile sig_atomic_t is_theirs;

static void theirs(int signal)
{
    (void)signal;
    is_theirs = 1;
}

static void who_handles_it_keeps_it(void **state)
{
    (void)state;
    void (*before)(int) = signal(SIGQUIT, theirs);

    assert_int_equal(weft_run(nothing, NULL), 0);
    (void)raise(SIGQUIT);

    assert_int_equal(is_theirs, 1);
    assert_int_equal(weft_shutdown(), 0);
    assert_ptr_equal(signal(SIGQUIT, before), theirs);
}

static void who_blocks_it_to_wait_for_it_keeps_it(void **state)
{
    (void)state;
    sigset_t set, before;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGQUIT);
    (void)pthread_sigmask(SIG_BLOCK, &set, &before);

    assert_int_equal(weft_run(nothing, NULL), 0);

    struct sigaction now;
    assert_int_equal(sigaction(SIGQUIT, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int root_lives(void *arg)
{
    atomic_bool *is_over = arg;
    return test_await(is_over) ? 0 : -1;
}

static void a_shutdown_that_is_refused_leaves_it_as_it_is(void **state)
{
    (void)state;
    atomic_bool is_over = false;
    struct weft_task *root = weft_root_open(NULL, root_lives, &is_over);

    assert_int_equal(weft_shutdown(), -EBUSY);

    struct sigaction now;
    assert_int_equal(sigaction(SIGQUIT, NULL, &now), 0);
    assert_ptr_not_equal(now.sa_handler, SIG_DFL);
    is_over = true;
    assert_int_equal(weft_root_close(root), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return be(argv[1]);
    const struct CMUnitTest tests[] = {
        weft_unit_test(it_dumps_and_the_program_goes_on),
        weft_unit_test(it_dumps_when_all_threads_are_stuck),
        weft_unit_test(switched_off_it_ends_the_program_as_ever),
        weft_unit_test(after_the_end_of_weft_it_ends_the_program_as_ever),
        weft_unit_test(a_shutdown_does_not_wait_for_the_reader_of_a_dump),
        weft_unit_test(who_handles_it_keeps_it),
        weft_unit_test(who_blocks_it_to_wait_for_it_keeps_it),
        weft_unit_test(a_shutdown_that_is_refused_leaves_it_as_it_is),
    };
    return berth_test_main(tests, NULL, NULL);
}

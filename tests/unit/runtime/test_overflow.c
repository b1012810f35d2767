/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <signal.h>

#include "stack.h"
#include "stack_guard.h"

/* NOLINTNEXTLINE(misc-no-recursion): that is what is tested */
static int go_deep(void *arg)
{
    volatile char local[512];
    local[0] = 1;
    int *left = arg;
    return --*left > 0 ? go_deep(arg) + local[0] : 0;
}

static int launch_deep(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, go_deep, arg,
                     &(struct weft_task_opts){ .name = "abyss", .stack_bytes = (size_t)128 << 10 });
    return weft_scope_close(&scope, 0);
}

static int run_launch_deep(void *arg)
{
    return weft_run(launch_deep, arg);
}

static void an_overflow_is_named_before_the_program_dies_of_it(void **state)
{
    (void)state;
    if (TEST_IS_SLOW)
        skip(); /* the sanitizer has a message of its own */
    int left = 1000000;
    assert_dies_of(SIGSEGV, run_launch_deep, &left,
                   "weft: stack overflow in coroutine 'abyss': it has");
}

/* ---- a frame that is larger than what is left ------------------------------------------------ */

#define LARGE_FRAME_BYTES (48 << 10)

/* From its low end on, as a parser fills a buffer: nothing touches what lies between. */
__attribute__((noinline)) static int fill_large(void)
{
    volatile char local[LARGE_FRAME_BYTES];
    local[0] = 1;
    return local[0];
}

/* NOLINTNEXTLINE(misc-no-recursion): that is what is tested */
static int go_near_the_end(const char *top)
{
    volatile char local[512];
    local[0] = 1;
    bool is_near = top - (const char *)__builtin_frame_address(0) > (60 << 10) - 1024;
    return (is_near ? fill_large() : go_near_the_end(top)) + local[0];
}

static int overflow_by_a_large_frame(void *arg)
{
    (void)arg;
    return go_near_the_end(__builtin_frame_address(0));
}

static int launch_large(void *arg)
{
    struct weft_task_opts opts = { .name = "wide", .compact = *(bool *)arg };
    if (!opts.compact)
        opts.stack_bytes = (size_t)64 << 10;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, overflow_by_a_large_frame, NULL, &opts);
    return weft_scope_close(&scope, 0);
}

static int run_launch_large(void *arg)
{
    return weft_run(launch_large, arg);
}

static int run_with_mprotect(void *arg)
{
    weft_stack_guard_set(WEFT_GUARD_MPROTECT);
    return weft_run(launch_large, arg);
}

static void a_large_frame_hits_the_guard_too(void **state)
{
    (void)state;
    if (TEST_IS_SLOW)
        skip();
    bool is_compact[] = { false, true };
    for (size_t i = 0; i < 2; i++) {
        const char *text = "weft: stack overflow in coroutine 'wide': it has 6";
        assert_dies_of(SIGSEGV, run_launch_large, &is_compact[i], text);
        assert_dies_of(SIGSEGV, run_with_mprotect, &is_compact[i], text);
    }
}

static int write_to_null(void *arg)
{
    *(volatile int *)arg = 1;
    return 0;
}

static int run_write_to_null(void *arg)
{
    return weft_run(write_to_null, arg);
}

static void any_other_fault_is_deadly_as_ever(void **state)
{
    (void)state;
    if (TEST_IS_SLOW)
        skip();
    assert_dies_of(SIGSEGV, run_write_to_null, NULL, "");
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void own_handler(int signal_number)
{
    (void)signal_number;
}

static void a_handler_of_the_program_is_left_alone(void **state)
{
    (void)state;
    struct sigaction own = { .sa_handler = own_handler }, before, seen;
    assert_int_equal(sigaction(SIGSEGV, &own, &before), 0);
    assert_int_equal(weft_run(nothing, NULL), 0);
    assert_int_equal(sigaction(SIGSEGV, NULL, &seen), 0);
    assert_true(seen.sa_handler == own_handler);
    assert_int_equal(weft_shutdown(), 0);
    assert_int_equal(sigaction(SIGSEGV, NULL, &seen), 0);
    assert_true(seen.sa_handler == own_handler);

    own.sa_handler = SIG_DFL;
    assert_int_equal(sigaction(SIGSEGV, &own, NULL), 0);
    assert_int_equal(weft_run(nothing, NULL), 0);
    assert_int_equal(weft_shutdown(), 0);
    assert_int_equal(sigaction(SIGSEGV, NULL, &seen), 0);
    assert_true(seen.sa_handler == SIG_DFL); /* as it was */
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(an_overflow_is_named_before_the_program_dies_of_it),
        weft_unit_test(a_large_frame_hits_the_guard_too),
        weft_unit_test(any_other_fault_is_deadly_as_ever),
        weft_unit_test(a_handler_of_the_program_is_left_alone),
    };
    return berth_test_main(tests, NULL, NULL);
}

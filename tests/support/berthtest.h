/* SPDX-License-Identifier: MIT
 *
 * What every test includes first: cmocka's headers in the order that it needs (1.1 requires the
 * four before it).
 *
 * A cmocka assertion that fails leaves by longjmp: scope cleanup does not run there, and it must
 * not be called on a coroutine's stack.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Runs the tests of an array and returns the number that failed. */
#define berth_test_main(tests, setup, teardown) cmocka_run_group_tests(tests, setup, teardown)

/* Asserts that a call which returns 0 or a negative code succeeded / failed with just that code. */
#define assert_ok(call)         assert_true((call) >= 0)
#define assert_rc(call, wanted) assert_int_equal((call), (wanted))

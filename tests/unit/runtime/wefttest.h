/* SPDX-License-Identifier: MIT
 *
 * Tests of weft. A cmocka assertion leaves by longjmp and so must not stand in a coroutine: bodies
 * put what they see into their argument, and the test asserts on the main stack afterwards.
 */
#pragma once

#include "support/berthtest.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

/* Far longer than anything takes: a test that gets there has failed. */
#define TEST_WAIT_MS 20000

/* Each test ends with weft shut down, so that nothing of it is left for the next: a teardown. */
static inline int weft_test_teardown(void **state)
{
    (void)state;
    return weft_shutdown();
}

/* The same test for each of several; in the style of cmocka_unit_test. */
#define weft_unit_test(f) cmocka_unit_test_teardown(f, weft_test_teardown)

/* Parks until `is_true` (set by another coroutine) or TEST_WAIT_MS have passed: false. */
static inline bool weft_test_await(const atomic_bool *is_true)
{
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    while (!*is_true && weft_now_ns() < deadline_ns && weft_sleep_ms(1) == 0) {
    }
    return *is_true;
}

/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

static void every_result_has_a_text(void **state)
{
    (void)state;
    assert_string_equal(weft_strerror(0), "success");
    assert_string_equal(weft_strerror(12), "success");
    assert_string_equal(weft_strerror(-ENOENT), "No such file or directory");
    assert_string_equal(weft_strerror(WEFT_ECHILD), "what was waited for was cancelled");
    assert_string_equal(weft_strerror(-1999), "unknown error");
    assert_string_equal(weft_strerror(INT32_MIN), "unknown error");
}

static void a_deadline_is_now_plus_so_much_and_never_overflows(void **state)
{
    (void)state;
    int64_t before_ns = weft_now_ns();
    int64_t deadline_ns = weft_deadline_ms(1000);
    int64_t after_ns = weft_now_ns();

    assert_true(deadline_ns >= before_ns + 1000000000);
    assert_true(deadline_ns <= after_ns + 1000000000);
    assert_true(weft_deadline_ms(0) <= weft_now_ns());
    assert_true(weft_deadline_ms(-7) <= weft_now_ns());
    assert_true(weft_deadline_ms(INT64_MIN) > 0); /* 0 would mean: do not wait */
    assert_true(weft_deadline_ms(INT64_MAX) == WEFT_NEVER);
    assert_true(weft_deadline_ms(INT64_MAX / 1000000) == WEFT_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_has_a_text),
        cmocka_unit_test(a_deadline_is_now_plus_so_much_and_never_overflows),
    };
    return berth_test_main(tests, NULL, NULL);
}

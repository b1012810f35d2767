/* SPDX-License-Identifier: MIT
 *
 * The line that shows how far a wait is.
 */
#include "support/berthtest.h"

#include <string.h>

#include "cli/progress.h"

static void count(struct progress *progress, size_t done, size_t failed)
{
    for (size_t i = 0; i < done; i++)
        progress_count(progress, i < failed);
}

static void it_says_what_is_done_what_failed_how_fast_and_how_long(void **state)
{
    (void)state;
    char text[PROGRESS_TEXT_MAX];
    struct progress progress;
    progress_init(&progress, 100);
    assert_string_equal(progress_line(&progress, 5000, 60, false, text),
                        "[----------------------------------------]  0/100  0 failed");
    count(&progress, 50, 3);
    assert_string_equal(progress_line(&progress, 9000, 60, false, text),
                        "[###########------------]  50/100  3 failed  12.5/s  4s left");
    count(&progress, 50, 0);
    assert_string_equal(progress_line(&progress, 10000, 60, false, text),
                        "[###############################]  100/100  3 failed  20.0/s");
}

static void what_has_no_room_is_left_out(void **state)
{
    (void)state;
    static const struct {
        size_t columns;
        const char *line;
    } rows[] = {
        { 47, "[#####-----]  50/100  0 failed  50.0/s  1s left" },
        { 46, "50/100  0 failed  50.0/s  1s left" },
        { 33, "50/100  0 failed  50.0/s  1s left" },
        { 32, "50/100  0 failed  50.0/s" },
        { 23, "50/100  0 failed" },
        { 6, "50/100" },
        { 5, "" },
        { 0, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[PROGRESS_TEXT_MAX];
        struct progress progress;
        progress_init(&progress, 100);
        (void)progress_line(&progress, 0, 80, false, text);
        count(&progress, 50, 0);
        assert_string_equal(progress_line(&progress, 1000, rows[i].columns, false, text),
                            rows[i].line);
    }
}

static void it_is_never_wider_than_it_may_be(void **state)
{
    (void)state;
    for (size_t columns = 0; columns < 400; columns++) {
        char text[PROGRESS_TEXT_MAX];
        struct progress progress;
        progress_init(&progress, 1000000);
        (void)progress_line(&progress, 0, columns, true, text);
        progress.done = 999999;
        assert_true(strlen(progress_line(&progress, 1, columns, true, text)) <= columns);
        assert_true(strlen(text) <= PROGRESS_COLUMNS_MAX);
    }
}

static void failures_are_red_if_there_are_any_and_colour_is_wanted(void **state)
{
    (void)state;
    char text[PROGRESS_TEXT_MAX];
    struct progress progress;
    progress_init(&progress, 3);
    assert_null(strchr(progress_line(&progress, 0, 80, true, text), '\033'));
    count(&progress, 1, 1);
    assert_non_null(strstr(progress_line(&progress, 0, 80, true, text), "\033[31m1 failed\033[0m"));
    assert_null(strchr(progress_line(&progress, 0, 80, false, text), '\033'));
}

static void the_rate_is_that_of_the_last_seconds(void **state)
{
    (void)state;
    char text[PROGRESS_TEXT_MAX];
    struct progress progress;
    progress_init(&progress, 100000);
    /* A thousand a second at first, then ten. */
    int64_t now_ms = 0;
    for (int i = 0; i < 20; i++, now_ms += 1000) {
        (void)progress_line(&progress, now_ms, 80, false, text);
        count(&progress, 1000, 0);
    }
    assert_non_null(strstr(progress_line(&progress, now_ms, 80, false, text), "1000/s"));
    for (int i = 0; i < 20; i++, now_ms += 1000) {
        (void)progress_line(&progress, now_ms, 80, false, text);
        count(&progress, 10, 0);
    }
    assert_non_null(strstr(progress_line(&progress, now_ms, 80, false, text), "10.0/s"));
}

static void what_had_ended_before_is_no_speed(void **state)
{
    (void)state;
    char text[PROGRESS_TEXT_MAX];
    struct progress progress;
    progress_init(&progress, 100);
    count(&progress, 90, 0);
    assert_null(strstr(progress_line(&progress, 0, 80, false, text), "/s"));
    assert_null(strstr(progress_line(&progress, 5000, 80, false, text), "/s"));
    count(&progress, 1, 0);
    assert_non_null(strstr(progress_line(&progress, 10000, 80, false, text), "0.1/s  1m30s left"));
}

static void what_is_left_takes_a_second_at_least(void **state)
{
    (void)state;
    char text[PROGRESS_TEXT_MAX];
    struct progress progress;
    progress_init(&progress, 100);
    (void)progress_line(&progress, 0, 80, false, text);
    count(&progress, 99, 0);
    assert_non_null(strstr(progress_line(&progress, 1000, 80, false, text), "99.0/s  1s left"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_is_done_what_failed_how_fast_and_how_long),
        cmocka_unit_test(what_has_no_room_is_left_out),
        cmocka_unit_test(what_is_left_takes_a_second_at_least),
        cmocka_unit_test(it_is_never_wider_than_it_may_be),
        cmocka_unit_test(failures_are_red_if_there_are_any_and_colour_is_wanted),
        cmocka_unit_test(the_rate_is_that_of_the_last_seconds),
        cmocka_unit_test(what_had_ended_before_is_no_speed),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Limits as people write them.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/limit.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static void a_limit_is_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct berth_limit limit;
    } cases[] = {
        { "0", { BERTH_LIMIT_NUMBER, 0 } },
        { "5", { BERTH_LIMIT_NUMBER, 5 } },
        { "1000000000", { BERTH_LIMIT_NUMBER, 1000000000 } },
        { "unlimited", { BERTH_LIMIT_UNLIMITED, 0 } },
        { "cores", { BERTH_LIMIT_CORES, 0 } },
        { "max(64,cores)", { BERTH_LIMIT_MAX_CORES, 64 } },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct berth_limit limit;
        char text[BERTH_LIMIT_TEXT_MAX];
        assert_ok(berth_limit_parse("--limit", cases[i].text, &limit, NULL));
        assert_int_equal(limit.kind, cases[i].limit.kind);
        assert_int_equal(limit.value, cases[i].limit.value);
        assert_string_equal(berth_limit_format(&limit, text), cases[i].text);
    }
}

static void what_is_no_limit_is_refused_with_what_is(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "-1",
        "5.5",
        "5x",
        "many",
        "core",
        "Cores",
        "1000000001",
        "max(cores",
        "max(,cores)",
        "max(64)",
        "max(64,core)",
        "max(-1,cores)",
        "max(5, cores)",
        "max(64,cores) ",
        "max(1000000001,cores)",
        "max(1000000000000000000000000000000000000,cores)",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct berth_limit limit = { .value = 77 };
        struct berth_error err;
        assert_rc(berth_limit_parse("--limit", bad[i], &limit, &err), BERTH_EVALUE);
        assert_int_equal(limit.value, 77);
        assert_non_null(strstr(err.message, "--limit: '"));
        assert_non_null(strstr(err.message, "is no limit; allowed is a number from 0 to 10"));
    }
}

static void a_rate_is_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t count;
        int64_t ms;
    } cases[] = {
        { "10/s", 10, 1000 },   { "100/m", 100, 60000 },        { "5/h", 5, 3600000 },
        { "1/d", 1, 86400000 }, { "1000000/s", 1000000, 1000 }, { "none", 0, 0 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint32_t count = 77;
        int64_t ms = 77;
        char text[BERTH_RATE_TEXT_MAX];
        assert_ok(berth_rate_parse("--rate", cases[i].text, &count, &ms, NULL));
        assert_int_equal(count, cases[i].count);
        assert_int_equal(ms, cases[i].ms);
        assert_true(berth_rate_is_valid(count, ms));
        assert_string_equal(berth_rate_format(count, ms, text), cases[i].text);
    }
}

static void what_is_no_rate_is_refused_with_what_is(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "10",    "/s",        "0/s",   "-1/s", "10/",  "10/w", "10/ss",
        "10 /s", "1.5/s", "1000001/s", "10/s ", "s/10", "10/S", "None", "1000000000000000000000/s",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        uint32_t count = 77;
        int64_t ms = 78;
        struct berth_error err;
        assert_rc(berth_rate_parse("--rate", bad[i], &count, &ms, &err), BERTH_EVALUE);
        assert_non_null(strstr(err.message, "--rate: '"));
        assert_non_null(strstr(err.message, "N/s, N/m, N/h or N/d with N from 1 to 1000000"));
        assert_int_equal(count, 77);
        assert_int_equal(ms, 78);
    }
}

static void a_rate_that_is_none_is_not_valid(void **state)
{
    (void)state;
    char text[BERTH_RATE_TEXT_MAX];
    assert_false(berth_rate_is_valid(1, 0));
    assert_false(berth_rate_is_valid(0, 1000));
    assert_false(berth_rate_is_valid(1, 2000));
    assert_false(berth_rate_is_valid(1000001, 1000));
    assert_false(berth_rate_is_valid(1, -1000));
    assert_string_equal(berth_rate_format(1, 2000, text), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_is_read_and_written),
        cmocka_unit_test(what_is_no_limit_is_refused_with_what_is),
        cmocka_unit_test(a_rate_is_read_and_written),
        cmocka_unit_test(what_is_no_rate_is_refused_with_what_is),
        cmocka_unit_test(a_rate_that_is_none_is_not_valid),
    };
    return berth_test_main(tests, NULL, NULL);
}

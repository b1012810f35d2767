/* SPDX-License-Identifier: MIT
 *
 * What the commands share: exit codes, and limits as people write them.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>

#include "cli/cli.h"

static void every_result_has_its_exit_code(void **state)
{
    (void)state;
    const struct {
        int rc, code;
    } cases[] = {
        { 0, 0 },
        { 5, 0 },
        { BERTH_EUSAGE, 2 },
        { BERTH_EVALUE, 2 },
        { -EMSGSIZE, 2 },
        { -E2BIG, 2 },
        { BERTH_ENOTFOUND, 5 },
        { BERTH_EFULL, 6 },
        { BERTH_ELIMIT, 6 },
        { BERTH_EUNKNOWN, 69 },
        { -ETIMEDOUT, 69 },
        { -EHOSTUNREACH, 69 },
        { BERTH_ELATER, 75 },
        { BERTH_ECONFLICT, 1 },
        { BERTH_EVERSION, 1 },
        { BERTH_EPROTO, 1 },
        { BERTH_EDENIED, 1 },
        { -EALREADY, 1 },
        { -ENOMEM, 1 },
        { -EREMOTEIO, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(cli_exit_of(cases[i].rc), cases[i].code);
}

static void a_limit_is_read_and_written(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum berth_limit_kind kind;
        uint32_t value;
    } cases[] = {
        { "0", BERTH_LIMIT_NUMBER, 0 },
        { "5", BERTH_LIMIT_NUMBER, 5 },
        { "1000000000", BERTH_LIMIT_NUMBER, 1000000000 },
        { "unlimited", BERTH_LIMIT_UNLIMITED, 0 },
        { "cores", BERTH_LIMIT_CORES, 0 },
        { "max(64,cores)", BERTH_LIMIT_MAX_CORES, 64 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct berth_limit limit;
        char text[CLI_LIMIT_TEXT_MAX];
        assert_ok(cli_limit_parse("--limit", cases[i].text, &limit, NULL));
        assert_int_equal(limit.kind, cases[i].kind);
        assert_int_equal(limit.value, cases[i].value);
        assert_string_equal(cli_limit_format(&limit, text), cases[i].text);
    }
}

static void what_is_no_limit_is_refused_with_what_is(void **state)
{
    (void)state;
    const char *const bad[] = { "",
                                "-1",
                                "5.5",
                                "5x",
                                "core",
                                "Cores",
                                "max(,cores)",
                                "max(64,core)",
                                "max(-1,cores)",
                                "max(64)",
                                "max(64,cores) ",
                                "1000000001",
                                "max(1000000000000000000000000000000000000,cores)" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct berth_limit limit;
        struct berth_error err;
        assert_rc(cli_limit_parse("--limit", bad[i], &limit, &err), BERTH_EVALUE);
        assert_non_null(strstr(err.message, "max(N,cores)"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_has_its_exit_code),
        cmocka_unit_test(a_limit_is_read_and_written),
        cmocka_unit_test(what_is_no_limit_is_refused_with_what_is),
    };
    return berth_test_main(tests, NULL, NULL);
}

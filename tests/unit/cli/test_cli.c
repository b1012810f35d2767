/* SPDX-License-Identifier: MIT
 *
 * What the commands share: exit codes.
 */
#include "support/berthtest.h"

#include <errno.h>

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
        { BERTH_EFULL, 75 },
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_has_its_exit_code),
    };
    return berth_test_main(tests, NULL, NULL);
}

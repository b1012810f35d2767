/* SPDX-License-Identifier: MIT
 *
 * Assertions: on in every build, and they say where and what.
 */
#include "support/berthtest.h"

#include <signal.h>
#include <string.h>

#include "base/assert.h"
#include "support/process.h"

#define DEADLINE_MS 60000

static const char *self;

static void a_true_condition_does_nothing(void **state)
{
    (void)state;
    int evaluated_count = 0;
    BERTH_ASSERT(++evaluated_count == 1);
    assert_int_equal(evaluated_count, 1);
}

static void a_false_condition_names_itself_and_aborts(void **state)
{
    (void)state;
    struct process process;
    int code =
        process_run(&process, (const char *const[]){ self, "fail", NULL }, NULL, NULL, DEADLINE_MS);

    assert_int_equal(code, 128 + SIGABRT);
    assert_non_null(strstr(process_err(&process), "test_assert.c:"));
    assert_non_null(strstr(process_err(&process), "assertion failed: argc == 1"));
    process_fini(&process);
}

static void the_unreachable_aborts(void **state)
{
    (void)state;
    struct process process;
    int code = process_run(&process, (const char *const[]){ self, "reach", "it", NULL }, NULL, NULL,
                           DEADLINE_MS);

    assert_int_equal(code, 128 + SIGABRT);
    assert_non_null(strstr(process_err(&process), "reached the unreachable"));
    process_fini(&process);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        BERTH_UNREACHABLE();
    BERTH_ASSERT(argc == 1);
    self = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_condition_does_nothing),
        cmocka_unit_test(a_false_condition_names_itself_and_aborts),
        cmocka_unit_test(the_unreachable_aborts),
    };
    return berth_test_main(tests, NULL, NULL);
}

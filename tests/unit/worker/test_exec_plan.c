/* SPDX-License-Identifier: MIT
 *
 * Arguments and environment of a command.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "exec_fixture.h"

/* What is here before the first exec_open(), and so in every command's environment. */
static void prepare_environment(void)
{
    (void)clearenv();
    (void)setenv("PATH", "/usr/bin:/bin", 1);
    (void)setenv("BERTH_JOB", "outer", 1);
    (void)setenv("BERTH_ARRAY_INDEX", "outer", 1);
    (void)setenv("BERTH_LINE", "outer", 1);
    (void)setenv("TRACEPARENT", "outer", 1);
    (void)setenv("COLOUR", "outer", 1);
    (void)setenv("BERTH_URL", "tcp://127.0.0.1:1", 1);
}

static void the_environment_is_the_workers_and_the_jobs(void **state)
{
    struct fixture *f = *state;
    struct berth_slice argv[] = { exec_slice("env") };
    struct berth_field more[] = { { "BERTH_ARRAY_INDEX", "7" }, { "COLOUR", "green" } };
    struct exec_command command = { .attempt = (UINT64_C(3) << 40) + 1,
                                    .job = 42,
                                    .number = 2,
                                    .dispatcher = exec_slice("newsletter"),
                                    .traceparent = exec_slice("00-abc-def-01"),
                                    .env = more,
                                    .env_count = 2,
                                    .argv = argv,
                                    .argv_count = 1 };
    /* The worker's changes after the start are not seen (prepare_environment() made what there is).
     */
    assert_int_equal(setenv("LATE", "1", 1), 0);

    assert_ok(exec_start(f->exec, &command, NULL));

    exec_assert_text(exec_await_end(f)->end.out, "PATH=/usr/bin:/bin\n"
                                                 "BERTH_URL=tcp://127.0.0.1:1\n"
                                                 "BERTH_JOB=42\n"
                                                 "BERTH_ATTEMPT=2\n"
                                                 "BERTH_DISPATCHER=newsletter\n"
                                                 "TRACEPARENT=00-abc-def-01\n"
                                                 "BERTH_ARRAY_INDEX=7\n"
                                                 "COLOUR=green\n");
    assert_int_equal(unsetenv("LATE"), 0);
}

static void commands_that_make_no_sense_are_refused_in_words(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    struct berth_slice argv[] = { exec_slice("true"), { "a\0b", 3 } };
    struct exec_command command = { .attempt = 1, .argv = argv, .argv_count = 0 };

    assert_rc(exec_start(f->exec, &command, &err), -EINVAL);
    assert_string_equal(err.message, "argv is empty: Invalid argument");
    command.argv_count = 2;
    assert_rc(exec_start(f->exec, &command, &err), -EINVAL);
    assert_string_equal(err.message, "argv holds a NUL byte: Invalid argument");
    argv[0].bytes = 0;
    assert_rc(exec_start(f->exec, &command, &err), -EINVAL);
    argv[0].bytes = 4;
    command.argv_count = 1;
    command.dispatcher = argv[1];
    assert_rc(exec_start(f->exec, &command, &err), -EINVAL);
    assert_string_equal(err.message, "BERTH_DISPATCHER holds a NUL byte: Invalid argument");
    assert_int_equal(f->end_count, 0);
}

static void a_command_too_large_to_copy_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t bytes = (size_t)17 * 1024 * 1024;
    BERTH_AUTO_MEM char *payload = calloc(1, bytes);
    struct berth_slice argv[] = { exec_slice("true") };
    struct exec_command command = {
        .attempt = 1, .argv = argv, .argv_count = 1, .payload = { payload, bytes }
    };
    assert_rc(exec_start(f->exec, &command, NULL), -ENOMEM);
}

int main(void)
{
    prepare_environment();
#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_setup, exec_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_environment_is_the_workers_and_the_jobs),
        TEST(commands_that_make_no_sense_are_refused_in_words),
        TEST(a_command_too_large_to_copy_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * One command: how it ends, what it sees, what it says.
 */
#include "support/berthtest.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec_fixture.h"
#include "support/tempdir.h"

#define PAYLOAD_1MIB ((size_t)1024 * 1024)

static void a_command_that_ends_well_says_so(void **state)
{
    struct ended *ended = exec_run_shell(*state, "echo out; echo err >&2");
    assert_int_equal(ended->attempt, 1);
    assert_true(ended->end.is_started);
    assert_false(ended->end.is_cancelled);
    assert_int_equal(ended->end.exit_code, 0);
    assert_int_equal(ended->end.signal, 0);
    assert_null(ended->end.error);
    exec_assert_text(ended->end.out, "out\n");
    exec_assert_text(ended->end.err, "err\n");
    assert_false(ended->end.out_truncated);
    assert_false(ended->end.err_truncated);
    assert_true(ended->end.run_us > 0);
}

static void the_exit_code_is_the_commands(void **state)
{
    assert_int_equal(exec_run_shell(*state, "exit 3")->end.exit_code, 3);
}

static void exit_codes_of_the_command_are_not_taken_for_ours(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(f, "exit 127");
    assert_int_equal(ended->end.exit_code, 127);
    assert_null(ended->end.error);
}

static void a_fatal_signal_is_128_and_its_number(void **state)
{
    struct ended *ended = exec_run_shell(*state, "kill -SEGV $$");
    assert_int_equal(ended->end.exit_code, 128 + SIGSEGV);
    assert_int_equal(ended->end.signal, SIGSEGV);
}

static void a_name_that_is_not_on_the_path_is_127(void **state)
{
    struct fixture *f = *state;
    exec_start_command(f, 1, "no-such-command", NULL, NULL);
    struct ended *ended = exec_await_end(f);
    assert_true(ended->end.is_started);
    assert_int_equal(ended->end.exit_code, 127);
    assert_string_equal(ended->end.error, "run 'no-such-command': No such file or directory");
}

static void a_file_that_may_not_be_run_is_126(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "plain");
    tempdir_write(path, "echo never\n");
    exec_start_command(f, 1, "./plain", NULL, NULL);
    struct ended *ended = exec_await_end(f);
    assert_int_equal(ended->end.exit_code, 126);
    assert_string_equal(ended->end.error, "run './plain': Permission denied");
}

static void a_script_without_an_interpreter_is_not_given_to_a_shell(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "script");
    tempdir_write(path, "echo never\n");
    assert_int_equal(chmod(path, 0700), 0);
    exec_start_command(f, 1, "./script", NULL, NULL);
    struct ended *ended = exec_await_end(f);
    assert_int_equal(ended->end.exit_code, 126);
    assert_string_equal(ended->end.error, "run './script': Exec format error");
    assert_int_equal(ended->end.out.bytes, 0);
}

static void arguments_arrive_untouched(void **state)
{
    struct fixture *f = *state;
    exec_start_command(f, 1, "printf", "<%s>\n", "a 'b' $HOME *");
    exec_assert_text(exec_await_end(f)->end.out, "<a 'b' $HOME *>\n");
}

static void a_payload_is_read_whole_from_stdin(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO_MEM char *payload = malloc(PAYLOAD_1MIB);
    assert_non_null(payload);
    for (size_t i = 0; i < PAYLOAD_1MIB; i++)
        payload[i] = (char)(i * 31 + i / 977);
    struct berth_slice argv[] = { exec_slice("/bin/sh"), exec_slice("-c"),
                                  exec_slice("tee /dev/stderr | wc -c") };
    struct exec_command command = {
        .attempt = 1, .argv = argv, .argv_count = 3, .payload = { payload, PAYLOAD_1MIB }
    };

    assert_ok(exec_start(f->exec, &command, NULL));

    struct ended *ended = exec_await_end(f);
    exec_assert_text(ended->end.out, "1048576\n");
    assert_true(ended->end.err_truncated);
    assert_int_equal(ended->end.err.bytes, EXEC_OUTPUT_BYTES_MAX);
    assert_memory_equal(ended->end.err.data, payload + PAYLOAD_1MIB - EXEC_OUTPUT_BYTES_MAX,
                        EXEC_OUTPUT_BYTES_MAX);
}

static void a_payload_that_nobody_reads_harms_nothing(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO_MEM char *payload = calloc(1, PAYLOAD_1MIB);
    struct berth_slice argv[] = { exec_slice("true") };
    struct exec_command command = {
        .attempt = 1, .argv = argv, .argv_count = 1, .payload = { payload, PAYLOAD_1MIB }
    };
    assert_ok(exec_start(f->exec, &command, NULL));
    assert_int_equal(exec_await_end(f)->end.exit_code, 0);
}

static void without_a_payload_stdin_is_empty(void **state)
{
    struct fixture *f = *state;
    exec_start_command(f, 1, "cat", NULL, NULL);
    struct ended *ended = exec_await_end(f);
    assert_int_equal(ended->end.exit_code, 0);
    assert_int_equal(ended->end.out.bytes, 0);
}

static void it_runs_in_the_work_dir_and_leads_a_group(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(f, "pwd; cut -d' ' -f5,6 /proc/$$/stat; echo $$ $$");
    char want[256], *lines = strchr(ended->end.out.data, '\n');
    (void)snprintf(want, sizeof want, "%s\n", f->dir);
    assert_memory_equal(ended->end.out.data, want, strlen(want));
    /* The group and the session that the kernel says, and the pid, in two equal lines. */
    assert_non_null(lines);
    char *second = strchr(lines + 1, '\n');
    assert_non_null(second);
    assert_int_equal(strlen(second), (size_t)(second - lines) + 1);
    assert_memory_equal(lines, second, (size_t)(second - lines));
}

static void of_long_output_the_end_is_kept(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(f, "seq 1 100000");
    assert_true(ended->end.out_truncated);
    assert_false(ended->end.err_truncated);
    assert_int_equal(ended->end.out.bytes, EXEC_OUTPUT_BYTES_MAX);
    const char *last = (const char *)ended->end.out.data + ended->end.out.bytes - 13;
    assert_string_equal(last, "99999\n100000\n");
}

static void output_that_just_fits_is_not_truncated(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(f, "head -c 65536 /dev/zero; head -c 65537 /dev/zero >&2");
    assert_int_equal(ended->end.out.bytes, EXEC_OUTPUT_BYTES_MAX);
    assert_false(ended->end.out_truncated);
    assert_int_equal(ended->end.err.bytes, EXEC_OUTPUT_BYTES_MAX);
    assert_true(ended->end.err_truncated);
}

static void any_byte_can_be_put_out(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(f, "printf 'a\\000\\377\\n\\000'");
    assert_int_equal(ended->end.out.bytes, 5);
    assert_memory_equal(ended->end.out.data, "a\0\377\n", 5);
}

static void closing_stdout_is_not_the_end(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(f, 1, "exec >&- 2>&-; echo 1 > gate; read line < go; exit 3");
    assert_int_equal(exec_await_gate(f), 1);
    assert_int_equal(poll(&(struct pollfd){ .fd = f->ended_fd, .events = POLLIN }, 1, 0), 0);

    BERTH_AUTO_FD int go_fd = exec_open_in(f, "go", O_RDWR | O_CLOEXEC);
    assert_int_equal(write(go_fd, "\n", 1), 1);

    assert_int_equal(exec_await_end(f)->end.exit_code, 3);
}

static void a_work_dir_that_went_away_is_126_with_its_name(void **state)
{
    struct fixture *f = *state;
    char want[256];
    (void)snprintf(want, sizeof want, "enter the work dir '%s': No such file or directory", f->dir);
    BERTH_AUTO_MEM char *moved = tempdir_path("/tmp", "berth-test-moved-XXXXXX");
    assert_non_null(mkdtemp(moved));
    assert_int_equal(rename(f->dir, moved), 0);

    exec_start_command(f, 1, "true", NULL, NULL);

    struct ended *ended = exec_await_end(f);
    assert_int_equal(ended->end.exit_code, 126);
    assert_string_equal(ended->end.error, want);
    assert_int_equal(rename(moved, f->dir), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_setup, exec_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_command_that_ends_well_says_so),
        TEST(the_exit_code_is_the_commands),
        TEST(exit_codes_of_the_command_are_not_taken_for_ours),
        TEST(a_fatal_signal_is_128_and_its_number),
        TEST(a_name_that_is_not_on_the_path_is_127),
        TEST(a_file_that_may_not_be_run_is_126),
        TEST(a_script_without_an_interpreter_is_not_given_to_a_shell),
        TEST(arguments_arrive_untouched),
        TEST(a_payload_is_read_whole_from_stdin),
        TEST(a_payload_that_nobody_reads_harms_nothing),
        TEST(without_a_payload_stdin_is_empty),
        TEST(it_runs_in_the_work_dir_and_leads_a_group),
        TEST(of_long_output_the_end_is_kept),
        TEST(output_that_just_fits_is_not_truncated),
        TEST(any_byte_can_be_put_out),
        TEST(closing_stdout_is_not_the_end),
        TEST(a_work_dir_that_went_away_is_126_with_its_name),
    };
    return berth_test_main(tests, NULL, NULL);
}

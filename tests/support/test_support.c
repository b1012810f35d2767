/* SPDX-License-Identifier: MIT
 *
 * The support library itself: a helper that lies makes every test lie.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/await.h"
#include "support/faulty.h"
#include "support/process.h"
#include "support/tempdir.h"

#define DEADLINE_MS 60000

#define SHELL(script) ((const char *const[]){ "/bin/sh", "-c", script, NULL })

static void a_program_gets_its_input_and_environment_and_is_collected(void **state)
{
    (void)state;
    struct process process;

    int code = process_run(&process, SHELL("read x; echo \"$x $WHO\"; echo oh >&2; exit 7"),
                           (const char *const[]){ "WHO=you", NULL }, "hello\n", DEADLINE_MS);

    assert_int_equal(code, 7);
    assert_string_equal(process_out(&process), "hello you\n");
    assert_string_equal(process_err(&process), "oh\n");
    process_fini(&process);
}

static void a_text_is_awaited_until_the_program_ends(void **state)
{
    (void)state;
    struct process process;
    process_start(&process, SHELL("echo one; read x; echo two"), NULL);

    assert_true(process_await_text(&process, "one", DEADLINE_MS));
    assert_false(process_await_text(&process, "two", 10));
    process_write(&process, "go\n");
    assert_true(process_await_text(&process, "two", DEADLINE_MS));
    assert_false(process_await_text(&process, "three", DEADLINE_MS));
    assert_int_equal(process_await_exit(&process, DEADLINE_MS), 0);
    process_fini(&process);
}

static void a_deadline_passes_and_a_signal_ends_it(void **state)
{
    (void)state;
    struct process process;
    process_start(&process, SHELL("read x"), NULL);

    assert_int_equal(process_await_exit(&process, 10), PROCESS_TIMED_OUT);
    process_kill(&process, SIGKILL);
    assert_int_equal(process_await_exit(&process, DEADLINE_MS), 128 + SIGKILL);
    process_fini(&process);
}

static void a_program_that_is_not_there_ends_with_127(void **state)
{
    (void)state;
    struct process process;
    int code = process_run(&process, (const char *const[]){ "/nonexistent/program", NULL }, NULL,
                           NULL, DEADLINE_MS);
    assert_int_equal(code, 127);
    process_fini(&process);
}

static void giving_up_kills_what_still_runs(void **state)
{
    (void)state;
    struct process process;
    process_start(&process, SHELL("read x"), NULL);
    pid_t pid = process.pid;

    process_fini(&process);

    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    faulty_fail_at(2);
    void *first = malloc(1), *second = calloc(1, 1), *third = realloc(NULL, 1);
    bool has_failed = faulty_stop();

    assert_true(has_failed);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    free(first);
    free(second);
    free(third);
}

static void a_walk_over_failures_ends_with_a_round_without_one(void **state)
{
    (void)state;
    int rounds = 0, failures = 0;
    FAULTY_FOREACH(n)
    {
        void *a = malloc(1), *b = a ? malloc(1) : NULL;
        bool has_failed = faulty_stop();
        assert_int_equal(has_failed, !a || !b);
        failures += has_failed;
        rounds++;
        free(a);
        free(b);
    }
    assert_int_equal(rounds, 3);
    assert_int_equal(failures, 2);
}

static bool is_third_time(void *arg)
{
    return ++*(int *)arg == 3;
}

static bool is_never(void *arg)
{
    (void)arg;
    return false;
}

static void a_condition_is_awaited_with_a_deadline(void **state)
{
    (void)state;
    int count = 0;
    assert_true(await(is_third_time, &count, DEADLINE_MS));
    assert_int_equal(count, 3);

    int64_t before_ms = berth_clock_monotonic_ms();
    assert_false(await(is_never, NULL, 20));
    assert_true(berth_clock_monotonic_ms() - before_ms >= 20);
}

static void a_descriptor_is_awaited_with_a_deadline(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_false(await_readable(ends[0], 1));
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_true(await_readable(ends[0], DEADLINE_MS));
    close(ends[0]);
    close(ends[1]);
}

static void a_temporary_folder_goes_with_all_it_holds(void **state)
{
    (void)state;
    char *dir = tempdir_new(), *copy = strdup(dir);
    char *inner = tempdir_path(dir, "inner"), *file = tempdir_path(inner, "file");
    assert_int_equal(mkdir(inner, 0700), 0);
    tempdir_write(file, "text");
    assert_int_equal(access(file, R_OK), 0);

    tempdir_free(dir);

    assert_int_equal(access(copy, F_OK), -1);
    free(copy);
    free(inner);
    free(file);
}

static void free_ports_are_real(void **state)
{
    (void)state;
    assert_in_range(free_port(), 1024, 65535);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_gets_its_input_and_environment_and_is_collected),
        cmocka_unit_test(a_text_is_awaited_until_the_program_ends),
        cmocka_unit_test(a_deadline_passes_and_a_signal_ends_it),
        cmocka_unit_test(a_program_that_is_not_there_ends_with_127),
        cmocka_unit_test(giving_up_kills_what_still_runs),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(a_walk_over_failures_ends_with_a_round_without_one),
        cmocka_unit_test(a_condition_is_awaited_with_a_deadline),
        cmocka_unit_test(a_descriptor_is_awaited_with_a_deadline),
        cmocka_unit_test(a_temporary_folder_goes_with_all_it_holds),
        cmocka_unit_test(free_ports_are_real),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * `berth up`: what it starts, what it says, and that nothing is left when it ends, however it ends.
 *
 * The program looks for the others beside itself, so a copy of it stands in a folder with a link to
 * the real broker and a script in the worker's place.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "support/await.h"
#include "support/process.h"
#include "support/tempdir.h"

#define PATIENT 60000

static const char real_program[] = BERTH_BIN_DIR "/berth";

/* Notes its life in a log, and drains for a while when told to; again: it goes at once. */
static const char worker_script[] =
    "#!/bin/sh\n"
    "log=$(dirname \"$0\")/../log\n"
    "stops=0\n"
    "trap 'stops=$((stops + 1)); echo \"worker stop $stops\" >> \"$log\"' TERM\n"
    "echo \"worker start $*\" >> \"$log\"\n"
    "echo \"pid $$\" >> \"$log\"\n"
    "while [ $stops -eq 0 ]; do sleep 0.02; done\n"
    "left=600\n"
    "while [ -e \"$(dirname \"$0\")/../slow\" ] && [ $stops -lt 2 ] && [ $left -gt 0 ]; do\n"
    "    sleep 0.1; left=$((left - 1))\n"
    "done\n"
    "echo 'worker end' >> \"$log\"\n";

struct fixture {
    char *dir, *bin, *program, *data, *log, *slow;
    char url[128];
    struct process up;
};

static void copy_program(const char *from, const char *to)
{
    struct process copy;
    const char *const argv[] = { "cp", "--preserve=mode", from, to, NULL };
    assert_int_equal(process_run(&copy, argv, NULL, NULL, PATIENT), 0);
    process_fini(&copy);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = tempdir_new();
    f->bin = tempdir_path(f->dir, "bin");
    f->program = tempdir_path(f->bin, "berth");
    f->data = tempdir_path(f->dir, "data");
    f->log = tempdir_path(f->dir, "log");
    f->slow = tempdir_path(f->dir, "slow");
    (void)snprintf(f->url, sizeof f->url, "ipc://%s/broker", f->dir);
    assert_int_equal(mkdir(f->bin, 0700), 0);
    copy_program(real_program, f->program);
    BERTH_AUTO_MEM char *broker = tempdir_path(f->bin, "berthd");
    BERTH_AUTO_MEM char *worker = tempdir_path(f->bin, "berth-worker");
    assert_int_equal(symlink(BERTH_BIN_DIR "/berthd", broker), 0);
    tempdir_write(worker, worker_script);
    assert_int_equal(chmod(worker, 0700), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->up.pid)
        process_fini(&f->up);
    tempdir_free(f->dir);
    free(f->bin);
    free(f->program);
    free(f->data);
    free(f->log);
    free(f->slow);
    free(f);
    return 0;
}

static void start(struct fixture *f, const char *workers)
{
    const char *const argv[] = { f->program, "up",        "--broker", f->url, "--data",
                                 f->data,    "--workers", workers,    NULL };
    process_start(&f->up, argv, NULL);
}

static void start_ready(struct fixture *f, const char *workers)
{
    start(f, workers);
    if (!process_await_text(&f->up, "the broker is up", PATIENT))
        fail_msg("it is not up: %s", process_err(&f->up));
}

static char *read_log(const struct fixture *f)
{
    struct berth_buf buf;
    berth_buf_init(&buf, 1 << 20);
    FILE *file = fopen(f->log, "re");
    if (file) {
        assert_true(berth_buf_fill(&buf, fileno(file)) >= 0);
        (void)fclose(file);
    }
    char *text = strdup(berth_buf_text(&buf));
    berth_buf_fini(&buf);
    return text;
}

static size_t count_in_log(const struct fixture *f, const char *part)
{
    BERTH_AUTO_MEM char *text = read_log(f);
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

struct wanted {
    const struct fixture *f;
    const char *part;
    size_t count;
};

static bool is_logged(void *arg)
{
    const struct wanted *wanted = arg;
    return count_in_log(wanted->f, wanted->part) >= wanted->count;
}

static void await_log(const struct fixture *f, const char *part, size_t count)
{
    assert_true(await(is_logged, &(struct wanted){ f, part, count }, PATIENT));
}

/* The broker's answer to `berth broker status`, as an exit code. */
static int ask(struct fixture *f, const char *timeout)
{
    struct process process;
    const char *const argv[] = { f->program,          "broker", "status", "-q", "--broker", f->url,
                                 "--connect-timeout", timeout,  NULL };
    int code = process_run(&process, argv, NULL, NULL, PATIENT);
    process_fini(&process);
    return code;
}

static void it_starts_broker_and_workers_and_says_where(void **state)
{
    struct fixture *f = *state;
    char wanted[200];
    start_ready(f, "2");
    await_log(f, "pid ", 2);

    assert_int_equal(ask(f, "5s"), 0);
    (void)snprintf(wanted, sizeof wanted, "%s\n", f->url);
    assert_string_equal(process_out(&f->up), wanted);
    assert_non_null(strstr(process_err(&f->up), "berth submit"));
    (void)snprintf(wanted, sizeof wanted,
                   "worker start --log-level warn --broker %s --allow-exec\n", f->url);
    assert_int_equal(count_in_log(f, wanted), 2);
}

static void told_to_end_it_drains_the_workers_and_then_the_broker(void **state)
{
    struct fixture *f = *state;
    const int signals[] = { SIGTERM, SIGINT };
    for (size_t i = 0; i < 2; i++) {
        (void)unlink(f->log);
        tempdir_write(f->slow, "");
        start_ready(f, "2");
        await_log(f, "pid ", 2);
        process_kill(&f->up, signals[i]);
        await_log(f, "worker stop 1", 2);
        assert_int_equal(ask(f, "5s"), 0); /* they need it until they have ended */
        assert_int_equal(count_in_log(f, "worker end"), 0);
        assert_int_equal(unlink(f->slow), 0);

        assert_int_equal(process_await_exit(&f->up, PATIENT), 0);

        assert_int_equal(count_in_log(f, "worker end"), 2);
        assert_int_equal(ask(f, "200ms"), 69);
        process_fini(&f->up);
        f->up.pid = 0;
    }
}

static void told_twice_it_tells_the_workers_twice(void **state)
{
    struct fixture *f = *state;
    tempdir_write(f->slow, "");
    start_ready(f, "1");
    await_log(f, "pid ", 1);
    process_kill(&f->up, SIGTERM);
    await_log(f, "worker stop 1", 1);
    process_kill(&f->up, SIGTERM);
    assert_int_equal(process_await_exit(&f->up, PATIENT), 0);
    assert_int_equal(count_in_log(f, "worker stop 2"), 1);
}

static pid_t first_worker(const struct fixture *f)
{
    BERTH_AUTO_MEM char *text = read_log(f);
    const char *at = strstr(text, "pid ");
    assert_non_null(at);
    return (pid_t)strtol(at + 4, NULL, 10);
}

static void when_a_worker_dies_it_says_so_and_ends_the_rest(void **state)
{
    struct fixture *f = *state;
    start_ready(f, "2");
    await_log(f, "pid ", 2);

    assert_int_equal(kill(first_worker(f), SIGKILL), 0);

    assert_int_equal(process_await_exit(&f->up, PATIENT), 1);
    assert_non_null(strstr(process_err(&f->up), "berth-worker was ended by signal 9 (Killed)"));
    assert_int_equal(count_in_log(f, "worker end"), 1);
    assert_int_equal(ask(f, "200ms"), 69);
}

static bool is_gone(void *arg)
{
    pid_t *pid = arg;
    return kill(*pid, 0) < 0 && errno == ESRCH;
}

static void killed_it_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    start_ready(f, "1");
    await_log(f, "pid ", 1);
    pid_t worker = first_worker(f);

    process_kill(&f->up, SIGKILL);

    assert_int_equal(process_await_exit(&f->up, PATIENT), 128 + SIGKILL);
    assert_true(await(is_gone, &worker, PATIENT));
    assert_int_equal(ask(f, "200ms"), 69);
}

static void without_a_broker_that_starts_it_fails(void **state)
{
    struct fixture *f = *state;
    start_ready(f, "0");
    struct process second;
    char url[160];
    (void)snprintf(url, sizeof url, "%s-2", f->url);
    const char *const argv[] = { f->program, "up", "--broker", url, "--data", f->data, NULL };

    int code = process_run(&second, argv, NULL, NULL, PATIENT);

    assert_int_equal(code, 1);
    assert_non_null(strstr(process_err(&second), "berth: berthd ended with exit code"));
    assert_string_equal(process_out(&second), "");
    process_fini(&second);
    assert_int_equal(ask(f, "5s"), 0);
}

static void without_its_programs_it_says_what_is_missing(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO_MEM char *worker = tempdir_path(f->bin, "berth-worker");
    assert_int_equal(unlink(worker), 0);
    start(f, "1");
    assert_int_equal(process_await_exit(&f->up, PATIENT), 1);
    assert_non_null(strstr(process_err(&f->up), "bin/berth-worker': No such file"));
    assert_int_equal(ask(f, "200ms"), 69);
}

/* Runs the real `berth` against this broker and returns its exit code. */
static int run_real(struct fixture *f, struct process *ret_process, const char *const *args)
{
    const char *argv[16] = { real_program, "--broker", f->url };
    size_t count = 3;
    for (; *args; args++)
        argv[count++] = *args;
    return process_run(ret_process, argv, NULL, NULL, PATIENT);
}

static void with_real_workers_commands_run(void **state)
{
    struct fixture *f = *state;
    const char *const argv[] = { real_program, "up",        "--broker", f->url, "--data",
                                 f->data,      "--workers", "2",        NULL };
    process_start(&f->up, argv, NULL);
    assert_true(process_await_text(&f->up, "the broker is up", PATIENT));
    static const struct {
        const char *args[8];
        int code;
        const char *out;
    } cases[] = {
        { { "submit", "--wait", "--", "true" }, 0, "1\n" },
        { { "submit", "--wait", "--max-attempts", "1", "--", "false" }, 3, "2\n" },
        { { "submit", "--payload", "from the line", "--", "cat" }, 0, "3\n" },
        { { "wait", "3" }, 0, "3 completed\n" },
        { { "submit", "--", "sleep", "60" }, 0, "4\n" },
        { { "cancel", "4" }, 0, "4\n" },
        { { "wait", "4", "1" }, 4, NULL },
        { { "submit", "--wait", "--max-attempts", "1", "--", "/nowhere" }, 3, "5\n" },
    };
    struct process process;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int code = run_real(f, &process, cases[i].args);
        if (code != cases[i].code)
            fail_msg("case %zu ended with %d: %s", i, code, process_err(&process));
        if (cases[i].out)
            assert_string_equal(process_out(&process), cases[i].out);
        process_fini(&process);
    }
    assert_int_equal(run_real(f, &process, (const char *const[]){ "show", "3", NULL }), 0);
    assert_non_null(strstr(process_out(&process), "\nstdout:\nfrom the line\n"));
    process_fini(&process);

    process_kill(&f->up, SIGTERM);
    assert_int_equal(process_await_exit(&f->up, PATIENT), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_starts_broker_and_workers_and_says_where),
        TEST(told_to_end_it_drains_the_workers_and_then_the_broker),
        TEST(told_twice_it_tells_the_workers_twice),
        TEST(when_a_worker_dies_it_says_so_and_ends_the_rest),
        TEST(killed_it_leaves_nothing_behind),
        TEST(without_a_broker_that_starts_it_fails),
        TEST(with_real_workers_commands_run),
        TEST(without_its_programs_it_says_what_is_missing),
    };
    return berth_test_main(tests, NULL, NULL);
}

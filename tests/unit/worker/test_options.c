/* SPDX-License-Identifier: MIT
 *
 * What berth-worker was told: flag over environment over file over default, and what is refused.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "support/tempdir.h"
#include "worker/options.h"

#define ARGS_MAX 16

struct fixture {
    char *dir, *file;
    struct berth_args args;
    struct options options, other;
    struct berth_error err;
};

static struct fixture fixture;

static int setup(void **state)
{
    (void)unsetenv("BERTH_URL");
    (void)unsetenv("BERTH_CONFIG");
    fixture.dir = tempdir_new();
    fixture.file = tempdir_path(fixture.dir, "worker.conf");
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tempdir_free(f->dir);
    free(f->file);
    return 0;
}

/* `argv` is what follows the name of the program, ended by NULL. */
static int read_into(struct fixture *f, struct options *options, const char *const *argv)
{
    char *all[ARGS_MAX + 1] = { (char *)(uintptr_t) "berth-worker" };
    int argc = 1;
    for (; *argv; argv++) {
        assert_in_range(argc, 1, ARGS_MAX - 1);
        all[argc++] = (char *)(uintptr_t)*argv;
    }
    int rc = options_parse(&f->args, argc, all, &f->err);
    return rc < 0 ? rc : options_read(options, &f->args, &f->err);
}

#define READ(f, ...)                                                                               \
    read_into(f, &(f)->options, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static void assert_refused(struct fixture *f, int rc, int wanted, const char *part)
{
    assert_int_equal(rc, wanted);
    if (!strstr(f->err.message, part))
        fail_msg("'%s' is not in '%s'", part, f->err.message);
}

static void what_is_not_said_has_its_default(void **state)
{
    struct fixture *f = *state;

    assert_ok(READ(f, "--allow-exec"));

    assert_string_equal(f->options.broker, "tcp://127.0.0.1:7411");
    assert_null(f->options.name);
    assert_int_equal(f->options.capacity, 256);
    assert_int_equal(f->options.suspended_max, 0);
    assert_int_equal(f->options.plugins.count, 0);
    assert_true(f->options.is_exec_allowed);
    assert_string_equal(f->options.work_dir, ".");
    assert_int_equal(f->options.log_level, BERTH_LOG_INFO);
    assert_int_equal(f->options.child_fd, -1);
    options_fini(&f->options);
}

static void every_option_is_taken(void **state)
{
    struct fixture *f = *state;

    assert_ok(READ(f, "--broker", "ipc:///run/berth", "--name=w-1", "--capacity", "7", "--plugin",
                   "a.so", "--plugin=b.so", "--work-dir", "/tmp", "--log-level=debug",
                   "--suspended-max", "65528"));

    assert_string_equal(f->options.broker, "ipc:///run/berth");
    assert_string_equal(f->options.name, "w-1");
    assert_int_equal(f->options.capacity, 7);
    assert_int_equal(f->options.suspended_max, 65528);
    assert_int_equal(f->options.plugins.count, 2);
    assert_string_equal(f->options.plugins.items[1], "b.so");
    assert_false(f->options.is_exec_allowed);
    assert_string_equal(f->options.work_dir, "/tmp");
    assert_int_equal(f->options.log_level, BERTH_LOG_DEBUG);
    options_fini(&f->options);
}

static void a_flag_counts_before_the_environment_and_that_before_the_file(void **state)
{
    struct fixture *f = *state;
    tempdir_write(f->file, "[worker]\nbroker = tcp://file:1\nname = file\ncapacity = 3\n"
                           "allow_exec = yes\nwork_dir = /var\nlog_level = warn\n");
    assert_ok(setenv("BERTH_URL", "tcp://env:2", 1));
    assert_ok(setenv("BERTH_CONFIG", f->file, 1));

    assert_ok(READ(f, "--capacity", "5"));

    assert_string_equal(f->options.broker, "tcp://env:2");
    assert_string_equal(f->options.name, "file");
    assert_int_equal(f->options.capacity, 5);
    assert_true(f->options.is_exec_allowed);
    assert_string_equal(f->options.work_dir, "/var");
    assert_int_equal(f->options.log_level, BERTH_LOG_WARN);
    options_fini(&f->options);
}

static void what_makes_no_sense_is_refused_and_named(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, READ(f), BERTH_EUSAGE, "give --plugin FILE.so or --allow-exec");
    assert_refused(f, READ(f, "--allow-exec", "--capacity", "0"), BERTH_EUSAGE, "--capacity");
    assert_refused(f, READ(f, "--allow-exec", "--capacity", "65536"), BERTH_EUSAGE, "65535");
    assert_refused(f, READ(f, "--allow-exec", "--capacity", "-4"), BERTH_EUSAGE, "--capacity");
    assert_refused(f, READ(f, "--allow-exec", "--suspended-max", "0"), BERTH_EUSAGE,
                   "--suspended-max");
    assert_refused(f, READ(f, "--allow-exec", "--suspended-max", "65535"), BERTH_EUSAGE, "65534");
    assert_refused(f, READ(f, "--allow-exec", "--capacity", "60000", "--suspended-max", "5536"),
                   BERTH_EUSAGE,
                   "suspended_max 5536 beside capacity 60000: allowed are 65535 together");
    assert_refused(f, READ(f, "--allow-exec", "--broker", "http://x"), BERTH_EUSAGE, "--broker");
    assert_refused(f, READ(f, "--allow-exec", "--name", "a b"), BERTH_EUSAGE, "--name");
    assert_refused(f, READ(f, "--allow-exec", "--log-level", "loud"), BERTH_EUSAGE, "loud");
    assert_refused(f, READ(f, "--alow-exec"), BERTH_EUSAGE, "--allow-exec");
    assert_refused(f, READ(f, "--allow-exec", "operand"), BERTH_EUSAGE, "operand");
}

static void a_bad_file_is_refused_with_its_line(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, READ(f, "--allow-exec", "--config", "/nonexistent.conf"), -ENOENT,
                   "/nonexistent.conf");
    tempdir_write(f->file, "[worker]\ncapacity = 3\ncapacty = 4\n");
    assert_refused(f, READ(f, "--allow-exec", "--config", f->file), BERTH_ECONF, ":3");
    tempdir_write(f->file, "[worker]\nchild = 3\n");
    assert_refused(f, READ(f, "--allow-exec", "--config", f->file), BERTH_ECONF, "child");
}

static void a_setting_that_changed_is_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *argv[4], *difference;
    } rows[] = {
        { { "--allow-exec", "--log-level=debug" }, NULL },
        { { "--allow-exec", "--broker=tcp://b:1" }, "broker" },
        { { "--allow-exec", "--name=x" }, "name" },
        { { "--allow-exec", "--capacity=9" }, "capacity" },
        { { "--allow-exec", "--suspended-max=9" }, "suspended_max" },
        { { "--allow-exec", "--plugin=p.so" }, "plugin" },
        { { "--plugin=p.so" }, "plugin" },
        { { "--allow-exec", "--work-dir=/" }, "work_dir" },
    };
    assert_ok(READ(f, "--allow-exec"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_ok(read_into(f, &f->other, rows[i].argv));
        const char *difference = options_difference(&f->options, &f->other);
        if (rows[i].difference)
            assert_string_equal(difference, rows[i].difference);
        else
            assert_null(difference);
        options_fini(&f->other);
    }
    options_fini(&f->options);
}

int main(void)
{
#define OPTIONS_TEST(fact) cmocka_unit_test_setup_teardown(fact, setup, teardown)
    const struct CMUnitTest tests[] = {
        OPTIONS_TEST(what_is_not_said_has_its_default),
        OPTIONS_TEST(every_option_is_taken),
        OPTIONS_TEST(a_flag_counts_before_the_environment_and_that_before_the_file),
        OPTIONS_TEST(what_makes_no_sense_is_refused_and_named),
        OPTIONS_TEST(a_bad_file_is_refused_with_its_line),
        OPTIONS_TEST(a_setting_that_changed_is_named),
    };
    return berth_test_main(tests, NULL, NULL);
}

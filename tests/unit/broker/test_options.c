/* SPDX-License-Identifier: MIT
 *
 * What berthd was told: flag over environment over file over default, and what is refused.
 */
#include "support/berthtest.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/options.h"
#include "support/tempdir.h"

struct fixture {
    char *dir, *file;
    struct berth_args args;
    struct options options;
    struct berth_error err;
};

static struct fixture fixture;

static int setup(void **state)
{
    static const char *const names[] = { "BERTH_URL",  "BERTH_HTTP",      "BERTH_CONFIG",
                                         "BERTH_DATA", "STATE_DIRECTORY", "XDG_STATE_HOME" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)unsetenv(names[i]);
    fixture.dir = tempdir_new();
    fixture.file = tempdir_path(fixture.dir, "berthd.conf");
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

#define ARGS_MAX 8

/* `argv` is what follows the name of the program, ended by NULL. */
static int read_options(struct fixture *f, const char *const *argv)
{
    char *all[ARGS_MAX + 1] = { (char *)(uintptr_t) "berthd" };
    int argc = 1;
    for (; *argv; argv++)
        all[argc++] = (char *)(uintptr_t)*argv;
    int rc = options_parse(&f->args, argc, all, &f->err);
    return rc < 0 ? rc : options_read(&f->options, &f->args, &f->err);
}

#define READ(f, ...) read_options(f, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

#define assert_refused(rc, wanted, sentence)                                                       \
    do {                                                                                           \
        assert_int_equal((rc), (wanted));                                                          \
        if (!strstr(f->err.message, (sentence)))                                                   \
            fail_msg("'%s' is not in '%s'", (sentence), f->err.message);                           \
    } while (0)

static void without_anything_the_defaults_hold(void **state)
{
    struct fixture *f = *state;
    assert_ok(READ(f));
    assert_string_equal(f->options.listen, "tcp://127.0.0.1:7411");
    assert_string_equal(f->options.http, "127.0.0.1:7480");
    assert_null(f->options.data);
    assert_int_equal(f->options.log_level, BERTH_LOG_INFO);
    assert_false(f->options.is_insecure || f->options.is_http_given || f->options.is_open ||
                 f->options.wants_check);
    options_fini(&f->options);
}

static void flag_beats_environment_beats_file(void **state)
{
    struct fixture *f = *state;
    tempdir_write(f->file, "[broker]\ndata = /file\nlisten = ipc:///file\nhttp = off\n"
                           "log_level = debug\n");

    assert_ok(READ(f, "--config", f->file));
    assert_string_equal(f->options.data, "/file");
    assert_string_equal(f->options.listen, "ipc:///file");
    assert_string_equal(f->options.http, "off");
    assert_int_equal(f->options.log_level, BERTH_LOG_DEBUG);
    options_fini(&f->options);

    assert_int_equal(setenv("BERTH_CONFIG", f->file, 1), 0);
    assert_int_equal(setenv("BERTH_DATA", "/env", 1), 0);
    assert_int_equal(setenv("BERTH_URL", "ipc:///env", 1), 0);
    assert_ok(READ(f, "--data=/flag", "--log-level", "warn"));
    assert_string_equal(f->options.data, "/flag");
    assert_string_equal(f->options.listen, "ipc:///env");
    assert_string_equal(f->options.http, "off");
    assert_int_equal(f->options.log_level, BERTH_LOG_WARN);
    options_fini(&f->options);
}

static void dispatchers_of_the_file_become_seeds(void **state)
{
    struct fixture *f = *state;
    tempdir_write(f->file, "[dispatcher \"newsletter\"]\nlimit = 5\n"
                           "[dispatcher \"auth\"]\nlimit = max(50,cores)\n");
    assert_ok(READ(f, "--config", f->file));
    struct berth_list_node *node = berth_list_first(&f->options.seeds.list);
    const struct berth_seed *seed = berth_container_of(node, struct berth_seed, node);
    assert_string_equal(seed->name, "newsletter");
    assert_int_equal(seed->limit.value, 5);
    node = berth_list_next(&f->options.seeds.list, node);
    seed = berth_container_of(node, struct berth_seed, node);
    assert_string_equal(seed->name, "auth");
    assert_int_equal(seed->limit.kind, BERTH_LIMIT_MAX_CORES);
    options_fini(&f->options);
}

static void listening_beyond_this_machine_needs_to_be_said(void **state)
{
    struct fixture *f = *state;
    assert_refused(READ(f, "--listen", "tcp://0.0.0.0:7411"), BERTH_EUSAGE, "--insecure");
    assert_refused(READ(f, "--listen", "tcp://192.0.2.1:7411"), BERTH_EUSAGE,
                   "tcp://192.0.2.1:7411");
    assert_refused(READ(f, "--listen", "tcp://[::]:7411"), BERTH_EUSAGE, "--insecure");

    assert_ok(READ(f, "--listen", "tcp://0.0.0.0:7411", "--insecure"));
    assert_true(f->options.is_open);
    options_fini(&f->options);
    assert_ok(READ(f, "--listen", "tcp://[::1]:7411"));
    assert_false(f->options.is_open);
    options_fini(&f->options);
}

static void bad_values_are_refused_by_name(void **state)
{
    struct fixture *f = *state;
    assert_refused(READ(f, "--lisen", "ipc:///x"), BERTH_EUSAGE, "--listen");
    assert_refused(READ(f, "--listen", "http://x"), BERTH_EUSAGE, "--listen");
    assert_refused(READ(f, "--listen", "tcp://127.0.0.1:99999"), BERTH_EUSAGE, "--listen");
    assert_refused(READ(f, "--http", "nonsense"), BERTH_EUSAGE, "--http");
    assert_refused(READ(f, "--log-level", "loud"), BERTH_EUSAGE, "--log-level");
    assert_refused(READ(f, "--data", ""), BERTH_EUSAGE, "--data: ''");
    assert_refused(READ(f, "operand"), BERTH_EUSAGE, "operand");
    assert_refused(READ(f, "--config", "/nowhere/berthd.conf"), -ENOENT, "/nowhere/berthd.conf");
    assert_ok(READ(f, "--http", "127.0.0.1:80"));
    assert_true(f->options.is_http_given);
    options_fini(&f->options);
}

static void a_bad_file_is_refused_with_its_line(void **state)
{
    struct fixture *f = *state;
    tempdir_write(f->file, "[broker]\nlisten = ipc:///x\nlog = 5\n");
    assert_refused(READ(f, "--config", f->file), BERTH_ECONF, "berthd.conf:3: ");
    tempdir_write(f->file, "[brocker]\n");
    assert_refused(READ(f, "--config", f->file), BERTH_ECONF, "berthd.conf:1: ");
    tempdir_write(f->file, "[broker]\nconfig = other\n");
    assert_refused(READ(f, "--config", f->file), BERTH_ECONF, "berthd.conf:2: ");
    tempdir_write(f->file, "[dispatcher \"a\"]\ngrace = 1s\n");
    assert_refused(READ(f, "--config", f->file), BERTH_ECONF, "dispatcher 'a' has no limit");
    tempdir_write(f->file, "[broker]\nlisten = tcp://0.0.0.0:1\n");
    assert_refused(READ(f, "--config", f->file), BERTH_EUSAGE, "tcp://0.0.0.0:1");
}

static void the_data_directory_is_found_in_order(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(setenv("HOME", f->dir, 1), 0);
    assert_ok(READ(f));

    BERTH_AUTO_MEM char *home = options_data_dir(&f->options, &f->err);
    BERTH_AUTO_MEM char *state_dir = tempdir_path(f->dir, ".local/state");
    assert_non_null(home);
    assert_int_equal(strncmp(home, state_dir, strlen(state_dir)), 0);
    assert_string_equal(home + strlen(state_dir), "/berth");
    assert_int_equal(stat(state_dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);

    assert_int_equal(setenv("XDG_STATE_HOME", "/xdg", 1), 0);
    BERTH_AUTO_MEM char *xdg = options_data_dir(&f->options, &f->err);
    assert_string_equal(xdg, "/xdg/berth");
    assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1), 0);
    BERTH_AUTO_MEM char *unit = options_data_dir(&f->options, &f->err);
    assert_string_equal(unit, "/var/lib/a");
    f->options.data = "/with:colon";
    BERTH_AUTO_MEM char *given = options_data_dir(&f->options, &f->err);
    assert_string_equal(given, "/with:colon");
    options_fini(&f->options);
}

static void without_a_home_the_data_directory_must_be_given(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unsetenv("HOME"), 0);
    assert_ok(READ(f));
    assert_null(options_data_dir(&f->options, &f->err));
    assert_int_equal(f->err.code, BERTH_EUSAGE);
    assert_non_null(strstr(f->err.message, "--data"));
    options_fini(&f->options);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_anything_the_defaults_hold),
        TEST(flag_beats_environment_beats_file),
        TEST(dispatchers_of_the_file_become_seeds),
        TEST(listening_beyond_this_machine_needs_to_be_said),
        TEST(bad_values_are_refused_by_name),
        TEST(a_bad_file_is_refused_with_its_line),
        TEST(the_data_directory_is_found_in_order),
        TEST(without_a_home_the_data_directory_must_be_given),
    };
    return berth_test_main(tests, NULL, NULL);
}

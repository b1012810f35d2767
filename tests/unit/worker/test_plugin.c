/* SPDX-License-Identifier: MIT
 *
 * Loading plugins: one that is good, and each way to be bad.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/worker.h>

#include "support/tempdir.h"

#define PLUGIN(name) BERTH_BIN_DIR "/test_plugin_" name ".so"

static int worker_setup(void **state)
{
    struct berth_worker *worker;
    const struct berth_worker_opts opts = { .url = "ipc:///nonexistent/berth", .name = "w" };
    if (berth_worker_open(&opts, &worker, NULL) < 0)
        return -1;
    *state = worker;
    return 0;
}

static int worker_teardown(void **state)
{
    berth_worker_close(*state);
    return 0;
}

static int nothing(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    (void)arg;
    return 0;
}

static void a_good_plugin_registers_its_handlers_and_is_closed(void **state)
{
    struct berth_error err;
    (void)unsetenv("TEST_PLUGIN_CLOSED");

    assert_ok(berth_worker_plugin(*state, PLUGIN("good"), &err));

    assert_rc(berth_worker_handler(*state, "greet", nothing, NULL, NULL, &err), -EEXIST);
    assert_null(getenv("TEST_PLUGIN_CLOSED"));
    berth_worker_close(*state);
    *state = NULL;
    assert_string_equal(getenv("TEST_PLUGIN_CLOSED"), "yes");
}

static void a_bare_name_is_a_file_of_the_working_directory(void **state)
{
    char *before = getcwd(NULL, 0);
    assert_non_null(before);
    assert_int_equal(chdir(BERTH_BIN_DIR), 0);

    int rc = berth_worker_plugin(*state, "test_plugin_good.so", NULL);

    assert_int_equal(chdir(before), 0);
    free(before);
    assert_int_equal(rc, 0);
}

static void a_bad_plugin_is_refused_with_what_is_wrong(void **state)
{
    static const struct {
        const char *path;
        int rc;
        const char *text;
    } rows[] = {
        { BERTH_BIN_DIR "/missing.so", -ENOENT, "missing.so" },
        { PLUGIN("none"), BERTH_EVALUE, "no symbol berth_plugin" },
        { PLUGIN("empty"), BERTH_EVALUE, "has no open function" },
        { PLUGIN("abi"), BERTH_EVALUE, "version 2 of the plugin interface: allowed is 1" },
        { PLUGIN("bytes"), BERTH_EVALUE, "bytes: allowed is" },
        { PLUGIN("name"), BERTH_EVALUE, "no name" },
        { PLUGIN("twice"), -EEXIST, "handler 'same' is registered twice" },
        { PLUGIN("open"), -101, "the mail server's address is missing" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct berth_error err;
        assert_rc(berth_worker_plugin(*state, rows[i].path, &err), rows[i].rc);
        assert_non_null(strstr(err.message, rows[i].text));
    }
}

static void what_is_no_shared_object_is_refused(void **state)
{
    char *dir = tempdir_new(), *path = tempdir_path(dir, "text.so");
    tempdir_write(path, "hello");
    struct berth_error err;

    int rc = berth_worker_plugin(*state, path, &err);

    assert_int_equal(rc, BERTH_EVALUE);
    assert_non_null(strstr(err.message, "text.so"));
    free(path);
    tempdir_free(dir);
}

static void a_handler_of_two_plugins_is_refused(void **state)
{
    assert_ok(berth_worker_plugin(*state, PLUGIN("good"), NULL));
    struct berth_error err;

    assert_rc(berth_worker_plugin(*state, PLUGIN("good"), &err), -EEXIST);

    assert_non_null(strstr(err.message, "plugin '"));
    assert_non_null(strstr(err.message, "handler 'greet' is registered twice"));
}

int main(void)
{
#define PLUGIN_TEST(fact) cmocka_unit_test_setup_teardown(fact, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        PLUGIN_TEST(a_good_plugin_registers_its_handlers_and_is_closed),
        PLUGIN_TEST(a_bare_name_is_a_file_of_the_working_directory),
        PLUGIN_TEST(a_bad_plugin_is_refused_with_what_is_wrong),
        PLUGIN_TEST(what_is_no_shared_object_is_refused),
        PLUGIN_TEST(a_handler_of_two_plugins_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}

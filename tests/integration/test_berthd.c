/* SPDX-License-Identifier: MIT
 *
 * The program berthd: how it starts, what it refuses, how it ends.
 */
#include "site.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/await.h"
#include "support/tempdir.h"
#include "translate_peer.h"

#define NOBODY 65534
#define USER_VERSION_OFFSET                                                                        \
    60 /* in the header of an SQLite file, big-endian (sqlite.org/fileformat2) */

static const char *const berthd = BERTH_BIN_DIR "/berthd";

static void help_and_version_are_printed(void **state)
{
    (void)state;
    struct process process;
    assert_int_equal(process_run(&process, (const char *[]){ berthd, "--help", NULL }, NULL, NULL,
                                 SITE_TIMEOUT_MS),
                     0);
    assert_in_text(process_out(&process), "--check-config");
    process_fini(&process);
    assert_int_equal(process_run(&process, (const char *[]){ berthd, "--version", NULL }, NULL,
                                 NULL, SITE_TIMEOUT_MS),
                     0);
    assert_int_equal(strncmp(process_out(&process), "berthd ", 7), 0);
    process_fini(&process);
}

static void bad_options_are_one_sentence_and_exit_2(void **state)
{
    struct site *site = *state;
    static const struct {
        const char *option, *value, *sentence;
    } bad[] = {
        { "--lissten", "x", "--listen" },
        { "--listen", "http://127.0.0.1:1", "http://127.0.0.1:1" },
        { "--listen", "tcp://0.0.0.0:7411", "--insecure" },
        { "--http", "7480", "--http" },
        { "--log-level", "chatty", "--log-level" },
        { "--config", "/nowhere/berthd.conf", "/nowhere/berthd.conf" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code = site_start_fails(site, (const char *[]){ bad[i].option, bad[i].value, NULL });
        assert_int_equal(code, strcmp(bad[i].option, "--config") == 0 ? 1 : 2);
        assert_in_text(site_err(site), bad[i].sentence);
        assert_ptr_equal(strchr(site_err(site), '\n') + 1, strchr(site_err(site), '\0'));
    }
}

static void a_configuration_is_checked_without_starting(void **state)
{
    struct site *site = *state;
    BERTH_AUTO_MEM char *file = tempdir_path(site->dir, "berthd.conf");
    const char *args[] = { "--config", file, "--check-config", NULL };
    struct stat st;

    tempdir_write(file, "[dispatcher \"newsletter\"]\nlimit = 5\n");
    assert_int_equal(site_start_fails(site, args), 0);
    assert_int_equal(stat(site->data, &st), -1);

    tempdir_write(file, "[dispatcher \"newsletter\"]\nlimit = -5\n");
    assert_int_equal(site_start_fails(site, args), 2);
    assert_in_text(site_err(site), "berthd.conf:2: limit");
    tempdir_write(file, "[dispatcher \"newsletter\"]\nlimit = 5\ntimeout = 5 parsecs\n");
    assert_int_equal(site_start_fails(site, args), 2);
    assert_in_text(site_err(site), "berthd.conf:3: timeout");
}

static void a_data_directory_that_cannot_be_written_is_named(void **state)
{
    struct site *site = *state;
    assert_int_equal(mkdir(site->data, 0500), 0);
    struct process process;
    /* Root may write everywhere: start as somebody who may not. */
    const char *const as_nobody[] = {
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", berthd,
        "--data",  site->data,      "--listen",      site->url,        NULL
    };
    const char *const *argv = as_nobody;
    if (geteuid() == 0) {
        assert_int_equal(chmod(site->dir, 0755), 0);
        assert_int_equal(chown(site->data, NOBODY, NOBODY), 0);
    } else {
        argv += 4;
    }

    assert_int_equal(process_run(&process, argv, NULL, NULL, SITE_TIMEOUT_MS), 1);

    assert_in_text(process_err(&process), site->data);
    assert_in_text(process_err(&process), "Permission denied");
    process_fini(&process);
}

static void a_data_directory_that_is_a_file_is_named(void **state)
{
    struct site *site = *state;
    tempdir_write(site->data, "not a folder");
    assert_int_equal(site_start_fails(site, NULL), 1);
    assert_in_text(site_err(site), site->data);
}

static void a_database_of_a_newer_version_is_left_alone(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    assert_int_equal(site_stop(site), 0);
    BERTH_AUTO_MEM char *file = tempdir_path(site->data, "berth.db");
    BERTH_AUTO_FD int fd = open(file, O_RDWR | O_CLOEXEC);
    static const unsigned char newer[4] = { 0, 0, 0x7f, 0xff };
    unsigned char after[4];
    assert_int_equal(pwrite(fd, newer, sizeof newer, USER_VERSION_OFFSET), 4);

    assert_int_equal(site_start_fails(site, NULL), 1);

    assert_in_text(site_err(site), "newer");
    assert_in_text(site_err(site), "berth.db");
    assert_int_equal(pread(fd, after, sizeof after, USER_VERSION_OFFSET), 4);
    assert_memory_equal(after, newer, sizeof after);
}

static void a_file_that_is_no_database_is_left_alone(void **state)
{
    struct site *site = *state;
    assert_int_equal(mkdir(site->data, 0700), 0);
    BERTH_AUTO_MEM char *file = tempdir_path(site->data, "berth.db");
    tempdir_write(file, "somebody's diary, which is long enough to be mistaken for a header of "
                        "a database but is none at all, and shall not be written to");
    struct stat before, after;
    assert_int_equal(stat(file, &before), 0);

    assert_int_equal(site_start_fails(site, NULL), 1);

    assert_in_text(site_err(site), "berth.db");
    assert_int_equal(stat(file, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
}

static void a_second_broker_on_the_same_data_names_the_first(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    BERTH_AUTO_MEM char *other_url = NULL;
    assert_true(asprintf(&other_url, "ipc://%s/other", site->dir) > 0);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "%ld", (long)site->broker.pid);
    struct process second;

    int code = process_run(
        &second, (const char *[]){ berthd, "--data", site->data, "--listen", other_url, NULL },
        NULL, NULL, SITE_TIMEOUT_MS);

    assert_int_equal(code, 1);
    assert_in_text(process_err(&second), pid);
    process_fini(&second);

    struct peer peer;
    peer_open(&peer, site->url, "first");
    peer_hello(&peer);
    assert_int_equal(peer_await(&peer, "client_welcome").epoch, 1);
    peer_close(&peer);
}

static void an_address_that_is_taken_is_named(void **state)
{
    struct site *site = *state;
    char url[64];
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", (unsigned)free_port());
    site_start(site, (const char *[]){ "--listen", url, NULL });
    BERTH_AUTO_MEM char *other_data = tempdir_path(site->dir, "other");
    struct process second;

    int code = process_run(&second,
                           (const char *[]){ berthd, "--data", other_data, "--listen", url, NULL },
                           NULL, NULL, SITE_TIMEOUT_MS);

    assert_int_equal(code, 1);
    assert_in_text(process_err(&second), url);
    assert_in_text(process_err(&second), "Address already in use");
    process_fini(&second);
}

static void each_start_has_the_next_epoch_and_a_signal_ends_it_cleanly(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    assert_in_text(site_err(site), "epoch=1 ");
    assert_int_equal(site_stop(site), 0);
    assert_in_text(site_err(site), "event=stopped");
    site_start(site, NULL);
    assert_in_text(site_err(site), "epoch=2 ");
    process_kill(&site->broker, SIGINT);
    assert_int_equal(process_await_exit(&site->broker, SITE_TIMEOUT_MS), 0);
    site_start(site, NULL);
    assert_int_equal(site_kill(site), 128 + SIGKILL);
    site_start(site, NULL);
    assert_in_text(site_err(site), "epoch=4 ");
}

static void http_is_said_to_be_missing(void **state)
{
    struct site *site = *state;
    site_start(site, (const char *[]){ "--http", "127.0.0.1:7480", NULL });
    assert_in_text(site_err(site), "not listening for HTTP");
    assert_int_equal(site_stop(site), 0);
    site_start(site, (const char *[]){ "--http", "off", NULL });
    assert_null(strstr(site_err(site), "HTTP"));
}

static void dispatchers_of_the_file_are_there_for_the_first_submit(void **state)
{
    struct site *site = *state;
    BERTH_AUTO_MEM char *file = tempdir_path(site->dir, "berthd.conf");
    tempdir_write(file, "[dispatcher \"newsletter\"]\nlimit = 5\n");
    site_start(site, (const char *[]){ "--config", file, NULL });
    struct peer peer;
    peer_open(&peer, site->url, "a");

    peer_submit(&peer, "newsletter", "mail", 1, 10);
    assert_int_equal(peer_await(&peer, "submitted").code, 0);
    peer_show_dispatcher(&peer, "newsletter");
    assert_int_equal(peer_await(&peer, "dispatchers").limit_value, 5);
    peer_close(&peer);
}

static void the_file_never_changes_what_the_database_has(void **state)
{
    struct site *site = *state;
    BERTH_AUTO_MEM char *file = tempdir_path(site->dir, "berthd.conf");
    tempdir_write(file, "[dispatcher \"newsletter\"]\nlimit = 5\n");
    site_start(site, (const char *[]){ "--config", file, NULL });
    struct peer peer;
    peer_open(&peer, site->url, "a");
    peer_set_limit(&peer, "newsletter", 7);
    assert_int_equal(peer_await(&peer, "dispatchers").limit_value, 7);
    assert_int_equal(site_kill(site), 128 + SIGKILL);

    site_start(site, (const char *[]){ "--config", file, NULL });

    assert_in_text(site_err(site), "limit 7, not 5");
    peer_show_dispatcher(&peer, "newsletter");
    assert_int_equal(peer_await(&peer, "dispatchers").limit_value, 7);
    peer_close(&peer);
}

static void parents_of_the_file_are_made_first_and_a_missing_one_is_named(void **state)
{
    struct site *site = *state;
    BERTH_AUTO_MEM char *file = tempdir_path(site->dir, "berthd.conf");
    tempdir_write(file, "[dispatcher \"child\"]\nlimit = 5\nparent = above\nrate = 10/s\n"
                        "[dispatcher \"above\"]\nlimit = 9\nparent = default\nweight = 3\n"
                        "[dispatcher \"below\"]\nlimit = 1\nparent = orphan\n"
                        "[dispatcher \"orphan\"]\nlimit = 1\nparent = nobody\n");
    site_start(site, (const char *[]){ "--config", file, NULL });
    assert_true(process_await_text(&site->broker, "dispatcher=child limit=5", SITE_TIMEOUT_MS));
    assert_in_text(site_err(site), "dispatcher=above limit=9");
    assert_in_text(site_err(site), "dispatcher=orphan parent=nobody");
    assert_in_text(site_err(site), "dispatcher=below parent=orphan");
    assert_null(strstr(site_err(site), "dispatcher=orphan limit"));
    assert_int_equal(site_kill(site), 128 + SIGKILL);

    site_start(site, (const char *[]){ "--config", file, NULL });
    assert_true(process_await_text(&site->broker, "parent=orphan", SITE_TIMEOUT_MS));
    assert_null(strstr(site_err(site), "differs from the configuration"));
    assert_int_equal(site_kill(site), 128 + SIGKILL);

    tempdir_write(file, "[dispatcher \"child\"]\nlimit = 5\nparent = none\nrate = 1/m\n");
    site_start(site, (const char *[]){ "--config", file, NULL });
    assert_true(process_await_text(&site->broker, "parent above, not none, rate 10/s, not 1/m",
                                   SITE_TIMEOUT_MS));
}

static void a_hangup_reloads_the_file(void **state)
{
    struct site *site = *state;
    BERTH_AUTO_MEM char *file = tempdir_path(site->dir, "berthd.conf");
    tempdir_write(file, "[broker]\nlog_level = info\n");
    site_start(site, (const char *[]){ "--config", file, NULL });

    tempdir_write(file, "[dispatcher \"auth\"]\nlimit = fifty\n");
    process_kill(&site->broker, SIGHUP);
    assert_true(
        process_await_text(&site->broker, "the old configuration stays in force", SITE_TIMEOUT_MS));
    assert_in_text(site_err(site), "berthd.conf:2: limit");

    tempdir_write(file, "[dispatcher \"auth\"]\nlimit = 50\n");
    process_kill(&site->broker, SIGHUP);
    assert_true(process_await_text(&site->broker, "dispatcher made", SITE_TIMEOUT_MS));
    struct peer peer;
    peer_open(&peer, site->url, "a");
    peer_show_dispatcher(&peer, "auth");
    assert_int_equal(peer_await(&peer, "dispatchers").limit_value, 50);
    peer_close(&peer);
}

static void the_service_manager_hears_of_start_life_and_end(void **state)
{
    struct site *site = *state;
    BERTH_AUTO_FD int fd = site_manager(site);

    site_start(site, NULL);
    assert_true(site_await_notice(fd, "READY=1"));
    for (int i = 0; i < 3; i++)
        assert_true(site_await_notice(fd, "WATCHDOG=1"));
    assert_int_equal(site_stop(site), 0);
    assert_true(site_await_notice(fd, "STOPPING=1"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        TEST(help_and_version_are_printed),
        TEST(bad_options_are_one_sentence_and_exit_2),
        TEST(a_configuration_is_checked_without_starting),
        TEST(a_data_directory_that_cannot_be_written_is_named),
        TEST(a_data_directory_that_is_a_file_is_named),
        TEST(a_database_of_a_newer_version_is_left_alone),
        TEST(a_file_that_is_no_database_is_left_alone),
        TEST(a_second_broker_on_the_same_data_names_the_first),
        TEST(an_address_that_is_taken_is_named),
        TEST(each_start_has_the_next_epoch_and_a_signal_ends_it_cleanly),
        TEST(http_is_said_to_be_missing),
        TEST(dispatchers_of_the_file_are_there_for_the_first_submit),
        TEST(the_file_never_changes_what_the_database_has),
        TEST(parents_of_the_file_are_made_first_and_a_missing_one_is_named),
        TEST(a_hangup_reloads_the_file),
        TEST(the_service_manager_hears_of_start_life_and_end),
    };
    return berth_test_main(tests, NULL, NULL);
}

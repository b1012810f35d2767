/* SPDX-License-Identifier: MIT
 *
 * The service manager's datagrams: what arrives at a socket of ours.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/notify.h"
#include "support/tempdir.h"

static int clear_environment(void **state)
{
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    return 0;
}

static int given_manager(const char *path, size_t path_bytes)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, path, path_bytes);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, bytes), 0);
    return fd;
}

static void assert_received(int fd, const char *wanted)
{
    char text[64];
    ssize_t bytes = recv(fd, text, sizeof text, 0);
    assert_int_equal(bytes, (ssize_t)strlen(wanted));
    assert_memory_equal(text, wanted, strlen(wanted));
}

static void without_a_manager_nothing_is_sent(void **state)
{
    (void)state;
    assert_int_equal(berth_notify("READY=1"), 0);
}

static void a_state_arrives_at_a_socket_in_a_folder(void **state)
{
    (void)state;
    char *dir = tempdir_new();
    BERTH_AUTO_MEM char *path = tempdir_path(dir, "notify");
    BERTH_AUTO_FD int fd = given_manager(path, strlen(path));
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);

    assert_int_equal(berth_notify("READY=1\nSTATUS=well"), 1);

    assert_received(fd, "READY=1\nSTATUS=well");
    tempdir_free(dir);
}

static void a_state_arrives_at_an_abstract_socket(void **state)
{
    (void)state;
    char name[64];
    int bytes = snprintf(name, sizeof name, "@berth-test-notify-%ld", (long)getpid());
    char address[64] = { 0 };
    memcpy(address + 1, name + 1, (size_t)bytes - 1);
    BERTH_AUTO_FD int fd = given_manager(address, (size_t)bytes);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);

    assert_int_equal(berth_notify("WATCHDOG=1"), 1);

    assert_received(fd, "WATCHDOG=1");
}

static void a_socket_that_is_none_is_an_error_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(setenv("NOTIFY_SOCKET", "vsock:2:1", 1), 0);
    assert_int_equal(berth_notify("READY=1"), -EAFNOSUPPORT);
    assert_int_equal(setenv("NOTIFY_SOCKET", "/nobody/listens/here", 1), 0);
    assert_int_equal(berth_notify("READY=1"), -ENOENT);
    char path[256];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    assert_int_equal(berth_notify("READY=1"), -ENAMETOOLONG);
}

static void the_watchdog_is_fed_three_times_in_its_interval(void **state)
{
    (void)state;
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    assert_int_equal(berth_notify_watchdog_ms(), 10000);
    assert_int_equal(setenv("WATCHDOG_USEC", "10", 1), 0);
    assert_int_equal(berth_notify_watchdog_ms(), 1);

    char pid[32];
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(berth_notify_watchdog_ms(), 1);
}

static void a_watchdog_of_somebody_else_is_not_fed(void **state)
{
    (void)state;
    assert_true(berth_notify_watchdog_ms() == INT64_MAX);
    assert_int_equal(setenv("WATCHDOG_USEC", "soon", 1), 0);
    assert_true(berth_notify_watchdog_ms() == INT64_MAX);
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    assert_true(berth_notify_watchdog_ms() == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_manager_nothing_is_sent, clear_environment),
        cmocka_unit_test_setup(a_state_arrives_at_a_socket_in_a_folder, clear_environment),
        cmocka_unit_test_setup(a_state_arrives_at_an_abstract_socket, clear_environment),
        cmocka_unit_test_setup(a_socket_that_is_none_is_an_error_and_no_more, clear_environment),
        cmocka_unit_test_setup(the_watchdog_is_fed_three_times_in_its_interval, clear_environment),
        cmocka_unit_test_setup(a_watchdog_of_somebody_else_is_not_fed, clear_environment),
    };
    return berth_test_main(tests, NULL, NULL);
}

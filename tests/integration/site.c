/* SPDX-License-Identifier: MIT
 *
 * A broker of the test's own.
 */
#include "site.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support/await.h"
#include "support/tempdir.h"

int site_setup(void **state)
{
    struct site *site = calloc(1, sizeof *site);
    if (!site)
        return -1;
    site->dir = tempdir_new();
    site->data = tempdir_path(site->dir, "data");
    if (asprintf(&site->url, "ipc://%s/broker", site->dir) < 0)
        return -1;
    *state = site;
    return 0;
}

int site_teardown(void **state)
{
    struct site *site = *state;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    if (site->broker.pid)
        process_fini(&site->broker);
    tempdir_free(site->dir);
    free(site->data);
    free(site->url);
    free(site);
    return 0;
}

static void begin(struct site *site, const char *const *args)
{
    const char *argv[SITE_ARGS_MAX] = { BERTH_BIN_DIR "/berthd", "--data", site->data, "--listen",
                                        site->url };
    size_t argc = 5;
    for (; args && *args; args++) {
        assert_true(argc + 1 < SITE_ARGS_MAX);
        argv[argc++] = *args;
    }
    if (site->broker.pid)
        process_fini(&site->broker);
    process_start(&site->broker, argv, site->env);
}

static int end(struct site *site)
{
    int code = process_await_exit(&site->broker, SITE_TIMEOUT_MS);
    if (code == PROCESS_TIMED_OUT)
        fail_msg("the broker has not ended: %s", process_err(&site->broker));
    return code;
}

void site_start(struct site *site, const char *const *args)
{
    begin(site, args);
    if (!process_await_text(&site->broker, "event=listening", SITE_TIMEOUT_MS))
        fail_msg("the broker does not listen: %s", process_err(&site->broker));
}

int site_start_fails(struct site *site, const char *const *args)
{
    begin(site, args);
    return end(site);
}

int site_kill(struct site *site)
{
    process_kill(&site->broker, SIGKILL);
    return end(site);
}

int site_stop(struct site *site)
{
    process_kill(&site->broker, SIGTERM);
    return end(site);
}

const char *site_err(const struct site *site)
{
    return process_err(&site->broker);
}

int site_manager(struct site *site)
{
    BERTH_AUTO_MEM char *path = tempdir_path(site->dir, "notify");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    assert_true(strlen(path) < sizeof address.sun_path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "300000", 1), 0);
    return fd;
}

bool site_await_notice(int fd, const char *wanted)
{
    char text[256];
    while (await_readable(fd, SITE_TIMEOUT_MS)) {
        ssize_t bytes = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
        if (bytes < 0)
            return false;
        text[bytes] = '\0';
        if (strstr(text, wanted))
            return true;
    }
    return false;
}

void assert_in_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

/* SPDX-License-Identifier: MIT
 *
 * The fence of a worker without a keeper, in processes that may be ended.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "support/await.h"
#include "worker/watchdog.h"

#define STATUS_LIVED 7
#define LONG_MS      30000
#define NEVER_MS     600000 /* a lease that no test waits for */

static size_t count_of(void *arg)
{
    return atomic_load((atomic_size_t *)arg);
}

static int64_t now_ms(void)
{
    return berth_clock_boottime_ns() / 1000000;
}

/* Runs `life` in a child; its status, and what it wrote to stderr. */
static int in_a_child(void (*life)(void), char *ret_text, size_t text_bytes)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(pipe_fds[1], STDERR_FILENO);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        life();
        _exit(STATUS_LIVED);
    }
    (void)close(pipe_fds[1]);
    size_t bytes = 0;
    ssize_t got;
    while ((got = read(pipe_fds[0], ret_text + bytes, text_bytes - 1 - bytes)) > 0)
        bytes += (size_t)got;
    ret_text[bytes] = '\0';
    (void)close(pipe_fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static struct watchdog *open_with(atomic_size_t *running)
{
    struct watchdog *watchdog;
    BERTH_ASSERT(watchdog_open(count_of, running, &watchdog, NULL) == 0);
    return watchdog;
}

/* Blocks for longer than the test allows, unless the watchdog bites. */
static void hang(void)
{
    (void)await_readable(-1, LONG_MS);
}

static void an_attempt_outlives_its_lease(void)
{
    static atomic_size_t running;
    atomic_store(&running, 2);
    watchdog_set(open_with(&running), now_ms() + 30, "the lease");
    hang();
}

static void a_running_attempt_past_the_end_ends_the_process_with_one_line(void **state)
{
    (void)state;
    char text[512];

    int status = in_a_child(an_attempt_outlives_its_lease, text, sizeof text);

    assert_int_equal(status, WATCHDOG_EXIT_STATUS);
    assert_string_equal(text,
                        "berth: the lease is over and 2 attempts still run: this process ends\n");
}

static void stderr_is_full(void)
{
    static atomic_size_t running;
    int fds[2];
    char bytes[4096] = { 0 };
    BERTH_ASSERT(pipe2(fds, O_NONBLOCK) == 0);
    while (write(fds[1], bytes, sizeof bytes) > 0)
        ;
    BERTH_ASSERT(fcntl(fds[1], F_SETFL, 0) == 0);
    BERTH_ASSERT(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
    atomic_store(&running, 1);
    watchdog_set(open_with(&running), now_ms() + 10, "the lease");
    hang();
}

static void nobody_who_reads_the_line_is_no_reason_to_live(void **state)
{
    (void)state;
    char text[512];

    assert_int_equal(in_a_child(stderr_is_full, text, sizeof text), WATCHDOG_EXIT_STATUS);
}

static bool is_past(void *arg)
{
    return now_ms() > *(int64_t *)arg;
}

static void the_lease_is_renewed_and_then_over_without_attempts(void)
{
    static atomic_size_t running; /* nothing yet: a slow machine may be late to renew */
    struct watchdog *watchdog = open_with(&running);
    int64_t first_ms = now_ms() + 40, first_past_ms = first_ms + 40;
    watchdog_set(watchdog, first_ms, "the lease");
    watchdog_set(watchdog, now_ms() + NEVER_MS, "the lease");
    atomic_store(&running, 1);
    BERTH_ASSERT(await(is_past, &first_past_ms, LONG_MS)); /* the first end passes */
    atomic_store(&running, 0);
    int64_t end_ms = now_ms() + 20, end_past_ms = end_ms + 60;
    watchdog_set(watchdog, end_ms, "the lease");
    BERTH_ASSERT(await(is_past, &end_past_ms, LONG_MS)); /* another, with nothing running */
    watchdog_close(watchdog);
}

static void what_is_renewed_or_idle_lives(void **state)
{
    (void)state;
    char text[512];

    int status = in_a_child(the_lease_is_renewed_and_then_over_without_attempts, text, sizeof text);

    assert_string_equal(text, "");
    assert_int_equal(status, STATUS_LIVED);
}

static void an_attempt_begins_past_the_end(void)
{
    static atomic_size_t running;
    struct watchdog *watchdog = open_with(&running);
    int64_t end_ms = now_ms() + 10, later_ms = end_ms + 30;
    watchdog_set(watchdog, end_ms, "the lease");
    BERTH_ASSERT(await(is_past, &later_ms, LONG_MS));
    atomic_store(&running, 1);
    hang();
}

static void an_attempt_that_was_on_its_way_is_seen(void **state)
{
    (void)state;
    char text[512];

    assert_int_equal(in_a_child(an_attempt_begins_past_the_end, text, sizeof text),
                     WATCHDOG_EXIT_STATUS);
}

static void no_end_no_bite(void)
{
    static atomic_size_t running; /* nothing yet: see above */
    struct watchdog *watchdog = open_with(&running);
    int64_t end_ms = now_ms() + 10, later_ms = end_ms + 40;
    watchdog_set(watchdog, end_ms, "the lease");
    watchdog_set(watchdog, 0, "");
    atomic_store(&running, 1);
    BERTH_ASSERT(await(is_past, &later_ms, LONG_MS));
    watchdog_close(watchdog);
}

static void a_lease_that_was_given_back_ends_nothing(void **state)
{
    (void)state;
    char text[512];

    assert_int_equal(in_a_child(no_end_no_bite, text, sizeof text), STATUS_LIVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_attempt_past_the_end_ends_the_process_with_one_line),
        cmocka_unit_test(nobody_who_reads_the_line_is_no_reason_to_live),
        cmocka_unit_test(what_is_renewed_or_idle_lives),
        cmocka_unit_test(an_attempt_that_was_on_its_way_is_seen),
        cmocka_unit_test(a_lease_that_was_given_back_ends_nothing),
    };
    return berth_test_main(tests, NULL, NULL);
}

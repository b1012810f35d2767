/* SPDX-License-Identifier: MIT
 *
 * The keeper from outside: a real one in a process of its own, with runtime children that behave as
 * the test wishes, and a fake broker.
 *
 * This program is all three: the tests; with --keeper, a keeper; and, started by that one with
 * --child, a runtime child (keeper_lives.h). Whether anything of that or its commands is alive is
 * asked of the FIFO DIR/alive, which all of them hold open for writing.
 */
#include "support/berthtest.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "keeper_lives.h"
#include "support/tempdir.h"
#include "translate_broker.h"
#include "worker/cgroup.h"
#include "worker/keeper.h"
#include "worker/keeper_alone.h"
#include "worker/net/gone.h"
#include "worker/net/translate_gone.h"
#include "worker/reap.h"

#define DEADLINE_MS 30000
#define SOON_MS     100
#define TRIES_MAX   10
#define LATE_MAX    20
/* A child that dies at once and is followed by another 1.6 s later. */
#define RESTING_CHILD 6

struct fixture {
    struct broker *broker;
    char *dir;
    int child_fd; /* DIR/child, for reading */
    int alive_fd;
    int go_fd; /* DIR/go, for writing: lets a child go on that waits for it */
    pid_t keeper;
    bool is_without_cgroup, is_alone;
    int64_t stop_ms; /* of the keeper to be started */
};

/* ---- the keeper ---- */

/* test_keeper --keeper LIFE DIR URL with|without|alone STOP_MS */
static int keeper_main(int argc, char **argv)
{
    struct keeper_opts opts = { .argc = argc,
                                .argv = argv,
                                .broker_url = argv[4],
                                .stop_ms = strtol(argv[6], NULL, 10),
                                .is_without_cgroup = strcmp(argv[5], "without") == 0,
                                .is_alone = strcmp(argv[5], "alone") == 0 };
    berth_log_init("keeper", BERTH_LOG_ERROR);
    return keeper_run(&opts);
}

/* ---- the test ---- */

static void make_fifo(const struct fixture *f, const char *name)
{
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, name);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->broker = broker_new();
    f->stop_ms = LIFE_SHORT_MS;
    f->dir = tempdir_new();
    make_fifo(f, "child");
    make_fifo(f, "alive");
    make_fifo(f, "up");
    make_fifo(f, "go");
    f->child_fd = keeper_open_in(f->dir, "child", O_RDWR | O_CLOEXEC);
    f->alive_fd = keeper_open_in(f->dir, "alive", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    f->go_fd = keeper_open_in(f->dir, "go", O_RDWR | O_CLOEXEC);
    assert_true(f->child_fd >= 0 && f->alive_fd >= 0 && f->go_fd >= 0);
    *state = f;
    return 0;
}

static int setup_without_cgroup(void **state)
{
    int rc = setup(state);
    ((struct fixture *)*state)->is_without_cgroup = true;
    return rc;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    /* Whatever is left of the keeper's family has come to hang under us. */
    do
        (void)reap_kill_children(NULL);
    while (waitpid(-1, NULL, 0) > 0);
    broker_free(f->broker);
    (void)close(f->child_fd);
    (void)close(f->alive_fd);
    (void)close(f->go_fd);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

static void start_keeper(struct fixture *f, const char *life)
{
    f->keeper = fork();
    assert_true(f->keeper >= 0);
    if (f->keeper > 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    char stop_ms[24];
    (void)snprintf(stop_ms, sizeof stop_ms, "%lld", (long long)f->stop_ms);
    (void)execl("/proc/self/exe", "test_keeper", "--keeper", life, f->dir, broker_url(f->broker),
                f->is_alone            ? "alone"
                : f->is_without_cgroup ? "without"
                                       : "with",
                stop_ms, (char *)NULL);
    _exit(9);
}

/* A line that a child or its command wrote. */
static void await_line(const struct fixture *f, char line[static LIFE_LINE_BYTES_MAX])
{
    for (size_t at = 0; at + 1 < LIFE_LINE_BYTES_MAX; at++) {
        struct pollfd ready = { .fd = f->child_fd, .events = POLLIN };
        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        assert_int_equal(read(f->child_fd, &line[at], 1), 1);
        line[at + 1] = '\0';
        if (line[at] == '\n')
            return;
    }
    fail_msg("a line without an end: %s", line);
}

static void assert_line(const struct fixture *f, const char *want)
{
    char line[LIFE_LINE_BYTES_MAX];
    await_line(f, line);
    assert_string_equal(line, want);
}

struct born {
    unsigned number, epoch_seen;
    pid_t pid;
};

static struct born read_born(const char *line)
{
    char *at;
    struct born born = { .number = (unsigned)strtoul(line, &at, 10) };
    born.epoch_seen = (unsigned)strtoul(at, &at, 10);
    born.pid = (pid_t)strtol(at, NULL, 10);
    assert_true(born.pid > 0);
    return born;
}

static struct born await_born(const struct fixture *f)
{
    char line[LIFE_LINE_BYTES_MAX];
    await_line(f, line);
    return read_born(line);
}

static bool is_anyone_alive(const struct fixture *f)
{
    char byte;
    return read(f->alive_fd, &byte, 1) < 0;
}

static void await_all_dead(const struct fixture *f)
{
    struct pollfd gone = { .fd = f->alive_fd };
    assert_int_equal(poll(&gone, 1, DEADLINE_MS), 1);
    assert_true(gone.revents & POLLHUP);
}

static int await_keeper_exit(struct fixture *f)
{
    int fd = pidfd_open(f->keeper, 0), status;
    assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, DEADLINE_MS), 1);
    assert_int_equal(waitpid(f->keeper, &status, 0), f->keeper);
    assert_int_equal(close(fd), 0);
    f->keeper = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- a child that dies by itself ---- */

static void a_killed_child_is_proven_gone_with_its_attempts(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "commands");
    struct born first = await_born(f);
    assert_int_equal(first.number, 1);
    assert_int_equal(first.epoch_seen, 0);
    assert_line(f, "running\n");

    assert_int_equal(kill(first.pid, SIGKILL), 0);

    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.session, LIFE_SESSION);
    assert_int_equal(gone.child, 1);
    assert_int_equal(gone.cause, GONE_BY_SIGNAL);
    assert_int_equal(gone.status, SIGKILL);
    assert_int_equal(gone.count, 2);
    assert_int_equal(gone.attempts[0], LIFE_ATTEMPT);
    assert_int_equal(gone.jobs[0], 5);
    assert_int_equal(gone.numbers[0], 2);
    assert_int_equal(gone.attempts[1], LIFE_ATTEMPT + 1);
    assert_int_equal(gone.jobs[1], 6);
    struct born second = await_born(f);
    assert_int_equal(second.number, 2);
    assert_int_equal(second.epoch_seen, LIFE_EPOCH);
}

static void nothing_of_a_killed_child_is_alive_when_it_is_proven_gone(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "commands");
    struct born first = await_born(f);
    assert_line(f, "running\n");
    /* The next child must not hold the FIFO: none can be born into a folder without it. */
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "alive");
    assert_int_equal(unlink(path), 0);
    assert_true(is_anyone_alive(f));

    assert_int_equal(kill(first.pid, SIGKILL), 0);

    broker_await_gone(f->broker, &gone);
    assert_false(is_anyone_alive(f));
}

static void gone_is_sent_at_once(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t best_ms = INT64_MAX;
    start_keeper(f, "commands");
    /* The best of some: what else this machine does is not the keeper's. */
    for (int i = 0; i < TRIES_MAX && best_ms > SOON_MS; i++) {
        struct born born = await_born(f);
        assert_line(f, "running\n");
        int64_t killed_ms = berth_clock_monotonic_ms();
        assert_int_equal(kill(born.pid, SIGKILL), 0);
        do
            broker_await_gone(f->broker, &gone);
        while (gone.child != born.number);
        if (gone.at_ms - killed_ms < best_ms)
            best_ms = gone.at_ms - killed_ms;
        broker_acknowledge(f->broker, &gone, true);
    }
    /* On a machine that is too busy for that at least before time alone would have brought it. */
    assert_in_range(best_ms, 0, GONE_EVERY_MS - 1);
}

static void gone_is_repeated_until_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone, again;
    start_keeper(f, "commands");
    struct born born = await_born(f);
    assert_line(f, "running\n");
    int64_t killed_ms = berth_clock_monotonic_ms();
    assert_int_equal(kill(born.pid, SIGKILL), 0);
    broker_await_gone(f->broker, &gone);

    broker_await_gone(f->broker, &again);
    assert_int_equal(again.child, 1);
    broker_send_garbage(f->broker);
    broker_await_gone(f->broker, &again);
    assert_int_equal(again.count, 2);
    /* It may send twice when it is connected, but not the third at once. */
    assert_in_range(again.at_ms - killed_ms, GONE_EVERY_MS - 1, DEADLINE_MS);
    broker_acknowledge(f->broker, &again, true);

    for (int late_count = 0; broker_poll_gone(f->broker, 3 * GONE_EVERY_MS, &again); late_count++)
        assert_in_range(late_count, 0, LATE_MAX); /* those that were under way */
}

static void gone_outlives_the_broker_it_was_sent_to(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "exit");
    broker_await_gone(f->broker, &gone);

    broker_go_deaf(f->broker);
    broker_listen_again(f->broker);

    struct heard_gone again;
    do
        broker_await_gone(f->broker, &again);
    while (again.child != gone.child);
    assert_memory_equal(again.nonce, gone.nonce, sizeof gone.nonce);
}

static void a_child_without_a_session_is_named_by_nonce_and_number(void **state)
{
    struct fixture *f = *state;
    struct heard_gone first, second;
    start_keeper(f, "exit");

    do
        broker_await_gone(f->broker, &first);
    while (first.child != 1); /* the second may overtake it while there is no connection yet */
    assert_int_equal(first.session, 0);
    assert_int_equal(first.cause, GONE_BY_EXIT);
    assert_int_equal(first.status, 5);
    assert_int_equal(first.count, 0);
    broker_acknowledge(f->broker, &first, false);

    do
        broker_await_gone(f->broker, &second);
    while (second.child == 1); /* one may have been under way */
    assert_int_equal(second.child, 2);
    assert_memory_equal(second.nonce, first.nonce, sizeof first.nonce);
}

static void children_that_die_young_are_followed_ever_more_slowly(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t begun_ms = berth_clock_monotonic_ms(), seen_ms[6] = { 0 };
    start_keeper(f, "exit");

    for (unsigned number = 1; number <= 5; number++) {
        do
            broker_await_gone(f->broker, &gone);
        while (gone.child != number);
        seen_ms[number] = gone.at_ms;
        broker_acknowledge(f->broker, &gone, false);
    }

    /* None, 100, 200 and 400 ms between them. */
    assert_in_range(seen_ms[3] - begun_ms, 99, DEADLINE_MS);
    assert_in_range(seen_ms[5] - begun_ms, 699, DEADLINE_MS);
}

static void lines_that_no_broker_could_have_granted_are_left_out(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "damage");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.count, 1);
    assert_int_equal(gone.attempts[0], LIFE_ATTEMPT);
    assert_true(gone.culprit == 0); /* nor is one of those named */
}

static void the_attempt_that_a_child_named_is_the_culprit(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "name");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.count, 2);
    assert_true(gone.culprit == LIFE_ATTEMPT + 1);
}

static void who_may_be_one_of_many_is_not_named(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "silence");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.count, 1);
    assert_true(gone.culprit == 0);
}

/* And its keeper ends when that is acknowledged. */
static void who_was_alone_is_the_culprit(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    f->is_alone = true;
    start_keeper(f, "silence");

    broker_await_gone(f->broker, &gone);
    broker_acknowledge(f->broker, &gone, false);

    assert_true(gone.culprit == LIFE_ATTEMPT);
    assert_int_equal(await_keeper_exit(f), 0);
}

static void a_fenced_child_is_followed_by_a_fresh_one(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "fenced");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.cause, GONE_BY_FENCE);
    assert_int_equal(await_born(f).number, 1);
    assert_int_equal(await_born(f).number, 2);
}

/* ---- the lease ---- */

static void at_the_end_of_its_lease_a_child_and_its_commands_are_dead(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "alive");
    start_keeper(f, "beyond");
    (void)await_born(f);
    assert_line(f, "running\n");
    assert_int_equal(unlink(path), 0); /* as above */
    int64_t begun_ms = berth_clock_monotonic_ms();
    assert_int_equal(write(f->go_fd, "\n", 1), 1);

    broker_await_gone(f->broker, &gone);

    assert_false(is_anyone_alive(f));
    assert_int_equal(gone.session, LIFE_SESSION);
    assert_int_equal(gone.cause, GONE_BY_LEASE);
    assert_int_equal(gone.status, SIGKILL);
    assert_int_equal(gone.count, 2);
    assert_in_range(gone.at_ms - begun_ms, LIFE_SHORT_MS - 1, DEADLINE_MS);
}

static void a_child_that_renews_lives_until_it_stops_renewing(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t begun_ms = berth_clock_monotonic_ms();
    start_keeper(f, "renewals");
    struct born born = await_born(f);
    char line[LIFE_LINE_BYTES_MAX];
    /* A busy machine may hold one up that renews. It is killed rightly then, and another is born.
     */
    for (await_line(f, line); strcmp(line, "stopped\n") != 0; await_line(f, line)) {
        born = read_born(line);
        assert_in_range(born.number, 2, TRIES_MAX);
    }

    do
        broker_await_gone(f->broker, &gone);
    while (gone.child != born.number);

    assert_int_equal(gone.cause, GONE_BY_LEASE);
    assert_in_range(gone.at_ms - begun_ms, 5 * LIFE_SHORT_MS - 2, DEADLINE_MS);
}

static void a_lease_end_beyond_a_whole_lease_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t begun_ms = berth_clock_monotonic_ms();
    start_keeper(f, "lie");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_LEASE);
    assert_in_range(gone.at_ms - begun_ms, LIFE_SHORT_MS - 2, DEADLINE_MS);
}

static void a_session_whose_lease_is_never_set_ends_after_one(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "no-lease");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_LEASE);
}

/* ---- signals, drain, refusal ---- */

static void a_drained_worker_is_proven_gone_and_ends_with_0(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "drain");
    (void)await_born(f);

    assert_int_equal(kill(f->keeper, SIGTERM), 0);

    assert_line(f, "15\n");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_DRAIN);
    assert_int_equal(gone.session, LIFE_SESSION);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 0);
}

static void without_an_answer_a_drained_worker_leaves_after_three_seconds(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "drain");
    (void)await_born(f);
    int64_t told_ms = berth_clock_monotonic_ms();
    assert_int_equal(kill(f->keeper, SIGINT), 0);
    broker_await_gone(f->broker, &gone);

    broker_await_gone(f->broker, &gone); /* and again, meanwhile */

    assert_int_equal(await_keeper_exit(f), 0);
    assert_in_range(berth_clock_monotonic_ms() - told_ms, KEEPER_LEAVE_MS - 1, DEADLINE_MS);
}

static void signals_are_passed_on_and_the_third_term_kills(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    f->stop_ms = LIFE_LONG_MS; /* so that it is not the time that kills */
    start_keeper(f, "signals");
    (void)await_born(f);

    assert_int_equal(kill(f->keeper, SIGHUP), 0);
    assert_line(f, "1\n");
    assert_int_equal(kill(f->keeper, SIGQUIT), 0);
    assert_line(f, "3\n");
    assert_int_equal(kill(f->keeper, SIGTERM), 0);
    assert_line(f, "15\n");
    assert_int_equal(kill(f->keeper, SIGTERM), 0);
    assert_line(f, "2\n");
    assert_int_equal(kill(f->keeper, SIGTERM), 0);

    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_DRAIN);
    assert_int_equal(gone.status, SIGKILL);
    assert_int_equal(gone.count, 1);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 0);
}

/* What the kernel does to whoever logs when the reader of stderr is gone. */
static void a_keeper_outlives_the_reader_of_its_log(void **state)
{
    struct fixture *f = *state;
    start_keeper(f, "signals");
    (void)await_born(f);

    assert_int_equal(kill(f->keeper, SIGPIPE), 0);

    assert_int_equal(kill(f->keeper, SIGHUP), 0);
    assert_line(f, "1\n");
}

static void a_child_that_does_not_stop_when_told_is_killed(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "signals");
    (void)await_born(f);
    assert_int_equal(kill(f->keeper, SIGINT), 0);
    assert_line(f, "15\n");
    int64_t stopped_ms = berth_clock_monotonic_ms();
    assert_int_equal(kill(f->keeper, SIGINT), 0);

    broker_await_gone(f->broker, &gone);

    assert_in_range(gone.at_ms - stopped_ms, LIFE_SHORT_MS - 1, DEADLINE_MS);
    assert_int_equal(gone.cause, GONE_BY_DRAIN);
    assert_int_equal(gone.status, SIGKILL);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 0);
}

static void a_child_that_crashes_while_draining_is_not_followed(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "crash-drain");
    (void)await_born(f);
    assert_int_equal(kill(f->keeper, SIGTERM), 0);
    assert_line(f, "15\n");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_SIGNAL);
    assert_int_equal(gone.status, SIGABRT);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 1);
}

static void a_child_that_refuses_to_begin_ends_the_program_with_its_status(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "usage");
    assert_int_equal(await_keeper_exit(f), KEEPER_CHILD_USAGE);
    assert_false(broker_poll_gone(f->broker, 0, &gone));
}

static void the_same_status_after_a_session_is_a_crash(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "refused-late");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_EXIT);
    assert_int_equal(gone.status, KEEPER_CHILD_REFUSED);
    assert_int_equal(await_born(f).number, 1);
    assert_int_equal(await_born(f).number, 2);
}

/* Tells a keeper to end while it rests. False: it had begun another child when it heard of it. */
static bool term_finds_it_resting(struct fixture *f)
{
    struct heard_gone gone;
    start_keeper(f, "exit");
    do
        broker_await_gone(f->broker, &gone);
    while (gone.child < RESTING_CHILD);

    assert_int_equal(kill(f->keeper, SIGTERM), 0);

    uint32_t last_child = gone.child;
    while (broker_poll_gone(f->broker, 700, &gone)) {
        last_child = gone.child > last_child ? gone.child : last_child;
        broker_acknowledge(f->broker, &gone, false);
    }
    int code = await_keeper_exit(f);
    if (last_child > RESTING_CHILD)
        return false;
    assert_int_equal(code, 0);
    return true;
}

static void a_term_between_two_children_ends_the_worker(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; !term_finds_it_resting(f); i++)
        assert_in_range(i, 0, TRIES_MAX);
}

/* ---- the keeper's own end, and what the child is born with ---- */

static void when_the_keeper_is_killed_child_and_commands_die(void **state)
{
    struct fixture *f = *state;
    /* A command without children: theirs is the boundary that docs/GUARANTEES.md states. */
    start_keeper(f, "simple");
    (void)await_born(f);
    assert_line(f, "running\n");

    assert_int_equal(kill(f->keeper, SIGKILL), 0);

    assert_int_equal(waitpid(f->keeper, NULL, 0), f->keeper);
    f->keeper = 0;
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    await_all_dead(f);
}

static void a_child_is_born_with_its_fence_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    char line[LIFE_LINE_BYTES_MAX], want[LIFE_LINE_BYTES_MAX];
    int fence_fd, event_fd;
    start_keeper(f, "descriptors");
    struct born first = await_born(f);
    await_line(f, line);
    assert_int_equal(kill(first.pid, SIGKILL), 0);
    struct heard_gone gone;
    broker_await_gone(f->broker, &gone); /* the keeper has a socket now */
    struct born second = await_born(f);
    await_line(f, line);
    char *of = strstr(line, "of ");
    assert_non_null(of);
    fence_fd = (int)strtol(of + 3, &of, 10);
    event_fd = (int)strtol(of, NULL, 10);
    (void)snprintf(want, sizeof want, " 0 1 2 %d %d of %d %d\n", fence_fd, event_fd, fence_fd,
                   event_fd);
    assert_string_equal(line, want);
    assert_int_equal(second.number, 2);
}

/* ---- keepers for suspects ---- */

static pid_t await_alone(const struct fixture *f)
{
    static const char word[] = "alone ";
    char line[LIFE_LINE_BYTES_MAX];
    await_line(f, line);
    assert_memory_equal(line, word, strlen(word));
    return (pid_t)strtol(line + strlen(word), NULL, 10);
}

static void who_is_asked_for_while_there_is_no_place_starts_when_there_is_one(void **state)
{
    struct fixture *f = *state;
    pid_t alone = 0;
    start_keeper(f, "alone");
    (void)await_born(f);
    for (int i = 0; i < KEEPER_ALONE_MAX; i++)
        alone = await_alone(f);

    assert_int_equal(kill(alone, SIGKILL), 0);

    assert_true(await_alone(f) != alone);
}

int main(int argc, char **argv)
{
    /* test_keeper --child FD --keeper LIFE DIR URL CGROUP STOP_MS */
    if (argc == 9 && strcmp(argv[1], "--child") == 0)
        return keeper_live((int)strtol(argv[2], NULL, 10), argv[4], argv[5]);
    if (argc == 7 && strcmp(argv[1], "--keeper") == 0)
        return keeper_main(argc, argv);
    if (argc == 8 && strcmp(argv[1], "--alone") == 0) /* before --keeper */
        return keeper_live_alone(argv[4]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITHOUT_CGROUP(name)                                                                  \
    {                                                                                              \
#name "_without_a_cgroup", name, setup_without_cgroup, teardown, NULL                      \
    }
    const struct CMUnitTest tests[] = {
        TEST(a_killed_child_is_proven_gone_with_its_attempts),
        TEST(nothing_of_a_killed_child_is_alive_when_it_is_proven_gone),
        TEST_WITHOUT_CGROUP(nothing_of_a_killed_child_is_alive_when_it_is_proven_gone),
        TEST(gone_is_sent_at_once),
        TEST(gone_is_repeated_until_it_is_acknowledged),
        TEST(gone_outlives_the_broker_it_was_sent_to),
        TEST(a_child_without_a_session_is_named_by_nonce_and_number),
        TEST(children_that_die_young_are_followed_ever_more_slowly),
        TEST(lines_that_no_broker_could_have_granted_are_left_out),
        TEST(the_attempt_that_a_child_named_is_the_culprit),
        TEST(who_may_be_one_of_many_is_not_named),
        TEST(who_was_alone_is_the_culprit),
        TEST(a_fenced_child_is_followed_by_a_fresh_one),
        TEST(at_the_end_of_its_lease_a_child_and_its_commands_are_dead),
        TEST_WITHOUT_CGROUP(at_the_end_of_its_lease_a_child_and_its_commands_are_dead),
        TEST(a_child_that_renews_lives_until_it_stops_renewing),
        TEST(a_lease_end_beyond_a_whole_lease_is_not_believed),
        TEST(a_session_whose_lease_is_never_set_ends_after_one),
        TEST(a_drained_worker_is_proven_gone_and_ends_with_0),
        TEST(without_an_answer_a_drained_worker_leaves_after_three_seconds),
        TEST(signals_are_passed_on_and_the_third_term_kills),
        TEST(a_keeper_outlives_the_reader_of_its_log),
        TEST(a_child_that_does_not_stop_when_told_is_killed),
        TEST(a_child_that_crashes_while_draining_is_not_followed),
        TEST(a_child_that_refuses_to_begin_ends_the_program_with_its_status),
        TEST(the_same_status_after_a_session_is_a_crash),
        TEST(a_term_between_two_children_ends_the_worker),
        TEST(when_the_keeper_is_killed_child_and_commands_die),
        TEST(a_child_is_born_with_its_fence_and_nothing_else),
        TEST(who_is_asked_for_while_there_is_no_place_starts_when_there_is_one),
    };
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return 1;
    int failed_count = berth_test_main(tests, NULL, NULL);
    /* Keepers that were killed leave their groups; the next one to come removes them. */
    BERTH_AUTO(cgroup) cgroup = NULL;
    (void)cgroup_open(&cgroup);
    return failed_count;
}

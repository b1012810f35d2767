/* SPDX-License-Identifier: MIT
 *
 * What a child may do: run commands, renew or not, drain, crash, lie.
 */
#include "keeper_lives.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "support/tempdir.h"
#include "worker/fence.h"
#include "worker/handlers/exec.h"
#include "worker/keeper.h"
#include "worker/keeper_alone.h"

#define LINEAGE 90

struct life {
    struct fence *fence;
    const char *dir;
    int say_fd, alive_fd; /* to the test */
};

int keeper_open_in(const char *dir, const char *name, int flags)
{
    BERTH_AUTO_MEM char *path = tempdir_path(dir, name);
    return open(path, flags);
}

static void say(const struct life *life, const char *line)
{
    (void)!write(life->say_fd, line, strlen(line));
}

static int64_t now_ms(void)
{
    return berth_clock_boottime_ns() / 1000000;
}

static void join(const struct life *life, int64_t lease_ms)
{
    fence_set_session(life->fence, LIFE_SESSION, LIFE_EPOCH, LINEAGE, lease_ms);
    fence_set_lease_end(life->fence, now_ms() + lease_ms);
}

static void on_end(void *arg, uint64_t attempt, const struct exec_end *end)
{
    (void)arg;
    (void)attempt;
    (void)end;
}

/* Leaves children in and out of its group. */
#define STUBBORN                                                                                   \
    "exec 9> alive; trap '' TERM; sleep 60 &"                                                      \
    " (setsid sh -c 'trap \"\" TERM; echo 1 > up; sleep 60' &);"                                   \
    " read line < up; echo running > child; sleep 60; true"

/* One process. */
#define SIMPLE "exec 9> alive; echo running > child; exec sleep 60"

/* Two attempts in the fence, one of them this script. */
static void run_command(const struct life *life, const char *script)
{
    struct exec_opts opts = { .work_dir = life->dir, .on_end = on_end };
    struct exec *exec;
    struct berth_slice argv[] = { { "/bin/sh", 7 }, { "-c", 2 }, { script, strlen(script) } };
    struct exec_command command = { .attempt = LIFE_ATTEMPT, .argv = argv, .argv_count = 3 };
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT, 5, 2);
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT + 1, 6, 1);
    if (exec_open(&opts, &exec, NULL) < 0 || exec_start(exec, &command, NULL) < 0)
        _exit(9);
}

static void live_with_commands(struct life *life)
{
    join(life, LIFE_LONG_MS);
    run_command(life, STUBBORN);
    for (;;)
        (void)pause();
}

static void live_with_a_simple_command(struct life *life)
{
    join(life, LIFE_LONG_MS);
    run_command(life, SIMPLE);
    for (;;)
        (void)pause();
}

/* Spins, its signals blocked, and does not renew. */
static void live_beyond_the_lease(struct life *life)
{
    char byte;
    run_command(life, STUBBORN);
    (void)!read(keeper_open_in(life->dir, "go", O_RDONLY), &byte, 1);
    join(life, LIFE_SHORT_MS);
    for (;;)
        continue;
}

/* Renews often enough for a while, then no more. */
static void live_on_renewals(struct life *life)
{
    join(life, LIFE_SHORT_MS);
    int64_t until_ms = now_ms() + 4 * LIFE_SHORT_MS;
    while (now_ms() < until_ms)
        fence_set_lease_end(life->fence, now_ms() + LIFE_SHORT_MS);
    say(life, "stopped\n");
    for (;;)
        (void)pause();
}

static void live_on_a_lie(struct life *life)
{
    fence_set_session(life->fence, LIFE_SESSION, LIFE_EPOCH, LINEAGE, LIFE_SHORT_MS);
    fence_set_lease_end(life->fence, now_ms() + LIFE_LONG_MS);
    for (;;)
        (void)pause();
}

static void live_with_a_session_without_a_lease(struct life *life)
{
    fence_set_session(life->fence, LIFE_SESSION, LIFE_EPOCH, LINEAGE, LIFE_SHORT_MS);
    for (;;)
        (void)pause();
}

/* Says each signal, and drains at the first. */
static int take_signal(const struct life *life)
{
    char line[LIFE_LINE_BYTES_MAX];
    sigset_t ours;
    int sig = 0;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGTERM);
    (void)sigaddset(&ours, SIGINT);
    (void)sigaddset(&ours, SIGHUP);
    (void)sigaddset(&ours, SIGQUIT);
    (void)sigwait(&ours, &sig);
    (void)snprintf(line, sizeof line, "%d\n", sig);
    say(life, line);
    return sig;
}

static void live_until_drained(struct life *life)
{
    join(life, LIFE_LONG_MS);
    (void)take_signal(life);
    _exit(KEEPER_CHILD_DRAINED);
}

static void live_on_signals(struct life *life)
{
    join(life, LIFE_LONG_MS);
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT, 5, 1);
    for (;;)
        (void)take_signal(life);
}

static void crash_while_draining(struct life *life)
{
    join(life, LIFE_LONG_MS);
    (void)take_signal(life);
    abort();
}

static void end_with_damage(struct life *life)
{
    join(life, LIFE_LONG_MS);
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT, 5, 1);
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT, 5, 1); /* twice */
    (void)fence_attempt_add(life->fence, 12345, 6, 1);        /* of no epoch */
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT + 1, 0, 1);
    fence_set_culprit(life->fence, 12345);
    (void)raise(SIGKILL);
}

static void end_with_a_name(struct life *life)
{
    join(life, LIFE_LONG_MS);
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT, 5, 1);
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT + 1, 6, 1);
    fence_set_culprit(life->fence, LIFE_ATTEMPT + 1);
    (void)raise(SIGKILL);
}

/* Its one attempt, and nobody is named. */
static void end_in_silence(struct life *life)
{
    join(life, LIFE_LONG_MS);
    (void)fence_attempt_add(life->fence, LIFE_ATTEMPT, 5, 1);
    _exit(5);
}

/* More than there may be at once. */
static void ask_for_too_many(struct life *life)
{
    join(life, LIFE_LONG_MS);
    fence_start_alone(life->fence, KEEPER_ALONE_MAX + 2);
    for (;;)
        (void)pause();
}

/* Lists the descriptors it was born with, its own two FIFOs aside. */
static void list_descriptors(struct life *life)
{
    char line[LIFE_LINE_BYTES_MAX] = "";
    for (int fd = 0; fd < 100; fd++)
        if (fd != life->say_fd && fd != life->alive_fd && fcntl(fd, F_GETFD) >= 0)
            (void)snprintf(line + strlen(line), sizeof line - strlen(line), " %d", fd);
    (void)snprintf(line + strlen(line), sizeof line - strlen(line), " of %d %d\n",
                   fence_fd(life->fence), fence_event_fd(life->fence));
    say(life, line);
    for (;;)
        (void)pause();
}

static void exit_5(struct life *life)
{
    (void)life;
    _exit(5);
}

static void exit_usage(struct life *life)
{
    (void)life;
    _exit(KEEPER_CHILD_USAGE);
}

static void exit_refused_late(struct life *life)
{
    join(life, LIFE_LONG_MS);
    _exit(KEEPER_CHILD_REFUSED);
}

static void exit_fenced(struct life *life)
{
    join(life, LIFE_LONG_MS);
    _exit(KEEPER_CHILD_FENCED);
}

static const struct {
    const char *name;
    void (*live)(struct life *life);
} lives[] = {
    { "commands", live_with_commands },
    { "simple", live_with_a_simple_command },
    { "beyond", live_beyond_the_lease },
    { "renewals", live_on_renewals },
    { "lie", live_on_a_lie },
    { "no-lease", live_with_a_session_without_a_lease },
    { "drain", live_until_drained },
    { "signals", live_on_signals },
    { "crash-drain", crash_while_draining },
    { "damage", end_with_damage },
    { "name", end_with_a_name },
    { "silence", end_in_silence },
    { "alone", ask_for_too_many },
    { "descriptors", list_descriptors },
    { "exit", exit_5 },
    { "usage", exit_usage },
    { "refused-late", exit_refused_late },
    { "fenced", exit_fenced },
};

int keeper_live(int fd, const char *name, const char *dir)
{
    struct life life = { .dir = dir };
    if (fence_open(fd, &life.fence, NULL) < 0)
        return 9;
    life.say_fd = keeper_open_in(dir, "child", O_WRONLY);
    life.alive_fd = keeper_open_in(dir, "alive", O_WRONLY);
    const struct fence_birth *birth = fence_birth(life.fence);
    char line[LIFE_LINE_BYTES_MAX];
    (void)snprintf(line, sizeof line, "%u %u %d\n", birth->child, birth->epoch_seen, getpid());
    say(&life, line);
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
        if (strcmp(lives[i].name, name) == 0)
            lives[i].live(&life);
    return 9;
}

int keeper_live_alone(const char *dir)
{
    const struct life life = { .dir = dir, .say_fd = keeper_open_in(dir, "child", O_WRONLY) };
    char line[LIFE_LINE_BYTES_MAX];
    (void)snprintf(line, sizeof line, "alone %d\n", getpid());
    say(&life, line);
    for (;;)
        (void)pause();
}

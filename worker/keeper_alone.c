/* SPDX-License-Identifier: MIT
 *
 * Between fork and exec only async-signal-safe calls: while a certificate is out, ZeroMQ's threads
 * are there.
 */
#include "worker/keeper_alone.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_ARGS_COUNT 1 /* --alone */

/* argv[0] --alone argv[1] ... */
static char **make_argv(const struct keeper_alone_opts *opts)
{
    static char option[] = "--alone";
    char **argv = calloc((size_t)opts->argc + OWN_ARGS_COUNT + 1, sizeof *argv);
    if (!argv)
        return NULL;
    int count = 0;
    argv[count++] = opts->argv[0];
    argv[count++] = option;
    for (int i = 1; i < opts->argc; i++)
        argv[count++] = opts->argv[i];
    return argv;
}

_Noreturn static void run_program(const struct keeper_alone_opts *opts, pid_t keeper, char **argv)
{
    (void)setpgid(0, 0); /* a terminal's Ctrl-C reaches it through the keeper alone */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
        _exit(EXIT_FAILURE);
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    if (sigprocmask(SIG_SETMASK, opts->mask, NULL) == 0)
        (void)execve(opts->exe, argv, environ);
    _exit(EXIT_FAILURE);
}

int keeper_alone_start(struct keeper_alone *alone, const struct keeper_alone_opts *opts,
                       struct berth_error *err)
{
    if (alone->count == KEEPER_ALONE_MAX)
        return berth_fail(err, -EAGAIN, "start a keeper for a suspect: there are %d",
                          KEEPER_ALONE_MAX);
    char **argv = make_argv(opts);
    if (!argv)
        return berth_fail(err, -ENOMEM, "start a keeper for a suspect");
    pid_t keeper = getpid();
    pid_t pid = fork();
    int rc = -errno;
    if (pid == 0)
        run_program(opts, keeper, argv);
    free(argv);
    if (pid < 0)
        return berth_fail(err, rc, "start a keeper for a suspect");
    alone->pids[alone->count++] = pid;
    return 0;
}

void keeper_alone_signal(const struct keeper_alone *alone, int signal)
{
    for (size_t i = 0; i < alone->count; i++)
        (void)kill(alone->pids[i], signal);
}

bool keeper_alone_forget(struct keeper_alone *alone, pid_t pid)
{
    for (size_t i = 0; i < alone->count; i++) {
        if (alone->pids[i] != pid)
            continue;
        alone->pids[i] = alone->pids[--alone->count];
        return true;
    }
    return false;
}

void keeper_alone_reap(struct keeper_alone *alone)
{
    for (size_t i = alone->count; i > 0; i--)
        if (waitpid(alone->pids[i - 1], NULL, WNOHANG) == alone->pids[i - 1])
            (void)keeper_alone_forget(alone, alone->pids[i - 1]);
}

static bool is_one(const void *arg, pid_t pid)
{
    const struct keeper_alone *alone = arg;
    for (size_t i = 0; i < alone->count; i++)
        if (alone->pids[i] == pid)
            return true;
    return false;
}

struct reap_spared keeper_alone_spared(const struct keeper_alone *alone)
{
    return (struct reap_spared){ .is_spared = is_one, .arg = alone };
}

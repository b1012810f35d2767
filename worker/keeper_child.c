/* SPDX-License-Identifier: MIT
 *
 * Between fork and exec only async-signal-safe calls: while a certificate is out, ZeroMQ's threads
 * are there.
 */
#include "worker/keeper_child.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/keeper.h"
#include "worker/reap.h"

#define FD_TEXT_MAX    16
#define OWN_ARGS_COUNT 2 /* --child FD */

/* argv[0] --child FD argv[1] ... */
static char **make_argv(const struct keeper_child_opts *opts, char *fd_text)
{
    static char option[] = "--child";
    char **argv = calloc((size_t)opts->argc + OWN_ARGS_COUNT + 1, sizeof *argv);
    if (!argv)
        return NULL;
    int count = 0;
    argv[count++] = opts->argv[0];
    argv[count++] = option;
    argv[count++] = fd_text;
    for (int i = 1; i < opts->argc; i++)
        argv[count++] = opts->argv[i];
    return argv;
}

_Noreturn static void run_program(const struct keeper_child_opts *opts, const struct fence *fence,
                                  pid_t keeper, char **argv)
{
    static const char sorry[] = "berth-worker: cannot run the program again\n";
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
        _exit(EXIT_FAILURE);
    if (opts->cgroup)
        (void)cgroup_enter(opts->cgroup);
    /* libzmq has descriptors that would live through the exec. */
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    if (fence_inherit(fence) == 0 && sigprocmask(SIG_SETMASK, opts->mask, NULL) == 0)
        (void)execve(opts->exe, argv, environ);
    ssize_t bytes = write(STDERR_FILENO, sorry, sizeof sorry - 1);
    (void)bytes;
    _exit(KEEPER_CHILD_REFUSED);
}

int keeper_child_start(const struct keeper_child_opts *opts, struct keeper_child *ret_child,
                       struct berth_error *err)
{
    struct fence *fence;
    int rc = fence_new(&opts->birth, &fence, err);
    if (rc < 0)
        return rc;
    char fd_text[FD_TEXT_MAX];
    (void)snprintf(fd_text, sizeof fd_text, "%d", fence_fd(fence));
    char **argv = make_argv(opts, fd_text);
    pid_t keeper = getpid();
    pid_t pid = argv ? fork() : -1;
    rc = argv ? -errno : -ENOMEM;
    if (pid == 0)
        run_program(opts, fence, keeper, argv);
    free(argv);
    if (pid < 0) {
        fence_free(fence);
        return berth_fail(err, rc, "start the runtime child");
    }
    *ret_child = (struct keeper_child){ .fence = fence,
                                        .cgroup = opts->cgroup,
                                        .alone = opts->alone,
                                        .pid = pid,
                                        .number = opts->birth.child,
                                        .born_ms = opts->now_ms,
                                        .lease_end_ms = INT64_MAX };
    return 0;
}

void keeper_child_fini(struct keeper_child *child)
{
    fence_free(child->fence);
    child->fence = NULL;
}

/* The first look at a session: from here on the child has at most one lease to live without more.
 */
static void begin_lease(struct keeper_child *child, const struct fence_state *said, int64_t now_ms)
{
    child->session = said->session;
    child->lease_ms = said->worker_lease_ms;
    if (child->lease_ms <= 0 || child->lease_ms > FENCE_LEASE_MS_MAX) {
        child->lease_ms = 0;
        child->is_lease_refused = true;
    }
    bool is_set = said->lease_end_ms > 0 && said->lease_end_ms <= now_ms + child->lease_ms;
    child->lease_end_ms = is_set ? said->lease_end_ms : now_ms + child->lease_ms;
}

int64_t keeper_child_lease_end_ms(struct keeper_child *child)
{
    struct fence_state said;
    fence_read(child->fence, &said);
    /* After that look: the child counts its lease from a moment before it writes the end of it. */
    int64_t now_ms = berth_clock_boottime_ns() / 1000000;
    if (child->session == 0) {
        if (said.session == 0)
            return INT64_MAX;
        begin_lease(child, &said, now_ms);
    }
    if (said.lease_end_ms > now_ms + child->lease_ms)
        child->is_lease_refused = true;
    else if (said.lease_end_ms > child->lease_end_ms)
        child->lease_end_ms = said.lease_end_ms;
    return child->lease_end_ms;
}

/* How many it met. */
static int kill_all_below(const struct keeper_child *child)
{
    if (!child->alone)
        return reap_kill_children(NULL);
    struct reap_spared spared = keeper_alone_spared(child->alone);
    return reap_kill_children(&spared);
}

void keeper_child_kill(struct keeper_child *child)
{
    if (!child->is_dead)
        (void)kill(child->pid, SIGKILL);
    if (child->cgroup)
        (void)cgroup_kill(child->cgroup);
    (void)kill_all_below(child);
}

/* Somebody lives. Nobody but keepers for suspects, if the list of children has nobody else: who is
 * in it stays there until we reap him, and what his death brings is put behind him. Seen twice,
 * because children hang under threads, and those of a thread that ends move to another one. */
static bool are_others_gone(const struct keeper_child *child)
{
    bool has_spared = child->is_dead && child->alone && child->alone->count > 0;
    return has_spared && kill_all_below(child) == 0 && kill_all_below(child) == 0;
}

static void take_dead(struct keeper_child *child, pid_t pid, int status)
{
    if (pid == child->pid) {
        child->is_dead = true;
        child->status = status;
    } else if (child->alone) {
        (void)keeper_alone_forget(child->alone, pid);
    }
}

bool keeper_child_reap(struct keeper_child *child)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        take_dead(child, pid, status);
    bool is_empty = pid < 0 ? errno == ECHILD : are_others_gone(child);
    return is_empty && (!child->cgroup || cgroup_is_empty(child->cgroup));
}

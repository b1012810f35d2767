/* SPDX-License-Identifier: MIT
 *
 * Locks may be held by threads that do not exist here: hence async-signal-safe calls only, and
 * _Fork(), which runs no handlers of pthread_atfork().
 *
 * All signals stay blocked in the shim: it listens to its channel and to SIGCHLD, and can only be
 * ended by SIGKILL, on which the kernel ends the command.
 */
#include "worker/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/reap.h"

#define CHANNEL_FD       3
#define FIRST_FREE_FD    (CHANNEL_FD + 1)
#define COMMAND_NOT_RUN  126
#define COMMAND_NOT_SEEN 127

struct shim {
    const struct shim_spec *spec;
    pid_t command;
    int status;        /* the command's, once it is over */
    bool is_over;      /* the command was reaped */
    bool is_cancelled; /* SIGTERM was sent, or is not worth it any more */
    int64_t kill_ms;   /* when SIGKILL is due; INT64_MAX: not */
};

_Noreturn static void command_run(const struct shim_spec *spec, pid_t parent);
static void watch(struct shim *shim);
static void reap_all(struct shim *shim);

void shim_report(int channel_fd, enum shim_report_kind kind, int value)
{
    struct shim_report packet = { .kind = (int32_t)kind, .value = value };
    ssize_t bytes = send(channel_fd, &packet, sizeof packet, MSG_NOSIGNAL);
    (void)bytes; /* the exec thread is gone, and so are we soon */
}

/* 0, 1, 2 and the channel at their places, nothing else open. The given numbers may be in each
 * other's place, so they move out of the way first. */
static bool place_descriptors(const struct shim_spec *spec)
{
    const int from[] = { spec->in_fd, spec->out_fd, spec->err_fd, spec->channel_fd };
    int aside[sizeof from / sizeof *from];
    for (int i = 0; i <= CHANNEL_FD; i++) {
        aside[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
        if (aside[i] < 0)
            return false;
    }
    for (int i = 0; i <= CHANNEL_FD; i++)
        if (dup2(aside[i], i) < 0)
            return false;
    return fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) == 0 &&
           close_range(FIRST_FREE_FD, UINT_MAX, 0) == 0;
}

/* Dies with its parent from now on; false: that is dead already. */
static bool die_with(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

static void default_dispositions(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, &action, NULL); /* KILL, STOP and libc's own cannot be set */
}

static void wake_up(int sig)
{
    (void)sig;
}

int shim_become(pid_t parent, const char *name)
{
    struct sigaction wake = { .sa_handler = wake_up };
    if (!die_with(parent))
        return -ESRCH;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    (void)prctl(PR_SET_NAME, name);
    default_dispositions();
    /* The default would be to ignore it, and so not to end a wait. */
    return sigaction(SIGCHLD, &wake, NULL) < 0 ? -errno : 0;
}

void shim_run(const struct shim_spec *spec, pid_t parent)
{
    int rc = shim_become(parent, "berth-shim");
    if (rc == 0 && !place_descriptors(spec))
        rc = -errno;
    if (rc < 0) {
        shim_report(spec->channel_fd, SHIM_NO_FORK, -rc);
        _exit(EXIT_FAILURE);
    }
    struct shim shim = { .spec = spec, .kill_ms = INT64_MAX };
    pid_t self = getpid();
    shim.command = _Fork();
    if (shim.command == 0)
        command_run(spec, self);
    if (shim.command < 0) {
        shim_report(CHANNEL_FD, SHIM_NO_FORK, errno);
        _exit(EXIT_FAILURE);
    }
    /* The ends of the pipes are the command's alone. */
    (void)close_range(0, CHANNEL_FD - 1, 0);
    watch(&shim);
    reap_all(&shim);
    shim_report(CHANNEL_FD, SHIM_EXITED, shim.status);
    _exit(EXIT_SUCCESS);
}

/* As execvp() searches, but without a shell for what the kernel cannot run. Returns an errno. */
static int run_first(const struct shim_spec *spec)
{
    int error = ENOENT;
    for (char *const *path = spec->paths; *path; path++) {
        (void)execve(*path, spec->argv, spec->envp);
        if (errno == EACCES)
            error = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
    }
    return error;
}

static void command_run(const struct shim_spec *spec, pid_t parent)
{
    if (!die_with(parent))
        _exit(COMMAND_NOT_RUN);
    /* A session of its own: it leads a process group, and no terminal can stop it. */
    (void)setsid();
    /* From here, not from the shim: whatever the command does comes after this report. */
    shim_report(CHANNEL_FD, SHIM_STARTED, getpid());
    struct rlimit limit;
    if (spec->descriptor_max > 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = spec->descriptor_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (chdir(spec->work_dir) < 0) {
        shim_report(CHANNEL_FD, SHIM_NO_DIR, errno);
        _exit(COMMAND_NOT_RUN);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int error = run_first(spec);
    shim_report(CHANNEL_FD, SHIM_NO_EXEC, error);
    _exit(error == ENOENT || error == ENOTDIR ? COMMAND_NOT_SEEN : COMMAND_NOT_RUN);
}

/* To the group; to the command alone if it has not got as far as having one. */
static void signal_group(const struct shim *shim, int sig)
{
    if (kill(-shim->command, sig) < 0 && errno == ESRCH)
        (void)kill(shim->command, sig);
}

static void take_cancel(struct shim *shim)
{
    struct shim_cancel cancel;
    ssize_t bytes = recv(CHANNEL_FD, &cancel, sizeof cancel, MSG_DONTWAIT);
    if (bytes < 0 && errno == EAGAIN)
        return;
    /* The end of the channel: nobody wants this attempt any more. */
    int64_t grace_ms = bytes == (ssize_t)sizeof cancel ? cancel.grace_ms : 0;
    int64_t kill_ms = berth_clock_monotonic_ms() + grace_ms;
    if (kill_ms < shim->kill_ms)
        shim->kill_ms = kill_ms;
    if (grace_ms > 0 && !shim->is_cancelled)
        signal_group(shim, SIGTERM);
    shim->is_cancelled = true;
}

static void note_end(struct shim *shim, pid_t pid, int status)
{
    if (pid != shim->command)
        return;
    shim->status = status;
    shim->is_over = true;
}

/* Everything that has ended so far; the command may have left children behind that end before it.
 */
static void reap_ready(struct shim *shim)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        note_end(shim, pid, status);
}

/* False: never. */
static bool time_until(int64_t due_ms, struct timespec *ret_left)
{
    if (due_ms == INT64_MAX)
        return false;
    int64_t left_ms = due_ms - berth_clock_monotonic_ms();
    if (left_ms < 0)
        left_ms = 0;
    *ret_left = (struct timespec){ .tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000 };
    return true;
}

/* Until the command has ended, or is to be killed. */
static void watch(struct shim *shim)
{
    sigset_t all_but_children;
    (void)sigfillset(&all_but_children);
    (void)sigdelset(&all_but_children, SIGCHLD);
    for (;;) {
        reap_ready(shim);
        if (shim->is_over || berth_clock_monotonic_ms() >= shim->kill_ms)
            return;
        struct pollfd channel = { .fd = CHANNEL_FD, .events = POLLIN };
        struct timespec left;
        bool is_timed = time_until(shim->kill_ms, &left);
        if (ppoll(&channel, 1, is_timed ? &left : NULL, &all_but_children) > 0)
            take_cancel(shim);
    }
}

/* Until nothing of the attempt is left. Whoever turns up between two rounds does so because
 * somebody it hung under has died, and that ends the wait. */
static void reap_all(struct shim *shim)
{
    for (int flags = WNOHANG;; flags = 0) {
        int status;
        pid_t pid = waitpid(-1, &status, flags);
        if (pid < 0 && errno == ECHILD)
            return;
        if (pid > 0)
            note_end(shim, pid, status);
        if (!shim->is_over)
            (void)kill(-shim->command, SIGKILL);
        (void)reap_kill_children(NULL);
    }
}

/* SPDX-License-Identifier: MIT
 *
 * Children: waitpid and its kin, system, popen, pclose; and what mask of signals children get.
 *
 * A child that is named is awaited by its pidfd. Any child, a group, and what stops or goes on have
 * nothing that could be polled: these waits block a thread of the pool, as do system() and
 * pclose(), whose waits are inside libc. The result is always fetched by libc's own call.
 *
 * weft's threads block all signals, and a child inherits its parent's mask. So a child that is
 * started on such a thread gets the mask that the thread had which started weft: by fork() in any
 * coroutine, by posix_spawn() in any but under no_intercept, and by system() and popen() where they
 * are parked. vfork() is left alone: set the mask between it and exec.
 *
 * After fork() the child has one thread and no weft: nothing parks there, and nothing but exec, or
 * _exit, should follow.
 */
#include "intercept_child.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "intercept.h"
#include "tree.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

WEFT_NEXT(pid_t, wait, int *)
WEFT_NEXT(pid_t, wait3, int *, int, struct rusage *)
WEFT_NEXT(pid_t, wait4, pid_t, int *, int, struct rusage *)
WEFT_NEXT(pid_t, waitpid, pid_t, int *, int)
WEFT_NEXT(int, waitid, idtype_t, id_t, siginfo_t *, int)
WEFT_NEXT(int, system, const char *)
WEFT_NEXT(FILE *, popen, const char *, const char *)
WEFT_NEXT(int, pclose, FILE *)
WEFT_NEXT(int, posix_spawn, pid_t *, const char *, const posix_spawn_file_actions_t *,
          const posix_spawnattr_t *, char *const *, char *const *)
WEFT_NEXT(int, posix_spawnp, pid_t *, const char *, const posix_spawn_file_actions_t *,
          const posix_spawnattr_t *, char *const *, char *const *)

extern const char weft_draws_child;
const char weft_draws_child = 1;

/* ---- waiting --------------------------------------------------------------------------------- */

/* One wait, by wait4() or by waitid(). Those of the pool lie on the heap. */
struct child_wait {
    bool is_waitid;
    pid_t pid;
    idtype_t type;
    id_t id;
    int options;
    int status;
    struct rusage usage;
    siginfo_t info;
    pid_t rc; /* 0: nothing yet; negative: -errno */
};

static void wait_once(struct child_wait *w, int options)
{
    if (!w->is_waitid) {
        w->rc = next_wait4()(w->pid, &w->status, options, &w->usage);
        if (w->rc < 0)
            w->rc = -errno;
        return;
    }
    memset(&w->info, 0, sizeof w->info);
    int rc = next_waitid()(w->type, w->id, &w->info, options);
    w->rc = rc < 0 ? -errno : w->info.si_pid;
}

static void wait_blocking(void *arg)
{
    struct child_wait *w = arg;
    do {
        wait_once(w, w->options);
    } while (w->rc == -EINTR);
}

/* The child that it is for; 0: any, or more than its end. */
static pid_t pid_of(const struct child_wait *w)
{
    if (!w->is_waitid)
        return w->pid > 0 && w->options == 0 ? w->pid : 0;
    if ((w->options & ~WNOWAIT) != WEXITED || w->type != P_PID)
        return 0;
    return (pid_t)w->id;
}

/* Parks until the child has ended: 0 (look again), or negative: -ECANCELED, or there is no pidfd to
 * be had. */
static int park_until_end(struct child_wait *w)
{
    int fd = (int)syscall(SYS_pidfd_open, pid_of(w), 0);
    if (fd < 0)
        return errno == ESRCH ? 0 : -errno;
    wait_once(w, w->options | WNOHANG); /* the number may have been another process's before */
    int rc = w->rc == 0 ? weft_fd_wait(fd, POLLIN, WEFT_NEVER) : 0;
    (void)close(fd);
    return rc > 0 ? 0 : rc;
}

/* On a thread of the pool, in memory of its own. */
static void wait_pooled(struct weft_task *self, struct child_wait *w)
{
    struct child_wait *own = malloc(sizeof *own);
    int rc = -ENOMEM;
    if (own) {
        *own = *w;
        rc = weft_call_pooled_long(self, "child", wait_blocking, own);
        *w = *own;
    }
    free(own);
    if (rc < 0)
        wait_blocking(w); /* no memory: no error of these calls. So it blocks its thread */
}

/* Sets w->rc. */
static void wait_parked(struct weft_task *self, struct child_wait *w)
{
    wait_once(w, w->options | WNOHANG);
    while (w->rc == 0 && (w->options & WNOHANG) == 0) {
        bool is_pidfd = w->is_waitid && w->type == P_PIDFD && (w->options & WEXITED) != 0 &&
                        (w->options & (WSTOPPED | WCONTINUED)) == 0;
        int rc = -ENOSYS;
        if (is_pidfd)
            rc = weft_fd_wait((int)w->id, POLLIN, WEFT_NEVER);
        else if (pid_of(w) != 0)
            rc = park_until_end(w);
        if (rc == -ECANCELED) {
            w->rc = rc;
        } else if (rc < 0) {
            wait_pooled(self, w);
            return;
        } else if (w->rc == 0) {
            wait_once(w, w->options | WNOHANG);
        }
    }
}

static pid_t wait_pid(struct weft_task *self, pid_t pid, int *status, int options,
                      struct rusage *usage)
{
    struct child_wait w = { .pid = pid, .options = options };
    wait_parked(self, &w);
    if (w.rc > 0 && status)
        *status = w.status;
    if (w.rc > 0 && usage)
        *usage = w.usage;
    return (pid_t)weft_call_leave(self, w.rc);
}

pid_t wait(int *status)
{
    struct weft_task *self = weft_call_enter();
    return self ? wait_pid(self, -1, status, 0, NULL) : next_wait()(status);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    struct weft_task *self = weft_call_enter();
    return self ? wait_pid(self, pid, status, options, NULL) : next_waitpid()(pid, status, options);
}

pid_t wait3(int *status, int options, struct rusage *usage)
{
    struct weft_task *self = weft_call_enter();
    return self ? wait_pid(self, -1, status, options, usage) : next_wait3()(status, options, usage);
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    struct weft_task *self = weft_call_enter();
    return self ? wait_pid(self, pid, status, options, usage)
                : next_wait4()(pid, status, options, usage);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_waitid()(type, id, info, options);
    struct child_wait w = { .is_waitid = true, .type = type, .id = id, .options = options };
    wait_parked(self, &w);
    if (w.rc >= 0 && info)
        *info = w.info;
    return (int)weft_call_leave(self, w.rc < 0 ? w.rc : 0);
}

/* ---- the mask -------------------------------------------------------------------------------- */

static sigset_t program_mask;
static atomic_bool is_known;

void weft_child_open(void)
{
    if (weft_thread_self())
        return;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &program_mask);
    is_known = true;
}

static void mask_set(sigset_t *ret_before)
{
    if (is_known)
        (void)pthread_sigmask(SIG_SETMASK, &program_mask, ret_before);
    else
        (void)pthread_sigmask(SIG_SETMASK, NULL, ret_before);
}

static void in_child(void)
{
    sigset_t before;
    if (is_known)
        weft_intercept_set(false);
    if (weft_thread_self())
        mask_set(&before);
}

static __attribute__((constructor)) void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

/* The attributes with which a thread of weft starts a child: `attr`, or `*own`. */
static const posix_spawnattr_t *with_mask(const posix_spawnattr_t *attr, posix_spawnattr_t *own)
{
    short flags = 0;
    if (!weft_thread_self() || !is_known || !weft_intercept_is_allowed())
        return attr;
    if (attr) {
        *own = *attr; /* glibc's has no pointers in it */
        (void)posix_spawnattr_getflags(attr, &flags);
    } else if (posix_spawnattr_init(own) != 0) {
        return attr;
    }
    if ((flags & POSIX_SPAWN_SETSIGMASK) != 0)
        return attr;
    (void)posix_spawnattr_setflags(own, (short)(flags | POSIX_SPAWN_SETSIGMASK));
    (void)posix_spawnattr_setsigmask(own, &program_mask);
    return own;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attr, char *const *argv, char *const *envp)
{
    posix_spawnattr_t own;
    return next_posix_spawn()(pid, path, actions, with_mask(attr, &own), argv, envp);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const *argv, char *const *envp)
{
    posix_spawnattr_t own;
    return next_posix_spawnp()(pid, file, actions, with_mask(attr, &own), argv, envp);
}

/* ---- the shell ------------------------------------------------------------------------------- */

struct shell {
    char *command, mode[8];
    FILE *file;
    int rc, error;
};

static void shell_system(void *arg)
{
    struct shell *shell = arg;
    sigset_t before;
    mask_set(&before);
    shell->rc = next_system()(shell->command);
    shell->error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void shell_popen(void *arg)
{
    struct shell *shell = arg;
    sigset_t before;
    mask_set(&before);
    shell->file = next_popen()(shell->command, shell->mode);
    shell->error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void shell_pclose(void *arg)
{
    struct shell *shell = arg;
    shell->rc = next_pclose()(shell->file);
    shell->error = errno;
}

/* 0, or -errno. */
static int shell_run(struct weft_task *self, const char *what, void (*fn)(void *arg),
                     const char *command, const char *mode, struct shell *ret_shell)
{
    struct shell *shell = malloc(sizeof *shell);
    if (!shell)
        return -ENOMEM;
    *shell = *ret_shell;
    shell->command = command ? strdup(command) : NULL;
    (void)snprintf(shell->mode, sizeof shell->mode, "%s", mode);
    int rc = command && !shell->command ? -ENOMEM : 0;
    if (rc == 0)
        rc = weft_call_pooled_long(self, what, fn, shell);
    free(shell->command);
    *ret_shell = *shell;
    free(shell);
    return rc;
}

int system(const char *command)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_system()(command);
    struct shell shell = { .rc = -1 };
    int rc = shell_run(self, "system", shell_system, command, "", &shell);
    if (rc == 0)
        rc = shell.rc == -1 ? -shell.error : shell.rc;
    return (int)weft_call_leave(self, rc);
}

FILE *popen(const char *command, const char *mode)
{
    struct weft_task *self = command && mode ? weft_call_enter() : NULL;
    if (!self)
        return next_popen()(command, mode);
    struct shell shell = { .file = NULL };
    int rc = shell_run(self, "popen", shell_popen, command, mode, &shell);
    if (rc == 0 && !shell.file)
        rc = -shell.error;
    (void)weft_call_leave(self, rc);
    return rc < 0 ? NULL : shell.file;
}

int pclose(FILE *file)
{
    struct weft_task *self = file ? weft_call_enter() : NULL;
    if (!self)
        return next_pclose()(file);
    struct shell shell = { .file = file, .rc = -1 };
    if (shell_run(self, "pclose", shell_pclose, NULL, "", &shell) < 0)
        shell_pclose(&shell); /* no memory: the file must be closed all the same */
    return (int)weft_call_leave(self, shell.rc == -1 ? -shell.error : shell.rc);
}

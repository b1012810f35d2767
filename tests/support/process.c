/* SPDX-License-Identifier: MIT
 *
 * Real programs for integration tests. One poll waits for both streams and, through a pidfd
 * (pidfd_open(2)), for the end.
 */
#include "support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

#define READ_BYTES 4096

static void child_run(const char *const *argv, const char *const *env, int in, int out, int err)
{
    /* Dies with the test program, also when that is killed. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bool is_ready = dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
                    dup2(err, STDERR_FILENO) >= 0;
    for (; is_ready && env && *env; env++) {
        char *copy = strdup(*env);
        is_ready = copy && putenv(copy) == 0;
    }
    char *const *exec_argv; /* execvp does not change it, but its type does not say so */
    memcpy(&exec_argv, &argv, sizeof exec_argv);
    if (is_ready)
        (void)execvp(argv[0], exec_argv);
    _exit(127);
}

void process_start(struct process *process, const char *const *argv, const char *const *env)
{
    int in[2], out[2], err[2];
    int rc = pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC);
    BERTH_ASSERT(rc == 0);
    pid_t pid = fork();
    BERTH_ASSERT(pid >= 0);
    if (pid == 0)
        child_run(argv, env, in[0], out[1], err[1]);
    berth_close(in[0]);
    berth_close(out[1]);
    berth_close(err[1]);

    *process = (struct process){ .pid = pid,
                                 .pid_fd = (int)syscall(SYS_pidfd_open, pid, 0),
                                 .in_fd = in[1],
                                 .out_fd = out[0],
                                 .err_fd = err[0] };
    BERTH_ASSERT(process->pid_fd >= 0);
    berth_buf_init(&process->out, PROCESS_OUTPUT_MAX);
    berth_buf_init(&process->err, PROCESS_OUTPUT_MAX);
}

static void close_one(int *fd)
{
    berth_close(berth_take_fd(fd));
}

void process_fini(struct process *process)
{
    process_kill(process, SIGKILL);
    if (!process->has_ended)
        (void)waitpid(process->pid, NULL, 0);
    close_one(&process->pid_fd);
    close_one(&process->in_fd);
    close_one(&process->out_fd);
    close_one(&process->err_fd);
    berth_buf_fini(&process->out);
    berth_buf_fini(&process->err);
}

void process_write(struct process *process, const char *text)
{
    size_t bytes = strlen(text);
    ssize_t written = write(process->in_fd, text, bytes);
    BERTH_ASSERT(written == (ssize_t)bytes);
}

void process_close_stdin(struct process *process)
{
    close_one(&process->in_fd);
}

/* One read; closes the descriptor at its end. */
static void collect(int *fd, struct berth_buf *buf)
{
    char bytes[READ_BYTES];
    ssize_t count = read(*fd, bytes, sizeof bytes);
    if (count > 0)
        (void)berth_buf_append(buf, bytes, (size_t)count);
    else if (count == 0 || errno != EINTR)
        close_one(fd);
}

static void reap(struct process *process)
{
    int status;
    pid_t pid = waitpid(process->pid, &status, WNOHANG);
    if (pid != process->pid)
        return;
    process->has_ended = true;
    process->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Waits for one thing to happen. False at the deadline, or when nothing can happen any more. */
static bool pump(struct process *process, int64_t deadline_ms)
{
    struct pollfd wanted[] = {
        { .fd = process->out_fd, .events = POLLIN },
        { .fd = process->err_fd, .events = POLLIN },
        { .fd = process->has_ended ? -1 : process->pid_fd, .events = POLLIN },
    };
    if (wanted[0].fd < 0 && wanted[1].fd < 0 && wanted[2].fd < 0)
        return false;
    int64_t left_ms = deadline_ms - berth_clock_monotonic_ms();
    int rc = poll(wanted, 3, left_ms > 0 ? (int)left_ms : 0);
    if (rc == 0)
        return false;
    if (wanted[0].revents)
        collect(&process->out_fd, &process->out);
    if (wanted[1].revents)
        collect(&process->err_fd, &process->err);
    if (wanted[2].revents)
        reap(process);
    return true;
}

bool process_await_text(struct process *process, const char *text, int64_t timeout_ms)
{
    int64_t deadline_ms = berth_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        if (strstr(process_out(process), text) || strstr(process_err(process), text))
            return true;
        if (!pump(process, deadline_ms))
            return false;
    }
}

int process_await_exit(struct process *process, int64_t timeout_ms)
{
    int64_t deadline_ms = berth_clock_monotonic_ms() + timeout_ms;
    while (!process->has_ended)
        if (!pump(process, deadline_ms))
            return PROCESS_TIMED_OUT;
    /* What is still in the pipes. A grandchild may hold them open: then only what is there now. */
    while (pump(process, 0)) {
    }
    return process->exit_code;
}

void process_kill(struct process *process, int signal)
{
    if (!process->has_ended)
        (void)kill(process->pid, signal);
}

const char *process_out(const struct process *process)
{
    return berth_buf_text(&process->out);
}

const char *process_err(const struct process *process)
{
    return berth_buf_text(&process->err);
}

int process_run(struct process *process, const char *const *argv, const char *const *env,
                const char *input, int64_t timeout_ms)
{
    process_start(process, argv, env);
    if (input)
        process_write(process, input);
    process_close_stdin(process);
    return process_await_exit(process, timeout_ms);
}

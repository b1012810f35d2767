/* SPDX-License-Identifier: MIT
 *
 * A process that somebody forks holds, until its exec, every descriptor that the exec thread has
 * open. Therefore descriptors are taken out of epoll by name before they are closed: otherwise
 * events of a run that is freed could still arrive.
 */
#include "worker/handlers/exec_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

#define EXIT_CODE_CANNOT_RUN 126
#define EXIT_CODE_SIGNAL     128

int exec_run_new(const struct exec_surroundings *surroundings, const struct exec_command *command,
                 struct exec_run **ret_run, struct berth_error *err)
{
    struct exec_run *run = calloc(1, sizeof *run);
    if (!run)
        return berth_fail(err, -ENOMEM, "prepare a command");
    run->attempt = command->attempt;
    run->is_new = true;
    for (int kind = 0; kind < EXEC_WATCH_COUNT; kind++)
        run->watches[kind] =
            (struct exec_watch){ .kind = (enum exec_watch_kind)kind, .fd = -1, .run = run };
    exec_output_init(&run->out);
    exec_output_init(&run->err);
    int rc = exec_plan_init(&run->plan, surroundings, command, err);
    if (rc < 0) {
        exec_plan_fini(&run->plan);
        free(run);
        return rc;
    }
    *ret_run = run;
    return 0;
}

static void watch_close(struct exec_host *host, struct exec_watch *watch)
{
    if (watch->fd < 0)
        return;
    (void)epoll_ctl(host->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    berth_close(berth_take_fd(&watch->fd));
}

void exec_run_free(struct exec_host *host, struct exec_run *run)
{
    for (int kind = 0; kind < EXEC_WATCH_COUNT; kind++)
        watch_close(host, &run->watches[kind]);
    exec_output_fini(&run->out);
    exec_output_fini(&run->err);
    exec_plan_fini(&run->plan);
    free(run);
}

/* ---- starting ---- */

static int watch_open(struct exec_host *host, struct exec_run *run, enum exec_watch_kind kind,
                      int *fd)
{
    struct exec_watch *watch = &run->watches[kind];
    struct epoll_event event = { .events = kind == EXEC_WATCH_IN ? EPOLLOUT : EPOLLIN,
                                 .data.ptr = watch };
    if (fcntl(*fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(host->epoll_fd, EPOLL_CTL_ADD, *fd, &event) < 0)
        return -errno;
    watch->fd = berth_take_fd(fd);
    return 0;
}

/* fds[ours] is watched; the other one is for the command or the shim. */
static int share(struct exec_host *host, struct exec_run *run, enum exec_watch_kind kind,
                 int fds[static 2], int ours, int *ret_theirs)
{
    int rc = watch_open(host, run, kind, &fds[ours]);
    if (rc < 0) {
        berth_close(fds[0]);
        berth_close(fds[1]);
        return rc;
    }
    *ret_theirs = fds[1 - ours];
    return 0;
}

static int open_pipe(struct exec_host *host, struct exec_run *run, enum exec_watch_kind kind,
                     int *ret_theirs)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    return share(host, run, kind, fds, kind == EXEC_WATCH_IN ? 1 : 0, ret_theirs);
}

static int open_channel(struct exec_host *host, struct exec_run *run, int *ret_theirs)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    return share(host, run, EXEC_WATCH_CHANNEL, fds, 0, ret_theirs);
}

int exec_run_start(struct exec_host *host, struct exec_run *run, struct berth_error *err)
{
    BERTH_AUTO_FD int in_fd = -1;
    BERTH_AUTO_FD int out_fd = -1;
    BERTH_AUTO_FD int err_fd = -1;
    BERTH_AUTO_FD int channel_fd = -1;
    /* Everything that can fail for want of room comes before the fork. */
    int rc = open_channel(host, run, &channel_fd);
    if (rc == 0)
        rc = open_pipe(host, run, EXEC_WATCH_OUT, &out_fd);
    if (rc == 0)
        rc = open_pipe(host, run, EXEC_WATCH_ERR, &err_fd);
    if (rc == 0 && run->plan.payload.bytes > 0)
        rc = open_pipe(host, run, EXEC_WATCH_IN, &in_fd);
    if (rc < 0)
        return berth_fail(err, rc, "run '%s': pipes", run->plan.argv[0]);

    struct shim_spec spec = { .in_fd = in_fd >= 0 ? in_fd : host->null_fd,
                              .out_fd = out_fd,
                              .err_fd = err_fd,
                              .channel_fd = channel_fd,
                              .work_dir = host->work_dir,
                              .paths = run->plan.paths,
                              .argv = run->plan.argv,
                              .envp = run->plan.envp,
                              .descriptor_max = host->descriptor_max };
    run->started_ns = berth_clock_monotonic_ns();
    rc = nursery_start(&host->nursery, &spec);
    return rc < 0 ? berth_fail(err, rc, "run '%s': shim", run->plan.argv[0]) : 0;
}

void exec_run_cancel(struct exec_run *run, int64_t grace_ms)
{
    int fd = run->watches[EXEC_WATCH_CHANNEL].fd;
    struct shim_cancel cancel = { .grace_ms = grace_ms };
    if (fd < 0)
        return; /* the shim is gone already */
    ssize_t bytes = send(fd, &cancel, sizeof cancel, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)bytes; /* the end of the channel is on its way */
}

/* ---- while it runs ---- */

static void write_payload(struct exec_host *host, struct exec_watch *watch)
{
    struct exec_run *run = watch->run;
    const struct berth_slice *payload = &run->plan.payload;
    const char *left = (const char *)payload->data + run->payload_written;
    ssize_t bytes = write(watch->fd, left, payload->bytes - run->payload_written);
    if (bytes < 0 && errno == EAGAIN)
        return;
    if (bytes > 0)
        run->payload_written += (size_t)bytes;
    /* All is written, or the command does not want the rest (EPIPE). */
    if (bytes <= 0 || run->payload_written == payload->bytes)
        watch_close(host, watch);
}

/* One piece, so that no command can keep the thread to itself. Returns its bytes; 0: none now. */
static size_t read_output(struct exec_host *host, struct exec_watch *watch)
{
    struct exec_run *run = watch->run;
    ssize_t bytes = read(watch->fd, host->scratch, sizeof host->scratch);
    if (bytes > 0) {
        (void)pthread_mutex_lock(&host->output_lock);
        exec_output_put(watch->kind == EXEC_WATCH_OUT ? &run->out : &run->err, host->scratch,
                        (size_t)bytes);
        (void)pthread_mutex_unlock(&host->output_lock);
        if (host->on_output)
            host->on_output(host->arg, run->attempt);
        return (size_t)bytes;
    }
    if (bytes == 0 || errno != EAGAIN)
        watch_close(host, watch);
    return 0;
}

static void take_report(struct exec_run *run, const struct shim_report *report)
{
    switch ((enum shim_report_kind)report->kind) {
    case SHIM_STARTED: run->group = report->value; break;
    case SHIM_NO_FORK:
    case SHIM_NO_DIR:
    case SHIM_NO_EXEC: run->trouble = *report; break;
    case SHIM_EXITED:
        run->has_exited = true;
        run->status = report->value;
        break;
    }
}

/* True: the end of the channel, and so of the shim. */
static bool read_channel(struct exec_host *host, struct exec_watch *watch)
{
    for (;;) {
        struct shim_report report;
        ssize_t bytes = recv(watch->fd, &report, sizeof report, MSG_DONTWAIT);
        if (bytes < 0 && errno == EAGAIN)
            return false;
        if (bytes != (ssize_t)sizeof report)
            break;
        take_report(watch->run, &report);
    }
    watch_close(host, watch);
    return true;
}

bool exec_run_handle(struct exec_host *host, struct exec_watch *watch)
{
    if (watch->fd < 0)
        return false; /* closed by an earlier event of the same batch */
    switch (watch->kind) {
    case EXEC_WATCH_CHANNEL: return read_channel(host, watch);
    case EXEC_WATCH_IN: write_payload(host, watch); return false;
    case EXEC_WATCH_OUT:
    case EXEC_WATCH_ERR: (void)read_output(host, watch); return false;
    case EXEC_WATCH_COUNT: break;
    }
    BERTH_UNREACHABLE();
}

/* ---- its end ---- */

bool exec_run_bury(struct exec_run *run)
{
    if (run->has_exited || run->group == 0)
        return true;
    /* The shim was killed, and the kernel ended the command with it. The nursery has ended what
     * else there was, unless it was killed, too: then what stayed in the group is for us to end,
     * and what did not is ended with this process, by the keeper. */
    return kill(-run->group, SIGKILL) < 0;
}

/* What is in the pipe now. Nothing of the attempt lives, so nothing is added to it; but its end may
 * have been passed to a stranger, so there is no waiting for EOF. */
static void drain_output(struct exec_host *host, struct exec_watch *watch)
{
    int left = 0;
    if (watch->fd < 0 || ioctl(watch->fd, FIONREAD, &left) < 0)
        return;
    while (left > 0 && watch->fd >= 0) {
        size_t bytes = read_output(host, watch);
        if (bytes == 0)
            return;
        left -= (int)bytes;
    }
}

static void set_exit(const struct exec_run *run, struct exec_end *end)
{
    if (!run->has_exited)
        end->signal = SIGKILL; /* the shim got it, and so the command */
    else if (WIFSIGNALED(run->status))
        end->signal = WTERMSIG(run->status);
    end->exit_code = end->signal ? EXIT_CODE_SIGNAL + end->signal : WEXITSTATUS(run->status);
}

static void set_not_started(struct exec_end *end)
{
    *end = (struct exec_end){ .is_started = false };
}

/* Why the command could not be run. */
static void set_trouble(const struct exec_host *host, const struct exec_run *run,
                        struct berth_error *memory, struct exec_end *end)
{
    int error = run->trouble.value;
    switch ((enum shim_report_kind)run->trouble.kind) {
    case SHIM_NO_FORK:
        set_not_started(end);
        (void)berth_fail(memory, -error, "run '%s': fork", run->plan.argv[0]);
        break;
    case SHIM_NO_DIR:
        end->exit_code = EXIT_CODE_CANNOT_RUN;
        (void)berth_fail(memory, -error, "enter the work dir '%s'", host->work_dir);
        break;
    case SHIM_NO_EXEC: (void)berth_fail(memory, -error, "run '%s'", run->plan.argv[0]); break;
    case SHIM_STARTED:
    case SHIM_EXITED: BERTH_UNREACHABLE();
    }
    end->error = memory->message;
}

void exec_run_end(struct exec_host *host, struct exec_run *run, const struct berth_error *refused,
                  struct berth_error *memory, struct exec_end *ret_end)
{
    if (refused) {
        *ret_end = (struct exec_end){ .error = refused->message };
        return;
    }
    drain_output(host, &run->watches[EXEC_WATCH_OUT]);
    drain_output(host, &run->watches[EXEC_WATCH_ERR]);
    *ret_end = (struct exec_end){
        .is_started = true,
        .run_us = (berth_clock_monotonic_ns() - run->started_ns) / 1000,
    };
    (void)pthread_mutex_lock(&host->output_lock);
    ret_end->out = exec_output_slice(&run->out, &ret_end->out_from);
    ret_end->err = exec_output_slice(&run->err, &ret_end->err_from);
    (void)pthread_mutex_unlock(&host->output_lock);
    ret_end->out_truncated = run->out.is_truncated;
    ret_end->err_truncated = run->err.is_truncated;
    set_exit(run, ret_end);
    if (run->trouble.kind) {
        set_trouble(host, run, memory, ret_end);
    } else if (run->group == 0) {
        set_not_started(ret_end);
        ret_end->error = "killed before it began";
    }
}

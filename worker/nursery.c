/* SPDX-License-Identifier: MIT
 *
 * One request at a time: the descriptors go as SCM_RIGHTS, the answer is an errno or 0.
 */
#include "worker/nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/limits.h"
#include "worker/reap.h"
#include "worker/shim_image.h"

#define SHIMS_MAX     BERTH_ATTEMPTS_MAX
#define BURY_EVERY_NS 10000000
#define SOCKET_FD     3

/* What a request passes, in this order. */
enum passed { PASSED_CHANNEL, PASSED_IN, PASSED_OUT, PASSED_ERR, PASSED_IMAGE, PASSED_COUNT };

union control { /* aligned as cmsg(3) wants it */
    char bytes[CMSG_SPACE(PASSED_COUNT * sizeof(int))];
    struct cmsghdr align;
};

_Noreturn static void nursery_run(int fd, pid_t parent);

/* ---- the exec thread's side ---- */

static pid_t fork_here(void)
{
#ifdef __SANITIZE_THREAD__
    return fork(); /* ThreadSanitizer keeps locks of its own, and frees them for the child here */
#else
    return _Fork();
#endif
}

int nursery_open(struct nursery *nursery)
{
    int fds[2];
    *nursery = (struct nursery){ .fd = -1 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    pid_t parent = getpid();
    pid_t pid = fork_here();
    if (pid == 0)
        nursery_run(fds[1], parent);
    int rc = pid < 0 ? -errno : 0;
    berth_close(fds[1]);
    if (rc < 0)
        berth_close(fds[0]);
    else
        *nursery = (struct nursery){ .fd = fds[0], .pid = pid };
    return rc;
}

void nursery_close(struct nursery *nursery)
{
    if (nursery->fd < 0)
        return;
    berth_close(berth_take_fd(&nursery->fd));
    (void)waitpid(nursery->pid, NULL, 0);
}

static int send_request(int fd, const int passed[static PASSED_COUNT])
{
    char byte = 0;
    struct iovec body = { .iov_base = &byte, .iov_len = 1 };
    union control control = { .bytes = { 0 } };
    struct msghdr message = { .msg_iov = &body,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(PASSED_COUNT * sizeof(int));
    memcpy(CMSG_DATA(head), passed, PASSED_COUNT * sizeof(int));
    return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* -EPIPE: there is no nursery; it has not got the request, and nobody will. */
static int ask(const struct nursery *nursery, const int passed[static PASSED_COUNT])
{
    if (nursery->fd < 0)
        return -EPIPE;
    int rc = send_request(nursery->fd, passed);
    if (rc == -ECONNRESET)
        return -EPIPE;
    if (rc < 0)
        return rc;
    int32_t error;
    /* If it dies over the request, only the channel knows how far it came. */
    ssize_t bytes = recv(nursery->fd, &error, sizeof error, 0);
    return bytes == (ssize_t)sizeof error ? -error : 0;
}

int nursery_start(struct nursery *nursery, const struct shim_spec *spec)
{
    BERTH_AUTO_FD int image_fd = shim_image_pack(spec);
    if (image_fd < 0)
        return image_fd;
    const int passed[PASSED_COUNT] = { [PASSED_CHANNEL] = spec->channel_fd,
                                       [PASSED_IN] = spec->in_fd,
                                       [PASSED_OUT] = spec->out_fd,
                                       [PASSED_ERR] = spec->err_fd,
                                       [PASSED_IMAGE] = image_fd };
    int rc = ask(nursery, passed);
    if (rc != -EPIPE)
        return rc;
    nursery_close(nursery);
    rc = nursery_open(nursery);
    return rc < 0 ? rc : ask(nursery, passed);
}

/* ---- the nursery ---- */

struct ward {
    pid_t shim;
    int channel_fd;
    bool is_lost; /* the shim is dead and did not say that all is */
};

struct process {
    pid_t pid;
    struct ward *wards; /* room for SHIMS_MAX; untouched memory costs nothing */
    size_t count, lost_count;
};

static void discharge(struct process *process, size_t index)
{
    berth_close(process->wards[index].channel_fd);
    process->wards[index] = process->wards[--process->count];
}

static bool is_shim(const void *arg, pid_t pid)
{
    const struct process *process = arg;
    for (size_t i = 0; i < process->count; i++)
        if (process->wards[i].shim == pid && !process->wards[i].is_lost)
            return true;
    return false;
}

static void note_end(struct process *process, pid_t pid, int status)
{
    for (size_t i = 0; i < process->count; i++) {
        struct ward *ward = &process->wards[i];
        if (ward->shim != pid || ward->is_lost)
            continue;
        if (WIFEXITED(status)) {
            discharge(process, i);
        } else {
            ward->is_lost = true;
            process->lost_count++;
        }
        return;
    }
}

static void reap_ready(struct process *process)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        note_end(process, pid, status);
}

/* Whose orphans these are cannot be told, but that all are dead when there are none. */
static void bury_lost(struct process *process)
{
    struct reap_spared shims = { .is_spared = is_shim, .arg = process };
    if (process->lost_count == 0 || reap_kill_children(&shims) > 0)
        return;
    for (size_t i = process->count; i > 0; i--)
        if (process->wards[i - 1].is_lost)
            discharge(process, i - 1);
    process->lost_count = 0;
}

/* How many came: fewer than were sent if there is no room for them. -1: the end of the worker. */
static int receive_request(int passed[static PASSED_COUNT])
{
    char byte;
    struct iovec body = { .iov_base = &byte, .iov_len = 1 };
    union control control;
    struct msghdr message = { .msg_iov = &body,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof control.bytes };
    if (recvmsg(SOCKET_FD, &message, MSG_CMSG_CLOEXEC) <= 0)
        return -1;
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t bytes = head->cmsg_len - CMSG_LEN(0);
    memcpy(passed, CMSG_DATA(head), bytes);
    return (int)(bytes / sizeof(int));
}

_Noreturn static void become_shim(const int passed[static PASSED_COUNT], pid_t parent)
{
    struct shim_spec spec = { .channel_fd = passed[PASSED_CHANNEL],
                              .in_fd = passed[PASSED_IN],
                              .out_fd = passed[PASSED_OUT],
                              .err_fd = passed[PASSED_ERR] };
    int rc = shim_image_unpack(passed[PASSED_IMAGE], &spec);
    if (rc == 0)
        shim_run(&spec, parent);
    shim_report(spec.channel_fd, SHIM_NO_FORK, -rc);
    _exit(EXIT_FAILURE);
}

/* An errno, or 0: then the channel is the ward's. */
static int admit(struct process *process, int passed[static PASSED_COUNT], int count)
{
    if (count < PASSED_COUNT)
        return EMFILE;
    if (process->count == SHIMS_MAX)
        return EAGAIN;
    pid_t pid = _Fork();
    if (pid == 0)
        become_shim(passed, process->pid);
    if (pid < 0)
        return errno;
    process->wards[process->count++] =
        (struct ward){ .shim = pid, .channel_fd = berth_take_fd(&passed[PASSED_CHANNEL]) };
    return 0;
}

static bool serve(struct process *process)
{
    int passed[PASSED_COUNT];
    int count = receive_request(passed);
    if (count < 0)
        return false;
    int32_t answer = admit(process, passed, count);
    for (int i = 0; i < count; i++)
        berth_close(passed[i]);
    return send(SOCKET_FD, &answer, sizeof answer, MSG_NOSIGNAL) >= 0;
}

/* The socket at its place, and no other descriptor of the worker's: an end of a pipe or of a
 * channel that stayed open here would never come to an end there. They may be anywhere, 0 to 2
 * included. */
static bool keep_only(int fd)
{
    if (dup2(fd, SOCKET_FD) < 0 || close_range(SOCKET_FD + 1, UINT_MAX, 0) < 0)
        return false;
    int null_fd = open("/dev/null", O_RDWR);
    for (int i = 0; i < SOCKET_FD; i++)
        if (null_fd < 0 || dup2(null_fd, i) < 0)
            return false;
    if (null_fd > SOCKET_FD)
        (void)close(null_fd);
    return true;
}

static void nursery_run(int fd, pid_t parent)
{
    struct process process = { .pid = getpid() };
    process.wards = mmap(NULL, SHIMS_MAX * sizeof *process.wards, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (process.wards == MAP_FAILED || shim_become(parent, "berth-nursery") < 0 || !keep_only(fd))
        _exit(EXIT_FAILURE);
    sigset_t all_but_children;
    (void)sigfillset(&all_but_children);
    (void)sigdelset(&all_but_children, SIGCHLD);
    for (;;) {
        reap_ready(&process);
        bury_lost(&process);
        struct pollfd socket = { .fd = SOCKET_FD, .events = POLLIN };
        const struct timespec tick = { .tv_nsec = BURY_EVERY_NS };
        if (ppoll(&socket, 1, process.lost_count > 0 ? &tick : NULL, &all_but_children) > 0)
            if (!serve(&process))
                _exit(EXIT_SUCCESS);
    }
}

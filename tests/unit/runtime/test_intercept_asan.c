/* SPDX-License-Identifier: MIT
 *
 * AddressSanitizer sees what an intercepted call does with the caller's memory: each call here goes
 * beyond the end of a buffer, and ends its process with a report. Only in builds with ASan.
 */
#include "wefttest.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names in reports take long to find. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "symbolize=0";
}

#define FEW    10  /* bytes that there is room for */
#define MANY   100 /* bytes that are moved */
#define OUTPUT 65536

enum place { ON_STACK, ON_HEAP, PLACE_COUNT };
enum sort { STREAM, PIPE, DISK, PROC, SORT_COUNT };

/* One call: on `fd`, from or to `bytes`. */
struct overrun {
    const char *name;
    ssize_t (*call)(int fd, void *bytes);
    bool is_out, is_seekable, is_socket;
    enum sort sort;
    enum place place;
};

static ssize_t do_read(int fd, void *bytes)
{
    return read(fd, bytes, MANY);
}

static ssize_t do_readv(int fd, void *bytes)
{
    return readv(fd, &(struct iovec){ .iov_base = bytes, .iov_len = MANY }, 1);
}

static ssize_t do_pread(int fd, void *bytes)
{
    return pread(fd, bytes, MANY, 0);
}

static ssize_t do_preadv(int fd, void *bytes)
{
    return preadv(fd, &(struct iovec){ .iov_base = bytes, .iov_len = MANY }, 1, 0);
}

static ssize_t do_recv(int fd, void *bytes)
{
    return recv(fd, bytes, MANY, 0);
}

static ssize_t do_recvfrom(int fd, void *bytes)
{
    struct sockaddr_storage from;
    return recvfrom(fd, bytes, MANY, 0, (struct sockaddr *)&from, &(socklen_t){ sizeof from });
}

static ssize_t do_recvmsg(int fd, void *bytes)
{
    struct iovec part = { .iov_base = bytes, .iov_len = MANY };
    return recvmsg(fd, &(struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 }, 0);
}

static ssize_t do_recvmmsg(int fd, void *bytes)
{
    struct iovec part = { .iov_base = bytes, .iov_len = MANY };
    struct mmsghdr one = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };
    return recvmmsg(fd, &one, 1, 0, NULL);
}

static ssize_t do_write(int fd, void *bytes)
{
    return write(fd, bytes, MANY);
}

static ssize_t do_writev(int fd, void *bytes)
{
    return writev(fd, &(struct iovec){ .iov_base = bytes, .iov_len = MANY }, 1);
}

static ssize_t do_pwrite(int fd, void *bytes)
{
    return pwrite(fd, bytes, MANY, 0);
}

static ssize_t do_pwritev(int fd, void *bytes)
{
    return pwritev(fd, &(struct iovec){ .iov_base = bytes, .iov_len = MANY }, 1, 0);
}

static ssize_t do_send(int fd, void *bytes)
{
    return send(fd, bytes, MANY, 0);
}

static ssize_t do_sendto(int fd, void *bytes)
{
    return sendto(fd, bytes, MANY, 0, NULL, 0);
}

static ssize_t do_sendmsg(int fd, void *bytes)
{
    struct iovec part = { .iov_base = bytes, .iov_len = MANY };
    return sendmsg(fd, &(struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 }, 0);
}

static const struct overrun overruns[] = {
    { .name = "read", .call = do_read },
    { .name = "readv", .call = do_readv },
    { .name = "pread", .call = do_pread, .is_seekable = true },
    { .name = "preadv", .call = do_preadv, .is_seekable = true },
    { .name = "recv", .call = do_recv, .is_socket = true },
    { .name = "recvfrom", .call = do_recvfrom, .is_socket = true },
    { .name = "recvmsg", .call = do_recvmsg, .is_socket = true },
    { .name = "recvmmsg", .call = do_recvmmsg, .is_socket = true },
    { .name = "write", .call = do_write, .is_out = true },
    { .name = "writev", .call = do_writev, .is_out = true },
    { .name = "pwrite", .call = do_pwrite, .is_out = true, .is_seekable = true },
    { .name = "pwritev", .call = do_pwritev, .is_out = true, .is_seekable = true },
    { .name = "send", .call = do_send, .is_out = true, .is_socket = true },
    { .name = "sendto", .call = do_sendto, .is_out = true, .is_socket = true },
    { .name = "sendmsg", .call = do_sendmsg, .is_out = true, .is_socket = true },
};

/* A descriptor of that sort, from which MANY bytes can be had, or that takes them. */
static int given_fd(enum sort sort, bool is_out)
{
    char bytes[MANY] = "";
    int fds[2] = { -1, -1 };
    switch (sort) {
    case STREAM: (void)socketpair(AF_UNIX, SOCK_STREAM, 0, fds); break;
    case PIPE: (void)pipe(fds); break;
    case DISK: fds[0] = fds[1] = memfd_create("weft-asan", MFD_CLOEXEC); break;
    case PROC: return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    case SORT_COUNT: break;
    }
    if (is_out)
        return fds[1];
    if (write(fds[1], bytes, sizeof bytes) != sizeof bytes)
        return -1;
    if (sort == DISK)
        (void)lseek(fds[0], 0, SEEK_SET);
    return fds[0];
}

static bool is_possible(const struct overrun *o)
{
    if (o->sort == PROC && o->is_out)
        return false;
    if (o->is_socket)
        return o->sort == STREAM;
    return !o->is_seekable || o->sort == DISK || o->sort == PROC;
}

static int overrun(void *arg)
{
    const struct overrun *o = arg;
    int fd = given_fd(o->sort, o->is_out);
    char few[FEW] = "", *place = o->place == ON_STACK ? few : calloc(1, FEW);
    if (fd < 0 || !place)
        return -EIO;
    ssize_t rc = o->call(fd, place);
    if (place != few)
        free(place);
    return rc < 0 ? -errno : 0;
}

/* Runs fn(arg) on virtual in a process of its own: what that said. */
static void output_of(weft_fn fn, void *arg, char *output)
{
    int ends[2], status = 0;
    size_t used = 0;
    ssize_t got;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        _exit(run_virtual(fn, arg) == 0 ? 0 : 99);
    }
    (void)close(ends[1]);
    while (used < OUTPUT - 1 && (got = read(ends[0], output + used, OUTPUT - 1 - used)) > 0)
        used += (size_t)got;
    output[used] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
        print_error("the call failed\n");
}

static void assert_reported(weft_fn fn, void *arg, const char *name, const char *what)
{
    static char output[OUTPUT];
    output_of(fn, arg, output);
    if (!strstr(output, what))
        print_error("%s: no %s in: %s\n", name, what, output);
    assert_non_null(strstr(output, what));
}

static void moving_bytes_beyond_a_buffer_is_reported(void **state)
{
    (void)state;
    const char *const whats[] = { "stack-buffer-overflow", "heap-buffer-overflow" };
    for (size_t i = 0; i < sizeof overruns / sizeof overruns[0]; i++) {
        for (int at = 0; at < SORT_COUNT * PLACE_COUNT; at++) {
            struct overrun o = overruns[i];
            o.sort = (enum sort)(at / PLACE_COUNT);
            o.place = (enum place)(at % PLACE_COUNT);
            char name[64];
            (void)snprintf(name, sizeof name, "%s, sort %d, place %d", o.name, (int)o.sort,
                           (int)o.place);
            if (is_possible(&o))
                assert_reported(overrun, &o, name, whats[o.place]);
        }
    }
}

/* What else calls write to. ------------------------------------------------------------------- */

/* Memory of whose size compilers know nothing. */
static void *room(size_t bytes)
{
    volatile size_t unknown = bytes;
    return calloc(1, unknown);
}

static int poll_too_many(void *arg)
{
    struct pollfd *fds = room(sizeof *fds);
    (void)arg;
    if (!fds)
        return -ENOMEM;
    fds->fd = -1;
    int rc = poll(fds, 2, 1);
    free(fds);
    return rc;
}

static int fetch_status_into_less(void *arg)
{
    int *status = room(1);
    (void)arg;
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    pid = waitpid(pid, status, 0);
    free(status);
    return pid < 0 ? -errno : 0;
}

static int accept_into_less(void *arg)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t bytes = sizeof address;
    void *less = room(FEW);
    (void)arg;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, bytes) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &bytes) < 0 ||
        connect(fd, (struct sockaddr *)&address, bytes) < 0)
        return -errno;
    int rc = accept(listener, less, &bytes);
    free(less);
    return rc < 0 ? -errno : 0;
}

static void what_is_filled_in_beyond_its_memory_is_reported(void **state)
{
    (void)state;
    const char what[] = "heap-buffer-overflow";
    assert_reported(poll_too_many, NULL, "poll", what);
    assert_reported(fetch_status_into_less, NULL, "waitpid", what);
    assert_reported(accept_into_less, NULL, "accept", what);
}

static int use_enough(void *arg)
{
    struct overrun o = *(struct overrun *)arg;
    char enough[MANY] = "";
    int fd = given_fd(o.sort, o.is_out);
    return o.call(fd, enough) < 0 ? -errno : 0;
}

static void a_buffer_that_is_large_enough_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof overruns / sizeof overruns[0]; i++) {
        for (int sort = 0; sort < SORT_COUNT; sort++) {
            struct overrun o = overruns[i];
            o.sort = (enum sort)sort;
            if (is_possible(&o))
                assert_int_equal(run_virtual(use_enough, &o), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(moving_bytes_beyond_a_buffer_is_reported),
        weft_unit_test(what_is_filled_in_beyond_its_memory_is_reported),
        weft_unit_test(a_buffer_that_is_large_enough_is_not),
    };
    return berth_test_main(tests, NULL, NULL);
}

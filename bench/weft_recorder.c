/* SPDX-License-Identifier: MIT
 *
 * What the recorder costs (r7): the same work with and without it, in turns, in one run.
 *
 * The work is a request of 64 bytes and its answer over TCP on loopback, by plain read and write on
 * weft_virtual(), both ends in this process: what a server does all day, with nothing to think
 * about in between. It takes six events. Beside it a bare yield, two events and nothing else: the
 * most that the recorder can cost in proportion. Both in CPU time, of which a neighbour takes less
 * than of the wall's.
 *
 * Each round is off, on, off again; its ratio is that of on to the mean of both sides, and the
 * ratio that is shown is the median of all rounds. That of off again to off, by the same way, says
 * what stays behind (off, a hook is a load and a branch), and how large the noise is.
 */
#include "weft_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS        31
#define PAIRS         20
#define REQUESTS      1000 /* of each pair */
#define REQUEST_BYTES 64
#define YIELDS        300000
#define RING_BYTES    0 /* the recorder's own default */

static int answer(void *arg)
{
    const int *fd = arg;
    char bytes[REQUEST_BYTES];
    for (ssize_t got; (got = read(*fd, bytes, sizeof bytes)) > 0;) {
        if (write(*fd, bytes, (size_t)got) != got)
            return -errno;
    }
    return close(*fd);
}

static int ask(void *arg)
{
    const int *fd = arg;
    char bytes[REQUEST_BYTES] = "";
    for (int i = 0; i < REQUESTS; i++) {
        if (write(*fd, bytes, sizeof bytes) < 0 || read(*fd, bytes, sizeof bytes) <= 0)
            return -errno;
    }
    return close(*fd);
}

static int close_fds(int rc, const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        (void)close(fds[i]);
    return rc;
}

/* Two connected ends. 0 or -errno. */
static int connect_pair(int *ret_ends)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t bytes = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fds[3] = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    if (fds[0] < 0)
        return -errno;
    if (bind(fds[0], (struct sockaddr *)&address, bytes) < 0 || listen(fds[0], 1) < 0 ||
        getsockname(fds[0], (struct sockaddr *)&address, &bytes) < 0)
        return close_fds(-errno, fds, 1);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fds[1] < 0)
        return close_fds(-errno, fds, 1);
    if (connect(fds[1], (struct sockaddr *)&address, bytes) < 0)
        return close_fds(-errno, fds, 2);
    fds[2] = accept4(fds[0], NULL, NULL, SOCK_CLOEXEC);
    if (fds[2] < 0)
        return close_fds(-errno, fds, 2);
    for (int i = 1; i < 3; i++)
        (void)setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    ret_ends[0] = fds[1];
    ret_ends[1] = fds[2];
    return close_fds(0, fds, 1);
}

static int requests(void *arg)
{
    int ends[PAIRS][2];
    struct weft_scope scope;
    (void)arg;
    weft_scope_open(&scope);
    int rc = 0;
    for (int i = 0; rc == 0 && i < PAIRS; i++) {
        rc = connect_pair(ends[i]);
        if (rc == 0)
            rc = weft_launch(&scope, weft_virtual(), answer, &ends[i][0]);
        if (rc == 0)
            rc = weft_launch(&scope, weft_virtual(), ask, &ends[i][1]);
    }
    return weft_scope_close(&scope, rc);
}

static int yield_often(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int i = 0; rc == 0 && i < YIELDS; i++)
        rc = weft_yield();
    return rc;
}

static int yields(void *arg)
{
    struct weft_scope scope;
    (void)arg;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, yield_often, NULL);
    weft_launch(&scope, NULL, yield_often, NULL);
    return weft_scope_close(&scope, 0);
}

struct work {
    const char *name;
    weft_fn fn;
    double count; /* of what it does */
};

/* CPU time of one round, in nanoseconds each; negative: what failed. */
static double round_ns(const struct work *work)
{
    int64_t before_ns = bench_cpu_ns();
    int rc = work->fn(NULL);
    return rc < 0 ? rc : (double)(bench_cpu_ns() - before_ns) / work->count;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare_doubles);
    return values[ROUNDS / 2];
}

/* off, on, off again. 0, or what failed. */
static int three_ns(const struct work *work, double ret_ns[static 3])
{
    ret_ns[0] = round_ns(work);
    int rc = weft_trace_start("/dev/null", RING_BYTES);
    if (rc < 0)
        return rc;
    ret_ns[1] = round_ns(work);
    rc = weft_trace_stop();
    ret_ns[2] = round_ns(work);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = ret_ns[i] < 0 ? (int)ret_ns[i] : 0;
    return rc;
}

static int compare(const struct work *work)
{
    double off[ROUNDS], on[ROUNDS], on_ratio[ROUNDS], again_ratio[ROUNDS];
    (void)round_ns(work); /* warms up */
    for (int i = 0; i < ROUNDS; i++) {
        double ns[3];
        int rc = three_ns(work, ns);
        if (rc < 0)
            return rc;
        off[i] = ns[0];
        on[i] = ns[1];
        on_ratio[i] = 2 * ns[1] / (ns[0] + ns[2]);
        again_ratio[i] = ns[2] / ns[0];
    }
    bench_line("R7_recorder", median(off), "ns CPU", "%s_off", work->name);
    bench_line("R7_recorder", median(on), "ns CPU", "%s_on", work->name);
    bench_line("R7_recorder", median(on_ratio), "x", "%s_on_ratio", work->name);
    bench_line("R7_recorder", median(again_ratio), "x", "%s_off_again_ratio", work->name);
    return 0;
}

static int recorder(void *arg)
{
    (void)arg;
    const struct work both[] = {
        { "request", requests, (double)PAIRS * REQUESTS },
        { "yield", yields, 2.0 * YIELDS },
    };
    int rc = compare(&both[0]);
    return rc < 0 ? rc : compare(&both[1]);
}

int bench_recorder(const struct bench_args *args)
{
    return bench_run(args->threads ? args->threads : 1, recorder, NULL);
}

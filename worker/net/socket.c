/* SPDX-License-Identifier: MIT */
/* The worker's DEALER socket; see socket.h. */
#include "worker/net/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <zmq.h>

#include "base/assert.h"
#include "proto/limits.h"

#define MONITOR_NAME_BYTES_MAX  32
#define MONITOR_FRAME_BYTES_MAX 256

struct worker_socket {
    const char *url;
    void *context, *dealer, *monitor;
    uint64_t opened_count; /* names the monitors apart */
    zmq_msg_t frame;       /* received last */
};

static int dealer_open(struct worker_socket *socket);
static void dealer_close(struct worker_socket *socket, int linger_ms);

/* The errno of a call into libzmq as a code of ours; its own numbers lie beyond all of the
 * system's. */
static int zmq_code(void)
{
    BERTH_ASSERT(errno > 0);
    return errno < ZMQ_HAUSNUMERO ? -errno : -EIO;
}

int worker_socket_open(const char *url, struct worker_socket **ret_socket, struct berth_error *err)
{
    struct worker_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return berth_fail(err, -ENOMEM, "connect to '%s'", url);
    socket->url = url;
    (void)zmq_msg_init(&socket->frame);
    socket->context = zmq_ctx_new();
    int rc = socket->context ? dealer_open(socket) : zmq_code();
    if (rc < 0) {
        worker_socket_close(socket, 0);
        return berth_fail(err, rc, "connect to '%s'", url);
    }
    *ret_socket = socket;
    return 0;
}

void worker_socket_close(struct worker_socket *socket, int linger_ms)
{
    if (!socket)
        return;
    dealer_close(socket, linger_ms);
    (void)zmq_msg_close(&socket->frame);
    if (socket->context) {
        while (zmq_ctx_term(socket->context) < 0 && errno == EINTR)
            ;
    }
    free(socket);
}

int worker_socket_reopen(struct worker_socket *socket, struct berth_error *err)
{
    dealer_close(socket, 0);
    int rc = dealer_open(socket);
    return rc < 0 ? berth_fail(err, rc, "connect to '%s' again", socket->url) : 0;
}

static int set_options(void *dealer)
{
    const struct {
        int option, value;
    } numbers[] = {
        { ZMQ_IMMEDIATE, 1 }, /* else frames queue for a connection that may never come */
        { ZMQ_LINGER, 0 },
        { ZMQ_RECONNECT_IVL, SOCKET_RECONNECT_MS },
        { ZMQ_RECONNECT_IVL_MAX, SOCKET_RECONNECT_MS_MAX },
        { ZMQ_HANDSHAKE_IVL, SOCKET_HANDSHAKE_MS },
        { ZMQ_IPV6, 1 },
        { ZMQ_TCP_KEEPALIVE, 1 },
        { ZMQ_TCP_KEEPALIVE_IDLE, SOCKET_TCP_KEEPALIVE_S },
        { ZMQ_TCP_KEEPALIVE_INTVL, SOCKET_TCP_KEEPALIVE_S },
        { ZMQ_TCP_MAXRT, SOCKET_TCP_GIVE_UP_MS },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (zmq_setsockopt(dealer, numbers[i].option, &numbers[i].value, sizeof(int)) < 0)
            return zmq_code();
    }
    int64_t frame_bytes_max = BERTH_FRAME_BYTES_MAX;
    if (zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max) < 0)
        return zmq_code();
    uint8_t identity[SOCKET_IDENTITY_BYTES];
    if (getrandom(identity, sizeof identity, 0) != (ssize_t)sizeof identity)
        return -errno;
    identity[0] |= 0x80; /* an identity may not begin with a 0 */
    return zmq_setsockopt(dealer, ZMQ_ROUTING_ID, identity, sizeof identity) < 0 ? zmq_code() : 0;
}

/* Word of handshakes comes through a socket of its own. */
static int monitor_open(struct worker_socket *socket)
{
    char name[MONITOR_NAME_BYTES_MAX];
    int bytes = snprintf(name, sizeof name, "inproc://link-%" PRIu64, ++socket->opened_count);
    BERTH_ASSERT(bytes > 0);
    BERTH_ASSERT((size_t)bytes < sizeof name);
    if (zmq_socket_monitor(socket->dealer, name, ZMQ_EVENT_HANDSHAKE_SUCCEEDED) < 0)
        return zmq_code();
    socket->monitor = zmq_socket(socket->context, ZMQ_PAIR);
    if (!socket->monitor)
        return zmq_code();
    int linger_ms = 0;
    (void)zmq_setsockopt(socket->monitor, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    return zmq_connect(socket->monitor, name) < 0 ? zmq_code() : 0;
}

static int dealer_open(struct worker_socket *socket)
{
    socket->dealer = zmq_socket(socket->context, ZMQ_DEALER);
    if (!socket->dealer)
        return zmq_code();
    int rc = set_options(socket->dealer);
    if (rc < 0)
        return rc;
    rc = monitor_open(socket);
    if (rc < 0)
        return rc;
    return zmq_connect(socket->dealer, socket->url) < 0 ? zmq_code() : 0;
}

static void dealer_close(struct worker_socket *socket, int linger_ms)
{
    if (socket->dealer) {
        (void)zmq_setsockopt(socket->dealer, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        (void)zmq_close(socket->dealer);
    }
    if (socket->monitor)
        (void)zmq_close(socket->monitor);
    socket->dealer = socket->monitor = NULL;
}

int worker_socket_wait(struct worker_socket *socket, int fd, int64_t timeout_ms)
{
    zmq_pollitem_t items[] = {
        { .socket = socket->dealer, .events = ZMQ_POLLIN },
        { .socket = socket->monitor, .events = ZMQ_POLLIN },
        { .fd = fd, .events = ZMQ_POLLIN },
    };
    long timeout = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (long)timeout_ms;
    if (zmq_poll(items, sizeof items / sizeof *items, timeout) < 0)
        return errno == EINTR ? 0 : zmq_code();
    return 0;
}

/* One event of two frames, of which only the coming matters: no other kind is asked for. */
static bool monitor_receive(void *monitor)
{
    char frame[MONITOR_FRAME_BYTES_MAX];
    if (zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT) < 0)
        return false;
    int has_more = 1;
    size_t bytes = sizeof has_more;
    while (zmq_getsockopt(monitor, ZMQ_RCVMORE, &has_more, &bytes) == 0 && has_more)
        (void)zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    return true;
}

bool worker_socket_connected(struct worker_socket *socket)
{
    bool is_new = false;
    while (monitor_receive(socket->monitor))
        is_new = true;
    return is_new;
}

int worker_socket_receive(struct worker_socket *socket, struct berth_slice *ret_frame)
{
    if (zmq_msg_recv(&socket->frame, socket->dealer, ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : zmq_code();
    *ret_frame = (struct berth_slice){ zmq_msg_data(&socket->frame), zmq_msg_size(&socket->frame) };
    return 1;
}

int worker_socket_send(struct worker_socket *socket, struct berth_slice frame)
{
    int rc;
    do
        rc = zmq_send(socket->dealer, frame.data, frame.bytes, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? zmq_code() : 0;
}

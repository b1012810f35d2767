/* SPDX-License-Identifier: MIT */
/* See dealer.h. Connecting and disconnecting are learned from the socket's monitor, whose events
 * come in their order but late; they only tell the request table when sending is of use. */
#include "client/dealer.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <zmq.h>

#include "base/cleanup.h"
#include "base/endpoint.h"

#define MONITOR_URL_MAX 32
#define URL_BYTES_MAX   384 /* more than an endpoint can have: host or path, scheme and port */

struct berth_dealer {
    void *context, *socket, *monitor; /* socket and monitor: both or none */
    int wake_fd;
    bool is_ipv6;
    uint64_t sockets_opened;
    zmq_msg_t received;
    char url[URL_BYTES_MAX];
};

static int socket_open(struct berth_dealer *dealer);
static void socket_close(struct berth_dealer *dealer);

int berth_dealer_open(const char *url, struct berth_dealer **ret_dealer, struct berth_error *err)
{
    struct berth_endpoint endpoint;
    int rc = berth_endpoint_parse("broker", url, &endpoint, err);
    if (rc < 0)
        return rc;
    struct berth_dealer *dealer = calloc(1, sizeof *dealer);
    if (!dealer)
        return berth_fail(err, -ENOMEM, "open '%s'", url);
    zmq_msg_init(&dealer->received);
    dealer->is_ipv6 = endpoint.kind == BERTH_ENDPOINT_TCP && strchr(endpoint.host, ':');
    (void)snprintf(dealer->url, sizeof dealer->url, "%s", url);
    dealer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    dealer->context = dealer->wake_fd >= 0 ? zmq_ctx_new() : NULL;
    rc = dealer->context ? socket_open(dealer) : -errno;
    if (rc < 0) {
        berth_dealer_close(dealer);
        return berth_fail(err, rc, "open '%s'", url);
    }
    *ret_dealer = dealer;
    return 0;
}

void berth_dealer_close(struct berth_dealer *dealer)
{
    if (!dealer)
        return;
    socket_close(dealer);
    zmq_msg_close(&dealer->received);
    if (dealer->context)
        zmq_ctx_term(dealer->context);
    berth_close(dealer->wake_fd);
    free(dealer);
}

int berth_dealer_reopen(struct berth_dealer *dealer)
{
    socket_close(dealer);
    return socket_open(dealer);
}

static void socket_close(struct berth_dealer *dealer)
{
    if (dealer->monitor)
        zmq_close(dealer->monitor);
    if (dealer->socket)
        zmq_close(dealer->socket);
    dealer->monitor = dealer->socket = NULL;
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0 ? 0 : -errno;
}

static int set_routing_id(void *socket)
{
    uint8_t id[DEALER_ROUTING_ID_BYTES];
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
        return -EIO;
    id[0] |= 0x80; /* a leading zero is reserved (zmq_setsockopt(3)) */
    return zmq_setsockopt(socket, ZMQ_ROUTING_ID, id, sizeof id) == 0 ? 0 : -errno;
}

static int set_options(const struct berth_dealer *dealer)
{
    const struct {
        int option, value;
    } options[] = {
        { ZMQ_IMMEDIATE, 1 },
        { ZMQ_LINGER, 0 },
        { ZMQ_RECONNECT_IVL, DEALER_RECONNECT_MS },
        { ZMQ_RECONNECT_IVL_MAX, DEALER_RECONNECT_MS_MAX },
        { ZMQ_TCP_KEEPALIVE, 1 },
        { ZMQ_TCP_KEEPALIVE_IDLE, DEALER_TCP_KEEPALIVE_S },
        { ZMQ_IPV6, dealer->is_ipv6 },
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int rc = set_int(dealer->socket, options[i].option, options[i].value);
        if (rc < 0)
            return rc;
    }
    int64_t frame_bytes_max = DEALER_FRAME_BYTES_MAX;
    if (zmq_setsockopt(dealer->socket, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max) !=
        0)
        return -errno;
    return set_routing_id(dealer->socket);
}

static int monitor_open(struct berth_dealer *dealer)
{
    char url[MONITOR_URL_MAX];
    (void)snprintf(url, sizeof url, "inproc://monitor-%" PRIu64, ++dealer->sockets_opened);
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(dealer->socket, url, events) != 0)
        return -errno;
    dealer->monitor = zmq_socket(dealer->context, ZMQ_PAIR);
    if (!dealer->monitor)
        return -errno;
    int rc = set_int(dealer->monitor, ZMQ_LINGER, 0);
    if (rc < 0)
        return rc;
    return zmq_connect(dealer->monitor, url) == 0 ? 0 : -errno;
}

static int socket_open(struct berth_dealer *dealer)
{
    dealer->socket = zmq_socket(dealer->context, ZMQ_DEALER);
    int rc = dealer->socket ? set_options(dealer) : -errno;
    if (rc == 0)
        rc = monitor_open(dealer);
    if (rc == 0 && zmq_connect(dealer->socket, dealer->url) != 0)
        rc = -errno;
    if (rc < 0)
        socket_close(dealer);
    return rc;
}

void berth_dealer_wait(struct berth_dealer *dealer, bool wants_send, int64_t timeout_ms)
{
    zmq_pollitem_t items[] = {
        { .fd = dealer->wake_fd, .events = ZMQ_POLLIN },
        { .socket = dealer->monitor, .events = ZMQ_POLLIN },
        { .socket = dealer->socket,
          .events = (short)(ZMQ_POLLIN | (wants_send ? ZMQ_POLLOUT : 0)) },
    };
    long wait_ms = timeout_ms > INT_MAX ? INT_MAX : timeout_ms < 0 ? 0 : (long)timeout_ms;
    /* An interrupted wait is one that returns early. */
    (void)zmq_poll(items, dealer->socket ? 3 : 1, wait_ms);
    uint64_t wakes;
    if (items[0].revents)
        (void)!read(dealer->wake_fd, &wakes, sizeof wakes);
}

void berth_dealer_wake(struct berth_dealer *dealer)
{
    (void)!write(dealer->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

enum berth_dealer_event berth_dealer_next_event(struct berth_dealer *dealer)
{
    if (!dealer->monitor)
        return DEALER_NOTHING;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    uint16_t event = 0;
    if (zmq_msg_recv(&frame, dealer->monitor, ZMQ_DONTWAIT) >= (int)sizeof event)
        memcpy(&event, zmq_msg_data(&frame), sizeof event);
    /* The second frame is the address. */
    while (zmq_msg_more(&frame) && zmq_msg_recv(&frame, dealer->monitor, ZMQ_DONTWAIT) >= 0) {
    }
    zmq_msg_close(&frame);
    if (event == 0)
        return DEALER_NOTHING;
    return event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? DEALER_CONNECTED : DEALER_DISCONNECTED;
}

int berth_dealer_receive(struct berth_dealer *dealer, struct berth_slice *ret_frame)
{
    if (!dealer->socket || zmq_msg_recv(&dealer->received, dealer->socket, ZMQ_DONTWAIT) < 0)
        return 0;
    /* What we are sent has one frame; the rest of something else means nothing. */
    zmq_msg_t rest;
    zmq_msg_init(&rest);
    for (bool has_more = zmq_msg_more(&dealer->received); has_more; has_more = zmq_msg_more(&rest))
        if (zmq_msg_recv(&rest, dealer->socket, ZMQ_DONTWAIT) < 0)
            break;
    zmq_msg_close(&rest);
    *ret_frame = (struct berth_slice){ .data = zmq_msg_data(&dealer->received),
                                       .bytes = zmq_msg_size(&dealer->received) };
    return 1;
}

int berth_dealer_send(struct berth_dealer *dealer, struct berth_slice frame)
{
    if (!dealer->socket)
        return -EAGAIN;
    return zmq_send(dealer->socket, frame.data, frame.bytes, ZMQ_DONTWAIT) >= 0 ? 0 : -errno;
}

/* SPDX-License-Identifier: MIT */
/* libzmq counts messages, not bytes. So that a peer that asks and does not read cannot make us hold
 * any number of bytes, a large frame is sent without copying from a piece of memory of ours that
 * libzmq gives back (from its own thread) when the frame has left; an account per peer adds up what
 * is still out. Small frames are bounded by their number.
 */
#include "net.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "base/assert.h"
#include "peers.h"

#define SMALL_FRAME_BYTES_MAX 4096

/* How many bytes are under way to one peer. Held by the peer and by each large frame. */
struct account {
    atomic_size_t bytes;
    atomic_uint refs;
};

struct parcel {
    struct account *account;
    size_t bytes;
    unsigned char data[];
};

struct berth_net {
    void *context, *router;
    struct berth_peers *peers;
    zmq_msg_t id, frame, extra; /* of the message that was received last */
    char endpoint[BERTH_NET_ENDPOINT_MAX];
};

static int set_options(void *router);
static void account_drop(void *account);
static int zmq_code(void);
static int take_rest(struct berth_net *net, size_t *ret_count);
static int make_frame(struct berth_net *net, uint64_t peer, struct berth_slice frame,
                      zmq_msg_t *ret_message);
static int send_to(struct berth_net *net, struct berth_slice routing_id, zmq_msg_t *message);

int berth_net_open(size_t peers_max, struct berth_net **ret_net, struct berth_error *err)
{
    struct berth_net *net = calloc(1, sizeof *net);
    if (!net)
        return berth_fail(err, -ENOMEM, "open the network");
    (void)zmq_msg_init(&net->id);
    (void)zmq_msg_init(&net->frame);
    (void)zmq_msg_init(&net->extra);
    net->peers = berth_peers_new(peers_max, account_drop);
    net->context = zmq_ctx_new();
    if (net->context)
        net->router = zmq_socket(net->context, ZMQ_ROUTER);
    if (!net->peers || !net->router || set_options(net->router) < 0) {
        int rc = net->peers ? zmq_code() : -ENOMEM;
        berth_net_close(net, 0);
        return berth_fail(err, rc, "open the network");
    }
    *ret_net = net;
    return 0;
}

void berth_net_close(struct berth_net *net, int linger_ms)
{
    if (!net)
        return;
    (void)zmq_msg_close(&net->id);
    (void)zmq_msg_close(&net->frame);
    (void)zmq_msg_close(&net->extra);
    if (net->router) {
        (void)zmq_setsockopt(net->router, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        (void)zmq_close(net->router);
    }
    if (net->context) {
        while (zmq_ctx_term(net->context) < 0 && errno == EINTR)
            ;
    }
    berth_peers_free(net->peers);
    free(net);
}

/* libzmq binds to addresses, not to names; of those only this one is nothing to look up. */
static const char *address_of(const char *url, char address[static BERTH_NET_ENDPOINT_MAX])
{
    static const char localhost[] = "tcp://localhost:";
    if (strncmp(url, localhost, strlen(localhost)) != 0)
        return url;
    (void)snprintf(address, BERTH_NET_ENDPOINT_MAX, "tcp://127.0.0.1:%s", url + strlen(localhost));
    return address;
}

int berth_net_bind(struct berth_net *net, const char *url, struct berth_error *err)
{
    char address[BERTH_NET_ENDPOINT_MAX];
    /* Not always: an IPv4 address would be shown as ::ffff:127.0.0.1. */
    int is_ipv6 = strncmp(url, "tcp://[", 7) == 0;
    (void)zmq_setsockopt(net->router, ZMQ_IPV6, &is_ipv6, sizeof is_ipv6);
    if (zmq_bind(net->router, address_of(url, address)) < 0) {
        int rc = zmq_code();
        if (rc == -ENODEV || rc == -EADDRNOTAVAIL)
            return berth_fail(err, -EADDRNOTAVAIL, "listen on '%s', no address of this machine",
                              url);
        return berth_fail(err, rc, "listen on '%s'", url);
    }
    size_t bytes = sizeof net->endpoint;
    if (zmq_getsockopt(net->router, ZMQ_LAST_ENDPOINT, net->endpoint, &bytes) < 0)
        (void)snprintf(net->endpoint, sizeof net->endpoint, "%s", url);
    return 0;
}

const char *berth_net_endpoint(const struct berth_net *net)
{
    return net->endpoint;
}

int berth_net_wait(struct berth_net *net, struct berth_watch *watches, size_t count,
                   int64_t timeout_ms)
{
    BERTH_ASSERT(count <= BERTH_NET_WATCHES_MAX);
    zmq_pollitem_t items[1 + BERTH_NET_WATCHES_MAX] = {
        { .socket = net->router, .events = ZMQ_POLLIN },
    };
    int used = 1;
    for (size_t i = 0; i < count; i++) {
        watches[i].is_readable = false;
        if (watches[i].fd >= 0)
            items[used++] = (zmq_pollitem_t){ .fd = watches[i].fd, .events = ZMQ_POLLIN };
    }

    long timeout = timeout_ms == INT64_MAX ? -1 : timeout_ms < 0 ? 0 : (long)timeout_ms;
    if (zmq_poll(items, used, timeout) < 0)
        return errno == EINTR ? 0 : zmq_code();

    int at = 1;
    for (size_t i = 0; i < count; i++) {
        if (watches[i].fd >= 0)
            watches[i].is_readable = items[at++].revents != 0;
    }
    return 0;
}

int berth_net_receive(struct berth_net *net, struct berth_incoming *ret_incoming)
{
    if (zmq_msg_recv(&net->id, net->router, ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : zmq_code();
    size_t frame_count = 0;
    int rc = take_rest(net, &frame_count);
    if (rc < 0)
        return rc;

    uint64_t peer;
    struct berth_slice routing_id = { .data = zmq_msg_data(&net->id),
                                      .bytes = zmq_msg_size(&net->id) };
    rc = berth_peers_hear(net->peers, routing_id, &peer);
    if (rc < 0)
        return rc;
    *ret_incoming = (struct berth_incoming){
        .peer = peer,
        .frame = { .data = zmq_msg_data(&net->frame), .bytes = zmq_msg_size(&net->frame) },
        .frame_count = frame_count,
    };
    return 1;
}

int berth_net_send(struct berth_net *net, uint64_t peer, struct berth_slice frame)
{
    struct berth_slice routing_id = berth_peers_routing_id(net->peers, peer);
    if (routing_id.bytes == 0)
        return -EHOSTUNREACH;

    zmq_msg_t message;
    int rc = make_frame(net, peer, frame, &message);
    if (rc < 0)
        return rc;
    rc = send_to(net, routing_id, &message);
    if (rc < 0)
        (void)zmq_msg_close(&message);
    if (rc == -EHOSTUNREACH)
        berth_peers_forget(net->peers, peer);
    return rc;
}

bool berth_net_next_gone(struct berth_net *net, uint64_t *ret_peer)
{
    return berth_peers_next_gone(net->peers, ret_peer);
}

static int set_options(void *router)
{
    const struct {
        int option, value;
    } numbers[] = {
        { ZMQ_ROUTER_MANDATORY, 1 }, /* else what cannot be sent is lost in silence */
        { ZMQ_ROUTER_HANDOVER, 0 },  /* nobody takes over another's routing id */
        { ZMQ_SNDHWM, BERTH_NET_SEND_FRAMES_MAX },
        { ZMQ_RCVHWM, BERTH_NET_RECEIVE_MAX },
        { ZMQ_LINGER, 0 },
        { ZMQ_HANDSHAKE_IVL, BERTH_NET_HANDSHAKE_MS },
        { ZMQ_TCP_KEEPALIVE, 1 },
        { ZMQ_TCP_KEEPALIVE_IDLE, BERTH_NET_TCP_KEEPALIVE_S },
        { ZMQ_TCP_KEEPALIVE_INTVL, BERTH_NET_TCP_KEEPALIVE_S },
        { ZMQ_TCP_MAXRT, BERTH_NET_TCP_GIVE_UP_MS },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (zmq_setsockopt(router, numbers[i].option, &numbers[i].value, sizeof(int)) < 0)
            return -1;
    }
    int64_t frame_bytes_max = BERTH_NET_FRAME_BYTES_MAX;
    return zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max);
}

/* The errno of a call into libzmq as a code of ours; its own numbers lie beyond all of the
 * system's. */
static int zmq_code(void)
{
    BERTH_ASSERT(errno > 0);
    return errno < ZMQ_HAUSNUMERO ? -errno : -EIO;
}

/* The frames behind the routing id: the first stays, the others are counted and dropped. */
static int take_rest(struct berth_net *net, size_t *ret_count)
{
    bool is_more = zmq_msg_more(&net->id);
    while (is_more) {
        zmq_msg_t *message = *ret_count == 0 ? &net->frame : &net->extra;
        /* A message arrives whole, so its parts are all here. */
        int rc;
        do
            rc = zmq_msg_recv(message, net->router, ZMQ_DONTWAIT);
        while (rc < 0 && errno == EINTR);
        if (rc < 0)
            return zmq_code();
        is_more = zmq_msg_more(message);
        ++*ret_count;
    }
    return 0;
}

static void account_drop(void *memory)
{
    struct account *account = memory;
    if (atomic_fetch_sub(&account->refs, 1) == 1)
        free(account);
}

/* Called by libzmq, on its own thread, when the frame has left or never will. */
static void parcel_done(void *data, void *hint)
{
    (void)data;
    struct parcel *parcel = hint;
    atomic_fetch_sub(&parcel->account->bytes, parcel->bytes);
    account_drop(parcel->account);
    free(parcel);
}

static struct account *account_of(struct berth_net *net, uint64_t peer)
{
    void **slot = berth_peers_slot(net->peers, peer);
    if (*slot)
        return *slot;
    struct account *account = calloc(1, sizeof *account);
    if (!account)
        return NULL;
    atomic_init(&account->bytes, 0);
    atomic_init(&account->refs, 1);
    *slot = account;
    return account;
}

static int make_large_frame(struct berth_net *net, uint64_t peer, struct berth_slice frame,
                            zmq_msg_t *ret_message)
{
    struct account *account = account_of(net, peer);
    if (!account)
        return -ENOMEM;
    if (atomic_load(&account->bytes) + frame.bytes > BERTH_NET_SEND_BYTES_MAX)
        return -EAGAIN;
    struct parcel *parcel = malloc(sizeof *parcel + frame.bytes);
    if (!parcel)
        return -ENOMEM;
    parcel->account = account;
    parcel->bytes = frame.bytes;
    memcpy(parcel->data, frame.data, frame.bytes);
    if (zmq_msg_init_data(ret_message, parcel->data, frame.bytes, parcel_done, parcel) < 0) {
        free(parcel);
        return -ENOMEM;
    }
    atomic_fetch_add(&account->refs, 1);
    atomic_fetch_add(&account->bytes, frame.bytes);
    return 0;
}

static int make_frame(struct berth_net *net, uint64_t peer, struct berth_slice frame,
                      zmq_msg_t *ret_message)
{
    if (frame.bytes > BERTH_NET_SEND_BYTES_MAX)
        return -EMSGSIZE;
    if (frame.bytes > SMALL_FRAME_BYTES_MAX)
        return make_large_frame(net, peer, frame, ret_message);
    if (zmq_msg_init_size(ret_message, frame.bytes) < 0)
        return -ENOMEM;
    if (frame.bytes > 0)
        memcpy(zmq_msg_data(ret_message), frame.data, frame.bytes);
    return 0;
}

/* The routing id decides whether the message can go; what follows it then always can. */
static int send_to(struct berth_net *net, struct berth_slice routing_id, zmq_msg_t *message)
{
    int rc;
    do
        rc = zmq_send(net->router, routing_id.data, routing_id.bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return zmq_code();
    do
        rc = zmq_msg_send(message, net->router, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? zmq_code() : 0;
}

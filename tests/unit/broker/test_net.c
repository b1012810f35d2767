/* SPDX-License-Identifier: MIT
 *
 * The ROUTER socket against real DEALER sockets, over ipc in a folder of the test's own.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "base/clock.h"
#include "broker/net/net.h"
#include "support/await.h"
#include "support/tempdir.h"

#define DEADLINE_MS 30000

struct fixture {
    char *dir, *url;
    struct berth_net *net;
    void *context;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = tempdir_new();
    assert_true(asprintf(&f->url, "ipc://%s/socket", f->dir) > 0);
    struct berth_error err;
    if (berth_net_open(64, &f->net, &err) < 0 || berth_net_bind(f->net, f->url, &err) < 0)
        fail_msg("%s", err.message);
    f->context = zmq_ctx_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    zmq_ctx_term(f->context);
    berth_net_close(f->net, 0);
    tempdir_free(f->dir);
    free(f->url);
    free(f);
    return 0;
}

static void *given_dealer(struct fixture *f, const char *routing_id)
{
    void *dealer = zmq_socket(f->context, ZMQ_DEALER);
    int linger = 0, timeout = DEADLINE_MS, one = 1;
    assert_int_equal(zmq_setsockopt(dealer, ZMQ_RCVHWM, &one, sizeof one), 0);
    assert_int_equal(zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_setsockopt(dealer, ZMQ_RCVTIMEO, &timeout, sizeof timeout), 0);
    if (routing_id)
        assert_int_equal(zmq_setsockopt(dealer, ZMQ_ROUTING_ID, routing_id, strlen(routing_id)), 0);
    assert_int_equal(zmq_connect(dealer, f->url), 0);
    return dealer;
}

/* Waits for the next message with a deadline. */
static struct berth_incoming await_message(struct fixture *f)
{
    int64_t until_ms = berth_clock_monotonic_ms() + DEADLINE_MS;
    struct berth_incoming incoming;
    while (berth_net_receive(f->net, &incoming) != 1) {
        assert_true(berth_clock_monotonic_ms() < until_ms);
        assert_int_equal(berth_net_wait(f->net, NULL, 0, 100), 0);
    }
    return incoming;
}

static struct berth_slice slice(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}

static void a_frame_is_answered_to_whom_it_came_from(void **state)
{
    struct fixture *f = *state;
    void *a = given_dealer(f, "a"), *b = given_dealer(f, NULL);
    assert_int_equal(zmq_send(a, "from a", 6, 0), 6);
    struct berth_incoming incoming = await_message(f);
    uint64_t peer_a = incoming.peer;
    assert_int_equal(incoming.frame_count, 1);
    assert_int_equal(incoming.frame.bytes, 6);
    assert_memory_equal(incoming.frame.data, "from a", 6);
    assert_int_equal(zmq_send(b, "from b", 6, 0), 6);
    uint64_t peer_b = await_message(f).peer;
    assert_true(peer_a != peer_b);

    assert_int_equal(berth_net_send(f->net, peer_b, slice("to b")), 0);
    assert_int_equal(berth_net_send(f->net, peer_a, slice("to a")), 0);

    char text[8];
    assert_int_equal(zmq_recv(a, text, sizeof text, 0), 4);
    assert_memory_equal(text, "to a", 4);
    assert_int_equal(zmq_recv(b, text, sizeof text, 0), 4);
    assert_memory_equal(text, "to b", 4);
    zmq_close(a);
    zmq_close(b);
}

static void a_message_of_several_frames_says_so_and_the_next_one_is_whole(void **state)
{
    struct fixture *f = *state;
    void *dealer = given_dealer(f, NULL);
    assert_int_equal(zmq_send(dealer, "one", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(dealer, "two", 3, ZMQ_SNDMORE), 3);
    assert_int_equal(zmq_send(dealer, "three", 5, 0), 5);
    assert_int_equal(zmq_send(dealer, "next", 4, 0), 4);

    struct berth_incoming incoming = await_message(f);
    assert_int_equal(incoming.frame_count, 3);
    assert_memory_equal(incoming.frame.data, "one", 3);
    incoming = await_message(f);
    assert_int_equal(incoming.frame_count, 1);
    assert_memory_equal(incoming.frame.data, "next", 4);
    zmq_close(dealer);
}

static void a_peer_that_left_is_unreachable_and_reported_once(void **state)
{
    struct fixture *f = *state;
    void *dealer = given_dealer(f, NULL);
    assert_int_equal(zmq_send(dealer, "x", 1, 0), 1);
    uint64_t peer = await_message(f).peer, gone = 0;
    zmq_close(dealer);

    int64_t until_ms = berth_clock_monotonic_ms() + DEADLINE_MS;
    int rc;
    while ((rc = berth_net_send(f->net, peer, slice("hello?"))) == 0) {
        assert_true(berth_clock_monotonic_ms() < until_ms);
        assert_int_equal(berth_net_wait(f->net, NULL, 0, 5), 0);
    }

    assert_int_equal(rc, -EHOSTUNREACH);
    assert_true(berth_net_next_gone(f->net, &gone));
    assert_true(gone == peer);
    assert_false(berth_net_next_gone(f->net, &gone));
    assert_int_equal(berth_net_send(f->net, peer, slice("x")), -EHOSTUNREACH);
    assert_false(berth_net_next_gone(f->net, &gone));
}

static void a_peer_that_does_not_read_has_a_bound_in_bytes(void **state)
{
    struct fixture *f = *state;
    void *dealer = given_dealer(f, NULL);
    assert_int_equal(zmq_send(dealer, "x", 1, 0), 1);
    uint64_t peer = await_message(f).peer;
    size_t frame_bytes = 8u << 20;
    BERTH_AUTO_MEM char *frame = calloc(1, frame_bytes);
    struct berth_slice slice_of_frame = { .data = frame, .bytes = frame_bytes };
    int sent = 0, rc = 0;
    while (sent < 65 && (rc = berth_net_send(f->net, peer, slice_of_frame)) == 0)
        sent++;

    assert_int_equal(rc, -EAGAIN);
    assert_in_range(sent, 8, 64);
    for (int i = 0; i < sent; i++)
        assert_int_equal(zmq_recv(dealer, frame, frame_bytes, 0), (int)frame_bytes);
    int64_t until_ms = berth_clock_monotonic_ms() + DEADLINE_MS;
    while ((rc = berth_net_send(f->net, peer, slice_of_frame)) == -EAGAIN)
        assert_true(berth_clock_monotonic_ms() < until_ms);
    assert_int_equal(rc, 0);
    zmq_close(dealer);
}

static void a_frame_too_large_for_anybody_is_refused(void **state)
{
    struct fixture *f = *state;
    void *dealer = given_dealer(f, NULL);
    assert_int_equal(zmq_send(dealer, "x", 1, 0), 1);
    uint64_t peer = await_message(f).peer;
    struct berth_slice frame = { .data = "", .bytes = BERTH_NET_SEND_BYTES_MAX + 1 };

    assert_int_equal(berth_net_send(f->net, peer, frame), -EMSGSIZE);
    zmq_close(dealer);
}

static void waiting_says_which_descriptor_is_readable(void **state)
{
    struct fixture *f = *state;
    int quiet[2], ready[2];
    assert_int_equal(pipe(quiet), 0);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(write(ready[1], "x", 1), 1);
    struct berth_watch watches[] = {
        { .fd = quiet[0], .is_readable = true },
        { .fd = -1, .is_readable = true },
        { .fd = ready[0] },
    };

    assert_int_equal(berth_net_wait(f->net, watches, 3, INT64_MAX), 0);

    assert_false(watches[0].is_readable);
    assert_false(watches[1].is_readable);
    assert_true(watches[2].is_readable);
    for (int i = 0; i < 2; i++) {
        berth_close(quiet[i]);
        berth_close(ready[i]);
    }
}

static void an_address_that_cannot_be_bound_is_named(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;

    int rc = berth_net_bind(f->net, "tcp://192.0.2.1:7411", &err);

    assert_int_equal(rc, -EADDRNOTAVAIL);
    assert_non_null(strstr(err.message, "listen on 'tcp://192.0.2.1:7411'"));
    assert_int_equal(berth_net_bind(f->net, "tcp://no-such-host.invalid:7411", &err),
                     -EADDRNOTAVAIL);
    assert_string_equal(berth_net_endpoint(f->net), f->url);
}

static void localhost_is_an_address(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    char url[64], wanted[64];
    unsigned port = free_port();
    (void)snprintf(url, sizeof url, "tcp://localhost:%u", port);
    (void)snprintf(wanted, sizeof wanted, "tcp://127.0.0.1:%u", port);

    if (berth_net_bind(f->net, url, &err) < 0)
        fail_msg("%s", err.message);

    assert_string_equal(berth_net_endpoint(f->net), wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frame_is_answered_to_whom_it_came_from, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_message_of_several_frames_says_so_and_the_next_one_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_left_is_unreachable_and_reported_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_does_not_read_has_a_bound_in_bytes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_frame_too_large_for_anybody_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_says_which_descriptor_is_readable, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_that_cannot_be_bound_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(localhost_is_an_address, setup, teardown),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The worker's socket: connections, identities, and what happens without either.
 */
#include "fake_broker.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include "base/clock.h"
#include "worker/net/socket.h"

#define AWAIT_MS FAKE_AWAIT_MS

struct fixture {
    struct fake_broker broker;
    struct worker_socket *socket;
};

static int socket_setup(void **state)
{
    static struct fixture fixture;
    fake_open(&fixture.broker);
    *state = &fixture;
    return worker_socket_open(fixture.broker.url, &fixture.socket, NULL);
}

static int socket_teardown(void **state)
{
    struct fixture *f = *state;
    worker_socket_close(f->socket, 0);
    fake_close(&f->broker);
    return 0;
}

static void await_connection(struct fixture *f)
{
    int64_t until_ms = berth_clock_monotonic_ms() + AWAIT_MS;
    while (!worker_socket_connected(f->socket)) {
        assert_true(berth_clock_monotonic_ms() < until_ms);
        assert_ok(worker_socket_wait(f->socket, -1, AWAIT_MS));
    }
}

/* Sends until there is room, as after a connection was announced there is soon. */
static void send_text(struct fixture *f, const char *text)
{
    int64_t until_ms = berth_clock_monotonic_ms() + AWAIT_MS;
    while (worker_socket_send(f->socket, (struct berth_slice){ text, strlen(text) }) == -EAGAIN)
        assert_true(berth_clock_monotonic_ms() < until_ms);
}

static void receive_text(struct fixture *f, const char *text)
{
    char bytes[64];
    zmq_pollitem_t item = { .socket = f->broker.router, .events = ZMQ_POLLIN };
    assert_int_equal(zmq_poll(&item, 1, AWAIT_MS), 1);
    int count = zmq_recv(f->broker.router, f->broker.peer, sizeof f->broker.peer, 0);
    assert_true(count > 0);
    f->broker.peer_bytes = (size_t)count;
    count = zmq_recv(f->broker.router, bytes, sizeof bytes, 0);
    assert_int_equal(count, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void frames_go_both_ways(void **state)
{
    struct fixture *f = *state;
    struct berth_slice frame;
    await_connection(f);

    send_text(f, "question");
    receive_text(f, "question");
    assert_int_equal(f->broker.peer_bytes, SOCKET_IDENTITY_BYTES);
    fake_say_bytes(&f->broker, "answer", 6);
    assert_ok(worker_socket_wait(f->socket, -1, AWAIT_MS));

    assert_int_equal(worker_socket_receive(f->socket, &frame), 1);
    assert_int_equal(frame.bytes, 6);
    assert_memory_equal(frame.data, "answer", 6);
    assert_int_equal(worker_socket_receive(f->socket, &frame), 0);
    assert_false(worker_socket_connected(f->socket));
}

static void without_a_connection_nothing_is_queued(void **state)
{
    struct fixture *f = *state;
    struct worker_socket *socket;
    assert_ok(worker_socket_open("tcp://127.0.0.1:9", &socket, NULL));

    int rc = worker_socket_send(socket, (struct berth_slice){ "x", 1 });

    worker_socket_close(socket, 0);
    assert_int_equal(rc, -EAGAIN);
    (void)f;
}

static void a_reopened_socket_has_another_identity(void **state)
{
    struct fixture *f = *state;
    uint8_t first[SOCKET_IDENTITY_BYTES];
    await_connection(f);
    send_text(f, "one");
    receive_text(f, "one");
    memcpy(first, f->broker.peer, sizeof first);

    assert_ok(worker_socket_reopen(f->socket, NULL));
    await_connection(f);
    send_text(f, "two");
    receive_text(f, "two");

    assert_int_equal(f->broker.peer_bytes, sizeof first);
    assert_memory_not_equal(f->broker.peer, first, sizeof first);
}

static void a_broker_that_comes_back_is_a_new_connection(void **state)
{
    struct fixture *f = *state;
    await_connection(f);

    fake_restart(&f->broker);
    await_connection(f);

    send_text(f, "again");
    receive_text(f, "again");
}

static void another_descriptor_wakes_the_wait(void **state)
{
    struct fixture *f = *state;
    await_connection(f);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);

    assert_ok(worker_socket_wait(f->socket, fds[0], -1));

    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void a_bad_address_is_refused_and_named(void **state)
{
    struct worker_socket *socket;
    struct berth_error err;
    (void)state;

    assert_true(worker_socket_open("tcp://no port", &socket, &err) < 0);

    assert_non_null(strstr(err.message, "tcp://no port"));
}

int main(void)
{
#define SOCKET_TEST(fact) cmocka_unit_test_setup_teardown(fact, socket_setup, socket_teardown)
    const struct CMUnitTest tests[] = {
        SOCKET_TEST(frames_go_both_ways),
        SOCKET_TEST(without_a_connection_nothing_is_queued),
        SOCKET_TEST(a_reopened_socket_has_another_identity),
        SOCKET_TEST(a_broker_that_comes_back_is_a_new_connection),
        SOCKET_TEST(another_descriptor_wakes_the_wait),
        SOCKET_TEST(a_bad_address_is_refused_and_named),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "intercepttest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

ssize_t __recv_chk(int fd, void *bytes, size_t count, size_t room, int flags);

enum way { RECV, RECV_CHK, RECVFROM, RECVMSG, RECVMMSG, WAY_COUNT };

struct talk {
    struct crowd crowd;
    enum way way;
    int fds[2];
    atomic_int good;
};

static ssize_t take(enum way way, int fd, void *bytes, size_t count)
{
    struct iovec parts[2] = { { .iov_base = bytes, .iov_len = 2 },
                              { .iov_base = (char *)bytes + 2, .iov_len = count - 2 } };
    struct mmsghdr msg = { .msg_hdr = { .msg_iov = parts, .msg_iovlen = 2 } };
    struct sockaddr_storage from;
    socklen_t from_bytes = sizeof from;
    switch (way) {
    case RECV: return recv(fd, bytes, count, 0);
    case RECV_CHK: return __recv_chk(fd, bytes, count, count, 0);
    case RECVFROM: return recvfrom(fd, bytes, count, 0, (struct sockaddr *)&from, &from_bytes);
    case RECVMSG: return recvmsg(fd, &msg.msg_hdr, 0);
    case RECVMMSG: return recvmmsg(fd, &msg, 1, 0, NULL) == 1 ? (ssize_t)msg.msg_len : -1;
    case WAY_COUNT: break;
    }
    return -1;
}

static ssize_t give(enum way way, int fd, const char *text, size_t count)
{
    char copy[16];
    memcpy(copy, text, count);
    struct iovec part = { .iov_base = copy, .iov_len = count };
    struct mmsghdr msg = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };
    switch (way) {
    case RECV:
    case RECV_CHK: return send(fd, text, count, 0);
    case RECVFROM: return sendto(fd, text, count, 0, NULL, 0);
    case RECVMSG: return sendmsg(fd, &msg.msg_hdr, 0);
    case RECVMMSG: return sendmmsg(fd, &msg, 1, 0) == 1 ? (ssize_t)count : -1;
    case WAY_COUNT: break;
    }
    return -1;
}

static int listen_up(void *arg)
{
    struct talk *talk = arg;
    char bytes[8];
    talk->crowd.inside++;
    errno = ERANGE;
    if (take(talk->way, talk->fds[0], bytes, sizeof bytes) == 8 && errno == ERANGE &&
        memcmp(bytes, "12345678", 8) == 0)
        talk->good++;
    return 0;
}

static int speak(void *arg)
{
    struct talk *talk = arg;
    for (int i = 0; i < CROWD; i++) {
        if (give(talk->way, talk->fds[1], "12345678", 8) != 8)
            return -EIO;
    }
    return 0;
}

static void receivers_wait_together_for_one_sender(void **state)
{
    (void)state;
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    for (size_t i = 0; i < 3; i++) {
        for (enum way way = RECV; way < WAY_COUNT; way++) {
            struct talk talk = { .way = way };
            assert_int_equal(socketpair(AF_UNIX, types[i], 0, talk.fds), 0);
            talk.crowd = (struct crowd){
                .wait = listen_up,
                .release = speak,
                .arg = &talk,
                .count = CROWD,
            };

            assert_int_equal(crowd_run(&talk.crowd), 0);

            assert_int_equal(talk.good, CROWD);
            (void)close(talk.fds[0]);
            (void)close(talk.fds[1]);
        }
    }
}

static int udp(void *arg)
{
    struct talk *talk = arg;
    char bytes[16];
    struct sockaddr_in from = { 0 };
    socklen_t from_bytes = sizeof from;
    talk->crowd.inside++;
    ssize_t got =
        recvfrom(talk->fds[0], bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_bytes);
    struct sockaddr_in sender;
    socklen_t sender_bytes = sizeof sender;
    (void)getsockname(talk->fds[1], (struct sockaddr *)&sender, &sender_bytes);
    if (got == 3 && from_bytes == sizeof from && from.sin_port == sender.sin_port)
        talk->good++;
    return 0;
}

static int udp_speak(void *arg)
{
    struct talk *talk = arg;
    struct sockaddr_in to;
    socklen_t to_bytes = sizeof to;
    (void)getsockname(talk->fds[0], (struct sockaddr *)&to, &to_bytes);
    for (int i = 0; i < CROWD; i++) {
        if (sendto(talk->fds[1], "udp", 3, 0, (struct sockaddr *)&to, to_bytes) != 3)
            return -EIO;
    }
    return 0;
}

static struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static void a_datagram_tells_who_sent_it(void **state)
{
    (void)state;
    struct talk talk = { .way = RECV };
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in address = loopback();
        talk.fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(talk.fds[i], (struct sockaddr *)&address, sizeof address), 0);
    }
    talk.crowd = (struct crowd){ .wait = udp, .release = udp_speak, .arg = &talk, .count = CROWD };

    assert_int_equal(crowd_run(&talk.crowd), 0);

    assert_int_equal(talk.good, CROWD);
    (void)close(talk.fds[0]);
    (void)close(talk.fds[1]);
}

struct whole {
    int fds[2];
    ssize_t got, peeked;
    char bytes[12];
    int passed_fd;
    atomic_bool is_peeked;
};

static int take_whole(void *arg)
{
    struct whole *w = arg;
    w->peeked = recv(w->fds[0], w->bytes, sizeof w->bytes, MSG_PEEK);
    w->is_peeked = true;
    w->got = recv(w->fds[0], w->bytes, sizeof w->bytes, MSG_WAITALL);
    return 0;
}

static int give_pieces(void *arg)
{
    struct whole *w = arg;
    if (send(w->fds[1], "four", 4, 0) != 4 || !test_await(&w->is_peeked))
        return -EIO;
    (void)weft_sleep_ms(2);
    if (send(w->fds[1], "and ", 4, 0) != 4)
        return -EIO;
    (void)weft_sleep_ms(2);
    return send(w->fds[1], "more", 4, 0) == 4 ? 0 : -EIO;
}

static int two(weft_fn one, weft_fn other, void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, one, arg);
    weft_launch(&scope, NULL, other, arg);
    return weft_scope_close(&scope, 0);
}

static int whole(void *arg)
{
    return two(take_whole, give_pieces, arg);
}

static void waitall_waits_for_all_and_peek_takes_nothing(void **state)
{
    (void)state;
    struct whole w = { .got = -1 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w.fds), 0);

    assert_int_equal(run_virtual(whole, &w), 0);

    assert_int_equal(w.peeked, 4);
    assert_int_equal(w.got, 12);
    assert_memory_equal(w.bytes, "fourand more", 12);
    (void)close(w.fds[0]);
    (void)close(w.fds[1]);
}

static int take_passed(void *arg)
{
    struct whole *w = arg;
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    struct iovec part = { .iov_base = w->bytes, .iov_len = sizeof w->bytes };
    struct msghdr msg = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    w->got = recvmsg(w->fds[0], &msg, 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (w->got == 1 && c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&w->passed_fd, CMSG_DATA(c), sizeof w->passed_fd);
    return 0;
}

static int give_passed(void *arg)
{
    struct whole *w = arg;
    (void)weft_sleep_ms(2);
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = "";
    char byte = 'b';
    struct iovec part = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr msg = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &w->fds[1], sizeof(int));
    return sendmsg(w->fds[1], &msg, 0) == 1 ? 0 : -errno;
}

static int pass(void *arg)
{
    return two(take_passed, give_passed, arg);
}

static void ancillary_data_arrives(void **state)
{
    (void)state;
    struct whole w = { .passed_fd = -1 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, w.fds), 0);

    assert_int_equal(run_virtual(pass, &w), 0);

    assert_true(w.passed_fd >= 0);
    (void)close(w.passed_fd);
    (void)close(w.fds[0]);
    (void)close(w.fds[1]);
}

/* connect and accept --------------------------------------------------------------------------- */

struct server {
    struct crowd crowd;
    int listener, family;
    struct sockaddr_storage address;
    socklen_t address_bytes;
    atomic_int served, met;
};

static void server_open(struct server *server, int family, int backlog)
{
    server->family = family;
    server->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listener >= 0);
    struct sockaddr_in in = loopback();
    struct sockaddr_un un = { .sun_family = AF_UNIX }; /* the kernel chooses a name */
    if (family == AF_INET)
        memcpy(&server->address, &in, sizeof in);
    else
        memcpy(&server->address, &un, sizeof un);
    server->address_bytes = family == AF_INET ? sizeof in : sizeof(sa_family_t);
    struct sockaddr *address = (struct sockaddr *)&server->address;
    assert_int_equal(bind(server->listener, address, server->address_bytes), 0);
    assert_int_equal(listen(server->listener, backlog), 0);
    server->address_bytes = sizeof server->address;
    assert_int_equal(getsockname(server->listener, address, &server->address_bytes), 0);
}

static int call(const struct server *server)
{
    int fd = socket(server->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&server->address, server->address_bytes) == 0)
        return fd;
    int rc = -errno;
    (void)close(fd);
    return rc;
}

static int serve_one(void *arg)
{
    struct server *server = arg;
    bool is_even = ++server->crowd.inside % 2 == 0;
    struct sockaddr_storage from = { 0 };
    socklen_t from_bytes = sizeof from;
    struct sockaddr *to = (struct sockaddr *)&from;
    int fd = is_even ? accept(server->listener, to, &from_bytes)
                     : accept4(server->listener, to, &from_bytes, SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    char byte;
    if (from.ss_family == server->family && read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
        server->served++;
    return close(fd);
}

static int call_all(void *arg)
{
    struct server *server = arg;
    for (int i = 0; i < CROWD; i++) {
        int fd = call(server);
        char byte = 'x';
        if (fd < 0 || write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
            return -EIO;
        server->met++;
        (void)close(fd);
    }
    return 0;
}

static void accepters_wait_together_and_each_gets_a_connection(void **state)
{
    (void)state;
    static const int families[] = { AF_INET, AF_UNIX };
    for (int i = 0; i < 4; i++) {
        struct server server = { .family = 0 };
        server_open(&server, families[i % 2], 128);
        int shared = i >= 2 ? dup(server.listener) : -1; /* by another number, too */
        server.crowd = (struct crowd){
            .wait = serve_one,
            .release = call_all,
            .arg = &server,
            .count = CROWD,
        };

        assert_int_equal(crowd_run(&server.crowd), 0);

        assert_int_equal(server.served, CROWD);
        assert_int_equal(server.met, CROWD);
        (void)close(server.listener);
        if (shared >= 0)
            (void)close(shared);
    }
}

/* The listener's queue is full: nobody gets through before somebody accepts. TCP then sends its
 * first packet again after a second. */
static int call_one(void *arg)
{
    struct server *server = arg;
    server->crowd.inside++;
    int fd = call(server);
    if (fd < 0)
        return fd;
    server->met++;
    return close(fd);
}

static int accept_all(void *arg)
{
    struct server *server = arg;
    if (listen(server->listener, 128) < 0) /* now there is room */
        return -errno;
    for (int i = 0; i < CROWD; i++) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return -errno;
        server->served++;
        (void)close(fd);
    }
    return 0;
}

static void who_connects_keeps_no_thread_of_virtual(void **state)
{
    (void)state;
    static const int families[] = { AF_INET, AF_UNIX };
    for (int i = 0; i < 2; i++) {
        struct server server = { .family = 0 };
        server_open(&server, families[i], 0);
        server.crowd = (struct crowd){
            .wait = call_one,
            .release = accept_all,
            .arg = &server,
            .count = CROWD,
        };

        assert_int_equal(crowd_run(&server.crowd), 0);

        assert_int_equal(server.met, CROWD);
        assert_int_equal(server.served, CROWD);
        (void)close(server.listener);
    }
}

struct attempt {
    struct server server;
    int fd, rc, error, held[8];
    bool is_connect;
    atomic_bool is_inside;
};

static int attempt(void *arg)
{
    struct attempt *a = arg;
    a->is_inside = true;
    a->rc = a->is_connect
                ? connect(a->fd, (struct sockaddr *)&a->server.address, a->server.address_bytes)
                : accept(a->server.listener, NULL, NULL);
    a->error = errno;
    return 0;
}

static int attempt_and_cancel(void *arg)
{
    struct attempt *a = arg;
    return cancel_inside(attempt, a, &a->is_inside, 20);
}

/* Connections that nobody accepts, until no more get through. */
static void fill(struct attempt *a)
{
    for (int i = 0; i < 8; i++) {
        a->held[i] = socket(a->server.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(a->held[i], (struct sockaddr *)&a->server.address, a->server.address_bytes);
    }
}

static void attempt_close(struct attempt *a)
{
    for (int i = 0; i < 8; i++) {
        if (a->held[i] > 0)
            (void)close(a->held[i]);
    }
    (void)close(a->fd);
    (void)close(a->server.listener);
}

static void connect_and_accept_end_when_cancelled(void **state)
{
    (void)state;
    static const int families[] = { AF_INET, AF_UNIX };
    for (int i = 0; i < 4; i++) {
        struct attempt a = { .is_connect = i < 2 };
        server_open(&a.server, families[i % 2], 0);
        a.fd = socket(a.server.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (a.is_connect)
            fill(&a);

        assert_int_equal(run_virtual(attempt_and_cancel, &a), 0);

        assert_int_equal(a.rc, -1);
        assert_int_equal(a.error, ECANCELED);
        attempt_close(&a);
    }
}

static void connect_keeps_the_time_out_and_the_flags_of_its_owner(void **state)
{
    (void)state;
    struct attempt a = { .is_connect = true };
    server_open(&a.server, AF_INET, 0);
    fill(&a);
    a.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval timeout = { .tv_usec = 40000 }, after = { 0 };
    socklen_t bytes = sizeof after;
    assert_int_equal(setsockopt(a.fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout), 0);

    assert_int_equal(run_virtual(attempt, &a), 0);

    assert_int_equal(a.rc, -1);
    assert_int_equal(a.error, EINPROGRESS);
    assert_int_equal(getsockopt(a.fd, SOL_SOCKET, SO_SNDTIMEO, &after, &bytes), 0);
    assert_int_equal(after.tv_usec, timeout.tv_usec);
    assert_int_equal(fcntl(a.fd, F_GETFL) & O_NONBLOCK, 0);
    attempt_close(&a);
}

#define OUTCOME_COUNT 8

static int odd_calls(void *arg)
{
    int *outcome = arg;
    struct sockaddr_in nobody = loopback();
    int i = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0),
        quiet = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int end = open("/dev/null", O_RDWR | O_CLOEXEC);
    char byte;
    if (bind(quiet, (struct sockaddr *)&nobody, sizeof nobody) < 0 || listen(quiet, 1) < 0)
        return -errno;
    nobody.sin_port = htons(1);
    outcome[i++] = connect(fd, (struct sockaddr *)&nobody, sizeof nobody) < 0 ? errno : 0;
    outcome[i++] = connect(-1, (struct sockaddr *)&nobody, sizeof nobody) < 0 ? errno : 0;
    outcome[i++] = connect(end, (struct sockaddr *)&nobody, sizeof nobody) < 0 ? errno : 0;
    outcome[i++] = accept(quiet, NULL, NULL) < 0 ? errno : 0;
    outcome[i++] = accept(-1, NULL, NULL) < 0 ? errno : 0;
    outcome[i++] = accept(fd, NULL, NULL) < 0 ? errno : 0;
    outcome[i++] = recv(end, &byte, 1, 0) < 0 ? errno : 0;
    outcome[i++] = recv(fd, &byte, 1, 0) < 0 ? errno : 0;
    (void)close(fd);
    (void)close(quiet);
    (void)close(end);
    return i;
}

static void what_cannot_wait_fails_as_on_a_plain_thread(void **state)
{
    (void)state;
    int plain[OUTCOME_COUNT], parked[OUTCOME_COUNT] = { 0 };
    assert_int_equal(odd_calls(plain), OUTCOME_COUNT);

    assert_int_equal(run_virtual(odd_calls, parked), OUTCOME_COUNT);

    for (int i = 0; i < OUTCOME_COUNT; i++)
        assert_int_equal(plain[i], parked[i]);
    assert_int_equal(parked[0], ECONNREFUSED);
    assert_int_equal(parked[3], EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(receivers_wait_together_for_one_sender),
        parking_unit_test(a_datagram_tells_who_sent_it),
        parking_unit_test(waitall_waits_for_all_and_peek_takes_nothing),
        parking_unit_test(ancillary_data_arrives),
        parking_unit_test(accepters_wait_together_and_each_gets_a_connection),
        /* To this machine the first tick of connect() is not pooled, and may be compensated. */
        weft_unit_test(who_connects_keeps_no_thread_of_virtual),
        weft_unit_test(connect_and_accept_end_when_cancelled),
        weft_unit_test(connect_keeps_the_time_out_and_the_flags_of_its_owner),
        parking_unit_test(what_cannot_wait_fails_as_on_a_plain_thread),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "intercepttest.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);

enum way { POLL, POLL_CHK, PPOLL, SELECT, PSELECT, EPOLL, EPOLL_P, EPOLL_P2, WAY_COUNT };

#define ENDS_MAX 3

/* Some descriptors, of which the last becomes ready. */
struct watch {
    struct crowd crowd;
    struct nappers nappers;
    int nap_ms;
    enum way way;
    int fds[ENDS_MAX], far[ENDS_MAX], count;
    atomic_int good;
};

static int by_poll(enum way way, const struct watch *w, int timeout_ms)
{
    struct pollfd fds[ENDS_MAX + 1] = { { .fd = -1, .events = POLLIN, .revents = 77 } };
    nfds_t count = (nfds_t)w->count + 1;
    struct timespec time = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };
    for (int i = 0; i < w->count; i++)
        fds[i + 1] = (struct pollfd){ .fd = w->fds[i], .events = POLLIN };
    const struct timespec *limit = timeout_ms < 0 ? NULL : &time;
    int rc = way == POLL       ? poll(fds, count, timeout_ms)
             : way == POLL_CHK ? __poll_chk(fds, count, timeout_ms, sizeof fds)
                               : ppoll(fds, count, limit, NULL);
    if (fds[0].revents != 0 || (rc == 1) != ((fds[w->count].revents & POLLIN) != 0))
        return -100;
    return rc;
}

static int by_select(enum way way, const struct watch *w, int timeout_ms)
{
    fd_set in;
    FD_ZERO(&in);
    int end = 0;
    for (int i = 0; i < w->count; i++) {
        FD_SET(w->fds[i], &in);
        end = w->fds[i] >= end ? w->fds[i] + 1 : end;
    }
    struct timespec time = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };
    struct timeval left = { .tv_sec = time.tv_sec, .tv_usec = time.tv_nsec / 1000 };
    int rc;
    if (way == SELECT)
        rc = select(end, &in, NULL, NULL, timeout_ms < 0 ? NULL : &left);
    else
        rc = pselect(end, &in, NULL, NULL, timeout_ms < 0 ? NULL : &time, NULL);
    if (way == SELECT && rc == 0 && (left.tv_sec != 0 || left.tv_usec != 0))
        return -101;
    for (int i = 0; i < w->count; i++) {
        if (rc >= 0 && !FD_ISSET(w->fds[i], &in) != !(rc == 1 && i == w->count - 1))
            return -102;
    }
    return rc;
}

static int by_epoll(enum way way, const struct watch *w, int timeout_ms)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < w->count; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = w->fds[i] };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, w->fds[i], &event) < 0)
            return -103;
    }
    struct epoll_event events[4];
    struct timespec time = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };
    int rc = way == EPOLL     ? epoll_wait(epoll, events, 4, timeout_ms)
             : way == EPOLL_P ? epoll_pwait(epoll, events, 4, timeout_ms, NULL)
                              : epoll_pwait2(epoll, events, 4, timeout_ms < 0 ? NULL : &time, NULL);
    int saved_errno = errno;
    (void)close(epoll);
    errno = saved_errno;
    return rc == 1 && events[0].data.fd != w->fds[w->count - 1] ? -104 : rc;
}

static int look(enum way way, const struct watch *w, int timeout_ms)
{
    switch (way) {
    case POLL:
    case POLL_CHK:
    case PPOLL: return by_poll(way, w, timeout_ms);
    case SELECT:
    case PSELECT: return by_select(way, w, timeout_ms);
    case EPOLL:
    case EPOLL_P:
    case EPOLL_P2: return by_epoll(way, w, timeout_ms);
    case WAY_COUNT: break;
    }
    return -105;
}

static void watch_open(struct watch *w, int count)
{
    w->count = count;
    for (int i = 0; i < count; i++) {
        int ends[2];
        assert_int_equal(i % 2 ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        w->fds[i] = ends[0];
        w->far[i] = ends[1];
    }
}

static void watch_close(struct watch *w)
{
    for (int i = 0; i < w->count; i++) {
        (void)close(w->fds[i]);
        (void)close(w->far[i]);
    }
}

static int watcher(void *arg)
{
    struct watch *w = arg;
    w->crowd.inside++;
    errno = ERANGE;
    if (look(w->way, w, w->crowd.count % 2 ? -1 : TEST_WAIT_MS) == 1 && errno == ERANGE)
        w->good++;
    return 0;
}

static int touch_last(void *arg)
{
    const struct watch *w = arg;
    return write(w->far[w->count - 1], "x", 1) == 1 ? 0 : -errno;
}

static void watchers_wait_together_for_one_of_several(void **state)
{
    (void)state;
    for (enum way way = POLL; way < WAY_COUNT; way++) {
        for (int i = 0; i < 4; i++) {
            struct watch w = { .way = way };
            watch_open(&w, i % 2 ? ENDS_MAX : 1);
            w.crowd = (struct crowd){
                .wait = watcher,
                .release = touch_last,
                .arg = &w,
                .count = CROWD + i / 2, /* with a time-out, and without */
            };

            assert_int_equal(crowd_run(&w.crowd), 0);

            assert_int_equal(w.good, w.crowd.count);
            watch_close(&w);
        }
    }
}

#define NAP_MS 30

static int time_out(void *arg)
{
    struct watch *w = arg;
    int64_t before_ns = weft_now_ns();
    napper_enter(&w->nappers);
    int rc = look(w->way, w, w->nap_ms);
    napper_leave(&w->nappers);
    if (rc == 0 && weft_now_ns() - before_ns >= w->nap_ms * 1000000LL)
        w->good++;
    return 0;
}

static void time_outs_pass_together(void **state)
{
    (void)state;
    for (enum way way = POLL; way < WAY_COUNT; way++) {
        for (int count = 0; count <= ENDS_MAX; count++) {
            /* With none at all it is a way to sleep. */
            struct watch w = { .way = way, .nappers = { .count = 10 * CROWD } };
            watch_open(&w, count);
            w.crowd = (struct crowd){ .wait = time_out, .arg = &w, .count = w.nappers.count };
            for (int64_t ms = NAP_MS; ms > 0; ms = longer_nap(&w.nappers, ms)) {
                w.nap_ms = (int)ms;
                w.good = 0;
                assert_int_equal(crowd_run(&w.crowd), 0);
                assert_int_equal(w.good, w.nappers.count);
            }

            assert_true(w.nappers.were_together);
            watch_close(&w);
        }
    }
}

struct stop {
    struct watch watch;
    int rc, error;
    atomic_bool is_inside;
};

static int watch_for_ever(void *arg)
{
    struct stop *stop = arg;
    stop->is_inside = true;
    stop->rc = look(stop->watch.way, &stop->watch, -1);
    stop->error = errno;
    return 0;
}

static int watch_and_cancel(void *arg)
{
    struct stop *stop = arg;
    return cancel_inside(watch_for_ever, stop, &stop->is_inside, 5);
}

static void watching_ends_when_cancelled(void **state)
{
    (void)state;
    for (enum way way = POLL; way < WAY_COUNT; way++) {
        for (int count = 0; count <= ENDS_MAX; count++) {
            struct stop stop = { .watch = { .way = way } };
            watch_open(&stop.watch, count);

            assert_int_equal(run_virtual(watch_and_cancel, &stop), 0);

            assert_int_equal(stop.rc, -1);
            assert_int_equal(stop.error, ECANCELED);
            watch_close(&stop.watch);
        }
    }
}

#define OUTCOME_COUNT 10

static int odd_calls(void *arg)
{
    int *outcome = arg;
    int ends[2], i = 0;
    if (pipe(ends) < 0)
        return -errno;
    struct pollfd fds[3] = { { .fd = ends[0], .events = POLLIN },
                             { .fd = ends[0], .events = POLLOUT },
                             { .fd = 1000000, .events = POLLIN } };
    outcome[i++] = poll(fds, 3, 1000); /* the last is none: reported at once */
    outcome[i++] = fds[2].revents;
    struct timespec bad = { .tv_nsec = -1 };
    outcome[i++] = ppoll(fds, 1, &bad, NULL) < 0 ? errno : 0;
    outcome[i++] = select(-1, NULL, NULL, NULL, NULL) < 0 ? errno : 0;
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    struct timeval left = { .tv_sec = 100 };
    outcome[i++] = select(ends[0] > ends[1] ? ends[0] + 1 : ends[1] + 1, &in, &out, NULL, &left);
    outcome[i++] = (FD_ISSET(ends[0], &in) ? 1 : 0) + (FD_ISSET(ends[1], &out) ? 2 : 0);
    outcome[i++] = left.tv_sec >= 98;
    struct epoll_event event;
    outcome[i++] = epoll_wait(ends[0], &event, 1, 1000) < 0 ? errno : 0;
    (void)close(ends[1]);
    outcome[i++] = poll(fds, 2, 1000); /* twice the same descriptor */
    outcome[i++] = fds[0].revents + fds[1].revents * 256;
    (void)close(ends[0]);
    return i;
}

static void what_need_not_wait_is_as_on_a_plain_thread(void **state)
{
    (void)state;
    int plain[OUTCOME_COUNT], parked[OUTCOME_COUNT] = { 0 };
    assert_int_equal(odd_calls(plain), OUTCOME_COUNT);

    assert_int_equal(run_virtual(odd_calls, parked), OUTCOME_COUNT);

    for (int i = 0; i < OUTCOME_COUNT; i++)
        assert_int_equal(plain[i], parked[i]);
    assert_int_equal(parked[5], 2);
}

static int watch_twice(void *arg)
{
    struct watch *w = arg;
    struct pollfd fds[2] = { { .fd = w->fds[0], .events = POLLPRI },
                             { .fd = w->fds[0], .events = POLLIN } };
    w->crowd.inside++;
    if (poll(fds, 2, TEST_WAIT_MS) == 1 && fds[0].revents == 0 && fds[1].revents == POLLIN)
        w->good++;
    return 0;
}

static void a_descriptor_may_be_there_twice(void **state)
{
    (void)state;
    struct watch w = { .way = POLL };
    watch_open(&w, 1);
    w.crowd =
        (struct crowd){ .wait = watch_twice, .release = touch_last, .arg = &w, .count = CROWD };

    assert_int_equal(crowd_run(&w.crowd), 0);

    assert_int_equal(w.good, CROWD);
    watch_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(watchers_wait_together_for_one_of_several),
        parking_unit_test(time_outs_pass_together),
        parking_unit_test(watching_ends_when_cancelled),
        parking_unit_test(what_need_not_wait_is_as_on_a_plain_thread),
        parking_unit_test(a_descriptor_may_be_there_twice),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "support/await.h"

#include "sys.h"

#define NS_PER_MS ((int64_t)1000000)

static void an_event_adds_up_and_is_emptied_by_one_read(void **state)
{
    (void)state;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(fd >= 0);
    for (int i = 0; i < 3; i++)
        weft_sys_event_write(fd);
    assert_true(await_readable(fd, 0));
    weft_sys_event_read(fd);
    assert_false(await_readable(fd, 0));
    weft_sys_event_read(fd); /* of an empty one: it does not wait */

    assert_int_equal(weft_sys_close(fd), 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(weft_sys_close(fd), -1);
}

static void writing_a_full_event_does_not_wait(void **state)
{
    (void)state;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const uint64_t most = UINT64_MAX - 1;
    assert_int_equal(write(fd, &most, sizeof most), sizeof most);
    weft_sys_event_write(fd);
    uint64_t value = 0;
    assert_int_equal(read(fd, &value, sizeof value), sizeof value);
    assert_true(value == most);
    assert_int_equal(weft_sys_close(fd), 0);
}

struct epoll_fixture {
    int epoll_fd, event_fd;
};

static void given_epoll(struct epoll_fixture *f)
{
    f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 };
    assert_int_equal(epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, f->event_fd, &event), 0);
}

static void close_epoll(struct epoll_fixture *f)
{
    assert_int_equal(weft_sys_close(f->event_fd), 0);
    assert_int_equal(weft_sys_close(f->epoll_fd), 0);
}

static void a_sleep_lasts_until_its_deadline_and_not_less(void **state)
{
    (void)state;
    struct epoll_fixture f;
    struct epoll_event events[4];
    given_epoll(&f);
    const int64_t lasting_ns[] = { 10000, NS_PER_MS / 2, 3 * NS_PER_MS };
    for (size_t i = 0; i < sizeof lasting_ns / sizeof lasting_ns[0]; i++) {
        int64_t until_ns = weft_now_ns() + lasting_ns[i];
        assert_int_equal(weft_sys_epoll_wait(f.epoll_fd, events, 4, until_ns), 0);
        assert_true(weft_now_ns() >= until_ns);
    }
    close_epoll(&f);
}

static void neither_zero_nor_what_has_passed_waits(void **state)
{
    (void)state;
    struct epoll_fixture f;
    struct epoll_event events[4];
    given_epoll(&f);
    assert_int_equal(weft_sys_epoll_wait(f.epoll_fd, events, 4, 0), 0);
    assert_int_equal(weft_sys_epoll_wait(f.epoll_fd, events, 4, 1), 0);
    assert_int_equal(weft_sys_epoll_wait(f.epoll_fd, events, 4, weft_now_ns() - 1), 0);

    weft_sys_event_write(f.event_fd);
    assert_int_equal(weft_sys_epoll_wait(f.epoll_fd, events, 4, 0), 1);
    assert_int_equal(events[0].data.u64, 7);
    assert_int_equal(weft_sys_epoll_wait(f.epoll_fd, events, 4, WEFT_NEVER), 1);
    close_epoll(&f);
}

struct sleeper {
    struct epoll_fixture epoll;
    atomic_bool has_returned;
    int count;
};

static void *sleep_in_epoll(void *arg)
{
    struct sleeper *sleeper = arg;
    struct epoll_event events[4];
    sleeper->count = weft_sys_epoll_wait(sleeper->epoll.epoll_fd, events, 4, WEFT_NEVER);
    sleeper->has_returned = true;
    return NULL;
}

static void interrupt(int signal_number)
{
    (void)signal_number;
}

static void one_that_a_signal_interrupts_returns_nothing(void **state)
{
    (void)state;
    struct sleeper sleeper = { .count = -1 };
    given_epoll(&sleeper.epoll);
    struct sigaction action = { .sa_handler = interrupt }, before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_epoll, &sleeper), 0);

    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    while (!sleeper.has_returned && weft_now_ns() < deadline_ns)
        (void)pthread_kill(thread, SIGUSR1); /* it may not sleep yet */

    assert_true(sleeper.has_returned);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sleeper.count, 0);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    close_epoll(&sleeper.epoll);
}

enum { WAITERS = 3 };

struct futex {
    atomic_uint word;
    atomic_int returned;
};

static void *wait_at_futex(void *arg)
{
    struct futex *futex = arg;
    while (futex->word == 0)
        weft_sys_futex_wait(&futex->word, 0);
    futex->returned++;
    return NULL;
}

static void a_futex_wakes_all_who_wait_there(void **state)
{
    (void)state;
    struct futex futex = { .word = 0 };
    pthread_t threads[WAITERS];
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_at_futex, &futex), 0);
    weft_sys_futex_wake(&futex.word); /* without cause: they look again */

    futex.word = 1;
    weft_sys_futex_wake(&futex.word);

    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(futex.returned, WAITERS);
    weft_sys_futex_wait(&futex.word, 0); /* the word is another: it does not wait */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_adds_up_and_is_emptied_by_one_read),
        cmocka_unit_test(writing_a_full_event_does_not_wait),
        cmocka_unit_test(a_sleep_lasts_until_its_deadline_and_not_less),
        cmocka_unit_test(neither_zero_nor_what_has_passed_waits),
        cmocka_unit_test(one_that_a_signal_interrupts_returns_nothing),
        cmocka_unit_test(a_futex_wakes_all_who_wait_there),
    };
    return berth_test_main(tests, NULL, NULL);
}

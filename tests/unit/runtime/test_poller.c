/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "poller.h"

#define ROUNDS (TEST_IS_SLOW ? 5000 : 50000)

static void a_kick_ends_the_next_sleep_and_no_other(void **state)
{
    (void)state;
    struct weft_poller poller;
    assert_int_equal(weft_poller_init(&poller), 0);
    for (int i = 0; i < 3; i++)
        weft_poller_kick(&poller);

    int64_t until_ns = weft_deadline_ms(TEST_WAIT_MS);
    weft_poller_wait(&poller, until_ns);
    assert_true(weft_now_ns() < until_ns);

    until_ns = weft_now_ns() + 1000000;
    weft_poller_wait(&poller, until_ns); /* the three were one */
    assert_true(weft_now_ns() >= until_ns);
    weft_poller_wait(&poller, 0);
    weft_poller_fini(&poller);
}

/* Kickers bring one thing each before they kick; the sleeper goes to sleep whenever it sees nothing
 * new. Nothing but a kick can wake it. */
struct storm {
    struct weft_poller poller;
    atomic_int brought;
    int seen;
    atomic_bool is_on_time;
};

enum { KICKERS = 3 };

static void *kick_often(void *arg)
{
    struct storm *storm = arg;
    for (int i = 0; i < ROUNDS; i++) {
        storm->brought++;
        weft_poller_kick(&storm->poller);
        if (i % 16 == 0) /* let it fall asleep */
            (void)sched_yield();
    }
    return NULL;
}

static void *sleep_often(void *arg)
{
    struct storm *storm = arg;
    storm->is_on_time = true;
    while (storm->seen < KICKERS * ROUNDS && storm->is_on_time) {
        int brought = storm->brought;
        int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
        if (brought == storm->seen) {
            weft_poller_wait(&storm->poller, deadline_ns);
            storm->is_on_time = weft_now_ns() < deadline_ns;
        }
        storm->seen = brought;
    }
    return NULL;
}

static void no_kick_is_lost(void **state)
{
    (void)state;
    struct storm storm = { .seen = 0 };
    assert_int_equal(weft_poller_init(&storm.poller), 0);
    pthread_t kickers[KICKERS], sleeper;
    assert_int_equal(pthread_create(&sleeper, NULL, sleep_often, &storm), 0);
    for (int i = 0; i < KICKERS; i++)
        assert_int_equal(pthread_create(&kickers[i], NULL, kick_often, &storm), 0);

    for (int i = 0; i < KICKERS; i++)
        assert_int_equal(pthread_join(kickers[i], NULL), 0);
    assert_int_equal(pthread_join(sleeper, NULL), 0);

    assert_true(storm.is_on_time);
    assert_int_equal(storm.seen, KICKERS * ROUNDS);
    weft_poller_fini(&storm.poller);
}

static void without_descriptors_it_says_so_and_leaves_none(void **state)
{
    (void)state;
    struct weft_poller poller;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = fcntl(STDERR_FILENO, F_DUPFD, 0); /* the next number to be given */
    assert_true(lowest >= 0);
    assert_int_equal(close(lowest), 0);
    for (int allowed = 0; allowed < 2; allowed++) {
        none =
            (struct rlimit){ .rlim_cur = (rlim_t)(lowest + allowed), .rlim_max = before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        int rc = weft_poller_init(&poller);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(rc, -EMFILE);
        assert_int_equal(fcntl(lowest, F_GETFD), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kick_ends_the_next_sleep_and_no_other),
        cmocka_unit_test(no_kick_is_lost),
        cmocka_unit_test(without_descriptors_it_says_so_and_leaves_none),
    };
    return berth_test_main(tests, NULL, NULL);
}

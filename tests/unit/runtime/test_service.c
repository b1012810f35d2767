/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "service.h"
#include "timer.h"

#define ROUNDS (TEST_IS_SLOW ? 200 : 2000)

struct alarm {
    struct weft_timer timer;
    atomic_bool has_fired;
    char thread[16];
    sigset_t mask;
};

static void ring(struct weft_timer *timer)
{
    struct alarm *alarm = berth_container_of(timer, struct alarm, timer);
    (void)pthread_getname_np(pthread_self(), alarm->thread, sizeof alarm->thread);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &alarm->mask);
    alarm->has_fired = true;
}

static void timers_of_who_has_no_seat_fire_on_its_thread(void **state)
{
    (void)state;
    assert_int_equal(weft_service_open(), 0);
    struct alarm alarm = { .timer.fire = ring };
    weft_timer_set(&alarm.timer, weft_deadline_ms(2));

    assert_true(test_block_until(&alarm.has_fired));

    assert_string_equal(alarm.thread, "weft-service");
    assert_true(sigismember(&alarm.mask, SIGTERM)); /* signals are for the program's own threads */
    weft_timer_cancel(&alarm.timer);
    weft_service_close();
}

/* Each is sooner than the one for which it sleeps: only the kick of the setter tells it. */
static void it_is_told_of_every_timer_that_is_sooner(void **state)
{
    (void)state;
    assert_int_equal(weft_service_open(), 0);
    struct alarm late = { .timer.fire = ring };
    weft_timer_set(&late.timer, weft_deadline_ms(3600 * 1000));
    int fired = 0;
    for (int i = 0; i < ROUNDS && fired == i; i++) {
        struct alarm alarm = { .timer.fire = ring };
        int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
        weft_timer_set(&alarm.timer, weft_now_ns() + i % 50 * 1000);
        while (!alarm.has_fired && weft_now_ns() < deadline_ns)
            (void)sched_yield();
        weft_timer_cancel(&alarm.timer);
        fired += alarm.has_fired;
    }
    assert_int_equal(fired, ROUNDS);
    assert_false(late.has_fired);
    weft_timer_cancel(&late.timer);
    weft_service_close();
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    int count = 0;
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static void it_can_be_opened_and_closed_again_and_again(void **state)
{
    (void)state;
    int before = count_descriptors();
    for (int i = 0; i < 50; i++) {
        assert_int_equal(weft_service_open(), 0);
        weft_service_kick();
        weft_service_close();
    }
    assert_int_equal(count_descriptors(), before);
}

static void without_descriptors_it_says_so(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = { .rlim_cur = 0, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = weft_service_open();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, -EMFILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_of_who_has_no_seat_fire_on_its_thread),
        cmocka_unit_test(it_is_told_of_every_timer_that_is_sooner),
        cmocka_unit_test(it_can_be_opened_and_closed_again_and_again),
        cmocka_unit_test(without_descriptors_it_says_so),
    };
    return berth_test_main(tests, NULL, NULL);
}

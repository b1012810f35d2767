/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "service.h"
#include "timer.h"

#define COUNT 200

static int64_t fired_ns[COUNT];
static atomic_int fired;
static atomic_bool are_all_fired;

struct alarm {
    struct weft_timer timer;
    int number;
};

static void note(struct weft_timer *timer)
{
    struct alarm *alarm = berth_container_of(timer, struct alarm, timer);
    fired_ns[alarm->number] = weft_now_ns();
    if (++fired == COUNT)
        are_all_fired = true;
}

static int setup(void **state)
{
    (void)state;
    fired = 0;
    are_all_fired = false;
    memset(fired_ns, 0, sizeof fired_ns);
    return weft_service_open();
}

static int teardown(void **state)
{
    (void)state;
    weft_service_close();
    return 0;
}

static void none_fires_early_and_all_fire(void **state)
{
    (void)state;
    struct alarm alarms[COUNT];
    for (int i = 0; i < COUNT; i++) {
        alarms[i] = (struct alarm){ .timer.fire = note, .number = i };
        int64_t ms = (i * 37) % 50; /* later ones may be due earlier */
        weft_timer_set(&alarms[i].timer, weft_deadline_ms(ms));
    }

    assert_true(test_block_until(&are_all_fired));

    for (int i = 0; i < COUNT; i++)
        assert_true(fired_ns[i] >= alarms[i].timer.deadline_ns);
}

static void a_cancelled_one_never_fires(void **state)
{
    (void)state;
    struct alarm *alarms[COUNT];
    for (int i = 0; i < COUNT; i++) {
        alarms[i] = calloc(1, sizeof *alarms[i]);
        assert_non_null(alarms[i]);
        alarms[i]->timer.fire = note;
        alarms[i]->number = i;
        weft_timer_set(&alarms[i]->timer, weft_deadline_ms(1 + i % 3));
    }
    int before[COUNT];
    for (int i = 0; i < COUNT; i++) {
        weft_timer_cancel(&alarms[i]->timer);
        free(alarms[i]); /* nothing touches it any more: ASan would see */
        before[i] = fired_ns[i] != 0;
    }
    struct alarm last = { .timer.fire = note, .number = 0 };
    fired = COUNT - 1;
    are_all_fired = false; /* on a slow machine none was cancelled in time */
    weft_timer_set(&last.timer, weft_deadline_ms(10));
    assert_true(test_block_until(&are_all_fired));

    for (int i = 1; i < COUNT; i++)
        assert_int_equal(fired_ns[i] != 0, before[i]);
    weft_timer_cancel(&last.timer); /* of one that is not set: fine */
}

static void a_timer_can_be_moved_both_ways(void **state)
{
    (void)state;
    struct alarm soon = { .timer.fire = note, .number = 0 };
    struct alarm late = { .timer.fire = note, .number = 1 };
    weft_timer_set(&soon.timer, weft_deadline_ms(TEST_WAIT_MS));
    weft_timer_set(&late.timer, weft_deadline_ms(1));
    weft_timer_cancel(&late.timer);
    weft_timer_set(&late.timer, WEFT_NEVER - 1);
    fired = COUNT - 1;
    weft_timer_cancel(&soon.timer);
    weft_timer_set(&soon.timer, weft_deadline_ms(5));

    assert_true(test_block_until(&are_all_fired));

    weft_timer_cancel(&late.timer);
    assert_true(fired_ns[0] > 0);
}

#define timer_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        timer_unit_test(none_fires_early_and_all_fire),
        timer_unit_test(a_cancelled_one_never_fires),
        timer_unit_test(a_timer_can_be_moved_both_ways),
    };
    return berth_test_main(tests, NULL, NULL);
}

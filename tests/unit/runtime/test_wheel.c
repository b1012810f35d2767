/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "wheel.h"

#define TIMERS 300
#define STEPS  (TEST_IS_SLOW ? 20000 : 200000)
#define TICK   WEFT_WHEEL_TICK_NS
#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)

static struct weft_wheel wheel;

static int setup(void **state)
{
    (void)state;
    return weft_wheel_init(&wheel, 0);
}

static int teardown(void **state)
{
    (void)state;
    weft_wheel_fini(&wheel);
    return 0;
}

/* Advances and pops until there is nothing to do at `now_ns`; how many were popped. */
static size_t drain(int64_t now_ns)
{
    size_t count = 0;
    do {
        weft_wheel_advance(&wheel, now_ns);
        while (weft_wheel_pop(&wheel))
            count++;
    } while (weft_wheel_next_ns(&wheel) <= now_ns);
    return count;
}

static void a_timer_is_popped_at_the_first_tick_after_its_deadline(void **state)
{
    (void)state;
    struct weft_timer timer = { 0 };
    weft_wheel_set(&wheel, &timer, 10 * TICK + 1);
    assert_true(weft_timer_is_set(&timer));
    assert_int_equal(weft_wheel_next_ns(&wheel), 11 * TICK);

    weft_wheel_advance(&wheel, 11 * TICK - 1);
    assert_null(weft_wheel_pop(&wheel));
    weft_wheel_advance(&wheel, 11 * TICK);
    assert_ptr_equal(weft_wheel_pop(&wheel), &timer);

    assert_false(weft_timer_is_set(&timer));
    assert_null(weft_wheel_pop(&wheel));
    assert_true(weft_wheel_next_ns(&wheel) == WEFT_NEVER);
}

static void a_deadline_on_a_tick_is_met_on_it(void **state)
{
    (void)state;
    struct weft_timer timer = { 0 };
    weft_wheel_set(&wheel, &timer, 10 * TICK);
    weft_wheel_advance(&wheel, 10 * TICK);
    assert_ptr_equal(weft_wheel_pop(&wheel), &timer);
}

static void a_deadline_that_has_passed_is_due_at_once(void **state)
{
    (void)state;
    struct weft_timer timers[3] = { 0 };
    weft_wheel_advance(&wheel, HOUR);
    weft_wheel_set(&wheel, &timers[0], 0);
    weft_wheel_set(&wheel, &timers[1], INT64_MIN);
    weft_wheel_set(&wheel, &timers[2], HOUR - 5 * TICK);
    assert_true(weft_wheel_next_ns(&wheel) <= HOUR);
    assert_ptr_equal(weft_wheel_pop(&wheel), &timers[0]);
    assert_ptr_equal(weft_wheel_pop(&wheel), &timers[1]);
    assert_ptr_equal(weft_wheel_pop(&wheel), &timers[2]);
}

static void the_farthest_deadlines_are_kept(void **state)
{
    (void)state;
    static const int64_t deadlines[] = { WEFT_NEVER, WEFT_NEVER - 1, WEFT_NEVER / 2,
                                         400 * 24 * HOUR };
    struct weft_timer timers[4] = { 0 };
    for (size_t i = 0; i < 4; i++)
        weft_wheel_set(&wheel, &timers[i], deadlines[i]);
    assert_int_equal(drain(300 * 24 * HOUR), 0);
    assert_int_equal(drain(401 * 24 * HOUR), 1);
    assert_int_equal(drain(WEFT_NEVER / 2 + TICK), 1);
    assert_int_equal(drain(WEFT_NEVER - TICK), 0);
    for (size_t i = 0; i < 2; i++)
        weft_wheel_cancel(&wheel, &timers[i]);
    assert_true(weft_wheel_next_ns(&wheel) == WEFT_NEVER);
}

static void equal_deadlines_keep_their_order(void **state)
{
    (void)state;
    struct weft_timer timers[50] = { 0 };
    for (size_t i = 0; i < 50; i++)
        weft_wheel_set(&wheel, &timers[i], 5 * TICK);
    weft_wheel_advance(&wheel, SECOND);
    for (size_t i = 0; i < 50; i++)
        assert_ptr_equal(weft_wheel_pop(&wheel), &timers[i]);
}

static void one_that_is_due_can_still_be_cancelled(void **state)
{
    (void)state;
    struct weft_timer timers[3] = { 0 };
    for (size_t i = 0; i < 3; i++)
        weft_wheel_set(&wheel, &timers[i], 5 * TICK);
    weft_wheel_advance(&wheel, SECOND);
    assert_ptr_equal(weft_wheel_pop(&wheel), &timers[0]);

    weft_wheel_cancel(&wheel, &timers[1]);

    assert_false(weft_timer_is_set(&timers[1]));
    assert_ptr_equal(weft_wheel_pop(&wheel), &timers[2]);
    assert_null(weft_wheel_pop(&wheel));
}

static void one_that_is_popped_can_be_set_again(void **state)
{
    (void)state;
    struct weft_timer timer = { 0 };
    weft_wheel_set(&wheel, &timer, TICK);
    for (int64_t i = 1; i < 1000; i++) {
        weft_wheel_advance(&wheel, i * 777 * TICK);
        assert_ptr_equal(weft_wheel_pop(&wheel), &timer);
        weft_wheel_set(&wheel, &timer, (i + 1) * 777 * TICK);
        assert_int_equal(weft_wheel_next_ns(&wheel), (i + 1) * 777 * TICK);
    }
    weft_wheel_cancel(&wheel, &timer);
}

static void a_clock_that_goes_back_is_ignored(void **state)
{
    (void)state;
    struct weft_timer timer = { 0 };
    weft_wheel_advance(&wheel, SECOND);
    weft_wheel_set(&wheel, &timer, SECOND + 3 * TICK);
    weft_wheel_advance(&wheel, -SECOND);
    assert_null(weft_wheel_pop(&wheel));
    assert_int_equal(drain(SECOND + 4 * TICK), 1);
}

static void many_far_timers_are_poured_bit_by_bit(void **state)
{
    (void)state;
    enum { COUNT = 10 * WEFT_WHEEL_POURS_MAX };
    struct weft_timer *timers = calloc(COUNT, sizeof *timers);
    assert_non_null(timers);
    for (size_t i = 0; i < COUNT; i++)
        weft_wheel_set(&wheel, &timers[i], 10 * SECOND + (int64_t)i);

    /* They are all due after a leap, but one call moves no more than it may. */
    weft_wheel_advance(&wheel, 10 * SECOND + TICK);
    size_t count = 0;
    while (weft_wheel_pop(&wheel))
        count++;
    assert_in_range(count, 0, WEFT_WHEEL_POURS_MAX);
    assert_true(weft_wheel_next_ns(&wheel) <= 10 * SECOND + TICK);
    assert_int_equal(count + drain(10 * SECOND + TICK), COUNT);

    /* And when the owner looks where he is told to, they have been poured before they are due. */
    int64_t begin_ns = 10 * SECOND + TICK, deadline_ns = 20 * SECOND;
    for (size_t i = 0; i < COUNT; i++)
        weft_wheel_set(&wheel, &timers[i], deadline_ns);
    int64_t now_ns = begin_ns;
    count = 0;
    for (int looks = 0; looks < 100 && now_ns < deadline_ns; looks++) {
        weft_wheel_advance(&wheel, now_ns);
        assert_null(weft_wheel_pop(&wheel));
        int64_t next_ns = weft_wheel_next_ns(&wheel);
        now_ns = next_ns > now_ns ? next_ns : now_ns + TICK;
    }
    assert_in_range(now_ns, deadline_ns, deadline_ns + TICK - 1);
    weft_wheel_advance(&wheel, now_ns);
    while (weft_wheel_pop(&wheel))
        count++;
    assert_int_equal(count, COUNT);
    free(timers);
}

static void a_lonely_timer_costs_a_few_looks(void **state)
{
    (void)state;
    static const int64_t deadlines[] = { SECOND, 10 * SECOND, HOUR, 24 * HOUR, 1000 * 24 * HOUR };
    for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++) {
        struct weft_timer timer = { 0 };
        int64_t now_ns = wheel.due_tick * TICK, deadline_ns = now_ns + deadlines[i];
        weft_wheel_set(&wheel, &timer, deadline_ns);
        int looks = 0;
        for (; weft_timer_is_set(&timer); looks++) {
            int64_t next_ns = weft_wheel_next_ns(&wheel);
            assert_true(next_ns > now_ns);
            now_ns = next_ns;
            weft_wheel_advance(&wheel, now_ns);
            (void)weft_wheel_pop(&wheel);
        }
        assert_in_range(now_ns, deadline_ns, deadline_ns + TICK);
        assert_in_range(looks, 1, 8);
    }
}

/* The property: whatever is done, it does what a plain array would. ------------------------- */

static uint64_t seed;

static uint64_t random_below(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

/* Of all magnitudes alike. */
static int64_t random_ns(void)
{
    return (int64_t)(random_below(UINT64_MAX) >> (random_below(56) + 4));
}

static int64_t tick_of(int64_t deadline_ns)
{
    return deadline_ns <= 0 ? 0 : (deadline_ns - 1) / TICK + 1;
}

/* Those that had passed when they were set have no order. */
static int64_t wheel_tick_before;

static bool is_right_to_pop(const struct weft_timer *timer, int64_t now_ns, int64_t *last_tick)
{
    int64_t tick = tick_of(timer->deadline_ns);
    if (tick < *last_tick && tick > wheel_tick_before)
        return false;
    if (tick > *last_tick)
        *last_tick = tick;
    return timer->deadline_ns <= now_ns;
}

/* The next look is not later than the first deadline, and exact if that is near. */
static bool is_next_right(const struct weft_timer *timers, int64_t now_ns)
{
    int64_t first_ns = WEFT_NEVER, next_ns = weft_wheel_next_ns(&wheel);
    for (size_t i = 0; i < TIMERS; i++) {
        if (weft_timer_is_set(&timers[i]) && timers[i].deadline_ns < first_ns)
            first_ns = timers[i].deadline_ns;
    }
    if (first_ns == WEFT_NEVER)
        return next_ns == WEFT_NEVER;
    int64_t due_ns = tick_of(first_ns) * TICK, near_ns = (int64_t)WEFT_WHEEL_NEAR_SLOTS * TICK / 2;
    if (next_ns <= now_ns || next_ns > due_ns)
        return false;
    return due_ns - now_ns > near_ns || next_ns == due_ns;
}

/* One step of the random walk; false when the wheel was wrong. */
static bool step(struct weft_timer *timers, size_t *count, int64_t *now_ns)
{
    struct weft_timer *timer = &timers[random_below(TIMERS)];
    uint64_t what = random_below(10);
    if (what < 6) {
        if (weft_timer_is_set(timer)) {
            weft_wheel_cancel(&wheel, timer);
            (*count)--;
        } else {
            int64_t sign = random_below(20) == 0 ? -1 : 1;
            weft_wheel_set(&wheel, timer, *now_ns + sign * random_ns());
            (*count)++;
        }
        return wheel.count == *count;
    }
    *now_ns += what < 9 ? (int64_t)random_below(100 * TICK) : random_ns() >> random_below(20);
    int64_t last_tick = 0;
    wheel_tick_before = wheel.due_tick;
    do {
        weft_wheel_advance(&wheel, *now_ns);
        for (struct weft_timer *due; (due = weft_wheel_pop(&wheel)); (*count)--) {
            if (!is_right_to_pop(due, *now_ns, &last_tick))
                return false;
        }
    } while (weft_wheel_next_ns(&wheel) <= *now_ns);
    for (size_t i = 0; i < TIMERS; i++) {
        if (weft_timer_is_set(&timers[i]) && tick_of(timers[i].deadline_ns) <= *now_ns / TICK)
            return false;
    }
    return wheel.count == *count && is_next_right(timers, *now_ns);
}

static void it_does_what_a_plain_array_would(void **state)
{
    (void)state;
    seed = 88172645463325252u;
    struct weft_timer *timers = calloc(TIMERS, sizeof *timers);
    assert_non_null(timers);
    for (int round = 0; round < STEPS / 1000; round++) {
        int64_t now_ns = random_ns();
        size_t count = 0;
        weft_wheel_fini(&wheel);
        assert_int_equal(weft_wheel_init(&wheel, now_ns), 0);
        for (int i = 0; i < 1000; i++) {
            if (now_ns < WEFT_NEVER / 4 && !step(timers, &count, &now_ns))
                fail_msg("round %d, step %d", round, i);
        }
        for (size_t i = 0; i < TIMERS; i++) {
            if (weft_timer_is_set(&timers[i]))
                weft_wheel_cancel(&wheel, &timers[i]);
        }
        assert_int_equal(wheel.count, 0);
        assert_true(weft_wheel_next_ns(&wheel) == WEFT_NEVER);
    }
    free(timers);
}

#define wheel_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        wheel_unit_test(a_timer_is_popped_at_the_first_tick_after_its_deadline),
        wheel_unit_test(a_deadline_on_a_tick_is_met_on_it),
        wheel_unit_test(a_deadline_that_has_passed_is_due_at_once),
        wheel_unit_test(the_farthest_deadlines_are_kept),
        wheel_unit_test(equal_deadlines_keep_their_order),
        wheel_unit_test(one_that_is_due_can_still_be_cancelled),
        wheel_unit_test(one_that_is_popped_can_be_set_again),
        wheel_unit_test(a_clock_that_goes_back_is_ignored),
        wheel_unit_test(many_far_timers_are_poured_bit_by_bit),
        wheel_unit_test(a_lonely_timer_costs_a_few_looks),
        wheel_unit_test(it_does_what_a_plain_array_would),
    };
    return berth_test_main(tests, NULL, NULL);
}

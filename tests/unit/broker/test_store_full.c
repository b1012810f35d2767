/* SPDX-License-Identifier: MIT
 *
 * The core while the store is full: arrivals are refused, and it finds out when there is room
 * again.
 */
#include "support/berthtest.h"

#include <stdint.h>

#include "base/text.h"
#include "broker/core/core.h"

#define CLIENT   3
#define STORED   1 /* enum berth_store_result of broker/store/store.h */
#define FULL     2
#define AGAIN_MS INT64_C(500)

struct fixture {
    struct berth_core *core;
    int64_t now_ms;
    uint64_t request;
};

static struct fixture fixture;

static const struct berth_effects *step(struct fixture *f, struct berth_event *event)
{
    event->now_ms = f->now_ms;
    event->wall_us = 1 + f->now_ms * 1000;
    return berth_core_step(f->core, event);
}

static const struct berth_effects *complete(struct fixture *f, int result)
{
    struct berth_batch *batch = berth_core_close_batch(f->core);
    assert_non_null(batch);
    struct berth_event event = { .type = BERTH_EV_STORED,
                                 .stored = { .batch = batch, .result = (uint8_t)result } };
    return step(f, &event);
}

static int setup(void **state)
{
    fixture = (struct fixture){ .core = berth_core_new(
                                    &(struct berth_core_opts){ .epoch = 1, .lineage = 1 }, NULL) };
    if (!fixture.core || berth_core_start(fixture.core, 0, 1) < 0)
        return -1;
    (void)complete(&fixture, STORED);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_core_check(f->core);
    berth_core_free(f->core);
    return 0;
}

static const struct berth_effects *submit(struct fixture *f)
{
    const struct berth_slice dispatcher = berth_slice_of("default");
    const struct berth_slice handler = berth_slice_of("mail");
    const struct berth_submit_item item = { .body = berth_slice_of("body") };
    struct berth_event event = {
        .type = BERTH_EV_SUBMIT,
        .submit = { .peer = CLIENT,
                    .request = ++f->request,
                    .dispatchers = &dispatcher,
                    .dispatcher_count = 1,
                    .handlers = &handler,
                    .handler_count = 1,
                    .items = &item,
                    .count = 1 },
    };
    return step(f, &event);
}

static void assert_refused_as_full(const struct berth_effects *effects)
{
    assert_int_equal(effects->count, 1);
    assert_int_equal(effects->items[0].type, BERTH_DO_SUBMITTED);
    assert_int_equal(effects->items[0].submitted.items[0].id, 0);
    assert_int_equal(effects->items[0].submitted.items[0].refusal.code, BERTH_EFULL);
}

static void given_full_store(struct fixture *f)
{
    assert_int_equal(submit(f)->count, 0);
    assert_refused_as_full(complete(f, FULL));
}

static void arrivals_are_refused_at_once_until_it_is_time_to_ask_again(void **state)
{
    struct fixture *f = *state;
    given_full_store(f);

    assert_refused_as_full(submit(f));
    assert_null(berth_core_close_batch(f->core));
    f->now_ms += AGAIN_MS - 1;
    assert_refused_as_full(submit(f));
}

static void the_first_arrival_after_that_asks_the_store(void **state)
{
    struct fixture *f = *state;
    given_full_store(f);
    f->now_ms += AGAIN_MS;

    assert_int_equal(submit(f)->count, 0);
    assert_refused_as_full(complete(f, FULL));

    f->now_ms += AGAIN_MS;
    assert_int_equal(submit(f)->count, 0);
    const struct berth_effects *effects = complete(f, STORED);
    assert_int_equal(effects->count, 1);
    assert_true(effects->items[0].submitted.items[0].id > 0);
    assert_int_equal(submit(f)->count, 0);
}

static void with_nothing_to_write_there_is_no_deadline(void **state)
{
    struct fixture *f = *state;
    given_full_store(f);
    assert_true(berth_core_next_deadline_ms(f->core, f->now_ms, 1) == INT64_MAX);
    f->now_ms += 10 * AGAIN_MS;
    assert_true(berth_core_next_deadline_ms(f->core, f->now_ms, 1) == INT64_MAX);
}

static void what_is_no_arrival_is_written_when_there_is_room(void **state)
{
    struct fixture *f = *state;
    struct berth_event set = {
        .type = BERTH_EV_DISPATCHER_PAUSE,
        .dispatcher_pause = { .peer = CLIENT,
                              .request = 99,
                              .name = berth_slice_of("io"),
                              .is_paused = true },
    };
    assert_int_equal(step(f, &set)->count, 0);
    assert_int_equal(complete(f, FULL)->count, 0);
    assert_true(berth_core_next_deadline_ms(f->core, f->now_ms, 1) == f->now_ms + AGAIN_MS);
    assert_null(berth_core_close_batch(f->core));

    /* It goes first: arrivals do not get in between. */
    f->now_ms += AGAIN_MS;
    assert_refused_as_full(submit(f));
    const struct berth_effects *effects = complete(f, STORED);
    assert_int_equal(effects->count, 1);
    assert_int_equal(effects->items[0].type, BERTH_DO_READ);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(arrivals_are_refused_at_once_until_it_is_time_to_ask_again),
        TEST(the_first_arrival_after_that_asks_the_store),
        TEST(with_nothing_to_write_there_is_no_deadline),
        TEST(what_is_no_arrival_is_written_when_there_is_room),
    };
    return berth_test_main(tests, NULL, NULL);
}

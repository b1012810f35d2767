/* SPDX-License-Identifier: MIT
 *
 * Orders to a worker: no message of them outgrows a frame.
 */
#include "support/berthtest.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "broker/core/core.h"

#define WORKER           2
#define CLIENT           3
#define EPOCH            1
#define JOBS             40
#define BODY_BYTES       (1u << 20)
#define BODIES_BYTES_MAX (8u << 20)
#define SMALL_JOBS       3000
#define GRANTS_MAX       1024

static int setup(void **state)
{
    struct berth_core *core =
        berth_core_new(&(struct berth_core_opts){ .epoch = EPOCH, .lineage = 1 }, NULL);
    if (!core || berth_core_start(core, 0, 1) < 0)
        return -1;
    *state = core;
    return 0;
}

static int teardown(void **state)
{
    berth_core_free(*state);
    return 0;
}

static const struct berth_effects *step(struct berth_core *core, struct berth_event *event)
{
    event->wall_us = 1;
    return berth_core_step(core, event);
}

static void store(struct berth_core *core)
{
    struct berth_batch *batch = berth_core_close_batch(core);
    assert_non_null(batch);
    struct berth_event event = { .type = BERTH_EV_STORED,
                                 .stored = { .batch = batch, .result = 1 } };
    (void)step(core, &event);
}

static void given_worker(struct berth_core *core, uint32_t capacity)
{
    const struct berth_slice handler = berth_slice_of("mail");
    struct berth_event event = {
        .type = BERTH_EV_HELLO,
        .hello = { .peer = WORKER,
                   .epoch = EPOCH,
                   .child = 1,
                   .offer = { .name = berth_slice_of("w"),
                              .handlers = &handler,
                              .handler_count = 1,
                              .capacity = capacity,
                              .cores = 4096 } },
    };
    (void)step(core, &event);
    store(core);
}

static void given_jobs(struct berth_core *core, size_t count, size_t body_bytes)
{
    const struct berth_slice dispatcher = berth_slice_of("default"),
                             handler = berth_slice_of("mail");
    struct berth_submit_item *items = calloc(count, sizeof *items);
    char *body = calloc(1, body_bytes);
    for (size_t i = 0; i < count; i++)
        items[i].body = (struct berth_slice){ .data = body, .bytes = body_bytes };
    struct berth_event event = {
        .type = BERTH_EV_SUBMIT,
        .submit = { .peer = CLIENT,
                    .request = 1,
                    .dispatchers = &dispatcher,
                    .dispatcher_count = 1,
                    .handlers = &handler,
                    .handler_count = 1,
                    .items = items,
                    .count = count },
    };
    (void)step(core, &event);
    store(core);
    free(items);
    free(body);
}

/* Counts the grants of a turn, whose messages are numbered without a gap and each within bounds. */
static size_t grants_of_turn(struct berth_core *core, uint64_t *number)
{
    struct berth_event event = { .type = BERTH_EV_TURN };
    const struct berth_effects *effects = step(core, &event);
    size_t count = 0;
    for (size_t i = 0; i < effects->count; i++) {
        assert_int_equal(effects->items[i].type, BERTH_DO_ORDERS);
        const struct berth_do_orders *orders = &effects->items[i].orders;
        assert_int_equal(orders->number, ++*number);
        assert_in_range(orders->grant_count, 1, GRANTS_MAX);
        size_t bytes = 0;
        for (size_t j = 0; j < orders->grant_count; j++)
            bytes += orders->grants[j].body.bytes;
        assert_in_range(bytes, 0, BODIES_BYTES_MAX);
        count += orders->grant_count;
    }
    return count;
}

static void large_bodies_go_in_several_messages(void **state)
{
    struct berth_core *core = *state;
    uint64_t number = 0;
    given_worker(core, JOBS);
    given_jobs(core, JOBS, BODY_BYTES);

    assert_int_equal(grants_of_turn(core, &number), JOBS);

    assert_int_equal(number, JOBS * BODY_BYTES / BODIES_BYTES_MAX);
    berth_core_check(core);
}

static void many_grants_go_in_several_messages(void **state)
{
    struct berth_core *core = *state;
    uint64_t number = 0;
    given_worker(core, SMALL_JOBS);
    given_jobs(core, SMALL_JOBS, 1);

    assert_int_equal(grants_of_turn(core, &number), SMALL_JOBS);

    assert_int_equal(number, 3);
    berth_core_check(core);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(large_bodies_go_in_several_messages),
        TEST(many_grants_go_in_several_messages),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Jobs that come in: what is written, what is refused, bounds, memory that runs out. */
#include "core_fixture.h"
#include "support/faulty.h"

/* ---- taking in ---- */

static void a_submit_is_answered_only_when_it_is_stored(void **state)
{
    struct fixture *f = *state;

    uint64_t request = submit(f, (struct submit){ 0 });
    turn(f);
    assert_true(close_batch(f));
    turn(f);
    assert_int_equal(f->said_count, 0);
    complete(f, STORED);

    assert_int_equal(get_to(f, BERTH_DO_SUBMITTED, CLIENT)->request, request);
    uint64_t id = submitted(f, request);
    assert_int_equal(id, 1);
    assert_int_equal(job_of(f, id)->state, JOB_READY);
}

static void the_record_holds_all_that_came_with_the_job(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ .dispatcher = "io",
                               .handler = "exec",
                               .body = "hello",
                               .key = "k1",
                               .priority = -7,
                               .delay_ms = 1500,
                               .timeout_ms = 30000,
                               .max_attempts = 3 });
    assert_true(close_batch(f));

    const struct berth_job_record *job = &f->away->records[0].job;
    assert_int_equal(f->away->records[0].type, BERTH_RECORD_JOB);
    assert_int_equal(f->away->epoch, EPOCH);
    assert_int_equal(job->dispatcher, dispatcher(f, "io")->record.id);
    assert_true(slice_is(job->handler, "exec"));
    assert_true(slice_is(job->body, "hello"));
    assert_true(slice_is(job->key.bytes, "k1"));
    assert_int_equal(job->key.kind, BERTH_KEY_IDEMPOTENCY);
    assert_int_equal(job->key.until_us, f->wall_us + 24 * 3600 * SECOND_US);
    assert_int_equal(job->priority, -7);
    assert_int_equal(job->submitted_us, f->wall_us);
    assert_int_equal(job->run_at_us, f->wall_us + 1500000);
    assert_int_equal(job->timeout_ms, 30000);
    assert_int_equal(job->max_attempts, 3);
    assert_int_equal(job->state, 0);
}

static void the_record_holds_the_options_that_few_jobs_bring(void **state)
{
    struct fixture *f = *state;
    const uint64_t after[] = { given_job(f, (struct submit){ 0 }),
                               given_job(f, (struct submit){ 0 }) };
    submit(f, (struct submit){ .group = "tenant",
                               .unique = "alice",
                               .run_at_us = f->wall_us + 5 * SECOND_US,
                               .queue_timeout_ms = 300000,
                               .deadline_ms = 60000,
                               .backoff_ms = 250,
                               .backoff_ms_max = 1000,
                               .on_conflict = BERTH_ON_CONFLICT_EXISTING,
                               .after = after,
                               .after_count = 2 });
    assert_true(close_batch(f));

    const struct berth_job_record *job = &f->away->records[0].job;
    assert_true(slice_is(job->group, "tenant"));
    assert_true(slice_is(job->unique, "alice"));
    assert_int_equal(job->run_at_us, f->wall_us + 5 * SECOND_US);
    assert_int_equal(job->queue_timeout_ms, 300000);
    assert_int_equal(job->deadline_us, f->wall_us + 60 * SECOND_US);
    assert_int_equal(job->backoff_ms, 250);
    assert_int_equal(job->backoff_ms_max, 1000);
    static const uint8_t packed[] = { 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0 };
    assert_int_equal(job->after.bytes, sizeof packed);
    assert_memory_equal(job->after.data, packed, sizeof packed);
    assert_int_equal(job->parent + job->parent_ordinal, 0);
}

static void a_job_without_a_deadline_has_its_dispatchers(void **state)
{
    struct fixture *f = *state;
    set(f, (struct berth_ev_dispatcher_set){ .has_deadline = true, .deadline_ms = 1000 }, "io");
    store_all(f);
    submit(f, (struct submit){ .dispatcher = "io" });
    submit(f, (struct submit){ .dispatcher = "io", .deadline_ms = 5 });
    assert_true(close_batch(f));

    assert_int_equal(f->away->records[0].job.deadline_us, f->wall_us + SECOND_US);
    assert_int_equal(f->away->records[1].job.deadline_us, f->wall_us + 5000);
}

static void a_job_at_a_time_waits_for_it_and_one_in_the_past_does_not(void **state)
{
    struct fixture *f = *state;
    uint64_t later = given_job(f, (struct submit){ .run_at_us = f->wall_us + SECOND_US });
    uint64_t earlier = given_job(f, (struct submit){ .run_at_us = f->wall_us - SECOND_US });
    assert_int_equal(job_of(f, later)->state, JOB_SCHEDULED);
    assert_int_equal(job_of(f, earlier)->state, JOB_READY);

    turn_after(f, 1000);
    assert_int_equal(job_of(f, later)->state, JOB_READY);
}

static void a_backoff_above_the_longest_is_refused_whoever_has_it(void **state)
{
    struct fixture *f = *state;
    const struct {
        int64_t ms, ms_max;
        const char *says; /* NULL: it is taken */
    } cases[] = {
        { 600001, 0, "backoff 600001 ms: allowed is 0 to backoff_max, which is 600000 ms" },
        { 0, 999, "backoff 1000 ms: allowed is 0 to backoff_max, which is 999 ms" },
        { 600001, 600001, NULL },
        { 600000, 0, NULL },
        { 0, 1000, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t request = submit(
            f, (struct submit){ .backoff_ms = cases[i].ms, .backoff_ms_max = cases[i].ms_max });
        store_all(f);
        assert_int_equal(submitted(f, request) == 0, cases[i].says != NULL);
        if (!cases[i].says)
            continue;
        const struct berth_do_error *refusal =
            &answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0].refusal;
        assert_int_equal(refusal->code, BERTH_EVALUE);
        assert_string_equal(refusal->field, "backoff");
        assert_string_equal(refusal->message, cases[i].says);
    }
}

static void a_submit_without_a_key_is_stored_under_its_request(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ 0 });
    assert_true(close_batch(f));

    const struct berth_job_record *job = &f->away->records[0].job;
    assert_int_equal(job->key.kind, BERTH_KEY_REQUEST);
    assert_int_equal(job->key.bytes.bytes, 16);
    assert_int_equal(job->key.until_us, f->wall_us + 600 * SECOND_US);
    assert_int_equal(job->run_at_us, 0);
}

static void ids_grow_and_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    const struct submit items[3] = { { 0 } };

    uint64_t request = submit_many(f, items, 3);
    store_all(f);

    const struct berth_do_submitted *answered = &answer(f, request, BERTH_DO_SUBMITTED)->submitted;
    assert_int_equal(answered->count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(answered->items[i].id, i + 1);
}

static void a_delayed_job_is_scheduled_and_ready_when_its_time_has_come(void **state)
{
    struct fixture *f = *state;
    uint64_t id = given_job(f, (struct submit){ .delay_ms = 1500 });
    assert_int_equal(job_of(f, id)->state, JOB_SCHEDULED);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 1500);

    turn_after(f, 1499);
    assert_int_equal(job_of(f, id)->state, JOB_SCHEDULED);
    turn_after(f, 1);
    assert_int_equal(job_of(f, id)->state, JOB_READY);
}

static void a_delay_that_is_over_when_it_is_stored_does_not_wait_for_a_turn(void **state)
{
    struct fixture *f = *state;
    uint64_t request = submit(f, (struct submit){ .delay_ms = 10 });
    advance(f, 10);
    store_one(f);

    assert_int_equal(job_of(f, submitted(f, request))->state, JOB_READY);
}

/* ---- refusals ---- */

static void an_unknown_dispatcher_is_refused_by_name_and_the_others_are_taken(void **state)
{
    struct fixture *f = *state;
    const struct submit items[3] = { { .dispatcher = "default" },
                                     { .dispatcher = "news" },
                                     { .dispatcher = "io" } };
    uint64_t request = submit_many(f, items, 3);
    turn(f); /* what was said in that step is gone when the answer leaves */
    query(f, BERTH_EV_DISPATCHER_GET, "another-sentence-that-takes-the-place");
    store_all(f);

    const struct berth_submitted_item *answered =
        answer(f, request, BERTH_DO_SUBMITTED)->submitted.items;
    assert_int_equal(answered[0].id, 1);
    assert_int_equal(answered[1].id, 0);
    assert_int_equal(answered[1].refusal.code, BERTH_ENOTFOUND);
    assert_string_equal(answered[1].refusal.field, "dispatcher");
    assert_string_equal(answered[1].refusal.message, "dispatcher 'news' does not exist");
    assert_int_equal(answered[2].id, 2);
}

static void a_submit_of_which_nothing_is_taken_is_answered_at_once(void **state)
{
    struct fixture *f = *state;

    uint64_t request = submit(f, (struct submit){ .dispatcher = "news" });

    assert_int_equal(submitted(f, request), 0);
    assert_false(close_batch(f));
}

static void more_live_jobs_than_allowed_are_refused_until_one_has_ended(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ .jobs_max = 2 });
    core_start(f);
    store_all(f);
    given_job(f, (struct submit){ 0 });
    uint64_t second = given_job(f, (struct submit){ 0 });

    uint64_t request = submit(f, (struct submit){ 0 });
    const struct berth_submitted_item *item =
        &answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0];
    assert_int_equal(item->id, 0);
    assert_int_equal(item->refusal.code, BERTH_EFULL);
    assert_string_equal(item->refusal.message, "the broker holds 2 live jobs, as many as it may");

    cancel(f, second); /* an administrator's commands work even then */
    store_all(f);
    assert_int_equal(given_job(f, (struct submit){ 0 }), 3);
}

/* ---- memory ---- */

static void send(struct fixture *f, const struct berth_effects **ret_effects)
{
    struct berth_slice name = text("default"), handler = text("a-new-handler");
    struct berth_submit_item items[3] = { { .body = text("some body"), .key = text("k1") },
                                          { .body = text("some body"), .priority = 3 },
                                          { .body = text("some body"), .key = text("k3") } };
    struct berth_event event = { .type = BERTH_EV_SUBMIT,
                                 .now_ms = f->now_ms,
                                 .wall_us = f->wall_us,
                                 .submit = { .peer = CLIENT,
                                             .request = 77,
                                             .dispatchers = &name,
                                             .dispatcher_count = 1,
                                             .handlers = &handler,
                                             .handler_count = 1,
                                             .items = items,
                                             .count = 3 } };
    *ret_effects = berth_core_step(f->core, &event);
}

/* Whichever allocation fails: what was not taken in is refused, what was is whole. */
static void without_memory_a_job_is_refused_and_nothing_of_it_is_left(void **state)
{
    struct fixture *f = *state;
    bool has_failed = true;
    unsigned rounds = 0;
    while (has_failed) {
        core_replace(f, (struct berth_core_opts){ 0 });
        core_start(f);
        const struct berth_effects *effects;
        faulty_fail_at(++rounds);
        send(f, &effects);
        has_failed = faulty_stop();
        berth_core_check(f->core);

        if (effects->count) { /* refused as a whole */
            assert_true(has_failed);
            assert_int_equal(effects->count, 1);
            int code = effects->items[0].type == BERTH_DO_ERROR
                           ? effects->items[0].error.code
                           : effects->items[0].submitted.items[0].refusal.code;
            assert_int_equal(code, BERTH_EFULL);
            assert_int_equal(f->core->jobs.used, 0);
            assert_int_equal(f->core->keys.used, 0);
            assert_int_equal(berth_map_count(&f->core->handlers), 0);
        } else {
            uint64_t used = f->core->jobs.used;
            store_all(f);
            const struct berth_submitted_item *items =
                answer(f, 77, BERTH_DO_SUBMITTED)->submitted.items;
            unsigned taken = 0;
            for (size_t i = 0; i < 3; i++) {
                taken += items[i].id != 0;
                if (!items[i].id)
                    assert_int_equal(items[i].refusal.code, BERTH_EFULL);
                else
                    assert_int_equal(job_of(f, items[i].id)->state, JOB_READY);
            }
            assert_int_equal(taken, used);
            assert_int_equal(f->core->keys.used, used);
            assert_int_equal(taken, has_failed ? 2 : 3);
        }
    }
    assert_in_range(rounds, 15, 40);
}

/* Of a job with all that few jobs bring; how many allocations it takes until it is taken. */
static void without_memory_nothing_is_left_of_what_few_jobs_bring(void **state)
{
    struct fixture *f = *state;
    const struct berth_slice names[2] = { text("default"), text("mail") };
    bool has_failed = true;
    unsigned rounds = 0;
    while (has_failed) {
        core_replace(f, (struct berth_core_opts){ 0 });
        core_start(f);
        const uint64_t after = given_job(f, (struct submit){ 0 });
        const struct berth_submit_item item = { .body = text("b"),
                                                .unique = text("u"),
                                                .deadline_ms = 1000,
                                                .queue_timeout_ms = 1000,
                                                .after = &after,
                                                .after_count = 1 };
        struct berth_event event = { .type = BERTH_EV_SUBMIT,
                                     .now_ms = f->now_ms,
                                     .wall_us = f->wall_us,
                                     .submit = { .peer = CLIENT,
                                                 .request = 77,
                                                 .dispatchers = names,
                                                 .handlers = names + 1,
                                                 .dispatcher_count = 1,
                                                 .handler_count = 1,
                                                 .items = &item,
                                                 .count = 1 } };
        faulty_fail_at(++rounds);
        (void)berth_core_step(f->core, &event);
        has_failed = faulty_stop();
        berth_core_check(f->core);
        assert_int_equal(f->core->jobs.used, has_failed ? 1 : 2);
        assert_int_equal(berth_map_count(&f->core->uniques), has_failed ? 0 : 1);
    }
    assert_in_range(rounds, 10, 40);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_submit_is_answered_only_when_it_is_stored),
        TEST(the_record_holds_all_that_came_with_the_job),
        TEST(the_record_holds_the_options_that_few_jobs_bring),
        TEST(a_job_without_a_deadline_has_its_dispatchers),
        TEST(a_job_at_a_time_waits_for_it_and_one_in_the_past_does_not),
        TEST(a_backoff_above_the_longest_is_refused_whoever_has_it),
        TEST(a_submit_without_a_key_is_stored_under_its_request),
        TEST(ids_grow_and_are_answered_in_order),
        TEST(a_delayed_job_is_scheduled_and_ready_when_its_time_has_come),
        TEST(a_delay_that_is_over_when_it_is_stored_does_not_wait_for_a_turn),
        TEST(an_unknown_dispatcher_is_refused_by_name_and_the_others_are_taken),
        TEST(a_submit_of_which_nothing_is_taken_is_answered_at_once),
        TEST(more_live_jobs_than_allowed_are_refused_until_one_has_ended),
        TEST(without_memory_a_job_is_refused_and_nothing_of_it_is_left),
        TEST(without_memory_nothing_is_left_of_what_few_jobs_bring),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * What we ask, read back from the frame: each is valid, and says what was meant.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <berth/v1/envelope.pb-c.h>

#include "base/text.h"
#include "client/translate.h"
#include "proto/body.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"

static const uint8_t client_id[BERTH_CLIENT_ID_BYTES] = "0123456789abcde";

struct fixture {
    struct berth_buf frame;
    struct berth_arena arena;
    Berth__V1__Envelope *envelope;
};

static int setup(void **state)
{
    static struct fixture f;
    berth_buf_init(&f.frame, BERTH_FRAME_BYTES_MAX);
    berth_arena_init(&f.arena, (size_t)2 * BERTH_WIRE_BUDGET_MAX);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_buf_fini(&f->frame);
    berth_arena_fini(&f->arena);
    return 0;
}

/* Reads the frame as a broker would. */
static void read_back(struct fixture *f, int rc, Berth__V1__Envelope__MessageCase wanted,
                      uint64_t number)
{
    struct berth_error err = { .message = "" };
    assert_int_equal(rc, 0);
    assert_ok(berth_wire_unpack(berth_buf_slice(&f->frame), &f->arena, &f->envelope, &err));
    rc = berth_validate(f->envelope, BERTH_SIDE_BROKER, &err, NULL);
    assert_string_equal(err.message, "");
    assert_int_equal(rc, 0);
    assert_int_equal(f->envelope->message_case, wanted);
    assert_int_equal(f->envelope->request, number);
    berth_buf_clear(&f->frame);
}
#define READ_BACK(f, call, name, number)                                                           \
    read_back(f, call, BERTH__V1__ENVELOPE__MESSAGE_##name, number)

static void assert_text(ProtobufCBinaryData bytes, const char *wanted)
{
    assert_true(berth_slice_is_equal(berth_slice_from(bytes), berth_slice_of(wanted)));
}

static void a_hello_says_who_we_are(void **state)
{
    struct fixture *f = *state;
    READ_BACK(f, berth_pack_hello(client_id, &f->frame), CLIENT_HELLO, BERTH_HELLO_NUMBER);
    assert_memory_equal(f->envelope->client_hello->client.data, client_id, 16);
    assert_memory_equal(f->envelope->client_hello->software.data, "libberth_client ", 16);
}

/* Packs the bodies of all specs as one part. */
static struct berth_pack_jobs part_of(const struct berth_job_spec *specs, size_t count,
                                      struct berth_buf *bodies, uint32_t *body_bytes)
{
    for (size_t i = 0; i < count; i++) {
        size_t before = bodies->bytes;
        assert_ok(berth_pack_body(&specs[i], bodies, NULL));
        body_bytes[i] = (uint32_t)(bodies->bytes - before);
    }
    return (struct berth_pack_jobs){
        .specs = specs, .body_bytes = body_bytes, .count = count, .bodies = berth_buf_slice(bodies)
    };
}

static void a_submit_of_several_parts_is_one_set_of_columns(void **state)
{
    struct fixture *f = *state;
    const char *const argv[] = { "date", "-u", NULL };
    const struct berth_job_spec specs[] = {
        { .handler = "mail", .payload = { "alice", 5 }, .idempotency_key = "k1", .priority = 3 },
        { .command = argv, .dispatcher = "io", .timeout_ms = 1500 },
        { .handler = "mail", .max_attempts = 7, .idempotency_key = "key-3" },
    };
    struct berth_buf bodies[2];
    uint32_t body_bytes[3];
    berth_buf_init(&bodies[0], 1000);
    berth_buf_init(&bodies[1], 1000);
    const struct berth_pack_jobs parts[] = { part_of(specs, 2, &bodies[0], body_bytes),
                                             part_of(specs + 2, 1, &bodies[1], body_bytes + 2) };

    READ_BACK(f, berth_pack_submit(client_id, 9, parts, 2, &f->frame), SUBMIT, 9);

    const Berth__V1__Submit *submit = f->envelope->submit;
    assert_memory_equal(submit->client.data, client_id, 16);
    assert_int_equal(submit->n_body_bytes, 3);
    assert_int_equal(submit->n_dispatchers, 2);
    assert_text(submit->dispatchers[submit->dispatcher[0]], "default");
    assert_text(submit->dispatchers[submit->dispatcher[1]], "io");
    assert_text(submit->dispatchers[submit->dispatcher[2]], "default");
    assert_text(submit->handlers[submit->handler[0]], "mail");
    assert_text(submit->handlers[submit->handler[1]], "exec");
    assert_text(submit->handlers[submit->handler[2]], "mail");
    assert_int_equal(submit->priority[0], 3);
    assert_int_equal(submit->timeout_ms[1], 1500);
    assert_int_equal(submit->max_attempts[2], 7);
    assert_int_equal(submit->n_delay_ms, 0);
    assert_int_equal(submit->key_bytes[1], 0);
    assert_text(submit->keys, "k1key-3");

    struct berth_spans spans =
        berth_spans_of(submit->body_bytes, submit->n_body_bytes, submit->bodies);
    struct berth_body body;
    assert_ok(berth_body_unpack(berth_spans_next(&spans), &f->arena, &body, NULL));
    assert_int_equal(body.payload.bytes, 5);
    assert_ok(berth_body_unpack(berth_spans_next(&spans), &f->arena, &body, NULL));
    assert_int_equal(body.argv_count, 2);
    assert_string_equal(body.argv[1], "-u");
    berth_buf_fini(&bodies[0]);
    berth_buf_fini(&bodies[1]);
}

static void a_body_says_which_one_of_many_it_is(void **state)
{
    struct fixture *f = *state;
    const char *const argv[] = { "date", NULL };
    const struct berth_job_spec specs[] = {
        { .command = argv, .has_array_index = true, .array_index = 7 },
        { .command = argv, .line = "" },
        { .command = argv },
    };
    for (size_t i = 0; i < 3; i++) {
        struct berth_body body;
        berth_buf_clear(&f->frame);
        assert_ok(berth_pack_body(&specs[i], &f->frame, NULL));
        assert_ok(berth_body_unpack(berth_buf_slice(&f->frame), &f->arena, &body, NULL));
        assert_int_equal(body.has_array_index, specs[i].has_array_index);
        assert_int_equal(body.array_index, specs[i].array_index);
        assert_int_equal(body.line != NULL, specs[i].line != NULL);
    }
}

static void options_of_several_parts_stand_beside_each_other(void **state)
{
    struct fixture *f = *state;
    const berth_job_id after[] = { { 7 }, { 8 }, { 9 } };
    const struct berth_job_spec specs[] = {
        { .handler = "m", .group = "g", .delay_ms = 1, .after = after, .after_count = 2 },
        { .handler = "m",
          .unique = "uu",
          .on_conflict = BERTH_UNIQUE_EXISTING,
          .run_at_unix_us = 2,
          .queue_timeout_ms = 3,
          .deadline_ms = 4 },
        { .handler = "m",
          .group = "hh",
          .backoff_ms = 5,
          .backoff_ms_max = 6,
          .after = after + 2,
          .after_count = 1 },
    };
    struct berth_buf bodies[2];
    uint32_t body_bytes[3];
    berth_buf_init(&bodies[0], 1000);
    berth_buf_init(&bodies[1], 1000);
    const struct berth_pack_jobs parts[] = { part_of(specs, 1, &bodies[0], body_bytes),
                                             part_of(specs + 1, 2, &bodies[1], body_bytes + 1) };

    READ_BACK(f, berth_pack_submit(client_id, 9, parts, 2, &f->frame), SUBMIT, 9);

    const Berth__V1__Submit *submit = f->envelope->submit;
    assert_text(submit->groups, "ghh");
    assert_int_equal(submit->group_bytes[1], 0);
    assert_int_equal(submit->group_bytes[2], 2);
    assert_text(submit->uniques, "uu");
    assert_int_equal(submit->unique_bytes[1], 2);
    assert_int_equal(submit->on_conflict[1], 1);
    assert_int_equal(submit->delay_ms[0], 1);
    assert_int_equal(submit->run_at_us[1], 2);
    assert_int_equal(submit->queue_timeout_ms[1], 3);
    assert_int_equal(submit->deadline_ms[1], 4);
    assert_int_equal(submit->backoff_ms[2], 5);
    assert_int_equal(submit->backoff_max_ms[2], 6);
    assert_int_equal(submit->after_count[0], 2);
    assert_int_equal(submit->after_count[1], 0);
    assert_int_equal(submit->after_count[2], 1);
    assert_int_equal(submit->n_after, 3);
    assert_int_equal(submit->after[1], 8);
    assert_int_equal(submit->after[2], 9);
    berth_buf_fini(&bodies[0]);
    berth_buf_fini(&bodies[1]);
}

static void columns_that_say_nothing_are_left_out(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_spec spec = { .handler = "mail" };
    struct berth_buf bodies;
    uint32_t body_bytes;
    berth_buf_init(&bodies, 1000);
    struct berth_pack_jobs part = part_of(&spec, 1, &bodies, &body_bytes);

    READ_BACK(f, berth_pack_submit(client_id, 1, &part, 1, &f->frame), SUBMIT, 1);

    const Berth__V1__Submit *submit = f->envelope->submit;
    assert_int_equal(submit->n_body_bytes, 1);
    assert_int_equal(submit->n_priority + submit->n_timeout_ms + submit->n_max_attempts +
                         submit->n_key_bytes + submit->n_dispatcher + submit->n_handler,
                     0);
    assert_int_equal(submit->n_delay_ms + submit->n_run_at_us + submit->n_group_bytes +
                         submit->n_unique_bytes + submit->n_on_conflict + submit->n_after_count +
                         submit->n_after,
                     0);
    assert_int_equal(submit->n_queue_timeout_ms + submit->n_deadline_ms + submit->n_backoff_ms +
                         submit->n_backoff_max_ms,
                     0);
    assert_false(submit->has_groups || submit->has_uniques || submit->has_keys);
    berth_buf_fini(&bodies);
}

static void more_names_than_a_table_holds_do_not_fit(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = BERTH_PACK_NAMES_MAX + 1 };
    static struct berth_job_spec specs[COUNT];
    static char names[COUNT][16];
    static uint32_t body_bytes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "h%zu", i);
        specs[i].handler = names[i];
    }
    struct berth_pack_jobs part = { .specs = specs, .body_bytes = body_bytes, .count = COUNT };

    assert_rc(berth_pack_submit(client_id, 1, &part, 1, &f->frame), -EMSGSIZE);

    part.count = BERTH_PACK_NAMES_MAX;
    READ_BACK(f, berth_pack_submit(client_id, 1, &part, 1, &f->frame), SUBMIT, 1);
}

static void questions_about_jobs_name_their_ids(void **state)
{
    struct fixture *f = *state;
    const berth_job_id ids[] = { { 3 }, { 5 }, { (UINT64_C(1) << 53) - 1 } };

    READ_BACK(f, berth_pack_wait(4, ids, 3, &f->frame), JOB_WAIT, 4);
    assert_int_equal(f->envelope->job_wait->n_id, 3);
    assert_int_equal(f->envelope->job_wait->id[2], ids[2].v);
    READ_BACK(f, berth_pack_cancel(5, ids[1], true, &f->frame), JOB_CANCEL, 5);
    assert_int_equal(f->envelope->job_cancel->n_id, 1);
    assert_int_equal(f->envelope->job_cancel->id[0], 5);
    READ_BACK(f, berth_pack_get(6, ids[0], &f->frame), JOB_GET, 6);
    assert_int_equal(f->envelope->job_get->id[0], 3);
}

static void a_list_names_only_what_it_filters_by(void **state)
{
    struct fixture *f = *state;
    READ_BACK(f, berth_pack_list(1, &(struct berth_job_filter){ .count_max = 10 }, &f->frame),
              JOB_LIST, 1);
    const Berth__V1__JobList *list = f->envelope->job_list;
    assert_false(list->has_dispatcher || list->has_state || list->has_after);
    assert_int_equal(list->count_max, 10);

    READ_BACK(f,
              berth_pack_list(2,
                              &(struct berth_job_filter){ .dispatcher = "io",
                                                          .state = BERTH_DEAD,
                                                          .after = { 8 },
                                                          .is_newest_first = true,
                                                          .with_bodies = true,
                                                          .count_max = SIZE_MAX },
                              &f->frame),
              JOB_LIST, 2);
    list = f->envelope->job_list;
    assert_text(list->dispatcher, "io");
    assert_int_equal(list->state, BERTH__V1__JOB_STATE__JOB_STATE_DEAD);
    assert_int_equal(list->after, 8);
    assert_true(list->newest_first);
    assert_true(list->with_bodies);
    assert_int_equal(list->count_max, 1000);
}

static void settings_of_a_dispatcher_are_there_only_if_given(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher_settings settings = { .max_attempts = 0 };
    READ_BACK(f, berth_pack_dispatcher_set(1, "mail", &settings, "", &f->frame), DISPATCHER_SET, 1);
    const Berth__V1__DispatcherSet *set = f->envelope->dispatcher_set;
    assert_text(set->name, "mail");
    assert_false(set->has_limit_kind || set->has_limit_value || set->has_max_attempts ||
                 set->has_backoff_ms || set->has_backoff_max_ms || set->has_timeout_ms ||
                 set->has_grace_ms);

    settings = (struct berth_dispatcher_settings){ .limit = { BERTH_LIMIT_MAX_CORES, 64 },
                                                   .max_attempts = 2,
                                                   .backoff_ms = BERTH_NONE,
                                                   .backoff_ms_max = 5,
                                                   .timeout_ms = BERTH_NONE,
                                                   .grace_ms = 7 };
    READ_BACK(f, berth_pack_dispatcher_set(1, "mail", &settings, "", &f->frame), DISPATCHER_SET, 1);
    set = f->envelope->dispatcher_set;
    assert_int_equal(set->limit_kind, BERTH__V1__LIMIT_KIND__LIMIT_MAX_CORES);
    assert_int_equal(set->limit_value, 64);
    assert_int_equal(set->max_attempts, 2);
    assert_true(set->has_backoff_ms && set->backoff_ms == 0);
    assert_int_equal(set->backoff_max_ms, 5);
    assert_true(set->has_timeout_ms && set->timeout_ms == 0);
    assert_int_equal(set->grace_ms, 7);

    settings = (struct berth_dispatcher_settings){ .limit = { .kind = BERTH_LIMIT_UNLIMITED } };
    READ_BACK(f, berth_pack_dispatcher_set(1, "mail", &settings, "", &f->frame), DISPATCHER_SET, 1);
    assert_false(f->envelope->dispatcher_set->has_limit_value);
}

static void limits_of_a_dispatcher_are_there_only_if_given(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher_settings settings = { .weight = 0 };
    READ_BACK(f, berth_pack_dispatcher_set(1, "mail", &settings, "", &f->frame), DISPATCHER_SET, 1);
    const Berth__V1__DispatcherSet *set = f->envelope->dispatcher_set;
    assert_false(set->has_parent || set->has_weight || set->has_group_limit ||
                 set->has_rate_count || set->has_rate_ms || set->has_burst || set->has_max_queued ||
                 set->has_hold || set->has_on_lost || set->has_no_jitter ||
                 set->has_queue_timeout_ms || set->has_deadline_ms || set->has_retention_ms ||
                 set->has_retention_count || set->has_changed_by);

    settings = (struct berth_dispatcher_settings){ .parent = "io",
                                                   .weight = 2,
                                                   .group_limit = 3,
                                                   .rate_count = 4,
                                                   .rate_ms = 60000,
                                                   .burst = 5,
                                                   .max_queued = 6,
                                                   .hold = BERTH_HOLDS_RUNNING,
                                                   .on_lost = BERTH_LOST_HOLD,
                                                   .jitter = BERTH_JITTER_OFF,
                                                   .queue_timeout_ms = 7,
                                                   .deadline_ms = 8,
                                                   .retention_ms = 9,
                                                   .retention_count = 10 };
    READ_BACK(f, berth_pack_dispatcher_set(1, "mail", &settings, "me@here", &f->frame),
              DISPATCHER_SET, 1);
    set = f->envelope->dispatcher_set;
    assert_text(set->parent, "io");
    assert_int_equal(set->weight, 2);
    assert_int_equal(set->group_limit, 3);
    assert_int_equal(set->rate_count, 4);
    assert_int_equal(set->rate_ms, 60000);
    assert_int_equal(set->burst, 5);
    assert_int_equal(set->max_queued, 6);
    assert_int_equal(set->hold, 1);
    assert_int_equal(set->on_lost, 1);
    assert_true(set->no_jitter);
    assert_int_equal(set->queue_timeout_ms, 7);
    assert_int_equal(set->deadline_ms, 8);
    assert_int_equal(set->retention_ms, 9);
    assert_int_equal(set->retention_count, 10);
    assert_text(set->changed_by, "me@here");

    settings = (struct berth_dispatcher_settings){ .parent = "",
                                                   .group_limit = BERTH_NONE,
                                                   .rate_ms = BERTH_NONE,
                                                   .burst = BERTH_NONE,
                                                   .max_queued = BERTH_NONE,
                                                   .hold = BERTH_HOLDS_JOB,
                                                   .on_lost = BERTH_LOST_RECLAIM,
                                                   .jitter = BERTH_JITTER_ON,
                                                   .queue_timeout_ms = BERTH_NONE,
                                                   .deadline_ms = BERTH_NONE,
                                                   .retention_count = BERTH_NONE };
    READ_BACK(f, berth_pack_dispatcher_set(1, "mail", &settings, "", &f->frame), DISPATCHER_SET, 1);
    set = f->envelope->dispatcher_set;
    assert_true(set->has_parent && set->has_group_limit && set->has_rate_count &&
                set->has_rate_ms && set->has_burst && set->has_max_queued && set->has_hold &&
                set->has_on_lost && set->has_no_jitter && set->has_queue_timeout_ms &&
                set->has_deadline_ms && set->has_retention_count);
    assert_int_equal(set->parent.len + set->group_limit + set->rate_count + set->rate_ms +
                         set->burst + set->max_queued + set->hold + set->on_lost +
                         set->queue_timeout_ms + set->deadline_ms + set->retention_count,
                     0);
    assert_false(set->no_jitter || set->has_retention_ms);
}

static void the_other_questions_are_valid(void **state)
{
    struct fixture *f = *state;
    READ_BACK(f, berth_pack_dispatchers(1, NULL, &f->frame), DISPATCHER_GET, 1);
    assert_false(f->envelope->dispatcher_get->has_name);
    READ_BACK(f, berth_pack_dispatchers(2, "io", &f->frame), DISPATCHER_GET, 2);
    assert_text(f->envelope->dispatcher_get->name, "io");
    READ_BACK(f, berth_pack_dispatcher_pause(3, "io", true, "me@here", &f->frame), DISPATCHER_PAUSE,
              3);
    assert_true(f->envelope->dispatcher_pause->is_paused);
    assert_text(f->envelope->dispatcher_pause->changed_by, "me@here");
    READ_BACK(f, berth_pack_dispatcher_pause(3, "io", false, "", &f->frame), DISPATCHER_PAUSE, 3);
    assert_false(f->envelope->dispatcher_pause->is_paused);
    assert_false(f->envelope->dispatcher_pause->has_changed_by);
    READ_BACK(f, berth_pack_workers(4, &f->frame), WORKER_LIST, 4);
    READ_BACK(f, berth_pack_status(5, &f->frame), BROKER_STATUS_GET, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_hello_says_who_we_are),
        TEST(a_submit_of_several_parts_is_one_set_of_columns),
        TEST(a_body_says_which_one_of_many_it_is),
        TEST(options_of_several_parts_stand_beside_each_other),
        TEST(columns_that_say_nothing_are_left_out),
        TEST(more_names_than_a_table_holds_do_not_fit),
        TEST(questions_about_jobs_name_their_ids),
        TEST(a_list_names_only_what_it_filters_by),
        TEST(settings_of_a_dispatcher_are_there_only_if_given),
        TEST(limits_of_a_dispatcher_are_there_only_if_given),
        TEST(the_other_questions_are_valid),
    };
    return berth_test_main(tests, NULL, NULL);
}

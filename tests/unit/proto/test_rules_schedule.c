/* SPDX-License-Identifier: MIT
 *
 * What no single field of a schedule says alone. The bounds of the fields are tried in
 * test_rules.c.
 */
#include "support/berthtest.h"

#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"
#include "samples.h"

struct fixture {
    struct berth_arena arena;
    struct berth_buf buf;
    struct berth_error err;
    const char *field;
    Berth__V1__Envelope *envelope;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_arena_init(&f->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&f->buf, BERTH_FRAME_BYTES_MAX);
    const struct sample *sample = sample_get("schedule_set");
    assert_ok(berth_wire_pack(&sample->envelope, &f->buf));
    assert_ok(berth_wire_unpack(berth_buf_slice(&f->buf), &f->arena, &f->envelope, &f->err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_buf_fini(&f->buf);
    free(f);
    return 0;
}

static Berth__V1__Submit *job_of(struct fixture *f)
{
    return f->envelope->schedule_set->job;
}

static void assert_refused(struct fixture *f, const char *field, const char *says)
{
    assert_rc(berth_validate(f->envelope, BERTH_SIDE_BROKER, &f->err, &f->field), BERTH_EPROTO);
    assert_string_equal(f->field, field);
    assert_string_equal(f->err.message, says);
}

static void a_schedule_may_leave_its_job_as_it_is(void **state)
{
    struct fixture *f = *state;
    f->envelope->schedule_set->job = NULL;
    assert_ok(berth_validate(f->envelope, BERTH_SIDE_BROKER, &f->err, &f->field));
}

static void a_schedule_has_one_job(void **state)
{
    struct fixture *f = *state;
    uint32_t lengths[] = { 4, 0 };
    Berth__V1__Submit *job = job_of(f);
    job->n_body_bytes = 2;
    job->body_bytes = lengths;
    job->n_priority = job->n_delay_ms = job->n_max_attempts = job->n_timeout_ms =
        job->n_group_bytes = 0;
    job->has_groups = 0;
    job->groups.len = 0;
    assert_refused(f, "job", "job has 2 jobs: allowed is 1");
}

static void a_job_that_recurs_has_no_time_and_waits_for_none(void **state)
{
    struct fixture *f = *state;
    uint64_t run_at_us[] = { 5 }, after[] = { 17 };
    uint32_t after_count[] = { 1 };
    Berth__V1__Submit *job = job_of(f);
    job->n_delay_ms = 0;
    job->n_run_at_us = 1;
    job->run_at_us = run_at_us;
    assert_refused(f, "run_at_us", "run_at_us 5: a job that recurs has its instants");

    job->n_run_at_us = 0;
    job->n_after = job->n_after_count = 1;
    job->after = after;
    job->after_count = after_count;
    assert_refused(f, "after", "after has 1 ids: a job that recurs waits for none");
}

static void fields_of_its_job_are_checked_as_in_a_submit(void **state)
{
    struct fixture *f = *state;
    job_of(f)->priority[0] = 101;
    assert_refused(f, "priority", "priority 101: allowed is -100 to 100");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_may_leave_its_job_as_it_is),
        TEST(a_schedule_has_one_job),
        TEST(a_job_that_recurs_has_no_time_and_waits_for_none),
        TEST(fields_of_its_job_are_checked_as_in_a_submit),
    };
    return berth_test_main(tests, NULL, NULL);
}

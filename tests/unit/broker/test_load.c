/* SPDX-License-Identifier: MIT */
/* What a store gives back when a broker starts: jobs where they stood, and keys that are known. */
#include "core_fixture.h"

static struct berth_job_record stored_job(uint64_t id)
{
    return (struct berth_job_record){
        .id = id, .dispatcher = 1, .handler = text("mail"), .state = BERTH_READY, .body = text("b")
    };
}

static void given_loading(struct fixture *f)
{
    core_replace(f, (struct berth_core_opts){ .body_bytes_max = 1000 });
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 4 },
                                              .max_attempts = 5 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
}

static void loaded_jobs_stand_where_they_stood(void **state)
{
    struct fixture *f = *state;
    given_loading(f);
    struct berth_job_record ready = stored_job(3), scheduled = stored_job(4),
                            retrying = stored_job(5), due = stored_job(6);
    scheduled.state = BERTH_SCHEDULED;
    scheduled.run_at_us = f->wall_us + 5 * SECOND_US;
    retrying.state = BERTH_RETRYING;
    retrying.run_at_us = f->wall_us + 6 * SECOND_US;
    retrying.attempt = 2;
    retrying.failures = 1;
    due.state = BERTH_RETRYING;
    due.run_at_us = f->wall_us - SECOND_US;
    due.attempt = 1;

    assert_int_equal(berth_core_load_job(f->core, &ready), 0);
    assert_int_equal(berth_core_load_job(f->core, &scheduled), 0);
    assert_int_equal(berth_core_load_job(f->core, &retrying), 0);
    assert_int_equal(berth_core_load_job(f->core, &due), 0);
    core_start(f);
    store_all(f);

    assert_int_equal(job_of(f, 3)->state, JOB_READY);
    assert_int_equal(job_of(f, 4)->state, JOB_SCHEDULED);
    assert_int_equal(job_of(f, 5)->state, JOB_RETRYING);
    assert_int_equal(job_of(f, 5)->attempt_number, 2);
    assert_int_equal(job_of(f, 5)->failures, 1);
    assert_int_equal(job_of(f, 6)->state, JOB_READY);
    assert_int_equal(given_job(f, (struct submit){ 0 }), 7);
}

static int64_t oldest_ready_us(struct fixture *f)
{
    uint64_t request = query(f, BERTH_EV_DISPATCHER_GET, "default");
    answer_read(f, NULL, 0);
    return answer(f, request, BERTH_DO_DISPATCHERS)->dispatchers.items[0].oldest_ready_us;
}

static void load(struct fixture *f, const struct berth_job_record *job)
{
    assert_int_equal(berth_core_load_job(f->core, job), 0);
}

/* Its turn counts from the start, so that no restart lets what is old pass everything. */
static void a_loaded_job_is_ready_since_its_time_came(void **state)
{
    struct fixture *f = *state;
    const int64_t hour_us = 3600 * SECOND_US, now_us = f->wall_us / SECOND_US * SECOND_US;
    struct berth_job_record at_once = stored_job(3), delayed = stored_job(4), due = stored_job(5);
    at_once.submitted_us = now_us - 3 * hour_us; /* before the host was there */
    delayed.submitted_us = now_us - 5 * hour_us;
    delayed.run_at_us = now_us - 4 * hour_us;
    due.submitted_us = now_us - 9 * hour_us;
    due.run_at_us = now_us - hour_us;
    due.state = BERTH_SCHEDULED;
    const struct {
        const struct berth_job_record *job;
        int64_t since_us;
    } cases[] = { { &at_once, at_once.submitted_us },
                  { &delayed, delayed.run_at_us },
                  { &due, due.run_at_us } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        given_loading(f);
        load(f, cases[i].job);
        core_start(f);
        store_all(f);
        assert_int_equal(oldest_ready_us(f) / SECOND_US, cases[i].since_us / SECOND_US);
        assert_true(job_ready_s(f->core, job_of(f, cases[i].job->id)) >=
                    f->core->started_ms / 1000);
    }
}

/* When it came back, or what it waited for was there, is not stored. */
static void of_others_nobody_knows_and_the_start_counts(void **state)
{
    struct fixture *f = *state;
    struct berth_job_record lost = stored_job(3), future = stored_job(4), nothing = stored_job(5);
    lost.submitted_us = f->wall_us - 99 * SECOND_US;
    lost.attempt = 1;
    future.submitted_us = f->wall_us + 99 * SECOND_US;
    const struct berth_job_record *jobs[] = { &lost, &future, &nothing };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        given_loading(f);
        load(f, jobs[i]);
        core_start(f);
        int64_t started_us = f->wall_us;
        advance(f, 5000);
        store_all(f);
        assert_in_range(oldest_ready_us(f), started_us - SECOND_US, started_us);
    }
}

/* It is not older for that than the others, whose turn it may be. */
static void what_a_jump_of_the_clock_brings_is_ready_since_then(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ .delay_ms = 60000 });
    advance(f, 5000);
    f->wall_us += 3600 * SECOND_US;
    turn(f);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    assert_int_equal(job_of(f, job)->ready_s, f->now_ms / 1000);
}

static void loaded_keys_are_known_again(void **state)
{
    struct fixture *f = *state;
    uint64_t request = submit(f, (struct submit){ .key = "k", .body = "b" });
    uint64_t other = submit(f, (struct submit){ .body = "c" });
    assert_true(close_batch(f));
    struct berth_job_record live = f->away->records[0].job, ended = f->away->records[1].job;
    const char *k = "k";
    uint8_t hash[16];
    memcpy(hash, ended.key.bytes.data, sizeof hash);
    live.key.bytes = text(k);
    live.handler = text("mail");
    live.body = text("b");
    live.state = BERTH_READY;
    ended.key.bytes = (struct berth_slice){ hash, sizeof hash };
    given_loading(f);
    assert_int_equal(berth_core_load_job(f->core, &live), 0);
    assert_int_equal(berth_core_load_ended_key(f->core, &ended), 0);
    core_start(f);

    submit_again(f, request + 100, (struct submit){ .key = "k", .body = "b" });
    assert_int_equal(submitted(f, request + 100), live.id);
    submit_again(f, other, (struct submit){ .body = "c" });
    assert_int_equal(submitted(f, other), ended.id);
}

static void of_two_loaded_jobs_with_one_key_the_newer_counts(void **state)
{
    struct fixture *f = *state;
    given_loading(f);
    struct berth_job_record newer = stored_job(9), older = stored_job(3);
    newer.key = older.key = (struct berth_key){ .kind = BERTH_KEY_IDEMPOTENCY,
                                                .bytes = text("k"),
                                                .until_us = f->wall_us + SECOND_US };
    newer.key.body_hash[0] = 1;
    assert_int_equal(berth_core_load_job(f->core, &newer), 0);
    assert_int_equal(berth_core_load_ended_key(f->core, &older), 0);
    core_start(f);

    uint64_t request = submit(f, (struct submit){ .key = "k" });

    const char *message =
        answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0].refusal.message;
    assert_non_null(strstr(message, "job 9"));
}

static void a_row_that_cannot_be_ends_the_load_with_an_error(void **state)
{
    struct fixture *f = *state;
    given_loading(f);
    struct berth_job_record job = stored_job(3), orphan = stored_job(4);
    orphan.dispatcher = 77;
    assert_int_equal(berth_core_load_job(f->core, &job), 0);

    assert_int_equal(berth_core_load_job(f->core, &job), BERTH_ESTORE);
    assert_int_equal(berth_core_load_job(f->core, &orphan), BERTH_ESTORE);
    core_start(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loaded_jobs_stand_where_they_stood),
        TEST(a_loaded_job_is_ready_since_its_time_came),
        TEST(of_others_nobody_knows_and_the_start_counts),
        TEST(what_a_jump_of_the_clock_brings_is_ready_since_then),
        TEST(loaded_keys_are_known_again),
        TEST(of_two_loaded_jobs_with_one_key_the_newer_counts),
        TEST(a_row_that_cannot_be_ends_the_load_with_an_error),
    };
    return berth_test_main(tests, NULL, NULL);
}

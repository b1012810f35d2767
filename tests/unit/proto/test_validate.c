/* SPDX-License-Identifier: MIT
 *
 * What fields may hold, by the numbers of the contract, and the sentences that say so. test_rules.c
 * tries the bounds of every rule; here are the bounds themselves, and what no single field says.
 */
#include "validate_fixture.h"

static void every_sample_is_valid_for_its_receiver_alone(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sample_count; i++) {
        given(f, samples[i].name);
        bool is_error = strcmp(samples[i].name, "error") == 0;
        for (int side = BERTH_SIDE_BROKER; side <= BERTH_SIDE_CLIENT; side++) {
            bool is_wanted =
                side == (int)samples[i].receiver || (is_error && side == BERTH_SIDE_WORKER);
            f->receiver = (enum berth_side)side;
            if (is_wanted)
                assert_taken(f, __LINE__);
            else
                assert_rc(validate(f), BERTH_EPROTO);
        }
    }
}

static void message_for_another_side_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    given(f, "submitted");
    f->receiver = BERTH_SIDE_BROKER;
    assert_rc(validate(f), BERTH_EPROTO);
    assert_null(f->field);
    assert_string_equal(f->err.message, "submitted: a broker never gets this message");
    f->receiver = BERTH_SIDE_WORKER;
    assert_rc(validate(f), BERTH_EPROTO);
    assert_string_equal(f->err.message, "submitted: a worker never gets this message");
    given(f, "submit");
    f->receiver = BERTH_SIDE_CLIENT;
    assert_rc(validate(f), BERTH_EPROTO);
    assert_string_equal(f->err.message, "submit: a client never gets this message");
}

static void results_may_be_left_out(void **state)
{
    struct fixture *f = *state;
    given(f, "submit")->submit->priority[0] = 101;
    assert_rc(berth_validate(f->envelope, BERTH_SIDE_BROKER, NULL, NULL), BERTH_EPROTO);
}

static void requests_of_clients_are_numbered_and_those_of_workers_not(void **state)
{
    struct fixture *f = *state;
    REFUSED(job_wait, f->envelope->request = 0, "request",
            "request is missing: allowed is 1 to 18446744073709551615");
    REFUSED(job_waited, f->envelope->request = 0, "request",
            "request is missing: allowed is 1 to 18446744073709551615");
    REFUSED(worker_renew, f->envelope->request = 5, "request",
            "request 5: allowed is 0 between worker and broker");
    REFUSED(worker_epoch, f->envelope->request = 5, "request",
            "request 5: allowed is 0 between worker and broker");
    TAKEN(error, f->envelope->request = 0);
}

static void submitted_has_an_id_or_a_refusal_for_each_job(void **state)
{
    struct fixture *f = *state;
    REFUSED(submitted, m->id[1] = 9, "refused",
            "refused: job 1 has an id and stands among the refused");
    REFUSED(submitted, m->id[0] = 0, "refused",
            "refused: job 0 has no id and stands not among the refused");
    REFUSED(submitted, m->refused[0] = 9999, "refused",
            "refused: job 1 has no id and stands not among the refused");
    REFUSED(submitted, (m->id[1] = 9, m->refused[0] = 9999), "refused",
            "refused 9999: allowed are the jobs 0 to 2, in ascending order");
    REFUSED(submitted, m->refused_code[0] = 0, "refused_code",
            "refused_code 0: allowed is 1 to 2147483647");
    REFUSED(submitted, m->is_existing[1] = 2, "is_existing",
            "is_existing 2 of job 1: allowed is 0 to 1");
    REFUSED(submitted, m->id[0] = BERTH_JOB_ID_MAX + 1, "id",
            "id 9007199254740992 of job 0: allowed is 0 to 9007199254740991");
}

static void ids_are_1_to_2_to_the_53(void **state)
{
    struct fixture *f = *state;
    TAKEN(job_wait, m->id[0] = BERTH_JOB_ID_MAX);
    REFUSED(job_wait, m->id[0] = 0, "id", "id 0 of job 0: allowed is 1 to 9007199254740991");
    REFUSED(job_cancel, m->id[2] = BERTH_JOB_ID_MAX + 1, "id",
            "id 9007199254740992 of job 2: allowed is 1 to 9007199254740991");
    REFUSED(job_get, m->n_id = 0, "id", "id is empty; allowed are 1 to 10000 jobs");
    TAKEN(job_get, (m->id = ones(f, 10000), m->n_id = 10000));
    TOO_LARGE(job_get, (m->id = ones(f, 10001), m->n_id = 10001), "id",
              "10001 jobs in one message; allowed are 1 to 10000" TOO_LONG);
}

static void answers_to_clients_are_checked(void **state)
{
    struct fixture *f = *state;
    REFUSED(job_waited, m->state[0] = BERTH__V1__JOB_STATE__JOB_STATE_RUNNING, "state",
            "state 3 of job 0: allowed is 7 to 9");
    REFUSED(job_waited, m->n_state = 0, "state", "state is missing: allowed is 7 to 9");
    TAKEN(job_waited, m->n_id = m->n_state = m->n_unknown = 0);
    REFUSED(job_cancelled, m->state[1] = 10, "state", "state 10 of job 1: allowed is 0 to 9");
    REFUSED(client_welcome, m->epoch = 0, "epoch", "epoch 0: allowed is 1 to 16777215");
    REFUSED(client_welcome, m->has_epoch = 0, "epoch",
            "epoch is missing: allowed is 1 to 16777215");
    REFUSED(error, m->has_code = 0, "code", "code is missing: allowed is 1 to 2147483647");
    REFUSED(broker_status, m->epoch = 1 << 24, "epoch", "epoch 16777216: allowed is 1 to 16777215");
    REFUSED(broker_status, SET_BYTES(m->software, "\xff"), "software",
            "software is not valid UTF-8");
}

static void rows_are_checked_and_counted(void **state)
{
    struct fixture *f = *state;
    REFUSED(jobs, m->job[0]->state = (Berth__V1__JobState)10, "state",
            "job 0: state 10: allowed is 1 to 9");
    REFUSED(jobs, m->job[0]->has_id = 0, "id",
            "job 0: id is missing: allowed is 1 to 9007199254740991");
    REFUSED(jobs, SET_BYTES(m->job[0]->key, "\xff"), "key", "job 0: key is not valid UTF-8");
    TAKEN(jobs, m->job[0]->has_key = m->job[0]->has_group = m->job[0]->has_worker = 0);
    TAKEN(jobs, SET_BYTES(m->job[0]->error_message, "bytes of a handler: \xff"));
    TAKEN(jobs, m->has_next = 0);
    REFUSED(dispatchers, m->dispatcher[0]->limit_kind = (Berth__V1__LimitKind)5, "limit_kind",
            "dispatcher 0: limit_kind 5: allowed is 1 to 4");
    REFUSED(workers, m->worker[0]->session = 5, "session",
            "worker 0: session 5: allowed is 1099511627776 to 18446744073709551615");
    Berth__V1__Job *row = given(f, "jobs")->jobs->job[0];
    Berth__V1__Jobs *jobs = f->envelope->jobs;
    jobs->job = zeros(f, BERTH_JOBS_ANSWER_MAX + 1, sizeof(Berth__V1__Job *));
    for (jobs->n_job = 0; jobs->n_job < BERTH_JOBS_ANSWER_MAX; jobs->n_job++)
        jobs->job[jobs->n_job] = row;
    assert_taken(f, __LINE__);
    jobs->job[jobs->n_job++] = row;
    assert_refused(f, -EMSGSIZE, "job", "1001 jobs in one message; allowed are 0 to 1000" TOO_LONG,
                   __LINE__);
}

static void job_list_says_less_by_leaving_out(void **state)
{
    struct fixture *f = *state;
    TAKEN(job_list, m->has_dispatcher = m->has_state = m->has_after = m->has_newest_first =
                        m->has_count_max = 0);
    REFUSED(job_list, m->count_max = 1001, "count_max", "count_max 1001: allowed is 0 to 1000");
    REFUSED(job_list, m->state = (Berth__V1__JobState)-1, "state", "state -1: allowed is 0 to 9");
    REFUSED(job_list, SET_BYTES(m->dispatcher, "a b"), "dispatcher",
            "dispatcher: 'a b'" NOT_A_NAME);
}

static void dispatcher_set_needs_a_whole_limit(void **state)
{
    struct fixture *f = *state;
    TAKEN(dispatcher_set, m->limit_value = 0);
    TAKEN(dispatcher_set, m->has_limit_kind = m->has_limit_value = 0);
    REFUSED(dispatcher_set, m->has_limit_value = 0, "limit_value",
            "limit_value is missing: allowed is 0 to 1000000000");
    REFUSED(dispatcher_set, m->has_limit_kind = 0, "limit_kind",
            "limit_kind is missing beside limit_value 5");
    REFUSED(dispatcher_set, m->limit_kind = BERTH__V1__LIMIT_KIND__LIMIT_UNLIMITED, "limit_value",
            "limit_value 5: a limit of this kind has none");
    TAKEN(dispatcher_set, (m->limit_kind = BERTH__V1__LIMIT_KIND__LIMIT_CORES,
                           m->has_limit_value = 0, m->limit_value = 0));
    REFUSED(dispatcher_set, m->limit_kind = (Berth__V1__LimitKind)0, "limit_kind",
            "limit_kind 0: allowed is 1 to 4");
    /* What a client means by -1. */
    REFUSED(dispatcher_set, m->limit_value = UINT32_MAX, "limit_value",
            "limit_value 4294967295: allowed is 0 to 1000000000");
}

static void dispatcher_set_has_ranges(void **state)
{
    struct fixture *f = *state;
    REFUSED(dispatcher_set, m->has_name = 0, "name", "name: ''" NOT_A_NAME);
    REFUSED(dispatcher_set, m->max_attempts = 0, "max_attempts",
            "max_attempts 0: allowed is 1 to 1000000");
    TAKEN(dispatcher_set, m->has_max_attempts = 0);
    TAKEN(dispatcher_set, m->backoff_ms = m->backoff_max_ms);
    REFUSED(dispatcher_set, m->backoff_ms = 600001, "backoff_ms",
            "backoff_ms 600001: allowed is 0 to backoff_max_ms, 600000");
    TAKEN(dispatcher_set, (m->backoff_ms = 600001, m->has_backoff_max_ms = 0));
    REFUSED(dispatcher_set, m->grace_ms = 86400001, "grace_ms",
            "grace_ms 86400001: allowed is 0 to 86400000");
    REFUSED(dispatcher_pause, m->has_name = 0, "name", "name: ''" NOT_A_NAME);
    TAKEN(dispatcher_get, m->has_name = 0);
}

#define SET_REFUSED(change, field, says)                                                           \
    do {                                                                                           \
        Berth__V1__DispatcherSet *m = given(f, "dispatcher_set_with_limits")->dispatcher_set;      \
        change;                                                                                    \
        assert_refused(f, BERTH_EPROTO, field, says, __LINE__);                                    \
    } while (0)
#define SET_TAKEN(change)                                                                          \
    do {                                                                                           \
        Berth__V1__DispatcherSet *m = given(f, "dispatcher_set_with_limits")->dispatcher_set;      \
        change;                                                                                    \
        assert_taken(f, __LINE__);                                                                 \
    } while (0)

static void dispatcher_set_has_ranges_of_limits(void **state)
{
    struct fixture *f = *state;
    SET_TAKEN(m->parent.len = 0);
    SET_REFUSED(SET_BYTES(m->parent, "a b"), "parent", "parent: 'a b'" NOT_A_NAME);
    SET_REFUSED(m->weight = 0, "weight", "weight 0: allowed is 1 to 1000");
    SET_REFUSED(m->weight = 1001, "weight", "weight 1001: allowed is 1 to 1000");
    SET_REFUSED(m->group_limit = 1000000001, "group_limit",
                "group_limit 1000000001: allowed is 0 to 1000000000");
    SET_REFUSED(m->burst = 1000001, "burst", "burst 1000001: allowed is 0 to 1000000");
    SET_REFUSED(m->max_queued = 1000000001, "max_queued",
                "max_queued 1000000001: allowed is 0 to 1000000000");
    SET_REFUSED(m->hold = 2, "hold", "hold 2: allowed is 0 to 1");
    SET_REFUSED(m->on_lost = 2, "on_lost", "on_lost 2: allowed is 0 to 1");
    SET_REFUSED(m->queue_timeout_ms = UINT64_MAX, "queue_timeout_ms",
                "queue_timeout_ms 18446744073709551615: allowed is 0 to 315360000000");
    SET_REFUSED(m->deadline_ms = UINT64_MAX, "deadline_ms",
                "deadline_ms 18446744073709551615: allowed is 0 to 315360000000");
    SET_REFUSED(m->retention_ms = 0, "retention_ms",
                "retention_ms 0: allowed is 1 to 315360000000");
    SET_TAKEN(m->retention_count = 0);
    SET_REFUSED(m->retention_count = 1000000001, "retention_count",
                "retention_count 1000000001: allowed is 0 to 1000000000");
    SET_REFUSED(SET_BYTES(m->changed_by, "\xff"), "changed_by", "changed_by is not valid UTF-8");
}

static void rate_is_a_count_for_a_second_minute_hour_or_day(void **state)
{
    struct fixture *f = *state;
    static const uint64_t periods_ms[] = { 1000, 60000, 3600000, 86400000 };
    for (size_t i = 0; i < 4; i++)
        SET_TAKEN(m->rate_ms = periods_ms[i]);
    SET_TAKEN(m->rate_count = 1000000);
    SET_TAKEN((m->rate_ms = 0, m->rate_count = 0));
    SET_TAKEN((m->has_rate_ms = 0, m->has_rate_count = 0, m->rate_ms = 0, m->rate_count = 0));
    SET_REFUSED(m->rate_count = 1000001, "rate_count",
                "rate_count 1000001: allowed is 0 to 1000000");
    SET_REFUSED(m->rate_ms = 86400001, "rate_ms", "rate_ms 86400001: allowed is 0 to 86400000");
    SET_REFUSED(m->rate_ms = 2000, "rate_ms",
                "rate_ms 2000 beside rate_count 100: allowed is 1000, 60000, 3600000 or 86400000, "
                "or 0 for both");
    SET_REFUSED(m->rate_count = 0, "rate_ms",
                "rate_ms 60000 beside rate_count 0: allowed is 1000, 60000, 3600000 or 86400000, "
                "or 0 for both");
    SET_REFUSED(m->has_rate_ms = 0, "rate_ms",
                "rate_count and rate_ms: only both together are allowed");
    SET_REFUSED(m->has_rate_count = 0, "rate_count",
                "rate_count and rate_ms: only both together are allowed");
}

#define SUSPENDED(max) (m->has_suspended_max = 1, m->suspended_max = (max))

static void worker_hello_says_what_it_offers(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_hello, m->has_epoch = m->has_epoch_seen = m->has_lineage_seen = 0);
    TAKEN(worker_hello, m->n_handlers = m->n_served = 0);
    TAKEN(worker_hello, m->capacity = 65535);
    REFUSED(worker_hello, m->capacity = 65536, "capacity", "capacity 65536: allowed is 1 to 65535");
    REFUSED(worker_hello, m->has_capacity = 0, "capacity",
            "capacity is missing: allowed is 1 to 65535");
    TAKEN(worker_hello, SUSPENDED(65535 - 256));
    TAKEN(worker_hello, SUSPENDED(0));
    REFUSED(worker_hello, SUSPENDED(65536 - 256), "suspended_max",
            "suspended_max 65280 beside capacity 256: allowed are 65535 together");
    REFUSED(worker_hello, SUSPENDED(65535), "suspended_max",
            "suspended_max 65535: allowed is 1 to 65534");
    REFUSED(worker_join, SUSPENDED(65536 - 256), "suspended_max",
            "suspended_max 65280 beside capacity 256: allowed are 65535 together");
    REFUSED(worker_hello, SET_BYTES(m->nonce, "short"), "nonce",
            "nonce has 5 bytes; exactly 16 are allowed");
    REFUSED(worker_hello, m->child = 0, "child", "child 0: allowed is 1 to 4294967295");
    REFUSED(worker_hello, SET_BYTES(m->name, "a/b"), "name", "name: 'a/b'" NOT_A_NAME);
    TOO_LARGE(worker_hello, m->n_handlers = 257, "handlers",
              "handlers has 257 entries; allowed are 0 to 256" TOO_LONG);
    char software[256];
    memset(software, 's', sizeof software);
    TAKEN(worker_hello, set_bytes(f, &m->software, software, 255));
    TOO_LARGE(worker_hello, set_bytes(f, &m->software, software, 256), "software",
              "software has 256 bytes; allowed are 0 to 255" TOO_LONG);
}

static void worker_lease_ends_before_the_brokers(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_welcome, m->worker_lease_ms = 9999);
    REFUSED(worker_welcome, m->worker_lease_ms = 10000, "worker_lease_ms",
            "worker_lease_ms 10000: allowed is less than lease_ms, 10000");
    TAKEN(worker_welcome, m->renew_ms = 2125);
    REFUSED(worker_welcome, m->renew_ms = 2126, "renew_ms",
            "renew_ms 2126: allowed is a quarter of worker_lease_ms, 8500, at most");
}

static void attempt_in_a_join_has_an_outcome_if_it_has_ended(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_join, (m->ends = NULL, m->state[2] = 1));
    REFUSED(worker_join, m->ends = NULL, "outcome",
            "outcome 0 of attempt 7696581394441: allowed is 1 to 6, for it has ended");
    REFUSED(worker_join, m->ends->outcome[0] = 1, "outcome",
            "outcome 1 of attempt 7696581394435: allowed is 0, for it has not ended");
    REFUSED(worker_join, m->ends->outcome[2] = 7, "outcome",
            "outcome 7 of attempt 2: allowed is 0 to 6");
    TAKEN(worker_join, (m->n_attempt = m->n_job = m->n_dispatcher = m->n_number = m->n_state = 0,
                        m->n_is_cancelled = 0, m->ends = NULL));
}

static void join_lists_an_attempt_once(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_join, (m->attempt[0] = m->attempt[2] + 1));
    REFUSED(worker_join, (m->attempt[0] = m->attempt[2]), "attempt",
            "attempt 7696581394441 stands twice");
    REFUSED(worker_join, m->attempt[0] = 5, "attempt",
            "attempt 5 of attempt 0: allowed is 1099511627776 to 18446744073709551615");
    REFUSED(worker_join, m->n_job = 0, "job", "job is missing: allowed is 1 to 9007199254740991");
    REFUSED(worker_join, m->n_state = 2, "state", "state has 2 values for 3 attempts");
    REFUSED(worker_join, m->join = 0, "join", "join 0: allowed is 1 to 4294967295");
}

static void columns_of_ends_go_with_those_around(void **state)
{
    struct fixture *f = *state;
    REFUSED(worker_join, m->ends->n_outcome = 2, "outcome", "outcome has 2 values for 3 attempts");
    REFUSED(worker_join, m->ends->kind[2] = 2, "kind",
            "kind 2 of attempt 2: kinds has 1 entries, counted from 1");
    REFUSED(worker_reports, m->ends->message_bytes[1] = 5, "message_bytes",
            "message_bytes adds up to 5, but messages has 4 bytes");
    TOO_LARGE(worker_reports, m->ends->message_bytes[1] = 4097, "message_bytes",
              "message_bytes 4097 of report 1: allowed is 0 to 4096" TOO_LONG);
    TOO_LARGE(worker_reports, m->ends->result_bytes[0] = BERTH_RESULT_BYTES_MAX + 1, "result_bytes",
              "result_bytes 1245185 of report 0: allowed is 0 to 1245184" TOO_LONG);
    TAKEN(worker_reports, SET_BYTES(m->ends->messages, "\xff\xfe\0\n"));
}

static void report_says_how_it_ended(void **state)
{
    struct fixture *f = *state;
    REFUSED(worker_reports, m->ends = NULL, "outcome",
            "outcome 0 of attempt 7696581394435: allowed is 1 to 6");
    REFUSED(worker_reports, m->ends->outcome[1] = 0, "outcome",
            "outcome 0 of attempt 8796093022210: allowed is 1 to 6");
    REFUSED(worker_reports, m->release_reason[0] = 5, "release_reason",
            "release_reason 5: allowed is 1 to 4");
    REFUSED(worker_reports, m->n_release_reason = 0, "release_reason",
            "release_reason is missing: allowed is 1 to 4");
    REFUSED(worker_reports, m->number = 0, "number",
            "number 0: allowed is 1 to 18446744073709551615");
    TAKEN(worker_reports, (m->n_attempt = m->n_job = 0, m->ends = NULL, m->n_release_attempt = 0,
                           m->n_release_reason = 0));
}

static void orders_are_three_lists(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_orders, m->n_cancel_attempt = m->n_cancel_grace_ms = 0);
    REFUSED(worker_orders, m->n_grant_number = 0, "grant_number",
            "grant_number is missing: allowed is 1 to 4294967295");
    REFUSED(worker_orders, m->grant_job[1] = 0, "grant_job",
            "grant_job 0 of grant 1: allowed is 1 to 9007199254740991");
    REFUSED(worker_orders, m->n_ack_is_stale = 1, "ack_is_stale",
            "ack_is_stale has 1 values for 2 acknowledgements");
    REFUSED(worker_orders, m->cancel_grace_ms[0] = 86400001, "cancel_grace_ms",
            "cancel_grace_ms 86400001: allowed is 0 to 86400000");
    REFUSED(worker_orders, m->grant_handler[1] = 2, "grant_handler",
            "grant_handler 2 of grant 1: handlers has 2 entries, counted from 0");
    REFUSED(worker_orders, m->grant_bodies.len = 8, "grant_body_bytes",
            "grant_body_bytes adds up to 9, but grant_bodies has 8 bytes");
}

static void who_is_fenced_or_gone_is_said_one_way_or_the_other(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_fenced, (m->has_nonce = 0, m->nonce.len = 0, m->child = 0));
    TAKEN(worker_fenced, m->session = 0);
    REFUSED(worker_fenced, (m->session = 0, m->has_nonce = 0, m->nonce.len = 0), "session",
            "session is missing, and so are nonce and child");
    REFUSED(worker_fenced, (m->session = 0, m->child = 0), "child",
            "child is missing: allowed is 1 to 4294967295");
    TAKEN(worker_gone, m->session = 0);
    REFUSED(worker_gone, (m->has_nonce = 0, m->nonce.len = 0), "nonce",
            "nonce has 0 bytes; exactly 16 are allowed");
    TAKEN(worker_gone_ok, m->session = 0);
    REFUSED(worker_gone_ok, (m->session = 0, m->has_nonce = 0, m->nonce.len = 0), "session",
            "session is missing, and so are nonce and child");
}

static void culprit_is_one_of_the_dead_attempts(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_gone, m->culprit = 0);
    REFUSED(worker_gone, m->culprit = m->attempt[1] + 1, "culprit",
            "culprit 7696581394437: allowed are 0 and the attempts of the list");
    REFUSED(worker_gone, m->attempt[0] = m->attempt[1], "attempt",
            "attempt 7696581394436 stands twice");
    TAKEN(worker_gone, m->n_number = 0);
    REFUSED(worker_gone, m->cause = (Berth__V1__GoneCause)6, "cause", "cause 6: allowed is 1 to 5");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_sample_is_valid_for_its_receiver_alone),
        TEST(message_for_another_side_is_refused_by_name),
        TEST(results_may_be_left_out),
        TEST(requests_of_clients_are_numbered_and_those_of_workers_not),
        TEST(submitted_has_an_id_or_a_refusal_for_each_job),
        TEST(ids_are_1_to_2_to_the_53),
        TEST(answers_to_clients_are_checked),
        TEST(rows_are_checked_and_counted),
        TEST(job_list_says_less_by_leaving_out),
        TEST(dispatcher_set_needs_a_whole_limit),
        TEST(dispatcher_set_has_ranges),
        TEST(dispatcher_set_has_ranges_of_limits),
        TEST(rate_is_a_count_for_a_second_minute_hour_or_day),
        TEST(worker_hello_says_what_it_offers),
        TEST(worker_lease_ends_before_the_brokers),
        TEST(attempt_in_a_join_has_an_outcome_if_it_has_ended),
        TEST(join_lists_an_attempt_once),
        TEST(columns_of_ends_go_with_those_around),
        TEST(report_says_how_it_ended),
        TEST(orders_are_three_lists),
        TEST(who_is_fenced_or_gone_is_said_one_way_or_the_other),
        TEST(culprit_is_one_of_the_dead_attempts),
    };
    return berth_test_main(tests, NULL, NULL);
}

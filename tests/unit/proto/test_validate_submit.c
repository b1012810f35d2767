/* SPDX-License-Identifier: MIT
 *
 * What the fields of a submit may hold, and the sentences that say so: as test_validate.c for the
 * other messages.
 */
#include "validate_fixture.h"

static void submit_has_ranges(void **state)
{
    struct fixture *f = *state;
    TAKEN(submit, m->priority[2] = 100);
    TAKEN(submit, m->priority[2] = -100);
    REFUSED(submit, m->priority[2] = 300, "priority",
            "priority 300 of job 2: allowed is -100 to 100");
    REFUSED(submit, m->priority[0] = -101, "priority",
            "priority -101 of job 0: allowed is -100 to 100");
    TAKEN(submit, m->max_attempts[0] = 1000000);
    REFUSED(submit, m->max_attempts[0] = 1000001, "max_attempts",
            "max_attempts 1000001 of job 0: allowed is 0 to 1000000");
    TAKEN(submit, m->timeout_ms[1] = UINT64_C(315360000000));
    REFUSED(submit, m->timeout_ms[1] = UINT64_C(315360000001), "timeout_ms",
            "timeout_ms 315360000001 of job 1: allowed is 0 to 315360000000");
    REFUSED(submit, m->delay_ms[1] = UINT64_MAX, "delay_ms",
            "delay_ms 18446744073709551615 of job 1: allowed is 0 to 315360000000");
}

/* A fresh sample of this name, which is a Submit, is changed. */
#define SUBMIT_REFUSED_AS(rc, change, field, says)                                                 \
    do {                                                                                           \
        Berth__V1__Submit *m = given(f, "submit_with_options")->submit;                            \
        change;                                                                                    \
        assert_refused(f, rc, field, says, __LINE__);                                              \
    } while (0)
#define SUBMIT_REFUSED(change, field, says) SUBMIT_REFUSED_AS(BERTH_EPROTO, change, field, says)

static void submit_options_have_ranges(void **state)
{
    struct fixture *f = *state;
    SUBMIT_REFUSED(m->run_at_us[2] = UINT64_C(253402300800000000), "run_at_us",
                   "run_at_us 253402300800000000 of job 2: allowed is 0 to 253402300799999999");
    SUBMIT_REFUSED(m->queue_timeout_ms[0] = UINT64_C(315360000001), "queue_timeout_ms",
                   "queue_timeout_ms 315360000001 of job 0: allowed is 0 to 315360000000");
    SUBMIT_REFUSED(m->deadline_ms[1] = UINT64_MAX, "deadline_ms",
                   "deadline_ms 18446744073709551615 of job 1: allowed is 0 to 315360000000");
    SUBMIT_REFUSED(m->backoff_ms[1] = UINT64_C(315360000001), "backoff_ms",
                   "backoff_ms 315360000001 of job 1: allowed is 0 to 315360000000");
    SUBMIT_REFUSED(m->backoff_max_ms[1] = UINT64_C(315360000001), "backoff_max_ms",
                   "backoff_max_ms 315360000001 of job 1: allowed is 0 to 315360000000");
    SUBMIT_REFUSED(m->on_conflict[2] = 2, "on_conflict",
                   "on_conflict 2 of job 2: allowed is 0 to 1");
    SUBMIT_REFUSED(m->after_count[0] = 1001, "after_count",
                   "after_count 1001 of job 0: allowed is 0 to 1000");
    SUBMIT_REFUSED(m->after[1] = 0, "after", "after 0 of id 1: allowed is 1 to 9007199254740991");
    SUBMIT_REFUSED_AS(-EMSGSIZE, m->group_bytes[1] = 256, "group_bytes",
                      "group_bytes 256 of job 1: allowed is 0 to 255" TOO_LONG);
    SUBMIT_REFUSED_AS(-EMSGSIZE, m->unique_bytes[1] = 256, "unique_bytes",
                      "unique_bytes 256 of job 1: allowed is 0 to 255" TOO_LONG);
}

static void submit_options_fit_together(void **state)
{
    struct fixture *f = *state;
    SUBMIT_REFUSED(m->run_at_us[0] = 5, "run_at_us",
                   "run_at_us 5 of job 0: only one of this and delay_ms, which is 10000, is "
                   "allowed");
    SUBMIT_REFUSED(m->backoff_ms[2] = 1001, "backoff_ms",
                   "backoff_ms 1001 of job 2: allowed is 0 to backoff_max_ms, 1000");
    SUBMIT_REFUSED(m->on_conflict[0] = 1, "on_conflict",
                   "on_conflict 1 of job 0: without a unique key only 0 is allowed");
    SUBMIT_REFUSED(m->after_count[0] = 3, "after", "after has 3 ids, but after_count adds up to 4");
    SUBMIT_REFUSED(m->n_after = 2, "after", "after has 2 ids, but after_count adds up to 3");
    SUBMIT_REFUSED(m->n_group_bytes = 0, "group_bytes",
                   "group_bytes adds up to 0, but groups has 9 bytes");
    SUBMIT_REFUSED((m->group_bytes[0] = 8, m->group_bytes[2] = 1), "groups",
                   "groups: that of job 0 is not valid UTF-8");
    SUBMIT_REFUSED(SET_BYTES(m->uniques, "alice\xff\xff\xff\xff"), "uniques",
                   "uniques: that of job 2 is not valid UTF-8");
}

static void submit_waits_for_so_many_jobs(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Submit *m = given(f, "submit_with_options")->submit;
    m->n_after = BERTH_SUBMIT_AFTER_MAX + 1;
    m->after = ones(f, m->n_after);
    assert_refused(f, -EMSGSIZE, "after",
                   "1048577 ids in one message; allowed are 0 to 1048576" TOO_LONG, __LINE__);
}

static void submit_of_one_job_does_not_count_it(void **state)
{
    struct fixture *f = *state;
    REFUSED(submit,
            (m->n_body_bytes = m->n_priority = 1, m->n_dispatcher = m->n_handler = 0,
             m->n_delay_ms = m->n_max_attempts = m->n_timeout_ms = m->n_key_bytes = 0,
             m->keys.len = 0, m->bodies.len = 5, m->priority[0] = 300),
            "priority", "priority 300: allowed is -100 to 100");
}

static void submit_needs_who_it_is_from(void **state)
{
    struct fixture *f = *state;
    REFUSED(submit, m->has_client = 0, "client", "client has 0 bytes; exactly 16 are allowed");
    REFUSED(submit, SET_BYTES(m->client, "0123456789abcdef0"), "client",
            "client has 17 bytes; exactly 16 are allowed");
}

static void submit_columns_have_one_value_a_job(void **state)
{
    struct fixture *f = *state;
    REFUSED(submit, m->n_priority = 2, "priority", "priority has 2 values for 3 jobs");
    TAKEN(submit, m->n_priority = 0);
    REFUSED(submit, m->n_key_bytes = 1, "key_bytes", "key_bytes has 1 values for 3 jobs");
    REFUSED(submit, m->n_dispatcher = 1, "dispatcher", "dispatcher has 1 values for 3 jobs");
    REFUSED(submit,
            (m->n_body_bytes = m->n_dispatcher = m->n_handler = m->n_priority = m->n_delay_ms =
                 m->n_max_attempts = m->n_timeout_ms = m->n_key_bytes = 0,
             m->keys.len = 0),
            "body_bytes", "body_bytes is empty; allowed are 1 to 10000 jobs");
}

static void submit_takes_so_many_jobs(void **state)
{
    struct fixture *f = *state;
    for (size_t count = BERTH_SUBMIT_JOBS_MAX; count <= BERTH_SUBMIT_JOBS_MAX + 1; count++) {
        Berth__V1__Submit *submit = given(f, "submit")->submit;
        submit->body_bytes = zeros(f, count, sizeof *submit->body_bytes);
        submit->n_body_bytes = count;
        submit->bodies.len = submit->keys.len = 0;
        submit->n_dispatcher = submit->n_handler = submit->n_priority = submit->n_delay_ms =
            submit->n_max_attempts = submit->n_timeout_ms = submit->n_key_bytes = 0;
        if (count == BERTH_SUBMIT_JOBS_MAX)
            assert_taken(f, __LINE__);
        else
            assert_refused(f, -EMSGSIZE, "body_bytes",
                           "10001 jobs in one message; allowed are 1 to 10000" TOO_LONG, __LINE__);
    }
}

static void submit_names_are_names(void **state)
{
    struct fixture *f = *state;
    TAKEN(submit, SET_BYTES(m->dispatchers[1], "A-z_0.9"));
    REFUSED(submit, SET_BYTES(m->dispatchers[1], "no spaces"), "dispatchers",
            "dispatchers: 'no spaces'" NOT_A_NAME);
    REFUSED(submit, SET_BYTES(m->handlers[0], ""), "handlers", "handlers: ''" NOT_A_NAME);
    REFUSED(submit, SET_BYTES(m->handlers[0], "-x"), "handlers", "handlers: '-x'" NOT_A_NAME);
    REFUSED(submit, SET_BYTES(m->handlers[0], "a\0b"), "handlers", "handlers: 'a?b'" NOT_A_NAME);
    REFUSED(submit, SET_BYTES(m->handlers[0], "a\x1b[0m\xff"), "handlers",
            "handlers: 'a?[0m?'" NOT_A_NAME);
    char name[BERTH_NAME_BYTES_MAX + 1];
    memset(name, 'n', sizeof name);
    TAKEN(submit, set_bytes(f, &m->handlers[0], name, BERTH_NAME_BYTES_MAX));
    REFUSED(submit, set_bytes(f, &m->handlers[0], name, BERTH_NAME_BYTES_MAX + 1), "handlers",
            "handlers: 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn'" NOT_A_NAME);
}

static void submit_indices_point_into_their_table(void **state)
{
    struct fixture *f = *state;
    REFUSED(submit, m->dispatcher[1] = 2, "dispatcher",
            "dispatcher 2 of job 1: dispatchers has 2 entries, counted from 0");
    REFUSED(submit, m->handler[2] = UINT32_MAX, "handler",
            "handler 4294967295 of job 2: handlers has 2 entries, counted from 0");
    REFUSED(submit, (m->n_dispatchers = 0, m->n_dispatcher = 0), "dispatchers",
            "dispatchers is empty: each job needs one");
    TOO_LARGE(submit, m->n_dispatchers = BERTH_NAMES_MAX + 1, "dispatchers",
              "dispatchers has 4097 entries; allowed are 0 to 4096" TOO_LONG);
}

static void submit_lengths_add_up(void **state)
{
    struct fixture *f = *state;
    REFUSED(submit, m->body_bytes[0] = 6, "body_bytes",
            "body_bytes adds up to 10, but bodies has 9 bytes");
    REFUSED(submit, m->bodies.len = 8, "body_bytes",
            "body_bytes adds up to 9, but bodies has 8 bytes");
    REFUSED(submit, m->n_key_bytes = 0, "key_bytes",
            "key_bytes adds up to 0, but keys has 5 bytes");
    TOO_LARGE(submit, m->body_bytes[1] = BERTH_BODY_BYTES_MAX + 1, "body_bytes",
              "body_bytes 1114113 of job 1: allowed is 0 to 1114112" TOO_LONG);
    TOO_LARGE(submit, m->key_bytes[0] = 256, "key_bytes",
              "key_bytes 256 of job 0: allowed is 0 to 255" TOO_LONG);
    /* Sums that would come out right in 32 bits. */
    TOO_LARGE(submit, (m->body_bytes[0] = UINT32_MAX, m->body_bytes[1] = 6, m->body_bytes[2] = 4),
              "body_bytes", "body_bytes 4294967295 of job 0: allowed is 0 to 1114112" TOO_LONG);
}

static void submit_keys_are_text(void **state)
{
    struct fixture *f = *state;
    REFUSED(submit, SET_BYTES(m->keys, "one\xff\xff"), "keys",
            "keys: that of job 2 is not valid UTF-8");
    /* A character may not be split between two keys. */
    REFUSED(submit, (m->key_bytes[0] = 4, m->key_bytes[2] = 1), "keys",
            "keys: that of job 0 is not valid UTF-8");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(submit_has_ranges),
        TEST(submit_options_have_ranges),
        TEST(submit_options_fit_together),
        TEST(submit_waits_for_so_many_jobs),
        TEST(submit_of_one_job_does_not_count_it),
        TEST(submit_needs_who_it_is_from),
        TEST(submit_columns_have_one_value_a_job),
        TEST(submit_takes_so_many_jobs),
        TEST(submit_names_are_names),
        TEST(submit_indices_point_into_their_table),
        TEST(submit_lengths_add_up),
        TEST(submit_keys_are_text),
    };
    return berth_test_main(tests, NULL, NULL);
}

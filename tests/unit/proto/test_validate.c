/* SPDX-License-Identifier: MIT
 *
 * What fields may hold, by the numbers of the contract, and the sentences that say so. test_rules.c
 * tries the bounds of every rule; here are the bounds themselves, and what no single field says.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"
#include "samples.h"

struct fixture {
    struct berth_arena arena;
    struct berth_buf buf;
    struct berth_error err;
    const char *field;
    enum berth_side receiver;
    Berth__V1__Envelope *envelope;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_arena_init(&f->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&f->buf, BERTH_FRAME_BYTES_MAX);
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

/* A copy of the sample in memory that may be written. */
static Berth__V1__Envelope *given(struct fixture *f, const char *name)
{
    const struct sample *sample = sample_get(name);
    berth_buf_clear(&f->buf);
    berth_arena_reset(&f->arena);
    assert_ok(berth_wire_pack(&sample->envelope, &f->buf));
    assert_ok(berth_wire_unpack(berth_buf_slice(&f->buf), &f->arena, &f->envelope, &f->err));
    f->receiver = sample->receiver;
    return f->envelope;
}

static int validate(struct fixture *f)
{
    f->err = (struct berth_error){ 0 };
    f->field = "untouched";
    return berth_validate(f->envelope, f->receiver, &f->err, &f->field);
}

static void assert_taken(struct fixture *f, int line)
{
    int rc = validate(f);
    if (rc < 0)
        fail_msg("line %d: refused: %s", line, f->err.message);
    assert_string_equal(f->field, "untouched");
}

static void assert_refused(struct fixture *f, int rc_wanted, const char *field, const char *says,
                           int line)
{
    int rc = validate(f);
    if (rc != rc_wanted || !f->field || strcmp(f->field, field) != 0 ||
        strcmp(f->err.message, says) != 0)
        fail_msg("line %d: %d, field '%s': %s", line, rc, f->field ? f->field : "", f->err.message);
}

/* `change` is made to a fresh sample, which is `m`. */
#define TAKEN(kind, change)                                                                        \
    do {                                                                                           \
        __typeof__(((Berth__V1__Envelope *)0)->kind) m = given(f, #kind)->kind;                    \
        change;                                                                                    \
        (void)m;                                                                                   \
        assert_taken(f, __LINE__);                                                                 \
    } while (0)
#define REFUSED_AS(rc, kind, change, field, says)                                                  \
    do {                                                                                           \
        __typeof__(((Berth__V1__Envelope *)0)->kind) m = given(f, #kind)->kind;                    \
        change;                                                                                    \
        (void)m;                                                                                   \
        assert_refused(f, rc, field, says, __LINE__);                                              \
    } while (0)
#define REFUSED(kind, change, field, says)   REFUSED_AS(BERTH_EPROTO, kind, change, field, says)
#define TOO_LARGE(kind, change, field, says) REFUSED_AS(-EMSGSIZE, kind, change, field, says)

#define NOT_A_NAME                                                                                 \
    " is not a name; allowed are 1 to 64 letters, digits and . _ -, the first a letter or digit"
#define TOO_LONG ": Message too long"

static void set_bytes(struct fixture *f, ProtobufCBinaryData *bytes, const void *data, size_t count)
{
    bytes->data = berth_arena_memdup(&f->arena, data, count);
    assert_non_null(bytes->data);
    bytes->len = count;
}
#define SET_BYTES(bytes, text) set_bytes(f, &(bytes), text, sizeof(text) - 1)

static void *zeros(struct fixture *f, size_t count, size_t element_bytes)
{
    void *memory = berth_arena_zalloc(&f->arena, count * element_bytes);
    assert_non_null(memory);
    return memory;
}

static uint64_t *ones(struct fixture *f, size_t count)
{
    uint64_t *memory = zeros(f, count, sizeof *memory);
    for (size_t i = 0; i < count; i++)
        memory[i] = 1;
    return memory;
}

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

static void worker_hello_says_what_it_offers(void **state)
{
    struct fixture *f = *state;
    TAKEN(worker_hello, m->has_epoch = m->has_epoch_seen = m->has_lineage_seen = 0);
    TAKEN(worker_hello, m->n_handlers = m->n_served = 0);
    TAKEN(worker_hello, m->capacity = 65535);
    REFUSED(worker_hello, m->capacity = 65536, "capacity", "capacity 65536: allowed is 1 to 65535");
    REFUSED(worker_hello, m->has_capacity = 0, "capacity",
            "capacity is missing: allowed is 1 to 65535");
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

/* SPDX-License-Identifier: MIT
 *
 * What the broker answered, as plain structs; and that what makes no sense is refused, not trusted.
 * (What a broker usually answers is tested through the client, against one.)
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/v1/envelope.pb-c.h>

#include "base/rng.h"
#include "base/text.h"
#include "client/translate.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/wire.h"
#include "support/faulty.h"

struct fixture {
    struct berth_buf frame;
    struct berth_answer *answer;
    struct berth_error err;
    uint64_t number;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    berth_buf_init(&f.frame, BERTH_FRAME_BYTES_MAX);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_buf_fini(&f->frame);
    berth_answer_free(f->answer);
    return 0;
}

static int read_frame(struct fixture *f)
{
    berth_answer_free(f->answer);
    f->answer = NULL;
    return berth_answer_read(berth_buf_slice(&f->frame), &f->answer, &f->number, &f->err);
}

static void pack(struct fixture *f, Berth__V1__Envelope *envelope)
{
    berth_buf_clear(&f->frame);
    assert_ok(berth_wire_pack(envelope, &f->frame));
}

#define PACK(f, number, name, member, message)                                                     \
    do {                                                                                           \
        Berth__V1__Envelope envelope;                                                              \
        berth_wire_init(&envelope, number);                                                        \
        envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_##name;                               \
        envelope.member = message;                                                                 \
        pack(f, &envelope);                                                                        \
    } while (0)

static void give_job(struct fixture *f, const char *body, const char *result)
{
    Berth__V1__Job job = BERTH__V1__JOB__INIT;
    job.has_id = job.has_dispatcher = job.has_handler = job.has_state = 1;
    job.id = 8;
    job.dispatcher = berth_bytes_of(berth_slice_of("io"));
    job.handler = berth_bytes_of(berth_slice_of("exec"));
    job.state = BERTH__V1__JOB_STATE__JOB_STATE_RUNNING;
    job.has_max_attempts = job.has_submitted_us = job.has_reason = 1;
    job.max_attempts = 5;
    job.submitted_us = 77;
    job.reason = berth_bytes_of(berth_slice_of("runs on host-1"));
    job.has_body = body != NULL;
    job.body = berth_bytes_of(berth_slice_of(body));
    job.has_result = result != NULL;
    job.result = berth_bytes_of(berth_slice_of(result));
    Berth__V1__Job *rows[] = { &job };
    Berth__V1__Jobs jobs = BERTH__V1__JOBS__INIT;
    jobs.n_job = 1;
    jobs.job = rows;
    jobs.has_next = 1;
    jobs.next = 8;
    PACK(f, 3, JOBS, jobs, &jobs);
}

static void a_job_has_empty_texts_where_there_is_nothing(void **state)
{
    struct fixture *f = *state;
    give_job(f, NULL, NULL);

    assert_ok(read_frame(f));

    assert_int_equal(f->answer->number, 3);
    assert_int_equal(f->answer->type, BERTH_ANSWER_JOBS);
    assert_int_equal(f->answer->jobs.count, 1);
    assert_int_equal(f->answer->jobs.next.v, 8);
    const struct berth_job *job = &f->answer->jobs.items[0];
    assert_string_equal(job->dispatcher, "io");
    assert_string_equal(job->reason, "runs on host-1");
    assert_string_equal(job->idempotency_key, "");
    assert_string_equal(job->error_kind, "");
    assert_string_equal(job->worker, "");
    assert_null(job->command);
    assert_false(job->has_result);
    assert_int_equal(job->submitted_unix_us, 77);
    assert_int_equal(job->finished_unix_us, 0);
}

static void a_body_or_result_that_makes_no_sense_does_not_hide_the_job(void **state)
{
    struct fixture *f = *state;
    give_job(f, "\xff\xff\xff\xff\xff", "\x0a\x7f");

    assert_ok(read_frame(f));

    const struct berth_job *job = &f->answer->jobs.items[0];
    assert_int_equal(job->id.v, 8);
    assert_null(job->command);
    assert_false(job->has_result);
}

static void an_error_carries_code_and_sentence(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Error error;
    berth_wire_error(BERTH_EFULL, "jobs", "the dispatcher 'mail' has 100 jobs waiting", &error);
    PACK(f, 4, ERROR, error, &error);

    assert_ok(read_frame(f));

    assert_int_equal(f->answer->type, BERTH_ANSWER_ERROR);
    assert_int_equal(f->answer->error.code, BERTH_EFULL);
    assert_string_equal(f->answer->error.message, "the dispatcher 'mail' has 100 jobs waiting");
}

static void an_error_of_the_version_says_both(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Error error;
    berth_wire_error(BERTH_EVERSION, NULL, "no", &error);
    error.version_min = 2;
    error.version_max = 4;
    PACK(f, 0, ERROR, error, &error);

    assert_ok(read_frame(f));

    assert_int_equal(f->answer->error.code, BERTH_EVERSION);
    assert_string_equal(f->answer->error.message, "the broker speaks version 2 to 4 of the "
                                                  "protocol, and this program 1");
}

static void an_error_of_our_own_is_one(void **state)
{
    struct fixture *f = *state;
    f->answer =
        berth_answer_of_error(5, &(struct berth_error){ .code = -EIO, .message = "something" });
    assert_int_equal(f->answer->number, 5);
    assert_int_equal(f->answer->type, BERTH_ANSWER_ERROR);
    assert_string_equal(f->answer->error.message, "something");
}

static void a_frame_of_another_version_still_names_its_request(void **state)
{
    struct fixture *f = *state;
    Berth__V1__WorkerList list = BERTH__V1__WORKER_LIST__INIT;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 6);
    envelope.version = 9;
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_LIST;
    envelope.worker_list = &list;
    pack(f, &envelope);

    assert_rc(read_frame(f), BERTH_EVERSION);

    assert_int_equal(f->number, 6);
    assert_null(f->answer);
}

static void what_is_no_answer_is_refused(void **state)
{
    struct fixture *f = *state;
    Berth__V1__WorkerList list = BERTH__V1__WORKER_LIST__INIT;
    PACK(f, 6, WORKER_LIST, worker_list, &list);
    assert_rc(read_frame(f), BERTH_EPROTO);
    assert_int_equal(f->number, 6);

    berth_buf_clear(&f->frame);
    assert_rc(read_frame(f), BERTH_EPROTO);
    assert_ok(berth_buf_append_text(&f->frame, "GET / HTTP/1.1\r\n\r\n"));
    assert_rc(read_frame(f), BERTH_EPROTO);
}

static void no_truncation_and_no_flipped_bit_does_harm(void **state)
{
    struct fixture *f = *state;
    give_job(f,
             "\x0a\x04"
             "date",
             "\x08\x02\x12\x02ok");
    struct berth_buf whole = f->frame;
    assert_ok(read_frame(f));
    assert_string_equal(f->answer->jobs.items[0].command[0], "date");
    for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
        f->frame.bytes = bytes;
        assert_true(read_frame(f) < 0);
    }
    f->frame.bytes = whole.bytes;
    struct berth_rng rng;
    berth_rng_init(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        size_t at = berth_rng_below(&rng, whole.bytes);
        char before = f->frame.data[at];
        f->frame.data[at] = (char)(before ^ (1 << berth_rng_below(&rng, 8)));
        (void)read_frame(f);
        f->frame.data[at] = before;
    }
    assert_ok(read_frame(f));
}

static void out_of_memory_is_an_answer(void **state)
{
    struct fixture *f = *state;
    give_job(f,
             "\x0a\x04"
             "date",
             "\x08\x02\x12\x02ok");
    FAULTY_FOREACH(n)
    {
        int rc = read_frame(f);
        if (faulty_stop()) {
            assert_rc(rc, -ENOMEM);
            assert_null(f->answer);
        } else {
            assert_ok(rc);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_job_has_empty_texts_where_there_is_nothing),
        TEST(a_body_or_result_that_makes_no_sense_does_not_hide_the_job),
        TEST(an_error_carries_code_and_sentence),
        TEST(an_error_of_the_version_says_both),
        TEST(an_error_of_our_own_is_one),
        TEST(a_frame_of_another_version_still_names_its_request),
        TEST(what_is_no_answer_is_refused),
        TEST(no_truncation_and_no_flipped_bit_does_harm),
        TEST(out_of_memory_is_an_answer),
    };
    return berth_test_main(tests, NULL, NULL);
}

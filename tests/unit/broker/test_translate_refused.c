/* SPDX-License-Identifier: MIT */
/* Bad frames of clients: each is answered by name, or not at all. */
#include "translate_fixture.h"

static Berth__V1__Error *refusal(struct fixture *f, struct berth_slice frame)
{
    struct berth_event event;
    struct berth_slice answer;
    assert_int_equal(take_frame(f, frame, &event, &answer), BERTH_TRANSLATED_ANSWER);
    Berth__V1__Envelope *back = opened(f, answer, BERTH_SIDE_CLIENT);
    assert_int_equal(back->message_case, BERTH__V1__ENVELOPE__MESSAGE_ERROR);
    assert_true(back->error->message.len > 0);
    return back->error;
}

static void assert_refused(struct fixture *f, const Berth__V1__Envelope *e, const char *field)
{
    Berth__V1__Error *error = refusal(f, packed(f, e));
    assert_int_equal(error->code, BERTH__V1__ERROR_CODE__ERROR_INVALID);
    assert_bytes(error->field, field);
}

static void bytes_that_are_no_frame_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char garbage[] = "\xff\xff\xff\xff garbage";
    Berth__V1__Error *error = refusal(f, (struct berth_slice){ garbage, sizeof garbage });
    assert_int_equal(error->code, BERTH__V1__ERROR_CODE__ERROR_INVALID);
    error = refusal(f, (struct berth_slice){ 0 });
    assert_int_equal(error->code, BERTH__V1__ERROR_CODE__ERROR_INVALID);
}

static void a_frame_cut_anywhere_is_refused_or_whole(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    struct least least;
    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    struct berth_slice frame = packed(f, &e);
    for (size_t cut = 0; cut < frame.bytes; cut++) {
        Berth__V1__Error *error = refusal(f, (struct berth_slice){ frame.data, cut });
        assert_int_equal(error->code, BERTH__V1__ERROR_CODE__ERROR_INVALID);
    }
}

static void a_frame_over_the_limit_is_refused_under_its_request(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    struct least least;
    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    struct berth_slice head = packed(f, &e);
    size_t large_bytes = BERTH_FRAME_BYTES_MAX + 1;
    BERTH_AUTO_MEM char *large = calloc(1, large_bytes);
    memcpy(large, head.data, head.bytes);
    struct berth_event event;
    struct berth_slice answer;

    assert_int_equal(take_frame(f, (struct berth_slice){ large, large_bytes }, &event, &answer),
                     BERTH_TRANSLATED_ANSWER);

    Berth__V1__Envelope *back = opened(f, answer, BERTH_SIDE_CLIENT);
    assert_int_equal(back->request, REQUEST);
    assert_int_equal(back->error->code, BERTH__V1__ERROR_CODE__ERROR_TOO_LARGE);
}

static void another_version_is_told_which_ones_are_spoken(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    struct least least;
    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    e.version = 2;

    Berth__V1__Error *error = refusal(f, packed(f, &e));

    assert_int_equal(error->code, BERTH__V1__ERROR_CODE__ERROR_VERSION);
    assert_int_equal(error->version_min, 1);
    assert_int_equal(error->version_max, 1);
}

static void a_message_of_two_frames_is_refused(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    struct least least;
    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    const struct berth_incoming incoming = { .peer = PEER,
                                             .frame = packed(f, &e),
                                             .frame_count = 2 };
    struct berth_event event;
    struct berth_slice answer;

    assert_int_equal(berth_translate_in(f->translate, &incoming, &event, &answer),
                     BERTH_TRANSLATED_ANSWER);

    Berth__V1__Envelope *back = opened(f, answer, BERTH_SIDE_CLIENT);
    assert_int_equal(back->error->code, BERTH__V1__ERROR_CODE__ERROR_INVALID);
    assert_bytes(back->error->message, "a message of 2 frames: allowed is 1");
}

static void each_bad_field_of_a_submit_is_named(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    struct least least;
    uint32_t number = 1;
    int32_t priority = 300;
    uint64_t columns[2] = { 0 };

    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    least.m.client = bytes("short");
    assert_refused(f, &e, "client");

    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    least.handler = bytes("../evil");
    assert_refused(f, &e, "handlers");

    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    least.dispatcher = bytes("");
    assert_refused(f, &e, "dispatchers");

    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    least.m.n_dispatcher = 1;
    least.m.dispatcher = &number;
    assert_refused(f, &e, "dispatcher");

    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    least.m.n_priority = 1;
    least.m.priority = &priority;
    assert_refused(f, &e, "priority");

    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    least.m.n_delay_ms = 2;
    least.m.delay_ms = columns;
    assert_refused(f, &e, "delay_ms");

    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));
    least.body_bytes = 3;
    assert_refused(f, &e, "body_bytes");
}

static void each_bad_field_of_a_question_is_named(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__JobWait wait = BERTH__V1__JOB_WAIT__INIT;
    ENVELOPE(&e, JOB_WAIT, job_wait, &wait);
    assert_refused(f, &e, "id");

    Berth__V1__JobList list = BERTH__V1__JOB_LIST__INIT;
    list.has_count_max = 1;
    list.count_max = 1001;
    ENVELOPE(&e, JOB_LIST, job_list, &list);
    assert_refused(f, &e, "count_max");

    Berth__V1__DispatcherSet set = BERTH__V1__DISPATCHER_SET__INIT;
    set.has_name = set.has_limit_kind = 1;
    set.name = bytes("no spaces");
    set.limit_kind = BERTH__V1__LIMIT_KIND__LIMIT_CORES;
    ENVELOPE(&e, DISPATCHER_SET, dispatcher_set, &set);
    assert_refused(f, &e, "name");
    set.name = bytes("io");
    set.limit_kind = (Berth__V1__LimitKind)9;
    assert_refused(f, &e, "limit_kind");

    Berth__V1__WorkerList workers = BERTH__V1__WORKER_LIST__INIT;
    ENVELOPE(&e, WORKER_LIST, worker_list, &workers);
    e.request = 0;
    assert_refused(f, &e, "request");
}

static void what_only_a_broker_says_is_refused(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__Submitted m = BERTH__V1__SUBMITTED__INIT;
    ENVELOPE(&e, SUBMITTED, submitted, &m);
    Berth__V1__Error *error = refusal(f, packed(f, &e));
    assert_int_equal(error->code, BERTH__V1__ERROR_CODE__ERROR_INVALID);
}

static void an_error_is_not_answered(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__Error m = BERTH__V1__ERROR__INIT;
    struct berth_event event;
    struct berth_slice answer;
    ENVELOPE(&e, ERROR, error, &m);
    assert_int_equal(take_frame(f, packed(f, &e), &event, &answer), BERTH_TRANSLATED_NOTHING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(bytes_that_are_no_frame_are_refused),
        TEST(a_frame_cut_anywhere_is_refused_or_whole),
        TEST(a_frame_over_the_limit_is_refused_under_its_request),
        TEST(another_version_is_told_which_ones_are_spoken),
        TEST(a_message_of_two_frames_is_refused),
        TEST(each_bad_field_of_a_submit_is_named),
        TEST(each_bad_field_of_a_question_is_named),
        TEST(what_only_a_broker_says_is_refused),
        TEST(an_error_is_not_answered),
    };
    return berth_test_main(tests, NULL, NULL);
}

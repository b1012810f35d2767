/* SPDX-License-Identifier: MIT */
/* Frames of clients become events. Bad ones: test_translate_refused.c. */
#include "translate_fixture.h"

static void a_submit_becomes_an_event_with_all_its_columns(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__Submit m = BERTH__V1__SUBMIT__INIT;
    ProtobufCBinaryData dispatchers[] = { bytes("default"), bytes("io") };
    ProtobufCBinaryData handlers[] = { bytes("exec"), bytes("mail") };
    uint32_t dispatcher[] = { 1, 0 }, handler[] = { 0, 1 }, max_attempts[] = { 0, 3 };
    int32_t priority[] = { -100, 100 };
    uint64_t delay_ms[] = { 0, 500 }, timeout_ms[] = { 1000, 0 };
    uint32_t key_bytes[] = { 0, 3 }, body_bytes[] = { 2, 0 };
    m.has_client = m.has_keys = m.has_bodies = 1;
    m.client = bytes(ID16);
    m.keys = bytes("key");
    m.bodies = bytes("bb");
    m.n_dispatchers = m.n_handlers = m.n_dispatcher = m.n_handler = m.n_priority = m.n_delay_ms =
        m.n_max_attempts = m.n_timeout_ms = m.n_key_bytes = m.n_body_bytes = 2;
    m.dispatchers = dispatchers;
    m.handlers = handlers;
    m.dispatcher = dispatcher;
    m.handler = handler;
    m.priority = priority;
    m.delay_ms = delay_ms;
    m.max_attempts = max_attempts;
    m.timeout_ms = timeout_ms;
    m.key_bytes = key_bytes;
    m.body_bytes = body_bytes;
    ENVELOPE(&e, SUBMIT, submit, &m);

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_SUBMIT);
    assert_int_equal(event.submit.peer, PEER);
    assert_int_equal(event.submit.request, REQUEST);
    assert_memory_equal(event.submit.client, ID16, 16);
    assert_int_equal(event.submit.dispatcher_count, 2);
    assert_slice(event.submit.dispatchers[1], "io");
    assert_int_equal(event.submit.handler_count, 2);
    assert_slice(event.submit.handlers[0], "exec");
    assert_int_equal(event.submit.count, 2);
    const struct berth_submit_item *a = &event.submit.items[0], *b = &event.submit.items[1];
    assert_int_equal(a->dispatcher, 1);
    assert_int_equal(a->handler, 0);
    assert_int_equal(a->priority, -100);
    assert_int_equal(a->delay_ms, 0);
    assert_int_equal(a->max_attempts, 0);
    assert_int_equal(a->timeout_ms, 1000);
    assert_slice(a->key, "");
    assert_slice(a->body, "bb");
    assert_int_equal(b->dispatcher, 0);
    assert_int_equal(b->handler, 1);
    assert_int_equal(b->priority, 100);
    assert_int_equal(b->delay_ms, 500);
    assert_int_equal(b->max_attempts, 3);
    assert_int_equal(b->timeout_ms, 0);
    assert_slice(b->key, "key");
    assert_slice(b->body, "");
}

static void options_of_jobs_are_read_beside_each_other(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__Submit m = BERTH__V1__SUBMIT__INIT;
    ProtobufCBinaryData dispatcher = bytes("default"), handler = bytes("exec");
    uint32_t body_bytes[] = { 0, 0, 0 }, group_bytes[] = { 1, 0, 2 }, unique_bytes[] = { 0, 3, 0 };
    uint32_t on_conflict[] = { 0, 1, 0 }, after_count[] = { 2, 0, 1 };
    uint64_t run_at_us[] = { 0, 0, 99 }, queue_timeout_ms[] = { 5, 0, 0 };
    uint64_t deadline_ms[] = { 0, 6, 0 }, backoff_ms[] = { 0, 7, 0 },
             backoff_max_ms[] = { 0, 8, 9 };
    uint64_t after[] = { 11, 12, 13 };
    m.has_client = m.has_groups = m.has_uniques = 1;
    m.client = bytes(ID16);
    m.groups = bytes("gHH");
    m.uniques = bytes("uuu");
    m.n_dispatchers = m.n_handlers = 1;
    m.dispatchers = &dispatcher;
    m.handlers = &handler;
    m.n_body_bytes = m.n_group_bytes = m.n_unique_bytes = m.n_on_conflict = m.n_after_count =
        m.n_run_at_us = m.n_queue_timeout_ms = m.n_deadline_ms = m.n_backoff_ms =
            m.n_backoff_max_ms = m.n_after = 3;
    m.body_bytes = body_bytes;
    m.group_bytes = group_bytes;
    m.unique_bytes = unique_bytes;
    m.on_conflict = on_conflict;
    m.after_count = after_count;
    m.run_at_us = run_at_us;
    m.queue_timeout_ms = queue_timeout_ms;
    m.deadline_ms = deadline_ms;
    m.backoff_ms = backoff_ms;
    m.backoff_max_ms = backoff_max_ms;
    m.after = after;
    ENVELOPE(&e, SUBMIT, submit, &m);

    const struct berth_event event = taken(f, &e);

    const struct berth_submit_item *items = event.submit.items;
    assert_slice(items[0].group, "g");
    assert_slice(items[1].group, "");
    assert_slice(items[2].group, "HH");
    assert_slice(items[1].unique, "uuu");
    assert_slice(items[2].unique, "");
    assert_int_equal(items[1].on_conflict, BERTH_ON_CONFLICT_EXISTING);
    assert_int_equal(items[2].on_conflict, BERTH_ON_CONFLICT_REJECT);
    assert_int_equal(items[2].run_at_us, 99);
    assert_int_equal(items[0].queue_timeout_ms, 5);
    assert_int_equal(items[1].deadline_ms, 6);
    assert_int_equal(items[1].backoff_ms, 7);
    assert_int_equal(items[1].backoff_ms_max, 8);
    assert_int_equal(items[2].backoff_ms_max, 9);
    assert_int_equal(items[0].after_count, 2);
    assert_int_equal(items[0].after[1], 12);
    assert_int_equal(items[1].after_count, 0);
    assert_int_equal(items[2].after_count, 1);
    assert_int_equal(items[2].after[0], 13);
}

static void columns_left_out_mean_zero(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    struct least least;
    ENVELOPE(&e, SUBMIT, submit, least_submit(&least));

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.submit.count, 1);
    const struct berth_submit_item *item = event.submit.items;
    assert_int_equal(item->dispatcher + item->handler + item->max_attempts, 0);
    assert_int_equal(item->priority, 0);
    assert_int_equal(item->delay_ms + item->timeout_ms + item->run_at_us, 0);
    assert_int_equal(item->queue_timeout_ms + item->deadline_ms, 0);
    assert_int_equal(item->backoff_ms + item->backoff_ms_max, 0);
    assert_int_equal(item->on_conflict + item->after_count, 0);
    assert_slice(item->group, "");
    assert_slice(item->unique, "");
    assert_slice(item->key, "");
    assert_slice(item->body, "bb");
}

static void ids_become_waits_cancels_and_gets(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    const int types[] = { BERTH_EV_WAIT, BERTH_EV_CANCEL, BERTH_EV_JOB_GET };
    uint64_t ids[] = { 5, 3 };
    Berth__V1__JobWait wait = BERTH__V1__JOB_WAIT__INIT;
    Berth__V1__JobCancel cancel = BERTH__V1__JOB_CANCEL__INIT;
    Berth__V1__JobGet get = BERTH__V1__JOB_GET__INIT;
    wait.n_id = cancel.n_id = get.n_id = 2;
    cancel.has_is_forced = cancel.is_forced = 1;
    wait.id = cancel.id = get.id = ids;

    for (int i = 0; i < 3; i++) {
        if (i == 0)
            ENVELOPE(&e, JOB_WAIT, job_wait, &wait);
        else if (i == 1)
            ENVELOPE(&e, JOB_CANCEL, job_cancel, &cancel);
        else
            ENVELOPE(&e, JOB_GET, job_get, &get);
        struct berth_event event = taken(f, &e);
        assert_int_equal(event.type, types[i]);
        assert_int_equal(event.ids.peer, PEER);
        assert_int_equal(event.ids.request, REQUEST);
        assert_int_equal(event.ids.count, 2);
        assert_int_equal(event.ids.is_forced, i == 1);
        assert_int_equal(event.ids.ids[0], 5);
        assert_int_equal(event.ids.ids[1], 3);
    }
}

static void a_question_for_output_says_what_is_known(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__JobOutputGet m = BERTH__V1__JOB_OUTPUT_GET__INIT;
    m.has_id = m.has_attempt = m.has_out_from = m.has_err_from = 1;
    m.id = 5;
    m.attempt = 2;
    m.out_from = 70000;
    m.err_from = 3;
    ENVELOPE(&e, JOB_OUTPUT_GET, job_output_get, &m);

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_JOB_OUTPUT);
    assert_int_equal(event.job_output.peer, PEER);
    assert_int_equal(event.job_output.request, REQUEST);
    assert_int_equal(event.job_output.id, 5);
    assert_int_equal(event.job_output.attempt, 2);
    assert_int_equal(event.job_output.out_from, 70000);
    assert_int_equal(event.job_output.err_from, 3);
}

static void a_list_has_its_filters_or_their_defaults(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__JobList m = BERTH__V1__JOB_LIST__INIT;
    ENVELOPE(&e, JOB_LIST, job_list, &m);

    struct berth_event event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_JOB_LIST);
    assert_slice(event.job_list.dispatcher, "");
    assert_int_equal(event.job_list.state, 0);
    assert_int_equal(event.job_list.after, 0);
    assert_false(event.job_list.is_newest_first);
    assert_false(event.job_list.with_bodies);
    assert_int_equal(event.job_list.count_max, 100);

    m.has_dispatcher = m.has_state = m.has_after = m.has_newest_first = m.has_count_max = 1;
    m.dispatcher = bytes("io");
    m.state = BERTH__V1__JOB_STATE__JOB_STATE_DEAD;
    m.after = 17;
    m.newest_first = 1;
    m.has_with_bodies = m.with_bodies = 1;
    m.count_max = 1000;
    event = taken(f, &e);
    assert_slice(event.job_list.dispatcher, "io");
    assert_int_equal(event.job_list.state, BERTH_DEAD);
    assert_int_equal(event.job_list.after, 17);
    assert_true(event.job_list.is_newest_first);
    assert_true(event.job_list.with_bodies);
    assert_int_equal(event.job_list.count_max, 1000);
}

static void setting_a_dispatcher_carries_only_what_was_given(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__DispatcherSet m = BERTH__V1__DISPATCHER_SET__INIT;
    m.has_name = 1;
    m.name = bytes("newsletter");
    m.has_grace_ms = 1;
    m.grace_ms = 0;
    ENVELOPE(&e, DISPATCHER_SET, dispatcher_set, &m);

    struct berth_ev_dispatcher_set set = taken(f, &e).dispatcher_set;
    assert_slice(set.name, "newsletter");
    assert_true(set.has_grace);
    assert_int_equal(set.grace_ms, 0);
    assert_false(set.has_limit || set.has_max_attempts || set.has_backoff || set.has_backoff_max ||
                 set.has_timeout);

    m.has_limit_kind = m.has_limit_value = m.has_max_attempts = m.has_backoff_ms =
        m.has_backoff_max_ms = m.has_timeout_ms = 1;
    m.limit_kind = BERTH__V1__LIMIT_KIND__LIMIT_MAX_CORES;
    m.limit_value = 64;
    m.max_attempts = 9;
    m.backoff_ms = 10;
    m.backoff_max_ms = 20;
    m.timeout_ms = 30;
    set = taken(f, &e).dispatcher_set;
    assert_true(set.has_limit && set.has_max_attempts && set.has_backoff && set.has_backoff_max &&
                set.has_timeout);
    assert_int_equal(set.limit.kind, BERTH_LIMIT_MAX_CORES);
    assert_int_equal(set.limit.value, 64);
    assert_int_equal(set.max_attempts, 9);
    assert_int_equal(set.backoff_ms, 10);
    assert_int_equal(set.backoff_ms_max, 20);
    assert_int_equal(set.timeout_ms, 30);
}

static void limits_of_a_dispatcher_are_carried_if_given(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__DispatcherSet m = BERTH__V1__DISPATCHER_SET__INIT;
    m.has_name = 1;
    m.name = bytes("newsletter");
    ENVELOPE(&e, DISPATCHER_SET, dispatcher_set, &m);
    struct berth_ev_dispatcher_set set = taken(f, &e).dispatcher_set;
    assert_false(set.has_parent || set.has_weight || set.has_group_limit || set.has_rate ||
                 set.has_burst || set.has_max_queued || set.has_hold || set.has_on_lost ||
                 set.has_jitter || set.has_queue_timeout || set.has_deadline || set.has_retention ||
                 set.has_retention_count);
    assert_slice(set.changed_by, "");

    m.has_parent = m.has_weight = m.has_group_limit = m.has_rate_count = m.has_rate_ms =
        m.has_burst = m.has_max_queued = m.has_hold = m.has_on_lost = m.has_no_jitter =
            m.has_queue_timeout_ms = m.has_deadline_ms = m.has_retention_ms =
                m.has_retention_count = m.has_changed_by = 1;
    m.parent = bytes("default");
    m.weight = 3;
    m.group_limit = 4;
    m.rate_count = 5;
    m.rate_ms = 3600000;
    m.burst = 6;
    m.max_queued = 7;
    m.hold = 1;
    m.on_lost = 1;
    m.no_jitter = 1;
    m.queue_timeout_ms = 8;
    m.deadline_ms = 9;
    m.retention_ms = 10;
    m.retention_count = 11;
    m.changed_by = bytes("alice@host");
    set = taken(f, &e).dispatcher_set;
    assert_true(set.has_parent && set.has_weight && set.has_group_limit && set.has_rate &&
                set.has_burst && set.has_max_queued && set.has_hold && set.has_on_lost &&
                set.has_jitter && set.has_queue_timeout && set.has_deadline && set.has_retention &&
                set.has_retention_count);
    assert_slice(set.parent, "default");
    assert_int_equal(set.weight, 3);
    assert_int_equal(set.group_limit, 4);
    assert_int_equal(set.rate_count, 5);
    assert_int_equal(set.rate_ms, 3600000);
    assert_int_equal(set.burst, 6);
    assert_int_equal(set.max_queued, 7);
    assert_int_equal(set.hold, BERTH_HOLD_RUNNING);
    assert_int_equal(set.on_lost, BERTH_ON_LOST_HOLD);
    assert_true(set.no_jitter);
    assert_int_equal(set.queue_timeout_ms, 8);
    assert_int_equal(set.deadline_ms, 9);
    assert_int_equal(set.retention_ms, 10);
    assert_int_equal(set.retention_count, 11);
    assert_slice(set.changed_by, "alice@host");

    m.parent.len = 0;
    set = taken(f, &e).dispatcher_set;
    assert_true(set.has_parent);
    assert_slice(set.parent, "");
}

static void operators_questions_become_events(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__DispatcherPause pause = BERTH__V1__DISPATCHER_PAUSE__INIT;
    pause.has_name = pause.has_is_paused = 1;
    pause.name = bytes("io");
    pause.is_paused = 1;
    pause.has_changed_by = 1;
    pause.changed_by = bytes("bob@h");
    ENVELOPE(&e, DISPATCHER_PAUSE, dispatcher_pause, &pause);
    struct berth_event event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_DISPATCHER_PAUSE);
    assert_slice(event.dispatcher_pause.name, "io");
    assert_true(event.dispatcher_pause.is_paused);
    assert_slice(event.dispatcher_pause.changed_by, "bob@h");
    assert_int_equal(event.dispatcher_pause.request, REQUEST);

    Berth__V1__DispatcherGet get = BERTH__V1__DISPATCHER_GET__INIT;
    ENVELOPE(&e, DISPATCHER_GET, dispatcher_get, &get);
    event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_DISPATCHER_GET);
    assert_slice(event.query.name, "");
    assert_int_equal(event.query.peer, PEER);

    Berth__V1__WorkerList workers = BERTH__V1__WORKER_LIST__INIT;
    ENVELOPE(&e, WORKER_LIST, worker_list, &workers);
    event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_WORKER_LIST);
    assert_int_equal(event.query.request, REQUEST);

    Berth__V1__BrokerStatusGet status = BERTH__V1__BROKER_STATUS_GET__INIT;
    ENVELOPE(&e, BROKER_STATUS_GET, broker_status_get, &status);
    assert_int_equal(taken(f, &e).type, BERTH_EV_STATUS);
}

static void a_clients_hello_is_answered_with_the_bounds(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__ClientHello m = BERTH__V1__CLIENT_HELLO__INIT;
    struct berth_event event;
    struct berth_slice answer;
    m.has_client = 1;
    m.client = bytes(ID16);
    ENVELOPE(&e, CLIENT_HELLO, client_hello, &m);

    assert_int_equal(take_frame(f, packed(f, &e), &event, &answer), BERTH_TRANSLATED_ANSWER);

    Berth__V1__Envelope *back = opened(f, answer, BERTH_SIDE_CLIENT);
    assert_int_equal(back->message_case, BERTH__V1__ENVELOPE__MESSAGE_CLIENT_WELCOME);
    assert_int_equal(back->request, REQUEST);
    assert_int_equal(back->client_welcome->epoch, 3);
    assert_bytes(back->client_welcome->software, "berthd test");
    assert_int_equal(back->client_welcome->frame_bytes_max, BERTH_FRAME_BYTES_MAX);
    assert_int_equal(back->client_welcome->jobs_max, 10000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_submit_becomes_an_event_with_all_its_columns),
        TEST(options_of_jobs_are_read_beside_each_other),
        TEST(columns_left_out_mean_zero),
        TEST(ids_become_waits_cancels_and_gets),
        TEST(a_question_for_output_says_what_is_known),
        TEST(a_list_has_its_filters_or_their_defaults),
        TEST(setting_a_dispatcher_carries_only_what_was_given),
        TEST(limits_of_a_dispatcher_are_carried_if_given),
        TEST(operators_questions_become_events),
        TEST(a_clients_hello_is_answered_with_the_bounds),
    };
    return berth_test_main(tests, NULL, NULL);
}

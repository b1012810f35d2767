/* SPDX-License-Identifier: MIT
 *
 * Messages of schedules become events, and schedules messages.
 */
#include "translate_fixture.h"

#include "broker/core/recur/schedule.h"

static void a_schedule_that_is_set_becomes_an_event_with_its_job(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__Submit job = BERTH__V1__SUBMIT__INIT;
    ProtobufCBinaryData dispatchers[] = { bytes("reports") }, handlers[] = { bytes("exec") };
    int32_t priority[] = { -5 };
    uint32_t body_bytes[] = { 2 };
    job.n_dispatchers = job.n_handlers = job.n_priority = job.n_body_bytes = 1;
    job.dispatchers = dispatchers;
    job.handlers = handlers;
    job.priority = priority;
    job.body_bytes = body_bytes;
    job.has_bodies = 1;
    job.bodies = bytes("ls");
    Berth__V1__ScheduleSet m = BERTH__V1__SCHEDULE_SET__INIT;
    m.has_name = m.has_cron = m.has_tz = m.has_overlap = m.has_changed_by = 1;
    m.name = bytes("nightly");
    m.cron = bytes("@daily");
    m.tz = bytes("Europe/Berlin");
    m.overlap = 1;
    m.changed_by = bytes("ops@host");
    m.job = &job;
    ENVELOPE(&e, SCHEDULE_SET, schedule_set, &m);

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_SCHEDULE_SET);
    const struct berth_ev_schedule_set *set = &event.schedule_set;
    assert_int_equal(set->peer, PEER);
    assert_int_equal(set->request, REQUEST);
    assert_slice(set->name, "nightly");
    assert_true(set->has_cron);
    assert_slice(set->cron, "@daily");
    assert_true(set->has_zone);
    assert_slice(set->zone, "Europe/Berlin");
    assert_true(set->has_overlap);
    assert_int_equal(set->overlap, SCHEDULE_OVERLAP_QUEUE);
    assert_false(set->has_catch_up);
    assert_slice(set->changed_by, "ops@host");
    assert_true(set->has_job);
    assert_slice(set->dispatcher, "reports");
    assert_slice(set->handler, "exec");
    assert_int_equal(set->job.priority, -5);
    assert_slice(set->job.body, "ls");
}

static void names_of_schedules_become_events(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__SchedulePause pause = BERTH__V1__SCHEDULE_PAUSE__INIT;
    pause.has_name = pause.has_is_paused = 1;
    pause.name = bytes("nightly");
    pause.is_paused = 1;
    ENVELOPE(&e, SCHEDULE_PAUSE, schedule_pause, &pause);
    struct berth_event event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_SCHEDULE_PAUSE);
    assert_slice(event.schedule_name.name, "nightly");
    assert_true(event.schedule_name.is_paused);
    assert_int_equal(event.schedule_name.peer, PEER);

    Berth__V1__ScheduleRemove remove = BERTH__V1__SCHEDULE_REMOVE__INIT;
    remove.has_name = 1;
    remove.name = bytes("nightly");
    ENVELOPE(&e, SCHEDULE_REMOVE, schedule_remove, &remove);
    event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_SCHEDULE_REMOVE);
    assert_slice(event.schedule_name.name, "nightly");

    Berth__V1__ScheduleList list = BERTH__V1__SCHEDULE_LIST__INIT;
    list.has_after = 1;
    list.after = 7;
    ENVELOPE(&e, SCHEDULE_LIST, schedule_list, &list);
    event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_SCHEDULE_LIST);
    assert_slice(event.schedule_list.name, "");
    assert_int_equal(event.schedule_list.after, 7);
    assert_int_equal(event.schedule_list.request, REQUEST);
}

static void schedules_become_a_message(void **state)
{
    struct fixture *f = *state;
    const struct berth_schedule_view views[] = {
        { .record = { .id = 1,
                      .name = "nightly",
                      .cron = berth_slice_of("@daily"),
                      .zone = berth_slice_of("UTC"),
                      .catch_up = SCHEDULE_CATCH_UP_ALL,
                      .dispatcher = 3,
                      .handler = berth_slice_of("exec"),
                      .body = berth_slice_of("ls"),
                      .priority = -5,
                      .deadline_ms = 9,
                      .changed_us = 11,
                      .changed_by = "ops@host" },
          .dispatcher = berth_slice_of("reports"),
          .done = { .last_job = 17,
                    .last_us = 1000,
                    .last_fate = SCHEDULE_REFUSED,
                    .last_text = berth_slice_of("why") },
          .next_us = 2000 },
        { .record = { .id = 2,
                      .name = "paused",
                      .cron = berth_slice_of("@daily"),
                      .zone = berth_slice_of("UTC"),
                      .is_paused = true,
                      .handler = berth_slice_of("mail") },
          .dispatcher = berth_slice_of("reports") },
    };
    struct berth_effect effect = { .type = BERTH_DO_SCHEDULES,
                                   .peer = PEER,
                                   .request = REQUEST,
                                   .schedules = { .items = views, .count = 2, .next = 2 } };

    const Berth__V1__Envelope *e = sent(f, &effect, BERTH_SIDE_CLIENT);

    assert_int_equal(e->request, REQUEST);
    assert_int_equal(e->message_case, BERTH__V1__ENVELOPE__MESSAGE_SCHEDULES);
    const Berth__V1__Schedules *m = e->schedules;
    assert_int_equal(m->next, 2);
    assert_int_equal(m->n_schedule, 2);
    const Berth__V1__Schedule *one = m->schedule[0], *two = m->schedule[1];
    assert_int_equal(one->id, 1);
    assert_bytes(one->name, "nightly");
    assert_bytes(one->cron, "@daily");
    assert_bytes(one->dispatcher, "reports");
    assert_bytes(one->handler, "exec");
    assert_bytes(one->body, "ls");
    assert_int_equal(one->catch_up, SCHEDULE_CATCH_UP_ALL);
    assert_int_equal(one->priority, -5);
    assert_int_equal(one->deadline_ms, 9);
    assert_int_equal(one->next_us, 2000);
    assert_int_equal(one->last_us, 1000);
    assert_int_equal(one->last_fate, SCHEDULE_REFUSED);
    assert_int_equal(one->last_job, 17);
    assert_bytes(one->last_text, "why");
    assert_bytes(one->changed_by, "ops@host");
    assert_true(two->is_paused);
    assert_false(two->has_next_us);
    assert_false(two->has_last_us);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_that_is_set_becomes_an_event_with_its_job),
        TEST(names_of_schedules_become_events),
        TEST(schedules_become_a_message),
    };
    return berth_test_main(tests, NULL, NULL);
}

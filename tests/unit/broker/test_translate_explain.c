/* SPDX-License-Identifier: MIT
 *
 * Why jobs wait, and what is asked about ended jobs and of dispatchers, in and out.
 */
#include "translate_fixture.h"

#include <errno.h>

static struct berth_slice slice(const char *text)
{
    return berth_slice_of(text);
}

static void an_explanation_of_a_job_has_all_that_was_found(void **state)
{
    struct fixture *f = *state;
    const struct berth_explain_cause cause = { .kind = "slots",
                                               .reason = slice("the limit is reached"),
                                               .count = 1,
                                               .job = 17,
                                               .at = slice("mail"),
                                               .in_use = 5,
                                               .limit = 5,
                                               .since_us = 1000,
                                               .next_us = INT64_MAX,
                                               .awaited = 16 };
    const struct berth_explain_limit limits[] = {
        { .name = slice("mail"), .limit = 5, .in_use = 5, .rate_count = 1, .rate_ms = 1000 },
        { .name = slice("all"), .limit = -1, .is_paused = true, .queued = 3 },
    };
    const struct berth_explain_holder holder = {
        .job = 3, .number = 2, .worker = slice("host"), .since_us = 900, .is_held = true
    };
    const struct berth_effect effect = {
        .type = BERTH_DO_EXPLAINED,
        .peer = PEER,
        .request = REQUEST,
        .explained = { .id = 17,
                       .dispatcher = slice("mail"),
                       .state = BERTH_READY,
                       .causes = &cause,
                       .cause_count = 1,
                       .limits = limits,
                       .limit_count = 2,
                       .holders = &holder,
                       .holder_count = 1,
                       .holder_sum = 5 },
    };
    const Berth__V1__Explained *m = sent(f, &effect, BERTH_SIDE_CLIENT)->explained;
    assert_int_equal(m->id, 17);
    assert_int_equal(m->state, BERTH__V1__JOB_STATE__JOB_STATE_READY);
    assert_int_equal(m->n_cause, 1);
    assert_bytes(m->cause[0]->kind, "slots");
    assert_bytes(m->cause[0]->at, "mail");
    assert_false(m->cause[0]->has_group);
    assert_false(m->cause[0]->has_next_us); /* never */
    assert_int_equal(m->cause[0]->awaited, 16);
    assert_int_equal(m->n_limit, 2);
    assert_int_equal(m->limit[0]->rate_ms, 1000);
    assert_false(m->limit[1]->has_limit);
    assert_true(m->limit[1]->is_paused);
    assert_int_equal(m->holder[0]->since_us, 900);
    assert_true(m->holder[0]->is_held);
    assert_int_equal(m->holder_count, 5);
}

static void an_explanation_of_a_dispatcher_has_no_id(void **state)
{
    struct fixture *f = *state;
    const struct berth_explain_group group = { .name = slice("tenant"), .in_use = 2 };
    const struct berth_effect effect = {
        .type = BERTH_DO_EXPLAINED,
        .peer = PEER,
        .request = REQUEST,
        .explained = { .dispatcher = slice("mail"),
                       .more = 4,
                       .groups = &group,
                       .group_count = 1,
                       .group_sum = 9 },
    };
    const Berth__V1__Explained *m = sent(f, &effect, BERTH_SIDE_CLIENT)->explained;
    assert_false(m->has_id);
    assert_false(m->has_state);
    assert_int_equal(m->more, 4);
    assert_bytes(m->group[0]->name, "tenant");
    assert_int_equal(m->group_count, 9);
}

static void questions_become_events(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__Explain explain = BERTH__V1__EXPLAIN__INIT;
    explain.has_dispatcher = 1;
    explain.dispatcher = bytes("mail");
    ENVELOPE(&e, EXPLAIN, explain, &explain);
    struct berth_event event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_EXPLAIN);
    assert_int_equal(event.explain.id, 0);
    assert_slice(event.explain.dispatcher, "mail");
    assert_int_equal(event.explain.peer, PEER);

    uint64_t ids[] = { 5, 6 };
    Berth__V1__JobRetry retry = BERTH__V1__JOB_RETRY__INIT;
    retry.id = ids;
    retry.n_id = 2;
    ENVELOPE(&e, JOB_RETRY, job_retry, &retry);
    event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_RETRY);
    assert_int_equal(event.ids.count, 2);
    assert_int_equal(event.ids.ids[1], 6);

    Berth__V1__JobDiscard discard = BERTH__V1__JOB_DISCARD__INIT;
    discard.id = ids;
    discard.n_id = 1;
    ENVELOPE(&e, JOB_DISCARD, job_discard, &discard);
    assert_int_equal(taken(f, &e).type, BERTH_EV_DISCARD);

    Berth__V1__DispatcherPurge purge = BERTH__V1__DISPATCHER_PURGE__INIT;
    purge.has_name = purge.has_below = purge.has_cursor = 1;
    purge.name = bytes("mail");
    purge.below = 70;
    purge.cursor = 7;
    ENVELOPE(&e, DISPATCHER_PURGE, dispatcher_purge, &purge);
    event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_DISPATCHER_PURGE);
    assert_slice(event.purge.name, "mail");
    assert_int_equal(event.purge.below, 70);
    assert_int_equal(event.purge.cursor, 7);

    Berth__V1__DispatcherRemove gone = BERTH__V1__DISPATCHER_REMOVE__INIT;
    gone.has_name = 1;
    gone.name = bytes("mail");
    ENVELOPE(&e, DISPATCHER_REMOVE, dispatcher_remove, &gone);
    event = taken(f, &e);
    assert_int_equal(event.type, BERTH_EV_DISPATCHER_REMOVE);
    assert_slice(event.query.name, "mail");
}

static void what_came_of_them_is_told(void **state)
{
    struct fixture *f = *state;
    const struct berth_changed_item items[] = {
        { .id = 5, .state = BERTH_DEAD },
        { .id = 6, .state = BERTH_CANCELLED, .code = BERTH_ECONFLICT, .other = 9 },
        { .id = 7, .state = BERTH_RUNNING, .code = -EALREADY },
    };
    struct berth_effect effect = { .type = BERTH_DO_CHANGED,
                                   .peer = PEER,
                                   .request = REQUEST,
                                   .changed = { .items = items, .count = 3 } };
    const Berth__V1__JobChanged *changed = sent(f, &effect, BERTH_SIDE_CLIENT)->job_changed;
    assert_int_equal(changed->n_id, 3);
    assert_int_equal(changed->code[0], 0);
    assert_int_equal(changed->code[1], BERTH__V1__ERROR_CODE__ERROR_CONFLICT);
    assert_int_equal(changed->code[2], BERTH__V1__ERROR_CODE__ERROR_ALREADY);
    assert_int_equal(changed->other[1], 9);
    assert_int_equal(changed->state[2], BERTH__V1__JOB_STATE__JOB_STATE_RUNNING);

    effect = (struct berth_effect){ .type = BERTH_DO_PURGED,
                                    .peer = PEER,
                                    .request = REQUEST,
                                    .purged = { .count = 4, .below = 70 } };
    const Berth__V1__DispatcherPurged *purged =
        sent(f, &effect, BERTH_SIDE_CLIENT)->dispatcher_purged;
    assert_int_equal(purged->count, 4);
    assert_false(purged->has_cursor);

    effect = (struct berth_effect){ .type = BERTH_DO_REMOVED, .peer = PEER, .request = REQUEST };
    assert_int_equal(sent(f, &effect, BERTH_SIDE_CLIENT)->message_case,
                     BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_REMOVED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_explanation_of_a_job_has_all_that_was_found),
        TEST(an_explanation_of_a_dispatcher_has_no_id),
        TEST(questions_become_events),
        TEST(what_came_of_them_is_told),
    };
    return berth_test_main(tests, NULL, NULL);
}

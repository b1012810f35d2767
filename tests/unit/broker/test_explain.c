/* SPDX-License-Identifier: MIT
 *
 * Why jobs wait: the reason of one taken apart, with who holds it up; of a dispatcher all of them.
 */
#include "scope_fixture.h"

#include "broker/core/show/explain.h"

static uint64_t explain_id(struct fixture *f, uint64_t id)
{
    uint64_t request = ++f->request;
    step(f, (struct berth_event){ .type = BERTH_EV_EXPLAIN,
                                  .explain = { .peer = CLIENT, .request = request, .id = id } });
    return request;
}

static const struct berth_do_explained *explained(const struct fixture *f, uint64_t request)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_EXPLAINED);
    assert_non_null(effect);
    return &effect->explained;
}

static const struct berth_do_explained *explain_job(struct fixture *f, uint64_t id)
{
    return explained(f, explain_id(f, id));
}

static const struct berth_do_explained *explain(struct fixture *f, const char *name)
{
    uint64_t request = ++f->request;
    step(f, (struct berth_event){
                .type = BERTH_EV_EXPLAIN,
                .explain = { .peer = CLIENT, .request = request, .dispatcher = text(name) } });
    return explained(f, request);
}

/* The one cause of this kind. */
static const struct berth_explain_cause *cause(const struct berth_do_explained *explained,
                                               const char *kind)
{
    const struct berth_explain_cause *found = NULL;
    for (size_t i = 0; i < explained->cause_count; i++)
        if (strcmp(explained->causes[i].kind, kind) == 0) {
            assert_null(found);
            found = &explained->causes[i];
        }
    assert_non_null(found);
    return found;
}

static void then_it_says_what_is_shown(struct fixture *f, uint64_t id,
                                       const struct berth_do_explained *explained)
{
    struct berth_slice shown_reason = shown(f, id)->reason;
    assert_int_equal(explained->cause_count, 1);
    assert_int_equal(explained->causes[0].count, 1);
    assert_int_equal(explained->causes[0].job, id);
    assert_int_equal(explained->causes[0].reason.bytes, shown_reason.bytes);
    assert_memory_equal(explained->causes[0].reason.data, shown_reason.data, shown_reason.bytes);
}

static void who_waits_for_a_slot_is_told_who_holds_them_and_since_when(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "all", 2);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 9 },
                                          .has_parent = true,
                                          .parent = text("all") },
        "eu");
    store_all(f);
    given_worker(f, 8);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "all" });
    advance(f, 1000);
    uint64_t second = given_running(f, (struct submit){ .dispatcher = "eu" });
    uint64_t waiting = given_job(f, (struct submit){ .dispatcher = "eu" });
    int64_t ready_us = f->wall_us;
    advance(f, 500);
    renew(f, &f->workers[0]);

    const struct berth_do_explained *why = explain_job(f, waiting);
    then_it_says_what_is_shown(f, waiting, why);
    assert_string_equal(why->causes[0].kind, "slots");
    assert_true(slice_is(why->causes[0].at, "all"));
    assert_int_equal(why->causes[0].in_use, 2);
    assert_int_equal(why->causes[0].limit, 2);
    assert_in_range(why->causes[0].since_us, ready_us, ready_us + SECOND_US);
    assert_int_equal(why->holder_sum, 2);
    assert_int_equal(why->holders[0].job, first);
    assert_int_equal(why->holders[0].since_us, f->wall_us - 1500000);
    assert_int_equal(why->holders[1].job, second);
    assert_true(slice_is(why->holders[1].worker, "w1"));
    assert_true(slice_is(why->holders[1].dispatcher, "eu"));
    assert_int_equal(why->limit_count, 2);
    assert_true(slice_is(why->limits[0].name, "eu"));
    assert_int_equal(why->limits[1].in_use, 2);
    assert_int_equal(why->state, BERTH_READY);
}

static void who_began_before_the_broker_did_has_held_its_slot_since_then(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_dispatcher_record one = {
        .id = 3, .name = "one", .limit = { BERTH_LIMIT_NUMBER, 1 }, .max_attempts = 5
    };
    struct berth_job_record job = {
        .id = 7, .dispatcher = 3, .handler = text("mail"), .state = BERTH_READY
    };
    struct worker *w = new_worker(f, 4);
    w->session = (uint64_t)(EPOCH - 1) << 40 | 1;
    struct berth_session_record session = {
        .id = w->session, .nonce = { w->nonce }, .child = 1, .lease_ms = L_MS
    };
    assert_int_equal(berth_core_load_dispatcher(f->core, &one), 0);
    assert_int_equal(berth_core_load_session(f->core, &session), 0);
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
    core_start(f);
    struct berth_join_line runs = line(w->session + 1, 7, 1);
    runs.end.run_us = 5 * SECOND_US;

    join(f, w, &runs, 1);
    int64_t started_us = f->wall_us - 5 * SECOND_US;
    advance(f, 500);

    const struct berth_do_explained *why = explain(f, "one");
    assert_int_equal(why->holder_sum, 1);
    assert_int_equal(why->holders[0].since_us, started_us);
}

static void the_oldest_twenty_are_shown_and_the_others_counted(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "many", 25);
    given_worker(f, 30);
    for (unsigned i = 0; i < 25; i++)
        given_running(f, (struct submit){ .dispatcher = "many" });
    uint64_t waiting = given_job(f, (struct submit){ .dispatcher = "many" });
    const struct berth_do_explained *why = explain_job(f, waiting);
    assert_int_equal(why->holder_count, 20);
    assert_int_equal(why->holder_sum, 25);
}

static void each_kind_of_waiting_is_named_and_says_what_is_shown(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "paused", 5);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 5 },
                                          .has_rate = true,
                                          .rate_count = 1,
                                          .rate_ms = 60000 },
        "slow");
    store_all(f);
    given_worker(f, 8);
    uint64_t delayed = given_job(f, (struct submit){ .delay_ms = 5000 });
    uint64_t behind = given_job(f, (struct submit){ .after = &delayed, .after_count = 1 });
    uint64_t nobody = given_job(f, (struct submit){ .handler = "nobody-has-it" });
    given_running(f, (struct submit){ .dispatcher = "slow" });
    uint64_t slow = given_job(f, (struct submit){ .dispatcher = "slow" });
    pause_dispatcher(f, "paused", true);
    store_all(f);
    uint64_t paused = given_job(f, (struct submit){ .dispatcher = "paused" });
    const struct {
        uint64_t id;
        const char *kind;
    } cases[] = { { delayed, "time" },
                  { behind, "after" },
                  { nobody, "handler" },
                  { paused, "pause" },
                  { slow, "rate" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct berth_do_explained *why = explain_job(f, cases[i].id);
        assert_string_equal(why->causes[0].kind, cases[i].kind);
        then_it_says_what_is_shown(f, cases[i].id, why);
    }
    assert_int_equal(explain_job(f, delayed)->causes[0].next_us, f->wall_us + 5 * SECOND_US);
    assert_int_equal(explain_job(f, behind)->causes[0].awaited, delayed);
    assert_in_range(explain_job(f, slow)->causes[0].next_us, f->wall_us + 59 * SECOND_US,
                    f->wall_us + 60 * SECOND_US);
}

static void a_full_group_names_who_has_its_places(void **state)
{
    struct fixture *f = *state;
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 9 },
                                          .has_group_limit = true,
                                          .group_limit = 1 },
        "mail");
    store_all(f);
    given_worker(f, 8);
    uint64_t mine = given_running(f, (struct submit){ .dispatcher = "mail", .group = "a" });
    given_running(f, (struct submit){ .dispatcher = "mail", .group = "b" });
    uint64_t waiting = given_job(f, (struct submit){ .dispatcher = "mail", .group = "a" });
    const struct berth_do_explained *why = explain_job(f, waiting);
    assert_string_equal(why->causes[0].kind, "group");
    assert_int_equal(why->holder_sum, 1);
    assert_int_equal(why->holders[0].job, mine);

    why = explain(f, "mail");
    assert_int_equal(why->group_sum, 2);
    assert_int_equal(why->groups[0].in_use, 1);
    assert_int_equal(cause(why, "group")->count, 1);
}

static void what_runs_is_shown_with_its_attempt_and_what_has_ended_with_its_state(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 8);
    uint64_t running = given_running(f, (struct submit){ 0 });
    const struct berth_do_explained *why = explain_job(f, running);
    assert_int_equal(why->cause_count, 0);
    assert_int_equal(why->holder_count, 1);
    assert_int_equal(why->holders[0].job, running);
    assert_int_equal(why->state, BERTH_RUNNING);

    uint64_t request = explain_id(f, 900);
    struct berth_job_record record = row(f, 900, BERTH_DEAD);
    answer_read(f, &record, 1);
    assert_int_equal(explained(f, request)->state, BERTH_DEAD);
    assert_int_equal(explained(f, request)->cause_count, 0);

    request = explain_id(f, 901);
    answer_read(f, NULL, 0);
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
}

static void of_a_dispatcher_everybody_who_waits_is_counted_once(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 2);
    given_worker(f, 8);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "mail" });
    given_running(f, (struct submit){ .dispatcher = "mail" });
    for (unsigned i = 0; i < 7; i++)
        given_job(f, (struct submit){ .dispatcher = "mail", .priority = (int32_t)i - 3 });
    for (unsigned i = 0; i < 3; i++)
        given_job(f, (struct submit){ .dispatcher = "mail", .group = i ? "a" : "b" });
    for (unsigned i = 0; i < 4; i++)
        given_job(f, (struct submit){ .dispatcher = "mail", .delay_ms = 1000 * (i + 1) });
    given_job(f, (struct submit){ .delay_ms = 1 }); /* of another one */
    cancel(f, first);
    store_all(f);

    const struct berth_do_explained *why = explain(f, "mail");
    assert_int_equal(cause(why, "slots")->count, 10);
    assert_int_equal(cause(why, "time")->count, 4);
    assert_int_equal(cause(why, "time")->next_us, f->wall_us + SECOND_US);
    assert_int_equal(cause(why, "stopping")->count, 1);
    assert_int_equal(cause(why, "stopping")->job, first);
    assert_int_equal(why->more, 0);
    assert_int_equal(why->holder_sum, 2);
    assert_int_equal(why->limits[0].queued, 14);
    assert_int_equal(why->id, 0);
}

/* Each has a group, so each stands in a lane of its own. */
static void given_groups(struct fixture *f, size_t count)
{
    static char names[EXPLAIN_LANES_MAX + 50][24];
    static struct submit items[EXPLAIN_LANES_MAX + 50];
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        items[i] = (struct submit){ .dispatcher = "mail", .group = names[i], .body = "b" };
    }
    submit_many(f, items, count);
    store_all(f);
}

static void of_very_many_groups_the_others_are_counted(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 1);
    given_groups(f, EXPLAIN_LANES_MAX + 50);
    berth_arena_fini(&f->core->arena); /* what the answer to the submit took */

    const struct berth_do_explained *why = explain(f, "mail");

    assert_int_equal(why->cause_count, 1);
    assert_int_equal(cause(why, "handler")->count, EXPLAIN_LANES_MAX);
    assert_int_equal(why->more, 50);
    assert_true(f->core->arena.chunk_bytes < 1u << 20); /* one sentence, not one for each */
}

static void lanes_that_wait_for_different_things_are_told_apart(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 4);
    set(f, (struct berth_ev_dispatcher_set){ .has_group_limit = true, .group_limit = 1 }, "mail");
    store_all(f);
    given_worker(f, 2);
    given_running(f, (struct submit){ .dispatcher = "mail", .group = "a" });
    given_running(f, (struct submit){ .dispatcher = "mail", .group = "b" });
    for (unsigned i = 0; i < 3; i++)
        given_job(f, (struct submit){ .dispatcher = "mail", .group = i ? "a" : "b" });
    uint64_t oldest = given_job(f, (struct submit){ .dispatcher = "mail", .group = "d" });
    advance(f, 2000);
    given_job(f, (struct submit){ .dispatcher = "mail", .group = "c" });

    const struct berth_do_explained *why = explain(f, "mail");
    assert_int_equal(cause(why, "group")->count, 3);
    assert_int_equal(cause(why, "workers")->count, 2);
    assert_int_equal(cause(why, "workers")->job, oldest);
    assert_int_equal(why->more, 0);
}

/* ---- attempts that wait, their children, suspects ---- */

static void who_gave_its_slot_back_holds_none_and_waits_for_one_to_go_on(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });
    uint64_t next = given_job(f, (struct submit){ .dispatcher = "d" });
    suspend_attempt(f, w, waits, 1);
    turn(f);
    assert_non_null(grant_of(f, next));

    const struct berth_do_explained *why = explain(f, "d");
    assert_int_equal(cause(why, "suspended")->job, waits);
    assert_int_equal(why->holder_sum, 1);
    assert_int_equal(why->holders[0].job, next);

    ask_to_resume(f, w, waits, 1);
    turn(f);
    why = explain_job(f, waits);
    then_it_says_what_is_shown(f, waits, why);
    assert_string_equal(why->causes[0].kind, "slots");
    assert_int_equal(why->holder_sum, 1);
    assert_int_equal(why->holders[0].job, next);
}

static void who_waits_for_the_end_of_children_is_counted_with_its_dispatcher(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 9, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });
    uint64_t child = given_child(f, w, parent, 1, (struct submit){ .dispatcher = "default" });
    turn(f);
    report(f, w, parent, BERTH_OUTCOME_SNOOZED);
    store_all(f);
    turn_after(f, 1000);

    const struct berth_do_explained *why = explain_job(f, parent);
    then_it_says_what_is_shown(f, parent, why);
    assert_string_equal(why->causes[0].kind, "children");
    assert_int_equal(cause(explain(f, "d"), "children")->job, parent);
    assert_int_equal(cause(explain(f, "default"), "stopping")->job, child);
}

static void a_suspect_waits_for_a_process_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    const uint64_t attempt = attempt_of(f, job);
    gone_with(f, w,
              (struct berth_ev_gone){
                  .cause = BERTH_GONE_EXIT, .attempts = &attempt, .jobs = &job, .count = 1 });
    store_all(f);
    turn_after(f, 60000);

    const struct berth_do_explained *why = explain_job(f, job);
    then_it_says_what_is_shown(f, job, why);
    assert_string_equal(why->causes[0].kind, "alone");
    assert_true(slice_is(why->causes[0].handler, "mail"));
}

static void who_does_not_exist_is_not_explained(void **state)
{
    struct fixture *f = *state;
    uint64_t request = ++f->request;
    step(f, (struct berth_event){
                .type = BERTH_EV_EXPLAIN,
                .explain = { .peer = CLIENT, .request = request, .dispatcher = text("nobody") } });
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
}

static void one_question_is_about_one_of_the_two(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    const struct berth_ev_explain asked[] = {
        { .peer = CLIENT }, { .peer = CLIENT, .id = job, .dispatcher = text("default") }
    };
    static const char *const fields[] = { "id", "dispatcher" };
    for (size_t i = 0; i < 2; i++) {
        struct berth_event event = { .type = BERTH_EV_EXPLAIN, .explain = asked[i] };
        event.explain.request = ++f->request;
        step(f, event);
        const struct berth_effect *error = answer(f, f->request, BERTH_DO_ERROR);
        assert_non_null(error);
        assert_int_equal(error->error.code, BERTH_EVALUE);
        assert_string_equal(error->error.field, fields[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waits_for_a_slot_is_told_who_holds_them_and_since_when),
        TEST(who_began_before_the_broker_did_has_held_its_slot_since_then),
        TEST(the_oldest_twenty_are_shown_and_the_others_counted),
        TEST(each_kind_of_waiting_is_named_and_says_what_is_shown),
        TEST(a_full_group_names_who_has_its_places),
        TEST(what_runs_is_shown_with_its_attempt_and_what_has_ended_with_its_state),
        TEST(of_a_dispatcher_everybody_who_waits_is_counted_once),
        TEST(lanes_that_wait_for_different_things_are_told_apart),
        TEST(of_very_many_groups_the_others_are_counted),
        TEST(who_gave_its_slot_back_holds_none_and_waits_for_one_to_go_on),
        TEST(who_waits_for_the_end_of_children_is_counted_with_its_dispatcher),
        TEST(a_suspect_waits_for_a_process_of_its_own),
        TEST(who_does_not_exist_is_not_explained),
        TEST(one_question_is_about_one_of_the_two),
    };
    return berth_test_main(tests, NULL, NULL);
}

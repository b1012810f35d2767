/* SPDX-License-Identifier: MIT
 *
 * Looking at jobs: what the core knows is laid over the rows of the store; lists; questions in
 * parts; bodies that are read back.
 */
#include "core_fixture.h"

static const struct berth_do_jobs *jobs(const struct fixture *f, uint64_t request)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_JOBS);
    assert_non_null(effect);
    return &effect->jobs;
}

static uint64_t list(struct fixture *f, struct berth_ev_job_list event)
{
    event.peer = CLIENT;
    event.request = ++f->request;
    if (!event.count_max)
        event.count_max = 100;
    step(f, (struct berth_event){ .type = BERTH_EV_JOB_LIST, .job_list = event });
    return event.request;
}

static void answer_page(struct fixture *f, const struct berth_job_record *rows, size_t count,
                        bool has_more, uint64_t next)
{
    step(f, (struct berth_event){ .type = BERTH_EV_READ,
                                  .read = { .number = get(f, BERTH_DO_READ)->read.number,
                                            .jobs = rows,
                                            .job_count = count,
                                            .has_more = has_more,
                                            .next = next } });
}

/* ---- get ---- */

static void the_store_is_asked_for_the_jobs_in_the_order_asked_for(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { 7, 3, 5 };

    ask(f, BERTH_EV_JOB_GET, ids, 3);

    const struct berth_do_read *read = &get(f, BERTH_DO_READ)->read;
    assert_int_equal(read->type, BERTH_DO_READ_JOBS);
    assert_int_equal(read->id_count, 3);
    assert_memory_equal(read->ids, ids, sizeof ids);
}

static void jobs_that_are_not_there_are_named(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { 7, 3, 5 };
    uint64_t request = ask(f, BERTH_EV_JOB_GET, ids, 3);
    struct berth_job_record rows[] = { row(f, 3, BERTH_COMPLETED) };

    answer_read(f, rows, 1);

    assert_int_equal(jobs(f, request)->count, 1);
    assert_int_equal(jobs(f, request)->items[0].record.id, 3);
    assert_int_equal(jobs(f, request)->unknown_count, 2);
    assert_int_equal(jobs(f, request)->unknown[0], 7);
    assert_int_equal(jobs(f, request)->unknown[1], 5);
}

/* An answer of the store is bounded in bytes: it says that there is a body and leaves it out. */
static void jobs_whose_bodies_the_store_left_out_are_to_be_asked_for_again(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { 1, 2, 3, 4, 5 };
    uint64_t request = ask(f, BERTH_EV_JOB_GET, ids, 5);
    struct berth_job_record rows[] = { row(f, 2, BERTH_DEAD), row(f, 3, BERTH_DEAD),
                                       row(f, 4, BERTH_DEAD) };
    rows[0].last.result.bytes = 9; /* never of the first, but if it were: one at least */
    rows[2].body.bytes = 9;

    answer_page(f, rows, 3, true, 0);

    assert_int_equal(jobs(f, request)->count, 2);
    assert_int_equal(jobs(f, request)->items[1].record.id, 3);
    assert_int_equal(jobs(f, request)->unknown_count, 1); /* 4 and 5 are neither here nor there */
    assert_int_equal(jobs(f, request)->unknown[0], 1);
}

static void no_more_jobs_than_fit_into_an_answer_are_asked_for(void **state)
{
    struct fixture *f = *state;
    static uint64_t ids[10000];
    for (size_t i = 0; i < 10000; i++)
        ids[i] = i + 1;

    uint64_t request = ask(f, BERTH_EV_JOB_GET, ids, 10000);
    assert_int_equal(get(f, BERTH_DO_READ)->read.id_count, 1000);
    answer_read(f, NULL, 0);

    assert_int_equal(jobs(f, request)->unknown_count, 1000);
}

static void an_id_that_is_asked_for_twice_is_answered_twice(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { 3, 3 };
    uint64_t request = ask(f, BERTH_EV_JOB_GET, ids, 2);
    struct berth_job_record rows[] = { row(f, 3, BERTH_COMPLETED) };

    answer_read(f, rows, 1);

    assert_int_equal(jobs(f, request)->count, 2);
}

static void where_a_live_job_stands_is_laid_over_its_row(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t id = given_running(f, (struct submit){ 0 });

    const struct berth_job_view *view = shown(f, id); /* its row says ready */

    assert_int_equal(view->record.state, BERTH_RUNNING);
    assert_int_equal(view->record.attempt, 1);
    assert_int_equal(view->record.last.id, attempt_of(f, id));
    assert_int_equal(view->record.last.started_us, f->wall_us);
    assert_true(slice_is(view->record.last.worker, w->name));
    assert_true(slice_is(view->dispatcher, "default"));
    assert_int_equal(view->max_attempts, 5);
    assert_true(slice_is(view->reason, ""));
}

static void a_row_that_says_of_an_ended_job_that_it_lives_is_asked_for_again(void **state)
{
    struct fixture *f = *state;
    uint64_t id = given_job(f, (struct submit){ 0 });
    struct berth_job_record outdated = row(f, id, BERTH_READY);
    uint64_t request = ask(f, BERTH_EV_JOB_GET, &id, 1);
    cancel(f, id);
    store_all(f);
    size_t asked = said(f, BERTH_DO_READ);

    answer_read(f, &outdated, 1);

    assert_null(answer(f, request, BERTH_DO_JOBS));
    assert_int_equal(said(f, BERTH_DO_READ), asked + 1);
    struct berth_job_record ended = row(f, id, BERTH_CANCELLED);
    answer_read(f, &ended, 1);
    assert_int_equal(jobs(f, request)->items[0].record.state, BERTH_CANCELLED);
}

static void a_store_that_never_says_so_ends_in_try_later_and_not_in_a_lie(void **state)
{
    struct fixture *f = *state;
    struct berth_job_record outdated = row(f, 1, BERTH_READY);
    const enum berth_event_type types[] = { BERTH_EV_JOB_GET, BERTH_EV_WAIT, BERTH_EV_CANCEL };

    for (size_t i = 0; i < 3; i++) {
        forget(f);
        uint64_t id = 1, request = ask(f, types[i], &id, 1);
        for (unsigned j = 0; j < 4; j++)
            answer_read(f, &outdated, 1);
        assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ELATER);
        assert_int_equal(berth_map_count(&f->core->queries), 0);
    }
}

static void a_failed_read_is_an_error_for_who_asked(void **state)
{
    struct fixture *f = *state;
    uint64_t id = 1;
    const enum berth_event_type types[] = { BERTH_EV_JOB_GET, BERTH_EV_WAIT, BERTH_EV_CANCEL };
    for (size_t i = 0; i < 3; i++) {
        uint64_t request = ask(f, types[i], &id, 1);
        fail_read(f);
        assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ESTORE);
    }
    assert_int_equal(berth_map_count(&f->core->queries), 0);
}

static void an_answer_to_no_question_is_ignored(void **state)
{
    struct fixture *f = *state;

    step(f, (struct berth_event){ .type = BERTH_EV_READ, .read = { .number = 99 } });

    assert_int_equal(f->said_count, 0);
}

static void more_questions_than_allowed_are_told_to_try_later(void **state)
{
    struct fixture *f = *state;
    uint64_t id = 1;
    for (unsigned i = 0; i < QUERIES_MAX; i++)
        ask(f, BERTH_EV_JOB_GET, &id, 1);
    const enum berth_event_type types[] = { BERTH_EV_JOB_GET, BERTH_EV_WAIT, BERTH_EV_CANCEL };

    for (size_t i = 0; i < 3; i++) {
        uint64_t request = ask(f, types[i], &id, 1);
        assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ELATER);
    }
    uint64_t request = list(f, (struct berth_ev_job_list){ 0 });
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ELATER);
    request = query(f, BERTH_EV_STATUS, "");
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ELATER);
}

/* ---- many ids ---- */

static void the_store_is_asked_only_about_the_ids_that_are_not_live(void **state)
{
    struct fixture *f = *state;
    uint64_t live = given_job(f, (struct submit){ 0 });
    static uint64_t ids[10000];
    for (size_t i = 0; i < 10000; i++)
        ids[i] = live + i;
    static struct berth_job_record rows[5000];

    uint64_t request = ask(f, BERTH_EV_WAIT, ids, 10000);
    assert_null(answer(f, request, BERTH_DO_WAITED));
    const struct berth_do_read *read = &get(f, BERTH_DO_READ)->read;
    assert_int_equal(read->id_count, 9999);
    size_t count = 0;
    for (size_t i = 0; i < read->id_count; i++)
        if (read->ids[i] % 2)
            rows[count++] = row(f, read->ids[i], BERTH_COMPLETED);
    answer_page(f, rows, count, true, 0); /* has_more: of bodies, which nobody wants here */

    const struct berth_do_waited *waited = &answer(f, request, BERTH_DO_WAITED)->waited;
    assert_int_equal(waited->pending, 1);
    assert_int_equal(waited->count, 4999);
    assert_int_equal(waited->unknown_count, 5000);
    assert_int_equal(waited->ended[0].id, live + 2);
    assert_int_equal(waited->unknown[0], live + 1);
}

static void a_job_that_ends_while_others_are_asked_about_is_asked_about_too(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    const uint64_t ids[] = { job, 99 };
    uint64_t request = ask(f, BERTH_EV_WAIT, ids, 2);
    assert_int_equal(get(f, BERTH_DO_READ)->read.id_count, 1);
    cancel(f, job);
    store_all(f);

    answer_read(f, NULL, 0);
    assert_null(answer(f, request, BERTH_DO_WAITED));
    assert_int_equal(get(f, BERTH_DO_READ)->read.ids[0], job);
    struct berth_job_record ended = row(f, job, BERTH_CANCELLED);
    answer_read(f, &ended, 1);

    const struct berth_do_waited *waited = &answer(f, request, BERTH_DO_WAITED)->waited;
    assert_int_equal(waited->ended[0].state, BERTH_CANCELLED);
    assert_int_equal(waited->unknown[0], 99);
    assert_int_equal(waited->pending, 0);
}

/* ---- lists ---- */

static void a_list_of_all_is_the_stores_page_with_the_states_laid_over(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 1);
    uint64_t one = given_job(f, (struct submit){ 0 }), two = given_job(f, (struct submit){ 0 });

    uint64_t request = list(f, (struct berth_ev_job_list){ .count_max = 2, .after = 9 });
    const struct berth_do_read *read = &get(f, BERTH_DO_READ)->read;
    assert_int_equal(read->type, BERTH_DO_READ_LIST);
    assert_int_equal(read->scope, 0);
    assert_int_equal(read->count_max, 2);
    assert_int_equal(read->after, 9);
    struct berth_job_record rows[] = { row(f, one, BERTH_READY), row(f, two, BERTH_READY) };
    answer_page(f, rows, 2, true, two);

    assert_int_equal(jobs(f, request)->count, 2);
    assert_int_equal(jobs(f, request)->items[0].record.state, BERTH_RUNNING);
    assert_int_equal(jobs(f, request)->items[1].record.state, BERTH_READY);
    assert_int_equal(jobs(f, request)->next, two);
}

static void a_list_of_a_live_state_is_picked_out_of_the_live_rows(void **state)
{
    struct fixture *f = *state;
    uint64_t one = given_job(f, (struct submit){ .delay_ms = 1000 });
    uint64_t two = given_job(f, (struct submit){ 0 }), three = given_job(f, (struct submit){ 0 });
    uint64_t request = list(f, (struct berth_ev_job_list){ .state = BERTH_READY, .count_max = 1 });
    const struct berth_do_read *read = &get(f, BERTH_DO_READ)->read;
    assert_int_equal(read->scope, 1);
    assert_int_equal(read->state, 0);
    struct berth_job_record rows[] = { row(f, one, BERTH_SCHEDULED), row(f, two, BERTH_READY),
                                       row(f, three, BERTH_READY) };

    answer_page(f, rows, 3, false, 0);

    assert_int_equal(jobs(f, request)->count, 1);
    assert_int_equal(jobs(f, request)->items[0].record.id, two);
    assert_int_equal(jobs(f, request)->next, two);
}

/* The store looks at so many rows at a time and no more. */
static void a_page_without_a_row_of_that_state_says_where_the_next_one_begins(void **state)
{
    struct fixture *f = *state;
    uint64_t request = list(f, (struct berth_ev_job_list){ .state = BERTH_DEAD });
    assert_int_equal(get(f, BERTH_DO_READ)->read.scope, 2);
    assert_int_equal(get(f, BERTH_DO_READ)->read.state, BERTH_DEAD);

    answer_page(f, NULL, 0, true, 20000);

    assert_int_equal(jobs(f, request)->count, 0);
    assert_int_equal(jobs(f, request)->next, 20000);
}

static void running_jobs_are_known_here_and_listed_in_order_of_id(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    given_worker(f, 10);
    uint64_t other = given_running(f, (struct submit){ 0 });
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "wide" });
    for (unsigned i = 0; i < 4; i++)
        given_running(f, (struct submit){ .dispatcher = "wide" });

    uint64_t request = list(f, (struct berth_ev_job_list){ .dispatcher = text("wide"),
                                                           .state = BERTH_RUNNING,
                                                           .after = first + 4,
                                                           .is_newest_first = true,
                                                           .count_max = 2 });
    const struct berth_do_read *read = &get(f, BERTH_DO_READ)->read;
    assert_int_equal(read->type, BERTH_DO_READ_JOBS);
    assert_int_equal(read->id_count, 2);
    assert_int_equal(read->ids[0], first + 3);
    assert_int_equal(read->ids[1], first + 2);
    struct berth_job_record rows[] = { row(f, first + 3, BERTH_READY),
                                       row(f, first + 2, BERTH_READY) };
    answer_read(f, rows, 2);

    assert_int_equal(jobs(f, request)->count, 2);
    assert_int_equal(jobs(f, request)->next, first + 2);
    assert_int_equal(jobs(f, request)->items[0].record.body.bytes, 0);
    request = list(f, (struct berth_ev_job_list){ .state = BERTH_RUNNING, .count_max = 100 });
    assert_int_equal(get(f, BERTH_DO_READ)->read.ids[0], other);
    assert_int_equal(get(f, BERTH_DO_READ)->read.id_count, 6);
}

static void a_list_with_bodies_ends_before_the_first_that_the_store_left_out(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    given_worker(f, 10);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "wide" });
    for (unsigned i = 0; i < 2; i++)
        given_running(f, (struct submit){ .dispatcher = "wide" });
    struct berth_job_record rows[] = { row(f, first, BERTH_READY), row(f, first + 1, BERTH_READY),
                                       row(f, first + 2, BERTH_READY) };
    for (size_t i = 0; i < 3; i++)
        rows[i].body = text("body");
    rows[2].body.data = NULL;

    uint64_t request = list(f, (struct berth_ev_job_list){
                                   .state = BERTH_RUNNING, .count_max = 100, .with_bodies = true });
    answer_read(f, rows, 3);

    assert_int_equal(jobs(f, request)->count, 2);
    assert_int_equal(jobs(f, request)->items[1].record.body.bytes, 4);
    assert_int_equal(jobs(f, request)->next, first + 1);

    (void)list(f, (struct berth_ev_job_list){ .count_max = 100, .with_bodies = true });
    assert_true(get(f, BERTH_DO_READ)->read.with_bodies);
}

static void a_list_of_running_jobs_when_there_are_none_needs_no_store(void **state)
{
    struct fixture *f = *state;

    uint64_t request = list(f, (struct berth_ev_job_list){ .state = BERTH_RUNNING });

    assert_int_equal(jobs(f, request)->count, 0);
    assert_null(find(f, BERTH_DO_READ));
}

static void a_list_of_an_unknown_dispatcher_is_refused_by_name(void **state)
{
    struct fixture *f = *state;

    uint64_t request = list(f, (struct berth_ev_job_list){ .dispatcher = text("news") });

    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
    assert_string_equal(answer(f, request, BERTH_DO_ERROR)->error.message,
                        "dispatcher 'news' does not exist");
}

/* ---- bodies ---- */

static void given_small_budget(struct fixture *f)
{
    core_replace(f, (struct berth_core_opts){ .body_bytes_max = 10 });
    core_start(f);
    store_all(f);
}

static void a_body_beyond_the_budget_is_read_back_before_its_grant_leaves(void **state)
{
    struct fixture *f = *state;
    given_small_budget(f);
    uint64_t kept = given_job(f, (struct submit){ .body = "12345678" });
    uint64_t big = given_job(f, (struct submit){ .body = "123456789", .timeout_ms = 5000 });
    assert_non_null(job_of(f, kept)->body);
    assert_null(job_of(f, big)->body);

    given_worker(f, 4);
    assert_non_null(grant_of(f, kept));
    assert_null(grant_of(f, big));
    assert_int_equal(job_of(f, big)->state, JOB_RUNNING); /* it holds its slot meanwhile */
    assert_int_equal(get(f, BERTH_DO_READ)->read.ids[0], big);
    struct berth_job_record record = row(f, big, BERTH_READY);
    record.body = text("123456789");
    record.timeout_ms = 5000;
    answer_read(f, &record, 1);
    turn(f);

    assert_true(slice_is(grant_of(f, big)->body, "123456789"));
    assert_int_equal(grant_of(f, big)->timeout_ms, 5000);
}

static void a_body_that_cannot_be_read_leaves_the_job_where_it_was(void **state)
{
    struct fixture *f = *state;
    given_small_budget(f);
    uint64_t big = given_job(f, (struct submit){ .body = "123456789012" });
    given_worker(f, 4);
    size_t asked = said(f, BERTH_DO_READ);

    fail_read(f);
    assert_int_equal(job_of(f, big)->state, JOB_READY);
    assert_int_equal(job_of(f, big)->attempt_number, 0);
    assert_int_equal(dispatcher(f, "default")->running, 0);
    turn(f);
    assert_int_equal(said(f, BERTH_DO_READ), asked + 1); /* and it is tried again */
    answer_read(f, NULL, 0);
    assert_int_equal(job_of(f, big)->state, JOB_READY);
}

static void a_job_cancelled_while_its_body_is_read_ends_unstarted(void **state)
{
    struct fixture *f = *state;
    given_small_budget(f);
    uint64_t big = given_job(f, (struct submit){ .body = "123456789012" });
    given_worker(f, 4);
    uint64_t request = cancel(f, big);
    store_all(f);
    assert_int_equal(cancelled(f, request)->state, BERTH_CANCELLING);
    struct berth_job_record record = row(f, big, BERTH_READY);
    record.body = text("123456789012");

    answer_read(f, &record, 1);
    store_all(f);

    assert_null(grant_of(f, big));
    assert_null(job_of(f, big));
    assert_int_equal(dispatcher(f, "default")->running, 0);
}

static void a_body_that_comes_after_its_worker_has_gone_is_kept_for_nobody(void **state)
{
    struct fixture *f = *state;
    given_small_budget(f);
    uint64_t big = given_job(f, (struct submit){ .body = "123456789012" });
    struct worker *w = given_worker(f, 4);
    gone(f, w, BERTH_GONE_EXIT);
    assert_int_equal(job_of(f, big)->state, JOB_READY);
    struct berth_job_record record = row(f, big, BERTH_READY);
    record.body = text("123456789012");

    answer_read(f, &record, 1);

    assert_null(job_of(f, big)->body);
    assert_int_equal(job_of(f, big)->deaths, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_store_is_asked_for_the_jobs_in_the_order_asked_for),
        TEST(jobs_that_are_not_there_are_named),
        TEST(jobs_whose_bodies_the_store_left_out_are_to_be_asked_for_again),
        TEST(no_more_jobs_than_fit_into_an_answer_are_asked_for),
        TEST(an_id_that_is_asked_for_twice_is_answered_twice),
        TEST(where_a_live_job_stands_is_laid_over_its_row),
        TEST(a_row_that_says_of_an_ended_job_that_it_lives_is_asked_for_again),
        TEST(a_store_that_never_says_so_ends_in_try_later_and_not_in_a_lie),
        TEST(a_failed_read_is_an_error_for_who_asked),
        TEST(an_answer_to_no_question_is_ignored),
        TEST(more_questions_than_allowed_are_told_to_try_later),
        TEST(the_store_is_asked_only_about_the_ids_that_are_not_live),
        TEST(a_job_that_ends_while_others_are_asked_about_is_asked_about_too),
        TEST(a_list_of_all_is_the_stores_page_with_the_states_laid_over),
        TEST(a_list_of_a_live_state_is_picked_out_of_the_live_rows),
        TEST(a_page_without_a_row_of_that_state_says_where_the_next_one_begins),
        TEST(running_jobs_are_known_here_and_listed_in_order_of_id),
        TEST(a_list_with_bodies_ends_before_the_first_that_the_store_left_out),
        TEST(a_list_of_running_jobs_when_there_are_none_needs_no_store),
        TEST(a_list_of_an_unknown_dispatcher_is_refused_by_name),
        TEST(a_body_beyond_the_budget_is_read_back_before_its_grant_leaves),
        TEST(a_body_that_cannot_be_read_leaves_the_job_where_it_was),
        TEST(a_job_cancelled_while_its_body_is_read_ends_unstarted),
        TEST(a_body_that_comes_after_its_worker_has_gone_is_kept_for_nobody),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * Children and suspensions as a handler sees them: the test is the link, and the broker behind it.
 */
#include "slots_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <berth/v1/envelope.pb-c.h>

#include "base/buf.h"
#include "base/text.h"
#include "proto/columns.h"
#include "proto/wire.h"
#include "support/await.h"
#include "support/faulty.h"

/* What a handler did, one after the other. */
struct story {
    int rc[4];
    berth_job_id ids[4];
    bool is_supervisor, wants_job;
    enum berth_state state;
    char error[32];
    uint64_t other;
};

/* The next item of that kind. */
static struct inbox_item *await_kind(struct fixture *f, enum inbox_kind kind)
{
    struct inbox_item *item = await_item(f);
    assert_int_equal(item->kind, kind);
    f->item = NULL; /* its teller's again, if it is no end */
    return item;
}

static const struct agent_end *await_over(struct fixture *f)
{
    f->item = await_kind(f, INBOX_OVER);
    return &f->item->end;
}

/* Nothing comes by itself. */
static void assert_quiet(struct fixture *f)
{
    assert_true(berth_list_is_empty(&f->items));
    assert_false(await_readable(inbox_fd(f->inbox), 20));
}

static void say_submitted(struct fixture *f, uint32_t ordinal, uint64_t first, size_t count)
{
    uint64_t ids[4];
    for (size_t i = 0; i < count; i++)
        ids[i] = first + i;
    const struct agent_submitted answer = {
        .attempt = 1, .ordinal = ordinal, .ids = ids, .count = count
    };
    slots_submitted(f->slots, &answer);
}

static void say_ended(struct fixture *f, uint64_t job, enum berth_state state)
{
    const struct agent_child_end end = { .attempt = 1, .job = job, .state = state };
    slots_child_ended(f->slots, &end);
}

/* ---- suspended ---- */

static int sleeps(struct berth_attempt *attempt, void *arg)
{
    struct story *story = arg;
    story->rc[0] = berth_attempt_sleep_ms(attempt, 0);
    story->rc[1] = berth_attempt_sleep_ms(attempt, 1);
    story->rc[2] = weft_check();
    return 0;
}

static void a_sleep_is_suspended_and_goes_on_when_the_broker_says_so(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1, 1 } };
    given_handler(f, "sleeps", sleeps, &story);

    start(f, 1, "sleeps", "");
    assert_int_equal(await_kind(f, INBOX_SUSPEND)->attempt, 1);
    assert_int_equal(await_kind(f, INBOX_RESUME_ME)->attempt, 1);
    assert_quiet(f);
    slots_resume(f->slots, 1);

    assert_int_equal(await_over(f)->outcome, AGENT_COMPLETED);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(story.rc[i], 0);
    finish(f);
}

static int sleeps_long(struct berth_attempt *attempt, void *arg)
{
    struct story *story = arg;
    story->rc[0] = berth_attempt_sleep_ms(attempt, 3600000);
    story->rc[1] = berth_attempt_sleep_ms(attempt, 3600000);
    return story->rc[0];
}

static void a_cancel_is_felt_when_the_attempt_may_go_on(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1 } };
    given_handler(f, "sleeps", sleeps_long, &story);
    start(f, 1, "sleeps", "");
    (void)await_kind(f, INBOX_SUSPEND);

    slots_cancel(f->slots, 1, AGENT_CANCEL_JOB, 5000);
    (void)await_kind(f, INBOX_RESUME_ME);
    assert_quiet(f);
    slots_resume(f->slots, 1);

    assert_int_equal(await_over(f)->outcome, AGENT_CANCELLED);
    assert_int_equal(story.rc[0], -ECANCELED);
    assert_int_equal(story.rc[1], -ECANCELED); /* and is not suspended again */
    finish(f);
}

struct helper {
    struct berth_attempt *attempt;
    int rc;
};

static int helper_sleeps(void *arg)
{
    struct helper *helper = arg;
    helper->rc = berth_attempt_sleep_ms(helper->attempt, 1);
    return 0;
}

static int has_a_helper(struct berth_attempt *attempt, void *arg)
{
    struct story *story = arg;
    struct helper helper = { .attempt = attempt, .rc = 1 };
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_launch(&scope, NULL, helper_sleeps, &helper);
    int rc = weft_scope_close(&scope, 0);
    story->rc[0] = helper.rc;
    return rc;
}

static void a_coroutine_of_the_handler_waits_and_suspends_nobody(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1 } };
    given_handler(f, "helped", has_a_helper, &story);

    start(f, 1, "helped", "");

    assert_int_equal(await_over(f)->outcome, AGENT_COMPLETED);
    assert_int_equal(story.rc[0], 0);
    finish(f);
}

/* ---- submits ---- */

static int submits(struct berth_attempt *attempt, void *arg)
{
    struct story *story = arg;
    const struct berth_job_spec specs[] = { { .handler = "mail" }, { .handler = "mail" } };
    if (story->is_supervisor)
        berth_attempt_supervise(attempt);
    story->rc[0] = berth_child_submit(attempt, specs, 2, story->ids);
    berth_attempt_supervise(attempt); /* too late */
    story->rc[1] = berth_child_submit(attempt, specs, 1, story->ids + 2);
    return 0;
}

static void children_are_numbered_in_the_order_of_their_submits(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1 } };
    given_handler(f, "submits", submits, &story);
    start(f, 1, "submits", "");

    const struct inbox_item *item = await_kind(f, INBOX_CHILDREN);
    assert_int_equal(item->children.attempt, 1);
    assert_int_equal(item->children.ordinal, 1);
    assert_false(item->children.is_supervisor);
    assert_true(item->children.submit.bytes > 0);
    say_submitted(f, 1, 201, 2);
    item = await_kind(f, INBOX_CHILDREN);
    assert_int_equal(item->children.ordinal, 3);
    assert_false(item->children.is_supervisor);
    say_submitted(f, 3, 301, 1);

    (void)await_over(f);
    assert_int_equal(story.rc[0], 0);
    assert_int_equal(story.rc[1], 0);
    assert_int_equal(story.ids[1].v, 202);
    assert_int_equal(story.ids[2].v, 301);
    finish(f);
}

static void a_refusal_comes_out_and_keeps_its_numbers(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1 }, .is_supervisor = true };
    given_handler(f, "submits", submits, &story);
    start(f, 1, "submits", "");

    assert_true(await_kind(f, INBOX_CHILDREN)->children.is_supervisor);
    const struct agent_submitted refusal = {
        .attempt = 1, .ordinal = 1, .code = -EDEADLK, .message = { "a cycle", 7 }
    };
    slots_submitted(f->slots, &refusal);
    assert_int_equal(await_kind(f, INBOX_CHILDREN)->children.ordinal, 3);
    say_submitted(f, 3, 301, 2); /* which makes no sense */

    (void)await_over(f);
    assert_int_equal(story.rc[0], -EDEADLK);
    assert_int_equal(story.rc[1], BERTH_EPROTO);
    finish(f);
}

static int returns_what_it_got(struct berth_attempt *attempt, void *arg)
{
    const struct berth_job_spec spec = { .handler = "mail" };
    berth_job_id id;
    (void)arg;
    return berth_child_submit(attempt, &spec, 1, &id);
}

static void a_handler_that_returns_a_refusal_fails_with_its_reason(void **state)
{
    struct fixture *f = *state;
    given_handler(f, "returns", returns_what_it_got, NULL);
    start(f, 1, "returns", "");
    (void)await_kind(f, INBOX_CHILDREN);
    const struct agent_submitted refusal = {
        .attempt = 1, .ordinal = 1, .code = -EDEADLK, .message = { "a cycle", 7 }
    };

    slots_submitted(f->slots, &refusal);

    assert_end(await_over(f), AGENT_FAILED, "handler",
               "the handler returned -35 (EDEADLK): a cycle: Resource deadlock avoided");
    finish(f);
}

static void a_cancel_waits_for_the_answer_to_a_submit(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1 } };
    given_handler(f, "submits", submits, &story);
    start(f, 1, "submits", "");
    (void)await_kind(f, INBOX_CHILDREN);

    slots_cancel(f->slots, 1, AGENT_CANCEL_CHILD, 5000);
    assert_quiet(f);
    say_submitted(f, 1, 201, 2);

    (void)await_over(f);
    assert_int_equal(story.rc[0], 0);
    assert_int_equal(story.rc[1], -ECANCELED);
    finish(f);
}

static int submits_nonsense(struct berth_attempt *attempt, void *arg)
{
    struct story *story = arg;
    const struct berth_job_spec keyed = { .handler = "mail", .idempotency_key = "mine" };
    story->rc[0] = berth_child_submit(attempt, &keyed, 1, story->ids);
    story->rc[1] = berth_child_submit(attempt, &keyed, 0, story->ids);
    return 0;
}

static void what_is_malformed_never_leaves(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1 } };
    given_handler(f, "submits", submits_nonsense, &story);

    start(f, 1, "submits", "");

    (void)await_over(f);
    assert_int_equal(story.rc[0], BERTH_EVALUE);
    assert_int_equal(story.rc[1], -E2BIG);
    finish(f);
}

struct starved {
    size_t failed, taken;
    atomic_bool is_over;
};

static int submits_without_memory(struct berth_attempt *attempt, void *arg)
{
    struct starved *starved = arg;
    const struct berth_job_spec spec = { .handler = "mail" };
    berth_job_id id;
    FAULTY_FOREACH(n)
    {
        int rc = berth_child_submit(attempt, &spec, 1, &id);
        bool has_failed = faulty_stop(); /* here, or in another thread, which does without */
        if (rc == -ENOMEM && has_failed)
            starved->failed++;
        else if (rc != 0)
            starved->taken += 1000; /* wrong */
    }
    atomic_store(&starved->is_over, true);
    return 0;
}

/* Also when the answer cannot be remembered. */
static void out_of_memory_is_an_answer_at_each_allocation(void **state)
{
    struct fixture *f = *state;
    struct starved starved = { 0 };
    given_handler(f, "starved", submits_without_memory, &starved);
    start(f, 1, "starved", "");
    for (;;) {
        struct inbox_item *item = await_item(f);
        if (item->kind == INBOX_OVER)
            break;
        f->item = NULL;
        starved.taken++;
        say_submitted(f, item->children.ordinal, 201 + item->children.ordinal, 1);
    }

    assert_true(atomic_load(&starved.is_over));
    assert_in_range(starved.taken, 1, 10);
    assert_in_range(starved.failed, 5, 100);
    finish(f);
}

/* ---- await ---- */

static int awaits(struct berth_attempt *attempt, void *arg)
{
    struct story *story = arg;
    const struct berth_job_spec specs[] = { { .handler = "mail" }, { .handler = "mail" } };
    struct berth_job *job = NULL;
    int rc = berth_child_submit(attempt, specs, 2, story->ids);
    if (rc < 0)
        return rc;
    story->rc[0] = berth_child_await(attempt, story->ids[0], story->wants_job ? &job : NULL);
    if (job) {
        story->state = job->state;
        (void)snprintf(story->error, sizeof story->error, "%s", job->error_message);
        berth_job_free(job);
    }
    story->rc[1] = berth_child_await(attempt, story->ids[1], NULL);
    story->rc[2] = berth_child_await(attempt, (berth_job_id){ 999 }, NULL);
    return 0;
}

static void the_end_of_a_child_says_how_it_ended(void **state)
{
    static const struct {
        enum berth_state state;
        int rc;
    } rows[] = { { BERTH_COMPLETED, 0 },
                 { BERTH_CANCELLED, WEFT_ECHILD },
                 { BERTH_DEAD, -EREMOTEIO } };
    struct fixture *f = *state;
    struct story story;
    given_handler(f, "awaits", awaits, &story);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        story = (struct story){ .rc = { 1, 1, 1 } };
        start(f, 1, "awaits", "");
        (void)await_kind(f, INBOX_CHILDREN);
        say_submitted(f, 1, 201, 2);
        (void)await_kind(f, INBOX_SUSPEND);
        say_ended(f, 202, rows[i].state); /* it waits for the other one */
        assert_quiet(f);
        say_ended(f, 201, BERTH_COMPLETED);
        (void)await_kind(f, INBOX_RESUME_ME);
        slots_resume(f->slots, 1);

        (void)await_over(f); /* the second had ended: nothing to wait for */
        assert_int_equal(story.rc[0], 0);
        assert_int_equal(story.rc[1], rows[i].rc);
        assert_int_equal(story.rc[2], BERTH_ENOTFOUND);
        finish(f);
    }
}

/* The lock is one of libc's, which parks there. */
static void on_virtual_it_is_the_same(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1, 1 } };
    const struct berth_handler_opts opts = { .on = weft_virtual() };
    assert_ok(registry_add(f->registry, "awaits", awaits, &story, &opts, NULL));
    start(f, 1, "awaits", "");
    (void)await_kind(f, INBOX_CHILDREN);
    say_submitted(f, 1, 201, 2);
    (void)await_kind(f, INBOX_SUSPEND);
    say_ended(f, 202, BERTH_CANCELLED);
    say_ended(f, 201, BERTH_COMPLETED);
    (void)await_kind(f, INBOX_RESUME_ME);
    slots_resume(f->slots, 1);

    assert_int_equal(await_over(f)->outcome, AGENT_COMPLETED);
    assert_int_equal(story.rc[0], 0);
    assert_int_equal(story.rc[1], WEFT_ECHILD);
    finish(f);
}

static void answer_with(struct fixture *f, const Berth__V1__Envelope *envelope)
{
    struct berth_buf frame;
    berth_buf_init(&frame, BERTH_FRAME_BYTES_MAX);
    assert_ok(berth_wire_pack(envelope, &frame));
    asks_answer(slots_asks(f->slots), envelope->request, berth_buf_slice(&frame));
    berth_buf_fini(&frame);
}

/* The broker has no time for the question. */
static void answer_later(struct fixture *f, uint64_t number)
{
    Berth__V1__Error message = BERTH__V1__ERROR__INIT;
    Berth__V1__Envelope envelope;
    message.has_code = 1;
    message.code = BERTH__V1__ERROR_CODE__ERROR_LATER;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    envelope.error = &message;
    answer_with(f, &envelope);
}

/* The broker's answer to the question: the job, dead, or that there is none. */
static void answer(struct fixture *f, uint64_t number, bool is_known)
{
    uint64_t unknown[] = { 201 };
    Berth__V1__Job job = BERTH__V1__JOB__INIT, *jobs[] = { &job };
    job.has_id = job.has_dispatcher = job.has_handler = job.has_state = job.has_error_message = 1;
    job.id = 201;
    job.dispatcher = berth_bytes_of(berth_slice_of("default"));
    job.handler = berth_bytes_of(berth_slice_of("mail"));
    job.state = BERTH__V1__JOB_STATE__JOB_STATE_DEAD;
    job.error_message = berth_bytes_of(berth_slice_of("no such address"));
    Berth__V1__Jobs message = BERTH__V1__JOBS__INIT;
    message.n_job = is_known ? 1 : 0;
    message.job = jobs;
    message.n_unknown = is_known ? 0 : 1;
    message.unknown = unknown;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOBS;
    envelope.jobs = &message;
    answer_with(f, &envelope);
}

struct question {
    struct fixture *f;
    uint64_t number;
    berth_job_id id;
};

static bool is_asked(void *arg)
{
    struct question *question = arg;
    return asks_next(slots_asks(question->f->slots), &question->number, &question->id);
}

static void until_it_waits_for_the_job(struct fixture *f, struct question *question)
{
    start(f, 1, "awaits", "");
    (void)await_kind(f, INBOX_CHILDREN);
    say_submitted(f, 1, 201, 2);
    (void)await_kind(f, INBOX_SUSPEND);
    say_ended(f, 202, BERTH_COMPLETED);
    say_ended(f, 201, BERTH_DEAD);
    (void)await_kind(f, INBOX_RESUME_ME);
    slots_resume(f->slots, 1);
    *question = (struct question){ .f = f };
    assert_true(await(is_asked, question, AWAIT_MS));
    assert_int_equal(question->id.v, 201);
}

static void the_job_of_a_child_comes_from_the_broker(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1, 1 }, .wants_job = true };
    struct question question;
    given_handler(f, "awaits", awaits, &story);
    until_it_waits_for_the_job(f, &question);

    answer(f, question.number + 7, true); /* to somebody else */
    /* The frame or its answer was lost. */
    uint64_t number = question.number;
    assert_true(await(is_asked, &question, AWAIT_MS));
    assert_int_equal(question.number, number);
    answer(f, number, true);
    answer(f, number, true);

    (void)await_over(f);
    assert_int_equal(story.rc[0], -EREMOTEIO);
    assert_int_equal(story.state, BERTH_DEAD);
    assert_string_equal(story.error, "no such address");
    finish(f);
}

static void a_broker_without_time_is_asked_for_the_job_again(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1, 1 }, .wants_job = true };
    struct question question;
    given_handler(f, "awaits", awaits, &story);
    until_it_waits_for_the_job(f, &question);

    answer_later(f, question.number);
    assert_true(await(is_asked, &question, AWAIT_MS));
    answer(f, question.number, true);

    (void)await_over(f);
    assert_int_equal(story.rc[0], -EREMOTEIO);
    assert_string_equal(story.error, "no such address");
    finish(f);
}

static void a_job_that_retention_has_removed_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1, 1 }, .wants_job = true };
    struct question question;
    given_handler(f, "awaits", awaits, &story);
    until_it_waits_for_the_job(f, &question);

    answer(f, question.number, false);

    (void)await_over(f);
    assert_int_equal(story.rc[0], BERTH_ENOTFOUND);
    finish(f);
}

static void a_cancel_ends_the_wait_for_a_job(void **state)
{
    struct fixture *f = *state;
    struct story story = { .rc = { 1, 1, 1 }, .wants_job = true };
    struct question question;
    given_handler(f, "awaits", awaits, &story);
    until_it_waits_for_the_job(f, &question);

    slots_cancel(f->slots, 1, AGENT_CANCEL_JOB, 5000);

    (void)await_over(f);
    assert_int_equal(story.rc[0], -ECANCELED);
    answer(f, question.number, true); /* too late */
    finish(f);
}

static void what_comes_for_an_attempt_that_is_over_is_ignored(void **state)
{
    struct fixture *f = *state;

    slots_resume(f->slots, 1);
    say_submitted(f, 1, 201, 1);
    say_ended(f, 201, BERTH_DEAD);

    assert_quiet(f);
}

int main(void)
{
#define FAMILY_TEST(fact) cmocka_unit_test_setup_teardown(fact, slots_setup, slots_teardown)
    const struct CMUnitTest tests[] = {
        FAMILY_TEST(a_sleep_is_suspended_and_goes_on_when_the_broker_says_so),
        FAMILY_TEST(a_cancel_is_felt_when_the_attempt_may_go_on),
        FAMILY_TEST(a_coroutine_of_the_handler_waits_and_suspends_nobody),
        FAMILY_TEST(children_are_numbered_in_the_order_of_their_submits),
        FAMILY_TEST(a_refusal_comes_out_and_keeps_its_numbers),
        FAMILY_TEST(a_handler_that_returns_a_refusal_fails_with_its_reason),
        FAMILY_TEST(a_cancel_waits_for_the_answer_to_a_submit),
        FAMILY_TEST(what_is_malformed_never_leaves),
        FAMILY_TEST(out_of_memory_is_an_answer_at_each_allocation),
        FAMILY_TEST(the_end_of_a_child_says_how_it_ended),
        FAMILY_TEST(on_virtual_it_is_the_same),
        FAMILY_TEST(the_job_of_a_child_comes_from_the_broker),
        FAMILY_TEST(a_broker_without_time_is_asked_for_the_job_again),
        FAMILY_TEST(a_job_that_retention_has_removed_is_not_found),
        FAMILY_TEST(a_cancel_ends_the_wait_for_a_job),
        FAMILY_TEST(what_comes_for_an_attempt_that_is_over_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

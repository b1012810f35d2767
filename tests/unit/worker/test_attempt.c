/* SPDX-License-Identifier: MIT
 *
 * What a handler sees of its attempt, and what its verdicts come to.
 */
#include "slots_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* ---- what it sees ---- */

struct seen {
    uint64_t job;
    uint32_t number;
    char payload[16], tenant[16], reason[16], child_tenant[16];
    int64_t deadline_ns;
    bool has_none;
};

static int look_from_child(void *arg)
{
    struct seen *seen = arg;
    const char *tenant = weft_field_find("tenant");
    (void)snprintf(seen->child_tenant, sizeof seen->child_tenant, "%s", tenant ? tenant : "");
    return 0;
}

static int look(struct berth_attempt *attempt, void *arg)
{
    struct seen *seen = arg;
    struct berth_slice payload = berth_attempt_payload(attempt);
    const char *tenant = berth_attempt_context_find(attempt, "tenant");
    seen->job = berth_attempt_job(attempt).v;
    seen->number = berth_attempt_number(attempt);
    seen->deadline_ns = berth_attempt_deadline_ns(attempt);
    seen->has_none = berth_attempt_context_find(attempt, "nobody") == NULL;
    (void)snprintf(seen->payload, sizeof seen->payload, "%.*s", (int)payload.bytes,
                   (const char *)payload.data);
    (void)snprintf(seen->tenant, sizeof seen->tenant, "%s", tenant ? tenant : "");
    (void)snprintf(seen->reason, sizeof seen->reason, "%s", berth_attempt_cancel_reason(attempt));
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_launch(&scope, NULL, look_from_child, seen);
    return weft_scope_close(&scope, 0);
}

static void a_handler_sees_its_job_and_the_context(void **state)
{
    struct fixture *f = *state;
    struct seen seen = { .reason = "?" };
    given_handler(f, "look", look, &seen);
    const struct berth_field context[] = { { "tenant", "acme" }, { "traceparent", "00-1-2-01" } };
    const struct berth_body body = { .payload = berth_slice_of("alice"),
                                     .context = context,
                                     .context_count = 2 };

    start_body(f, 7, "look", &body);
    assert_end(await_end(f, NULL), AGENT_COMPLETED, "", "");
    finish(f);

    assert_int_equal(seen.job, 107);
    assert_int_equal(seen.number, 3);
    assert_string_equal(seen.payload, "alice");
    assert_string_equal(seen.tenant, "acme");
    assert_string_equal(seen.child_tenant, "acme");
    assert_string_equal(seen.reason, "");
    assert_true(seen.has_none);
    assert_true(seen.deadline_ns == WEFT_NEVER);
}

static void the_nearer_of_timeout_and_deadline_is_shown(void **state)
{
    struct fixture *f = *state;
    struct seen seen = { .reason = "?" };
    given_handler(f, "look", look, &seen);
    static const struct {
        int64_t timeout_ms, deadline_ms, left_ms;
    } rows[] = {
        { 60000, 90000, 60000 }, { 90000, 60000, 60000 }, { 0, 60000, 60000 }, { 60000, 0, 60000 }
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t before_ns = weft_now_ns();
        start_with_clocks(f, i + 1, "look", rows[i].timeout_ms, rows[i].deadline_ms);
        assert_end(await_end(f, NULL), AGENT_COMPLETED, "", "");
        finish(f);
        int64_t left_ns = seen.deadline_ns - before_ns;
        assert_true(left_ns >= rows[i].left_ms * 1000000);
        assert_true(left_ns < (rows[i].left_ms + 20000) * 1000000);
    }
}

/* ---- results ---- */

static int leave_twice(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    char last[] = "last";
    if (berth_attempt_result(attempt, "first", 5) < 0)
        return -EIO;
    int rc = berth_attempt_result(attempt, last, 4);
    memset(last, 'x', 4);
    return rc;
}

static int leave_too_much(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    static char bytes[BERTH_PAYLOAD_BYTES_MAX + 1];
    if (berth_attempt_result(attempt, bytes, sizeof bytes - 1) != 0)
        return -EIO;
    if (berth_attempt_result(attempt, "kept", 4) != 0)
        return -EIO;
    return berth_attempt_result(attempt, bytes, sizeof bytes) == -EMSGSIZE ? 0 : -EIO;
}

static int go_on(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    berth_attempt_progress(attempt, 1, 2);
    berth_attempt_progress(attempt, 7, 0);
    return 0;
}

static void how_far_it_was_is_kept_with_the_result(void **state)
{
    struct fixture *f = *state;
    struct berth_arena arena;
    struct berth_result result;
    berth_arena_init(&arena, BERTH_RESULT_BYTES_MAX);
    given_handler(f, "go-on", go_on, NULL);

    start(f, 1, "go-on", "");

    assert_ok(berth_result_unpack(await_end(f, NULL)->result, &arena, &result, NULL));
    assert_true(result.has_progress);
    assert_int_equal(result.done, 7);
    assert_int_equal(result.total, 0);
    berth_arena_fini(&arena);
    finish(f);
}

static void the_last_result_counts_and_is_a_copy(void **state)
{
    struct fixture *f = *state;
    given_handler(f, "leave", leave_twice, NULL);

    start(f, 1, "leave", "");

    const struct agent_end *end = await_end(f, NULL);
    assert_int_equal(end->outcome, AGENT_COMPLETED);
    assert_result(end, "last");
    assert_true(end->run_us >= 0);
    finish(f);
}

static void a_result_that_is_too_large_leaves_the_one_before(void **state)
{
    struct fixture *f = *state;
    given_handler(f, "leave", leave_too_much, NULL);

    start(f, 1, "leave", "");

    const struct agent_end *end = await_end(f, NULL);
    assert_int_equal(end->outcome, AGENT_COMPLETED);
    assert_result(end, "kept");
    finish(f);
}

/* ---- verdicts ---- */

struct verdict_row {
    int (*give)(struct berth_attempt *attempt);
    enum agent_outcome outcome;
    const char *kind, *message;
    int64_t retry_ms_min, retry_ms_max;
};

static int give_ok(struct berth_attempt *attempt)
{
    (void)attempt;
    return 42;
}

static int give_errno(struct berth_attempt *attempt)
{
    (void)attempt;
    return -EIO;
}

static int give_weft(struct berth_attempt *attempt)
{
    (void)attempt;
    return WEFT_ECHILD;
}

static int give_cancelled(struct berth_attempt *attempt)
{
    (void)attempt;
    return -ECANCELED;
}

static int give_fail(struct berth_attempt *attempt)
{
    return berth_attempt_fail(attempt, "the provider answered %d", 503);
}

static int give_forever(struct berth_attempt *attempt)
{
    return berth_attempt_fail_forever(attempt, "no such %s", "address");
}

static int give_snooze(struct berth_attempt *attempt)
{
    return berth_attempt_snooze(attempt, 60000);
}

static int give_retry(struct berth_attempt *attempt)
{
    return berth_attempt_retry_at(attempt, berth_clock_wall_us() / 1000 + 60000, "asked to wait");
}

static int give_retry_past(struct berth_attempt *attempt)
{
    return berth_attempt_retry_at(attempt, 1000, "long ago");
}

static int give_then_complete(struct berth_attempt *attempt)
{
    (void)berth_attempt_fail_forever(attempt, "never mind");
    return 0;
}

static int give_then_errno(struct berth_attempt *attempt)
{
    (void)berth_attempt_snooze(attempt, 1000);
    return -ENOENT;
}

static int give_twice(struct berth_attempt *attempt)
{
    (void)berth_attempt_fail(attempt, "first");
    return berth_attempt_fail(attempt, "second");
}

static int give(struct berth_attempt *attempt, void *arg)
{
    const struct verdict_row *row = arg;
    return row->give(attempt);
}

static void a_verdict_counts_when_it_is_returned(void **state)
{
    static struct verdict_row rows[] = {
        { give_ok, AGENT_COMPLETED, "", "", 0, 0 },
        { give_errno, AGENT_FAILED, "handler", "the handler returned -5 (EIO): Input/output error",
          0, 0 },
        { give_weft, AGENT_FAILED, "handler", NULL, 0, 0 },
        { give_cancelled, AGENT_FAILED, "handler", NULL, 0, 0 }, /* nobody had cancelled it */
        { give_fail, AGENT_FAILED, "handler", "the provider answered 503", 0, 0 },
        { give_forever, AGENT_FAILED_FOREVER, "handler", "no such address", 0, 0 },
        { give_snooze, AGENT_SNOOZED, "", "", 60000, 60000 },
        { give_retry, AGENT_FAILED, "handler", "asked to wait", 50000, 60000 },
        { give_retry_past, AGENT_FAILED, "handler", "long ago", 1, 1 },
        { give_then_complete, AGENT_COMPLETED, "", "", 0, 0 },
        { give_then_errno, AGENT_FAILED, "handler",
          "the handler returned -2 (ENOENT): No such file or directory", 0, 0 },
        { give_twice, AGENT_FAILED, "handler", "second", 0, 0 },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "give%zu", i);
        given_handler(f, name, give, &rows[i]);
        start(f, i + 1, name, "");
        const struct agent_end *end = await_end(f, NULL);
        if (rows[i].message)
            assert_end(end, rows[i].outcome, rows[i].kind, rows[i].message);
        assert_int_equal(end->outcome, rows[i].outcome);
        assert_in_range(end->retry_ms, rows[i].retry_ms_min, rows[i].retry_ms_max);
        finish(f);
    }
}

static int shout(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    char long_text[3 * BERTH_ERROR_TEXT_MAX];
    memset(long_text, 'a', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    berth_attempt_log(attempt, "%s", long_text);
    return berth_attempt_fail(attempt, "%s", long_text);
}

static void a_message_that_is_too_long_is_cut(void **state)
{
    struct fixture *f = *state;
    const struct berth_handler_opts opts = { .stack_bytes = 256 << 10 };
    assert_ok(registry_add(f->registry, "shout", shout, NULL, &opts, NULL));

    start(f, 1, "shout", "");

    assert_int_equal(await_end(f, NULL)->error_message.bytes, BERTH_ERROR_TEXT_MAX - 1);
    finish(f);
}

int main(void)
{
#define SLOTS_TEST(fact) cmocka_unit_test_setup_teardown(fact, slots_setup, slots_teardown)
    const struct CMUnitTest tests[] = {
        SLOTS_TEST(a_handler_sees_its_job_and_the_context),
        SLOTS_TEST(the_nearer_of_timeout_and_deadline_is_shown),
        SLOTS_TEST(the_last_result_counts_and_is_a_copy),
        SLOTS_TEST(how_far_it_was_is_kept_with_the_result),
        SLOTS_TEST(a_result_that_is_too_large_leaves_the_one_before),
        SLOTS_TEST(a_verdict_counts_when_it_is_returned),
        SLOTS_TEST(a_message_that_is_too_long_is_cut),
    };
    return berth_test_main(tests, NULL, NULL);
}

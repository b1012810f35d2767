/* SPDX-License-Identifier: MIT
 *
 * Running attempts: exactly one item for each, cancelling, commands, the fence.
 */
#include "slots_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/await.h"

/* ---- handlers to be cancelled ---- */

struct gate {
    atomic_int entered;
    atomic_bool is_open;
    char reason[16];
};

static bool has_entered(void *arg)
{
    return atomic_load(&((struct gate *)arg)->entered) > 0;
}

/* Sleeps in weft until it is cancelled. */
static int sleep_long(struct berth_attempt *attempt, void *arg)
{
    struct gate *gate = arg;
    atomic_fetch_add(&gate->entered, 1);
    int rc = weft_sleep_ms(60000);
    strncpy(gate->reason, berth_attempt_cancel_reason(attempt), sizeof gate->reason - 1);
    return rc;
}

/* Does not hear of being cancelled, and completes. */
static int blocks(struct berth_attempt *attempt, void *arg)
{
    struct gate *gate = arg;
    (void)attempt;
    atomic_fetch_add(&gate->entered, 1);
    while (!atomic_load(&gate->is_open))
        (void)await_readable(-1, 1);
    return 0;
}

static void every_attempt_brings_exactly_one_item(void **state)
{
    struct fixture *f = *state;
    struct gate gate = { .is_open = true };
    given_handler(f, "blocks", blocks, &gate);
    bool seen[SLOTS_CAPACITY + 1] = { false };

    for (uint64_t i = 1; i <= SLOTS_CAPACITY; i++)
        start(f, i, "blocks", "");
    for (size_t i = 0; i < SLOTS_CAPACITY; i++) {
        uint64_t id;
        assert_int_equal(await_end(f, &id)->outcome, AGENT_COMPLETED);
        assert_false(seen[id]);
        seen[id] = true;
        finish(f);
    }

    assert_int_equal(slots_running_count(f->slots), 0);
    assert_false(await_readable(inbox_fd(f->inbox), 0));
}

static void slots_are_used_again_and_again(void **state)
{
    struct fixture *f = *state;
    struct gate gate = { .is_open = true };
    given_handler(f, "blocks", blocks, &gate);

    for (uint64_t i = 1; i <= 200; i++) {
        start(f, i, "blocks", "");
        assert_int_equal(await_end(f, NULL)->outcome, AGENT_COMPLETED);
        /* Not tidied: the next start finds room all the same. */
        slots_finish(f->slots, f->item);
        f->item = NULL;
    }

    assert_int_equal(atomic_load(&gate.entered), 200);
}

static void an_attempt_is_in_the_fence_while_it_runs(void **state)
{
    struct fixture *f = *state;
    struct gate gate = { 0 };
    given_handler(f, "blocks", blocks, &gate);

    start(f, 5, "blocks", "");
    struct fence_attempt fenced[2];
    assert_int_equal(fence_attempts(f->fence, fenced, 2), 1);
    assert_int_equal(fenced[0].attempt, 5);
    assert_int_equal(fenced[0].job, 105);
    assert_int_equal(fenced[0].number, 3);
    assert_int_equal(slots_running_count(f->slots), 1);
    atomic_store(&gate.is_open, true);
    (void)await_end(f, NULL);

    assert_int_equal(fenced_count(f), 0);
    finish(f);
}

static void a_cancelled_handler_hears_why_and_ends(void **state)
{
    static const struct {
        enum agent_cancel_reason reason;
        const char *text;
    } rows[] = { { AGENT_CANCEL_JOB, "cancel" },
                 { AGENT_CANCEL_TIMEOUT, "timeout" },
                 { AGENT_CANCEL_STOP, "drain" },
                 { AGENT_CANCEL_DEADLINE, "deadline" },
                 { AGENT_CANCEL_CHILD, "child" } };
    struct fixture *f = *state;
    struct gate gate;
    given_handler(f, "sleep", sleep_long, &gate);
    for (uint64_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(&gate, 0, sizeof gate);
        start(f, i + 1, "sleep", "");
        assert_true(await(has_entered, &gate, AWAIT_MS));

        slots_cancel(f->slots, i + 1, rows[i].reason, 5000);
        slots_cancel(f->slots, i + 1, AGENT_CANCEL_JOB, 5000); /* a repeat does no harm */

        assert_end(await_end(f, NULL), AGENT_CANCELLED, "", "");
        assert_string_equal(gate.reason, rows[i].text);
        finish(f);
    }
}

struct lines {
    int ends[2];
    atomic_int entered;
};

/* Plain blocking code that knows nothing of weft. */
static int reads_a_line(struct berth_attempt *attempt, void *arg)
{
    struct lines *lines = arg;
    char byte;
    (void)attempt;
    atomic_fetch_add(&lines->entered, 1);
    return read(lines->ends[0], &byte, 1) < 0 ? -errno : 0;
}

static bool have_all_entered(void *arg)
{
    return atomic_load(&((struct lines *)arg)->entered) == SLOTS_CAPACITY;
}

static void on_virtual_a_cancel_reaches_a_blocking_call(void **state)
{
    struct fixture *f = *state;
    struct lines lines = { .entered = 0 };
    assert_int_equal(pipe(lines.ends), 0);
    const struct berth_handler_opts opts = { .on = weft_virtual() };
    assert_ok(registry_add(f->registry, "reads", reads_a_line, &lines, &opts, NULL));
    for (uint64_t i = 1; i <= SLOTS_CAPACITY; i++)
        start(f, i, "reads", "");
    assert_true(await(have_all_entered, &lines, AWAIT_MS));

    for (uint64_t i = 1; i <= SLOTS_CAPACITY; i++)
        slots_cancel(f->slots, i, AGENT_CANCEL_TIMEOUT, 5000);

    for (size_t i = 0; i < SLOTS_CAPACITY; i++) {
        assert_end(await_end(f, NULL), AGENT_CANCELLED, "", "");
        finish(f);
    }
    (void)close(lines.ends[0]);
    (void)close(lines.ends[1]);
}

static void a_handler_that_completes_though_cancelled_has_completed(void **state)
{
    struct fixture *f = *state;
    struct gate gate = { 0 };
    given_handler(f, "blocks", blocks, &gate);
    start(f, 1, "blocks", "");
    assert_true(await(has_entered, &gate, AWAIT_MS));

    slots_cancel(f->slots, 1, AGENT_CANCEL_JOB, 5000);
    atomic_store(&gate.is_open, true);

    assert_end(await_end(f, NULL), AGENT_COMPLETED, "", "");
    finish(f);
}

static int never(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

/* Cancelled while it waits for a thread, or while it starts: one item in each case. */
static void a_cancel_around_the_start_still_brings_one_item(void **state)
{
    struct fixture *f = *state;
    atomic_int ran = 0;
    int cancelled = 0, completed = 0;
    given_handler(f, "never", never, &ran);
    for (uint64_t i = 1; i <= 300; i++) {
        start(f, i, "never", "");
        slots_cancel(f->slots, i, AGENT_CANCEL_JOB, 0);
        enum agent_outcome outcome = await_end(f, NULL)->outcome;
        cancelled += outcome == AGENT_CANCELLED;
        completed += outcome == AGENT_COMPLETED;
        finish(f);
        assert_false(await_readable(inbox_fd(f->inbox), 0));
    }
    assert_int_equal(cancelled + completed, 300);
    assert_int_equal(atomic_load(&ran), completed);
}

static void a_cancel_of_what_is_not_there_is_ignored(void **state)
{
    struct fixture *f = *state;
    atomic_int ran = 0;
    given_handler(f, "never", never, &ran);
    slots_cancel(f->slots, 99, AGENT_CANCEL_JOB, 0);
    start(f, 1, "never", "");
    (void)await_item(f);

    slots_cancel(f->slots, 1, AGENT_CANCEL_JOB, 0); /* ended, but not yet taken */
    finish(f);
    slots_cancel(f->slots, 1, AGENT_CANCEL_JOB, 0);

    assert_false(await_readable(inbox_fd(f->inbox), 0));
}

/* ---- what cannot start ---- */

static void an_unknown_handler_is_released(void **state)
{
    struct fixture *f = *state;

    start(f, 1, "nobody", "");

    assert_int_equal(await_item(f)->release_reason, AGENT_RELEASE_NO_HANDLER);
    assert_int_equal(fenced_count(f), 0);
    finish(f);
}

static void a_body_that_is_none_is_refused_for_ever(void **state)
{
    struct fixture *f = *state;
    atomic_int ran = 0;
    given_handler(f, "never", never, &ran);
    const struct agent_grant grant = { .attempt = 1,
                                       .job = 1,
                                       .dispatcher = { "d", 1 },
                                       .handler = { "never", 5 },
                                       .number = 1,
                                       .body = { "\xff\xff\xff", 3 } };

    slots_start(f->slots, &grant);

    const struct agent_end *end = await_end(f, NULL);
    assert_int_equal(end->outcome, AGENT_FAILED_FOREVER);
    assert_int_equal(end->error_kind.bytes, strlen("refused"));
    assert_true(end->error_message.bytes > 0);
    finish(f);
    assert_int_equal(atomic_load(&ran), 0);
}

/* ---- commands ---- */

static void run_command(struct fixture *f, uint64_t id, const char *script, const char *payload)
{
    const char *const argv[] = { "/bin/sh", "-c", script, NULL };
    const struct berth_body body = { .argv = argv,
                                     .argv_count = 3,
                                     .payload = berth_slice_of(payload) };
    start_body(f, id, "exec", &body);
}

static struct berth_result result_of(const struct agent_end *end, struct berth_arena *arena)
{
    struct berth_result result;
    assert_ok(berth_result_unpack(end->result, arena, &result, NULL));
    return result;
}

static void a_command_leaves_its_output_and_its_status(void **state)
{
    static const struct {
        const char *script;
        enum agent_outcome outcome;
        const char *kind, *message;
        int exit_code;
        const char *out;
    } rows[] = {
        { "cat; echo oops >&2", AGENT_COMPLETED, "", "", 0, "in" },
        { "echo $BERTH_JOB $BERTH_ATTEMPT $BERTH_DISPATCHER; exit 3", AGENT_FAILED, "exit",
          "the command ended with status 3", 3, "102 3 newsletter\n" },
        { "kill -9 $$", AGENT_FAILED, "signal", "the command was ended by signal 9 (SIGKILL)", 137,
          "" },
    };
    struct fixture *f = *state;
    for (uint64_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct berth_arena arena;
        berth_arena_init(&arena, 1 << 20);
        run_command(f, i + 1, rows[i].script, "in");
        const struct agent_end *end = await_end(f, NULL);
        assert_end(end, rows[i].outcome, rows[i].kind, rows[i].message);
        struct berth_result result = result_of(end, &arena);
        assert_true(result.has_exit_code);
        assert_int_equal(result.exit_code, rows[i].exit_code);
        assert_int_equal(result.out.bytes, strlen(rows[i].out));
        assert_memory_equal(result.out.data, rows[i].out, result.out.bytes);
        finish(f);
        berth_arena_fini(&arena);
    }
}

static void a_command_knows_which_one_of_many_it_is(void **state)
{
    static const struct {
        struct berth_body body;
        const char *out;
    } rows[] = {
        { { .has_array_index = true, .array_index = 18446744073709551615u },
          "18446744073709551615/none\n" },
        { { .line = "two words" }, "none/two words\n" },
        { { .line = "" }, "none/\n" },
        { { 0 }, "none/none\n" },
    };
    static const char *const argv[] = { "/bin/sh", "-c",
                                        "echo ${BERTH_ARRAY_INDEX-none}/\"${BERTH_LINE-none}\"",
                                        NULL };
    struct fixture *f = *state;
    for (uint64_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct berth_body body = rows[i].body;
        body.argv = argv;
        body.argv_count = 3;
        struct berth_arena arena;
        berth_arena_init(&arena, 1 << 20);
        start_body(f, i + 1, "exec", &body);
        struct berth_result result = result_of(await_end(f, NULL), &arena);
        assert_int_equal(result.out.bytes, strlen(rows[i].out));
        assert_memory_equal(result.out.data, rows[i].out, result.out.bytes);
        finish(f);
        berth_arena_fini(&arena);
    }
}

static void a_command_that_is_not_there_failed_and_says_so(void **state)
{
    struct fixture *f = *state;
    const char *const argv[] = { "/nonexistent/command", NULL };
    const struct berth_body body = { .argv = argv, .argv_count = 1 };
    struct berth_arena arena;
    berth_arena_init(&arena, 1 << 20);

    start_body(f, 1, "exec", &body);

    const struct agent_end *end = await_end(f, NULL);
    assert_int_equal(end->outcome, AGENT_FAILED);
    assert_int_equal(result_of(end, &arena).exit_code, 127);
    assert_non_null(memmem(end->error_message.data, end->error_message.bytes,
                           "/nonexistent/command", strlen("/nonexistent/command")));
    finish(f);
    berth_arena_fini(&arena);
}

static void a_command_without_argv_is_refused_for_ever(void **state)
{
    struct fixture *f = *state;

    start(f, 1, "exec", "no argv");

    assert_int_equal(await_end(f, NULL)->outcome, AGENT_FAILED_FOREVER);
    finish(f);
}

static void a_cancelled_command_is_ended(void **state)
{
    struct fixture *f = *state;
    run_command(f, 1, "sleep 60", "");
    assert_int_equal(fenced_count(f), 1);

    slots_cancel(f->slots, 1, AGENT_CANCEL_JOB, 5000);

    assert_int_equal(await_end(f, NULL)->outcome, AGENT_CANCELLED);
    assert_int_equal(fenced_count(f), 0);
    finish(f);
}

/* ---- what they show ---- */

static int shows(struct berth_attempt *attempt, void *arg)
{
    struct gate *gate = arg;
    berth_attempt_progress(attempt, 1, 9);
    berth_attempt_progress(attempt, 3, 10);
    atomic_fetch_add(&gate->entered, 1);
    while (!atomic_load(&gate->is_open))
        (void)await_readable(-1, 1);
    berth_attempt_progress(attempt, 10, 10);
    return 0;
}

static void await_news(struct fixture *f, uint64_t id)
{
    uint64_t attempt;
    unsigned commands = 0;
    while (!(commands & INBOX_NEWS)) {
        assert_true(await_readable(inbox_fd(f->inbox), AWAIT_MS));
        commands = inbox_take(f->inbox, &f->items);
    }
    assert_true(slots_next_news(f->slots, &attempt));
    assert_int_equal(attempt, id);
    assert_false(slots_next_news(f->slots, &attempt));
}

static void progress_is_shown_as_it_is_when_it_is_asked(void **state)
{
    struct fixture *f = *state;
    struct gate gate = { .entered = 0 };
    struct agent_show show;
    given_handler(f, "shows", shows, &gate);
    start(f, 1, "shows", "");
    await_news(f, 1);
    assert_true(await(has_entered, &gate, AWAIT_MS));

    assert_true(slots_show(f->slots, 1, 5, 1, 1000, NULL, &show));

    assert_int_equal(show.attempt, 1);
    assert_true(show.has_progress);
    assert_int_equal(show.done, 3);
    assert_int_equal(show.total, 10);
    assert_int_equal(show.out.bytes, 0);
    assert_false(slots_show(f->slots, 2, 5, 1, 1000, NULL, &show));
    atomic_store(&gate.is_open, true);
    assert_int_equal(await_end(f, NULL)->outcome, AGENT_COMPLETED);
    finish(f); /* its last news is gone with it */
    uint64_t attempt;
    assert_false(slots_next_news(f->slots, &attempt));
}

static void assert_shows(const struct agent_show *show, uint64_t from, const char *text)
{
    assert_int_equal(show->out_from, from);
    assert_int_equal(show->out.bytes, strlen(text));
    assert_memory_equal(show->out.data, text, show->out.bytes);
}

static void output_is_shown_once_in_a_join_and_again_in_the_next(void **state)
{
    struct fixture *f = *state;
    struct berth_arena arena;
    struct agent_show show;
    berth_arena_init(&arena, 1 << 20);
    const char *const argv[] = { "/bin/sh", "-c", "printf abcdef; exec sleep 60", NULL };
    start_body(f, 1, "exec", &(struct berth_body){ .argv = argv, .argv_count = 3 });
    await_news(f, 1);

    assert_true(slots_show(f->slots, 1, 5, 1, 4, &arena, &show));
    assert_shows(&show, 0, "abcd");
    await_news(f, 1); /* there was more */
    assert_true(slots_show(f->slots, 1, 5, 1, 1000, &arena, &show));
    assert_shows(&show, 4, "ef");
    assert_false(slots_show(f->slots, 1, 5, 1, 1000, &arena, &show));
    assert_true(slots_show(f->slots, 1, 5, 2, 1000, &arena, &show));
    assert_shows(&show, 0, "abcdef");
    assert_true(slots_show(f->slots, 1, 6, 2, 1000, &arena, &show));
    assert_shows(&show, 0, "abcdef");

    slots_cancel(f->slots, 1, AGENT_CANCEL_JOB, 0);
    assert_int_equal(await_end(f, NULL)->outcome, AGENT_CANCELLED);
    finish(f);
    berth_arena_fini(&arena);
}

int main(void)
{
#define SLOTS_TEST(fact) cmocka_unit_test_setup_teardown(fact, slots_setup, slots_teardown)
    const struct CMUnitTest tests[] = {
        SLOTS_TEST(every_attempt_brings_exactly_one_item),
        SLOTS_TEST(slots_are_used_again_and_again),
        SLOTS_TEST(an_attempt_is_in_the_fence_while_it_runs),
        SLOTS_TEST(a_cancelled_handler_hears_why_and_ends),
        SLOTS_TEST(on_virtual_a_cancel_reaches_a_blocking_call),
        SLOTS_TEST(a_handler_that_completes_though_cancelled_has_completed),
        SLOTS_TEST(a_cancel_around_the_start_still_brings_one_item),
        SLOTS_TEST(a_cancel_of_what_is_not_there_is_ignored),
        SLOTS_TEST(an_unknown_handler_is_released),
        SLOTS_TEST(a_body_that_is_none_is_refused_for_ever),
        SLOTS_TEST(a_command_leaves_its_output_and_its_status),
        SLOTS_TEST(a_command_knows_which_one_of_many_it_is),
        SLOTS_TEST(a_command_that_is_not_there_failed_and_says_so),
        SLOTS_TEST(a_command_without_argv_is_refused_for_ever),
        SLOTS_TEST(a_cancelled_command_is_ended),
        SLOTS_TEST(progress_is_shown_as_it_is_when_it_is_asked),
        SLOTS_TEST(output_is_shown_once_in_a_join_and_again_in_the_next),
    };
    return berth_test_main(tests, NULL, NULL);
}

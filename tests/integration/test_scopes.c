/* SPDX-License-Identifier: MIT
 *
 * Jobs with children, for real: the parent runs on one worker, its children are commands on others,
 * and whoever is killed, no child is left over and none is lost.
 */
#include "cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/await.h"

#define WIDE    "wide" /* a dispatcher with slots for everybody */
#define ROUNDS  12
#define PARENTS 0 /* the worker that runs parents; the others run commands */

static void start_parents(struct cluster *c)
{
    static const char *const options[] = { "--plugin", BERTH_BIN_DIR "/scopes_plugin.so", NULL };
    cluster_start_worker_with(c, PARENTS, 8, options);
}

static void start_all(struct cluster *c)
{
    cluster_set_limit(c, WIDE, 32);
    start_parents(c);
    cluster_start_worker(c, 1, 8);
    cluster_start_worker(c, 2, 8);
}

/* "MODE COUNT DISPATCHER HOLD GAUGE": see scopes_plugin.c. */
static void plan(struct cluster *c, const char *mode, int count, const char *dispatcher,
                 char payload[static 512])
{
    (void)snprintf(payload, 512, "%s %d %s %s %s", mode, count, dispatcher, BERTH_BIN_DIR "/hold",
                   c->gauge_path);
}

static uint64_t submit_payload(struct cluster *c, const char *dispatcher, const char *payload,
                               uint32_t max_attempts)
{
    return cluster_submit_one(c, &(struct berth_job_spec){ .dispatcher = dispatcher,
                                                           .handler = "parent",
                                                           .payload = { payload, strlen(payload) },
                                                           .max_attempts = max_attempts,
                                                           .backoff_ms = 1,
                                                           .backoff_ms_max = 1 });
}

static uint64_t submit_parent(struct cluster *c, const char *mode, int count)
{
    char payload[512];
    plan(c, mode, count, WIDE, payload);
    return submit_payload(c, WIDE, payload, 1);
}

static void set(struct cluster *c, const char *dispatcher, uint32_t limit,
                enum berth_dispatcher_hold hold)
{
    const struct berth_dispatcher_settings settings = {
        .limit = { .kind = BERTH_LIMIT_NUMBER, .value = limit }, .hold = hold
    };
    if (berth_dispatcher_set(c->client, dispatcher, &settings, NULL, CLUSTER_TIMEOUT_MS, &c->err) <
        0)
        fail_msg("%s", c->err.message);
}

/* How many jobs the broker knows that are children of it and in this state. */
struct census {
    uint64_t parent;
    enum berth_state state;
    int count;
};

static int count_child(void *arg, const struct berth_job *job)
{
    struct census *census = arg;
    census->count += job->parent.v == census->parent && job->state == census->state;
    return 0;
}

static int children_in(struct cluster *c, uint64_t parent, enum berth_state state)
{
    struct census census = { parent, state, 0 };
    if (berth_job_list(c->client, NULL, count_child, &census, CLUSTER_TIMEOUT_MS, &c->err) < 0)
        fail_msg("%s", c->err.message);
    return census.count;
}

static void assert_failed_by(struct cluster *c, uint64_t id, const char *part)
{
    struct berth_job *job = cluster_job(c, id);
    assert_string_equal(job->error_kind, "handler");
    if (!strstr(job->error_message, part))
        fail_msg("'%s' does not say '%s'", job->error_message, part);
    berth_job_free(job);
}

/* ---- all well ---- */

static void a_parent_awaits_its_children_on_other_workers(void **state)
{
    struct cluster *c = *state;
    start_all(c);

    uint64_t id = submit_parent(c, "plain", 4);
    assert_true(gauge_await_alive(c->gauge, 4, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    assert_int_equal(children_in(c, id, BERTH_RUNNING), 4);
    gauge_release(c->gauge, 3, 0);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    gauge_release_after(c->gauge, 0);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(children_in(c, id, BERTH_COMPLETED), 4);
    assert_int_equal(gauge_all_starts(c->gauge), 4);
}

static void what_a_handler_leaves_behind_is_waited_for(void **state)
{
    struct cluster *c = *state;
    start_all(c);

    uint64_t id = submit_parent(c, "left", 2);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    gauge_release(c->gauge, 1, 0);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    gauge_release(c->gauge, 1, 0);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
}

/* ---- somebody fails ---- */

static void a_child_that_dies_ends_its_siblings_and_its_parent(void **state)
{
    struct cluster *c = *state;
    start_all(c);
    uint64_t id = submit_parent(c, "plain", 4);
    assert_true(gauge_await_alive(c->gauge, 4, CLUSTER_TIMEOUT_MS));

    gauge_release(c->gauge, 1, 3);

    cluster_await(c, &id, 1, BERTH_DEAD);
    assert_int_equal(gauge_alive(c->gauge), 0); /* not before they had ended */
    assert_int_equal(children_in(c, id, BERTH_DEAD), 1);
    assert_int_equal(children_in(c, id, BERTH_CANCELLED), 3);
    assert_failed_by(c, id, "is dead: the command ended with status 3");
}

static void the_children_of_a_supervisor_die_alone(void **state)
{
    struct cluster *c = *state;
    start_all(c);
    uint64_t id = submit_parent(c, "supervised", 3);
    assert_true(gauge_await_alive(c->gauge, 3, CLUSTER_TIMEOUT_MS));

    gauge_release(c->gauge, 1, 7);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    gauge_release_after(c->gauge, 0);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(children_in(c, id, BERTH_DEAD), 1);
    assert_int_equal(children_in(c, id, BERTH_COMPLETED), 2);
    struct berth_job *job = cluster_job(c, id);
    assert_int_equal(job->result.bytes, strlen("child 0: 7"));
    assert_non_null(memmem(job->result.data, job->result.bytes, ": 7", 3));
    berth_job_free(job);
}

static void a_parent_that_fails_takes_its_children_with_it(void **state)
{
    struct cluster *c = *state;
    start_all(c);

    uint64_t id = submit_parent(c, "failing", 3);

    cluster_await(c, &id, 1, BERTH_DEAD);
    assert_int_equal(gauge_alive(c->gauge), 0);
    assert_int_equal(children_in(c, id, BERTH_CANCELLED), 3);
    assert_failed_by(c, id, "it fails");
}

static void a_cancel_reaches_every_descendant(void **state)
{
    struct cluster *c = *state;
    char inner[512], payload[1024];
    start_all(c);
    plan(c, "plain", 2, WIDE, inner);
    (void)snprintf(payload, sizeof payload, "nested 2 " WIDE " x x %s", inner);
    uint64_t id = submit_payload(c, WIDE, payload, 1);
    assert_true(gauge_await_alive(c->gauge, 4, CLUSTER_TIMEOUT_MS));

    if (berth_job_cancel(c->client, (berth_job_id){ id }, CLUSTER_TIMEOUT_MS, &c->err) < 0)
        fail_msg("%s", c->err.message);

    cluster_await(c, &id, 1, BERTH_CANCELLED);
    assert_int_equal(gauge_alive(c->gauge), 0);
    assert_int_equal(children_in(c, id, BERTH_CANCELLED), 2);
}

/* ---- slots ---- */

static void a_parent_that_waits_gives_its_slot_to_its_children(void **state)
{
    struct cluster *c = *state;
    char payload[512];
    start_all(c);
    set(c, "narrow", 1, BERTH_HOLDS_RUNNING);
    plan(c, "plain", 3, "narrow", payload);

    uint64_t id = submit_payload(c, "narrow", payload, 1);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 5);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
    assert_int_equal(gauge_all_starts(c->gauge), 3);
}

static void what_could_only_wait_for_itself_is_refused(void **state)
{
    struct cluster *c = *state;
    char payload[512];
    start_all(c);
    set(c, "narrow", 1, BERTH_HOLDS_JOB);
    plan(c, "plain", 1, "narrow", payload);

    uint64_t id = submit_payload(c, "narrow", payload, 1);

    cluster_await(c, &id, 1, BERTH_DEAD);
    assert_failed_by(c, id, "would wait for ever: its child needs a slot of narrow, held by job");
    assert_int_equal(gauge_all_starts(c->gauge), 0);
}

static void who_sleeps_suspended_lets_others_run(void **state)
{
    struct cluster *c = *state;
    struct berth_job_spec spec = { .dispatcher = "narrow",
                                   .handler = "sleeper",
                                   .payload = { "2000", 4 } };
    start_all(c);
    set(c, "narrow", 1, BERTH_HOLDS_RUNNING);

    uint64_t sleeper = cluster_submit_one(c, &spec), command;
    cluster_await_state(c, sleeper, BERTH_SUSPENDED);
    cluster_submit(c, "narrow", 1, &command);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    assert_int_equal(cluster_state(c, sleeper), BERTH_SUSPENDED);
    gauge_release(c->gauge, 1, 0);

    cluster_await(c, &command, 1, BERTH_COMPLETED);
    cluster_await(c, &sleeper, 1, BERTH_COMPLETED);
}

/* ---- somebody is killed ---- */

static void a_broker_that_comes_back_finds_parents_and_children(void **state)
{
    struct cluster *c = *state;
    start_all(c);
    uint64_t id = submit_parent(c, "plain", 4);
    assert_true(gauge_await_alive(c->gauge, 4, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    gauge_release(c->gauge, 1, 0);
    assert_true(gauge_await_alive(c->gauge, 3, CLUSTER_TIMEOUT_MS));

    cluster_restart_broker(c);
    gauge_release(c->gauge, 3, 0);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_all_starts(c->gauge), 4);
    struct berth_job *job = cluster_job(c, id);
    assert_int_equal(job->attempt, 1);
    berth_job_free(job);
}

static void a_child_that_dies_while_the_broker_is_away_fails_its_parent(void **state)
{
    struct cluster *c = *state;
    start_all(c);
    uint64_t id = submit_parent(c, "plain", 2);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));

    assert_int_equal(site_kill(c->site), 128 + 9);
    gauge_release(c->gauge, 1, 3);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    site_start(c->site, NULL);

    cluster_await(c, &id, 1, BERTH_DEAD);
    assert_int_equal(gauge_alive(c->gauge), 0);
    assert_failed_by(c, id, "is dead: the command ended with status 3");
}

/* What completed is found by the next attempt, what did not has ended before that begins. */
static void
a_parent_that_is_killed_takes_its_children_with_it_and_finds_those_that_completed(void **state)
{
    struct cluster *c = *state;
    start_all(c);
    uint64_t id = submit_parent(c, "plain", 3);
    assert_true(gauge_await_alive(c->gauge, 3, CLUSTER_TIMEOUT_MS));
    gauge_release(c->gauge, 1, 0);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    while (children_in(c, id, BERTH_COMPLETED) != 1)
        assert_false(await_readable(-1, 1));

    cluster_kill_child(c, PARENTS);
    assert_true(gauge_await_starts(c->gauge, 5, CLUSTER_TIMEOUT_MS));
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    assert_int_equal(gauge_alive_max(c->gauge), 3);
    gauge_release_after(c->gauge, 0);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_all_starts(c->gauge), 5);
    assert_int_equal(children_in(c, id, BERTH_CANCELLED), 2);
    assert_int_equal(children_in(c, id, BERTH_COMPLETED), 3);
}

static void a_child_whose_worker_is_killed_runs_again_and_its_parent_waits(void **state)
{
    struct cluster *c = *state;
    cluster_set_limit(c, WIDE, 32);
    start_parents(c);
    cluster_start_worker(c, 1, 8);
    uint64_t id = submit_parent(c, "plain", 2);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));

    cluster_kill_child(c, 1);
    assert_true(gauge_await_starts(c->gauge, 4, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 0);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(children_in(c, id, BERTH_COMPLETED), 2);
    struct berth_job *job = cluster_job(c, id);
    assert_int_equal(job->attempt, 1);
    berth_job_free(job);
}

/* The worst of it: broker and parent's worker together, while children run. */
static void no_child_is_left_when_broker_and_parent_are_killed_together(void **state)
{
    struct cluster *c = *state;
    start_all(c);
    uint64_t id = submit_parent(c, "plain", 3);
    assert_true(gauge_await_alive(c->gauge, 3, CLUSTER_TIMEOUT_MS));

    assert_int_equal(site_kill(c->site), 128 + 9);
    cluster_kill_child(c, PARENTS);
    site_start(c->site, NULL);

    assert_true(gauge_await_starts(c->gauge, 6, 2 * CLUSTER_TIMEOUT_MS));
    assert_int_equal(gauge_alive_max(c->gauge), 3);
    gauge_release_after(c->gauge, 0);
    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(children_in(c, id, BERTH_CANCELLED), 3);
}

/* Told once it would wait for them to end. */
static void a_worker_that_is_stopped_hands_its_parents_back(void **state)
{
    static const char *const options[] = { "--plugin", BERTH_BIN_DIR "/scopes_plugin.so", NULL };
    struct cluster *c = *state;
    start_all(c);
    uint64_t id = submit_parent(c, "left", 2);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    cluster_start_worker_with(c, 3, 8, options);

    process_kill(&c->workers[PARENTS], SIGTERM);
    assert_true(process_await_text(&c->workers[PARENTS], "event=draining", CLUSTER_TIMEOUT_MS));
    process_kill(&c->workers[PARENTS], SIGTERM);
    (void)process_await_exit(&c->workers[PARENTS], CLUSTER_TIMEOUT_MS);

    assert_true(gauge_await_starts(c->gauge, 4, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 0);
    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 2);
    struct berth_job *job = cluster_job(c, id);
    assert_int_equal(job->attempt, 2);
    assert_string_equal(job->worker, "w3");
    berth_job_free(job);
}

static void kill_when_there(struct cluster *c, int worker)
{
    while (!cluster_child_of(c, worker))
        assert_false(await_readable(-1, 1));
    cluster_kill_child(c, worker);
}

/* Each round somebody else is killed, while children come and go. Every attempt counts once only.
 */
static void whoever_is_killed_every_parent_completes_and_nothing_is_left(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[ROUNDS];
    start_all(c);
    gauge_release_after(c->gauge, 40);
    for (int i = 0; i < ROUNDS; i++) {
        ids[i] = submit_parent(c, i % 2 ? "plain" : "left", 4);
        assert_true(gauge_await_starts(c->gauge, 2 * i + 1, CLUSTER_TIMEOUT_MS));
        if (i % 4 == 1)
            cluster_restart_broker(c);
        else
            kill_when_there(c, i == 2 ? PARENTS : i % 4 == 3 ? 2 : 1);
    }

    cluster_await(c, ids, ROUNDS, BERTH_COMPLETED);
    assert_int_equal(gauge_alive(c->gauge), 0);
    assert_false(gauge_has_overlap(c->gauge));
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(children_in(c, ids[i], BERTH_COMPLETED), 4);
        assert_int_equal(children_in(c, ids[i], BERTH_DEAD), 0);
    }
}

int main(void)
{
#define SCOPES_TEST(fact) cmocka_unit_test_setup_teardown(fact, cluster_setup, cluster_teardown)
    const struct CMUnitTest tests[] = {
        SCOPES_TEST(a_parent_awaits_its_children_on_other_workers),
        SCOPES_TEST(what_a_handler_leaves_behind_is_waited_for),
        SCOPES_TEST(a_child_that_dies_ends_its_siblings_and_its_parent),
        SCOPES_TEST(the_children_of_a_supervisor_die_alone),
        SCOPES_TEST(a_parent_that_fails_takes_its_children_with_it),
        SCOPES_TEST(a_cancel_reaches_every_descendant),
        SCOPES_TEST(a_parent_that_waits_gives_its_slot_to_its_children),
        SCOPES_TEST(what_could_only_wait_for_itself_is_refused),
        SCOPES_TEST(who_sleeps_suspended_lets_others_run),
        SCOPES_TEST(a_broker_that_comes_back_finds_parents_and_children),
        SCOPES_TEST(a_child_that_dies_while_the_broker_is_away_fails_its_parent),
        SCOPES_TEST(
            a_parent_that_is_killed_takes_its_children_with_it_and_finds_those_that_completed),
        SCOPES_TEST(a_child_whose_worker_is_killed_runs_again_and_its_parent_waits),
        SCOPES_TEST(no_child_is_left_when_broker_and_parent_are_killed_together),
        SCOPES_TEST(a_worker_that_is_stopped_hands_its_parents_back),
        SCOPES_TEST(whoever_is_killed_every_parent_completes_and_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * What has ended, or is to end, with real processes and over kill -9 of the broker: retry, discard,
 * purge, removal, retention; and why what waits waits.
 */
#include "cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/explain.h>

#include "support/await.h"
#include "support/tempdir.h"

#define MANY 300

static void given(struct cluster *c, const struct berth_job_spec *each, int count,
                  uint64_t *ret_ids)
{
    struct berth_job_spec specs[MANY];
    struct berth_submitted submitted[MANY];
    for (int i = 0; i < count; i++)
        specs[i] = *each;
    assert_int_equal(
        berth_submit_many(c->client, specs, (size_t)count, submitted, CLUSTER_TIMEOUT_MS, &c->err),
        count);
    for (int i = 0; i < count; i++)
        ret_ids[i] = submitted[i].id.v;
}

static void given_dispatcher(struct cluster *c, const char *name,
                             struct berth_dispatcher_settings settings)
{
    if (settings.limit.kind == 0)
        settings.limit = (struct berth_limit){ .kind = BERTH_LIMIT_UNLIMITED };
    assert_int_equal(
        berth_dispatcher_set(c->client, name, &settings, NULL, CLUSTER_TIMEOUT_MS, &c->err), 0);
}

static void assert_gone(struct cluster *c, uint64_t id)
{
    struct berth_job *job;
    assert_int_equal(
        berth_job_get(c->client, (berth_job_id){ id }, &job, CLUSTER_TIMEOUT_MS, &c->err),
        BERTH_ENOTFOUND);
}

/* Runs `berth ... args` and asserts its end and what it prints. */
static void assert_prints(struct cluster *c, int code, const char *out, const char *err,
                          const char *const *args)
{
    const char *argv[16] = { BERTH_BIN_DIR "/berth", "--broker", c->site->url };
    for (size_t count = 3; *args; args++)
        argv[count++] = *args;
    struct process process;
    assert_int_equal(process_run(&process, argv, NULL, NULL, (int)CLUSTER_TIMEOUT_MS), code);
    assert_string_equal(process_out(&process), out);
    assert_in_text(process_err(&process), err);
    process_fini(&process);
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void assert_shows(struct cluster *c, uint64_t id, const char *line)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, id);
    struct process process;
    const char *const argv[] = {
        BERTH_BIN_DIR "/berth", "--broker", c->site->url, "show", number, NULL
    };
    assert_int_equal(process_run(&process, argv, NULL, NULL, (int)CLUSTER_TIMEOUT_MS), 0);
    assert_in_text(process_out(&process), line);
    process_fini(&process);
}

/* ---- the dead ---- */

static int count_done(void *arg, const struct berth_job_outcome *outcome)
{
    assert_int_equal(outcome->rc, 0);
    ++*(int *)arg;
    return 0;
}

static void the_dead_complete_once_what_failed_is_mended(void **state)
{
    struct cluster *c = *state;
    char *path = tempdir_path(c->site->dir, "mended");
    uint64_t ids[MANY], count = 0;
    int seen = 0;
    given_dispatcher(c, "newsletter", (struct berth_dispatcher_settings){ 0 });
    cluster_start_worker(c, 0, 8);
    given(c,
          &(struct berth_job_spec){
              .dispatcher = "newsletter", .command = WORDS("test", "-e", path), .max_attempts = 1 },
          MANY, ids);
    cluster_await(c, ids, MANY, BERTH_DEAD);
    assert_shows(c, ids[0], "\nattempt     1 of 1\n");
    cluster_restart_broker(c); /* of those that have ended only the store knows */

    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(berth_job_retry_dead(c->client, "newsletter", count_done, &seen, &count,
                                          CLUSTER_TIMEOUT_MS, &c->err),
                     0);
    assert_int_equal(count, MANY);
    assert_int_equal(seen, MANY);
    cluster_restart_broker(c); /* what was said to live again does */

    cluster_await(c, ids, MANY, BERTH_COMPLETED);
    for (int i = 0; i < MANY; i++) {
        struct berth_job *job = cluster_job(c, ids[i]);
        assert_int_equal(job->attempt, 2);
        assert_string_equal(job->error_kind, "");
        berth_job_free(job);
    }
    assert_shows(c, ids[0], "\nattempt     2\n");
    free(path);
}

static void what_is_discarded_stays_away_and_its_key_is_known(void **state)
{
    struct cluster *c = *state;
    const struct berth_job_spec spec = { .command = WORDS("false"),
                                         .max_attempts = 1,
                                         .idempotency_key = "order-17" };
    uint64_t id, again;
    cluster_start_worker(c, 0, 1);
    given(c, &spec, 1, &id);
    cluster_await(c, &id, 1, BERTH_DEAD);

    assert_int_equal(
        berth_job_discard(c->client, (berth_job_id){ id }, CLUSTER_TIMEOUT_MS, &c->err), 0);
    cluster_restart_broker(c);

    assert_gone(c, id);
    assert_int_equal(berth_job_retry(c->client, (berth_job_id){ id }, CLUSTER_TIMEOUT_MS, &c->err),
                     BERTH_ENOTFOUND);
    given(c, &spec, 1, &again);
    assert_int_equal(again, id);
}

/* ---- dispatchers ---- */

static void a_purge_leaves_what_runs(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[MANY], count = 0;
    cluster_set_limit(c, "newsletter", 1);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "newsletter", MANY, ids);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    assert_int_equal(
        berth_dispatcher_purge(c->client, "newsletter", &count, CLUSTER_TIMEOUT_MS, &c->err), 0);
    cluster_restart_broker(c);

    assert_int_equal(count, MANY - 1);
    cluster_await(c, ids + 1, MANY - 1, BERTH_CANCELLED);
    gauge_release(c->gauge, 1, 0);
    cluster_await(c, ids, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_all_starts(c->gauge), 1);
}

static void a_removed_dispatcher_leaves_its_name_and_nothing_else(void **state)
{
    struct cluster *c = *state;
    uint64_t old[MANY], live, anew;
    given_dispatcher(c, "newsletter", (struct berth_dispatcher_settings){ .max_attempts = 7 });
    cluster_start_worker(c, 0, 8);
    given(c, &(struct berth_job_spec){ .dispatcher = "newsletter", .command = WORDS("true") }, MANY,
          old);
    cluster_await(c, old, MANY, BERTH_COMPLETED);
    cluster_submit(c, "newsletter", 1, &live);
    assert_prints(c, 1, "", "has 1 live job", WORDS("dispatcher", "rm", "newsletter"));
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    gauge_release(c->gauge, 1, 0);
    cluster_await(c, &live, 1, BERTH_COMPLETED);

    assert_prints(c, 0, "", "", WORDS("dispatcher", "rm", "newsletter"));
    given_dispatcher(c, "newsletter", (struct berth_dispatcher_settings){ 0 });
    given(c, &(struct berth_job_spec){ .dispatcher = "newsletter", .command = WORDS("true") }, 1,
          &anew);
    cluster_await(c, &anew, 1, BERTH_COMPLETED);
    cluster_restart_broker(c);

    for (int i = 0; i < MANY; i++)
        assert_gone(c, old[i]);
    assert_int_equal(cluster_state(c, anew), BERTH_COMPLETED);
    struct berth_dispatcher *dispatcher;
    assert_int_equal(
        berth_dispatcher_get(c->client, "newsletter", &dispatcher, CLUSTER_TIMEOUT_MS, &c->err), 0);
    assert_int_equal(dispatcher->completed_total, 1);
    assert_int_not_equal(dispatcher->max_attempts, 7);
    berth_dispatcher_free(dispatcher);
}

/* ---- explain ---- */

struct started {
    struct cluster *cluster;
    uint64_t id;
};

static bool is_running(void *arg)
{
    const struct started *started = arg;
    return cluster_state(started->cluster, started->id) == BERTH_RUNNING;
}

static void an_explanation_names_who_has_the_slot(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[3];
    struct berth_explanation *why;
    cluster_set_limit(c, "newsletter", 1);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "newsletter", 3, ids);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    assert_int_equal(
        berth_job_explain(c->client, (berth_job_id){ ids[1] }, &why, CLUSTER_TIMEOUT_MS, &c->err),
        0);
    assert_int_equal(why->causes_count, 1);
    assert_string_equal(why->causes[0].kind, "slots");
    assert_string_equal(why->causes[0].at, "newsletter");
    assert_int_equal(why->holders_count, 1);
    assert_int_equal(why->holders[0].job.v, ids[0]);
    assert_string_equal(why->holders[0].worker, "w0");
    berth_explanation_free(why);
    assert_prints(c, 0, "slots\n", "", WORDS("-q", "explain", "-d", "newsletter"));

    assert_int_equal(berth_dispatcher_pause(c->client, "newsletter", CLUSTER_TIMEOUT_MS, &c->err),
                     0);
    cluster_restart_broker(c); /* and it explains the same once its worker has told what it runs */
    assert_true(await(is_running, &(struct started){ c, ids[0] }, CLUSTER_TIMEOUT_MS));
    assert_int_equal(
        berth_dispatcher_explain(c->client, "newsletter", &why, CLUSTER_TIMEOUT_MS, &c->err), 0);
    assert_int_equal(why->causes_count, 1);
    assert_int_equal(why->causes[0].count, 2);
    assert_string_equal(why->causes[0].kind, "pause");
    assert_int_equal(why->holders_count, 1);
    assert_int_equal(why->holders[0].job.v, ids[0]);
    berth_explanation_free(why);
    gauge_release_after(c->gauge, 0);
    gauge_release(c->gauge, 1, 0);
    cluster_await(c, ids, 1, BERTH_COMPLETED);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, cluster_setup, cluster_teardown)
    const struct CMUnitTest tests[] = {
        T(the_dead_complete_once_what_failed_is_mended),
        T(what_is_discarded_stays_away_and_its_key_is_known),
        T(a_purge_leaves_what_runs),
        T(a_removed_dispatcher_leaves_its_name_and_nothing_else),
        T(an_explanation_names_who_has_the_slot),
    };
    return berth_test_main(tests, NULL, NULL);
}

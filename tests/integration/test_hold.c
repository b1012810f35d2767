/* SPDX-License-Identifier: MIT
 *
 * on_lost = hold with real processes: what a lost host may still run keeps its slot, over a restart
 * of the broker too, until it is proven gone or an operator says so; and what is certain begins at
 * once after a restart.
 */
#include "cluster.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "support/await.h"

#define LEASE_MS 10000 /* docs/GUARANTEES.md */

static void given_vault(struct cluster *c, uint32_t limit)
{
    const struct berth_dispatcher_settings settings = {
        .limit = { .kind = BERTH_LIMIT_NUMBER, .value = limit },
        .on_lost = BERTH_LOST_HOLD,
    };
    assert_int_equal(
        berth_dispatcher_set(c->client, "vault", &settings, NULL, CLUSTER_TIMEOUT_MS, NULL), 0);
}

struct lost {
    struct cluster *cluster;
    const char *name;
    uint32_t held;
};

static int look_for_lost(void *arg, const struct berth_worker_info *worker)
{
    struct lost *lost = arg;
    if (strcmp(worker->name, lost->name) == 0 && strcmp(worker->state, "lost") == 0)
        lost->held = worker->held;
    return 0;
}

static bool is_lost(void *arg)
{
    struct lost *lost = arg;
    int rc =
        berth_worker_list(lost->cluster->client, look_for_lost, lost, CLUSTER_TIMEOUT_MS, NULL);
    return rc == 0 && lost->held > 0;
}

static void await_lost(struct cluster *c, const char *name, uint32_t held)
{
    struct lost lost = { .cluster = c, .name = name };
    assert_true(await(is_lost, &lost, CLUSTER_TIMEOUT_MS));
    assert_int_equal(lost.held, held);
}

static void assert_held(struct cluster *c, uint64_t id, const char *worker)
{
    char start[64];
    (void)snprintf(start, sizeof start, "its worker %s is lost; held", worker);
    struct berth_job *job = cluster_job(c, id);
    assert_int_equal(job->state, BERTH_RUNNING);
    assert_memory_equal(job->reason, start, strlen(start));
    berth_job_free(job);
}

/* Keeper and child stand still, and what they started goes on: nobody else may have its slot. */
static void a_host_that_stood_still_never_runs_beside_its_successor(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[2];
    given_vault(c, 1);
    cluster_start_worker(c, 0, 4);
    cluster_submit(c, "vault", 2, ids);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_start_worker(c, 1, 4);

    pid_t child = cluster_child_of(c, 0);
    process_kill(&c->workers[0], SIGSTOP);
    assert_int_equal(kill(child, SIGSTOP), 0);
    await_lost(c, "w0", 1);
    assert_held(c, ids[0], "w0");
    cluster_restart_broker(c);
    await_lost(c, "w0", 1);
    assert_held(c, ids[0], "w0");
    assert_int_equal(gauge_all_starts(c->gauge), 1);
    assert_int_equal(gauge_alive(c->gauge), 1);

    gauge_release_after(c->gauge, 0);
    process_kill(&c->workers[0], SIGCONT);
    assert_int_equal(kill(child, SIGCONT), 0);
    cluster_await(c, ids, 2, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
    assert_false(gauge_has_overlap(c->gauge));
    assert_int_equal(gauge_starts(c->gauge, ids[0]), 2);
    assert_int_equal(gauge_starts(c->gauge, ids[1]), 1);
}

static void what_a_lost_host_held_goes_on_when_an_operator_says_that_it_is_gone(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[2];
    given_vault(c, 1);
    cluster_start_worker(c, 0, 4);
    cluster_submit(c, "vault", 2, ids);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_start_worker(c, 1, 4);

    cluster_kill_both(c, 0);
    await_lost(c, "w0", 1);
    assert_int_equal(gauge_all_starts(c->gauge), 1);
    gauge_release_after(c->gauge, 0);
    assert_int_equal(berth_worker_gone(c->client, "w0", NULL, NULL, CLUSTER_TIMEOUT_MS, NULL), 1);

    cluster_await(c, ids, 2, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
}

/* Broker and host are lost together. Elsewhere every limit is full until the lease is over; here it
 * is known that one of the two slots is taken, and that the other one is not. */
static void after_a_restart_what_is_certain_begins_while_a_worker_is_missing(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[3], other;
    given_vault(c, 2);
    cluster_set_limit(c, "narrow", 2);
    cluster_start_worker(c, 0, 1);
    cluster_submit(c, "vault", 1, &ids[0]);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    assert_int_equal(site_kill(c->site), 128 + SIGKILL);
    cluster_kill_both(c, 0);
    int64_t started_ms = berth_clock_monotonic_ms();
    site_start(c->site, NULL);
    cluster_start_worker(c, 1, 8);
    cluster_submit(c, "narrow", 1, &other);
    cluster_submit(c, "vault", 2, &ids[1]);
    assert_true(gauge_await_starts(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    assert_in_range(berth_clock_monotonic_ms() - started_ms, 0, LEASE_MS / 2);
    assert_int_equal(gauge_starts(c->gauge, ids[1]), 1);

    await_lost(c, "w0", 1);
    assert_int_equal(gauge_starts(c->gauge, ids[2]), 0);
    gauge_release_after(c->gauge, 0);
    gauge_release(c->gauge, 2, 0);
    cluster_await(c, &other, 1, BERTH_COMPLETED);
    cluster_await(c, &ids[1], 2, BERTH_COMPLETED);
    assert_held(c, ids[0], "w0");
    assert_int_equal(berth_worker_gone(c->client, "w0", NULL, NULL, CLUSTER_TIMEOUT_MS, NULL), 1);
    cluster_await(c, ids, 1, BERTH_COMPLETED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_host_that_stood_still_never_runs_beside_its_successor),
        TEST(what_a_lost_host_held_goes_on_when_an_operator_says_that_it_is_gone),
        TEST(after_a_restart_what_is_certain_begins_while_a_worker_is_missing),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * A broker and real workers running real commands: limits hold and nothing is lost, whoever is
 * killed. Every job may be tried once only, so a lost attempt that were counted would show.
 */
#include "cluster.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "support/await.h"

#define LIMIT    3
#define LEASE_MS 10000 /* docs/GUARANTEES.md */
/* Neither the broker's lease nor the worker's own, 8.5 s, is over so soon, though both count from
 * the last renewal, which was 2 s ago or, on a busy machine, some more. */
#define RIDES_OUT_MS 4000

static void assert_each_ran_once(struct cluster *c, const uint64_t *ids, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(gauge_starts(c->gauge, ids[i]), 1);
}

static void two_workers_share_one_limit(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[30];
    cluster_set_limit(c, "narrow", LIMIT);
    cluster_start_worker(c, 0, 8);
    cluster_start_worker(c, 1, 8);

    cluster_submit(c, "narrow", 30, ids);
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 10);
    cluster_await(c, ids, 30, BERTH_COMPLETED);

    assert_int_equal(gauge_alive_max(c->gauge), LIMIT);
    assert_each_ran_once(c, ids, 30);
}

static void one_dispatcher_never_holds_back_another(void **state)
{
    struct cluster *c = *state;
    uint64_t slow[20], quick[20];
    cluster_set_limit(c, "newsletter", 2);
    cluster_set_limit(c, "auth", 4);
    cluster_start_worker(c, 0, 16);
    cluster_submit(c, "newsletter", 20, slow);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));

    cluster_submit(c, "auth", 4, quick);

    assert_true(gauge_await_alive(c->gauge, 6, CLUSTER_TIMEOUT_MS));
    for (int i = 0; i < 4; i++)
        assert_int_equal(gauge_starts(c->gauge, quick[i]), 1);
    gauge_release_after(c->gauge, 0);
    cluster_await(c, slow, 20, BERTH_COMPLETED);
    cluster_await(c, quick, 4, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 6);
}

static void a_command_that_fails_is_dead_with_its_exit_code(void **state)
{
    struct cluster *c = *state;
    uint64_t id;
    cluster_start_worker(c, 0, 1);
    cluster_submit(c, "default", 1, &id);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    gauge_release(c->gauge, 1, 7);
    cluster_await(c, &id, 1, BERTH_DEAD);

    struct berth_job *job = cluster_job(c, id);
    assert_int_equal(job->attempt, 1);
    assert_string_equal(job->error_kind, "exit");
    assert_true(job->has_exit_code);
    assert_int_equal(job->exit_code, 7);
    assert_string_equal(job->worker, "w0");
    berth_job_free(job);
}

static void running_jobs_are_not_disturbed_by_a_broker_that_comes_back(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[8];
    cluster_set_limit(c, "narrow", LIMIT);
    cluster_start_worker(c, 0, 8);
    cluster_start_worker(c, 1, 8);
    cluster_submit(c, "narrow", 8, ids);
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));

    cluster_restart_broker(c);
    uint64_t late[2];
    cluster_submit(c, "narrow", 2, late);

    /* They are back in their slots when the queue moves on: one ends, one begins. */
    gauge_release(c->gauge, 1, 0);
    assert_true(gauge_await_starts(c->gauge, LIMIT + 1, CLUSTER_TIMEOUT_MS));
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, 8, BERTH_COMPLETED);
    cluster_await(c, late, 2, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), LIMIT);
    assert_each_ran_once(c, ids, 8);
    assert_each_ran_once(c, late, 2);
}

static void what_ended_while_the_broker_was_away_counts(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[5];
    cluster_set_limit(c, "narrow", LIMIT);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "narrow", 5, ids);
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));

    assert_int_equal(site_kill(c->site), 128 + SIGKILL);
    gauge_release(c->gauge, LIMIT, 0);
    assert_true(gauge_await_alive(c->gauge, 0, CLUSTER_TIMEOUT_MS));
    site_start(c->site, NULL);

    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, 5, BERTH_COMPLETED);
    assert_each_ran_once(c, ids, 5);
    assert_int_equal(gauge_alive_max(c->gauge), LIMIT);
}

static void orphans_of_a_child_run_again_at_once_elsewhere(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[LIMIT];
    cluster_set_limit(c, "narrow", LIMIT);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "narrow", LIMIT, ids);
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));
    cluster_start_worker(c, 1, 8);

    int64_t killed_ms = berth_clock_monotonic_ms();
    cluster_kill_child(c, 0);
    assert_true(gauge_await_starts(c->gauge, 2 * LIMIT, CLUSTER_TIMEOUT_MS));
    int64_t took_ms = berth_clock_monotonic_ms() - killed_ms;

    assert_in_range(took_ms, 0, RIDES_OUT_MS); /* it was not the lease that did it */
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, LIMIT, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), LIMIT);
    assert_false(gauge_has_overlap(c->gauge));
    struct berth_job *job = cluster_job(c, ids[0]);
    assert_int_equal(job->attempt, 2);
    berth_job_free(job);
}

static void a_worker_whose_child_died_goes_on_with_a_fresh_one(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[2];
    cluster_start_worker(c, 0, 2);
    cluster_submit(c, "default", 2, ids);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    pid_t first = cluster_child_of(c, 0);

    cluster_kill_child(c, 0);

    assert_true(gauge_await_starts(c->gauge, 4, CLUSTER_TIMEOUT_MS));
    assert_true(cluster_child_of(c, 0) != first);
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, 2, BERTH_COMPLETED);
    assert_false(gauge_has_overlap(c->gauge));
}

/* Nobody is left to prove it, so the lease decides. */
static void jobs_of_a_lost_host_run_again_when_its_lease_is_over(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[LIMIT];
    cluster_set_limit(c, "narrow", LIMIT);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "narrow", LIMIT, ids);
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));
    cluster_start_worker(c, 1, 8);

    int64_t killed_ms = berth_clock_monotonic_ms();
    cluster_kill_both(c, 0);
    assert_true(gauge_await_alive(c->gauge, 0, CLUSTER_TIMEOUT_MS));
    assert_true(gauge_await_starts(c->gauge, 2 * LIMIT, CLUSTER_TIMEOUT_MS));
    int64_t took_ms = berth_clock_monotonic_ms() - killed_ms;

    assert_in_range(took_ms, RIDES_OUT_MS, CLUSTER_TIMEOUT_MS);
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, LIMIT, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), LIMIT);
    assert_false(gauge_has_overlap(c->gauge));
}

/* Nobody is left to prove it, so an operator does, who knows. */
static void jobs_of_a_host_that_is_declared_gone_run_again_at_once(void **state)
{
    struct cluster *c = *state;
    uint64_t id;
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "default", 1, &id);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    assert_int_equal(berth_worker_gone(c->client, "w0", NULL, NULL, CLUSTER_TIMEOUT_MS, NULL),
                     BERTH_ECONFLICT);
    cluster_start_worker(c, 1, 8);

    int64_t killed_ms = berth_clock_monotonic_ms();
    cluster_kill_both(c, 0);
    assert_true(gauge_await_alive(c->gauge, 0, CLUSTER_TIMEOUT_MS));
    int rc = BERTH_ECONFLICT;
    while (rc == BERTH_ECONFLICT && berth_clock_monotonic_ms() < killed_ms + LEASE_MS)
        rc = berth_worker_gone(c->client, "w0", NULL, NULL, CLUSTER_TIMEOUT_MS, NULL);
    assert_int_equal(rc, 1);
    assert_true(gauge_await_starts(c->gauge, 2, CLUSTER_TIMEOUT_MS));

    assert_in_range(berth_clock_monotonic_ms() - killed_ms, 0, LEASE_MS - 1);
    gauge_release_after(c->gauge, 0);
    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_false(gauge_has_overlap(c->gauge));
}

/* Broker and host die together: every limit is full until the lease of the one that does not come
 * back is over, and what runs on the other goes on. */
static void a_restarted_broker_waits_for_a_host_that_was_lost_with_it(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[2], more[2];
    cluster_set_limit(c, "narrow", 2);
    cluster_start_worker(c, 0, 1);
    cluster_start_worker(c, 1, 1);
    cluster_submit(c, "narrow", 2, ids);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));

    assert_int_equal(site_kill(c->site), 128 + SIGKILL);
    cluster_kill_both(c, 0);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    int64_t started_ms = berth_clock_monotonic_ms();
    site_start(c->site, NULL);
    cluster_submit(c, "narrow", 2, more);
    cluster_start_worker(c, 2, 4);
    assert_true(gauge_await_starts(c->gauge, 3, CLUSTER_TIMEOUT_MS));
    int64_t took_ms = berth_clock_monotonic_ms() - started_ms;

    assert_in_range(took_ms, LEASE_MS - 1, CLUSTER_TIMEOUT_MS);
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, 2, BERTH_COMPLETED);
    cluster_await(c, more, 2, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 2);
    assert_false(gauge_has_overlap(c->gauge));
}

/* A broker that hangs looks to its workers like one that is cut off: they end what they run before
 * anybody could be given its slots. */
static void a_worker_that_hears_nothing_ends_its_jobs_before_the_lease_is_over(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[LIMIT];
    cluster_set_limit(c, "narrow", LIMIT);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "narrow", LIMIT, ids);
    assert_true(gauge_await_alive(c->gauge, LIMIT, CLUSTER_TIMEOUT_MS));

    int64_t stopped_ms = berth_clock_monotonic_ms();
    process_kill(&c->site->broker, SIGSTOP);
    assert_true(gauge_await_alive(c->gauge, 0, LEASE_MS));
    int64_t took_ms = berth_clock_monotonic_ms() - stopped_ms;
    process_kill(&c->site->broker, SIGCONT);

    assert_in_range(took_ms, RIDES_OUT_MS, LEASE_MS);
    assert_true(gauge_await_starts(c->gauge, 2 * LIMIT, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, LIMIT, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), LIMIT);
    assert_false(gauge_has_overlap(c->gauge));
}

static void a_broker_that_hangs_for_a_while_disturbs_nobody(void **state)
{
    struct cluster *c = *state;
    uint64_t id;
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "default", 1, &id);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    process_kill(&c->site->broker, SIGSTOP);
    assert_false(gauge_await_alive(c->gauge, 0, RIDES_OUT_MS));
    process_kill(&c->site->broker, SIGCONT);
    gauge_release(c->gauge, 1, 0);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_starts(c->gauge, id), 1);
}

static void a_paused_dispatcher_starts_nothing_until_it_is_resumed(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[4], other;
    cluster_set_limit(c, "narrow", 2);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "narrow", 4, ids);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    assert_ok(berth_dispatcher_pause(c->client, "narrow", CLUSTER_TIMEOUT_MS, &c->err));

    /* What runs goes on to its end, and nothing follows it: not before a job that came later and
     * elsewhere has run, and not after a restart. */
    gauge_release(c->gauge, 2, 0);
    cluster_await(c, ids, 2, BERTH_COMPLETED);
    cluster_restart_broker(c);
    cluster_submit(c, "io", 1, &other);
    assert_true(gauge_await_starts(c->gauge, 3, CLUSTER_TIMEOUT_MS));
    gauge_release(c->gauge, 1, 0);
    cluster_await(c, &other, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_starts(c->gauge, other), 1);
    assert_int_equal(gauge_all_starts(c->gauge), 3);
    assert_int_equal(cluster_state(c, ids[3]), BERTH_READY);

    assert_ok(berth_dispatcher_resume(c->client, "narrow", CLUSTER_TIMEOUT_MS, &c->err));
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, 4, BERTH_COMPLETED);
    assert_each_ran_once(c, ids, 4);
}

static void a_limit_can_change_while_jobs_run(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[12];
    cluster_set_limit(c, "narrow", 4);
    cluster_start_worker(c, 0, 16);
    cluster_submit(c, "narrow", 12, ids);
    assert_true(gauge_await_alive(c->gauge, 4, CLUSTER_TIMEOUT_MS));

    cluster_set_limit(c, "narrow", 6);
    assert_true(gauge_await_alive(c->gauge, 6, CLUSTER_TIMEOUT_MS));
    cluster_set_limit(c, "narrow", 1);
    assert_int_equal(gauge_alive(c->gauge), 6);
    gauge_release(c->gauge, 5, 0);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    gauge_release(c->gauge, 1, 0);
    assert_true(gauge_await_starts(c->gauge, 7, CLUSTER_TIMEOUT_MS));
    assert_int_equal(gauge_alive(c->gauge), 1);

    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, 12, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 6);
}

static void a_queued_job_is_cancelled_at_once_and_never_starts(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[2];
    cluster_set_limit(c, "narrow", 1);
    cluster_start_worker(c, 0, 4);
    cluster_submit(c, "narrow", 2, ids);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    assert_ok(berth_job_cancel(c->client, (berth_job_id){ ids[1] }, CLUSTER_TIMEOUT_MS, &c->err));

    assert_int_equal(cluster_state(c, ids[1]), BERTH_CANCELLED);
    gauge_release(c->gauge, 1, 0);
    cluster_await(c, ids, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_starts(c->gauge, ids[1]), 0);
}

static void a_running_job_is_told_to_stop_and_its_slot_comes_back(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[2];
    cluster_set_limit(c, "narrow", 1);
    cluster_start_worker(c, 0, 4);
    cluster_submit(c, "narrow", 2, ids);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    assert_ok(berth_job_cancel(c->client, (berth_job_id){ ids[0] }, CLUSTER_TIMEOUT_MS, &c->err));
    cluster_await(c, ids, 1, BERTH_CANCELLED);
    assert_true(gauge_await_starts(c->gauge, 2, CLUSTER_TIMEOUT_MS));

    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids + 1, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
}

static void a_cancel_that_was_answered_holds_across_a_restart(void **state)
{
    struct cluster *c = *state;
    uint64_t id;
    cluster_start_worker(c, 0, 4);
    cluster_submit(c, "default", 1, &id);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    /* Stopped, the worker cannot have acted on it before the broker is gone. */
    pid_t child = cluster_child_of(c, 0);
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_ok(berth_job_cancel(c->client, (berth_job_id){ id }, CLUSTER_TIMEOUT_MS, &c->err));
    assert_int_equal(site_kill(c->site), 128 + SIGKILL);
    assert_int_equal(kill(child, SIGCONT), 0);

    site_start(c->site, NULL);

    cluster_await(c, &id, 1, BERTH_CANCELLED);
    assert_true(gauge_await_alive(c->gauge, 0, CLUSTER_TIMEOUT_MS));
    assert_int_equal(gauge_starts(c->gauge, id), 1);
}

struct waiter {
    struct cluster *cluster;
    uint64_t id;
    int rc;
    enum berth_state state;
};

static void *wait_for_end(void *arg)
{
    struct waiter *waiter = arg;
    struct berth_job *job = NULL;
    waiter->rc = berth_job_wait(waiter->cluster->client, (berth_job_id){ waiter->id }, &job,
                                2 * CLUSTER_TIMEOUT_MS, NULL);
    if (waiter->rc == 0)
        waiter->state = job->state;
    berth_job_free(job);
    return NULL;
}

static void a_wait_outlives_a_restart_of_the_broker(void **state)
{
    struct cluster *c = *state;
    struct waiter waiter = { .cluster = c };
    pthread_t thread;
    cluster_start_worker(c, 0, 4);
    cluster_submit(c, "default", 1, &waiter.id);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    assert_int_equal(pthread_create(&thread, NULL, wait_for_end, &waiter), 0);

    cluster_restart_broker(c);
    gauge_release(c->gauge, 1, 0);

    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.rc, 0);
    assert_int_equal(waiter.state, BERTH_COMPLETED);
}

static void a_worker_that_is_told_to_stop_lets_its_jobs_end(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[4];
    cluster_set_limit(c, "narrow", 2);
    cluster_start_worker(c, 0, 8);
    cluster_submit(c, "narrow", 4, ids);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    cluster_start_worker(c, 1, 8);

    process_kill(&c->workers[0], SIGTERM);
    /* It takes no more: what follows one of its jobs runs on the other worker. */
    gauge_release(c->gauge, 1, 0);
    assert_true(gauge_await_starts(c->gauge, 3, CLUSTER_TIMEOUT_MS));
    assert_int_equal(process_await_exit(&c->workers[0], 0), PROCESS_TIMED_OUT);
    gauge_release_after(c->gauge, 0);
    cluster_await(c, ids, 4, BERTH_COMPLETED);

    assert_int_equal(process_await_exit(&c->workers[0], CLUSTER_TIMEOUT_MS), 0);
    assert_each_ran_once(c, ids, 4);
    struct berth_job *job = cluster_job(c, ids[3]);
    assert_string_equal(job->worker, "w1");
    berth_job_free(job);
}

static void a_killed_keeper_takes_its_child_and_commands_along(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[2];
    cluster_start_worker(c, 0, 2);
    cluster_submit(c, "default", 2, ids);
    assert_true(gauge_await_alive(c->gauge, 2, CLUSTER_TIMEOUT_MS));

    cluster_kill_keeper(c, 0);

    assert_true(gauge_await_alive(c->gauge, 0, RIDES_OUT_MS)); /* the lease takes longer */
}

static void the_service_manager_hears_of_a_worker_when_it_has_joined(void **state)
{
    struct cluster *c = *state;
    BERTH_AUTO_FD int fd = site_manager(c->site);
    cluster_start_worker(c, 0, 2);
    assert_true(site_await_notice(fd, "READY=1"));
    for (int i = 0; i < 3; i++)
        assert_true(site_await_notice(fd, "WATCHDOG=1"));
    process_kill(&c->workers[0], SIGTERM);
    assert_true(site_await_notice(fd, "STOPPING=1"));
    assert_int_equal(process_await_exit(&c->workers[0], CLUSTER_TIMEOUT_MS), 0);
}

/* The whole story: a long queue, everybody killed once, nothing missing, never one too many. */
static void nothing_is_lost_whoever_is_killed(void **state)
{
    struct cluster *c = *state;
    enum { COUNT = 300 };
    static uint64_t ids[COUNT];
    cluster_set_limit(c, "narrow", 5);
    cluster_start_worker(c, 0, 8);
    cluster_start_worker(c, 1, 8);
    gauge_release_after(c->gauge, 20);
    cluster_submit(c, "narrow", COUNT, ids);

    assert_true(gauge_await_starts(c->gauge, 40, CLUSTER_TIMEOUT_MS));
    cluster_restart_broker(c);
    assert_true(gauge_await_starts(c->gauge, 80, CLUSTER_TIMEOUT_MS));
    cluster_kill_child(c, 0);
    assert_true(gauge_await_starts(c->gauge, 120, CLUSTER_TIMEOUT_MS));
    assert_int_equal(site_kill(c->site), 128 + SIGKILL);
    cluster_kill_child(c, 1);
    site_start(c->site, NULL);
    assert_true(gauge_await_starts(c->gauge, 160, CLUSTER_TIMEOUT_MS));
    cluster_kill_both(c, 0);
    cluster_await(c, ids, COUNT, BERTH_COMPLETED);

    assert_in_range(gauge_alive_max(c->gauge), 1, 5);
    assert_false(gauge_has_overlap(c->gauge));
    for (int i = 0; i < COUNT; i++)
        assert_in_range(gauge_starts(c->gauge, ids[i]), 1, 4);
}

/* Without an argument, what is over soon; with "lease", what waits for the end of one. */
int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)
    const struct CMUnitTest tests[] = {
        TEST(two_workers_share_one_limit),
        TEST(one_dispatcher_never_holds_back_another),
        TEST(a_command_that_fails_is_dead_with_its_exit_code),
        TEST(running_jobs_are_not_disturbed_by_a_broker_that_comes_back),
        TEST(what_ended_while_the_broker_was_away_counts),
        TEST(orphans_of_a_child_run_again_at_once_elsewhere),
        TEST(jobs_of_a_host_that_is_declared_gone_run_again_at_once),
        TEST(a_worker_whose_child_died_goes_on_with_a_fresh_one),
        TEST(a_paused_dispatcher_starts_nothing_until_it_is_resumed),
        TEST(a_limit_can_change_while_jobs_run),
        TEST(a_queued_job_is_cancelled_at_once_and_never_starts),
        TEST(a_running_job_is_told_to_stop_and_its_slot_comes_back),
        TEST(a_cancel_that_was_answered_holds_across_a_restart),
        TEST(a_wait_outlives_a_restart_of_the_broker),
        TEST(a_worker_that_is_told_to_stop_lets_its_jobs_end),
        TEST(a_killed_keeper_takes_its_child_and_commands_along),
        TEST(the_service_manager_hears_of_a_worker_when_it_has_joined),
    };
    const struct CMUnitTest lease_tests[] = {
        TEST(jobs_of_a_lost_host_run_again_when_its_lease_is_over),
        TEST(a_restarted_broker_waits_for_a_host_that_was_lost_with_it),
        TEST(a_worker_that_hears_nothing_ends_its_jobs_before_the_lease_is_over),
        TEST(a_broker_that_hangs_for_a_while_disturbs_nobody),
        TEST(nothing_is_lost_whoever_is_killed),
    };
    if (argc == 2 && strcmp(argv[1], "lease") == 0)
        return berth_test_main(lease_tests, NULL, NULL);
    return berth_test_main(tests, NULL, NULL);
}

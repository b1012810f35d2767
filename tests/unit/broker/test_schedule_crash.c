/* SPDX-License-Identifier: MIT
 *
 * Each instant is fired once, also where the broker is killed: schedules in a world with a store
 * that takes batches, crashes that lose the open one, outages, and jobs that end some time.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/rng.h"
#include "base/text.h"
#include "broker/core/recur/schedule.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define BEGIN_US                                                                                   \
    (INT64_C(1774735200) * SECOND_US) /* 2026-03-28T22:00:00Z: Berlin's short night                \
                                       */
#define SEEDS      100
#define STEPS      300
#define JOBS_MAX   32768
#define KINDS      6
#define OUTAGE_MAX (2 * 60) /* minutes */

static const struct {
    const char *cron;
    enum schedule_overlap overlap;
    enum schedule_catch_up catch_up;
} kinds[KINDS] = {
    { "* * * * *", SCHEDULE_OVERLAP_QUEUE, SCHEDULE_CATCH_UP_ALL },
    { "0,7,30-45 0-23 * * *", SCHEDULE_OVERLAP_QUEUE, SCHEDULE_CATCH_UP_ALL },
    { "*/3 * * * *", SCHEDULE_OVERLAP_QUEUE, SCHEDULE_CATCH_UP_ONE },
    { "*/2 * * * *", SCHEDULE_OVERLAP_SKIP, SCHEDULE_CATCH_UP_ALL },
    { "*/5 * * * *", SCHEDULE_OVERLAP_SKIP, SCHEDULE_CATCH_UP_ONE },
    { "* * * * *", SCHEDULE_OVERLAP_QUEUE, SCHEDULE_CATCH_UP_NONE },
};

struct job {
    uint32_t schedule;
    int64_t at_us, end_us;
};

/* What a batch makes durable. */
struct durable {
    int64_t done_us[KINDS];
    uint64_t last_job[KINDS];
    size_t job_count;
};

struct world {
    struct berth_rng rng;
    int64_t wall_us;
    struct schedules schedules;
    struct berth_heap_node *nodes[KINDS];
    struct schedule all[KINDS];
    struct job jobs[JOBS_MAX]; /* the id is the place and one */
    struct durable now, stored;
    unsigned crashes;
};

static struct world world;

static bool job_is_live(void *arg, uint64_t job)
{
    const struct world *w = arg;
    assert_in_range(job, 1, w->now.job_count);
    return w->jobs[job - 1].end_us > w->wall_us;
}

static const struct job *last_of(const struct world *w, uint32_t schedule)
{
    for (size_t i = w->now.job_count; i > 0; i--)
        if (w->jobs[i - 1].schedule == schedule)
            return &w->jobs[i - 1];
    return NULL;
}

static uint64_t fire(void *arg, const struct schedule *schedule, int64_t at_us)
{
    struct world *w = arg;
    const struct job *last = last_of(w, schedule->id);
    assert_true(!last || last->at_us < at_us);
    if (schedule->overlap == SCHEDULE_OVERLAP_SKIP)
        assert_true(!last || last->end_us <= w->wall_us);
    if (schedule->catch_up == SCHEDULE_CATCH_UP_NONE)
        assert_true(w->wall_us - at_us < SCHEDULE_LATE_US);
    assert_true(at_us <= w->wall_us);
    assert_true(w->now.job_count < JOBS_MAX);
    int64_t lasts_us = berth_rng_between(&w->rng, 0, 10 * MINUTE_US);
    w->jobs[w->now.job_count++] = (struct job){ schedule->id, at_us, w->wall_us + lasts_us };
    return w->now.job_count;
}

static void save(void *arg, const struct schedule *schedule)
{
    struct world *w = arg;
    w->now.done_us[schedule->id - 1] = schedule->done_us;
    w->now.last_job[schedule->id - 1] = schedule->last_job;
}

/* A broker that starts with what is stored. */
static void start(struct world *w)
{
    w->now = w->stored;
    schedules_init(&w->schedules, w->nodes, KINDS);
    for (uint32_t i = 0; i < KINDS; i++) {
        struct schedule *schedule = &w->all[i];
        *schedule = (struct schedule){ .id = i + 1,
                                       .overlap = kinds[i].overlap,
                                       .catch_up = kinds[i].catch_up,
                                       .done_us = w->stored.done_us[i],
                                       .last_job = w->stored.last_job[i] };
        assert_ok(cron_parse("cron", berth_slice_of(kinds[i].cron), &schedule->cron, NULL));
        assert_ok(
            zone_of_rule(berth_slice_of("CET-1CEST,M3.5.0,M10.5.0/3"), &schedule->zone, NULL));
        schedules_put(&w->schedules, schedule);
    }
}

static void given(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    berth_rng_init(&w->rng, seed);
    w->wall_us = BEGIN_US;
    for (size_t i = 0; i < KINDS; i++)
        w->stored.done_us[i] = BEGIN_US;
    start(w);
}

static void turn(struct world *w)
{
    const struct schedule_ways ways = { w, job_is_live, fire, save };
    schedules_turn(&w->schedules, w->wall_us, &ways);
}

static void crash(struct world *w)
{
    w->crashes++;
    w->wall_us += berth_rng_between(&w->rng, 0, OUTAGE_MAX) * MINUTE_US;
    start(w);
}

/* Until there is nothing to do at this time, or a crash. */
static void step(struct world *w)
{
    w->wall_us += berth_rng_between(&w->rng, 0, 90 * SECOND_US);
    do {
        turn(w);
        if (berth_rng_between(&w->rng, 0, 99) < 70)
            w->stored = w->now;
        if (berth_rng_between(&w->rng, 0, 99) < 5)
            crash(w);
    } while (schedules_next_us(&w->schedules) <= w->wall_us);
}

/* `all` and `queue`: every instant until the last one that was dealt with has its one job. */
static void assert_complete(const struct world *w, uint32_t kind)
{
    const struct schedule *schedule = &w->all[kind];
    int64_t at_us = BEGIN_US;
    for (size_t i = 0; i < w->now.job_count; i++) {
        if (w->jobs[i].schedule != schedule->id)
            continue;
        at_us = cron_next(&schedule->cron, &schedule->zone, at_us);
        if (w->jobs[i].at_us != at_us)
            fail_msg("schedule %u: %lld is not %lld", schedule->id, (long long)w->jobs[i].at_us,
                     (long long)at_us);
    }
    assert_true(at_us == schedule->done_us);
    assert_true(cron_next(&schedule->cron, &schedule->zone, at_us) > w->wall_us);
}

static void each_instant_has_one_job_over_crashes_and_outages(void **state)
{
    (void)state;
    unsigned crashes = 0;
    size_t jobs = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        given(&world, seed);
        for (unsigned i = 0; i < STEPS; i++)
            step(&world);
        assert_complete(&world, 0);
        assert_complete(&world, 1);
        crashes += world.crashes;
        jobs += world.now.job_count;
    }
    assert_true(crashes > 10 * SEEDS);
    assert_true(jobs > 1000 * SEEDS);
}

/* What is missed in one outage is one job, whatever crashes come while it is caught up with. */
static void one_missed_job_for_an_outage_however_often_it_is_noticed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = &world;
        given(w, seed);
        w->wall_us += 100 * MINUTE_US + 30 * SECOND_US;
        for (unsigned i = 0; i < 5; i++) {
            turn(w);
            if (berth_rng_between(&w->rng, 0, 1) == 1)
                w->stored = w->now;
            start(w);
        }
        turn(w);
        size_t missed = 0;
        for (size_t i = 0; i < w->now.job_count; i++)
            missed += w->jobs[i].schedule == 3 && w->wall_us - w->jobs[i].at_us >= SCHEDULE_LATE_US;
        assert_int_equal(missed, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_instant_has_one_job_over_crashes_and_outages),
        cmocka_unit_test(one_missed_job_for_an_outage_however_often_it_is_noticed),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What must hold, checked against the processes as they truly are, not as the broker believes them
 * to be:
 *
 * 1. What was acknowledged is on the disk in the end, ended, and was told to end as it did.
 * (Promises 1 and 3.)
 * 2. No attempt starts while the limit of its dispatcher, or of one above it, is full of attempts
 * that are alive. (Promise 2; limits.c.)
 * 3. No attempt of a job starts while another one of it is alive, or has completed in a child that
 * lives, or after its end was told. (Promise 3.)
 * 4. A broker that is back in time loses no worker its lease. (Promise 4.)
 * 5. A key has one job, and a submit is taken once however often it is sent.
 * 6. A cancel that was accepted ends cancelled.
 * 7. A job that is dead has failed as often as it may, or once for good, or killed its process
 * twice. (Promise 3: what is lost uses up no attempt.)
 * 8. An attempt is started once, ever.
 * 9. Whatever is promised is on the disk when it is sent (promises.c).
 * 10. No attempt starts while its group's limit is full of attempts that are alive. (limits.c)
 * 11. In no stretch of time are there more starts than burst + rate x time, whatever crashes
 * between them. (rates.c)
 * 12. A job that waits says for one thing, and what it says of a limit is so. (limits.c)
 * 13. What is shown of a running attempt is what that attempt has written, each byte at its place.
 * 14. Where on_lost = hold all this holds for whole hosts that stand still, too. (hold.c)
 * 15. A job that ended lives again only if it was retried, and never after it completed; what was
 * discarded is gone. (dead.c)
 * 16. Of the live jobs on the disk one has a unique key. (life.c, as all that follow)
 * 17. No attempt starts before all have completed, on the disk, that its job waits for; and who
 * waits for a job that has failed ends with it, and for no other reason.
 * 18. No attempt is granted when the deadline of its job has passed.
 * 19. No job is ready longer than its queue timeout.
 * 20. A job is dead by a clock only when that is over.
 * 21. An instant of a recurring job has one job, and none is left out. (recur.c)
 * 22. A suspect starts in a process of its own, and nobody else does; it stays one. (suspects.c)
 * 23. No job is said to have died more often than it killed its process or was alone in one that
 * died; at the second time it may be dead. (suspects.c)
 * 24. In the batch with the end or retry of a job, or its cancel, all its children end or are
 * cancelled; so do the siblings of a child that is dead, but for those of a supervisor. (scope.c,
 * as all that follow)
 * 25. No attempt of a job starts while a child of it lives.
 * 26. An ordinal of a parent has one child that completed; what a parent's worker is told of a
 * child is on the disk.
 * 27. A job completes when all children of that attempt have ended; and none of them is dead,
 * unless a supervisor made it.
 * 28. No attempt is granted before its time: a delay, a backoff, what a snooze asked for. (life.c)
 * 29. No attempt is granted while its dispatcher, or one above it, is paused. (limits.c)
 * 30. What fails is tried again within the ceiling of its backoff, and without jitter at it; only
 * that uses up a try. A snooze lasts as long as it asked for. (tries.c)
 * 31. An attempt is told when its timeout is over, not before and not much later; it has used up a
 * try then, unless it completed. (timeout.c)
 * 40. Of children whose parent has completed the broker remembers no key. (keys.c)
 * 41. At no worker do more attempts run than its capacity, but for those that it was told to end,
 * and it has no more than those and suspended_max in all; nobody waits for a place that is free,
 * or that is given to a job that comes later, or because it is to end. (places.c)
 * 42. What is cancelled by force ends within its grace and what messages take, as long as broker
 * and worker live and hear each other. (force.c)
 * 43. A worker is asked for no more processes for suspects than four with those of it that are
 * there. (suspects.c)
 * 44. What comes back wakes one: whoever waits and is looked at starts something or waits
 * elsewhere from then on, and is looked at no oftener than that. (looks.c)
 * 45. Of its ended jobs a dispatcher keeps as many, and as long, as it says; and each whose submit
 * may be repeated. (retention.c)
 * 50. Of one group and priority behind a gate nobody starts before one that is ready longer.
 * (order.c, as the two that follow)
 * 51. Behind a gate and within a priority the groups take turns.
 * 52. Of two priorities, or handlers, the one goes on whose next job is the more urgent.
 * 53. Of the branches of a dispatcher none is given a slot before one that waits and has had less
 * for its weight. (shares.c)
 * 54. Of the jobs of a dispatcher that never began no more live than its max_queued. (queue.c)
 */
#include <stdlib.h>
#include <string.h>

#include "broker/core/worker/suspect.h"
#include "parent.h"
#include "sim.h"

/* An outage is ridden out if it is shorter than K - R - what the network and the turns take; with
 * the time that a keeper takes to notice. */
#define OUTAGE_US_HARMLESS (5 * SECOND)
#define WORKER_LEASE_US    (9500 * MS)
#define JOIN_US            (500 * MS)
#define MAX_ATTEMPTS       5 /* of the dispatchers */

void check_init(struct sim *sim)
{
    berth_arena_init(&sim->checkers.arena, SIZE_MAX);
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        check_pause(sim, i, false);
}

void check_fini(struct sim *sim)
{
    struct berth_map *maps[] = { &sim->checkers.jobs, &sim->checkers.keys, &sim->checkers.attempts,
                                 &sim->checkers.sessions };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        BERTH_MAP_FOREACH (node, maps[i])
            berth_map_remove(maps[i], node);
    berth_arena_fini(&sim->checkers.arena);
}

struct check_job *check_job_of(struct sim *sim, uint64_t id)
{
    struct berth_map_node *node = berth_map_find_id(&sim->checkers.jobs, id);
    if (node)
        return berth_container_of(node, struct check_job, by_id);
    struct check_job *job = berth_arena_zalloc(&sim->checkers.arena, sizeof *job);
    BERTH_ASSERT(job != NULL);
    BERTH_ASSERT(berth_map_insert_id(&sim->checkers.jobs, &job->by_id, id) == 0);
    return job;
}

struct check_attempt *check_attempt_of(struct sim *sim, uint64_t id)
{
    struct berth_map_node *node = berth_map_find_id(&sim->checkers.attempts, id);
    if (node)
        return berth_container_of(node, struct check_attempt, by_id);
    struct check_attempt *attempt = berth_arena_zalloc(&sim->checkers.arena, sizeof *attempt);
    BERTH_ASSERT(attempt != NULL);
    BERTH_ASSERT(berth_map_insert_id(&sim->checkers.attempts, &attempt->by_id, id) == 0);
    return attempt;
}

/* ---- submits ---- */

void check_acknowledged(struct sim *sim, uint64_t id, uint64_t tag, uint64_t key)
{
    struct check_job *job = check_job_of(sim, id);
    sim->checkers.acknowledged += !job->is_acknowledged;
    job->is_acknowledged = true;
    struct berth_map_node *node = berth_map_find_id(&sim->checkers.keys, tag);
    if (node) {
        const struct check_key *known = berth_container_of(node, struct check_key, by_key);
        if (known->job != id)
            sim_fail(sim, "submit %llx (key %llu) is job %llu and job %llu",
                     (unsigned long long)tag, (unsigned long long)key,
                     (unsigned long long)known->job, (unsigned long long)id);
        return;
    }
    struct check_key *fresh = berth_arena_zalloc(&sim->checkers.arena, sizeof *fresh);
    fresh->job = id;
    BERTH_ASSERT(berth_map_insert_id(&sim->checkers.keys, &fresh->by_key, tag) == 0);
}

/* ---- attempts ---- */

static bool completed_and_lives(const struct sim *sim, const struct check_job *job)
{
    if (!job->completed_by)
        return false;
    const struct worker *worker = &sim->workers[job->completed_by - 1];
    if (worker->stops != job->completed_stops && !check_is_held((int)job->completed_in))
        return false; /* it stood still before it could tell, perhaps */
    return worker->has_child && worker->life == job->completed_life;
}

void check_start(struct sim *sim, const struct run *run, int64_t granted_us)
{
    struct checkers *checkers = &sim->checkers;
    struct check_job *job = check_job_of(sim, run->job);
    if (job->alive)
        sim_fail(sim, "job %llu is started as %llx while %llx of it is alive",
                 (unsigned long long)run->job, (unsigned long long)run->attempt,
                 (unsigned long long)job->alive);
    if (completed_and_lives(sim, job))
        sim_fail(sim, "job %llu is started again though the worker that completed it lives",
                 (unsigned long long)run->job);
    if (job->told)
        sim_fail(sim, "job %llu is started after its end was told", (unsigned long long)run->job);
    if (job->lives && job->stored_end)
        sim_fail(sim, "job %llu is started and has ended on the disk",
                 (unsigned long long)run->job);
    struct check_attempt *attempt = check_attempt_of(sim, run->attempt);
    if (attempt->is_started)
        sim_fail(sim, "attempt %llx is started again", (unsigned long long)run->attempt);
    attempt->is_started = true;
    check_life_start(sim, run->job);
    check_scope_start(sim, run);
    check_limits_start(sim, run, granted_us);
    check_place(sim, run);
    check_suspect_start(sim, run);
    job->alive = run->attempt;
    checkers->starts++;
}

void check_killed(struct sim *sim, const struct run *run)
{
    if (run->is_ghost)
        return;
    struct check_job *job = check_job_of(sim, run->job);
    BERTH_ASSERT(job->alive == run->attempt);
    job->alive = 0;
    check_limits_end(sim, run);
}

void check_finish(struct sim *sim, const struct run *run)
{
    check_killed(sim, run);
    check_tries_finish(sim, run);
    struct check_job *job = check_job_of(sim, run->job);
    enum agent_outcome outcome = check_outcome_of(run);
    job->failures += outcome == AGENT_FAILED || outcome == AGENT_TIMED_OUT;
    job->has_failed_forever |= outcome == AGENT_FAILED_FOREVER;
    if (outcome != AGENT_COMPLETED)
        return;
    job->is_completed_somewhere = true;
    if (run->is_ghost)
        return; /* what it says may be refused */
    job->completed_by = run->worker->index + 1;
    job->completed_life = run->worker->life;
    job->completed_stops = run->worker->stops;
    job->completed_in = run->dispatcher;
}

/* ---- what clients are told ---- */

void check_told_end(struct sim *sim, uint64_t id, enum berth_state state)
{
    struct check_job *job = check_job_of(sim, id);
    if (state < BERTH_COMPLETED)
        sim_fail(sim, "job %llu has ended, it is said, in state %d", (unsigned long long)id,
                 (int)state);
    if (job->lives) {
        check_told_some_end(sim, id, state);
        return;
    }
    if (job->told && job->told != state)
        sim_fail(sim, "job %llu ended in state %d, and then in state %d", (unsigned long long)id,
                 (int)job->told, (int)state);
    if (state == BERTH_COMPLETED && !job->is_completed_somewhere)
        sim_fail(sim, "job %llu completed, it is said, but no attempt of it did",
                 (unsigned long long)id);
    if (job->is_cancelled && state != BERTH_CANCELLED)
        sim_fail(sim, "the cancel of job %llu was accepted, and it ended in state %d",
                 (unsigned long long)id, (int)state);
    if (state == BERTH_DEAD && !job->has_failed_forever && job->failures < MAX_ATTEMPTS &&
        !job->ended_by_clock && job->own_deaths < SUSPECT_DEATHS_MAX)
        sim_fail(sim, "job %llu is dead after %u failures", (unsigned long long)id, job->failures);
    if (job->alive)
        sim_fail(sim, "job %llu has ended, it is said, while attempt %llx of it is alive",
                 (unsigned long long)id, (unsigned long long)job->alive);
    job->told = state;
}

void check_told_cancel(struct sim *sim, uint64_t id, enum berth_state state, int code)
{
    struct check_job *job = check_job_of(sim, id);
    if (code == BERTH_ENOTFOUND && !job->may_be_gone)
        sim_fail(sim, "job %llu was acknowledged and cannot be cancelled: not found",
                 (unsigned long long)id);
    if (code == 0) {
        sim->checkers.cancelled++;
        job->is_cancelled = !job->lives;
        if (job->told && job->told != BERTH_CANCELLED)
            sim_fail(sim, "the cancel of job %llu was accepted after its end was told",
                     (unsigned long long)id);
    }
    if (state >= BERTH_COMPLETED)
        check_told_end(sim, id, state);
}

void check_told_output(struct sim *sim, const struct berth_do_job_output *output)
{
    const uint8_t *bytes = output->out.data;
    for (size_t i = 0; i < output->out.bytes; i++)
        if (bytes[i] != check_written(output->id, output->attempt, output->out_from + i))
            sim_fail(sim, "attempt %u of job %llu did not write what is shown at %llu",
                     output->attempt, (unsigned long long)output->id,
                     (unsigned long long)(output->out_from + i));
}

void check_outage(struct sim *sim, const struct link *link, int64_t from_us, int64_t to_us)
{
    struct checkers *checkers = &sim->checkers;
    size_t room = sizeof checkers->outages / sizeof *checkers->outages;
    checkers->outages[checkers->outage_count++ % room] =
        (struct outage){ .link = link, .from_us = from_us, .to_us = to_us };
}

/* How long the broker could not be reached since then; each time costs a moment more, until the
 * worker has noticed and joined. */
int64_t check_hindrance_us(const struct sim *sim, const struct link *link, int64_t since_us)
{
    const struct checkers *checkers = &sim->checkers;
    size_t room = sizeof checkers->outages / sizeof *checkers->outages;
    int64_t sum_us = sim->broker.is_up ? 0 : sim->now_us - sim->broker.died_us;
    for (size_t i = 0; i < room && i < checkers->outage_count; i++) {
        const struct outage *outage = &checkers->outages[i];
        int64_t from_us = outage->from_us > since_us ? outage->from_us : since_us;
        int64_t to_us = outage->to_us < sim->now_us ? outage->to_us : sim->now_us;
        if ((!outage->link || outage->link == link) && to_us > from_us)
            sum_us += to_us - from_us + JOIN_US;
    }
    return sum_us;
}

/* A first lease counts from the hello, and its answer waits for a disk that may be full. */
void check_child_lost_lease(struct sim *sim, const struct worker *worker)
{
    int64_t since_us = sim->now_us - WORKER_LEASE_US, lost_us = 0;
    if (worker->welcomed_us > since_us) {
        int64_t asked_us = worker->started_us > since_us ? worker->started_us : since_us;
        lost_us = worker->welcomed_us - asked_us;
        since_us = worker->welcomed_us;
    }
    lost_us += check_hindrance_us(sim, &worker->link, since_us);
    lost_us += worker->link.late_us; /* so much older is the last answer that it can have */
    if (lost_us < OUTAGE_US_HARMLESS)
        sim_fail(sim,
                 "worker %u lost its lease, though it was kept from its broker for %.3f s only",
                 worker->index, (double)lost_us / 1e6);
}

/* ---- the end ---- */

struct disk_view {
    struct sim *sim;
    struct berth_map tags;
    uint64_t live;
};

bool check_all_ended(struct sim *sim)
{
    /* A cheap look first: the store is asked only when it may be so. */
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        if (sim->checkers.alive[i])
            return false;
    if (!sim->broker.is_up || sim->steps % 64)
        return false;
    return broker_live_jobs(sim) == 0;
}

static int visit_live(void *arg, const struct berth_job_record *record)
{
    struct disk_view *view = arg;
    (void)record;
    view->live++;
    return 0;
}

static int visit_nothing_dispatcher(void *arg, const struct berth_dispatcher_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int visit_nothing_session(void *arg, const struct berth_session_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int visit_nothing_key(void *arg, const struct berth_job_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static void check_row(struct sim *sim, struct disk_view *view, const struct berth_job_record *row)
{
    struct check_job *job = check_job_of(sim, row->id);
    check_told_end(sim, row->id, row->state);
    if (row->state != job->stored_end || job->is_discarded)
        sim_fail(sim, "job %llu is on the disk in state %d, and should be in %d%s",
                 (unsigned long long)row->id, (int)row->state, (int)job->stored_end,
                 job->is_discarded ? ", discarded" : "");
    job->is_acknowledged = false; /* seen */
    job->is_seen = true;
    if (row->key.kind == BERTH_KEY_SCHEDULE)
        return; /* the jobs of a schedule have one body */
    uint64_t tag = 0;
    if (row->body.bytes == sizeof tag)
        memcpy(&tag, row->body.data, sizeof tag);
    if (parent_is_child(tag))
        return; /* one that failed is made anew */
    struct check_key *key = berth_arena_zalloc(&sim->checkers.arena, sizeof *key);
    key->job = row->id;
    if (berth_map_insert_id(&view->tags, &key->by_key, tag) < 0)
        sim_fail(sim, "submit %llx is on the disk twice", (unsigned long long)tag);
}

static void read_page(struct sim *sim, struct berth_store *store, struct disk_view *view,
                      const uint64_t *ids, size_t count)
{
    struct berth_read read = {
        .number = 1, .type = BERTH_READ_JOBS, .ids = ids, .id_count = count
    };
    if (berth_store_read(store, &read) < 0 || !berth_mem_complete(store, BERTH_STORED, true))
        sim_fail(sim, "the disk cannot be read");
    struct berth_completion done;
    while (berth_store_reap(store, &done) > 0)
        for (size_t i = 0; i < done.job_count; i++)
            check_row(sim, view, &done.jobs[i]);
}

static void read_all(struct sim *sim, struct berth_store *store, struct disk_view *view)
{
    for (uint64_t after = 0;;) {
        struct berth_read read = {
            .number = 1, .type = BERTH_READ_LIST, .after = after, .count_max = 100
        };
        if (berth_store_read(store, &read) < 0 || !berth_mem_complete(store, BERTH_STORED, true))
            sim_fail(sim, "the disk cannot be read");
        struct berth_completion done;
        uint64_t ids[100];
        size_t count = 0;
        bool has_more = false;
        if (berth_store_reap(store, &done) > 0) {
            for (size_t i = 0; i < done.job_count; i++)
                ids[count++] = done.jobs[i].id;
            has_more = done.has_more;
        }
        if (count)
            read_page(sim, store, view, ids, count);
        if (!has_more || !count)
            return;
        after = ids[count - 1];
    }
}

void check_disk(struct sim *sim)
{
    broker_kill(sim);
    struct berth_store *store;
    struct berth_store_info info;
    struct berth_error err = { 0 };
    struct berth_store_opts opts = { .wall_us = sim_wall_us(sim) };
    if (berth_mem_open(sim->broker.disk, &opts, &store, &info, &err) < 0)
        sim_fail(sim, "open: %s", err.message);
    struct disk_view view = { .sim = sim };
    struct berth_store_visitor visitor = { .arg = &view,
                                           .dispatcher = visit_nothing_dispatcher,
                                           .session = visit_nothing_session,
                                           .job = visit_live,
                                           .ended_key = visit_nothing_key };
    if (berth_store_load(store, &visitor, &err) < 0)
        sim_fail(sim, "load: %s", err.message);
    if (view.live)
        sim_fail(sim, "%llu jobs live on the disk when all have ended",
                 (unsigned long long)view.live);
    read_all(sim, store, &view);
    BERTH_MAP_FOREACH (node, &view.tags)
        berth_map_remove(&view.tags, node);
    BERTH_MAP_FOREACH (node, &sim->checkers.jobs) {
        const struct check_job *job = berth_container_of(node, struct check_job, by_id);
        if (job->is_acknowledged && !job->is_discarded && !check_may_be_forgotten(sim, job))
            sim_fail(sim, "job %llu was acknowledged and is lost", (unsigned long long)node->id);
    }
    check_retention(sim);
    berth_store_close(store);
}

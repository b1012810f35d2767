/* SPDX-License-Identifier: MIT */
#include "core.h"

#include <errno.h>

#include "batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/dispatcher/purge.h"
#include "broker/core/dispatcher/removal.h"
#include "broker/core/life/after.h"
#include "broker/core/life/attempt.h"
#include "broker/core/life/ended.h"
#include "broker/core/life/job_clock.h"
#include "broker/core/life/rare.h"
#include "broker/core/match/handler.h"
#include "broker/core/match/lane.h"
#include "broker/core/match/match.h"
#include "broker/core/match/park.h"
#include "broker/core/recur/recur.h"
#include "broker/core/scope/scope.h"
#include "broker/core/show/explain.h"
#include "broker/core/show/query.h"
#include "broker/core/show/shown.h"
#include "broker/core/show/view.h"
#include "broker/core/show/wait.h"
#include "broker/core/submit/keys.h"
#include "broker/core/submit/submit.h"
#include "broker/core/worker/hold.h"
#include "broker/core/worker/outbox.h"
#include "broker/core/worker/recovery.h"
#include "broker/core/worker/session.h"
#include "broker/core/worker/suspect.h"
#include "broker/core/worker/tombstone.h"
#include "check.h"
#include "step.h"

#define JOBS_MAX_DEFAULT        10000000u
#define JOBS_MAX_MOST           1000000000u
#define BODY_BYTES_MAX_DEFAULT  ((uint64_t)1 << 30)
#define SHOWN_BYTES_MAX_DEFAULT ((uint64_t)64 << 20)
#define LANES_MAX               1000000u
#define IO_THREADS              64 /* what `io` has at least: Kotlin's number, design section 4 */
#define PPM                     1000000

/* ---- life ---- */

static void set_defaults(struct berth_core_opts *opts)
{
    if (!opts->lease_ms)
        opts->lease_ms = BERTH_LEASE_MS;
    if (!opts->worker_lease_ms)
        opts->worker_lease_ms = BERTH_WORKER_LEASE_MS;
    if (!opts->renew_ms)
        opts->renew_ms = BERTH_RENEW_MS;
    if (!opts->jobs_max)
        opts->jobs_max = JOBS_MAX_DEFAULT;
    if (!opts->body_bytes_max)
        opts->body_bytes_max = BODY_BYTES_MAX_DEFAULT;
    if (!opts->output_bytes_max)
        opts->output_bytes_max = SHOWN_BYTES_MAX_DEFAULT;
}

/* K (1 + rho) / (1 - rho) + kappa < L, in whole numbers. */
static bool lease_is_safe(const struct berth_core_opts *opts)
{
    uint64_t worker = (uint64_t)opts->worker_lease_ms * (PPM + BERTH_CLOCK_PPM);
    uint64_t broker = ((uint64_t)opts->lease_ms - BERTH_KILL_MS) * (PPM - BERTH_CLOCK_PPM);
    return opts->lease_ms > BERTH_KILL_MS && worker < broker;
}

static int check_opts(const struct berth_core_opts *opts, struct berth_error *err)
{
    if (!lease_is_safe(opts))
        return berth_fail(err, -EINVAL,
                          "lease %u ms is too short for a worker's lease of %u ms: allowed is more "
                          "than the worker's + 0.2 %% + %u ms",
                          opts->lease_ms, opts->worker_lease_ms, BERTH_KILL_MS);
    if (opts->worker_lease_ms / 4 < opts->renew_ms)
        return berth_fail(err, -EINVAL,
                          "worker's lease %u ms is too short for renewals every %u ms: allowed is "
                          "at least four times that",
                          opts->worker_lease_ms, opts->renew_ms);
    if (opts->jobs_max > JOBS_MAX_MOST)
        return berth_fail(err, -EINVAL, "max_jobs %llu: allowed is 1 to %u",
                          (unsigned long long)opts->jobs_max, JOBS_MAX_MOST);
    return 0;
}

struct berth_core *berth_core_new(const struct berth_core_opts *opts, struct berth_error *err)
{
    struct berth_core_opts all = *opts;
    set_defaults(&all);
    if (check_opts(&all, err) < 0)
        return NULL;
    struct berth_core *core = block_new(sizeof *core);
    if (!core || step_init(core) < 0) {
        block_free(core);
        berth_fail(err, -ENOMEM, "make the core");
        return NULL;
    }
    core->opts = all;
    core->next_job_id = all.next_job_id ? all.next_job_id : 1;
    core->first_new_job = UINT64_MAX; /* until it is started */
    core->next_dispatcher_id = all.next_dispatcher_id ? all.next_dispatcher_id : 1;
    core->next_schedule_id = all.next_schedule_id ? all.next_schedule_id : 1;
    berth_rng_init(&core->rng, all.seed);
    slab_init(&core->jobs, sizeof(struct job), (uint32_t)all.jobs_max);
    slab_init(&core->rares, sizeof(struct rare), (uint32_t)all.jobs_max);
    slab_init(&core->gates, sizeof(struct gate *), LANES_MAX);
    slab_init(&core->lanes, sizeof(struct lane *), LANES_MAX);
    slab_init(&core->keys, sizeof(struct key_entry), KEYS_MAX);
    index_init(&core->jobs_by_id, job_index_hash, core);
    index_init(&core->rares_by_job, rare_index_hash, core);
    index_init(&core->gates_by_key, gate_index_hash, core);
    index_init(&core->lanes_by_key, lane_index_hash, core);
    index_init(&core->keys_by_hash, keys_index_hash, core);
    struct berth_list *lists[] = {
        &core->runnable,     &core->stalled,         &core->handing,    &core->recovering,
        &core->gained,       &core->outboxes,        &core->wait_order, &core->pending_open,
        &core->pending_away, &core->heard,           &core->news,       &core->showing,
        &core->felled,       &core->tombstone_order, &core->scope_work, &core->resuming,
        &core->crowded,      &core->alone_handlers
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        berth_list_init(lists[i]);
    core->alone_again_ms = INT64_MAX;
    return core;
}

static void free_jobs(struct berth_core *core)
{
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        struct job *job = job_at(&core->jobs, i);
        if (job->state)
            block_free(job->body);
    }
    rare_free_all(core);
    BERTH_MAP_FOREACH (node, &core->handlers) {
        struct handler *handler = berth_container_of(node, struct handler, by_name);
        berth_map_remove(&core->handlers, node);
        block_free(handler);
    }
}

void berth_core_free(struct berth_core *core)
{
    if (!core)
        return;
    wait_free_all(core);
    query_free_all(core);
    ended_free_all(core);
    pending_free_all(core);
    recur_free_all(core);
    session_free_all(core);
    tombstone_free_all(core);
    scope_free_all(core);
    free_jobs(core);
    dispatcher_free_all(core);
    batch_free(core->open);
    batch_free(core->again);
    batch_free(core->spare);
    slab_fini(&core->jobs);
    slab_fini(&core->rares);
    slab_fini(&core->gates);
    slab_fini(&core->lanes);
    slab_fini(&core->keys);
    index_fini(&core->jobs_by_id);
    index_fini(&core->rares_by_job);
    index_fini(&core->gates_by_key);
    index_fini(&core->lanes_by_key);
    index_fini(&core->keys_by_hash);
    block_free(core->token_nodes);
    block_free(core->clock_nodes);
    block_free(core->due);
    step_fini(core);
    block_free(core);
}

/* ---- loading ---- */

int berth_core_load_dispatcher(struct berth_core *core,
                               const struct berth_dispatcher_record *record)
{
    return dispatcher_new(core, record) ? 0 : -ENOMEM;
}

int berth_core_load_session(struct berth_core *core, const struct berth_session_record *record)
{
    return session_load(core, record);
}

int berth_core_load_schedule(struct berth_core *core, const struct berth_schedule_record *record,
                             const struct berth_schedule_done_record *done)
{
    return recur_load(core, record, done);
}

int berth_core_load_job(struct berth_core *core, const struct berth_job_record *record)
{
    return submit_load(core, record);
}

int berth_core_load_ended_key(struct berth_core *core, const struct berth_job_record *record)
{
    return submit_load_key(core, record);
}

static void make_built_in(struct berth_core *core, const char *name, struct berth_limit limit)
{
    if (dispatcher_find(core, slice_of(name)))
        return;
    dispatcher_on_set(core, &(struct berth_ev_dispatcher_set){ .name = slice_of(name),
                                                               .has_limit = true,
                                                               .limit = limit,
                                                               .changed_by = slice_of("broker") });
}

int berth_core_start(struct berth_core *core, int64_t now_ms, int64_t wall_us)
{
    core->started_ms = core->now_ms = now_ms;
    core->wall_us = wall_us;
    core->first_new_job = core->next_job_id;
    job_start_all(core);
    int rc = dispatcher_start_all(core);
    if (rc < 0)
        return rc;
    make_built_in(core, "default", (struct berth_limit){ .kind = BERTH_LIMIT_CORES });
    make_built_in(core, "io",
                  (struct berth_limit){ .kind = BERTH_LIMIT_MAX_CORES, .value = IO_THREADS });
    hold_start(core);
    job_clock_start(core);
    session_start_leases(core);
    scope_start(core);
    if (!core->unresolved)
        recovery_end(core);
    return 0;
}

/* ---- steps ---- */

static void wake_due(struct berth_core *core)
{
    while (core->due_count) {
        uint32_t first = core->due[0];
        if (job_at(&core->jobs, first)->due_us > core->wall_us)
            return;
        job_move(core, first, JOB_READY, JOB_AT_TAIL);
    }
}

static void on_turn(struct berth_core *core)
{
    wake_due(core);
    core->has_woken = true;
    recur_on_turn(core);
    session_on_turn(core);
    job_clock_on_turn(core);
    wait_on_turn(core);
    keys_expire(core);
    match_turn(core);
    suspect_on_turn(core);
    outbox_flush(core);
}

static void on_peer_gone(struct berth_core *core, uint64_t peer)
{
    session_on_peer_gone(core, peer);
    wait_on_peer_gone(core, peer);
}

static void dispatch(struct berth_core *core, const struct berth_event *ev)
{
    switch (ev->type) {
    case BERTH_EV_SUBMIT: submit_on_event(core, &ev->submit); return;
    case BERTH_EV_WAIT: query_on_wait(core, &ev->ids); return;
    case BERTH_EV_CANCEL: query_on_cancel(core, &ev->ids); return;
    case BERTH_EV_RETRY: query_on_retry(core, &ev->ids); return;
    case BERTH_EV_DISCARD: query_on_discard(core, &ev->ids); return;
    case BERTH_EV_JOB_GET: query_on_get(core, &ev->ids); return;
    case BERTH_EV_JOB_LIST: query_on_list(core, &ev->job_list); return;
    case BERTH_EV_EXPLAIN: explain_on_event(core, &ev->explain); return;
    case BERTH_EV_JOB_OUTPUT: shown_on_output(core, &ev->job_output); return;
    case BERTH_EV_DISPATCHER_SET: dispatcher_on_set(core, &ev->dispatcher_set); return;
    case BERTH_EV_DISPATCHER_PAUSE: dispatcher_on_pause(core, &ev->dispatcher_pause); return;
    case BERTH_EV_DISPATCHER_GET: query_on_dispatchers(core, &ev->query); return;
    case BERTH_EV_DISPATCHER_PURGE: purge_on_event(core, &ev->purge); return;
    case BERTH_EV_DISPATCHER_REMOVE: removal_on_event(core, &ev->query); return;
    case BERTH_EV_WORKER_LIST: view_workers(core, ev->query.peer, ev->query.request); return;
    case BERTH_EV_WORKER_DECLARE_GONE: session_on_declared_gone(core, &ev->query); return;
    case BERTH_EV_STATUS: query_on_status(core, &ev->query); return;
    case BERTH_EV_SCHEDULE_SET: recur_on_set(core, &ev->schedule_set); return;
    case BERTH_EV_SCHEDULE_PAUSE: recur_on_pause(core, &ev->schedule_name); return;
    case BERTH_EV_SCHEDULE_REMOVE: recur_on_remove(core, &ev->schedule_name); return;
    case BERTH_EV_SCHEDULE_LIST: recur_on_list(core, &ev->schedule_list); return;
    case BERTH_EV_ZONE: recur_on_zone(core, &ev->zone); return;
    case BERTH_EV_HELLO: session_on_hello(core, &ev->hello); return;
    case BERTH_EV_JOIN: session_on_join(core, &ev->join); return;
    case BERTH_EV_RENEW: session_on_renew(core, &ev->renew); return;
    case BERTH_EV_REPORTS: session_on_reports(core, &ev->reports); return;
    case BERTH_EV_GONE: session_on_gone(core, &ev->gone); return;
    case BERTH_EV_STORED: batch_on_stored(core, &ev->stored); return;
    case BERTH_EV_READ: query_on_read(core, &ev->read); return;
    case BERTH_EV_PEER_GONE: on_peer_gone(core, ev->peer); return;
    case BERTH_EV_TURN: on_turn(core); return;
    }
    BERTH_UNREACHABLE();
}

const struct berth_effects *berth_core_step(struct berth_core *core,
                                            const struct berth_event *event)
{
    BERTH_ASSERT(event->now_ms >= core->now_ms);
    core->now_ms = event->now_ms;
    core->wall_us = event->wall_us;
    step_clear(core);
    dispatch(core, event);
    return &core->effects;
}

int64_t berth_core_next_deadline_ms(const struct berth_core *core, int64_t now_ms, int64_t wall_us)
{
    int64_t deadline = session_next_deadline_ms(core);
    if (core->due_count && job_at(&core->jobs, core->due[0])->due_us != AFTER_NEVER) {
        int64_t wait_us = job_at(&core->jobs, core->due[0])->due_us - wall_us;
        int64_t due_ms = now_ms + (wait_us > 0 ? (wait_us + 999) / 1000 : 0);
        if (due_ms < deadline)
            deadline = due_ms;
    }
    int64_t others_ms[] = { park_next_deadline_ms(core),
                            batch_next_deadline_ms(core),
                            recur_next_deadline_ms(core, now_ms, wall_us),
                            job_clock_next_deadline_ms(core, now_ms, wall_us),
                            suspect_next_deadline_ms(core),
                            keys_next_deadline_ms(core) };
    for (size_t i = 0; i < sizeof others_ms / sizeof *others_ms; i++)
        if (others_ms[i] < deadline)
            deadline = others_ms[i];
    return deadline;
}

void berth_core_check(const struct berth_core *core)
{
    job_check(core);
    scope_check(core);
    keys_check(core);
    core_check(core);
}

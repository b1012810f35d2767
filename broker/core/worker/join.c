/* SPDX-License-Identifier: MIT */
/* What workers say of their attempts: join lists and reports. */
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/after.h"
#include "broker/core/life/attempt.h"
#include "broker/core/scope/children.h"
#include "broker/core/scope/scope.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/show/shown.h"
#include "broker/core/step.h"
#include "offer.h"
#include "outbox.h"
#include "session.h"

/* ---- join lists ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_listed(const uint64_t *sorted, size_t count, uint64_t id)
{
    return bsearch(&id, sorted, count, sizeof *sorted, compare_ids) != NULL;
}

/* What the session holds and does not list was never started, and never will be: from the list on
 * it refuses the grant. */
static void release_unlisted(struct berth_core *core, struct session *session,
                             const struct berth_ev_join *join)
{
    uint64_t *ids = step_alloc(core, join->count, sizeof *ids);
    for (size_t i = 0; i < join->count; i++)
        ids[i] = join->lines[i].attempt;
    if (join->count)
        qsort(ids, join->count, sizeof *ids, compare_ids);
    BERTH_LIST_FOREACH_SAFE (node, &session->attempts) {
        struct attempt *attempt = berth_container_of(node, struct attempt, session_node);
        if (join->count && is_listed(ids, join->count, attempt->by_id.id))
            continue;
        if (attempt->state == ATTEMPT_SETTLING || attempt->state == ATTEMPT_DOOMED)
            attempt_free(core, attempt);
        else
            attempt_release(core, attempt);
    }
}

/* Whether this attempt, unknown here, is the newest one of a job that waits. */
static bool can_adopt(const struct berth_core *core, const struct job *job,
                      const struct berth_join_line *line)
{
    bool waits = job_is_queued(job) || scope_is_held(core, job);
    return waits && line->number > job->attempt_number && !after_waits(core, job);
}

/* A job can only be granted when it is ready, so one that was granted is taken for ready. */
static struct attempt *adopt(struct berth_core *core, struct session *session, uint32_t index,
                             const struct berth_join_line *line)
{
    struct job *job = job_at(&core->jobs, index);
    scope_let_run(core, job);
    if (job->state != JOB_READY)
        job_move(core, index, JOB_READY, JOB_AT_OLD_PLACE);
    struct attempt *attempt = attempt_new(core, line->attempt, session, index, line->number,
                                          job_dispatcher(core, job), job_lane(core, job)->group);
    BERTH_ASSERT(attempt != NULL);
    job->attempt_number = line->number;
    attempt->started_us = line->end.run_us ? core->wall_us - line->end.run_us : 0;
    return attempt;
}

/* Alive, but not its job's attempt: it holds a slot until it has ended, and a place of its group
 * while that is known. */
static void doom(struct berth_core *core, struct session *session,
                 const struct berth_join_line *line)
{
    uint32_t index = job_find(core, line->job);
    struct group *group = index ? job_lane(core, job_at(&core->jobs, index))->group : NULL;
    struct attempt *attempt = attempt_new(core, line->attempt, session, 0, line->number,
                                          dispatcher_find(core, line->dispatcher), group);
    BERTH_ASSERT(attempt != NULL);
    attempt->job_id = line->job;
    outbox_cancel(core, attempt);
}

/* The end of an attempt that is not held: stored already, unless a newer one exists. */
static void settle_unknown(struct berth_core *core, struct session *session,
                           const struct berth_join_line *line)
{
    uint32_t index = job_find(core, line->job);
    bool is_stale = index && line->number > job_at(&core->jobs, index)->attempt_number;
    if (is_stale)
        core->stale_reports++;
    outbox_ack(core, session, line->attempt, is_stale);
}

static void take_line(struct berth_core *core, struct session *session,
                      const struct berth_join_line *line)
{
    struct attempt *attempt = attempt_find(core, line->attempt);
    if (attempt && attempt->session != session) {
        core->stale_reports++; /* attempt ids are never shared: somebody makes them up */
        return;
    }
    uint32_t index = job_find(core, line->job);
    if (!attempt && index && can_adopt(core, job_at(&core->jobs, index), line))
        attempt = adopt(core, session, index, line);
    if (line->state == BERTH_ATTEMPT_ENDED) {
        if (attempt)
            attempt_report(core, attempt, &line->end);
        else
            settle_unknown(core, session, line);
        return;
    }
    if (!attempt) {
        doom(core, session, line);
        return;
    }
    bool is_cancelled =
        attempt->job && job_at(&core->jobs, attempt->job)->flags & JOB_CANCEL_STORED;
    if (is_cancelled || attempt->is_late || attempt->state == ATTEMPT_DOOMED)
        outbox_cancel(core, attempt);
    suspend_on_line(core, attempt, line);
}

static void answer_joined(struct berth_core *core, const struct session *session,
                          const struct berth_ev_join *join)
{
    step_add(core, BERTH_DO_JOINED, join->peer, 0)->joined =
        (struct berth_do_joined){ .session = join->session,
                                  .epoch = core->opts.epoch,
                                  .join = session->join,
                                  .renewal = join->renewal };
}

void session_on_join(struct berth_core *core, const struct berth_ev_join *join)
{
    if (join->epoch != core->opts.epoch) {
        session_send_epoch(core, join->peer);
        return;
    }
    struct session *session = session_find(core, join->session);
    if (!session_is_known(session)) {
        session_send_fenced(core, join->peer, join->session, NULL, 0,
                            session ? "this session is over" : "this session is not known");
        return;
    }
    if (session->state == SESSION_STORING)
        return; /* it cannot have been welcomed yet */
    if (session->state == SESSION_LIVE && join->join <= session->join) {
        answer_joined(core, session, join);
        return;
    }
    if (join->count > (size_t)join->offer.capacity + join->offer.suspended_max) {
        step_error(core, join->peer, 0, BERTH_EPROTO, "attempt",
                   "attempt: a join lists no more attempts than the worker's capacity and "
                   "suspended_max together");
        return;
    }
    if (offer_take(core, session, &join->offer) < 0)
        return; /* no memory: it joins again */
    session->is_draining = join->is_draining;
    session->shall_join_again = false;
    outbox_clear_scopes(session);
    release_unlisted(core, session, join);
    for (size_t i = 0; i < join->count; i++)
        take_line(core, session, &join->lines[i]);
    session_become_joined(core, session, join->peer, join->join);
    answer_joined(core, session, join);
}

/* ---- reports ---- */

static void take_report(struct berth_core *core, struct session *session,
                        const struct berth_report *report)
{
    struct attempt *attempt = attempt_find(core, report->attempt);
    bool has_begun =
        attempt && attempt->state != ATTEMPT_FETCHING && attempt->state != ATTEMPT_STARTING;
    if (has_begun && attempt->session == session) {
        attempt_report(core, attempt, &report->end);
        return;
    }
    core->stale_reports++;
    outbox_ack(core, session, report->attempt, true);
}

static void take_release(struct berth_core *core, const struct session *session, uint64_t id)
{
    struct attempt *attempt = attempt_find(core, id);
    if (attempt && attempt->session == session && attempt->state == ATTEMPT_RUNNING)
        attempt_release(core, attempt);
}

static void take_show(struct berth_core *core, const struct session *session,
                      const struct berth_show *show)
{
    struct attempt *attempt = attempt_find(core, show->attempt);
    if (attempt && attempt->session == session && attempt->state == ATTEMPT_RUNNING)
        shown_take(core, attempt, show);
}

void session_on_reports(struct berth_core *core, const struct berth_ev_reports *ev)
{
    if (ev->epoch != core->opts.epoch) {
        session_send_epoch(core, ev->peer);
        return;
    }
    struct session *session = session_find(core, ev->session);
    if (!session_is_known(session)) {
        session_send_fenced(core, ev->peer, ev->session, NULL, 0, "this session is not known");
        return;
    }
    if (session->state != SESSION_LIVE || ev->join != session->join ||
        ev->number != session->taken + 1)
        return; /* a copy, or after a gap: the next renewal finds it */
    session->taken = ev->number;
    if (ev->is_draining && !session->is_draining) {
        session->is_draining = true;
        offer_update_room(core, session);
    }
    for (size_t i = 0; i < ev->release_count; i++)
        take_release(core, session, ev->releases[i]);
    children_on_reports(core, session, ev);
    for (size_t i = 0; i < ev->count; i++)
        take_report(core, session, &ev->reports[i]);
    for (size_t i = 0; i < ev->show_count; i++)
        take_show(core, session, &ev->shows[i]);
}

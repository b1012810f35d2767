/* SPDX-License-Identifier: MIT */
#include "suspect.h"

#include "broker/core/life/attempt.h"
#include "broker/core/match/handler.h"
#include "broker/core/match/lane.h"
#include "broker/core/step.h"
#include "outbox.h"
#include "session.h"

/* ---- names ---- */

struct berth_slice suspect_handler(struct berth_slice name, char space[static BERTH_NAME_BYTES + 1])
{
    BERTH_ASSERT(name.bytes < BERTH_NAME_BYTES);
    memcpy(space, name.data, name.bytes);
    space[name.bytes] = HANDLER_ALONE_MARK;
    return (struct berth_slice){ .data = space, .bytes = name.bytes + 1 };
}

struct berth_slice suspect_plain_name(const struct handler *handler)
{
    struct berth_slice name = slice_of(handler->name);
    name.bytes -= handler->is_alone;
    return name;
}

/* ---- who becomes one ---- */

void suspect_make(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    BERTH_ASSERT(job->state == JOB_RUNNING);
    if (job->flags & JOB_IS_SUSPECT)
        return;
    char space[BERTH_NAME_BYTES + 1];
    struct lane *lane = job_lane(core, job);
    struct berth_slice handler = suspect_handler(slice_of(lane->gate->handler->name), space);
    struct lane *alone =
        lane_get(core, lane->gate->dispatcher, handler, DESK_ROOTS, lane->group->name);
    if (!alone)
        return;
    if (lane_reserve(alone, job->priority) < 0) {
        lane_release(core, alone);
        return;
    }
    job->flags |= JOB_IS_SUSPECT;
    job->lane = alone->index;
    alone->job_count++;
    lane->job_count--;
    lane_release(core, lane);
}

/* An attempt that an earlier epoch granted and nothing is stored of: it is held for the moment in
 * which it is lost. NULL: its end or retry is stored, or it is none of this job. */
static struct attempt *hold_unseen(struct berth_core *core, struct session *session,
                                   const struct berth_ev_gone *gone, size_t place)
{
    uint32_t index = job_find(core, gone->jobs[place]);
    struct job *job = index ? job_at(&core->jobs, index) : NULL;
    if (session->state != SESSION_RECOVERING || !job || !job_is_queued(job))
        return NULL;
    uint32_t number =
        gone->numbers && gone->numbers[place] ? gone->numbers[place] : job->attempt_number + 1;
    if (number <= job->attempt_number)
        return NULL;
    if (job->state != JOB_READY)
        job_move(core, index, JOB_READY, JOB_AT_OLD_PLACE);
    struct attempt *attempt = attempt_new(core, gone->attempts[place], session, index, number,
                                          job_dispatcher(core, job), job_lane(core, job)->group);
    if (!attempt)
        return NULL;
    job->attempt_number = number;
    attempt->started_us = 0;
    return attempt;
}

static bool is_waiting(const struct berth_core *core, const struct session *session, uint64_t id)
{
    const struct attempt *attempt = attempt_find(core, id);
    return attempt && attempt->session == session && attempt->is_suspended;
}

static bool is_any_running(const struct berth_core *core, const struct session *session,
                           const struct berth_ev_gone *gone)
{
    for (size_t i = 0; i < gone->count; i++)
        if (!is_waiting(core, session, gone->attempts[i]))
            return true;
    return false;
}

void suspect_blame(struct berth_core *core, struct session *session,
                   const struct berth_ev_gone *gone)
{
    if (gone->cause != BERTH_GONE_EXIT && gone->cause != BERTH_GONE_SIGNAL)
        return;
    bool may_spare = !gone->culprit && is_any_running(core, session, gone);
    for (size_t i = 0; i < gone->count; i++) {
        struct attempt *attempt = attempt_find(core, gone->attempts[i]);
        if (!attempt)
            attempt = hold_unseen(core, session, gone, i);
        if (!attempt || attempt->session != session)
            continue;
        if (may_spare && attempt->is_suspended)
            continue;
        if (!gone->culprit)
            attempt->blame = BLAME_SUSPECT;
        else if (gone->culprit == gone->attempts[i])
            attempt->blame = BLAME_CULPRIT;
    }
}

/* ---- the processes that run them ---- */

static bool is_worker(const struct session *session)
{
    return session_is_known(session) && !session->is_alone && session->can_start_alone;
}

static bool is_of_one_worker(const struct session *a, const struct session *b)
{
    return memcmp(a->record.node, b->record.node, sizeof a->record.node) == 0 &&
           strcmp(a->record.name, b->record.name) == 0;
}

/* The session of the worker to which this one belongs; NULL: it is not there. */
static struct session *worker_of(const struct berth_core *core, const struct session *of)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        if (is_worker(session) && is_of_one_worker(session, of))
            return session;
    }
    return NULL;
}

static void join_worker(struct session *alone, struct session *worker)
{
    alone->worker = worker->by_id.id;
    worker->alone_count++;
}

static void leave_worker(const struct berth_core *core, struct session *alone)
{
    struct session *worker = alone->worker ? session_find(core, alone->worker) : NULL;
    if (worker)
        worker->alone_count--;
    alone->worker = 0;
}

/* Processes for suspects outlive the child that asked for them: they belong to the next one, also
 * while the death of the last one is on its way. */
static void adopt(const struct berth_core *core, struct session *worker)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *alone = berth_container_of(node, struct session, by_id);
        if (!session_is_known(alone) || !alone->is_alone || !is_of_one_worker(alone, worker))
            continue;
        leave_worker(core, alone);
        join_worker(alone, worker);
    }
}

/* Those of a worker's child that is over have none, unless its successor is there already. */
static void leave_to_heir(const struct berth_core *core, const struct session *worker)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *alone = berth_container_of(node, struct session, by_id);
        if (alone->worker == worker->by_id.id)
            leave_worker(core, alone);
    }
    struct session *heir = worker_of(core, worker);
    if (heir)
        adopt(core, heir);
}

/* Processes for suspects offer handlers of their own. */
static bool has_alone(const struct berth_core *core)
{
    return !berth_list_is_empty(&core->alone_handlers);
}

void suspect_on_joined(struct berth_core *core, struct session *session)
{
    suspect_look(core);
    if (is_worker(session) && has_alone(core))
        adopt(core, session);
    struct session *worker =
        session->is_alone && !session->worker ? worker_of(core, session) : NULL;
    if (!worker)
        return;
    join_worker(session, worker);
    worker->alone_asked_ms = 0;
}

void suspect_on_closed(struct berth_core *core, struct session *session)
{
    suspect_look(core);
    leave_worker(core, session);
    if (session->alone_count)
        leave_to_heir(core, session);
}

static bool has_offer(const struct session *session, struct berth_slice handler)
{
    for (size_t i = 0; i < session->offer_count; i++)
        if (slice_is_equal(slice_of(session->offers[i].handler->name), handler))
            return true;
    return false;
}

/* Whether this worker can start a process that offers the handler. */
static bool can_start(const struct session *session, const struct handler *handler)
{
    return session->state == SESSION_LIVE && session->peer && session->can_start_alone &&
           !session->is_draining && has_offer(session, suspect_plain_name(handler));
}

static bool is_asked(const struct berth_core *core, const struct session *session)
{
    return session->alone_asked_ms && core->now_ms - session->alone_asked_ms < SUSPECT_ASK_WAIT_MS;
}

static uint64_t waiting_count(const struct handler *handler)
{
    uint64_t count = 0;
    BERTH_LIST_FOREACH (node, &handler->desks[DESK_ROOTS].waiting) {
        const struct gate *gate = berth_container_of(node, struct gate, wait_node);
        BERTH_LIST_FOREACH (at, &gate->lanes)
            count += berth_container_of(at, struct lane, gate_node)->ready_count;
    }
    return count;
}

/* One process of each worker that can, as long as more suspects wait than were asked for. */
static void ask(struct berth_core *core, const struct handler *handler)
{
    uint64_t wanted = waiting_count(handler);
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        if (wanted && is_asked(core, session) && can_start(session, handler))
            wanted--;
    }
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        if (!wanted)
            return;
        if (is_asked(core, session) || session->alone_count >= SUSPECT_ALONE_MAX ||
            !can_start(session, handler))
            continue;
        session->alone_asked_ms = core->now_ms;
        outbox_start_alone(core, session);
        wanted--;
    }
}

/* When the first of those that were asked is asked again; others come back with a renewal alone. */
static int64_t again_ms(const struct berth_core *core)
{
    int64_t due_ms = core->now_ms + SUSPECT_ASK_WAIT_MS;
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        int64_t ends_ms = session->alone_asked_ms + SUSPECT_ASK_WAIT_MS;
        if (is_asked(core, session) && ends_ms < due_ms)
            due_ms = ends_ms;
    }
    return due_ms;
}

void suspect_on_turn(struct berth_core *core)
{
    bool is_time = core->now_ms >= core->alone_again_ms;
    if (berth_list_is_empty(&core->alone_handlers) || (core->is_alone_looked_at && !is_time))
        return;
    core->is_alone_looked_at = true;
    core->alone_again_ms = INT64_MAX;
    BERTH_LIST_FOREACH (node, &core->alone_handlers) {
        const struct handler *handler = berth_container_of(node, struct handler, alone_node);
        if (berth_list_is_empty(&handler->desks[DESK_ROOTS].waiting))
            continue;
        ask(core, handler);
        core->alone_again_ms = again_ms(core);
    }
}

int64_t suspect_next_deadline_ms(const struct berth_core *core)
{
    return core->alone_again_ms;
}

/* ---- what is said ---- */

const char *suspect_reason(struct berth_core *core, const struct handler *handler)
{
    struct berth_slice name = suspect_plain_name(handler);
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        if (can_start(session, handler))
            return "its worker's process may have died of it: it waits for one of its own";
    }
    return step_text(core,
                     "its worker's process may have died of it, and no connected worker can run "
                     "'%.*s' in a process of its own",
                     (int)name.bytes, (const char *)name.data);
}

/* ---- check ---- */

static void check_counts(const struct berth_core *core, const struct session *worker)
{
    uint32_t count = 0;
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        count += session->worker == worker->by_id.id;
    }
    BERTH_ASSERT(worker->alone_count == count);
}

static bool has_live_worker(const struct berth_core *core, const struct session *alone)
{
    const struct session *worker = worker_of(core, alone);
    return worker && worker->state == SESSION_LIVE;
}

/* It counts at the worker that is there. */
static void check_owner(const struct berth_core *core, const struct session *alone)
{
    const struct session *owner = alone->worker ? session_find(core, alone->worker) : NULL;
    bool has_joined = alone->state == SESSION_LIVE && alone->is_alone;
    BERTH_ASSERT(!alone->worker || owner);
    BERTH_ASSERT(!owner || (session_is_known(owner) && is_of_one_worker(alone, owner)));
    BERTH_ASSERT(owner || !has_joined || !has_live_worker(core, alone));
}

void suspect_check(const struct berth_core *core)
{
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        bool is_suspect = job->flags & JOB_IS_SUSPECT;
        if (!job->state)
            continue;
        const struct gate *gate = job_lane(core, job)->gate;
        BERTH_ASSERT(is_suspect == gate->handler->is_alone);
        BERTH_ASSERT(!is_suspect || gate->desk == &gate->handler->desks[DESK_ROOTS]);
    }
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        if (session_is_known(session))
            check_counts(core, session);
        check_owner(core, session);
        for (size_t i = 0; i < session->offer_count; i++)
            BERTH_ASSERT(session->offers[i].handler->is_alone == session->is_alone);
    }
}

/* SPDX-License-Identifier: MIT */
#include "attempt.h"

#include "after.h"
#include "backoff.h"
#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/match/limit.h"
#include "broker/core/scope/scope.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/show/shown.h"
#include "broker/core/show/wait.h"
#include "broker/core/worker/hold.h"
#include "broker/core/worker/offer.h"
#include "broker/core/worker/outbox.h"
#include "broker/core/worker/suspect.h"
#include "job_clock.h"

struct attempt *attempt_find(const struct berth_core *core, uint64_t id)
{
    struct berth_map_node *node = berth_map_find_id(&core->attempts, id);
    return node ? berth_container_of(node, struct attempt, by_id) : NULL;
}

struct attempt *attempt_new(struct berth_core *core, uint64_t id, struct session *session,
                            uint32_t job_index, uint32_t number, struct dispatcher *dispatcher,
                            struct group *group)
{
    struct attempt *attempt = block_new(sizeof *attempt);
    if (!attempt)
        return NULL;
    if (berth_map_insert_id(&core->attempts, &attempt->by_id, id) < 0) {
        block_free(attempt);
        return NULL;
    }
    attempt->state = job_index ? ATTEMPT_RUNNING : ATTEMPT_DOOMED;
    attempt->job = job_index;
    attempt->number = number;
    attempt->session = session;
    attempt->dispatcher = dispatcher;
    attempt->group = group;
    attempt->started_us = core->wall_us;
    berth_list_push_back(&session->attempts, &attempt->session_node);
    if (dispatcher)
        berth_list_push_back(&dispatcher->attempts, &attempt->dispatcher_node);
    session->attempt_count++;
    offer_update_room(core, session);
    limit_take(core, attempt);
    if (job_index) {
        job_move(core, job_index, JOB_RUNNING, JOB_AT_TAIL);
        struct job *job = job_at(&core->jobs, job_index);
        job->attempt = attempt;
        attempt->job_id = job->id;
    }
    return attempt;
}

bool attempt_holds(const struct attempt *attempt, const struct dispatcher *dispatcher,
                   const struct group *group)
{
    if (!attempt_has_slots(attempt))
        return false;
    return group ? attempt->group == group : dispatcher_is_in(attempt->dispatcher, dispatcher);
}

static void give_slot_back(struct berth_core *core, struct attempt *attempt)
{
    suspend_forget(core, attempt);
    if (attempt_has_slots(attempt))
        limit_give(core, attempt);
    attempt->has_given = false;
    suspend_end(core, attempt);
}

void attempt_free(struct berth_core *core, struct attempt *attempt)
{
    BERTH_ASSERT(!attempt->job || job_at(&core->jobs, attempt->job)->state != JOB_RUNNING);
    give_slot_back(core, attempt);
    shown_free(core, attempt);
    outbox_forget(attempt);
    berth_map_remove(&core->attempts, &attempt->by_id);
    berth_list_remove(&attempt->session_node);
    if (attempt->dispatcher)
        berth_list_remove(&attempt->dispatcher_node);
    attempt->session->attempt_count--;
    offer_update_room(core, attempt->session);
    block_free(attempt);
}

static struct berth_attempt_record
attempt_record(struct berth_core *core, const struct attempt *attempt, struct berth_slice kind,
               struct berth_slice message, struct berth_slice result)
{
    return (struct berth_attempt_record){
        .id = attempt->by_id.id,
        .started_us = attempt->started_us,
        .worker = batch_copy(core, slice_of(attempt->session->record.name)),
        .result = batch_copy(core, result),
        .error_kind = batch_copy(core, kind),
        .error_message = batch_copy(core, message),
    };
}

/* ---- how a job goes on or ends: one record each ---- */

/* Its end or retry is the last record of the batch. */
static void settle(struct berth_core *core, uint32_t index)
{
    const struct berth_record *record = &core->open->records[core->open->count - 1];
    struct job *job = job_at(&core->jobs, index);
    enum berth_state ended = record->type == BERTH_RECORD_END ? record->end.state : 0;
    job_move(core, index, JOB_SETTLING, JOB_AT_TAIL);
    if (ended) {
        job->flags |= JOB_ENDING;
        job->end_state = ended;
        if (ended != BERTH_COMPLETED)
            after_on_failed(core, index);
    }
    if (job->flags & JOB_IN_SCOPE) {
        scope_on_over(core, index);
        scope_on_ending(core, index, ended);
    }
}

void attempt_settle(struct berth_core *core, struct attempt *attempt)
{
    give_slot_back(core, attempt);
    shown_free(core, attempt);
    outbox_forget(attempt);
    attempt->state = ATTEMPT_SETTLING;
    settle(core, attempt->job);
    attempt->job = 0;
}

static void write_end(struct berth_core *core, const struct job *job, enum berth_state state,
                      const struct berth_attempt_record *last)
{
    struct berth_record *record = batch_add(core, BERTH_RECORD_END);
    record->end = (struct berth_end_record){
        .id = job->id,
        .dispatcher = job_dispatcher(core, job)->record.id,
        .state = state,
        .attempt = job->attempt_number,
        .failures = job->failures,
        .deaths = job->deaths,
        .finished_us = core->wall_us,
        .last = *last,
    };
}

/* With its attempt. A child that had to end says why. */
static void write_cancelled(struct berth_core *core, const struct job *job,
                            const struct berth_attempt_record *last)
{
    const char *why = job->flags & JOB_IN_SCOPE ? scope_cause_text(core, job->id) : NULL;
    struct berth_attempt_record told = *last;
    if (why) {
        told.error_kind = batch_copy(core, slice_of("parent_cancelled"));
        told.error_message = batch_copy(core, slice_of(why));
    }
    write_end(core, job, BERTH_CANCELLED, &told);
}

static void write_retry(struct berth_core *core, struct job *job, int64_t run_at_us,
                        const struct berth_attempt_record *last)
{
    struct berth_record *record = batch_add(core, BERTH_RECORD_RETRY);
    record->retry = (struct berth_retry_record){
        .id = job->id,
        .state = run_at_us ? BERTH_RETRYING : BERTH_READY,
        .run_at_us = run_at_us,
        .attempt = job->attempt_number,
        .failures = job->failures,
        .deaths = job->deaths,
        .is_suspect = job->flags & JOB_IS_SUSPECT,
        .last = *last,
    };
    job->flags &= (uint8_t)~JOB_START_STORED;
}

void job_end_cancelled(struct berth_core *core, uint32_t index)
{
    const struct job *job = job_at(&core->jobs, index);
    const char *why = job->flags & JOB_IN_SCOPE ? scope_cause_text(core, job->id) : NULL;
    if (why) {
        job_end_queued(core, index, BERTH_CANCELLED, "parent_cancelled", why);
        return;
    }
    write_end(core, job, BERTH_CANCELLED, &(struct berth_attempt_record){ 0 });
    settle(core, index);
}

void job_end_queued(struct berth_core *core, uint32_t index, enum berth_state state,
                    const char *kind, const char *message)
{
    write_end(core, job_at(&core->jobs, index), state, &(struct berth_attempt_record){ 0 });
    struct berth_end_record *end = &core->open->records[core->open->count - 1].end;
    end->error_kind = batch_copy(core, slice_of(kind));
    end->error_message = batch_copy(core, slice_of(message));
    settle(core, index);
}

/* ---- reports ---- */

static uint32_t attempts_allowed(const struct berth_core *core, const struct job *job)
{
    return job->max_attempts ? job->max_attempts : job_dispatcher(core, job)->record.max_attempts;
}

static int64_t delay_ms(struct berth_core *core, const struct job *job, int64_t asked_ms)
{
    const struct berth_dispatcher_record *settings = &job_dispatcher(core, job)->record;
    const struct rare *rare = rare_of(core, job);
    if (asked_ms > 0)
        return asked_ms;
    struct berth_rng *rng = settings->no_jitter ? NULL : &core->rng;
    bool has_own = rare && rare->backoff_ms, has_own_max = rare && rare->backoff_ms_max;
    return backoff_delay_ms(rng, job->failures, has_own ? rare->backoff_ms : settings->backoff_ms,
                            has_own_max ? rare->backoff_ms_max : settings->backoff_ms_max);
}

/* A delay of 0 means at once, which is also what run_at 0 says. */
static int64_t after_ms(const struct berth_core *core, int64_t ms)
{
    return ms > 0 ? core->wall_us + ms * 1000 : 0;
}

static void write_failure(struct berth_core *core, struct job *job,
                          const struct berth_attempt_end *end,
                          const struct berth_attempt_record *last)
{
    if (job->failures < UINT32_MAX)
        job->failures++;
    if (end->outcome == BERTH_OUTCOME_FAILED_FOREVER ||
        job->failures >= attempts_allowed(core, job))
        write_end(core, job, BERTH_DEAD, last);
    else
        write_retry(core, job, after_ms(core, delay_ms(core, job, end->retry_ms)), last);
}

/* It was not done in time, however it ended. */
static void write_late(struct berth_core *core, const struct job *job,
                       const struct berth_attempt_record *last)
{
    struct berth_attempt_record late = *last;
    late.error_kind = batch_copy(core, slice_of("deadline"));
    late.error_message = batch_copy(core, slice_of("its deadline passed while it ran"));
    write_end(core, job, BERTH_DEAD, &late);
}

/* Also if it was told so, and the wall clock has jumped back since. */
static bool is_late(const struct berth_core *core, const struct attempt *attempt)
{
    return attempt->is_late || job_clock_is_late(core, job_at(&core->jobs, attempt->job));
}

static void write_outcome(struct berth_core *core, struct job *job,
                          const struct berth_attempt_end *end,
                          const struct berth_attempt_record *last)
{
    if (job->flags & JOB_CANCEL_ASKED) {
        write_cancelled(core, job, last);
        return;
    }
    if (end->outcome != BERTH_OUTCOME_COMPLETED && is_late(core, job->attempt)) {
        write_late(core, job, last);
        return;
    }
    switch (end->outcome) {
    case BERTH_OUTCOME_COMPLETED: write_end(core, job, BERTH_COMPLETED, last); return;
    case BERTH_OUTCOME_FAILED:
    case BERTH_OUTCOME_FAILED_FOREVER:
    case BERTH_OUTCOME_TIMED_OUT: write_failure(core, job, end, last); return;
    case BERTH_OUTCOME_SNOOZED: write_retry(core, job, after_ms(core, end->retry_ms), last); return;
    case BERTH_OUTCOME_CANCELLED:
        write_retry(core, job, 0, last);
        return; /* by a stop of its worker */
    }
    BERTH_UNREACHABLE();
}

void attempt_report(struct berth_core *core, struct attempt *attempt,
                    const struct berth_attempt_end *end)
{
    if (attempt->state == ATTEMPT_SETTLING)
        return; /* a copy: the acknowledgement follows the sync */
    if (attempt->state == ATTEMPT_DOOMED) {
        core->stale_reports++;
        outbox_ack(core, attempt->session, attempt->by_id.id, true);
        attempt_free(core, attempt);
        return;
    }
    if (!attempt->started_us)
        attempt->started_us = core->wall_us - end->run_us;
    struct berth_attempt_record last =
        attempt_record(core, attempt, end->error_kind, end->error_message, end->result);
    write_outcome(core, job_at(&core->jobs, attempt->job), end, &last);
    attempt_settle(core, attempt);
}

/* ---- attempts that do not report ---- */

/* The job goes back to where it was; it ends if that is what was asked for, stored or not: another
 * attempt would know nothing of a cancel by force. */
static void put_back(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    hold_forget_start(core, job);
    bool is_cancelled = job->flags & JOB_CANCEL_ASKED;
    if (!is_cancelled && job->flags & JOB_IN_SCOPE) {
        scope_on_over(core, index);
        if (scope_hold(core, index, JOB_READY, 0))
            return;
    }
    job_move(core, index, JOB_READY, JOB_AT_OLD_PLACE);
    if (is_cancelled)
        job_end_cancelled(core, index);
}

/* Without a record. What had begun keeps its number, so that nobody takes the next attempt, and
 * what it writes, for this one. */
static void hand_back(struct berth_core *core, struct attempt *attempt)
{
    if (attempt->job)
        put_back(core, attempt->job);
    attempt->job = 0;
    attempt_free(core, attempt);
}

void attempt_release(struct berth_core *core, struct attempt *attempt)
{
    if (attempt->job) {
        struct job *job = job_at(&core->jobs, attempt->job);
        BERTH_ASSERT(job->attempt_number > 0);
        job->attempt_number--;
    }
    hand_back(core, attempt);
}

/* In words: the kind of the error, and a sentence. */
static struct berth_attempt_record loss_record(struct berth_core *core,
                                               const struct attempt *attempt)
{
    static const char *const sentences[] = {
        [BLAME_NONE] = "its worker was lost",
        [BLAME_SUSPECT] = "the worker's process died while it ran",
        [BLAME_CULPRIT] = "the worker's process died of it",
    };
    bool is_forced = attempt->is_forced && !attempt->blame;
    return attempt_record(core, attempt, slice_of(attempt->blame ? "crash" : "lost"),
                          slice_of(is_forced ? "it was ended by force" : sentences[attempt->blame]),
                          (struct berth_slice){ 0 });
}

static void write_loss(struct berth_core *core, struct attempt *attempt)
{
    struct job *job = job_at(&core->jobs, attempt->job);
    if (attempt->blame == BLAME_CULPRIT && job->deaths < UINT8_MAX)
        job->deaths++;
    if (attempt->blame)
        suspect_make(core, attempt->job);
    bool is_poison = attempt->blame == BLAME_CULPRIT && job->deaths >= SUSPECT_DEATHS_MAX;
    struct berth_attempt_record last = loss_record(core, attempt);
    if (job->flags & JOB_CANCEL_ASKED)
        write_cancelled(core, job, &last);
    else if (is_poison)
        write_end(core, job, BERTH_DEAD, &last);
    else if (is_late(core, attempt))
        write_late(core, job, &last);
    else
        write_retry(core, job, 0, &last);
    attempt_settle(core, attempt);
}

void attempt_lost(struct berth_core *core, struct attempt *attempt, enum attempt_loss how)
{
    switch (attempt->state) {
    case ATTEMPT_FETCHING:
    case ATTEMPT_STARTING: attempt_release(core, attempt); return;
    case ATTEMPT_RUNNING:
    case ATTEMPT_HELD:
        if (how == ATTEMPT_DRAINED) {
            hand_back(core, attempt);
            return;
        }
        write_loss(core, attempt);
        attempt_free(core, attempt);
        return;
    case ATTEMPT_SETTLING:
    case ATTEMPT_DOOMED: attempt_free(core, attempt); return;
    }
    BERTH_UNREACHABLE();
}

/* ---- what a sync sets free ---- */

void job_on_cancel_stored(struct berth_core *core, uint64_t id)
{
    uint32_t index = job_find(core, id);
    BERTH_ASSERT(index != 0);
    struct job *job = job_at(&core->jobs, index);
    job->flags |= JOB_CANCEL_STORED;
    switch ((enum job_state)job->state) {
    case JOB_RUNNING:
        outbox_cancel(core, job->attempt);
        suspend_on_told(core, job->attempt);
        return;
    case JOB_SCHEDULED:
    case JOB_READY:
    case JOB_RETRYING:
        if (core->unresolved)
            core->has_queued_cancels = true;
        else
            job_end_cancelled(core, index);
        return;
    case JOB_ARRIVING:
    case JOB_SETTLING:
    case JOB_STATE_COUNT: return;
    }
    BERTH_UNREACHABLE();
}

/* The end or retry by this attempt is stored: its worker may forget it. */
static void acknowledge(struct berth_core *core, uint64_t id)
{
    struct attempt *attempt = id ? attempt_find(core, id) : NULL;
    if (!attempt || attempt->state != ATTEMPT_SETTLING)
        return;
    outbox_ack(core, attempt->session, id, false);
    attempt_free(core, attempt);
}

void job_on_end_stored(struct berth_core *core, const struct berth_end_record *end)
{
    uint32_t index = job_find(core, end->id);
    BERTH_ASSERT(index != 0);
    uint8_t flags = job_at(&core->jobs, index)->flags;
    bool is_watched = flags & JOB_WATCHED;
    if (flags & JOB_IN_SCOPE)
        scope_on_end_stored(core, index, end);
    if (end->state == BERTH_COMPLETED)
        after_on_completed(core, index);
    job_free(core, index);
    acknowledge(core, end->last.id);
    if (is_watched)
        wait_on_job_ended(core, end->id, end->state);
}

void job_on_retry_stored(struct berth_core *core, const struct berth_retry_record *retry)
{
    uint32_t index = job_find(core, retry->id);
    BERTH_ASSERT(index != 0);
    acknowledge(core, retry->last.id);
    if (job_at(&core->jobs, index)->flags & JOB_CANCEL_ASKED)
        job_end_cancelled(core, index);
    else if (scope_hold(core, index, retry->run_at_us ? JOB_RETRYING : JOB_READY, retry->run_at_us))
        return;
    else if (retry->state == BERTH_RETRYING)
        job_move_due(core, index, JOB_RETRYING, retry->run_at_us);
    else
        job_move(core, index, JOB_READY, JOB_AT_OLD_PLACE);
}

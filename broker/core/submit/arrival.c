/* SPDX-License-Identifier: MIT */
/* What becomes of jobs that were written, or that the store has from before: they go where they
 * begin to wait, or are forgotten. */
#include <errno.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/after.h"
#include "broker/core/life/attempt.h"
#include "broker/core/life/job_clock.h"
#include "broker/core/match/lane.h"
#include "broker/core/scope/scope.h"
#include "broker/core/worker/hold.h"
#include "broker/core/worker/suspect.h"
#include "keys.h"
#include "submit.h"

/* Where it begins to wait. */
static void place_new(struct berth_core *core, uint32_t index,
                      const struct berth_job_record *record)
{
    if (after_waits(core, job_at(&core->jobs, index)))
        job_move_due(core, index, JOB_SCHEDULED, AFTER_NEVER);
    else if (record->run_at_us > core->wall_us)
        job_move_due(core, index, JOB_SCHEDULED, record->run_at_us);
    else
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
}

static int64_t time_came_us(const struct berth_job_record *record)
{
    return record->run_at_us > record->submitted_us ? record->run_at_us : record->submitted_us;
}

static void note_stored(const struct berth_core *core, uint32_t index)
{
    struct ties *ties = rare_ties(core, job_at(&core->jobs, index));
    if (ties)
        ties->is_stored = true;
}

/* A child was told to end before it was stored. */
static void cancel_stored(struct berth_core *core, uint32_t index)
{
    if (core->unresolved)
        batch_add(core, BERTH_RECORD_CANCEL)->id = job_at(&core->jobs, index)->id;
    else
        job_end_cancelled(core, index);
}

void submit_on_stored(struct berth_core *core, const struct berth_job_record *record)
{
    uint32_t index = job_find(core, record->id);
    BERTH_ASSERT(index != 0);
    note_stored(core, index);
    if (job_at(&core->jobs, index)->state != JOB_ARRIVING)
        return; /* what it was to wait for has failed: its end is under way */
    place_new(core, index, record);
    if (!record->after.bytes)
        job_clock_set_ready(core, index, time_came_us(record));
    if (job_at(&core->jobs, index)->flags & JOB_CANCEL_ASKED)
        cancel_stored(core, index);
}

void submit_on_refused(struct berth_core *core, const struct berth_job_record *record)
{
    keys_forget(core, keys_of_record(record));
    uint32_t index = job_find(core, record->id);
    BERTH_ASSERT(index != 0);
    job_free(core, index);
}

/* Of two jobs with one key the newer one counts: the window of the older one was over. */
int submit_load_key(struct berth_core *core, const struct berth_job_record *record)
{
    if (record->key.kind == BERTH_KEY_NONE)
        return 0;
    if (record->key.kind == BERTH_KEY_CHILD && record->state < BERTH_COMPLETED && record->state &&
        !record->parent)
        return 0; /* it was a child, and lives again on its own */
    struct key_use use = { .kind = record->key.kind,
                           .key = keys_of_record(record),
                           .job = record->id,
                           .parent = record->parent,
                           .until_us = record->key.until_us };
    const struct key_entry *known = keys_find(core, use.key);
    if (known && known->job > record->id)
        return 0;
    memcpy(&use.body, record->key.body_hash, sizeof use.body);
    int rc = keys_remember(core, &use);
    if (rc == 0 && record->key.kind == BERTH_KEY_CHILD)
        scope_mark(core, record->parent);
    return rc;
}

static void place_loaded(struct berth_core *core, uint32_t index,
                         const struct berth_job_record *record)
{
    bool is_due = record->run_at_us <= core->wall_us || record->state == BERTH_READY;
    if (after_waits(core, job_at(&core->jobs, index))) {
        job_move_due(core, index, JOB_SCHEDULED, AFTER_NEVER);
    } else if (is_due) {
        bool was_lost = record->attempt && !record->run_at_us;
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
        if (!was_lost && !record->after.bytes) {
            job_clock_set_ready(core, index, time_came_us(record));
            job_at(&core->jobs, index)->loaded_s = (uint32_t)(time_came_us(record) / 1000000);
        }
    } else if (record->attempt) {
        job_move(core, index, JOB_SETTLING, JOB_AT_TAIL);
        job_move_due(core, index, JOB_RETRYING, record->run_at_us);
    } else {
        job_move_due(core, index, JOB_SCHEDULED, record->run_at_us);
    }
}

/* Those that it waits for are loaded before it, as their ids are smaller; who is missing has
 * completed. */
static int load_rare(struct berth_core *core, uint32_t index, const struct berth_job_record *record)
{
    int rc = rare_take(core, index, record);
    if (rc < 0)
        return rc;
    if (!record->after.bytes)
        return 0;
    struct ties *ties = rare_get_ties(core, index);
    if (!ties)
        return -ENOMEM;
    ties->run_at_us = record->run_at_us;
    return after_take(core, index, record->after);
}

/* An ARRIVING job with all that the record says of it, in memory. 0: ret_index; BERTH_ESTORE: there
 * is no such dispatcher, or there is such a job; -ENOMEM. */
static int make_of_record(struct berth_core *core, const struct berth_job_record *record,
                          uint32_t *ret_index)
{
    struct dispatcher *dispatcher = dispatcher_find_id(core, record->dispatcher);
    if (!dispatcher || job_find(core, record->id))
        return BERTH_ESTORE;
    char space[BERTH_NAME_BYTES + 1];
    struct berth_slice handler =
        record->is_suspect ? suspect_handler(record->handler, space) : record->handler;
    bool is_child = record->parent && !record->is_suspect;
    struct lane *lane =
        lane_get(core, dispatcher, handler, is_child ? DESK_CHILDREN : DESK_ROOTS, record->group);
    uint32_t index = lane ? job_new(core, record->id, lane, record->priority) : 0;
    if (lane && !index)
        lane_release(core, lane);
    if (!index)
        return -ENOMEM;
    struct job *job = job_at(&core->jobs, index);
    job->max_attempts = record->max_attempts;
    job->attempt_number = record->attempt;
    job->failures = record->failures;
    job->deaths = (uint8_t)(record->deaths < UINT8_MAX ? record->deaths : UINT8_MAX);
    if (record->is_suspect)
        job->flags |= JOB_IS_SUSPECT;
    if (record->is_cancelled) {
        job->flags |= JOB_CANCEL_ASKED | JOB_CANCEL_STORED;
        core->has_queued_cancels = true;
    }
    bool has_body = record->body.data || !record->body.bytes;
    if (has_body && job_keep_body(core, job, record->body, record->timeout_ms, false) < 0) {
        job_free(core, index);
        return -ENOMEM;
    }
    int rc = load_rare(core, index, record);
    if (rc < 0) {
        job_free(core, index);
        return rc;
    }
    *ret_index = index;
    return 0;
}

static int load_parent(struct berth_core *core, uint32_t index,
                       const struct berth_job_record *record)
{
    if (!record->parent)
        return 0;
    /* Whether a supervisor made it is not stored: its parent's worker cancels its siblings. */
    return scope_take(core, index,
                      &(struct scope_parent){ .job = record->parent,
                                              .attempt = record->parent_attempt,
                                              .ordinal = record->parent_ordinal,
                                              .is_supervisor = true });
}

int submit_load(struct berth_core *core, const struct berth_job_record *record)
{
    uint32_t index;
    int rc = make_of_record(core, record, &index);
    if (rc < 0)
        return rc == -ENOMEM ? rc : BERTH_ESTORE;
    note_stored(core, index);
    if (record->id >= core->next_job_id)
        core->next_job_id = record->id + 1;
    if (load_parent(core, index, record) < 0)
        return -ENOMEM;
    place_loaded(core, index, record);
    rc = hold_load(core, index, record);
    return rc < 0 ? rc : submit_load_key(core, record);
}

/* ---- jobs that live again ---- */

int submit_revive(struct berth_core *core, const struct berth_job_record *record)
{
    uint32_t index;
    int rc = make_of_record(core, record, &index);
    if (rc < 0)
        return rc;
    scope_mark(core, record->id); /* children of its last attempt may live still */
    struct berth_record *revive = batch_try_add(core, BERTH_RECORD_REVIVE);
    if (!revive) {
        job_free(core, index);
        return -ENOMEM;
    }
    revive->revive.id = record->id;
    revive->revive.run_at_us = record->run_at_us;
    revive->revive.deadline_us = record->deadline_us;
    return 0;
}

void submit_on_revived(struct berth_core *core, const struct berth_revive_record *revive)
{
    uint32_t index = job_find(core, revive->id);
    BERTH_ASSERT(index != 0);
    if (revive->is_missing) {
        job_free(core, index);
        return;
    }
    note_stored(core, index);
    if (!scope_hold(core, index, JOB_READY, 0))
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
}

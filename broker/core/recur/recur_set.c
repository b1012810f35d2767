/* SPDX-License-Identifier: MIT */
/* Schedules, as people ask for them: made and changed, paused, removed, shown. */
#include "recur.h"

#include <errno.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/step.h"
#include "broker/core/submit/intake.h"

#define SHOW_NONE UINT32_MAX

static struct berth_slice name_of(const struct dispatcher *dispatcher)
{
    return slice_of(dispatcher->record.name);
}

static void sign(const struct berth_core *core, struct berth_schedule_record *record,
                 struct berth_slice changed_by)
{
    BERTH_ASSERT(changed_by.bytes < sizeof record->changed_by);
    memset(record->changed_by, 0, sizeof record->changed_by);
    if (changed_by.bytes)
        memcpy(record->changed_by, changed_by.data, changed_by.bytes);
    record->changed_us = core->wall_us;
}

static void refuse(struct berth_core *core, uint64_t peer, uint64_t request, int code,
                   const char *field, const char *message)
{
    if (peer)
        step_error(core, peer, request, code, field, step_text(core, "%s", message));
}

static void refuse_unknown(struct berth_core *core, uint64_t peer, uint64_t request,
                           struct berth_slice name)
{
    pending_refuse(core, peer, request, BERTH_ENOTFOUND, "name",
                   step_text(core, "schedule '%.*s' does not exist", (int)name.bytes,
                             (const char *)name.data));
}

/* Answers with this one, or these, when all that was gathered is stored. */
static void answer_later(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t id,
                         uint32_t after)
{
    struct pending *pending = peer ? pending_new(PENDING_SCHEDULES, peer, request) : NULL;
    if (!pending)
        return; /* no memory: it is asked again */
    pending->schedule = id;
    pending->schedule_after = after;
    if (core->recurring_changes)
        pending_put(core, pending);
    else
        pending_answer(core, pending);
}

/* ---- set ---- */

/* All instants until now pass. */
static void begin_anew(const struct berth_core *core, struct berth_schedule_record *record,
                       const struct recurring *known)
{
    int64_t done_us = known ? known->schedule.done_us : core->wall_us;
    record->has_done = true;
    record->done_us = done_us > core->wall_us ? done_us : core->wall_us;
}

static void apply_job(struct berth_schedule_record *record, const struct berth_ev_schedule_set *set,
                      uint32_t dispatcher)
{
    const struct berth_submit_item *job = &set->job;
    record->dispatcher = dispatcher;
    record->handler = set->handler;
    record->body = job->body;
    record->group = job->group;
    record->unique = job->unique;
    record->on_conflict = (uint8_t)job->on_conflict;
    record->priority = job->priority;
    record->delay_ms = job->delay_ms;
    record->max_attempts = job->max_attempts;
    record->timeout_ms = job->timeout_ms;
    record->queue_timeout_ms = job->queue_timeout_ms;
    record->deadline_ms = job->deadline_ms;
    record->backoff_ms = job->backoff_ms;
    record->backoff_ms_max = job->backoff_ms_max;
}

static void apply(const struct berth_core *core, struct berth_schedule_record *record,
                  const struct berth_ev_schedule_set *set, const struct recurring *known)
{
    bool is_other_cron = set->has_cron && !slice_is_equal(record->cron, set->cron);
    bool is_other_zone = set->has_zone && (!slice_is_equal(record->zone, set->zone) ||
                                           !slice_is_equal(record->tzif, set->tzif));
    if (set->has_cron)
        record->cron = set->cron;
    if (set->has_zone) {
        record->zone = set->zone;
        record->tzif = set->tzif;
    }
    if (set->has_overlap)
        record->overlap = set->overlap;
    if (set->has_catch_up)
        record->catch_up = set->catch_up;
    if (!known || is_other_cron || is_other_zone)
        begin_anew(core, record, known);
}

/* What a new one cannot do without. False: it was refused. */
static bool check_new(struct berth_core *core, const struct berth_ev_schedule_set *set)
{
    const char *field = !set->has_cron ? "cron" : "job";
    if (set->has_cron && set->has_job)
        return true;
    refuse(core, set->peer, set->request, BERTH_ENOTFOUND, field,
           step_text(core, "schedule '%.*s' does not exist: a new one needs %s",
                     (int)set->name.bytes, (const char *)set->name.data,
                     set->has_cron ? "a command or a handler" : "a cron expression"));
    return false;
}

/* A submit says so at once, too. The dispatcher may still change later; then the instants say it.
 */
static bool check_backoff(struct berth_core *core, const struct berth_ev_schedule_set *set,
                          const struct dispatcher *dispatcher)
{
    int64_t ms, ms_max;
    if (intake_is_backoff_sound(&set->job, dispatcher, &ms, &ms_max))
        return true;
    refuse(core, set->peer, set->request, BERTH_EVALUE, "backoff",
           step_text(core, "backoff %lld ms: allowed is 0 to backoff_max, which is %lld ms",
                     (long long)ms, (long long)ms_max));
    return false;
}

static bool apply_dispatcher(struct berth_core *core, const struct berth_ev_schedule_set *set,
                             struct berth_schedule_record *record)
{
    const struct dispatcher *dispatcher =
        set->has_job ? dispatcher_find(core, set->dispatcher) : NULL;
    if (set->has_job && !dispatcher) {
        refuse(core, set->peer, set->request, BERTH_ENOTFOUND, "dispatcher",
               step_text(core, "dispatcher '%.*s' does not exist", (int)set->dispatcher.bytes,
                         (const char *)set->dispatcher.data));
        return false;
    }
    if (set->has_job && !check_backoff(core, set, dispatcher))
        return false;
    if (set->has_job)
        apply_job(record, set, dispatcher->record.id);
    return true;
}

/* One that never comes is a mistake. */
static bool check_comes(struct berth_core *core, const struct berth_ev_schedule_set *set,
                        const struct berth_schedule_record *record)
{
    struct berth_error err = { 0 };
    struct cron cron;
    struct zone zone;
    const char *field;
    int rc = recur_read(record, &cron, &zone, &field, &err);
    if (rc == 0 && cron_next(&cron, &zone, core->wall_us) != CRON_NEVER)
        return true;
    if (rc < 0)
        refuse(core, set->peer, set->request, rc, field, err.message);
    else
        refuse(core, set->peer, set->request, BERTH_EVALUE, "cron",
               step_text(core, "cron '%.*s' never comes in time zone %.*s", (int)record->cron.bytes,
                         (const char *)record->cron.data, (int)record->zone.bytes,
                         (const char *)record->zone.data));
    return false;
}

void recur_on_set(struct berth_core *core, const struct berth_ev_schedule_set *set)
{
    struct recurring *known = recur_find(core, set->name), *recurring;
    struct berth_schedule_record record = { .id = core->next_schedule_id, .zone = slice_of("UTC") };
    if (known)
        record = known->record;
    else if (!check_new(core, set))
        return;
    else
        memcpy(record.name, set->name.data, set->name.bytes);
    if (set->has_zone && set->zone_code) {
        refuse(core, set->peer, set->request, set->zone_code, "tz", set->zone_message);
        return;
    }
    apply(core, &record, set, known);
    if (!apply_dispatcher(core, set, &record) || !check_comes(core, set, &record))
        return;
    if (set->has_job && !batch_takes_arrivals(core)) {
        refuse(core, set->peer, set->request, BERTH_EFULL, "",
               "the broker's disk is full: the schedule was not stored");
        return;
    }
    sign(core, &record, set->changed_by);
    struct berth_error err = { 0 };
    const char *field;
    int rc = recur_put(core, &record, &recurring, &field, &err);
    if (rc < 0) {
        refuse(core, set->peer, set->request, rc == -ENOMEM ? BERTH_EFULL : rc, field, err.message);
        return;
    }
    if (!known)
        core->next_schedule_id++;
    recur_write(core, recurring);
    answer_later(core, set->peer, set->request, record.id, 0);
}

/* ---- pause, resume, remove ---- */

/* Puts a record that differs in a flag only, or in its zone's table. */
static int change(struct berth_core *core, const struct berth_schedule_record *record,
                  struct berth_error *err)
{
    struct recurring *recurring;
    const char *field;
    int rc = recur_put(core, record, &recurring, &field, err);
    if (rc == 0)
        recur_write(core, recurring);
    return rc;
}

void recur_on_pause(struct berth_core *core, const struct berth_ev_schedule_name *pause)
{
    struct recurring *recurring = recur_find(core, pause->name);
    if (!recurring) {
        refuse_unknown(core, pause->peer, pause->request, pause->name);
        return;
    }
    struct berth_schedule_record record = recurring->record;
    bool is_resumed = record.is_paused && !pause->is_paused;
    record.is_paused = pause->is_paused;
    if (is_resumed) {
        begin_anew(core, &record, recurring);
        recurring->schedule.caught_up_count = 0;
    }
    sign(core, &record, pause->changed_by);
    struct berth_error err = { 0 };
    int rc = change(core, &record, &err);
    if (rc < 0)
        refuse(core, pause->peer, pause->request, BERTH_EFULL, "", err.message);
    else
        answer_later(core, pause->peer, pause->request, record.id, 0);
}

void recur_on_remove(struct berth_core *core, const struct berth_ev_schedule_name *remove)
{
    struct recurring *recurring = recur_find(core, remove->name);
    if (!recurring) {
        refuse_unknown(core, remove->peer, remove->request, remove->name);
        return;
    }
    batch_add(core, BERTH_RECORD_SCHEDULE_END)->id = recurring->record.id;
    core->recurring_changes++;
    recur_remove(core, recurring);
    answer_later(core, remove->peer, remove->request, 0, SHOW_NONE);
}

/* ---- zones ---- */

/* What has been dealt with stays so; what comes behind it follows the new table. One that cannot be
 * taken is not: the old one goes on. */
void recur_on_zone(struct berth_core *core, const struct berth_ev_zone *zone)
{
    BERTH_MAP_FOREACH (node, &core->recurring_by_name) {
        const struct recurring *recurring = berth_container_of(node, struct recurring, by_name);
        struct berth_schedule_record record = recurring->record;
        if (!slice_is_equal(record.zone, zone->name) || slice_is_equal(record.tzif, zone->tzif))
            continue;
        record.tzif = zone->tzif;
        (void)change(core, &record, NULL);
    }
}

/* ---- shown ---- */

void recur_on_list(struct berth_core *core, const struct berth_ev_schedule_list *list)
{
    const struct recurring *recurring = list->name.bytes ? recur_find(core, list->name) : NULL;
    if (list->name.bytes && !recurring) {
        refuse_unknown(core, list->peer, list->request, list->name);
        return;
    }
    answer_later(core, list->peer, list->request, recurring ? recurring->record.id : 0,
                 list->after);
}

/* What is stored of it. */
static struct berth_schedule_view view(const struct recurring *recurring)
{
    const struct recur_progress *kept = &recurring->kept;
    const struct schedule *schedule = &recurring->schedule;
    bool has_next = !schedule->is_paused && schedule->next_us != CRON_NEVER;
    return (struct berth_schedule_view){
        .record = recurring->record,
        .dispatcher = name_of(recurring->dispatcher),
        .done = { .id = recurring->record.id,
                  .done_us = kept->done_us,
                  .last_job = kept->last_job,
                  .last_us = kept->last_us,
                  .last_fate = (uint8_t)kept->last_fate,
                  .last_text = slice_of(kept->last_text) },
        .next_us = has_next ? schedule->next_us : 0,
    };
}

/* As many as fit into one answer. */
static void view_page(const struct berth_core *core, uint32_t after,
                      struct berth_do_schedules *schedules, struct berth_schedule_view *items)
{
    uint64_t bytes = 0;
    BERTH_MAP_FOREACH (node, &core->recurring_by_id) {
        const struct recurring *recurring = berth_container_of(node, struct recurring, by_id);
        if (recurring->record.id <= after)
            continue;
        if (schedules->count == RECUR_PAGE_MAX || bytes > RECUR_PAGE_BYTES_MAX) {
            schedules->next = items[schedules->count - 1].record.id;
            return;
        }
        items[schedules->count++] = view(recurring);
        bytes += recurring->bytes;
    }
}

void recur_answer(struct berth_core *core, const struct pending *pending)
{
    size_t count = pending->schedule ? 1 : berth_map_count(&core->recurring_by_id);
    struct berth_schedule_view *items =
        step_alloc(core, count < RECUR_PAGE_MAX ? count : RECUR_PAGE_MAX, sizeof *items);
    struct berth_do_schedules schedules = { .items = items };
    const struct recurring *recurring =
        pending->schedule ? recur_find_id(core, pending->schedule) : NULL;
    if (recurring)
        items[schedules.count++] = view(recurring);
    else if (!pending->schedule && pending->schedule_after != SHOW_NONE)
        view_page(core, pending->schedule_after, &schedules, items);
    step_add(core, BERTH_DO_SCHEDULES, pending->peer, pending->request)->schedules = schedules;
}

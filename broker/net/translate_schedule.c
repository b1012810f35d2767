/* SPDX-License-Identifier: MIT */
/* Schedules, both ways. */
#include "translate_state.h"

#include <errno.h>

#include "base/assert.h"
#include "base/text.h"
#include "proto/columns.h"
#include "proto/limits.h"

_Static_assert((int)BERTH_CHANGED_BY_MAX < BERTH_NAME_BYTES, "who changed it fits the record");

#define SET       TRANSLATE_SET
#define SET_BYTES TRANSLATE_SET_BYTES

static int read_set(struct berth_arena *arena, struct translate_from from,
                    const Berth__V1__ScheduleSet *message, struct berth_ev_schedule_set *ret_event)
{
    const Berth__V1__ScheduleSet *m = message;
    struct berth_ev_schedule_set event = {
        .peer = from.peer,
        .request = from.request,
        .name = berth_slice_from(m->name),
        .has_cron = m->has_cron,
        .cron = berth_slice_from(m->cron),
        .has_zone = m->has_tz,
        .zone = berth_slice_from(m->tz),
        .has_overlap = m->has_overlap,
        .overlap = (uint8_t)m->overlap,
        .has_catch_up = m->has_catch_up,
        .catch_up = (uint8_t)m->catch_up,
        .has_job = m->job != NULL,
        .changed_by = berth_slice_from(m->changed_by),
    };
    if (m->job) {
        struct berth_ev_submit submit;
        int rc = translate_jobs(arena, m->job, &submit);
        if (rc < 0)
            return rc;
        event.job = submit.items[0];
        event.dispatcher = submit.dispatchers[event.job.dispatcher];
        event.handler = submit.handlers[event.job.handler];
    }
    *ret_event = event;
    return 0;
}

static struct berth_ev_schedule_name read_pause(struct translate_from from,
                                                const Berth__V1__SchedulePause *message)
{
    return (struct berth_ev_schedule_name){
        .peer = from.peer,
        .request = from.request,
        .name = berth_slice_from(message->name),
        .is_paused = message->is_paused,
        .changed_by = berth_slice_from(message->changed_by),
    };
}

static struct berth_ev_schedule_name read_remove(struct translate_from from,
                                                 const Berth__V1__ScheduleRemove *message)
{
    return (struct berth_ev_schedule_name){ .peer = from.peer,
                                            .request = from.request,
                                            .name = berth_slice_from(message->name) };
}

static struct berth_ev_schedule_list read_list(struct translate_from from,
                                               const Berth__V1__ScheduleList *message)
{
    return (struct berth_ev_schedule_list){ .peer = from.peer,
                                            .request = from.request,
                                            .name = berth_slice_from(message->name),
                                            .after = message->after };
}

int translate_schedule_in(struct berth_arena *arena, const Berth__V1__Envelope *envelope,
                          struct translate_from from, struct berth_event *ret_event)
{
    switch (envelope->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_SET:
        ret_event->type = BERTH_EV_SCHEDULE_SET;
        return read_set(arena, from, envelope->schedule_set, &ret_event->schedule_set);
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_PAUSE:
        ret_event->type = BERTH_EV_SCHEDULE_PAUSE;
        ret_event->schedule_name = read_pause(from, envelope->schedule_pause);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_REMOVE:
        ret_event->type = BERTH_EV_SCHEDULE_REMOVE;
        ret_event->schedule_name = read_remove(from, envelope->schedule_remove);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_LIST:
        ret_event->type = BERTH_EV_SCHEDULE_LIST;
        ret_event->schedule_list = read_list(from, envelope->schedule_list);
        return 0;
    default: BERTH_UNREACHABLE(); /* whoever asks has looked */
    }
}

/* ---- out ---- */

static void put_job(const struct berth_schedule_record *record, Berth__V1__Schedule *m)
{
    SET_BYTES(m, handler, record->handler);
    SET(m, priority, record->priority);
    SET(m, delay_ms, (uint64_t)record->delay_ms);
    SET(m, max_attempts, record->max_attempts);
    SET(m, timeout_ms, (uint64_t)record->timeout_ms);
    SET(m, queue_timeout_ms, (uint64_t)record->queue_timeout_ms);
    SET(m, deadline_ms, (uint64_t)record->deadline_ms);
    SET(m, backoff_ms, (uint64_t)record->backoff_ms);
    SET(m, backoff_max_ms, (uint64_t)record->backoff_ms_max);
    SET_BYTES(m, group, record->group);
    SET_BYTES(m, unique, record->unique);
    SET(m, on_conflict, record->on_conflict);
    SET_BYTES(m, body, record->body);
}

static void put_schedule(const struct berth_schedule_view *view, Berth__V1__Schedule *m)
{
    const struct berth_schedule_record *record = &view->record;
    SET(m, id, record->id);
    SET_BYTES(m, name, berth_slice_of(record->name));
    SET_BYTES(m, cron, record->cron);
    SET_BYTES(m, tz, record->zone);
    SET(m, overlap, record->overlap);
    SET(m, catch_up, record->catch_up);
    SET(m, is_paused, record->is_paused);
    SET_BYTES(m, dispatcher, view->dispatcher);
    put_job(record, m);
    if (view->next_us)
        SET(m, next_us, view->next_us);
    if (view->done.last_us)
        SET(m, last_us, view->done.last_us);
    SET(m, last_fate, view->done.last_fate);
    SET(m, last_job, view->done.last_job);
    SET_BYTES(m, last_text, view->done.last_text);
    SET(m, changed_us, record->changed_us);
    SET_BYTES(m, changed_by, berth_slice_of(record->changed_by));
}

int translate_schedules(struct berth_arena *arena, const struct berth_do_schedules *schedules,
                        Berth__V1__Schedules *message)
{
    Berth__V1__Schedule **rows =
        berth_arena_alloc_array(arena, schedules->count, sizeof(Berth__V1__Schedule *));
    Berth__V1__Schedule *items = berth_arena_alloc_array(arena, schedules->count, sizeof *items);
    if (!rows || !items)
        return -ENOMEM;
    for (size_t i = 0; i < schedules->count; i++) {
        berth__v1__schedule__init(&items[i]);
        put_schedule(&schedules->items[i], &items[i]);
        rows[i] = &items[i];
    }
    message->n_schedule = schedules->count;
    message->schedule = rows;
    if (schedules->next)
        SET(message, next, schedules->next);
    return 0;
}

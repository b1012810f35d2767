/* SPDX-License-Identifier: MIT */
/* Schedules: what we ask, and what the broker answered. See translate_schedule.h. */
#include "client/translate_schedule.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "proto/body.h"
#include "proto/columns.h"
#include "proto/wire.h"

#define HANDLER_EXEC "exec"

int berth_pack_schedule_pause(uint64_t number, const char *name, bool is_paused,
                              const char *changed_by, struct berth_buf *frame)
{
    Berth__V1__SchedulePause pause = BERTH__V1__SCHEDULE_PAUSE__INIT;
    pause.has_name = pause.has_is_paused = 1;
    pause.name = berth_bytes_of(berth_slice_of(name));
    pause.is_paused = is_paused;
    pause.has_changed_by = changed_by[0] != '\0';
    pause.changed_by = berth_bytes_of(berth_slice_of(changed_by));
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_PAUSE;
    envelope.schedule_pause = &pause;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_schedule_remove(uint64_t number, const char *name, struct berth_buf *frame)
{
    Berth__V1__ScheduleRemove remove = BERTH__V1__SCHEDULE_REMOVE__INIT;
    remove.has_name = 1;
    remove.name = berth_bytes_of(berth_slice_of(name));
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_REMOVE;
    envelope.schedule_remove = &remove;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_schedules(uint64_t number, const char *name, uint32_t after, struct berth_buf *frame)
{
    Berth__V1__ScheduleList list = BERTH__V1__SCHEDULE_LIST__INIT;
    list.has_name = name != NULL;
    list.name = berth_bytes_of(berth_slice_of(name));
    list.has_after = after > 0;
    list.after = after;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_LIST;
    envelope.schedule_list = &list;
    return berth_wire_pack(&envelope, frame);
}

/* NULL if there are no bytes, unless memory is missing, which is remembered. */
static const char *text(struct berth_arena *arena, ProtobufCBinaryData bytes, bool *has_failed)
{
    const char *copy =
        berth_arena_strndup(arena, bytes.len > 0 ? (const char *)bytes.data : "", bytes.len);
    *has_failed = *has_failed || !copy;
    return copy;
}

static const char *text_or_null(struct berth_arena *arena, ProtobufCBinaryData bytes,
                                bool *has_failed)
{
    return bytes.len > 0 ? text(arena, bytes, has_failed) : NULL;
}

/* A body that makes no sense is shown as empty: it hides nothing else. */
static int read_body(const Berth__V1__Schedule *row, struct berth_arena *arena,
                     struct berth_job_spec *job)
{
    struct berth_body body;
    int rc = berth_body_unpack(berth_slice_from(row->body), arena, &body, NULL);
    if (rc < 0)
        return rc == -ENOMEM ? rc : 0;
    job->command = body.argv_count > 0 ? body.argv : NULL;
    job->payload = body.payload;
    job->context = body.context;
    job->context_count = body.context_count;
    return 0;
}

static int read_job(const Berth__V1__Schedule *row, struct berth_arena *arena,
                    struct berth_job_spec *ret_job)
{
    bool has_failed = false;
    *ret_job = (struct berth_job_spec){
        .dispatcher = text(arena, row->dispatcher, &has_failed),
        .handler = text(arena, row->handler, &has_failed),
        .timeout_ms = (int64_t)row->timeout_ms,
        .max_attempts = row->max_attempts,
        .priority = row->priority,
        .delay_ms = (int64_t)row->delay_ms,
        .group = text_or_null(arena, row->group, &has_failed),
        .queue_timeout_ms = (int64_t)row->queue_timeout_ms,
        .deadline_ms = (int64_t)row->deadline_ms,
        .backoff_ms = (int64_t)row->backoff_ms,
        .backoff_ms_max = (int64_t)row->backoff_max_ms,
        .unique = text_or_null(arena, row->unique, &has_failed),
        .on_conflict = row->on_conflict ? BERTH_UNIQUE_EXISTING : BERTH_UNIQUE_REJECT,
    };
    int rc = has_failed ? -ENOMEM : read_body(row, arena, ret_job);
    bool is_exec = rc == 0 && strcmp(ret_job->handler, HANDLER_EXEC) == 0;
    if (is_exec && ret_job->command)
        ret_job->handler = NULL; /* so that it can be set again as it is */
    return rc;
}

static enum berth_schedule_catch_up catch_up_of(uint32_t number)
{
    static const enum berth_schedule_catch_up all[] = { BERTH_CATCH_UP_ONE, BERTH_CATCH_UP_NONE,
                                                        BERTH_CATCH_UP_ALL };
    return all[number < sizeof all / sizeof all[0] ? number : 0];
}

static int read_schedule(const Berth__V1__Schedule *row, struct berth_arena *arena,
                         struct berth_schedule *ret_schedule)
{
    bool has_failed = false;
    *ret_schedule = (struct berth_schedule){
        .name = text(arena, row->name, &has_failed),
        .cron = text(arena, row->cron, &has_failed),
        .tz = text(arena, row->tz, &has_failed),
        .overlap = row->overlap ? BERTH_OVERLAP_QUEUE : BERTH_OVERLAP_SKIP,
        .catch_up = catch_up_of(row->catch_up),
        .is_paused = row->is_paused,
        .next_unix_us = row->next_us,
        .last_unix_us = row->last_us,
        .last_fate = (enum berth_schedule_fate)row->last_fate,
        .last_job = { row->last_job },
        .last_message = text(arena, row->last_text, &has_failed),
        .changed_unix_us = row->changed_us,
        .changed_by = text(arena, row->changed_by, &has_failed),
    };
    return has_failed ? -ENOMEM : read_job(row, arena, &ret_schedule->job);
}

int berth_translate_schedules(const Berth__V1__Schedules *schedules, struct berth_answer *answer)
{
    struct berth_schedule *items =
        berth_arena_alloc_array(&answer->arena, schedules->n_schedule, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < schedules->n_schedule; i++) {
        int rc = read_schedule(schedules->schedule[i], &answer->arena, &items[i]);
        if (rc < 0)
            return rc;
    }
    answer->type = BERTH_ANSWER_SCHEDULES;
    answer->schedules.items = items;
    answer->schedules.count = schedules->n_schedule;
    answer->schedules.next = schedules->next;
    return 0;
}

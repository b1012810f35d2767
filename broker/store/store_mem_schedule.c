/* SPDX-License-Identifier: MIT */
/* Schedules on the memory backend's disk. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "broker/store/store_mem_disk.h"

/* Its slices lie behind this struct; that of `done` in `text`. */
struct mem_schedule {
    struct berth_schedule_record record;
    struct berth_schedule_done_record done;
    char *text;
};

static uint64_t schedule_id(const void *item)
{
    return (*(struct mem_schedule *const *)item)->record.id;
}

static void schedule_free(struct mem_schedule *schedule)
{
    if (schedule)
        free(schedule->text);
    free(schedule);
}

static struct mem_schedule *schedule_at(const struct berth_mem_disk *disk, size_t index)
{
    return *(struct mem_schedule **)mem_array_at(&disk->schedules, index);
}

void mem_schedules_init(struct berth_mem_disk *disk)
{
    disk->schedules =
        (struct mem_array){ .item_bytes = sizeof(struct mem_schedule *), .id_of = schedule_id };
    disk->next_schedule_id = 1;
}

void mem_schedules_fini(struct berth_mem_disk *disk)
{
    for (size_t i = 0; i < disk->schedules.count; i++)
        schedule_free(schedule_at(disk, i));
    free(disk->schedules.items);
}

/* Moves the bytes of `slice` to *at, which moves on. */
static void move_slice(char **at, struct berth_slice *slice)
{
    if (slice->bytes)
        memcpy(*at, slice->data, slice->bytes);
    slice->data = slice->bytes ? *at : NULL;
    *at += slice->bytes;
}

static struct mem_schedule *schedule_new(const struct berth_schedule_record *record)
{
    struct mem_schedule *schedule = malloc(
        sizeof *schedule + record->cron.bytes + record->zone.bytes + record->tzif.bytes +
        record->handler.bytes + record->body.bytes + record->group.bytes + record->unique.bytes);
    if (!schedule)
        return NULL;
    *schedule = (struct mem_schedule){ .record = *record, .done = { .id = record->id } };
    char *at = (char *)(schedule + 1);
    move_slice(&at, &schedule->record.cron);
    move_slice(&at, &schedule->record.zone);
    move_slice(&at, &schedule->record.tzif);
    move_slice(&at, &schedule->record.handler);
    move_slice(&at, &schedule->record.body);
    move_slice(&at, &schedule->record.group);
    move_slice(&at, &schedule->record.unique);
    return schedule;
}

int mem_schedule_prepare(const struct berth_record *record, void **ret_block)
{
    if (record->type == BERTH_RECORD_SCHEDULE)
        *ret_block = schedule_new(&record->schedule);
    else
        *ret_block = malloc(record->schedule_done.last_text.bytes + 1);
    return *ret_block ? 0 : -ENOMEM;
}

static void apply_schedule(struct berth_mem_disk *disk, void **block)
{
    struct mem_schedule *schedule = *block;
    struct mem_schedule **found = mem_array_find(&disk->schedules, schedule->record.id);
    *block = NULL;
    if (found) {
        schedule->done = (*found)->done;
        schedule->text = berth_take((*found)->text);
        schedule_free(*found);
        *found = schedule;
    } else {
        mem_array_insert(&disk->schedules, schedule->record.id, &schedule);
    }
    if (schedule->record.has_done)
        schedule->done.done_us = schedule->record.done_us;
    if (schedule->record.id >= disk->next_schedule_id)
        disk->next_schedule_id = schedule->record.id + 1;
}

static struct mem_schedule *schedule_get(struct berth_mem_disk *disk, uint64_t id)
{
    struct mem_schedule **found = mem_array_find(&disk->schedules, id);
    BERTH_ASSERT(found);
    return *found;
}

static void apply_done(struct berth_mem_disk *disk, const struct berth_schedule_done_record *done,
                       void **block)
{
    struct mem_schedule *schedule = schedule_get(disk, done->id);
    free(schedule->text);
    schedule->text = *block;
    *block = NULL;
    schedule->done = *done;
    char *at = schedule->text;
    move_slice(&at, &schedule->done.last_text);
}

static void apply_end(struct berth_mem_disk *disk, uint64_t id)
{
    struct mem_schedule *schedule = schedule_get(disk, id);
    mem_array_remove(&disk->schedules, id);
    schedule_free(schedule);
}

void mem_schedule_apply(struct berth_mem_disk *disk, const struct berth_record *record,
                        void **block)
{
    if (record->type == BERTH_RECORD_SCHEDULE)
        apply_schedule(disk, block);
    else if (record->type == BERTH_RECORD_SCHEDULE_DONE)
        apply_done(disk, &record->schedule_done, block);
    else
        apply_end(disk, record->id);
}

int mem_schedules_visit(const struct berth_mem_disk *disk,
                        const struct berth_store_visitor *visitor)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && visitor->schedule && i < disk->schedules.count; i++)
        rc = visitor->schedule(visitor->arg, &schedule_at(disk, i)->record,
                               &schedule_at(disk, i)->done);
    return rc;
}

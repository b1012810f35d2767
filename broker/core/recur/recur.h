/* SPDX-License-Identifier: MIT */
/* Recurring jobs: schedules by name, with what they submit. When what is due, and what becomes of
 * an instant, is schedule.h's; here it becomes a job, and a record.
 *
 * 1. The job of an instant and the `done_us` behind it are records of one batch. If the store has
 * no room for the job, neither is written, and the instant is open again.
 * 2. Nothing is dealt with while the store takes no new jobs: what comes due then is late, or
 * missed, as if the broker had not been there.
 * 3. A change is in force at once, and answered when it is stored.
 */
#pragma once

#include "broker/core/state.h"

#define RECUR_BYTES_MAX      (16u << 20) /* of what all schedules bring: texts, bodies, zones */
#define RECUR_PAGE_MAX       1000        /* schedules in one answer */
#define RECUR_PAGE_BYTES_MAX (8u << 20)  /* and what they bring */
#define RECUR_TEXT_BYTES     256

/* How far it has come. */
struct recur_progress {
    int64_t done_us;
    uint64_t last_job;
    int64_t last_us;
    enum schedule_fate last_fate;
    uint32_t caught_up_count;
    char last_text[RECUR_TEXT_BYTES];
};

struct recurring {
    struct berth_map_node by_name, by_id;
    struct berth_schedule_record record; /* the newest that was asked for */
    void *memory;                        /* of the record's slices */
    uint64_t bytes;
    struct dispatcher *dispatcher;
    struct schedule schedule;
    char last_text[RECUR_TEXT_BYTES]; /* why the last instant was refused */
    struct recur_progress kept;       /* stored, or it will be whatever the store refuses */
    uint32_t begin_count;             /* records with a `done_us` of their own, not stored yet */
};

struct recurring *recur_find(const struct berth_core *core, struct berth_slice name);
struct recurring *recur_find_id(const struct berth_core *core, uint32_t id);
/* One that submits to this dispatcher, or NULL. */
const struct recurring *recur_find_of(const struct berth_core *core,
                                      const struct dispatcher *dispatcher);

/* Reads expression and zone of a record. 0, or BERTH_EVALUE with a sentence and the field. */
int recur_read(const struct berth_schedule_record *record, struct cron *ret_cron,
               struct zone *ret_zone, const char **ret_field, struct berth_error *err);
/* Makes it, or gives it another record, of which it keeps a copy; `done_us` counts from now on. 0,
 * -ENOMEM, BERTH_ELIMIT or what recur_read says, with a sentence; then nothing has changed. */
int recur_put(struct berth_core *core, const struct berth_schedule_record *record,
              struct recurring **ret_recurring, const char **ret_field, struct berth_error *err);
void recur_remove(struct berth_core *core, struct recurring *recurring);
/* Gathers its record. */
void recur_write(struct berth_core *core, struct recurring *recurring);

/* 0, -ENOMEM, or BERTH_ESTORE: what cannot be. */
int recur_load(struct berth_core *core, const struct berth_schedule_record *record,
               const struct berth_schedule_done_record *done);
void recur_free_all(struct berth_core *core);

/* Submits what is due. */
void recur_on_turn(struct berth_core *core);
int64_t recur_next_deadline_ms(const struct berth_core *core, int64_t now_ms, int64_t wall_us);

void recur_on_stored(struct berth_core *core, const struct berth_schedule_record *record);
void recur_on_end_stored(struct berth_core *core);
void recur_on_done_stored(struct berth_core *core, const struct berth_schedule_done_record *done);
/* The instants that were not stored yet are open again. */
void recur_on_full(struct berth_core *core);

/* recur_set.c: what people ask for. */
void recur_on_set(struct berth_core *core, const struct berth_ev_schedule_set *set);
void recur_on_pause(struct berth_core *core, const struct berth_ev_schedule_name *pause);
void recur_on_remove(struct berth_core *core, const struct berth_ev_schedule_name *remove);
void recur_on_list(struct berth_core *core, const struct berth_ev_schedule_list *list);
void recur_on_zone(struct berth_core *core, const struct berth_ev_zone *zone);
void recur_answer(struct berth_core *core, const struct pending *pending);

void recur_check(const struct berth_core *core);

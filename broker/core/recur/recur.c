/* SPDX-License-Identifier: MIT */
#include "recur.h"

#include <errno.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/submit/submit.h"

/* A clock that is put forward is noticed so late at the most: well before anything is missed. */
#define LOOK_MS 20000

static struct recurring *of_name(const struct berth_map_node *node)
{
    return berth_container_of(node, struct recurring, by_name);
}

struct recurring *recur_find(const struct berth_core *core, struct berth_slice name)
{
    struct berth_map_node *node = berth_map_find_bytes(&core->recurring_by_name, name);
    return node ? of_name(node) : NULL;
}

struct recurring *recur_find_id(const struct berth_core *core, uint32_t id)
{
    struct berth_map_node *node = berth_map_find_id(&core->recurring_by_id, id);
    return node ? berth_container_of(node, struct recurring, by_id) : NULL;
}

const struct recurring *recur_find_of(const struct berth_core *core,
                                      const struct dispatcher *dispatcher)
{
    BERTH_MAP_FOREACH (node, &core->recurring_by_name)
        if (of_name(node)->dispatcher == dispatcher)
            return of_name(node);
    return NULL;
}

/* ---- records ---- */

#define SLICES 7

static void slices_of(struct berth_schedule_record *record, struct berth_slice *ret[static SLICES])
{
    struct berth_slice *all[SLICES] = { &record->cron,  &record->zone,    &record->tzif,
                                        &record->body,  &record->handler, &record->group,
                                        &record->unique };
    memcpy(ret, all, sizeof all);
}

/* A copy of what the record points to: it points there then. NULL: no memory. */
static void *copy_slices(struct berth_schedule_record *record, uint64_t *ret_bytes)
{
    struct berth_slice *slices[SLICES];
    slices_of(record, slices);
    size_t bytes = 0;
    for (size_t i = 0; i < SLICES; i++)
        bytes += slices[i]->bytes;
    uint8_t *memory = block_new(bytes + 1);
    if (!memory)
        return NULL;
    uint8_t *at = memory;
    for (size_t i = 0; i < SLICES; i++) {
        if (slices[i]->bytes)
            memcpy(at, slices[i]->data, slices[i]->bytes);
        slices[i]->data = at;
        at += slices[i]->bytes;
    }
    *ret_bytes = bytes;
    return memory;
}

int recur_read(const struct berth_schedule_record *record, struct cron *ret_cron,
               struct zone *ret_zone, const char **ret_field, struct berth_error *err)
{
    struct cron cron;
    struct zone zone = { 0 };
    *ret_field = "cron";
    int rc = cron_parse("cron", record->cron, &cron, err);
    if (rc < 0)
        return rc;
    *ret_field = "tz";
    if (!record->tzif.bytes && !slice_is_equal(record->zone, slice_of("UTC")))
        return berth_fail(err, BERTH_EVALUE, "tz '%.*s' has no table: without one it is UTC",
                          (int)record->zone.bytes, (const char *)record->zone.data);
    rc = record->tzif.bytes ? zone_parse(record->tzif, &zone, err) : 0;
    if (rc < 0)
        return rc;
    *ret_cron = cron;
    *ret_zone = zone;
    return 0;
}

static int make_room(struct berth_core *core)
{
    if (core->schedule_nodes)
        return 0;
    struct berth_heap_node **nodes = block_new(SCHEDULES_MAX * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    core->schedule_nodes = nodes;
    schedules_init(&core->schedules, nodes, SCHEDULES_MAX);
    return 0;
}

/* An empty one under the record's name and id. NULL: no memory. */
static struct recurring *make(struct berth_core *core, const struct berth_schedule_record *record)
{
    struct recurring *recurring = make_room(core) < 0 ? NULL : block_new(sizeof *recurring);
    if (!recurring)
        return NULL;
    recurring->record = *record;
    recurring->schedule.id = record->id;
    if (berth_map_insert_bytes(&core->recurring_by_name, &recurring->by_name,
                               slice_of(recurring->record.name)) < 0) {
        block_free(recurring);
        return NULL;
    }
    if (berth_map_insert_id(&core->recurring_by_id, &recurring->by_id, record->id) < 0) {
        berth_map_remove(&core->recurring_by_name, &recurring->by_name);
        block_free(recurring);
        return NULL;
    }
    return recurring;
}

static int check_bounds(const struct berth_core *core, const struct recurring *known,
                        uint64_t bytes, const char **ret_field, struct berth_error *err)
{
    uint64_t others = core->recurring_bytes - (known ? known->bytes : 0);
    *ret_field = "name";
    if (!known && berth_map_count(&core->recurring_by_id) >= SCHEDULES_MAX)
        return berth_fail(err, BERTH_ELIMIT, "no room for another schedule: there may be %u",
                          SCHEDULES_MAX);
    if (others + bytes > RECUR_BYTES_MAX)
        return berth_fail(err, BERTH_ELIMIT,
                          "no room for what the schedule brings, %llu bytes: all together may have "
                          "%u, and the others have %llu",
                          (unsigned long long)bytes, RECUR_BYTES_MAX, (unsigned long long)others);
    return 0;
}

/* Its record is another one from now on; takes `memory`. */
static void replace(struct berth_core *core, struct recurring *recurring,
                    const struct berth_schedule_record *record, void *memory, uint64_t bytes)
{
    block_free(recurring->memory);
    recurring->memory = memory;
    core->recurring_bytes += bytes - recurring->bytes;
    recurring->bytes = bytes;
    recurring->record = *record; /* its name is the same: the map has the address of that */
    recurring->dispatcher = dispatcher_find_id(core, record->dispatcher);
    BERTH_ASSERT(recurring->dispatcher != NULL);
}

int recur_put(struct berth_core *core, const struct berth_schedule_record *record,
              struct recurring **ret_recurring, const char **ret_field, struct berth_error *err)
{
    struct recurring *recurring = recur_find_id(core, record->id);
    struct berth_schedule_record copy = *record;
    struct cron cron;
    struct zone zone;
    uint64_t bytes;
    *ret_field = "name";
    void *memory = copy_slices(&copy, &bytes);
    if (!memory)
        return berth_fail(err, -ENOMEM, "the broker has no memory for the schedule");
    int rc = check_bounds(core, recurring, bytes, ret_field, err);
    if (rc == 0)
        rc = recur_read(&copy, &cron, &zone, ret_field, err);
    if (rc == 0 && !recurring && !(recurring = make(core, &copy)))
        rc = berth_fail(err, -ENOMEM, "the broker has no memory for the schedule");
    if (rc < 0) {
        block_free(memory);
        return rc;
    }
    replace(core, recurring, &copy, memory, bytes);
    struct schedule *schedule = &recurring->schedule;
    schedule->cron = cron;
    schedule->zone = zone;
    schedule->overlap = (enum schedule_overlap)copy.overlap;
    schedule->catch_up = (enum schedule_catch_up)copy.catch_up;
    if (copy.has_done)
        schedule->done_us = copy.done_us;
    schedule->is_paused = copy.is_paused;
    schedules_put(&core->schedules, schedule);
    *ret_recurring = recurring;
    return 0;
}

void recur_remove(struct berth_core *core, struct recurring *recurring)
{
    schedules_remove(&core->schedules, &recurring->schedule);
    berth_map_remove(&core->recurring_by_name, &recurring->by_name);
    berth_map_remove(&core->recurring_by_id, &recurring->by_id);
    core->recurring_bytes -= recurring->bytes;
    block_free(recurring->memory);
    block_free(recurring);
}

void recur_write(struct berth_core *core, struct recurring *recurring)
{
    struct berth_record *record = batch_add(core, BERTH_RECORD_SCHEDULE);
    struct berth_slice *slices[SLICES];
    record->schedule = recurring->record;
    slices_of(&record->schedule, slices);
    for (size_t i = 0; i < SLICES; i++)
        *slices[i] = batch_copy(core, *slices[i]);
    core->recurring_changes++;
    if (!recurring->record.has_done)
        return;
    recurring->kept.done_us = recurring->record.done_us;
    recurring->begin_count++;
    recurring->record.has_done = false;
}

static void put_text(char to[static RECUR_TEXT_BYTES], struct berth_slice text)
{
    size_t bytes = text.bytes < RECUR_TEXT_BYTES ? text.bytes : RECUR_TEXT_BYTES - 1;
    memset(to, 0, RECUR_TEXT_BYTES);
    if (bytes)
        memcpy(to, text.data, bytes);
}

/* A zone in which the expression never comes any more is none that was set: it stays, and has no
 * next instant. */
int recur_load(struct berth_core *core, const struct berth_schedule_record *record,
               const struct berth_schedule_done_record *done)
{
    struct recurring *recurring;
    const char *field;
    struct berth_schedule_record loaded = *record;
    loaded.has_done = true;
    loaded.done_us = done->done_us;
    if (!dispatcher_find_id(core, record->dispatcher) || recur_find_id(core, record->id))
        return BERTH_ESTORE;
    int rc = recur_put(core, &loaded, &recurring, &field, NULL);
    if (rc < 0)
        return rc == -ENOMEM ? rc : BERTH_ESTORE;
    recurring->schedule.last_job = done->last_job;
    recurring->schedule.last_us = done->last_us;
    recurring->schedule.last_fate = (enum schedule_fate)done->last_fate;
    put_text(recurring->last_text, done->last_text);
    recurring->record.has_done = false;
    recurring->kept = (struct recur_progress){ .done_us = done->done_us,
                                               .last_job = done->last_job,
                                               .last_us = done->last_us,
                                               .last_fate = (enum schedule_fate)done->last_fate };
    put_text(recurring->kept.last_text, done->last_text);
    if (record->id >= core->next_schedule_id)
        core->next_schedule_id = record->id + 1;
    return 0;
}

void recur_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->recurring_by_name)
        recur_remove(core, of_name(node));
    block_free(core->schedule_nodes);
}

/* ---- turns ---- */

static bool job_is_live(void *arg, uint64_t job)
{
    return job_find(arg, job) != 0;
}

static struct berth_submit_item item_of(const struct berth_schedule_record *record)
{
    return (struct berth_submit_item){ .priority = record->priority,
                                       .delay_ms = record->delay_ms,
                                       .max_attempts = record->max_attempts,
                                       .timeout_ms = record->timeout_ms,
                                       .body = record->body,
                                       .group = record->group,
                                       .queue_timeout_ms = record->queue_timeout_ms,
                                       .deadline_ms = record->deadline_ms,
                                       .backoff_ms = record->backoff_ms,
                                       .backoff_ms_max = record->backoff_ms_max,
                                       .unique = record->unique,
                                       .on_conflict = (enum berth_on_conflict)record->on_conflict };
}

static uint64_t fire(void *arg, const struct schedule *schedule, int64_t at_us)
{
    struct berth_core *core = arg;
    struct recurring *recurring = recur_find_id(core, schedule->id);
    uint8_t key[SCHEDULE_KEY_BYTES];
    schedule_key(schedule, at_us, key);
    struct berth_submit_item item = item_of(&recurring->record);
    item.key = (struct berth_slice){ key, sizeof key };
    struct berth_submitted_item result = { .refusal.message = "the broker has no memory for it" };
    struct pending *answer = pending_new(PENDING_SUBMITTED, 0, 0); /* memory for a sentence */
    if (answer)
        result = submit_of_schedule(core, recurring->dispatcher, recurring->record.handler, &item,
                                    answer);
    put_text(recurring->last_text, slice_of(result.id ? "" : result.refusal.message));
    pending_free(answer);
    return result.id;
}

static void save(void *arg, const struct schedule *schedule)
{
    struct berth_core *core = arg;
    const struct recurring *recurring = recur_find_id(core, schedule->id);
    struct berth_slice text =
        slice_of(schedule->last_fate == SCHEDULE_REFUSED ? recurring->last_text : "");
    struct berth_record *record = batch_add(core, BERTH_RECORD_SCHEDULE_DONE);
    record->schedule_done =
        (struct berth_schedule_done_record){ .id = schedule->id,
                                             .done_us = schedule->done_us,
                                             .last_job = schedule->last_job,
                                             .last_us = schedule->last_us,
                                             .last_fate = (uint8_t)schedule->last_fate,
                                             .last_text = batch_copy(core, text) };
}

void recur_on_turn(struct berth_core *core)
{
    const struct schedule_ways ways = { core, job_is_live, fire, save };
    if (batch_takes_arrivals(core) && schedules_next_us(&core->schedules) != CRON_NEVER)
        schedules_turn(&core->schedules, core->wall_us, &ways);
}

int64_t recur_next_deadline_ms(const struct berth_core *core, int64_t now_ms, int64_t wall_us)
{
    int64_t next_us = schedules_next_us(&core->schedules);
    if (next_us == CRON_NEVER)
        return INT64_MAX;
    if (core->is_store_full)
        return core->is_away || core->again ? INT64_MAX : core->store_again_ms;
    if (next_us <= wall_us)
        return now_ms;
    int64_t wait_ms = (next_us - wall_us) / 1000 + 1;
    return now_ms + (wait_ms < LOOK_MS ? wait_ms : LOOK_MS);
}

/* ---- stored, or not ---- */

void recur_on_stored(struct berth_core *core, const struct berth_schedule_record *record)
{
    struct recurring *recurring = recur_find_id(core, record->id);
    BERTH_ASSERT(core->recurring_changes > 0);
    core->recurring_changes--;
    if (!recurring || !record->has_done)
        return;
    BERTH_ASSERT(recurring->begin_count > 0);
    recurring->begin_count--;
}

void recur_on_end_stored(struct berth_core *core)
{
    BERTH_ASSERT(core->recurring_changes > 0);
    core->recurring_changes--;
}

void recur_on_done_stored(struct berth_core *core, const struct berth_schedule_done_record *done)
{
    struct recurring *recurring = recur_find_id(core, done->id);
    if (!recurring)
        return; /* it was removed meanwhile */
    struct recur_progress *kept = &recurring->kept;
    if (!recurring->begin_count) /* else it begins anew behind this */
        kept->done_us = done->done_us;
    kept->last_job = done->last_job;
    kept->last_us = done->last_us;
    kept->last_fate = (enum schedule_fate)done->last_fate;
    kept->caught_up_count = recurring->schedule.caught_up_count;
    put_text(kept->last_text, done->last_text);
}

static void go_back(struct berth_core *core, struct recurring *recurring)
{
    const struct recur_progress *kept = &recurring->kept;
    struct schedule *schedule = &recurring->schedule;
    schedule->done_us = kept->done_us;
    schedule->last_job = kept->last_job;
    schedule->last_us = kept->last_us;
    schedule->last_fate = kept->last_fate;
    schedule->caught_up_count = kept->caught_up_count;
    memcpy(recurring->last_text, kept->last_text, sizeof kept->last_text);
    schedules_put(&core->schedules, schedule);
}

void recur_on_full(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->recurring_by_name)
        go_back(core, of_name(node));
}

void recur_check(const struct berth_core *core)
{
    uint64_t bytes = 0;
    BERTH_MAP_FOREACH (node, &core->recurring_by_name) {
        const struct recurring *recurring = of_name(node);
        const struct schedule *schedule = &recurring->schedule;
        bytes += recurring->bytes;
        BERTH_ASSERT(recur_find_id(core, recurring->record.id) == recurring);
        BERTH_ASSERT(recurring->dispatcher->record.id == recurring->record.dispatcher);
        BERTH_ASSERT(schedule->is_paused == recurring->record.is_paused);
        bool has_next = !schedule->is_paused && schedule->next_us != CRON_NEVER;
        BERTH_ASSERT(berth_heap_is_linked(&schedule->by_next) == has_next);
        BERTH_ASSERT(schedule->next_us > schedule->done_us);
    }
    BERTH_ASSERT(bytes == core->recurring_bytes);
    BERTH_ASSERT(berth_map_count(&core->recurring_by_id) ==
                 berth_map_count(&core->recurring_by_name));
}

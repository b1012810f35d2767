/* SPDX-License-Identifier: MIT */
#include "submit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "batch.h"
#include "dispatcher.h"
#include "hold.h"
#include "keys.h"
#include "lane.h"
#include "out.h"

#define SEED_BODY      3
#define SEED_RARE      4
#define TEXT_BYTES_MAX 256

/* A submit that is being taken. */
struct submission {
    const struct berth_ev_submit *event;
    struct dispatcher **dispatchers; /* of its table; NULL: there is none of that name */
    struct pending *answer;
};

/* One job of it. */
struct arrival {
    const struct berth_submit_item *item;
    struct dispatcher *dispatcher;
    struct berth_slice handler;
    enum berth_key_kind kind;
    struct berth_hash128 key, body;
    int64_t until_us;
};

static bool begin(struct berth_core *core, const struct berth_ev_submit *event,
                  struct submission *ret_submission);
static struct berth_submitted_item submit_one(struct berth_core *core,
                                              const struct submission *submission, size_t place);
static struct berth_submitted_item repeat(struct berth_core *core, const struct arrival *arrival,
                                          const struct key_entry *entry, struct pending *answer,
                                          size_t place);
static struct berth_submitted_item take_in(struct berth_core *core, const struct arrival *arrival,
                                           struct pending *answer);
static struct berth_submitted_item refusal(int code, const char *field, const char *message);
static const char *say(struct pending *answer, const char *format, ...) BERTH_PRINTF(2, 3);

/* ---- a submit ---- */

/* Answers at once if nothing of it waits for the store. */
void submit_on_event(struct berth_core *core, const struct berth_ev_submit *event)
{
    struct submission submission;
    if (!begin(core, event, &submission)) {
        out_error(core, event->peer, event->request, BERTH_EFULL, "",
                  "the broker has no memory for this request");
        return;
    }
    struct pending *answer = submission.answer;
    bool must_wait = false;
    for (size_t i = 0; i < event->count; i++) {
        answer->submitted[i] = submit_one(core, &submission, i);
        must_wait |= answer->is_arriving[i];
    }
    if (must_wait)
        pending_put(core, answer);
    else
        pending_answer(core, answer);
}

/* The memory of the answer. False: there is none. */
static bool begin(struct berth_core *core, const struct berth_ev_submit *event,
                  struct submission *ret_submission)
{
    struct pending *answer = pending_new(PENDING_SUBMITTED, event->peer, event->request);
    if (!answer)
        return false;
    struct dispatcher **dispatchers =
        pending_alloc(answer, event->dispatcher_count, sizeof(*dispatchers));
    answer->count = event->count;
    answer->submitted = pending_alloc(answer, event->count, sizeof *answer->submitted);
    answer->is_arriving = pending_alloc(answer, event->count, sizeof *answer->is_arriving);
    if (!dispatchers || !answer->submitted || !answer->is_arriving) {
        pending_free(answer);
        return false;
    }
    for (size_t i = 0; i < event->dispatcher_count; i++)
        dispatchers[i] = dispatcher_find(core, event->dispatchers[i]);
    *ret_submission = (struct submission){ event, dispatchers, answer };
    return true;
}

static bool has_rare_options(const struct berth_submit_item *item)
{
    return item->group.bytes || item->run_at_us || item->queue_timeout_ms || item->deadline_ms ||
           item->backoff_ms || item->backoff_ms_max || item->unique.bytes || item->on_conflict ||
           item->after_count;
}

/* Of a job without them it stays what it was before there were any: a key that the store has from
 * then is still recognised. */
static struct berth_hash128 add_rare_options(struct berth_hash128 hash,
                                             const struct berth_submit_item *item)
{
    struct berth_slice after = { item->after, item->after_count * sizeof *item->after };
    struct {
        struct berth_hash128 common, group, unique, after;
        int64_t run_at_us, queue_timeout_ms, deadline_ms, backoff_ms, backoff_ms_max, on_conflict;
    } all = { .common = hash,
              .group = berth_hash128(item->group, SEED_RARE),
              .unique = berth_hash128(item->unique, SEED_RARE),
              .after = berth_hash128(after, SEED_RARE),
              .run_at_us = item->run_at_us,
              .queue_timeout_ms = item->queue_timeout_ms,
              .deadline_ms = item->deadline_ms,
              .backoff_ms = item->backoff_ms,
              .backoff_ms_max = item->backoff_ms_max,
              .on_conflict = item->on_conflict };
    return berth_hash128((struct berth_slice){ .data = &all, .bytes = sizeof all }, SEED_RARE);
}

/* What makes two submits the same: handler, options, body. */
static struct berth_hash128 body_hash(const struct berth_submit_item *item,
                                      struct berth_slice handler)
{
    struct {
        struct berth_hash128 body, handler;
        int64_t priority, delay_ms, max_attempts, timeout_ms;
    } all = { .body = berth_hash128(item->body, SEED_BODY),
              .handler = berth_hash128(handler, SEED_BODY),
              .priority = item->priority,
              .delay_ms = item->delay_ms,
              .max_attempts = item->max_attempts,
              .timeout_ms = item->timeout_ms };
    struct berth_hash128 hash =
        berth_hash128((struct berth_slice){ .data = &all, .bytes = sizeof all }, SEED_BODY);
    return has_rare_options(item) ? add_rare_options(hash, item) : hash;
}

static struct berth_submitted_item submit_one(struct berth_core *core,
                                              const struct submission *submission, size_t place)
{
    const struct berth_ev_submit *event = submission->event;
    const struct berth_submit_item *item = &event->items[place];
    struct dispatcher *dispatcher = submission->dispatchers[item->dispatcher];
    struct pending *answer = submission->answer;
    if (!dispatcher) {
        struct berth_slice name = event->dispatchers[item->dispatcher];
        return refusal(BERTH_ENOTFOUND, "dispatcher",
                       say(answer, "dispatcher '%.*s' does not exist", (int)name.bytes,
                           (const char *)name.data));
    }
    bool has_key = item->key.bytes > 0;
    int64_t window_s = has_key ? KEY_WINDOW_IDEMPOTENCY_S : KEY_WINDOW_REQUEST_S;
    struct arrival arrival = {
        .item = item,
        .dispatcher = dispatcher,
        .handler = event->handlers[item->handler],
        .kind = has_key ? BERTH_KEY_IDEMPOTENCY : BERTH_KEY_REQUEST,
        .key = has_key ? keys_of_user(dispatcher->record.id, item->key)
                       : keys_of_request(event, place),
        .until_us = core->wall_us + window_s * 1000000,
    };
    arrival.body = body_hash(item, arrival.handler);
    const struct key_entry *entry = keys_find(core, arrival.key);
    if (entry)
        return repeat(core, &arrival, entry, answer, place);
    struct berth_submitted_item result = take_in(core, &arrival, answer);
    answer->is_arriving[place] = result.id != 0;
    return result;
}

struct berth_submitted_item submit_of_schedule(struct berth_core *core,
                                               struct dispatcher *dispatcher,
                                               struct berth_slice handler,
                                               const struct berth_submit_item *item,
                                               struct pending *answer)
{
    struct arrival arrival = {
        .item = item,
        .dispatcher = dispatcher,
        .handler = handler,
        .kind = BERTH_KEY_SCHEDULE,
        .key = keys_of_schedule(item->key),
        .body = body_hash(item, handler),
        .until_us = core->wall_us + (int64_t)KEY_WINDOW_IDEMPOTENCY_S * 1000000,
    };
    const struct key_entry *entry = keys_find(core, arrival.key);
    if (entry)
        return (struct berth_submitted_item){ .id = entry->job, .is_existing = true };
    return take_in(core, &arrival, answer);
}

/* The job of an earlier submit with this key; if that is not stored yet, the answer waits for it.
 */
static struct berth_submitted_item repeat(struct berth_core *core, const struct arrival *arrival,
                                          const struct key_entry *entry, struct pending *answer,
                                          size_t place)
{
    if (entry->body.low != arrival->body.low || entry->body.high != arrival->body.high)
        return refusal(BERTH_ECONFLICT, "key",
                       say(answer,
                           "key: it was used for job %llu with another handler, body or options; a "
                           "repeat must be the same",
                           (unsigned long long)entry->job));
    uint32_t index = job_find(core, entry->job);
    answer->is_arriving[place] = index && job_at(&core->jobs, index)->state == JOB_ARRIVING;
    return (struct berth_submitted_item){ .id = entry->job,
                                          .is_existing = arrival->kind == BERTH_KEY_IDEMPOTENCY };
}

/* ---- a new job ---- */

/* The ids as the record has them: little-endian, on every machine. */
static bool write_after(struct berth_core *core, const struct berth_submit_item *item,
                        struct berth_slice *ret_after)
{
    if (!item->after_count)
        return true;
    size_t bytes = item->after_count * sizeof *item->after;
    uint8_t *packed = berth_arena_alloc(core->open->arena, bytes);
    for (size_t i = 0; packed && i < bytes; i++)
        packed[i] = (uint8_t)(item->after[i / 8] >> 8 * (i % 8));
    *ret_after = (struct berth_slice){ packed, bytes };
    return packed;
}

static bool write_rare_options(struct berth_core *core, const struct arrival *arrival,
                               struct berth_job_record *job)
{
    const struct berth_submit_item *item = arrival->item;
    int64_t deadline_ms =
        item->deadline_ms ? item->deadline_ms : arrival->dispatcher->record.deadline_ms;
    if (item->run_at_us)
        job->run_at_us = item->run_at_us;
    if (deadline_ms)
        job->deadline_us = core->wall_us + deadline_ms * 1000;
    job->queue_timeout_ms = item->queue_timeout_ms;
    job->backoff_ms = item->backoff_ms;
    job->backoff_ms_max = item->backoff_ms_max;
    job->group = item->group;
    job->unique = item->unique;
    return batch_try_copy(core, &job->group) && batch_try_copy(core, &job->unique) &&
           write_after(core, item, &job->after);
}

/* False: no memory. */
static bool write_arrival(struct berth_core *core, const struct arrival *arrival, uint64_t id)
{
    const struct berth_submit_item *item = arrival->item;
    struct berth_record *record = batch_try_add(core, BERTH_RECORD_JOB);
    if (!record)
        return false;
    struct berth_slice key = { &arrival->key, sizeof arrival->key };
    record->job = (struct berth_job_record){
        .id = id,
        .dispatcher = arrival->dispatcher->record.id,
        .handler = arrival->handler,
        .priority = item->priority,
        .submitted_us = core->wall_us,
        .run_at_us = item->delay_ms ? core->wall_us + item->delay_ms * 1000 : 0,
        .max_attempts = item->max_attempts,
        .timeout_ms = item->timeout_ms,
        .key = { .kind = arrival->kind,
                 .bytes = arrival->kind == BERTH_KEY_REQUEST ? key : item->key,
                 .until_us = arrival->until_us },
        .body = item->body,
    };
    memcpy(record->job.key.body_hash, &arrival->body, sizeof record->job.key.body_hash);
    if (batch_try_copy(core, &record->job.handler) &&
        batch_try_copy(core, &record->job.key.bytes) && batch_try_copy(core, &record->job.body) &&
        write_rare_options(core, arrival, &record->job))
        return true;
    batch_undo(core);
    return false;
}

/* In memory, with its lane. 0: no room. */
static uint32_t make_job(struct berth_core *core, const struct arrival *arrival, uint64_t id)
{
    struct lane *lane = lane_get(core, arrival->dispatcher, arrival->handler, arrival->item->group);
    if (!lane)
        return 0;
    uint32_t index = job_new(core, id, lane, arrival->item->priority);
    if (!index)
        lane_release(core, lane);
    return index;
}

/* All that the job's life needs, or nothing. */
static bool make_all(struct berth_core *core, const struct arrival *arrival, uint64_t id)
{
    const struct berth_submit_item *item = arrival->item;
    uint32_t index = make_job(core, arrival, id);
    if (!index)
        return false;
    struct job *job = job_at(&core->jobs, index);
    job->max_attempts = item->max_attempts;
    if (job_keep_body(core, job, item->body, item->timeout_ms, false) == 0 &&
        write_arrival(core, arrival, id)) {
        if (keys_remember(core, arrival->kind, arrival->key, arrival->body, id,
                          arrival->until_us) == 0)
            return true;
        batch_undo(core);
    }
    job_free(core, index);
    return false;
}

/* What a job does not bring its dispatcher has: a pair that makes no sense shows only here. */
static bool is_backoff_sound(const struct arrival *arrival, int64_t *ret_backoff_ms,
                             int64_t *ret_backoff_ms_max)
{
    const struct berth_submit_item *item = arrival->item;
    const struct berth_dispatcher_record *settings = &arrival->dispatcher->record;
    *ret_backoff_ms = item->backoff_ms ? item->backoff_ms : settings->backoff_ms;
    *ret_backoff_ms_max = item->backoff_ms_max ? item->backoff_ms_max : settings->backoff_ms_max;
    return (!item->backoff_ms && !item->backoff_ms_max) || *ret_backoff_ms <= *ret_backoff_ms_max;
}

/* Those that wait for something, and those that will when they are stored. */
static uint64_t queued_count(const struct dispatcher *dispatcher)
{
    const uint64_t *count = dispatcher->count;
    return count[JOB_ARRIVING] + count[JOB_SCHEDULED] + count[JOB_READY] + count[JOB_RETRYING];
}

static struct berth_submitted_item take_in(struct berth_core *core, const struct arrival *arrival,
                                           struct pending *answer)
{
    int64_t backoff_ms, backoff_ms_max;
    if (!is_backoff_sound(arrival, &backoff_ms, &backoff_ms_max))
        return refusal(BERTH_EVALUE, "backoff",
                       say(answer, "backoff %lld ms: allowed is 0 to backoff_max, which is %lld ms",
                           (long long)backoff_ms, (long long)backoff_ms_max));
    if (!batch_takes_arrivals(core))
        return submit_refusal_full();
    if (core->jobs.used >= core->jobs.count_max)
        return refusal(
            BERTH_EFULL, "",
            say(answer, "the broker holds %u live jobs, as many as it may", core->jobs.count_max));
    const struct dispatcher *dispatcher = arrival->dispatcher;
    uint64_t queued = queued_count(dispatcher), queued_max = dispatcher_max_queued(dispatcher);
    if (queued >= queued_max)
        return refusal(BERTH_ELIMIT, "dispatcher",
                       say(answer,
                           "dispatcher %s has %llu jobs queued, as many as its max_queued of %llu "
                           "allows",
                           dispatcher->record.name, (unsigned long long)queued,
                           (unsigned long long)queued_max));
    uint64_t id = core->next_job_id;
    if (!make_all(core, arrival, id))
        return refusal(BERTH_EFULL, "", "the broker has no memory for another job");
    core->next_job_id++;
    return (struct berth_submitted_item){ .id = id };
}

/* ---- refusals ---- */

static struct berth_submitted_item refusal(int code, const char *field, const char *message)
{
    return (struct berth_submitted_item){ .refusal = {
                                              .code = code, .field = field, .message = message } };
}

struct berth_submitted_item submit_refusal_full(void)
{
    return refusal(BERTH_EFULL, "", "the broker's disk is full: this job was not stored");
}

/* A sentence that lives as long as the answer. */
static const char *say(struct pending *answer, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *copy = berth_arena_strdup(&answer->memory, text);
    return copy ? copy : "the broker has no memory to say why";
}

/* ---- stored, refused, loaded ---- */

void submit_on_stored(struct berth_core *core, const struct berth_job_record *record)
{
    uint32_t index = job_find(core, record->id);
    BERTH_ASSERT(index != 0);
    if (record->run_at_us > core->wall_us)
        job_move_due(core, index, JOB_SCHEDULED, record->run_at_us);
    else
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
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
    struct berth_hash128 key = keys_of_record(record), body;
    const struct key_entry *known = keys_find(core, key);
    if (known && known->job > record->id)
        return 0;
    memcpy(&body, record->key.body_hash, sizeof body);
    return keys_remember(core, record->key.kind, key, body, record->id, record->key.until_us);
}

static void place_loaded(struct berth_core *core, uint32_t index,
                         const struct berth_job_record *record)
{
    if (record->run_at_us <= core->wall_us || record->state == BERTH_READY) {
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
    } else if (record->attempt) {
        job_move(core, index, JOB_SETTLING, JOB_AT_TAIL);
        job_move_due(core, index, JOB_RETRYING, record->run_at_us);
    } else {
        job_move_due(core, index, JOB_SCHEDULED, record->run_at_us);
    }
}

/* An ARRIVING job with all that the record says of it, in memory. 0: ret_index; BERTH_ESTORE: there
 * is no such dispatcher, or there is such a job; -ENOMEM. */
static int make_of_record(struct berth_core *core, const struct berth_job_record *record,
                          uint32_t *ret_index)
{
    struct dispatcher *dispatcher = dispatcher_find_id(core, record->dispatcher);
    if (!dispatcher || job_find(core, record->id))
        return BERTH_ESTORE;
    struct lane *lane = lane_get(core, dispatcher, record->handler, record->group);
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
    if (record->is_cancelled) {
        job->flags |= JOB_CANCEL_ASKED | JOB_CANCEL_STORED;
        core->has_queued_cancels = true;
    }
    bool has_body = record->body.data || !record->body.bytes;
    if (has_body && job_keep_body(core, job, record->body, record->timeout_ms, false) < 0) {
        job_free(core, index);
        return -ENOMEM;
    }
    *ret_index = index;
    return 0;
}

int submit_load(struct berth_core *core, const struct berth_job_record *record)
{
    uint32_t index;
    int rc = make_of_record(core, record, &index);
    if (rc < 0)
        return rc;
    if (record->id >= core->next_job_id)
        core->next_job_id = record->id + 1;
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
    struct berth_record *revive = batch_try_add(core, BERTH_RECORD_REVIVE);
    if (!revive) {
        job_free(core, index);
        return -ENOMEM;
    }
    revive->revive.id = record->id;
    revive->revive.deadline_us = record->deadline_us;
    return 0;
}

void submit_on_revived(struct berth_core *core, const struct berth_revive_record *revive)
{
    uint32_t index = job_find(core, revive->id);
    BERTH_ASSERT(index != 0);
    if (revive->is_missing)
        job_free(core, index);
    else
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
}

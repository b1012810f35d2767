/* SPDX-License-Identifier: MIT */
#include "submit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "after.h"
#include "batch.h"
#include "children.h"
#include "clock.h"
#include "deadlock.h"
#include "dispatcher.h"
#include "held.h"
#include "hold.h"
#include "keys.h"
#include "lane.h"
#include "out.h"
#include "scope.h"
#include "unique.h"

#define SEED_BODY      3
#define SEED_RARE      4
#define TEXT_BYTES_MAX 256

/* A submit that is being taken. */
struct submission {
    const struct berth_ev_submit *event;
    const struct submit_known *known;
    const struct scope_parent *parent; /* of the first of its jobs; NULL: they are no children */
    struct dispatcher **dispatchers;   /* of its table; NULL: there is none of that name */
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
    uint64_t
        failed; /* a job that it is to wait for, and that has ended dead or cancelled; 0: none */
    enum berth_state failed_state;
    struct scope_parent parent; /* job 0: none */
};

static bool are_live(const struct berth_core *core, const struct berth_submit_item *item);
static bool begin(struct berth_core *core, const struct berth_ev_submit *event,
                  const struct submit_known *known, const struct scope_parent *parent,
                  struct submission *ret_submission);
static struct berth_submitted_item submit_one(struct berth_core *core,
                                              const struct submission *submission, size_t place);
static struct berth_submitted_item repeat(struct berth_core *core, const struct arrival *arrival,
                                          const struct key_entry *entry, struct pending *answer,
                                          size_t place);
static uint32_t holder_of(const struct berth_core *core, const struct arrival *arrival);
static struct berth_submitted_item same(const struct berth_core *core,
                                        const struct arrival *arrival, uint32_t holder,
                                        struct pending *answer);
static uint64_t find_failed(const struct berth_core *core, const struct submission *submission,
                            struct arrival *arrival);
static struct berth_submitted_item take_in(struct berth_core *core, const struct arrival *arrival,
                                           struct pending *answer);
static struct berth_submitted_item refusal(int code, const char *field, const char *message);
static const char *say(struct pending *answer, const char *format, ...) BERTH_PRINTF(2, 3);

/* ---- a submit ---- */

/* What has ended of the jobs that its jobs are to wait for, the store knows. */
void submit_on_event(struct berth_core *core, const struct berth_ev_submit *event)
{
    for (size_t i = 0; i < event->count; i++) {
        if (!are_live(core, &event->items[i])) {
            held_submit(core, event);
            return;
        }
    }
    submit_take(core, event, &(struct submit_known){ 0 });
}

/* All that it is to wait for. */
static bool are_live(const struct berth_core *core, const struct berth_submit_item *item)
{
    size_t count = 0;
    while (count < item->after_count && job_find_known(core, item->after[count]))
        count++;
    return count == item->after_count;
}

/* Answers at once if nothing of it waits for the store. */
void submit_take(struct berth_core *core, const struct berth_ev_submit *event,
                 const struct submit_known *known)
{
    struct submission submission;
    if (!begin(core, event, known, NULL, &submission)) {
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

/* ---- a submit of children: all or none ---- */

/* Those that were made just now, the last one first: their records stand at the end of the batch.
 * One may be named again by a sibling with its unique key.
 */
static void take_back(struct berth_core *core, const struct pending *answer)
{
    for (size_t i = answer->count; i-- > 0;) {
        uint64_t id = answer->submitted[i].id;
        if (!id || answer->submitted[i].is_existing)
            continue;
        const struct berth_record *last = &core->open->records[core->open->count - 1];
        while (last->type != BERTH_RECORD_JOB || last->job.id != id) { /* its end, at once */
            batch_undo(core);
            last = &core->open->records[core->open->count - 1];
        }
        keys_forget(core, keys_of_record(&last->job));
        batch_undo(core);
        job_free(core, job_find(core, id));
    }
}

static void find_deadlock(struct berth_core *core, const struct attempt *attempt, uint64_t first,
                          struct pending *answer)
{
    const char *cycle = deadlock_find(core, attempt, first);
    if (cycle)
        answer->refusal = (struct berth_do_error){ .code = -EDEADLK,
                                                   .field = "dispatcher",
                                                   .message = say(answer, "%s", cycle) };
}

void submit_children(struct berth_core *core, struct attempt *attempt,
                     const struct berth_child_submit *children)
{
    const struct scope_parent parent = { .job = attempt->job_id,
                                         .attempt = attempt->by_id.id,
                                         .ordinal = children->ordinal,
                                         .is_supervisor = children->is_supervisor };
    struct submission submission;
    if (!begin(core, &children->jobs, &(struct submit_known){ 0 }, &parent, &submission)) {
        attempt->session->shall_join_again = true; /* and it is asked again */
        return;
    }
    struct pending *answer = submission.answer;
    uint64_t first = core->next_job_id;
    bool must_wait = false;
    answer->attempt = parent.attempt;
    answer->join = attempt->session->join;
    answer->ordinal = parent.ordinal;
    for (size_t i = 0; i < answer->count && !answer->refusal.code; i++) {
        answer->submitted[i] = submit_one(core, &submission, i);
        answer->refusal = answer->submitted[i].refusal;
        must_wait |= answer->is_arriving[i];
    }
    if (!answer->refusal.code && core->next_job_id > first)
        find_deadlock(core, attempt, first, answer);
    if (answer->refusal.code) {
        take_back(core, answer);
        children_answer(core, answer);
    } else if (must_wait) {
        pending_put(core, answer);
    } else {
        children_answer(core, answer);
    }
}

/* The memory of the answer. False: there is none. */
static bool begin(struct berth_core *core, const struct berth_ev_submit *event,
                  const struct submit_known *known, const struct scope_parent *parent,
                  struct submission *ret_submission)
{
    struct pending *answer =
        pending_new(parent ? PENDING_CHILDREN : PENDING_SUBMITTED, event->peer, event->request);
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
    *ret_submission = (struct submission){ event, known, parent, dispatchers, answer };
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

/* The same ordinal in another dispatcher is another child. */
static struct berth_hash128 child_hash(struct berth_hash128 body, uint32_t dispatcher)
{
    struct {
        struct berth_hash128 body;
        uint64_t dispatcher;
    } all = { .body = body, .dispatcher = dispatcher };
    return berth_hash128((struct berth_slice){ .data = &all, .bytes = sizeof all }, SEED_BODY);
}

/* Its key, and what makes a repeat the same. */
static void identify(const struct berth_core *core, const struct submission *submission,
                     size_t place, struct arrival *arrival)
{
    const struct berth_submit_item *item = arrival->item;
    uint32_t dispatcher = arrival->dispatcher->record.id;
    bool has_key = item->key.bytes > 0;
    int64_t window_s = has_key ? KEY_WINDOW_IDEMPOTENCY_S : KEY_WINDOW_REQUEST_S;
    arrival->body = body_hash(item, arrival->handler);
    if (submission->parent) {
        arrival->parent = *submission->parent;
        arrival->parent.ordinal += (uint32_t)place;
        arrival->kind = BERTH_KEY_CHILD;
        arrival->key = keys_of_child(arrival->parent.job, arrival->parent.ordinal);
        arrival->body = child_hash(arrival->body, dispatcher);
        window_s = KEY_WINDOW_CHILD_S;
    } else {
        arrival->kind = has_key ? BERTH_KEY_IDEMPOTENCY : BERTH_KEY_REQUEST;
        arrival->key = has_key ? keys_of_user(dispatcher, item->key)
                               : keys_of_request(submission->event, place);
    }
    arrival->until_us = core->wall_us + window_s * 1000000;
}

static bool is_sibling(const struct berth_core *core, uint64_t job, uint64_t parent)
{
    const struct child *child = scope_find_child(core, job);
    return child && child->scope->by_parent.id == parent;
}

static bool waits_for_ancestor(const struct berth_core *core, const struct arrival *arrival)
{
    const struct berth_submit_item *item = arrival->item;
    uint64_t ancestor = item->after_count ? arrival->parent.job : 0;
    while (ancestor) {
        for (size_t i = 0; i < item->after_count; i++)
            if (item->after[i] == ancestor)
                return true;
        const struct child *child = scope_find_child(core, ancestor);
        ancestor = child ? child->scope->by_parent.id : 0;
    }
    return false;
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
    struct arrival arrival = { .item = item,
                               .dispatcher = dispatcher,
                               .handler = event->handlers[item->handler] };
    identify(core, submission, place, &arrival);
    if (waits_for_ancestor(core, &arrival))
        return refusal(-EDEADLK, "after", "after: a child cannot wait for its own parent");
    const struct key_entry *entry = keys_find(core, arrival.key);
    if (entry)
        return repeat(core, &arrival, entry, answer, place);
    uint32_t holder = holder_of(core, &arrival);
    if (holder) { /* an answer that names it waits until it is stored */
        struct berth_submitted_item named = same(core, &arrival, holder, answer);
        if (named.id && arrival.parent.job && !is_sibling(core, named.id, arrival.parent.job))
            return refusal(BERTH_ECONFLICT, "unique",
                           say(answer, "unique: job %llu has this key, and is no child of job %llu",
                               (unsigned long long)named.id,
                               (unsigned long long)arrival.parent.job));
        bool is_arriving = job_is_arriving(core, job_at(&core->jobs, holder));
        answer->is_arriving[place] = named.id && is_arriving;
        return named;
    }
    uint64_t unknown = find_failed(core, submission, &arrival);
    if (unknown)
        return refusal(BERTH_ENOTFOUND, "after",
                       say(answer,
                           arrival.parent.job
                               ? "after: job %llu does not live; a child waits for live jobs"
                               : "after: job %llu is not known",
                           (unsigned long long)unknown));
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
    uint32_t holder = holder_of(core, &arrival);
    return holder ? same(core, &arrival, holder, answer) : take_in(core, &arrival, answer);
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
    answer->is_arriving[place] = index && job_is_arriving(core, job_at(&core->jobs, index));
    return (struct berth_submitted_item){ .id = entry->job,
                                          .is_existing = arrival->kind != BERTH_KEY_REQUEST };
}

/* The live job that has the unique key of this one, or 0. */
static uint32_t holder_of(const struct berth_core *core, const struct arrival *arrival)
{
    struct berth_slice key = arrival->item->unique;
    return key.bytes ? unique_find(core, arrival->dispatcher->record.id, key) : 0;
}

static struct berth_submitted_item same(const struct berth_core *core,
                                        const struct arrival *arrival, uint32_t holder,
                                        struct pending *answer)
{
    const struct job *job = job_at(&core->jobs, holder);
    if (arrival->item->on_conflict == BERTH_ON_CONFLICT_EXISTING)
        return (struct berth_submitted_item){ .id = job->id, .is_existing = true };
    return refusal(BERTH_ECONFLICT, "unique",
                   say(answer, "unique: job %llu of dispatcher %s has this key, and has not ended",
                       (unsigned long long)job->id, arrival->dispatcher->record.name));
}

/* ---- what it waits for ---- */

/* How it has ended; READY: it lives; 0: there is no such job. */
static enum berth_state state_of(const struct berth_core *core, const struct submit_known *known,
                                 uint64_t id)
{
    uint32_t index = job_find_known(core, id);
    if (index) {
        const struct job *job = job_at(&core->jobs, index);
        return job->flags & JOB_ENDING ? job->end_state : BERTH_READY;
    }
    size_t low = 0, high = known->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (known->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < known->count && known->ids[low] == id ? known->ended[low] : 0;
}

/* The first one that is not known, or 0: then the first that has failed is noted, if one has. */
static uint64_t find_failed(const struct berth_core *core, const struct submission *submission,
                            struct arrival *arrival)
{
    const struct berth_submit_item *item = arrival->item;
    for (size_t i = 0; i < item->after_count; i++) {
        enum berth_state state = state_of(core, submission->known, item->after[i]);
        if (!state)
            return item->after[i];
        if (arrival->failed || (state != BERTH_DEAD && state != BERTH_CANCELLED))
            continue;
        arrival->failed = item->after[i];
        arrival->failed_state = state;
    }
    return 0;
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

/* A child has no more time than its parent. */
static void write_parent(const struct berth_core *core, const struct scope_parent *parent,
                         struct berth_job_record *job)
{
    const struct rare *rare = rare_of(core, job_at(&core->jobs, job_find(core, parent->job)));
    int64_t deadline_us = rare ? rare->deadline_us : 0;
    job->parent = parent->job;
    job->parent_ordinal = parent->ordinal;
    job->parent_attempt = parent->attempt;
    if (deadline_us && (!job->deadline_us || deadline_us < job->deadline_us))
        job->deadline_us = deadline_us;
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
    if (arrival->parent.job)
        write_parent(core, &arrival->parent, job);
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
    bool is_hash = arrival->kind == BERTH_KEY_REQUEST || arrival->kind == BERTH_KEY_CHILD;
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
                 .bytes = is_hash ? key : item->key,
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

/* As it was written just now. One that is to be cancelled at once waits for nobody. */
static bool take_rare(struct berth_core *core, uint32_t index, const struct arrival *arrival)
{
    const struct berth_job_record *record = &core->open->records[core->open->count - 1].job;
    if (rare_take(core, index, record) < 0)
        return false;
    if (!record->after.bytes)
        return true;
    struct ties *ties = rare_get_ties(core, index);
    if (!ties)
        return false;
    ties->run_at_us = record->run_at_us;
    return arrival->failed || after_take(core, index, record->after) == 0;
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
        bool is_taken = !arrival->parent.job || scope_take(core, index, &arrival->parent) == 0;
        if (is_taken && take_rare(core, index, arrival) &&
            keys_remember(core, arrival->kind, arrival->key, arrival->body, id,
                          arrival->until_us) == 0)
            return true;
        batch_undo(core);
    }
    job_free(core, index);
    return false;
}

bool submit_is_backoff_sound(const struct berth_submit_item *item,
                             const struct dispatcher *dispatcher, int64_t *ret_backoff_ms,
                             int64_t *ret_backoff_ms_max)
{
    const struct berth_dispatcher_record *settings = &dispatcher->record;
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
    if (!submit_is_backoff_sound(arrival->item, arrival->dispatcher, &backoff_ms, &backoff_ms_max))
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
    if (arrival->failed)
        after_end(core, job_find(core, id), arrival->failed, arrival->failed_state);
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

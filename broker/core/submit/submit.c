/* SPDX-License-Identifier: MIT */
#include "submit.h"

#include <errno.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/unique.h"
#include "broker/core/scope/children.h"
#include "broker/core/scope/deadlock.h"
#include "broker/core/scope/scope.h"
#include "broker/core/step.h"
#include "deferred.h"
#include "identity.h"
#include "intake.h"
#include "keys.h"

/* A submit that is being taken. */
struct submission {
    const struct berth_ev_submit *event;
    const struct submit_known *known;
    const struct scope_parent *parent; /* of the first of its jobs; NULL: they are no children */
    struct dispatcher **dispatchers;   /* of its table; NULL: there is none of that name */
    struct pending *answer;
    const uint64_t *line; /* the parent and all above it, the newest first, if anybody waits */
    size_t line_count;
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

/* ---- a submit ---- */

/* What has ended of the jobs that its jobs are to wait for, the store knows. */
void submit_on_event(struct berth_core *core, const struct berth_ev_submit *event)
{
    for (size_t i = 0; i < event->count; i++) {
        if (!are_live(core, &event->items[i])) {
            deferred_submit(core, event);
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
        step_error(core, event->peer, event->request, BERTH_EFULL, "",
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

static void find_deadlock(struct berth_core *core, struct attempt *attempt, uint64_t first,
                          struct pending *answer)
{
    const char *cycle = deadlock_find(core, attempt, first);
    if (cycle)
        answer->refusal = (struct berth_do_error){ .code = -EDEADLK,
                                                   .field = "dispatcher",
                                                   .message = intake_say(answer, "%s", cycle) };
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

static bool has_after(const struct berth_ev_submit *event)
{
    size_t count = 0;
    while (count < event->count && !event->items[count].after_count)
        count++;
    return count < event->count;
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
    *ret_submission = (struct submission){ .event = event,
                                           .known = known,
                                           .parent = parent,
                                           .dispatchers = dispatchers,
                                           .answer = answer };
    if (parent && has_after(event))
        ret_submission->line = scope_line(core, parent->job, &ret_submission->line_count);
    return true;
}

/* Its key, and what makes a repeat the same. */
static void identify(const struct berth_core *core, const struct submission *submission,
                     size_t place, struct arrival *arrival)
{
    const struct berth_submit_item *item = arrival->item;
    uint32_t dispatcher = arrival->dispatcher->record.id;
    bool has_key = item->key.bytes > 0;
    int64_t window_s = has_key ? KEY_WINDOW_IDEMPOTENCY_S : KEY_WINDOW_REQUEST_S;
    arrival->body = identity_of(item, arrival->handler);
    if (submission->parent) {
        arrival->parent = *submission->parent;
        arrival->parent.ordinal += (uint32_t)place;
        arrival->kind = BERTH_KEY_CHILD;
        arrival->key = keys_of_child(arrival->parent.job, arrival->parent.ordinal);
        arrival->body = identity_of_child(arrival->body, dispatcher);
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

/* A child is newer than its parent, so the line is in order. */
static bool is_in_line(const struct submission *submission, uint64_t job)
{
    size_t low = 0, high = submission->line_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (submission->line[middle] > job)
            low = middle + 1;
        else
            high = middle;
    }
    return low < submission->line_count && submission->line[low] == job;
}

static bool waits_for_ancestor(const struct submission *submission,
                               const struct berth_submit_item *item)
{
    for (size_t i = 0; i < item->after_count; i++)
        if (is_in_line(submission, item->after[i]))
            return true;
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
        return intake_refusal(BERTH_ENOTFOUND, "dispatcher",
                              intake_say(answer, "dispatcher '%.*s' does not exist",
                                         (int)name.bytes, (const char *)name.data));
    }
    struct arrival arrival = { .item = item,
                               .dispatcher = dispatcher,
                               .handler = event->handlers[item->handler] };
    identify(core, submission, place, &arrival);
    if (waits_for_ancestor(submission, item))
        return intake_refusal(-EDEADLK, "after", "after: a child cannot wait for its own parent");
    const struct key_entry *entry = keys_find(core, arrival.key);
    if (entry)
        return repeat(core, &arrival, entry, answer, place);
    uint32_t holder = holder_of(core, &arrival);
    if (holder) { /* an answer that names it waits until it is stored */
        struct berth_submitted_item named = same(core, &arrival, holder, answer);
        if (named.id && arrival.parent.job && !is_sibling(core, named.id, arrival.parent.job))
            return intake_refusal(
                BERTH_ECONFLICT, "unique",
                intake_say(answer, "unique: job %llu has this key, and is no child of job %llu",
                           (unsigned long long)named.id, (unsigned long long)arrival.parent.job));
        bool is_arriving = job_is_arriving(core, job_at(&core->jobs, holder));
        answer->is_arriving[place] = named.id && is_arriving;
        return named;
    }
    uint64_t unknown = find_failed(core, submission, &arrival);
    if (unknown)
        return intake_refusal(
            BERTH_ENOTFOUND, "after",
            intake_say(answer,
                       arrival.parent.job
                           ? "after: job %llu does not live; a child waits for live jobs"
                           : "after: job %llu is not known",
                       (unsigned long long)unknown));
    struct berth_submitted_item result = intake_take(core, &arrival, answer);
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
        .body = identity_of(item, handler),
        .until_us = core->wall_us + (int64_t)KEY_WINDOW_IDEMPOTENCY_S * 1000000,
    };
    const struct key_entry *entry = keys_find(core, arrival.key);
    if (entry)
        return (struct berth_submitted_item){ .id = entry->job, .is_existing = true };
    uint32_t holder = holder_of(core, &arrival);
    return holder ? same(core, &arrival, holder, answer) : intake_take(core, &arrival, answer);
}

/* The job of an earlier submit with this key; if that is not stored yet, the answer waits for it.
 */
static struct berth_submitted_item repeat(struct berth_core *core, const struct arrival *arrival,
                                          const struct key_entry *entry, struct pending *answer,
                                          size_t place)
{
    if (!keys_is_same(entry, arrival->body))
        return intake_refusal(
            BERTH_ECONFLICT, "key",
            intake_say(answer,
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
    return intake_refusal(
        BERTH_ECONFLICT, "unique",
        intake_say(answer, "unique: job %llu of dispatcher %s has this key, and has not ended",
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

/* SPDX-License-Identifier: MIT */
#include "support/berthtest.h"

#include "store_model.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

bool model_is_live(const struct berth_job_record *job)
{
    return job->state == BERTH_SCHEDULED || job->state == BERTH_READY ||
           job->state == BERTH_RETRYING;
}

struct berth_job_record *model_find(struct model *model, uint64_t id)
{
    for (size_t i = 0; i < model->job_count; i++) {
        if (model->jobs[i].id == id)
            return &model->jobs[i];
    }
    return NULL;
}

static void apply_job(struct model *model, const struct berth_job_record *arrival)
{
    BERTH_ASSERT(model->job_count < MODEL_JOBS_MAX);
    BERTH_ASSERT(model->job_count == 0 || model->jobs[model->job_count - 1].id < arrival->id);
    struct berth_job_record *job = &model->jobs[model->job_count++];
    *job = *arrival;
    job->state = arrival->run_at_us > 0 ? BERTH_SCHEDULED : BERTH_READY;
}

static void apply_dispatcher(struct model *model, const struct berth_dispatcher_record *record)
{
    size_t i = 0;
    while (i < model->dispatcher_count && model->dispatchers[i].id != record->id)
        i++;
    BERTH_ASSERT(i < MODEL_DISPATCHERS_MAX);
    int64_t token_us = i < model->dispatcher_count ? model->dispatchers[i].token_us : 0;
    model->dispatchers[i] = *record;
    model->dispatchers[i].token_us = token_us;
    if (i == model->dispatcher_count)
        model->dispatcher_count++;
    if (record->id > model->dispatcher_id_max)
        model->dispatcher_id_max = record->id;
}

static struct berth_dispatcher_record *find_dispatcher(struct model *model, uint32_t id)
{
    size_t i = 0;
    while (model->dispatchers[i].id != id)
        i++;
    return &model->dispatchers[i];
}

static struct berth_session_record *find_session(struct model *model, uint64_t id)
{
    size_t i = 0;
    while (model->sessions[i].id != id)
        i++;
    return &model->sessions[i];
}

static void set_start(struct berth_job_record *job, const struct berth_start_record *start)
{
    job->start_attempt = start->attempt;
    job->start_session = start->session;
    job->start_us = start->started_us;
}

static void remove_session(struct model *model, uint64_t id)
{
    size_t i = 0;
    while (model->sessions[i].id != id)
        i++;
    for (; i + 1 < model->session_count; i++)
        model->sessions[i] = model->sessions[i + 1];
    model->session_count--;
}

/* An ended job that the history has, or NULL. */
static struct berth_job_record *ended_job(struct model *model, uint64_t id)
{
    struct berth_job_record *job = model_find(model, id);
    return job && !model_is_live(job) && !model->is_discarded[job - model->jobs] ? job : NULL;
}

static void apply_revive(struct model *model, const struct berth_revive_record *revive)
{
    struct berth_job_record *job = ended_job(model, revive->id);
    if (!job || job->state == BERTH_COMPLETED)
        return;
    job->state = BERTH_READY;
    set_start(job, &(struct berth_start_record){ .id = job->id });
    job->is_suspect = job->deaths > 0;
    job->failures = job->deaths = 0;
    job->run_at_us = revive->run_at_us;
    job->finished_us = 0;
    job->is_cancelled = false;
    job->deadline_us = revive->deadline_us;
    job->after = (struct berth_slice){ 0 };
    job->parent = job->parent_attempt = job->parent_ordinal = 0;
}

static void remove_dispatcher(struct model *model, uint64_t id)
{
    size_t i = 0;
    while (model->dispatchers[i].id != id)
        i++;
    for (; i + 1 < model->dispatcher_count; i++)
        model->dispatchers[i] = model->dispatchers[i + 1];
    model->dispatcher_count--;
    for (i = 0; i < model->job_count; i++)
        model->is_discarded[i] |= model->jobs[i].dispatcher == id;
}

void model_copy(struct model *to, const struct model *from)
{
    memcpy(to->jobs, from->jobs, from->job_count * sizeof *from->jobs);
    memcpy(to->is_discarded, from->is_discarded, sizeof from->is_discarded);
    memcpy(to->dispatchers, from->dispatchers, from->dispatcher_count * sizeof *from->dispatchers);
    memcpy(to->sessions, from->sessions, from->session_count * sizeof *from->sessions);
    to->job_count = from->job_count;
    to->dispatcher_id_max = from->dispatcher_id_max;
    to->dispatcher_count = from->dispatcher_count;
    to->session_count = from->session_count;
}

void model_apply(struct model *model, const struct berth_record *record)
{
    struct berth_job_record *job = NULL;
    switch (record->type) {
    case BERTH_RECORD_JOB: apply_job(model, &record->job); return;
    case BERTH_RECORD_RETRY:
        job = model_find(model, record->retry.id);
        job->state = record->retry.state;
        job->run_at_us = record->retry.run_at_us;
        job->attempt = record->retry.attempt;
        job->failures = record->retry.failures;
        job->deaths = record->retry.deaths;
        job->is_suspect = record->retry.is_suspect;
        job->last = record->retry.last;
        set_start(job, &(struct berth_start_record){ .id = job->id });
        return;
    case BERTH_RECORD_START: set_start(model_find(model, record->start.id), &record->start); return;
    case BERTH_RECORD_END:
        job = model_find(model, record->end.id);
        job->state = record->end.state;
        job->attempt = record->end.attempt;
        job->failures = record->end.failures;
        job->deaths = record->end.deaths;
        job->is_suspect = false;
        job->finished_us = record->end.finished_us;
        if (record->end.last.id != 0)
            job->last = record->end.last;
        if (record->end.error_kind.bytes) {
            job->last.error_kind = record->end.error_kind;
            job->last.error_message = record->end.error_message;
        }
        return;
    case BERTH_RECORD_CANCEL: model_find(model, record->id)->is_cancelled = true; return;
    case BERTH_RECORD_DISPATCHER: apply_dispatcher(model, &record->dispatcher); return;
    case BERTH_RECORD_SESSION: model->sessions[model->session_count++] = record->session; return;
    case BERTH_RECORD_SESSION_END: remove_session(model, record->id); return;
    case BERTH_RECORD_TOKEN:
        find_dispatcher(model, record->token.dispatcher)->token_us = record->token.token_us;
        return;
    case BERTH_RECORD_SCHEDULE: /* test_store_schedule.c looks at these */
    case BERTH_RECORD_SCHEDULE_DONE:
    case BERTH_RECORD_SCHEDULE_END: return;
    case BERTH_RECORD_SESSION_CLOSED: find_session(model, record->id)->is_closed = true; return;
    case BERTH_RECORD_REVIVE: apply_revive(model, &record->revive); return;
    case BERTH_RECORD_DISCARD:
        job = ended_job(model, record->id);
        if (job && job->state == BERTH_DEAD)
            model->is_discarded[job - model->jobs] = true;
        return;
    case BERTH_RECORD_DISPATCHER_END: remove_dispatcher(model, record->id); return;
    }
}

void model_keep(struct model *model, uint32_t dispatcher, uint64_t count)
{
    for (size_t i = model->job_count; i-- > 0;) {
        if (model->jobs[i].dispatcher != dispatcher || model->is_discarded[i] ||
            model_is_live(&model->jobs[i]))
            continue;
        if (count > 0)
            count--;
        else
            model->is_discarded[i] = true;
    }
}

/* `is_here`: the bytes were asked for; else only the length must be right. */
static void check_slice(struct berth_slice is, struct berth_slice wanted, bool is_here)
{
    assert_int_equal(is.bytes, wanted.bytes);
    if (is_here && wanted.bytes > 0) {
        assert_non_null(is.data);
        assert_memory_equal(is.data, wanted.data, wanted.bytes);
    } else {
        assert_null(is.data);
    }
}

static void check_key(const struct berth_key *is, const struct berth_key *wanted)
{
    assert_int_equal(is->kind, wanted->kind);
    check_slice(is->bytes, wanted->bytes, true);
    assert_int_equal(is->until_us, wanted->until_us);
    assert_memory_equal(is->body_hash, wanted->body_hash, sizeof wanted->body_hash);
}

static void check_options(const struct berth_job_record *is, const struct berth_job_record *wanted)
{
    check_slice(is->group, wanted->group, true);
    check_slice(is->unique, wanted->unique, true);
    check_slice(is->after, wanted->after, true);
    assert_int_equal(is->deadline_us, wanted->deadline_us);
    assert_int_equal(is->queue_timeout_ms, wanted->queue_timeout_ms);
    assert_int_equal(is->backoff_ms, wanted->backoff_ms);
    assert_int_equal(is->backoff_ms_max, wanted->backoff_ms_max);
    assert_int_equal(is->parent, wanted->parent);
    assert_int_equal(is->parent_ordinal, wanted->parent_ordinal);
    assert_int_equal(is->parent_attempt, wanted->parent_attempt);
}

static void check_limits(const struct berth_dispatcher_record *is,
                         const struct berth_dispatcher_record *wanted)
{
    assert_int_equal(is->parent, wanted->parent);
    assert_int_equal(is->weight, wanted->weight);
    assert_int_equal(is->group_limit, wanted->group_limit);
    assert_int_equal(is->rate_count, wanted->rate_count);
    assert_int_equal(is->rate_ms, wanted->rate_ms);
    assert_int_equal(is->burst, wanted->burst);
    assert_int_equal(is->max_queued, wanted->max_queued);
    assert_int_equal(is->hold, wanted->hold);
    assert_int_equal(is->on_lost, wanted->on_lost);
    assert_int_equal(is->no_jitter, wanted->no_jitter);
    assert_int_equal(is->queue_timeout_ms, wanted->queue_timeout_ms);
    assert_int_equal(is->deadline_ms, wanted->deadline_ms);
    assert_int_equal(is->retention_ms, wanted->retention_ms);
    assert_int_equal(is->retention_count, wanted->retention_count);
    assert_int_equal(is->changed_us, wanted->changed_us);
    assert_string_equal(is->changed_by, wanted->changed_by);
    assert_int_equal(is->token_us, wanted->token_us);
}

static void check_job(const struct berth_job_record *is, const struct berth_job_record *wanted,
                      bool has_body, bool has_result)
{
    check_options(is, wanted);
    assert_int_equal(is->id, wanted->id);
    assert_int_equal(is->dispatcher, wanted->dispatcher);
    check_slice(is->handler, wanted->handler, true);
    assert_int_equal(is->priority, wanted->priority);
    assert_int_equal(is->submitted_us, wanted->submitted_us);
    assert_int_equal(is->run_at_us, wanted->run_at_us);
    assert_int_equal(is->max_attempts, wanted->max_attempts);
    assert_int_equal(is->timeout_ms, wanted->timeout_ms);
    check_key(&is->key, &wanted->key);
    check_slice(is->body, wanted->body, has_body);
    assert_int_equal(is->state, wanted->state);
    assert_int_equal(is->attempt, wanted->attempt);
    assert_int_equal(is->failures, wanted->failures);
    assert_int_equal(is->deaths, wanted->deaths);
    assert_int_equal(is->is_suspect, wanted->is_suspect);
    assert_int_equal(is->is_cancelled, wanted->is_cancelled);
    assert_int_equal(is->finished_us, wanted->finished_us);
    assert_int_equal(is->last.id, wanted->last.id);
    assert_int_equal(is->last.started_us, wanted->last.started_us);
    check_slice(is->last.worker, wanted->last.worker, true);
    check_slice(is->last.result, wanted->last.result, has_result);
    check_slice(is->last.error_kind, wanted->last.error_kind, true);
    check_slice(is->last.error_message, wanted->last.error_message, true);
}

struct load_check {
    const struct model *model;
    size_t dispatcher_count, session_count;
    size_t job_place, key_place; /* places in model->jobs */
    uint64_t body_bytes_left;
    bool is_budget_spent;
    int64_t wall_us;
};

static int visit_dispatcher(void *arg, const struct berth_dispatcher_record *is)
{
    struct load_check *check = arg;
    assert_true(check->dispatcher_count < check->model->dispatcher_count);
    assert_int_equal(check->session_count, 0);
    const struct berth_dispatcher_record *wanted =
        &check->model->dispatchers[check->dispatcher_count++];
    assert_int_equal(is->id, wanted->id);
    assert_string_equal(is->name, wanted->name);
    assert_int_equal(is->limit.kind, wanted->limit.kind);
    assert_int_equal(is->limit.value, wanted->limit.value);
    assert_int_equal(is->is_paused, wanted->is_paused);
    assert_int_equal(is->max_attempts, wanted->max_attempts);
    assert_int_equal(is->backoff_ms, wanted->backoff_ms);
    assert_int_equal(is->backoff_ms_max, wanted->backoff_ms_max);
    assert_int_equal(is->timeout_ms, wanted->timeout_ms);
    assert_int_equal(is->grace_ms, wanted->grace_ms);
    check_limits(is, wanted);
    return 0;
}

static int visit_session(void *arg, const struct berth_session_record *is)
{
    struct load_check *check = arg;
    assert_true(check->session_count < check->model->session_count);
    assert_int_equal(check->dispatcher_count, check->model->dispatcher_count);
    assert_int_equal(check->job_place, 0);
    const struct berth_session_record *wanted = &check->model->sessions[check->session_count++];
    assert_int_equal(is->id, wanted->id);
    assert_memory_equal(is->node, wanted->node, sizeof wanted->node);
    assert_memory_equal(is->boot, wanted->boot, sizeof wanted->boot);
    assert_memory_equal(is->nonce, wanted->nonce, sizeof wanted->nonce);
    assert_int_equal(is->child, wanted->child);
    assert_int_equal(is->lease_ms, wanted->lease_ms);
    assert_string_equal(is->name, wanted->name);
    assert_int_equal(is->is_closed, wanted->is_closed);
    return 0;
}

/* The next live job of the model, or job_count. */
static size_t skip_to_live(const struct model *model, size_t place)
{
    while (place < model->job_count && !model_is_live(&model->jobs[place]))
        place++;
    return place;
}

static int visit_job(void *arg, const struct berth_job_record *is)
{
    struct load_check *check = arg;
    assert_int_equal(check->session_count, check->model->session_count);
    assert_int_equal(check->key_place, 0);
    check->job_place = skip_to_live(check->model, check->job_place);
    assert_true(check->job_place < check->model->job_count);
    struct berth_job_record wanted = check->model->jobs[check->job_place++];
    wanted.last = (struct berth_attempt_record){ .id = wanted.last.id };
    if (wanted.body.bytes > check->body_bytes_left)
        check->is_budget_spent = true;
    if (!check->is_budget_spent)
        check->body_bytes_left -= wanted.body.bytes;
    check_job(is, &wanted, !check->is_budget_spent, true);
    assert_int_equal(is->start_attempt, wanted.start_attempt);
    assert_int_equal(is->start_session, wanted.start_session);
    assert_int_equal(is->start_us, wanted.start_us);
    return 0;
}

/* A child that completed, by attempts of a parent that lives or may be retried. */
static bool is_asked_for(const struct model *model, const struct berth_job_record *child)
{
    if (child->state != BERTH_COMPLETED)
        return false;
    for (size_t i = 0; i < model->job_count; i++)
        if (model->jobs[i].id == child->parent)
            return !model->is_discarded[i] && model->jobs[i].state != BERTH_COMPLETED;
    return false;
}

static size_t skip_to_key(const struct model *model, size_t place, int64_t wall_us)
{
    for (; place < model->job_count; place++) {
        const struct berth_job_record *job = &model->jobs[place];
        bool is_child = job->key.kind == BERTH_KEY_CHILD;
        if (!model_is_live(job) && job->key.kind != BERTH_KEY_NONE &&
            (!is_child || is_asked_for(model, job)) && job->key.until_us > wall_us)
            break;
    }
    return place;
}

static int visit_key(void *arg, const struct berth_job_record *is)
{
    struct load_check *check = arg;
    assert_int_equal(skip_to_live(check->model, check->job_place), check->model->job_count);
    check->key_place = skip_to_key(check->model, check->key_place, check->wall_us);
    assert_true(check->key_place < check->model->job_count);
    const struct berth_job_record *wanted = &check->model->jobs[check->key_place++];
    bool is_child = wanted->key.kind == BERTH_KEY_CHILD;
    assert_int_equal(is->id, wanted->id);
    assert_int_equal(is->dispatcher, wanted->dispatcher);
    assert_int_equal(is->parent, is_child ? wanted->parent : 0);
    check_key(&is->key, &wanted->key);
    return 0;
}

void model_check_load(const struct model *model, struct kit *kit, uint64_t body_bytes_budget)
{
    struct load_check check = { .model = model,
                                .body_bytes_left = body_bytes_budget,
                                .wall_us = kit->wall_us };
    struct berth_store_visitor visitor = { .arg = &check,
                                           .dispatcher = visit_dispatcher,
                                           .session = visit_session,
                                           .job = visit_job,
                                           .ended_key = visit_key,
                                           .body_bytes_budget = body_bytes_budget };
    struct berth_error error = { .code = 0 };
    assert_int_equal(berth_store_load(kit->store, &visitor, &error), 0);
    assert_int_equal(check.dispatcher_count, model->dispatcher_count);
    assert_int_equal(check.session_count, model->session_count);
    assert_int_equal(skip_to_live(model, check.job_place), model->job_count);
    assert_int_equal(skip_to_key(model, check.key_place, kit->wall_us), model->job_count);
    if (model->job_count > 0)
        assert_true(kit->info.next_job_id > model->jobs[model->job_count - 1].id);
    assert_true(kit->info.next_dispatcher_id > model->dispatcher_id_max);
}

static bool is_wanted(const struct berth_read *read, const struct berth_job_record *job)
{
    if (read->scope == BERTH_SCOPE_LIVE && !model_is_live(job))
        return false;
    if (read->scope == BERTH_SCOPE_ENDED && model_is_live(job))
        return false;
    if (read->state != 0 && !model_is_live(job) && job->state != read->state)
        return false;
    if (read->dispatcher != 0 && read->dispatcher != job->dispatcher)
        return false;
    if (read->after == 0)
        return true;
    return read->is_newest_first ? job->id < read->after : job->id > read->after;
}

static void check_list(const struct model *model, const struct berth_read *read,
                       const struct berth_completion *completion)
{
    size_t found = 0;
    for (size_t i = 0; i < model->job_count && found < read->count_max; i++) {
        size_t place = read->is_newest_first ? model->job_count - 1 - i : i;
        if (model->is_discarded[place] || !is_wanted(read, &model->jobs[place]))
            continue;
        assert_true(found < completion->job_count);
        check_job(&completion->jobs[found++], &model->jobs[place], read->with_bodies,
                  read->with_bodies);
    }
    assert_int_equal(completion->job_count, found);
    if (found < read->count_max)
        assert_false(completion->has_more);
    if (found > 0 && completion->has_more)
        assert_int_equal(completion->next, completion->jobs[found - 1].id);
}

static void check_jobs(const struct model *model, const struct berth_read *read,
                       const struct berth_completion *completion)
{
    size_t found = 0;
    for (size_t i = 0; i < read->id_count; i++) {
        for (size_t place = 0; place < model->job_count; place++) {
            if (model->jobs[place].id != read->ids[i] || model->is_discarded[place])
                continue;
            assert_true(found < completion->job_count);
            check_job(&completion->jobs[found++], &model->jobs[place], true, true);
        }
    }
    assert_int_equal(completion->job_count, found);
}

static void check_counts(const struct model *model, const struct berth_completion *completion)
{
    uint64_t total = 0, wanted_total = 0;
    for (size_t i = 0; i < completion->count_count; i++) {
        const struct berth_ended_count *is = &completion->counts[i];
        uint64_t completed = 0, dead = 0, cancelled = 0, completed_total = 0;
        for (size_t place = 0; place < model->job_count; place++) {
            const struct berth_job_record *job = &model->jobs[place];
            if (job->dispatcher != is->dispatcher)
                continue;
            completed_total += job->state == BERTH_COMPLETED;
            if (model->is_discarded[place])
                continue;
            completed += job->state == BERTH_COMPLETED;
            dead += job->state == BERTH_DEAD;
            cancelled += job->state == BERTH_CANCELLED;
        }
        assert_int_equal(is->completed, completed);
        assert_int_equal(is->dead, dead);
        assert_int_equal(is->cancelled, cancelled);
        assert_int_equal(is->completed_total, completed_total);
        total += completed + dead + cancelled;
    }
    for (size_t place = 0; place < model->job_count; place++)
        wanted_total += !model_is_live(&model->jobs[place]) && !model->is_discarded[place];
    assert_int_equal(total, wanted_total);
}

void model_check_read(const struct model *model, struct kit *kit, const struct berth_read *read)
{
    struct berth_completion completion = kit_read(kit, read);
    assert_int_equal(completion.error.code, 0);
    switch (read->type) {
    case BERTH_READ_JOBS: check_jobs(model, read, &completion); return;
    case BERTH_READ_LIST: check_list(model, read, &completion); return;
    case BERTH_READ_COUNTS: check_counts(model, &completion); return;
    }
}

/* Digests. */

static void fold_bytes(uint64_t *digest, struct berth_slice bytes)
{
    *digest = berth_hash64(bytes, *digest + bytes.bytes + 1);
}

static void fold(uint64_t *digest, uint64_t value)
{
    fold_bytes(digest, (struct berth_slice){ .data = &value, .bytes = sizeof value });
}

static int fold_dispatcher(void *arg, const struct berth_dispatcher_record *dispatcher)
{
    fold(arg, dispatcher->id);
    fold_bytes(arg, kit_text(dispatcher->name));
    fold(arg, (uint64_t)dispatcher->limit.kind << 32 | dispatcher->limit.value);
    fold(arg, dispatcher->is_paused);
    fold(arg, (uint64_t)dispatcher->timeout_ms);
    fold(arg, (uint64_t)dispatcher->parent << 32 | dispatcher->weight);
    fold(arg, (uint64_t)dispatcher->rate_ms + dispatcher->rate_count);
    fold_bytes(arg, kit_text(dispatcher->changed_by));
    return 0;
}

static int fold_session(void *arg, const struct berth_session_record *session)
{
    fold(arg, session->id);
    fold_bytes(arg, (struct berth_slice){ .data = session->nonce, .bytes = sizeof session->nonce });
    fold_bytes(arg, kit_text(session->name));
    fold(arg, session->is_closed);
    return 0;
}

static int fold_key(void *arg, const struct berth_job_record *job)
{
    fold(arg, job->id);
    fold(arg, job->dispatcher);
    fold(arg, job->key.kind);
    fold_bytes(arg, job->key.bytes);
    fold(arg, (uint64_t)job->key.until_us);
    return 0;
}

static int fold_job(void *arg, const struct berth_job_record *job)
{
    (void)fold_key(arg, job);
    fold_bytes(arg, job->handler);
    fold_bytes(arg, job->body);
    fold_bytes(arg, job->group);
    fold_bytes(arg, job->after);
    fold(arg, (uint64_t)job->deadline_us);
    fold(arg, job->state);
    fold(arg, (uint64_t)job->run_at_us);
    fold(arg, (uint64_t)job->attempt << 32 | job->failures);
    fold(arg, (uint64_t)job->deaths << 2 | (uint64_t)job->is_suspect << 1 | job->is_cancelled);
    fold(arg, job->last.id);
    fold(arg, job->start_attempt);
    fold(arg, job->start_session + (uint64_t)job->start_us);
    return 0;
}

uint64_t model_digest(const struct model *model, int64_t wall_us)
{
    uint64_t digest = 0;
    for (size_t i = 0; i < model->dispatcher_count; i++)
        (void)fold_dispatcher(&digest, &model->dispatchers[i]);
    for (size_t i = 0; i < model->session_count; i++)
        (void)fold_session(&digest, &model->sessions[i]);
    for (size_t i = skip_to_live(model, 0); i < model->job_count; i = skip_to_live(model, i + 1))
        (void)fold_job(&digest, &model->jobs[i]);
    for (size_t i = skip_to_key(model, 0, wall_us); i < model->job_count;
         i = skip_to_key(model, i + 1, wall_us))
        (void)fold_key(&digest, &model->jobs[i]);
    return digest;
}

uint64_t model_digest_of_store(struct kit *kit)
{
    uint64_t digest = 0;
    struct berth_store_visitor visitor = { .arg = &digest,
                                           .dispatcher = fold_dispatcher,
                                           .session = fold_session,
                                           .job = fold_job,
                                           .ended_key = fold_key,
                                           .body_bytes_budget = UINT64_MAX };
    struct berth_error error = { .code = 0 };
    assert_int_equal(berth_store_load(kit->store, &visitor, &error), 0);
    return digest;
}

/* SPDX-License-Identifier: MIT */
#include "store_workload.h"

#include <stdio.h>

#define DISPATCHERS     20
#define JOB_DISPATCHERS 4 /* the first of them */

struct workload {
    struct kit *kit;
    struct model *model;
};

static uint64_t pick_live(struct workload *w, struct berth_rng *rng)
{
    if (w->model->job_count == 0)
        return 0;
    for (size_t i = 0; i < 20; i++) {
        const struct berth_job_record *job =
            &w->model->jobs[berth_rng_below(rng, w->model->job_count)];
        if (model_is_live(job))
            return job->id;
    }
    return 0;
}

static struct berth_slice random_bytes(struct workload *w, struct berth_rng *rng, size_t bytes_max)
{
    size_t bytes = (size_t)berth_rng_below(rng, bytes_max + 1);
    return kit_bytes(w->kit, bytes, berth_rng_next(rng));
}

static struct berth_attempt_record random_last(struct workload *w, struct berth_rng *rng)
{
    return (struct berth_attempt_record){
        .id = berth_rng_next(rng),
        .started_us = w->kit->wall_us,
        .worker = random_bytes(w, rng, 20),
        .result = random_bytes(w, rng, berth_rng_chance(rng, 1, 20) ? 70000 : 100),
        .error_kind = berth_rng_chance(rng, 1, 2) ? kit_text("exit") : kit_text(""),
        .error_message = random_bytes(w, rng, 60),
    };
}

/* What few jobs bring. */
static void add_options(struct workload *w, struct berth_rng *rng, struct berth_job_record *job)
{
    job->group = random_bytes(w, rng, BERTH_KEY_BYTES_MAX);
    job->unique = random_bytes(w, rng, 20);
    job->after = kit_bytes(w->kit, 8 * (size_t)berth_rng_below(rng, 4), berth_rng_next(rng));
    job->deadline_us = w->kit->wall_us + (int64_t)berth_rng_below(rng, 1000000);
    job->queue_timeout_ms = (int64_t)berth_rng_below(rng, 100000);
    job->backoff_ms = (int64_t)berth_rng_below(rng, 1000);
    job->backoff_ms_max = (int64_t)berth_rng_below(rng, 100000);
    job->parent = berth_rng_below(rng, 1000);
    job->parent_ordinal = (uint32_t)berth_rng_next(rng);
    job->parent_attempt = berth_rng_next(rng);
}

static struct berth_record random_job(struct workload *w, struct berth_rng *rng)
{
    uint64_t last = w->model->job_count ? w->model->jobs[w->model->job_count - 1].id : 0;
    uint64_t id = last + 1 + berth_rng_below(rng, 3);
    bool is_long = berth_rng_chance(rng, 1, 30);
    struct berth_record record = kit_job(id, 1 + (uint32_t)berth_rng_below(rng, JOB_DISPATCHERS),
                                         random_bytes(w, rng, is_long ? 200000 : 300));
    record.job.priority = (int32_t)berth_rng_between(rng, -100, 100);
    record.job.run_at_us = berth_rng_chance(rng, 1, 3) ? w->kit->wall_us + 1000 : 0;
    record.job.max_attempts = (uint32_t)berth_rng_below(rng, 10);
    record.job.timeout_ms = (int64_t)berth_rng_below(rng, 100000);
    if (berth_rng_chance(rng, 1, 4))
        add_options(w, rng, &record.job);
    record.job.key.kind = (enum berth_key_kind)berth_rng_below(rng, 4);
    if (record.job.key.kind == BERTH_KEY_NONE)
        return record;
    record.job.key.bytes = kit_bytes(w->kit, 16, berth_rng_next(rng));
    if (record.job.key.kind == BERTH_KEY_IDEMPOTENCY)
        record.job.key.bytes.bytes = 1 + (size_t)berth_rng_below(rng, 16);
    record.job.key.until_us = w->kit->wall_us + berth_rng_between(rng, -1000000, 3600000000);
    for (size_t i = 0; i < sizeof record.job.key.body_hash; i++)
        record.job.key.body_hash[i] = (uint8_t)berth_rng_next(rng);
    return record;
}

static struct berth_record random_start(struct workload *w, struct berth_rng *rng, uint64_t id)
{
    return (struct berth_record){ .type = BERTH_RECORD_START,
                                  .start = { .id = id,
                                             .attempt = 1 + berth_rng_below(rng, UINT64_MAX),
                                             .session = 1 + berth_rng_below(rng, UINT64_MAX),
                                             .started_us = w->kit->wall_us } };
}

static struct berth_record random_retry(struct workload *w, struct berth_rng *rng, uint64_t id)
{
    return (struct berth_record){ .type = BERTH_RECORD_RETRY,
                                  .retry = { .id = id,
                                             .state = berth_rng_chance(rng, 1, 2) ? BERTH_READY
                                                                                  : BERTH_RETRYING,
                                             .run_at_us = (int64_t)berth_rng_below(rng, 1000000),
                                             .attempt = (uint32_t)berth_rng_below(rng, 100),
                                             .failures = (uint32_t)berth_rng_below(rng, 100),
                                             .deaths = (uint32_t)berth_rng_below(rng, 3),
                                             .is_suspect = berth_rng_chance(rng, 1, 3),
                                             .last = random_last(w, rng) } };
}

static struct berth_record random_end(struct workload *w, struct berth_rng *rng, uint64_t id)
{
    static const enum berth_state ends[] = { BERTH_COMPLETED, BERTH_DEAD, BERTH_CANCELLED };
    struct berth_record record = kit_end(id, model_find(w->model, id)->dispatcher,
                                         ends[berth_rng_below(rng, 3)], w->kit->wall_us);
    record.end.attempt = (uint32_t)berth_rng_below(rng, 100);
    record.end.failures = (uint32_t)berth_rng_below(rng, 100);
    record.end.deaths = (uint32_t)berth_rng_below(rng, 100);
    record.end.last =
        berth_rng_chance(rng, 1, 4) ? (struct berth_attempt_record){ 0 } : random_last(w, rng);
    return record;
}

static void add_limits(struct berth_rng *rng, struct berth_dispatcher_record *dispatcher)
{
    static const int64_t periods_ms[] = { 1000, 60000, 3600000, 86400000 };
    dispatcher->parent = (uint32_t)berth_rng_below(rng, dispatcher->id);
    dispatcher->weight = 1 + (uint32_t)berth_rng_below(rng, 1000);
    dispatcher->group_limit = (uint32_t)berth_rng_next(rng);
    dispatcher->rate_count = 1 + (uint32_t)berth_rng_below(rng, 1000000);
    dispatcher->rate_ms = periods_ms[berth_rng_below(rng, 4)];
    dispatcher->burst = (uint32_t)berth_rng_below(rng, 1000001);
    dispatcher->max_queued = (uint32_t)berth_rng_next(rng);
    dispatcher->hold = (uint8_t)berth_rng_below(rng, 2);
    dispatcher->on_lost = (uint8_t)berth_rng_below(rng, 2);
    dispatcher->no_jitter = berth_rng_chance(rng, 1, 2);
    dispatcher->queue_timeout_ms = (int64_t)berth_rng_below(rng, 1000);
    dispatcher->deadline_ms = (int64_t)berth_rng_below(rng, 1000);
    dispatcher->retention_ms = 604800000 + (int64_t)berth_rng_below(rng, 1000);
    dispatcher->retention_count = 10000 + berth_rng_below(rng, 900000001);
    dispatcher->changed_us = (int64_t)berth_rng_below(rng, 1000000);
    (void)snprintf(dispatcher->changed_by, sizeof dispatcher->changed_by, "user-%u@host",
                   dispatcher->max_queued);
}

static struct berth_record random_dispatcher(struct workload *w, struct berth_rng *rng)
{
    size_t place = (size_t)berth_rng_below(rng, w->model->dispatcher_count + 1);
    uint32_t id = place < w->model->dispatcher_count && place < DISPATCHERS
                      ? w->model->dispatchers[place].id
                      : w->model->dispatcher_id_max + 1;
    char name[BERTH_NAME_BYTES];
    (void)snprintf(name, sizeof name, "dispatcher-%u", (unsigned)id);
    struct berth_record record = kit_dispatcher(id, name);
    record.dispatcher.limit.kind = (enum berth_limit_kind)(1 + berth_rng_below(rng, 4));
    record.dispatcher.limit.value = (uint32_t)berth_rng_next(rng);
    record.dispatcher.is_paused = berth_rng_chance(rng, 1, 2);
    record.dispatcher.timeout_ms = (int64_t)berth_rng_below(rng, 1000);
    if (berth_rng_chance(rng, 1, 2))
        add_limits(rng, &record.dispatcher);
    return record;
}

static struct berth_record random_revive(struct workload *w, struct berth_rng *rng)
{
    uint64_t id = 1 + berth_rng_below(rng, w->model->job_count + 1);
    const struct berth_job_record *job = model_find(w->model, id);
    bool has_options = job && job->deadline_us;
    return (struct berth_record){ .type = BERTH_RECORD_REVIVE,
                                  .revive = { .id = id,
                                              .run_at_us = w->kit->wall_us,
                                              .deadline_us =
                                                  has_options ? w->kit->wall_us + 1000 : 0 } };
}

/* One without jobs, if there are many. */
static struct berth_record random_dispatcher_end(struct workload *w, struct berth_rng *rng)
{
    size_t count = w->model->dispatcher_count;
    uint32_t id = count ? w->model->dispatchers[berth_rng_below(rng, count)].id : 0;
    if (id <= JOB_DISPATCHERS)
        return (struct berth_record){ .id = 0 };
    return (struct berth_record){ .type = BERTH_RECORD_DISPATCHER_END, .id = id };
}

/* A record that fits the model, or one of type 0 if what was drawn does not fit now. */
static struct berth_record random_record(struct workload *w, struct berth_rng *rng)
{
    uint64_t id = pick_live(w, rng);
    uint64_t draw = berth_rng_below(rng, 100);
    if (draw < 45)
        return random_job(w, rng);
    if (draw < 50 && id)
        return random_start(w, rng, id);
    if (draw < 57 && id)
        return random_retry(w, rng, id);
    if (draw < 80 && id)
        return random_end(w, rng, id);
    if (draw < 83 && id)
        return (struct berth_record){ .type = BERTH_RECORD_CANCEL, .id = id };
    if (draw == 83)
        return random_revive(w, rng);
    if (draw == 84)
        return (struct berth_record){ .type = BERTH_RECORD_DISCARD,
                                      .id = 1 + berth_rng_below(rng, w->model->job_count + 1) };
    if (draw == 85)
        return random_dispatcher_end(w, rng);
    if (draw < 90)
        return random_dispatcher(w, rng);
    size_t count = w->model->session_count;
    if (draw < 95 && count < 20)
        return kit_session(count ? w->model->sessions[count - 1].id + 1 : 1);
    if (count > 0)
        return (struct berth_record){ .type = draw < 97 ? BERTH_RECORD_SESSION_CLOSED
                                                        : BERTH_RECORD_SESSION_END,
                                      .id = w->model->sessions[berth_rng_below(rng, count)].id };
    return (struct berth_record){ .id = 0 };
}

struct berth_batch *workload_batch(struct kit *kit, struct model *model, struct berth_rng *rng,
                                   size_t records_max)
{
    struct workload workload = { .kit = kit, .model = model };
    struct berth_batch *batch = kit_batch(kit);
    for (uint64_t count = berth_rng_below(rng, records_max + 1); count > 0; count--) {
        struct berth_record record = random_record(&workload, rng);
        if (record.type == 0)
            continue;
        kit_add(batch, &record);
        model_apply(model, &record);
    }
    return batch;
}

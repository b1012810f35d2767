/* SPDX-License-Identifier: MIT */
/* The core under the clock of a test, and its clients; the workers are in core_workers.c. */
#include "core_fixture.h"

#include <stdlib.h>

#include "core_said.h"

#define START_MS   INT64_C(1000000)
#define SAID_FIRST 256
#define ROUNDS_MAX 1000 /* more turns than this until nothing is left to do: it goes in circles */

/* ---- life ---- */

int core_setup_bare(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->now_ms = START_MS;
    f->wall_us = WALL_US;
    berth_arena_init(&f->arena, SIZE_MAX);
    core_replace(f, (struct berth_core_opts){ 0 });
    *state = f;
    return 0;
}

int core_setup(void **state)
{
    core_setup_bare(state);
    struct fixture *f = *state;
    core_start(f);
    store_all(f);
    forget(f);
    return 0;
}

int core_teardown(void **state)
{
    struct fixture *f = *state;
    if (f->away)
        complete(f, STORED);
    berth_core_free(f->core);
    berth_arena_fini(&f->arena);
    free(f->said);
    free(f);
    return 0;
}

void core_replace(struct fixture *f, struct berth_core_opts opts)
{
    struct berth_error err;
    if (f->away)
        complete(f, STORED);
    berth_core_free(f->core);
    opts.epoch = EPOCH;
    opts.lineage = LINEAGE;
    opts.seed = 42;
    f->opts = opts;
    f->core = berth_core_new(&opts, &err);
    assert_non_null(f->core);
    f->worker_count = 0;
    forget(f);
}

void core_start(struct fixture *f)
{
    assert_int_equal(berth_core_start(f->core, f->now_ms, f->wall_us), 0);
}

/* ---- steps ---- */

static void keep_said(struct fixture *f, const struct berth_effects *effects)
{
    if (f->said_count + effects->count > f->said_room) {
        f->said_room = 2 * (f->said_count + effects->count) + SAID_FIRST;
        f->said = realloc(f->said, f->said_room * sizeof *f->said);
        assert_non_null(f->said);
    }
    for (size_t i = 0; i < effects->count; i++)
        f->said[f->said_count++] = said_copy(f, &effects->items[i]);
}

void step(struct fixture *f, struct berth_event event)
{
    event.now_ms = f->now_ms;
    event.wall_us = f->wall_us;
    keep_said(f, berth_core_step(f->core, &event));
    berth_core_check(f->core);
}

void turn(struct fixture *f)
{
    step(f, (struct berth_event){ .type = BERTH_EV_TURN });
}

void advance(struct fixture *f, int64_t ms)
{
    f->now_ms += ms;
    f->wall_us += ms * 1000;
}

void turn_after(struct fixture *f, int64_t ms)
{
    advance(f, ms);
    turn(f);
}

bool close_batch(struct fixture *f)
{
    assert_null(f->away);
    f->away = berth_core_close_batch(f->core);
    return f->away != NULL;
}

void complete(struct fixture *f, unsigned result)
{
    struct berth_batch *batch = f->away;
    assert_non_null(batch);
    f->away = NULL;
    step(f, (struct berth_event){ .type = BERTH_EV_STORED,
                                  .stored = { .batch = batch, .result = (uint8_t)result } });
}

void store_one(struct fixture *f)
{
    if (f->away || close_batch(f))
        complete(f, STORED);
}

void store_all(struct fixture *f)
{
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        turn(f);
        if (!f->away && !close_batch(f))
            return;
        complete(f, STORED);
    }
    fail_msg("there is always something to store");
}

static uint64_t record_id(const struct berth_record *record)
{
    switch (record->type) {
    case BERTH_RECORD_JOB: return record->job.id;
    case BERTH_RECORD_RETRY: return record->retry.id;
    case BERTH_RECORD_END: return record->end.id;
    case BERTH_RECORD_DISPATCHER: return record->dispatcher.id;
    case BERTH_RECORD_SESSION: return record->session.id;
    case BERTH_RECORD_START: return record->start.id;
    case BERTH_RECORD_REVIVE: return record->revive.id;
    case BERTH_RECORD_TOKEN: return record->token.dispatcher;
    case BERTH_RECORD_SCHEDULE: return record->schedule.id;
    case BERTH_RECORD_SCHEDULE_DONE: return record->schedule_done.id;
    case BERTH_RECORD_SCHEDULE_END:
    case BERTH_RECORD_CANCEL:
    case BERTH_RECORD_DISCARD:
    case BERTH_RECORD_DISPATCHER_END:
    case BERTH_RECORD_SESSION_END:
    case BERTH_RECORD_SESSION_CLOSED: return record->id;
    }
    return 0;
}

const struct berth_record *record_away(const struct fixture *f, enum berth_record_type type,
                                       uint64_t id)
{
    assert_non_null(f->away);
    for (size_t i = 0; i < f->away->count; i++)
        if (f->away->records[i].type == type && record_id(&f->away->records[i]) == id)
            return &f->away->records[i];
    return NULL;
}

/* ---- what was said ---- */

void forget(struct fixture *f)
{
    f->said_count = 0;
    berth_arena_reset(&f->arena);
}

const struct berth_effect *find_to(const struct fixture *f, enum berth_effect_type type,
                                   uint64_t peer)
{
    for (size_t i = f->said_count; i-- > 0;)
        if (f->said[i].type == type && (!peer || f->said[i].peer == peer))
            return &f->said[i];
    return NULL;
}

const struct berth_effect *find(const struct fixture *f, enum berth_effect_type type)
{
    return find_to(f, type, 0);
}

const struct berth_effect *get_to(const struct fixture *f, enum berth_effect_type type,
                                  uint64_t peer)
{
    const struct berth_effect *effect = find_to(f, type, peer);
    assert_non_null(effect);
    return effect;
}

const struct berth_effect *get(const struct fixture *f, enum berth_effect_type type)
{
    return get_to(f, type, 0);
}

size_t said(const struct fixture *f, enum berth_effect_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < f->said_count; i++)
        count += f->said[i].type == type;
    return count;
}

const struct berth_effect *answer(const struct fixture *f, uint64_t request,
                                  enum berth_effect_type type)
{
    for (size_t i = f->said_count; i-- > 0;)
        if (f->said[i].type == type && f->said[i].request == request)
            return &f->said[i];
    return NULL;
}

/* ---- dispatchers ---- */

uint64_t set(struct fixture *f, struct berth_ev_dispatcher_set event, const char *name)
{
    event.peer = CLIENT;
    event.request = ++f->request;
    event.name = text(name);
    step(f, (struct berth_event){ .type = BERTH_EV_DISPATCHER_SET, .dispatcher_set = event });
    return event.request;
}

uint64_t set_limit(struct fixture *f, const char *name, uint32_t limit)
{
    return set(f,
               (struct berth_ev_dispatcher_set){
                   .has_limit = true, .limit = { .kind = BERTH_LIMIT_NUMBER, .value = limit } },
               name);
}

void given_dispatcher(struct fixture *f, const char *name, uint32_t limit)
{
    set_limit(f, name, limit);
    store_all(f);
}

uint64_t pause_dispatcher(struct fixture *f, const char *name, bool is_paused)
{
    uint64_t request = ++f->request;
    step(f, (struct berth_event){ .type = BERTH_EV_DISPATCHER_PAUSE,
                                  .dispatcher_pause = { .peer = CLIENT,
                                                        .request = request,
                                                        .name = text(name),
                                                        .is_paused = is_paused } });
    return request;
}

struct dispatcher *dispatcher(const struct fixture *f, const char *name)
{
    struct berth_map_node *node = berth_map_find_bytes(&f->core->dispatchers_by_name, text(name));
    assert_non_null(node);
    return berth_container_of(node, struct dispatcher, by_name);
}

/* ---- clients ---- */

struct berth_slice text(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}

bool slice_is(struct berth_slice slice, const char *text)
{
    return slice.bytes == strlen(text) &&
           (slice.bytes == 0 || memcmp(slice.data, text, slice.bytes) == 0);
}

bool slice_starts_with(struct berth_slice slice, const char *start)
{
    return slice.bytes >= strlen(start) && memcmp(slice.data, start, strlen(start)) == 0;
}

/* Every job is the only one of its dispatcher and handler in the tables, which may repeat. */
static void send_submit(struct fixture *f, uint64_t request, const struct submit *items,
                        size_t count)
{
    struct berth_slice *dispatchers = calloc(count, sizeof *dispatchers);
    struct berth_slice *handlers = calloc(count, sizeof *handlers);
    struct berth_submit_item *jobs = calloc(count, sizeof *jobs);
    uint64_t *bodies = calloc(count, sizeof *bodies);
    for (size_t i = 0; i < count; i++) {
        const struct submit *item = &items[i];
        bodies[i] = ++f->bodies;
        dispatchers[i] = text(item->dispatcher ? item->dispatcher : "default");
        handlers[i] = text(item->handler ? item->handler : "mail");
        jobs[i] = (struct berth_submit_item){
            .dispatcher = (uint32_t)i,
            .handler = (uint32_t)i,
            .priority = item->priority,
            .delay_ms = item->delay_ms,
            .max_attempts = item->max_attempts,
            .timeout_ms = item->timeout_ms,
            .key = text(item->key ? item->key : ""),
            .body = item->body ? text(item->body)
                               : (struct berth_slice){ &bodies[i], sizeof bodies[i] },
            .group = text(item->group ? item->group : ""),
            .unique = text(item->unique ? item->unique : ""),
            .run_at_us = item->run_at_us,
            .queue_timeout_ms = item->queue_timeout_ms,
            .deadline_ms = item->deadline_ms,
            .backoff_ms = item->backoff_ms,
            .backoff_ms_max = item->backoff_ms_max,
            .on_conflict = item->on_conflict,
            .after = item->after,
            .after_count = item->after_count,
        };
    }
    step(f, (struct berth_event){ .type = BERTH_EV_SUBMIT,
                                  .submit = { .peer = CLIENT,
                                              .request = request,
                                              .client = { 7 },
                                              .dispatchers = dispatchers,
                                              .handlers = handlers,
                                              .dispatcher_count = count,
                                              .handler_count = count,
                                              .items = jobs,
                                              .count = count } });
    free(dispatchers);
    free(handlers);
    free(jobs);
    free(bodies);
}

uint64_t submit_many(struct fixture *f, const struct submit *items, size_t count)
{
    send_submit(f, ++f->request, items, count);
    return f->request;
}

uint64_t submit(struct fixture *f, struct submit item)
{
    return submit_many(f, &item, 1);
}

void submit_again(struct fixture *f, uint64_t request, struct submit item)
{
    send_submit(f, request, &item, 1);
}

uint64_t submitted(const struct fixture *f, uint64_t request)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_SUBMITTED);
    assert_non_null(effect);
    assert_int_equal(effect->submitted.count, 1);
    return effect->submitted.items[0].id;
}

uint64_t given_job(struct fixture *f, struct submit item)
{
    uint64_t request = submit(f, item);
    store_all(f);
    uint64_t id = submitted(f, request);
    assert_int_not_equal(id, 0);
    return id;
}

uint64_t ask(struct fixture *f, enum berth_event_type type, const uint64_t *ids, size_t count)
{
    uint64_t request = ++f->request;
    step(f, (struct berth_event){
                .type = type,
                .ids = { .peer = CLIENT, .request = request, .ids = ids, .count = count } });
    return request;
}

uint64_t cancel(struct fixture *f, uint64_t job)
{
    return ask(f, BERTH_EV_CANCEL, &job, 1);
}

uint64_t wait_for(struct fixture *f, uint64_t job)
{
    return ask(f, BERTH_EV_WAIT, &job, 1);
}

uint64_t query(struct fixture *f, enum berth_event_type type, const char *name)
{
    uint64_t request = ++f->request;
    step(f,
         (struct berth_event){
             .type = type, .query = { .peer = CLIENT, .request = request, .name = text(name) } });
    return request;
}

const struct berth_job_state *cancelled(const struct fixture *f, uint64_t request)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_CANCELLED);
    assert_non_null(effect);
    return &effect->cancelled.items[0];
}

void answer_read(struct fixture *f, const struct berth_job_record *rows, size_t count)
{
    step(f, (struct berth_event){ .type = BERTH_EV_READ,
                                  .read = { .number = get(f, BERTH_DO_READ)->read.number,
                                            .jobs = rows,
                                            .job_count = count } });
}

void fail_read(struct fixture *f)
{
    step(f, (struct berth_event){
                .type = BERTH_EV_READ,
                .read = { .number = get(f, BERTH_DO_READ)->read.number, .is_failed = true } });
}

const struct job *job_of(const struct fixture *f, uint64_t id)
{
    uint32_t index = job_find(f->core, id);
    return index ? job_at(&f->core->jobs, index) : NULL;
}

struct berth_job_record row(const struct fixture *f, uint64_t id, enum berth_state state)
{
    const struct job *job = job_of(f, id);
    return (struct berth_job_record){
        .id = id,
        .dispatcher = job ? job_dispatcher(f->core, job)->record.id : 1,
        .handler = text("mail"),
        .submitted_us = WALL_US,
        .state = state,
    };
}

const struct berth_job_view *shown(struct fixture *f, uint64_t id)
{
    uint64_t request = ask(f, BERTH_EV_JOB_GET, &id, 1);
    struct berth_job_record record = row(f, id, BERTH_READY);
    answer_read(f, &record, 1);
    const struct berth_effect *effect = answer(f, request, BERTH_DO_JOBS);
    assert_non_null(effect);
    assert_int_equal(effect->jobs.count, 1);
    return &effect->jobs.items[0];
}

bool reason_is(struct fixture *f, uint64_t job, const char *reason)
{
    const struct berth_job_view *view = shown(f, job);
    return slice_is(view->reason, reason);
}

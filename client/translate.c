/* SPDX-License-Identifier: MIT */
/* What we ask, as frames. See translate.h. */
#include "client/translate.h"

#include <errno.h>
#include <string.h>

#include <berth/v1/envelope.pb-c.h>
#include <berth/version.h>

#include "base/assert.h"
#include "base/text.h"
#include "proto/body.h"
#include "proto/columns.h"
#include "proto/wire.h"

#define DISPATCHER_DEFAULT "default"
#define HANDLER_EXEC       "exec"
/* A Submit's columns: nineteen of at most 8 bytes a job, the names, and the joined bodies, keys and
 * ids. */
#define SUBMIT_ARENA_BYTES_MAX ((size_t)2 * BERTH_FRAME_BYTES_MAX)

_Static_assert(BERTH_PACK_NAMES_MAX <= BERTH_NAMES_MAX, "a table of names");
_Static_assert(BERTH_CLIENT_ID_BYTES == BERTH_ID_BYTES, "the client's id");

int berth_pack_body(const struct berth_job_spec *spec, struct berth_buf *bodies,
                    struct berth_error *err)
{
    struct berth_body body = { .argv = spec->command,
                               .payload = spec->payload,
                               .context = spec->context,
                               .context_count = spec->context_count,
                               .has_array_index = spec->has_array_index,
                               .array_index = spec->array_index,
                               .line = spec->line };
    while (spec->command && spec->command[body.argv_count])
        body.argv_count++;
    if (spec->command && body.argv_count == 0)
        return berth_fail(err, BERTH_EVALUE, "the command is empty");
    return berth_body_pack(&body, bodies, err);
}

int berth_pack_hello(const uint8_t client[static BERTH_CLIENT_ID_BYTES], struct berth_buf *frame)
{
    Berth__V1__ClientHello hello = BERTH__V1__CLIENT_HELLO__INIT;
    hello.has_client = hello.has_software = 1;
    hello.client =
        berth_bytes_of((struct berth_slice){ .data = client, .bytes = BERTH_CLIENT_ID_BYTES });
    hello.software = berth_bytes_of(berth_slice_of("libberth_client " BERTH_VERSION));

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, BERTH_HELLO_NUMBER);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_CLIENT_HELLO;
    envelope.client_hello = &hello;
    return berth_wire_pack(&envelope, frame);
}

/* The columns of a Submit while they are filled. */
struct columns {
    struct berth_names dispatchers, handlers;
    uint32_t *dispatcher, *handler, *max_attempts, *key_bytes, *body_bytes;
    int32_t *priority;
    uint64_t *timeout_ms;
    uint8_t *keys, *bodies;
    size_t count, keys_bytes, bodies_bytes;

    uint32_t *group_bytes, *unique_bytes, *on_conflict, *after_count;
    uint64_t *delay_ms, *run_at_us, *queue_timeout_ms, *deadline_ms, *backoff_ms, *backoff_max_ms;
    uint64_t *after;
    uint8_t *groups, *uniques;
    size_t groups_bytes, uniques_bytes, after_ids;
};

/* How much all jobs of a Submit bring of what differs in length. */
struct lengths {
    size_t keys_bytes, bodies_bytes, groups_bytes, uniques_bytes, after_ids;
};

static int rare_columns_init(struct columns *columns, size_t count, const struct lengths *lengths,
                             struct berth_arena *arena)
{
    uint32_t **narrow[] = { &columns->group_bytes, &columns->unique_bytes, &columns->on_conflict,
                            &columns->after_count };
    uint64_t **wide[] = { &columns->delay_ms,    &columns->run_at_us,  &columns->queue_timeout_ms,
                          &columns->deadline_ms, &columns->backoff_ms, &columns->backoff_max_ms };
    columns->groups = berth_arena_alloc(arena, lengths->groups_bytes);
    columns->uniques = berth_arena_alloc(arena, lengths->uniques_bytes);
    columns->after = berth_arena_alloc_array(arena, lengths->after_ids, sizeof *columns->after);
    bool is_complete = columns->groups && columns->uniques && columns->after;
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) {
        *narrow[i] = berth_arena_alloc_array(arena, count, sizeof **narrow[i]);
        is_complete = is_complete && *narrow[i];
    }
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        *wide[i] = berth_arena_alloc_array(arena, count, sizeof **wide[i]);
        is_complete = is_complete && *wide[i];
    }
    return is_complete ? 0 : -ENOMEM;
}

static int columns_init(struct columns *columns, size_t count, const struct lengths *lengths,
                        struct berth_arena *arena)
{
    int rc = berth_names_init(&columns->dispatchers, BERTH_PACK_NAMES_MAX, arena);
    if (rc == 0)
        rc = berth_names_init(&columns->handlers, BERTH_PACK_NAMES_MAX, arena);
    columns->dispatcher = berth_arena_alloc_array(arena, count, sizeof *columns->dispatcher);
    columns->handler = berth_arena_alloc_array(arena, count, sizeof *columns->handler);
    columns->max_attempts = berth_arena_alloc_array(arena, count, sizeof *columns->max_attempts);
    columns->key_bytes = berth_arena_alloc_array(arena, count, sizeof *columns->key_bytes);
    columns->body_bytes = berth_arena_alloc_array(arena, count, sizeof *columns->body_bytes);
    columns->priority = berth_arena_alloc_array(arena, count, sizeof *columns->priority);
    columns->timeout_ms = berth_arena_alloc_array(arena, count, sizeof *columns->timeout_ms);
    columns->keys = berth_arena_alloc(arena, lengths->keys_bytes);
    columns->bodies = berth_arena_alloc(arena, lengths->bodies_bytes);
    bool is_complete = columns->dispatcher && columns->handler && columns->max_attempts &&
                       columns->key_bytes && columns->body_bytes && columns->priority &&
                       columns->timeout_ms && columns->keys && columns->bodies;
    if (rc == 0 && !is_complete)
        rc = -ENOMEM;
    return rc < 0 ? rc : rare_columns_init(columns, count, lengths, arena);
}

/* Appends to joined bytes and returns the length. */
static uint32_t join(uint8_t *bytes, size_t *used, const char *text)
{
    struct berth_slice slice = berth_slice_of(text);
    if (slice.bytes > 0)
        memcpy(bytes + *used, slice.data, slice.bytes);
    *used += slice.bytes;
    return (uint32_t)slice.bytes;
}

static void rare_columns_add(struct columns *columns, const struct berth_job_spec *spec, size_t at)
{
    columns->delay_ms[at] = (uint64_t)spec->delay_ms;
    columns->run_at_us[at] = (uint64_t)spec->run_at_unix_us;
    columns->queue_timeout_ms[at] = (uint64_t)spec->queue_timeout_ms;
    columns->deadline_ms[at] = (uint64_t)spec->deadline_ms;
    columns->backoff_ms[at] = (uint64_t)spec->backoff_ms;
    columns->backoff_max_ms[at] = (uint64_t)spec->backoff_ms_max;
    columns->on_conflict[at] = (uint32_t)spec->on_conflict;
    columns->group_bytes[at] = join(columns->groups, &columns->groups_bytes, spec->group);
    columns->unique_bytes[at] = join(columns->uniques, &columns->uniques_bytes, spec->unique);
    columns->after_count[at] = (uint32_t)spec->after_count;
    for (size_t i = 0; i < spec->after_count; i++)
        columns->after[columns->after_ids++] = spec->after[i].v;
}

static int columns_add(struct columns *columns, const struct berth_job_spec *spec,
                       uint32_t body_bytes)
{
    const char *dispatcher = spec->dispatcher ? spec->dispatcher : DISPATCHER_DEFAULT;
    const char *handler = spec->handler ? spec->handler : HANDLER_EXEC;
    int64_t dispatcher_at = berth_names_put(&columns->dispatchers, berth_slice_of(dispatcher));
    int64_t handler_at = berth_names_put(&columns->handlers, berth_slice_of(handler));
    if (dispatcher_at < 0 || handler_at < 0)
        return -EMSGSIZE;
    size_t at = columns->count++;
    columns->dispatcher[at] = (uint32_t)dispatcher_at;
    columns->handler[at] = (uint32_t)handler_at;
    columns->max_attempts[at] = spec->max_attempts;
    columns->priority[at] = spec->priority;
    columns->timeout_ms[at] = (uint64_t)spec->timeout_ms;
    columns->key_bytes[at] = join(columns->keys, &columns->keys_bytes, spec->idempotency_key);
    columns->body_bytes[at] = body_bytes;
    rare_columns_add(columns, spec, at);
    return 0;
}

static int columns_add_part(struct columns *columns, const struct berth_pack_jobs *part)
{
    for (size_t i = 0; i < part->count; i++) {
        int rc = columns_add(columns, &part->specs[i], part->body_bytes[i]);
        if (rc < 0)
            return rc;
    }
    if (part->bodies.bytes > 0)
        memcpy(columns->bodies + columns->bodies_bytes, part->bodies.data, part->bodies.bytes);
    columns->bodies_bytes += part->bodies.bytes;
    return 0;
}

/* A column that is all zero is left out. */
#define PUT(width, name)                                                                           \
    (submit->n_##name = berth_column_trim_##width(columns->name, columns->count),                  \
     submit->name = columns->name)
/* Joined bytes; what they are called there: `keys`, `keys_bytes`. */
#define PUT_JOINED(name)                                                                           \
    (submit->has_##name = columns->name##_bytes > 0,                                               \
     submit->name = (ProtobufCBinaryData){ .len = columns->name##_bytes, .data = columns->name })

static void columns_put(const struct columns *columns, Berth__V1__Submit *submit)
{
    submit->n_dispatchers = columns->dispatchers.count;
    submit->dispatchers = columns->dispatchers.items;
    submit->n_handlers = columns->handlers.count;
    submit->handlers = columns->handlers.items;
    PUT(u32, dispatcher);
    PUT(u32, handler);
    PUT(s32, priority);
    PUT(u32, max_attempts);
    PUT(u64, timeout_ms);
    PUT(u32, key_bytes);
    PUT_JOINED(keys);
    submit->n_body_bytes = columns->count; /* it says how many jobs there are */
    submit->body_bytes = columns->body_bytes;
    PUT_JOINED(bodies);
    submit->has_bodies = 1;

    PUT(u64, delay_ms);
    PUT(u64, run_at_us);
    PUT(u64, queue_timeout_ms);
    PUT(u64, deadline_ms);
    PUT(u64, backoff_ms);
    PUT(u64, backoff_max_ms);
    PUT(u32, group_bytes);
    PUT_JOINED(groups);
    PUT(u32, unique_bytes);
    PUT_JOINED(uniques);
    PUT(u32, on_conflict);
    PUT(u32, after_count);
    submit->n_after = columns->after_ids;
    submit->after = columns->after;
}

#undef PUT
#undef PUT_JOINED

static int columns_pack(const struct columns *columns, const uint8_t *client, uint64_t number,
                        struct berth_buf *frame)
{
    Berth__V1__Submit submit = BERTH__V1__SUBMIT__INIT;
    columns_put(columns, &submit);
    submit.has_client = 1;
    submit.client =
        berth_bytes_of((struct berth_slice){ .data = client, .bytes = BERTH_CLIENT_ID_BYTES });

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SUBMIT;
    envelope.submit = &submit;
    return berth_wire_pack(&envelope, frame);
}

static void lengths_add(struct lengths *lengths, const struct berth_job_spec *spec)
{
    lengths->keys_bytes += berth_slice_of(spec->idempotency_key).bytes;
    lengths->groups_bytes += berth_slice_of(spec->group).bytes;
    lengths->uniques_bytes += berth_slice_of(spec->unique).bytes;
    lengths->after_ids += spec->after_count;
}

/* `arena` is the caller's to end, also after a failure. */
static int columns_fill(struct columns *columns, const struct berth_pack_jobs *parts,
                        size_t parts_count, struct berth_arena *arena)
{
    size_t count = 0;
    struct lengths lengths = { 0 };
    for (size_t p = 0; p < parts_count; p++) {
        count += parts[p].count;
        lengths.bodies_bytes += parts[p].bodies.bytes;
        for (size_t i = 0; i < parts[p].count; i++)
            lengths_add(&lengths, &parts[p].specs[i]);
    }
    berth_arena_init(arena, SUBMIT_ARENA_BYTES_MAX);
    *columns = (struct columns){ .count = 0 };
    int rc = columns_init(columns, count, &lengths, arena);
    for (size_t p = 0; rc == 0 && p < parts_count; p++)
        rc = columns_add_part(columns, &parts[p]);
    return rc;
}

int berth_pack_submit(const uint8_t client[static BERTH_CLIENT_ID_BYTES], uint64_t number,
                      const struct berth_pack_jobs *parts, size_t parts_count,
                      struct berth_buf *frame)
{
    struct berth_arena arena;
    struct columns columns;
    int rc = columns_fill(&columns, parts, parts_count, &arena);
    if (rc == 0)
        rc = columns_pack(&columns, client, number, frame);
    berth_arena_fini(&arena);
    return rc;
}

int berth_pack_children(const struct berth_pack_jobs *jobs, struct berth_buf *buf)
{
    struct berth_arena arena;
    struct columns columns;
    Berth__V1__Submit submit = BERTH__V1__SUBMIT__INIT;
    int rc = columns_fill(&columns, jobs, 1, &arena);
    if (rc == 0) {
        columns_put(&columns, &submit);
        rc = berth_buf_reserve(buf, berth__v1__submit__get_packed_size(&submit));
    }
    if (rc == 0)
        berth_buf_added(buf, berth__v1__submit__pack(&submit, (uint8_t *)buf->data + buf->bytes));
    berth_arena_fini(&arena);
    return rc;
}

static void put_schedule(const struct berth_pack_schedule *set, Berth__V1__ScheduleSet *message)
{
    static const uint32_t catch_ups[] = {
        [BERTH_CATCH_UP_ONE] = 0, [BERTH_CATCH_UP_NONE] = 1, [BERTH_CATCH_UP_ALL] = 2
    };
    const struct berth_schedule_settings *settings = set->settings;
    message->has_name = 1;
    message->name = berth_bytes_of(berth_slice_of(set->name));
    message->has_cron = settings->cron != NULL;
    message->cron = berth_bytes_of(berth_slice_of(settings->cron));
    message->has_tz = settings->tz != NULL;
    message->tz = berth_bytes_of(berth_slice_of(settings->tz));
    message->has_overlap = settings->overlap != 0;
    message->overlap = settings->overlap == BERTH_OVERLAP_QUEUE;
    message->has_catch_up = settings->catch_up != 0;
    message->catch_up = catch_ups[settings->catch_up];
    message->has_changed_by = set->changed_by[0] != '\0';
    message->changed_by = berth_bytes_of(berth_slice_of(set->changed_by));
}

int berth_pack_schedule_set(uint64_t number, const struct berth_pack_schedule *set,
                            struct berth_buf *frame)
{
    struct berth_arena arena;
    struct columns columns;
    Berth__V1__Submit submit = BERTH__V1__SUBMIT__INIT;
    Berth__V1__ScheduleSet message = BERTH__V1__SCHEDULE_SET__INIT;
    put_schedule(set, &message);
    int rc = columns_fill(&columns, &set->job, 1, &arena);
    if (rc == 0 && set->job.count) {
        columns_put(&columns, &submit);
        message.job = &submit;
    }
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_SET;
    envelope.schedule_set = &message;
    if (rc == 0)
        rc = berth_wire_pack(&envelope, frame);
    berth_arena_fini(&arena);
    return rc;
}

/* Ids are structs of one number, so that they can stand as they are. */
_Static_assert(sizeof(berth_job_id) == sizeof(uint64_t), "an id is its number");

/* protobuf-c has no const; what is packed is not written. */
static uint64_t *column_of_ids(const berth_job_id *ids)
{
    union {
        const berth_job_id *ids;
        uint64_t *column;
    } both = { .ids = ids };
    return both.column;
}

int berth_pack_wait(uint64_t number, const berth_job_id *ids, size_t count, struct berth_buf *frame)
{
    Berth__V1__JobWait wait = BERTH__V1__JOB_WAIT__INIT;
    wait.n_id = count;
    wait.id = column_of_ids(ids);

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_WAIT;
    envelope.job_wait = &wait;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_cancel(uint64_t number, berth_job_id id, bool is_forced, struct berth_buf *frame)
{
    Berth__V1__JobCancel cancel = BERTH__V1__JOB_CANCEL__INIT;
    cancel.n_id = 1;
    cancel.id = column_of_ids(&id);
    cancel.has_is_forced = cancel.is_forced = is_forced;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_CANCEL;
    envelope.job_cancel = &cancel;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_get(uint64_t number, berth_job_id id, struct berth_buf *frame)
{
    Berth__V1__JobGet get = BERTH__V1__JOB_GET__INIT;
    get.n_id = 1;
    get.id = column_of_ids(&id);

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_GET;
    envelope.job_get = &get;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_output(uint64_t number, const struct berth_output_place *place,
                      struct berth_buf *frame)
{
    Berth__V1__JobOutputGet get = BERTH__V1__JOB_OUTPUT_GET__INIT;
    get.has_id = get.has_attempt = get.has_out_from = get.has_err_from = 1;
    get.id = place->id.v;
    get.attempt = place->attempt;
    get.out_from = place->out_from;
    get.err_from = place->err_from;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_OUTPUT_GET;
    envelope.job_output_get = &get;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_list(uint64_t number, const struct berth_job_filter *filter, struct berth_buf *frame)
{
    Berth__V1__JobList list = BERTH__V1__JOB_LIST__INIT;
    list.has_dispatcher = filter->dispatcher != NULL;
    list.dispatcher = berth_bytes_of(berth_slice_of(filter->dispatcher));
    list.has_state = filter->state != 0;
    list.state = (Berth__V1__JobState)filter->state;
    list.has_after = filter->after.v != 0;
    list.after = filter->after.v;
    list.has_newest_first = filter->is_newest_first;
    list.newest_first = filter->is_newest_first;
    list.has_with_bodies = filter->with_bodies;
    list.with_bodies = filter->with_bodies;
    list.has_count_max = 1;
    list.count_max = filter->count_max < BERTH_JOBS_ANSWER_MAX ? (uint32_t)filter->count_max
                                                               : BERTH_JOBS_ANSWER_MAX;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_LIST;
    envelope.job_list = &list;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_dispatchers(uint64_t number, const char *name, struct berth_buf *frame)
{
    Berth__V1__DispatcherGet get = BERTH__V1__DISPATCHER_GET__INIT;
    get.has_name = name != NULL;
    get.name = berth_bytes_of(berth_slice_of(name));

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_GET;
    envelope.dispatcher_get = &get;
    return berth_wire_pack(&envelope, frame);
}

/* 0 leaves it as it is, BERTH_NONE is the value 0. */
static void give_ms(int64_t ms, protobuf_c_boolean *ret_has, uint64_t *ret_ms)
{
    *ret_has = ms != 0;
    *ret_ms = ms > 0 ? (uint64_t)ms : 0;
}

/* The same of a count. */
static void give_count(int64_t count, protobuf_c_boolean *ret_has, uint32_t *ret_count)
{
    *ret_has = count != 0;
    *ret_count = count > 0 ? (uint32_t)count : 0;
}

/* Of two words, counted from 1; 0 leaves it as it is. */
static void give_choice(int choice, protobuf_c_boolean *ret_has, uint32_t *ret_value)
{
    *ret_has = choice != 0;
    *ret_value = choice > 0 ? (uint32_t)choice - 1 : 0;
}

static void set_limits(const struct berth_dispatcher_settings *settings,
                       Berth__V1__DispatcherSet *set)
{
    set->has_parent = settings->parent != NULL;
    set->parent = berth_bytes_of(berth_slice_of(settings->parent));
    set->has_weight = settings->weight > 0;
    set->weight = settings->weight;
    give_count(settings->group_limit, &set->has_group_limit, &set->group_limit);
    give_ms(settings->rate_ms, &set->has_rate_ms, &set->rate_ms);
    set->has_rate_count = set->has_rate_ms;
    set->rate_count = set->rate_ms > 0 ? settings->rate_count : 0;
    give_count(settings->burst, &set->has_burst, &set->burst);
    give_count(settings->max_queued, &set->has_max_queued, &set->max_queued);
    give_choice((int)settings->hold, &set->has_hold, &set->hold);
    give_choice((int)settings->on_lost, &set->has_on_lost, &set->on_lost);
    set->has_no_jitter = settings->jitter != 0;
    set->no_jitter = settings->jitter == BERTH_JITTER_OFF;
    give_ms(settings->queue_timeout_ms, &set->has_queue_timeout_ms, &set->queue_timeout_ms);
    give_ms(settings->deadline_ms, &set->has_deadline_ms, &set->deadline_ms);
    give_ms(settings->retention_ms, &set->has_retention_ms, &set->retention_ms);
    give_ms(settings->retention_count, &set->has_retention_count, &set->retention_count);
}

int berth_pack_dispatcher_set(uint64_t number, const char *name,
                              const struct berth_dispatcher_settings *settings,
                              const char *changed_by, struct berth_buf *frame)
{
    Berth__V1__DispatcherSet set = BERTH__V1__DISPATCHER_SET__INIT;
    set.has_name = 1;
    set.name = berth_bytes_of(berth_slice_of(name));
    set.has_limit_kind = settings->limit.kind != 0;
    set.limit_kind = (Berth__V1__LimitKind)settings->limit.kind;
    set.has_limit_value =
        settings->limit.kind == BERTH_LIMIT_NUMBER || settings->limit.kind == BERTH_LIMIT_MAX_CORES;
    set.limit_value = settings->limit.value;
    set.has_max_attempts = settings->max_attempts > 0;
    set.max_attempts = settings->max_attempts;
    give_ms(settings->backoff_ms, &set.has_backoff_ms, &set.backoff_ms);
    give_ms(settings->backoff_ms_max, &set.has_backoff_max_ms, &set.backoff_max_ms);
    give_ms(settings->timeout_ms, &set.has_timeout_ms, &set.timeout_ms);
    give_ms(settings->grace_ms, &set.has_grace_ms, &set.grace_ms);
    set_limits(settings, &set);
    set.has_changed_by = changed_by[0] != '\0';
    set.changed_by = berth_bytes_of(berth_slice_of(changed_by));

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_SET;
    envelope.dispatcher_set = &set;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_dispatcher_pause(uint64_t number, const char *name, bool is_paused,
                                const char *changed_by, struct berth_buf *frame)
{
    Berth__V1__DispatcherPause pause = BERTH__V1__DISPATCHER_PAUSE__INIT;
    pause.has_name = pause.has_is_paused = 1;
    pause.name = berth_bytes_of(berth_slice_of(name));
    pause.is_paused = is_paused;
    pause.has_changed_by = changed_by[0] != '\0';
    pause.changed_by = berth_bytes_of(berth_slice_of(changed_by));

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PAUSE;
    envelope.dispatcher_pause = &pause;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_workers(uint64_t number, struct berth_buf *frame)
{
    Berth__V1__WorkerList list = BERTH__V1__WORKER_LIST__INIT;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_LIST;
    envelope.worker_list = &list;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_worker_gone(uint64_t number, const char *name, struct berth_buf *frame)
{
    Berth__V1__WorkerDeclareGone gone = BERTH__V1__WORKER_DECLARE_GONE__INIT;
    gone.has_name = 1;
    gone.name = berth_bytes_of(berth_slice_of(name));

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_DECLARE_GONE;
    envelope.worker_declare_gone = &gone;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_status(uint64_t number, struct berth_buf *frame)
{
    Berth__V1__BrokerStatusGet get = BERTH__V1__BROKER_STATUS_GET__INIT;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_BROKER_STATUS_GET;
    envelope.broker_status_get = &get;
    return berth_wire_pack(&envelope, frame);
}

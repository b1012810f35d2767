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
/* A Submit's columns: eight of at most 8 bytes a job, the names, and the joined bodies and keys. */
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
};

static int columns_init(struct columns *columns, size_t count, size_t keys_bytes,
                        size_t bodies_bytes, struct berth_arena *arena)
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
    columns->keys = berth_arena_alloc(arena, keys_bytes);
    columns->bodies = berth_arena_alloc(arena, bodies_bytes);
    bool is_complete = columns->dispatcher && columns->handler && columns->max_attempts &&
                       columns->key_bytes && columns->body_bytes && columns->priority &&
                       columns->timeout_ms && columns->keys && columns->bodies;
    return rc < 0 || is_complete ? rc : -ENOMEM;
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
    struct berth_slice key = berth_slice_of(spec->idempotency_key);
    size_t at = columns->count++;
    columns->dispatcher[at] = (uint32_t)dispatcher_at;
    columns->handler[at] = (uint32_t)handler_at;
    columns->max_attempts[at] = spec->max_attempts;
    columns->priority[at] = spec->priority;
    columns->timeout_ms[at] = (uint64_t)spec->timeout_ms;
    columns->key_bytes[at] = (uint32_t)key.bytes;
    columns->body_bytes[at] = body_bytes;
    if (key.bytes > 0)
        memcpy(columns->keys + columns->keys_bytes, key.data, key.bytes);
    columns->keys_bytes += key.bytes;
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

static int columns_pack(const struct columns *columns, const uint8_t *client, uint64_t number,
                        struct berth_buf *frame)
{
    size_t count = columns->count;
    Berth__V1__Submit submit = BERTH__V1__SUBMIT__INIT;
    submit.has_client = submit.has_bodies = 1;
    submit.client =
        berth_bytes_of((struct berth_slice){ .data = client, .bytes = BERTH_CLIENT_ID_BYTES });
    submit.n_dispatchers = columns->dispatchers.count;
    submit.dispatchers = columns->dispatchers.items;
    submit.n_handlers = columns->handlers.count;
    submit.handlers = columns->handlers.items;
    submit.n_dispatcher = berth_column_trim_u32(columns->dispatcher, count);
    submit.dispatcher = columns->dispatcher;
    submit.n_handler = berth_column_trim_u32(columns->handler, count);
    submit.handler = columns->handler;
    submit.n_priority = berth_column_trim_s32(columns->priority, count);
    submit.priority = columns->priority;
    submit.n_max_attempts = berth_column_trim_u32(columns->max_attempts, count);
    submit.max_attempts = columns->max_attempts;
    submit.n_timeout_ms = berth_column_trim_u64(columns->timeout_ms, count);
    submit.timeout_ms = columns->timeout_ms;
    submit.n_key_bytes = berth_column_trim_u32(columns->key_bytes, count);
    submit.key_bytes = columns->key_bytes;
    submit.has_keys = columns->keys_bytes > 0;
    submit.keys = (ProtobufCBinaryData){ .len = columns->keys_bytes, .data = columns->keys };
    submit.n_body_bytes = count; /* it says how many jobs there are */
    submit.body_bytes = columns->body_bytes;
    submit.bodies = (ProtobufCBinaryData){ .len = columns->bodies_bytes, .data = columns->bodies };

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SUBMIT;
    envelope.submit = &submit;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_submit(const uint8_t client[static BERTH_CLIENT_ID_BYTES], uint64_t number,
                      const struct berth_pack_jobs *parts, size_t parts_count,
                      struct berth_buf *frame)
{
    size_t count = 0, keys_bytes = 0, bodies_bytes = 0;
    for (size_t p = 0; p < parts_count; p++) {
        count += parts[p].count;
        bodies_bytes += parts[p].bodies.bytes;
        for (size_t i = 0; i < parts[p].count; i++)
            keys_bytes += berth_slice_of(parts[p].specs[i].idempotency_key).bytes;
    }
    struct berth_arena arena;
    berth_arena_init(&arena, SUBMIT_ARENA_BYTES_MAX);
    struct columns columns = { .count = 0 };
    int rc = columns_init(&columns, count, keys_bytes, bodies_bytes, &arena);
    for (size_t p = 0; rc == 0 && p < parts_count; p++)
        rc = columns_add_part(&columns, &parts[p]);
    if (rc == 0)
        rc = columns_pack(&columns, client, number, frame);
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

int berth_pack_cancel(uint64_t number, berth_job_id id, struct berth_buf *frame)
{
    Berth__V1__JobCancel cancel = BERTH__V1__JOB_CANCEL__INIT;
    cancel.n_id = 1;
    cancel.id = column_of_ids(&id);

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

int berth_pack_dispatcher_set(uint64_t number, const char *name,
                              const struct berth_dispatcher_settings *settings,
                              struct berth_buf *frame)
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

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_SET;
    envelope.dispatcher_set = &set;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_dispatcher_pause(uint64_t number, const char *name, bool is_paused,
                                struct berth_buf *frame)
{
    Berth__V1__DispatcherPause pause = BERTH__V1__DISPATCHER_PAUSE__INIT;
    pause.has_name = pause.has_is_paused = 1;
    pause.name = berth_bytes_of(berth_slice_of(name));
    pause.is_paused = is_paused;

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

int berth_pack_status(uint64_t number, struct berth_buf *frame)
{
    Berth__V1__BrokerStatusGet get = BERTH__V1__BROKER_STATUS_GET__INIT;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_BROKER_STATUS_GET;
    envelope.broker_status_get = &get;
    return berth_wire_pack(&envelope, frame);
}

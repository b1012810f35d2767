/* SPDX-License-Identifier: MIT
 *
 * Body and Result. The same checks stand before packing and after unpacking; only the code that
 * they fail with differs: what a caller gave is BERTH_EVALUE, what came over the wire is
 * BERTH_EPROTO.
 */
#include "proto/body.h"

#include <errno.h>
#include <string.h>

#include <berth/v1/job.pb-c.h>

#include "base/assert.h"
#include "base/text.h"
#include "proto/columns.h"
#include "proto/scan.h"
#include "proto/unpack.h"

#define UNKNOWN_FIELDS_MAX 64 /* of a newer minor version */

static int size_check(const char *field, size_t bytes, size_t bytes_max, struct berth_error *err)
{
    if (bytes <= bytes_max)
        return 0;
    return berth_fail(err, -EMSGSIZE, "%s of %zu bytes; allowed are %zu", field, bytes, bytes_max);
}

static int count_check(const char *field, size_t count, size_t count_max, struct berth_error *err)
{
    if (count <= count_max)
        return 0;
    return berth_fail(err, -EMSGSIZE, "%s has %zu entries; allowed are %zu", field, count,
                      count_max);
}

static int argv_check(const struct berth_body *body, int code, struct berth_error *err)
{
    int rc = count_check("argv", body->argv_count, BERTH_ARGV_COUNT_MAX, err);
    if (rc < 0)
        return rc;
    if (body->argv_count > 0 && *body->argv[0] == '\0')
        return berth_fail(err, code, "argv: the command is empty");
    return 0;
}

static bool context_has_before(const struct berth_body *body, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(body->context[i].key, body->context[index].key) == 0)
            return true;
    return false;
}

static int context_field_check(const struct berth_body *body, size_t index, int code,
                               struct berth_error *err)
{
    const struct berth_field *field = &body->context[index];
    struct berth_slice key = berth_slice_of(field->key), value = berth_slice_of(field->value);
    if (!berth_utf8_is_valid(key))
        return berth_fail(err, code, "context: the key of field %zu is not valid UTF-8", index);
    if (key.bytes < 1 || key.bytes > BERTH_KEY_BYTES_MAX)
        return berth_fail(err, code, "context: key '%.30s' has %zu bytes; allowed are 1 to %d",
                          key.bytes > 0 ? field->key : "", key.bytes, BERTH_KEY_BYTES_MAX);
    if (!berth_utf8_is_valid(value))
        return berth_fail(err, code, "context: the value of '%.60s' is not valid UTF-8",
                          field->key);
    if (context_has_before(body, index))
        return berth_fail(err, code, "context: '%.60s' stands twice", field->key);
    return 0;
}

static int context_check(const struct berth_body *body, int code, struct berth_error *err)
{
    int rc = count_check("context", body->context_count, BERTH_CONTEXT_COUNT_MAX, err);
    size_t bytes = 0;
    for (size_t i = 0; rc == 0 && i < body->context_count; i++) {
        bytes += berth_slice_of(body->context[i].key).bytes +
                 berth_slice_of(body->context[i].value).bytes;
        rc = context_field_check(body, i, code, err);
    }
    return rc < 0 ? rc : size_check("context", bytes, BERTH_CONTEXT_BYTES_MAX, err);
}

static int body_check(const struct berth_body *body, int code, struct berth_error *err)
{
    int rc = size_check("payload", body->payload.bytes, BERTH_PAYLOAD_BYTES_MAX, err);
    if (rc == 0)
        rc = argv_check(body, code, err);
    if (rc == 0)
        rc = context_check(body, code, err);
    if (rc == 0 && body->line)
        rc = size_check("line", strlen(body->line), BERTH_LINE_BYTES_MAX, err);
    return rc;
}

/* Appends a message whose size is known to be bounded. */
static int message_append(const ProtobufCMessage *message, const char *what, size_t bytes_max,
                          struct berth_buf *buf, struct berth_error *err)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    int rc = size_check(what, bytes, bytes_max, err);
    if (rc < 0)
        return rc;
    rc = berth_buf_reserve(buf, bytes);
    if (rc < 0)
        return berth_fail(err, rc, "pack a %s of %zu bytes", what, bytes);
    berth_buf_added(buf, protobuf_c_message_pack(message, (uint8_t *)buf->data + buf->bytes));
    return 0;
}

int berth_body_pack(const struct berth_body *body, struct berth_buf *buf, struct berth_error *err)
{
    int rc = body_check(body, BERTH_EVALUE, err);
    if (rc < 0)
        return rc;
    ProtobufCBinaryData keys[BERTH_CONTEXT_COUNT_MAX], values[BERTH_CONTEXT_COUNT_MAX];
    for (size_t i = 0; i < body->context_count; i++) {
        keys[i] = berth_bytes_of(berth_slice_of(body->context[i].key));
        values[i] = berth_bytes_of(berth_slice_of(body->context[i].value));
    }
    BERTH_AUTO_MEM ProtobufCBinaryData *argv = calloc(body->argv_count + 1, sizeof *argv);
    if (!argv)
        return berth_fail(err, -ENOMEM, "pack a body");
    for (size_t i = 0; i < body->argv_count; i++)
        argv[i] = berth_bytes_of(berth_slice_of(body->argv[i]));

    Berth__V1__Body message = BERTH__V1__BODY__INIT;
    message.n_argv = body->argv_count;
    message.argv = argv;
    message.has_payload = body->payload.bytes > 0;
    message.payload = berth_bytes_of(body->payload);
    message.n_context_key = message.n_context_value = body->context_count;
    message.context_key = keys;
    message.context_value = values;
    message.has_array_index = body->has_array_index;
    message.array_index = body->array_index;
    message.has_line = body->line != NULL;
    message.line = berth_bytes_of(berth_slice_of(body->line));
    return message_append(&message.base, "body", BERTH_BODY_BYTES_MAX, buf, err);
}

/* What is no such message, or has more fields than could be allowed, is refused before memory is
 * taken for it. */
static int open_message(const ProtobufCMessageDescriptor *descriptor, struct berth_slice packed,
                        size_t fields_max, struct berth_arena *arena, ProtobufCMessage **ret,
                        struct berth_error *err)
{
    int64_t count = berth_scan_fields(packed);
    if (count >= 0 && (uint64_t)count > fields_max)
        return berth_fail(err, -EMSGSIZE, "%s has %lld fields; allowed are %zu",
                          descriptor->short_name, (long long)count, fields_max);
    int rc = count < 0 ? BERTH_EPROTO
                       : berth_unpack(descriptor, packed, BERTH_WIRE_BUDGET_MAX, arena, ret);
    if (rc < 0)
        return berth_fail(err, rc, "%zu bytes are not a %s", packed.bytes, descriptor->short_name);
    return 0;
}

/* A copy with a NUL behind it; the bytes may hold none. */
static int text_take(struct berth_arena *arena, const char *field, ProtobufCBinaryData bytes,
                     const char **ret_text, struct berth_error *err)
{
    if (bytes.len > 0 && memchr(bytes.data, '\0', bytes.len))
        return berth_fail(err, BERTH_EPROTO, "%s: a NUL is not allowed", field);
    const char *text = berth_arena_strndup(arena, (const char *)bytes.data, bytes.len);
    if (!text)
        return berth_fail(err, -ENOMEM, "open a body");
    *ret_text = text;
    return 0;
}

static int argv_take(const Berth__V1__Body *message, struct berth_arena *arena,
                     struct berth_body *body, struct berth_error *err)
{
    const char **argv = berth_arena_alloc_array(arena, message->n_argv + 1, sizeof *argv);
    if (!argv)
        return berth_fail(err, -ENOMEM, "open a body");
    for (size_t i = 0; i < message->n_argv; i++) {
        int rc = text_take(arena, "argv", message->argv[i], &argv[i], err);
        if (rc < 0)
            return rc;
    }
    argv[message->n_argv] = NULL;
    body->argv = message->n_argv > 0 ? argv : NULL;
    body->argv_count = message->n_argv;
    return 0;
}

static int context_take(const Berth__V1__Body *message, struct berth_arena *arena,
                        struct berth_body *body, struct berth_error *err)
{
    size_t count = message->n_context_key;
    if (count != message->n_context_value)
        return berth_fail(err, BERTH_EPROTO, "context has %zu keys and %zu values", count,
                          message->n_context_value);
    struct berth_field *fields = berth_arena_alloc_array(arena, count, sizeof *fields);
    if (!fields)
        return berth_fail(err, -ENOMEM, "open a body");
    for (size_t i = 0; i < count; i++) {
        int rc = text_take(arena, "context", message->context_key[i], &fields[i].key, err);
        if (rc == 0)
            rc = text_take(arena, "context", message->context_value[i], &fields[i].value, err);
        if (rc < 0)
            return rc;
    }
    body->context = fields;
    body->context_count = count;
    return 0;
}

int berth_body_unpack(struct berth_slice packed, struct berth_arena *arena,
                      struct berth_body *ret_body, struct berth_error *err)
{
    int rc = size_check("body", packed.bytes, BERTH_BODY_BYTES_MAX, err);
    if (rc < 0)
        return rc;
    ProtobufCMessage *base = NULL;
    rc = open_message(&berth__v1__body__descriptor, packed,
                      BERTH_ARGV_COUNT_MAX + 2 * BERTH_CONTEXT_COUNT_MAX + UNKNOWN_FIELDS_MAX,
                      arena, &base, err);
    if (rc < 0)
        return rc;
    BERTH_ASSERT(base);
    const Berth__V1__Body *message = (const Berth__V1__Body *)base;
    struct berth_body body = { .payload = berth_slice_from(message->payload),
                               .has_array_index = message->has_array_index,
                               .array_index = message->array_index };
    rc = argv_take(message, arena, &body, err);
    if (rc == 0)
        rc = context_take(message, arena, &body, err);
    if (rc == 0 && message->has_line)
        rc = text_take(arena, "line", message->line, &body.line, err);
    if (rc == 0)
        rc = body_check(&body, BERTH_EPROTO, err);
    if (rc < 0)
        return rc;
    *ret_body = body;
    return 0;
}

static int result_check(const struct berth_result *result, struct berth_error *err)
{
    int rc = size_check("out", result->out.bytes, BERTH_OUTPUT_BYTES_MAX, err);
    if (rc == 0)
        rc = size_check("err", result->err.bytes, BERTH_OUTPUT_BYTES_MAX, err);
    if (rc == 0)
        rc = size_check("payload", result->payload.bytes, BERTH_PAYLOAD_BYTES_MAX, err);
    return rc;
}

int berth_result_pack(const struct berth_result *result, struct berth_buf *buf,
                      struct berth_error *err)
{
    int rc = result_check(result, err);
    if (rc < 0)
        return rc;
    Berth__V1__Result message = BERTH__V1__RESULT__INIT;
    message.has_exit_code = result->has_exit_code;
    message.exit_code = result->exit_code;
    message.has_out = result->out.bytes > 0;
    message.out = berth_bytes_of(result->out);
    message.has_err = result->err.bytes > 0;
    message.err = berth_bytes_of(result->err);
    message.has_out_truncated = message.out_truncated = result->out_truncated;
    message.has_err_truncated = message.err_truncated = result->err_truncated;
    message.has_payload = result->payload.bytes > 0;
    message.payload = berth_bytes_of(result->payload);
    message.has_out_from = result->out_from > 0;
    message.out_from = result->out_from;
    message.has_err_from = result->err_from > 0;
    message.err_from = result->err_from;
    message.has_done = result->has_progress;
    message.done = result->done;
    message.has_total = result->total > 0;
    message.total = result->total;
    return message_append(&message.base, "result", BERTH_RESULT_BYTES_MAX, buf, err);
}

int berth_result_unpack(struct berth_slice packed, struct berth_arena *arena,
                        struct berth_result *ret_result, struct berth_error *err)
{
    int rc = size_check("result", packed.bytes, BERTH_RESULT_BYTES_MAX, err);
    if (rc < 0)
        return rc;
    ProtobufCMessage *base = NULL;
    rc =
        open_message(&berth__v1__result__descriptor, packed, UNKNOWN_FIELDS_MAX, arena, &base, err);
    if (rc < 0)
        return rc;
    BERTH_ASSERT(base);
    const Berth__V1__Result *message = (const Berth__V1__Result *)base;
    struct berth_result result = {
        .has_exit_code = message->has_exit_code,
        .exit_code = message->exit_code,
        .out = berth_slice_from(message->out),
        .err = berth_slice_from(message->err),
        .out_truncated = message->out_truncated,
        .err_truncated = message->err_truncated,
        .payload = berth_slice_from(message->payload),
        .out_from = message->out_from,
        .err_from = message->err_from,
        .has_progress = message->has_done,
        .done = message->done,
        .total = message->total,
    };
    rc = result_check(&result, err);
    if (rc < 0)
        return rc;
    *ret_result = result;
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a frame, and as a body and a result: taken or refused with a sentence, never worse.
 * What is taken stays within the budget, keeps its meaning when it is packed again, and once valid
 * can be read through columns.h, which asserts.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "proto/body.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"

/* Where an arena's chunks are larger than what was asked for. */
#define CHUNK_SLACK_BYTES (2u << 20)

static void read_spans(const uint32_t *lengths, size_t length_count, ProtobufCBinaryData bytes,
                       size_t count)
{
    struct berth_spans spans = berth_spans_of(lengths, length_count, bytes);
    for (size_t i = 0; i < count; i++)
        (void)berth_spans_next(&spans);
    BERTH_ASSERT(spans.offset == bytes.len);
}

/* The messages with columns, as a translate.c reads them. */
static void read_columns(const Berth__V1__Envelope *envelope)
{
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_SUBMIT) {
        const Berth__V1__Submit *submit = envelope->submit;
        size_t count = submit->n_body_bytes;
        BERTH_ASSERT(count >= 1 && count <= BERTH_SUBMIT_JOBS_MAX);
        for (size_t i = 0; i < count; i++) {
            uint32_t d = berth_column_u32(submit->dispatcher, submit->n_dispatcher, i);
            uint32_t h = berth_column_u32(submit->handler, submit->n_handler, i);
            BERTH_ASSERT(berth_name_slice_is_valid(berth_slice_from(submit->dispatchers[d])));
            BERTH_ASSERT(berth_name_slice_is_valid(berth_slice_from(submit->handlers[h])));
        }
        read_spans(submit->key_bytes, submit->n_key_bytes, submit->keys, count);
        read_spans(submit->body_bytes, submit->n_body_bytes, submit->bodies, count);
    }
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_WORKER_ORDERS) {
        const Berth__V1__WorkerOrders *orders = envelope->worker_orders;
        for (size_t i = 0; i < orders->n_grant_attempt; i++)
            BERTH_ASSERT(berth_column_u32(orders->grant_handler, orders->n_grant_handler, i) <
                         orders->n_handlers);
        read_spans(orders->grant_body_bytes, orders->n_grant_body_bytes, orders->grant_bodies,
                   orders->n_grant_attempt);
    }
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_WORKER_REPORTS &&
        envelope->worker_reports->ends) {
        const Berth__V1__Ends *ends = envelope->worker_reports->ends;
        size_t count = envelope->worker_reports->n_attempt;
        for (size_t i = 0; i < count; i++)
            BERTH_ASSERT(berth_column_u32(ends->kind, ends->n_kind, i) <= ends->n_kinds);
        read_spans(ends->message_bytes, ends->n_message_bytes, ends->messages, count);
        read_spans(ends->result_bytes, ends->n_result_bytes, ends->results, count);
    }
}

static void check_error(int rc, const struct berth_error *err)
{
    BERTH_ASSERT(rc < 0);
    BERTH_ASSERT(err->code == rc);
    BERTH_ASSERT(err->message[0] != '\0');
    BERTH_ASSERT(memchr(err->message, '\0', sizeof err->message));
}

static void check_pack(const Berth__V1__Envelope *envelope, struct berth_arena *arena)
{
    struct berth_buf buf;
    Berth__V1__Envelope *again;
    berth_buf_init(&buf, BERTH_FRAME_BYTES_MAX);
    if (berth_wire_pack(envelope, &buf) == 0) {
        BERTH_ASSERT(berth_wire_unpack(berth_buf_slice(&buf), arena, &again, NULL) == 0);
        BERTH_ASSERT(again->message_case == envelope->message_case);
        BERTH_ASSERT(again->request == envelope->request);
    }
    berth_buf_fini(&buf);
}

static void try_frame(struct berth_slice frame, struct berth_arena *arena)
{
    struct berth_error err = { .code = 0 };
    Berth__V1__Envelope *envelope;
    int rc = berth_wire_unpack(frame, arena, &envelope, &err);
    BERTH_ASSERT(arena->chunk_bytes <= berth_wire_budget(frame.bytes) + CHUNK_SLACK_BYTES);
    if (rc < 0) {
        check_error(rc, &err);
        return;
    }
    BERTH_ASSERT(berth_wire_head(frame).request == envelope->request);
    for (int side = BERTH_SIDE_BROKER; side <= BERTH_SIDE_CLIENT; side++) {
        const char *field = NULL;
        rc = berth_validate(envelope, (enum berth_side)side, &err, &field);
        if (rc < 0)
            check_error(rc, &err);
        else
            read_columns(envelope);
    }
    check_pack(envelope, arena);
}

static void try_inside(struct berth_slice bytes, struct berth_arena *arena)
{
    struct berth_body body;
    struct berth_result result;
    struct berth_error err = { .code = 0 };
    struct berth_buf buf;
    berth_buf_init(&buf, BERTH_RESULT_BYTES_MAX);
    int rc = berth_body_unpack(bytes, arena, &body, &err);
    if (rc < 0)
        check_error(rc, &err);
    else
        BERTH_ASSERT(berth_body_pack(&body, &buf, NULL) == 0);
    berth_buf_clear(&buf);
    rc = berth_result_unpack(bytes, arena, &result, &err);
    if (rc < 0)
        check_error(rc, &err);
    else
        BERTH_ASSERT(berth_result_pack(&result, &buf, NULL) == 0);
    berth_buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct berth_arena arena;
    berth_arena_init(&arena, (size_t)2 * BERTH_WIRE_BUDGET_MAX);
    try_frame((struct berth_slice){ data, bytes }, &arena);
    berth_arena_reset(&arena);
    try_inside((struct berth_slice){ data, bytes }, &arena);
    berth_arena_fini(&arena);
    return 0;
}

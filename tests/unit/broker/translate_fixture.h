/* SPDX-License-Identifier: MIT */
/* Frames in and out of the broker's translation, for its tests. */
#pragma once

#include "support/berthtest.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "broker/net/translate.h"
#include "proto/validate.h"
#include "proto/wire.h"

#define SESSION(n) ((UINT64_C(3) << 40) + (n))
#define PEER       7
#define REQUEST    42

struct fixture {
    struct berth_translate *translate;
    struct berth_arena arena; /* of what went out */
    struct berth_buf frame;   /* to come in */
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->translate = berth_translate_new(
        &(struct berth_translate_opts){ .epoch = 3, .software = "berthd test" });
    berth_arena_init(&f->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&f->frame, BERTH_FRAME_BYTES_MAX);
    *state = f;
    return f->translate ? 0 : -1;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    berth_translate_free(f->translate);
    berth_arena_fini(&f->arena);
    berth_buf_fini(&f->frame);
    free(f);
    return 0;
}

static inline ProtobufCBinaryData bytes(const char *text)
{
    return (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)text, .len = strlen(text) };
}

static inline void assert_slice(struct berth_slice slice, const char *text)
{
    assert_int_equal(slice.bytes, strlen(text));
    assert_memory_equal(slice.data, text, slice.bytes);
}

static inline void assert_bytes(ProtobufCBinaryData data, const char *text)
{
    assert_slice((struct berth_slice){ .data = data.data, .bytes = data.len }, text);
}

#define ID16 "0123456789abcdef"

/* An envelope with one message in it: ENVELOPE(&e, SUBMIT, submit, &message). */
#define ENVELOPE(e, CASE, member_, message_)                                                       \
    (berth_wire_init(e, REQUEST), (e)->message_case = BERTH__V1__ENVELOPE__MESSAGE_##CASE,         \
     (e)->member_ = (message_))

/* The frame comes in. */
static inline enum berth_translated take_frame(struct fixture *f, struct berth_slice frame,
                                               struct berth_event *ret_event,
                                               struct berth_slice *ret_answer)
{
    const struct berth_incoming incoming = { .peer = PEER, .frame = frame, .frame_count = 1 };
    return berth_translate_in(f->translate, &incoming, ret_event, ret_answer);
}

static inline struct berth_slice packed(struct fixture *f, const Berth__V1__Envelope *envelope)
{
    berth_buf_clear(&f->frame);
    assert_int_equal(berth_wire_pack(envelope, &f->frame), 0);
    return berth_buf_slice(&f->frame);
}

static inline struct berth_event taken(struct fixture *f, const Berth__V1__Envelope *envelope)
{
    struct berth_event event;
    struct berth_slice answer;
    enum berth_translated got = take_frame(f, packed(f, envelope), &event, &answer);
    assert_int_equal(got, BERTH_TRANSLATED_EVENT);
    return event;
}

/* What the receiver reads: a frame that is well-formed and valid for its side. */
static inline Berth__V1__Envelope *opened(struct fixture *f, struct berth_slice frame,
                                          enum berth_side side)
{
    Berth__V1__Envelope *envelope;
    struct berth_error err = { 0 };
    berth_arena_reset(&f->arena);
    if (berth_wire_unpack(frame, &f->arena, &envelope, &err) < 0 ||
        berth_validate(envelope, side, &err, NULL) < 0)
        fail_msg("%s", err.message);
    return envelope;
}

static inline Berth__V1__Envelope *sent(struct fixture *f, const struct berth_effect *effect,
                                        enum berth_side side)
{
    struct berth_slice frame;
    assert_int_equal(berth_translate_out(f->translate, effect, 4096, &frame), 0);
    return opened(f, frame, side);
}

/* One job, and nothing that could be left out. */
struct least {
    Berth__V1__Submit m;
    ProtobufCBinaryData dispatcher, handler;
    uint32_t body_bytes;
};

static inline Berth__V1__Submit *least_submit(struct least *least)
{
    berth__v1__submit__init(&least->m);
    least->dispatcher = bytes("default");
    least->handler = bytes("exec");
    least->body_bytes = 2;
    least->m.has_client = least->m.has_bodies = 1;
    least->m.client = bytes(ID16);
    least->m.n_dispatchers = least->m.n_handlers = least->m.n_body_bytes = 1;
    least->m.dispatchers = &least->dispatcher;
    least->m.handlers = &least->handler;
    least->m.body_bytes = &least->body_bytes;
    least->m.bodies = bytes("bb");
    return &least->m;
}

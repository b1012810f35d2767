/* SPDX-License-Identifier: MIT */
/* Samples of messages that are changed in one place, and then taken or refused. */
#pragma once

#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"
#include "samples.h"

struct fixture {
    struct berth_arena arena;
    struct berth_buf buf;
    struct berth_error err;
    const char *field;
    enum berth_side receiver;
    Berth__V1__Envelope *envelope;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_arena_init(&f->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&f->buf, BERTH_FRAME_BYTES_MAX);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_buf_fini(&f->buf);
    free(f);
    return 0;
}

/* A copy of the sample in memory that may be written. */
static inline Berth__V1__Envelope *given(struct fixture *f, const char *name)
{
    const struct sample *sample = sample_get(name);
    berth_buf_clear(&f->buf);
    berth_arena_reset(&f->arena);
    assert_ok(berth_wire_pack(&sample->envelope, &f->buf));
    assert_ok(berth_wire_unpack(berth_buf_slice(&f->buf), &f->arena, &f->envelope, &f->err));
    f->receiver = sample->receiver;
    return f->envelope;
}

static inline int validate(struct fixture *f)
{
    f->err = (struct berth_error){ 0 };
    f->field = "untouched";
    return berth_validate(f->envelope, f->receiver, &f->err, &f->field);
}

static inline void assert_taken(struct fixture *f, int line)
{
    int rc = validate(f);
    if (rc < 0)
        fail_msg("line %d: refused: %s", line, f->err.message);
    assert_string_equal(f->field, "untouched");
}

static inline void assert_refused(struct fixture *f, int rc_wanted, const char *field,
                                  const char *says, int line)
{
    int rc = validate(f);
    if (rc != rc_wanted || !f->field || strcmp(f->field, field) != 0 ||
        strcmp(f->err.message, says) != 0)
        fail_msg("line %d: %d, field '%s': %s", line, rc, f->field ? f->field : "", f->err.message);
}

/* `change` is made to a fresh sample, which is `m`. */
#define TAKEN(kind, change)                                                                        \
    do {                                                                                           \
        __typeof__(((Berth__V1__Envelope *)0)->kind) m = given(f, #kind)->kind;                    \
        change;                                                                                    \
        (void)m;                                                                                   \
        assert_taken(f, __LINE__);                                                                 \
    } while (0)
#define REFUSED_AS(rc, kind, change, field, says)                                                  \
    do {                                                                                           \
        __typeof__(((Berth__V1__Envelope *)0)->kind) m = given(f, #kind)->kind;                    \
        change;                                                                                    \
        (void)m;                                                                                   \
        assert_refused(f, rc, field, says, __LINE__);                                              \
    } while (0)
#define REFUSED(kind, change, field, says)   REFUSED_AS(BERTH_EPROTO, kind, change, field, says)
#define TOO_LARGE(kind, change, field, says) REFUSED_AS(-EMSGSIZE, kind, change, field, says)

#define NOT_A_NAME                                                                                 \
    " is not a name; allowed are 1 to 64 letters, digits and . _ -, the first a letter or digit"
#define TOO_LONG ": Message too long"

static inline void set_bytes(struct fixture *f, ProtobufCBinaryData *bytes, const void *data,
                             size_t count)
{
    bytes->data = berth_arena_memdup(&f->arena, data, count);
    assert_non_null(bytes->data);
    bytes->len = count;
}
#define SET_BYTES(bytes, text) set_bytes(f, &(bytes), text, sizeof(text) - 1)

static inline void *zeros(struct fixture *f, size_t count, size_t element_bytes)
{
    void *memory = berth_arena_zalloc(&f->arena, count * element_bytes);
    assert_non_null(memory);
    return memory;
}

static inline uint64_t *ones(struct fixture *f, size_t count)
{
    uint64_t *memory = zeros(f, count, sizeof *memory);
    for (size_t i = 0; i < count; i++)
        memory[i] = 1;
    return memory;
}

/* SPDX-License-Identifier: MIT
 *
 * Frames: what is taken, what is refused and with which words, and what it may cost.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "proto/scan.h"
#include "proto/unpack.h"
#include "proto/wire.h"
#include "samples.h"

#define GARBAGE_ROUNDS 20000
#define GARBAGE_BYTES  300
#define HURT_ROUNDS    400 /* for each message */

struct fixture {
    struct berth_arena arena;
    struct berth_buf buf;
    struct berth_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_arena_init(&f->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&f->buf, (size_t)2 * BERTH_FRAME_BYTES_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_buf_fini(&f->buf);
    free(f);
    return 0;
}

static struct berth_slice given_frame(struct fixture *f, const struct sample *sample)
{
    berth_buf_clear(&f->buf);
    assert_ok(berth_wire_pack(&sample->envelope, &f->buf));
    return berth_buf_slice(&f->buf);
}

static struct berth_slice given_bytes(struct fixture *f, const char *bytes, size_t count)
{
    berth_buf_clear(&f->buf);
    assert_ok(berth_buf_append(&f->buf, bytes, count));
    return berth_buf_slice(&f->buf);
}
#define GIVEN(f, text) given_bytes(f, text, sizeof(text) - 1)

static int unpack(struct fixture *f, struct berth_slice frame)
{
    Berth__V1__Envelope *envelope = NULL;
    f->err = (struct berth_error){ 0 };
    berth_arena_reset(&f->arena);
    int rc = berth_wire_unpack(frame, &f->arena, &envelope, &f->err);
    assert_int_equal(rc == 0, envelope != NULL);
    return rc;
}

static void assert_refused(struct fixture *f, struct berth_slice frame, int rc, const char *says)
{
    assert_rc(unpack(f, frame), rc);
    assert_int_equal(f->err.code, rc);
    assert_string_equal(f->err.message, says);
}

static void every_message_packs_and_unpacks_to_itself(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sample_count; i++) {
        struct berth_slice frame = given_frame(f, &samples[i]);
        Berth__V1__Envelope *envelope;
        berth_arena_reset(&f->arena);
        assert_ok(berth_wire_unpack(frame, &f->arena, &envelope, &f->err));
        assert_int_equal(envelope->message_case, samples[i].envelope.message_case);

        struct berth_buf again;
        berth_buf_init(&again, BERTH_FRAME_BYTES_MAX);
        assert_ok(berth_wire_pack(envelope, &again));
        assert_int_equal(again.bytes, frame.bytes);
        assert_memory_equal(again.data, frame.data, frame.bytes);
        berth_buf_fini(&again);
    }
}

static bool has_sample(uint32_t message_case)
{
    for (size_t i = 0; i < sample_count; i++)
        if ((uint32_t)samples[i].envelope.message_case == message_case)
            return true;
    return false;
}

static void every_message_of_the_schema_has_a_sample(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *envelope = &berth__v1__envelope__descriptor;
    for (unsigned i = 0; i < envelope->n_fields; i++)
        if (envelope->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
            !has_sample(envelope->fields[i].id))
            fail_msg("no sample of %s", envelope->fields[i].name);
}

static void message_is_called_as_in_the_schema(void **state)
{
    (void)state;
    assert_string_equal(berth_wire_name(&sample_get("job_wait")->envelope), "job_wait");
    assert_string_equal(berth_wire_name(&sample_get("worker_gone_ok")->envelope), "worker_gone_ok");
}

static void pack_appends_behind_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct berth_slice frame = given_frame(f, sample_get("job_wait"));
    size_t bytes = frame.bytes;
    assert_ok(berth_wire_pack(&sample_get("job_wait")->envelope, &f->buf));
    assert_int_equal(f->buf.bytes, 2 * bytes);
    assert_memory_equal(f->buf.data, f->buf.data + bytes, bytes);
}

static void init_sets_version_and_request(void **state)
{
    (void)state;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 9);
    assert_int_equal(envelope.version, BERTH_PROTOCOL_VERSION);
    assert_int_equal(envelope.request, 9);
    assert_string_equal(berth_wire_name(&envelope), "nothing");
    berth_wire_init(&envelope, 0);
    assert_false(envelope.has_request);
}

static void frame_cut_at_any_byte_is_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sample_count; i++) {
        struct berth_slice frame = given_frame(f, &samples[i]);
        for (size_t bytes = 0; bytes < frame.bytes; bytes++) {
            /* In memory of its own, so that a sanitizer sees one byte too many. */
            uint8_t *cut = malloc(bytes + 1);
            assert_non_null(cut);
            memcpy(cut, frame.data, bytes);
            assert_rc(unpack(f, (struct berth_slice){ cut, bytes }), BERTH_EPROTO);
            free(cut);
        }
    }
}

static void what_is_no_message_is_refused_in_plain_words(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, GIVEN(f, "GET / HTTP/1.1\r\n\r"), BERTH_EPROTO,
                   "frame of 17 bytes is not a Berth message");
    assert_refused(f, (struct berth_slice){ NULL, 0 }, BERTH_EPROTO,
                   "frame of 0 bytes is not a Berth message");
    /* Well-formed, but without a version. */
    assert_refused(f, GIVEN(f, "\x10\x05"), BERTH_EPROTO,
                   "frame of 2 bytes is not a Berth message");
}

static void malformed_fields_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t count;
    } frames[] = {
#define FRAME(text) { text, sizeof(text) - 1 }
        FRAME("\x08\x01\x00\x00"),                                         /* field number 0 */
        FRAME("\x08\x01\x0b"),                                             /* a group */
        FRAME("\x08\x01\x0f"),                                             /* wire type 7 */
        FRAME("\x08\x01\x10"),                                             /* a varint is missing */
        FRAME("\x08\x01\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* one of 11 bytes */
        FRAME("\x08\x01\x72\x05\x0a\x01"),                             /* longer than the frame */
        FRAME("\x08\x01\x72\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* 2^64 - 1 bytes */
        FRAME("\x08\x01\x09\x00\x00"),                                 /* 64 bits cut short */
        FRAME("\x08\x01\x0d\x00\x00"),                                 /* 32 bits cut short */
        FRAME("\x08\x01\x70\x01"),                                     /* job_wait as a varint */
        FRAME("\x08\x01\x72\x02\x0a\x05"),     /* a column longer than its message */
        FRAME("\x08\x01\x72\x03\x0a\x01\x80"), /* a varint cut short in a column */
        FRAME("\xf8\xff\xff\xff\xff\x01\x01"), /* field number 2^32 - 1 */
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        assert_rc(unpack(f, given_bytes(f, frames[i].bytes, frames[i].count)), BERTH_EPROTO);
        assert_non_null(strstr(f->err.message, "is not a Berth message"));
    }
}

static void other_version_is_named_and_the_request_still_known(void **state)
{
    struct fixture *f = *state;
    /* Version 2, request 300, and a message that nobody here knows. */
    struct berth_slice frame = GIVEN(f, "\x08\x02\x10\xac\x02\xa2\x06\x01x");
    assert_refused(f, frame, BERTH_EVERSION, "protocol version 2 is not spoken here; 1 is");
    struct berth_wire_head head = berth_wire_head(frame);
    assert_int_equal(head.version, 2);
    assert_int_equal(head.request, 300);
}

static void head_is_read_as_far_as_the_frame_goes(void **state)
{
    struct fixture *f = *state;
    struct berth_wire_head head = berth_wire_head(GIVEN(f, "\x08\x01\x10\x07\xff"));
    assert_int_equal(head.version, 1);
    assert_int_equal(head.request, 7);
    head = berth_wire_head((struct berth_slice){ NULL, 0 });
    assert_int_equal(head.version, 0);
    assert_int_equal(head.request, 0);
}

static void exactly_one_message_is_wanted(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, GIVEN(f, "\x08\x01\x10\x05"), BERTH_EPROTO,
                   "the frame holds no message; exactly one is wanted");
    assert_refused(f, GIVEN(f, "\x08\x01\x72\x03\x0a\x01\x05\xc2\x03\x00"), BERTH_EPROTO,
                   "the frame holds more than one message; exactly one is allowed");
    /* The same kind twice would be merged. */
    assert_refused(f, GIVEN(f, "\x08\x01\x72\x03\x0a\x01\x05\x72\x03\x0a\x01\x06"), BERTH_EPROTO,
                   "the frame holds more than one message; exactly one is allowed");
}

static void message_of_a_newer_minor_version_is_unsupported(void **state)
{
    struct fixture *f = *state;
    struct berth_slice frame = GIVEN(f, "\x08\x01\x10\x05\xa2\x06\x01x");
    assert_rc(unpack(f, frame), -EOPNOTSUPP);
    assert_int_equal(berth_wire_head(frame).request, 5);
}

static void unknown_fields_are_tolerated_and_kept(void **state)
{
    struct fixture *f = *state;
    /* job_wait { id: 5, 100: "x", 101: 7 }, and 102: "y" in the envelope. */
    struct berth_slice frame = GIVEN(f, "\x08\x01\x72\x0a\x0a\x01\x05\xa2\x06\x01x\xa8\x06\x07"
                                        "\xb2\x06\x01y");
    Berth__V1__Envelope *envelope;
    assert_ok(berth_wire_unpack(frame, &f->arena, &envelope, &f->err));
    assert_int_equal(envelope->job_wait->id[0], 5);
    assert_int_equal(envelope->job_wait->base.n_unknown_fields, 2);
}

static void part_that_stands_twice_is_refused(void **state)
{
    struct fixture *f = *state;
    /* worker_reports { ends {} ends {} } */
    assert_refused(f, GIVEN(f, "\x08\x01\xba\x02\x04\x3a\x00\x3a\x00"), BERTH_EPROTO,
                   "ends stands twice in the message");
}

static void frame_over_the_limit_is_refused_unread(void **state)
{
    struct fixture *f = *state;
    struct berth_slice frame = { "", BERTH_FRAME_BYTES_MAX + 1 }; /* reading it would crash */
    assert_refused(f, frame, -EMSGSIZE,
                   "frame of 16777217 bytes; allowed are 16777216: Message too long");
}

/* An envelope around one length-delimited message with this field number. */
static void given_wrapped(struct fixture *f, uint32_t number, const char *inside, size_t bytes)
{
    berth_buf_clear(&f->buf);
    assert_ok(berth_buf_append(&f->buf, "\x08\x01", 2));
    uint64_t head[2] = { number << 3 | 2, bytes };
    for (size_t i = 0; i < 2; i++) {
        for (; head[i] >= 0x80; head[i] >>= 7)
            assert_ok(berth_buf_append(&f->buf, (char[]){ (char)(head[i] | 0x80) }, 1));
        assert_ok(berth_buf_append(&f->buf, (char[]){ (char)head[i] }, 1));
    }
    assert_ok(berth_buf_append(&f->buf, inside, bytes));
}

static char *given_repeated(const char *unit, size_t unit_bytes, size_t count)
{
    char *bytes = malloc(unit_bytes * count);
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + i * unit_bytes, unit, unit_bytes);
    return bytes;
}

static void assert_not_amplified(struct fixture *f, uint32_t number, const char *unit,
                                 size_t unit_bytes, size_t count, const char *says)
{
    char *bytes = given_repeated(unit, unit_bytes, count);
    given_wrapped(f, number, bytes, unit_bytes * count);
    free(bytes);
    assert_rc(unpack(f, berth_buf_slice(&f->buf)), -EMSGSIZE);
    assert_non_null(strstr(f->err.message, says));
    assert_true(f->arena.chunk_bytes <= berth_wire_budget(f->buf.bytes) + (64 << 10));
}

static void amplification_is_refused(void **state)
{
    struct fixture *f = *state;
    /* 1 MiB of empty rows, which unpacked would be 92 MiB. */
    assert_not_amplified(f, 20, "\x0a\x00", 2, 512 << 10, "more than 4096 of job in one message");
    /* 1 MiB of unknown fields, of empty names, of empty rows' unknown fields. */
    assert_not_amplified(f, 14, "\x78\x00", 2, 512 << 10, "more than 262144 fields in one frame");
    assert_not_amplified(f, 12, "\x12\x00", 2, 512 << 10, "more than 262144 fields in one frame");
    assert_not_amplified(f, 20, "\x0a\x02\x78\x00", 4, 4097, "more than 4096 of job");
}

static void columns_too_long_for_the_budget_are_refused(void **state)
{
    struct fixture *f = *state;
    /* 8 MiB of zeros are 64 MiB of 64-bit numbers. */
    size_t count = 8 << 20;
    char *bytes = calloc(1, count + 5);
    assert_non_null(bytes);
    const char head[] = { '\x0a', '\x80', '\x80', '\x80', '\x04' };
    memcpy(bytes, head, sizeof head);
    given_wrapped(f, 14, bytes, count + 5);
    free(bytes);
    assert_rc(unpack(f, berth_buf_slice(&f->buf)), -EMSGSIZE);
    assert_non_null(strstr(f->err.message, "would take more than"));
}

/* Every field that a message has once, whatever was added to it since its samples were made. */
static void set_every_field(ProtobufCMessage *message)
{
    static uint8_t text[] = { 'n' };
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->label != PROTOBUF_C_LABEL_OPTIONAL)
            continue;
        *(protobuf_c_boolean *)((char *)message + field->quantifier_offset) = 1;
        if (field->type == PROTOBUF_C_TYPE_BYTES)
            *(ProtobufCBinaryData *)((char *)message + field->offset) =
                (ProtobufCBinaryData){ sizeof text, text };
    }
}

static void largest_legal_lists_fit_the_budget(void **state)
{
    struct fixture *f = *state;
    /* A full Jobs with every field of each row set, and a wait for as many ids as allowed. */
    Berth__V1__Job *rows[BERTH_JOBS_ANSWER_MAX];
    Berth__V1__Jobs jobs = *sample_get("jobs")->envelope.jobs;
    for (size_t i = 0; i < BERTH_JOBS_ANSWER_MAX; i++)
        rows[i] = jobs.job[0];
    jobs.n_job = BERTH_JOBS_ANSWER_MAX;
    jobs.job = rows;
    Berth__V1__Envelope envelope = sample_get("jobs")->envelope;
    envelope.jobs = &jobs;
    berth_buf_clear(&f->buf);
    assert_ok(berth_wire_pack(&envelope, &f->buf));
    assert_ok(unpack(f, berth_buf_slice(&f->buf)));

    Berth__V1__Dispatchers list = *sample_get("dispatchers")->envelope.dispatchers;
    Berth__V1__Dispatcher dispatcher = *list.dispatcher[0];
    set_every_field(&dispatcher.base);
    Berth__V1__Dispatcher **all = calloc(BERTH_DISPATCHERS_MAX, sizeof(Berth__V1__Dispatcher *));
    assert_non_null(all);
    for (size_t i = 0; i < BERTH_DISPATCHERS_MAX; i++)
        all[i] = &dispatcher;
    list.n_dispatcher = BERTH_DISPATCHERS_MAX;
    list.dispatcher = all;
    envelope = sample_get("dispatchers")->envelope;
    envelope.dispatchers = &list;
    berth_buf_clear(&f->buf);
    assert_ok(berth_wire_pack(&envelope, &f->buf));
    assert_ok(unpack(f, berth_buf_slice(&f->buf)));
    free(all);
}

static void longest_list_of_workers_fits_the_budget(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Worker worker = *sample_get("workers")->envelope.workers->worker[0],
                      *all[BERTH_WORKERS_MAX];
    ProtobufCBinaryData names[BERTH_WORKER_SHOWN_MAX];
    static uint8_t name[BERTH_NAME_BYTES_MAX] = { 'n' };
    for (size_t i = 0; i < BERTH_WORKER_SHOWN_MAX; i++)
        names[i] = (ProtobufCBinaryData){ sizeof name, name };
    set_every_field(&worker.base);
    worker.n_handlers = BERTH_WORKER_SHOWN_MAX;
    worker.handlers = names;
    for (size_t i = 0; i < BERTH_WORKERS_MAX; i++)
        all[i] = &worker;
    Berth__V1__Workers list = *sample_get("workers")->envelope.workers;
    list.n_worker = BERTH_WORKERS_MAX;
    list.worker = all;
    Berth__V1__Envelope envelope = sample_get("workers")->envelope;
    envelope.workers = &list;
    berth_buf_clear(&f->buf);
    assert_ok(berth_wire_pack(&envelope, &f->buf));
    assert_ok(unpack(f, berth_buf_slice(&f->buf)));
}

static void largest_legal_join_fits_the_budget(void **state)
{
    struct fixture *f = *state;
    enum { N = BERTH_ATTEMPTS_MAX };
    uint64_t *u64 = malloc(N * sizeof *u64);
    uint32_t *u32 = malloc(N * sizeof *u32);
    assert_non_null(u64);
    assert_non_null(u32);
    for (size_t i = 0; i < N; i++) {
        u64[i] = UINT64_C(1) << 40;
        u32[i] = 1;
    }
    Berth__V1__WorkerJoin join = *sample_get("worker_join")->envelope.worker_join;
    Berth__V1__Ends ends = *join.ends;
    join.ends = &ends;
    join.attempt = join.job = ends.retry_ms = ends.run_us = u64;
    join.n_attempt = join.n_job = ends.n_retry_ms = ends.n_run_us = N;
    join.dispatcher = join.number = join.state = join.is_cancelled = u32;
    join.n_dispatcher = join.n_number = join.n_state = join.n_is_cancelled = N;
    ends.outcome = ends.kind = ends.message_bytes = ends.result_bytes = u32;
    ends.n_outcome = ends.n_kind = ends.n_message_bytes = ends.n_result_bytes = N;
    Berth__V1__Envelope envelope = sample_get("worker_join")->envelope;
    envelope.worker_join = &join;
    berth_buf_clear(&f->buf);
    assert_ok(berth_wire_pack(&envelope, &f->buf));
    assert_ok(unpack(f, berth_buf_slice(&f->buf)));
    free(u64);
    free(u32);
}

static void budget_that_ends_anywhere_fails_cleanly(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sample_count; i++) {
        struct berth_slice frame = given_frame(f, &samples[i]);
        int rc = -EMSGSIZE;
        for (size_t budget = 0; rc != 0; budget += 8) {
            ProtobufCMessage *message;
            berth_arena_reset(&f->arena);
            rc = berth_unpack(&berth__v1__envelope__descriptor, frame, budget, &f->arena, &message);
            assert_true(rc == 0 || rc == -EMSGSIZE);
            assert_true(budget <= berth_wire_budget(frame.bytes));
        }
    }
}

static void arena_without_room_is_no_memory(void **state)
{
    struct fixture *f = *state;
    struct berth_arena small;
    berth_arena_init(&small, 64);
    Berth__V1__Envelope *envelope;
    struct berth_slice frame = given_frame(f, sample_get("submit"));
    assert_rc(berth_wire_unpack(frame, &small, &envelope, &f->err), -ENOMEM);
    assert_non_null(strstr(f->err.message, "Cannot allocate memory"));
    berth_arena_fini(&small);
}

static void random_bytes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct berth_rng rng;
    berth_rng_init(&rng, 1);
    char bytes[GARBAGE_BYTES];
    for (size_t round = 0; round < GARBAGE_ROUNDS; round++) {
        size_t count = (size_t)berth_rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < count; i++)
            bytes[i] = (char)berth_rng_below(&rng, 256);
        assert_true(unpack(f, given_bytes(f, bytes, count)) < 0);
    }
}

/* A frame with some bytes changed is taken or refused, never worse; and what is taken can be
 * validated. */
static void hurt_frames_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct berth_rng rng;
    berth_rng_init(&rng, 2);
    size_t taken = 0, refused = 0;
    for (size_t i = 0; i < sample_count; i++) {
        for (size_t round = 0; round < HURT_ROUNDS; round++) {
            struct berth_slice frame = given_frame(f, &samples[i]);
            for (uint64_t hits = 1 + berth_rng_below(&rng, 3); hits > 0; hits--)
                f->buf.data[berth_rng_below(&rng, frame.bytes)] = (char)berth_rng_below(&rng, 256);
            Berth__V1__Envelope *envelope;
            berth_arena_reset(&f->arena);
            int rc = berth_wire_unpack(frame, &f->arena, &envelope, &f->err);
            for (int side = BERTH_SIDE_BROKER; rc == 0 && side <= BERTH_SIDE_CLIENT; side++)
                (void)berth_validate(envelope, (enum berth_side)side, &f->err, NULL);
            taken += rc == 0;
            refused += rc != 0;
        }
    }
    assert_true(taken > 100);
    assert_true(refused > 100);
}

static void message_too_large_is_not_packed(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Submit submit = *sample_get("submit")->envelope.submit;
    Berth__V1__Envelope envelope = sample_get("submit")->envelope;
    envelope.submit = &submit;
    submit.bodies.len = BERTH_FRAME_BYTES_MAX;
    submit.bodies.data = calloc(1, BERTH_FRAME_BYTES_MAX);
    assert_non_null(submit.bodies.data);
    assert_rc(berth_wire_pack(&envelope, &f->buf), -EMSGSIZE);
    assert_int_equal(f->buf.bytes, 0);
    free(submit.bodies.data);

    struct berth_buf small;
    berth_buf_init(&small, 10);
    assert_rc(berth_wire_pack(&sample_get("submit")->envelope, &small), -EMSGSIZE);
    berth_buf_fini(&small);
}

static void fields_are_counted_in_any_message(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(berth_scan_fields(GIVEN(f, "\x0a\x01x\x12\x01y")), 2);
    assert_int_equal(berth_scan_fields((struct berth_slice){ NULL, 0 }), 0);
    assert_int_equal(berth_scan_fields(GIVEN(f, "\x0a\x02x")), BERTH_EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_message_packs_and_unpacks_to_itself),
        TEST(every_message_of_the_schema_has_a_sample),
        TEST(message_is_called_as_in_the_schema),
        TEST(pack_appends_behind_what_is_there),
        TEST(init_sets_version_and_request),
        TEST(frame_cut_at_any_byte_is_refused),
        TEST(what_is_no_message_is_refused_in_plain_words),
        TEST(malformed_fields_are_refused),
        TEST(other_version_is_named_and_the_request_still_known),
        TEST(head_is_read_as_far_as_the_frame_goes),
        TEST(exactly_one_message_is_wanted),
        TEST(message_of_a_newer_minor_version_is_unsupported),
        TEST(unknown_fields_are_tolerated_and_kept),
        TEST(part_that_stands_twice_is_refused),
        TEST(frame_over_the_limit_is_refused_unread),
        TEST(amplification_is_refused),
        TEST(columns_too_long_for_the_budget_are_refused),
        TEST(largest_legal_lists_fit_the_budget),
        TEST(longest_list_of_workers_fits_the_budget),
        TEST(largest_legal_join_fits_the_budget),
        TEST(budget_that_ends_anywhere_fails_cleanly),
        TEST(arena_without_room_is_no_memory),
        TEST(random_bytes_are_refused),
        TEST(hurt_frames_do_no_harm),
        TEST(message_too_large_is_not_packed),
        TEST(fields_are_counted_in_any_message),
    };
    return berth_test_main(tests, NULL, NULL);
}

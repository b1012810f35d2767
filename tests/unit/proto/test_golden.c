/* SPDX-License-Identifier: MIT
 *
 * The bytes of every message as they were when it was released, in golden/NAME.hex: what we pack is
 * those bytes, and those bytes unpack to what packs to them again. A file is never changed: a
 * message that gets a field gets a second file with it. `test_proto_golden --write` writes the
 * files that are missing, for a message that is new.
 */
#include "support/berthtest.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/columns.h"
#include "proto/wire.h"
#include "samples.h"

#define HEX_BYTES_A_LINE 32
#define PATH_TEXT_MAX    512
#define LINE_TEXT_MAX    512

static const char *path_of(const char *name, char path[static PATH_TEXT_MAX])
{
    int bytes = snprintf(path, PATH_TEXT_MAX, "%s/%s.hex", BERTH_GOLDEN_DIR, name);
    assert_true(bytes > 0 && bytes < PATH_TEXT_MAX);
    return path;
}

/* Appends pairs of hexadecimal digits; blanks and what follows a '#' are ignored. */
static void append_hex(const char *line, struct berth_buf *buf)
{
    int high = -1;
    for (; *line != '\0' && *line != '#'; line++) {
        unsigned char c = (unsigned char)*line;
        if (isspace(c))
            continue;
        assert_true(isxdigit(c));
        int digit = isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
        if (high >= 0)
            assert_ok(berth_buf_append(buf, (char[]){ (char)(high << 4 | digit) }, 1));
        high = high >= 0 ? -1 : digit;
    }
    assert_int_equal(high, -1);
}

static void given_golden(const char *name, struct berth_buf *buf)
{
    char path[PATH_TEXT_MAX], line[LINE_TEXT_MAX];
    FILE *file = fopen(path_of(name, path), "re");
    if (!file)
        fail_msg("no file '%s': run test_proto_golden --write for a new message", path);
    while (fgets(line, sizeof line, file))
        append_hex(line, buf);
    (void)fclose(file);
}

static void assert_same(const char *name, const struct berth_buf *golden,
                        const struct berth_buf *ours)
{
    if (golden->bytes != ours->bytes || memcmp(golden->data, ours->data, ours->bytes) != 0)
        fail_msg("%s: %zu bytes now, not the %zu of golden/%s.hex", name, ours->bytes,
                 golden->bytes, name);
}

static void every_message_keeps_its_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sample_count; i++) {
        BERTH_AUTO(berth_buf) golden = berth_buf_new(BERTH_FRAME_BYTES_MAX);
        BERTH_AUTO(berth_buf) ours = berth_buf_new(BERTH_FRAME_BYTES_MAX);
        BERTH_AUTO(berth_buf) again = berth_buf_new(BERTH_FRAME_BYTES_MAX);
        struct berth_error err = { 0 };
        struct berth_arena arena;
        berth_arena_init(&arena, BERTH_WIRE_BUDGET_MAX);
        given_golden(samples[i].name, golden);

        assert_ok(berth_wire_pack(&samples[i].envelope, ours));
        assert_same(samples[i].name, golden, ours);

        Berth__V1__Envelope *envelope;
        assert_ok(berth_wire_unpack(berth_buf_slice(golden), &arena, &envelope, &err));
        assert_ok(berth_validate(envelope, samples[i].receiver, &err, NULL));
        assert_ok(berth_wire_pack(envelope, again));
        assert_same(samples[i].name, golden, again);
        berth_arena_fini(&arena);
    }
}

static void body_and_result_keep_their_bytes(void **state)
{
    (void)state;
    BERTH_AUTO(berth_buf) golden = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    BERTH_AUTO(berth_buf) ours = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    struct berth_arena arena;
    struct berth_body body;
    struct berth_result result;
    struct berth_error err;
    berth_arena_init(&arena, BERTH_WIRE_BUDGET_MAX);

    given_golden("body", golden);
    assert_ok(berth_body_unpack(berth_buf_slice(golden), &arena, &body, &err));
    assert_ok(berth_body_pack(&body, ours, &err));
    assert_same("body", golden, ours);
    berth_buf_clear(ours);
    assert_ok(berth_body_pack(&sample_body, ours, &err));
    assert_same("body", golden, ours);

    berth_buf_clear(golden);
    berth_buf_clear(ours);
    given_golden("result", golden);
    assert_ok(berth_result_unpack(berth_buf_slice(golden), &arena, &result, &err));
    assert_ok(berth_result_pack(&result, ours, &err));
    assert_same("result", golden, ours);
    berth_buf_clear(ours);
    assert_ok(berth_result_pack(&sample_result, ours, &err));
    assert_same("result", golden, ours);
    berth_arena_fini(&arena);
}

/* Appends the bytes of the next ```hex block of a document; false at its end. */
static bool next_block(FILE *document, struct berth_buf *buf)
{
    char line[LINE_TEXT_MAX];
    bool is_inside = false;
    while (fgets(line, sizeof line, document)) {
        if (is_inside && strncmp(line, "```", 3) == 0)
            return true;
        if (is_inside)
            append_hex(line, buf);
        else
            is_inside = strcmp(line, "```hex\n") == 0;
    }
    return false;
}

static void assert_packs_to(const Berth__V1__Envelope *envelope, const struct berth_buf *wanted)
{
    BERTH_AUTO(berth_buf) ours = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    assert_ok(berth_wire_pack(envelope, ours));
    assert_int_equal(ours->bytes, wanted->bytes);
    assert_memory_equal(ours->data, wanted->data, ours->bytes);
}

static void example_of_the_document_is_what_we_send(void **state)
{
    (void)state;
    FILE *document = fopen(BERTH_PROTOCOL_MD, "re");
    assert_non_null(document);
    BERTH_AUTO(berth_buf) body = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    BERTH_AUTO(berth_buf) frame = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    BERTH_AUTO(berth_buf) answer = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    BERTH_AUTO(berth_buf) packed = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    struct berth_error err;
    assert_true(next_block(document, body));
    assert_true(next_block(document, frame));
    assert_true(next_block(document, answer));
    assert_false(next_block(document, packed));
    (void)fclose(document);

    assert_ok(berth_body_pack(&(struct berth_body){ .payload = { "alice", 5 } }, packed, &err));
    assert_int_equal(packed->bytes, body->bytes);
    assert_memory_equal(packed->data, body->data, body->bytes);

    uint8_t client[BERTH_ID_BYTES];
    for (size_t i = 0; i < sizeof client; i++)
        client[i] = (uint8_t)i;
    uint32_t bytes = (uint32_t)packed->bytes;
    ProtobufCBinaryData dispatcher = berth_bytes_of(berth_slice_of("newsletter"));
    ProtobufCBinaryData handler = berth_bytes_of(berth_slice_of("mail"));
    Berth__V1__Submit submit = BERTH__V1__SUBMIT__INIT;
    submit.has_client = submit.has_bodies = 1;
    submit.client = (ProtobufCBinaryData){ sizeof client, client };
    submit.n_dispatchers = submit.n_handlers = submit.n_priority = submit.n_body_bytes = 1;
    submit.dispatchers = &dispatcher;
    submit.handlers = &handler;
    submit.priority = (int32_t[]){ 10 };
    submit.body_bytes = &bytes;
    submit.bodies = berth_bytes_of(berth_buf_slice(packed));
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 7);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SUBMIT;
    envelope.submit = &submit;
    assert_ok(berth_validate(&envelope, BERTH_SIDE_BROKER, &err, NULL));
    assert_packs_to(&envelope, frame);

    Berth__V1__Submitted submitted = BERTH__V1__SUBMITTED__INIT;
    submitted.n_id = 1;
    submitted.id = (uint64_t[]){ 42 };
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_SUBMITTED;
    envelope.submitted = &submitted;
    assert_ok(berth_validate(&envelope, BERTH_SIDE_CLIENT, &err, NULL));
    assert_packs_to(&envelope, answer);
}

/* Writes one file unless it is there. */
static void write_missing(const char *name, const struct berth_buf *buf)
{
    char path[PATH_TEXT_MAX];
    FILE *file = fopen(path_of(name, path), "wxe");
    if (!file) {
        if (errno != EEXIST)
            perror(path);
        return;
    }
    fprintf(file, "# %s, protocol version %u\n", name, BERTH_PROTOCOL_VERSION);
    for (size_t i = 0; i < buf->bytes; i++)
        fprintf(file, "%02x%s", (unsigned char)buf->data[i],
                (i + 1) % HEX_BYTES_A_LINE == 0 || i + 1 == buf->bytes ? "\n" : " ");
    if (fclose(file) != 0)
        perror(path);
}

static int write_all(void)
{
    BERTH_AUTO(berth_buf) buf = berth_buf_new(BERTH_FRAME_BYTES_MAX);
    struct berth_error err;
    if (!buf)
        return 1;
    for (size_t i = 0; i < sample_count; i++) {
        berth_buf_clear(buf);
        if (berth_wire_pack(&samples[i].envelope, buf) < 0)
            return 1;
        write_missing(samples[i].name, buf);
    }
    berth_buf_clear(buf);
    if (berth_body_pack(&sample_body, buf, &err) < 0)
        return 1;
    write_missing("body", buf);
    berth_buf_clear(buf);
    if (berth_result_pack(&sample_result, buf, &err) < 0)
        return 1;
    write_missing("result", buf);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return write_all();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_keeps_its_bytes),
        cmocka_unit_test(body_and_result_keep_their_bytes),
        cmocka_unit_test(example_of_the_document_is_what_we_send),
    };
    return berth_test_main(tests, NULL, NULL);
}

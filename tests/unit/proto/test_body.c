/* SPDX-License-Identifier: MIT
 *
 * Bodies and results: what goes in comes out, and what is refused on either way.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/v1/job.pb-c.h>

#include "proto/body.h"
#include "proto/wire.h"
#include "samples.h"

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
    berth_buf_init(&f->buf, 4 << 20);
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

static void assert_not_packed(struct fixture *f, const struct berth_body *body, int rc,
                              const char *says)
{
    berth_buf_clear(&f->buf);
    assert_rc(berth_body_pack(body, &f->buf, &f->err), rc);
    assert_string_equal(f->err.message, says);
    assert_int_equal(f->buf.bytes, 0);
}

/* A message packed without our checks, as another client might. */
static struct berth_slice given_packed(struct fixture *f, const Berth__V1__Body *body)
{
    berth_buf_clear(&f->buf);
    assert_ok(berth_buf_reserve(&f->buf, berth__v1__body__get_packed_size(body)));
    berth_buf_added(&f->buf, berth__v1__body__pack(body, (uint8_t *)f->buf.data));
    return berth_buf_slice(&f->buf);
}

static void assert_not_opened(struct fixture *f, struct berth_slice packed, int rc,
                              const char *says)
{
    struct berth_body body = { .argv_count = 77 };
    assert_rc(berth_body_unpack(packed, &f->arena, &body, &f->err), rc);
    assert_string_equal(f->err.message, says);
    assert_int_equal(body.argv_count, 77);
}

static void body_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct berth_body body;
    assert_ok(berth_body_pack(&sample_body, &f->buf, &f->err));
    assert_ok(berth_body_unpack(berth_buf_slice(&f->buf), &f->arena, &body, &f->err));
    memset(f->buf.data, 'x', f->buf.bytes); /* nothing is borrowed from there */
    assert_int_equal(body.argv_count, sample_body.argv_count);
    for (size_t i = 0; i < body.argv_count; i++)
        assert_string_equal(body.argv[i], sample_body.argv[i]);
    assert_null(body.argv[body.argv_count]);
    assert_int_equal(body.payload.bytes, sample_body.payload.bytes);
    assert_memory_equal(body.payload.data, sample_body.payload.data, body.payload.bytes);
    assert_int_equal(body.context_count, sample_body.context_count);
    for (size_t i = 0; i < body.context_count; i++) {
        assert_string_equal(body.context[i].key, sample_body.context[i].key);
        assert_string_equal(body.context[i].value, sample_body.context[i].value);
    }
}

static void same_body_gives_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    assert_ok(berth_body_pack(&sample_body, &f->buf, &f->err));
    size_t bytes = f->buf.bytes;
    assert_ok(berth_body_pack(&sample_body, &f->buf, &f->err));
    assert_int_equal(f->buf.bytes, 2 * bytes);
    assert_memory_equal(f->buf.data, f->buf.data + bytes, bytes);
}

static void empty_body_is_no_bytes_and_back(void **state)
{
    struct fixture *f = *state;
    struct berth_body body = { .argv_count = 77 };
    assert_ok(berth_body_pack(&(struct berth_body){ 0 }, &f->buf, &f->err));
    assert_int_equal(f->buf.bytes, 0);
    assert_ok(berth_body_unpack((struct berth_slice){ NULL, 0 }, &f->arena, &body, &f->err));
    assert_null(body.argv);
    assert_int_equal(body.argv_count, 0);
    assert_int_equal(body.payload.bytes, 0);
    assert_int_equal(body.context_count, 0);
}

static void index_and_line_come_out_as_they_went_in(void **state)
{
    struct fixture *f = *state;
    static const uint64_t indices[] = { 0, 1, UINT64_MAX };
    for (size_t i = 0; i < 3; i++) {
        struct berth_body body = { .has_array_index = true, .array_index = indices[i] }, again;
        berth_buf_clear(&f->buf);
        assert_ok(berth_body_pack(&body, &f->buf, &f->err));
        assert_ok(berth_body_unpack(berth_buf_slice(&f->buf), &f->arena, &again, &f->err));
        assert_true(again.has_array_index);
        assert_int_equal(again.array_index, indices[i]);
        assert_null(again.line);
    }
    static const char *const lines[] = { "", "two words", "\xff\x01" };
    for (size_t i = 0; i < 3; i++) {
        struct berth_body body = { .line = lines[i] }, again;
        berth_buf_clear(&f->buf);
        assert_ok(berth_body_pack(&body, &f->buf, &f->err));
        assert_ok(berth_body_unpack(berth_buf_slice(&f->buf), &f->arena, &again, &f->err));
        assert_false(again.has_array_index);
        assert_string_equal(again.line, lines[i]);
    }
}

static void index_and_line_have_these_bytes(void **state)
{
    struct fixture *f = *state;
    struct berth_body body = { .has_array_index = true, .array_index = 300, .line = "ab" };
    assert_ok(berth_body_pack(&body, &f->buf, &f->err));
    assert_int_equal(f->buf.bytes, 7);
    assert_memory_equal(f->buf.data,
                        "\x28\xac\x02\x32\x02"
                        "ab",
                        7);
}

static void line_has_a_limit_and_no_nul(void **state)
{
    struct fixture *f = *state;
    char *line = malloc(BERTH_LINE_BYTES_MAX + 2);
    assert_non_null(line);
    memset(line, 'a', BERTH_LINE_BYTES_MAX + 1);
    line[BERTH_LINE_BYTES_MAX] = '\0';
    assert_ok(berth_body_pack(&(struct berth_body){ .line = line }, &f->buf, &f->err));
    line[BERTH_LINE_BYTES_MAX] = 'a';
    line[BERTH_LINE_BYTES_MAX + 1] = '\0';
    const char *says = "line of 65537 bytes; allowed are 65536: Message too long";
    assert_not_packed(f, &(struct berth_body){ .line = line }, -EMSGSIZE, says);

    Berth__V1__Body message = BERTH__V1__BODY__INIT;
    message.has_line = 1;
    message.line = (ProtobufCBinaryData){ BERTH_LINE_BYTES_MAX + 1, (uint8_t *)line };
    assert_not_opened(f, given_packed(f, &message), -EMSGSIZE, says);
    line[1] = '\0';
    message.line.len = 2;
    assert_not_opened(f, given_packed(f, &message), BERTH_EPROTO, "line: a NUL is not allowed");
    free(line);
}

static void payload_has_a_limit_both_ways(void **state)
{
    struct fixture *f = *state;
    char *bytes = calloc(1, BERTH_PAYLOAD_BYTES_MAX + 1);
    assert_non_null(bytes);
    struct berth_body body = { .payload = { bytes, BERTH_PAYLOAD_BYTES_MAX } };
    assert_ok(berth_body_pack(&body, &f->buf, &f->err));
    struct berth_body again;
    assert_ok(berth_body_unpack(berth_buf_slice(&f->buf), &f->arena, &again, &f->err));
    assert_int_equal(again.payload.bytes, BERTH_PAYLOAD_BYTES_MAX);

    body.payload.bytes++;
    const char *says = "payload of 1048577 bytes; allowed are 1048576: Message too long";
    assert_not_packed(f, &body, -EMSGSIZE, says);
    Berth__V1__Body message = BERTH__V1__BODY__INIT;
    message.has_payload = 1;
    message.payload = (ProtobufCBinaryData){ BERTH_PAYLOAD_BYTES_MAX + 1, (uint8_t *)bytes };
    assert_not_opened(f, given_packed(f, &message), -EMSGSIZE, says);
    free(bytes);
}

static void body_has_a_limit_in_all(void **state)
{
    struct fixture *f = *state;
    size_t bytes = BERTH_BODY_BYTES_MAX + 1;
    char *argument = malloc(bytes);
    assert_non_null(argument);
    memset(argument, 'a', bytes);
    argument[bytes - 1] = '\0';
    const char *argv[] = { argument, NULL };
    assert_not_packed(f, &(struct berth_body){ .argv = argv, .argv_count = 1 }, -EMSGSIZE,
                      "body of 1114116 bytes; allowed are 1114112: Message too long");
    assert_not_opened(f, (struct berth_slice){ argument, bytes }, -EMSGSIZE,
                      "body of 1114113 bytes; allowed are 1114112: Message too long");
    free(argument);
}

static void command_has_a_name_and_so_many_arguments(void **state)
{
    struct fixture *f = *state;
    const char *argv[BERTH_ARGV_COUNT_MAX + 2];
    for (size_t i = 0; i < BERTH_ARGV_COUNT_MAX + 1; i++)
        argv[i] = "a";
    argv[BERTH_ARGV_COUNT_MAX] = NULL;
    struct berth_body body = { .argv = argv, .argv_count = BERTH_ARGV_COUNT_MAX }, again;
    assert_ok(berth_body_pack(&body, &f->buf, &f->err));
    assert_ok(berth_body_unpack(berth_buf_slice(&f->buf), &f->arena, &again, &f->err));
    assert_int_equal(again.argv_count, BERTH_ARGV_COUNT_MAX);

    argv[BERTH_ARGV_COUNT_MAX] = "a";
    body.argv_count++;
    const char *says = "argv has 4097 entries; allowed are 4096: Message too long";
    assert_not_packed(f, &body, -EMSGSIZE, says);
    static uint8_t letter[] = { 'a' };
    ProtobufCBinaryData items[BERTH_ARGV_COUNT_MAX + 1];
    for (size_t i = 0; i < BERTH_ARGV_COUNT_MAX + 1; i++)
        items[i] = (ProtobufCBinaryData){ 1, letter };
    Berth__V1__Body message = BERTH__V1__BODY__INIT;
    message.argv = items;
    message.n_argv = BERTH_ARGV_COUNT_MAX + 1;
    assert_not_opened(f, given_packed(f, &message), -EMSGSIZE, says);

    argv[0] = "";
    body.argv_count = 2;
    assert_not_packed(f, &body, BERTH_EVALUE, "argv: the command is empty");
    message.n_argv = 1;
    items[0].len = 0;
    assert_not_opened(f, given_packed(f, &message), BERTH_EPROTO, "argv: the command is empty");
}

static void context_is_bounded_text_with_keys_of_its_own(void **state)
{
    struct fixture *f = *state;
    char key[BERTH_KEY_BYTES_MAX + 2], value[BERTH_CONTEXT_BYTES_MAX + 1];
    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    key[BERTH_KEY_BYTES_MAX] = value[BERTH_CONTEXT_BYTES_MAX - BERTH_KEY_BYTES_MAX] = '\0';
    struct berth_field field = { key, value };
    struct berth_body body = { .context = &field, .context_count = 1 };
    assert_ok(berth_body_pack(&body, &f->buf, &f->err));

    value[BERTH_CONTEXT_BYTES_MAX - BERTH_KEY_BYTES_MAX] = 'v';
    value[BERTH_CONTEXT_BYTES_MAX - BERTH_KEY_BYTES_MAX + 1] = '\0';
    assert_not_packed(f, &body, -EMSGSIZE,
                      "context of 4097 bytes; allowed are 4096: Message too long");
    key[BERTH_KEY_BYTES_MAX] = 'k';
    key[BERTH_KEY_BYTES_MAX + 1] = '\0';
    assert_not_packed(
        f, &body, BERTH_EVALUE,
        "context: key 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkk' has 256 bytes; allowed are 1 to 255");
    field = (struct berth_field){ "", "v" };
    assert_not_packed(f, &body, BERTH_EVALUE, "context: key '' has 0 bytes; allowed are 1 to 255");
    field = (struct berth_field){ "k", "\xff" };
    assert_not_packed(f, &body, BERTH_EVALUE, "context: the value of 'k' is not valid UTF-8");
    field = (struct berth_field){ "\xff", "v" };
    assert_not_packed(f, &body, BERTH_EVALUE, "context: the key of field 0 is not valid UTF-8");
    field = (struct berth_field){ NULL, NULL };
    assert_not_packed(f, &body, BERTH_EVALUE, "context: key '' has 0 bytes; allowed are 1 to 255");
    struct berth_field twice[] = { { "k", "1" }, { "l", "2" }, { "k", "3" } };
    body = (struct berth_body){ .context = twice, .context_count = 3 };
    assert_not_packed(f, &body, BERTH_EVALUE, "context: 'k' stands twice");
}

static void context_has_so_many_fields(void **state)
{
    struct fixture *f = *state;
    struct berth_field fields[BERTH_CONTEXT_COUNT_MAX + 1];
    char keys[BERTH_CONTEXT_COUNT_MAX + 1][2];
    for (size_t i = 0; i <= BERTH_CONTEXT_COUNT_MAX; i++) {
        keys[i][0] = (char)('!' + i);
        keys[i][1] = '\0';
        fields[i] = (struct berth_field){ keys[i], "" };
    }
    struct berth_body body = { .context = fields, .context_count = BERTH_CONTEXT_COUNT_MAX };
    assert_ok(berth_body_pack(&body, &f->buf, &f->err));
    struct berth_body again;
    assert_ok(berth_body_unpack(berth_buf_slice(&f->buf), &f->arena, &again, &f->err));
    assert_int_equal(again.context_count, BERTH_CONTEXT_COUNT_MAX);
    body.context_count++;
    assert_not_packed(f, &body, -EMSGSIZE,
                      "context has 65 entries; allowed are 64: Message too long");
}

static void body_of_another_client_is_checked_as_ours(void **state)
{
    struct fixture *f = *state;
    ProtobufCBinaryData items[] = { { 3, (uint8_t[]){ "a\0b" } }, { 1, (uint8_t[]){ "v" } } };
    Berth__V1__Body message = BERTH__V1__BODY__INIT;
    message.argv = items;
    message.n_argv = 1;
    assert_not_opened(f, given_packed(f, &message), BERTH_EPROTO, "argv: a NUL is not allowed");
    message.n_argv = 0;
    message.context_key = message.context_value = items;
    message.n_context_key = 1;
    assert_not_opened(f, given_packed(f, &message), BERTH_EPROTO,
                      "context has 1 keys and 0 values");
    message.n_context_value = 1;
    assert_not_opened(f, given_packed(f, &message), BERTH_EPROTO, "context: a NUL is not allowed");
    items[0] = (ProtobufCBinaryData){ 1, (uint8_t[]){ "\xff" } };
    assert_not_opened(f, given_packed(f, &message), BERTH_EPROTO,
                      "context: the key of field 0 is not valid UTF-8");
}

static void bytes_that_are_no_body_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_not_opened(f, (struct berth_slice){ "\x0a\x05x", 3 }, BERTH_EPROTO,
                      "3 bytes are not a Body");
    assert_not_opened(f, (struct berth_slice){ "\x10\x05", 2 }, BERTH_EPROTO,
                      "2 bytes are not a Body"); /* payload as a number */
    struct berth_result result;
    assert_rc(
        berth_result_unpack((struct berth_slice){ "\x0a\x05x", 3 }, &f->arena, &result, &f->err),
        BERTH_EPROTO);
    assert_string_equal(f->err.message, "3 bytes are not a Result");
}

static void body_cut_at_any_byte_is_no_other_body(void **state)
{
    struct fixture *f = *state;
    assert_ok(berth_body_pack(&sample_body, &f->buf, &f->err));
    struct berth_body body;
    for (size_t bytes = 0; bytes < f->buf.bytes; bytes++) {
        uint8_t *cut = malloc(bytes + 1);
        assert_non_null(cut);
        memcpy(cut, f->buf.data, bytes);
        berth_arena_reset(&f->arena);
        int rc = berth_body_unpack((struct berth_slice){ cut, bytes }, &f->arena, &body, &f->err);
        assert_true(rc == 0 || rc == BERTH_EPROTO); /* between two fields it is well-formed */
        free(cut);
    }
}

static void fields_of_a_newer_version_are_tolerated_within_bounds(void **state)
{
    struct fixture *f = *state;
    struct berth_body body;
    assert_ok(berth_body_unpack((struct berth_slice){ "\x12\x01p\xa2\x06\x01x", 7 }, &f->arena,
                                &body, &f->err));
    assert_int_equal(body.payload.bytes, 1);
    char many[2 * 5000];
    for (size_t i = 0; i < sizeof many; i += 2) {
        many[i] = '\x78';
        many[i + 1] = '\0';
    }
    assert_not_opened(f, (struct berth_slice){ many, sizeof many }, -EMSGSIZE,
                      "Body has 5000 fields; allowed are 4288: Message too long");
}

static void arena_that_ends_anywhere_is_no_memory(void **state)
{
    struct fixture *f = *state;
    assert_ok(berth_body_pack(&sample_body, &f->buf, &f->err));
    int rc = -ENOMEM;
    for (size_t budget = 0; rc != 0; budget += 16) {
        struct berth_arena small;
        struct berth_body body;
        berth_arena_init(&small, budget);
        rc = berth_body_unpack(berth_buf_slice(&f->buf), &small, &body, &f->err);
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_true(budget < 64 << 10);
        berth_arena_fini(&small);
    }
}

static void result_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct berth_result result;
    assert_ok(berth_result_pack(&sample_result, &f->buf, &f->err));
    assert_ok(berth_result_unpack(berth_buf_slice(&f->buf), &f->arena, &result, &f->err));
    assert_true(result.has_exit_code);
    assert_int_equal(result.exit_code, 137);
    assert_memory_equal(result.out.data, "out\xff", 4);
    assert_memory_equal(result.err.data, "err", 3);
    assert_true(result.out_truncated);
    assert_true(result.err_truncated);
    assert_memory_equal(result.payload.data, "done", 4);
}

static void empty_result_is_no_bytes_and_back(void **state)
{
    struct fixture *f = *state;
    struct berth_result result = sample_result;
    assert_ok(berth_result_pack(&(struct berth_result){ 0 }, &f->buf, &f->err));
    assert_int_equal(f->buf.bytes, 0);
    assert_ok(berth_result_unpack(berth_buf_slice(&f->buf), &f->arena, &result, &f->err));
    assert_false(result.has_exit_code);
    assert_int_equal(result.out.bytes, 0);
    /* Exit code 0 is something to say. */
    assert_ok(berth_result_pack(&(struct berth_result){ .has_exit_code = true }, &f->buf, &f->err));
    assert_ok(berth_result_unpack(berth_buf_slice(&f->buf), &f->arena, &result, &f->err));
    assert_true(result.has_exit_code);
}

static void result_has_limits_both_ways(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = calloc(1, BERTH_RESULT_BYTES_MAX + 1);
    assert_non_null(bytes);
    struct berth_result full = { .out = { bytes, BERTH_OUTPUT_BYTES_MAX },
                                 .err = { bytes, BERTH_OUTPUT_BYTES_MAX },
                                 .payload = { bytes, BERTH_PAYLOAD_BYTES_MAX } },
                        result;
    assert_ok(berth_result_pack(&full, &f->buf, &f->err));
    assert_ok(berth_result_unpack(berth_buf_slice(&f->buf), &f->arena, &result, &f->err));
    for (int i = 0; i < 3; i++) {
        result = full;
        struct berth_slice *part[] = { &result.out, &result.err, &result.payload };
        part[i]->bytes++;
        assert_rc(berth_result_pack(&result, &f->buf, &f->err), -EMSGSIZE);
    }
    Berth__V1__Result message = BERTH__V1__RESULT__INIT;
    message.has_err = 1;
    message.err = (ProtobufCBinaryData){ BERTH_OUTPUT_BYTES_MAX + 1, bytes };
    berth_buf_clear(&f->buf);
    assert_ok(berth_buf_reserve(&f->buf, berth__v1__result__get_packed_size(&message)));
    berth_buf_added(&f->buf, berth__v1__result__pack(&message, (uint8_t *)f->buf.data));
    assert_rc(berth_result_unpack(berth_buf_slice(&f->buf), &f->arena, &result, &f->err),
              -EMSGSIZE);
    assert_string_equal(f->err.message, "err of 65537 bytes; allowed are 65536: Message too long");
    assert_rc(berth_result_unpack((struct berth_slice){ bytes, BERTH_RESULT_BYTES_MAX + 1 },
                                  &f->arena, &result, &f->err),
              -EMSGSIZE);
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(body_comes_out_as_it_went_in),
        TEST(same_body_gives_the_same_bytes),
        TEST(empty_body_is_no_bytes_and_back),
        TEST(index_and_line_come_out_as_they_went_in),
        TEST(index_and_line_have_these_bytes),
        TEST(line_has_a_limit_and_no_nul),
        TEST(payload_has_a_limit_both_ways),
        TEST(body_has_a_limit_in_all),
        TEST(command_has_a_name_and_so_many_arguments),
        TEST(context_is_bounded_text_with_keys_of_its_own),
        TEST(context_has_so_many_fields),
        TEST(body_of_another_client_is_checked_as_ours),
        TEST(bytes_that_are_no_body_are_refused),
        TEST(body_cut_at_any_byte_is_no_other_body),
        TEST(fields_of_a_newer_version_are_tolerated_within_bounds),
        TEST(arena_that_ends_anywhere_is_no_memory),
        TEST(result_comes_out_as_it_went_in),
        TEST(empty_result_is_no_bytes_and_back),
        TEST(result_has_limits_both_ways),
    };
    return berth_test_main(tests, NULL, NULL);
}

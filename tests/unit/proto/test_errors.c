/* SPDX-License-Identifier: MIT
 *
 * Codes of ours and of the wire.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>

#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/limits.h"

#define CODE(name) BERTH__V1__ERROR_CODE__ERROR_##name

static void every_wire_code_comes_back_as_itself(void **state)
{
    (void)state;
    const ProtobufCEnumDescriptor *codes = &berth__v1__error_code__descriptor;
    for (unsigned i = 0; i < codes->n_values; i++) {
        uint32_t code = (uint32_t)codes->values[i].value;
        int rc = berth_wire_rc(code);
        assert_int_equal(rc == 0, code == CODE(UNSPECIFIED));
        assert_true(rc <= 0);
        assert_int_equal(berth_wire_code(rc), code);
        assert_string_not_equal(berth_wire_code_name(code), "unknown");
    }
}

static void codes_have_the_meaning_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        int rc;
        Berth__V1__ErrorCode code;
    } rows[] = {
        { 0, CODE(UNSPECIFIED) },
        { BERTH_EPROTO, CODE(INVALID) },
        { BERTH_EVALUE, CODE(INVALID) },
        { BERTH_EVERSION, CODE(VERSION) },
        { -EMSGSIZE, CODE(TOO_LARGE) },
        { BERTH_ENOTFOUND, CODE(NOT_FOUND) },
        { BERTH_ECONFLICT, CODE(CONFLICT) },
        { BERTH_ELIMIT, CODE(LIMIT) },
        { BERTH_EFULL, CODE(FULL) },
        { -ENOSPC, CODE(FULL) },
        { BERTH_ELATER, CODE(LATER) },
        { -ENOMEM, CODE(LATER) },
        { BERTH_EDENIED, CODE(DENIED) },
        { -EALREADY, CODE(ALREADY) },
        { -EOPNOTSUPP, CODE(UNSUPPORTED) },
        { BERTH_ESTORE, CODE(INTERNAL) },
        { -EIO, CODE(INTERNAL) },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(berth_wire_code(rows[i].rc), rows[i].code);
    assert_int_equal(berth_wire_rc(CODE(INVALID)), BERTH_EVALUE);
    assert_int_equal(berth_wire_rc(CODE(INTERNAL)), -EREMOTEIO);
}

static void unknown_code_is_an_internal_error_of_the_other_side(void **state)
{
    (void)state;
    assert_int_equal(berth_wire_rc(1000), -EREMOTEIO);
    assert_int_equal(berth_wire_rc(UINT32_MAX), -EREMOTEIO);
    assert_string_equal(berth_wire_code_name(1000), "unknown");
    assert_string_equal(berth_wire_code_name(CODE(NOT_FOUND)), "not_found");
}

static void error_carries_field_and_sentence_to_the_other_side(void **state)
{
    (void)state;
    Berth__V1__Error error;
    struct berth_error err = { 0 };
    berth_wire_error(BERTH_ENOTFOUND, "dispatcher", "dispatcher 'auht' does not exist", &error);
    assert_int_equal(error.field.len, strlen("dispatcher"));
    assert_false(error.has_version_min);
    assert_rc(berth_wire_error_fail(&error, &err), BERTH_ENOTFOUND);
    assert_int_equal(err.code, BERTH_ENOTFOUND);
    assert_string_equal(err.message, "dispatcher 'auht' does not exist");
    assert_rc(berth_wire_error_fail(&error, NULL), BERTH_ENOTFOUND);
}

static void version_error_says_what_is_spoken(void **state)
{
    (void)state;
    Berth__V1__Error error;
    berth_wire_error(BERTH_EVERSION, NULL, "no", &error);
    assert_false(error.has_field);
    assert_int_equal(error.version_min, BERTH_PROTOCOL_VERSION);
    assert_int_equal(error.version_max, BERTH_PROTOCOL_VERSION);
}

static void error_without_words_gets_some(void **state)
{
    (void)state;
    Berth__V1__Error error;
    struct berth_error err = { 0 };
    berth_wire_error(BERTH_EFULL, NULL, NULL, &error);
    assert_rc(berth_wire_error_fail(&error, &err), BERTH_EFULL);
    assert_string_equal(err.message, "the broker refused the request");
    berth_wire_error(0, NULL, NULL, &error);
    assert_rc(berth_wire_error_fail(&error, &err), -EREMOTEIO);
}

static void sentence_longer_than_ours_is_cut(void **state)
{
    (void)state;
    char text[BERTH_SENTENCE_BYTES_MAX];
    memset(text, 'x', sizeof text);
    Berth__V1__Error error;
    struct berth_error err = { 0 };
    berth_wire_error(BERTH_EFULL, NULL, NULL, &error);
    error.has_message = 1;
    error.message = berth_bytes_of((struct berth_slice){ text, sizeof text });
    assert_rc(berth_wire_error_fail(&error, &err), BERTH_EFULL);
    assert_int_equal(strlen(err.message), BERTH_ERROR_MESSAGE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wire_code_comes_back_as_itself),
        cmocka_unit_test(codes_have_the_meaning_of_the_contract),
        cmocka_unit_test(unknown_code_is_an_internal_error_of_the_other_side),
        cmocka_unit_test(error_carries_field_and_sentence_to_the_other_side),
        cmocka_unit_test(version_error_says_what_is_spoken),
        cmocka_unit_test(error_without_words_gets_some),
        cmocka_unit_test(sentence_longer_than_ours_is_cut),
    };
    return berth_test_main(tests, NULL, NULL);
}

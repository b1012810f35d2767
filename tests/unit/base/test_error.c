/* SPDX-License-Identifier: MIT
 *
 * Errors: what the sentence says, and that nothing overflows.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>

#include <berth/error.h>

static void failing_returns_the_code_and_writes_the_sentence(void **state)
{
    (void)state;
    struct berth_error err;

    int rc = berth_fail(&err, BERTH_ECONF, "limit '%s' is not a number", "x");

    assert_int_equal(rc, BERTH_ECONF);
    assert_int_equal(err.code, BERTH_ECONF);
    assert_string_equal(err.message, "limit 'x' is not a number");
}

static void failing_with_an_errno_says_what_it_means(void **state)
{
    (void)state;
    struct berth_error err;

    errno = EBADF;
    int rc = berth_fail(&err, -ENOENT, "open '%s'", "a");

    assert_int_equal(rc, -ENOENT);
    assert_string_equal(err.message, "open 'a': No such file or directory");
    assert_int_equal(errno, EBADF);
}

static void failing_without_a_place_for_it_still_returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(berth_fail(NULL, BERTH_EFULL, "full"), BERTH_EFULL);
    assert_int_equal(berth_fail_wrap(NULL, -EIO, "read"), -EIO);
}

static void wrapping_puts_the_context_in_front(void **state)
{
    (void)state;
    struct berth_error err;
    int rc = berth_fail(&err, BERTH_ECONF, "line 3: unknown key '%s'", "limt");

    rc = berth_fail_wrap(&err, rc, "open '%s'", "berthd.conf");

    assert_int_equal(rc, BERTH_ECONF);
    assert_string_equal(err.message, "open 'berthd.conf': line 3: unknown key 'limt'");
}

static void wrapping_a_code_without_a_sentence_says_what_the_code_means(void **state)
{
    (void)state;
    struct berth_error err = { .code = BERTH_ECONF, .message = "of another failure" };

    int rc = berth_fail_wrap(&err, BERTH_EFENCED, "commit");

    assert_int_equal(rc, BERTH_EFENCED);
    assert_int_equal(err.code, BERTH_EFENCED);
    assert_string_equal(err.message, "commit: somebody newer has taken over");
}

static void a_long_sentence_is_cut_visibly_and_between_characters(void **state)
{
    (void)state;
    char umlauts[4 * BERTH_ERROR_MESSAGE_MAX];
    for (size_t i = 0; i + 2 < sizeof umlauts; i += 2)
        memcpy(umlauts + i, "\xc3\xa4", 3);

    for (int shift = 0; shift < 2; shift++) {
        struct berth_error err;
        int rc = berth_fail(&err, BERTH_EPROTO, "%s%s", shift ? "x" : "", umlauts);
        assert_int_equal(rc, BERTH_EPROTO);
        size_t bytes = strlen(err.message);
        assert_in_range(bytes, BERTH_ERROR_MESSAGE_MAX - 3, BERTH_ERROR_MESSAGE_MAX - 1);
        assert_string_equal(err.message + bytes - 3, "...");
        assert_int_equal((unsigned char)err.message[bytes - 4], 0xa4);
    }
}

static void a_wrapped_long_sentence_stays_within_its_room(void **state)
{
    (void)state;
    char text[BERTH_ERROR_MESSAGE_MAX];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    struct berth_error err;
    int rc = berth_fail(&err, BERTH_EPROTO, "%s", text);
    assert_string_equal(err.message, text);

    for (int i = 0; i < 5; i++)
        rc = berth_fail_wrap(&err, rc, "%s", text);

    assert_int_equal(rc, BERTH_EPROTO);
    assert_int_equal(strlen(err.message), BERTH_ERROR_MESSAGE_MAX - 1);
}

static void every_code_has_a_text_and_a_name(void **state)
{
    (void)state;
#define CHECK(name, value, text)                                                                   \
    assert_string_equal(berth_strerror(name), text);                                               \
    assert_string_equal(berth_error_name(name), #name);
    BERTH_ERRORS(CHECK)
#undef CHECK
    assert_string_equal(berth_strerror(-EPERM), "Operation not permitted");
    assert_string_equal(berth_error_name(-EPERM), "EPERM");
    assert_string_equal(berth_strerror(0), "success");
    assert_string_equal(berth_strerror(-999), "unknown error");
    assert_string_equal(berth_strerror(-5000), "unknown error");
    assert_string_equal(berth_strerror(INT32_MIN), "unknown error");
    assert_string_equal(berth_error_name(7), "EUNNAMED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_returns_the_code_and_writes_the_sentence),
        cmocka_unit_test(failing_with_an_errno_says_what_it_means),
        cmocka_unit_test(failing_without_a_place_for_it_still_returns_the_code),
        cmocka_unit_test(wrapping_puts_the_context_in_front),
        cmocka_unit_test(wrapping_a_code_without_a_sentence_says_what_the_code_means),
        cmocka_unit_test(a_long_sentence_is_cut_visibly_and_between_characters),
        cmocka_unit_test(a_wrapped_long_sentence_stays_within_its_room),
        cmocka_unit_test(every_code_has_a_text_and_a_name),
    };
    return berth_test_main(tests, NULL, NULL);
}

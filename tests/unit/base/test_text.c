/* SPDX-License-Identifier: MIT
 *
 * Text: what is accepted, what is refused with which sentence, and how things are shown.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/text.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static void names_are_checked_as_the_contract_says(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "7", "newsletter", "A.b_c-9", "a.", "a-" };
    static const char *const bad[] = {
        "", ".", "-a", "_a", "a b", "a/b", "\xc3\xa4", "a\n", "a\""
    };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(berth_name_is_valid(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(berth_name_is_valid(bad[i]));

    char name[BERTH_NAME_BYTES_MAX + 2];
    memset(name, 'x', sizeof name);
    name[BERTH_NAME_BYTES_MAX + 1] = '\0';
    assert_false(berth_name_is_valid(name));
    name[BERTH_NAME_BYTES_MAX] = '\0';
    assert_true(berth_name_is_valid(name));
}

static void a_refused_name_is_named(void **state)
{
    (void)state;
    struct berth_error err;

    assert_rc(berth_name_check("--handler", "a b", &err), BERTH_EVALUE);

    assert_string_equal(
        err.message,
        "--handler: 'a b' is not a name; allowed are 1 to 64 letters, digits and . _ -, "
        "the first a letter or digit");
    assert_rc(berth_name_check("--handler", "ok", &err), 0);
}

static void keys_are_1_to_255_bytes_of_utf8(void **state)
{
    (void)state;
    struct berth_error err;
    char key[BERTH_KEY_BYTES_MAX + 1];
    memset(key, 'k', sizeof key);

    assert_rc(berth_key_check("key", (struct berth_slice){ key, 255 }, &err), 0);
    assert_rc(berth_key_check("key", (struct berth_slice){ key, 256 }, &err), BERTH_EVALUE);
    assert_string_equal(err.message, "key has 256 bytes; allowed are 1 to 255");
    assert_rc(berth_key_check("key", (struct berth_slice){ key, 0 }, &err), BERTH_EVALUE);
    assert_rc(berth_key_check("key", (struct berth_slice){ "\xff", 1 }, &err), BERTH_EVALUE);
    assert_string_equal(err.message, "key is not valid UTF-8");
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    (void)state;
    static const char *const good[] = { "",
                                        "abc",
                                        "\x7f",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xef\xbf\xbf",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80",         "\xc0\xaf",         "\xc1\xbf",
                                       "\xc3",         "\xc3\x28",         "\xe0\x9f\xbf",
                                       "\xe2\x82",     "\xed\xa0\x80",     "\xe2\x28\xa1",
                                       "\xe2\x82\x28", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                       "\xf5\x80",     "\xf0\x90\x80",     "ok\xff" };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(berth_utf8_is_valid(berth_slice_of(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(berth_utf8_is_valid(berth_slice_of(bad[i])));
    assert_true(berth_utf8_is_valid((struct berth_slice){ "a\0b", 3 }));
}

static void whole_numbers_are_read_within_their_range(void **state)
{
    (void)state;
    uint64_t u = 77;
    int64_t i = 77;

    assert_rc(berth_u64_parse("n", "0", 0, 9, &u, NULL), 0);
    assert_true(u == 0);
    assert_rc(berth_u64_parse("n", "18446744073709551615", 0, UINT64_MAX, &u, NULL), 0);
    assert_true(u == UINT64_MAX);
    assert_rc(berth_u64_parse("n", "0042", 0, 99, &u, NULL), 0);
    assert_true(u == 42);
    assert_rc(berth_i64_parse("n", "-9223372036854775808", INT64_MIN, INT64_MAX, &i, NULL), 0);
    assert_true(i == INT64_MIN);
    assert_rc(berth_i64_parse("n", "9223372036854775807", INT64_MIN, INT64_MAX, &i, NULL), 0);
    assert_true(i == INT64_MAX);
    assert_rc(berth_i64_parse("n", "-100", -100, 100, &i, NULL), 0);
    assert_true(i == -100);
}

static void what_is_no_whole_number_in_range_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       " 1",
                                       "1 ",
                                       "+1",
                                       "-1",
                                       "1.0",
                                       "0x1",
                                       "one",
                                       "1e3",
                                       "1\n1",
                                       "10",
                                       "18446744073709551616",
                                       "99999999999999999999999999" };
    uint64_t u = 77;
    for (size_t n = 0; n < COUNT_OF(bad); n++)
        assert_rc(berth_u64_parse("n", bad[n], 0, 9, &u, NULL), BERTH_EVALUE);
    assert_rc(berth_u64_parse("n", "18446744073709551616", 0, UINT64_MAX, &u, NULL), BERTH_EVALUE);
    assert_true(u == 77);

    static const char *const bad_signed[] = {
        "", "-", "--1", "- 1", "+1", "9223372036854775808", "-9223372036854775809", "1-"
    };
    int64_t i = 77;
    for (size_t n = 0; n < COUNT_OF(bad_signed); n++)
        assert_rc(berth_i64_parse("n", bad_signed[n], INT64_MIN, INT64_MAX, &i, NULL),
                  BERTH_EVALUE);
    assert_true(i == 77);
}

static void a_refused_number_says_what_is_allowed(void **state)
{
    (void)state;
    struct berth_error err;
    uint64_t u;
    int64_t i;

    assert_rc(berth_u64_parse("--limit", "-3", 1, 1000, &u, &err), BERTH_EVALUE);
    assert_string_equal(err.message,
                        "--limit: '-3' is not allowed; a whole number from 1 to 1000 is wanted");
    assert_rc(berth_i64_parse("--priority", "101", -100, 100, &i, &err), BERTH_EVALUE);
    assert_string_equal(
        err.message, "--priority: '101' is not allowed; a whole number from -100 to 100 is wanted");
}

static void durations_need_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        { "250ms", 250 },    { "30s", 30000 }, { "5m", 300000 }, { "1h", 3600000 },
        { "7d", 604800000 }, { "0s", 0 },      { "007s", 7000 }, { "9000d", 777600000000 }
    };
    static const char *const bad[] = {
        "",     "30",  "s",     "30 s", " 30s", "1h30m",         "-1s",
        "1.5s", "30S", "30sec", "1w",   "30s ", "106751991168d", "99999999999999999999ms"
    };
    int64_t ms = 77;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_rc(berth_duration_parse("t", good[i].text, 0, INT64_MAX, &ms, NULL), 0);
        assert_true(ms == good[i].ms);
    }
    ms = 77;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_rc(berth_duration_parse("t", bad[i], 0, INT64_MAX, &ms, NULL), BERTH_EVALUE);
    assert_true(ms == 77);
}

static void a_refused_duration_says_what_is_allowed(void **state)
{
    (void)state;
    struct berth_error err;
    int64_t ms;

    assert_rc(berth_duration_parse("--timeout", "30", 1, 86400000, &ms, &err), BERTH_EVALUE);

    assert_string_equal(err.message,
                        "--timeout: '30' is not allowed; a number with a unit (ms s m h d), "
                        "from 1ms to 1d, is wanted");
    assert_rc(berth_duration_parse("--timeout", "2d", 1, 86400000, &ms, &err), BERTH_EVALUE);
    assert_rc(berth_duration_parse("--timeout", "0s", 1, 86400000, &ms, &err), BERTH_EVALUE);
}

static void sizes_need_a_unit(void **state)
{
    (void)state;
    struct berth_error err;
    uint64_t bytes = 77;
    static const char *const bad[] = { "",      "64",   "64K", "64KB",
                                       "64kib", "1TiB", "-1B", "17179869184GiB" };

    assert_rc(berth_bytes_parse("s", "64KiB", 0, UINT64_MAX, &bytes, NULL), 0);
    assert_true(bytes == 65536);
    assert_rc(berth_bytes_parse("s", "100B", 0, UINT64_MAX, &bytes, NULL), 0);
    assert_true(bytes == 100);
    assert_rc(berth_bytes_parse("s", "3GiB", 0, UINT64_MAX, &bytes, NULL), 0);
    assert_true(bytes == UINT64_C(3221225472));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_rc(berth_bytes_parse("s", bad[i], 0, UINT64_MAX, &bytes, NULL), BERTH_EVALUE);
    assert_rc(berth_bytes_parse("--stack", "1KiB", 16384, 1 << 30, &bytes, &err), BERTH_EVALUE);
    assert_string_equal(err.message,
                        "--stack: '1KiB' is not allowed; a number with a unit (B KiB MiB "
                        "GiB), from 16KiB to 1GiB, is wanted");
}

static void yes_and_no_have_three_spellings(void **state)
{
    (void)state;
    bool value = false;
    assert_rc(berth_bool_parse("b", "yes", &value, NULL), 0);
    assert_true(value);
    assert_rc(berth_bool_parse("b", "off", &value, NULL), 0);
    assert_false(value);
    assert_rc(berth_bool_parse("b", "true", &value, NULL), 0);
    assert_true(value);
    assert_rc(berth_bool_parse("b", "1", &value, NULL), BERTH_EVALUE);
    assert_rc(berth_bool_parse("b", "Yes", &value, NULL), BERTH_EVALUE);
}

static void times_are_shown_as_rfc_3339(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000000Z" },
        { 1, "1970-01-01T00:00:00.000001Z" },
        { -1, "1969-12-31T23:59:59.999999Z" },
        { 951782400000000, "2000-02-29T00:00:00.000000Z" },
        { 1709210096123456, "2024-02-29T12:34:56.123456Z" },
        { 4107542399999999, "2100-02-28T23:59:59.999999Z" },
        { 4107542400000000, "2100-03-01T00:00:00.000000Z" },
        { INT64_MAX, "9999-12-31T23:59:59.999999Z" },
        { INT64_MIN, "0000-01-01T00:00:00.000000Z" },
    };
    char text[BERTH_TIME_TEXT_MAX];
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(berth_time_format(cases[i].us, text), cases[i].text);
}

static void times_are_read_with_their_zone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-01-01T00:00:00.000250Z", INT64_C(1767225600000250) },
        { "2026-01-01T00:00:00.5z", INT64_C(1767225600500000) },
        { "2026-01-01t01:00:00+01:00", INT64_C(1767225600000000) },
        { "2025-12-31T18:30:00-05:30", INT64_C(1767225600000000) },
        { "2026-01-01T00:00:00.0002509999999Z", INT64_C(1767225600000250) },
        { "2028-02-29T00:00:00Z", INT64_C(1835395200000000) },
        { "9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999) },
        { "0000-01-01T00:00:00Z", INT64_C(-62167219200000000) },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t us = 77;
        assert_ok(berth_time_parse("--at", cases[i].text, &us, NULL));
        assert_int_equal(us, cases[i].us);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "now",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00Z",
        "2026-1-1T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+1:00",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00Zx",
        "-2026-01-01T00:00:00Z",
        "20266-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t us = 77;
        struct berth_error err;
        assert_rc(berth_time_parse("--at", bad[i], &us, &err), BERTH_EVALUE);
        assert_int_equal(us, 77);
        assert_non_null(strstr(err.message, "--at: '"));
        assert_non_null(strstr(err.message, "2027-01-31T10:30:00+01:00"));
    }
}

static void every_day_comes_back_as_it_was_shown(void **state)
{
    (void)state;
    const int64_t day_us = INT64_C(86400000000);
    for (int64_t day = -719528; day < 2932897; day += 97) {
        char text[BERTH_TIME_TEXT_MAX];
        int64_t us = 0;
        assert_ok(berth_time_parse("", berth_time_format(day * day_us + 1, text), &us, NULL));
        assert_int_equal(us, day * day_us + 1);
    }
}

static void durations_are_shown_for_people(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        { 0, "0ms" },        { 999, "999ms" },
        { 1000, "1s" },      { 1299, "1.2s" },
        { 1050, "1s" },      { 59999, "59.9s" },
        { 60000, "1m" },     { 330500, "5m30s" },
        { 3600000, "1h" },   { 3900000, "1h5m" },
        { 604800000, "7d" }, { 273600000, "3d4h" },
        { -1500, "-1.5s" },  { INT64_MIN, "-106751991167d7h" },
    };
    char text[BERTH_DURATION_TEXT_MAX];
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(berth_duration_format(cases[i].ms, text), cases[i].text);
}

static void sizes_are_shown_without_loss(void **state)
{
    (void)state;
    char text[BERTH_BYTES_TEXT_MAX];
    assert_string_equal(berth_bytes_format(0, text), "0B");
    assert_string_equal(berth_bytes_format(1000, text), "1000B");
    assert_string_equal(berth_bytes_format(65536, text), "64KiB");
    assert_string_equal(berth_bytes_format(65537, text), "65537B");
    assert_string_equal(berth_bytes_format(UINT64_C(5) << 30, text), "5GiB");
    assert_string_equal(berth_bytes_format(UINT64_MAX, text), "18446744073709551615B");
}

static const char *word_of(const void *arg, size_t index)
{
    const char *const *words = arg;
    return words[index];
}

static void a_mistyped_word_finds_its_neighbour(void **state)
{
    (void)state;
    static const char *const words[] = { "limit", "list", "max-attempts", "ls", "submit" };
    static const struct {
        const char *word, *meant;
    } cases[] = {
        { "limt", "limit" },
        { "limits", "limit" },
        { "lmiit", "limit" },
        { "sumbit", "submit" },
        { "submti", "submit" },
        { "max-attempt", "max-attempts" },
        { "maxattempts", "max-attempts" },
        { "lst", "list" },
        { "quux", NULL },
        { "", NULL },
        { "x", NULL },
        { "a-word-that-is-longer-than-any-that-we-would-compare", NULL },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *found = berth_suggest(cases[i].word, COUNT_OF(words), word_of, words);
        if (cases[i].meant)
            assert_string_equal(found, cases[i].meant);
        else
            assert_null(found);
    }
}

static void slices_compare_by_their_bytes(void **state)
{
    (void)state;
    assert_true(berth_slice_is_equal(berth_slice_of("ab"), berth_slice_of("ab")));
    assert_false(berth_slice_is_equal(berth_slice_of("ab"), berth_slice_of("ac")));
    assert_false(berth_slice_is_equal(berth_slice_of("ab"), berth_slice_of("abc")));
    assert_true(berth_slice_is_equal(berth_slice_of(NULL), berth_slice_of("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked_as_the_contract_says),
        cmocka_unit_test(a_refused_name_is_named),
        cmocka_unit_test(keys_are_1_to_255_bytes_of_utf8),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(whole_numbers_are_read_within_their_range),
        cmocka_unit_test(what_is_no_whole_number_in_range_is_refused),
        cmocka_unit_test(a_refused_number_says_what_is_allowed),
        cmocka_unit_test(durations_need_a_unit),
        cmocka_unit_test(a_refused_duration_says_what_is_allowed),
        cmocka_unit_test(sizes_need_a_unit),
        cmocka_unit_test(yes_and_no_have_three_spellings),
        cmocka_unit_test(times_are_shown_as_rfc_3339),
        cmocka_unit_test(times_are_read_with_their_zone),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(every_day_comes_back_as_it_was_shown),
        cmocka_unit_test(durations_are_shown_for_people),
        cmocka_unit_test(sizes_are_shown_without_loss),
        cmocka_unit_test(a_mistyped_word_finds_its_neighbour),
        cmocka_unit_test(slices_compare_by_their_bytes),
    };
    return berth_test_main(tests, NULL, NULL);
}

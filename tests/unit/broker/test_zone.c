/* SPDX-License-Identifier: MIT
 *
 * Zones from the bytes of TZif files.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/text.h"
#include "broker/core/recur/calendar.h"
#include "broker/core/recur/zone.h"
#include "tzif.h"

#define HOUR_S  3600
#define FIRST_S (-1000000)
#define LAST_S  2000000000
/* Where the second header of a made file begins: 44 bytes, one kind of time, one byte of names. */
#define SECOND_AT 51

static const int64_t times[] = { FIRST_S, 0, LAST_S };
static const uint8_t kinds_of[] = { 1, 2, 1 };
static const struct tzif_kind kinds[] = { { 3208, 0, 0 }, { HOUR_S, 0, 4 }, { 2 * HOUR_S, 1, 8 } };
static const struct tzif_block three = {
    .times = times,
    .kinds_of = kinds_of,
    .time_count = 3,
    .kinds = kinds,
    .kind_count = 3,
    .names = "LMT\0CET\0CEST",
    .name_bytes = 13,
};
static const char footer[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";

/* The zone borrows from `tzif`. */
static struct zone given(const struct tzif *tzif)
{
    struct zone zone;
    struct berth_error err = { .code = 0 };
    if (zone_parse(tzif_slice(tzif), &zone, &err) < 0)
        fail_msg("%s", err.message);
    return zone;
}

static void assert_span(const struct zone *zone, int64_t at_s, struct zone_span wanted)
{
    struct zone_span span = zone_at(zone, at_s);
    assert_int_equal(span.begin_s, wanted.begin_s);
    assert_int_equal(span.end_s, wanted.end_s);
    assert_int_equal(span.offset_s, wanted.offset_s);
}

static void assert_refused(const struct tzif *tzif, const char *sentence)
{
    struct zone zone;
    struct berth_error err = { .code = 0 };
    assert_rc(zone_parse(tzif_slice(tzif), &zone, &err), BERTH_EVALUE);
    if (!strstr(err.message, sentence))
        fail_msg("not '%s' but '%s'", sentence, err.message);
}

static void utc_is_all_zero(void **state)
{
    (void)state;
    struct zone zone = { .count = 0 };
    assert_span(&zone, 12345, (struct zone_span){ INT64_MIN, INT64_MAX, 0 });
}

static void each_version_has_its_transitions(void **state)
{
    (void)state;
    const uint8_t versions[] = { 0, '2', '3', '4' };
    for (size_t i = 0; i < sizeof versions; i++) {
        struct tzif tzif;
        tzif_make(&tzif, versions[i], &three, versions[i] ? "\n\n" : NULL);
        struct zone zone = given(&tzif);

        assert_span(&zone, FIRST_S - 1, (struct zone_span){ INT64_MIN, FIRST_S, 3208 });
        assert_span(&zone, FIRST_S, (struct zone_span){ FIRST_S, 0, HOUR_S });
        assert_span(&zone, -1, (struct zone_span){ FIRST_S, 0, HOUR_S });
        assert_span(&zone, 0, (struct zone_span){ 0, LAST_S, 2 * HOUR_S });
        assert_span(&zone, LAST_S, (struct zone_span){ LAST_S, INT64_MAX, HOUR_S });
    }
}

static void behind_the_last_transition_the_rule_holds(void **state)
{
    (void)state;
    struct tzif tzif;
    tzif_make(&tzif, '2', &three, footer);
    struct zone zone = given(&tzif);
    int64_t spring_s = calendar_day(2050, 3, 27) * CALENDAR_DAY_S + HOUR_S;
    int64_t autumn_s = calendar_day(2050, 10, 30) * CALENDAR_DAY_S + HOUR_S;

    assert_span(&zone, spring_s, (struct zone_span){ spring_s, autumn_s, 2 * HOUR_S });
    assert_int_equal(zone_at(&zone, spring_s - 1).offset_s, HOUR_S);
}

static void the_rule_does_not_reach_before_the_last_transition(void **state)
{
    (void)state;
    struct tzif tzif;
    tzif_make(&tzif, '2', &three, footer);
    struct zone zone = given(&tzif);

    assert_int_equal(zone_at(&zone, LAST_S).begin_s, LAST_S);
    assert_span(&zone, LAST_S - 1, (struct zone_span){ 0, LAST_S, 2 * HOUR_S });
}

static void without_transitions_the_rule_holds_always(void **state)
{
    (void)state;
    struct tzif_block block = three;
    block.time_count = 0;
    struct tzif tzif;
    tzif_make(&tzif, '3', &block, "\nIST-5:30\n");
    struct zone zone = given(&tzif);

    assert_span(&zone, -5, (struct zone_span){ INT64_MIN, INT64_MAX, 5 * HOUR_S + 1800 });
}

static void without_transitions_and_rule_the_first_kind_holds_always(void **state)
{
    (void)state;
    struct tzif_block block = three;
    block.time_count = 0;
    struct tzif tzif;
    tzif_make(&tzif, '2', &block, "\n\n");
    struct zone zone = given(&tzif);

    assert_span(&zone, 0, (struct zone_span){ INT64_MIN, INT64_MAX, 3208 });
}

static void every_file_that_is_cut_short_is_refused(void **state)
{
    (void)state;
    const uint8_t versions[] = { 0, '2' };
    for (size_t i = 0; i < sizeof versions; i++) {
        struct tzif tzif;
        tzif_make(&tzif, versions[i], &three, versions[i] ? footer : NULL);
        for (size_t bytes = 0; bytes < tzif.count; bytes++) {
            struct zone zone;
            struct berth_error err = { .code = 0 };
            struct berth_slice cut = { tzif.bytes, bytes };
            if (zone_parse(cut, &zone, &err) != BERTH_EVALUE)
                fail_msg("version %u with %zu bytes", versions[i], bytes);
        }
    }
}

static void each_byte_that_is_wrong_is_refused_with_its_reason(void **state)
{
    (void)state;
    const size_t block_at = SECOND_AT + 44, kinds_of_at = block_at + 24, kinds_at = kinds_of_at + 3;
    const struct {
        size_t at;
        uint8_t byte;
        const char *sentence;
    } cases[] = {
        { 0, 't', "does not begin with 'TZif'" },
        { SECOND_AT + 3, 'F', "does not begin with 'TZif'" },
        { 4, '1', "version is not one of 1 to 4" },
        { 4, '5', "version is not one of 1 to 4" },
        { 4, '3', "two headers differ" },
        { SECOND_AT + 39, 0, "no kind of time" },
        { SECOND_AT + 38, 1, "cut short" },
        { SECOND_AT + 32, 0xff, "cut short" },
        { kinds_at, 0x7f, "a day or more away from UTC" },
        { kinds_at, 0x80, "a day or more away from UTC" },
        { kinds_at + 4, 2, "neither standard nor summer" },
        { kinds_at + 5, 13, "outside of the names" },
        { block_at, 0x7f, "not in order" },
        { kinds_of_at, 3, "a kind of time that is not there" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tzif tzif;
        tzif_make(&tzif, '2', &three, footer);
        tzif.bytes[cases[i].at] = cases[i].byte;
        assert_refused(&tzif, cases[i].sentence);
    }
}

static void marks_are_one_for_each_kind_or_none(void **state)
{
    (void)state;
    struct tzif tzif;
    struct tzif_block block = three;
    block.standard_count = 3;
    block.ut_count = 3;
    tzif_make(&tzif, '2', &block, footer);
    (void)given(&tzif);

    block.standard_count = 2;
    tzif_make(&tzif, '2', &block, footer);
    assert_refused(&tzif, "mark of standard time");

    block.standard_count = 0;
    block.ut_count = 4;
    tzif_make(&tzif, '2', &block, footer);
    assert_refused(&tzif, "mark of UT");
}

static void no_names_are_refused(void **state)
{
    (void)state;
    struct tzif tzif;
    struct tzif_block block = three;
    block.name_bytes = 0;
    tzif_make(&tzif, '2', &block, footer);
    assert_refused(&tzif, "names no kind of time");
}

static void leap_seconds_are_refused(void **state)
{
    (void)state;
    struct tzif tzif;
    struct tzif_block block = three;
    block.leap_count = 27;
    tzif_make(&tzif, '2', &block, footer);
    assert_refused(&tzif, "leap seconds");
}

static void more_kinds_than_a_byte_can_name_are_refused(void **state)
{
    (void)state;
    static const struct tzif_kind many[257];
    struct tzif tzif;
    struct tzif_block block = {
        .kinds_of = kinds_of, .kinds = many, .kind_count = 257, .names = "A", .name_bytes = 1
    };
    tzif_make(&tzif, '2', &block, footer);
    assert_refused(&tzif, "no kind of time, or more than 256");
}

static void a_footer_is_one_line_with_a_rule(void **state)
{
    (void)state;
    const struct {
        const char *footer, *sentence;
    } cases[] = {
        { NULL, "footer is not a line" },
        { "\n", "footer is not a line" },
        { "CET-1\n", "footer is not a line" },
        { "\nCET-1", "footer is not a line" },
        { "\nCET-1\n\n", "byte 5 of 6: expected" },
        { "\nnonsense\n", "byte 8 of 8: expected is an offset" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tzif tzif;
        tzif_make(&tzif, '2', &three, cases[i].footer);
        assert_refused(&tzif, cases[i].sentence);
    }
}

static void what_follows_a_file_of_version_1_is_refused(void **state)
{
    (void)state;
    struct tzif tzif;
    tzif_make(&tzif, 0, &three, footer);
    assert_refused(&tzif, "something follows its end");
}

static void a_file_beyond_the_maximum_is_refused(void **state)
{
    (void)state;
    static const uint8_t large[ZONE_BYTES_MAX + 1];
    struct zone zone;
    struct berth_error err = { .code = 0 };
    struct berth_slice slice = { large, sizeof large };
    assert_rc(zone_parse(slice, &zone, &err), BERTH_EVALUE);
    assert_non_null(strstr(err.message, "more than 65536 bytes"));
}

static void a_zone_may_be_a_rule_alone(void **state)
{
    (void)state;
    struct zone zone;
    struct berth_error err = { .code = 0 };
    assert_ok(zone_of_rule(berth_slice_of("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"), &zone, &err));
    assert_int_equal(zone_at(&zone, 0).offset_s, 11 * HOUR_S);
    assert_rc(zone_of_rule(berth_slice_of("LHST"), &zone, &err), BERTH_EVALUE);
}

static void names_of_zones_stay_below_their_folder(void **state)
{
    (void)state;
    const char *good[] = { "UTC",
                           "Europe/Berlin",
                           "America/Argentina/ComodRivadavia",
                           "America/Port-au-Prince",
                           "Etc/GMT+5",
                           "EST5EDT",
                           "x" };
    const char *bad[] = { "",
                          "/etc/passwd",
                          "../passwd",
                          "Europe/../../passwd",
                          "Europe/..",
                          "./UTC",
                          ".",
                          "Europe//Berlin",
                          "Europe/",
                          "zone.tab",
                          "Europe Berlin",
                          "Europe/Berl\xc3\xadn",
                          "-UTC",
                          "1",
                          "A23456789012345678901234567890123456789012345678901234567890123456" };
    struct berth_error err = { .code = 0 };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_ok(zone_name_check("tz", berth_slice_of(good[i]), &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (zone_name_check("tz", berth_slice_of(bad[i]), &err) != BERTH_EVALUE)
            fail_msg("'%s'", bad[i]);
    assert_rc(zone_name_check("tz", (struct berth_slice){ "UTC\0x", 5 }, &err), BERTH_EVALUE);
    assert_rc(zone_name_check("tz", berth_slice_of("../x"), &err), BERTH_EVALUE);
    assert_string_equal(err.message, "tz: '../x' is not a time zone; allowed is UTC or a name such "
                                     "as Europe/Berlin, at most 64 characters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utc_is_all_zero),
        cmocka_unit_test(each_version_has_its_transitions),
        cmocka_unit_test(behind_the_last_transition_the_rule_holds),
        cmocka_unit_test(the_rule_does_not_reach_before_the_last_transition),
        cmocka_unit_test(without_transitions_the_rule_holds_always),
        cmocka_unit_test(without_transitions_and_rule_the_first_kind_holds_always),
        cmocka_unit_test(every_file_that_is_cut_short_is_refused),
        cmocka_unit_test(each_byte_that_is_wrong_is_refused_with_its_reason),
        cmocka_unit_test(marks_are_one_for_each_kind_or_none),
        cmocka_unit_test(no_names_are_refused),
        cmocka_unit_test(leap_seconds_are_refused),
        cmocka_unit_test(more_kinds_than_a_byte_can_name_are_refused),
        cmocka_unit_test(a_footer_is_one_line_with_a_rule),
        cmocka_unit_test(what_follows_a_file_of_version_1_is_refused),
        cmocka_unit_test(a_file_beyond_the_maximum_is_refused),
        cmocka_unit_test(a_zone_may_be_a_rule_alone),
        cmocka_unit_test(names_of_zones_stay_below_their_folder),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "zone_rule.h"

#include <string.h>

#include "base/assert.h"
#include "calendar.h"

#define HOUR_S             3600
#define OFFSET_HOURS_MAX   24
#define TIME_HOURS_MAX     167
#define CHANGE_S_DEFAULT   (2 * HOUR_S)
#define NAME_BYTES_MIN     3
#define YEARS_AROUND       2 /* a change may be a week outside of its year */
#define CHANGES_AROUND_MAX (2 * (2 * YEARS_AROUND + 1))

/* ---- text ---- */

struct reader {
    const char *text;
    size_t at, bytes;
    const char *expected; /* what was missing, once something was */
};

static char peek(const struct reader *reader)
{
    return reader->at < reader->bytes ? reader->text[reader->at] : '\0';
}

static bool skip(struct reader *reader, char wanted)
{
    if (reader->at >= reader->bytes || reader->text[reader->at] != wanted)
        return false;
    reader->at++;
    return true;
}

static bool fail(struct reader *reader, const char *expected)
{
    reader->expected = expected;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* At most `digits_max` digits, min .. max. */
static bool read_number(struct reader *reader, unsigned digits_max, unsigned min, unsigned max,
                        const char *expected, unsigned *ret_number)
{
    size_t begin = reader->at;
    unsigned number = 0;
    while (is_digit(peek(reader)) && reader->at - begin < digits_max)
        number = number * 10 + (unsigned)(reader->text[reader->at++] - '0');
    if (reader->at == begin || number < min || number > max) {
        reader->at = begin;
        return fail(reader, expected);
    }
    *ret_number = number;
    return true;
}

/* "CET" or "<+1030>". What it says is nothing to us. */
static bool read_name(struct reader *reader)
{
    bool is_quoted = skip(reader, '<');
    size_t begin = reader->at;
    for (char c = peek(reader);
         is_letter(c) || (is_quoted && (is_digit(c) || c == '+' || c == '-')); c = peek(reader))
        reader->at++;
    if (reader->at - begin < NAME_BYTES_MIN)
        return fail(reader, "a name of three characters or more");
    return !is_quoted || skip(reader, '>') || fail(reader, "'>'");
}

/* [+-]hh[:mm[:ss]], positive as it stands. */
static bool read_time(struct reader *reader, unsigned hours_max, const char *expected,
                      int32_t *ret_s)
{
    bool is_negative = skip(reader, '-');
    if (!is_negative)
        (void)skip(reader, '+');
    unsigned hours, minutes = 0, seconds = 0;
    if (!read_number(reader, 3, 0, hours_max, expected, &hours))
        return false;
    if (skip(reader, ':')) {
        if (!read_number(reader, 2, 0, 59, "minutes, 0 to 59", &minutes))
            return false;
        if (skip(reader, ':') && !read_number(reader, 2, 0, 59, "seconds, 0 to 59", &seconds))
            return false;
    }
    int32_t time_s = (int32_t)(hours * HOUR_S + minutes * 60 + seconds);
    *ret_s = is_negative ? -time_s : time_s;
    return true;
}

/* POSIX counts west of Greenwich, everybody else east. */
static bool read_offset(struct reader *reader, int32_t *ret_s)
{
    int32_t west_s;
    if (!read_time(reader, OFFSET_HOURS_MAX, "an offset, -24:59:59 to 24:59:59", &west_s))
        return false;
    *ret_s = -west_s;
    return true;
}

static bool read_weekday_of_month(struct reader *reader, struct zone_change *change)
{
    change->kind = ZONE_DAY_WEEKDAY;
    return read_number(reader, 2, 1, 12, "a month, 1 to 12", &change->month) &&
           (skip(reader, '.') || fail(reader, "'.'")) &&
           read_number(reader, 1, 1, 5, "a week, 1 to 5", &change->week) &&
           (skip(reader, '.') || fail(reader, "'.'")) &&
           read_number(reader, 1, 0, 6, "a weekday, 0 to 6", &change->weekday);
}

static bool read_day(struct reader *reader, struct zone_change *change)
{
    if (skip(reader, 'M'))
        return read_weekday_of_month(reader, change);
    if (skip(reader, 'J')) {
        change->kind = ZONE_DAY_JULIAN;
        return read_number(reader, 3, 1, 365, "a day, J1 to J365", &change->day);
    }
    change->kind = ZONE_DAY_OF_YEAR;
    return read_number(reader, 3, 0, 365, "a day, Mm.w.d or J1 to J365 or 0 to 365", &change->day);
}

static bool read_change(struct reader *reader, struct zone_change *ret_change)
{
    struct zone_change change = { .time_s = CHANGE_S_DEFAULT };
    if (!skip(reader, ','))
        return fail(reader, "',' and a day of change");
    if (!read_day(reader, &change))
        return false;
    if (skip(reader, '/') &&
        !read_time(reader, TIME_HOURS_MAX, "a time, -167:59:59 to 167:59:59", &change.time_s))
        return false;
    *ret_change = change;
    return true;
}

static bool read_summer(struct reader *reader, struct zone_rule *rule)
{
    rule->has_summer = true;
    rule->summer_s = rule->standard_s + HOUR_S;
    if (!read_name(reader))
        return false;
    bool has_offset = reader->at < reader->bytes && peek(reader) != ',';
    if (has_offset && !read_offset(reader, &rule->summer_s))
        return false;
    return read_change(reader, &rule->summer_begins) && read_change(reader, &rule->summer_ends);
}

static bool read_rule(struct reader *reader, struct zone_rule *rule)
{
    if (!read_name(reader) || !read_offset(reader, &rule->standard_s))
        return false;
    if (reader->at < reader->bytes && !read_summer(reader, rule))
        return false;
    return reader->at == reader->bytes || fail(reader, "the end");
}

int zone_rule_parse(struct berth_slice text, struct zone_rule *ret_rule, struct berth_error *err)
{
    struct reader reader = { .text = text.data, .bytes = text.bytes };
    struct zone_rule rule = { .has_summer = false };
    if (!read_rule(&reader, &rule))
        return berth_fail(err, BERTH_EVALUE,
                          "a time zone's rule is wrong at byte %zu of %zu: expected is %s",
                          reader.at, reader.bytes, reader.expected);
    *ret_rule = rule;
    return 0;
}

/* ---- time ---- */

static int64_t day_of(const struct zone_change *change, int64_t year)
{
    if (change->kind == ZONE_DAY_WEEKDAY) {
        int64_t first = calendar_day(year, change->month, 1);
        unsigned days =
            (change->weekday + 7 - calendar_weekday(first)) % 7 + (change->week - 1) * 7;
        return first + (days < calendar_month_days(year, change->month) ? days : days - 7);
    }
    int64_t new_year = calendar_day(year, 1, 1);
    if (change->kind == ZONE_DAY_OF_YEAR)
        return new_year + change->day;
    bool is_behind_leap_day = change->day >= 60 && calendar_month_days(year, 2) == 29;
    return new_year + change->day - (is_behind_leap_day ? 0 : 1);
}

/* `before_s`: the offset that the clock had until then. */
static int64_t instant_of(const struct zone_change *change, int64_t year, int32_t before_s)
{
    return day_of(change, year) * CALENDAR_DAY_S + change->time_s - before_s;
}

struct turn {
    int64_t at_s;
    int32_t offset_s; /* from then on */
};

/* Keeps them in order; of two at one instant the one that came later stands later. */
static void insert(struct turn *turns, size_t count, struct turn turn)
{
    size_t place = count;
    for (; place > 0 && turns[place - 1].at_s > turn.at_s; place--)
        turns[place] = turns[place - 1];
    turns[place] = turn;
}

/* Summer time for a whole year is written as one that ends when the next one begins: at that
 * instant the beginning counts, so the end goes in first. */
struct zone_span zone_rule_at(const struct zone_rule *rule, int64_t unix_s)
{
    BERTH_ASSERT(unix_s >= ZONE_UNIX_S_MIN);
    BERTH_ASSERT(unix_s <= ZONE_UNIX_S_MAX);
    if (!rule->has_summer)
        return (struct zone_span){ INT64_MIN, INT64_MAX, rule->standard_s };
    struct turn turns[CHANGES_AROUND_MAX];
    size_t count = 0;
    int64_t year = calendar_date_of(calendar_floor_div(unix_s, CALENDAR_DAY_S)).year;
    for (int64_t y = year - YEARS_AROUND; y <= year + YEARS_AROUND; y++) {
        int64_t end_s = instant_of(&rule->summer_ends, y, rule->summer_s);
        insert(turns, count++, (struct turn){ end_s, rule->standard_s });
        int64_t begin_s = instant_of(&rule->summer_begins, y, rule->standard_s);
        insert(turns, count++, (struct turn){ begin_s, rule->summer_s });
    }
    size_t last = count - 1;
    while (turns[last].at_s > unix_s)
        last--;
    return (struct zone_span){ turns[last].at_s, turns[last + 1].at_s, turns[last].offset_s };
}

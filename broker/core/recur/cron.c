/* SPDX-License-Identifier: MIT */
#include "cron.h"

#include <string.h>

#include "calendar.h"

#define SECOND_US       1000000
#define MINUTE_S        60
#define DAY_MINUTES     1440
#define WALL_YEAR_MAX   10000 /* by the clock of a zone it may be the next year already */
#define UNIX_S_MIN      (-INT64_C(62135596800)) /* 0001-01-01T00:00:00Z */
#define UNIX_S_MAX      INT64_C(253402300799)   /* 9999-12-31T23:59:59Z */
#define CYCLE_FROM_YEAR 2000
#define TEXT_SHOWN_MAX  60
#define DAY_NONE        INT64_MAX
/* What lies further apart than this is in the same order by the clock of any zone. */
#define REACH_S (ZONE_OFFSET_S_MAX - ZONE_OFFSET_S_MIN)

/* ---- text ---- */

enum field_id { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, FIELD_COUNT };

struct field {
    const char *name;
    unsigned min, max;
    const char *names; /* three letters each, from `min` on; NULL: none */
    const char *allowed;
};

static const struct field fields[FIELD_COUNT] = {
    [FIELD_MINUTE] = { "minute", 0, 59, NULL, "0 to 59" },
    [FIELD_HOUR] = { "hour", 0, 23, NULL, "0 to 23" },
    [FIELD_DAY] = { "day-of-month", 1, 31, NULL, "1 to 31" },
    [FIELD_MONTH] = { "month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec",
                      "1 to 12 or jan to dec" },
    [FIELD_WEEKDAY] = { "day-of-week", 0, 7, "sunmontuewedthufrisat",
                        "0 to 7 (0 and 7 are Sunday) or sun to sat" },
};

static const struct {
    const char *name, *text;
} shorthands[] = {
    { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" },
    { "@weekly", "0 0 * * 0" }, { "@daily", "0 0 * * *" },    { "@midnight", "0 0 * * *" },
    { "@hourly", "0 * * * *" },
};

/* An expression while it is read; `item` is what stands between two commas. */
struct parsing {
    const char *what;
    struct berth_error *err;
    const struct field *field;
    struct berth_slice item;
    uint64_t bits[FIELD_COUNT];
    bool is_wildcard[FIELD_COUNT];
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static char char_at(struct berth_slice text, size_t index)
{
    return ((const char *)text.data)[index];
}

static struct berth_slice part(struct berth_slice text, size_t begin, size_t end)
{
    return (struct berth_slice){ (const char *)text.data + begin, end - begin };
}

/* The index of `c` from `begin` on, or the end. */
static size_t find(struct berth_slice text, size_t begin, char c)
{
    while (begin < text.bytes && char_at(text, begin) != c)
        begin++;
    return begin;
}

static int shown_bytes(struct berth_slice text)
{
    return text.bytes > TEXT_SHOWN_MAX ? TEXT_SHOWN_MAX : (int)text.bytes;
}

static int refuse_value(const struct parsing *parsing, struct berth_slice value)
{
    if (value.bytes == 0)
        value = parsing->item;
    return berth_fail(parsing->err, BERTH_EVALUE, "%s: %s '%.*s' is not allowed; allowed is %s",
                      parsing->what, parsing->field->name, shown_bytes(value),
                      (const char *)value.data, parsing->field->allowed);
}

/* "jan". -1: it is no name of this field. */
static int named_value(const struct field *field, struct berth_slice text)
{
    size_t count = field->names ? strlen(field->names) / 3 : 0;
    if (text.bytes != 3)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const char *name = field->names + i * 3;
        if (lower(char_at(text, 0)) == name[0] && lower(char_at(text, 1)) == name[1] &&
            lower(char_at(text, 2)) == name[2])
            return (int)(field->min + i);
    }
    return -1;
}

/* Digits with a value of min .. max; false: something else. */
static bool read_number(struct berth_slice text, unsigned min, unsigned max, unsigned *ret_number)
{
    unsigned number = 0;
    if (text.bytes < 1 || text.bytes > 4)
        return false;
    for (size_t i = 0; i < text.bytes; i++) {
        char c = char_at(text, i);
        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (unsigned)(c - '0');
    }
    *ret_number = number;
    return number >= min && number <= max;
}

static int read_value(const struct parsing *parsing, struct berth_slice text, unsigned *ret_value)
{
    int named = named_value(parsing->field, text);
    if (named >= 0) {
        *ret_value = (unsigned)named;
        return 0;
    }
    if (read_number(text, parsing->field->min, parsing->field->max, ret_value))
        return 0;
    return refuse_value(parsing, text);
}

/* "*", "5", "10-20" */
static int read_range(struct parsing *parsing, struct berth_slice text, unsigned *ret_first,
                      unsigned *ret_last)
{
    const struct field *field = parsing->field;
    if (text.bytes == 1 && char_at(text, 0) == '*') {
        parsing->is_wildcard[field - fields] = true;
        *ret_first = field->min;
        *ret_last = field->max;
        return 0;
    }
    size_t dash = find(text, 0, '-');
    unsigned first = 0, last;
    int rc = read_value(parsing, part(text, 0, dash), &first);
    if (rc < 0)
        return rc;
    last = first;
    if (dash < text.bytes)
        rc = read_value(parsing, part(text, dash + 1, text.bytes), &last);
    if (rc < 0)
        return rc;
    if (field == &fields[FIELD_WEEKDAY] && last == 0 && first > 0)
        last = 7; /* fri-sun */
    if (last < first)
        return berth_fail(parsing->err, BERTH_EVALUE,
                          "%s: %s '%.*s' goes backwards; allowed is a range from the lower to the "
                          "higher, or two with a comma",
                          parsing->what, field->name, shown_bytes(text), (const char *)text.data);
    *ret_first = first;
    *ret_last = last;
    return 0;
}

static int read_step(const struct parsing *parsing, struct berth_slice range,
                     struct berth_slice text, unsigned *ret_step)
{
    const struct field *field = parsing->field;
    bool is_range = find(range, 0, '-') < range.bytes || find(range, 0, '*') < range.bytes;
    if (!is_range)
        return berth_fail(parsing->err, BERTH_EVALUE,
                          "%s: %s '%.*s' has a step behind a single value; allowed is a step "
                          "behind * or a range",
                          parsing->what, field->name, shown_bytes(parsing->item),
                          (const char *)parsing->item.data);
    if (read_number(text, 1, field->max - field->min, ret_step))
        return 0;
    return berth_fail(parsing->err, BERTH_EVALUE,
                      "%s: %s '%.*s' has the step '%.*s'; allowed is 1 to %u", parsing->what,
                      field->name, shown_bytes(parsing->item), (const char *)parsing->item.data,
                      shown_bytes(text), (const char *)text.data, field->max - field->min);
}

static int read_item(struct parsing *parsing)
{
    struct berth_slice item = parsing->item;
    size_t slash = find(item, 0, '/');
    struct berth_slice range = part(item, 0, slash);
    unsigned first = 0, last = 0, step = 1;
    int rc = read_range(parsing, range, &first, &last);
    if (rc == 0 && slash < item.bytes)
        rc = read_step(parsing, range, part(item, slash + 1, item.bytes), &step);
    if (rc < 0)
        return rc;
    for (unsigned value = first; value <= last; value += step)
        parsing->bits[parsing->field - fields] |= UINT64_C(1) << value;
    return 0;
}

static int read_field(struct parsing *parsing, const struct field *field, struct berth_slice text)
{
    parsing->field = field;
    for (size_t begin = 0; begin <= text.bytes;) {
        size_t end = find(text, begin, ',');
        parsing->item = part(text, begin, end);
        int rc = read_item(parsing);
        if (rc < 0)
            return rc;
        begin = end + 1;
    }
    return 0;
}

/* The words of `text`; counts on where there are more than there is room for. */
static size_t split(struct berth_slice text, struct berth_slice *words, size_t room)
{
    size_t count = 0;
    for (size_t at = 0; at < text.bytes;) {
        size_t begin = at;
        while (at < text.bytes && !is_blank(char_at(text, at)))
            at++;
        if (at > begin && count++ < room)
            words[count - 1] = part(text, begin, at);
        at++;
    }
    return count;
}

/* What a shorthand stands for; the text itself if it is none. */
static int expand(const char *what, struct berth_slice *text, struct berth_error *err)
{
    struct berth_slice word = { .bytes = 0 };
    if (split(*text, &word, 1) != 1 || char_at(word, 0) != '@')
        return 0;
    for (size_t i = 0; i < sizeof shorthands / sizeof *shorthands; i++) {
        const char *name = shorthands[i].name;
        if (strlen(name) == word.bytes && memcmp(name, word.data, word.bytes) == 0) {
            *text = (struct berth_slice){ shorthands[i].text, strlen(shorthands[i].text) };
            return 0;
        }
    }
    return berth_fail(err, BERTH_EVALUE,
                      "%s: '%.*s' is not known; allowed are @yearly @annually @monthly @weekly "
                      "@daily @midnight @hourly",
                      what, shown_bytes(word), (const char *)word.data);
}

static int read_fields(struct parsing *parsing, struct berth_slice text)
{
    struct berth_slice words[FIELD_COUNT];
    size_t count = split(text, words, FIELD_COUNT);
    if (count != FIELD_COUNT)
        return berth_fail(parsing->err, BERTH_EVALUE,
                          "%s: '%.*s' has %zu fields; allowed are 5: minute hour day-of-month "
                          "month day-of-week",
                          parsing->what, shown_bytes(text),
                          text.bytes ? (const char *)text.data : "", count);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        int rc = read_field(parsing, &fields[i], words[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t next_day(const struct cron *cron, int64_t day, int64_t year_max);

int cron_parse(const char *what, struct berth_slice text, struct cron *ret_cron,
               struct berth_error *err)
{
    struct parsing parsing = { .what = what, .err = err };
    if (text.bytes > CRON_TEXT_BYTES_MAX)
        return berth_fail(err, BERTH_EVALUE, "%s has %zu bytes; allowed are %d", what, text.bytes,
                          CRON_TEXT_BYTES_MAX);
    int rc = expand(what, &text, err);
    if (rc == 0)
        rc = read_fields(&parsing, text);
    if (rc < 0)
        return rc;
    const uint64_t *bits = parsing.bits;
    const bool *is_wildcard = parsing.is_wildcard;
    struct cron cron = {
        .minutes = bits[FIELD_MINUTE],
        .hours = (uint32_t)bits[FIELD_HOUR],
        .days = (uint32_t)bits[FIELD_DAY],
        .months = (uint16_t)bits[FIELD_MONTH],
        .weekdays = (uint8_t)((bits[FIELD_WEEKDAY] | bits[FIELD_WEEKDAY] >> 7) & 0x7f),
        .fits_either_day = !is_wildcard[FIELD_DAY] && !is_wildcard[FIELD_WEEKDAY],
        .follows_real_time = is_wildcard[FIELD_MINUTE] || is_wildcard[FIELD_HOUR],
    };
    int64_t begin = calendar_day(CYCLE_FROM_YEAR, 1, 1);
    if (next_day(&cron, begin, CYCLE_FROM_YEAR + CALENDAR_CYCLE_YEARS - 1) == DAY_NONE)
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.*s' never comes; allowed is what has a day in some year", what,
                          shown_bytes(text), (const char *)text.data);
    *ret_cron = cron;
    return 0;
}

/* ---- the calendar ---- */

/* The days of a month that fit, a bit for each. */
static uint32_t days_of_month(const struct cron *cron, int64_t year, unsigned month)
{
    unsigned first = calendar_weekday(calendar_day(year, month, 1));
    unsigned count = calendar_month_days(year, month);
    uint32_t by_week = 0;
    for (unsigned day = 1; day <= count; day++)
        by_week |= (uint32_t)(cron->weekdays >> (first + day - 1) % 7 & 1) << day;
    uint32_t of_month = ((UINT32_C(1) << count) - 1) << 1;
    uint32_t by_month = cron->days & of_month;
    return cron->fits_either_day ? by_month | by_week : by_month & by_week;
}

/* The first day from `day` on that fits; DAY_NONE if there is none until the end of `year_max`. */
static int64_t next_day(const struct cron *cron, int64_t day, int64_t year_max)
{
    struct calendar_date date = calendar_date_of(day);
    while (date.year <= year_max) {
        if (cron->months >> date.month & 1) {
            uint32_t days = days_of_month(cron, date.year, date.month) & UINT32_MAX << date.day;
            if (days)
                return calendar_day(date.year, date.month, (unsigned)__builtin_ctz(days));
        }
        date.day = 1;
        date.month++;
        if (date.month > 12) {
            date.month = 1;
            date.year++;
        }
    }
    return DAY_NONE;
}

/* The first minute of a day from `from` (0..1439) on that fits; DAY_MINUTES if there is none. */
static unsigned next_minute(const struct cron *cron, unsigned from)
{
    uint64_t minutes = cron->minutes & UINT64_MAX << from % 60;
    for (unsigned hour = from / 60; hour < 24; hour++) {
        if (cron->hours >> hour & 1 && minutes)
            return hour * 60 + (unsigned)__builtin_ctzll(minutes);
        minutes = cron->minutes;
    }
    return DAY_MINUTES;
}

/* The first wall-clock time from `wall_s` on that fits, in seconds as if it were UTC. */
static int64_t next_wall(const struct cron *cron, int64_t wall_s)
{
    int64_t minute = calendar_floor_div(wall_s + MINUTE_S - 1, MINUTE_S);
    int64_t today = calendar_floor_div(minute, DAY_MINUTES);
    int64_t day = next_day(cron, today, WALL_YEAR_MAX);
    unsigned in_day = 0;
    if (day == today) {
        in_day = next_minute(cron, (unsigned)(minute - today * DAY_MINUTES));
        if (in_day == DAY_MINUTES)
            day = next_day(cron, today + 1, WALL_YEAR_MAX);
    }
    if (day == DAY_NONE)
        return CRON_NEVER;
    if (day != today)
        in_day = next_minute(cron, 0);
    return (day * DAY_MINUTES + in_day) * MINUTE_S;
}

/* ---- instants ---- */

/* The latest that the zone's clock has shown up to `unix_s`. Before REACH_S ago it cannot have
 * shown what is later than what it shows now. */
static int64_t latest_shown(const struct zone *zone, int64_t unix_s)
{
    int64_t latest_s = INT64_MIN;
    for (int64_t at_s = unix_s - REACH_S;;) {
        struct zone_span span = zone_at(zone, at_s);
        int64_t last_s = span.end_s <= unix_s ? span.end_s - 1 : unix_s;
        if (last_s + span.offset_s > latest_s)
            latest_s = last_s + span.offset_s;
        if (span.end_s > unix_s)
            return latest_s;
        at_s = span.end_s;
    }
}

/* The first instant at which the zone's clock shows `wall_s` or a later time. */
static int64_t first_showing(const struct zone *zone, int64_t wall_s)
{
    for (int64_t at_s = wall_s - ZONE_OFFSET_S_MAX;;) {
        struct zone_span span = zone_at(zone, at_s);
        int64_t shown_s = wall_s - span.offset_s;
        if (shown_s < span.begin_s)
            return span.begin_s; /* the clock was put over it */
        if (shown_s < span.end_s)
            return shown_s;
        at_s = span.end_s;
    }
}

/* Rule 1. Later times have later instants or the same one, so the first time that the clock has not
 * yet reached has the next instant. */
static int64_t next_by_wall(const struct cron *cron, const struct zone *zone, int64_t after_s)
{
    int64_t wall_s = next_wall(cron, latest_shown(zone, after_s) + 1);
    return wall_s == CRON_NEVER ? CRON_NEVER : first_showing(zone, wall_s);
}

/* Rule 2. Between `asked_s` and `wall_s` nothing fits, so while a span begins there, the same time
 * is the next one. */
static int64_t next_by_real_time(const struct cron *cron, const struct zone *zone, int64_t after_s)
{
    int64_t asked_s = INT64_MAX, wall_s = INT64_MIN;
    for (int64_t at_s = after_s + 1;;) {
        struct zone_span span = zone_at(zone, at_s);
        int64_t begin_s = at_s + span.offset_s;
        if (begin_s < asked_s || begin_s > wall_s) {
            asked_s = begin_s;
            wall_s = next_wall(cron, begin_s);
        }
        if (wall_s == CRON_NEVER)
            return CRON_NEVER;
        if (wall_s - span.offset_s < span.end_s)
            return wall_s - span.offset_s;
        at_s = span.end_s;
    }
}

int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_us)
{
    int64_t after_s = calendar_floor_div(after_us, SECOND_US);
    if (after_s < UNIX_S_MIN)
        after_s = UNIX_S_MIN - 1;
    if (after_s >= UNIX_S_MAX)
        return CRON_NEVER;
    int64_t next_s = cron->follows_real_time ? next_by_real_time(cron, zone, after_s)
                                             : next_by_wall(cron, zone, after_s);
    return next_s > UNIX_S_MAX ? CRON_NEVER : next_s * SECOND_US;
}

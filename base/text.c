/* SPDX-License-Identifier: MIT
 *
 * Parsers, checks and formats of text.
 */
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define VALUE_SHOWN_MAX   60 /* bytes of a refused value that a message repeats */
#define SUGGEST_BYTES_MAX 40

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool berth_name_is_valid(const char *name)
{
    if (!is_alnum(name[0]))
        return false;
    size_t bytes = 1;
    while (is_alnum(name[bytes]) || (name[bytes] != '\0' && strchr("._-", name[bytes])))
        if (++bytes > BERTH_NAME_BYTES_MAX)
            return false;
    return name[bytes] == '\0';
}

int berth_name_check(const char *what, const char *name, struct berth_error *err)
{
    if (berth_name_is_valid(name))
        return 0;
    return berth_fail(
        err, BERTH_EVALUE,
        "%s: '%.*s' is not a name; allowed are 1 to %d letters, digits and . _ -, the first "
        "a letter or digit",
        what, VALUE_SHOWN_MAX, name, BERTH_NAME_BYTES_MAX);
}

int berth_key_check(const char *what, struct berth_slice key, struct berth_error *err)
{
    if (key.bytes < 1 || key.bytes > BERTH_KEY_BYTES_MAX)
        return berth_fail(err, BERTH_EVALUE, "%s has %zu bytes; allowed are 1 to %d", what,
                          key.bytes, BERTH_KEY_BYTES_MAX);
    if (!berth_utf8_is_valid(key))
        return berth_fail(err, BERTH_EVALUE, "%s is not valid UTF-8", what);
    return 0;
}

/* The length of the character at `s` (1 .. 4), or 0 if it is malformed. Table 3-7 of the Unicode
 * standard. */
static size_t utf8_character(const unsigned char *s, size_t bytes)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t wanted;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        wanted = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        wanted = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        wanted = 4;
    else
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    if (s[0] == 0xed)
        high = 0x9f;
    if (s[0] == 0xf0)
        low = 0x90;
    if (s[0] == 0xf4)
        high = 0x8f;
    if (bytes < wanted || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < wanted; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return wanted;
}

bool berth_utf8_is_valid(struct berth_slice text)
{
    const unsigned char *s = text.data;
    for (size_t at = 0, step; at < text.bytes; at += step) {
        step = utf8_character(s + at, text.bytes - at);
        if (step == 0)
            return false;
    }
    return true;
}

/* Reads the digits at the start of `text`: how many there are, or 0 if there is none or their value
 * does not fit. */
static size_t digits_parse(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t count = 0;
    for (; is_digit(text[count]); count++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[count] - '0'), &value))
            return 0;
    *ret_value = value;
    return count;
}

int berth_u64_parse(const char *what, const char *text, uint64_t min, uint64_t max,
                    uint64_t *ret_value, struct berth_error *err)
{
    uint64_t value;
    size_t digits = digits_parse(text, &value);
    if (digits == 0 || text[digits] != '\0' || value < min || value > max)
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.*s' is not allowed; a whole number from %" PRIu64 " to %" PRIu64
                          " is wanted",
                          what, VALUE_SHOWN_MAX, text, min, max);
    *ret_value = value;
    return 0;
}

int berth_i64_parse(const char *what, const char *text, int64_t min, int64_t max,
                    int64_t *ret_value, struct berth_error *err)
{
    bool is_negative = text[0] == '-';
    const char *number = text + is_negative;
    uint64_t magnitude;
    size_t digits = digits_parse(number, &magnitude);
    uint64_t magnitude_max = (uint64_t)INT64_MAX + is_negative;
    if (digits > 0 && number[digits] == '\0' && magnitude <= magnitude_max) {
        int64_t value = (int64_t)(is_negative ? 0 - magnitude : magnitude);
        if (value >= min && value <= max) {
            *ret_value = value;
            return 0;
        }
    }
    return berth_fail(err, BERTH_EVALUE,
                      "%s: '%.*s' is not allowed; a whole number from %" PRId64 " to %" PRId64
                      " is wanted",
                      what, VALUE_SHOWN_MAX, text, min, max);
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};

static const struct unit byte_units[] = {
    { "B", 1 },
    { "KiB", 1u << 10 },
    { "MiB", 1u << 20 },
    { "GiB", 1u << 30 },
};

/* A number and one of the units. False if it is none, or does not fit. */
static bool number_with_unit(const char *text, const struct unit *units, size_t count,
                             uint64_t *ret_value)
{
    uint64_t number;
    size_t digits = digits_parse(text, &number);
    if (digits == 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text + digits, units[i].name) != 0)
            continue;
        return !__builtin_mul_overflow(number, units[i].factor, ret_value);
    }
    return false;
}

/* The shortest exact spelling, in the largest unit that divides. */
static void shortest(uint64_t value, const struct unit *units, size_t count, char *text,
                     size_t text_bytes)
{
    size_t i = count - 1;
    while (i > 0 && (value < units[i].factor || value % units[i].factor != 0))
        i--;
    (void)snprintf(text, text_bytes, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
}

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

int berth_duration_parse(const char *what, const char *text, int64_t min_ms, int64_t max_ms,
                         int64_t *ret_ms, struct berth_error *err)
{
    BERTH_ASSERT(min_ms >= 0);
    BERTH_ASSERT(min_ms <= max_ms);
    uint64_t ms;
    if (number_with_unit(text, duration_units, COUNT_OF(duration_units), &ms) &&
        ms >= (uint64_t)min_ms && ms <= (uint64_t)max_ms) {
        *ret_ms = (int64_t)ms;
        return 0;
    }
    char low[BERTH_DURATION_TEXT_MAX], high[BERTH_DURATION_TEXT_MAX];
    shortest((uint64_t)min_ms, duration_units, COUNT_OF(duration_units), low, sizeof low);
    shortest((uint64_t)max_ms, duration_units, COUNT_OF(duration_units), high, sizeof high);
    return berth_fail(
        err, BERTH_EVALUE,
        "%s: '%.*s' is not allowed; a number with a unit (ms s m h d), from %s to %s, is "
        "wanted",
        what, VALUE_SHOWN_MAX, text, low, high);
}

int berth_bytes_parse(const char *what, const char *text, uint64_t min_bytes, uint64_t max_bytes,
                      uint64_t *ret_bytes, struct berth_error *err)
{
    uint64_t bytes;
    if (number_with_unit(text, byte_units, COUNT_OF(byte_units), &bytes) && bytes >= min_bytes &&
        bytes <= max_bytes) {
        *ret_bytes = bytes;
        return 0;
    }
    char low[BERTH_BYTES_TEXT_MAX], high[BERTH_BYTES_TEXT_MAX];
    return berth_fail(
        err, BERTH_EVALUE,
        "%s: '%.*s' is not allowed; a number with a unit (B KiB MiB GiB), from %s to %s, "
        "is wanted",
        what, VALUE_SHOWN_MAX, text, berth_bytes_format(min_bytes, low),
        berth_bytes_format(max_bytes, high));
}

int berth_bool_parse(const char *what, const char *text, bool *ret_value, struct berth_error *err)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *ret_value = i % 2 == 1;
        return 0;
    }
    return berth_fail(err, BERTH_EVALUE, "%s: '%.*s' is not allowed; yes or no is wanted", what,
                      VALUE_SHOWN_MAX, text);
}

int berth_or_none(int rc, struct berth_error *err)
{
    if (rc != BERTH_EVALUE || !err)
        return rc;
    size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof err->message - used, ", or none");
    return rc;
}

/* Days since 1970 to a date. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
 * https://howardhinnant.github.io/date_algorithms.html#civil_from_days */
static void civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

const char *berth_time_format(int64_t unix_us, char text[static BERTH_TIME_TEXT_MAX])
{
    const int64_t second_us = 1000000, day_us = 86400 * second_us;
    const int64_t first_us = INT64_C(-62167219200) * second_us; /* 0000-01-01 */
    const int64_t last_us = INT64_C(253402300800) * second_us - 1;
    if (unix_us < first_us)
        unix_us = first_us;
    if (unix_us > last_us)
        unix_us = last_us;

    int64_t days = unix_us / day_us, rest_us = unix_us % day_us;
    if (rest_us < 0) {
        days--;
        rest_us += day_us;
    }
    int64_t year;
    int month, day, seconds = (int)(rest_us / second_us);
    civil_from_days(days, &year, &month, &day);
    (void)snprintf(text, BERTH_TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int)year,
                   month, day, seconds / 3600, seconds / 60 % 60, seconds % 60,
                   (int)(rest_us % second_us));
    return text;
}

/* The way back; the same source. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* Exactly `count` digits at *at, which moves on, as a number within min .. max. */
static bool take_digits(const char **at, int count, int min, int max, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        value = 10 * value + (c - '0');
    }
    *at += count;
    *ret_value = value;
    return value >= min && value <= max;
}

static bool take_char(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

static bool take_date(const char **at, int64_t *ret_days)
{
    int year, month, day;
    if (!take_digits(at, 4, 0, 9999, &year) || !take_char(at, '-') ||
        !take_digits(at, 2, 1, 12, &month) || !take_char(at, '-') ||
        !take_digits(at, 2, 1, 31, &day))
        return false;
    int64_t days = days_from_civil(year, month, day), read_year;
    int read_month, read_day;
    civil_from_days(days, &read_year, &read_month, &read_day);
    *ret_days = days;
    return read_month == month; /* 31 April is none */
}

/* ".5", if there is one, in microseconds. */
static bool take_fraction(const char **at, int *ret_us)
{
    *ret_us = 0;
    if (!take_char(at, '.'))
        return true;
    int factor = 100000, digit;
    if (**at < '0' || **at > '9')
        return false;
    while (take_digits(at, 1, 0, 9, &digit)) {
        *ret_us += digit * factor;
        factor /= 10;
    }
    return true;
}

static bool take_time(const char **at, int64_t *ret_us)
{
    int hour, minute, second, us;
    if (!take_digits(at, 2, 0, 23, &hour) || !take_char(at, ':') ||
        !take_digits(at, 2, 0, 59, &minute) || !take_char(at, ':') ||
        !take_digits(at, 2, 0, 59, &second) || !take_fraction(at, &us))
        return false;
    *ret_us = (((int64_t)hour * 60 + minute) * 60 + second) * 1000000 + us;
    return true;
}

static bool take_zone(const char **at, int64_t *ret_us)
{
    *ret_us = 0;
    if (take_char(at, 'Z') || take_char(at, 'z'))
        return true;
    bool is_west = **at == '-';
    int hours, minutes;
    if ((!take_char(at, '+') && !take_char(at, '-')) || !take_digits(at, 2, 0, 23, &hours) ||
        !take_char(at, ':') || !take_digits(at, 2, 0, 59, &minutes))
        return false;
    int64_t us = ((int64_t)hours * 60 + minutes) * 60000000;
    *ret_us = is_west ? -us : us;
    return true;
}

int berth_time_parse(const char *what, const char *text, int64_t *ret_unix_us,
                     struct berth_error *err)
{
    const char *at = text;
    int64_t days, time_us, zone_us;
    if (take_date(&at, &days) && (take_char(&at, 'T') || take_char(&at, 't')) &&
        take_time(&at, &time_us) && take_zone(&at, &zone_us) && *at == '\0') {
        *ret_unix_us = days * INT64_C(86400000000) + time_us - zone_us;
        return 0;
    }
    return berth_fail(err, BERTH_EVALUE,
                      "%s: '%.*s' is not allowed; a time with its zone, as in "
                      "2027-01-31T09:30:00Z or 2027-01-31T10:30:00+01:00, is wanted",
                      what, VALUE_SHOWN_MAX, text);
}

const char *berth_duration_format(int64_t ms, char text[static BERTH_DURATION_TEXT_MAX])
{
    const char *sign = ms < 0 ? "-" : "";
    uint64_t all = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    if (all < 1000 || (all < 60000 && all % 1000 < 100)) {
        (void)snprintf(text, BERTH_DURATION_TEXT_MAX, "%s%" PRIu64 "%s", sign,
                       all < 1000 ? all : all / 1000, all < 1000 ? "ms" : "s");
        return text;
    }
    if (all < 60000) {
        (void)snprintf(text, BERTH_DURATION_TEXT_MAX, "%s%" PRIu64 ".%" PRIu64 "s", sign,
                       all / 1000, all % 1000 / 100);
        return text;
    }
    size_t i = COUNT_OF(duration_units) - 1;
    while (all < duration_units[i].factor)
        i--;
    const struct unit *large = &duration_units[i], *small = &duration_units[i - 1];
    uint64_t rest = all % large->factor / small->factor;
    int bytes = snprintf(text, BERTH_DURATION_TEXT_MAX, "%s%" PRIu64 "%s", sign,
                         all / large->factor, large->name);
    if (rest > 0)
        (void)snprintf(text + bytes, BERTH_DURATION_TEXT_MAX - (size_t)bytes, "%" PRIu64 "%s", rest,
                       small->name);
    return text;
}

const char *berth_bytes_format(uint64_t bytes, char text[static BERTH_BYTES_TEXT_MAX])
{
    shortest(bytes, byte_units, COUNT_OF(byte_units), text, BERTH_BYTES_TEXT_MAX);
    return text;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Optimal string alignment distance (Damerau 1964; Wagner and Fischer 1974), three rows of the
 * table at a time. */
static size_t edit_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    size_t rows[3][SUGGEST_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_bytes; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            bool is_same = a[i - 1] == b[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + !is_same);
            bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (is_swap && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

const char *berth_suggest(const char *word, size_t count,
                          const char *(*name_of)(const void *arg, size_t index), const void *arg)
{
    size_t word_bytes = strlen(word);
    if (word_bytes > SUGGEST_BYTES_MAX)
        return NULL;
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        const char *name = name_of(arg, i);
        size_t name_bytes = strlen(name);
        if (name_bytes > SUGGEST_BYTES_MAX)
            continue;
        size_t distance = edit_distance(word, word_bytes, name, name_bytes);
        size_t longest = word_bytes > name_bytes ? word_bytes : name_bytes;
        if (distance * 3 <= longest && distance < best_distance) {
            best = name;
            best_distance = distance;
        }
    }
    return best;
}

struct berth_slice berth_slice_of(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = text ? strlen(text) : 0 };
}

bool berth_slice_is_equal(struct berth_slice a, struct berth_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

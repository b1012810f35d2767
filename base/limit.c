/* SPDX-License-Identifier: MIT
 *
 * Reading and writing limits.
 */
#include "base/limit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define SHOWN_MAX 60

static int number_parse(const char *what, const char *text, uint32_t *ret_value,
                        struct berth_error *err)
{
    uint64_t value;
    if (berth_u64_parse(what, text, 0, BERTH_LIMIT_VALUE_MAX, &value, NULL) < 0)
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.*s' is no limit; allowed is a number from 0 to %d, unlimited, "
                          "cores or max(N,cores)",
                          what, SHOWN_MAX, text, BERTH_LIMIT_VALUE_MAX);
    *ret_value = (uint32_t)value;
    return 0;
}

/* The N of "max(N,cores)"; false: the text is not of that form. */
static bool take_max(const char *text, char number[static BERTH_LIMIT_TEXT_MAX])
{
    static const char head[] = "max(", tail[] = ",cores)";
    size_t bytes = strlen(text), around = sizeof head + sizeof tail - 2;
    if (bytes <= around || bytes - around >= BERTH_LIMIT_TEXT_MAX)
        return false;
    if (strncmp(text, head, sizeof head - 1) != 0)
        return false;
    if (strcmp(text + bytes - (sizeof tail - 1), tail) != 0)
        return false;
    memcpy(number, text + sizeof head - 1, bytes - around);
    number[bytes - around] = '\0';
    return true;
}

int berth_limit_parse(const char *what, const char *text, struct berth_limit *ret_limit,
                      struct berth_error *err)
{
    char number[BERTH_LIMIT_TEXT_MAX];
    struct berth_limit limit = { .kind = BERTH_LIMIT_NUMBER };
    if (strcmp(text, "unlimited") == 0) {
        limit.kind = BERTH_LIMIT_UNLIMITED;
    } else if (strcmp(text, "cores") == 0) {
        limit.kind = BERTH_LIMIT_CORES;
    } else {
        bool is_max = take_max(text, number);
        if (is_max)
            limit.kind = BERTH_LIMIT_MAX_CORES;
        int rc = number_parse(what, is_max ? number : text, &limit.value, err);
        if (rc < 0)
            return rc;
    }
    *ret_limit = limit;
    return 0;
}

const char *berth_limit_format(const struct berth_limit *limit,
                               char text[static BERTH_LIMIT_TEXT_MAX])
{
    switch (limit->kind) {
    case BERTH_LIMIT_NUMBER:
        (void)snprintf(text, BERTH_LIMIT_TEXT_MAX, "%" PRIu32, limit->value);
        return text;
    case BERTH_LIMIT_MAX_CORES:
        (void)snprintf(text, BERTH_LIMIT_TEXT_MAX, "max(%" PRIu32 ",cores)", limit->value);
        return text;
    case BERTH_LIMIT_UNLIMITED: return "unlimited";
    case BERTH_LIMIT_CORES: return "cores";
    }
    return "unknown";
}

/* ---- rates ---- */

static const struct {
    char unit;
    int64_t ms;
} periods[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };

#define PERIOD_COUNT (sizeof periods / sizeof *periods)

/* The milliseconds of "/s" and the like; 0: it is none. */
static int64_t period_of(const char *text)
{
    for (size_t i = 0; i < PERIOD_COUNT; i++)
        if (text[0] == '/' && text[1] == periods[i].unit && text[2] == '\0')
            return periods[i].ms;
    return 0;
}

int berth_rate_parse(const char *what, const char *text, uint32_t *ret_count, int64_t *ret_ms,
                     struct berth_error *err)
{
    if (strcmp(text, "none") == 0) {
        *ret_count = 0;
        *ret_ms = 0;
        return 0;
    }
    char number[BERTH_RATE_TEXT_MAX];
    size_t digits = strcspn(text, "/");
    int64_t ms = period_of(text + digits);
    uint64_t count = 0;
    if (ms > 0 && digits < sizeof number) {
        memcpy(number, text, digits);
        number[digits] = '\0';
        if (berth_u64_parse(what, number, 1, BERTH_RATE_COUNT_MAX, &count, NULL) < 0)
            count = 0;
    }
    if (count == 0)
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.*s' is no rate; allowed is N/s, N/m, N/h or N/d with N from 1 to "
                          "%d, or none",
                          what, SHOWN_MAX, text, BERTH_RATE_COUNT_MAX);
    *ret_count = (uint32_t)count;
    *ret_ms = ms;
    return 0;
}

bool berth_rate_is_valid(uint32_t count, int64_t ms)
{
    if (count == 0 || ms == 0)
        return count == 0 && ms == 0;
    for (size_t i = 0; i < PERIOD_COUNT; i++)
        if (periods[i].ms == ms)
            return count <= BERTH_RATE_COUNT_MAX;
    return false;
}

const char *berth_rate_format(uint32_t count, int64_t ms, char text[static BERTH_RATE_TEXT_MAX])
{
    if (!berth_rate_is_valid(count, ms))
        return "unknown";
    for (size_t i = 0; i < PERIOD_COUNT; i++) {
        if (periods[i].ms != ms)
            continue;
        (void)snprintf(text, BERTH_RATE_TEXT_MAX, "%" PRIu32 "/%c", count, periods[i].unit);
        return text;
    }
    return "none";
}

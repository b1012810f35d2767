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

/* SPDX-License-Identifier: MIT
 *
 * Asks cron_next for cron_check.py. Reads lines "ZONE<tab>AFTER_US<tab>EXPRESSION" until the end of
 * its input and prints for each the next instant in microseconds, or "never", or "refused: " and a
 * sentence.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "broker/core/recur/cron.h"
#include "broker/zone_file.h"

#define LINE_BYTES_MAX 512

/* The lines come ordered by zone, so one is kept. */
struct kept {
    char name[ZONE_NAME_BYTES_MAX + 1];
    struct zone_file file;
};

static int keep(struct kept *kept, const char *name, struct berth_error *err)
{
    if (strcmp(kept->name, name) == 0)
        return 0;
    struct zone_file file;
    int rc = zone_file_open("zone", berth_slice_of(name), &file, err);
    if (rc < 0)
        return rc;
    zone_file_fini(&kept->file);
    kept->file = file;
    memcpy(kept->name, name, strlen(name) + 1); /* the name of a zone, so it has room */
    return 0;
}

static int answer(struct kept *kept, char *line)
{
    char *after = strchr(line, '\t'), *text = after ? strchr(after + 1, '\t') : NULL;
    if (!text)
        return -1;
    *after++ = '\0';
    *text++ = '\0';
    text[strcspn(text, "\n")] = '\0';
    struct cron cron;
    struct berth_error err = { .code = 0 };
    int rc = keep(kept, line, &err);
    if (rc == 0)
        rc = cron_parse("cron", berth_slice_of(text), &cron, &err);
    if (rc < 0) {
        printf("refused: %s\n", err.message);
        return 0;
    }
    int64_t next_us = cron_next(&cron, &kept->file.zone, strtoll(after, NULL, 10));
    if (next_us == CRON_NEVER)
        printf("never\n");
    else
        printf("%" PRId64 "\n", next_us);
    return 0;
}

int main(void)
{
    struct kept kept = { .name = "UTC" };
    char line[LINE_BYTES_MAX];
    while (fgets(line, sizeof line, stdin)) {
        if (answer(&kept, line) < 0) {
            fprintf(stderr, "not ZONE, AFTER_US and EXPRESSION: %s\n", line);
            return 1;
        }
    }
    zone_file_fini(&kept.file);
    return 0;
}

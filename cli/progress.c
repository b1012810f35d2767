/* SPDX-License-Identifier: MIT */
/* See progress.h. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define BAR_COLUMNS_MIN 10
#define BAR_COLUMNS_MAX 40
#define PARTS_MAX       4
#define PART_TEXT_MAX   64
#define RED             "\033[31m"
#define PLAIN           "\033[0m"

void progress_init(struct progress *progress, size_t total)
{
    *progress = (struct progress){ .total = total };
}

void progress_count(struct progress *progress, bool is_failed)
{
    progress->done++;
    progress->failed += is_failed;
}

static void take_sample(struct progress *progress, int64_t now_ms)
{
    size_t count = progress->samples_count;
    if (count > 0 &&
        now_ms - progress->samples[(count - 1) % PROGRESS_SAMPLES].at_ms < PROGRESS_SAMPLE_MS)
        return;
    progress->samples[count % PROGRESS_SAMPLES].at_ms = now_ms;
    progress->samples[count % PROGRESS_SAMPLES].done = progress->done;
    progress->samples_count++;
}

/* What ended since the oldest sample that is kept, and how long that took. */
static size_t done_lately(const struct progress *progress, int64_t now_ms, int64_t *ret_ms)
{
    size_t count = progress->samples_count;
    size_t oldest = count > PROGRESS_SAMPLES ? count % PROGRESS_SAMPLES : 0;
    *ret_ms = now_ms - progress->samples[oldest].at_ms;
    return progress->done - progress->samples[oldest].done;
}

/* The texts behind the bar, the most important first; returns how many there are. */
static size_t write_parts(const struct progress *progress, int64_t now_ms,
                          char parts[static PARTS_MAX][PART_TEXT_MAX])
{
    size_t count = 0;
    int64_t ms;
    (void)snprintf(parts[count++], PART_TEXT_MAX, "%zu/%zu", progress->done, progress->total);
    (void)snprintf(parts[count++], PART_TEXT_MAX, "%zu failed", progress->failed);
    size_t lately = done_lately(progress, now_ms, &ms);
    if (lately == 0 || ms <= 0)
        return count;
    double rate = (double)lately * 1000 / (double)ms;
    (void)snprintf(parts[count++], PART_TEXT_MAX, "%.*f/s", rate < 100 ? 1 : 0, rate);
    if (progress->done == progress->total)
        return count;
    char left[BERTH_DURATION_TEXT_MAX];
    int64_t seconds = (int64_t)((double)(progress->total - progress->done) / rate + 0.5);
    if (seconds == 0)
        seconds = 1;
    (void)snprintf(parts[count++], PART_TEXT_MAX, "%s left",
                   berth_duration_format(seconds * 1000, left));
    return count;
}

/* Puts the bar before what is to stand behind it. */
static size_t write_bar(const struct progress *progress, size_t columns,
                        char text[static PROGRESS_TEXT_MAX])
{
    size_t width = columns > BAR_COLUMNS_MAX + 2 ? BAR_COLUMNS_MAX : columns - 2;
    size_t filled = progress->total > 0
                        ? (size_t)((double)progress->done / (double)progress->total * (double)width)
                        : width;
    text[0] = '[';
    memset(text + 1, '#', filled);
    memset(text + 1 + filled, '-', width - filled);
    text[1 + width] = ']';
    text[2 + width] = '\0';
    return width + 2;
}

const char *progress_line(struct progress *progress, int64_t now_ms, size_t columns,
                          bool has_colour, char text[static PROGRESS_TEXT_MAX])
{
    char parts[PARTS_MAX][PART_TEXT_MAX];
    take_sample(progress, now_ms);
    if (columns > PROGRESS_COLUMNS_MAX)
        columns = PROGRESS_COLUMNS_MAX;
    size_t count = write_parts(progress, now_ms, parts), shown = 0, used = 0, at = 0;
    while (shown < count && used + (shown > 0 ? 2 : 0) + strlen(parts[shown]) <= columns) {
        used += (shown > 0 ? 2 : 0) + strlen(parts[shown]);
        shown++;
    }
    text[0] = '\0';
    if (shown == count && used + 2 + BAR_COLUMNS_MIN + 2 <= columns)
        at = write_bar(progress, columns - used - 2, text);
    for (size_t i = 0; i < shown; i++) {
        bool is_red = has_colour && i == 1 && progress->failed > 0;
        at += (size_t)snprintf(text + at, PROGRESS_TEXT_MAX - at, "%s%s%s%s", at > 0 ? "  " : "",
                               is_red ? RED : "", parts[i], is_red ? PLAIN : "");
    }
    return text;
}

/* SPDX-License-Identifier: MIT */
/* How far a wait for many jobs is, as one line for a terminal. Pure: it knows no terminal and no
 * clock; see bar.h for those.
 *
 *     [##########----------]  500/1000  3 failed  12.4/s  40s left
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRESS_TEXT_MAX    512
#define PROGRESS_SAMPLES     10
#define PROGRESS_SAMPLE_MS   1000 /* so the rate is that of the last ten seconds */
#define PROGRESS_COLUMNS_MAX 200  /* of the line, on any terminal */

struct progress {
    size_t total, done, failed;
    struct {
        int64_t at_ms;
        size_t done;
    } samples[PROGRESS_SAMPLES]; /* sample n is at n % PROGRESS_SAMPLES */
    size_t samples_count;
};

void progress_init(struct progress *progress, size_t total);
void progress_count(struct progress *progress, bool is_failed);

/* The line as of now, of at most `columns` columns, without a newline; what has no room is left
 * out. `now_ms` never decreases. Returns `text`. */
const char *progress_line(struct progress *progress, int64_t now_ms, size_t columns,
                          bool has_colour, char text[static PROGRESS_TEXT_MAX]);

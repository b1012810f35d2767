/* SPDX-License-Identifier: MIT */
/* What --array and --each-line make of one command: a job for each index or line, with its words,
 * its key, and what tells it which one it is.
 *
 * The same options always make the same jobs with the same keys. Nothing is sent from here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/client.h>

#include "base/arena.h"
#include "base/buf.h"

#define EXPAND_JOBS_MAX        1000000
#define EXPAND_INDEX_MAX       ((UINT64_C(1) << 53) - 1) /* JSON has no larger numbers */
#define EXPAND_LINE_BYTES_MAX  (64u << 10)
#define EXPAND_LINES_BYTES_MAX (256u << 20)                            /* of all lines together */
#define EXPAND_BODY_BYTES_MAX  (BERTH_PAYLOAD_BYTES_MAX + (64u << 10)) /* of one job */
#define EXPAND_BATCH_BYTES_MAX (64u << 20) /* of the jobs sent at once */

/* How large an arena must be allowed to be for one call of expand_next. */
#define EXPAND_ARENA_BYTES_MAX ((size_t)4 * EXPAND_BATCH_BYTES_MAX)

struct expand_array {
    uint64_t first, step;
    size_t count;
};

/* "A-B" or "A-B:STEP". 0, or BERTH_EVALUE with a sentence. */
int expand_array_parse(const char *what, const char *text, struct expand_array *ret_array,
                       struct berth_error *err);

/* Cuts a text into lines, in place: each newline becomes a NUL, and nothing else is taken away. A
 * last line needs no newline; empty lines count; a text without bytes has none. 0, or BERTH_EVALUE
 * with a sentence: a NUL, a line that is too long, too many lines. */
int expand_lines_cut(const char *what, struct berth_buf *text, size_t *ret_count,
                     struct berth_error *err);

/* The jobs, as they are made one after the other. */
struct expand {
    const struct berth_job_spec *base; /* its command and key are those of all */
    struct expand_array array;         /* count 0: it goes by lines */
    const char *line;                  /* the next one */
    size_t count, made;
    size_t words_count, words_bytes, holes; /* of the command: holes are its {} */
};

/* Begins with the first. All is borrowed until the last is made. For lines `array` is NULL, and
 * `lines` are `lines_count` texts, each behind the NUL of the one before it. 0, or BERTH_EVALUE
 * with a sentence: a key or a job that would be too long, an empty line as a command. */
int expand_begin(struct expand *expand, const struct berth_job_spec *base,
                 const struct expand_array *array, const char *lines, size_t lines_count,
                 struct berth_error *err);

/* Makes the next jobs, in order: at most `specs_max`, fewer if they are large, 0 if there are no
 * more. Their texts live in `arena`. Returns how many, or -ENOMEM. */
int expand_next(struct expand *expand, struct berth_arena *arena, struct berth_job_spec *specs,
                size_t specs_max, struct berth_error *err);

/* "index 17" or "line 17": what made job `at`, counted from 0. Returns `text`. */
#define EXPAND_PLACE_TEXT_MAX 40
const char *expand_place(const struct expand *expand, size_t at,
                         char text[static EXPAND_PLACE_TEXT_MAX]);

/* SPDX-License-Identifier: MIT */
/* See expand.h. */
#include "cli/expand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

#define HOLE            "{}"
#define HOLE_BYTES      (sizeof HOLE - 1)
#define RANGE_TEXT_MAX  64
#define NUMBER_TEXT_MAX 24

/* What stands for {} in one job. */
struct value {
    const char *text;
    size_t bytes;
};

int expand_array_parse(const char *what, const char *text, struct expand_array *ret_array,
                       struct berth_error *err)
{
    char copy[RANGE_TEXT_MAX] = "";
    uint64_t first, last, step = 1;
    (void)snprintf(copy, sizeof copy, "%s", text);
    char *step_text = strchr(copy, ':');
    if (step_text)
        *step_text++ = '\0';
    char *last_text = strchr(copy, '-');
    if (last_text)
        *last_text++ = '\0';
    if (!last_text || strlen(text) >= sizeof copy ||
        berth_u64_parse(what, copy, 0, EXPAND_INDEX_MAX, &first, NULL) < 0 ||
        berth_u64_parse(what, last_text, 0, EXPAND_INDEX_MAX, &last, NULL) < 0 ||
        (step_text && berth_u64_parse(what, step_text, 1, EXPAND_INDEX_MAX, &step, NULL) < 0))
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.60s' is no range of indices; wanted is A-B or A-B:STEP, like "
                          "1-100, with numbers up to %" PRIu64,
                          what, text, EXPAND_INDEX_MAX);
    if (last < first)
        return berth_fail(err, BERTH_EVALUE, "%s: '%s' ends before it begins", what, text);
    uint64_t count = (last - first) / step + 1;
    if (count > EXPAND_JOBS_MAX)
        return berth_fail(err, BERTH_EVALUE, "%s: '%s' has %" PRIu64 " indices; allowed are %d",
                          what, text, count, EXPAND_JOBS_MAX);
    *ret_array = (struct expand_array){ .first = first, .step = step, .count = (size_t)count };
    return 0;
}

int expand_lines_cut(const char *what, struct berth_buf *text, size_t *ret_count,
                     struct berth_error *err)
{
    size_t count = 0;
    char *at = text->data, *end = text->bytes > 0 ? text->data + text->bytes : at;
    while (at < end) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t bytes = (size_t)((newline ? newline : end) - at);
        count++;
        if (count > EXPAND_JOBS_MAX)
            return berth_fail(err, BERTH_EVALUE, "%s: more than %d lines", what, EXPAND_JOBS_MAX);
        if (memchr(at, '\0', bytes))
            return berth_fail(err, BERTH_EVALUE, "%s: line %zu holds a NUL byte", what, count);
        if (bytes > EXPAND_LINE_BYTES_MAX)
            return berth_fail(err, BERTH_EVALUE, "%s: line %zu has %zu bytes; allowed is 64KiB",
                              what, count, bytes);
        at[bytes] = '\0'; /* behind the last one stands the buffer's own */
        at += bytes + 1;
    }
    *ret_count = count;
    return 0;
}

/* Counts what the command is made of. */
static void measure(struct expand *expand)
{
    for (const char *const *word = expand->base->command; *word; word++) {
        expand->words_count++;
        expand->words_bytes += strlen(*word);
        for (const char *hole = *word; (hole = strstr(hole, HOLE)) != NULL; hole += HOLE_BYTES)
            expand->holes++;
    }
    expand->words_bytes -= expand->holes * HOLE_BYTES;
}

static size_t body_bytes(const struct expand *expand, size_t value_bytes)
{
    return expand->base->payload.bytes + expand->words_bytes + (expand->holes + 1) * value_bytes;
}

/* Whether a command is nothing but {}. */
static bool is_hole(const char *word)
{
    while (strncmp(word, HOLE, HOLE_BYTES) == 0)
        word += HOLE_BYTES;
    return word[0] == '\0';
}

static int check_lines(const struct expand *expand, struct berth_error *err)
{
    const char *line = expand->line;
    for (size_t i = 1; i <= expand->count; i++) {
        size_t bytes = strlen(line);
        if (bytes == 0 && is_hole(expand->base->command[0]))
            return berth_fail(err, BERTH_EVALUE, "--each-line: line %zu is empty, and no command",
                              i);
        if (body_bytes(expand, bytes) > EXPAND_BODY_BYTES_MAX)
            return berth_fail(err, BERTH_EVALUE,
                              "--each-line: line %zu makes a job of %zu bytes; allowed are %u", i,
                              body_bytes(expand, bytes), EXPAND_BODY_BYTES_MAX);
        line += bytes + 1;
    }
    return 0;
}

/* The index or the number of the line, which is what keys end with. */
static uint64_t number_of(const struct expand *expand, size_t at)
{
    return expand->array.count > 0 ? expand->array.first + at * expand->array.step : at + 1;
}

static int check_key(const struct expand *expand, const char *what, const char *key,
                     struct berth_error *err)
{
    if (!key || expand->count == 0)
        return 0;
    char number[NUMBER_TEXT_MAX];
    int bytes = snprintf(number, sizeof number, "/%" PRIu64, number_of(expand, expand->count - 1));
    if (strlen(key) + (size_t)bytes <= BERTH_KEY_BYTES_MAX)
        return 0;
    return berth_fail(err, BERTH_EVALUE, "%s: with '%s' behind it, it has more than %d bytes", what,
                      number, BERTH_KEY_BYTES_MAX);
}

int expand_begin(struct expand *expand, const struct berth_job_spec *base,
                 const struct expand_array *array, const char *lines, size_t lines_count,
                 struct berth_error *err)
{
    BERTH_ASSERT(base->command);
    *expand = (struct expand){ .base = base, .line = lines, .count = lines_count };
    if (array) {
        expand->array = *array;
        expand->count = array->count;
    }
    measure(expand);
    int rc = check_key(expand, "--key", base->idempotency_key, err);
    if (rc == 0)
        rc = check_key(expand, "--unique", base->unique, err);
    return rc < 0 || array ? rc : check_lines(expand, err);
}

/* A word with the value for each {}; one without stays where it is. NULL: no memory. */
static const char *fill(const char *word, struct value value, struct berth_arena *arena)
{
    size_t holes = 0;
    for (const char *hole = word; (hole = strstr(hole, HOLE)) != NULL; hole += HOLE_BYTES)
        holes++;
    if (holes == 0)
        return word;
    char *filled = berth_arena_alloc(arena, strlen(word) + holes * value.bytes + 1), *at = filled;
    for (; filled && holes > 0; holes--) {
        const char *hole = strstr(word, HOLE);
        at = mempcpy(mempcpy(at, word, (size_t)(hole - word)), value.text, value.bytes);
        word = hole + HOLE_BYTES;
    }
    if (filled)
        memcpy(at, word, strlen(word) + 1);
    return filled;
}

static const char *const *fill_words(const struct expand *expand, struct value value,
                                     struct berth_arena *arena)
{
    if (expand->holes == 0)
        return expand->base->command;
    const char **words = berth_arena_alloc_array(arena, expand->words_count + 1, sizeof *words);
    for (size_t i = 0; words && i < expand->words_count; i++) {
        words[i] = fill(expand->base->command[i], value, arena);
        if (!words[i])
            return NULL;
    }
    if (words)
        words[expand->words_count] = NULL;
    return words;
}

/* Puts the number behind a key of all. 0 or -ENOMEM. */
static int number_key(const char **key, uint64_t number, struct berth_arena *arena)
{
    char numbered[BERTH_KEY_BYTES_MAX + 1];
    if (!*key)
        return 0;
    (void)snprintf(numbered, sizeof numbered, "%s/%" PRIu64, *key, number);
    *key = berth_arena_strdup(arena, numbered);
    return *key ? 0 : -ENOMEM;
}

/* The next job. 0 or -ENOMEM. */
static int make(struct expand *expand, struct berth_arena *arena, struct berth_job_spec *spec)
{
    char index[NUMBER_TEXT_MAX];
    uint64_t number = number_of(expand, expand->made);
    bool is_array = expand->array.count > 0;
    struct value value = { .text = expand->line };
    if (is_array) {
        (void)snprintf(index, sizeof index, "%" PRIu64, number);
        value.text = index;
    }
    value.bytes = strlen(value.text);

    *spec = *expand->base;
    spec->command = fill_words(expand, value, arena);
    if (!spec->command || number_key(&spec->idempotency_key, number, arena) < 0 ||
        number_key(&spec->unique, number, arena) < 0)
        return -ENOMEM;
    if (is_array) {
        spec->has_array_index = true;
        spec->array_index = number;
    } else {
        spec->line = expand->line;
        expand->line += value.bytes + 1;
    }
    expand->made++;
    return 0;
}

int expand_next(struct expand *expand, struct berth_arena *arena, struct berth_job_spec *specs,
                size_t specs_max, struct berth_error *err)
{
    size_t count = 0, bytes = 0;
    while (count < specs_max && bytes < EXPAND_BATCH_BYTES_MAX && expand->made < expand->count) {
        size_t value_bytes = expand->array.count > 0 ? NUMBER_TEXT_MAX : strlen(expand->line);
        bytes += body_bytes(expand, value_bytes) + expand->words_count * sizeof(char *);
        if (make(expand, arena, &specs[count]) < 0)
            return berth_fail(err, -ENOMEM, "make the jobs to be submitted");
        count++;
    }
    return (int)count;
}

const char *expand_place(const struct expand *expand, size_t at,
                         char text[static EXPAND_PLACE_TEXT_MAX])
{
    (void)snprintf(text, EXPAND_PLACE_TEXT_MAX, "%s %" PRIu64,
                   expand->array.count > 0 ? "index" : "line", number_of(expand, at));
    return text;
}

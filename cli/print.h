/* SPDX-License-Identifier: MIT */
/* For people: tables, and text that cannot play tricks on a terminal.
 *
 * What comes from jobs may hold anything. Control characters and bytes that are no UTF-8 are shown
 * as '?', so that no output of a job can move the cursor or recolour the screen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <berth/error.h>
#include <berth/types.h>

#define PRINT_COLUMNS_MAX 16

struct print_table;

/* `heads` are `columns` texts, which must last; one that starts with '>' is a column of numbers, to
 * be set to the right. NULL: no memory. */
struct print_table *print_table_new(const char *const *heads, size_t columns);
void print_table_free(struct print_table *table);

/* The next cell, from left to right, row by row; copied. */
void print_cell(struct print_table *table, const char *format, ...) BERTH_PRINTF(2, 3);

/* A cell of the words of a command as a shell would read them, of at most `width_max` columns: what
 * is cut off is shown as "...". `words` end with NULL; NULL: an empty cell. */
void print_words(struct print_table *table, const char *const *words, size_t width_max);

/* Writes all rows, aligned, under their heads; nothing at all if there is no row. 0 or -ENOMEM,
 * also of an earlier cell. */
int print_table(const struct print_table *table, FILE *file);

/* Text without control characters; `is_multiline` keeps newlines and tabs. */
void print_text(FILE *file, struct berth_slice text, bool is_multiline);

/* How many columns of a terminal it takes. */
size_t print_width(const char *text);

/* A word for a shell: as it is if that is safe, else in single quotes. */
void print_word(FILE *file, const char *word);

/* SPDX-License-Identifier: MIT */
/* See print.h. Widths are those of wcwidth(3) under the locale that main() has set. */
#include "cli/print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/text.h"

#define CELL_BYTES_MAX  4096
#define TABLE_BYTES_MAX (256u << 20)
#define GAP             2
#define DOTS            "..."

struct print_table {
    const char *const *heads;
    size_t columns, cells;
    struct berth_buf text; /* the cells one after the other, each with its NUL */
    size_t widths[PRINT_COLUMNS_MAX];
    int rc;
};

/* One character: its bytes, and its width; -1: not to be shown as it is. */
static size_t next_char(const char *at, size_t left, int *ret_width)
{
    wchar_t wide;
    mbstate_t state = { 0 };
    size_t bytes = mbrtowc(&wide, at, left, &state);
    *ret_width = -1;
    if (bytes == 0 || bytes > left) /* a NUL, ill-formed, or cut short */
        return 1;
    *ret_width = wcwidth(wide);
    return bytes;
}

void print_text(FILE *file, struct berth_slice text, bool is_multiline)
{
    const char *at = text.data;
    for (size_t left = text.bytes; left > 0;) {
        int width;
        size_t bytes = next_char(at, left, &width);
        if (width >= 0 || (is_multiline && (*at == '\n' || *at == '\t')))
            (void)fwrite(at, 1, bytes, file);
        else
            (void)fputc('?', file);
        at += bytes;
        left -= bytes;
    }
}

size_t print_width(const char *text)
{
    size_t columns = 0;
    for (size_t left = strlen(text); left > 0;) {
        int width;
        size_t bytes = next_char(text, left, &width);
        columns += width >= 0 ? (size_t)width : 1;
        text += bytes;
        left -= bytes;
    }
    return columns;
}

void print_word(FILE *file, const char *word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "@%+=:,./-_";
    size_t bytes = strlen(word);
    if (bytes > 0 && strspn(word, safe) == bytes) {
        (void)fputs(word, file);
        return;
    }
    (void)fputc('\'', file);
    for (;;) {
        size_t plain = strcspn(word, "'");
        print_text(file, (struct berth_slice){ .data = word, .bytes = plain }, false);
        if (word[plain] == '\0')
            break;
        (void)fputs("'\\''", file);
        word += plain + 1;
    }
    (void)fputc('\'', file);
}

static const char *head_text(const char *head)
{
    return head[0] == '>' ? head + 1 : head;
}

struct print_table *print_table_new(const char *const *heads, size_t columns)
{
    BERTH_ASSERT(columns > 0);
    BERTH_ASSERT(columns <= PRINT_COLUMNS_MAX);
    struct print_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->heads = heads;
    table->columns = columns;
    berth_buf_init(&table->text, TABLE_BYTES_MAX);
    for (size_t i = 0; i < columns; i++)
        table->widths[i] = print_width(head_text(heads[i]));
    return table;
}

void print_table_free(struct print_table *table)
{
    if (!table)
        return;
    berth_buf_fini(&table->text);
    free(table);
}

void print_cell(struct print_table *table, const char *format, ...)
{
    char cell[CELL_BYTES_MAX];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of va_start */
    (void)vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    if (table->rc < 0)
        return;
    table->rc = berth_buf_append(&table->text, cell, strlen(cell) + 1);
    size_t column = table->cells++ % table->columns, width = print_width(cell);
    if (width > table->widths[column])
        table->widths[column] = width;
}

/* Cuts `text` so that it takes no more columns. Behind it there is room for DOTS. */
static void cut(char *text, size_t width_max)
{
    if (print_width(text) <= width_max)
        return;
    size_t columns = sizeof DOTS - 1, at = 0;
    for (size_t left = strlen(text); left > 0;) {
        int width;
        size_t bytes = next_char(text + at, left, &width);
        columns += width >= 0 ? (size_t)width : 1;
        if (columns > width_max)
            break;
        at += bytes;
        left -= bytes;
    }
    memcpy(text + at, DOTS, sizeof DOTS);
}

void print_words(struct print_table *table, const char *const *words, size_t width_max)
{
    char text[CELL_BYTES_MAX + sizeof DOTS] = "";
    FILE *file = words && words[0] ? fmemopen(text, CELL_BYTES_MAX, "w") : NULL;
    for (size_t i = 0; file && words[i] && i <= width_max; i++) {
        if (i > 0)
            (void)fputc(' ', file);
        print_word(file, words[i]);
    }
    if (file)
        (void)fclose(file);
    cut(text, width_max);
    print_cell(table, "%s", text);
}

/* Blanks before a cell are written with it, so that no line ends in blanks. */
static void put_cell(const struct print_table *table, size_t column, const char *cell,
                     size_t *blanks, FILE *file)
{
    size_t width = print_width(cell);
    size_t pad = table->widths[column] > width ? table->widths[column] - width : 0;
    bool is_right = table->heads[column][0] == '>';
    *blanks += is_right ? pad : 0;
    if (width > 0) {
        (void)fprintf(file, "%*s", (int)*blanks, "");
        print_text(file, berth_slice_of(cell), false);
        *blanks = 0;
    }
    *blanks += GAP + (is_right ? 0 : pad);
    if (column + 1 < table->columns)
        return;
    (void)fputc('\n', file);
    *blanks = 0;
}

int print_table(const struct print_table *table, FILE *file)
{
    if (table->rc < 0)
        return table->rc;
    BERTH_ASSERT(table->cells % table->columns == 0);
    if (table->cells == 0)
        return 0;
    size_t blanks = 0;
    for (size_t i = 0; i < table->columns; i++)
        put_cell(table, i, head_text(table->heads[i]), &blanks, file);
    const char *cell = table->text.data;
    for (size_t i = 0; i < table->cells; i++) {
        put_cell(table, i % table->columns, cell, &blanks, file);
        cell += strlen(cell) + 1;
    }
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Tables are aligned whatever the letters, and no text plays tricks on a terminal.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/print.h"

struct fixture {
    FILE *file;
    char *text;
    size_t bytes;
};

static int setup(void **state)
{
    static struct fixture f;
    f.file = open_memstream(&f.text, &f.bytes);
    *state = &f;
    return setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)fclose(f->file);
    free(f->text);
    return 0;
}

static void assert_written(struct fixture *f, const char *wanted)
{
    (void)fflush(f->file);
    assert_string_equal(f->text, wanted);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = { ">ID", "NAME", ">N", "NOTE" };
    struct print_table *table = print_table_new(heads, 4);
    print_cell(table, "%d", 7);
    print_cell(table, "%s", "Größe");
    print_cell(table, "%d", 1);
    print_cell(table, "%s", "last");
    print_cell(table, "%d", 12345);
    print_cell(table, "%s", "漢字");
    print_cell(table, "%d", 22);
    print_cell(table, "%s", "");

    assert_ok(print_table(table, f->file));

    assert_written(f, "   ID  NAME    N  NOTE\n"
                      "    7  Größe   1  last\n"
                      "12345  漢字   22\n");
    print_table_free(table);
}

static void a_table_without_rows_is_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = { "A" };
    struct print_table *table = print_table_new(heads, 1);
    assert_ok(print_table(table, f->file));
    assert_written(f, "");
    print_table_free(table);
    print_table_free(NULL);
}

static void a_command_is_shown_as_a_shell_would_read_it_and_cut(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = { "C" };
    static const char *const commands[][4] = {
        { "sh", "-c", "a b", NULL },      { "123456789012345", NULL },
        { "1234567890123456", NULL },     { "Größe", "Größe", "Größe", NULL },
        { "漢字", "漢字", "漢字", NULL }, { NULL },
    };
    struct print_table *table = print_table_new(heads, 1);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        print_words(table, commands[i], 15);
    print_words(table, NULL, 15);

    assert_ok(print_table(table, f->file));

    assert_written(f, "C\n"
                      "sh -c 'a b'\n"
                      "123456789012345\n"
                      "123456789012...\n"
                      "'Größe' 'Grö...\n"
                      "'漢字' '漢字...\n"
                      "\n\n");
    print_table_free(table);
}

static void a_word_of_many_bytes_and_no_width_is_cut(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = { "C" };
    static char word[8193];
    for (size_t i = 0; i < sizeof word - 1; i += 2)
        memcpy(word + i, "\xcc\x81", 2); /* a combining accent */
    const char *words[] = { word, "12345678901234567890", NULL };
    struct print_table *table = print_table_new(heads, 1);
    print_words(table, words, 15);
    assert_ok(print_table(table, f->file));
    (void)fflush(f->file);
    assert_true(f->bytes <= 4096 + 2);
    print_table_free(table);
}

static void a_cell_cannot_move_the_cursor(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = { "A", "B" };
    struct print_table *table = print_table_new(heads, 2);
    print_cell(table, "\x1b[31mred\n");
    print_cell(table, "\xffx");
    assert_ok(print_table(table, f->file));
    assert_written(f, "A          B\n"
                      "?[31mred?  ?x\n");
    print_table_free(table);
}

static void text_keeps_its_lines_only_where_it_may(void **state)
{
    struct fixture *f = *state;
    print_text(f->file, berth_slice_of("a\tb\nc\r\x1b]0;x\x07"), true);
    print_text(f->file, berth_slice_of("|a\tb\nc|"), false);
    print_text(f->file, (struct berth_slice){ "x\0y", 3 }, true);
    print_text(f->file, (struct berth_slice){ NULL, 0 }, true);
    assert_written(f, "a\tb\nc??]0;x?|a?b?c|x?y");
}

static void words_are_quoted_for_a_shell_if_need_be(void **state)
{
    struct fixture *f = *state;
    const char *const words[] = { "plain-1.2/x@y", "", "two words", "it's", "$HOME", "a\x1b" };
    for (size_t i = 0; i < 6; i++) {
        print_word(f->file, words[i]);
        (void)fputc(' ', f->file);
    }
    assert_written(f, "plain-1.2/x@y '' 'two words' 'it'\\''s' '$HOME' 'a?' ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(columns_are_as_wide_as_their_widest_cell),
        TEST(a_table_without_rows_is_nothing),
        TEST(a_command_is_shown_as_a_shell_would_read_it_and_cut),
        TEST(a_word_of_many_bytes_and_no_width_is_cut),
        TEST(a_cell_cannot_move_the_cursor),
        TEST(text_keeps_its_lines_only_where_it_may),
        TEST(words_are_quoted_for_a_shell_if_need_be),
    };
    return berth_test_main(tests, NULL, NULL);
}

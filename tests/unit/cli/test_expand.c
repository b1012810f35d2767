/* SPDX-License-Identifier: MIT
 *
 * What --array and --each-line make of a command.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/expand.h"

#define SPECS_MAX 64

struct fixture {
    struct berth_arena arena;
    struct berth_buf text;
    struct expand expand;
    struct berth_job_spec specs[SPECS_MAX];
    struct berth_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_arena_init(&f->arena, EXPAND_ARENA_BYTES_MAX);
    berth_buf_init(&f->text, EXPAND_LINES_BYTES_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_buf_fini(&f->text);
    free(f);
    return 0;
}

static void a_range_is_counted_by_its_steps(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        uint64_t first, step;
        size_t count;
    } rows[] = {
        { "1-100", 1, 1, 100 },
        { "0-0", 0, 1, 1 },
        { "1-10:3", 1, 3, 4 },
        { "5-6:100", 5, 100, 1 },
        { "0-999999", 0, 1, 1000000 },
        { "0-9007199254740991:9007199254740991", 0, 9007199254740991, 2 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct expand_array array;
        assert_ok(expand_array_parse("--array", rows[i].text, &array, &f->err));
        assert_int_equal(array.first, rows[i].first);
        assert_int_equal(array.step, rows[i].step);
        assert_int_equal(array.count, rows[i].count);
    }
}

static void what_is_no_range_is_refused_in_words(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "", "is no range" },
        { "7", "is no range" },
        { "1-", "is no range" },
        { "-5", "is no range" },
        { "1-2-3", "is no range" },
        { "a-b", "is no range" },
        { "1-10:", "is no range" },
        { "1-10:0", "is no range" },
        { "1-10:2:2", "is no range" },
        { "1 -10", "is no range" },
        { "1-9007199254740992", "is no range" },
        { "000000000000000000000000000000000000000000000000000000000000000000001-2",
          "is no range" },
        { "10-1", "--array: '10-1' ends before it begins" },
        { "0-1000000", "'0-1000000' has 1000001 indices; allowed are 1000000" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct expand_array array = { .count = 77 };
        assert_rc(expand_array_parse("--array", rows[i].text, &array, &f->err), BERTH_EVALUE);
        if (!strstr(f->err.message, rows[i].says))
            fail_msg("'%s': %s", rows[i].text, f->err.message);
        assert_int_equal(array.count, 77);
    }
}

/* The lines of a text, joined by '|', each in front of its own bar. */
static void assert_lines(struct fixture *f, const char *text, size_t bytes, const char *wanted)
{
    char found[200] = "";
    size_t count, at = 0;
    berth_buf_clear(&f->text);
    assert_ok(berth_buf_append(&f->text, text, bytes));
    assert_ok(expand_lines_cut("--each-line", &f->text, &count, &f->err));
    const char *line = berth_buf_text(&f->text);
    for (size_t i = 0; i < count; i++, line += strlen(line) + 1)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s|", line);
    assert_string_equal(found, wanted);
}

static void lines_are_cut_at_newlines_and_nothing_is_taken_away(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *lines;
    } rows[] = {
        { "a\nb\n", "a|b|" }, { "a\nb", "a|b|" }, { "a\n\nb\n", "a||b|" },
        { "\n", "|" },        { "\n\n", "||" },   { " a \r\n\tb", " a \r|\tb|" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_lines(f, rows[i].text, strlen(rows[i].text), rows[i].lines);
}

static void lines_have_bounds(void **state)
{
    struct fixture *f = *state;
    size_t count = 77;
    assert_ok(berth_buf_append(&f->text, "a\nb\0c\n", 6));
    assert_rc(expand_lines_cut("--each-line", &f->text, &count, &f->err), BERTH_EVALUE);
    assert_string_equal(f->err.message, "--each-line: line 2 holds a NUL byte");

    berth_buf_clear(&f->text);
    assert_ok(berth_buf_reserve(&f->text, EXPAND_LINE_BYTES_MAX + 1));
    memset(f->text.data, 'x', EXPAND_LINE_BYTES_MAX);
    berth_buf_added(&f->text, EXPAND_LINE_BYTES_MAX);
    assert_ok(expand_lines_cut("--each-line", &f->text, &count, &f->err));
    assert_int_equal(count, 1);
    assert_ok(berth_buf_append(&f->text, "x", 1));
    assert_rc(expand_lines_cut("--each-line", &f->text, &count, &f->err), BERTH_EVALUE);
    assert_string_equal(f->err.message, "--each-line: line 1 has 65537 bytes; allowed is 64KiB");

    berth_buf_clear(&f->text);
    assert_ok(berth_buf_reserve(&f->text, EXPAND_JOBS_MAX + 1));
    memset(f->text.data, '\n', EXPAND_JOBS_MAX + 1);
    berth_buf_added(&f->text, EXPAND_JOBS_MAX + 1);
    assert_rc(expand_lines_cut("--each-line", &f->text, &count, &f->err), BERTH_EVALUE);
    assert_string_equal(f->err.message, "--each-line: more than 1000000 lines");
}

static void given_lines(struct fixture *f, const struct berth_job_spec *base, const char *text)
{
    size_t count;
    berth_buf_clear(&f->text);
    assert_ok(berth_buf_append_text(&f->text, text));
    assert_ok(expand_lines_cut("--each-line", &f->text, &count, &f->err));
    assert_ok(expand_begin(&f->expand, base, NULL, berth_buf_text(&f->text), count, &f->err));
}

static void given_array(struct fixture *f, const struct berth_job_spec *base, const char *range)
{
    struct expand_array array;
    assert_ok(expand_array_parse("--array", range, &array, &f->err));
    assert_ok(expand_begin(&f->expand, base, &array, NULL, 0, &f->err));
}

static void each_hole_takes_the_index_or_the_line(void **state)
{
    struct fixture *f = *state;
    const char *const command[] = { "c{}", "{}", "x", "{}-{}", "{", "{{}}", "", NULL };
    const struct berth_job_spec base = { .command = command, .max_attempts = 3, .priority = 4 };
    static const char *const wanted[][7] = {
        { "c8", "8", "x", "8-8", "{", "{8}", "" },
        { "c10", "10", "x", "10-10", "{", "{10}", "" },
    };
    given_array(f, &base, "8-10:2");
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 2);
    for (size_t i = 0; i < 2; i++) {
        for (size_t w = 0; w < 7; w++)
            assert_string_equal(f->specs[i].command[w], wanted[i][w]);
        assert_null(f->specs[i].command[7]);
        assert_true(f->specs[i].has_array_index);
        assert_int_equal(f->specs[i].array_index, 8 + 2 * i);
        assert_null(f->specs[i].line);
        assert_int_equal(f->specs[i].max_attempts, 3);
        assert_int_equal(f->specs[i].priority, 4);
    }
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 0);

    given_lines(f, &base, "two words\n\n{}\n");
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 3);
    assert_string_equal(f->specs[0].command[3], "two words-two words");
    assert_string_equal(f->specs[1].command[1], "");
    assert_string_equal(f->specs[1].line, "");
    assert_string_equal(f->specs[2].command[1], "{}");
    assert_false(f->specs[2].has_array_index);
}

static void a_command_without_holes_is_that_of_all(void **state)
{
    struct fixture *f = *state;
    const char *const command[] = { "date", NULL };
    given_array(f, &(struct berth_job_spec){ .command = command }, "1-3");
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 3);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(f->specs[i].command, command);
}

static void keys_end_with_the_index_or_the_number_of_the_line(void **state)
{
    struct fixture *f = *state;
    const char *const command[] = { "date", NULL };
    const struct berth_job_spec base = { .command = command,
                                         .idempotency_key = "k",
                                         .unique = "u" };
    given_array(f, &base, "7-8");
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 2);
    assert_string_equal(f->specs[0].unique, "u/7");
    assert_string_equal(f->specs[0].idempotency_key, "k/7");
    assert_string_equal(f->specs[1].idempotency_key, "k/8");
    given_lines(f, &base, "a\na\n");
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 2);
    assert_string_equal(f->specs[0].idempotency_key, "k/1");
    assert_string_equal(f->specs[1].idempotency_key, "k/2");
}

static void what_would_be_too_long_is_found_before_the_first_job(void **state)
{
    struct fixture *f = *state;
    char key[256];
    memset(key, 'k', sizeof key - 1);
    key[255] = '\0';
    const char *const command[] = { "{}", NULL };
    struct berth_job_spec base = { .command = command, .idempotency_key = key + 2 };
    struct expand_array array;
    assert_ok(expand_array_parse("--array", "1-9", &array, &f->err));
    assert_ok(expand_begin(&f->expand, &base, &array, NULL, 0, &f->err));
    assert_ok(expand_array_parse("--array", "1-10", &array, &f->err));
    assert_rc(expand_begin(&f->expand, &base, &array, NULL, 0, &f->err), BERTH_EVALUE);
    assert_string_equal(f->err.message, "--key: with '/10' behind it, it has more than 255 bytes");

    base.idempotency_key = NULL;
    base.unique = key;
    assert_rc(expand_begin(&f->expand, &base, &array, NULL, 0, &f->err), BERTH_EVALUE);
    assert_string_equal(f->err.message,
                        "--unique: with '/10' behind it, it has more than 255 bytes");
    base.unique = NULL;
    assert_rc(expand_begin(&f->expand, &base, NULL, "a\0\0b", 3, &f->err), BERTH_EVALUE);
    assert_string_equal(f->err.message, "--each-line: line 2 is empty, and no command");

    const char *const many[] = { "c", "{}{}{}{}{}{}{}{}{}", "{}{}{}{}{}{}{}{}", NULL };
    char *line = malloc(EXPAND_LINE_BYTES_MAX + 1);
    assert_non_null(line);
    memset(line, 'x', EXPAND_LINE_BYTES_MAX);
    line[EXPAND_LINE_BYTES_MAX] = '\0';
    base.command = many;
    assert_rc(expand_begin(&f->expand, &base, NULL, line, 1, &f->err), BERTH_EVALUE);
    assert_string_equal(f->err.message,
                        "--each-line: line 1 makes a job of 1179649 bytes; allowed are 1114112");
    free(line);
}

static void batches_are_bounded_in_number_and_in_bytes(void **state)
{
    struct fixture *f = *state;
    const char *const command[] = { "{}", NULL };
    char *payload = calloc(1, BERTH_PAYLOAD_BYTES_MAX);
    assert_non_null(payload);
    struct berth_job_spec base = { .command = command };
    given_array(f, &base, "1-150");
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), SPECS_MAX);
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), SPECS_MAX);
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 22);
    assert_int_equal(f->specs[21].array_index, 150);

    base.payload = (struct berth_slice){ payload, BERTH_PAYLOAD_BYTES_MAX };
    given_array(f, &base, "1-150");
    assert_rc(expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err), 64);
    struct berth_job_spec more[100];
    assert_rc(expand_next(&f->expand, &f->arena, more, 100, &f->err), 64);
    free(payload);
}

static void a_million_jobs_are_made_in_order(void **state)
{
    struct fixture *f = *state;
    const char *const command[] = { "echo", "n{}", NULL };
    const struct berth_job_spec base = { .command = command, .idempotency_key = "k" };
    given_array(f, &base, "5-5000000:5");
    uint64_t wanted = 5;
    for (int count;
         (count = expand_next(&f->expand, &f->arena, f->specs, SPECS_MAX, &f->err)) > 0;) {
        for (int i = 0; i < count; i++, wanted += 5)
            assert_int_equal(f->specs[i].array_index, wanted);
        berth_arena_reset(&f->arena);
    }
    assert_int_equal(wanted, 5000005);
}

static void without_memory_it_fails(void **state)
{
    struct fixture *f = *state;
    const char *const command[] = { "{}", NULL };
    const struct berth_job_spec base = { .command = command, .idempotency_key = "k" };
    for (size_t budget = 0; budget < 2000; budget += 50) {
        struct berth_arena small;
        berth_arena_init(&small, budget);
        given_array(f, &base, "1-60");
        int rc = expand_next(&f->expand, &small, f->specs, SPECS_MAX, &f->err);
        assert_rc(rc, -ENOMEM);
        berth_arena_fini(&small);
    }
}

static void what_made_a_job_has_a_name(void **state)
{
    struct fixture *f = *state;
    const char *const command[] = { "date", NULL };
    const struct berth_job_spec base = { .command = command };
    char text[EXPAND_PLACE_TEXT_MAX];
    given_array(f, &base, "10-100:10");
    assert_string_equal(expand_place(&f->expand, 9, text), "index 100");
    given_lines(f, &base, "a\nb\n");
    assert_string_equal(expand_place(&f->expand, 1, text), "line 2");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_range_is_counted_by_its_steps),
        TEST(what_is_no_range_is_refused_in_words),
        TEST(lines_are_cut_at_newlines_and_nothing_is_taken_away),
        TEST(lines_have_bounds),
        TEST(each_hole_takes_the_index_or_the_line),
        TEST(a_command_without_holes_is_that_of_all),
        TEST(keys_end_with_the_index_or_the_number_of_the_line),
        TEST(what_would_be_too_long_is_found_before_the_first_job),
        TEST(batches_are_bounded_in_number_and_in_bytes),
        TEST(a_million_jobs_are_made_in_order),
        TEST(without_memory_it_fails),
        TEST(what_made_a_job_has_a_name),
    };
    return berth_test_main(tests, NULL, NULL);
}

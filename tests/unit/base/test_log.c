/* SPDX-License-Identifier: MIT
 *
 * The log: the form of a line, levels, and one write for each line from several threads.
 */
#include "support/berthtest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define THREADS_COUNT 4
#define LINES_COUNT   200

static const char *format(char line[static BERTH_LOG_LINE_MAX + 1],
                          const struct berth_log_field *fields)
{
    size_t bytes =
        berth_log_format(line, 1709210096123456, "berthd", BERTH_LOG_INFO, "event", fields);
    assert_in_range(bytes, 1, BERTH_LOG_LINE_MAX);
    line[bytes] = '\0';
    return line;
}

#define PREFIX "time=2024-02-29T12:34:56.123456Z level=info program=berthd event=event"

static void a_line_is_key_and_value_pairs(void **state)
{
    (void)state;
    char line[BERTH_LOG_LINE_MAX + 1];
    const struct berth_log_field fields[] = { BERTH_LOG_TEXT("url", "tcp://127.0.0.1:7411"),
                                              BERTH_LOG_U64("epoch", UINT64_MAX),
                                              BERTH_LOG_I64("priority", -3),
                                              { .key = NULL } };

    assert_string_equal(format(line, fields), PREFIX
                        " url=tcp://127.0.0.1:7411 epoch=18446744073709551615 priority=-3\n");
}

static void values_that_need_it_stand_in_quotes(void **state)
{
    (void)state;
    char line[BERTH_LOG_LINE_MAX + 1];
    const struct berth_log_field fields[] = {
        BERTH_LOG_TEXT("a", "two words"),   BERTH_LOG_TEXT("b", ""),
        BERTH_LOG_TEXT("c", NULL),          BERTH_LOG_TEXT("d", "x=\"y\"\\"),
        BERTH_LOG_TEXT("e", "1\n2\t3\x01"), { .key = NULL }
    };

    assert_string_equal(
        format(line, fields),
        PREFIX " a=\"two words\" b=\"\" c=\"\" d=\"x=\\\"y\\\"\\\\\" e=\"1\\n2\\t3\\x01\"\n");
}

static void a_line_that_is_too_long_is_cut_visibly(void **state)
{
    (void)state;
    static char text[2 * BERTH_LOG_LINE_MAX];
    memset(text, 'x', sizeof text - 1);
    char line[BERTH_LOG_LINE_MAX + 1];
    const struct berth_log_field fields[] = { BERTH_LOG_TEXT("a", text),
                                              BERTH_LOG_TEXT("b", "y"),
                                              { .key = NULL } };

    format(line, fields);

    size_t bytes = strlen(line);
    assert_in_range(bytes, BERTH_LOG_LINE_MAX - 2, BERTH_LOG_LINE_MAX);
    assert_string_equal(line + bytes - 5, "x...\n");
}

static void levels_have_names(void **state)
{
    (void)state;
    enum berth_log_level level = BERTH_LOG_INFO;
    struct berth_error err;

    assert_rc(berth_log_level_parse("--log-level", "debug", &level, &err), 0);
    assert_int_equal(level, BERTH_LOG_DEBUG);
    assert_rc(berth_log_level_parse("--log-level", "loud", &level, &err), BERTH_EVALUE);
    assert_string_equal(err.message,
                        "--log-level: 'loud' is not allowed; error, warn, info or debug is "
                        "wanted");
    assert_int_equal(level, BERTH_LOG_DEBUG);
}

/* Everything that `write_all` logs, as one text of the caller's. */
static char *captured(void (*write_all)(void))
{
    FILE *file = tmpfile();
    assert_non_null(file);
    BERTH_AUTO_FD int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    write_all();
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);

    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long bytes = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)bytes + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)bytes, file), bytes);
    (void)fclose(file);
    return text;
}

static void write_each_level(void)
{
    berth_log_init("test", BERTH_LOG_WARN);
    struct berth_error err = { .code = BERTH_ESTORE, .message = "disk full" };
    berth_log(BERTH_LOG_ERROR, "commit_failed", BERTH_LOG_ERR(&err));
    berth_log(BERTH_LOG_WARN, "slow");
    berth_log(BERTH_LOG_INFO, "listening");
    berth_log(BERTH_LOG_DEBUG, "step");
}

static void lines_above_the_level_are_left_out(void **state)
{
    (void)state;
    BERTH_AUTO_MEM char *text = captured(write_each_level);

    assert_int_equal(berth_log_level(), BERTH_LOG_WARN);
    assert_non_null(
        strstr(text, "level=error program=test event=commit_failed error=\"disk full\"\n"));
    assert_non_null(strstr(text, "level=warn program=test event=slow\n"));
    assert_null(strstr(text, "listening"));
    assert_null(strstr(text, "step"));
}

static void *write_lines(void *arg)
{
    for (uint64_t i = 0; i < LINES_COUNT; i++)
        berth_log(BERTH_LOG_ERROR, "line", BERTH_LOG_TEXT("from", arg), BERTH_LOG_U64("n", i));
    return NULL;
}

static void write_from_threads(void)
{
    static char names[THREADS_COUNT][4] = { "t0", "t1", "t2", "t3" };
    pthread_t threads[THREADS_COUNT];
    for (int i = 0; i < THREADS_COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < THREADS_COUNT; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    BERTH_AUTO_MEM char *text = captured(write_from_threads);

    int count = 0;
    for (char *line, *rest = text; (line = strsep(&rest, "\n")) && *line; count++) {
        assert_int_equal(strncmp(line, "time=", 5), 0);
        assert_non_null(strstr(line, " event=line from=t"));
        assert_null(strstr(line + 5, "time="));
    }
    assert_int_equal(count, THREADS_COUNT * LINES_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_key_and_value_pairs),
        cmocka_unit_test(values_that_need_it_stand_in_quotes),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_visibly),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(lines_above_the_level_are_left_out),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
    };
    return berth_test_main(tests, NULL, NULL);
}

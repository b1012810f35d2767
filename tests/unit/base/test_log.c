/* SPDX-License-Identifier: MIT
 *
 * The log: the form of a line, levels, one write for each line from several
 * threads, and readers that do not read.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
    assert_string_equal(berth_log_level_names[BERTH_LOG_ERROR], "error");
    assert_string_equal(berth_log_level_names[BERTH_LOG_DEBUG], "debug");
    assert_null(berth_log_level_names[BERTH_LOG_DEBUG + 1]);
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

/* stderr is `ends[1]`, of which nobody reads, and takes nothing more when this returns. */
static int put_in_the_place_of_stderr(const int ends[2])
{
    char block[BERTH_LOG_LINE_MAX] = { 0 };
    int flags = fcntl(ends[1], F_GETFL);
    assert_int_equal(fcntl(ends[1], F_SETFL, flags | O_NONBLOCK), 0);
    while (write(ends[1], block, sizeof block) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fcntl(ends[1], F_SETFL, flags), 0);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    return saved;
}

static char *read_what_is_there(int fd)
{
    static char text[1 << 20];
    size_t bytes = 0;
    ssize_t got;
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while ((got = read(fd, text + bytes, sizeof text - 1 - bytes)) > 0)
        bytes += (size_t)got;
    for (size_t i = 0; i < bytes; i++)
        text[i] = text[i] ? text[i] : ' ';
    text[bytes] = '\0';
    return text;
}

static void assert_lines_are_lost_and_counted(const int ends[2])
{
    berth_log_init("test", BERTH_LOG_INFO);
    int saved = put_in_the_place_of_stderr(ends);
    for (int i = 0; i < 3; i++)
        berth_log(BERTH_LOG_INFO, "unread");
    char *before = read_what_is_there(ends[0]);
    bool had_room = strstr(before, "event=unread") != NULL;
    berth_log(BERTH_LOG_INFO, "read_again");
    berth_log(BERTH_LOG_INFO, "next");
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(saved), 0);

    const char *after = read_what_is_there(ends[0]);
    assert_false(had_room);
    const char *lost = strstr(after, "event=log_lines_lost lines=3\n");
    assert_non_null(lost);
    const char *again = strstr(lost, "event=read_again\n");
    assert_non_null(again);
    assert_null(strstr(again, "log_lines_lost"));
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

static void a_full_pipe_that_nobody_reads_holds_nobody_up(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_lines_are_lost_and_counted(ends);
}

static void a_full_socket_that_nobody_reads_holds_nobody_up(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_lines_are_lost_and_counted(ends);
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
        cmocka_unit_test(a_full_pipe_that_nobody_reads_holds_nobody_up),
        cmocka_unit_test(a_full_socket_that_nobody_reads_holds_nobody_up),
    };
    return berth_test_main(tests, NULL, NULL);
}

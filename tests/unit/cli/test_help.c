/* SPDX-License-Identifier: MIT
 *
 * The help of every command, word for word as in golden/, and the version. BERTH_GOLDEN=write in
 * the environment writes the files anew; then read them.
 */
#include "support/berthtest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/version.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "support/process.h"
#include "support/tempdir.h"

#define PATIENT 60000

static const char program[] = BERTH_BIN_DIR "/berth";
static const char *folder;

/* `words`: the command, at most two. */
static void check_help(const char *first, const char *second)
{
    struct process process;
    const char *argv[] = { program, first, second, "--help", NULL };
    if (!second)
        memmove(&argv[2], &argv[3], 2 * sizeof argv[0]);
    if (!first)
        argv[1] = "--help", argv[2] = NULL;
    assert_int_equal(process_run(&process, argv, NULL, NULL, PATIENT), 0);
    assert_string_equal(process_err(&process), "");

    char name[64];
    (void)snprintf(name, sizeof name, "berth%s%s%s%s.txt", first ? "-" : "", first ? first : "",
                   second ? "-" : "", second ? second : "");
    BERTH_AUTO_MEM char *path = tempdir_path(folder, name);
    if (getenv("BERTH_GOLDEN"))
        tempdir_write(path, process_out(&process));
    struct berth_buf wanted;
    berth_buf_init(&wanted, 1 << 20);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        assert_ok(berth_buf_fill(&wanted, fd));
    berth_close(fd);
    assert_string_equal(process_out(&process), berth_buf_text(&wanted));
    berth_buf_fini(&wanted);
    process_fini(&process);
}

static void the_help_is_as_it_was_agreed(void **state)
{
    (void)state;
    static const char *const commands[][2] = {
        { NULL, NULL },
        { "up", NULL },
        { "submit", NULL },
        { "ls", NULL },
        { "show", NULL },
        { "wait", NULL },
        { "logs", NULL },
        { "cancel", NULL },
        { "retry", NULL },
        { "discard", NULL },
        { "explain", NULL },
        { "dispatcher", "ls" },
        { "dispatcher", "show" },
        { "dispatcher", "set" },
        { "dispatcher", "pause" },
        { "dispatcher", "resume" },
        { "dispatcher", "purge" },
        { "dispatcher", "rm" },
        { "schedule", "ls" },
        { "schedule", "set" },
        { "schedule", "pause" },
        { "schedule", "resume" },
        { "schedule", "rm" },
        { "worker", "ls" },
        { "worker", "gone" },
        { "broker", "status" },
        { "completion", NULL },
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        check_help(commands[i][0], commands[i][1]);
}

static void the_version_is_one_line(void **state)
{
    (void)state;
    const char *const lines[][4] = {
        { program, "--version", NULL },
        { program, "submit", "--version", NULL },
    };
    for (size_t i = 0; i < 2; i++) {
        struct process process;
        assert_int_equal(process_run(&process, lines[i], NULL, NULL, PATIENT), 0);
        assert_string_equal(process_out(&process), "berth " BERTH_VERSION "\n");
        process_fini(&process);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_help_is_as_it_was_agreed),
        cmocka_unit_test(the_version_is_one_line),
    };
    folder = argc > 1 ? argv[1] : ".";
    return berth_test_main(tests, NULL, NULL);
}

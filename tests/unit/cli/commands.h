/* SPDX-License-Identifier: MIT
 *
 * The program `berth` beside a broker that answers by script, for the tests that run it.
 */
#pragma once

#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakebroker/fakebroker.h"
#include "support/process.h"
#include "support/tempdir.h"

#define PATIENT   60000
#define WORDS_MAX 64

struct fixture {
    struct fake_broker *broker;
    struct process process; /* that was run last */
    bool has_process;
    char *dir;
    char url[80];
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->broker = fake_broker_new();
    f->dir = tempdir_new();
    (void)snprintf(f->url, sizeof f->url, "BERTH_URL=%s", fake_broker_url(f->broker));
    *state = f;
    return 0;
}

static inline void forget(struct fixture *f)
{
    if (f->has_process)
        process_fini(&f->process);
    f->has_process = false;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    forget(f);
    tempdir_free(f->dir);
    fake_broker_free(f->broker);
    free(f);
    return 0;
}

/* Cuts `line` at blanks; a word in the place of '@' is `extra`. */
static inline void start(struct fixture *f, const char *line, const char *extra)
{
    static char copy[1000];
    const char *words[WORDS_MAX + 2] = { BERTH_BIN_DIR "/berth" };
    size_t count = 1;
    assert_true(strlen(line) < sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    for (char *at = copy, *word; (word = strsep(&at, " ")) != NULL;) {
        assert_true(count < WORDS_MAX);
        if (word[0] != '\0')
            words[count++] = strcmp(word, "@") == 0 ? extra : word;
    }
    words[count] = NULL;
    const char *const env[] = { f->url, NULL };
    forget(f);
    process_start(&f->process, words, env);
    f->has_process = true;
}

static inline int run_with(struct fixture *f, const char *line, const char *extra,
                           const char *input)
{
    start(f, line, extra);
    if (input)
        process_write(&f->process, input);
    process_close_stdin(&f->process);
    return process_await_exit(&f->process, PATIENT);
}

static inline int run(struct fixture *f, const char *line)
{
    return run_with(f, line, "", NULL);
}

static inline const char *out(const struct fixture *f)
{
    return process_out(&f->process);
}

static inline void assert_says(const struct fixture *f, const char *part)
{
    if (!strstr(process_err(&f->process), part))
        fail_msg("stderr is '%s', without '%s'", process_err(&f->process), part);
}

/* One line, and nothing else. */
static inline void assert_one_line(const char *text)
{
    const char *newline = strchr(text, '\n');
    assert_non_null(newline);
    assert_int_equal(newline[1], '\0');
}

/* Parses stdout as JSON in another language and evaluates an expression over it, `d`. */
static inline void assert_json(struct fixture *f, const char *expression)
{
    static const char script[] = "import json, sys\n"
                                 "d = json.load(sys.stdin)\n"
                                 "value = eval(sys.argv[1])\n"
                                 "value is True or sys.exit(f'{value!r} of {d!r}')\n";
    struct process python;
    const char *const argv[] = { "python3", "-c", script, expression, NULL };
    int code = process_run(&python, argv, NULL, out(f), PATIENT);
    if (code != 0)
        print_error("%s: %s\n", expression, process_err(&python));
    process_fini(&python);
    assert_int_equal(code, 0);
}

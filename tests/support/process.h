/* SPDX-License-Identifier: MIT
 *
 * Real programs for integration tests: start one, await a line or its end with a deadline, kill it.
 * What it writes is collected; whatever happens, it does not outlive the test program.
 *
 *     struct process broker;
 *     process_start(&broker, (const char *const[]){ BERTH_BIN_DIR "/berthd", NULL }, NULL);
 *     assert_true(process_await_text(&broker, "event=listening", 5000));
 *     process_kill(&broker, SIGKILL);
 *     assert_int_equal(process_await_exit(&broker, 5000), 128 + SIGKILL);
 *     process_fini(&broker);
 *
 * Not for several threads at once. What cannot go wrong in a sane machine (pipe, fork) stops the
 * test program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

#define PROCESS_OUTPUT_MAX (16u << 20) /* bytes kept of each stream; more is read and dropped */
#define PROCESS_TIMED_OUT  (-1)

struct process {
    pid_t pid;
    int pid_fd, in_fd, out_fd, err_fd; /* -1: closed */
    bool has_ended;
    int exit_code; /* once it has ended: its own, or 128 + signal */
    struct berth_buf out, err;
};

/* argv and env (NAME=VALUE, added to ours; NULL: none) end with NULL. argv[0] is looked up on PATH.
 * A program that cannot be started ends with 127. */
void process_start(struct process *process, const char *const *argv, const char *const *env);

/* Kills it with -9 if it still runs, reaps it, and frees what was collected. */
void process_fini(struct process *process);

/* Writes all of `text` to its stdin (small: it must fit the pipe), or closes it. */
void process_write(struct process *process, const char *text);
void process_close_stdin(struct process *process);

/* Whether `text` has appeared on stdout or stderr, from the start, within `timeout_ms`. Ends early
 * with false if it ended without. */
bool process_await_text(struct process *process, const char *text, int64_t timeout_ms);

/* Its exit code once it has ended (128 + n for signal n), or PROCESS_TIMED_OUT. All its output is
 * collected then. */
int process_await_exit(struct process *process, int64_t timeout_ms);

/* Sends a signal, unless it has ended. */
void process_kill(struct process *process, int signal);

/* What it has written so far. */
const char *process_out(const struct process *process);
const char *process_err(const struct process *process);

/* Starts it with `input` on stdin (NULL: none) and awaits its end; `ret_process` must be given to
 * process_fini. */
int process_run(struct process *ret_process, const char *const *argv, const char *const *env,
                const char *input, int64_t timeout_ms);

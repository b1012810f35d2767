/* SPDX-License-Identifier: MIT
 *
 * What the tests of commands share: a work dir, an exec thread, and the ends that it reported.
 *
 * Whether anything of a command is alive is asked of a FIFO, DIR/alive, that it and all its
 * children hold open for writing: it cannot be fooled by a pid that is used again.
 */
#pragma once

#include "support/berthtest.h"

#include <pthread.h>
#include <stdbool.h>

#include "worker/handlers/exec.h"

#define EXEC_DEADLINE_MS 30000
#define EXEC_ENDS_MAX    256

struct ended {
    uint64_t attempt;
    struct exec_end end;  /* with copies of what it points at */
    bool is_anyone_alive; /* when it was reported */
};

struct fixture {
    char *dir;
    struct exec *exec;
    int alive_fd;   /* the reading end of DIR/alive */
    int gate_fd;    /* DIR/gate */
    int ended_fd;   /* an eventfd: one for each end */
    int written_fd; /* the same, for each time that something was written */
    pthread_mutex_t lock;
    struct ended ends[EXEC_ENDS_MAX];
    size_t end_count;
};

struct fixture *exec_fixture_new(void);
void exec_fixture_free(struct fixture *f);

/* The same for cmocka. */
int exec_setup(void **state);
int exec_teardown(void **state);

struct berth_slice exec_slice(const char *text);

/* Starts attempt `attempt` of job 5 with up to three arguments; the shell with a script. */
void exec_start_command(struct fixture *f, uint64_t attempt, const char *a, const char *b,
                        const char *c);
void exec_start_shell(struct fixture *f, uint64_t attempt, const char *script);

/* The next end; of several at once the last. */
struct ended *exec_await_end(struct fixture *f);
size_t exec_count_ends(struct fixture *f);

/* Runs a script as attempt 1 and returns its end. */
struct ended *exec_run_shell(struct fixture *f, const char *script);

/* Waits until the command writes a line into the FIFO DIR/gate, and returns it as a number. The way
 * back is another FIFO, DIR/go. */
long exec_await_gate(const struct fixture *f);
void exec_await_readable(int fd);
int exec_open_in(const struct fixture *f, const char *name, int flags);
void exec_make_fifo(const struct fixture *f, const char *name);

/* Whether a process holds DIR/alive open for writing. */
bool exec_anyone_alive(const struct fixture *f);

void exec_assert_text(struct berth_slice have, const char *want);

/* SPDX-License-Identifier: MIT
 *
 * Runs commands as attempts. All of them on one thread with one epoll loop, none of them with a
 * thread of its own.
 *
 *   exec thread ──fork──► nursery (nursery.h) ──fork──► shim (shim.h) ──fork──► the command: a
 *                                                                session and group of its own
 *
 * It never goes through a shell, never passes a descriptor but stdin, stdout and stderr, and
 * decides nothing about retries: it says how the command ended.
 *
 * Invariants
 * 1. on_end is called exactly once for each attempt that exec_start() took, and only when nothing
 *    that the attempt started is alive any more, daemons included.
 * 2. When the process or the exec thread dies, so do nursery, shims and commands.
 * 3. An attempt's output takes at most four times EXEC_OUTPUT_BYTES_MAX of memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>

#include "proto/limits.h"

#define EXEC_OUTPUT_BYTES_MAX BERTH_OUTPUT_BYTES_MAX /* kept of stdout, and of stderr: the last */
#define EXEC_GRACE_MS_MAX     BERTH_GRACE_MS_MAX

struct exec;

/* How an attempt ended. Everything is borrowed until on_end returns. */
struct exec_end {
    /* False: there was no room for it (processes, descriptors, memory). `error` says what was
     * missing, the rest is zero, and it may be handed back. */
    bool is_started;
    /* exec_cancel() came before its end. It may have ended well all the same. */
    bool is_cancelled;
    /* 0 .. 255; 128 + n: signal n; 127: not found; 126: found, but cannot be run, or the work dir
     * cannot be entered. */
    int exit_code;
    int signal;                  /* that ended the command; 0: it exited */
    const char *error;           /* one sentence if the command could not be run, else NULL */
    struct berth_slice out, err; /* the last bytes of each */
    uint64_t out_from, err_from; /* so many came before them */
    bool out_truncated, err_truncated;
    int64_t run_us;
};

struct exec_opts {
    const char *work_dir; /* in which commands run; copied */
    /* Called on the exec thread. Must not block, and must not call exec_close(). */
    void (*on_end)(void *arg, uint64_t attempt, const struct exec_end *end);
    /* The same: the attempt has written something. NULL: nobody asks. */
    void (*on_output)(void *arg, uint64_t attempt);
    void *arg;
};

/* A command. Everything is borrowed until exec_start() returns. */
struct exec_command {
    uint64_t attempt;               /* the fencing token: never shown to the command, not 0 */
    uint64_t job;                   /* BERTH_JOB */
    uint32_t number;                /* BERTH_ATTEMPT: 1 for the first */
    struct berth_slice dispatcher;  /* BERTH_DISPATCHER */
    struct berth_slice traceparent; /* TRACEPARENT; empty: none */
    const struct berth_field *env;  /* more of the environment (BERTH_ARRAY_INDEX, BERTH_LINE) */
    size_t env_count;
    const struct berth_slice *argv; /* [0] is looked up on the worker's PATH unless it has a '/' */
    size_t argv_count;              /* at least 1 */
    struct berth_slice payload;     /* stdin */
};

/* Starts the exec thread, and forks the nursery: best while the process is still small. -ENOTDIR,
 * -ENOENT ... if the work dir cannot be used. Raises the process's soft limit of descriptors to the
 * hard one (an attempt needs four; commands get the old limit), and copies the environment as it is
 * now: commands see no later change of it. */
int exec_open(const struct exec_opts *opts, struct exec **ret_exec, struct berth_error *err);

/* Kills all attempts that are left, waits until on_end was called for each, ends the thread. NULL
 * is fine. */
void exec_close(struct exec *exec);

/* Takes a command; it starts soon, on the exec thread. Any thread, on_end included; does not block.
 * -EINVAL: no argv, an empty argv[0], or a NUL byte in a text (`err` says which); -EEXIST: that
 * attempt is there; -ENOMEM; -ECANCELED: closing. On failure on_end is not called. */
int exec_start(struct exec *exec, const struct exec_command *command, struct berth_error *err);

/* SIGTERM to the command's group now, SIGKILL to everything of the attempt after `grace_ms` (0 ..
 * EXEC_GRACE_MS_MAX, else cut to it; 0: SIGKILL now). A repeat can only bring the end nearer. An
 * attempt that is not there (any more) is no error. Any thread, on_end included; does not block. */
void exec_cancel(struct exec *exec, uint64_t attempt, int64_t grace_ms);

enum exec_stream { EXEC_STDOUT = 1, EXEC_STDERR };

/* Copies what a running attempt has written to `stream`, from the place `*from` on (the number of
 * bytes before it) and `bytes_max` at most, to `to`. What is not kept any more is skipped: `*from`
 * becomes the place of what is copied. Returns how many bytes; `ret_left`: so many are behind them.
 * `to` NULL: only says what it would do. Any thread; does not block. */
size_t exec_peek(struct exec *exec, uint64_t attempt, enum exec_stream stream, uint64_t *from,
                 void *to, size_t bytes_max, size_t *ret_left);

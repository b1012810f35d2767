/* SPDX-License-Identifier: MIT
 *
 * One attempt at a command, as the exec thread sees it: its pipes, its shim's reports, its end.
 *
 * That it is over is learnt from the channel alone, whose other ends the shim and the nursery hold
 * until nothing of the attempt is alive; closed pipes mean nothing. Only the exec thread may call
 * what is here, but for new and free.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <berth/error.h>

#include "base/list.h"
#include "base/map.h"
#include "worker/handlers/exec_output.h"
#include "worker/handlers/exec_plan.h"
#include "worker/nursery.h"
#include "worker/shim.h"

#define EXEC_READ_BYTES_MAX (64u * 1024)

/* What all runs share. */
struct exec_host {
    const char *work_dir;
    int epoll_fd; /* events carry a struct exec_watch */
    int null_fd;
    struct nursery nursery;
    uint64_t descriptor_max; /* the command's soft RLIMIT_NOFILE; 0: as it is */
    /* Guards what runs have written: all other threads may do with it is look. Taken last. */
    pthread_mutex_t output_lock;
    void (*on_output)(void *arg, uint64_t attempt); /* NULL: nobody asks */
    void *arg;
    char scratch[EXEC_READ_BYTES_MAX];
};

enum exec_watch_kind {
    EXEC_WATCH_CHANNEL,
    EXEC_WATCH_IN,
    EXEC_WATCH_OUT,
    EXEC_WATCH_ERR,
    EXEC_WATCH_COUNT,
};

struct exec_watch {
    enum exec_watch_kind kind;
    int fd; /* ours; -1: none, or closed */
    struct exec_run *run;
};

struct exec_run {
    /* Guarded by the lock of exec.c. */
    struct berth_map_node by_attempt;
    struct berth_list_node inbox_node;
    bool is_new, is_cancelled;
    int64_t grace_ms;

    struct berth_list_node over_node; /* in one of the lists of exec.c's thread */
    uint64_t attempt;
    struct exec_plan plan;
    size_t payload_written;
    struct exec_watch watches[EXEC_WATCH_COUNT];
    struct exec_output out, err;
    pid_t group; /* the command's; 0: it has not begun */
    int64_t started_ns;
    struct shim_report trouble; /* why it could not be run; kind 0: it could */
    bool has_exited;            /* the shim has said so, with: */
    int status;
};

/* Copies the command. 0, or as exec_start(). */
int exec_run_new(const struct exec_surroundings *surroundings, const struct exec_command *command,
                 struct exec_run **ret_run, struct berth_error *err);

/* Closes what it has open. It must not be in any list or map any more. */
void exec_run_free(struct exec_host *host, struct exec_run *run);

/* Has it started. On failure nothing was, and nothing will be. */
int exec_run_start(struct exec_host *host, struct exec_run *run, struct berth_error *err);

/* Passes a cancel on, if there is still somebody to take it. */
void exec_run_cancel(struct exec_run *run, int64_t grace_ms);

/* Takes an event. True: the channel has ended, and exec_run_bury() is due. */
bool exec_run_handle(struct exec_host *host, struct exec_watch *watch);

/* True when nothing of the attempt is left: at once, unless shim and nursery were killed. Then
 * kills the command's group, and is to be called again in a moment. */
bool exec_run_bury(struct exec_run *run);

/* How it ended: after exec_run_bury(), or with the reason why it was not started. Everything in
 * `ret_end` lies in the run, in `refused` or in `memory`; is_cancelled is left to the caller. */
void exec_run_end(struct exec_host *host, struct exec_run *run, const struct berth_error *refused,
                  struct berth_error *memory, struct exec_end *ret_end);

/* SPDX-License-Identifier: MIT */
/* A broker, a client and workers as programs, in one-line steps. */
#pragma once

#include "site.h"

#include <berth/client.h>

#include "support/tempdir.h"

#define PLUGIN         BERTH_BIN_DIR "/jobs_plugin.so"
#define WAIT_MS        60000
#define ARGS_MAX       16
#define WORKERS        2
#define PATH_BYTES_MAX 4096

struct fixture {
    struct site *site;
    struct berth_client *client;
    struct process workers[WORKERS];
};

/* With a broker and a client of it, and no worker. */
int worker_setup(void **state);
int worker_teardown(void **state);

/* Starts it with these arguments (NULL: none), which end with NULL. */
void worker_begin(struct fixture *f, size_t index, const char *const *args);
void await_worker_text(struct fixture *f, size_t index, const char *text);
/* With the plugin, and commands allowed; it has joined. */
void given_worker(struct fixture *f, size_t index);
int await_worker_exit(struct fixture *f, size_t index);

berth_job_id submit(struct fixture *f, const struct berth_job_spec *spec);
berth_job_id submit_handler(struct fixture *f, const char *handler, const char *payload);
berth_job_id submit_shell(struct fixture *f, const char *script); /* it is tried once */
/* The job at its end; the caller frees it. */
struct berth_job *await_end(struct fixture *f, berth_job_id id, enum berth_state state);
void assert_slice(struct berth_slice slice, const char *text);

/* A script that leaves a line in `path` when it starts, and another when it ends. */
void tracing_script(char script[static PATH_BYTES_MAX], const char *path, const char *seconds);
void await_file(const char *path, const char *text);
/* A FIFO on which the handler "block" blocks, and a job that does; it goes on, and the path is
 * freed. */
berth_job_id given_blocked(struct fixture *f, char **ret_fifo);
void unblock(char *fifo);

/* SPDX-License-Identifier: MIT */
/* The worker as its own program sees it: what <berth/worker.h> does not offer to others. */
#pragma once

#include <berth/worker.h>

#include "worker/fence.h"
#include "worker/net/link.h"

#define WORKER_URL_DEFAULT       "tcp://127.0.0.1:7411"
#define WORKER_CAPACITY_DEFAULT  256
#define WORKER_SUSPENDED_DEFAULT 4096
#define WORKER_GRACE_MS_DEFAULT  5000
#define WORKER_GRACE_MS_MAX      (24 * 60 * 60 * 1000)
#define WORKER_STACK_BYTES       ((size_t)256 << 10) /* plain blocking code: TLS, resolvers */

struct worker_setup {
    struct berth_worker_opts opts;
    bool is_exec_allowed;
    const char *work_dir; /* of commands; copied */
    /* The page of a keeper: then the session ends with this process, which the caller sees to.
     * Taken. NULL: no keeper. */
    struct fence *fence;
};

/* As berth_worker_open(). The fence is the worker's even when this fails. */
int worker_open(const struct worker_setup *setup, struct berth_worker **ret_worker,
                struct berth_error *err);

/* Under a keeper: one session, until it is over. Attempts may still run when it returns: the caller
 * ends the process. */
int worker_run_session(struct berth_worker *worker, struct link_exit *ret_exit,
                       struct berth_error *err);

/* Attempts that run now. Any thread. */
size_t worker_running_count(struct berth_worker *worker);

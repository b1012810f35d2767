/* SPDX-License-Identifier: MIT
 *
 * What is to be run, worked out before the fork, where memory may still be allocated: arguments,
 * environment, and the files that argv[0] may mean.
 *
 * The environment of the worker is copied once, at the start: user code may change it at any time,
 * from any thread. Variables that speak of a job are not taken over from it.
 */
#pragma once

#include <berth/error.h>
#include <berth/types.h>

#include "base/arena.h"
#include "worker/handlers/exec.h"

#define EXEC_PLAN_BYTES_MAX ((size_t)16 * 1024 * 1024) /* of one command, its payload included */

/* The worker's, as it was at the start. */
struct exec_surroundings {
    struct berth_arena arena;
    char **env; /* ended by NULL, without the variables of a job */
    size_t env_count;
    const char *path;
};

/* 0 or -ENOMEM. fini is due in any case. */
int exec_surroundings_init(struct exec_surroundings *surroundings, struct berth_error *err);
void exec_surroundings_fini(struct exec_surroundings *surroundings);

struct exec_plan {
    struct berth_arena arena;
    char **argv, **envp; /* ended by NULL */
    char **paths;        /* what argv[0] may mean, in order, ended by NULL */
    struct berth_slice payload;
};

/* Copies what `command` holds; keeps pointers into `surroundings`. 0, -EINVAL or -ENOMEM. fini is
 * due in any case. */
int exec_plan_init(struct exec_plan *plan, const struct exec_surroundings *surroundings,
                   const struct exec_command *command, struct berth_error *err);
void exec_plan_fini(struct exec_plan *plan);

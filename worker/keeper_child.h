/* SPDX-License-Identifier: MIT
 *
 * One runtime child: its birth, its lease as the keeper sees it, and its certain end. Belongs to
 * the keeper's main thread.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <berth/error.h>

#include "worker/cgroup.h"
#include "worker/fence.h"
#include "worker/keeper_alone.h"

struct keeper_child {
    struct fence *fence;
    const struct cgroup *cgroup; /* borrowed; NULL: none, or it did not get in */
    struct keeper_alone *alone;  /* borrowed; who else hangs under this process. NULL: nobody */
    pid_t pid;
    uint32_t number;
    int64_t born_ms;
    bool is_dead; /* reaped, with: */
    int status;   /* as of waitpid() */

    /* What the keeper has believed so far. */
    uint64_t session;
    int64_t lease_ms, lease_end_ms; /* of a session; both fixed by what was read first */
    bool is_lease_refused;          /* it claimed more than it may have: said once */
};

struct keeper_child_opts {
    const char *exe;
    int argc;
    char *const *argv;
    const sigset_t *mask;        /* of the child */
    const struct cgroup *cgroup; /* NULL: none */
    struct keeper_alone *alone;  /* NULL: none */
    struct fence_birth birth;
    int64_t now_ms; /* CLOCK_BOOTTIME */
};

/* Makes the fence, forks, and runs the program. 0, or a negative code: then there is no child. */
int keeper_child_start(const struct keeper_child_opts *opts, struct keeper_child *ret_child,
                       struct berth_error *err);

/* Frees the fence. The child must be dead. */
void keeper_child_fini(struct keeper_child *child);

/* Takes over what the child says about its lease. Returns when it is to be killed if it says
 * nothing more (CLOCK_BOOTTIME): INT64_MAX before its first session. Never moves back, and is never
 * later than a whole lease from now: a lease end that is, or a length that no broker gives, is
 * refused. */
int64_t keeper_child_lease_end_ms(struct keeper_child *child);

/* SIGKILL to the child and to everything that hangs under this process now, or is in its group: but
 * not to the keepers for suspects. */
void keeper_child_kill(struct keeper_child *child);

/* Takes the dead, be they the child or what came to hang under this process. True: nothing is left
 * there (but keepers for suspects) and in the group. */
bool keeper_child_reap(struct keeper_child *child);

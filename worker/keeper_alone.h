/* SPDX-License-Identifier: MIT
 *
 * Keepers for suspects. An attempt that is suspected of killing what runs it has a child of its
 * own, and that child a keeper of its own: this program again, with "--alone", as one more child of
 * the worker's keeper. It starts one child, proves it gone, and ends. So each keeper is the
 * subreaper of one child's descendants, and knows for certain when all of them are dead.
 *
 * They die with this keeper, and their children with them. Belongs to its main thread.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <berth/error.h>

#include "worker/reap.h"

#define KEEPER_ALONE_MAX 4 /* at once */

struct keeper_alone {
    pid_t pids[KEEPER_ALONE_MAX];
    size_t count;
};

struct keeper_alone_opts {
    const char *exe;
    int argc; /* the program's own arguments, argv[0] included */
    char *const *argv;
    const sigset_t *mask;
};

/* Starts one. 0, -EAGAIN: there are as many as there may be, or another negative code. */
int keeper_alone_start(struct keeper_alone *alone, const struct keeper_alone_opts *opts,
                       struct berth_error *err);

void keeper_alone_signal(const struct keeper_alone *alone, int signal);

/* It was reaped. False: it is none of them. */
bool keeper_alone_forget(struct keeper_alone *alone, pid_t pid);

/* Takes those that are dead, and nobody else. */
void keeper_alone_reap(struct keeper_alone *alone);

/* For reap.h: they are not killed with what hangs under their keeper. */
struct reap_spared keeper_alone_spared(const struct keeper_alone *alone);

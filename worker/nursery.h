/* SPDX-License-Identifier: MIT
 *
 * A process that forks the shims, so that the worker itself is not copied for each command.
 *
 * A fork costs by the memory of who forks: for a worker with 50 MiB of heap it was 10 ms a command,
 * with every write of the worker afterwards a page fault (measured 2026-11-22, 2 cores). The
 * nursery is forked once, while the worker is young, and stays small.
 *
 *   worker ─ exec thread ──fork──► nursery ──fork──► shim ──fork──► command
 *
 * Invariants
 * 1. It dies with the thread that opened it, its shims with it, and commands with their shims.
 * 2. It keeps the shim's end of each channel open until the shim is dead and so is everything that
 *    the shim left: then alone the channel ends. Who hangs under the nursery and is no shim has
 * lost his shim, and is killed.
 * 3. It calls nothing that is not async-signal-safe, as its shims do.
 */
#pragma once

#include <sys/types.h>

#include "worker/shim.h"

struct nursery {
    int fd; /* -1: there is none */
    pid_t pid;
};

/* Forks it. All signals must be blocked in the calling thread, on which its life hangs from now on.
 * 0 or -errno. */
int nursery_open(struct nursery *nursery);

/* Ends it, its shims and their commands, and waits for its end. */
void nursery_close(struct nursery *nursery);

/* Has a shim forked; opens another nursery if there is none any more. Waits for the fork, not for
 * what comes of it: the channel tells. Closes nothing. On failure (-errno) nothing was started.
 *
 * If the channel ends without SHIM_STARTED or SHIM_NO_..., the command never began. */
int nursery_start(struct nursery *nursery, const struct shim_spec *spec);

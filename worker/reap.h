/* SPDX-License-Identifier: MIT
 *
 * Ending whatever hangs under a subreaper. For the keeper, and for the nursery and its shims,
 * which were forked from a threaded process: every function here is async-signal-safe.
 *
 * The way to be sure: kill all children, wait for some to die, and again, until waitpid() says
 * ECHILD. Each round brings those that the last one orphaned.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Children that are not to be killed. */
struct reap_spared {
    bool (*is_spared)(const void *arg, pid_t pid);
    const void *arg;
};

/* SIGKILL to every process whose parent is the calling process, whichever of its threads that hangs
 * under, but to those `spared` (NULL: none). Returns how many it met, zombies included and spared
 * ones not, or the -errno for which /proc could not be read. Processes that may not be killed
 * (EPERM) are met, too. The caller must not reap meanwhile. */
int reap_kill_children(const struct reap_spared *spared);

/* The same where the kernel has no list of children: asks every process there is for its parent. */
int reap_kill_children_by_scan(const struct reap_spared *spared);

/* SPDX-License-Identifier: MIT
 *
 * Ending whatever hangs under a subreaper. For the keeper and for the shim, which calls it after a
 * fork in a threaded process: every function here is async-signal-safe.
 *
 * The way to be sure: kill all children, wait for some to die, and again, until waitpid() says
 * ECHILD. Each round brings those that the last one orphaned.
 */
#pragma once

/* SIGKILL to every process whose parent is the calling process, whichever of its threads that hangs
 * under. Returns how many it met, zombies included, or the -errno for which /proc could not be
 * read. Processes that may not be killed (EPERM) are met, too. The caller must not reap meanwhile.
 */
int reap_kill_children(void);

/* The same where the kernel has no list of children: asks every process there is for its parent. */
int reap_kill_children_by_scan(void);

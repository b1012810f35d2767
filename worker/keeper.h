/* SPDX-License-Identifier: MIT
 *
 * The keeper: the parent process of a worker. It starts the runtime child, kills it and all that it
 * started at the end of its lease, proves it gone to the broker, and starts a fresh one.
 *
 * It never runs user code and never talks for a child that lives: its own socket carries
 * nothing but GONE.
 *
 *              fork                     exit, signal, lease over, stop
 *   STARTING ───────► RUNNING ───────────────────────────────► REAPING
 *       ▲                                                         │ no process is left (ECHILD)
 *       │ back-off over                                           ▼ certificate: GONE
 *       └───────────────────────────── RESTING ◄──────────────────┤
 *                                                                 │ drained, told to stop, refused
 *                                     LEAVING ◄───────────────────┘ until GONE_OK, or 3 s
 *
 * Invariants
 * 1. One runtime child at a time; beside it keepers for suspects, each with its own:
 * keeper_alone.h.
 * 2. A certificate is made only when nothing else hangs under the keeper any more: the child, and
 *    all that it or its commands left behind, are dead.
 * 3. A certificate is kept, and repeated, until the broker has acknowledged it.
 * 4. At the lease end the first thing done is SIGKILL; nothing waits for the child to agree.
 *
 * What the child is told, and how it answers
 * - It is `exe` with the keeper's arguments and, in front of them, "--child FD". FD is for
 *   fence_open(), which also says nonce, child number and epoch seen. Its environment is that of
 *   the keeper. It leads a process group of its own, so that a terminal's Ctrl-C reaches it through
 *   the keeper alone, and it dies with the keeper.
 * - It starts with TERM, INT, HUP and QUIT blocked, so that none is lost before it listens to them.
 *   SIGTERM says drain (the first TERM or INT that the keeper gets). SIGINT says stop (the second):
 *   cancel what runs and hand it back. HUP and QUIT are passed on as they are. At the third TERM or
 *   INT, or `stop_ms` after the second, it is killed.
 * - It ends with one of the statuses below. Any other end is a crash, and a fresh child follows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses of the runtime child. The first two mean this only before its first session. */
enum keeper_child_exit {
    /* Its configuration, or its command line, cannot work; it has said why. The program ends with
     * the same status. */
    KEEPER_CHILD_REFUSED = 1,
    KEEPER_CHILD_USAGE = 2,
    /* Drained or stopped as told; attempts that are still in the fence are handed back. */
    KEEPER_CHILD_DRAINED = 80,
    /* Its own watch on the lease was quicker than the keeper's. */
    KEEPER_CHILD_LEASE_OVER = 81,
    /* The broker said so. */
    KEEPER_CHILD_FENCED = 82,
    /* There is one epoch with two lineages: it serves neither. */
    KEEPER_CHILD_TWO_BROKERS = 83,
    /* An attempt was cancelled by force, and did not end: what runs beside it is lost with it. */
    KEEPER_CHILD_FORCED = 84,
};

#define KEEPER_LEAVE_MS       3000  /* the longest wait for the last GONE_OK */
#define KEEPER_ALONE_LEAVE_MS 60000 /* of a keeper for a suspect that was not told to end */
#define KEEPER_STOP_MS        15000 /* from the second TERM to SIGKILL */
#define KEEPER_BACKOFF_MS_MIN 100   /* after the second young death; none after the first */
#define KEEPER_BACKOFF_MS_MAX 5000
#define KEEPER_YOUNG_MS       10000 /* a child that lived longer resets the back-off */

struct keeper_opts {
    const char *exe; /* NULL: /proc/self/exe */
    int argc;        /* the program's own arguments, argv[0] included */
    char *const *argv;
    const char *broker_url; /* where GONE goes: a ZeroMQ endpoint */
    int64_t stop_ms;        /* from the second TERM to SIGKILL; 0: KEEPER_STOP_MS */
    bool is_without_cgroup; /* even where it may make one */
    bool is_alone;          /* for one suspect: one child, and no other after it */
};

/* Runs until the worker has been drained or stopped, and returns the exit code of the program: 0
 * when the last child drained; else that of a child which refused to start; else 1, with one line
 * in the log. To be called once, on the main thread, before any other thread exists: blocks
 * signals, becomes the subreaper of its descendants, and kills every process that comes to hang
 * under it. */
int keeper_run(const struct keeper_opts *opts);

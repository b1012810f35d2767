/* SPDX-License-Identifier: MIT
 *
 * The process between the worker and a command: it stays until everything that the command started
 * is dead, and only then says how the command ended.
 *
 *   nursery ──fork──► shim ──fork──► command ──► what it starts
 *                     ▲ │  ▲                          │ orphans, daemons included
 *   exec thread ──────┘ │  └──────────────────────────┘
 *        ▲ cancel       │ reports
 *        └──────────────┘
 *
 * Invariants
 * 1. The shim calls nothing that is not async-signal-safe: its memory is that of a threaded program
 *    at the moment at which the nursery was forked.
 * 2. The shim dies with the nursery, and the command's first process with the shim.
 * 3. SHIM_EXITED is the last report, and is sent when nothing of the attempt is alive.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* One packet from the shim. */
enum shim_report_kind {
    SHIM_STARTED = 1, /* value: the command's pid and process group; it does nothing before this */
    SHIM_NO_FORK,     /* value: errno. There was no room for a process: the last report */
    SHIM_NO_DIR,      /* value: errno. The work dir cannot be entered; SHIM_EXITED follows */
    SHIM_NO_EXEC,     /* value: errno. The command cannot be run; SHIM_EXITED follows */
    SHIM_EXITED,      /* value: the command's status as of waitpid() */
};

struct shim_report {
    int32_t kind, value;
};

/* One packet to the shim: SIGTERM to the command's group now, and to everything SIGKILL after
 * `grace_ms`; 0: SIGKILL now. A repeat can only bring the end nearer. */
struct shim_cancel {
    int64_t grace_ms;
};

/* All borrowed. */
struct shim_spec {
    int in_fd, out_fd, err_fd; /* of the command */
    int channel_fd;            /* the shim's end of a SOCK_SEQPACKET pair */
    const char *work_dir;
    char *const *paths; /* what argv[0] may mean, in order, ended by NULL */
    char *const *argv;
    char *const *envp;
    uint64_t descriptor_max; /* the command's soft RLIMIT_NOFILE; 0: as it is */
};

/* Says something over a channel. Async-signal-safe. */
void shim_report(int channel_fd, enum shim_report_kind kind, int value);

/* Makes the calling process, just forked by `parent`, one that dies with it, adopts what its
 * children leave, has no handlers, and wakes from ppoll() when a child ends. All signals must be
 * blocked, and stay so. 0 or -errno. Async-signal-safe. */
int shim_become(pid_t parent, const char *name);

/* What a shim does, in a process just forked by `parent` with all signals blocked. */
_Noreturn void shim_run(const struct shim_spec *spec, pid_t parent);

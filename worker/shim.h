/* SPDX-License-Identifier: MIT
 *
 * The process between the worker and a command: it stays until everything that the command started
 * is dead, and only then says how the command ended.
 *
 *   exec thread ──fork──► shim ──fork──► command ──► what it starts
 *        ▲   └─ cancel ──►  │  ▲                          │ orphans, daemons included
 *        └── reports ───────┘  └──────────────────────────┘
 *
 * Invariants
 * 1. Between its fork and its end the shim calls nothing that is not async-signal-safe.
 * 2. The shim dies with the thread that forked it, and the command's first process with the shim.
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

/* All borrowed; it must stay until the fork. */
struct shim_spec {
    int in_fd, out_fd, err_fd; /* of the command */
    int channel_fd;            /* the shim's end of a SOCK_SEQPACKET pair; its end is the shim's */
    const char *work_dir;
    char *const *paths; /* what argv[0] may mean, in order, ended by NULL */
    char *const *argv;
    char *const *envp;
    uint64_t descriptor_max; /* the command's soft RLIMIT_NOFILE; 0: as it is */
};

/* Forks the shim and returns its pid, or -errno. Closes nothing. All signals must be blocked in the
 * calling thread, on which the shim's life hangs from now on. */
pid_t shim_fork(const struct shim_spec *spec);

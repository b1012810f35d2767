/* SPDX-License-Identifier: MIT
 *
 * A control group (cgroup v2) of our own for the runtime child and all that it starts: the only way
 * to kill processes that are set on getting away, or that run as somebody else.
 *
 * Not everybody may make one. Then there is none, quietly, and the keeper does without.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"

struct cgroup;

/* Makes one beneath the group that this process is in. Ends what dead keepers left in theirs. 0;
 * -ENOENT: there is no cgroup v2, or it cannot kill; -EACCES, -EROFS ...: not allowed. */
int cgroup_open(struct cgroup **ret_cgroup);

/* The same, beneath `parent`, a folder of a cgroup v2 file system. */
int cgroup_open_in(const char *parent, struct cgroup **ret_cgroup);

/* Removes it if it is empty. NULL is fine. */
void cgroup_free(struct cgroup *cgroup);
BERTH_AUTO_DEFINE(cgroup);

/* Puts the calling process into it. Async-signal-safe: for between fork and exec. 0 or -errno. */
int cgroup_enter(const struct cgroup *cgroup);

/* SIGKILL to everything in it. 0 or -errno. */
int cgroup_kill(const struct cgroup *cgroup);

/* Whether nothing in it lives. */
bool cgroup_is_empty(const struct cgroup *cgroup);

/* Its folder, for the log. Borrowed. */
const char *cgroup_path(const struct cgroup *cgroup);

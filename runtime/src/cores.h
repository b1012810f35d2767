/* SPDX-License-Identifier: MIT
 *
 * How many cores this process may use: those of its affinity mask, no more than the cpu quota of
 * its cgroup or of one above (rounded up), at least 1.
 */
#pragma once

unsigned weft_cores(void);

/* What a line of cpu.max ("QUOTA PERIOD" or "max PERIOD", cgroup v2) allows; 0: no limit, or not
 * such a line. */
unsigned weft_cores_of_cpu_max(const char *line);

/* The smallest quota of the cgroup `path` ("/a/b") below `mount` and those above it; 0: none. */
unsigned weft_cores_of_cgroup(const char *mount, const char *path);

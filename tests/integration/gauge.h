/* SPDX-License-Identifier: MIT
 *
 * Counts commands that are really alive. A job runs the program `hold`, which connects to the gauge
 * and stays connected for as long as it lives: the kernel hangs up for it, however it ends. So what
 * a killed worker left behind is not counted, and what still runs is, whoever believes otherwise.
 *
 * It answers when the test says so: no job ends by itself, and no test waits for a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GAUGE_JOBS_MAX  4096 /* ids of jobs, from 1 */
#define GAUGE_ALIVE_MAX 1024

struct gauge;

/* Listens at this path, on a thread of its own. */
struct gauge *gauge_open(const char *path);
void gauge_close(struct gauge *gauge);

/* Commands alive now, and the most that ever were at once. */
int gauge_alive(struct gauge *gauge);
int gauge_alive_max(struct gauge *gauge);

/* How often a command of this job was started, and whether two of them were ever alive at once. */
int gauge_starts(struct gauge *gauge, uint64_t job);
bool gauge_has_overlap(struct gauge *gauge);

/* All starts so far. */
int gauge_all_starts(struct gauge *gauge);

/* Until exactly / at least so many are alive, or have been started; false: not within the time. */
bool gauge_await_alive(struct gauge *gauge, int count, int64_t timeout_ms);
bool gauge_await_starts(struct gauge *gauge, int count, int64_t timeout_ms);

/* Lets `count` of those alive, oldest first, end with this exit status (0 .. 9). */
void gauge_release(struct gauge *gauge, int count, int status);

/* From now on each one that comes ends with 0 after so many milliseconds; -1: when it is told to.
 */
void gauge_release_after(struct gauge *gauge, int ms);

/* SPDX-License-Identifier: MIT */
/* The fence of a worker without a keeper: a thread that ends the process when an attempt outlives
 * its lease. It takes no lock and asks nobody, so nothing that hangs can hold it up; only the whole
 * process stopping can. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#define WATCHDOG_EXIT_STATUS 81 /* as KEEPER_CHILD_LEASE_OVER */

struct watchdog;

/* `running_count` is called on the watchdog's thread. */
int watchdog_open(size_t (*running_count)(void *arg), void *arg, struct watchdog **ret_watchdog,
                  struct berth_error *err);

/* NULL is fine. */
void watchdog_close(struct watchdog *watchdog);

/* Says what is over and ends the process, at once. Any thread. */
__attribute__((noreturn)) void watchdog_bite(const char *what, size_t running_count);

/* From `end_ms` of CLOCK_BOOTTIME on no attempt may be running; 0: there is no such time. `what` is
 * what is over then; static text. */
void watchdog_set(struct watchdog *watchdog, int64_t end_ms, const char *what);

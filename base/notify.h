/* SPDX-License-Identifier: MIT
 *
 * Telling the service manager how we are (sd_notify(3), its datagrams written by hand so that
 * nothing links libsystemd). For shells alone. Without a service manager every call does nothing.
 */
#pragma once

#include <stdint.h>

/* Sends lines such as "READY=1" or "STOPPING=1\nSTATUS=..." to $NOTIFY_SOCKET. Never blocks for
 * long, never fails for the caller: 1 sent, 0 nobody asked, -errno. */
int berth_notify(const char *state);

/* How often WATCHDOG=1 is due, in milliseconds: a third of what $WATCHDOG_USEC allows, at least 1;
 * INT64_MAX if nobody watches this process ($WATCHDOG_PID is another's). */
int64_t berth_notify_watchdog_ms(void);

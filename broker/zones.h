/* SPDX-License-Identifier: MIT */
/* The files of time zones for the core's schedules: read when one is set, and again for all when
 * the broker starts and on SIGHUP. A file that cannot be read any more is said, and the table that
 * was read last goes on to hold.
 */
#pragma once

#include "broker/core/effect.h"

struct zones;

struct zones *zones_new(void); /* NULL: no memory */
void zones_free(struct zones *zones);

/* Adds the bytes of the zone's file, or why they cannot be had. They are good until the next call.
 */
void zones_fill(struct zones *zones, struct berth_ev_schedule_set *set);

/* From now on zones_next gives what makes the core know all files anew. */
void zones_renew(struct zones *zones);
/* The next event for the core, from `peer`, whose answers go to zones_take. False: none. What it
 * points to is good until the next call. */
bool zones_next(struct zones *zones, uint64_t peer, struct berth_event *ret_event);
void zones_take(struct zones *zones, const struct berth_do_schedules *schedules);

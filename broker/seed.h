/* SPDX-License-Identifier: MIT */
/* The dispatchers of the configuration file: they are made if they are not there, and never change
 * what the database has.
 *
 * Reads sections of a file (base/conf.h) and fills events for the core. Does nothing by itself.
 */
#pragma once

#include "base/buf.h"
#include "base/conf.h"
#include "base/list.h"
#include "broker/core/effect.h"
#include "broker/core/event.h"

/* [dispatcher "NAME"]. What was not given is -1, NULL, or 0 where that is no value. */
struct berth_seed {
    struct berth_list_node node;
    char name[BERTH_NAME_BYTES];
    const char *limit_text; /* borrowed from the conf; NULL: not given */
    struct berth_limit limit;
    uint64_t max_attempts;
    int64_t backoff_ms, backoff_max_ms, timeout_ms, grace_ms;
    const char *parent; /* a name, or "none"; borrowed */
    uint64_t weight;
    int64_t group_limit, burst, max_queued, retention_count;
    const char *rate_text; /* borrowed */
    uint32_t rate_count;
    int64_t rate_ms;
    int hold, on_lost, no_jitter;
    int64_t queue_timeout_ms, deadline_ms, retention_ms;
    bool is_missing; /* the loop's: the core has no such dispatcher yet */
};

struct berth_seeds {
    struct berth_list list;
};

void berth_seeds_init(struct berth_seeds *seeds);
void berth_seeds_fini(struct berth_seeds *seeds);

/* The section to read them with; `begin` gets the seeds as `arg`. */
int berth_seeds_begin(void *arg, const char *name, void **ret_target, struct berth_error *err);
extern const struct berth_setting berth_seed_settings[];
extern const size_t berth_seed_settings_count;

/* What no single line shows: a limit for each, a backoff not above its maximum, no dispatcher below
 * itself. Puts parents before their children. 0 or BERTH_ECONF. */
int berth_seeds_check(struct berth_seeds *seeds, struct berth_error *err);

/* The event that makes it; borrows from the seed. */
void berth_seed_event(const struct berth_seed *seed, struct berth_event *ret_event);

/* Writes in what the dispatcher differs from the file ("limit 7, not 5"), with commas between; an
 * empty buffer: in nothing. */
void berth_seed_differences(const struct berth_seed *seed, const struct berth_dispatcher_view *have,
                            struct berth_buf *buf);
/* The parent's name; NULL: none is wanted. */
const char *berth_seed_parent(const struct berth_seed *seed);

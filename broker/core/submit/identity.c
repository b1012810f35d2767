/* SPDX-License-Identifier: MIT */
#include "identity.h"

/* Those of keys.c are others. */
#define SEED_BODY 3
#define SEED_RARE 4

static bool has_rare_options(const struct berth_submit_item *item)
{
    return item->group.bytes || item->run_at_us || item->queue_timeout_ms || item->deadline_ms ||
           item->backoff_ms || item->backoff_ms_max || item->unique.bytes || item->on_conflict ||
           item->after_count;
}

/* Of a job without them it stays what it was before there were any: a key that the store has from
 * then is still recognised. */
static struct berth_hash128 add_rare_options(struct berth_hash128 hash,
                                             const struct berth_submit_item *item)
{
    struct berth_slice after = { item->after, item->after_count * sizeof *item->after };
    struct {
        struct berth_hash128 common, group, unique, after;
        int64_t run_at_us, queue_timeout_ms, deadline_ms, backoff_ms, backoff_ms_max, on_conflict;
    } all = { .common = hash,
              .group = berth_hash128(item->group, SEED_RARE),
              .unique = berth_hash128(item->unique, SEED_RARE),
              .after = berth_hash128(after, SEED_RARE),
              .run_at_us = item->run_at_us,
              .queue_timeout_ms = item->queue_timeout_ms,
              .deadline_ms = item->deadline_ms,
              .backoff_ms = item->backoff_ms,
              .backoff_ms_max = item->backoff_ms_max,
              .on_conflict = item->on_conflict };
    return berth_hash128((struct berth_slice){ .data = &all, .bytes = sizeof all }, SEED_RARE);
}

struct berth_hash128 identity_of(const struct berth_submit_item *item, struct berth_slice handler)
{
    struct {
        struct berth_hash128 body, handler;
        int64_t priority, delay_ms, max_attempts, timeout_ms;
    } all = { .body = berth_hash128(item->body, SEED_BODY),
              .handler = berth_hash128(handler, SEED_BODY),
              .priority = item->priority,
              .delay_ms = item->delay_ms,
              .max_attempts = item->max_attempts,
              .timeout_ms = item->timeout_ms };
    struct berth_hash128 hash =
        berth_hash128((struct berth_slice){ .data = &all, .bytes = sizeof all }, SEED_BODY);
    return has_rare_options(item) ? add_rare_options(hash, item) : hash;
}

struct berth_hash128 identity_of_child(struct berth_hash128 identity, uint32_t dispatcher)
{
    struct {
        struct berth_hash128 identity;
        uint64_t dispatcher;
    } all = { .identity = identity, .dispatcher = dispatcher };
    return berth_hash128((struct berth_slice){ .data = &all, .bytes = sizeof all }, SEED_BODY);
}

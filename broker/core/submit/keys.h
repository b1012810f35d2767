/* SPDX-License-Identifier: MIT */
/* The keys by which a submit that comes again is known: of users (per dispatcher), of requests
 * (client, request, place), of the instants of schedules, and of children (parent, ordinal). A key
 * is remembered with its job until its window is over, whatever becomes of the job.
 *
 * A child's goes with its parent, once that has completed: nobody will ask for it again. Until then
 * the keys of one parent's children stand in a ring, with an entry that stands for the parent.
 */
#pragma once

#include "broker/core/state.h"

#define KEY_WINDOW_REQUEST_S     (10 * 60)
#define KEY_WINDOW_IDEMPOTENCY_S (24 * 3600)
#define KEY_WINDOW_CHILD_S       (7 * 24 * 3600)

uint64_t keys_index_hash(const void *core, uint32_t index);

/* What makes a key: its kind, with the dispatcher and the user's bytes, or the request and the
 * place in it. */
struct berth_hash128 keys_of_user(uint32_t dispatcher, struct berth_slice bytes);
struct berth_hash128 keys_of_request(const struct berth_ev_submit *submit, size_t place);
/* As made by schedule_key(). */
struct berth_hash128 keys_of_schedule(struct berth_slice bytes);
struct berth_hash128 keys_of_child(uint64_t parent, uint32_t ordinal);
/* As it was stored with a job. */
struct berth_hash128 keys_of_record(const struct berth_job_record *record);

/* NULL: nobody used it within its window. */
const struct key_entry *keys_find(const struct berth_core *core, struct berth_hash128 key);
/* Whether what comes now under a key that was found is what came first. */
bool keys_is_same(const struct key_entry *entry, struct berth_hash128 body);

struct key_use {
    enum berth_key_kind kind;
    struct berth_hash128 key, body;
    uint64_t job;
    uint64_t parent; /* of a child; 0: not known */
    int64_t until_us;
};
/* In place of one whose window is over. 0 or -ENOMEM. */
int keys_remember(struct berth_core *core, const struct key_use *use);
void keys_forget(struct berth_core *core, struct berth_hash128 key);
/* Whether a key of a child of this job is remembered. */
bool keys_has_children(const struct berth_core *core, uint64_t parent);
/* Those of all its children, if there are any: so many in each turn. */
void keys_forget_children(struct berth_core *core, uint64_t parent);
/* Frees some of those whose window is over, or that were forgotten. */
void keys_expire(struct berth_core *core);
/* When the next turn is needed for it; INT64_MAX: none is. */
int64_t keys_next_deadline_ms(const struct berth_core *core);
/* Asserts the rings and queues against the table. */
void keys_check(const struct berth_core *core);

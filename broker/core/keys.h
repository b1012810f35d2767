/* SPDX-License-Identifier: MIT */
/* The keys by which a submit that comes again is known: of users (per dispatcher), and of requests
 * (client, request, place). A key is remembered with its job until its window is over, whatever
 * becomes of the job.
 */
#pragma once

#include "state.h"

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
/* In place of one whose window is over. 0 or -ENOMEM. */
int keys_remember(struct berth_core *core, enum berth_key_kind kind, struct berth_hash128 key,
                  struct berth_hash128 body, uint64_t job, int64_t until_us);
void keys_forget(struct berth_core *core, struct berth_hash128 key);
/* Frees those whose window is over. */
void keys_expire(struct berth_core *core);

/* SPDX-License-Identifier: MIT */
/* Jobs that come in, and the keys by which a repeat of them is known. */
#pragma once

#include "state.h"

#define KEY_WINDOW_REQUEST_S     (10 * 60)
#define KEY_WINDOW_IDEMPOTENCY_S (24 * 3600)

void submit_on_event(struct berth_core *core, const struct berth_ev_submit *submit);
void submit_on_stored(struct berth_core *core, const struct berth_job_record *record);
void submit_on_refused(struct berth_core *core, const struct berth_job_record *record);
uint64_t submit_key_hash(const void *core, uint32_t index);
int submit_load(struct berth_core *core, const struct berth_job_record *record);
int submit_load_key(struct berth_core *core, const struct berth_job_record *record);
void submit_expire_keys(struct berth_core *core);

/* SPDX-License-Identifier: MIT */
/* The step under way: the list of its effects, and memory for what they point to.
 *
 * Running out of memory here ends the process: there is nobody left to tell, and a restart keeps
 * every promise. The first few effects of a step always have room, so that a refusal for want of
 * memory can be said.
 */
#pragma once

#include "state.h"

/* Room for the first few: 0 or -ENOMEM. */
int step_init(struct berth_core *core);
void step_fini(struct berth_core *core);
/* Zeroed but for what is given; good until the next call. */
struct berth_effect *step_add(struct berth_core *core, enum berth_effect_type type, uint64_t peer,
                              uint64_t request);
void *step_alloc(struct berth_core *core, size_t count, size_t element_bytes); /* zeroed */
struct berth_slice step_copy(struct berth_core *core, struct berth_slice bytes);
const char *step_text(struct berth_core *core, const char *format, ...) BERTH_PRINTF(2, 3);
void step_error(struct berth_core *core, uint64_t peer, uint64_t request, int code,
                const char *field, const char *message);
void step_clear(struct berth_core *core);

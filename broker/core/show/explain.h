/* SPDX-License-Identifier: MIT */
/* Why jobs wait: the reason of one, with what holds it up; and of a dispatcher all of them, added
 * up. It says what view_reason() says. Changes nothing. */
#pragma once

#include "broker/core/state.h"

#define EXPLAIN_HOLDERS_MAX 20 /* shown: the oldest */
#define EXPLAIN_GROUPS_MAX  20
#define EXPLAIN_CAUSES_MAX  64
#define EXPLAIN_LANES_MAX   100000u  /* looked at, of those that are ready */
#define EXPLAIN_DUE_MAX     1000000u /* looked at, of those that wait for their time */

void explain_on_event(struct berth_core *core, const struct berth_ev_explain *ev);
/* Of a job that was not live when it was asked for; `row`: NULL, there is none. */
void explain_answer(struct berth_core *core, uint64_t peer, uint64_t request, uint64_t id,
                    const struct berth_job_record *row);

/* SPDX-License-Identifier: MIT */
/* How the state of the core is shown: jobs, dispatchers, workers, the broker. Changes nothing. */
#pragma once

#include "state.h"

/* As users know it: JOB_SETTLING is still running, a cancelled running job is cancelling. */
enum berth_state view_state(const struct job *job);
/* The store's row with what is known of a live job laid over it. Borrows the row. */
void view_job(struct berth_core *core, const struct berth_job_record *row,
              struct berth_job_view *ret_view);
/* `id` 0: all. */
void view_dispatchers(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t id,
                      const struct berth_ev_read *counts);
void view_workers(struct berth_core *core, uint64_t peer, uint64_t request);
void view_status(struct berth_core *core, uint64_t peer, uint64_t request,
                 const struct berth_ev_read *counts);

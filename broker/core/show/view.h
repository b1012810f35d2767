/* SPDX-License-Identifier: MIT */
/* How the state of the core is shown: jobs, dispatchers, workers, the broker. Changes nothing. */
#pragma once

#include "broker/core/state.h"

/* What a job waits for, taken apart; the sentence says the same. */
enum why_kind {
    WHY_OTHER = 0,
    WHY_TIME,      /* its own */
    WHY_RETRY,     /* its next attempt */
    WHY_AFTER,     /* other jobs */
    WHY_PAUSE,     /* of a dispatcher of its chain */
    WHY_RECOVERY,  /* a worker that has not come back */
    WHY_GROUP,     /* a place of its group */
    WHY_SLOTS,     /* one of a dispatcher of its chain */
    WHY_RATE,      /* the next token of one of them */
    WHY_HANDLER,   /* nobody offers it */
    WHY_WORKERS,   /* nobody who offers it has room */
    WHY_PLACE,     /* one at its worker, to go on */
    WHY_STARTING,  /* nothing: it is about to start */
    WHY_STOPPING,  /* it was told to stop */
    WHY_HELD,      /* its worker is lost, and not proven gone */
    WHY_ALONE,     /* a process of its own: it is a suspect */
    WHY_SUSPENDED, /* its handler waits */
    WHY_CHILDREN,  /* those of its last attempt */
    WHY_KIND_COUNT
};

struct why {
    enum why_kind kind;
    const struct dispatcher *at; /* PAUSE GROUP SLOTS RATE */
    const struct group *group;
    const struct handler *handler;
    const struct session *session; /* RECOVERY STOPPING HELD PLACE */
    uint64_t in_use, limit;        /* GROUP SLOTS PLACE */
    int64_t next_ms;               /* RECOVERY RATE: for so long at the most */
    int64_t next_us;               /* TIME RETRY */
    uint64_t awaited;              /* AFTER: one of them */
};

/* One sentence, "" if it runs and nothing else is to be said; and its parts. */
const char *view_reason(struct berth_core *core, const struct job *job, struct why *ret_why);

/* Ready, while workers are missing: one of them may run it, or what its limits count. */
bool view_is_in_doubt(const struct berth_core *core, const struct job *job);
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

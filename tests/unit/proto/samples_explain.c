/* SPDX-License-Identifier: MIT */
#include "samples_explain.h"

#include "samples_schedule.h"

Berth__V1__Explain sample_explain = { MESSAGE(explain), SET(id, 300) };
Berth__V1__Explain sample_explain_dispatcher = { MESSAGE(explain),
                                                 SET_BYTES(dispatcher, "newsletter") };

static Berth__V1__ExplainedCause cause = {
    MESSAGE(explained_cause),
    SET_BYTES(kind, "slots"),
    SET_BYTES(reason, "the limit of newsletter is reached: 5 of 5 slots in use"),
    SET(count, 300),
    SET(job, 301),
    SET_BYTES(at, "newsletter"),
    SET_BYTES(group, "tenant"),
    SET_BYTES(handler, "mail"),
    SET_BYTES(worker, "host-42"),
    SET(in_use, 5),
    SET(limit, 5),
    SET(since_us, INT64_C(1763769600000000)),
    SET(next_us, INT64_C(1763769660000000)),
    SET(awaited, 299),
};

static Berth__V1__ExplainedLimit limit = {
    MESSAGE(explained_limit),
    SET_BYTES(name, "newsletter"),
    SET(limit, 5),
    SET(in_use, 5),
    SET(is_paused, 1),
    SET(rate_count, 100),
    SET(rate_ms, 60000),
    SET(burst, 10),
    SET(token_wait_ms, 600),
    SET(group_limit, 2),
    SET(max_queued, 1000),
    SET(queued, 300),
};

static Berth__V1__ExplainedHolder holder = {
    MESSAGE(explained_holder),
    SET(job, 17),
    SET(attempt, 2),
    SET_BYTES(dispatcher, "newsletter"),
    SET_BYTES(worker, "host-42"),
    SET(since_us, INT64_C(1763769600000000)),
    SET(is_held, 1),
};

static Berth__V1__ExplainedGroup group = {
    MESSAGE(explained_group),
    SET_BYTES(name, "tenant"),
    SET(in_use, 2),
};

Berth__V1__Explained sample_explained = {
    MESSAGE(explained),
    SET(id, 301),
    SET_BYTES(dispatcher, "newsletter"),
    SET(state, BERTH__V1__JOB_STATE__JOB_STATE_READY),
    .n_cause = 1,
    .cause = (Berth__V1__ExplainedCause *[]){ &cause },
    SET(more, 4),
    .n_limit = 1,
    .limit = (Berth__V1__ExplainedLimit *[]){ &limit },
    .n_holder = 1,
    .holder = (Berth__V1__ExplainedHolder *[]){ &holder },
    SET(holder_count, 5),
    .n_group = 1,
    .group = (Berth__V1__ExplainedGroup *[]){ &group },
    SET(group_count, 1),
};

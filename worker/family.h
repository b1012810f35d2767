/* SPDX-License-Identifier: MIT */
/* An attempt's children, and its being suspended, as its handler sees them: the calls that wait for
 * the broker, and what the link tells them. That children are waited for at the end, and what their
 * death means, is the agent's.
 *
 * Invariants
 * 1. Who waits has its place in a list, guarded by the lock, for as long as it waits: what the link
 *    tells reaches only who is there.
 * 2. A suspension is told before the wait and ended by the broker's word after it, also when the
 *    wait was cancelled: nothing of the handler runs in between.
 * 3. A submit is waited for to its answer, whatever happens: nobody is left in doubt whether there
 *    are children.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <berth/client.h>
#include <weft/weft.h>

#include "base/list.h"
#include "base/map.h"
#include "worker/asks.h"
#include "worker/core/agent.h"
#include "worker/net/inbox.h"

struct family {
    uint64_t attempt;
    struct inbox *inbox; /* NULL: there is no link, and no children can be had */
    struct asks *asks;
    struct weft_mutex own; /* held by the handler's own coroutine: by this it is known */

    pthread_mutex_t lock; /* of what follows */
    bool is_supervisor;
    uint32_t ordinal; /* of the last child */
    struct berth_map children;
    struct berth_list submits, waits;
    struct weft_completion *resumed; /* of the handler that is suspended; NULL: it is not */
};

void family_init(struct family *family, uint64_t attempt, struct inbox *inbox, struct asks *asks);
/* No coroutine of the attempt runs any more. */
void family_fini(struct family *family);

/* Around the handler, in its own coroutine. */
void family_enter(struct family *family);
void family_leave(struct family *family);

/* See berth_attempt_supervise(), berth_child_submit(), berth_child_await(), and
 * berth_attempt_sleep_ms(). `err`: the reason for a person. */
void family_supervise(struct family *family);
int family_submit(struct family *family, const struct berth_job_spec *specs, size_t count,
                  berth_job_id *ret_ids, struct berth_error *err);
int family_await(struct family *family, berth_job_id id, struct berth_job **ret_job);
int family_sleep(struct family *family, int64_t ms);

/* The link's thread. */
void family_resume(struct family *family);
void family_submitted(struct family *family, const struct agent_submitted *answer);
void family_child_ended(struct family *family, const struct agent_child_end *end);

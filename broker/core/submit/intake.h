/* SPDX-License-Identifier: MIT */
/* A new job of a submit: it is taken in with all that its life needs, or refused with the reason.
 */
#pragma once

#include "broker/core/scope/scope.h"
#include "broker/core/state.h"

/* One job of a submit. */
struct arrival {
    const struct berth_submit_item *item;
    struct dispatcher *dispatcher;
    struct berth_slice handler;
    enum berth_key_kind kind;
    struct berth_hash128 key, body;
    int64_t until_us;
    /* A job that it is to wait for, and that has ended dead or cancelled; 0: none. */
    uint64_t failed;
    enum berth_state failed_state;
    struct scope_parent parent; /* job 0: none */
};

/* It is known to be new. An answer that names it waits until it is stored. */
struct berth_submitted_item intake_take(struct berth_core *core, const struct arrival *arrival,
                                        struct pending *answer);

struct berth_submitted_item intake_refusal(int code, const char *field, const char *message);
struct berth_submitted_item intake_refusal_full(void);
/* A sentence that lives as long as the answer. */
const char *intake_say(struct pending *answer, const char *format, ...) BERTH_PRINTF(2, 3);

/* What a job does not bring its dispatcher has: a pair that makes no sense shows only here. */
bool intake_is_backoff_sound(const struct berth_submit_item *item,
                             const struct dispatcher *dispatcher, int64_t *ret_backoff_ms,
                             int64_t *ret_backoff_ms_max);

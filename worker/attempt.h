/* SPDX-License-Identifier: MIT */
/* What a handler sees of its attempt, and what it leaves behind: the inside of struct
 * berth_attempt. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <berth/worker.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/body.h"

#include "worker/core/agent.h"
#include "worker/family.h"
#include "worker/registry.h"

/* What the verdict functions return; between the codes of weft (-2001) and nothing else. */
enum attempt_verdict {
    ATTEMPT_VERDICT_FAIL = -3001,
    ATTEMPT_VERDICT_FAIL_FOREVER = -3002,
    ATTEMPT_VERDICT_RETRY_AT = -3003,
    ATTEMPT_VERDICT_SNOOZE = -3004,
};

#define ATTEMPT_BODY_ARENA_BYTES_MAX (4u << 20) /* of one opened body */
#define ATTEMPT_LOG_BYTES_MAX        2000

struct berth_attempt {
    uint64_t id, job;
    uint32_t number;
    char dispatcher[BERTH_NAME_BYTES_MAX + 1];
    const struct registry_entry *handler;
    struct berth_arena arena; /* of the body */
    struct berth_body body;
    int64_t deadline_ns;
    atomic_int cancel; /* enum agent_cancel_reason; 0: none */
    /* It has something to show. Any thread; NULL: nobody asks. */
    void (*on_news)(struct berth_attempt *attempt);
    struct family family;

    pthread_mutex_t lock; /* of what follows: child coroutines may write it, too */
    bool has_progress;
    uint64_t done, total;
    void *result;
    size_t result_bytes;
    enum attempt_verdict verdict; /* 0: none */
    int64_t retry_ms;
    char *message;
    struct berth_error *refusal; /* the last one of a submit of children; NULL: none */
};

/* Copies the grant and opens its body. 0, or a negative code with a sentence: then nothing is left
 * to fini. */
int attempt_init(struct berth_attempt *attempt, const struct agent_grant *grant,
                 const struct registry_entry *handler, struct berth_error *err);
void attempt_fini(struct berth_attempt *attempt);

/* Whether it has said how far it is. */
bool attempt_progress(struct berth_attempt *attempt, uint64_t *ret_done, uint64_t *ret_total);

/* What `rc`, the handler's, means: fills all but run_us. `packed` takes the packed result, and what
 * the end points to is the attempt's or `packed`'s. -ENOMEM: it could not be packed. */
int attempt_end(struct berth_attempt *attempt, int rc, struct berth_buf *packed,
                struct agent_end *ret_end);

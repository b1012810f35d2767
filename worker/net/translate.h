/* SPDX-License-Identifier: MIT */
/* Frames of the broker into events of the agent, and effects of the agent into frames. The only
 * files of worker/ that see generated names are this one, its part for scopes, and the keeper's
 * one message.
 *
 * Pure: knows no socket. What comes in is validated here; what goes out is ours.
 */
#pragma once

#include <berth/error.h>
#include <berth/types.h>

#include "base/arena.h"
#include "base/buf.h"

#include "worker/core/agent.h"

#define TRANSLATE_SENTENCE_BYTES_MAX 256

enum heard_kind {
    HEARD_EVENT = 1, /* `event`; now_ms is the caller's to set */
    HEARD_GONE_OK,   /* `session`, or nonce and child */
    HEARD_ANSWER,    /* to the question with this number, whatever it says: not yet looked at */
    HEARD_REFUSAL,   /* the broker could not take something; `sentence` says what */
};

struct heard {
    enum heard_kind kind;
    struct agent_event event; /* its slices and arrays live in the arena */
    uint64_t session, number;
    char sentence[TRANSLATE_SENTENCE_BYTES_MAX];
};

/* `arena` should allow TRANSLATE_ARENA_BYTES_MAX. Returns 0, or a negative code with a sentence:
 * the frame is malformed, or nothing that a worker receives; or -ENOMEM. */
#define TRANSLATE_ARENA_BYTES_MAX (64u << 20)
int translate_in(struct berth_slice frame, struct berth_arena *arena, struct heard *ret_heard,
                 struct berth_error *err);

/* Appends the frame of a HELLO, JOIN, RENEW or REPORTS to `buf`. 0; -EMSGSIZE: it is over a limit
 * of the wire; -ENOMEM. */
int translate_out(const struct agent_effect *effect, const struct agent_opts *opts,
                  struct berth_arena *arena, struct berth_buf *buf, struct berth_error *err);

/* The same of a SHOW, with what the attempts had to show. */
int translate_show(const struct agent_effect *effect, const struct agent_show *shows, size_t count,
                   struct berth_arena *arena, struct berth_buf *buf, struct berth_error *err);

/* Appends the frame that asks for a job. */
int translate_ask(uint64_t number, berth_job_id id, struct berth_buf *buf);

/* Appends the frame by which a worker without a keeper says that its session is over, and that
 * nothing of it runs any more. */
int translate_gone(uint64_t session, const struct agent_opts *opts, struct berth_buf *buf);

/* SPDX-License-Identifier: MIT */
/* The link between a worker and its broker: the main loop that no handler can make late.
 *
 * It owns the socket and the agent, turns the world into events, and carries out effects in their
 * order. Handlers run elsewhere and are reached through the host; what they have to say comes
 * through the inbox.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

#include "base/arena.h"
#include "worker/core/agent.h"
#include "worker/net/inbox.h"

#define LINK_FRAMES_PER_TURN_MAX 64
#define LINK_TIDY_EVERY_MS       5
#define LINK_LINGER_MS           200 /* for the last reports of a drained worker */
#define LINK_GONE_EVERY_MS       200
#define LINK_REASON_BYTES_MAX    256
#define LINK_SHOW_BYTES_MAX      (512u << 10) /* output of all attempts in one message */

/* What runs attempts. Called on the link's thread; none may block. */
struct link_host {
    void *arg;
    /* Exactly one item for this attempt comes to the inbox. Borrows the grant for the call. */
    void (*start)(void *arg, const struct agent_grant *grant);
    void (*cancel)(void *arg, uint64_t attempt, enum agent_cancel_reason reason, int64_t grace_ms);
    /* The item was taken; it is the host's again. */
    void (*finish)(void *arg, struct inbox_item *item);
    /* Something is left to be tidied up: asked again soon while true. NULL: never. */
    bool (*tidy)(void *arg);
    /* After INBOX_NEWS: the next attempt that has something to show; false: there is none. show:
     * what it has, with at most `bytes_max` bytes of output, copied into `arena`; false: nothing.
     * What was shown in a join is not shown in it again. NULL: nobody shows anything. */
    bool (*news)(void *arg, uint64_t *ret_attempt);
    bool (*show)(void *arg, uint64_t attempt, uint32_t epoch, uint32_t join, size_t bytes_max,
                 struct berth_arena *arena, struct agent_show *ret_show);
    /* What attempts asked for: they may go on; these are their children, or why not; one of them
     * has ended. Each borrows for the call. NULL: nobody asks. */
    void (*resume)(void *arg, uint64_t attempt);
    void (*children)(void *arg, const struct agent_submitted *answer);
    void (*child_ended)(void *arg, const struct agent_child_end *end);
    /* After INBOX_ASKS: the next job to be asked for, under a number of the host's own, not 0;
     * false: there is none. answer: what came for that number, as it came; the host asks again for
     * what does not come. NULL: nobody asks. */
    bool (*ask)(void *arg, uint64_t *ret_number, berth_job_id *ret_id);
    void (*answer)(void *arg, uint64_t number, struct berth_slice frame);
    /* For the fence. session 0: only the epoch was seen. NULL: nobody keeps it. */
    void (*session)(void *arg, uint64_t session, uint32_t epoch, uint64_t lineage,
                    int64_t worker_lease_ms);
    void (*lease)(void *arg, int64_t end_ms);
    /* So many processes for suspects are wanted. NULL: nobody starts them. */
    void (*start_alone)(void *arg, uint32_t count);
};

struct link_opts {
    const char *url; /* borrowed for the link's life, as is what `agent` points to */
    struct agent_opts agent;
    struct inbox *inbox; /* borrowed */
    struct link_host host;
    int64_t stop_grace_ms; /* what INBOX_STOP gives to what runs */
};

/* Why the loop has ended. */
struct link_exit {
    enum agent_exit why;
    size_t running_count; /* attempts that had not ended */
    char reason[LINK_REASON_BYTES_MAX];
};

struct link;

int link_open(const struct link_opts *opts, struct link **ret_link, struct berth_error *err);

/* NULL is fine. */
void link_close(struct link *link);

/* The loop: blocks until the agent says EXIT (0), or something breaks that the link cannot do
 * without (negative: memory, the socket). */
int link_run(struct link *link, struct link_exit *ret_exit, struct berth_error *err);

/* After the loop, for a worker without a keeper of which nothing runs any more: tells the broker
 * that the session is over, and waits for the answer. 0, also if there never was a session;
 * -ETIMEDOUT. */
int link_say_gone(struct link *link, int64_t timeout_ms);

/* SPDX-License-Identifier: MIT */
/* The slots: where attempts run. A C handler runs as a root coroutine of weft, a command through
 * handlers/exec.h; either way exactly one item comes to the inbox for each attempt that was
 * started.
 *
 *   start ─► WAITING ─► STARTED ─► item in the inbox ─► finish ─► (closing) ─► free
 *               └─ cancelled before it began: it never runs, and the item says so
 *
 * Invariants
 * 1. The memory that an attempt needs to be told of is there before anything runs: slots and their
 *    items are made at open, and become real memory when they are first used.
 * 2. An attempt stands in the fence from before it starts until nothing of it runs.
 * 3. start, cancel, finish, tidy, answers and what concerns news belong to one thread, the link's,
 * and do not block.
 * 4. Nobody who runs waits for what he shows to be looked at: the last of it is kept, and what is
 *    not looked at in time is gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

#include "base/arena.h"
#include "worker/asks.h"
#include "worker/core/agent.h"
#include "worker/fence.h"
#include "worker/net/inbox.h"
#include "worker/registry.h"

#define SLOTS_SHOW_BYTES_MAX (16u << 10) /* of one stream of one attempt, each time */

struct slots;

struct slots_opts {
    uint32_t attempts_max;           /* at once, suspended ones included */
    const struct registry *registry; /* borrowed, as all that follows */
    struct inbox *inbox;
    struct fence *fence;  /* NULL: nobody keeps it */
    bool is_exec_allowed; /* commands, in work_dir */
    const char *work_dir;
};

int slots_open(const struct slots_opts *opts, struct slots **ret_slots, struct berth_error *err);

/* Kills commands that are left, waits for handlers that are on their way out. No handler may be
 * running. NULL is fine. */
void slots_close(struct slots *slots);

void slots_start(struct slots *slots, const struct agent_grant *grant);

/* An attempt that is not there (any more) is no error. */
void slots_cancel(struct slots *slots, uint64_t attempt, enum agent_cancel_reason reason,
                  int64_t grace_ms);

/* What an attempt asked for, see family.h. One that is not there (any more) is no error. */
void slots_resume(struct slots *slots, uint64_t attempt);
void slots_submitted(struct slots *slots, const struct agent_submitted *answer);
void slots_child_ended(struct slots *slots, const struct agent_child_end *end);

/* The jobs that attempts ask for, see asks.h. */
struct asks *slots_asks(struct slots *slots);

/* The link has taken the item. */
void slots_finish(struct slots *slots, struct inbox_item *item);

/* The next attempt that has something to show; after it was said, the inbox's INBOX_NEWS. False:
 * there is none. It is not said again before slots_show(). */
bool slots_next_news(struct slots *slots, uint64_t *ret_attempt);

/* What the attempt has to show that it has not shown in this join (epoch, join): all that is kept,
 * if it is the first time. At most `bytes_max` bytes of output, which are copied into `arena`; what
 * is left is news again. False: nothing, or it has ended. */
bool slots_show(struct slots *slots, uint64_t attempt, uint32_t epoch, uint32_t join,
                size_t bytes_max, struct berth_arena *arena, struct agent_show *ret_show);

/* Gives back what finished handlers still held. True: there is more; ask again soon. */
bool slots_tidy(struct slots *slots);

/* Attempts that were started and have not brought their item yet. Any thread. */
size_t slots_running_count(struct slots *slots);

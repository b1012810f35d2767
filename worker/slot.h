/* SPDX-License-Identifier: MIT */
/* What slots.c shares with slot_command.c: a slot from the inside, and how an attempt in it ends.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "worker/attempt.h"
#include "worker/handlers/exec.h"
#include "worker/slots.h"

#define SENTENCE_BYTES_MAX BERTH_ERROR_MESSAGE_MAX

enum slot_phase { SLOT_WAITING, SLOT_STARTED, SLOT_REVOKED };

struct slot {
    struct berth_list_node node;      /* in free or in closing */
    struct berth_map_node by_attempt; /* while it is not finished */
    struct inbox_item item;
    struct slots *owner;
    int fence_place;           /* negative: none */
    bool is_exec, has_attempt; /* has_attempt: `attempt` is to be finished */
    atomic_int phase;          /* enum slot_phase, of a handler */
    bool did_run;              /* the handler did, and returned rc */
    int rc;
    int64_t started_ns;
    struct berth_list_node news_node; /* in news; with is_marked guarded by the lock */
    bool is_marked;                   /* it has something to show, and was not asked since */
    uint32_t shown_epoch, shown_join; /* what it has shown, and in which join */
    uint64_t shown_out, shown_err;
    struct weft_task *root;
    struct weft_element element; /* which attempt runs on which thread */
    struct berth_attempt attempt;
    struct berth_buf result; /* packed */
    char sentence[SENTENCE_BYTES_MAX];
};

struct slots {
    struct slots_opts opts;
    struct exec *exec;
    struct asks asks;
    struct slot *all;
    uint32_t used_count;             /* of all, ever: those behind have not been touched */
    struct berth_list free, closing; /* the link thread's own */
    atomic_size_t running_count;
    pthread_mutex_t lock; /* of the map: the exec thread looks its attempts up; and of: */
    struct berth_map by_attempt;
    struct berth_list news;
};

struct slot *slot_find(struct slots *slots, uint64_t attempt); /* NULL: it is finished */

/* The one item of an attempt. Nothing of it runs any more, and `item.end` says how it ended; it is
 * handed back; or it cannot be run, and could not be on the next try either. The slot is the link's
 * from here on. */
void slot_push(struct slot *slot);
void slot_release(struct slot *slot, enum agent_release_reason reason);
void slot_refuse(struct slot *slot, const char *sentence);

/* Its item comes later, or at once if the command cannot be started. */
void slot_start_command(struct slot *slot, const struct agent_grant *grant);
/* The exec's callback, on its thread. `slots`: struct slots. */
void slot_on_exec_end(void *slots, uint64_t attempt, const struct exec_end *end);

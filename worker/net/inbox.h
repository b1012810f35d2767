/* SPDX-License-Identifier: MIT */
/* What other threads tell the link thread: how attempts ended, what they ask for, and what to do
 * with the worker.
 *
 * Items are the teller's: each attempt brings the one it needs with it, so telling never fails and
 * the queue is as long as there are attempts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

#include "base/list.h"

#include "worker/core/agent.h"

struct inbox;

enum inbox_kind {
    INBOX_OVER, /* the attempt's one end, or release */
    /* Of an attempt that goes on: the item is the teller's again as soon as there is an answer. */
    INBOX_SUSPEND,
    INBOX_RESUME_ME,
    INBOX_CHILDREN,
};

struct inbox_item {
    struct berth_list_node node;
    enum inbox_kind kind;
    uint64_t attempt;
    enum agent_release_reason release_reason; /* not 0: it was not started and never will be */
    struct agent_end end;                     /* else; its bytes are the teller's */
    struct agent_submit children;             /* its bytes are the teller's, too */
};

/* NEWS, ASKS: the host has some. */
enum inbox_command { INBOX_DRAIN = 1, INBOX_STOP = 2, INBOX_NEWS = 4, INBOX_ASKS = 8 };

int inbox_open(struct inbox **ret_inbox, struct berth_error *err);
/* NULL is fine. */
void inbox_close(struct inbox *inbox);

/* Any thread. The item is the link's until it is finished with. */
void inbox_push(struct inbox *inbox, struct inbox_item *item);

/* Any thread and any signal handler. */
void inbox_command(struct inbox *inbox, enum inbox_command command);

/* The link thread's side. Readable when there may be something. */
int inbox_fd(const struct inbox *inbox);

/* Moves all items to the end of `to`, in their order, and returns the commands given since the last
 * time, joined by |. */
unsigned inbox_take(struct inbox *inbox, struct berth_list *to);

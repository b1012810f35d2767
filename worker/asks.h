/* SPDX-License-Identifier: MIT */
/* Jobs that handlers ask the broker for: the question goes out with the link, and comes back here.
 *
 * Invariants
 * 1. An ask belongs to the coroutine that waits in asks_run(), and is in the list as long as that
 *    does. What comes for a number that is not there any more is dropped.
 * 2. What is not answered is asked again: the link forgets what it has sent.
 */
#pragma once

#include <pthread.h>

#include <berth/client.h>

#include "base/list.h"
#include "worker/net/inbox.h"

#define ASKS_AGAIN_MS 1000

struct asks {
    pthread_mutex_t lock;
    struct berth_list all, unsent;
    uint64_t number; /* the last one that was given */
    struct inbox *inbox;
};

void asks_init(struct asks *asks, struct inbox *inbox);
/* Nobody may be inside. */
void asks_fini(struct asks *asks);

/* In a coroutine: waits for the job as the broker shows it, which is the caller's then. 0;
 * -ECANCELED; BERTH_ENOTFOUND: it is not known (any more); or what else the broker answered. */
int asks_run(struct asks *asks, berth_job_id id, struct berth_job **ret_job,
             struct berth_error *err);

/* The link's thread: the next question to be sent, false if there is none; and an answer. */
bool asks_next(struct asks *asks, uint64_t *ret_number, berth_job_id *ret_id);
void asks_answer(struct asks *asks, uint64_t number, struct berth_slice frame);

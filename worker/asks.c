/* SPDX-License-Identifier: MIT */
/* Jobs that handlers ask the broker for; see asks.h. */
#include "worker/asks.h"

#include <errno.h>

#include <weft/weft.h>

#include "base/assert.h"
#include "base/buf.h"
#include "client/children.h"
#include "proto/limits.h"

struct ask {
    struct berth_list_node in_all, in_unsent;
    uint64_t number;
    berth_job_id id;
    bool is_answered;
    struct berth_buf frame;
    struct weft_completion done;
};

void asks_init(struct asks *asks, struct inbox *inbox)
{
    *asks = (struct asks){ .inbox = inbox };
    BERTH_ASSERT(pthread_mutex_init(&asks->lock, NULL) == 0);
    berth_list_init(&asks->all);
    berth_list_init(&asks->unsent);
}

void asks_fini(struct asks *asks)
{
    BERTH_ASSERT(berth_list_is_empty(&asks->all));
    (void)pthread_mutex_destroy(&asks->lock);
}

static void put(struct asks *asks, struct ask *ask)
{
    (void)pthread_mutex_lock(&asks->lock);
    if (!berth_list_is_linked(&ask->in_all)) {
        ask->number = ++asks->number;
        berth_list_push_back(&asks->all, &ask->in_all);
    }
    if (!ask->is_answered && !berth_list_is_linked(&ask->in_unsent))
        berth_list_push_back(&asks->unsent, &ask->in_unsent);
    (void)pthread_mutex_unlock(&asks->lock);
    inbox_command(asks->inbox, INBOX_ASKS);
}

/* Nobody sets it from here on. Returns whether it was answered. */
static bool take(struct asks *asks, struct ask *ask)
{
    (void)pthread_mutex_lock(&asks->lock);
    berth_list_remove(&ask->in_all);
    if (berth_list_is_linked(&ask->in_unsent))
        berth_list_remove(&ask->in_unsent);
    bool is_answered = ask->is_answered;
    (void)pthread_mutex_unlock(&asks->lock);
    return is_answered;
}

int asks_run(struct asks *asks, berth_job_id id, struct berth_job **ret_job,
             struct berth_error *err)
{
    int rc;
    do {
        struct ask ask = { .id = id };
        berth_buf_init(&ask.frame, BERTH_FRAME_BYTES_MAX);
        do {
            put(asks, &ask);
            rc = weft_completion_wait(&ask.done, weft_deadline_ms(ASKS_AGAIN_MS));
        } while (rc == -ETIMEDOUT);
        if (take(asks, &ask) && rc == 0)
            rc = berth_child_read(berth_buf_slice(&ask.frame), id, ret_job, err);
        else
            (void)berth_fail(err, rc, "get job %llu", (unsigned long long)id.v);
        berth_buf_fini(&ask.frame);
        /* Not now: a broker that starts, or has too much to do. */
        if (rc == BERTH_ELATER && weft_sleep_ms(ASKS_AGAIN_MS) < 0)
            return -ECANCELED;
    } while (rc == BERTH_ELATER);
    return rc;
}

bool asks_next(struct asks *asks, uint64_t *ret_number, berth_job_id *ret_id)
{
    (void)pthread_mutex_lock(&asks->lock);
    struct berth_list_node *node = berth_list_pop_front(&asks->unsent);
    if (node) {
        const struct ask *ask = berth_container_of(node, struct ask, in_unsent);
        *ret_number = ask->number;
        *ret_id = ask->id;
    }
    (void)pthread_mutex_unlock(&asks->lock);
    return node != NULL;
}

void asks_answer(struct asks *asks, uint64_t number, struct berth_slice frame)
{
    (void)pthread_mutex_lock(&asks->lock);
    BERTH_LIST_FOREACH (node, &asks->all) {
        struct ask *ask = berth_container_of(node, struct ask, in_all);
        if (ask->number != number || ask->is_answered)
            continue;
        /* Without memory it is as if nothing had come. */
        if (berth_buf_append(&ask->frame, frame.data, frame.bytes) < 0)
            break;
        ask->is_answered = true;
        (void)weft_completion_set(&ask->done, 0);
        break;
    }
    (void)pthread_mutex_unlock(&asks->lock);
}

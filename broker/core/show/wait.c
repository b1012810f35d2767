/* SPDX-License-Identifier: MIT */
/* Who waits for the end of which live job. */
#include "wait.h"

#include "broker/core/step.h"

struct wait_key {
    uint64_t peer, request;
};

/* One request of one client. */
struct wait {
    struct berth_map_node by_key;
    struct berth_list_node order_node;
    struct wait_key key;
    int64_t heard_ms;
    uint32_t pending;
    struct berth_list watches;
    struct berth_list_node news_node; /* in core->news: ends to tell of */
    struct news *news;                /* the newest first */
    size_t news_count;
};

/* An end that is told at the end of the step. */
struct news {
    struct news *next;
    struct berth_job_state end;
};

/* A live job for which somebody waits. */
struct watched {
    struct berth_map_node by_job;
    struct berth_list watches;
};

struct watch {
    struct wait *wait;
    struct watched *watched;
    struct berth_list_node wait_node, watched_node;
};

static struct berth_slice key_slice(const struct wait_key *key)
{
    return (struct berth_slice){ .data = key, .bytes = sizeof *key };
}

/* Forgets it if nobody waits for it. */
static void watched_release(struct berth_core *core, struct watched *watched)
{
    if (!berth_list_is_empty(&watched->watches))
        return;
    uint32_t job = job_find(core, watched->by_job.id);
    if (job)
        job_at(&core->jobs, job)->flags &= (uint8_t)~JOB_WATCHED;
    berth_map_remove(&core->watches, &watched->by_job);
    block_free(watched);
}

static void watch_free(struct berth_core *core, struct watch *watch)
{
    struct watched *watched = watch->watched;
    berth_list_remove(&watch->wait_node);
    berth_list_remove(&watch->watched_node);
    watch->wait->pending--;
    core->watch_count--;
    block_free(watch);
    watched_release(core, watched);
}

static void wait_free(struct berth_core *core, struct wait *wait)
{
    BERTH_LIST_FOREACH_SAFE (node, &wait->watches)
        watch_free(core, berth_container_of(node, struct watch, wait_node));
    berth_map_remove(&core->waits, &wait->by_key);
    berth_list_remove(&wait->order_node);
    if (berth_list_is_linked(&wait->news_node))
        berth_list_remove(&wait->news_node);
    block_free(wait);
}

static struct wait *wait_find(const struct berth_core *core, uint64_t peer, uint64_t request)
{
    struct wait_key key = { .peer = peer, .request = request };
    struct berth_map_node *node = berth_map_find_bytes(&core->waits, key_slice(&key));
    return node ? berth_container_of(node, struct wait, by_key) : NULL;
}

/* NULL: no memory. */
static struct wait *wait_new(struct berth_core *core, uint64_t peer, uint64_t request)
{
    struct wait *wait = block_new(sizeof *wait);
    if (!wait)
        return NULL;
    wait->key = (struct wait_key){ .peer = peer, .request = request };
    wait->heard_ms = core->now_ms;
    berth_list_init(&wait->watches);
    if (berth_map_insert_bytes(&core->waits, &wait->by_key, key_slice(&wait->key)) < 0) {
        block_free(wait);
        return NULL;
    }
    berth_list_push_back(&core->wait_order, &wait->order_node);
    return wait;
}

static struct watched *watched_get(struct berth_core *core, uint64_t job)
{
    struct berth_map_node *node = berth_map_find_id(&core->watches, job);
    if (node)
        return berth_container_of(node, struct watched, by_job);
    struct watched *watched = block_new(sizeof *watched);
    if (!watched)
        return NULL;
    berth_list_init(&watched->watches);
    if (berth_map_insert_id(&core->watches, &watched->by_job, job) < 0) {
        block_free(watched);
        return NULL;
    }
    return watched;
}

/* False: too many, or no memory. */
static bool watch_add(struct berth_core *core, struct wait *wait, struct job *job)
{
    if (core->watch_count >= WATCHES_MAX)
        return false;
    struct watched *watched = watched_get(core, job->id);
    if (!watched)
        return false;
    struct watch *watch = block_new(sizeof *watch);
    if (!watch) {
        watched_release(core, watched);
        return false;
    }
    watch->wait = wait;
    watch->watched = watched;
    berth_list_push_back(&wait->watches, &watch->wait_node);
    berth_list_push_back(&watched->watches, &watch->watched_node);
    wait->pending++;
    core->watch_count++;
    job->flags |= JOB_WATCHED;
    return true;
}

/* The wait itself, or NULL if it is full up: then nothing of it is left. */
static struct wait *watch_all(struct berth_core *core, uint64_t peer, uint64_t request,
                              const uint64_t *ids, size_t count)
{
    struct wait *wait = wait_new(core, peer, request);
    for (size_t i = 0; wait && i < count; i++) {
        uint32_t job = job_find_known(core, ids[i]);
        if (!job || watch_add(core, wait, job_at(&core->jobs, job)))
            continue;
        wait_free(core, wait);
        wait = NULL;
    }
    return wait;
}

void wait_begin(struct berth_core *core, uint64_t peer, uint64_t request, const uint64_t *ids,
                size_t count, const enum berth_state *ended)
{
    struct wait *wait = wait_find(core, peer, request);
    if (wait)
        wait_free(core, wait);
    wait = watch_all(core, peer, request, ids, count);
    if (!wait) {
        step_error(core, peer, request, BERTH_EFULL, "id",
                   step_text(core, "the broker keeps %u waits, as many as it may", WATCHES_MAX));
        return;
    }
    struct berth_job_state *items = step_alloc(core, count, sizeof *items);
    uint64_t *unknown = step_alloc(core, count, sizeof *unknown);
    struct berth_do_waited waited = { .ended = items,
                                      .unknown = unknown,
                                      .pending = wait->pending };
    for (size_t i = 0; i < count; i++) {
        if (job_find_known(core, ids[i]))
            continue;
        if (ended[i])
            items[waited.count++] = (struct berth_job_state){ .id = ids[i], .state = ended[i] };
        else
            unknown[waited.unknown_count++] = ids[i];
    }
    step_add(core, BERTH_DO_WAITED, peer, request)->waited = waited;
    if (!wait->pending)
        wait_free(core, wait);
}

static void note_end(struct berth_core *core, struct wait *wait, struct berth_job_state end)
{
    struct news *news = step_alloc(core, 1, sizeof *news);
    *news = (struct news){ .next = wait->news, .end = end };
    wait->news = news;
    wait->news_count++;
    if (!berth_list_is_linked(&wait->news_node))
        berth_list_push_back(&core->news, &wait->news_node);
}

void wait_on_job_ended(struct berth_core *core, uint64_t job, enum berth_state state)
{
    struct berth_map_node *found = berth_map_find_id(&core->watches, job);
    if (!found)
        return;
    struct watched *watched = berth_container_of(found, struct watched, by_job);
    bool is_last;
    do {
        struct berth_list_node *node = berth_list_first(&watched->watches);
        struct watch *watch = berth_container_of(node, struct watch, watched_node);
        is_last = berth_list_next(&watched->watches, node) == NULL;
        note_end(core, watch->wait, (struct berth_job_state){ .id = job, .state = state });
        watch_free(core, watch); /* and with the last one `watched` */
    } while (!is_last);
}

void wait_tell(struct berth_core *core)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&core->news))) {
        struct wait *wait = berth_container_of(node, struct wait, news_node);
        struct berth_job_state *ended = step_alloc(core, wait->news_count, sizeof *ended);
        size_t place = wait->news_count;
        for (const struct news *news = wait->news; news; news = news->next)
            ended[--place] = news->end;
        step_add(core, BERTH_DO_WAITED, wait->key.peer, wait->key.request)->waited =
            (struct berth_do_waited){ .ended = ended,
                                      .count = wait->news_count,
                                      .pending = wait->pending };
        wait->news = NULL;
        wait->news_count = 0;
        if (!wait->pending)
            wait_free(core, wait);
    }
}

void wait_on_peer_gone(struct berth_core *core, uint64_t peer)
{
    BERTH_LIST_FOREACH_SAFE (node, &core->wait_order) {
        struct wait *wait = berth_container_of(node, struct wait, order_node);
        if (wait->key.peer == peer)
            wait_free(core, wait);
    }
}

/* A wait is made anew each time it is repeated, so the oldest stands first. */
void wait_on_turn(struct berth_core *core)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&core->wait_order))) {
        struct wait *wait = berth_container_of(node, struct wait, order_node);
        if (core->now_ms - wait->heard_ms < WAIT_FORGOTTEN_MS)
            return;
        wait_free(core, wait);
    }
}

void wait_free_all(struct berth_core *core)
{
    BERTH_LIST_FOREACH_SAFE (node, &core->wait_order)
        wait_free(core, berth_container_of(node, struct wait, order_node));
}

/* SPDX-License-Identifier: MIT */
/* See wait.h. */
#include "cli/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"

static int compare_ids(const void *a, const void *b)
{
    const berth_job_id *first = a, *second = b;
    return (first->v > second->v) - (first->v < second->v);
}

int wait_init(struct wait *wait, const berth_job_id *ids, size_t count, struct berth_error *err)
{
    size_t window = count < BERTH_IDS_MAX ? count : BERTH_IDS_MAX;
    *wait = (struct wait){ .ids = calloc(count + 1, sizeof *wait->ids),
                           .states = calloc(count + 1, sizeof *wait->states),
                           .window = calloc(window + 1, sizeof *wait->window) };
    if (!wait->ids || !wait->states || !wait->window)
        return berth_fail(err, -ENOMEM, "wait for %zu jobs", count);
    if (count > 0)
        memcpy(wait->ids, ids, count * sizeof *ids);
    qsort(wait->ids, count, sizeof *wait->ids, compare_ids);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || wait->ids[i].v != wait->ids[wait->count - 1].v)
            wait->ids[wait->count++] = wait->ids[i];
    return 0;
}

void wait_fini(struct wait *wait)
{
    free(wait->ids);
    free(wait->states);
    free(wait->window);
}

/* NULL: it is not one of ours. */
static uint8_t *find_state(const struct wait *wait, berth_job_id id)
{
    if (wait->count == 0)
        return NULL;
    const berth_job_id *found =
        bsearch(&id, wait->ids, wait->count, sizeof *wait->ids, compare_ids);
    return found ? &wait->states[found - wait->ids] : NULL;
}

enum berth_state wait_state(const struct wait *wait, berth_job_id id)
{
    const uint8_t *state = find_state(wait, id);
    return state ? (enum berth_state) * state : 0;
}

int wait_exit(const struct wait *wait)
{
    return wait->dead > 0 ? CLI_DEAD : wait->cancelled > 0 ? CLI_CANCELLED : CLI_OK;
}

/* The lowest that have not ended. */
static void choose_window(struct wait *wait)
{
    wait->window_count = wait->window_ended = 0;
    wait->has_more = wait->is_moving = false;
    for (size_t i = 0; i < wait->count && !wait->has_more; i++) {
        if (wait->states[i] != 0)
            continue;
        if (wait->window_count < BERTH_IDS_MAX)
            wait->window[wait->window_count++] = wait->ids[i];
        else
            wait->has_more = true;
    }
}

static int on_end(void *arg, berth_job_id id, enum berth_state state)
{
    struct wait *wait = arg;
    uint8_t *known = find_state(wait, id);
    if (!known || *known != 0)
        return 0;
    *known = (uint8_t)state;
    wait->ended++;
    wait->window_ended++;
    wait->dead += state == BERTH_DEAD;
    wait->cancelled += state == BERTH_CANCELLED;
    bar_lift(wait->bar);
    if (wait->say)
        wait->say(wait->arg, id, state);
    bar_lower(wait->bar, state != BERTH_COMPLETED);
    wait->is_moving = wait->has_more && 2 * wait->window_ended >= wait->window_count;
    return wait->is_moving ? -ECANCELED : 0;
}

static int64_t left_ms(int64_t deadline_ms)
{
    int64_t now_ms = berth_clock_monotonic_ms();
    return deadline_ms == INT64_MAX ? INT64_MAX : deadline_ms > now_ms ? deadline_ms - now_ms : 0;
}

int wait_run(struct wait *wait, struct berth_client *client, bool has_bar, int64_t timeout_ms,
             struct berth_error *err)
{
    int64_t now_ms = berth_clock_monotonic_ms();
    int64_t deadline_ms = timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + timeout_ms;
    wait->bar = has_bar ? bar_start(wait->count) : NULL;
    int rc = 0;
    while (rc == 0 && wait->ended < wait->count) {
        choose_window(wait);
        rc = berth_job_wait_many(client, wait->window, wait->window_count, on_end, wait,
                                 left_ms(deadline_ms), err);
        if (wait->is_moving)
            rc = 0;
    }
    bar_end(wait->bar);
    wait->bar = NULL;
    return rc;
}

static bool has_ended(enum berth_state state)
{
    return state == BERTH_COMPLETED || state == BERTH_DEAD || state == BERTH_CANCELLED;
}

int wait_look(struct wait *wait, struct berth_client *client, int64_t timeout_ms,
              struct berth_error *err)
{
    int64_t deadline_ms = berth_clock_monotonic_ms() + timeout_ms;
    for (size_t i = 0; i < wait->count; i++) {
        struct berth_job *job;
        if (wait->states[i] != 0)
            continue;
        int rc = berth_job_get(client, wait->ids[i], &job, left_ms(deadline_ms), err);
        if (rc < 0)
            return rc;
        if (has_ended(job->state))
            (void)on_end(wait, wait->ids[i], job->state);
        berth_job_free(job);
    }
    return 0;
}

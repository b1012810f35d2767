/* SPDX-License-Identifier: MIT */
/* Jobs: looking at them, waiting for them, cancelling them. */
#include <berth/client.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "client/call.h"

#define PAGE_JOBS_MAX 1000
#define JOB_ID_MAX    ((UINT64_C(1) << 53) - 1)

/* A wait for several jobs. */
struct wait {
    const berth_job_id *ids; /* sorted, each once */
    size_t count;
    bool *is_said; /* of each id: `each` was called */
    int (*each)(void *arg, berth_job_id id, enum berth_state state);
    void *arg;
};

int berth_job_id_check(berth_job_id id, struct berth_error *err)
{
    if (id.v == 0 || id.v > JOB_ID_MAX)
        return berth_fail(err, BERTH_EVALUE, "job %" PRIu64 " is not within 1 and %" PRIu64, id.v,
                          JOB_ID_MAX);
    return 0;
}

static int pack_get(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const berth_job_id *id = call->args;
    return berth_pack_get(number, *id, frame);
}

static int job_get(struct berth_client *client, berth_job_id id, struct berth_job **ret_job,
                   int64_t deadline_ms, struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_get, .args = &id };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_JOBS, &answer, err);
    if (rc < 0)
        return rc;
    return berth_job_of_answer(&answer, id, ret_job, err);
}

int berth_job_get(struct berth_client *client, berth_job_id id, struct berth_job **ret_job,
                  int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_job_id_check(id, err);
    return rc < 0 ? rc : job_get(client, id, ret_job, deadline_ms, err);
}

static int pack_wait(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct wait *wait = call->args;
    return berth_pack_wait(number, wait->ids, wait->count, frame);
}

static int compare_ids(const void *a, const void *b)
{
    const berth_job_id *first = a, *second = b;
    return (first->v > second->v) - (first->v < second->v);
}

/* The ids sorted, each once, in memory of the caller's. */
static int sort_ids(const berth_job_id *ids, size_t count, berth_job_id **ret_ids,
                    size_t *ret_count, struct berth_error *err)
{
    if (count == 0 || count > BERTH_IDS_MAX)
        return berth_fail(err, -E2BIG, "wait for %zu jobs: allowed is 1 to %d", count,
                          BERTH_IDS_MAX);
    BERTH_AUTO_MEM berth_job_id *sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        return berth_fail(err, -ENOMEM, "wait for %zu jobs", count);
    for (size_t i = 0; i < count; i++) {
        int rc = berth_job_id_check(ids[i], err);
        if (rc < 0)
            return rc;
        sorted[i] = ids[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_ids);
    size_t used = 1;
    for (size_t i = 1; i < count; i++)
        if (sorted[i].v != sorted[used - 1].v)
            sorted[used++] = sorted[i];
    *ret_ids = berth_take(sorted);
    *ret_count = used;
    return 0;
}

/* NULL: it is not one of ours. */
static bool *find_said(const struct wait *wait, uint64_t id)
{
    const berth_job_id *found =
        bsearch(&(berth_job_id){ .v = id }, wait->ids, wait->count, sizeof *wait->ids, compare_ids);
    return found ? &wait->is_said[found - wait->ids] : NULL;
}

/* Says what an answer brings that was not said before. An unknown id comes before any end. */
static int say_ends(const struct wait *wait, const struct berth_answer *answer,
                    struct berth_error *err)
{
    if (answer->type == BERTH_ANSWER_ERROR) {
        if (err)
            *err = answer->error;
        return answer->error.code;
    }
    if (answer->type != BERTH_ANSWER_WAITED)
        return berth_fail(err, BERTH_EPROTO, "the broker's answer to a wait is not one");
    for (size_t i = 0; i < answer->waited.unknown_count; i++) {
        const bool *is_said = find_said(wait, answer->waited.unknown[i]);
        if (is_said && !*is_said)
            return berth_job_unknown((berth_job_id){ answer->waited.unknown[i] }, err);
    }
    for (size_t i = 0; i < answer->waited.count; i++) {
        const struct berth_job_end *end = &answer->waited.ends[i];
        bool *is_said = find_said(wait, end->id.v);
        if (!is_said || *is_said)
            continue;
        *is_said = true;
        int rc = wait->each(wait->arg, end->id, end->state);
        if (rc < 0)
            return berth_fail(err, rc, "the wait was ended");
    }
    return 0;
}

/* Goes on until the call is done and all it brought is said, or a negative comes. */
static int follow(struct berth_client *client, struct berth_call *call, struct berth_waiter *waiter,
                  const struct wait *wait, struct berth_error *err)
{
    for (;;) {
        struct berth_list_node *node = berth_list_pop_front(&call->answers);
        if (!node && call->is_done)
            break;
        if (!node) {
            berth_call_wait(client, waiter);
            continue;
        }
        pthread_mutex_unlock(&client->lock);
        BERTH_AUTO(berth_answer) answer = berth_container_of(node, struct berth_answer, node);
        int rc = say_ends(wait, answer, err);
        pthread_mutex_lock(&client->lock);
        if (rc < 0)
            return rc;
    }
    if (call->rc < 0 && err)
        *err = call->err;
    return call->rc;
}

/* One request, from its first sending to its last answer. */
static int wait_once(struct berth_client *client, const struct wait *wait, int64_t deadline_ms,
                     struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_WAIT, .pack = pack_wait, .args = wait };
    struct berth_waiter waiter;
    berth_waiter_init(&waiter);
    pthread_mutex_lock(&client->lock);
    berth_call_start(client, &call, &waiter, deadline_ms);
    int rc = follow(client, &call, &waiter, wait, err);
    berth_call_drop(client, &call);
    pthread_mutex_unlock(&client->lock);
    berth_waiter_fini(&waiter);
    berth_call_fini(&call);
    return rc;
}

static size_t count_said(const struct wait *wait)
{
    size_t count = 0;
    for (size_t i = 0; i < wait->count; i++)
        count += wait->is_said[i];
    return count;
}

/* The last answer holds only what is new: if an answer before it was lost, its jobs are asked for
 * once more. */
static int wait_for(struct berth_client *client, const struct wait *wait, int64_t deadline_ms,
                    struct berth_error *err)
{
    for (size_t said = 0; said < wait->count;) {
        size_t before = said;
        int rc = wait_once(client, wait, deadline_ms, err);
        if (rc < 0)
            return rc;
        said = count_said(wait);
        if (said == before)
            return berth_fail(err, BERTH_EPROTO, "the broker ends the wait, and names no job");
    }
    return 0;
}

int berth_job_wait_many(struct berth_client *client, const berth_job_id *ids, size_t count,
                        int (*each)(void *arg, berth_job_id id, enum berth_state state), void *arg,
                        int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    BERTH_AUTO_MEM berth_job_id *sorted = NULL;
    struct wait wait = { .each = each, .arg = arg };
    int rc = sort_ids(ids, count, &sorted, &wait.count, err);
    if (rc < 0)
        return rc;
    BERTH_ASSERT(wait.count > 0);
    BERTH_AUTO_MEM bool *is_said = calloc(wait.count, sizeof *is_said);
    if (!is_said)
        return berth_fail(err, -ENOMEM, "wait for %zu jobs", count);
    wait.ids = sorted;
    wait.is_said = is_said;
    return wait_for(client, &wait, deadline_ms, err);
}

static int ignore_end(void *arg, berth_job_id id, enum berth_state state)
{
    (void)arg, (void)id, (void)state;
    return 0;
}

int berth_job_wait(struct berth_client *client, berth_job_id id, struct berth_job **ret_job,
                   int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_job_id_check(id, err);
    if (rc < 0)
        return rc;
    bool is_said = false;
    rc = wait_for(client,
                  &(struct wait){ .ids = &id, .count = 1, .is_said = &is_said, .each = ignore_end },
                  deadline_ms, err);
    return rc < 0 || !ret_job ? rc : job_get(client, id, ret_job, deadline_ms, err);
}

struct cancel_args {
    berth_job_id id;
    bool is_forced;
};

static int pack_cancel(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct cancel_args *args = call->args;
    return berth_pack_cancel(number, args->id, args->is_forced, frame);
}

static int job_cancel(struct berth_client *client, berth_job_id id, bool is_forced,
                      int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_job_id_check(id, err);
    if (rc < 0)
        return rc;
    struct cancel_args args = { .id = id, .is_forced = is_forced };
    struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_cancel, .args = &args };
    BERTH_AUTO(berth_answer) answer = NULL;
    rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_CANCELLED, &answer, err);
    if (rc < 0)
        return rc;
    if (answer->cancelled.rc == BERTH_ENOTFOUND)
        return berth_job_unknown(id, err);
    if (call.is_repeated && answer->cancelled.state == BERTH_CANCELLED)
        return 0;
    if (answer->cancelled.rc == -EALREADY) {
        /* As a code of ours first: the text of the -errno ("in progress") would say the opposite.
         */
        (void)berth_fail(err, BERTH_EVALUE, "job %" PRIu64 " had ended: it is %s", id.v,
                         berth_state_name(answer->cancelled.state));
        return berth_fail_as(err, -EALREADY);
    }
    if (answer->cancelled.rc < 0)
        return berth_fail(err, answer->cancelled.rc, "cancel job %" PRIu64, id.v);
    return 0;
}

int berth_job_cancel(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                     struct berth_error *err)
{
    return job_cancel(client, id, false, timeout_ms, err);
}

int berth_job_cancel_force(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                           struct berth_error *err)
{
    return job_cancel(client, id, true, timeout_ms, err);
}

static int pack_list(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    return berth_pack_list(number, call->args, frame);
}

static int check_filter(const struct berth_job_filter *filter, struct berth_error *err)
{
    int rc = filter->dispatcher ? berth_name_check("dispatcher", filter->dispatcher, err) : 0;
    if (rc < 0)
        return rc;
    if (filter->state < 0 || filter->state > BERTH_CANCELLED)
        return berth_fail(err, BERTH_EVALUE, "state %d is not within 0 (all) and %d", filter->state,
                          BERTH_CANCELLED);
    for (size_t i = 0; i < sizeof filter->reserved / sizeof filter->reserved[0]; i++)
        if (filter->reserved[i] != 0)
            return berth_fail(err, BERTH_EVALUE, "reserved members of a filter must be zero");
    return filter->after.v == 0 ? 0 : berth_job_id_check(filter->after, err);
}

int berth_job_list(struct berth_client *client, const struct berth_job_filter *filter,
                   int (*each)(void *arg, const struct berth_job *job), void *arg,
                   int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    struct berth_job_filter page = filter ? *filter : (struct berth_job_filter){ .count_max = 0 };
    size_t left = page.count_max > 0 ? page.count_max : SIZE_MAX;
    int rc = check_filter(&page, err);
    while (rc == 0 && left > 0) {
        page.count_max = left < PAGE_JOBS_MAX ? left : PAGE_JOBS_MAX;
        struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_list, .args = &page };
        BERTH_AUTO(berth_answer) answer = NULL;
        rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_JOBS, &answer, err);
        for (size_t i = 0; rc == 0 && i < answer->jobs.count && left > 0; i++, left--) {
            rc = each(arg, &answer->jobs.items[i]);
            if (rc < 0)
                return berth_fail(err, rc, "the list was ended");
        }
        /* A page can be short, or empty, and another one still follow. */
        if (rc < 0 || answer->jobs.next.v == 0 || answer->jobs.next.v == page.after.v)
            break;
        page.after = answer->jobs.next;
    }
    return rc;
}

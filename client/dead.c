/* SPDX-License-Identifier: MIT */
/* Dead letters: retried, and discarded; one, or all of a dispatcher. */
#include <berth/client.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "client/call.h"

#define PAGE_IDS_MAX 1000

/* What is to happen to them. */
struct change {
    bool is_retry;
    const uint64_t *ids;
    size_t count;
};

static int pack_change(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct change *change = call->args;
    return change->is_retry ? berth_pack_retry(number, change->ids, change->count, frame)
                            : berth_pack_discard(number, change->ids, change->count, frame);
}

/* What a repeat is told if the first sending was carried out: it lives, or has even completed
 * since; or it is not there any more. */
static bool is_done(const struct berth_job_change *item, bool is_retry)
{
    if (!is_retry)
        return item->rc == BERTH_ENOTFOUND;
    return item->rc == -EALREADY || (item->rc == BERTH_ECONFLICT && item->state == BERTH_COMPLETED);
}

/* Asks, and gives the answer away: one item for each id. */
static int ask(struct berth_client *client, const struct change *change, int64_t deadline_ms,
               struct berth_answer **ret_answer, struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_change, .args = change };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_CHANGED, &answer, err);
    if (rc < 0)
        return rc;
    if (answer->changed.count != change->count)
        return berth_fail(err, BERTH_EPROTO, "the broker answers %zu of %zu jobs",
                          answer->changed.count, change->count);
    for (size_t i = 0; call.is_repeated && i < change->count; i++)
        if (is_done(&answer->changed.items[i], change->is_retry))
            answer->changed.items[i].rc = 0;
    *ret_answer = berth_take(answer);
    return 0;
}

/* The sentence of one that was not done. */
static int explain(const struct berth_job_change *item, bool is_retry, struct berth_error *err)
{
    const char *state = berth_state_name(item->state);
    switch (item->rc) {
    case BERTH_ENOTFOUND:
        return berth_fail(err, BERTH_ENOTFOUND, "there is no job %" PRIu64, item->id.v);
    case BERTH_ECONFLICT:
        if (item->other.v)
            return berth_fail(err, BERTH_ECONFLICT,
                              "job %" PRIu64 " cannot live again: job %" PRIu64
                              " has its unique key",
                              item->id.v, item->other.v);
        return berth_fail(err, BERTH_ECONFLICT, "job %" PRIu64 " is %s: %s", item->id.v, state,
                          is_retry ? "only a dead or cancelled one can be retried"
                                   : "only a dead one can be discarded");
    case -EALREADY:
        /* As a code of ours first: the text of the -errno ("in progress") would say the opposite.
         */
        (void)berth_fail(err, BERTH_EVALUE,
                         "job %" PRIu64 " is %s: only a dead or cancelled one can be retried",
                         item->id.v, state);
        return berth_fail_as(err, -EALREADY);
    case BERTH_EFULL:
        return berth_fail(err, BERTH_EFULL,
                          "job %" PRIu64 ": the broker has no room for another live job",
                          item->id.v);
    default: return berth_fail(err, item->rc, "change job %" PRIu64, item->id.v);
    }
}

static int change_one(struct berth_client *client, berth_job_id id, bool is_retry,
                      int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_job_id_check(id, err);
    if (rc < 0)
        return rc;
    const struct change change = { .is_retry = is_retry, .ids = &id.v, .count = 1 };
    BERTH_AUTO(berth_answer) answer = NULL;
    rc = ask(client, &change, deadline_ms, &answer, err);
    if (rc < 0)
        return rc;
    const struct berth_job_change *item = &answer->changed.items[0];
    return item->rc == 0 ? 0 : explain(item, is_retry, err);
}

int berth_job_retry(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                    struct berth_error *err)
{
    return change_one(client, id, true, timeout_ms, err);
}

int berth_job_discard(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                      struct berth_error *err)
{
    return change_one(client, id, false, timeout_ms, err);
}

/* ---- all of a dispatcher ---- */

struct all {
    struct berth_client *client;
    bool is_retry;
    const char *dispatcher;
    int64_t deadline_ms;
    int (*each)(void *arg, const struct berth_job_outcome *outcome);
    void *arg;
    uint64_t newest; /* dead one at the start */
    uint64_t done_count;
    struct berth_error *err;
};

/* A page of ids. */
struct page {
    uint64_t ids[PAGE_IDS_MAX];
    size_t count;
};

static int64_t left_ms(const struct all *all)
{
    int64_t now_ms = berth_deadline_ms(0);
    if (all->deadline_ms == INT64_MAX)
        return INT64_MAX;
    return all->deadline_ms > now_ms ? all->deadline_ms - now_ms : 0;
}

static int take_newest(void *arg, const struct berth_job *job)
{
    struct all *all = arg;
    all->newest = job->id.v;
    return 0;
}

static int take_id(void *arg, const struct berth_job *job)
{
    struct page *page = arg;
    BERTH_ASSERT(page->count < PAGE_IDS_MAX);
    page->ids[page->count++] = job->id.v;
    return 0;
}

static int list_dead(const struct all *all, struct berth_job_filter filter,
                     int (*each)(void *arg, const struct berth_job *job), void *arg)
{
    filter.dispatcher = all->dispatcher;
    filter.state = BERTH_DEAD;
    return berth_job_list(all->client, &filter, each, arg, left_ms(all), all->err);
}

static int tell(struct all *all, const struct berth_job_change *item)
{
    struct berth_error why = { .code = 0 };
    all->done_count += item->rc == 0;
    bool is_gone = item->rc == BERTH_ENOTFOUND || item->rc == -EALREADY;
    if (!all->each || is_gone)
        return 0;
    if (item->rc != 0)
        (void)explain(item, all->is_retry, &why);
    int rc = all->each(all->arg, &(struct berth_job_outcome){
                                     .id = item->id, .rc = item->rc, .message = why.message });
    return rc < 0 ? berth_fail(all->err, rc, "it was ended") : 0;
}

static int change_page(struct all *all, const struct page *page)
{
    const struct change change = { .is_retry = all->is_retry,
                                   .ids = page->ids,
                                   .count = page->count };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = ask(all->client, &change, all->deadline_ms, &answer, all->err);
    for (size_t i = 0; rc == 0 && i < answer->changed.count; i++)
        rc = tell(all, &answer->changed.items[i]);
    return rc;
}

/* What dies meanwhile may have a small id, too, and is then taken along. */
static int change_all(struct all *all, struct page *page)
{
    int rc = list_dead(all, (struct berth_job_filter){ .count_max = 1, .is_newest_first = true },
                       take_newest, all);
    uint64_t after = 0;
    while (rc == 0 && after < all->newest) {
        page->count = 0;
        rc = list_dead(
            all, (struct berth_job_filter){ .count_max = PAGE_IDS_MAX, .after = { .v = after } },
            take_id, page);
        while (page->count > 0 && page->ids[page->count - 1] > all->newest)
            page->count--;
        if (rc < 0 || page->count == 0)
            return rc;
        after = page->ids[page->count - 1];
        rc = change_page(all, page);
    }
    return rc;
}

static int change_dead(struct all all, uint64_t *ret_count)
{
    if (ret_count)
        *ret_count = 0;
    int rc = berth_name_check("dispatcher", all.dispatcher, all.err);
    struct page *page = rc < 0 ? NULL : malloc(sizeof *page);
    if (!page)
        return rc < 0 ? rc
                      : berth_fail(all.err, -ENOMEM, "list the dead jobs of '%s'", all.dispatcher);
    rc = change_all(&all, page);
    free(page);
    if (ret_count)
        *ret_count = all.done_count;
    return rc;
}

int berth_job_retry_dead(struct berth_client *client, const char *dispatcher,
                         int (*each)(void *arg, const struct berth_job_outcome *outcome), void *arg,
                         uint64_t *ret_count, int64_t timeout_ms, struct berth_error *err)
{
    return change_dead((struct all){ .client = client,
                                     .is_retry = true,
                                     .dispatcher = dispatcher,
                                     .deadline_ms = berth_deadline_ms(timeout_ms),
                                     .each = each,
                                     .arg = arg,
                                     .err = err },
                       ret_count);
}

int berth_job_discard_dead(struct berth_client *client, const char *dispatcher,
                           int (*each)(void *arg, const struct berth_job_outcome *outcome),
                           void *arg, uint64_t *ret_count, int64_t timeout_ms,
                           struct berth_error *err)
{
    return change_dead((struct all){ .client = client,
                                     .dispatcher = dispatcher,
                                     .deadline_ms = berth_deadline_ms(timeout_ms),
                                     .each = each,
                                     .arg = arg,
                                     .err = err },
                       ret_count);
}

/* SPDX-License-Identifier: MIT */
/* Why jobs wait, as a message. */
#include "translate_state.h"

#include <errno.h>

#include "base/text.h"
#include "proto/columns.h"

#define SET       TRANSLATE_SET
#define SET_BYTES TRANSLATE_SET_BYTES

static void put_cause(const struct berth_explain_cause *cause, Berth__V1__ExplainedCause *m)
{
    berth__v1__explained_cause__init(m);
    SET_BYTES(m, kind, berth_slice_of(cause->kind));
    SET_BYTES(m, reason, cause->reason);
    SET(m, count, cause->count);
    SET(m, job, cause->job);
    if (cause->at.bytes > 0)
        SET_BYTES(m, at, cause->at);
    if (cause->group.bytes > 0)
        SET_BYTES(m, group, cause->group);
    if (cause->handler.bytes > 0)
        SET_BYTES(m, handler, cause->handler);
    if (cause->worker.bytes > 0)
        SET_BYTES(m, worker, cause->worker);
    if (cause->in_use || cause->limit) {
        SET(m, in_use, cause->in_use);
        SET(m, limit, cause->limit);
    }
    if (cause->since_us)
        SET(m, since_us, cause->since_us);
    if (cause->next_us && cause->next_us != INT64_MAX)
        SET(m, next_us, cause->next_us);
    if (cause->awaited)
        SET(m, awaited, cause->awaited);
}

static void put_limit(const struct berth_explain_limit *limit, Berth__V1__ExplainedLimit *m)
{
    berth__v1__explained_limit__init(m);
    SET_BYTES(m, name, limit->name);
    if (limit->limit >= 0)
        SET(m, limit, (uint64_t)limit->limit);
    SET(m, in_use, limit->in_use);
    SET(m, is_paused, limit->is_paused);
    if (limit->rate_count) {
        SET(m, rate_count, limit->rate_count);
        SET(m, rate_ms, (uint64_t)limit->rate_ms);
        SET(m, burst, limit->burst);
        SET(m, token_wait_ms, (uint64_t)limit->token_wait_ms);
    }
    if (limit->group_limit)
        SET(m, group_limit, limit->group_limit);
    if (limit->max_queued)
        SET(m, max_queued, limit->max_queued);
    SET(m, queued, limit->queued);
}

static void put_holder(const struct berth_explain_holder *holder, Berth__V1__ExplainedHolder *m)
{
    berth__v1__explained_holder__init(m);
    SET(m, job, holder->job);
    SET(m, attempt, holder->number);
    if (holder->dispatcher.bytes > 0)
        SET_BYTES(m, dispatcher, holder->dispatcher);
    SET_BYTES(m, worker, holder->worker);
    SET(m, since_us, holder->since_us);
    if (holder->is_held)
        SET(m, is_held, true);
}

static void put_group(const struct berth_explain_group *group, Berth__V1__ExplainedGroup *m)
{
    berth__v1__explained_group__init(m);
    SET_BYTES(m, name, group->name);
    SET(m, in_use, group->in_use);
}

static int put_causes(struct berth_arena *arena, const struct berth_do_explained *explained,
                      Berth__V1__Explained *m)
{
    Berth__V1__ExplainedCause *rows =
        berth_arena_alloc_array(arena, explained->cause_count, sizeof *rows);
    m->cause = rows ? translate_pointers(arena, rows, explained->cause_count, sizeof *rows) : NULL;
    if (!m->cause)
        return -ENOMEM;
    for (size_t i = 0; i < explained->cause_count; i++)
        put_cause(&explained->causes[i], &rows[i]);
    m->n_cause = explained->cause_count;
    return 0;
}

static int put_limits(struct berth_arena *arena, const struct berth_do_explained *explained,
                      Berth__V1__Explained *m)
{
    Berth__V1__ExplainedLimit *rows =
        berth_arena_alloc_array(arena, explained->limit_count, sizeof *rows);
    m->limit = rows ? translate_pointers(arena, rows, explained->limit_count, sizeof *rows) : NULL;
    if (!m->limit)
        return -ENOMEM;
    for (size_t i = 0; i < explained->limit_count; i++)
        put_limit(&explained->limits[i], &rows[i]);
    m->n_limit = explained->limit_count;
    return 0;
}

static int put_holders(struct berth_arena *arena, const struct berth_do_explained *explained,
                       Berth__V1__Explained *m)
{
    Berth__V1__ExplainedHolder *rows =
        berth_arena_alloc_array(arena, explained->holder_count, sizeof *rows);
    m->holder =
        rows ? translate_pointers(arena, rows, explained->holder_count, sizeof *rows) : NULL;
    if (!m->holder)
        return -ENOMEM;
    for (size_t i = 0; i < explained->holder_count; i++)
        put_holder(&explained->holders[i], &rows[i]);
    m->n_holder = explained->holder_count;
    SET(m, holder_count, explained->holder_sum);
    return 0;
}

static int put_groups(struct berth_arena *arena, const struct berth_do_explained *explained,
                      Berth__V1__Explained *m)
{
    Berth__V1__ExplainedGroup *rows =
        berth_arena_alloc_array(arena, explained->group_count, sizeof *rows);
    m->group = rows ? translate_pointers(arena, rows, explained->group_count, sizeof *rows) : NULL;
    if (!m->group)
        return -ENOMEM;
    for (size_t i = 0; i < explained->group_count; i++)
        put_group(&explained->groups[i], &rows[i]);
    m->n_group = explained->group_count;
    SET(m, group_count, explained->group_sum);
    return 0;
}

int translate_explained(struct berth_arena *arena, const struct berth_do_explained *explained,
                        Berth__V1__Explained *m)
{
    if (explained->id) {
        SET(m, id, explained->id);
        SET(m, state, (uint32_t)explained->state);
    }
    if (explained->dispatcher.bytes > 0)
        SET_BYTES(m, dispatcher, explained->dispatcher);
    SET(m, more, explained->more);
    int rc = put_causes(arena, explained, m);
    if (rc == 0)
        rc = put_limits(arena, explained, m);
    if (rc == 0)
        rc = put_holders(arena, explained, m);
    return rc == 0 ? put_groups(arena, explained, m) : rc;
}

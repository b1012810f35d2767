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

/* Rows, and an array of pointers to them, as a message has them. False: no memory. */
#define PUT_ROWS(arena, m, field, from, count, put)                                                \
    __extension__({                                                                                \
        size_t count_ = (count);                                                                   \
        __typeof__(**(m)->field) *rows_ = berth_arena_alloc_array(arena, count_, sizeof *rows_);   \
        (m)->field = berth_arena_alloc_array(arena, count_, sizeof *(m)->field);                   \
        bool has_memory_ = rows_ && (m)->field;                                                    \
        for (size_t i_ = 0; has_memory_ && i_ < count_; i_++) {                                    \
            put(&(from)[i_], &rows_[i_]);                                                          \
            (m)->field[i_] = &rows_[i_];                                                           \
        }                                                                                          \
        (m)->n_##field = has_memory_ ? count_ : 0;                                                 \
        has_memory_;                                                                               \
    })

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
    SET(m, holder_count, explained->holder_sum);
    SET(m, group_count, explained->group_sum);
    bool has_memory =
        PUT_ROWS(arena, m, cause, explained->causes, explained->cause_count, put_cause) &&
        PUT_ROWS(arena, m, limit, explained->limits, explained->limit_count, put_limit) &&
        PUT_ROWS(arena, m, holder, explained->holders, explained->holder_count, put_holder) &&
        PUT_ROWS(arena, m, group, explained->groups, explained->group_count, put_group);
    return has_memory ? 0 : -ENOMEM;
}

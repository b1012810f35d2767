/* SPDX-License-Identifier: MIT */
#include "client/translate_explain.h"

#include <errno.h>

#include "proto/columns.h"
#include "proto/wire.h"

int berth_pack_explain(uint64_t number, berth_job_id id, const char *dispatcher,
                       struct berth_buf *frame)
{
    Berth__V1__Explain explain = BERTH__V1__EXPLAIN__INIT;
    explain.has_id = id.v != 0;
    explain.id = id.v;
    explain.has_dispatcher = dispatcher != NULL;
    explain.dispatcher = berth_bytes_of(berth_slice_of(dispatcher));

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_EXPLAIN;
    envelope.explain = &explain;
    return berth_wire_pack(&envelope, frame);
}

/* Texts of a row; a failure is remembered and asked for at the end. */
struct texts {
    struct berth_arena *arena;
    bool has_failed;
};

static const char *take(struct texts *texts, ProtobufCBinaryData bytes)
{
    const char *from = bytes.len > 0 ? (const char *)bytes.data : "";
    const char *text = berth_arena_strndup(texts->arena, from, bytes.len);
    texts->has_failed = texts->has_failed || !text;
    return text;
}

static int take_causes(const Berth__V1__Explained *m, struct texts *texts,
                       struct berth_explanation *explanation)
{
    struct berth_cause *causes = berth_arena_alloc_array(texts->arena, m->n_cause, sizeof *causes);
    if (!causes)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_cause; i++) {
        const Berth__V1__ExplainedCause *row = m->cause[i];
        causes[i] = (struct berth_cause){
            .kind = take(texts, row->kind),
            .reason = take(texts, row->reason),
            .count = row->count,
            .job = { row->job },
            .at = take(texts, row->at),
            .group = take(texts, row->group),
            .handler = take(texts, row->handler),
            .worker = take(texts, row->worker),
            .in_use = row->in_use,
            .limit = row->limit,
            .since_unix_us = row->since_us,
            .next_unix_us = row->next_us,
            .awaited = { row->awaited },
        };
    }
    explanation->causes = causes;
    explanation->causes_count = m->n_cause;
    return 0;
}

static int take_limits(const Berth__V1__Explained *m, struct texts *texts,
                       struct berth_explanation *explanation)
{
    struct berth_limit_in_force *limits =
        berth_arena_alloc_array(texts->arena, m->n_limit, sizeof *limits);
    if (!limits)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_limit; i++) {
        const Berth__V1__ExplainedLimit *row = m->limit[i];
        limits[i] = (struct berth_limit_in_force){
            .name = take(texts, row->name),
            .has_limit = row->has_limit,
            .limit = row->limit,
            .in_use = row->in_use,
            .is_paused = row->is_paused,
            .rate_count = row->rate_count,
            .burst = row->burst,
            .rate_ms = (int64_t)row->rate_ms,
            .token_wait_ms = (int64_t)row->token_wait_ms,
            .group_limit = row->group_limit,
            .max_queued = row->max_queued,
            .queued = row->queued,
        };
    }
    explanation->limits = limits;
    explanation->limits_count = m->n_limit;
    return 0;
}

static int take_holders(const Berth__V1__Explained *m, struct texts *texts,
                        struct berth_explanation *explanation)
{
    struct berth_slot_holder *holders =
        berth_arena_alloc_array(texts->arena, m->n_holder, sizeof *holders);
    if (!holders)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_holder; i++) {
        const Berth__V1__ExplainedHolder *row = m->holder[i];
        holders[i] = (struct berth_slot_holder){
            .job = { row->job },
            .attempt = row->attempt,
            .dispatcher = take(texts, row->dispatcher),
            .worker = take(texts, row->worker),
            .since_unix_us = row->since_us,
            .is_held = row->is_held,
        };
    }
    explanation->holders = holders;
    explanation->holders_count = m->n_holder;
    explanation->holders_sum = m->holder_count;
    return 0;
}

static int take_groups(const Berth__V1__Explained *m, struct texts *texts,
                       struct berth_explanation *explanation)
{
    struct berth_full_group *groups =
        berth_arena_alloc_array(texts->arena, m->n_group, sizeof *groups);
    if (!groups)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_group; i++)
        groups[i] = (struct berth_full_group){ .name = take(texts, m->group[i]->name),
                                               .in_use = m->group[i]->in_use };
    explanation->groups = groups;
    explanation->groups_count = m->n_group;
    explanation->groups_sum = m->group_count;
    return 0;
}

int berth_translate_explained(const Berth__V1__Explained *m, struct berth_answer *answer)
{
    struct texts texts = { .arena = &answer->arena };
    struct berth_explanation *explanation = &answer->explained;
    *explanation = (struct berth_explanation){
        .id = { m->id },
        .dispatcher = take(&texts, m->dispatcher),
        .state = (enum berth_state)m->state,
        .more = m->more,
    };
    answer->type = BERTH_ANSWER_EXPLAINED;
    int rc = take_causes(m, &texts, explanation);
    if (rc == 0)
        rc = take_limits(m, &texts, explanation);
    if (rc == 0)
        rc = take_holders(m, &texts, explanation);
    if (rc == 0)
        rc = take_groups(m, &texts, explanation);
    return texts.has_failed ? -ENOMEM : rc;
}

/* SPDX-License-Identifier: MIT
 *
 * What the fake broker says to explain: a ready job waits for a slot that job 1 has, a suspended
 * one for its children, any other one for nothing; of a dispatcher that there are two causes.
 */
#include "base/text.h"
#include "internal.h"
#include "proto/columns.h"
#include "proto/errors.h"

#define SINCE_US INT64_C(1767225600000250) /* 2026-01-01T00:00:00.000250Z */

static void *get(struct berth_arena *arena, size_t count, size_t bytes)
{
    void *memory = berth_arena_zalloc(arena, count * bytes + 1);
    fake_check(memory != NULL, "arena");
    return memory;
}

#define SET(m, name, value)      ((m)->has_##name = 1, (m)->name = (value))
#define SET_TEXT(m, name, value) SET(m, name, berth_bytes_of(berth_slice_of(value)))

static void not_found(const char *field, Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    Berth__V1__Error *message = get(arena, 1, sizeof *message);
    berth_wire_error(BERTH_ENOTFOUND, field, "there is no such thing", message);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    answer->error = message;
}

static void add_cause(Berth__V1__Explained *m, struct berth_arena *arena, const char *kind,
                      const char *reason, uint64_t job, uint64_t count)
{
    Berth__V1__ExplainedCause *cause = get(arena, 1, sizeof *cause);
    berth__v1__explained_cause__init(cause);
    SET_TEXT(cause, kind, kind);
    SET_TEXT(cause, reason, reason);
    SET(cause, job, job);
    SET(cause, count, count);
    SET_TEXT(cause, at, "io");
    SET(cause, in_use, 64);
    SET(cause, limit, 64);
    SET(cause, since_us, SINCE_US);
    m->cause[m->n_cause++] = cause;
}

static void add_rest(Berth__V1__Explained *m, struct berth_arena *arena)
{
    Berth__V1__ExplainedLimit *limit = get(arena, 1, sizeof *limit);
    berth__v1__explained_limit__init(limit);
    SET_TEXT(limit, name, "io");
    SET(limit, limit, 64);
    SET(limit, in_use, 64);
    SET(limit, rate_count, 100);
    SET(limit, rate_ms, 60000);
    SET(limit, queued, 9);
    m->limit[m->n_limit++] = limit;
    Berth__V1__ExplainedHolder *holder = get(arena, 1, sizeof *holder);
    berth__v1__explained_holder__init(holder);
    SET(holder, job, 1);
    SET(holder, attempt, 2);
    SET_TEXT(holder, dispatcher, "io");
    SET_TEXT(holder, worker, "host-1");
    SET(holder, since_us, SINCE_US);
    SET(holder, is_held, 1);
    m->holder[m->n_holder++] = holder;
    SET(m, holder_count, 64);
}

void fake_answer_explain(struct fake_broker *broker, const Berth__V1__Explain *explain,
                         Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    Berth__V1__Explained *m = get(arena, 1, sizeof *m);
    berth__v1__explained__init(m);
    m->cause = get(arena, 2, sizeof *m->cause);
    m->limit = get(arena, 1, sizeof *m->limit);
    m->holder = get(arena, 1, sizeof *m->holder);
    m->group = get(arena, 1, sizeof *m->group);
    SET_TEXT(m, dispatcher, "io");
    if (explain->id > broker->jobs_count ||
        (!explain->id &&
         !berth_slice_is_equal(berth_slice_from(explain->dispatcher), berth_slice_of("io")))) {
        not_found(explain->id ? "id" : "dispatcher", answer, arena);
        return;
    }
    if (explain->id) {
        SET(m, id, explain->id);
        SET(m, state, (uint32_t)broker->jobs[explain->id - 1].state);
    }
    if (!explain->id || m->state == BERTH_READY)
        add_cause(m, arena, "slots", "the limit of io is reached: 64 of 64 slots in use",
                  explain->id ? explain->id : 7, explain->id ? 1 : 8);
    if (!explain->id) {
        Berth__V1__ExplainedGroup *group = get(arena, 1, sizeof *group);
        berth__v1__explained_group__init(group);
        SET_TEXT(group, name, "tenant");
        SET(group, in_use, 3);
        m->group[m->n_group++] = group;
        SET(m, group_count, 5);
        add_cause(m, arena, "pause", "dispatcher io is paused", 8, 1);
        SET(m, more, 11);
    }
    if (m->state == BERTH_SUSPENDED)
        add_cause(m, arena, "suspended", "its handler waits", explain->id, 1);
    if (!explain->id || m->n_cause)
        add_rest(m, arena);
    if (m->state == BERTH_SUSPENDED) {
        SET(m->holder[0], job, explain->id); /* its own attempt */
        SET(m, holder_count, 1);
    }
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_EXPLAINED;
    answer->explained = m;
}

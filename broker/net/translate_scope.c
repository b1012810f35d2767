/* SPDX-License-Identifier: MIT */
/* Scopes, both ways: what reports say of suspended attempts and of children, and what orders say of
 * them. What comes in was checked by berth_validate before. */
#include "translate_state.h"

#include <string.h>

#include "proto/columns.h"
#include "proto/errors.h"

#define SET       TRANSLATE_SET
#define SET_BYTES TRANSLATE_SET_BYTES

/* ---- what comes in ---- */

/* NULL: no memory. */
static const struct berth_suspension *read_suspensions(struct berth_arena *arena,
                                                       const uint64_t *attempts,
                                                       const uint32_t *numbers, size_t count)
{
    struct berth_suspension *rows = berth_arena_alloc_array(arena, count, sizeof *rows);
    for (size_t i = 0; rows && i < count; i++)
        rows[i] = (struct berth_suspension){ .attempt = attempts[i], .number = numbers[i] };
    return rows;
}

/* NULL: no memory. */
static const struct berth_child_submit *read_child_submits(struct berth_arena *arena,
                                                           const Berth__V1__WorkerReports *m)
{
    struct berth_child_submit *rows =
        berth_arena_alloc_array(arena, m->n_child_submit, sizeof *rows);
    for (size_t i = 0; rows && i < m->n_child_submit; i++) {
        const Berth__V1__ChildSubmit *from = m->child_submit[i];
        rows[i] = (struct berth_child_submit){ .attempt = from->attempt,
                                               .job = from->job,
                                               .ordinal = from->ordinal,
                                               .is_supervisor = from->is_supervisor };
        if (translate_jobs(arena, from->submit, &rows[i].jobs) < 0)
            return NULL;
    }
    return rows;
}

/* NULL: no memory. */
static const struct berth_child_ask *read_child_asks(struct berth_arena *arena,
                                                     const Berth__V1__WorkerReports *m)
{
    struct berth_child_ask *rows =
        berth_arena_alloc_array(arena, m->n_child_ask_attempt, sizeof *rows);
    for (size_t i = 0; rows && i < m->n_child_ask_attempt; i++)
        rows[i] = (struct berth_child_ask){ .attempt = m->child_ask_attempt[i],
                                            .job = m->child_ask_job[i] };
    return rows;
}

int translate_scope_in(struct berth_arena *arena, const Berth__V1__WorkerReports *message,
                       struct berth_ev_reports *event)
{
    const Berth__V1__WorkerReports *m = message;
    event->suspends =
        read_suspensions(arena, m->suspend_attempt, m->suspend_number, m->n_suspend_attempt);
    event->suspend_count = m->n_suspend_attempt;
    event->resumes =
        read_suspensions(arena, m->resume_attempt, m->resume_number, m->n_resume_attempt);
    event->resume_count = m->n_resume_attempt;
    event->child_submits = read_child_submits(arena, m);
    event->child_submit_count = m->n_child_submit;
    event->end_children = m->end_children_attempt;
    event->end_children_count = m->n_end_children_attempt;
    event->child_asks = read_child_asks(arena, m);
    event->child_ask_count = m->n_child_ask_attempt;
    bool has_all = event->suspends && event->resumes && event->child_submits && event->child_asks;
    return has_all ? 0 : -ENOMEM;
}

/* ---- what goes out ---- */

static int put_resumes(struct berth_arena *arena, const struct berth_do_orders *from,
                       Berth__V1__WorkerOrders *m)
{
    const size_t count = from->resume_count;
    m->resume_attempt = berth_arena_alloc_array(arena, count, sizeof *m->resume_attempt);
    m->resume_number = berth_arena_alloc_array(arena, count, sizeof *m->resume_number);
    if (!m->resume_attempt || !m->resume_number)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        m->resume_attempt[i] = from->resumes[i].attempt;
        m->resume_number[i] = from->resumes[i].number;
    }
    m->n_resume_attempt = m->n_resume_number = count;
    return 0;
}

/* A refusal of all is one entry. */
static int put_refusal(struct berth_arena *arena, const struct berth_do_error *refusal,
                       Berth__V1__Submitted *m)
{
    m->id = berth_arena_zalloc(arena, sizeof *m->id);
    m->refused = berth_arena_zalloc(arena, sizeof *m->refused);
    m->refused_code = berth_arena_zalloc(arena, sizeof *m->refused_code);
    m->refused_field = berth_arena_zalloc(arena, sizeof *m->refused_field);
    m->refused_message = berth_arena_zalloc(arena, sizeof *m->refused_message);
    if (!m->id || !m->refused || !m->refused_code || !m->refused_field || !m->refused_message)
        return -ENOMEM;
    m->refused_code[0] = berth_wire_code(refusal->code);
    m->refused_field[0] = berth_bytes_of(berth_slice_of(refusal->field));
    m->refused_message[0] = berth_bytes_of(berth_slice_of(refusal->message));
    m->n_id = m->n_refused = m->n_refused_code = m->n_refused_field = m->n_refused_message = 1;
    return 0;
}

static int put_ids(struct berth_arena *arena, const struct berth_order_children *from,
                   Berth__V1__Submitted *m)
{
    m->id = berth_arena_alloc_array(arena, from->count, sizeof *m->id);
    if (!m->id)
        return -ENOMEM;
    memcpy(m->id, from->ids, from->count * sizeof *m->id);
    m->n_id = from->count;
    return 0;
}

static int put_children(struct berth_arena *arena, const struct berth_do_orders *from,
                        Berth__V1__WorkerOrders *m)
{
    const size_t count = from->children_count;
    Berth__V1__ChildSubmitted *rows = berth_arena_alloc_array(arena, count, sizeof *rows);
    Berth__V1__Submitted *answers = berth_arena_alloc_array(arena, count, sizeof *answers);
    m->child_submitted = berth_arena_alloc_array(arena, count, sizeof(void *));
    if (!rows || !answers || !m->child_submitted)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct berth_order_children *children = &from->children[i];
        berth__v1__child_submitted__init(&rows[i]);
        berth__v1__submitted__init(&answers[i]);
        SET(&rows[i], attempt, children->attempt);
        SET(&rows[i], ordinal, children->ordinal);
        rows[i].submitted = &answers[i];
        m->child_submitted[i] = &rows[i];
        int rc = children->count > 0 ? put_ids(arena, children, &answers[i])
                                     : put_refusal(arena, &children->refusal, &answers[i]);
        if (rc < 0)
            return rc;
    }
    m->n_child_submitted = count;
    return 0;
}

static bool make_end_columns(struct berth_arena *arena, size_t count, Berth__V1__WorkerOrders *m)
{
    m->child_end_attempt = berth_arena_alloc_array(arena, count, sizeof *m->child_end_attempt);
    m->child_end_job = berth_arena_alloc_array(arena, count, sizeof *m->child_end_job);
    m->child_end_state = berth_arena_alloc_array(arena, count, sizeof *m->child_end_state);
    m->child_end_kind = berth_arena_alloc_array(arena, count, sizeof *m->child_end_kind);
    m->child_end_message_bytes =
        berth_arena_alloc_array(arena, count, sizeof *m->child_end_message_bytes);
    return m->child_end_attempt && m->child_end_job && m->child_end_state && m->child_end_kind &&
           m->child_end_message_bytes;
}

/* The messages, one behind the other. */
static int put_messages(struct berth_arena *arena, const struct berth_do_orders *from,
                        Berth__V1__WorkerOrders *m)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < from->child_end_count; i++)
        bytes += from->child_ends[i].error_message.bytes;
    uint8_t *messages = berth_arena_alloc(arena, bytes);
    if (!messages)
        return -ENOMEM;
    for (size_t i = 0; i < from->child_end_count; i++) {
        const struct berth_slice message = from->child_ends[i].error_message;
        if (message.bytes > 0)
            memcpy(messages + at, message.data, message.bytes);
        at += message.bytes;
        m->child_end_message_bytes[i] = (uint32_t)message.bytes;
    }
    m->n_child_end_message_bytes =
        berth_column_trim_u32(m->child_end_message_bytes, from->child_end_count);
    if (bytes > 0)
        SET_BYTES(m, child_end_messages, ((struct berth_slice){ messages, bytes }));
    return 0;
}

static int put_child_ends(struct berth_arena *arena, const struct berth_do_orders *from,
                          Berth__V1__WorkerOrders *m)
{
    const size_t count = from->child_end_count;
    struct berth_names kinds;
    if (!make_end_columns(arena, count, m) ||
        berth_names_init(&kinds, BERTH_ERROR_KINDS_MAX, arena) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct berth_order_child_end *end = &from->child_ends[i];
        int64_t kind = end->error_kind.bytes > 0 ? berth_names_put(&kinds, end->error_kind) : -1;
        if (end->error_kind.bytes > 0 && kind < 0)
            return -EMSGSIZE;
        m->child_end_attempt[i] = end->attempt;
        m->child_end_job[i] = end->job;
        m->child_end_state[i] = end->state;
        m->child_end_kind[i] = (uint32_t)(kind + 1);
    }
    m->n_child_end_attempt = m->n_child_end_job = m->n_child_end_state = count;
    m->n_child_end_kind = berth_column_trim_u32(m->child_end_kind, count);
    m->child_end_kinds = kinds.items;
    m->n_child_end_kinds = kinds.count;
    return put_messages(arena, from, m);
}

int translate_scope_out(struct berth_arena *arena, const struct berth_do_orders *orders,
                        Berth__V1__WorkerOrders *message)
{
    int rc = orders->resume_count > 0 ? put_resumes(arena, orders, message) : 0;
    if (rc == 0 && orders->children_count > 0)
        rc = put_children(arena, orders, message);
    if (rc == 0 && orders->child_end_count > 0)
        rc = put_child_ends(arena, orders, message);
    return rc;
}

/* SPDX-License-Identifier: MIT */
/* Suspended attempts and their children, on the wire; see translate_scope.h. */
#include "worker/net/translate_scope.h"

#include <errno.h>
#include <string.h>

#include "proto/columns.h"
#include "proto/errors.h"

#define CHILD_SUBMIT_SUBMIT 5  /* the field that holds a whole Submit */
#define VARINT_BYTES_MAX    10 /* of a length in front of it */

/* ---- in ---- */

static const struct agent_suspension *take_resumes(const Berth__V1__WorkerOrders *m,
                                                   struct berth_arena *arena)
{
    struct agent_suspension *rows =
        berth_arena_alloc_array(arena, m->n_resume_attempt, sizeof *rows);
    for (size_t i = 0; rows && i < m->n_resume_attempt; i++)
        rows[i] = (struct agent_suspension){ m->resume_attempt[i], m->resume_number[i] };
    return rows;
}

/* One refusal stands for all. */
static const struct agent_submitted *take_submitted(const Berth__V1__WorkerOrders *m,
                                                    struct berth_arena *arena)
{
    struct agent_submitted *rows =
        berth_arena_alloc_array(arena, m->n_child_submitted, sizeof *rows);
    for (size_t i = 0; rows && i < m->n_child_submitted; i++) {
        const Berth__V1__ChildSubmitted *from = m->child_submitted[i];
        const Berth__V1__Submitted *answer = from->submitted;
        rows[i] = (struct agent_submitted){ .attempt = from->attempt, .ordinal = from->ordinal };
        if (answer->n_refused == 0) {
            rows[i].ids = answer->id;
            rows[i].count = answer->n_id;
            continue;
        }
        rows[i].code = berth_wire_rc(answer->refused_code[0]);
        if (answer->n_refused_message > 0)
            rows[i].message = berth_slice_from(answer->refused_message[0]);
    }
    return rows;
}

static const struct agent_child_end *take_child_ends(const Berth__V1__WorkerOrders *m,
                                                     struct berth_arena *arena)
{
    struct agent_child_end *rows =
        berth_arena_alloc_array(arena, m->n_child_end_attempt, sizeof *rows);
    struct berth_spans messages = berth_spans_of(
        m->child_end_message_bytes, m->n_child_end_message_bytes, m->child_end_messages);
    for (size_t i = 0; rows && i < m->n_child_end_attempt; i++) {
        uint32_t kind = berth_column_u32(m->child_end_kind, m->n_child_end_kind, i);
        rows[i] = (struct agent_child_end){
            .attempt = m->child_end_attempt[i],
            .job = m->child_end_job[i],
            .state = (enum berth_state)m->child_end_state[i],
            .error_message = berth_spans_next(&messages),
        };
        if (kind > 0)
            rows[i].error_kind = berth_slice_from(m->child_end_kinds[kind - 1]);
    }
    return rows;
}

int translate_scope_in(const Berth__V1__WorkerOrders *message, struct berth_arena *arena,
                       struct agent_event *event)
{
    event->orders.resumes = take_resumes(message, arena);
    event->orders.resume_count = message->n_resume_attempt;
    event->orders.submitted = take_submitted(message, arena);
    event->orders.submitted_count = message->n_child_submitted;
    event->orders.child_ends = take_child_ends(message, arena);
    event->orders.child_end_count = message->n_child_end_attempt;
    bool has_all = event->orders.resumes && event->orders.submitted && event->orders.child_ends;
    return has_all ? 0 : -ENOMEM;
}

/* ---- out ---- */

static bool put_suspensions(const struct agent_suspension *rows, size_t count,
                            struct berth_arena *arena, uint64_t **ret_attempts,
                            uint32_t **ret_numbers)
{
    *ret_attempts = berth_arena_alloc_array(arena, count, sizeof **ret_attempts);
    *ret_numbers = berth_arena_alloc_array(arena, count, sizeof **ret_numbers);
    if (!*ret_attempts || !*ret_numbers)
        return false;
    for (size_t i = 0; i < count; i++) {
        (*ret_attempts)[i] = rows[i].attempt;
        (*ret_numbers)[i] = rows[i].number;
    }
    return true;
}

static bool put_asks(const struct agent_child *asks, size_t count, struct berth_arena *arena,
                     Berth__V1__WorkerReports *m)
{
    m->child_ask_attempt = berth_arena_alloc_array(arena, count, sizeof *m->child_ask_attempt);
    m->child_ask_job = berth_arena_alloc_array(arena, count, sizeof *m->child_ask_job);
    if (!m->child_ask_attempt || !m->child_ask_job)
        return false;
    for (size_t i = 0; i < count; i++) {
        m->child_ask_attempt[i] = asks[i].attempt;
        m->child_ask_job[i] = asks[i].job;
    }
    m->n_child_ask_attempt = m->n_child_ask_job = count;
    return true;
}

static bool put_end_children(const uint64_t *attempts, size_t count, struct berth_arena *arena,
                             Berth__V1__WorkerReports *m)
{
    m->end_children_attempt =
        berth_arena_alloc_array(arena, count, sizeof *m->end_children_attempt);
    if (!m->end_children_attempt)
        return false;
    for (size_t i = 0; i < count; i++)
        m->end_children_attempt[i] = attempts[i];
    m->n_end_children_attempt = count;
    return true;
}

/* A submit is packed already: it stands in its message as a field that protobuf-c does not look
 * at, its length in front. */
static bool put_packed(struct berth_slice packed, struct berth_arena *arena,
                       ProtobufCMessage *message)
{
    ProtobufCMessageUnknownField *field = berth_arena_alloc(arena, sizeof *field);
    uint8_t *data = berth_arena_alloc(arena, VARINT_BYTES_MAX + packed.bytes);
    if (!field || !data)
        return false;
    size_t bytes = 0;
    for (size_t left = packed.bytes; left > 0 || bytes == 0; left >>= 7)
        data[bytes++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    if (packed.bytes > 0)
        memcpy(data + bytes, packed.data, packed.bytes);
    *field = (ProtobufCMessageUnknownField){ .tag = CHILD_SUBMIT_SUBMIT,
                                             .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                             .len = bytes + packed.bytes,
                                             .data = data };
    message->n_unknown_fields = 1;
    message->unknown_fields = field;
    return true;
}

static bool put_submits(const struct agent_submit *submits, size_t count, struct berth_arena *arena,
                        Berth__V1__WorkerReports *m)
{
    Berth__V1__ChildSubmit *rows = berth_arena_alloc_array(arena, count, sizeof *rows);
    m->child_submit = berth_arena_alloc_array(arena, count, sizeof(void *));
    if (!rows || !m->child_submit)
        return false;
    for (size_t i = 0; i < count; i++) {
        berth__v1__child_submit__init(&rows[i]);
        rows[i].has_attempt = rows[i].has_job = rows[i].has_ordinal = 1;
        rows[i].attempt = submits[i].attempt;
        rows[i].job = submits[i].job;
        rows[i].ordinal = submits[i].ordinal;
        rows[i].has_is_supervisor = rows[i].is_supervisor = submits[i].is_supervisor;
        if (!put_packed(submits[i].submit, arena, &rows[i].base))
            return false;
        m->child_submit[i] = &rows[i];
    }
    m->n_child_submit = count;
    return true;
}

int translate_scope_out(const struct agent_effect *effect, struct berth_arena *arena,
                        Berth__V1__WorkerReports *m)
{
    size_t suspends = effect->reports.suspend_count, resumes = effect->reports.resume_count;
    bool has_all = put_suspensions(effect->reports.suspends, suspends, arena, &m->suspend_attempt,
                                   &m->suspend_number) &&
                   put_suspensions(effect->reports.resumes, resumes, arena, &m->resume_attempt,
                                   &m->resume_number) &&
                   put_submits(effect->reports.submits, effect->reports.submit_count, arena, m) &&
                   put_end_children(effect->reports.end_children,
                                    effect->reports.end_children_count, arena, m) &&
                   put_asks(effect->reports.asks, effect->reports.ask_count, arena, m);
    m->n_suspend_attempt = m->n_suspend_number = suspends;
    m->n_resume_attempt = m->n_resume_number = resumes;
    return has_all ? 0 : -ENOMEM;
}

int translate_suspensions(const struct agent_line *lines, size_t count, struct berth_arena *arena,
                          Berth__V1__WorkerJoin *message)
{
    message->suspensions = berth_arena_alloc_array(arena, count, sizeof *message->suspensions);
    if (!message->suspensions)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        message->suspensions[i] = lines[i].suspensions;
    message->n_suspensions = berth_column_trim_u32(message->suspensions, count);
    return 0;
}

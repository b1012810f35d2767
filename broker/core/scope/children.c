/* SPDX-License-Identifier: MIT */
#include "children.h"

#include <errno.h>
#include <inttypes.h>

#include "broker/core/batch.h"
#include "broker/core/life/attempt.h"
#include "broker/core/show/query.h"
#include "broker/core/step.h"
#include "broker/core/submit/submit.h"
#include "broker/core/worker/outbox.h"
#include "scope.h"
#include "suspend.h"

#define ASK_IDS_MAX 1000 /* of one question to the store */

/* The attempt, if this session runs it. */
static struct attempt *running(const struct berth_core *core, const struct session *session,
                               uint64_t id)
{
    struct attempt *attempt = attempt_find(core, id);
    bool is_it = attempt && attempt->session == session && attempt->state == ATTEMPT_RUNNING;
    return is_it ? attempt : NULL;
}

static void ask_for(struct berth_core *core, struct session *session, uint64_t attempt,
                    const uint64_t *ids, size_t count)
{
    if (count && !query_children(core, attempt, ids, count))
        session->shall_join_again = true;
}

/* ---- submits ---- */

static void refuse(struct berth_core *core, struct session *session,
                   const struct berth_child_submit *submit, int code, const char *message)
{
    struct pending *answer = pending_new(PENDING_CHILDREN, 0, 0);
    if (!answer) {
        session->shall_join_again = true;
        return;
    }
    answer->attempt = submit->attempt;
    answer->ordinal = submit->ordinal;
    answer->refusal = (struct berth_do_error){
        .code = code, .field = "", .message = berth_arena_strdup(&answer->memory, message)
    };
    if (!answer->refusal.message)
        answer->refusal.message = "the broker has no memory to say why";
    outbox_children(core, session, answer);
}

static void take_submit(struct berth_core *core, struct session *session,
                        const struct berth_child_submit *submit)
{
    struct attempt *attempt = running(core, session, submit->attempt);
    if (!attempt || attempt->job_id != submit->job) {
        refuse(core, session, submit, BERTH_EDENIED,
               "only the attempt that runs a job submits children of it");
        return;
    }
    if (job_at(&core->jobs, attempt->job)->flags & JOB_CANCEL_ASKED) {
        refuse(core, session, submit, BERTH_EDENIED,
               step_text(core, "job %" PRIu64 " is being cancelled: it gets no more children",
                         submit->job));
        return;
    }
    submit_children(core, attempt, submit);
}

/* Children that were found and do not live: how they ended is told behind the answer. */
static void tell_found(struct berth_core *core, struct session *session,
                       const struct pending *answer)
{
    if (answer->refusal.code)
        return;
    uint64_t *ids = step_alloc(core, answer->count, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        uint64_t id = answer->submitted[i].id;
        if (!answer->submitted[i].is_existing || scope_find_child(core, id))
            continue;
        ids[count++] = id;
        if (count < ASK_IDS_MAX)
            continue;
        ask_for(core, session, answer->attempt, ids, count);
        count = 0;
    }
    ask_for(core, session, answer->attempt, ids, count);
}

/* In each join the worker asks again for what is not answered, and one question is to have one
 * answer: after a refusal, which is of the first, the second could be taken. */
static bool is_awaited(const struct attempt *attempt, const struct pending *answer)
{
    return attempt && attempt->state == ATTEMPT_RUNNING &&
           attempt->session->state == SESSION_LIVE && attempt->session->join == answer->join;
}

void children_answer(struct berth_core *core, struct pending *answer)
{
    struct attempt *attempt = attempt_find(core, answer->attempt);
    if (!is_awaited(attempt, answer)) {
        pending_free(answer);
        return;
    }
    tell_found(core, attempt->session, answer);
    outbox_children(core, attempt->session, answer);
}

/* ---- how they ended ---- */

static void tell(struct berth_core *core, struct session *session,
                 const struct berth_order_child_end *order)
{
    struct child_end *end = block_new(sizeof *end);
    if (end)
        outbox_child_end(core, session, end, order);
    else
        session->shall_join_again = true;
}

/* One that lives is told of when it ends. */
static void ask_store(struct berth_core *core, struct session *session,
                      const struct berth_child_ask *asks, size_t count)
{
    uint64_t *ids = step_alloc(core, count, sizeof *ids);
    size_t id_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct child *child = scope_find_child(core, asks[i].job);
        if (!child || child->attempt != asks[i].attempt)
            ids[id_count++] = asks[i].job;
    }
    ask_for(core, session, asks[0].attempt, ids, id_count);
}

/* Whose attempt is nobody's any more waits for its children to no end: whatever became of them, it
 * shall end. */
static void let_end(struct berth_core *core, struct session *session,
                    const struct berth_child_ask *asks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct berth_order_child_end order = { .attempt = asks[i].attempt,
                                                     .job = asks[i].job,
                                                     .state = BERTH_CANCELLED };
        tell(core, session, &order);
    }
}

static bool is_doomed(const struct berth_core *core, const struct session *session, uint64_t id)
{
    const struct attempt *attempt = attempt_find(core, id);
    return attempt && attempt->session == session && attempt->state == ATTEMPT_DOOMED;
}

/* Each question is of one attempt. */
static void take_asks(struct berth_core *core, struct session *session,
                      const struct berth_child_ask *asks, size_t count)
{
    for (size_t from = 0, to; from < count; from = to) {
        to = from + 1;
        while (to < count && to - from < ASK_IDS_MAX && asks[to].attempt == asks[from].attempt)
            to++;
        if (running(core, session, asks[from].attempt))
            ask_store(core, session, &asks[from], to - from);
        else if (is_doomed(core, session, asks[from].attempt))
            let_end(core, session, &asks[from], to - from);
    }
}

/* A row that is not there, or is another's: what it left is lost. */
static struct berth_order_child_end order_end(struct berth_core *core, uint64_t attempt,
                                              uint64_t job, const struct berth_job_record *row)
{
    struct berth_order_child_end order = { .attempt = attempt, .job = job, .state = BERTH_DEAD };
    if (!row || row->state < BERTH_COMPLETED) {
        order.error_kind = slice_of("lost");
        order.error_message =
            slice_of(step_text(core, "how job %" PRIu64 " ended is not known any more", job));
        return order;
    }
    order.state = row->state;
    order.error_kind = row->last.error_kind;
    order.error_message = row->last.error_message;
    return order;
}

void children_on_ended(struct berth_core *core, uint64_t id, const uint64_t *ids, size_t count,
                       const struct berth_ev_read *read)
{
    struct attempt *attempt = attempt_find(core, id);
    if (!attempt || attempt->state != ATTEMPT_RUNNING || attempt->session->state != SESSION_LIVE)
        return;
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        const struct berth_job_record *found = query_next_row(read, &row, ids[i]);
        const struct child *child = scope_find_child(core, ids[i]);
        if (child && child->attempt == id)
            continue; /* it lives, and is told of when it ends */
        bool is_ours = found && found->parent == attempt->job_id;
        const struct berth_order_child_end order =
            order_end(core, id, ids[i], is_ours ? found : NULL);
        tell(core, attempt->session, &order);
    }
}

void children_ask_again(const struct berth_core *core, uint64_t id)
{
    struct attempt *attempt = attempt_find(core, id);
    if (attempt)
        attempt->session->shall_join_again = true;
}

/* ---- reports ---- */

void children_on_reports(struct berth_core *core, struct session *session,
                         const struct berth_ev_reports *ev)
{
    for (size_t i = 0; i < ev->child_submit_count; i++)
        take_submit(core, session, &ev->child_submits[i]);
    for (size_t i = 0; i < ev->suspend_count; i++)
        suspend_take(core, session, ev->suspends[i].attempt, ev->suspends[i].number);
    for (size_t i = 0; i < ev->resume_count; i++)
        suspend_ask(core, session, ev->resumes[i].attempt, ev->resumes[i].number);
    for (size_t i = 0; i < ev->end_children_count; i++) {
        const struct attempt *attempt = running(core, session, ev->end_children[i]);
        if (attempt)
            scope_cancel_below(core, attempt->job_id, SCOPE_PARENT_OVER, false);
    }
    take_asks(core, session, ev->child_asks, ev->child_ask_count);
}

/* SPDX-License-Identifier: MIT */
/* What attempts ask of the broker while they run, and what it answers: to be suspended and to go
 * on, children, and how these ended. The state behind it is agent_scope.c's. */
#include "worker/core/agent_private.h"
#include "worker/core/agent_scope.h"

#include "base/assert.h"

/* ---- what this process says ---- */

/* Of attempts that have not ended, as the shell knows. */
static struct agent_attempt *get(struct agent *agent, uint64_t id)
{
    struct agent_attempt *attempt = agent_table_find(&agent->table, id);
    BERTH_ASSERT(attempt);
    BERTH_ASSERT(agent_table_is_live(attempt));
    return attempt;
}

void agent_take_suspend(struct agent *agent, uint64_t id)
{
    agent_scope_suspend(&agent->table, get(agent, id));
}

void agent_take_resume_me(struct agent *agent, uint64_t id)
{
    agent_scope_resume_me(&agent->table, get(agent, id));
}

void agent_take_children(struct agent *agent, const struct agent_submit *submit)
{
    if (agent_scope_submit(&agent->table, get(agent, submit->attempt), submit) < 0)
        agent->is_out_of_memory = true;
}

/* ---- what the broker answers ---- */

/* A live attempt, or NULL: what comes too late is ignored. */
static struct agent_attempt *find(struct agent *agent, uint64_t id)
{
    struct agent_attempt *attempt = agent_table_find(&agent->table, id);
    return attempt && agent_table_is_live(attempt) ? attempt : NULL;
}

/* After a child less is waited for. */
static void conclude(struct agent *agent, struct agent_attempt *attempt)
{
    if (!attempt->scope.is_body_over || agent_scope_is_open(attempt))
        return;
    if (agent_table_conclude(&agent->table, attempt) < 0)
        agent->is_out_of_memory = true;
}

static void take_resume(struct agent *agent, const struct agent_suspension *order)
{
    struct agent_attempt *attempt = find(agent, order->attempt);
    if (attempt && agent_scope_resume(&agent->table, attempt, order->number))
        agent_effect_push(agent, AGENT_DO_RESUME)->resume.attempt = order->attempt;
}

static void take_submitted(struct agent *agent, const struct agent_submitted *answer)
{
    struct agent_attempt *attempt = find(agent, answer->attempt);
    int rc = attempt ? agent_scope_submitted(&agent->table, attempt, answer) : 0;
    agent->is_out_of_memory |= rc < 0;
    if (rc <= 0)
        return;
    if (!attempt->scope.is_body_over)
        agent_effect_push(agent, AGENT_DO_CHILDREN)->children = *answer;
    conclude(agent, attempt);
}

static void take_child_end(struct agent *agent, const struct agent_child_end *end)
{
    struct agent_attempt *attempt = find(agent, end->attempt);
    bool fails;
    int rc = attempt ? agent_scope_child_ended(&agent->table, attempt, end, &fails) : 0;
    agent->is_out_of_memory |= rc < 0;
    if (rc <= 0)
        return;
    if (!attempt->scope.is_body_over)
        agent_effect_push(agent, AGENT_DO_CHILD_ENDED)->child_ended = *end;
    if (fails)
        agent_cancel(agent, attempt, AGENT_CANCEL_CHILD, attempt->grace_ms);
    conclude(agent, attempt);
}

/* Children are known before their ends are. */
void agent_take_scope_orders(struct agent *agent, const struct agent_event *event)
{
    for (size_t i = 0; i < event->orders.submitted_count; i++)
        take_submitted(agent, &event->orders.submitted[i]);
    for (size_t i = 0; i < event->orders.child_end_count; i++)
        take_child_end(agent, &event->orders.child_ends[i]);
    for (size_t i = 0; i < event->orders.resume_count; i++)
        take_resume(agent, &event->orders.resumes[i]);
}

/* ---- what the broker is told ---- */

static bool calls_init(struct agent *agent, struct agent_calls *calls)
{
    calls->suspends = agent_step_array(agent, AGENT_ASKS_MAX, sizeof *calls->suspends);
    calls->resumes = agent_step_array(agent, AGENT_ASKS_MAX, sizeof *calls->resumes);
    calls->end_children = agent_step_array(agent, AGENT_ASKS_MAX, sizeof *calls->end_children);
    return calls->suspends && calls->resumes && calls->end_children;
}

void agent_tell_calls(struct agent *agent)
{
    for (size_t i = 0; i < AGENT_TELLS_MAX && agent_scope_has_news(&agent->table); i++) {
        struct agent_calls calls;
        struct agent_submit *submits = agent_step_array(agent, AGENT_SUBMITS_MAX, sizeof *submits);
        struct agent_child *asks = agent_step_array(agent, AGENT_ASKS_MAX, sizeof *asks);
        if (!calls_init(agent, &calls) || !submits || !asks)
            return;
        struct agent_effect *effect = agent_reports_push(agent);
        agent_scope_take_calls(&agent->table, &calls, AGENT_ASKS_MAX);
        effect->reports.suspends = calls.suspends;
        effect->reports.suspend_count = calls.suspend_count;
        effect->reports.resumes = calls.resumes;
        effect->reports.resume_count = calls.resume_count;
        effect->reports.end_children = calls.end_children;
        effect->reports.end_children_count = calls.end_children_count;
        effect->reports.submits = submits;
        effect->reports.submit_count =
            agent_scope_take_submits(&agent->table, submits, AGENT_SUBMITS_MAX);
        effect->reports.asks = asks;
        effect->reports.ask_count = agent_scope_take_asks(&agent->table, asks, AGENT_ASKS_MAX);
    }
}

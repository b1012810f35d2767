/* SPDX-License-Identifier: MIT */
/* The worker's side of the protocol; see agent.h. Here are the step, the orders, what is told, and
 * the drain; the session is in agent_session.c, what attempts ask for in agent_calls.c, the
 * attempts are in agent_table.c. */
#include "worker/core/agent_private.h"
#include "worker/core/agent_scope.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define STEP_BYTES_MAX    (64u << 20) /* of one step's lists: twice AGENT_CAPACITY_MAX lines */
#define EFFECTS_COUNT_MIN 16

#define BIT(state) (1u << (state))

static const uint8_t state_next[AGENT_STATE_COUNT] = {
    [AGENT_NEW] = BIT(AGENT_JOINED) | BIT(AGENT_OVER),
    [AGENT_JOINED] = BIT(AGENT_JOINING) | BIT(AGENT_OVER),
    [AGENT_JOINING] = BIT(AGENT_JOINED) | BIT(AGENT_JOINING) | BIT(AGENT_OVER),
    [AGENT_OVER] = 0,
};

static void take_event(struct agent *agent, const struct agent_event *event);
static void mind_time(struct agent *agent);
static void tell(struct agent *agent);
static void tell_ends(struct agent *agent);
static void tell_news(struct agent *agent);
static void mind_drain(struct agent *agent);

/* ---- life ---- */

struct agent *agent_new(const struct agent_opts *opts)
{
    BERTH_ASSERT(opts->capacity >= 1);
    BERTH_ASSERT(opts->capacity <= AGENT_CAPACITY_MAX);
    BERTH_ASSERT(opts->suspended_max <= AGENT_CAPACITY_MAX - opts->capacity);
    BERTH_ASSERT(!opts->is_alone || opts->capacity == 1);
    BERTH_ASSERT(!opts->is_alone || opts->suspended_max == 0);
    struct agent *agent = calloc(1, sizeof *agent);
    if (!agent)
        return NULL;
    agent->opts = *opts;
    agent->epoch_seen = opts->epoch_seen;
    agent->lineage_seen = opts->lineage_seen;
    agent->hello_first_ms = INT64_MAX;
    agent->stop_due_ms = INT64_MAX;
    agent->alone_due_ms = INT64_MAX;
    agent->join_wait_ms = AGENT_JOIN_EVERY_MS_MIN;
    berth_rng_init(&agent->rng, opts->seed);
    berth_arena_init(&agent->arena, STEP_BYTES_MAX);
    agent->effects = calloc(EFFECTS_COUNT_MIN, sizeof *agent->effects);
    agent->effect_room = EFFECTS_COUNT_MIN;
    if (!agent->effects ||
        agent_table_init(&agent->table, opts->capacity, opts->suspended_max) < 0) {
        free(agent->effects);
        free(agent);
        return NULL;
    }
    return agent;
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    agent_table_fini(&agent->table);
    berth_arena_fini(&agent->arena);
    free(agent->effects);
    free(agent);
}

void agent_move(struct agent *agent, enum agent_state next)
{
    BERTH_ASSERT(state_next[agent->state] & BIT(next));
    agent->state = next;
}

/* ---- effects ---- */

struct agent_effect *agent_effect_push(struct agent *agent, enum agent_effect_type type)
{
    /* What cannot be said is written over the last one: the step fails as a whole. */
    if (agent->effect_count == agent->effect_room) {
        size_t room = agent->effect_room * 2;
        struct agent_effect *more = realloc(agent->effects, room * sizeof *more);
        if (more) {
            agent->effects = more;
            agent->effect_room = room;
        } else {
            agent->is_out_of_memory = true;
            agent->effect_count--;
        }
    }
    struct agent_effect *effect = &agent->effects[agent->effect_count++];
    *effect = (struct agent_effect){ .type = type };
    return effect;
}

/* An array of this step, or NULL: then the step fails. */
void *agent_step_array(struct agent *agent, size_t count, size_t element_bytes)
{
    void *array = berth_arena_alloc_array(&agent->arena, count, element_bytes);
    agent->is_out_of_memory |= array == NULL;
    return array;
}

void agent_leave(struct agent *agent, enum agent_exit why, const char *reason)
{
    agent_move(agent, AGENT_OVER);
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_EXIT);
    effect->exit.why = why;
    effect->exit.reason = reason;
}

/* One whose handler is over has nobody to be told: its children are to end, or, when we stop, it is
 * handed back as it is. */
static void cancel_scope(struct agent *agent, struct agent_attempt *attempt,
                         enum agent_cancel_reason reason)
{
    if (reason != AGENT_CANCEL_STOP)
        agent_scope_end_children(&agent->table, attempt);
    else if (agent_table_conclude(&agent->table, attempt) < 0)
        agent->is_out_of_memory = true;
}

void agent_cancel(struct agent *agent, struct agent_attempt *attempt,
                  enum agent_cancel_reason reason, int64_t grace_ms)
{
    if (!agent_table_cancel(&agent->table, attempt, reason, agent->now_ms))
        return;
    if (attempt->scope.is_body_over) {
        cancel_scope(agent, attempt, reason);
        return;
    }
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_CANCEL);
    effect->cancel.attempt = attempt->by_id.id;
    effect->cancel.reason = reason;
    effect->cancel.grace_ms = grace_ms;
}

/* ---- the step ---- */

int agent_step(struct agent *agent, const struct agent_event *event,
               struct agent_effects *ret_effects)
{
    BERTH_ASSERT(event->now_ms >= agent->now_ms);
    agent->now_ms = event->now_ms;
    agent->effect_count = 0;
    berth_arena_reset(&agent->arena);

    if (agent->state != AGENT_OVER && agent_is_lease_over(agent))
        agent_leave_without_lease(agent);
    if (agent->state != AGENT_OVER)
        take_event(agent, event);
    if (agent->state != AGENT_OVER)
        mind_time(agent);
    if (agent->is_out_of_memory)
        return -ENOMEM;
    *ret_effects = (struct agent_effects){ agent->effects, agent->effect_count };
    return 0;
}

/* ---- orders ---- */

static bool has_handler(const struct agent *agent, struct berth_slice name)
{
    for (size_t i = 0; i < agent->opts.handler_count; i++) {
        const char *handler = agent->opts.handlers[i];
        if (strlen(handler) == name.bytes && memcmp(handler, name.data, name.bytes) == 0)
            return true;
    }
    return false;
}

/* 0: it is started, or was before. */
static enum agent_release_reason grant(struct agent *agent, const struct agent_grant *grant)
{
    if (agent_table_find(&agent->table, grant->attempt))
        return 0;
    if (agent->is_draining)
        return AGENT_RELEASE_DRAINING;
    if (!has_handler(agent, grant->handler))
        return AGENT_RELEASE_NO_HANDLER;
    if (agent_table_grant(&agent->table, grant, agent->now_ms) < 0)
        return AGENT_RELEASE_NO_MEMORY;
    agent->alone_due_ms = INT64_MAX;
    agent_effect_push(agent, AGENT_DO_START)->start = *grant;
    return 0;
}

struct agent_effect *agent_reports_push(struct agent *agent)
{
    agent->sent++;
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_REPORTS);
    effect->reports.session = agent->session;
    effect->reports.epoch = agent->epoch;
    effect->reports.join = agent->join;
    effect->reports.number = agent->sent;
    effect->reports.is_draining = agent->is_draining;
    if (agent->is_draining && !agent->is_drain_told) {
        agent->is_drain_told = true;
        agent->drain_number = agent->sent;
    }
    return effect;
}

static void take_grants(struct agent *agent, const struct agent_grant *grants, size_t count)
{
    uint64_t *attempts = agent_step_array(agent, count, sizeof *attempts);
    enum agent_release_reason *reasons = agent_step_array(agent, count, sizeof *reasons);
    if (!attempts || !reasons)
        return;
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        enum agent_release_reason reason = grant(agent, &grants[i]);
        if (reason == 0)
            continue;
        attempts[refused] = grants[i].attempt;
        reasons[refused++] = reason;
    }
    if (refused == 0)
        return;
    struct agent_effect *effect = agent_reports_push(agent);
    effect->reports.release_attempts = attempts;
    effect->reports.release_reasons = reasons;
    effect->reports.release_count = refused;
}

static void take_acks(struct agent *agent, const uint64_t *attempts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct agent_attempt *attempt = agent_table_find(&agent->table, attempts[i]);
        if (attempt && attempt->state == AGENT_ENDED)
            agent_table_forget(&agent->table, attempt);
    }
}

static void take_orders(struct agent *agent, const struct agent_event *event)
{
    if (!agent_is_current(agent, event->orders.session, event->orders.epoch, event->orders.join))
        return;
    if (event->orders.number <= agent->taken)
        return;
    if (event->orders.number > agent->taken + 1) {
        agent_join_begin(agent);
        return;
    }
    agent->taken++;
    /* Acknowledgements first: they make room for the grants; a cancel may be of a grant beside it.
     */
    take_acks(agent, event->orders.acks, event->orders.ack_count);
    take_grants(agent, event->orders.grants, event->orders.grant_count);
    agent_take_scope_orders(agent, event);
    if (event->orders.start_alone > 0 && agent->opts.can_start_alone && !agent->is_draining)
        agent_effect_push(agent, AGENT_DO_START_ALONE)->start_alone.count =
            event->orders.start_alone;
    for (size_t i = 0; i < event->orders.cancel_count; i++) {
        const struct agent_cancel *order = &event->orders.cancels[i];
        struct agent_attempt *attempt = agent_table_find(&agent->table, order->attempt);
        if (!attempt)
            continue;
        agent_cancel(agent, attempt, order->reason, order->grace_ms);
        if (order->is_forced)
            agent_table_force(&agent->table, attempt, order->grace_ms);
    }
}

/* ---- what this process says ---- */

static void take_ended(struct agent *agent, const struct agent_event *event)
{
    struct agent_attempt *attempt = agent_table_find(&agent->table, event->ended.attempt);
    BERTH_ASSERT(attempt);
    if (agent_table_end(&agent->table, attempt, &event->ended.end) < 0)
        agent->is_out_of_memory = true;
    agent->is_draining |= agent->opts.is_alone;
}

static void take_released(struct agent *agent, const struct agent_event *event)
{
    struct agent_attempt *attempt = agent_table_find(&agent->table, event->released.attempt);
    BERTH_ASSERT(attempt);
    agent_table_release(&agent->table, attempt, event->released.reason);
    agent->is_draining |= agent->opts.is_alone;
}

static void take_news(struct agent *agent, uint64_t id)
{
    struct agent_attempt *attempt = agent_table_find(&agent->table, id);
    if (attempt)
        agent_table_add_news(&agent->table, attempt);
}

static void take_stop(struct agent *agent, int64_t grace_ms)
{
    int64_t due_ms = agent->now_ms + (grace_ms > 0 ? grace_ms : 0);
    agent->is_draining = agent->is_stopping = true;
    if (due_ms < agent->stop_due_ms)
        agent->stop_due_ms = due_ms;
    BERTH_MAP_FOREACH (node, &agent->table.by_id)
        agent_cancel(agent, berth_container_of(node, struct agent_attempt, by_id),
                     AGENT_CANCEL_STOP, grace_ms);
}

static void take_event(struct agent *agent, const struct agent_event *event)
{
    switch (event->type) {
    case AGENT_EV_START: agent_session_start(agent); break;
    case AGENT_EV_CONNECTED: agent_take_connected(agent); break;
    case AGENT_EV_WELCOME: agent_take_welcome(agent, event); break;
    case AGENT_EV_JOINED: agent_take_joined(agent, event); break;
    case AGENT_EV_RENEWED: agent_take_renewed(agent, event); break;
    case AGENT_EV_EPOCH: agent_take_epoch(agent, event->epoch.epoch, event->epoch.lineage); break;
    case AGENT_EV_FENCED: agent_take_fenced(agent, event); break;
    case AGENT_EV_ORDERS: take_orders(agent, event); break;
    case AGENT_EV_ENDED: take_ended(agent, event); return;
    case AGENT_EV_RELEASED: take_released(agent, event); return;
    case AGENT_EV_NEWS: take_news(agent, event->news.attempt); return;
    case AGENT_EV_SUSPEND: agent_take_suspend(agent, event->suspend.attempt); return;
    case AGENT_EV_RESUME_ME: agent_take_resume_me(agent, event->resume_me.attempt); return;
    case AGENT_EV_CHILDREN: agent_take_children(agent, &event->children); return;
    case AGENT_EV_DRAIN: agent->is_draining = true; break;
    case AGENT_EV_STOP: take_stop(agent, event->stop.grace_ms); break;
    case AGENT_EV_TIMER: agent->is_draining |= agent->now_ms >= agent->alone_due_ms; break;
    }
    if (agent->state == AGENT_JOINED)
        tell(agent);
}

/* What is asked for comes before the ends. */
static void tell(struct agent *agent)
{
    agent_tell_calls(agent);
    tell_ends(agent);
    tell_news(agent);
}

/* Everything that ended and that this join does not know yet, and that we drain. */
static void tell_ends(struct agent *agent)
{
    for (;;) {
        size_t lines, releases;
        agent_table_measure(&agent->table, &lines, &releases);
        bool has_news = lines > 0 || releases > 0 || (agent->is_draining && !agent->is_drain_told);
        if (!has_news || agent->is_out_of_memory)
            return;
        struct agent_line *told = agent_step_array(agent, lines, sizeof *told);
        uint64_t *attempts = agent_step_array(agent, releases, sizeof *attempts);
        enum agent_release_reason *reasons = agent_step_array(agent, releases, sizeof *reasons);
        if (!told || !attempts || !reasons)
            return;
        agent_table_tell(&agent->table, told, lines, attempts, reasons, releases);
        struct agent_effect *effect = agent_reports_push(agent);
        effect->reports.lines = told;
        effect->reports.count = lines;
        effect->reports.release_attempts = attempts;
        effect->reports.release_reasons = reasons;
        effect->reports.release_count = releases;
    }
}

/* What attempts have to show, if it is time for it. */
static void tell_news(struct agent *agent)
{
    if (berth_list_is_empty(&agent->table.news) || agent->now_ms < agent->show_due_ms)
        return;
    uint64_t *attempts = agent_step_array(agent, AGENT_SHOW_COUNT_MAX, sizeof *attempts);
    if (!attempts)
        return;
    agent->show_due_ms = agent->now_ms + AGENT_SHOW_EVERY_MS;
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_SHOW);
    effect->show.session = agent->session;
    effect->show.epoch = agent->epoch;
    effect->show.join = agent->join;
    effect->show.number = ++agent->sent;
    effect->show.attempts = attempts;
    effect->show.count = agent_table_take_news(&agent->table, attempts, AGENT_SHOW_COUNT_MAX);
}

/* ---- time ---- */

/* What was cancelled by force and does not end takes everything with it that runs here. What has
 * ended is told before, as far as that is possible. */
static void mind_force(struct agent *agent)
{
    const struct agent_attempt *stuck = agent_table_first_forced(&agent->table);
    if (!stuck || agent->now_ms < stuck->force_at_ms)
        return;
    if (agent->state == AGENT_JOINED)
        tell_ends(agent);
    (void)snprintf(agent->reason, sizeof agent->reason,
                   "job %" PRIu64 " was cancelled by force, and did not end for %" PRId64 " ms",
                   stuck->job, agent->now_ms - stuck->cancelled_ms);
    agent_leave(agent, AGENT_EXIT_FORCED, agent->reason);
}

static void mind_time(struct agent *agent)
{
    struct agent_attempt *late;
    while ((late = agent_table_timed_out(&agent->table, agent->now_ms)) != NULL)
        agent_cancel(agent, late, AGENT_CANCEL_TIMEOUT, late->grace_ms);
    mind_force(agent);
    if (agent->state != AGENT_OVER)
        mind_drain(agent);
    if (agent->state != AGENT_OVER)
        agent_mind_session(agent);
}

/* ---- drain ---- */

/* Draining ends when nothing is held and the broker has taken that we drain: before that, a grant
 * may be on its way, and would be handed back faster by us than by the end of the session. */
static void mind_drain(struct agent *agent)
{
    if (agent->is_stopping) {
        bool is_done = agent->table.running_count == 0 && agent->table.owed_count == 0;
        if (is_done || agent->now_ms >= agent->stop_due_ms)
            agent_leave(agent, AGENT_EXIT_DRAINED,
                        is_done ? "stopped" : "stopped; the grace time is over");
        return;
    }
    if (!agent->is_draining || agent_table_count(&agent->table) > 0)
        return;
    if (agent->state == AGENT_NEW || (agent->state == AGENT_JOINED && agent->is_drain_taken)) {
        agent_leave(agent, AGENT_EXIT_DRAINED, "drained");
        return;
    }
    /* An early renewal asks whether it was taken. */
    const struct agent_reading *last = agent_reading_find(agent, agent->renewal);
    if (agent->state == AGENT_JOINED && last->sent < agent->drain_number)
        agent_renew(agent);
}

/* ---- questions ---- */

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

int64_t agent_next_deadline_ms(const struct agent *agent)
{
    if (agent->state == AGENT_OVER || !agent->is_started)
        return INT64_MAX;
    bool has_untold =
        !berth_list_is_empty(&agent->table.untold) || agent_scope_has_news(&agent->table);
    if (agent->state == AGENT_JOINED && has_untold)
        return agent->now_ms;
    int64_t due_ms = agent_session_due_ms(agent);
    if (agent->state == AGENT_JOINED && !berth_list_is_empty(&agent->table.news))
        due_ms = earlier(due_ms, agent->show_due_ms);
    due_ms = earlier(due_ms, agent_table_next_timeout_ms(&agent->table));
    const struct agent_attempt *forced = agent_table_first_forced(&agent->table);
    if (forced)
        due_ms = earlier(due_ms, forced->force_at_ms);
    if (!agent->is_draining)
        due_ms = earlier(due_ms, agent->alone_due_ms);
    return earlier(due_ms, agent->stop_due_ms);
}

int64_t agent_lease_end_ms(const struct agent *agent)
{
    return agent->lease_end_ms;
}

size_t agent_running_count(const struct agent *agent)
{
    return agent->table.running_count;
}

void agent_check(const struct agent *agent)
{
    agent_table_check(&agent->table);
    BERTH_ASSERT(agent->epoch <= agent->epoch_seen);
    bool has_session = agent->session != 0;
    BERTH_ASSERT(has_session == (agent->lease_end_ms != 0));
    BERTH_ASSERT(has_session || agent_table_count(&agent->table) == 0);
    switch (agent->state) {
    case AGENT_NEW: BERTH_ASSERT(!has_session); break;
    case AGENT_JOINED:
        BERTH_ASSERT(has_session);
        BERTH_ASSERT(agent->join > 0);
        BERTH_ASSERT(agent->now_ms < agent->lease_end_ms);
        break;
    case AGENT_JOINING:
        BERTH_ASSERT(has_session);
        BERTH_ASSERT(!agent->is_join_built || agent->join > 0);
        BERTH_ASSERT(agent->now_ms < agent->lease_end_ms);
        break;
    case AGENT_OVER: break;
    case AGENT_STATE_COUNT: BERTH_UNREACHABLE();
    }
}

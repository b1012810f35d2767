/* SPDX-License-Identifier: MIT */
/* The worker's side of the protocol; see agent.h. Here are the session, the joins, the streams, the
 * lease and the drain; the attempts are in agent_table.c. */
#include "worker/core/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/rng.h"

#include "worker/core/agent_table.h"

#define READINGS_MAX      64 /* renewals that an answer may still come for; older ones are lost */
#define REASON_BYTES_MAX  256
#define STEP_BYTES_MAX    (64u << 20) /* of one step's lists: twice AGENT_CAPACITY_MAX lines */
#define EFFECTS_COUNT_MIN 16
#define SILENCE_RENEWALS  2 /* no answer for so many renewals: join again */

enum agent_state { AGENT_NEW, AGENT_JOINED, AGENT_JOINING, AGENT_OVER, AGENT_STATE_COUNT };

#define BIT(state) (1u << (state))

static const uint8_t state_next[AGENT_STATE_COUNT] = {
    [AGENT_NEW] = BIT(AGENT_JOINED) | BIT(AGENT_OVER),
    [AGENT_JOINED] = BIT(AGENT_JOINING) | BIT(AGENT_OVER),
    [AGENT_JOINING] = BIT(AGENT_JOINED) | BIT(AGENT_JOINING) | BIT(AGENT_OVER),
    [AGENT_OVER] = 0,
};

/* What was known when a renewal was sent. */
struct reading {
    uint64_t renewal, sent;
    int64_t at_ms;
};

struct agent {
    struct agent_opts opts;
    enum agent_state state;
    bool is_started;
    int64_t now_ms;
    struct berth_rng rng;
    struct agent_table table;

    uint32_t epoch; /* addressed, from the first EPOCH on; 0: not known */
    uint32_t epoch_seen;
    uint64_t lineage_seen;
    uint64_t session;
    int64_t lease_ms, renew_every_ms; /* K and R */
    int64_t lease_end_ms;             /* 0: no lease */

    uint32_t join;
    bool is_join_built;       /* JOINING: the list is made, older orders are refused */
    bool is_draining_in_join; /* what that list said */
    uint64_t sent, taken;     /* of the current join */
    uint64_t renewal;         /* the last one's number */
    struct reading readings[READINGS_MAX];

    int64_t hello_due_ms, hello_first_ms; /* first: addressed to this epoch; INT64_MAX: none */
    int64_t join_due_ms, join_wait_ms;
    int64_t renew_due_ms;
    int64_t heard_ms; /* when the broker last answered */
    int64_t reconnect_not_before_ms;

    bool is_draining, is_stopping;
    bool is_drain_told,
        is_drain_taken; /* told: in this join, in message drain_number at the latest */
    uint64_t drain_number;
    int64_t stop_due_ms;

    struct agent_effect *effects;
    size_t effect_count, effect_room;
    struct berth_arena arena; /* the lists in this step's effects */
    bool is_out_of_memory;
    char reason[REASON_BYTES_MAX];
};

static void take_event(struct agent *agent, const struct agent_event *event);
static void mind_time(struct agent *agent);
static void tell_ends(struct agent *agent);
static void mind_drain(struct agent *agent);

/* ---- life ---- */

struct agent *agent_new(const struct agent_opts *opts)
{
    BERTH_ASSERT(opts->capacity >= 1);
    BERTH_ASSERT(opts->capacity <= AGENT_CAPACITY_MAX);
    struct agent *agent = calloc(1, sizeof *agent);
    if (!agent)
        return NULL;
    agent->opts = *opts;
    agent->epoch_seen = opts->epoch_seen;
    agent->lineage_seen = opts->lineage_seen;
    agent->hello_first_ms = INT64_MAX;
    agent->stop_due_ms = INT64_MAX;
    agent->join_wait_ms = AGENT_JOIN_EVERY_MS_MIN;
    berth_rng_init(&agent->rng, opts->seed);
    berth_arena_init(&agent->arena, STEP_BYTES_MAX);
    agent->effects = calloc(EFFECTS_COUNT_MIN, sizeof *agent->effects);
    agent->effect_room = EFFECTS_COUNT_MIN;
    if (!agent->effects || agent_table_init(&agent->table, opts->capacity) < 0) {
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

static void move(struct agent *agent, enum agent_state next)
{
    BERTH_ASSERT(state_next[agent->state] & BIT(next));
    agent->state = next;
}

/* ---- effects ---- */

static struct agent_effect *effect_push(struct agent *agent, enum agent_effect_type type)
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
static void *step_array(struct agent *agent, size_t count, size_t element_bytes)
{
    void *array = berth_arena_alloc_array(&agent->arena, count, element_bytes);
    agent->is_out_of_memory |= array == NULL;
    return array;
}

static void leave(struct agent *agent, enum agent_exit why, const char *reason)
{
    move(agent, AGENT_OVER);
    struct agent_effect *effect = effect_push(agent, AGENT_DO_EXIT);
    effect->exit.why = why;
    effect->exit.reason = reason;
}

static void note_session(struct agent *agent)
{
    struct agent_effect *effect = effect_push(agent, AGENT_DO_SESSION);
    effect->session.session = agent->session;
    effect->session.epoch = agent->epoch_seen;
    effect->session.lineage = agent->lineage_seen;
}

static void cancel(struct agent *agent, struct agent_attempt *attempt,
                   enum agent_cancel_reason reason, int64_t grace_ms)
{
    if (!agent_table_cancel(&agent->table, attempt, reason))
        return;
    struct agent_effect *effect = effect_push(agent, AGENT_DO_CANCEL);
    effect->cancel.attempt = attempt->by_id.id;
    effect->cancel.reason = reason;
    effect->cancel.grace_ms = grace_ms;
}

/* ---- the step ---- */

static bool is_lease_over(const struct agent *agent)
{
    return agent->lease_end_ms > 0 && agent->now_ms >= agent->lease_end_ms;
}

static void leave_without_lease(struct agent *agent)
{
    if (agent->is_draining && agent_table_count(&agent->table) == 0) {
        leave(agent, AGENT_EXIT_DRAINED, "drained; the broker did not answer any more");
        return;
    }
    (void)snprintf(agent->reason, sizeof agent->reason,
                   "no renewal of the lease was answered for %" PRId64 " ms", agent->lease_ms);
    leave(agent, AGENT_EXIT_LEASE_OVER, agent->reason);
}

int agent_step(struct agent *agent, const struct agent_event *event,
               struct agent_effects *ret_effects)
{
    BERTH_ASSERT(event->now_ms >= agent->now_ms);
    agent->now_ms = event->now_ms;
    agent->effect_count = 0;
    berth_arena_reset(&agent->arena);

    if (agent->state != AGENT_OVER && is_lease_over(agent))
        leave_without_lease(agent);
    if (agent->state != AGENT_OVER)
        take_event(agent, event);
    if (agent->state != AGENT_OVER)
        mind_time(agent);
    if (agent->is_out_of_memory)
        return -ENOMEM;
    *ret_effects = (struct agent_effects){ agent->effects, agent->effect_count };
    return 0;
}

/* ---- hello ---- */

static void say_hello(struct agent *agent)
{
    struct agent_effect *effect = effect_push(agent, AGENT_DO_HELLO);
    effect->hello.epoch = agent->epoch;
    effect->hello.epoch_seen = agent->epoch_seen;
    effect->hello.lineage_seen = agent->lineage_seen;
    agent->hello_due_ms = agent->now_ms + AGENT_HELLO_EVERY_MS;
    /* A welcome does not say which hello it answers, so the lease counts from the first. */
    if (agent->epoch != 0 && agent->hello_first_ms == INT64_MAX)
        agent->hello_first_ms = agent->now_ms;
}

static void start(struct agent *agent)
{
    agent->is_started = true;
    agent->heard_ms = agent->now_ms;
    agent->hello_due_ms = agent->now_ms;
}

/* ---- lease ---- */

static const struct reading *reading_find(const struct agent *agent, uint64_t renewal)
{
    const struct reading *reading = &agent->readings[renewal % READINGS_MAX];
    return renewal <= agent->renewal && reading->renewal == renewal ? reading : NULL;
}

static void reading_note(struct agent *agent, int64_t at_ms)
{
    agent->readings[agent->renewal % READINGS_MAX] =
        (struct reading){ .renewal = agent->renewal, .sent = agent->sent, .at_ms = at_ms };
    agent->renew_due_ms = at_ms + agent->renew_every_ms;
}

static void lease_extend(struct agent *agent, const struct reading *reading)
{
    if (!reading || reading->at_ms + agent->lease_ms <= agent->lease_end_ms)
        return;
    agent->lease_end_ms = reading->at_ms + agent->lease_ms;
    effect_push(agent, AGENT_DO_LEASE)->lease.end_ms = agent->lease_end_ms;
}

static void renew(struct agent *agent)
{
    agent->renewal++;
    reading_note(agent, agent->now_ms);
    struct agent_effect *effect = effect_push(agent, AGENT_DO_RENEW);
    effect->renew.session = agent->session;
    effect->renew.epoch = agent->epoch;
    effect->renew.join = agent->join;
    effect->renew.renewal = agent->renewal;
    effect->renew.sent = agent->sent;
    effect->renew.taken = agent->taken;
}

/* ---- joins ---- */

/* The list is built when the back-off allows, at the end of this step at the earliest. Until then,
 * as after it, orders of the join that was are refused. */
static void join_begin(struct agent *agent)
{
    move(agent, AGENT_JOINING);
    agent->is_join_built = false;
    if (agent->join_due_ms < agent->now_ms)
        agent->join_due_ms = agent->now_ms;
}

/* Something is new, so that the next join is no repeat of one that failed. */
static void join_hurry(struct agent *agent)
{
    agent->join_wait_ms = AGENT_JOIN_EVERY_MS_MIN;
    agent->join_due_ms = agent->now_ms;
}

static void join_build(struct agent *agent)
{
    agent->join++;
    agent->sent = agent->taken = 0;
    agent->is_drain_told = false;
    agent->is_draining_in_join = agent->is_draining;
    agent->renewal++;
    reading_note(agent, agent->now_ms);
    agent_table_freeze(&agent->table);
    agent->is_join_built = true;
}

/* A repeat says the very same, its renewal included: the broker answers it, but counts the lease
 * from the first one that it took. */
static void join_send(struct agent *agent)
{
    if (!agent->is_join_built)
        join_build(agent);
    size_t count = agent_table_count(&agent->table);
    struct agent_line *lines = step_array(agent, count, sizeof *lines);
    if (!lines)
        return;
    struct agent_effect *effect = effect_push(agent, AGENT_DO_JOIN);
    effect->join.session = agent->session;
    effect->join.epoch = agent->epoch;
    effect->join.join = agent->join;
    effect->join.renewal = agent->renewal;
    effect->join.lines = lines;
    effect->join.count = agent_table_list(&agent->table, lines);
    effect->join.is_draining = agent->is_draining_in_join;

    int64_t wait_ms = agent->join_wait_ms;
    agent->join_due_ms = agent->now_ms + berth_rng_between(&agent->rng, (wait_ms + 1) / 2, wait_ms);
    int64_t wait_ms_max = agent->renew_every_ms / 2;
    agent->join_wait_ms = wait_ms * 2 < wait_ms_max ? wait_ms * 2 : wait_ms_max;
    if (agent->join_wait_ms < AGENT_JOIN_EVERY_MS_MIN)
        agent->join_wait_ms = AGENT_JOIN_EVERY_MS_MIN;
}

/* Whether a message belongs to the current join; if it is the first of it, we have joined. */
static bool is_current(struct agent *agent, uint64_t session, uint32_t epoch, uint32_t join)
{
    bool is_open =
        agent->state == AGENT_JOINED || (agent->state == AGENT_JOINING && agent->is_join_built);
    if (!is_open || session != agent->session || epoch != agent->epoch || join != agent->join)
        return false;
    if (agent->state == AGENT_JOINING) {
        move(agent, AGENT_JOINED);
        agent->is_drain_told = agent->is_drain_taken = agent->is_draining_in_join;
        agent->heard_ms = agent->now_ms;
    }
    return true;
}

/* ---- what the broker says ---- */

static bool is_other_broker(struct agent *agent, uint32_t epoch, uint64_t lineage)
{
    if (epoch != agent->epoch_seen || epoch == 0 || lineage == agent->lineage_seen)
        return false;
    (void)snprintf(agent->reason, sizeof agent->reason,
                   "two brokers call themselves epoch %" PRIu32 " (lineages %016" PRIx64
                   " and %016" PRIx64 "): neither is served",
                   epoch, agent->lineage_seen, lineage);
    leave(agent, AGENT_EXIT_TWO_BROKERS, agent->reason);
    return true;
}

static void take_epoch(struct agent *agent, uint32_t epoch, uint64_t lineage)
{
    if (is_other_broker(agent, epoch, lineage))
        return;
    if (epoch < agent->epoch_seen || epoch <= agent->epoch)
        return;
    agent->epoch = agent->epoch_seen = epoch;
    agent->lineage_seen = lineage;
    note_session(agent);
    if (agent->state == AGENT_NEW) {
        agent->heard_ms = agent->now_ms;
        agent->hello_first_ms = INT64_MAX;
        agent->hello_due_ms = agent->now_ms;
        return;
    }
    agent->join = 0;
    join_begin(agent);
    join_hurry(agent);
}

static bool is_for_this_child(const struct agent *agent, const uint8_t nonce[16], uint32_t child)
{
    return child == agent->opts.child && memcmp(nonce, agent->opts.nonce, 16) == 0;
}

static void take_welcome(struct agent *agent, const struct agent_event *event)
{
    uint32_t epoch = event->welcome.epoch;
    int64_t lease_ms = event->welcome.worker_lease_ms, renew_ms = event->welcome.renew_ms;
    if (agent->state != AGENT_NEW || agent->epoch == 0 || epoch < agent->epoch)
        return;
    if (!is_for_this_child(agent, event->welcome.nonce, event->welcome.child))
        return;
    if (event->welcome.session == 0 || renew_ms == 0 || lease_ms <= renew_ms ||
        lease_ms >= event->welcome.lease_ms)
        return;
    if (is_other_broker(agent, epoch, event->welcome.lineage))
        return;

    agent->epoch = agent->epoch_seen = epoch;
    agent->lineage_seen = event->welcome.lineage;
    agent->session = event->welcome.session;
    agent->join = 1;
    agent->lease_ms = lease_ms;
    agent->renew_every_ms = renew_ms;
    agent->heard_ms = agent->now_ms;
    move(agent, AGENT_JOINED);
    note_session(agent);
    reading_note(agent, agent->hello_first_ms);
    lease_extend(agent, reading_find(agent, 0));
    if (is_lease_over(agent))
        leave_without_lease(agent);
}

static void take_joined(struct agent *agent, const struct agent_event *event)
{
    if (!is_current(agent, event->joined.session, event->joined.epoch, event->joined.join))
        return;
    agent->heard_ms = agent->now_ms;
    lease_extend(agent, reading_find(agent, event->joined.renewal));
}

static void take_renewed(struct agent *agent, const struct agent_event *event)
{
    if (!is_current(agent, event->renewed.session, event->renewed.epoch, event->renewed.join))
        return;
    agent->heard_ms = agent->now_ms;
    const struct reading *reading = reading_find(agent, event->renewed.renewal);
    lease_extend(agent, reading);

    /* The streams of one connection keep their order: what this answer counts, and has not come, is
     * lost. */
    bool has_gap =
        event->renewed.sent > agent->taken || (reading && event->renewed.taken < reading->sent);
    if (event->renewed.join_again || has_gap) {
        join_begin(agent);
        return;
    }
    agent->join_wait_ms = AGENT_JOIN_EVERY_MS_MIN;
    if (agent->is_drain_told && event->renewed.taken >= agent->drain_number)
        agent->is_drain_taken = true;
}

static void take_fenced(struct agent *agent, const struct agent_event *event)
{
    bool is_ours = event->fenced.session != 0
                       ? event->fenced.session == agent->session
                       : is_for_this_child(agent, event->fenced.nonce, event->fenced.child);
    if (!is_ours)
        return;
    struct berth_slice reason = event->fenced.reason;
    if (reason.bytes == 0)
        reason = (struct berth_slice){ "no reason given", strlen("no reason given") };
    int bytes = (int)(reason.bytes < REASON_BYTES_MAX ? reason.bytes : REASON_BYTES_MAX);
    (void)snprintf(agent->reason, sizeof agent->reason, "fenced by the broker: %.*s", bytes,
                   (const char *)reason.data);
    leave(agent, AGENT_EXIT_FENCED, agent->reason);
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
    effect_push(agent, AGENT_DO_START)->start = *grant;
    return 0;
}

static struct agent_effect *reports_push(struct agent *agent)
{
    agent->sent++;
    struct agent_effect *effect = effect_push(agent, AGENT_DO_REPORTS);
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
    uint64_t *attempts = step_array(agent, count, sizeof *attempts);
    enum agent_release_reason *reasons = step_array(agent, count, sizeof *reasons);
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
    struct agent_effect *effect = reports_push(agent);
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
    if (!is_current(agent, event->orders.session, event->orders.epoch, event->orders.join))
        return;
    if (event->orders.number <= agent->taken)
        return;
    if (event->orders.number > agent->taken + 1) {
        join_begin(agent);
        return;
    }
    agent->taken++;
    /* Acknowledgements first: they make room for the grants; a cancel may be of a grant beside it.
     */
    take_acks(agent, event->orders.acks, event->orders.ack_count);
    take_grants(agent, event->orders.grants, event->orders.grant_count);
    for (size_t i = 0; i < event->orders.cancel_count; i++) {
        const struct agent_cancel *order = &event->orders.cancels[i];
        struct agent_attempt *attempt = agent_table_find(&agent->table, order->attempt);
        if (attempt)
            cancel(agent, attempt, AGENT_CANCEL_JOB, order->grace_ms);
    }
}

/* ---- what this process says ---- */

static void take_connected(struct agent *agent)
{
    if (agent->state == AGENT_NEW) {
        agent->hello_due_ms = agent->now_ms;
        return;
    }
    if (agent->state == AGENT_JOINED)
        join_begin(agent);
    join_hurry(agent);
}

static void take_ended(struct agent *agent, const struct agent_event *event)
{
    struct agent_attempt *attempt = agent_table_find(&agent->table, event->ended.attempt);
    BERTH_ASSERT(attempt);
    if (agent_table_end(&agent->table, attempt, &event->ended.end) < 0)
        agent->is_out_of_memory = true;
}

static void take_released(struct agent *agent, const struct agent_event *event)
{
    struct agent_attempt *attempt = agent_table_find(&agent->table, event->released.attempt);
    BERTH_ASSERT(attempt);
    agent_table_release(&agent->table, attempt, event->released.reason);
}

static void take_stop(struct agent *agent, int64_t grace_ms)
{
    int64_t due_ms = agent->now_ms + (grace_ms > 0 ? grace_ms : 0);
    agent->is_draining = agent->is_stopping = true;
    if (due_ms < agent->stop_due_ms)
        agent->stop_due_ms = due_ms;
    BERTH_MAP_FOREACH (node, &agent->table.by_id)
        cancel(agent, berth_container_of(node, struct agent_attempt, by_id), AGENT_CANCEL_STOP,
               grace_ms);
}

static void take_event(struct agent *agent, const struct agent_event *event)
{
    switch (event->type) {
    case AGENT_EV_START: start(agent); break;
    case AGENT_EV_CONNECTED: take_connected(agent); break;
    case AGENT_EV_WELCOME: take_welcome(agent, event); break;
    case AGENT_EV_JOINED: take_joined(agent, event); break;
    case AGENT_EV_RENEWED: take_renewed(agent, event); break;
    case AGENT_EV_EPOCH: take_epoch(agent, event->epoch.epoch, event->epoch.lineage); break;
    case AGENT_EV_FENCED: take_fenced(agent, event); break;
    case AGENT_EV_ORDERS: take_orders(agent, event); break;
    case AGENT_EV_ENDED: take_ended(agent, event); return;
    case AGENT_EV_RELEASED: take_released(agent, event); return;
    case AGENT_EV_DRAIN: agent->is_draining = true; break;
    case AGENT_EV_STOP: take_stop(agent, event->stop.grace_ms); break;
    case AGENT_EV_TIMER: break;
    }
    if (agent->state == AGENT_JOINED)
        tell_ends(agent);
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
        struct agent_line *told = step_array(agent, lines, sizeof *told);
        uint64_t *attempts = step_array(agent, releases, sizeof *attempts);
        enum agent_release_reason *reasons = step_array(agent, releases, sizeof *reasons);
        if (!told || !attempts || !reasons)
            return;
        agent_table_tell(&agent->table, told, lines, attempts, reasons, releases);
        struct agent_effect *effect = reports_push(agent);
        effect->reports.lines = told;
        effect->reports.count = lines;
        effect->reports.release_attempts = attempts;
        effect->reports.release_reasons = reasons;
        effect->reports.release_count = releases;
    }
}

/* ---- time ---- */

/* How long the broker may be silent. */
static int64_t silence_ms(const struct agent *agent)
{
    return agent->state == AGENT_NEW ? AGENT_HELLO_SILENCE_MS
                                     : SILENCE_RENEWALS * agent->renew_every_ms;
}

static int64_t reconnect_due_ms(const struct agent *agent)
{
    int64_t due_ms = agent->heard_ms + silence_ms(agent);
    return due_ms > agent->reconnect_not_before_ms ? due_ms : agent->reconnect_not_before_ms;
}

static void mind_silence(struct agent *agent)
{
    if (agent->now_ms < reconnect_due_ms(agent))
        return;
    int64_t every_ms = silence_ms(agent);
    if (every_ms < AGENT_RECONNECT_EVERY_MS_MIN)
        every_ms = AGENT_RECONNECT_EVERY_MS_MIN;
    agent->reconnect_not_before_ms = agent->now_ms + every_ms;
    effect_push(agent, AGENT_DO_RECONNECT);
}

static void mind_session(struct agent *agent)
{
    if (!agent->is_started)
        return;
    mind_silence(agent);
    if (agent->state == AGENT_NEW && agent->now_ms >= agent->hello_due_ms)
        say_hello(agent);
    if (agent->state == AGENT_JOINED && agent->now_ms >= agent->heard_ms + silence_ms(agent))
        join_begin(agent);
    if (agent->state == AGENT_JOINED && agent->now_ms >= agent->renew_due_ms)
        renew(agent);
    if (agent->state == AGENT_JOINING && agent->now_ms >= agent->join_due_ms)
        join_send(agent);
}

static void mind_time(struct agent *agent)
{
    struct agent_attempt *late;
    while ((late = agent_table_timed_out(&agent->table, agent->now_ms)) != NULL)
        cancel(agent, late, AGENT_CANCEL_TIMEOUT, late->grace_ms);
    mind_drain(agent);
    if (agent->state != AGENT_OVER)
        mind_session(agent);
}

/* ---- drain ---- */

/* Draining ends when nothing is held and the broker has taken that we drain: before that, a grant
 * may be on its way, and would be handed back faster by us than by the end of the session. */
static void mind_drain(struct agent *agent)
{
    if (agent->is_stopping) {
        bool is_done = agent->table.running_count == 0 && agent->table.owed_count == 0;
        if (is_done || agent->now_ms >= agent->stop_due_ms)
            leave(agent, AGENT_EXIT_DRAINED,
                  is_done ? "stopped" : "stopped; the grace time is over");
        return;
    }
    if (!agent->is_draining || agent_table_count(&agent->table) > 0)
        return;
    if (agent->state == AGENT_NEW || (agent->state == AGENT_JOINED && agent->is_drain_taken)) {
        leave(agent, AGENT_EXIT_DRAINED, "drained");
        return;
    }
    /* An early renewal asks whether it was taken. */
    const struct reading *last = reading_find(agent, agent->renewal);
    if (agent->state == AGENT_JOINED && last->sent < agent->drain_number)
        renew(agent);
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
    int64_t due_ms = earlier(agent_table_next_timeout_ms(&agent->table), agent->stop_due_ms);
    due_ms = earlier(due_ms, reconnect_due_ms(agent));
    if (agent->lease_end_ms > 0)
        due_ms = earlier(due_ms, agent->lease_end_ms);
    switch (agent->state) {
    case AGENT_NEW: return earlier(due_ms, agent->hello_due_ms);
    case AGENT_JOINED:
        if (!berth_list_is_empty(&agent->table.untold))
            return agent->now_ms;
        due_ms = earlier(due_ms, agent->heard_ms + silence_ms(agent));
        return earlier(due_ms, agent->renew_due_ms);
    case AGENT_JOINING: return earlier(due_ms, agent->join_due_ms);
    case AGENT_OVER:
    case AGENT_STATE_COUNT: break;
    }
    BERTH_UNREACHABLE();
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

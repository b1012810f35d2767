/* SPDX-License-Identifier: MIT */
/* The agent's session with a broker: hello, lease, joins, and what the broker says about them. */
#include "worker/core/agent_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define SILENCE_RENEWALS 2 /* no answer for so many renewals: join again */

static int64_t silence_ms(const struct agent *agent);

static void note_session(struct agent *agent)
{
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_SESSION);
    effect->session.session = agent->session;
    effect->session.epoch = agent->epoch_seen;
    effect->session.lineage = agent->lineage_seen;
    effect->session.worker_lease_ms = (uint32_t)agent->lease_ms;
}

/* ---- hello ---- */

static void say_hello(struct agent *agent)
{
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_HELLO);
    effect->hello.epoch = agent->epoch;
    effect->hello.epoch_seen = agent->epoch_seen;
    effect->hello.lineage_seen = agent->lineage_seen;
    agent->hello_due_ms = agent->now_ms + AGENT_HELLO_EVERY_MS;
    /* A welcome does not say which hello it answers, so the lease counts from the first. */
    if (agent->epoch != 0 && agent->hello_first_ms == INT64_MAX)
        agent->hello_first_ms = agent->now_ms;
}

/* From now on it waits for its one attempt. */
static void alone_wait(struct agent *agent)
{
    if (agent->opts.is_alone)
        agent->alone_due_ms = agent->now_ms + AGENT_ALONE_WAIT_MS;
}

void agent_session_start(struct agent *agent)
{
    alone_wait(agent);
    agent->is_started = true;
    agent->heard_ms = agent->now_ms;
    agent->hello_due_ms = agent->now_ms;
}

/* ---- lease ---- */

bool agent_is_lease_over(const struct agent *agent)
{
    return agent->lease_end_ms > 0 && agent->now_ms >= agent->lease_end_ms;
}

void agent_leave_without_lease(struct agent *agent)
{
    if (agent->is_draining && agent_table_count(&agent->table) == 0) {
        agent_leave(agent, AGENT_EXIT_DRAINED, "drained; the broker did not answer any more");
        return;
    }
    (void)snprintf(agent->reason, sizeof agent->reason,
                   "no renewal of the lease was answered for %" PRId64 " ms", agent->lease_ms);
    agent_leave(agent, AGENT_EXIT_LEASE_OVER, agent->reason);
}

const struct agent_reading *agent_reading_find(const struct agent *agent, uint64_t renewal)
{
    const struct agent_reading *reading = &agent->readings[renewal % AGENT_READINGS_MAX];
    return renewal <= agent->renewal && reading->renewal == renewal ? reading : NULL;
}

static void reading_note(struct agent *agent, int64_t at_ms)
{
    agent->readings[agent->renewal % AGENT_READINGS_MAX] =
        (struct agent_reading){ .renewal = agent->renewal, .sent = agent->sent, .at_ms = at_ms };
    agent->renew_due_ms = at_ms + agent->renew_every_ms;
}

static void lease_extend(struct agent *agent, const struct agent_reading *reading)
{
    if (!reading || reading->at_ms + agent->lease_ms <= agent->lease_end_ms)
        return;
    agent->lease_end_ms = reading->at_ms + agent->lease_ms;
    agent_effect_push(agent, AGENT_DO_LEASE)->lease.end_ms = agent->lease_end_ms;
}

void agent_renew(struct agent *agent)
{
    agent->renewal++;
    reading_note(agent, agent->now_ms);
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_RENEW);
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
void agent_join_begin(struct agent *agent)
{
    agent_move(agent, AGENT_JOINING);
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
    agent_table_freeze(&agent->table, agent->now_ms);
    agent->is_join_built = true;
}

/* A repeat says the very same, its renewal included: the broker answers it, but counts the lease
 * from the first one that it took. */
static void join_send(struct agent *agent)
{
    if (!agent->is_join_built)
        join_build(agent);
    size_t count = agent_table_count(&agent->table);
    struct agent_line *lines = agent_step_array(agent, count, sizeof *lines);
    if (!lines)
        return;
    struct agent_effect *effect = agent_effect_push(agent, AGENT_DO_JOIN);
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
bool agent_is_current(struct agent *agent, uint64_t session, uint32_t epoch, uint32_t join)
{
    bool is_open =
        agent->state == AGENT_JOINED || (agent->state == AGENT_JOINING && agent->is_join_built);
    if (!is_open || session != agent->session || epoch != agent->epoch || join != agent->join)
        return false;
    if (agent->state == AGENT_JOINING) {
        agent_move(agent, AGENT_JOINED);
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
    agent_leave(agent, AGENT_EXIT_TWO_BROKERS, agent->reason);
    return true;
}

void agent_take_epoch(struct agent *agent, uint32_t epoch, uint64_t lineage)
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
    agent_join_begin(agent);
    join_hurry(agent);
}

static bool is_for_this_child(const struct agent *agent, const uint8_t nonce[16], uint32_t child)
{
    return child == agent->opts.child && memcmp(nonce, agent->opts.nonce, 16) == 0;
}

void agent_take_welcome(struct agent *agent, const struct agent_event *event)
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
    alone_wait(agent);
    agent_move(agent, AGENT_JOINED);
    note_session(agent);
    reading_note(agent, agent->hello_first_ms);
    lease_extend(agent, agent_reading_find(agent, 0));
    if (agent_is_lease_over(agent))
        agent_leave_without_lease(agent);
}

void agent_take_joined(struct agent *agent, const struct agent_event *event)
{
    if (!agent_is_current(agent, event->joined.session, event->joined.epoch, event->joined.join))
        return;
    agent->heard_ms = agent->now_ms;
    lease_extend(agent, agent_reading_find(agent, event->joined.renewal));
}

void agent_take_renewed(struct agent *agent, const struct agent_event *event)
{
    if (!agent_is_current(agent, event->renewed.session, event->renewed.epoch, event->renewed.join))
        return;
    agent->heard_ms = agent->now_ms;
    const struct agent_reading *reading = agent_reading_find(agent, event->renewed.renewal);
    lease_extend(agent, reading);

    /* The streams of one connection keep their order: what this answer counts, and has not come, is
     * lost. */
    bool has_gap =
        event->renewed.sent > agent->taken || (reading && event->renewed.taken < reading->sent);
    if (event->renewed.join_again || has_gap) {
        agent_join_begin(agent);
        return;
    }
    agent->join_wait_ms = AGENT_JOIN_EVERY_MS_MIN;
    if (agent->is_drain_told && event->renewed.taken >= agent->drain_number)
        agent->is_drain_taken = true;
}

void agent_take_fenced(struct agent *agent, const struct agent_event *event)
{
    bool is_ours = event->fenced.session != 0
                       ? event->fenced.session == agent->session
                       : is_for_this_child(agent, event->fenced.nonce, event->fenced.child);
    if (!is_ours)
        return;
    struct berth_slice reason = event->fenced.reason;
    if (reason.bytes == 0)
        reason = (struct berth_slice){ "no reason given", strlen("no reason given") };
    int bytes =
        (int)(reason.bytes < AGENT_REASON_BYTES_MAX ? reason.bytes : AGENT_REASON_BYTES_MAX);
    (void)snprintf(agent->reason, sizeof agent->reason, "fenced by the broker: %.*s", bytes,
                   (const char *)reason.data);
    agent_leave(agent, AGENT_EXIT_FENCED, agent->reason);
}

void agent_take_connected(struct agent *agent)
{
    if (agent->state == AGENT_NEW) {
        agent->hello_due_ms = agent->now_ms;
        return;
    }
    if (agent->state == AGENT_JOINED)
        agent_join_begin(agent);
    join_hurry(agent);
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
    agent_effect_push(agent, AGENT_DO_RECONNECT);
}

void agent_mind_session(struct agent *agent)
{
    if (!agent->is_started)
        return;
    mind_silence(agent);
    if (agent->state == AGENT_NEW && agent->now_ms >= agent->hello_due_ms)
        say_hello(agent);
    if (agent->state == AGENT_JOINED && agent->now_ms >= agent->heard_ms + silence_ms(agent))
        agent_join_begin(agent);
    if (agent->state == AGENT_JOINED && agent->now_ms >= agent->renew_due_ms)
        agent_renew(agent);
    if (agent->state == AGENT_JOINING && agent->now_ms >= agent->join_due_ms)
        join_send(agent);
}

int64_t agent_session_due_ms(const struct agent *agent)
{
    int64_t due_ms = reconnect_due_ms(agent), other_ms = INT64_MAX;
    switch (agent->state) {
    case AGENT_NEW: other_ms = agent->hello_due_ms; break;
    case AGENT_JOINED:
        other_ms = agent->heard_ms + silence_ms(agent);
        if (agent->renew_due_ms < other_ms)
            other_ms = agent->renew_due_ms;
        break;
    case AGENT_JOINING: other_ms = agent->join_due_ms; break;
    case AGENT_OVER:
    case AGENT_STATE_COUNT: BERTH_UNREACHABLE();
    }
    if (agent->lease_end_ms > 0 && agent->lease_end_ms < due_ms)
        due_ms = agent->lease_end_ms;
    return other_ms < due_ms ? other_ms : due_ms;
}

/* SPDX-License-Identifier: MIT */
/* The broker's shell as the simulator has it: turns, the store on a simulated disk, checks of what
 * it says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker_says.h"
#include "sim.h"

#define TURN_DELAY_US_MAX 300
#define SYNC_US_MIN       60
#define SYNC_US_MAX       (8 * MS)
#define SLOW_SYNC_US_MAX  (700 * MS)
#define CHECK_EVERY       7 /* turns */
#define CHECK_EVERY_DAY   1009

static void turn(struct sim *sim, void *arg);

static void schedule_turn(struct sim *sim)
{
    struct broker *broker = &sim->broker;
    if (!broker->is_up || broker->is_turn_scheduled)
        return;
    broker->is_turn_scheduled = true;
    int64_t at_us = sim->now_us + sim_random_us(sim, 0, TURN_DELAY_US_MAX);
    if (at_us < broker->stalled_until_us)
        at_us = broker->stalled_until_us;
    sim_at(sim, at_us, turn, (void *)(uintptr_t)broker->life);
}

void broker_deliver(struct sim *sim, struct note *note)
{
    struct broker *broker = &sim->broker;
    if (!broker->is_up || broker->inbox_count == sizeof broker->inbox / sizeof *broker->inbox) {
        note_free(note);
        return;
    }
    broker->inbox[broker->inbox_count++] = note;
    schedule_turn(sim);
}

void broker_peer_gone(struct sim *sim, uint64_t peer)
{
    struct broker *broker = &sim->broker;
    if (broker->peers_gone_count == sizeof broker->peers_gone / sizeof *broker->peers_gone)
        return;
    broker->peers_gone[broker->peers_gone_count++] = peer;
    schedule_turn(sim);
}

/* ---- the store ---- */

static void note_asked(struct sim *sim, bool is_batch)
{
    struct broker *broker = &sim->broker;
    if (broker->asked_count == sizeof broker->asked / sizeof *broker->asked)
        sim_fail(sim, "the store is asked too much at a time");
    broker->asked[broker->asked_count++] = is_batch;
}

/* Takes the oldest thing that the store was asked for. */
static bool next_is_batch(struct broker *broker)
{
    if (!broker->asked_count)
        return false;
    bool is_batch = broker->asked[0];
    memmove(broker->asked, broker->asked + 1, --broker->asked_count * sizeof *broker->asked);
    return is_batch;
}

static void complete(struct sim *sim, void *arg)
{
    struct broker *broker = &sim->broker;
    if (!broker->is_up || (uintptr_t)arg != broker->life)
        return;
    bool is_full = sim->now_us < broker->full_until_us && sim_chance(sim, 60);
    if (next_is_batch(broker) && !is_full)
        check_stored(sim, broker->away);
    if (berth_mem_complete(broker->store, is_full ? BERTH_STORE_FULL : BERTH_STORED, !is_full))
        schedule_turn(sim);
}

static void schedule_sync(struct sim *sim)
{
    const struct broker *broker = &sim->broker;
    bool is_slow = !sim->is_calm && (sim->now_us < broker->slow_until_us || sim_chance(sim, 1));
    sim_at(sim,
           sim->now_us + sim_random_us(sim, SYNC_US_MIN, is_slow ? SLOW_SYNC_US_MAX : SYNC_US_MAX),
           complete, (void *)(uintptr_t)broker->life);
}

/* A question that the store cannot take yet. */
struct question {
    struct berth_list_node node;
    struct berth_read read;
    uint64_t ids[];
};

/* False: it has too many under way. */
static bool put_question(struct sim *sim, const struct berth_read *read)
{
    int rc = berth_store_read(sim->broker.store, read);
    if (rc == -EAGAIN)
        return false;
    if (rc < 0)
        sim_fail(sim, "the store refused a read: %s", berth_strerror(rc));
    note_asked(sim, false);
    schedule_sync(sim);
    return true;
}

static void ask_store(struct sim *sim, const struct berth_do_read *ask)
{
    struct berth_read read = { .number = ask->number,
                               .type = (enum berth_read_type)ask->type,
                               .ids = ask->ids,
                               .id_count = ask->id_count,
                               .scope = (enum berth_read_scope)ask->scope,
                               .state = ask->state,
                               .dispatcher = ask->dispatcher,
                               .after = ask->after,
                               .is_newest_first = ask->is_newest_first,
                               .with_bodies = ask->with_bodies,
                               .count_max = ask->count_max };
    struct berth_list *waiting = &sim->broker.questions;
    if (berth_list_is_empty(waiting) && put_question(sim, &read))
        return;
    size_t ids_bytes = ask->id_count * sizeof *ask->ids;
    struct question *question = calloc(1, sizeof *question + ids_bytes);
    BERTH_ASSERT(question != NULL);
    question->read = read;
    question->read.ids = question->ids;
    if (ids_bytes)
        memcpy(question->ids, ask->ids, ids_bytes);
    berth_list_push_back(waiting, &question->node);
}

static void ask_what_waits(struct sim *sim)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&sim->broker.questions))) {
        struct question *question = berth_container_of(node, struct question, node);
        if (!put_question(sim, &question->read))
            return;
        berth_list_remove(node);
        free(question);
    }
}

static void forget_questions(struct broker *broker)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&broker->questions)))
        free(berth_container_of(node, struct question, node));
}

/* ---- steps ---- */

static void carry_out(struct sim *sim, const struct berth_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const struct berth_effect *effect = &effects->items[i];
        if (effect->type == BERTH_DO_ORDERS)
            check_granted(sim, &effect->orders);
        if (effect->type == BERTH_DO_ORDERS)
            check_alone_asked(sim, effect->peer, &effect->orders);
        check_effect(sim, effect);
        if (effect->type == BERTH_DO_CANCELLED)
            check_force_answered(sim, &effect->cancelled);
        if (effect->type == BERTH_DO_JOBS)
            check_shown(sim, &effect->jobs);
        if (effect->type == BERTH_DO_EXPLAINED)
            check_explained(sim, &effect->explained);
        if (effect->type == BERTH_DO_READ) {
            ask_store(sim, &effect->read);
            continue;
        }
        struct note *note = note_new(TO_CLIENT);
        broker_say(note, effect);
        if (!link_send_down(sim, effect->peer, note) && effect->peer && sim_chance(sim, 50))
            broker_peer_gone(sim, effect->peer);
    }
}

static void step(struct sim *sim, struct berth_event *event)
{
    event->now_ms = sim_ms(sim);
    event->wall_us = sim_wall_us(sim);
    check_life_step(sim);
    check_wall(sim);
    if (event->type == BERTH_EV_CANCEL)
        check_force_asked(sim, &event->ids);
    carry_out(sim, berth_core_step(sim->broker.core, event));
}

static void reap(struct sim *sim)
{
    struct broker *broker = &sim->broker;
    struct berth_completion done;
    while (berth_store_reap(sim->broker.store, &done) > 0) {
        struct berth_event event = { 0 };
        if (done.batch) {
            broker->away = NULL;
            event.type = BERTH_EV_STORED;
            event.stored.batch = done.batch;
            event.stored.result = (uint8_t)done.result;
        } else {
            event.type = BERTH_EV_READ;
            event.read = (struct berth_ev_read){
                .number = done.number,
                .is_failed = done.error.code != 0,
                .jobs = done.jobs,
                .job_count = done.job_count,
                .has_more = done.has_more,
                .next = done.next,
                .counts = (const struct berth_ended_row *)(const void *)done.counts,
                .count_count = done.count_count,
            };
        }
        step(sim, &event);
    }
    ask_what_waits(sim);
}

static void submit_batch(struct sim *sim)
{
    struct broker *broker = &sim->broker;
    if (!berth_store_is_idle(broker->store))
        return;
    struct berth_batch *batch = berth_core_close_batch(broker->core);
    if (!batch)
        return;
    int rc = berth_store_submit(broker->store, batch);
    if (rc < 0)
        sim_fail(sim, "the store refused a batch: %s", berth_strerror(rc));
    broker->away = batch;
    note_asked(sim, true);
    schedule_sync(sim);
}

static void wake(struct sim *sim, void *arg)
{
    if ((uintptr_t)arg == sim->broker.life)
        schedule_turn(sim);
}

static void schedule_timer(struct sim *sim)
{
    struct broker *broker = &sim->broker;
    int64_t deadline_ms = berth_core_next_deadline_ms(broker->core, sim_ms(sim), sim_wall_us(sim));
    if (deadline_ms == INT64_MAX)
        return;
    int64_t at_us = deadline_ms * 1000;
    if (broker->timer_us > sim->now_us && broker->timer_us <= at_us)
        return;
    broker->timer_us = at_us > sim->now_us ? at_us : sim->now_us + MS;
    sim_at(sim, broker->timer_us, wake, (void *)(uintptr_t)broker->life);
}

static void turn(struct sim *sim, void *arg)
{
    struct broker *broker = &sim->broker;
    if (!broker->is_up || (uintptr_t)arg != broker->life)
        return;
    broker->is_turn_scheduled = false;
    if (sim->now_us < broker->stalled_until_us) {
        schedule_turn(sim);
        return;
    }
    reap(sim);
    for (size_t i = 0; i < broker->inbox_count; i++) {
        struct note *note = broker->inbox[i];
        step(sim, &note->broker);
        note_free(note);
    }
    broker->inbox_count = 0;
    for (size_t i = 0; i < broker->peers_gone_count; i++)
        step(sim,
             &(struct berth_event){ .type = BERTH_EV_PEER_GONE, .peer = broker->peers_gone[i] });
    broker->peers_gone_count = 0;
    seen_before(sim);
    check_looks_before(sim);
    step(sim, &(struct berth_event){ .type = BERTH_EV_TURN });
    check_looks_after(sim);
    seen_after(sim);
    if (sim->steps % (sim->opts.is_a_day ? CHECK_EVERY_DAY : CHECK_EVERY) == 0) {
        berth_core_check(broker->core);
        check_keys(sim);
    }
    check_life_turn(sim);
    check_places_turn(sim);
    submit_batch(sim);
    schedule_timer(sim);
}

/* ---- life ---- */

static int load_dispatcher(void *core, const struct berth_dispatcher_record *record)
{
    return berth_core_load_dispatcher(core, record);
}

static int load_session(void *core, const struct berth_session_record *record)
{
    return berth_core_load_session(core, record);
}

static int load_schedule(void *core, const struct berth_schedule_record *record,
                         const struct berth_schedule_done_record *done)
{
    return berth_core_load_schedule(core, record, done);
}

static int load_job(void *core, const struct berth_job_record *record)
{
    return berth_core_load_job(core, record);
}

static int load_key(void *core, const struct berth_job_record *record)
{
    return berth_core_load_ended_key(core, record);
}

static void broker_note_id(struct sim *sim, unsigned dispatcher)
{
    const struct berth_core *core = sim->broker.core;
    sim->broker.ids[dispatcher] =
        dispatcher_find(core, slice_of(sim_rules[dispatcher].name))->record.id;
}

/* As a configuration does at each start: what is not there is made. (`default` only gets its
 * grace.) */
static void seed_dispatchers(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++) {
        const struct sim_rule *rule = &sim_rules[i];
        bool is_known = dispatcher_find(sim->broker.core, slice_of(rule->name)) != NULL;
        if (is_known)
            broker_note_id(sim, i);
        if (is_known && (rule->limit || sim->broker.restarts > 1))
            continue;
        struct berth_event event = { .type = BERTH_EV_DISPATCHER_SET };
        event.dispatcher_set = (struct berth_ev_dispatcher_set){
            .name = slice_of(rule->name),
            .has_limit = rule->limit > 0,
            .limit = { .kind = rule->is_unlimited ? BERTH_LIMIT_UNLIMITED : BERTH_LIMIT_NUMBER,
                       .value = rule->is_unlimited ? 0 : rule->limit },
            .has_on_lost = true,
            .on_lost = rule->is_held ? BERTH_ON_LOST_HOLD : BERTH_ON_LOST_RECLAIM,
            .has_parent = rule->parent >= 0,
            .parent = slice_of(rule->parent >= 0 ? sim_rules[rule->parent].name : ""),
            .has_weight = rule->weight > 0,
            .weight = rule->weight,
            .has_group_limit = true,
            .group_limit = rule->group_limit,
            .has_rate = true,
            .rate_count = rule->rate_count,
            .rate_ms = rule->rate_ms,
            .has_burst = true,
            .burst = rule->burst,
            .has_max_queued = true,
            .max_queued = rule->max_queued,
            .has_queue_timeout = true,
            .queue_timeout_ms = rule->queue_timeout_ms,
            .has_deadline = true,
            .deadline_ms = rule->deadline_ms,
            .has_backoff_max = true,
            .backoff_ms_max = SIM_BACKOFF_MS_MAX,
            .has_timeout = true,
            .timeout_ms = rule->timeout_ms,
            .has_retention = rule->retention_ms > 0,
            .retention_ms = rule->retention_ms,
            .has_retention_count = rule->retention_count > 0,
            .retention_count = rule->retention_count,
            .has_jitter = true,
            .no_jitter = rule->is_without_jitter,
            .has_hold = true,
            .hold = rule->is_given_back ? BERTH_HOLD_RUNNING : BERTH_HOLD_JOB,
            .has_grace = true,
            .grace_ms = SIM_GRACE_MS,
        };
        step(sim, &event);
        broker_note_id(sim, i);
        check_limit(sim, i, rule->limit ? rule->limit : 64);
    }
}

const struct sim_rule *check_rule_of(struct sim *sim, uint32_t id)
{
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        if (sim->broker.ids[i] == id)
            return &sim_rules[i];
    sim_fail(sim, "a dispatcher nobody made: %u", id);
}

void broker_start(struct sim *sim)
{
    struct broker *broker = &sim->broker;
    struct berth_store_info info;
    struct berth_error err = { 0 };
    struct berth_store_opts opts = { .lineage = berth_rng_next(&sim->rng),
                                     .wall_us = sim_wall_us(sim) };
    if (berth_mem_open(broker->disk, &opts, &broker->store, &info, &err) < 0)
        sim_fail(sim, "open: %s", err.message);
    struct berth_core_opts core_opts = { .epoch = info.epoch,
                                         .lineage = opts.lineage,
                                         .next_job_id = info.next_job_id,
                                         .next_dispatcher_id = info.next_dispatcher_id,
                                         .next_schedule_id = info.next_schedule_id,
                                         .seed = berth_rng_next(&sim->rng),
                                         .body_bytes_max = sim_chance(sim, 30) ? 256 : 0 };
    broker->core = berth_core_new(&core_opts, &err);
    if (!broker->core)
        sim_fail(sim, "core: %s", err.message);
    struct berth_store_visitor visitor = { .arg = broker->core,
                                           .dispatcher = load_dispatcher,
                                           .session = load_session,
                                           .schedule = load_schedule,
                                           .job = load_job,
                                           .ended_key = load_key,
                                           .body_bytes_budget = 1 << 20 };
    if (berth_store_load(broker->store, &visitor, &err) < 0)
        sim_fail(sim, "load: %s", err.message);
    if (berth_core_start(broker->core, sim_ms(sim), sim_wall_us(sim)) < 0)
        sim_fail(sim, "what is on the disk cannot be");
    broker->is_up = true;
    broker->stalled_until_us = 0;
    berth_list_init(&broker->questions);
    broker->life++;
    broker->is_turn_scheduled = false;
    broker->timer_us = 0;
    sim_note(sim, "broker starts, epoch %llu", (unsigned long long)info.epoch);
    if (broker->restarts++ > 0)
        check_outage(sim, NULL, broker->died_us, sim->now_us);
    seed_dispatchers(sim);
    schedule_turn(sim);
}

void broker_kill(struct sim *sim)
{
    struct broker *broker = &sim->broker;
    sim_note(sim, "broker dies");
    broker->is_up = false;
    broker->died_us = sim->now_us;
    for (size_t i = 0; i < broker->inbox_count; i++)
        note_free(broker->inbox[i]);
    broker->inbox_count = broker->peers_gone_count = 0;
    bool is_written = sim_chance(sim, 50);
    while (broker->asked_count)
        if (next_is_batch(broker) && is_written)
            check_stored(sim, broker->away);
    berth_mem_crash(broker->store, is_written);
    broker->store = NULL;
    forget_questions(broker);
    batch_free(broker->away);
    broker->away = NULL;
    berth_core_free(broker->core);
    broker->core = NULL;
    link_broker_died(sim);
}

uint64_t broker_live_jobs(struct sim *sim)
{
    return sim->broker.core->jobs.used;
}

#define SHOWN_MAX 8

void broker_note_live(struct sim *sim)
{
    const struct berth_core *core = sim->broker.core;
    if (!sim->broker.is_up)
        return;
    sim_note(sim, "%llu sessions are missing", (unsigned long long)core->unresolved);
    for (uint32_t i = 1, shown = 0; i <= core->jobs.top && shown < SHOWN_MAX; i++) {
        const struct job *job = job_at(&core->jobs, i);
        if (!job->state)
            continue;
        shown++;
        const struct attempt *attempt = job->state == JOB_RUNNING ? job->attempt : NULL;
        sim_note(sim, "job %llu of %s: state %u, flags %x, attempt %llx in state %d of %llx (%s)",
                 (unsigned long long)job->id, job_dispatcher(core, job)->record.name, job->state,
                 job->flags, attempt ? (unsigned long long)attempt->by_id.id : 0,
                 attempt ? (int)attempt->state : 0,
                 attempt ? (unsigned long long)attempt->session->by_id.id : 0,
                 attempt ? attempt->session->record.name : "");
    }
}

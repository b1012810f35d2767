/* SPDX-License-Identifier: MIT */
/* A worker as the simulator has it: keeper, child with its agent, a clock that drifts. What runs
 * in the child is in runs.c. */
#include <stdlib.h>
#include <string.h>

#include "parent.h"
#include "runs.h"
#include "sim.h"
#include "worker_says.h"

#define KILL_US_MAX        (950 * MS) /* the keeper is that late at most: below kappa */
#define GONE_EVERY_US      (500 * MS)
#define DRIFT_PPM_MAX      900
#define SUSPENDED_MAX      6
#define CALM_SUSPENDED_MAX 256 /* for all parents that there may be */

/* The worker itself, or the one that a process for a suspect belongs to. */
static const struct worker *home_of(const struct worker *worker)
{
    return worker->host ? worker->host : worker;
}

static int64_t child_ms(const struct worker *worker)
{
    const struct sim *sim = worker->sim;
    int64_t us = sim->now_us + sim->now_us * worker->drift_ppm / 1000000;
    return us / 1000 + 7000 * (home_of(worker)->index + 1);
}

void appoint(struct worker *worker, int64_t at_us, sim_fn fn, unsigned life, uint64_t attempt)
{
    struct appointment *appointment =
        berth_arena_alloc(&worker->sim->checkers.arena, sizeof *appointment);
    *appointment = (struct appointment){ .worker = worker, .life = life, .attempt = attempt };
    sim_at(worker->sim, at_us, fn, appointment);
}

bool worker_is_stopped(const struct worker *worker)
{
    return worker->sim->now_us < worker->link.stopped_until_us;
}

/* What falls due in a host that stands still is done when it goes on, each thing in its own time.
 */
bool postpone(struct sim *sim, const struct appointment *appointment, sim_fn fn, void *arg)
{
    const struct worker *worker = appointment->worker;
    if (!worker_is_stopped(worker))
        return false;
    sim_at(sim, worker->link.stopped_until_us + sim_random_us(sim, 0, KILL_US_MAX / 2), fn, arg);
    return true;
}

/* ---- what the agent asks for ---- */

static void child_exits(struct worker *worker, enum agent_exit why, const char *reason)
{
    sim_note(worker->sim, "worker %u: child exits: %s", worker->index, reason);
    switch (why) {
    case AGENT_EXIT_DRAINED: worker_kill_child(worker, BERTH_GONE_DRAIN); return;
    case AGENT_EXIT_LEASE_OVER:
        check_child_lost_lease(worker->sim, worker);
        worker_kill_child(worker, BERTH_GONE_LEASE);
        return;
    case AGENT_EXIT_FORCED:
    case AGENT_EXIT_FENCED: worker_kill_child(worker, BERTH_GONE_FENCED); return;
    case AGENT_EXIT_TWO_BROKERS: sim_fail(worker->sim, "a worker sees two brokers");
    }
}

/* The keeper looks at the lease end by itself, a little late. */
static void keeper_looks(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    if (postpone(sim, appointment, keeper_looks, arg))
        return;
    if (!worker->has_child || worker->life != appointment->life)
        return;
    if (child_ms(worker) < worker->lease_end_ms)
        return;
    sim_note(sim, "worker %u: the keeper kills the child: its lease is over", worker->index);
    if (!worker->is_frozen)
        check_child_lost_lease(sim, worker);
    worker_kill_child(worker, BERTH_GONE_LEASE);
}

static void note_lease(struct worker *worker, int64_t end_ms)
{
    struct sim *sim = worker->sim;
    worker->lease_end_ms = end_ms;
    int64_t left_us = (end_ms - child_ms(worker)) * 1000;
    /* In the clock of the worker; its drift is within the lateness that is drawn. */
    left_us -= left_us / 1000000 * worker->drift_ppm;
    appoint(worker, sim->now_us + left_us + 2 * MS + sim_random_us(sim, 0, KILL_US_MAX),
            keeper_looks, worker->life, 0);
}

static void carry_out(struct worker *worker, const struct agent_effects *effects,
                      int64_t granted_us)
{
    unsigned life = worker->life; /* with its child the agent goes, and with it the effects */
    for (size_t i = 0; worker->life == life && i < effects->count; i++) {
        const struct agent_effect *effect = &effects->items[i];
        switch (effect->type) {
        case AGENT_DO_HELLO: say_hello(worker, effect->hello.epoch); break;
        case AGENT_DO_JOIN: say_join(worker, effect); break;
        case AGENT_DO_RENEW: say_renew(worker, effect); break;
        case AGENT_DO_REPORTS: say_reports(worker, effect); break;
        case AGENT_DO_SHOW: say_show(worker, effect); break;
        case AGENT_DO_START: start_run(worker, &effect->start, granted_us); break;
        case AGENT_DO_CANCEL:
            cancel_run(worker, effect->cancel.attempt, effect->cancel.reason);
            break;
        case AGENT_DO_RESUME: parent_resumed(worker, effect->resume.attempt); break;
        case AGENT_DO_CHILDREN: parent_answered(worker, &effect->children); break;
        case AGENT_DO_CHILD_ENDED: parent_child_ended(worker, &effect->child_ended); break;
        case AGENT_DO_SESSION:
            if (!worker->session)
                worker->welcomed_us = worker->sim->now_us;
            worker->session = effect->session.session;
            worker->epoch_seen = effect->session.epoch;
            worker->lineage = effect->session.lineage;
            break;
        case AGENT_DO_LEASE: note_lease(worker, effect->lease.end_ms); break;
        case AGENT_DO_START_ALONE:
            for (uint32_t n = effect->start_alone.count; n > 0; n--)
                alone_start(worker);
            break;
        case AGENT_DO_RECONNECT: link_cut(&worker->link); break;
        case AGENT_DO_EXIT: child_exits(worker, effect->exit.why, effect->exit.reason); break;
        }
    }
}

/* ---- events into the agent ---- */

static void tick(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    if (postpone(sim, appointment, tick, arg))
        return;
    if (!worker->has_child || worker->life != appointment->life || worker->is_frozen)
        return;
    if (agent_next_deadline_ms(worker->agent) > child_ms(worker))
        return;
    feed(worker, &(struct agent_event){ .type = AGENT_EV_TIMER });
}

static void schedule_tick(struct worker *worker)
{
    int64_t deadline_ms = agent_next_deadline_ms(worker->agent);
    if (deadline_ms == INT64_MAX)
        return;
    int64_t left_us = (deadline_ms - child_ms(worker)) * 1000;
    if (left_us < 0)
        left_us = 0;
    appoint(worker, worker->sim->now_us + left_us + left_us / 500 + MS, tick, worker->life, 0);
}

static void feed_at(struct worker *worker, struct agent_event *event, int64_t granted_us)
{
    if (!worker->has_child || worker->is_frozen)
        return;
    event->now_ms = child_ms(worker);
    struct agent_effects effects;
    if (agent_step(worker->agent, event, &effects) < 0)
        sim_fail(worker->sim, "the agent has no memory");
    unsigned life = worker->life;
    carry_out(worker, &effects, granted_us);
    if (worker->has_child && worker->life == life) {
        agent_check(worker->agent);
        schedule_tick(worker);
    }
}

void feed(struct worker *worker, struct agent_event *event)
{
    feed_at(worker, event, worker->sim->now_us);
}

void worker_connected(struct worker *worker)
{
    feed(worker, &(struct agent_event){ .type = AGENT_EV_CONNECTED });
}

void worker_deliver(struct worker *worker, struct note *note)
{
    if (worker->has_child && !worker->is_frozen) {
        check_told_runs(worker, &note->child);
        feed_at(worker, &note->child, note->sent_us);
    }
    note_free(note); /* a frozen child reads nothing any more: its keeper ends it */
}

/* ---- the keeper ---- */

static void say_gone(struct worker *worker, const struct certificate *gone)
{
    struct note *note = note_new(TO_BROKER);
    note->broker.type = BERTH_EV_GONE;
    struct berth_ev_gone *ev = &note->broker.gone;
    *ev = (struct berth_ev_gone){
        .peer = worker->keeper_link.peer,
        .session = gone->session,
        .child = gone->child,
        .cause = gone->cause,
        .attempts = note_copy(note, gone->attempts, gone->count * sizeof *gone->attempts),
        .jobs = note_copy(note, gone->jobs, gone->count * sizeof *gone->jobs),
        .numbers = note_copy(note, gone->numbers, gone->count * sizeof *gone->numbers),
        .count = gone->count,
        .culprit = gone->culprit,
    };
    memcpy(ev->nonce, worker->nonce, sizeof ev->nonce);
    link_send_up(&worker->keeper_link, note);
}

static void repeat_gone(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    if (postpone(sim, appointment, repeat_gone, arg))
        return;
    if (!worker->is_up || worker->keeper_life != appointment->life || !worker->gone_count)
        return;
    for (size_t i = 0; i < worker->gone_count; i++)
        say_gone(worker, &worker->gone[i]);
    appoint(worker, sim->now_us + GONE_EVERY_US, repeat_gone, worker->keeper_life, 0);
}

static void end_keeper(struct worker *worker)
{
    worker->is_up = false;
    worker->keeper_life++;
    link_close(&worker->keeper_link);
}

void worker_keeper_deliver(struct worker *worker, struct note *note)
{
    const struct berth_do_fenced *ok = &note->gone_ok;
    for (size_t i = 0; worker->is_up && i < worker->gone_count; i++)
        if (worker->gone[i].session == ok->session && worker->gone[i].child == ok->child) {
            worker->gone[i] = worker->gone[--worker->gone_count];
            break;
        }
    note_free(note);
    if (worker->host && worker->is_up && !worker->has_child && worker->child > 0 &&
        !worker->gone_count)
        end_keeper(worker);
}

static void certify(struct worker *worker, enum berth_gone_cause cause, uint64_t culprit)
{
    if (worker->gone_count == sizeof worker->gone / sizeof *worker->gone)
        return; /* the lease decides then */
    struct certificate *gone = &worker->gone[worker->gone_count++];
    *gone =
        (struct certificate){ .session = worker->session, .child = worker->child, .cause = cause };
    BERTH_MAP_FOREACH (node, &worker->runs) {
        const struct run *run = berth_container_of(node, struct run, by_attempt);
        if (gone->count < 64) {
            gone->attempts[gone->count] = run->attempt;
            gone->numbers[gone->count] = run->number;
            gone->jobs[gone->count++] = run->job;
        }
    }
    gone->culprit = culprit;
    check_deaths(worker, gone);
    appoint(worker, worker->sim->now_us, repeat_gone, worker->keeper_life, 0);
}

static void end_child(struct worker *worker)
{
    drop_runs(worker);
    agent_free(worker->agent);
    worker->agent = NULL;
    worker->has_child = false;
    worker->is_frozen = worker->is_draining = false;
    worker->life++;
    link_close(&worker->link);
}

static void start_child(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    if (postpone(sim, appointment, start_child, arg))
        return;
    if (!worker->is_up || worker->has_child || worker->keeper_life != appointment->life)
        return;
    worker->child++;
    worker->session = 0;
    worker->started_us = sim->now_us;
    struct agent_opts opts = { .child = worker->child,
                               .epoch_seen = worker->epoch_seen,
                               .lineage_seen = worker->lineage,
                               .name = "worker",
                               .handlers = sim_handlers,
                               .handler_count = SIM_HANDLERS,
                               .capacity = worker->capacity,
                               .suspended_max = worker->suspended_max,
                               .cores = worker->cores,
                               .is_alone = worker->host != NULL,
                               .can_start_alone = worker->host == NULL,
                               .seed = berth_rng_next(&sim->rng) };
    memcpy(opts.nonce, worker->nonce, sizeof opts.nonce);
    worker->agent = agent_new(&opts);
    BERTH_ASSERT(worker->agent != NULL);
    worker->has_child = true;
    sim_note(sim, "worker %u: child %u starts", worker->index, worker->child);
    feed(worker, &(struct agent_event){ .type = AGENT_EV_START });
    link_open(sim, &worker->link, worker, TO_CHILD);
}

static void kill_child(struct worker *worker, enum berth_gone_cause cause, uint64_t culprit)
{
    if (!worker->has_child)
        return;
    certify(worker, cause, culprit);
    end_child(worker);
    if (worker->host)
        return;
    appoint(worker, worker->sim->now_us + sim_random_us(worker->sim, MS, 100 * MS), start_child,
            worker->keeper_life, 0);
}

void worker_kill_child(struct worker *worker, enum berth_gone_cause cause)
{
    kill_child(worker, cause, 0);
}

void die_of(struct worker *worker, uint64_t culprit)
{
    kill_child(worker, BERTH_GONE_SIGNAL, culprit);
}

void worker_start(struct worker *worker)
{
    struct sim *sim = worker->sim;
    if (worker->is_up)
        return;
    worker->is_up = true;
    worker->keeper_life++;
    if (worker->host)
        memcpy(worker->name, worker->host->name, sizeof worker->name);
    else
        (void)snprintf(worker->name, sizeof worker->name, "w%u.%u", worker->index,
                       worker->keeper_life);
    worker->child = 0;
    worker->gone_count = 0;
    worker->epoch_seen = 0;
    worker->lineage = 0;
    worker->capacity = worker->host ? 1 : (uint32_t)berth_rng_between(&sim->rng, 1, 8);
    worker->suspended_max =
        worker->host ? 0 : (uint32_t)berth_rng_between(&sim->rng, 0, SUSPENDED_MAX);
    if (sim->is_calm && !worker->host)
        worker->suspended_max = CALM_SUSPENDED_MAX;
    worker->cores = (uint32_t)berth_rng_between(&sim->rng, 1, 4);
    worker->drift_ppm = worker->host
                            ? worker->host->drift_ppm
                            : (int)berth_rng_between(&sim->rng, -DRIFT_PPM_MAX, DRIFT_PPM_MAX);
    for (size_t i = 0; i < sizeof worker->nonce; i++)
        worker->nonce[i] = (uint8_t)berth_rng_next(&sim->rng);
    link_open(sim, &worker->keeper_link, worker, TO_KEEPER);
    appoint(worker, sim->now_us + sim_random_us(sim, 0, 50 * MS), start_child, worker->keeper_life,
            0);
}

void worker_lose(struct worker *worker)
{
    worker->link.stopped_until_us = worker->keeper_link.stopped_until_us = 0;
    if (worker->has_child)
        end_child(worker);
    end_keeper(worker);
}

void worker_kill_host(struct worker *worker)
{
    if (!worker->is_up)
        return;
    sim_note(worker->sim, "worker %u: its host is lost", worker->index);
    operator_mourn(worker->sim, worker);
    worker_lose(worker);
    alone_each(worker, worker_lose);
}

void worker_freeze(struct worker *worker)
{
    /* Before it has a lease nothing would end it, as nothing runs in it. */
    if (!worker->has_child || !worker->session)
        return;
    sim_note(worker->sim, "worker %u freezes", worker->index);
    worker->is_frozen = true;
}

/* As long as its host does. */
static void stop_one(struct worker *worker)
{
    int64_t until_us = home_of(worker)->link.stopped_until_us;
    worker->link.stopped_until_us = worker->keeper_link.stopped_until_us = until_us;
    check_outage(worker->sim, &worker->link, worker->sim->now_us, until_us);
    check_stopped(worker->sim, worker);
    worker->stops++;
}

void worker_stop(struct worker *worker, int64_t until_us)
{
    if (!worker->is_up || worker_is_stopped(worker))
        return;
    sim_note(worker->sim, "worker %u: its host stands still", worker->index);
    worker->link.stopped_until_us = until_us;
    stop_one(worker);
    alone_each(worker, stop_one);
}

void worker_drain(struct worker *worker)
{
    if (!worker->has_child || worker->is_draining)
        return;
    worker->is_draining = true;
    sim_note(worker->sim, "worker %u drains", worker->index);
    feed(worker, &(struct agent_event){ .type = AGENT_EV_DRAIN });
}

void worker_fini(struct worker *worker)
{
    if (worker->has_child)
        end_child(worker);
    worker->is_up = false;
}

/* SPDX-License-Identifier: MIT */
#include "faults.h"

#define FAULT_US_MIN       (200 * MS)
#define FAULT_US_MAX       (6 * SECOND)
#define OUTAGE_US_MIN      (5 * MS)
#define OUTAGE_US_MAX      (4 * SECOND)
#define LONG_OUTAGE_US_MAX (25 * SECOND)
#define PARTITION_US_MAX   (30 * SECOND)
#define STOP_US_MAX        (30 * SECOND)
#define SLOW_DISK_US_MAX   (3 * SECOND)
#define STALL_US_MAX       (6 * SECOND)
#define LONG_STALL_US_MAX  (15 * SECOND)
#define JUMP_US_MAX        (120 * SECOND) /* within the window of a request's key */

static void broker_back(struct sim *sim, void *arg)
{
    (void)arg;
    if (!sim->broker.is_up)
        broker_start(sim);
}

static void break_now(struct sim *sim, void *arg)
{
    (void)arg;
    if (!sim->broker.is_up)
        return;
    broker_kill(sim);
    bool is_long = sim_chance(sim, 20);
    sim_at(sim,
           sim->now_us +
               sim_random_us(sim, OUTAGE_US_MIN, is_long ? LONG_OUTAGE_US_MAX : OUTAGE_US_MAX),
           broker_back, NULL);
}

/* At once; or after its disk has become slow, so that it has said much, perhaps, that is not
 * stored.
 */
static void break_broker(struct sim *sim)
{
    if (sim_chance(sim, 60)) {
        break_now(sim, NULL);
        return;
    }
    int64_t at_us = sim->now_us + sim_random_us(sim, MS, SLOW_DISK_US_MAX);
    sim->broker.slow_until_us = at_us;
    sim_at(sim, at_us, break_now, NULL);
}

static void host_back(struct sim *sim, void *arg)
{
    (void)sim;
    worker_start(arg);
}

static bool is_on(const struct worker *other, const struct worker *worker)
{
    return other == worker || (other->is_up && other->host == worker);
}

static void heal_partition(struct sim *sim, void *arg)
{
    for (unsigned i = 0; i < SIM_WORKERS_MAX + SIM_ALONE_MAX; i++) {
        struct worker *worker = &sim->workers[i];
        if (is_on(worker, arg))
            worker->link.is_partitioned = worker->keeper_link.is_partitioned = false;
    }
}

/* With all that runs on its host. */
static void partition(struct sim *sim, const struct worker *host)
{
    sim_note(sim, "worker %u is cut off", host->index);
    int64_t heal_us = sim->now_us + sim_random_us(sim, 100 * MS, PARTITION_US_MAX);
    for (unsigned i = 0; i < SIM_WORKERS_MAX + SIM_ALONE_MAX; i++) {
        struct worker *worker = &sim->workers[i];
        if (!is_on(worker, host))
            continue;
        worker->link.is_partitioned = worker->keeper_link.is_partitioned = true;
        link_cut(&worker->link);
        link_cut(&worker->keeper_link);
        check_outage(sim, &worker->link, sim->now_us, heal_us);
    }
    sim_at(sim, heal_us, heal_partition, &sim->workers[host->index]);
}

static void break_link(struct sim *sim)
{
    size_t count = 0,
           chosen = berth_rng_below(&sim->rng, sim->opts.workers * 2 + sim->opts.clients);
    BERTH_LIST_FOREACH (node, &sim->links) {
        if (count++ != chosen)
            continue;
        link_cut(berth_container_of(node, struct link, node));
        return;
    }
}

/* The broker's process does not run; what is sent to it waits in its sockets. */
static void stall(struct sim *sim)
{
    bool is_long = sim_chance(sim, 20);
    int64_t until_us =
        sim->now_us + sim_random_us(sim, MS, is_long ? LONG_STALL_US_MAX : STALL_US_MAX);
    sim->broker.stalled_until_us = until_us;
    check_outage(sim, NULL, sim->now_us, until_us);
    sim_note(sim, "broker stands still");
}

static void jump(struct sim *sim, int64_t jump_us)
{
    sim->wall_skew_us += jump_us;
    check_rate_jump(sim, jump_us);
}

/* One of those that happen at a moment, or none. */
static unsigned choose(struct sim *sim)
{
    unsigned on[16], count = 0;
    for (unsigned fault = 1; fault < FAULT_ALL; fault *= 2)
        if (sim->opts.faults & fault && !(fault & (FAULT_LIMITS | FAULT_LATE)))
            on[count++] = fault;
    return count ? on[berth_rng_below(&sim->rng, count)] : 0;
}

static void happen(struct sim *sim, enum fault fault)
{
    struct worker *worker = &sim->workers[berth_rng_below(&sim->rng, sim->opts.workers)];
    if (worker_is_stopped(worker) && fault & (FAULT_CHILD | FAULT_FREEZE | FAULT_DRAIN))
        return; /* nothing happens in it */
    switch (fault) {
    case FAULT_BROKER: break_broker(sim); return;
    case FAULT_CHILD:
        worker_kill_child(worker_or_alone(worker),
                          sim_chance(sim, 50) ? BERTH_GONE_SIGNAL : BERTH_GONE_EXIT);
        return;
    case FAULT_HOST:
        worker_kill_host(worker);
        sim_at(sim, sim->now_us + sim_random_us(sim, 10 * MS, 12 * SECOND), host_back, worker);
        return;
    case FAULT_CUT: break_link(sim); return;
    case FAULT_PARTITION: partition(sim, worker); return;
    case FAULT_FREEZE: worker_freeze(worker_or_alone(worker)); return;
    case FAULT_FULL:
        sim->broker.full_until_us = sim->now_us + sim_random_us(sim, MS, 5 * SECOND);
        return;
    case FAULT_DRAIN: worker_drain(worker); return;
    case FAULT_STALL: stall(sim); return;
    case FAULT_CLOCK: jump(sim, sim_random_us(sim, -JUMP_US_MAX, JUMP_US_MAX)); return;
    case FAULT_STOP:
        worker_stop(worker, sim->now_us + sim_random_us(sim, 100 * MS, STOP_US_MAX));
        return;
    case FAULT_LIMITS:
    case FAULT_LATE:
    case FAULT_ALL: return;
    }
}

static void next(struct sim *sim, void *arg)
{
    (void)arg;
    if (sim->is_calm)
        return;
    unsigned fault = choose(sim);
    if (fault)
        happen(sim, (enum fault)fault);
    sim_at(sim, sim->now_us + sim_random_us(sim, FAULT_US_MIN, FAULT_US_MAX) * sim_patience(sim),
           next, NULL);
}

void fault_schedule(struct sim *sim)
{
    sim_at(sim, sim_random_us(sim, FAULT_US_MIN, FAULT_US_MAX), next, NULL);
}

/* From here on everything is well; what broke is mended by the means of the system itself. */
void fault_heal_all(struct sim *sim)
{
    sim->broker.full_until_us = sim->broker.stalled_until_us = sim->broker.slow_until_us = 0;
    if (!sim->broker.is_up)
        broker_start(sim);
    for (unsigned i = 0; i < sim->opts.workers; i++) {
        struct worker *worker = &sim->workers[i];
        if (worker->link.is_partitioned)
            heal_partition(sim, worker);
        if (i == 0) /* as many may wait at it as there are parents */
            worker_kill_host(worker);
        if (!worker->is_up)
            worker_start(worker);
    }
    client_calm(&sim->clients[0]);
}

/* SPDX-License-Identifier: MIT */
/* Virtual time, the order of events, and the story of one run: start, chaos, calm, check. */
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

#define EVENTS_MAX  (1u << 16)
#define CALM_US_MAX (40 * 60 * SECOND) /* for all to end when nothing goes wrong any more */
#define TRACE_SHOWN 40                 /* of the lines of a run that failed */

/* Four that are independent, and a tree two deep: all > eu > mail and push, all > slow. Two that
 * hold what is lost: vault, and coin below it. One that does at times. One without a limit. One of
 * less than a start a minute. */
const struct sim_rule sim_rules[SIM_DISPATCHERS] = {
    { .name = "newsletter", .limit = 3, .parent = -1, .group_limit = 2, .retention_ms = 15000 },
    { .name = "auth",
      .limit = 5,
      .parent = -1,
      .group_limit = 2,
      .deadline_ms = 30000,
      .is_given_back = true },
    { .name = "mutex", .limit = 1, .parent = -1, .is_without_jitter = true },
    { .name = "default", .parent = -1 },
    { .name = "all", .limit = 6, .parent = -1 },
    { .name = "eu", .limit = 4, .parent = 4, .weight = 2 },
    { .name = "mail",
      .limit = 3,
      .parent = 5,
      .weight = 3,
      .group_limit = 1,
      .retention_count = 8 },
    { .name = "push",
      .limit = 3,
      .parent = 5,
      .queue_timeout_ms = 15000,
      .queue_timeout_ms_least = 2000,
      .is_given_back = true },
    { .name = "slow",
      .limit = 4,
      .parent = 4,
      .rate_count = 1,
      .rate_ms = 1000,
      .burst = 4,
      .max_queued = 6 },
    { .name = "vault", .limit = 2, .parent = -1, .is_held = true },
    { .name = "coin", .limit = 2, .parent = 9, .group_limit = 1, .timeout_ms = 2500 },
    { .name = "safe", .limit = 2, .parent = -1 },
    { .name = "free", .limit = UINT32_MAX, .parent = -1, .is_unlimited = true },
    { .name = "drip", .limit = 3, .parent = -1, .rate_count = 59, .rate_ms = 3600000, .burst = 2 },
};
const char *const sim_groups[SIM_GROUPS] = { "", "acme", "bolt", "core" };
const char *const sim_handlers[SIM_HANDLERS] = { "mail", "exec", "rare" };

struct sim_stats sim_total;

static jmp_buf failure;

struct timed {
    struct berth_heap_node node;
    int64_t at_us;
    uint64_t order;
    sim_fn fn;
    void *arg;
};

static bool is_sooner(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct timed *x = berth_container_of(a, struct timed, node);
    const struct timed *y = berth_container_of(b, struct timed, node);
    return x->at_us != y->at_us ? x->at_us < y->at_us : x->order < y->order;
}

void sim_at(struct sim *sim, int64_t at_us, sim_fn fn, void *arg)
{
    struct timed *timed = calloc(1, sizeof *timed);
    BERTH_ASSERT(timed != NULL);
    timed->at_us = at_us > sim->now_us ? at_us : sim->now_us;
    timed->order = ++sim->event_counter;
    timed->fn = fn;
    timed->arg = arg;
    berth_heap_push(&sim->events, &timed->node);
}

int64_t sim_random_us(struct sim *sim, int64_t low_us, int64_t high_us)
{
    return berth_rng_between(&sim->rng, low_us, high_us);
}

bool sim_chance(struct sim *sim, unsigned percent)
{
    return berth_rng_chance(&sim->rng, percent, 100);
}

void sim_note(struct sim *sim, const char *format, ...)
{
    char *line = sim->trace[sim->trace_count++ % TRACE_LINES];
    int bytes = snprintf(line, TRACE_LINE_BYTES, "%10.3f ms  ", (double)sim->now_us / 1000.0);
    va_list args;
    va_start(args, format);
    vsnprintf(line + bytes, (size_t)(TRACE_LINE_BYTES - bytes), format, args);
    va_end(args);
    if (sim->opts.is_verbose)
        fprintf(stderr, "%s\n", line);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "seed %llu fails at %.3f ms: ", (unsigned long long)sim->opts.seed,
            (double)sim->now_us / 1000.0);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nthe last that happened:\n");
    uint64_t first = sim->trace_count > TRACE_SHOWN ? sim->trace_count - TRACE_SHOWN : 0;
    for (uint64_t i = first; i < sim->trace_count; i++)
        fprintf(stderr, "  %s\n", sim->trace[i % TRACE_LINES]);
    longjmp(failure, 1);
}

unsigned sim_dispatcher_index(struct sim *sim, struct berth_slice name)
{
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        if (strlen(sim_rules[i].name) == name.bytes &&
            memcmp(sim_rules[i].name, name.data, name.bytes) == 0)
            return i;
    sim_fail(sim, "a dispatcher nobody made: %.*s", (int)name.bytes, (const char *)name.data);
}

unsigned sim_group_of(uint64_t tag)
{
    return (unsigned)(tag / 3 % SIM_GROUPS);
}

static bool step_one(struct sim *sim)
{
    struct berth_heap_node *node = berth_heap_pop(&sim->events);
    if (!node)
        return false;
    struct timed *timed = berth_container_of(node, struct timed, node);
    struct timed now = *timed;
    free(timed);
    sim->now_us = now.at_us;
    sim->steps++;
    now.fn(sim, now.arg);
    return true;
}

static bool is_over(struct sim *sim)
{
    for (unsigned i = 0; i < sim->opts.clients; i++)
        if (!client_is_done(&sim->clients[i]))
            return false;
    return recur_is_over(sim) && check_all_ended(sim);
}

static void init(struct sim *sim, const struct sim_opts *opts)
{
    sim->opts = *opts;
    sim->event_nodes = calloc(EVENTS_MAX, sizeof(*sim->event_nodes));
    BERTH_ASSERT(sim->event_nodes != NULL);
    berth_heap_init(&sim->events, sim->event_nodes, EVENTS_MAX, is_sooner);
    berth_rng_init(&sim->rng, opts->seed);
    berth_list_init(&sim->links);
    check_init(sim);
}

static void fini(struct sim *sim)
{
    for (unsigned i = 0; i < sim->opts.clients; i++)
        client_fini(&sim->clients[i]);
    for (unsigned i = 0; i < SIM_WORKERS_MAX + SIM_ALONE_MAX; i++)
        worker_fini(&sim->workers[i]);
    if (sim->broker.is_up)
        broker_kill(sim);
    BERTH_LIST_FOREACH (link, &sim->links)
        link_fini(berth_container_of(link, struct link, node));
    struct berth_heap_node *node;
    while ((node = berth_heap_pop(&sim->events))) {
        struct timed *timed = berth_container_of(node, struct timed, node);
        fault_drop_event(timed->fn, timed->arg);
        free(timed);
    }
    berth_mem_disk_free(sim->broker.disk);
    recur_fini(sim);
    seen_fini(sim);
    check_fini(sim);
    free(sim->event_nodes);
}

static void start_all(struct sim *sim)
{
    sim->broker.disk = berth_mem_disk_new();
    broker_start(sim);
    for (unsigned i = 0; i < sim->opts.clients; i++) {
        sim->clients[i] = (struct client){ .sim = sim, .index = i };
        client_start(&sim->clients[i]);
    }
    for (unsigned i = 0; i < SIM_WORKERS_MAX + SIM_ALONE_MAX; i++)
        sim->workers[i] = (struct worker){ .sim = sim, .index = i };
    for (unsigned i = 0; i < sim->opts.workers; i++)
        worker_start(&sim->workers[i]);
    recur_start(sim);
    fault_schedule(sim);
}

static void run_to_the_end(struct sim *sim)
{
    while (sim->now_us < sim->opts.chaos_us && step_one(sim))
        if (sim->steps > (uint64_t)sim->opts.ticks)
            sim_fail(sim, "too many events: somebody talks in circles");
    sim_note(sim, "calm");
    sim->is_calm = true;
    fault_heal_all(sim);
    recur_calm(sim);
    int64_t calm_us = sim->now_us;
    while (!is_over(sim)) {
        if (!step_one(sim) || sim->now_us - calm_us > CALM_US_MAX) {
            broker_note_live(sim);
            sim_fail(sim, "no progress: something accepted has not ended, though nothing is wrong");
        }
        if (sim->steps > (uint64_t)sim->opts.ticks)
            sim_fail(sim, "too many events: somebody talks in circles");
    }
    check_rates(sim);
    check_keys(sim);
    check_disk(sim);
}

static void add_stats(const struct sim *sim)
{
    sim_total.runs++;
    sim_total.starts += sim->checkers.starts;
    sim_total.acknowledged += sim->checkers.acknowledged;
    sim_total.cancelled += sim->checkers.cancelled;
    sim_total.broker_starts += sim->broker.restarts;
    sim_total.steps += sim->steps;
    sim_total.virtual_us += sim->now_us;
    for (unsigned i = 0; i < SIM_WORKERS_MAX + SIM_ALONE_MAX; i++)
        sim_total.children += sim->workers[i].life;
}

int sim_run(const struct sim_opts *opts)
{
    struct sim *sim = calloc(1, sizeof *sim);
    BERTH_ASSERT(sim != NULL);
    init(sim, opts);
    int rc = setjmp(failure);
    if (rc == 0) {
        start_all(sim);
        run_to_the_end(sim);
        add_stats(sim);
        fini(sim);
        free(sim);
        return 0;
    }
    return -1; /* the memory of a failed run is left as it is: the process ends soon */
}

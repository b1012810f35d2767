/* SPDX-License-Identifier: MIT */
#include "broker.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/limit.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/text.h"
#include "broker/net/peers.h"
#include "reads.h"
#include "zones.h"

#define DIFFERENCES_BYTES_MAX 4096

struct broker {
    struct broker_opts opts;
    struct reads *reads;
    struct zones *zones;
    struct berth_seeds *seeds; /* borrowed; NULL: none */
    bool are_seeds_asked;      /* the core was asked which dispatchers there are */
    bool are_seeds_due;        /* it has answered: those that are missing are to be made */

    bool is_stopping, is_store_lost, is_store_full;
    bool is_drained;               /* nothing more lay in the socket when we last looked */
    struct berth_batch *lost;      /* a batch that nobody knows the fate of */
    int64_t seen_ms, allowed_ms;   /* the last reading of the clock; how long until the next */
    int64_t timers_from_ms;        /* no timers before that: see tick */
    int64_t watchdog_ms, alive_ms; /* how often the watchdog is fed, and when next */
};

static void turn(struct broker *broker);
static void step(struct broker *broker, struct berth_event *event);
static void step_once(struct broker *broker, struct berth_event *event, int64_t now_ms);
static void carry_out(struct broker *broker, const struct berth_effects *effects);
static void take_signals(struct broker *broker);
static void reap(struct broker *broker);
static void receive(struct broker *broker);
static void submit(struct broker *broker);
static void settle(struct broker *broker);
static void make_seeds(struct broker *broker);
static void read_zones(struct broker *broker);
static int64_t tick(struct broker *broker);
static int64_t wait_ms(const struct broker *broker, int64_t now_ms);

struct broker *broker_new(const struct broker_opts *opts, struct berth_error *err)
{
    struct broker *broker = calloc(1, sizeof *broker);
    struct reads *reads = reads_new(opts->store, BROKER_READS_MAX);
    struct zones *zones = zones_new();
    if (!broker || !reads || !zones) {
        zones_free(zones);
        reads_free(reads);
        free(broker);
        (void)berth_fail(err, -ENOMEM, "make the main loop");
        return NULL;
    }
    broker->opts = *opts;
    broker->reads = reads;
    broker->zones = zones;
    broker->seen_ms = berth_clock_monotonic_ms();
    broker->watchdog_ms = berth_notify_watchdog_ms();
    broker->alive_ms = broker->watchdog_ms == INT64_MAX ? INT64_MAX : broker->seen_ms;
    return broker;
}

void broker_free(struct broker *broker)
{
    if (!broker)
        return;
    zones_free(broker->zones);
    reads_free(broker->reads);
    free(broker);
}

enum broker_end broker_run(struct broker *broker)
{
    struct berth_watch watches[] = {
        { .fd = berth_store_fd(broker->opts.store) },
        { .fd = broker->opts.signal_fd },
    };
    broker->seen_ms = berth_clock_monotonic_ms();
    while (!broker->is_stopping && !broker->is_store_lost) {
        broker->allowed_ms = wait_ms(broker, broker->seen_ms);
        int rc = berth_net_wait(broker->opts.net, watches, sizeof watches / sizeof *watches,
                                broker->allowed_ms);
        if (rc < 0) {
            berth_log(BERTH_LOG_ERROR, "cannot wait", BERTH_LOG_TEXT("error", berth_strerror(rc)));
            return BROKER_LOOP_FAILED;
        }
        (void)tick(broker);
        if (watches[1].is_readable)
            take_signals(broker);
        turn(broker);
    }
    (void)berth_notify("STOPPING=1");
    broker->is_stopping = false; /* a second signal ends the settling, too */
    settle(broker);
    return broker->is_store_lost ? BROKER_STORE_LOST : BROKER_STOPPED;
}

static void turn(struct broker *broker)
{
    reap(broker);
    if (broker->is_store_lost)
        return;
    receive(broker);
    make_seeds(broker);
    read_zones(broker);

    int64_t now_ms = tick(broker);
    if (now_ms >= broker->timers_from_ms)
        step(broker, &(struct berth_event){ .type = BERTH_EV_TURN });
    submit(broker);
    if (now_ms >= broker->alive_ms) {
        (void)berth_notify("WATCHDOG=1");
        broker->alive_ms = now_ms + broker->watchdog_ms;
    }
}

/* Reads the clock. When far more time has passed than we meant to spend, the process was stopped or
 * starved, and libzmq's thread with it: what peers sent meanwhile still lies in the kernel. It gets
 * a moment to come before any timer looks at the time that has passed. */
static int64_t tick(struct broker *broker)
{
    int64_t now_ms = berth_clock_monotonic_ms();
    if (broker->allowed_ms != INT64_MAX &&
        now_ms - broker->seen_ms > broker->allowed_ms + BROKER_STALL_MS)
        broker->timers_from_ms = now_ms + BROKER_STALL_WAIT_MS;
    broker->allowed_ms = 0;
    broker->seen_ms = now_ms;
    return now_ms;
}

/* How long the next wait may take. */
static int64_t wait_ms(const struct broker *broker, int64_t now_ms)
{
    if (!broker->is_drained)
        return 0;
    if (now_ms < broker->timers_from_ms)
        return broker->timers_from_ms - now_ms;
    int64_t due_ms = berth_core_next_deadline_ms(broker->opts.core, now_ms, berth_clock_wall_us());
    if (broker->alive_ms < due_ms)
        due_ms = broker->alive_ms;
    return due_ms == INT64_MAX ? INT64_MAX : due_ms > now_ms ? due_ms - now_ms : 0;
}

/* One step and what follows from carrying it out: peers that turned out to be gone, questions that
 * the store will not take. */
static void step(struct broker *broker, struct berth_event *event)
{
    step_once(broker, event, tick(broker));
    for (;;) {
        struct berth_event next;
        uint64_t id;
        if (berth_net_next_gone(broker->opts.net, &id))
            next = (struct berth_event){ .type = BERTH_EV_PEER_GONE, .peer = id };
        else if (reads_next_refused(broker->reads, &id))
            next = (struct berth_event){ .type = BERTH_EV_READ,
                                         .read = { .number = id, .is_failed = true } };
        else
            return;
        step_once(broker, &next, tick(broker));
    }
}

static void step_once(struct broker *broker, struct berth_event *event, int64_t now_ms)
{
    event->now_ms = now_ms;
    event->wall_us = berth_clock_wall_us();
    carry_out(broker, berth_core_step(broker->opts.core, event));
}

static void send_frame(struct broker *broker, uint64_t peer, struct berth_slice frame)
{
    int rc = berth_net_send(broker->opts.net, peer, frame);
    if (rc < 0)
        berth_log(BERTH_LOG_DEBUG, "message dropped", BERTH_LOG_U64("peer", peer),
                  BERTH_LOG_TEXT("error", berth_strerror(rc)));
}

static void send_effect(struct broker *broker, const struct berth_effect *effect)
{
    struct berth_store_stats stats = { 0 };
    if (effect->type == BERTH_DO_STATUS)
        berth_store_stats(broker->opts.store, &stats);
    struct berth_slice frame;
    int rc = berth_translate_out(broker->opts.translate, effect, stats.wal_bytes, &frame);
    if (rc < 0)
        berth_log(BERTH_LOG_WARN, "no memory for an answer", BERTH_LOG_U64("peer", effect->peer));
    else
        send_frame(broker, effect->peer, frame);
}

/* One that is there, or that is about to be made. */
static bool is_dispatcher(const struct broker *broker, const struct berth_do_dispatchers *have,
                          const char *name)
{
    for (size_t i = 0; i < have->count; i++)
        if (strcmp(have->items[i].record.name, name) == 0)
            return true;
    BERTH_LIST_FOREACH (node, &broker->seeds->list) {
        const struct berth_seed *seed = berth_container_of(node, struct berth_seed, node);
        if (strcmp(seed->name, name) == 0)
            return seed->is_missing;
    }
    return false;
}

/* The parents of those that are made stand before them in the list. */
static bool can_be_made(const struct broker *broker, const struct berth_do_dispatchers *have,
                        const struct berth_seed *seed)
{
    const char *parent = berth_seed_parent(seed);
    if (!parent || is_dispatcher(broker, have, parent))
        return true;
    berth_log(BERTH_LOG_WARN, "dispatcher not made: its parent does not exist",
              BERTH_LOG_TEXT("dispatcher", seed->name), BERTH_LOG_TEXT("parent", parent));
    return false;
}

/* What the core has, against the configuration. */
static void compare_seeds(struct broker *broker, const struct berth_do_dispatchers *have)
{
    BERTH_AUTO(berth_buf) differences = berth_buf_new(DIFFERENCES_BYTES_MAX);
    if (!broker->seeds || !differences)
        return;
    BERTH_LIST_FOREACH (node, &broker->seeds->list) {
        struct berth_seed *seed = berth_container_of(node, struct berth_seed, node);
        const struct berth_dispatcher_view *view = NULL;
        for (size_t i = 0; i < have->count && !view; i++) {
            if (strcmp(have->items[i].record.name, seed->name) == 0)
                view = &have->items[i];
        }
        seed->is_missing = !view && can_be_made(broker, have, seed);
        if (!view)
            continue;
        berth_buf_clear(differences);
        berth_seed_differences(seed, view, differences);
        if (differences->bytes > 0)
            berth_log(BERTH_LOG_WARN, "dispatcher differs from the configuration",
                      BERTH_LOG_TEXT("dispatcher", seed->name),
                      BERTH_LOG_TEXT("in_force", berth_buf_text(differences)));
    }
    broker->are_seeds_due = true;
}

/* The answer to a question of our own. */
static void take_answer(struct broker *broker, const struct berth_effect *effect)
{
    if (effect->type == BERTH_DO_SCHEDULES) {
        zones_take(broker->zones, &effect->schedules);
        return;
    }
    if (effect->type == BERTH_DO_DISPATCHERS)
        compare_seeds(broker, &effect->dispatchers);
    else if (effect->type == BERTH_DO_ERROR)
        berth_log(BERTH_LOG_WARN, "cannot compare dispatchers with the configuration",
                  BERTH_LOG_TEXT("error", effect->error.message));
    broker->are_seeds_asked = false;
}

static void carry_out(struct broker *broker, const struct berth_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const struct berth_effect *effect = &effects->items[i];
        if (effect->type == BERTH_DO_READ)
            reads_ask(broker->reads, &effect->read);
        else if (effect->peer == BERTH_PEER_SELF)
            take_answer(broker, effect);
        else
            send_effect(broker, effect);
    }
}

void broker_seed(struct broker *broker, struct berth_seeds *seeds)
{
    broker->seeds = seeds;
    broker->are_seeds_asked = true;
    broker->are_seeds_due = false;
    step(broker, &(struct berth_event){ .type = BERTH_EV_DISPATCHER_GET,
                                        .query = { .peer = BERTH_PEER_SELF } });
}

bool broker_settle(struct broker *broker)
{
    settle(broker);
    return !broker->is_stopping && !broker->is_store_lost;
}

static void make_seeds(struct broker *broker)
{
    if (!broker->are_seeds_due)
        return;
    broker->are_seeds_due = false;
    BERTH_LIST_FOREACH (node, &broker->seeds->list) {
        struct berth_seed *seed = berth_container_of(node, struct berth_seed, node);
        if (!seed->is_missing)
            continue;
        struct berth_event event;
        char limit[BERTH_LIMIT_TEXT_MAX];
        berth_seed_event(seed, &event);
        step(broker, &event);
        berth_log(BERTH_LOG_INFO, "dispatcher made", BERTH_LOG_TEXT("dispatcher", seed->name),
                  BERTH_LOG_TEXT("limit", berth_limit_format(&seed->limit, limit)));
    }
}

void broker_renew_zones(struct broker *broker)
{
    zones_renew(broker->zones);
}

static void read_zones(struct broker *broker)
{
    struct berth_event event;
    while (zones_next(broker->zones, BERTH_PEER_SELF, &event))
        step(broker, &event);
}

static void take_signals(struct broker *broker)
{
    struct signalfd_siginfo info;
    while (read(broker->opts.signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            broker->opts.reload(broker->opts.reload_arg);
            continue;
        }
        berth_log(BERTH_LOG_INFO, "stopping", BERTH_LOG_U64("signal", info.ssi_signo));
        broker->is_stopping = true;
    }
}

static void take_stored(struct broker *broker, const struct berth_completion *completion)
{
    if (completion->result == BERTH_STORE_UNKNOWN || completion->result == BERTH_STORE_FENCED) {
        berth_log(BERTH_LOG_ERROR, "the store is lost, so this broker ends itself",
                  BERTH_LOG_ERR(&completion->error));
        broker->lost = completion->batch;
        broker->is_store_lost = true;
        return;
    }
    bool is_full = completion->result == BERTH_STORE_FULL;
    if (is_full && !broker->is_store_full)
        berth_log(BERTH_LOG_WARN, "the store is full", BERTH_LOG_ERR(&completion->error));
    else if (!is_full && broker->is_store_full)
        berth_log(BERTH_LOG_INFO, "the store has room again");
    broker->is_store_full = is_full;
    step(broker, &(struct berth_event){ .type = BERTH_EV_STORED,
                                        .stored = { .batch = completion->batch,
                                                    .result = (uint8_t)completion->result } });
}

static void reap(struct broker *broker)
{
    struct berth_completion completion;
    for (int i = 0; i < BROKER_REAP_MAX && !broker->is_store_lost; i++) {
        if (berth_store_reap(broker->opts.store, &completion) != 1)
            break;
        if (completion.batch) {
            take_stored(broker, &completion);
            continue;
        }
        struct berth_event event;
        reads_event(broker->reads, &completion, &event);
        step(broker, &event);
    }
    reads_push(broker->reads);
}

static void take_message(struct broker *broker, const struct berth_incoming *incoming)
{
    struct berth_event event;
    struct berth_slice answer;
    switch (berth_translate_in(broker->opts.translate, incoming, &event, &answer)) {
    case BERTH_TRANSLATED_NOTHING: break;
    case BERTH_TRANSLATED_EVENT:
        if (event.type == BERTH_EV_SCHEDULE_SET)
            zones_fill(broker->zones, &event.schedule_set);
        step(broker, &event);
        break;
    case BERTH_TRANSLATED_ANSWER: send_frame(broker, incoming->peer, answer); break;
    }
}

/* A bounded batch, so that answers and grants leave in between; but when a timer is due, all that
 * lies there, as far as that can be had in BROKER_DRAIN_MS: the renewal that the timer misses may
 * be among it. */
static void receive(struct broker *broker)
{
    int64_t now_ms = tick(broker), until_ms = now_ms;
    if (berth_core_next_deadline_ms(broker->opts.core, now_ms, berth_clock_wall_us()) <= now_ms)
        until_ms += BROKER_DRAIN_MS;

    broker->is_drained = false;
    for (int i = 0; i < BROKER_RECEIVE_MAX || tick(broker) < until_ms; i++) {
        struct berth_incoming incoming;
        int rc = berth_net_receive(broker->opts.net, &incoming);
        if (rc == 0) {
            broker->is_drained = true;
            return;
        }
        if (rc < 0)
            berth_log(BERTH_LOG_WARN, "message lost", BERTH_LOG_TEXT("error", berth_strerror(rc)));
        else
            take_message(broker, &incoming);
    }
}

static void submit(struct broker *broker)
{
    if (!berth_store_is_idle(broker->opts.store))
        return;
    struct berth_batch *batch = berth_core_close_batch(broker->opts.core);
    if (!batch)
        return;
    int rc = berth_store_submit(broker->opts.store, batch);
    if (rc < 0) {
        berth_log(BERTH_LOG_ERROR, "the store takes no batch, so this broker ends itself",
                  BERTH_LOG_TEXT("error", berth_strerror(rc)));
        broker->lost = batch;
        broker->is_store_lost = true;
    }
}

/* Stores what was taken and lets the answers go, and takes nothing new. A signal or a full disk
 * ends that. */
static void settle(struct broker *broker)
{
    while (!broker->is_stopping && !broker->is_store_lost && !broker->is_store_full) {
        make_seeds(broker);
        read_zones(broker);
        submit(broker);
        if (berth_store_is_idle(broker->opts.store) && !broker->are_seeds_asked)
            return;
        struct pollfd fds[] = {
            { .fd = berth_store_fd(broker->opts.store), .events = POLLIN },
            { .fd = broker->opts.signal_fd, .events = POLLIN },
        };
        if (poll(fds, sizeof fds / sizeof *fds, -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            take_signals(broker);
        reap(broker);
    }
}

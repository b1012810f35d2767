/* SPDX-License-Identifier: MIT */
/* A client as the simulator has it: submits batches (sometimes under keys, sometimes twice), waits,
 * cancels, looks; one of them also changes limits. It remembers what it was promised and hands that
 * to the checkers. */
#include <stdlib.h>
#include <string.h>

#include "client_says.h"
#include "sim.h"

#define KEYS  24 /* so few that repeats happen */
#define DRIPS 5

static void feed(struct client *client, struct request_event *event);

/* ---- asking ---- */

static void add(struct client *client, struct ask *ask, enum request_kind kind, int64_t deadline_ms)
{
    ask->client = client;
    struct request_event event = { .type = REQUEST_EV_ADD,
                                   .now_ms = sim_ms(client->sim),
                                   .kind = kind,
                                   .deadline_ms = deadline_ms,
                                   .arg = ask };
    feed(client, &event);
}

static struct ask *new_ask(enum ask_type type)
{
    struct ask *ask = calloc(1, sizeof *ask);
    BERTH_ASSERT(ask != NULL);
    ask->type = type;
    return ask;
}

/* Of the jobs that somebody was told of: recent ones, most of them live, and old ones. */
static void choose_after(struct client *client, uint64_t after[AFTER_MAX])
{
    struct sim *sim = client->sim;
    for (size_t i = 0; i < AFTER_MAX; i++) {
        if (i > 0 && sim_chance(sim, 50))
            return;
        const struct client *other = &sim->clients[berth_rng_below(&sim->rng, sim->opts.clients)];
        after[i] = other->last_job && sim_chance(sim, 80) ? other->last_job : client->first_job;
    }
}

static void submit(struct client *client)
{
    struct sim *sim = client->sim;
    struct ask *ask = new_ask(ASK_SUBMIT);
    ask->count = (size_t)berth_rng_between(&sim->rng, 1, BATCH_MAX);
    for (size_t i = 0; i < ask->count; i++) {
        ask->dispatcher[i] = (unsigned)berth_rng_below(&sim->rng, SIM_DRAWN);
        ask->handler[i] = sim_chance(sim, 5) ? 2 : (unsigned)berth_rng_below(&sim->rng, 2);
        ask->tag[i] = (uint64_t)client->index << 32 | ++client->submitted;
        if (sim_chance(sim, 15))
            ask->delay_ms[i] = berth_rng_between(&sim->rng, 1, 4000);
        if (client->last_job && sim_chance(sim, 15))
            choose_after(client, ask->after[i]);
        if (!sim_chance(sim, 20))
            continue;
        /* The same key from everybody means the same job, so it determines all there is of it. */
        uint64_t key = berth_rng_below(&sim->rng, KEYS) + 1;
        ask->key[i] = key;
        ask->dispatcher[i] = (unsigned)(key % SIM_FLEETING);
        ask->handler[i] = (unsigned)(key % 2);
        ask->tag[i] = UINT64_C(1) << 60 | key;
        ask->delay_ms[i] = 0;
        memset(ask->after[i], 0, sizeof ask->after[i]);
    }
    add(client, ask, REQUEST_SUBMIT, INT64_MAX);
}

/* A few that take a minute each. */
static void submit_drip(struct client *client)
{
    struct ask *ask = new_ask(ASK_SUBMIT);
    ask->count = DRIPS;
    for (size_t i = 0; i < DRIPS; i++) {
        ask->dispatcher[i] = SIM_DRIP;
        ask->tag[i] = UINT64_C(2) << 60 | i;
    }
    add(client, ask, REQUEST_SUBMIT, INT64_MAX);
}

static void ask_about(struct client *client, enum ask_type type, enum request_kind kind,
                      const uint64_t *ids, size_t count)
{
    struct ask *ask = new_ask(type);
    memcpy(ask->ids, ids, count * sizeof *ids);
    ask->count = count;
    add(client, ask, kind, INT64_MAX);
}

static void change(struct client *client, enum ask_type type, unsigned dispatcher, uint32_t limit);

/* Those whose limits and pauses change: two for themselves, and the upper ones of the tree. */
static const unsigned changed[] = { 0, 1, 4, 5 };
#define CHANGED (sizeof changed / sizeof *changed)

/* A job of its own, or a dispatcher. */
static void explain(struct client *client)
{
    struct sim *sim = client->sim;
    struct ask *ask = new_ask(ASK_EXPLAIN);
    if (sim_chance(sim, 50))
        ask->ids[0] = client->last_job;
    ask->dispatcher[0] = (unsigned)berth_rng_below(&sim->rng, SIM_DRAWN);
    add(client, ask, REQUEST_QUERY, INT64_MAX);
}

/* All that waits, part by part. */
static void purge(struct client *client, unsigned dispatcher, uint64_t below, uint64_t cursor)
{
    struct ask *ask = new_ask(ASK_PURGE);
    ask->dispatcher[0] = dispatcher;
    ask->ids[0] = below;
    ask->ids[1] = cursor;
    add(client, ask, REQUEST_CANCEL, INT64_MAX);
}

/* Now and then what is dead or cancelled lives again, or is discarded. */
static void change_ended(struct client *client, uint64_t id, enum berth_state state)
{
    struct sim *sim = client->sim;
    if (sim->is_calm)
        return;
    if ((state == BERTH_DEAD || sim_chance(sim, 3)) && sim_chance(sim, 20)) {
        check_job_of(sim, id)->may_be_gone = true;
        ask_about(client, ASK_DISCARD, REQUEST_CANCEL, &id, 1);
    }
    if ((state != BERTH_COMPLETED || sim_chance(sim, 3)) && sim_chance(sim, 40))
        ask_about(client, ASK_RETRY, REQUEST_CANCEL, &id, 1);
}

static void change_something(struct client *client)
{
    static const uint32_t limits[] = { 0, 1, 2, 3, 5, 8 };
    struct sim *sim = client->sim;
    if (sim_chance(sim, 4)) {
        purge(client, (unsigned)berth_rng_below(&sim->rng, SIM_DRAWN), 0, 0);
        return;
    }
    if (sim_chance(sim, 8)) {
        if (sim_chance(sim, 50))
            purge(client, SIM_FLEETING, 0, 0);
        change(client, ASK_REMOVE, SIM_FLEETING, 0);
        return;
    }
    if (sim_chance(sim, 20)) {
        change(client, ASK_ON_LOST, SIM_TURNCOAT, sim_chance(sim, 60));
        return;
    }
    if (sim_chance(sim, 10)) {
        static const uint32_t timeouts_ms[] = { 0, 2000, 6000, 15000 };
        change(client, ASK_QUEUE, SIM_MOVER, timeouts_ms[berth_rng_below(&sim->rng, 4)]);
        return;
    }
    if (sim_chance(sim, 20)) {
        change(client, ASK_MOVE, SIM_MOVER, sim_chance(sim, 50));
        return;
    }
    enum ask_type type = sim_chance(sim, 30) ? ASK_PAUSE : ASK_LIMIT;
    unsigned dispatcher = changed[berth_rng_below(&sim->rng, CHANGED)];
    change(client, type, dispatcher,
           type == ASK_PAUSE ? sim_chance(sim, 50) : limits[berth_rng_below(&sim->rng, 6)]);
}

static void act(struct sim *sim, void *arg)
{
    struct client *client = arg;
    if (client->submitted < sim->opts.jobs)
        submit(client);
    if (client->index == 0 && sim->opts.faults & FAULT_LIMITS && !client->is_admin_busy &&
        !sim->is_calm && sim_chance(sim, 60))
        change_something(client);
    if (sim_chance(sim, 20))
        ask_about(client, ASK_STATUS, REQUEST_QUERY, &(uint64_t){ berth_rng_next(&sim->rng) }, 1);
    if (sim_chance(sim, 30))
        explain(client);
    if (client->last_job && sim_chance(sim, 30))
        ask_about(client, ASK_OUTPUT, REQUEST_QUERY, &client->last_job, 1);
    if (sim_chance(sim, 20))
        ask_about(client, ASK_LIST, REQUEST_QUERY, &(uint64_t){ berth_rng_below(&sim->rng, 10) },
                  1);
    if (client->submitted < sim->opts.jobs || !sim->is_calm)
        sim_at(sim, sim->now_us + sim_random_us(sim, 50 * MS, 1500 * MS) * sim_patience(sim), act,
               client);
}

/* One change at a time, as an operator makes them: what is in force is known only between them. */
static void change(struct client *client, enum ask_type type, unsigned dispatcher, uint32_t limit)
{
    struct checkers *checkers = &client->sim->checkers;
    struct ask *ask = new_ask(type);
    ask->dispatcher[0] = dispatcher;
    ask->limit = limit;
    if (type == ASK_LIMIT) {
        uint32_t before = checkers->limits[dispatcher][checkers->limit_count[dispatcher] - 1].limit;
        check_limit(client->sim, dispatcher, limit > before ? limit : before);
    }
    if (type == ASK_PAUSE && limit != 1)
        check_pause(client->sim, dispatcher, false);
    if (type == ASK_MOVE)
        check_move(client->sim, false);
    sim_note(client->sim, "%s of %s to %u asked for",
             type == ASK_LIMIT     ? "limit"
             : type == ASK_PAUSE   ? "pause"
             : type == ASK_MOVE    ? "move"
             : type == ASK_ON_LOST ? "on_lost"
             : type == ASK_QUEUE   ? "queue timeout"
             : type == ASK_REMOVE  ? "removal"
                                   : "making",
             sim_rules[dispatcher].name, limit);
    client->is_admin_busy = true;
    add(client, ask, REQUEST_CANCEL, INT64_MAX);
}

static void calm_down(struct sim *sim, void *arg)
{
    struct client *client = arg;
    if (client->calm_steps == 2 * CHANGED)
        return;
    sim_at(sim, sim->now_us + 100 * MS, calm_down, client);
    if (client->is_admin_busy)
        return;
    unsigned step = client->calm_steps++;
    change(client, step % 2 ? ASK_LIMIT : ASK_PAUSE, changed[step / 2], 4);
}

/* Limits may stand at 0 and pauses last: neither may hold the end up for ever. */
void client_calm(struct client *client)
{
    calm_down(client->sim, client);
}

/* ---- answers ---- */

/* For one that somebody asked to discard. */
static bool waits_for_gone(struct sim *sim, const struct ask *ask, size_t place)
{
    bool is_gone = false;
    for (size_t i = 0; i < AFTER_MAX && ask->after[place][i]; i++)
        is_gone |= check_job_of(sim, ask->after[place][i])->may_be_gone;
    return is_gone;
}

static void take_submitted(struct client *client, const struct ask *ask,
                           const struct berth_do_submitted *submitted)
{
    struct sim *sim = client->sim;
    if (submitted->count != ask->count)
        sim_fail(sim, "%zu jobs were submitted, %zu answered", ask->count, submitted->count);
    struct berth_submit_item said[BATCH_MAX] = { { 0 } };
    uint64_t ids[BATCH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < ask->count; i++) {
        sim_bring(ask->tag[i], ask->key[i] != 0, &said[i]);
        const struct berth_submitted_item *item = &submitted->items[i];
        if (!item->id) {
            bool is_queue_full =
                item->refusal.code == BERTH_ELIMIT && sim_rules[ask->dispatcher[i]].max_queued;
            bool is_unique = item->refusal.code == BERTH_ECONFLICT && said[i].unique.bytes;
            bool is_gone = item->refusal.code == BERTH_ENOTFOUND && waits_for_gone(sim, ask, i);
            is_gone |= item->refusal.code == BERTH_ENOTFOUND && ask->dispatcher[i] == SIM_FLEETING;
            if (item->refusal.code != BERTH_EFULL && !is_queue_full && !is_unique && !is_gone)
                sim_fail(sim, "a submit was refused with %s", berth_error_name(item->refusal.code));
            continue;
        }
        if (item->is_existing && !ask->key[i])
            check_life_existing(sim, item->id, ask->dispatcher[i], said[i].unique);
        else
            check_acknowledged(sim, item->id, ask->tag[i], ask->key[i] ? ask->key[i] : 0);
        ids[count++] = item->id;
        client->last_job = item->id;
        if (!client->first_job)
            client->first_job = item->id;
    }
    if (!count)
        return;
    if (sim_chance(sim, 40))
        ask_about(client, ASK_WAIT, REQUEST_WAIT, ids, count);
    if (sim_chance(sim, 15))
        ask_about(client, ASK_CANCEL, REQUEST_CANCEL, ids, (count + 1) / 2);
    if (sim_chance(sim, 20))
        ask_about(client, ASK_GET, REQUEST_QUERY, ids, count);
}

static void take_waited(struct client *client, const struct berth_do_waited *waited)
{
    for (size_t i = 0; i < waited->unknown_count; i++)
        if (!check_job_of(client->sim, waited->unknown[i])->may_be_gone)
            sim_fail(client->sim, "job %llu was acknowledged and is not known",
                     (unsigned long long)waited->unknown[i]);
    for (size_t i = 0; i < waited->count; i++) {
        check_told_end(client->sim, waited->ended[i].id, waited->ended[i].state);
        change_ended(client, waited->ended[i].id, waited->ended[i].state);
    }
}

static void take_cancelled(struct client *client, const struct berth_do_cancelled *cancelled)
{
    for (size_t i = 0; i < cancelled->count; i++)
        check_told_cancel(client->sim, cancelled->items[i].id, cancelled->items[i].state,
                          cancelled->items[i].code);
}

static void take_jobs(struct client *client, const struct ask *ask,
                      const struct berth_do_jobs *jobs)
{
    bool may_be_gone = false;
    for (size_t i = 0; ask->type == ASK_GET && i < ask->count; i++)
        may_be_gone |= check_job_of(client->sim, ask->ids[i])->may_be_gone;
    if (ask->type == ASK_GET && jobs->count != ask->count && !may_be_gone)
        sim_fail(client->sim, "asked for %zu acknowledged jobs, %zu are known", ask->count,
                 jobs->count);
    for (size_t i = 0; i < jobs->count; i++) {
        enum berth_state state = jobs->items[i].record.state;
        if (state >= BERTH_COMPLETED)
            check_told_end(client->sim, jobs->items[i].record.id, state);
        if (ask->type == ASK_LIST && ask->ids[0] && state != (enum berth_state)ask->ids[0])
            sim_fail(client->sim, "a list of state %llu holds a job of state %d",
                     (unsigned long long)ask->ids[0], (int)state);
    }
}

/* What it asked for is not there, or cannot be removed now. */
static bool take_fleeting(struct client *client, const struct ask *ask, int code)
{
    bool is_of_fleeting = (ask->type == ASK_PURGE || (ask->type == ASK_EXPLAIN && !ask->ids[0])) &&
                          ask->dispatcher[0] == SIM_FLEETING;
    if (ask->type == ASK_REMOVE && code == BERTH_ECONFLICT)
        client->is_admin_busy = false;
    else if (ask->type == ASK_REMOVE && code == BERTH_ENOTFOUND) /* it said so twice */
        change(client, ASK_MAKE, SIM_FLEETING, 0);
    else
        return is_of_fleeting && code == BERTH_ENOTFOUND;
    return true;
}

/* True: the request is answered for good. */
static bool take(struct client *client, struct ask *ask, const struct berth_effect *effect)
{
    switch (effect->type) {
    case BERTH_DO_SUBMITTED: take_submitted(client, ask, &effect->submitted); return true;
    case BERTH_DO_WAITED: take_waited(client, &effect->waited); return effect->waited.pending == 0;
    case BERTH_DO_CANCELLED: take_cancelled(client, &effect->cancelled); return true;
    case BERTH_DO_JOBS: take_jobs(client, ask, &effect->jobs); return true;
    case BERTH_DO_CHANGED:
    case BERTH_DO_EXPLAINED: return true; /* checked when it was sent */
    case BERTH_DO_PURGED:
        if (effect->purged.cursor)
            purge(client, ask->dispatcher[0], effect->purged.below, effect->purged.cursor);
        return true;
    case BERTH_DO_DISPATCHERS:
        if (ask->type == ASK_LIMIT)
            check_limit(client->sim, ask->dispatcher[0], ask->limit);
        if (ask->type == ASK_PAUSE && ask->limit == 1)
            check_pause(client->sim, ask->dispatcher[0], true);
        if (ask->type == ASK_MOVE && ask->limit)
            check_move(client->sim, true);
        if (ask->type == ASK_LIMIT || ask->type == ASK_PAUSE || ask->type == ASK_MOVE ||
            ask->type == ASK_ON_LOST || ask->type == ASK_MAKE || ask->type == ASK_QUEUE) {
            sim_note(client->sim, "changed");
            client->is_admin_busy = false;
        }
        return true;
    case BERTH_DO_REMOVED: change(client, ASK_MAKE, SIM_FLEETING, 0); return true;
    case BERTH_DO_JOB_OUTPUT: check_told_output(client->sim, &effect->job_output); return true;
    case BERTH_DO_STATUS: return true;
    default:
        if (effect->type == BERTH_DO_ERROR && ask->type == ASK_OUTPUT)
            return true; /* it has ended */
        if (effect->type == BERTH_DO_ERROR && ask->type == ASK_EXPLAIN &&
            check_job_of(client->sim, ask->ids[0])->may_be_gone)
            return true;
        if (effect->type == BERTH_DO_ERROR && effect->error.code == BERTH_ECONFLICT &&
            ask->type == ASK_ON_LOST) {
            client->is_admin_busy = false; /* workers are missing */
            return true;
        }
        if (effect->type == BERTH_DO_ERROR && take_fleeting(client, ask, effect->error.code))
            return true;
        sim_fail(client->sim, "client %u got an answer of type %d", client->index,
                 (int)effect->type);
    }
}

static void carry_out(struct client *client, const struct request_effects *effects)
{
    /* Sending and finishing lead to no step of this table, but a finished wait may. */
    for (size_t i = 0; i < effects->count; i++) {
        const struct request_effect *effect = &effects->items[i];
        switch (effect->type) {
        case REQUEST_DO_SEND: ask_say(effect->arg, effect->number); break;
        case REQUEST_DO_FINISH:
            if (effect->rc != 0)
                sim_fail(client->sim, "request %llu of client %u ended with %s",
                         (unsigned long long)effect->number, client->index,
                         berth_error_name(effect->rc));
            free(effect->arg);
            break;
        case REQUEST_DO_RECONNECT: link_cut(&client->link); break;
        }
    }
}

static void timer(struct sim *sim, void *arg)
{
    struct client *client = arg;
    if (sim->now_us < client->timer_us || !client->table)
        return;
    feed(client, &(struct request_event){ .type = REQUEST_EV_TIMER, .now_ms = sim_ms(sim) });
}

static void feed(struct client *client, struct request_event *event)
{
    struct request_effects effects;
    int64_t rc = request_step(client->table, event, &effects);
    if (rc < 0)
        sim_fail(client->sim, "the request table refuses: %s", berth_strerror((int)rc));
    carry_out(client, &effects);
    int64_t deadline_ms = request_next_deadline_ms(client->table);
    if (deadline_ms == INT64_MAX)
        return;
    client->timer_us = deadline_ms * 1000 + MS;
    sim_at(client->sim, client->timer_us, timer, client);
}

void client_deliver(struct client *client, struct note *note)
{
    uint64_t number = note->client.request;
    struct ask *ask = client->table ? request_find(client->table, number) : NULL;
    if (ask) {
        /* What it leads to is asked before the answered one is freed. */
        bool is_last = take(client, ask, &note->client.effect);
        feed(client, &(struct request_event){ .type = REQUEST_EV_ANSWER,
                                              .now_ms = sim_ms(client->sim),
                                              .number = number,
                                              .is_last = is_last });
    }
    note_free(note);
}

void client_connected(struct client *client)
{
    feed(client,
         &(struct request_event){ .type = REQUEST_EV_CONNECTED, .now_ms = sim_ms(client->sim) });
}

void client_start(struct client *client)
{
    struct sim *sim = client->sim;
    for (size_t i = 0; i < sizeof client->id; i++)
        client->id[i] = (uint8_t)berth_rng_next(&sim->rng);
    client->table = request_table_new(1 << 16);
    BERTH_ASSERT(client->table != NULL);
    link_open(sim, &client->link, client, TO_CLIENT);
    sim_at(sim, sim->now_us + sim_random_us(sim, 0, 500 * MS), act, client);
    if (client->index == 0 && rates_have_drip(sim))
        submit_drip(client);
}

bool client_is_done(const struct client *client)
{
    return client->submitted >= client->sim->opts.jobs && request_pending(client->table) == 0;
}

void client_fini(struct client *client)
{
    request_table_free(client->table);
    client->table = NULL;
}

/* SPDX-License-Identifier: MIT */
/* Connections: order within one, none between them; a cut loses what is under way in both
 * directions. With FAULT_LATE some messages come twice, the second time whenever it pleases, some
 * survive in the socket of the sender and come first on its next connection, and on some
 * connections whatever the broker says comes late. */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "sim.h"

#define DELAY_US_MIN     20
#define DELAY_US_MAX     (3 * MS)
#define SLOW_US_MAX      (400 * MS)
#define LATE_US_MAX      (3 * SECOND)
#define COPY_US_MAX      (20 * SECOND)
#define RECONNECT_US_MIN (5 * MS)
#define RECONNECT_US_MAX (100 * MS)

struct note *note_new(enum note_to to)
{
    struct note *note = calloc(1, sizeof *note);
    BERTH_ASSERT(note != NULL);
    note->to = to;
    berth_arena_init(&note->arena, SIZE_MAX);
    return note;
}

void note_free(struct note *note)
{
    if (note->copies) {
        note->copies--;
        return;
    }
    berth_arena_fini(&note->arena);
    free(note);
}

void *note_copy(struct note *note, const void *data, size_t bytes)
{
    if (!bytes)
        return NULL;
    void *copy = berth_arena_memdup(&note->arena, data, bytes);
    BERTH_ASSERT(copy != NULL);
    return copy;
}

struct berth_slice note_slice(struct note *note, struct berth_slice bytes)
{
    return (struct berth_slice){ note_copy(note, bytes.data, bytes.bytes), bytes.bytes };
}

/* ---- a message under way ---- */

struct flight {
    struct berth_list_node node; /* in link->kept */
    struct link *link;
    unsigned generation, life;
    bool is_late; /* bound to no connection */
    struct note *note;
};

static struct flight *flight_new(struct link *link, struct note *note)
{
    struct flight *flight = malloc(sizeof *flight);
    BERTH_ASSERT(flight != NULL);
    *flight = (struct flight){
        .link = link, .generation = link->generation, .life = link->life, .note = note
    };
    return flight;
}

static void deliver(struct sim *sim, struct link *link, struct note *note)
{
    switch (note->to) {
    case TO_BROKER: broker_deliver(sim, note); return;
    case TO_CHILD: worker_deliver(link->owner, note); return;
    case TO_KEEPER: worker_keeper_deliver(link->owner, note); return;
    case TO_CLIENT: client_deliver(link->owner, note); return;
    }
}

/* Where the broker sees it come from. */
static void set_peer(struct note *note, uint64_t peer)
{
    struct berth_event *event = &note->broker;
    switch (event->type) {
    case BERTH_EV_SUBMIT: event->submit.peer = peer; return;
    case BERTH_EV_WAIT:
    case BERTH_EV_CANCEL:
    case BERTH_EV_JOB_GET: event->ids.peer = peer; return;
    case BERTH_EV_JOB_LIST: event->job_list.peer = peer; return;
    case BERTH_EV_JOB_OUTPUT: event->job_output.peer = peer; return;
    case BERTH_EV_DISPATCHER_SET: event->dispatcher_set.peer = peer; return;
    case BERTH_EV_DISPATCHER_PAUSE: event->dispatcher_pause.peer = peer; return;
    case BERTH_EV_RETRY:
    case BERTH_EV_DISCARD: event->ids.peer = peer; return;
    case BERTH_EV_EXPLAIN: event->explain.peer = peer; return;
    case BERTH_EV_DISPATCHER_PURGE: event->purge.peer = peer; return;
    case BERTH_EV_DISPATCHER_REMOVE:
    case BERTH_EV_DISPATCHER_GET:
    case BERTH_EV_WORKER_LIST:
    case BERTH_EV_WORKER_DECLARE_GONE:
    case BERTH_EV_STATUS: event->query.peer = peer; return;
    case BERTH_EV_SCHEDULE_SET: event->schedule_set.peer = peer; return;
    case BERTH_EV_SCHEDULE_PAUSE:
    case BERTH_EV_SCHEDULE_REMOVE: event->schedule_name.peer = peer; return;
    case BERTH_EV_SCHEDULE_LIST: event->schedule_list.peer = peer; return;
    case BERTH_EV_HELLO: event->hello.peer = peer; return;
    case BERTH_EV_JOIN: event->join.peer = peer; return;
    case BERTH_EV_RENEW: event->renew.peer = peer; return;
    case BERTH_EV_REPORTS: event->reports.peer = peer; return;
    case BERTH_EV_GONE: event->gone.peer = peer; return;
    case BERTH_EV_ZONE:
    case BERTH_EV_STORED:
    case BERTH_EV_READ:
    case BERTH_EV_PEER_GONE:
    case BERTH_EV_TURN: return;
    }
}

static void arrive(struct sim *sim, void *arg);

static void arrive_at(struct sim *sim, int64_t at_us, struct flight *flight)
{
    sim_at(sim, at_us, arrive, flight);
}

/* Bound to no connection. To a socket that is not there any more nothing comes; from one, what it
 * has sent may still come. While there is no connection it waits in the socket, and is the first to
 * come on the next one. */
static void arrive_late(struct sim *sim, struct flight *flight)
{
    struct link *link = flight->link;
    struct note *note = flight->note;
    bool is_same = link->life == flight->life && link->is_wanted;
    if (is_same && !link->is_up) {
        berth_list_push_back(&link->kept, &flight->node);
        return;
    }
    if (is_same && note->to == TO_BROKER)
        set_peer(note, link->peer);
    if (is_same || note->to == TO_BROKER)
        deliver(sim, link, note);
    else
        note_free(note);
    free(flight);
}

static void send_kept(struct link *link)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&link->kept))) {
        link->last_up_us += DELAY_US_MIN;
        arrive_at(link->sim, link->last_up_us, berth_container_of(node, struct flight, node));
    }
}

void link_fini(struct link *link)
{
    struct berth_list_node *node;
    while (link->sim && (node = berth_list_pop_front(&link->kept))) {
        struct flight *flight = berth_container_of(node, struct flight, node);
        note_free(flight->note);
        free(flight);
    }
}

/* A setting that comes again after it was changed once more would be in force again: nobody
 * promises that it is not, and the checkers do not expect it. */
static bool may_repeat(const struct note *note)
{
    return note->to != TO_BROKER || (note->broker.type != BERTH_EV_DISPATCHER_SET &&
                                     note->broker.type != BERTH_EV_DISPATCHER_PAUSE);
}

static bool is_kept(struct sim *sim, const struct flight *flight)
{
    return sim->opts.faults & FAULT_LATE && flight->note->to == TO_BROKER && !sim->is_calm &&
           may_repeat(flight->note) && sim_chance(sim, 30);
}

static void arrive(struct sim *sim, void *arg)
{
    struct flight *flight = arg;
    struct link *link = flight->link;
    if (sim->now_us < link->stopped_until_us && flight->note->to != TO_BROKER) {
        arrive_at(sim, link->stopped_until_us, flight);
        return;
    }
    bool is_connected = link->is_up && link->generation == flight->generation;
    if (!flight->is_late && !is_connected)
        flight->is_late = is_kept(sim, flight);
    if (flight->is_late) {
        arrive_late(sim, flight);
        return;
    }
    if (is_connected)
        deliver(sim, link, flight->note);
    else
        note_free(flight->note);
    free(flight);
}

void fault_drop_event(sim_fn fn, void *arg)
{
    if (fn != arrive)
        return;
    struct flight *flight = arg;
    note_free(flight->note);
    free(flight);
}

static int64_t delay_us(struct sim *sim)
{
    bool is_slow = !sim->is_calm && sim_chance(sim, 2);
    return sim_random_us(sim, DELAY_US_MIN, is_slow ? SLOW_US_MAX : DELAY_US_MAX);
}

/* What seldom comes comes twice more often. */
static unsigned copy_percent(const struct note *note)
{
    if (note->to != TO_BROKER)
        return 1;
    enum berth_event_type type = note->broker.type;
    return type == BERTH_EV_HELLO || type == BERTH_EV_JOIN || type == BERTH_EV_GONE ? 10 : 1;
}

static void send_copy(struct link *link, struct note *note)
{
    struct sim *sim = link->sim;
    if (!(sim->opts.faults & FAULT_LATE) || sim->is_calm || !may_repeat(note) ||
        !sim_chance(sim, copy_percent(note)))
        return;
    struct flight *copy = flight_new(link, note);
    note->copies++;
    copy->is_late = true;
    arrive_at(sim, sim->now_us + sim_random_us(sim, DELAY_US_MIN, COPY_US_MAX), copy);
}

static void send(struct link *link, struct note *note, int64_t late_us, int64_t *last_us)
{
    struct sim *sim = link->sim;
    int64_t at_us = sim->now_us + late_us + delay_us(sim);
    if (at_us < *last_us)
        at_us = *last_us; /* in order, as over TCP */
    *last_us = at_us;
    note->sent_us = sim->now_us;
    arrive_at(sim, at_us, flight_new(link, note));
    send_copy(link, note);
}

void link_send_up(struct link *link, struct note *note)
{
    if (link->is_up)
        send(link, note, 0, &link->last_up_us);
    else
        note_free(note);
}

struct link *link_of_peer(struct sim *sim, uint64_t peer)
{
    BERTH_LIST_FOREACH (node, &sim->links) {
        struct link *link = berth_container_of(node, struct link, node);
        if (link->is_up && link->peer == peer)
            return link;
    }
    return NULL;
}

bool link_send_down(struct sim *sim, uint64_t peer, struct note *note)
{
    struct link *link = link_of_peer(sim, peer);
    if (!link) {
        note_free(note);
        return false;
    }
    note->to = link->to;
    send(link, note, sim->is_calm ? 0 : link->late_us, &link->last_down_us);
    return true;
}

/* ---- up and down ---- */

static void connect_again(struct sim *sim, void *arg);

static void schedule_connect(struct link *link)
{
    sim_at(link->sim,
           link->sim->now_us + sim_random_us(link->sim, RECONNECT_US_MIN, RECONNECT_US_MAX),
           connect_again, link);
}

static void connect_again(struct sim *sim, void *arg)
{
    struct link *link = arg;
    if (!link->is_wanted || link->is_up)
        return;
    if (!sim->broker.is_up || link->is_partitioned || sim->now_us < link->stopped_until_us) {
        schedule_connect(link);
        return;
    }
    link->is_up = true;
    link->generation++;
    link->peer = ++sim->peer_counter;
    link->last_up_us = link->last_down_us = sim->now_us;
    link->late_us = 0;
    if (sim->opts.faults & FAULT_LATE && sim_chance(sim, 10))
        link->late_us = sim_random_us(sim, 0, LATE_US_MAX);
    check_outage(sim, link, sim->now_us, sim->now_us + link->late_us);
    send_kept(link);
    if (link->to == TO_CHILD)
        worker_connected(link->owner);
    else if (link->to == TO_CLIENT)
        client_connected(link->owner);
}

void link_open(struct sim *sim, struct link *link, void *owner, enum note_to to)
{
    if (!berth_list_is_linked(&link->node)) {
        berth_list_push_back(&sim->links, &link->node);
        berth_list_init(&link->kept);
    }
    link->sim = sim;
    link->owner = owner;
    link->to = to;
    link->life += !link->is_wanted;
    link->is_wanted = true;
    if (!link->is_up)
        schedule_connect(link);
}

static void go_down(struct link *link)
{
    if (!link->is_up)
        return;
    link->is_up = false;
    link->generation++;
    /* What was under way is lost, too. */
    check_outage(link->sim, link, link->sim->now_us - link->late_us,
                 link->sim->now_us + RECONNECT_US_MAX);
    if (link->sim->broker.is_up && sim_chance(link->sim, 70))
        broker_peer_gone(link->sim, link->peer);
}

void link_close(struct link *link)
{
    link->is_wanted = false;
    go_down(link);
}

void link_cut(struct link *link)
{
    go_down(link);
    if (link->is_wanted)
        schedule_connect(link);
}

void link_broker_died(struct sim *sim)
{
    BERTH_LIST_FOREACH (node, &sim->links) {
        struct link *link = berth_container_of(node, struct link, node);
        if (link->is_up)
            link_cut(link);
    }
}

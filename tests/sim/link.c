/* SPDX-License-Identifier: MIT */
/* Connections: order within one, none between them; a cut loses what is under way in both
 * directions. */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "sim.h"

#define DELAY_US_MIN     20
#define DELAY_US_MAX     (3 * MS)
#define SLOW_US_MAX      (400 * MS)
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
    struct link *link;
    unsigned generation;
    struct note *note;
};

static void arrive(struct sim *sim, void *arg)
{
    struct flight flight = *(struct flight *)arg;
    free(arg);
    struct link *link = flight.link;
    if (!link->is_up || link->generation != flight.generation) {
        note_free(flight.note);
        return;
    }
    switch (flight.note->to) {
    case TO_BROKER: broker_deliver(sim, flight.note); return;
    case TO_CHILD: worker_deliver(link->owner, flight.note); return;
    case TO_KEEPER: worker_keeper_deliver(link->owner, flight.note); return;
    case TO_CLIENT: client_deliver(link->owner, flight.note); return;
    }
}

void fault_drop_event(sim_fn fn, void *arg)
{
    if (fn != arrive)
        return;
    struct flight *flight = arg;
    note_free(flight->note);
    free(flight);
}

static void send(struct link *link, struct note *note, int64_t *last_us)
{
    struct sim *sim = link->sim;
    struct flight *flight = malloc(sizeof *flight);
    BERTH_ASSERT(flight != NULL);
    *flight = (struct flight){ .link = link, .generation = link->generation, .note = note };
    bool is_slow = !sim->is_calm && sim_chance(sim, 2);
    int64_t at_us =
        sim->now_us + sim_random_us(sim, DELAY_US_MIN, is_slow ? SLOW_US_MAX : DELAY_US_MAX);
    if (at_us < *last_us)
        at_us = *last_us; /* in order, as over TCP */
    *last_us = at_us;
    note->sent_us = sim->now_us;
    sim_at(sim, at_us, arrive, flight);
}

void link_send_up(struct link *link, struct note *note)
{
    if (link->is_up)
        send(link, note, &link->last_up_us);
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
    send(link, note, &link->last_down_us);
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
    if (!sim->broker.is_up || link->is_partitioned) {
        schedule_connect(link);
        return;
    }
    link->is_up = true;
    link->generation++;
    link->peer = ++sim->peer_counter;
    link->last_up_us = link->last_down_us = sim->now_us;
    if (link->to == TO_CHILD)
        worker_connected(link->owner);
    else if (link->to == TO_CLIENT)
        client_connected(link->owner);
}

void link_open(struct sim *sim, struct link *link, void *owner, enum note_to to)
{
    if (!berth_list_is_linked(&link->node))
        berth_list_push_back(&sim->links, &link->node);
    link->sim = sim;
    link->owner = owner;
    link->to = to;
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

/* SPDX-License-Identifier: MIT */
/* What a client asks, as the messages that it would send. */
#include "client_says.h"

#include <string.h>

static void say_submit(const struct ask *ask, uint64_t number, struct note *note)
{
    struct berth_submit_item *items =
        berth_arena_alloc_array(&note->arena, ask->count, sizeof *items);
    struct berth_slice *dispatchers =
        berth_arena_alloc_array(&note->arena, SIM_DISPATCHERS, sizeof *dispatchers);
    struct berth_slice *handlers =
        berth_arena_alloc_array(&note->arena, SIM_HANDLERS, sizeof *handlers);
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        dispatchers[i] = (struct berth_slice){ sim_rules[i].name, strlen(sim_rules[i].name) };
    for (unsigned i = 0; i < SIM_HANDLERS; i++)
        handlers[i] = (struct berth_slice){ sim_handlers[i], strlen(sim_handlers[i]) };
    for (size_t i = 0; i < ask->count; i++) {
        items[i] = (struct berth_submit_item){ .dispatcher = ask->dispatcher[i],
                                               .handler = ask->handler[i],
                                               .priority = (int32_t)(ask->tag[i] % 3) - 1,
                                               .delay_ms = ask->delay_ms[i] };
        const char *group = sim_groups[sim_group_of(ask->tag[i])];
        items[i].group = (struct berth_slice){ group, strlen(group) };
        items[i].body = (struct berth_slice){ note_copy(note, &ask->tag[i], sizeof ask->tag[i]),
                                              sizeof ask->tag[i] };
        sim_bring(ask->tag[i], ask->key[i] != 0, &items[i]);
        items[i].after = note_copy(note, ask->after[i], sizeof ask->after[i]);
        while (items[i].after_count < AFTER_MAX && ask->after[i][items[i].after_count])
            items[i].after_count++;
        if (ask->key[i])
            items[i].key = (struct berth_slice){ note_copy(note, &ask->key[i], 8), 8 };
    }
    note->broker.type = BERTH_EV_SUBMIT;
    note->broker.submit = (struct berth_ev_submit){ .peer = ask->client->link.peer,
                                                    .request = number,
                                                    .dispatchers = dispatchers,
                                                    .handlers = handlers,
                                                    .dispatcher_count = SIM_DISPATCHERS,
                                                    .handler_count = SIM_HANDLERS,
                                                    .items = items,
                                                    .count = ask->count };
    memcpy(note->broker.submit.client, ask->client->id, sizeof ask->client->id);
}

static void say_ids(const struct ask *ask, uint64_t number, enum berth_event_type type,
                    struct note *note)
{
    note->broker.type = type;
    note->broker.ids =
        (struct berth_ev_ids){ .peer = ask->client->link.peer,
                               .request = number,
                               .ids = note_copy(note, ask->ids, ask->count * sizeof *ask->ids),
                               .count = ask->count };
}

static void say_change(const struct ask *ask, uint64_t number, struct note *note)
{
    const char *dispatcher = sim_rules[ask->dispatcher[0]].name;
    struct berth_slice name = { dispatcher, strlen(dispatcher) };
    if (ask->type == ASK_PAUSE) {
        note->broker.type = BERTH_EV_DISPATCHER_PAUSE;
        note->broker.dispatcher_pause =
            (struct berth_ev_dispatcher_pause){ .peer = ask->client->link.peer,
                                                .request = number,
                                                .name = name,
                                                .is_paused = ask->limit == 1 };
        return;
    }
    if (ask->type == ASK_REMOVE) {
        note->broker.type = BERTH_EV_DISPATCHER_REMOVE;
        note->broker.query = (struct berth_ev_query){ .peer = ask->client->link.peer,
                                                      .request = number,
                                                      .name = name };
        return;
    }
    note->broker.type = BERTH_EV_DISPATCHER_SET;
    if (ask->type == ASK_QUEUE) {
        note->broker.dispatcher_set =
            (struct berth_ev_dispatcher_set){ .peer = ask->client->link.peer,
                                              .request = number,
                                              .name = name,
                                              .has_queue_timeout = true,
                                              .queue_timeout_ms = ask->limit };
        return;
    }
    if (ask->type == ASK_ON_LOST) {
        note->broker.dispatcher_set =
            (struct berth_ev_dispatcher_set){ .peer = ask->client->link.peer,
                                              .request = number,
                                              .name = name,
                                              .has_on_lost = true,
                                              .on_lost = ask->limit ? BERTH_ON_LOST_HOLD
                                                                    : BERTH_ON_LOST_RECLAIM };
        return;
    }
    if (ask->type == ASK_MOVE) {
        int home = sim_rules[SIM_MOVER].parent;
        const char *parent = sim_rules[ask->limit ? home : sim_rules[home].parent].name;
        note->broker.dispatcher_set =
            (struct berth_ev_dispatcher_set){ .peer = ask->client->link.peer,
                                              .request = number,
                                              .name = name,
                                              .has_parent = true,
                                              .parent = { parent, strlen(parent) } };
        return;
    }
    note->broker.dispatcher_set = (struct berth_ev_dispatcher_set){
        .peer = ask->client->link.peer,
        .request = number,
        .name = name,
        .has_limit = true,
        .limit = { .kind = BERTH_LIMIT_NUMBER, .value = ask->limit },
    };
    if (ask->type == ASK_MAKE)
        note->broker.dispatcher_set.limit = (struct berth_limit){ .kind = BERTH_LIMIT_UNLIMITED };
}

void ask_say(const struct ask *ask, uint64_t number)
{
    struct note *note = note_new(TO_BROKER);
    uint64_t peer = ask->client->link.peer;
    switch (ask->type) {
    case ASK_SUBMIT: say_submit(ask, number, note); break;
    case ASK_WAIT: say_ids(ask, number, BERTH_EV_WAIT, note); break;
    case ASK_CANCEL:
        say_ids(ask, number, BERTH_EV_CANCEL, note);
        note->broker.ids.is_forced = ask->ids[0] % 3 == 0;
        break;
    case ASK_RETRY: say_ids(ask, number, BERTH_EV_RETRY, note); break;
    case ASK_DISCARD: say_ids(ask, number, BERTH_EV_DISCARD, note); break;
    case ASK_PURGE:
        note->broker.type = BERTH_EV_DISPATCHER_PURGE;
        note->broker.purge =
            (struct berth_ev_purge){ .peer = peer,
                                     .request = number,
                                     .name = { sim_rules[ask->dispatcher[0]].name,
                                               strlen(sim_rules[ask->dispatcher[0]].name) },
                                     .below = ask->ids[0],
                                     .cursor = ask->ids[1] };
        break;
    case ASK_EXPLAIN:
        note->broker.type = BERTH_EV_EXPLAIN;
        note->broker.explain =
            (struct berth_ev_explain){ .peer = peer, .request = number, .id = ask->ids[0] };
        if (!ask->ids[0])
            note->broker.explain.dispatcher =
                (struct berth_slice){ sim_rules[ask->dispatcher[0]].name,
                                      strlen(sim_rules[ask->dispatcher[0]].name) };
        break;
    case ASK_GET: say_ids(ask, number, BERTH_EV_JOB_GET, note); break;
    case ASK_OUTPUT:
        note->broker.type = BERTH_EV_JOB_OUTPUT;
        note->broker.job_output = (struct berth_ev_job_output){
            .peer = peer, .request = number, .id = ask->ids[0], .attempt = 1, .out_from = 500
        };
        break;
    case ASK_LIST:
        note->broker.type = BERTH_EV_JOB_LIST;
        note->broker.job_list = (struct berth_ev_job_list){ .peer = peer,
                                                            .request = number,
                                                            .state = (enum berth_state)ask->ids[0],
                                                            .is_newest_first = ask->ids[0] % 2,
                                                            .count_max = 5 };
        break;
    case ASK_STATUS:
        note->broker.type = ask->ids[0] % 2 ? BERTH_EV_STATUS : BERTH_EV_DISPATCHER_GET;
        note->broker.query = (struct berth_ev_query){ .peer = peer, .request = number };
        break;
    case ASK_LIMIT:
    case ASK_PAUSE:
    case ASK_MOVE:
    case ASK_ON_LOST:
    case ASK_REMOVE:
    case ASK_MAKE:
    case ASK_QUEUE: say_change(ask, number, note); break;
    }
    link_send_up(&ask->client->link, note);
}

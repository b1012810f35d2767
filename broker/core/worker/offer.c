/* SPDX-License-Identifier: MIT */
#include "offer.h"

#include <errno.h>

#include "broker/core/match/handler.h"
#include "broker/core/match/park.h"
#include "suspect.h"

static void enter_free_lists(struct berth_core *core, struct session *session, enum desk_kind desk);
static void leave_free_lists(struct session *session, enum desk_kind desk);

/* ---- taking over ---- */

static void copy_name(char to[BERTH_NAME_BYTES], struct berth_slice name)
{
    size_t bytes = name.bytes < BERTH_NAME_BYTES - 1 ? name.bytes : BERTH_NAME_BYTES - 1;
    memset(to, 0, BERTH_NAME_BYTES);
    if (bytes)
        memcpy(to, name.data, bytes);
}

static void release_offers(struct berth_core *core, struct offer *offers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        offers[i].handler->offer_count--;
        handler_release(core, offers[i].handler);
    }
    block_free(offers);
}

/* One for each handler; NULL: no memory. */
static struct offer *make_offers(struct berth_core *core, struct session *session,
                                 const struct berth_offer *offer)
{
    struct offer *offers = block_new((offer->handler_count + 1) * sizeof *offers);
    char space[BERTH_NAME_BYTES + 1];
    for (size_t i = 0; offers && i < offer->handler_count; i++) {
        struct berth_slice name = offer->handlers[i];
        struct handler *handler =
            handler_get(core, offer->is_alone ? suspect_handler(name, space) : name);
        if (!handler) {
            release_offers(core, offers, i);
            return NULL;
        }
        offers[i].handler = handler;
        for (enum desk_kind desk = 0; desk < DESK_COUNT; desk++)
            offers[i].seats[desk].session = session;
        handler->offer_count++;
    }
    return offers;
}

static void set_cores(struct berth_core *core, struct session *session, uint32_t cores)
{
    uint32_t before = session->cores;
    session->cores = cores;
    if (session->state != SESSION_LIVE)
        return;
    core->cores = core->cores - before + cores;
    if (cores > before)
        park_wake_all(core);
}

int offer_take(struct berth_core *core, struct session *session, const struct berth_offer *offer)
{
    struct offer *offers = make_offers(core, session, offer);
    if (!offers)
        return -ENOMEM;
    offer_drop(core, session);
    session->offers = offers;
    session->offer_count = offer->handler_count;
    session->out_ack_count = 0;
    session->capacity = offer->capacity;
    session->suspended_max = offer->suspended_max;
    copy_name(session->record.name, offer->name);
    copy_name(session->software, offer->software);
    session->is_alone = offer->is_alone;
    session->can_start_alone = offer->can_start_alone && !offer->is_alone;
    /* Those of its host are counted by the worker that it belongs to. */
    set_cores(core, session, offer->is_alone ? 0 : offer->cores);
    return 0;
}

void offer_drop(struct berth_core *core, struct session *session)
{
    for (enum desk_kind desk = 0; desk < DESK_COUNT; desk++)
        leave_free_lists(session, desk);
    release_offers(core, session->offers, session->offer_count);
    session->offers = NULL;
    session->offer_count = 0;
}

/* ---- room ---- */

/* So many of the suspended ones do not count where this kind of jobs is granted. */
static uint32_t uncounted_max(const struct session *session, enum desk_kind desk)
{
    switch (desk) {
    case DESK_ROOTS: return session->suspended_max / 2;
    case DESK_CHILDREN: return session->suspended_max;
    case DESK_COUNT: break;
    }
    BERTH_UNREACHABLE();
}

static bool has_room_for(const struct session *session, enum desk_kind desk)
{
    uint32_t idle = session->suspended_count, most = uncounted_max(session, desk);
    uint32_t uncounted = idle < most ? idle : most;
    return session->attempt_count - uncounted < session->capacity;
}

void offer_update_room(struct berth_core *core, struct session *session)
{
    bool is_there = session->state == SESSION_LIVE && session->peer && !session->is_draining;
    for (enum desk_kind desk = 0; desk < DESK_COUNT; desk++) {
        bool has_room = is_there && has_room_for(session, desk);
        if (has_room && !session->has_room[desk])
            enter_free_lists(core, session, desk);
        else if (!has_room)
            leave_free_lists(session, desk);
    }
}

static void enter_free_lists(struct berth_core *core, struct session *session, enum desk_kind desk)
{
    session->has_room[desk] = true;
    for (size_t i = 0; i < session->offer_count; i++) {
        struct offer *offer = &session->offers[i];
        berth_list_push_back(&offer->handler->desks[desk].free, &offer->seats[desk].free_node);
        handler_gain(core, &offer->handler->desks[desk]);
    }
}

static void leave_free_lists(struct session *session, enum desk_kind desk)
{
    for (size_t i = 0; session->has_room[desk] && i < session->offer_count; i++)
        berth_list_remove(&session->offers[i].seats[desk].free_node);
    session->has_room[desk] = false;
}

/* ---- check ---- */

void offer_check(const struct session *session)
{
    for (enum desk_kind desk = 0; desk < DESK_COUNT; desk++)
        for (size_t i = 0; i < session->offer_count; i++)
            BERTH_ASSERT(berth_list_is_linked(&session->offers[i].seats[desk].free_node) ==
                         session->has_room[desk]);
}

/* SPDX-License-Identifier: MIT */
#include "offer.h"

#include <errno.h>

#include "handler.h"
#include "park.h"
#include "suspect.h"

static void enter_free_lists(struct berth_core *core, struct session *session);
static void leave_free_lists(struct session *session);

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
        offers[i] = (struct offer){ .session = session, .handler = handler };
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
    struct berth_order_ack *acks = block_new(((size_t)offer->capacity + 1) * sizeof *acks);
    if (!acks) {
        release_offers(core, offers, offer->handler_count);
        return -ENOMEM;
    }
    offer_drop(core, session);
    session->offers = offers;
    session->offer_count = offer->handler_count;
    block_free(session->out_acks);
    session->out_acks = acks;
    session->out_ack_count = 0;
    session->capacity = offer->capacity;
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
    leave_free_lists(session);
    release_offers(core, session->offers, session->offer_count);
    session->offers = NULL;
    session->offer_count = 0;
}

/* ---- room ---- */

void offer_update_room(struct berth_core *core, struct session *session)
{
    bool has_room = session->state == SESSION_LIVE && session->peer && !session->is_draining &&
                    session->attempt_count < session->capacity;
    if (has_room && !session->has_room)
        enter_free_lists(core, session);
    else if (!has_room)
        leave_free_lists(session);
}

static void enter_free_lists(struct berth_core *core, struct session *session)
{
    session->has_room = true;
    for (size_t i = 0; i < session->offer_count; i++) {
        struct offer *offer = &session->offers[i];
        berth_list_push_back(&offer->handler->free, &offer->free_node);
        handler_gain(core, offer->handler);
    }
}

static void leave_free_lists(struct session *session)
{
    for (size_t i = 0; session->has_room && i < session->offer_count; i++)
        berth_list_remove(&session->offers[i].free_node);
    session->has_room = false;
}

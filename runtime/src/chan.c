/* SPDX-License-Identifier: MIT
 *
 * Channels. A sender that meets a waiting receiver writes into that call's memory, and a receiver
 * reads from a waiting sender's: so a message costs each side one round of the lock.
 *
 * The item of a receiver that is cancelled meanwhile goes back in front of all others. Its sender
 * has gone on long ago, and there may be no room in the ring: hence the boxes.
 */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"
#include "dead.h"
#include "die.h"

static struct weft_dead dead; /* channels that were freed */

static struct weft_chan_box *box_of(struct berth_list_node *link)
{
    return berth_container_of(link, struct weft_chan_box, link);
}

int weft_chan_new(size_t item_bytes, size_t capacity, void (*drop)(void *item),
                  struct weft_chan **ret_chan)
{
    if (item_bytes > WEFT_CHAN_ITEM_BYTES_MAX || capacity > WEFT_CHAN_CAPACITY_MAX)
        return -EINVAL;
    struct weft_chan *chan = malloc(sizeof *chan + item_bytes * capacity);
    if (!chan)
        return -ENOMEM;
    *chan = (struct weft_chan){ .item_bytes = item_bytes, .capacity = capacity, .drop = drop };
    berth_list_init(&chan->boxes);
    berth_list_init(&chan->receivers);
    berth_list_init(&chan->senders);
    *ret_chan = chan;
    return 0;
}

static void require_alive(const struct weft_chan *chan, const char *call)
{
    WEFT_REQUIRE(chan->item_bytes != WEFT_CHAN_FREED, "%s: the channel has been freed", call);
}

int weft_chan_misfit(const struct weft_chan *chan, const char *call)
{
    require_alive(chan, call);
    return -EMSGSIZE;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static char *ring_item(struct weft_chan *chan, size_t index)
{
    if (index >= chan->capacity)
        index -= chan->capacity;
    return (char *)chan->ring + index * chan->item_bytes;
}

static void ring_push(struct weft_chan *chan, const void *item)
{
    weft_chan_copy(chan, ring_item(chan, chan->head + chan->count), item);
    chan->count++;
}

static void *ring_pop(struct weft_chan *chan)
{
    void *item = ring_item(chan, chan->head);
    chan->head = chan->head + 1 == chan->capacity ? 0 : chan->head + 1;
    chan->count--;
    return item;
}

/* ---- those who wait -------------------------------------------------------------------------- */

static bool is_served(const struct weft_chan_node *node)
{
    return node->call->is_select && node->call->winner;
}

/* Takes out the first that has not been served elsewhere; it is the caller's to serve. */
static struct weft_chan_node *claim_first(struct berth_list *queue)
{
    struct berth_list_node *link;
    while ((link = berth_list_pop_front(queue)) != NULL) {
        struct weft_chan_node *node = weft_chan_node_of(link), *nobody = NULL;
        if (!node->call->is_select ||
            atomic_compare_exchange_strong(&node->call->winner, &nobody, node))
            return node;
    }
    return NULL;
}

/* Whether somebody waits who has not been served elsewhere. */
static bool has_waiting(struct berth_list *queue)
{
    struct berth_list_node *link;
    while ((link = berth_list_first(queue)) != NULL && is_served(weft_chan_node_of(link)))
        berth_list_remove(link);
    return link;
}

static void serve(struct weft_chan_node *node, int rc)
{
    weft_chan_serve(weft_holder(weft_thread_self()), node, rc);
}

static bool give_to_first(struct weft_chan *chan, const void *item, uint64_t order,
                          struct weft_chan_after *after)
{
    struct weft_chan_node *node = claim_first(&chan->receivers);
    if (!node)
        return false;
    weft_chan_give(weft_holder(weft_thread_self()), chan, node, item, order);
    after->woken = node;
    return true;
}

/* There may be room again: for the item of the first that waits to send. */
static void refill(struct weft_chan *chan, struct weft_chan_after *after)
{
    struct weft_chan_node *node = weft_chan_has_room(chan) ? claim_first(&chan->senders) : NULL;
    if (!node)
        return;
    ring_push(chan, node->item);
    serve(node, 0);
    after->woken = node;
}

void weft_chan_after(struct weft_chan_after *after)
{
    if (after->woken)
        weft_handover_wake(&after->woken->call->handover, weft_thread_self());
    free(after->emptied);
}

/* ---- what can be done at once ---------------------------------------------------------------- */

int weft_chan_put(struct weft_chan *chan, const void *item, struct weft_chan_after *after)
{
    if (chan->is_closed)
        return -EPIPE;
    if (give_to_first(chan, item, chan->given, after)) {
        chan->given++;
        return 0;
    }
    if (!weft_chan_has_room(chan))
        return -EAGAIN;
    ring_push(chan, item);
    return 0;
}

int weft_chan_take(struct weft_chan *chan, void *ret_item, struct weft_chan_after *after)
{
    struct weft_chan_node *sender;
    if (chan->box_count > 0) {
        after->emptied = box_of(berth_list_pop_front(&chan->boxes));
        chan->box_count--;
        weft_chan_copy(chan, ret_item, after->emptied->item);
        refill(chan, after);
    } else if (chan->count > 0) {
        weft_chan_copy(chan, ret_item, ring_pop(chan));
        refill(chan, after);
    } else if ((sender = claim_first(&chan->senders)) != NULL) {
        weft_chan_copy(chan, ret_item, sender->item);
        serve(sender, 0);
        after->woken = sender;
    } else {
        return chan->is_closed ? 0 : -EAGAIN;
    }
    return 1;
}

bool weft_chan_can_put(struct weft_chan *chan)
{
    return chan->is_closed || weft_chan_has_room(chan) || has_waiting(&chan->receivers);
}

bool weft_chan_can_take(struct weft_chan *chan)
{
    return chan->is_closed || chan->box_count + chan->count > 0 || has_waiting(&chan->senders);
}

static void keep_in_order(struct weft_chan *chan, struct weft_chan_box *box)
{
    struct berth_list_node *place = &chan->boxes.ring;
    while (place->prev != &chan->boxes.ring && box_of(place->prev)->order > box->order)
        place = place->prev;
    berth_list_insert_before(place, &box->link);
    chan->box_count++;
}

bool weft_chan_put_back(struct weft_chan *chan, const struct weft_chan_call *call)
{
    struct weft_chan_box *box = malloc(sizeof *box + chan->item_bytes);
    struct weft_chan_after after = { 0 };
    weft_chan_lock(chan);
    bool is_back = give_to_first(chan, call->item, call->order, &after);
    if (!is_back && box) {
        *box = (struct weft_chan_box){ .order = call->order };
        weft_chan_copy(chan, box->item, call->item);
        keep_in_order(chan, box);
        box = NULL;
        is_back = true;
    }
    weft_chan_unlock(chan);
    weft_chan_after(&after);
    free(box);
    return is_back;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Serves all in the queue, and appends them to a list; returns its new end. */
static struct weft_chan_node **serve_all(struct berth_list *queue, int rc,
                                         struct weft_chan_node **end)
{
    struct weft_chan_node *node;
    while ((node = claim_first(queue)) != NULL) {
        *end = node;
        node->next_woken = NULL;
        end = &node->next_woken;
        serve(node, rc);
    }
    return end;
}

void weft_chan_close(struct weft_chan *chan)
{
    require_alive(chan, "weft_chan_close");
    struct weft_chan_node *woken = NULL;
    weft_chan_lock(chan);
    chan->is_closed = true;
    struct weft_chan_node **end = serve_all(&chan->receivers, 0, &woken);
    (void)serve_all(&chan->senders, -EPIPE, end);
    weft_chan_unlock(chan);
    while (woken) {
        struct weft_chan_node *next = woken->next_woken;
        weft_handover_wake(&woken->call->handover, weft_thread_self());
        woken = next;
    }
}

void weft_chan_free(struct weft_chan *chan)
{
    if (!chan)
        return;
    require_alive(chan, "weft_chan_free");
    WEFT_REQUIRE(berth_list_is_empty(&chan->receivers) && berth_list_is_empty(&chan->senders),
                 "weft_chan_free: somebody still waits on the channel");
    struct berth_list_node *link;
    while ((link = berth_list_pop_front(&chan->boxes)) != NULL) {
        struct weft_chan_box *box = box_of(link);
        if (chan->drop)
            chan->drop(box->item);
        free(box);
    }
    while (chan->drop && chan->count > 0)
        chan->drop(ring_pop(chan));
    chan->item_bytes = WEFT_CHAN_FREED;
    struct weft_chan *rest = realloc(chan, sizeof *chan); /* without its ring, for a while */
    free(weft_dead_keep(&dead, rest ? rest : chan));
}

/* SPDX-License-Identifier: MIT
 *
 * A channel inside, for chan.c, chan_call.c and select.c.
 *
 * Invariants (under its lock)
 * 1. Somebody waits to receive only while nothing can be received; to send, only while there is no
 *    room. So whoever comes later is never served first.
 * 2. An item is in one place: with its sender, in the ring, with the receiver it was given to, or
 *    in a box: what a receiver was given that turned out to be cancelled. Boxes come before the
 *    ring, and stand in the order in which their items were given.
 * 3. A call that waits on several channels (a select) is served once: each giver claims it first.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#include <weft/chan.h>

#include "base/list.h"

#include "handover.h"

#define WEFT_CHAN_INLINE_BYTES 64 /* a larger item is received by way of the heap */

#define WEFT_CHAN_FREED SIZE_MAX

struct weft_chan_node;

/* A parked call. */
struct weft_chan_call {
    struct weft_handover handover;
    bool is_select;
    _Atomic(struct weft_chan_node *) winner; /* of a select: the one that was served */
    void *item;                              /* to be received into */
    uint64_t order;                          /* of the item received */
};

/* A parked call's place in the queue of a channel. */
struct weft_chan_node {
    struct berth_list_node link;
    struct weft_chan_call *call;
    const void *item;                  /* of a sender, until it is taken */
    int rc;                            /* what it is served with */
    struct weft_chan_node *next_woken; /* when the channel closes */
};

struct weft_chan_box {
    struct berth_list_node link;
    uint64_t order;
    max_align_t item[];
};

struct weft_chan {
    struct weft_bias lock;
    bool is_closed;
    size_t item_bytes, capacity; /* item_bytes is WEFT_CHAN_FREED when it has been freed */
    size_t head, count;          /* in the ring */
    struct berth_list boxes;
    size_t box_count;
    struct berth_list receivers, senders;
    uint64_t given; /* items to receivers that waited */
    void (*drop)(void *item);
    max_align_t ring[];
};

/* For a call with the size of an item that is not the channel's: -EMSGSIZE. The program ends if
 * that is so because the channel has been freed. */
int weft_chan_misfit(const struct weft_chan *chan, const char *call);

static inline void weft_chan_lock(struct weft_chan *chan)
{
    weft_bias_acquire(&chan->lock, weft_holder(weft_thread_self()), WEFT_BIAS_OBJECT);
}

static inline void weft_chan_unlock(struct weft_chan *chan)
{
    weft_bias_release(&chan->lock, weft_holder(weft_thread_self()), WEFT_BIAS_OBJECT);
}

/* What is left to be done when the lock has been given back. All-zero: nothing. */
struct weft_chan_after {
    struct weft_chan_node *woken;
    struct weft_chan_box *emptied;
};
void weft_chan_after(struct weft_chan_after *after);

/* Under the lock: what can be done at once. take: 1, 0 or -EAGAIN; put: 0, -EPIPE or -EAGAIN. */
int weft_chan_take(struct weft_chan *chan, void *ret_item, struct weft_chan_after *after);
int weft_chan_put(struct weft_chan *chan, const void *item, struct weft_chan_after *after);

/* Under the lock: whether take or put would do something, unless a select on the other side is
 * served elsewhere meanwhile. */
bool weft_chan_can_take(struct weft_chan *chan);
bool weft_chan_can_put(struct weft_chan *chan);

/* Without the lock: gives back an item that a cancelled call has received. False: no memory. */
bool weft_chan_put_back(struct weft_chan *chan, const struct weft_chan_call *call);

static inline struct weft_chan_node *weft_chan_node_of(struct berth_list_node *link)
{
    return berth_container_of(link, struct weft_chan_node, link);
}

static inline void weft_chan_copy(const struct weft_chan *chan, void *to, const void *from)
{
    if (chan->item_bytes == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t)); /* a single move: most items are an address */
    else if (chan->item_bytes > 0)
        memcpy(to, from, chan->item_bytes);
}

static inline bool weft_chan_has_room(const struct weft_chan *chan)
{
    return chan->count + chan->box_count < chan->capacity;
}

/* berth_list_pop_front() of a list that is not empty. */
static inline void weft_chan_take_first(struct berth_list *queue)
{
    struct berth_list_node *first = queue->ring.next;
    queue->ring.next = first->next;
    first->next->prev = &queue->ring;
    *first = (struct berth_list_node){ .next = NULL };
}

static inline void weft_chan_serve(struct weft_bias_holder *holder, struct weft_chan_node *node,
                                   int rc)
{
    node->rc = rc;
    weft_handover_give(&node->call->handover, holder);
}

static inline void weft_chan_give(struct weft_bias_holder *holder, const struct weft_chan *chan,
                                  struct weft_chan_node *receiver, const void *item, uint64_t order)
{
    weft_chan_copy(chan, receiver->call->item, item);
    receiver->call->order = order;
    weft_chan_serve(holder, receiver, 1);
}

/* SPDX-License-Identifier: MIT
 *
 * Channels: items that are copied in at one end and out at the other, in order; and waiting for
 * one of several things.
 *
 *     struct weft_chan *chan;
 *     int rc = weft_chan_new(sizeof(struct order), 16, NULL, &chan);
 *     ...
 *     rc = weft_chan_send(chan, &order, sizeof order, WEFT_NEVER);          one coroutine
 *     while ((rc = weft_chan_recv(chan, &order, sizeof order, WEFT_NEVER)) > 0) ...       another
 *
 * Any number of senders and receivers, on any threads; on a plain thread a channel can only be
 * tried, with deadline 0 (rule 3). Who waits is served in order of arrival.
 *
 * An item is never lost: what was accepted (a send that returned 0) is received once, or given to
 * `drop` at the end. Who gets -ECANCELED has neither sent nor received.
 */
#pragma once

#include <stddef.h>

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weft_chan;
struct weft_task;

#define WEFT_CHAN_ITEM_BYTES_MAX 65536      /* of larger things send the address */
#define WEFT_CHAN_CAPACITY_MAX   (1u << 24) /* items */
#define WEFT_SELECT_CASES_MAX    256

/* Makes a channel for items of `item_bytes` (0 is allowed: then only their number counts), of
 * which it holds `capacity`; with 0 a sender waits until a receiver takes the item (rendezvous).
 * `drop`, unless NULL, is called by weft_chan_free() for each item that nobody has received.
 * 0; -EINVAL: more than a maximum allows; -ENOMEM. */
int weft_chan_new(size_t item_bytes, size_t capacity, void (*drop)(void *item),
                  struct weft_chan **ret_chan);

/* No more sends: who waits to send gets -EPIPE; what is inside can still be received, then
 * receivers get 0. Any thread; a second call changes nothing. */
void weft_chan_close(struct weft_chan *chan);

/* Drops what is left, and frees the channel. Nobody may be inside a call on it, or ever call again.
 * It need not have been closed. NULL is allowed. */
void weft_chan_free(struct weft_chan *chan);

/* Waits for room. 0: the item was copied into the channel or to a receiver. -EPIPE: closed;
 * -ETIMEDOUT; -EMSGSIZE: item_bytes is not the channel's. A sender that is cancelled when its item
 * has been taken already gets 0, and meets its cancelling at the next call that waits.
 * -ENOMEM: no memory to wait with. */
int weft_chan_send(struct weft_chan *chan, const void *item, size_t item_bytes,
                   int64_t deadline_ns);

/* Waits for an item. 1: copied to ret_item, which nothing else changes; 0: closed and empty, as
 * read(2). -ETIMEDOUT; -EMSGSIZE; -ENOMEM: no memory to wait with, only of items of more than
 * 64 bytes. If a receiver is cancelled just when it was given an item, that goes back to the front
 * of the channel (should there be no memory even for that, it is received: 1). */
int weft_chan_recv(struct weft_chan *chan, void *ret_item, size_t item_bytes, int64_t deadline_ns);

/* One thing to wait for: set exactly one of recv, send, await. */
struct weft_case {
    struct weft_chan *recv, *send;
    struct weft_task *await;
    void *item;        /* received into, or sent from; not for await */
    size_t item_bytes; /* of a channel's items */
    int rc;            /* out: what weft_chan_recv(), _send() or weft_await() would have returned */
};

/* Waits until one of the cases can happen, and lets this one happen: its index, and the result in
 * its rc; the others have not happened, and have rc 0. If several can, one of them at random. A
 * closed channel can: with rc 0 or -EPIPE. The same channel may stand in several cases, but a
 * select never sends to itself. Without cases it sleeps.
 *
 * -ETIMEDOUT and -ECANCELED: none has happened. -EINVAL: more than WEFT_SELECT_CASES_MAX, or a case
 * with none or two of the three set; -EMSGSIZE, -EDEADLK (await itself): so has that case's rc.
 * -ENOMEM: no memory to wait with. As weft_await(), it starts the held ones among its tasks, unless
 * the deadline is 0. */
int weft_select(struct weft_case *cases, size_t count, int64_t deadline_ns);

#ifdef __cplusplus
}
#endif

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
#include <string.h>

#include "channel.h"
#include "dead.h"
#include "die.h"

/* What is not the usual case is kept out of the functions in which the usual one stands, which
 * would otherwise save and load registers for it. */
#define RARELY(condition) __builtin_expect(!!(condition), 0)
#define APART             __attribute__((noinline))

static int send_boxed(struct weft_chan *chan, struct weft_task *self, const void *item,
                      int64_t deadline_ns);
static int recv_boxed(struct weft_chan *chan, struct weft_task *self, void *ret_item,
                      int64_t deadline_ns);

static struct weft_dead dead; /* channels that were freed */

static struct weft_chan_node *node_of(struct berth_list_node *link)
{
    return berth_container_of(link, struct weft_chan_node, link);
}

static struct weft_chan_box *box_of(struct berth_list_node *link)
{
    return berth_container_of(link, struct weft_chan_box, link);
}

static inline void copy(const struct weft_chan *chan, void *to, const void *from)
{
    if (chan->item_bytes == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t)); /* a single move: most items are an address */
    else if (chan->item_bytes > 0)
        memcpy(to, from, chan->item_bytes);
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

static bool has_room(const struct weft_chan *chan)
{
    return chan->count + chan->box_count < chan->capacity;
}

static char *ring_item(struct weft_chan *chan, size_t index)
{
    if (index >= chan->capacity)
        index -= chan->capacity;
    return (char *)chan->ring + index * chan->item_bytes;
}

static void ring_push(struct weft_chan *chan, const void *item)
{
    copy(chan, ring_item(chan, chan->head + chan->count), item);
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

/* berth_list_pop_front() of a list that is not empty. */
static inline void take_first(struct berth_list *queue)
{
    struct berth_list_node *first = queue->ring.next;
    queue->ring.next = first->next;
    first->next->prev = &queue->ring;
    *first = (struct berth_list_node){ .next = NULL };
}

static bool is_served(const struct weft_chan_node *node)
{
    return node->call->is_select && node->call->winner;
}

/* Takes out the first that has not been served elsewhere; it is the caller's to serve. */
static struct weft_chan_node *claim_first(struct berth_list *queue)
{
    struct berth_list_node *link;
    while ((link = berth_list_pop_front(queue)) != NULL) {
        struct weft_chan_node *node = node_of(link), *nobody = NULL;
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
    while ((link = berth_list_first(queue)) != NULL && is_served(node_of(link)))
        berth_list_remove(link);
    return link;
}

static inline void serve_by(struct weft_bias_holder *holder, struct weft_chan_node *node, int rc)
{
    node->rc = rc;
    weft_handover_give(&node->call->handover, holder);
}

static void serve(struct weft_chan_node *node, int rc)
{
    serve_by(weft_holder(weft_thread_self()), node, rc);
}

static inline void give(struct weft_bias_holder *holder, const struct weft_chan *chan,
                        struct weft_chan_node *receiver, const void *item, uint64_t order)
{
    copy(chan, receiver->call->item, item);
    receiver->call->order = order;
    serve_by(holder, receiver, 1);
}

static bool give_to_first(struct weft_chan *chan, const void *item, uint64_t order,
                          struct weft_chan_after *after)
{
    struct weft_chan_node *node = claim_first(&chan->receivers);
    if (!node)
        return false;
    give(weft_holder(weft_thread_self()), chan, node, item, order);
    after->woken = node;
    return true;
}

/* There may be room again: for the item of the first that waits to send. */
static void refill(struct weft_chan *chan, struct weft_chan_after *after)
{
    struct weft_chan_node *node = has_room(chan) ? claim_first(&chan->senders) : NULL;
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
    if (!has_room(chan))
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
        copy(chan, ret_item, after->emptied->item);
        refill(chan, after);
    } else if (chan->count > 0) {
        copy(chan, ret_item, ring_pop(chan));
        refill(chan, after);
    } else if ((sender = claim_first(&chan->senders)) != NULL) {
        copy(chan, ret_item, sender->item);
        serve(sender, 0);
        after->woken = sender;
    } else {
        return chan->is_closed ? 0 : -EAGAIN;
    }
    return 1;
}

bool weft_chan_can_put(struct weft_chan *chan)
{
    return chan->is_closed || has_room(chan) || has_waiting(&chan->receivers);
}

bool weft_chan_can_take(struct weft_chan *chan)
{
    return chan->is_closed || chan->box_count + chan->count > 0 || has_waiting(&chan->senders);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* After a wait. */
APART static int end_send(struct weft_chan *chan, struct weft_chan_call *call,
                          struct weft_chan_node *node, int rc)
{
    if (rc < 0) {
        weft_chan_lock(chan);
        bool is_waiting = berth_list_is_linked(&node->link);
        if (is_waiting)
            berth_list_remove(&node->link);
        weft_chan_unlock(chan);
        if (is_waiting)
            return rc;
    }
    weft_handover_settle(&call->handover);
    return rc == -ECANCELED && node->rc < 0 ? rc : node->rc; /* what was taken is sent */
}

/* Under the lock: joins the queue. */
static inline void join_senders(struct weft_chan *chan, struct weft_task *self,
                                struct weft_chan_call *call, struct weft_chan_node *node,
                                const void *item)
{
    call->handover.task = self;
    weft_put(&call->handover.is_done, false);
    weft_put(&call->handover.hold.is_taken, 0);
    call->is_select = false;
    node->link.next = NULL;
    node->call = call;
    node->item = item;
    berth_list_push_back(&chan->senders, &node->link);
}

/* Under the lock, which it gives back: joins the queue and waits. */
static int wait_to_send(struct weft_chan *chan, struct weft_task *self, const void *item,
                        struct weft_chan_call *call, struct weft_chan_node *node,
                        int64_t deadline_ns)
{
    join_senders(chan, self, call, node, item);
    weft_chan_unlock(chan);
    int rc = weft_wait(self, "send", &call->handover.is_done, deadline_ns);
    return end_send(chan, call, node, rc);
}

/* The same by the usual way: without a deadline, on a stack that can be lent. */
APART static int send_lent(struct weft_chan *chan, struct weft_thread *thread,
                           struct weft_task *self, const void *item)
{
    struct {
        struct weft_chan_call call;
        struct weft_chan_node node;
        struct weft_chan *chan;
    } lent;
    lent.chan = chan;
    join_senders(chan, self, &lent.call, &lent.node, item);
    weft_bias_release(&chan->lock, thread->holder, WEFT_BIAS_OBJECT);
    int rc = weft_usual_wait(thread, self, "send", &lent.call.handover.is_done);
    if (RARELY(rc < 0 || lent.node.rc != 0 || !weft_handover_is_settled(&lent.call.handover)))
        return end_send(lent.chan, &lent.call, &lent.node, rc);
    return 0;
}

/* Under the lock, which it gives back: where nobody waits to receive, or a select does. */
APART static int send_otherwise(struct weft_chan *chan, struct weft_task *self, const void *item,
                                int64_t deadline_ns)
{
    struct weft_chan_after after = { 0 };
    int rc = weft_chan_put(chan, item, &after);
    if (rc == -EAGAIN && deadline_ns != 0 && weft_lends_locals(self)) {
        struct weft_chan_call call;
        struct weft_chan_node node;
        return wait_to_send(chan, self, item, &call, &node, deadline_ns);
    }
    weft_chan_unlock(chan);
    weft_chan_after(&after);
    if (rc != -EAGAIN)
        return rc;
    return deadline_ns == 0 ? -ETIMEDOUT : send_boxed(chan, self, item, deadline_ns);
}

int weft_chan_send(struct weft_chan *chan, const void *item, size_t item_bytes, int64_t deadline_ns)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    if (RARELY(!self || weft_task_is_cancelled(self))) {
        int rc = weft_wait_check(self, deadline_ns);
        if (rc < 0)
            return rc;
    }
    if (RARELY(item_bytes != chan->item_bytes))
        return weft_chan_misfit(chan, "weft_chan_send");
    struct weft_bias_holder *holder = weft_holder(thread);
    weft_bias_acquire(&chan->lock, holder, WEFT_BIAS_OBJECT);
    struct berth_list_node *first = chan->receivers.ring.next;
    struct weft_chan_node *receiver = node_of(first);
    if (first == &chan->receivers.ring || RARELY(receiver->call->is_select)) {
        bool must_wait = first == &chan->receivers.ring && !has_room(chan) && !chan->is_closed;
        if (must_wait && deadline_ns == WEFT_NEVER && self && weft_lends_locals(self))
            return send_lent(chan, thread, self, item);
        return send_otherwise(chan, self, item, deadline_ns);
    }
    take_first(&chan->receivers);
    give(holder, chan, receiver, item, chan->given++);
    weft_bias_release(&chan->lock, holder, WEFT_BIAS_OBJECT);
    weft_handover_wake(&receiver->call->handover, thread);
    return 0;
}

struct boxed_call {
    struct weft_chan_call call;
    struct weft_chan_node node;
    max_align_t item[];
};

static int send_boxed(struct weft_chan *chan, struct weft_task *self, const void *item,
                      int64_t deadline_ns)
{
    struct boxed_call *box = malloc(sizeof *box + chan->item_bytes);
    if (!box)
        return -ENOMEM;
    copy(chan, box->item, item);
    struct weft_chan_after after = { 0 };
    weft_chan_lock(chan);
    int rc = weft_chan_put(chan, item, &after);
    if (rc == -EAGAIN)
        rc = wait_to_send(chan, self, box->item, &box->call, &box->node, deadline_ns);
    else
        weft_chan_unlock(chan);
    weft_chan_after(&after);
    free(box);
    return rc;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* After a wait. */
APART static int end_recv(struct weft_chan *chan, struct weft_chan_call *call,
                          struct weft_chan_node *node, void *ret_item, int rc)
{
    if (rc < 0) {
        weft_chan_lock(chan);
        bool is_waiting = berth_list_is_linked(&node->link);
        if (is_waiting)
            berth_list_remove(&node->link);
        weft_chan_unlock(chan);
        if (is_waiting)
            return rc;
    }
    weft_handover_settle(&call->handover);
    if (rc == -ECANCELED && (node->rc == 0 || weft_chan_put_back(chan, call)))
        return rc;
    if (node->rc == 1)
        copy(chan, ret_item, call->item);
    return node->rc;
}

/* Under the lock: joins the queue. */
static inline void join_receivers(struct weft_chan *chan, struct weft_task *self,
                                  struct weft_chan_call *call, struct weft_chan_node *node,
                                  void *item)
{
    call->handover.task = self;
    weft_put(&call->handover.is_done, false);
    weft_put(&call->handover.hold.is_taken, 0);
    call->is_select = false;
    call->item = item;
    node->link.next = NULL;
    node->call = call;
    berth_list_push_back(&chan->receivers, &node->link);
}

/* Under the lock, which it gives back: joins the queue and waits. */
static int wait_to_recv(struct weft_chan *chan, struct weft_task *self, void *ret_item,
                        struct weft_chan_call *call, struct weft_chan_node *node, void *item,
                        int64_t deadline_ns)
{
    join_receivers(chan, self, call, node, item);
    weft_chan_unlock(chan);
    int rc = weft_wait(self, "receive", &call->handover.is_done, deadline_ns);
    return end_recv(chan, call, node, ret_item, rc);
}

/* A receiver that waits on a stack that can be lent. */
struct lent_recv {
    struct weft_chan_call call;
    struct weft_chan_node node;
    struct weft_chan *chan;
    void *ret_item;
    uint64_t item[WEFT_CHAN_INLINE_BYTES / sizeof(uint64_t)];
};

APART static int recv_lent(struct weft_chan *chan, struct weft_task *self, void *ret_item,
                           int64_t deadline_ns)
{
    struct lent_recv lent;
    return wait_to_recv(chan, self, ret_item, &lent.call, &lent.node, lent.item, deadline_ns);
}

/* Under the lock, which it gives back: where there is something, or the wait is not the usual one.
 */
APART static int recv_otherwise(struct weft_chan *chan, struct weft_task *self, void *ret_item,
                                int64_t deadline_ns)
{
    struct weft_chan_after after = { 0 };
    int rc = weft_chan_take(chan, ret_item, &after);
    bool is_small = chan->item_bytes <= WEFT_CHAN_INLINE_BYTES;
    if (rc == -EAGAIN && deadline_ns != 0 && is_small && weft_lends_locals(self))
        return recv_lent(chan, self, ret_item, deadline_ns);
    weft_chan_unlock(chan);
    weft_chan_after(&after);
    if (rc != -EAGAIN)
        return rc;
    return deadline_ns == 0 ? -ETIMEDOUT : recv_boxed(chan, self, ret_item, deadline_ns);
}

/* Under the lock: whether a receiver will have to wait. */
static inline bool is_empty(const struct weft_chan *chan)
{
    return chan->count + chan->box_count == 0 && !chan->is_closed &&
           berth_list_is_empty(&chan->senders);
}

/* Under the lock: the first of those who wait to send, if there is nothing before its item, and it
 * is no select; else NULL. */
static inline struct weft_chan_node *first_sender(const struct weft_chan *chan)
{
    struct berth_list_node *first = chan->senders.ring.next;
    bool is_next = first != &chan->senders.ring && chan->count + chan->box_count == 0;
    return is_next && !node_of(first)->call->is_select ? node_of(first) : NULL;
}

/* Under the lock, which it gives back: takes that one's item. */
APART static int recv_from(struct weft_chan *chan, struct weft_thread *thread,
                           struct weft_chan_node *sender, void *ret_item)
{
    struct weft_bias_holder *holder = weft_holder(thread);
    take_first(&chan->senders);
    copy(chan, ret_item, sender->item);
    serve_by(holder, sender, 0);
    weft_bias_release(&chan->lock, holder, WEFT_BIAS_OBJECT);
    weft_handover_wake(&sender->call->handover, thread);
    return 1;
}

int weft_chan_recv(struct weft_chan *chan, void *ret_item, size_t item_bytes, int64_t deadline_ns)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    if (RARELY(!self || weft_task_is_cancelled(self))) {
        int rc = weft_wait_check(self, deadline_ns);
        if (rc < 0)
            return rc;
    }
    if (RARELY(item_bytes != chan->item_bytes))
        return weft_chan_misfit(chan, "weft_chan_recv");
    weft_bias_acquire(&chan->lock, weft_holder(thread), WEFT_BIAS_OBJECT);
    struct weft_chan_node *sender = first_sender(chan);
    if (sender)
        return recv_from(chan, thread, sender, ret_item);
    if (RARELY(!is_empty(chan) || deadline_ns != WEFT_NEVER || !self ||
               item_bytes > WEFT_CHAN_INLINE_BYTES || !weft_lends_locals(self)))
        return recv_otherwise(chan, self, ret_item, deadline_ns);

    struct lent_recv lent;
    lent.chan = chan;
    lent.ret_item = ret_item;
    join_receivers(chan, self, &lent.call, &lent.node, lent.item);
    weft_bias_release(&chan->lock, thread->holder, WEFT_BIAS_OBJECT);
    int rc = weft_usual_wait(thread, self, "receive", &lent.call.handover.is_done);
    if (RARELY(rc < 0 || lent.node.rc != 1 || !weft_handover_is_settled(&lent.call.handover)))
        return end_recv(lent.chan, &lent.call, &lent.node, lent.ret_item, rc);
    copy(lent.chan, lent.ret_item, lent.item);
    return 1;
}

static int recv_boxed(struct weft_chan *chan, struct weft_task *self, void *ret_item,
                      int64_t deadline_ns)
{
    struct boxed_call *box = malloc(sizeof *box + chan->item_bytes);
    if (!box)
        return -ENOMEM;
    struct weft_chan_after after = { 0 };
    weft_chan_lock(chan);
    int rc = weft_chan_take(chan, ret_item, &after);
    if (rc == -EAGAIN)
        rc = wait_to_recv(chan, self, ret_item, &box->call, &box->node, box->item, deadline_ns);
    else
        weft_chan_unlock(chan);
    weft_chan_after(&after);
    free(box);
    return rc;
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
        copy(chan, box->item, call->item);
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

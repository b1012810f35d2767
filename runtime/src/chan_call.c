/* SPDX-License-Identifier: MIT
 *
 * Sending and receiving: a call meets one of the other side, finds what it needs in the channel, or
 * waits. A call that waits leaves an address of its own memory in the channel: of its stack, if
 * that can be lent; else of the heap.
 */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"

/* What is not the usual case is kept out of the functions in which the usual one stands, which
 * would otherwise save and load registers for it. */
#define RARELY(condition) __builtin_expect(!!(condition), 0)
#define APART             __attribute__((noinline))

static int send_boxed(struct weft_chan *chan, struct weft_task *self, const void *item,
                      int64_t deadline_ns);
static int recv_boxed(struct weft_chan *chan, struct weft_task *self, void *ret_item,
                      int64_t deadline_ns);

struct weft_came_back weft_chan_send_inner(struct weft_chan *chan, const void *item,
                                           size_t item_bytes, int64_t deadline_ns) WEFT_INTERNAL;
struct weft_came_back weft_chan_recv_inner(struct weft_chan *chan, void *ret_item,
                                           size_t item_bytes, int64_t deadline_ns) WEFT_INTERNAL;

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
    /* What was taken is sent.
     * NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn): who served it wrote that */
    return rc == -ECANCELED && node->rc < 0 ? rc : node->rc;
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
APART static struct weft_came_back send_lent(struct weft_chan *chan, struct weft_thread *thread,
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
        rc = end_send(lent.chan, &lent.call, &lent.node, rc);
    return (struct weft_came_back){ .rc = rc, .has_parked = true };
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

/* Whether the call can be made at all: 0, or why not. */
static inline int check(struct weft_chan *chan, struct weft_task *self, const char *call,
                        size_t item_bytes, int64_t deadline_ns)
{
    int rc = 0;
    if (RARELY(!self || weft_task_is_cancelled(self)))
        rc = weft_wait_check(self, deadline_ns);
    return RARELY(rc == 0 && item_bytes != chan->item_bytes) ? weft_chan_misfit(chan, call) : rc;
}

static inline struct weft_came_back at_once(int rc)
{
    return (struct weft_came_back){ .rc = rc };
}

struct weft_came_back weft_chan_send_inner(struct weft_chan *chan, const void *item,
                                           size_t item_bytes, int64_t deadline_ns)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    int refused = check(chan, self, "weft_chan_send", item_bytes, deadline_ns);
    if (RARELY(refused < 0))
        return at_once(refused);
    struct weft_bias_holder *holder = weft_holder(thread);
    weft_bias_acquire(&chan->lock, holder, WEFT_BIAS_OBJECT);
    struct berth_list_node *first = chan->receivers.ring.next;
    struct weft_chan_node *receiver = weft_chan_node_of(first);
    if (first == &chan->receivers.ring || RARELY(receiver->call->is_select)) {
        bool must_wait =
            first == &chan->receivers.ring && !weft_chan_has_room(chan) && !chan->is_closed;
        if (must_wait && deadline_ns == WEFT_NEVER && self && weft_lends_locals(self))
            return send_lent(chan, thread, self, item);
        return at_once(send_otherwise(chan, self, item, deadline_ns));
    }
    weft_chan_take_first(&chan->receivers);
    weft_chan_give(holder, chan, receiver, item, chan->given++);
    weft_bias_release(&chan->lock, holder, WEFT_BIAS_OBJECT);
    weft_handover_wake(&receiver->call->handover, thread);
    return at_once(0);
}

#if !WEFT_HAS_THUNKS
int weft_chan_send(struct weft_chan *chan, const void *item, size_t item_bytes, int64_t deadline_ns)
{
    return (int)weft_chan_send_inner(chan, item, item_bytes, deadline_ns).rc;
}
#endif

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
    weft_chan_copy(chan, box->item, item);
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
        weft_chan_copy(chan, ret_item, call->item);
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
    return is_next && !weft_chan_node_of(first)->call->is_select ? weft_chan_node_of(first) : NULL;
}

/* Under the lock, which it gives back: takes that one's item. */
APART static int recv_from(struct weft_chan *chan, struct weft_thread *thread,
                           struct weft_chan_node *sender, void *ret_item)
{
    struct weft_bias_holder *holder = weft_holder(thread);
    weft_chan_take_first(&chan->senders);
    weft_chan_copy(chan, ret_item, sender->item);
    weft_chan_serve(holder, sender, 0);
    weft_bias_release(&chan->lock, holder, WEFT_BIAS_OBJECT);
    weft_handover_wake(&sender->call->handover, thread);
    return 1;
}

struct weft_came_back weft_chan_recv_inner(struct weft_chan *chan, void *ret_item,
                                           size_t item_bytes, int64_t deadline_ns)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    int refused = check(chan, self, "weft_chan_recv", item_bytes, deadline_ns);
    if (RARELY(refused < 0))
        return at_once(refused);
    weft_bias_acquire(&chan->lock, weft_holder(thread), WEFT_BIAS_OBJECT);
    struct weft_chan_node *sender = first_sender(chan);
    if (sender)
        return at_once(recv_from(chan, thread, sender, ret_item));
    if (RARELY(!is_empty(chan) || deadline_ns != WEFT_NEVER || !self ||
               item_bytes > WEFT_CHAN_INLINE_BYTES || !weft_lends_locals(self)))
        return at_once(recv_otherwise(chan, self, ret_item, deadline_ns));

    struct lent_recv lent;
    lent.chan = chan;
    lent.ret_item = ret_item;
    join_receivers(chan, self, &lent.call, &lent.node, lent.item);
    weft_bias_release(&chan->lock, thread->holder, WEFT_BIAS_OBJECT);
    int rc = weft_usual_wait(thread, self, "receive", &lent.call.handover.is_done);
    if (RARELY(rc < 0 || lent.node.rc != 1 || !weft_handover_is_settled(&lent.call.handover)))
        return at_once(end_recv(lent.chan, &lent.call, &lent.node, lent.ret_item, rc));
    weft_chan_copy(lent.chan, lent.ret_item, lent.item);
    return (struct weft_came_back){ .rc = 1, .has_parked = true };
}

#if !WEFT_HAS_THUNKS
int weft_chan_recv(struct weft_chan *chan, void *ret_item, size_t item_bytes, int64_t deadline_ns)
{
    return (int)weft_chan_recv_inner(chan, ret_item, item_bytes, deadline_ns).rc;
}
#endif

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

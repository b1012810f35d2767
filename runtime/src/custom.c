/* SPDX-License-Identifier: MIT
 *
 * Dispatchers of the user's own making.
 *
 * The user's functions are never called under a lock of weft's. So a turn is queued first, and a
 * pump, which is a turn of the blocking pool, hands over what is queued. There is at most one pump
 * a dispatcher; it goes when the queue is empty.
 *
 * What was handed over and has not been run is kept in a list, so that closing can take it back. A
 * closed dispatcher refuses everything, and ends with the runtime, as does what it took back: views
 * may lie on it, and threads of the user's may still run its work.
 *
 * Invariants (under the lock)
 * 1. A turn is in the queue, or in the hands of the pump, or in a piece that is out, or has been
 *    run or refused.
 * 2. Nothing is queued and nothing goes out any more once is_closed is set.
 */
#include "custom.h"

#include <errno.h>
#include <stdlib.h>

#include "base/container.h"

#include "dead.h"
#include "die.h"
#include "guest.h"
#include "immediate.h"
#include "names.h"
#include "rest.h"
#include "thread_set.h"
#include "tree.h"

struct piece {
    struct weft_work work;
    struct weft_custom *custom;  /* NULL while it is spare */
    struct weft_turn *turn;      /* NULL: taken back by closing */
    struct berth_list_node node; /* in out or spare */
};

struct weft_custom {
    struct weft_dispatcher base;
    struct weft_dispatcher_ops ops;
    bool has_is_here;
    void *self;
    struct weft_turn pump;
    struct weft_custom *next; /* in the list of all */
    struct weft_lock lock;    /* of what follows */
    struct weft_turns queue;
    bool is_pumping;
    atomic_bool is_closed; /* is read without it, too */
    unsigned running;      /* pieces, and calls of is_here */
    struct berth_list out, spare;
    struct weft_rest rest;
};

static int custom_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool custom_is_here(struct weft_dispatcher *d);
static void pump_run(struct weft_turn *turn);
static void hand_over(struct weft_custom *custom, struct weft_turn *turn);
static void rest_and_unlock(struct weft_custom *custom);

static const struct weft_ops custom_ops = {
    .dispatch = custom_dispatch,
    .is_here = custom_is_here,
};

static struct weft_lock all_lock;
static struct weft_custom *all; /* under it */
static struct weft_dead dead;

/* Set while this thread calls a dispatch of the user's. */
static _Thread_local bool is_in_dispatch;

static struct weft_custom *custom_of(struct weft_dispatcher *d)
{
    return berth_container_of(d, struct weft_custom, base);
}

static bool are_valid(const struct weft_dispatcher_ops *ops)
{
    if (!ops || !ops->dispatch)
        return false;
    for (size_t i = 0; i < sizeof ops->reserved / sizeof ops->reserved[0]; i++) {
        if (ops->reserved[i])
            return false;
    }
    return true;
}

int weft_dispatcher_open(const struct weft_dispatcher_ops *ops, void *self, const char *name,
                         struct weft_dispatcher **ret_dispatcher)
{
    if (!are_valid(ops))
        return -EINVAL;
    const char *copy;
    int rc = weft_name_take(name, &copy);
    if (rc < 0)
        return rc;
    struct weft_custom *custom = calloc(1, sizeof *custom);
    if (!custom) {
        weft_name_give(copy);
        return -ENOMEM;
    }
    custom->base = (struct weft_dispatcher){ .name = copy, .ops = &custom_ops };
    custom->ops = *ops;
    custom->has_is_here = ops->is_here;
    custom->self = self;
    custom->pump.run = pump_run;
    berth_list_init(&custom->out);
    berth_list_init(&custom->spare);
    weft_lock_acquire(&all_lock);
    custom->next = all;
    all = custom;
    weft_lock_release(&all_lock);
    *ret_dispatcher = &custom->base;
    return 0;
}

bool weft_customs_are_open(void)
{
    weft_lock_acquire(&all_lock);
    const struct weft_custom *custom = all;
    while (custom && custom->is_closed)
        custom = custom->next;
    weft_lock_release(&all_lock);
    return custom;
}

static void pieces_free(struct berth_list *pieces)
{
    for (struct berth_list_node *node; (node = berth_list_pop_front(pieces));)
        free(berth_container_of(node, struct piece, node));
}

static void custom_free(struct weft_custom *custom)
{
    weft_name_give(custom->base.name);
    pieces_free(&custom->out);
    pieces_free(&custom->spare);
    free(custom);
}

void weft_customs_fini(void)
{
    struct weft_custom *custom;
    while ((custom = all)) {
        all = custom->next;
        weft_dispatcher_end(&custom->base, false);
        struct weft_custom *oldest = weft_dead_keep(&dead, custom);
        if (oldest)
            custom_free(oldest);
    }
}

/* ---- handing over ---------------------------------------------------------------------------- */

static int custom_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    struct weft_custom *custom = custom_of(d);
    if (turn->seat)
        return weft_turn_to_seat(turn);
    weft_lock_acquire(&custom->lock);
    bool is_closed = custom->is_closed, must_pump = !is_closed && !custom->is_pumping;
    if (!is_closed)
        weft_turns_push(&custom->queue, turn);
    if (must_pump)
        custom->is_pumping = true;
    weft_lock_release(&custom->lock);
    if (must_pump) {
        struct weft_dispatcher *blocking = weft_pool_blocking();
        int rc = blocking->ops->dispatch(blocking, &custom->pump);
        WEFT_REQUIRE(rc == 0, "the blocking pool has refused a pump");
    }
    return is_closed ? -ENODEV : 0;
}

static void pump_run(struct weft_turn *pump)
{
    struct weft_custom *custom = berth_container_of(pump, struct weft_custom, pump);
    for (;;) {
        weft_lock_acquire(&custom->lock);
        struct weft_turn *turn = weft_turns_pop(&custom->queue);
        if (!turn) {
            custom->is_pumping = false;
            rest_and_unlock(custom);
            return;
        }
        weft_lock_release(&custom->lock);
        weft_threads_unpromise(weft_thread_self());
        hand_over(custom, turn);
    }
}

/* A piece for this turn, that is out; NULL: no memory, or closed. */
static struct piece *piece_out(struct weft_custom *custom, struct weft_turn *turn)
{
    weft_lock_acquire(&custom->lock);
    struct berth_list_node *node = berth_list_pop_front(&custom->spare);
    weft_lock_release(&custom->lock);
    struct piece *piece = node ? berth_container_of(node, struct piece, node) : NULL;
    if (!piece)
        piece = calloc(1, sizeof *piece);
    if (!piece)
        return NULL;
    weft_lock_acquire(&custom->lock);
    bool is_closed = custom->is_closed;
    if (!is_closed) {
        piece->custom = custom;
        piece->turn = turn;
        berth_list_push_back(&custom->out, &piece->node);
    }
    weft_lock_release(&custom->lock);
    if (!is_closed)
        return piece;
    free(piece);
    return NULL;
}

/* Under the lock: the user does not have it any more. */
static struct weft_turn *piece_back(struct piece *piece)
{
    struct weft_custom *custom = piece->custom;
    berth_list_remove(&piece->node);
    berth_list_push_front(&custom->spare, &piece->node);
    piece->custom = NULL;
    return piece->turn;
}

static void hand_over(struct weft_custom *custom, struct weft_turn *turn)
{
    struct piece *piece = piece_out(custom, turn);
    if (!piece) {
        weft_turn_refused(turn, custom->is_closed ? -ENODEV : -ENOMEM);
        return;
    }
    is_in_dispatch = true;
    int rc = custom->ops.dispatch(custom->self, &piece->work);
    is_in_dispatch = false;
    if (rc >= 0)
        return; /* the piece may have been run by now */
    weft_lock_acquire(&custom->lock);
    (void)piece_back(piece);
    weft_lock_release(&custom->lock);
    weft_turn_refused(turn, rc);
}

/* ---- running --------------------------------------------------------------------------------- */

/* On any thread, also in a coroutine: what runs there is inside `custom`, and nothing else. */
static void run_for(const struct weft_custom *custom, struct weft_turn *turn)
{
    struct weft_guest guest;
    weft_guest_enter(&guest);
    struct weft_thread *thread = weft_thread_self();
    const struct weft_custom *outer_custom = thread->custom;
    struct weft_view_loop *outer_loop = thread->loop;
    thread->custom = custom;
    thread->loop = NULL;
    weft_thread_run(thread, turn);
    thread->custom = outer_custom;
    thread->loop = outer_loop;
    weft_guest_leave(&guest);
}

void weft_work_run(struct weft_work *work)
{
    struct piece *piece = berth_container_of(work, struct piece, work);
    struct weft_custom *custom = piece->custom;
    WEFT_REQUIRE(!is_in_dispatch, "weft_work_run: called from inside a dispatch");
    WEFT_REQUIRE(custom, "weft_work_run: this work has been run already");
    weft_dispatcher_check(&custom->base, "weft_work_run");
    weft_lock_acquire(&custom->lock);
    struct weft_turn *turn = piece->turn;
    if (turn) {
        (void)piece_back(piece);
        custom->running++;
    }
    weft_lock_release(&custom->lock);
    if (!turn)
        return;

    run_for(custom, turn);

    weft_lock_acquire(&custom->lock);
    custom->running--;
    rest_and_unlock(custom);
}

static bool is_inside(const struct weft_custom *custom)
{
    const struct weft_thread *thread = weft_thread_self();
    return thread && thread->custom == custom;
}

/* The user's object may be gone when it is closed: so that waits for this call, too. */
static bool ask_is_here(struct weft_custom *custom)
{
    weft_lock_acquire(&custom->lock);
    bool is_open = !custom->is_closed;
    custom->running += is_open;
    weft_lock_release(&custom->lock);
    if (!is_open)
        return false;
    bool is_here = custom->ops.is_here(custom->self);
    weft_lock_acquire(&custom->lock);
    custom->running--;
    rest_and_unlock(custom);
    return is_here;
}

static bool custom_is_here(struct weft_dispatcher *d)
{
    struct weft_custom *custom = custom_of(d);
    return is_inside(custom) || (custom->has_is_here && ask_is_here(custom));
}

/* ---- closing --------------------------------------------------------------------------------- */

static bool is_at_rest(const struct weft_custom *custom)
{
    return !custom->is_pumping && custom->running == 0;
}

/* Gives the lock back, and lets the closer go on if this was the last that he waits for. */
static void rest_and_unlock(struct weft_custom *custom)
{
    bool is_over = custom->is_closed && is_at_rest(custom);
    weft_lock_release(&custom->lock);
    if (is_over)
        weft_rest_come(&custom->rest);
}

static void refuse_queue(struct weft_turns *queue)
{
    for (struct weft_turn *turn; (turn = weft_turns_pop(queue));)
        weft_turn_refused(turn, -ENODEV);
}

/* What the user still has is taken back: the pieces stay, but are for nothing. */
static void refuse_out(struct weft_custom *custom)
{
    struct weft_turns turns = { 0 };
    weft_lock_acquire(&custom->lock);
    BERTH_LIST_FOREACH (node, &custom->out) {
        struct piece *piece = berth_container_of(node, struct piece, node);
        weft_turns_push(&turns, piece->turn);
        piece->turn = NULL;
    }
    weft_lock_release(&custom->lock);
    refuse_queue(&turns);
}

int weft_dispatcher_close(struct weft_dispatcher *d)
{
    d = weft_queued(d);
    if (d)
        weft_dispatcher_check(d, "weft_dispatcher_close");
    if (!d || d->ops != &custom_ops)
        return -EINVAL;
    struct weft_custom *custom = custom_of(d);
    if (is_inside(custom) || is_in_dispatch)
        return -EDEADLK;
    weft_lock_acquire(&custom->lock);
    bool was_closed = custom->is_closed;
    struct weft_turns queue = custom->queue;
    custom->is_closed = true;
    custom->queue = (struct weft_turns){ 0 };
    bool must_wait = !is_at_rest(custom);
    weft_lock_release(&custom->lock);
    if (was_closed)
        return -ENODEV;
    refuse_queue(&queue);
    if (must_wait)
        weft_rest_await(&custom->rest);
    refuse_out(custom);
    weft_name_release(custom->base.name); /* which is still shown where it was */
    custom->ops = (struct weft_dispatcher_ops){ 0 };
    custom->self = NULL;
    return 0;
}

/* SPDX-License-Identifier: MIT
 *
 * Views: a limit of one's own on part of another dispatcher, the parent.
 *
 * A view keeps its turns in a queue of its own, in order of arrival, and sends loops to the parent,
 * at most as many as its limit: a loop holds a place of the view, and of the parent, while it runs
 * the view's turns one by one. After WEFT_VIEW_TURNS_MAX turns it goes to the tail of the parent's
 * queue, if there is more.
 *
 * A loop needs memory only while it waits in the parent's queue, and one at a time does: it is sent
 * when a turn comes and a place is free, and having begun it sends the next, if there is more and
 * another place. So views never allocate, and start no more loops than there is work for.
 *
 * Invariants (under the view's lock)
 * 1. running <= limit: the loops that run, and the one that waits to.
 * 2. While turns are queued there is a loop, or a place for one is not free; so none is forgotten.
 */
#pragma once

#include <stdbool.h>

#include "bias.h"
#include "pool.h"
#include "seat.h"

#define WEFT_VIEW_LIMIT_MAX 65535
#define WEFT_VIEW_TURNS_MAX 16

struct weft_view {
    struct weft_dispatcher base;
    struct weft_dispatcher *parent;
    struct weft_view *next; /* in the list of all */
    unsigned limit;
    struct weft_bias lock; /* of what follows */
    unsigned running;
    bool is_starting;        /* `starter` is in the parent's queue, or on its way */
    struct weft_turns queue; /* in order of arrival */
    /* Before those; of the loop, if the limit is 1, and without the lock. */
    struct weft_turns taken;
    struct weft_turn starter;
};

/* The turn that the loop is to run next, when the last one is over; on its thread. NULL: it has
 * ended and given up its place. */
struct weft_turn *weft_view_next(struct weft_view_loop *loop);

/* The same for a serial view, without taking it: if it is at hand. NULL: ask weft_view_next(). */
static inline struct weft_turn *weft_view_first(const struct weft_view_loop *loop)
{
    const struct weft_view *view = loop->view;
    bool is_usual = view && view->limit == 1 && !view->base.test &&
                    loop->turns < WEFT_VIEW_TURNS_MAX && !weft_pool_must_leave(loop->thread);
    return is_usual ? view->taken.first : NULL;
}

static inline void weft_view_take_first(struct weft_view_loop *loop)
{
    loop->view->taken.first = loop->view->taken.first->next;
    loop->turns++;
    weft_turns_prefetch(&loop->view->taken);
}

/* weft_with() in place: if `d` is a view with a free place and nobody waiting, and the coroutine
 * runs directly for its parent, a pool: takes the place, for a loop that has begun with this turn.
 * leave: if the calling thread runs such a loop: gives the place up, and the coroutine goes on for
 * the parent. False: nothing was done. */
bool weft_view_enter_here(struct weft_thread *thread, struct weft_task *self,
                          struct weft_dispatcher *d);
bool weft_view_leave_here(struct weft_thread *thread, struct weft_dispatcher *d);

/* Runs what is left to do in such a loop, when its first coroutine has left: on the thread's own
 * stack. */
void weft_view_finish(struct weft_thread *thread);

/* Whether the calling thread runs for `d`, and for nothing inside it. */
bool weft_is_innermost(struct weft_dispatcher *d);

/* If `turn` is a loop of a view that waited in the parent's queue: it will not run. Whether it is.
 */
bool weft_view_refused(struct weft_turn *turn, int rc);

/* For the dump: the view number `index`, the newest is 0; false: there are not so many. */
#define WEFT_VIEW_QUEUED_SHOWN_MAX 1000
struct weft_view_state {
    char name[WEFT_DISPATCHER_NAME_BYTES_MAX + 1], parent[WEFT_DISPATCHER_NAME_BYTES_MAX + 1];
    unsigned running, limit;
    size_t queued; /* counted up to WEFT_VIEW_QUEUED_SHOWN_MAX */
};
bool weft_view_look(size_t index, struct weft_view_state *ret_state);

/* With the runtime, or with a test run: frees all views that belong to it. */
void weft_views_fini(const struct weft_test *test);

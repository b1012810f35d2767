/* SPDX-License-Identifier: MIT
 *
 * Coroutines that move to another dispatcher, by tickets; and turns that a dispatcher refuses.
 */
#include <errno.h>
#include <stdlib.h>

#include "die.h"
#include "immediate.h"
#include "test_run.h"
#include "tree.h"
#include "view.h"

static void go_back(struct weft_task *task, int rc);
static void refused_turn(struct weft_turn *turn);
static void ticket_refused_turn(struct weft_turn *turn);

static void ticket_turn(struct weft_turn *turn)
{
    struct weft_ticket *ticket = berth_container_of(turn, struct weft_ticket, turn);
    struct weft_task *task = ticket->task;
    int seen = WEFT_TICKET_WAITS;
    bool is_taken = atomic_compare_exchange_strong(&ticket->state, &seen, WEFT_TICKET_TAKEN);
    if (is_taken)
        weft_task_resume(weft_thread_self(), task); /* which frees the ticket */
    else
        free(ticket);
}

/* Under the tree's lock, so that cancelling finds the ticket or is seen here. Once it is handed in
 * the task is not touched. */
void weft_move_arrived(struct weft_task *task)
{
    struct weft_tree *tree = task->tree;
    weft_tree_lock(tree);
    struct weft_ticket *ticket = atomic_load_explicit(&task->ticket, memory_order_relaxed);
    if (!ticket) {
        weft_task_dispatch(task);
    } else {
        struct weft_dispatcher *d = task->dispatcher;
        bool is_cancelled = weft_task_is_cancelled(task);
        atomic_store_explicit(&ticket->state, WEFT_TICKET_WAITS, memory_order_relaxed);
        int rc = is_cancelled ? -ECANCELED : d->ops->dispatch(d, &ticket->turn);
        if (rc < 0)
            go_back(task, rc);
    }
    weft_tree_unlock(tree);
}

/* Under the tree's lock: it will not come where it wanted to go. */
static void go_back(struct weft_task *task, int rc)
{
    struct weft_ticket *ticket = atomic_load_explicit(&task->ticket, memory_order_relaxed);
    task->dispatcher = ticket->home;
    free(ticket);
    atomic_store_explicit(&task->ticket, NULL, memory_order_relaxed);
    task->rc = rc;
    weft_task_dispatch(task);
}

void weft_turn_refused(struct weft_turn *turn, int rc)
{
    if (weft_view_refused(turn, rc))
        return;
    struct weft_dispatcher *io = weft_io();
    if (turn->run == ticket_turn) {
        berth_container_of(turn, struct weft_ticket, turn)->rc = rc;
        turn->run = ticket_refused_turn;
    } else {
        turn->run = refused_turn;
    }
    /* For here may be locks, but not on its threads. */
    int io_rc = turn->seat ? weft_turn_to_seat(turn) : -ENODEV;
    if (io_rc < 0) /* bound to none, or to one of a pool that is closed */
        io_rc = io->ops->dispatch(io, turn);
    WEFT_REQUIRE(io_rc == 0, "io has refused a coroutine that is to clean up");
}

/* It may be gone, dropped in that queue. If not, whoever holds its turn may touch it. */
static void refused_turn(struct weft_turn *turn)
{
    struct weft_task *task = berth_container_of(turn, struct weft_task, turn);
    weft_task_turn_restore(task);
    if (!task->has_begun && task->start != WEFT_START_ATOMIC) {
        if (weft_task_claim(task) == WEFT_CLAIM_DROPPED) {
            weft_task_free(task);
            return;
        }
        task->is_cancelled = true;
        task->rc = -ECANCELED;
        weft_task_finish(task);
        return;
    }
    task->dispatcher = weft_io();
    weft_cancel_now(task);
    weft_task_turn(turn);
}

static void ticket_refused_turn(struct weft_turn *turn)
{
    struct weft_ticket *ticket = berth_container_of(turn, struct weft_ticket, turn);
    struct weft_task *task = ticket->task;
    int seen = WEFT_TICKET_WAITS;
    if (!atomic_compare_exchange_strong(&ticket->state, &seen, WEFT_TICKET_TAKEN)) {
        free(ticket);
        return;
    }
    struct weft_tree *tree = task->tree;
    weft_tree_lock(tree);
    go_back(task, ticket->rc);
    weft_tree_unlock(tree);
}

/* It has come where it wanted to go. */
static void ticket_drop(struct weft_task *self)
{
    weft_tree_lock(self->tree);
    struct weft_ticket *ticket = atomic_load_explicit(&self->ticket, memory_order_relaxed);
    atomic_store_explicit(&self->ticket, NULL, memory_order_relaxed);
    weft_tree_unlock(self->tree);
    free(ticket);
}

/* Takes the coroutine to the queue of `d`, and comes back when it runs there: 0. Negative: it does
 * not, and is where it was. */
static int move_to(struct weft_task *self, struct weft_dispatcher *d)
{
    struct weft_ticket *ticket = malloc(sizeof *ticket);
    if (!ticket)
        return -ENOMEM;
    *ticket = (struct weft_ticket){
        .turn.run = ticket_turn,
        .task = self,
        .home = self->dispatcher,
    };
    self->dispatcher = d;
    atomic_store_explicit(&self->ticket, ticket, memory_order_release);
    self->rc = 0;
    self->waits_for = "dispatcher";
    weft_task_leave(self, WEFT_AFTER_MOVE);
    self->waits_for = NULL;
    if (self->dispatcher == d)
        ticket_drop(self);
    return self->rc;
}

int weft_with(struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    int rc = weft_wait_check(self, WEFT_NEVER);
    if (rc < 0)
        return rc;
    if (!fn)
        return -EINVAL;
    struct weft_dispatcher *home = self->dispatcher;
    bool starts_here = d && weft_starts_here(&d);
    if (d && !weft_test_fits(self->tree->test, d))
        return weft_test_foreign("weft_with", d);
    bool takes_place = !starts_here && d && d != home && weft_view_enter_here(thread, self, d);
    if (starts_here || takes_place)
        weft_put(&self->dispatcher, d);
    else if (d && d != home)
        rc = self->is_compact ? -ENOTSUP : move_to(self, d);
    if (rc == 0 && !weft_task_is_cancelled(self))
        rc = fn(arg);
    if (self->dispatcher != home) {
        bool is_home = (starts_here && weft_is_innermost(home)) ||
                       (takes_place && weft_view_leave_here(weft_thread_self(), d));
        weft_put(&self->dispatcher, home);
        if (!is_home)
            weft_task_leave(self, WEFT_AFTER_MOVE);
    }
    return weft_task_is_cancelled(self) ? -ECANCELED : rc;
}

/* SPDX-License-Identifier: MIT
 *
 * Closing goes in this order: nothing new is taken, and who is just handing something over ends
 * that; the threads lose their seats, end their turns and leave; what was queued is refused; what
 * others still have in the clocks and pollers of the seats goes to the service thread; who is
 * parked, and belongs to the pool, is cancelled, and refused when it wants to go on there.
 */
#include "fixed.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/container.h"

#include "builtin.h"
#include "dead.h"
#include "immediate.h"
#include "names.h"
#include "rest.h"
#include "seat.h"
#include "tree.h"

#define THREADS_MAX 65535

struct fixed {
    struct weft_pool pool;
    struct fixed *next;
    atomic_uint threads;   /* that have not left yet */
    struct weft_rest rest; /* of its threads */
};

static struct weft_lock all_lock;
static struct fixed *all; /* under it, and under that of weft_pools_each() */
static struct weft_dead dead;

static struct fixed *fixed_of(struct weft_pool *pool)
{
    return berth_container_of(pool, struct fixed, pool);
}

void weft_fixed_left(struct weft_pool *pool)
{
    if (atomic_fetch_sub(&fixed_of(pool)->threads, 1) == 1)
        weft_rest_come(&fixed_of(pool)->rest);
}

/* Ends its threads: they have no seats any more, see is_closed, and leave. */
static void threads_end(struct fixed *fixed)
{
    struct weft_pool *pool = &fixed->pool;
    pool->is_closed = true;
    for (unsigned spins = 0; pool->entered != 0; spins++) {
        if (spins % 64 == 63) /* who is inside may have lost its core */
            (void)syscall(SYS_sched_yield);
    }
    for (unsigned i = 0; i < pool->seat_count; i++) {
        weft_seat_halt(&pool->seats[i]);
        weft_poller_kick(&pool->seats[i].poller);
    }
    if (atomic_fetch_sub(&fixed->threads, 1) == 1) /* the opener's own */
        weft_rest_come(&fixed->rest);
    weft_rest_await(&fixed->rest);
}

static int threads_begin(struct fixed *fixed)
{
    int rc = 0;
    fixed->threads = 1; /* so that it does not come to 0 before the end */
    for (unsigned i = 0; i < fixed->pool.seat_count && rc == 0; i++) {
        fixed->threads++;
        rc = weft_threads_fetch(&fixed->pool.seats[i]);
        if (rc < 0)
            fixed->threads--;
    }
    return rc;
}

static int fixed_new(const char *name, unsigned threads, struct fixed **ret_fixed)
{
    struct fixed *fixed = calloc(1, sizeof *fixed);
    if (!fixed)
        return -ENOMEM;
    int rc = weft_pool_init(&fixed->pool, name, threads, true);
    if (rc < 0) {
        free(fixed);
        return rc;
    }
    fixed->pool.is_closable = true;
    rc = threads_begin(fixed);
    if (rc < 0) {
        threads_end(fixed);
        weft_pool_fini(&fixed->pool);
        free(fixed);
        return rc;
    }
    *ret_fixed = fixed;
    return 0;
}

int weft_pool_open(int threads, const char *name, struct weft_dispatcher **ret_pool)
{
    if (threads < 1 || threads > THREADS_MAX)
        return -EINVAL;
    int rc = weft_runtime_start();
    if (rc < 0)
        return rc;
    const char *copy;
    rc = weft_name_take(name, &copy);
    if (rc < 0)
        return rc;
    struct fixed *fixed;
    rc = fixed_new(copy, (unsigned)threads, &fixed);
    if (rc < 0) {
        weft_name_give(copy);
        return rc;
    }
    weft_lock_acquire(&all_lock);
    fixed->next = all;
    all = fixed;
    weft_lock_release(&all_lock);
    *ret_pool = &fixed->pool.base;
    return 0;
}

static void refuse_turns(struct weft_turns *turns)
{
    for (struct weft_turn *turn; (turn = weft_turns_pop(turns));)
        weft_turn_refused(turn, -ENODEV);
}

/* No thread is there any more. */
static void refuse_queued(struct weft_pool *pool)
{
    struct weft_turns left = { 0 };
    weft_lock_acquire(&pool->lock);
    left = pool->queue;
    pool->queue = (struct weft_turns){ 0 };
    pool->queued = 0;
    weft_lock_release(&pool->lock);
    refuse_turns(&left);
    while (weft_pool_take_batch(pool, &left))
        refuse_turns(&left);
    for (unsigned i = 0; i < pool->seat_count; i++) {
        struct weft_turns queues[4];
        weft_seat_empty(&pool->seats[i], queues);
        for (unsigned j = 0; j < 4; j++)
            refuse_turns(&queues[j]);
    }
}

static void cancel_in_tree(const struct weft_tree *tree, const struct weft_pool *pool,
                           struct weft_reap *reap)
{
    unsigned depth = 1;
    for (struct weft_task *task = tree->root; task; task = weft_task_walk(task, &depth)) {
        bool is_there = task->fn && task->phase != WEFT_PHASE_ENDED;
        if (is_there && task->dispatcher->fixed == pool)
            weft_cancel_task(task, reap);
    }
}

/* Those who are parked hear of it, and find the pool closed when they want to go on there. */
static void cancel_parked(const struct weft_pool *pool)
{
    for (struct weft_tree *tree = weft_tree_next(NULL); tree; tree = weft_tree_next(tree)) {
        struct weft_reap reap = { 0 };
        weft_tree_lock(tree);
        cancel_in_tree(tree, pool, &reap);
        weft_tree_unlock(tree);
        weft_reap(&reap);
    }
}

int weft_pool_close(struct weft_dispatcher *d)
{
    d = weft_queued(d);
    if (d)
        weft_dispatcher_check(d, "weft_pool_close");
    struct weft_pool *pool = d ? d->fixed : NULL;
    if (!pool || &pool->base != d || !pool->is_closable)
        return -EINVAL;
    const struct weft_thread *thread = weft_thread_self();
    if (thread && thread->sat && thread->sat->pool == pool)
        return -EDEADLK;
    if (atomic_exchange(&pool->is_closing, true))
        return -ENODEV;
    threads_end(fixed_of(pool));
    weft_pools_lock();
    pool->is_gone = true; /* for the monitor */
    weft_pools_unlock();
    refuse_queued(pool);
    for (unsigned i = 0; i < pool->seat_count; i++)
        weft_seat_close(&pool->seats[i]);
    cancel_parked(pool);
    weft_name_release(pool->base.name); /* which is still shown where it was */
    return 0;
}

bool weft_fixed_are_open(void)
{
    weft_lock_acquire(&all_lock);
    const struct fixed *fixed = all;
    while (fixed && fixed->pool.is_gone)
        fixed = fixed->next;
    weft_lock_release(&all_lock);
    return fixed;
}

static void look_at(struct weft_pool *pool, struct weft_lane_state *ret_state)
{
    *ret_state = (struct weft_lane_state){
        .name = pool->base.name,
        .running = pool->seat_count - pool->vacant,
        .limit = pool->seat_count,
        .queued = weft_pool_queued(pool),
    };
    for (unsigned i = 0; i < pool->seat_count; i++)
        ret_state->queued += pool->seats[i].queued;
}

bool weft_fixed_look(size_t index, struct weft_lane_state *ret_state)
{
    weft_lock_acquire(&all_lock);
    struct fixed *fixed = all;
    for (; fixed; fixed = fixed->next) {
        if (!fixed->pool.is_gone && index-- == 0)
            break;
    }
    if (fixed)
        look_at(&fixed->pool, ret_state);
    weft_lock_release(&all_lock);
    return fixed;
}

void weft_fixed_fini(void)
{
    struct fixed *fixed;
    while ((fixed = all)) {
        all = fixed->next;
        weft_pool_fini(&fixed->pool);
        weft_dispatcher_end(&fixed->pool.base, false);
        struct fixed *oldest = weft_dead_keep(&dead, fixed);
        if (oldest)
            weft_name_give(oldest->pool.base.name);
        free(oldest);
    }
}

void weft_fixed_each(void (*visit)(struct weft_pool *pool, void *arg), void *arg)
{
    weft_lock_acquire(&all_lock);
    struct fixed *fixed = all;
    weft_lock_release(&all_lock);
    for (; fixed; fixed = fixed->next) { /* they are only put in front */
        if (!fixed->pool.is_gone)
            visit(&fixed->pool, arg);
    }
}

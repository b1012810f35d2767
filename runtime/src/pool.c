/* SPDX-License-Identifier: MIT
 *
 * One elastic set of threads for the built-in dispatchers.
 *
 * Each dispatcher is a lane: a queue in order of arrival, and a count of the threads that run for
 * it, at most its limit. A thread that takes a place in a lane keeps it until the lane's queue is
 * empty, then looks at the other lanes, then goes to sleep. Threads are made when a lane has a free
 * place and work and nobody sleeps; they retire after idling. The limits of default and io together
 * never exceed threads_max; the lane of the independent views gets the rest, at least one. So a
 * free place always finds a thread, and no lane can starve another.
 *
 * Waking a thread costs microseconds, so it is done only if need be. A thread between two turns
 * (and not in a view's loop, which may have others first) that queues one more comes to it itself,
 * also in the other lane: so a coroutine that moves usually keeps its thread, and a child that ends
 * wakes its parent on the spot. And while a thread is being woken for a lane no second one is: the
 * first wakes the next when it is there.
 *
 * One lock for all of it. What would make it faster (queues of each thread, stealing) changes this
 * file and no other.
 */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/list.h"

#include "die.h"
#include "overflow.h"
#include "self.h"
#include "trace.h"

#define NS_PER_S 1000000000
/* Coroutines have stacks of their own: these carry only this file, and signal handlers. */
#define THREAD_STACK_BYTES ((size_t)(WEFT_ASAN || WEFT_TSAN ? 1024 : 256) << 10)

struct lane {
    struct weft_dispatcher base;
    struct weft_turns queue;
    size_t queued;
    unsigned running, limit;
    bool is_waking; /* a thread was woken or made for it and has not come yet */
};

struct pool_thread {
    struct weft_thread base;
    pthread_t id;
    pthread_cond_t wake;
    struct lane *lane;           /* the place that it holds, or was given while asleep */
    struct lane *owed;           /* another one, to which it said that it would come */
    bool was_woken;              /* for `lane`, and has not come yet */
    struct berth_list_node node; /* in idle, retired or spare */
};

static int lane_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool lane_is_here(struct weft_dispatcher *d);
static void lane_serve(struct lane *lane);
static void give_place(struct pool_thread *thread, struct lane *lane);
static bool comes_itself(struct pool_thread *thread, struct lane *lane);
static int thread_make(struct lane *lane);
static void *pool_thread_run(void *arg);
static void arrive(struct pool_thread *thread);
static void run_one(struct pool_thread *thread);
static struct lane *lane_next(struct pool_thread *thread);
static bool sleep_idle(struct pool_thread *thread);

static const struct weft_ops lane_ops = { .dispatch = lane_dispatch, .is_here = lane_is_here };

static struct lane lane_default = { .base = { .name = "default", .ops = &lane_ops } };
static struct lane lane_io = { .base = { .name = "io", .ops = &lane_ops } };
static struct lane lane_virtual = {
    .base = { .name = "virtual", .ops = &lane_ops, .intercepts = true },
};
static struct lane lane_blocking = { .base = { .name = "blocking", .ops = &lane_ops } };
static struct lane *const lanes[WEFT_LANE_COUNT] = { &lane_default, &lane_io, &lane_virtual,
                                                     &lane_blocking };

static struct {
    pthread_mutex_t lock;
    struct berth_list idle;    /* most recently used first */
    struct berth_list retired; /* ended, to be joined */
    struct berth_list spare;   /* joined, to be used again */
    unsigned thread_count, thread_count_max;
    unsigned numbered; /* names given so far */
    int64_t idle_ms;
    bool is_stopping;
    pthread_cond_t stopped; /* thread_count fell to 0 */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .stopped = PTHREAD_COND_INITIALIZER,
           .idle_ms = WEFT_IDLE_MS_DEFAULT };

struct weft_dispatcher *weft_default(void)
{
    return &lane_default.base;
}

struct weft_dispatcher *weft_io(void)
{
    return &lane_io.base;
}

struct weft_dispatcher *weft_virtual(void)
{
    return &lane_virtual.base;
}

struct weft_dispatcher *weft_pool_blocking(void)
{
    return &lane_blocking.base;
}

static struct pool_thread *thread_of(struct berth_list_node *node)
{
    return berth_container_of(node, struct pool_thread, node);
}

static void spare_free(void)
{
    for (struct berth_list_node *node; (node = berth_list_pop_front(&pool.spare));) {
        (void)pthread_cond_destroy(&thread_of(node)->wake);
        free(thread_of(node));
    }
}

int weft_pool_open(const struct weft_pool_limits *limits)
{
    (void)pthread_mutex_lock(&pool.lock);
    berth_list_init(&pool.idle);
    berth_list_init(&pool.retired);
    berth_list_init(&pool.spare);
    pool.is_stopping = false;
    pool.thread_count_max = limits->threads_max + limits->virtual_threads;
    pool.numbered = 0;
    for (size_t i = 0; i < WEFT_LANE_COUNT; i++) {
        lanes[i]->queue = (struct weft_turns){ 0 };
        lanes[i]->queued = 0;
        lanes[i]->running = 0;
        lanes[i]->is_waking = false;
    }
    lane_default.limit = limits->threads;
    lane_io.limit = limits->io_threads;
    lane_virtual.limit = limits->virtual_threads;
    lane_blocking.limit = limits->blocking_threads;
    int rc = thread_make(NULL); /* one is always there, so that queued work never waits for none */
    if (rc < 0)
        spare_free();
    (void)pthread_mutex_unlock(&pool.lock);
    return rc;
}

static void retired_join(void)
{
    for (struct berth_list_node *node; (node = berth_list_pop_front(&pool.retired));) {
        struct pool_thread *thread = thread_of(node);
        (void)pthread_join(thread->id, NULL);
        berth_list_push_back(&pool.spare, node);
    }
}

void weft_pool_close(void)
{
    (void)pthread_mutex_lock(&pool.lock);
    pool.is_stopping = true;
    BERTH_LIST_FOREACH (node, &pool.idle)
        (void)pthread_cond_signal(&thread_of(node)->wake);
    while (pool.thread_count > 0)
        (void)pthread_cond_wait(&pool.stopped, &pool.lock);
    for (size_t i = 0; i < WEFT_LANE_COUNT; i++)
        WEFT_REQUIRE(lanes[i]->queued == 0, "work is left at the end");
    retired_join();
    spare_free();
    (void)pthread_mutex_unlock(&pool.lock);
}

static int lane_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    struct lane *lane = berth_container_of(d, struct lane, base);
    struct weft_thread *self = weft_thread_self();
    (void)pthread_mutex_lock(&pool.lock);
    weft_turns_push(&lane->queue, turn);
    lane->queued++;
    bool is_between_turns = self && !self->is_guest && !self->current && !self->loop;
    if (!is_between_turns ||
        !comes_itself(berth_container_of(self, struct pool_thread, base), lane))
        lane_serve(lane);
    (void)pthread_mutex_unlock(&pool.lock);
    return 0;
}

/* Whether a thread between two turns need not wake anybody for the one that it has just queued. */
static bool comes_itself(struct pool_thread *thread, struct lane *lane)
{
    if (lane->queued > 1 || thread->owed)
        return false;
    if (thread->lane == lane)
        return true;
    if (thread->lane->queued > 0 || lane->running == lane->limit)
        return false;
    thread->owed = lane;
    return true;
}

static bool lane_is_here(struct weft_dispatcher *d)
{
    const struct weft_thread *self = weft_thread_self();
    return self && !self->is_guest &&
           berth_container_of(self, struct pool_thread, base)->lane ==
               berth_container_of(d, struct lane, base);
}

/* Gives a free place of the lane to a thread. If none can be had, one that exists will come to it
 * when it has nothing else to do. */
static void lane_serve(struct lane *lane)
{
    if (lane->running == lane->limit || lane->is_waking)
        return;
    struct berth_list_node *node = berth_list_pop_front(&pool.idle);
    if (!node) {
        (void)thread_make(lane);
        return;
    }
    struct pool_thread *thread = thread_of(node);
    give_place(thread, lane);
    (void)pthread_cond_signal(&thread->wake);
}

static void give_place(struct pool_thread *thread, struct lane *lane)
{
    thread->lane = lane;
    thread->was_woken = true;
    lane->is_waking = true;
    lane->running++;
}

static struct pool_thread *thread_new(void)
{
    struct berth_list_node *node = berth_list_pop_front(&pool.spare);
    if (node)
        return thread_of(node);
    struct pool_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        free(thread);
        return NULL;
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&thread->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc != 0) {
        free(thread);
        return NULL;
    }
    (void)snprintf(thread->base.name, sizeof thread->base.name, "weft-%u", ++pool.numbered);
    return thread;
}

/* Signals are for the program's own threads, but for those that a thread brings on itself. */
static void signals_block(sigset_t *ret_before)
{
    sigset_t set;
    (void)sigfillset(&set);
    const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        (void)sigdelset(&set, own[i]);
    (void)pthread_sigmask(SIG_BLOCK, &set, ret_before);
}

/* `lane`: where it begins, or NULL. */
static int thread_make(struct lane *lane)
{
    if (pool.thread_count == pool.thread_count_max)
        return -EAGAIN;
    retired_join();
    struct pool_thread *thread = thread_new();
    if (!thread)
        return -ENOMEM;
    thread->lane = thread->owed = NULL;
    thread->was_woken = false;
    if (lane)
        give_place(thread, lane);
    pthread_attr_t attr;
    int rc = -pthread_attr_init(&attr);
    if (rc == 0) {
        sigset_t before;
        (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
        signals_block(&before);
        rc = -pthread_create(&thread->id, &attr, pool_thread_run, thread);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attr);
    }
    if (rc < 0) {
        if (lane) {
            lane->running--;
            lane->is_waking = false;
        }
        berth_list_push_back(&pool.spare, &thread->node);
        return rc;
    }
    pool.thread_count++;
    return 0;
}

/* The main loop of each thread. */
static void *pool_thread_run(void *arg)
{
    struct pool_thread *thread = arg;
    weft_thread_self_set(&thread->base);
    weft_fiber_adopt(&thread->base.fiber);
    void *signal_stack = weft_overflow_enter();
    (void)pthread_setname_np(pthread_self(), thread->base.name);
    weft_trace_thread_begin();
    (void)pthread_mutex_lock(&pool.lock);
    bool goes_on = true;
    while (goes_on) {
        arrive(thread);
        while (thread->lane && thread->lane->queued > 0)
            run_one(thread);
        thread->lane = lane_next(thread);
        if (!thread->lane)
            goes_on = sleep_idle(thread);
    }
    weft_trace_thread_end();
    weft_overflow_leave(signal_stack);
    pool.thread_count--;
    berth_list_push_back(&pool.retired, &thread->node);
    if (pool.thread_count == 0)
        (void)pthread_cond_signal(&pool.stopped);
    (void)pthread_mutex_unlock(&pool.lock);
    weft_thread_self_set(NULL);
    return NULL;
}

/* The thread that was woken is there; if there is more work than for it, it wakes the next. */
static void arrive(struct pool_thread *thread)
{
    struct lane *lane = thread->lane;
    if (!thread->was_woken)
        return;
    thread->was_woken = false;
    lane->is_waking = false;
    if (lane->queued > 1)
        lane_serve(lane);
}

/* Runs the first turn of its lane, without the lock. */
static void run_one(struct pool_thread *thread)
{
    struct lane *lane = thread->lane;
    struct weft_turn *turn = weft_turns_pop(&lane->queue);
    lane->queued--;
    (void)pthread_mutex_unlock(&pool.lock);
    turn->run(turn);
    (void)pthread_mutex_lock(&pool.lock);
    if (thread->owed && lane->queued > 0) { /* it does not come after all */
        lane_serve(thread->owed);
        thread->owed = NULL;
    }
}

static bool lane_wants(const struct lane *lane)
{
    return lane->queued > 0 && lane->running < lane->limit;
}

/* Gives up its place, and takes one in the lane that it owes a visit, or in any that has work and
 * room; or NULL. */
static struct lane *lane_next(struct pool_thread *thread)
{
    if (thread->lane)
        thread->lane->running--;
    struct lane *next = thread->owed;
    thread->owed = NULL;
    if (next && !lane_wants(next))
        next = NULL;
    for (size_t i = 0; i < WEFT_LANE_COUNT && !next; i++) {
        if (lane_wants(lanes[i]))
            next = lanes[i];
    }
    if (next)
        next->running++;
    return next;
}

static struct timespec idle_until(void)
{
    int64_t until_ns = weft_deadline_ms(pool.idle_ms);
    return (struct timespec){ .tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S };
}

/* Sleeps until a place is given (true), or it is time to go (false). */
static bool sleep_idle(struct pool_thread *thread)
{
    berth_list_push_front(&pool.idle, &thread->node);
    struct timespec until = idle_until();
    while (!thread->lane && !pool.is_stopping) {
        int rc = pthread_cond_timedwait(&thread->wake, &pool.lock, &until);
        if (rc != ETIMEDOUT || thread->lane)
            continue;
        if (pool.thread_count > 1)
            break;
        until = idle_until();
    }
    if (!thread->lane)
        berth_list_remove(&thread->node);
    return thread->lane;
}

void weft_pool_idle_ms_set(int64_t idle_ms)
{
    pool.idle_ms = idle_ms;
}

void weft_pool_look(struct weft_pool_state *ret_state)
{
    struct weft_pool_state state = { 0 };
    (void)pthread_mutex_lock(&pool.lock);
    state.threads = pool.thread_count;
    if (pool.thread_count > 0) {
        BERTH_LIST_FOREACH (node, &pool.idle)
            state.idle++;
    }
    for (size_t i = 0; i < WEFT_LANE_COUNT; i++) {
        state.lanes[i].name = lanes[i]->base.name;
        state.lanes[i].running = lanes[i]->running;
        state.lanes[i].limit = lanes[i]->limit;
        state.lanes[i].queued = lanes[i]->queued;
    }
    (void)pthread_mutex_unlock(&pool.lock);
    *ret_state = state;
}

/* SPDX-License-Identifier: MIT
 *
 * The set itself: who watches a seat, who sleeps, who was stuck and lost its seat, and who comes
 * when a seat (pool.h) or a lane (lane.h) wants somebody.
 *
 * A thread that is between two turns when a coroutine moves to a lane takes it along: it gives up
 * its seat, runs the turn in the lane, and brings the coroutine back to its old seat if that is
 * still vacant. So moving there and back usually keeps the thread, and wakes none.
 */
#include "thread_set.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/container.h"
#include "base/list.h"

#include "builtin.h"
#include "die.h"
#include "fixed.h"
#include "lane.h"
#include "monitor.h"
#include "overflow.h"
#include "seat.h"
#include "self.h"
#include "set_thread.h"
#include "trace.h"
#include "tree.h"

#define NS_PER_S 1000000000

static int thread_make(struct weft_lane *lane, struct weft_seat *home);
static void *thread_main(void *arg);
static bool work_at_home(struct set_thread *thread);
static bool stand_up(struct set_thread *thread);
static void bring_promised(struct set_thread *thread);
static bool sleep_idle(struct set_thread *thread);
static void fall_short(void);
static bool help_out(struct set_thread *thread);

static struct {
    pthread_mutex_t lock;
    struct berth_list idle;    /* most recently used first */
    struct berth_list retired; /* ended, to be joined */
    struct berth_list spare;   /* joined, to be used again */
    unsigned thread_count, thread_count_max;
    unsigned leaving;     /* of them */
    atomic_bool is_short; /* a thread was wanted and could not be had: see help_out() */
    unsigned numbered;    /* names given so far */
    unsigned replaced;    /* stuck threads */
    int64_t idle_ms;
    atomic_bool is_stopping;
    pthread_cond_t stopped; /* thread_count fell to 0 */
} set = { .lock = PTHREAD_MUTEX_INITIALIZER,
          .stopped = PTHREAD_COND_INITIALIZER,
          .idle_ms = WEFT_IDLE_MS_DEFAULT };

static struct set_thread *thread_of(struct berth_list_node *node)
{
    return berth_container_of(node, struct set_thread, node);
}

void weft_threads_lock(void)
{
    (void)pthread_mutex_lock(&set.lock);
}

void weft_threads_unlock(void)
{
    (void)pthread_mutex_unlock(&set.lock);
}

bool weft_threads_are_stopping(void)
{
    return atomic_load_explicit(&set.is_stopping, memory_order_relaxed);
}

static void spare_free(void)
{
    for (struct berth_list_node *node; (node = berth_list_pop_front(&set.spare));)
        weft_set_thread_free(thread_of(node));
}

int weft_threads_open(const struct weft_pool_limits *limits)
{
    int rc = weft_pools_init(limits);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&set.lock);
    berth_list_init(&set.idle);
    berth_list_init(&set.retired);
    berth_list_init(&set.spare);
    set.is_stopping = false;
    set.thread_count_max = limits->threads_max + limits->virtual_threads;
    set.numbered = set.replaced = set.leaving = 0;
    set.is_short = false;
    weft_lanes_open(limits->io_threads, limits->blocking_threads);
    /* One is always there, so that queued work never waits for none. */
    rc = thread_make(NULL, &weft_pool_default.seats[0]);
    if (rc < 0)
        spare_free();
    (void)pthread_mutex_unlock(&set.lock);
    if (rc < 0)
        weft_pools_fini();
    else
        weft_pools_show(true);
    return rc;
}

/* Under the lock. */
static void retired_join(void)
{
    for (struct berth_list_node *node; (node = berth_list_pop_front(&set.retired));) {
        (void)pthread_join(thread_of(node)->id, NULL);
        berth_list_push_back(&set.spare, node);
    }
}

void weft_threads_close(void)
{
    weft_pools_show(false);
    (void)pthread_mutex_lock(&set.lock);
    set.is_stopping = true;
    BERTH_LIST_FOREACH (node, &set.idle)
        (void)pthread_cond_signal(&thread_of(node)->wake);
    (void)pthread_mutex_unlock(&set.lock);
    for (size_t i = 0; i < WEFT_BUILTIN_COUNT; i++) {
        for (unsigned j = 0; j < weft_builtin[i]->seat_count; j++)
            weft_poller_kick(&weft_builtin[i]->seats[j].poller);
    }
    (void)pthread_mutex_lock(&set.lock);
    while (set.thread_count > 0)
        (void)pthread_cond_wait(&set.stopped, &set.lock);
    weft_lanes_close();
    retired_join();
    spare_free();
    (void)pthread_mutex_unlock(&set.lock);
    weft_pools_fini();
}

void weft_threads_come(struct weft_lane *lane)
{
    struct berth_list_node *node = berth_list_pop_front(&set.idle);
    if (!node) {
        if (thread_make(lane, NULL) < 0)
            fall_short();
        return;
    }
    struct set_thread *thread = thread_of(node);
    weft_lane_give(lane, &thread->base);
    (void)pthread_cond_signal(&thread->wake);
}

bool weft_threads_send(struct weft_seat *seat)
{
    return weft_threads_fetch(seat) == 0;
}

int weft_threads_fetch(struct weft_seat *seat)
{
    (void)pthread_mutex_lock(&set.lock);
    int rc = 0;
    struct weft_thread *nobody = NULL;
    struct berth_list_node *node = seat->watcher ? NULL : berth_list_pop_front(&set.idle);
    if (seat->watcher) { /* it may have slept beside somebody who sat there */
        weft_poller_kick(&seat->poller);
    } else if (!node) {
        rc = thread_make(NULL, seat);
    } else if (atomic_compare_exchange_strong(&seat->watcher, &nobody, &thread_of(node)->base)) {
        thread_of(node)->home = seat;
        (void)pthread_cond_signal(&thread_of(node)->wake);
        node = NULL;
    } else {
        weft_poller_kick(&seat->poller);
    }
    if (node)
        berth_list_push_front(&set.idle, node);
    if (rc < 0)
        fall_short();
    (void)pthread_mutex_unlock(&set.lock);
    return rc;
}

/* Under the lock: the kernel gives no further thread, or there are as many as there may be. Those
 * that sleep at a seat look whether they can help out, and the monitor sees to what waits at seats
 * where nobody is. */
static void fall_short(void)
{
    set.is_short = true;
    for (size_t i = 0; i < WEFT_BUILTIN_COUNT; i++) {
        for (unsigned j = 0; j < weft_builtin[i]->seat_count; j++) {
            struct weft_seat *seat = &weft_builtin[i]->seats[j];
            if (seat->watcher && !seat->thread)
                weft_poller_kick(&seat->poller);
        }
    }
    weft_monitor_rouse();
}

bool weft_threads_are_short(void)
{
    return atomic_load_explicit(&set.is_short, memory_order_relaxed);
}

/* Under the lock: finds a thread that has nothing to do a place for which no thread could be had.
 * False: there is none. */
static bool help_out(struct set_thread *thread)
{
    if (weft_lanes_take(&thread->base))
        return true;
    bool is_waited_for = false;
    for (size_t i = 0; i < WEFT_BUILTIN_COUNT; i++) {
        for (unsigned j = 0; j < weft_builtin[i]->seat_count; j++) {
            struct weft_seat *seat = &weft_builtin[i]->seats[j];
            struct weft_thread *nobody = NULL;
            if (seat->thread || seat->watcher)
                continue;
            if (weft_pool_has_turns(seat) &&
                atomic_compare_exchange_strong(&seat->watcher, &nobody, &thread->base)) {
                thread->home = seat;
                return true;
            }
            is_waited_for = is_waited_for || weft_seat_is_waited_for(seat);
        }
    }
    set.is_short = is_waited_for;
    return false;
}

/* For a thread that would sleep at its seat: goes where it is needed more. */
static void help_from_home(struct set_thread *thread)
{
    struct weft_seat *home = thread->home;
    (void)pthread_mutex_lock(&set.lock);
    bool helps = !weft_pool_has_turns(home) && help_out(thread);
    (void)pthread_mutex_unlock(&set.lock);
    if (!helps)
        return;
    if (thread->home == home)
        thread->home = NULL;
    struct weft_thread *self = &thread->base;
    (void)atomic_compare_exchange_strong(&home->watcher, &self, NULL);
    weft_pool_see_to(home);
}

/* The stuck thread's word `watcher` is cleared first: when it comes back it does not find its seat,
 * and goes. If the new one cannot be made after all, the monitor tries again. */
void weft_threads_replace(struct weft_seat *seat, struct weft_thread *stuck, unsigned turns)
{
    (void)pthread_mutex_lock(&set.lock);
    bool is_spare = !set.is_stopping &&
                    (!berth_list_is_empty(&set.idle) || set.thread_count < set.thread_count_max);
    bool is_wrested = is_spare && weft_seat_wrest(seat, stuck, turns);
    if (is_wrested) {
        struct weft_thread *seen = stuck;
        seat->is_handed = true;
        (void)atomic_compare_exchange_strong(&seat->watcher, &seen, NULL);
        set.replaced++;
    }
    (void)pthread_mutex_unlock(&set.lock);
    if (is_wrested)
        (void)weft_threads_send(seat);
}

bool weft_threads_promise(struct weft_thread *base, struct weft_pool *pool, struct weft_turn *turn)
{
    if (!weft_thread_is_free(base) || base->seat || pool != &weft_pool_default)
        return false;
    struct set_thread *thread = berth_container_of(base, struct set_thread, base);
    weft_turns_push(&thread->promised, turn);
    return true;
}

void weft_threads_unpromise(struct weft_thread *base)
{
    if (base->is_guest)
        return;
    struct set_thread *thread = berth_container_of(base, struct set_thread, base);
    for (struct weft_turn *turn; (turn = weft_turns_pop(&thread->promised));)
        weft_pool_post(&weft_pool_default, turn);
}

/* Under the lock. NULL: no memory. */
static struct set_thread *spare_take(void)
{
    struct berth_list_node *node = berth_list_pop_front(&set.spare);
    if (node)
        return thread_of(node);
    struct set_thread *thread = weft_set_thread_new(set.numbered + 1);
    if (thread)
        set.numbered++;
    return thread;
}

/* For a lane, or to watch a seat. Under the lock. */
static int thread_make(struct weft_lane *lane, struct weft_seat *home)
{
    if (set.thread_count == set.thread_count_max)
        return -EAGAIN;
    retired_join();
    struct set_thread *thread = spare_take();
    if (!thread)
        return -ENOMEM;
    thread->home = thread->before = NULL;
    thread->is_leaving = false;
    if (lane)
        weft_lane_give(lane, &thread->base);
    struct weft_thread *nobody = NULL;
    if (home && atomic_compare_exchange_strong(&home->watcher, &nobody, &thread->base))
        thread->home = home;
    else if (home)
        weft_poller_kick(&home->poller); /* somebody watches now */
    int rc = weft_set_thread_start(thread, thread_main);
    if (rc == 0) {
        set.thread_count++;
        return 0;
    }
    if (lane)
        weft_lane_take_back(lane, &thread->base);
    if (thread->home)
        home->watcher = NULL;
    berth_list_push_back(&set.spare, &thread->node);
    return rc;
}

/* The main loop of each thread. */
static void *thread_main(void *arg)
{
    struct set_thread *thread = arg;
    weft_thread_self_set(&thread->base);
    weft_fiber_adopt(&thread->base.fiber);
    thread->base.tid = (pid_t)syscall(SYS_gettid);
    clockid_t cpu_clock;
    if (pthread_getcpuclockid(pthread_self(), &cpu_clock) == 0)
        thread->base.cpu_clock = cpu_clock;
    void *signal_stack = weft_overflow_enter();
    (void)pthread_setname_np(pthread_self(), thread->base.name);
    weft_trace_thread_begin();
    weft_stack_cache_init(&thread->base.stacks, weft_stack_class(weft_stack_bytes_default()));
    bool goes_on = true;
    while (goes_on) {
        if (thread->base.lane)
            weft_lane_work(&thread->base);
        else if (thread->promised.first)
            bring_promised(thread);
        else if (thread->home)
            goes_on = work_at_home(thread);
        else
            goes_on = sleep_idle(thread);
    }
    weft_stack_cache_fini(&thread->base.stacks);
    weft_task_blocks_fini(&thread->base.blocks);
    if (thread->is_leaving)
        weft_stack_trim(SIZE_MAX); /* nobody waits for it */
    weft_trace_thread_end();
    weft_overflow_leave(signal_stack);
    (void)pthread_mutex_lock(&set.lock);
    set.thread_count--;
    set.leaving -= thread->is_leaving;
    berth_list_push_back(&set.retired, &thread->node);
    if (set.thread_count == 0)
        (void)pthread_cond_signal(&set.stopped);
    (void)pthread_mutex_unlock(&set.lock);
    weft_thread_self_set(NULL);
    return NULL;
}

/* It will not be there for a while. */
static void leave_home(struct set_thread *thread)
{
    struct weft_thread *self = &thread->base;
    (void)atomic_compare_exchange_strong(&thread->home->watcher, &self, NULL);
    thread->home = NULL;
}

/* In a pool of the user's a thread is called by its place there. */
static void join_pool(struct set_thread *thread)
{
    const struct weft_pool *pool = thread->home->pool;
    size_t place = (size_t)(thread->home - pool->seats) + 1;
    char *name = thread->base.name;
    size_t bytes = sizeof thread->base.name;
    thread->is_in_pool = true;
    (void)snprintf(name, bytes, "%.9s-%zu", pool->base.name, place); /* the kernel takes 15 */
    (void)pthread_setname_np(pthread_self(), name);
}

static void leave_pool(struct set_thread *thread, struct weft_pool *pool)
{
    thread->is_in_pool = false;
    (void)snprintf(thread->base.name, sizeof thread->base.name, "weft-%u", thread->number);
    (void)pthread_setname_np(pthread_self(), thread->base.name);
    thread->before = NULL;
    weft_fixed_left(pool); /* and then never looks at it again */
}

/* Watches its seat, and works there when there is something to do. False: it is the end. */
static bool work_at_home(struct set_thread *thread)
{
    struct weft_pool *pool = thread->home->pool;
    if (pool->is_closable && !thread->is_in_pool)
        join_pool(thread);
    if (!pool->is_closable && weft_threads_are_short() && !weft_threads_are_stopping()) {
        help_from_home(thread);
        if (!thread->home)
            return true;
        pool = thread->home->pool;
    }
    weft_pool_watch(&thread->base, thread->home);
    if (thread->base.sat)
        weft_pool_work(&thread->base); /* even if it has lost the seat meanwhile */
    bool goes_on = thread->base.lane || thread->promised.first || !weft_threads_are_stopping();
    bool is_closed = pool->is_closed;
    if (thread->base.lane || !goes_on || is_closed)
        leave_home(thread);
    if (!stand_up(thread) && thread->home)
        leave_home(thread);
    if (is_closed)
        leave_pool(thread, pool);
    return goes_on;
}

/* Gives up the seat where it sits; if there is still something to do, somebody comes. False: it had
 * lost it. */
static bool stand_up(struct set_thread *thread)
{
    struct weft_seat *seat = thread->base.sat;
    if (!seat)
        return true;
    if (!weft_seat_vacate(&thread->base))
        return false;
    thread->before = seat;
    if (thread->home != seat)
        weft_pool_see_to(seat);
    return true;
}

/* Sits down where it sat before, with what it has promised; or leaves that to others. */
static void bring_promised(struct set_thread *thread)
{
    struct weft_seat *seat = thread->before;
    if (!seat || !weft_seat_take(&thread->base, seat)) {
        weft_threads_unpromise(&thread->base);
        return;
    }
    for (struct weft_turn *turn; (turn = weft_turns_pop(&thread->promised));) {
        if (!weft_seat_push(&thread->base, seat, turn))
            weft_pool_post(seat->pool, turn);
    }
    weft_pool_work(&thread->base);
    struct weft_thread *nobody = NULL;
    if (!thread->base.lane && !thread->home &&
        atomic_compare_exchange_strong(&seat->watcher, &nobody, &thread->base))
        thread->home = seat;
    (void)stand_up(thread);
}

static struct timespec idle_until(void)
{
    int64_t until_ns = weft_deadline_ms(set.idle_ms);
    return (struct timespec){ .tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S };
}

/* Whether a coroutine is parked inside a libc call that began on this thread: it may still use the
 * errno of it. */
static bool is_needed(const struct set_thread *thread)
{
    return thread->base.calls_parked !=
           atomic_load_explicit(&thread->base.calls_resumed, memory_order_acquire);
}

/* Under the lock, when it is time to go: the last one goes to a seat instead, for another may not
 * be had when there is work again. */
static bool stays(struct set_thread *thread)
{
    struct weft_seat *seat = &weft_pool_default.seats[0];
    struct weft_thread *nobody = NULL;
    if (set.is_stopping)
        return false;
    if (set.thread_count - set.leaving > 1 ||
        !atomic_compare_exchange_strong(&seat->watcher, &nobody, &thread->base)) {
        thread->is_leaving = true;
        set.leaving++;
        return false;
    }
    thread->home = seat;
    return true;
}

/* Sleeps until it is sent somewhere (true), or it is time to go (false). */
static bool sleep_idle(struct set_thread *thread)
{
    (void)pthread_mutex_lock(&set.lock);
    if (set.is_short && !set.is_stopping && help_out(thread)) {
        (void)pthread_mutex_unlock(&set.lock);
        return true;
    }
    berth_list_push_front(&set.idle, &thread->node);
    struct timespec until = idle_until();
    bool is_late = false;
    while (!thread->base.lane && !thread->home && !set.is_stopping && !is_late) {
        is_late = pthread_cond_timedwait(&thread->wake, &set.lock, &until) == ETIMEDOUT;
        if (is_late && is_needed(thread)) {
            is_late = false;
            until = idle_until();
        }
    }
    bool goes_on = thread->base.lane || thread->home;
    if (!goes_on) {
        berth_list_remove(&thread->node);
        goes_on = stays(thread);
    }
    (void)pthread_mutex_unlock(&set.lock);
    return goes_on;
}

void weft_threads_idle_ms_set(int64_t idle_ms)
{
    (void)pthread_mutex_lock(&set.lock);
    set.idle_ms = idle_ms;
    (void)pthread_mutex_unlock(&set.lock);
}

void weft_threads_look(struct weft_pool_state *ret_state)
{
    struct weft_pool_state state = { 0 };
    (void)pthread_mutex_lock(&set.lock);
    state.threads = set.thread_count;
    state.replaced = set.replaced;
    if (set.thread_count > 0) {
        BERTH_LIST_FOREACH (node, &set.idle)
            state.idle++;
    }
    weft_pool_look(&weft_pool_default, &state, &state.lanes[0]);
    weft_pool_look(&weft_pool_virtual, &state, &state.lanes[2]);
    weft_lanes_look(&state.lanes[1], &state.lanes[3]);
    (void)pthread_mutex_unlock(&set.lock);
    *ret_state = state;
}

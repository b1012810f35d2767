/* SPDX-License-Identifier: MIT
 *
 * How turns find a thread.
 *
 * Who sits on a seat of the pool queues there, without a lock. Others use the pool's queue, at
 * which every seat looks when it has nothing, and now and then when it has; there, too, are the
 * batches of seats that had too many turns. A seat without work steals half of another's; a single
 * turn only when the owner has been at its present one for a while, because it will mostly come to
 * it at once, and another core takes microseconds to wake. And who has just had a batch, or has
 * stolen, waits a little before he steals again, for soon there will be a batch: else he would take
 * the turns as they come, a few at each visit, and there would never be enough of them for one.
 *
 * At most one thread looks for work at a time ("spinning"): whoever queues something wakes one only
 * if none does, and one that finds work wakes the next if there is more. (The rule is Go's.)
 */
#include "pool.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/container.h"

#include "die.h"
#include "seat.h"
#include "self.h"
#include "thread_set.h"
#include "unconfined.h"
#include "view.h"

#define TURNS_PER_LOOK 128   /* at the pool's queue, timers and descriptors */
#define BATCH_MAX      64    /* turns taken at once from the pool's queue */
#define STEAL_MAX      256   /* from another seat: each visit interrupts its owner's core */
#define SPIN_NS        20000 /* three times what waking a core costs */
#define PATIENCE_NS    10000 /* between two visits to other seats: a batch takes 5 us to launch */
#define SINGLE_NS      10000 /* a single turn that has waited so long may be stolen */
#define IDLE_NS        1000000000 /* so long asleep, before stacks give their memory back */
#define TRIM_MAX       512        /* of them at once: some 300 us */

static int pool_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static int hand_over(struct weft_pool *pool, struct weft_turn *turn);
static bool pool_is_here(struct weft_dispatcher *d);
static struct weft_turn *next_here(struct weft_thread *thread);
static struct weft_turn *find_turn(struct weft_thread *thread, struct weft_seat *seat);

const struct weft_ops weft_pool_ops = { .dispatch = pool_dispatch, .is_here = pool_is_here };

static struct weft_pool *pool_of(struct weft_dispatcher *d)
{
    return berth_container_of(d, struct weft_pool, base);
}

int weft_pool_init(struct weft_pool *pool, const char *name, unsigned seat_count, bool is_fixed)
{
    memset((char *)pool + sizeof pool->base, 0, sizeof *pool - sizeof pool->base);
    if (!pool->base.ops) { /* a built-in one has its base; others may look at that at any time */
        pool->base.name = name;
        pool->base.ops = &weft_pool_ops;
        pool->base.fixed = is_fixed ? pool : NULL;
    }
    pool->is_fixed = is_fixed;
    pool->seats = aligned_alloc(64, seat_count * sizeof *pool->seats);
    if (!pool->seats)
        return -ENOMEM;
    memset(pool->seats, 0, seat_count * sizeof *pool->seats);
    unsigned queued_max = seat_count > 1 ? WEFT_SEAT_QUEUED_MAX : UINT_MAX;
    for (unsigned i = 0; i < seat_count; i++) {
        int rc = weft_seat_init(&pool->seats[i], pool, queued_max);
        if (rc < 0) {
            weft_pool_fini(pool);
            return rc;
        }
        pool->seat_count++;
    }
    pool->vacant = seat_count;
    return 0;
}

void weft_pool_fini(struct weft_pool *pool)
{
    for (unsigned i = 0; i < pool->seat_count; i++)
        weft_seat_fini(&pool->seats[i]);
    free(pool->seats);
    pool->seats = NULL;
    pool->seat_count = 0;
}

static int pool_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    struct weft_pool *pool = pool_of(d);
    if (!pool->is_closable)
        return hand_over(pool, turn);
    pool->entered++; /* who closes it sees this, or we see that it is closed */
    int rc = pool->is_closed ? -ENODEV : hand_over(pool, turn);
    pool->entered--;
    return rc;
}

static int hand_over(struct weft_pool *pool, struct weft_turn *turn)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_seat *bound = turn->seat; /* once it is handed over, the turn may be gone */
    if (weft_pool_push(thread, &pool->base, turn))
        return 0;
    if (bound) {
        if (weft_seat_post(bound, turn))
            weft_pool_see_to(bound);
        return 0;
    }
    if (!thread || !weft_threads_promise(thread, pool, turn))
        weft_pool_post(pool, turn);
    return 0;
}

int weft_turn_to_seat(struct weft_turn *turn)
{
    return pool_dispatch(&turn->seat->pool->base, turn);
}

static bool pool_is_here(struct weft_dispatcher *d)
{
    const struct weft_thread *thread = weft_thread_self();
    const struct weft_seat *seat = thread ? thread->seat : NULL;
    return seat && seat->pool == pool_of(d);
}

void weft_pool_post(struct weft_pool *pool, struct weft_turn *turn)
{
    weft_lock_acquire(&pool->lock);
    weft_turns_push(&pool->queue, turn);
    pool->queued++;
    weft_lock_release(&pool->lock);
    weft_pool_wake(pool);
}

/* The links of a batch: its first turn's is the next batch, its second one's the last turn. */
void weft_pool_publish(struct weft_pool *pool, const struct weft_turns *batch)
{
    struct weft_turn *first = batch->first;
    first->link = NULL;
    first->next->link = batch->last;
    weft_lock_acquire(&pool->lock);
    if (pool->batches)
        pool->batches_last->link = first;
    else
        pool->batches = first;
    pool->batches_last = first;
    pool->batches_published++;
    weft_lock_release(&pool->lock);
    weft_pool_wake(pool);
}

bool weft_pool_take_batch(struct weft_pool *pool, struct weft_turns *ret_batch)
{
    if (weft_pool_batches(pool) == 0)
        return false;
    weft_lock_acquire(&pool->lock);
    struct weft_turn *first = pool->batches;
    if (first) {
        pool->batches = first->link;
        pool->batches_taken++;
    }
    weft_lock_release(&pool->lock);
    if (!first)
        return false;
    *ret_batch = (struct weft_turns){ .first = first, .last = first->next->link };
    first->link = NULL;
    first->next->link = NULL;
    return true;
}

static struct weft_seat *vacant_from(const struct weft_pool *pool, unsigned first)
{
    for (unsigned i = first; i < pool->seat_count; i++) {
        if (!pool->seats[i].thread)
            return &pool->seats[i];
    }
    return NULL;
}

enum rousing { ROUSED, NONE_IS_VACANT, NOBODY_CAN_BE_HAD };

static enum rousing rouse_one(struct weft_pool *pool)
{
    enum rousing result = NONE_IS_VACANT;
    struct weft_seat *seat = vacant_from(pool, 0);
    for (; seat; seat = vacant_from(pool, (unsigned)(seat - pool->seats) + 1)) {
        seat->is_roused = true;
        if (seat->watcher) {
            weft_poller_kick(&seat->poller);
        } else if (pool->is_closed) {
            return NOBODY_CAN_BE_HAD; /* a further one would be counted among those who leave */
        } else if (!weft_threads_send(seat) && atomic_exchange(&seat->is_roused, false)) {
            result = NOBODY_CAN_BE_HAD; /* and nobody has come there by himself */
            continue;
        }
        return ROUSED;
    }
    return result;
}

void weft_pool_wake(struct weft_pool *pool)
{
    enum rousing result;
    do {
        unsigned none = 0;
        if (pool->vacant == 0 || pool->spinning != 0 ||
            !atomic_compare_exchange_strong(&pool->spinning, &none, 1))
            return;
        result = rouse_one(pool);
        if (result == ROUSED)
            return;
        pool->spinning = 0;
        /* All seats were taken. By now their threads may have left, and others have queued
         * something, who relied on us: one was looking for work. */
    } while (result == NONE_IS_VACANT && weft_pool_queued(pool) > 0 && vacant_from(pool, 0));
}

static void stop_spinning(struct weft_thread *thread, struct weft_pool *pool)
{
    thread->is_spinning = false;
    pool->spinning = 0;
}

/* Whether there is something that a seat without work could take. */
static bool has_work(const struct weft_pool *pool, const struct weft_seat *own)
{
    if (weft_pool_queued(pool) > 0 || weft_seat_has_work(own))
        return true;
    for (unsigned i = 0; i < pool->seat_count; i++) {
        if (atomic_load_explicit(&pool->seats[i].queued, memory_order_relaxed) > 1)
            return true;
    }
    return false;
}

void weft_pool_work(struct weft_thread *thread)
{
    struct weft_seat *seat = thread->sat; /* thread->seat may be gone at any time */
    struct weft_pool *pool = seat->pool;
    thread->next = next_here;
    while (!weft_pool_must_leave(thread) && !weft_thread_is_wanted(thread)) {
        struct weft_turn *turn = find_turn(thread, seat);
        if (!turn)
            break;
        if (thread->is_spinning) {
            stop_spinning(thread, pool);
            if (has_work(pool, seat))
                weft_pool_wake(pool);
        }
        weft_thread_run(thread, turn);
        if (thread->loop)
            weft_view_finish(thread);
    }
    thread->next = NULL;
    thread->budget = 0;
    if (thread->is_spinning)
        stop_spinning(thread, pool);
}

void weft_thread_run(struct weft_thread *thread, struct weft_turn *turn)
{
    bool was_running = thread->is_running;
    thread->is_running = true;
    while (turn) {
        turn->run(turn);
        if (!thread->seat && (thread->unconfined.first || thread->pending))
            weft_threads_unpromise(thread);
        if (thread->unconfined.first)
            weft_unconfined_run(thread);
        turn = thread->pending;
        thread->pending = NULL;
    }
    thread->is_running = was_running;
}

/* For a coroutine that leaves: the next turn on this seat, but for now and then. */
static struct weft_turn *next_here(struct weft_thread *thread)
{
    struct weft_seat *seat = thread->seat;
    if (!seat || thread->budget == 0)
        return NULL;
    thread->budget--;
    return weft_seat_pop(thread, seat);
}

/* A fair share of the pool's queue: the first is returned, the rest goes to the seat. */
static struct weft_turn *take_share(struct weft_thread *thread, struct weft_seat *seat)
{
    struct weft_pool *pool = seat->pool;
    if (atomic_load_explicit(&pool->queued, memory_order_relaxed) == 0)
        return NULL;
    weft_lock_acquire(&pool->lock);
    unsigned count = pool->queued / pool->seat_count + 1, taken = 0;
    if (count > BATCH_MAX)
        count = BATCH_MAX;
    struct weft_turns share = { 0 };
    for (struct weft_turn *turn; taken < count && (turn = weft_turns_pop(&pool->queue)); taken++)
        weft_turns_push(&share, turn);
    pool->queued -= taken;
    weft_lock_release(&pool->lock);
    struct weft_turn *first = weft_turns_pop(&share);
    if (share.first && !weft_seat_push_batch(thread, seat, &share, taken - 1)) {
        for (struct weft_turn *turn; (turn = weft_turns_pop(&share));)
            weft_pool_post(pool, turn); /* it has lost the seat */
    }
    return first;
}

/* A batch goes to the seat. */
static void take_batch(struct weft_thread *thread, struct weft_seat *seat)
{
    struct weft_turns batch;
    if (!weft_pool_take_batch(seat->pool, &batch))
        return;
    thread->was_fed = true;
    if (!weft_seat_push_batch(thread, seat, &batch, WEFT_BATCH))
        weft_pool_publish(seat->pool, &batch); /* it has lost the seat */
}

/* How long a seat has been at its present turn, as far as a thief has seen. */
struct stare {
    const struct weft_seat *seat;
    unsigned turns;
    int64_t since_ns;
};

static bool is_patient(struct weft_thread *thread, int64_t now_ns)
{
    if (thread->was_fed)
        thread->hungry_since_ns = now_ns;
    thread->was_fed = false;
    return now_ns - thread->hungry_since_ns < PATIENCE_NS;
}

/* Half of another seat's queue; a single turn only from the one at which it has stared for long. */
static struct weft_turn *steal(struct weft_thread *thread, struct weft_seat *seat,
                               const struct weft_seat *slow, int64_t now_ns)
{
    if (is_patient(thread, now_ns))
        return NULL;
    struct weft_pool *pool = seat->pool;
    unsigned own = (unsigned)(seat - pool->seats);
    for (unsigned i = 1; i < pool->seat_count; i++) {
        struct weft_seat *victim = &pool->seats[(own + i) % pool->seat_count];
        unsigned count;
        struct weft_turn *first = weft_seat_steal(victim, STEAL_MAX, victim == slow, &count);
        if (!first)
            continue;
        thread->was_fed = true;
        for (struct weft_turn *turn = first->next, *next; turn; turn = next) {
            next = turn->next;
            if (!weft_seat_push(thread, seat, turn))
                weft_pool_post(pool, turn);
        }
        return first;
    }
    return NULL;
}

/* Stares at one seat at a time. Returns it if it is slow. */
static const struct weft_seat *stare_at(struct stare *stare, const struct weft_pool *pool,
                                        const struct weft_seat *own, int64_t now_ns)
{
    const struct weft_seat *seat = stare->seat ? stare->seat : own;
    unsigned turns = atomic_load_explicit(&seat->turns, memory_order_relaxed);
    if (seat != own && turns == stare->turns && seat->queued > 0)
        return now_ns - stare->since_ns >= SINGLE_NS ? seat : NULL;
    unsigned next = ((unsigned)(seat - pool->seats) + 1) % pool->seat_count;
    stare->seat = &pool->seats[next];
    stare->turns = atomic_load_explicit(&stare->seat->turns, memory_order_relaxed);
    stare->since_ns = now_ns;
    return NULL;
}

/* Looks for a while, for work often comes just then. One thread of a pool at a time. */
static struct weft_turn *spin(struct weft_thread *thread, struct weft_seat *seat)
{
    struct weft_pool *pool = seat->pool;
    if (!thread->is_spinning) {
        unsigned none = 0;
        if (pool->seat_count == 1 || !atomic_compare_exchange_strong(&pool->spinning, &none, 1))
            return NULL;
        thread->is_spinning = true;
    }
    int64_t start_ns = weft_now_ns(), now_ns = start_ns;
    struct stare stare = { 0 };
    while (now_ns - start_ns < SPIN_NS) {
        for (unsigned i = 0; i < 16; i++)
            weft_relax();
        now_ns = weft_now_ns();
        weft_seat_collect(thread, seat);
        struct weft_turn *turn = weft_seat_pop(thread, seat);
        if (!turn)
            turn = take_share(thread, seat);
        if (!turn) {
            take_batch(thread, seat);
            turn = weft_seat_pop(thread, seat);
        }
        if (!turn)
            turn = steal(thread, seat, stare_at(&stare, pool, seat, now_ns), now_ns);
        if (turn)
            return turn;
    }
    return NULL;
}

/* Timers and descriptors. A kick is the watcher's: it may be another thread, still asleep. */
static void look_around(const struct weft_thread *thread, struct weft_seat *seat)
{
    int64_t next_ns = atomic_load_explicit(&seat->clock.next_ns, memory_order_relaxed);
    if (next_ns != INT64_MAX) {
        int64_t now_ns = weft_now_ns();
        if (next_ns <= now_ns)
            weft_clock_run(&seat->clock, now_ns);
    }
    if (!weft_poller_is_waited_for(&seat->poller))
        return;
    if (seat->watcher == thread)
        weft_poller_wait(&seat->poller, 0);
    else
        weft_poller_serve(&seat->poller);
}

static struct weft_turn *find_turn(struct weft_thread *thread, struct weft_seat *seat)
{
    struct weft_turn *turn = NULL;
    weft_seat_collect(thread, seat);
    if (thread->budget == 0) {
        thread->budget = TURNS_PER_LOOK;
        look_around(thread, seat);
        turn = take_share(thread, seat);
        take_batch(thread, seat); /* or those who yield would run before them for ever */
        weft_seat_take_surplus(thread, seat);
    }
    if (!turn)
        turn = weft_seat_pop(thread, seat);
    if (turn)
        return turn;
    look_around(thread, seat);
    turn = weft_seat_pop(thread, seat);
    if (!turn)
        turn = take_share(thread, seat);
    if (!turn) {
        take_batch(thread, seat);
        turn = weft_seat_pop(thread, seat);
    }
    if (!turn)
        turn = steal(thread, seat, NULL, weft_now_ns());
    if (!turn && !weft_threads_are_stopping())
        turn = spin(thread, seat);
    return turn;
}

void weft_pool_sit(struct weft_thread *thread, struct weft_seat *seat)
{
    struct weft_pool *pool = seat->pool;
    bool is_roused = atomic_exchange(&seat->is_roused, false);
    if (weft_seat_take(thread, seat)) {
        seat->is_handed = false;
        thread->is_spinning = is_roused;
        return;
    }
    if (!is_roused)
        return;
    pool->spinning = 0;
    if (has_work(pool, seat))
        weft_pool_wake(pool);
}

/* While somebody else sits there, work is his affair: when he stands up he wakes the watcher. */
static bool is_worth_sitting(const struct weft_seat *seat)
{
    return seat->is_roused || seat->is_handed || seat->pool->is_closed ||
           weft_threads_are_stopping() || (!seat->thread && has_work(seat->pool, seat));
}

/* Sleeps; in a long sleep it first sees to it that stacks which nobody uses cost no memory. */
static int sleep_at(struct weft_seat *seat, struct epoll_event *events, int64_t until_ns)
{
    if (weft_stack_has_spare()) {
        int64_t idle_ns = weft_now_ns() + IDLE_NS;
        if (until_ns <= idle_ns)
            return weft_poller_sleep(&seat->poller, events, until_ns);
        int count = weft_poller_sleep(&seat->poller, events, idle_ns);
        if (count > 0)
            return count;
        while (weft_stack_trim(TRIM_MAX) == TRIM_MAX && !seat->poller.is_kicked &&
               weft_now_ns() < until_ns) {
        }
    }
    return weft_poller_sleep(&seat->poller, events, until_ns);
}

void weft_pool_watch(struct weft_thread *thread, struct weft_seat *seat)
{
    struct epoll_event events[WEFT_POLLER_EVENTS_MAX];
    int count = 0;
    int64_t until_ns = seat->clock.next_ns;
    seat->sleeps_until_ns = until_ns;
    if (!is_worth_sitting(seat) && seat->clock.next_ns == until_ns)
        count = sleep_at(seat, events, until_ns);
    seat->sleeps_until_ns = 0;
    weft_pool_sit(thread, seat);
    weft_poller_report(&seat->poller, events, count);
}

bool weft_pool_has_turns(const struct weft_seat *seat)
{
    return seat->is_roused || seat->is_handed || has_work(seat->pool, seat);
}

void weft_pool_see_to(struct weft_seat *seat)
{
    int64_t next_ns = seat->clock.next_ns;
    bool has_turns = weft_pool_has_turns(seat);
    if (seat->watcher) {
        if (has_turns || next_ns < seat->sleeps_until_ns)
            weft_poller_kick(&seat->poller);
    } else if (seat->pool->is_closed) {
        return; /* who closes it waits for its threads, and sees to what they leave */
    } else if (has_turns || (weft_seat_is_waited_for(seat) && !weft_threads_are_stopping())) {
        (void)weft_threads_send(seat);
    }
}

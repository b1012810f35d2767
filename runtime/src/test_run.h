/* SPDX-License-Identifier: MIT
 *
 * A test run inside (weft/test.h), and its hooks in the rest of weft.
 *
 * Its thread is a guest that points to it; so the doors ask the thread whether to give the run's
 * dispatchers, clock and timers, or the real ones. Each dispatcher and each tree says to which run
 * it belongs (NULL: to none), so that the two worlds never mix.
 *
 * All of it belongs to that one thread, but for the inbox of the lanes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/list.h"

#include "lock.h"
#include "pool.h"
#include "unconfined.h"

struct weft_timer;

/* The dispatchers of a run: for each of the real ones that has threads, one. */
enum weft_test_lane_kind {
    WEFT_TEST_DEFAULT,
    WEFT_TEST_IO,
    WEFT_TEST_BLOCKING,
    WEFT_TEST_VIRTUAL,
    WEFT_TEST_MAIN,
    WEFT_TEST_LANE_COUNT,
};

#define WEFT_TEST_BUCKETS 64

/* Turns that are ready, to be drawn one by one. Each goes into a bucket at random, and comes out of
 * one at random: so any order can come, nobody waits for ever, and nothing allocates. */
struct weft_test_lane {
    struct weft_dispatcher base;
    struct weft_turns buckets[WEFT_TEST_BUCKETS];
    uint64_t occupied; /* a bit for each bucket */
    size_t queued;
    struct weft_turns inbox; /* from other threads, under inbox_lock */
};

struct weft_test {
    uint64_t seed;
    struct weft_test_lane lanes[WEFT_TEST_LANE_COUNT];
    const struct weft_test_lane *here; /* whose turn is being run */
    size_t ready_count;                /* in all lanes */
    struct weft_dispatcher *main;      /* what replaces its main, or NULL */

    int64_t now_ns;
    struct berth_heap timers; /* by deadline; equal ones in random order */
    void *timers_by_address;  /* of tsearch(3) */
    uint64_t timers_set;      /* so far */
    struct berth_list advances;

    int64_t real_until_ns;
    size_t step_count;
    int uncaught;          /* the first failure of which nobody hears, or 0 */
    int rc;                /* why it gave up, or 0 */
    bool is_inbox_touched; /* ever */

    struct weft_lock inbox_lock;
    atomic_bool has_inbox; /* something in one of the inboxes */
};

/* What weft_now_ns() says at first. */
#define WEFT_TEST_BEGIN_NS INT64_C(1000000000)

/* The run that the calling thread carries out, or NULL. */
static inline struct weft_test *weft_test_here(void)
{
    const struct weft_thread *thread = weft_thread_self();
    return thread ? thread->test : NULL;
}

/* Hooks --------------------------------------------------------------------------------------- */

/* At a door of the built-in dispatchers: the run's own, or the real one. */
struct weft_dispatcher *weft_test_door(enum weft_test_lane_kind kind, struct weft_dispatcher *real);

/* Whether something of this run (NULL: of none) may use a dispatcher. */
static inline bool weft_test_fits(const struct weft_test *test, const struct weft_dispatcher *d)
{
    return d->test == test || d == &weft_unconfined_dispatcher;
}

/* On another thread: a turn of the run's that has no lane. 0. */
int weft_test_bring(struct weft_test *test, struct weft_turn *turn);

/* For one that does not belong to the world of the caller: says so. -ENOTSUP. If that is so because
 * the handle is dead (dead.h) the program ends. */
int weft_test_foreign(const char *call, const struct weft_dispatcher *d);

/* For what depends on real time, in a run: says so. `what` names the call. -ENOTSUP. */
int weft_test_refuse(const char *what);

/* In a run: a failure of which nobody else hears. Else nothing. */
void weft_test_uncaught(int rc);

/* A turn out of the first `window` of a queue; NULL: there is none. */
struct weft_turn *weft_test_pop(struct weft_turns *turns, unsigned window);

/* Timers on the clock of the run in which the caller is: as in timer.h. Without memory the program
 * ends. */
void weft_test_timer_set(struct weft_timer *timer, int64_t deadline_ns);
void weft_test_timer_cancel(struct weft_timer *timer);

/* test_lane.c --------------------------------------------------------------------------------- */

void weft_test_lanes_init(struct weft_test *test);

/* Takes one of the turns that are ready; at least one is. */
struct weft_turn *weft_test_take(struct weft_test *test);

/* Takes in what other threads have queued. */
void weft_test_collect(struct weft_test *test);

/* test_time.c --------------------------------------------------------------------------------- */

void weft_test_time_init(struct weft_test *test);
/* No timer may be set. */
void weft_test_time_fini(struct weft_test *test);

/* Whether a timer is due; fires one that is. */
bool weft_test_is_due(const struct weft_test *test);
void weft_test_fire(struct weft_test *test);

/* Goes on to the next deadline, of a timer or, if that is nearer, of somebody in
 * weft_test_advance_ms(), who is woken. False: there is none. */
bool weft_test_jump(struct weft_test *test);

/* For tests ----------------------------------------------------------------------------------- */

/* How long a run may take. */
#define WEFT_TEST_REAL_MS_DEFAULT 60000
void weft_test_real_ms_set(int64_t ms);

/* Called at each step of the runs of all threads: the run's time, and the lane and the name of the
 * coroutine that is to run, if the turn is one of a coroutine; or "time" and "" for a timer. NULL:
 * nobody. While no run is on. */
typedef void (*weft_test_step_fn)(void *arg, int64_t now_ns, const char *lane, const char *name);
void weft_test_on_step(weft_test_step_fn fn, void *arg);

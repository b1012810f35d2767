/* SPDX-License-Identifier: MIT
 *
 * What a dispatcher is inside; pools, which are sets of seats (seat.h); and the threads.
 *
 * The rest of weft sees `struct weft_ops`: how a turn finds a thread is the dispatcher's alone.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <weft/weft.h>

#include "lock.h"
#include "stack.h"
#include "switch.h"
#include "task_block.h"

struct weft_seat;
struct weft_task;
struct weft_test;
struct weft_thread;
struct weft_view_loop;

/* A piece of work for a dispatcher: a turn of a coroutine (from a resume to its next park), or a
 * loop of a view. Part of whoever it is for; in one queue at most. */
struct weft_turn {
    struct weft_turn *next; /* for whoever holds it */
    /* Called once for each dispatch, on a thread's own stack, without locks. The turn may be gone
     * when it returns. */
    void (*run)(struct weft_turn *turn);
    struct weft_seat *seat; /* the only one where it may run; NULL: anywhere */
};

/* A queue of turns in order of arrival. All-zero is empty. */
struct weft_turns {
    struct weft_turn *first, *last;
};

static inline void weft_turns_push(struct weft_turns *turns, struct weft_turn *turn)
{
    turn->next = NULL;
    if (turns->first)
        turns->last->next = turn;
    else
        turns->first = turn;
    turns->last = turn;
}

static inline struct weft_turn *weft_turns_pop(struct weft_turns *turns)
{
    struct weft_turn *turn = turns->first;
    if (turn)
        turns->first = turn->next;
    return turn;
}

struct weft_ops {
    /* Hands over a turn, which the dispatcher runs exactly once. Any thread, any lock held but the
     * pool's own; never waits. Negative: refused. (What was taken and cannot be run after all: by
     * weft_turn_refused().) */
    int (*dispatch)(struct weft_dispatcher *d, struct weft_turn *turn);
    /* Whether the calling thread is running for `d` just now. */
    bool (*is_here)(struct weft_dispatcher *d);
};

struct weft_dispatcher {
    const char *name;
    const struct weft_ops *ops;
    bool intercepts; /* libc calls of its coroutines park: virtual, and views of it */
    /* The pool behind it, if a thread stays on each of its seats: only there can libc calls park,
     * for who parks inside one must wake on the same thread. Else NULL. */
    struct weft_pool *fixed;
    struct weft_test *test; /* the test run to which it belongs, or NULL */
};

/* A thread that runs turns: one of weft's own, or a guest (guest.h). Those of weft live until
 * weft_shutdown(), for names of threads are handed out. */
struct weft_thread {
    struct weft_fiber fiber;   /* its own stack */
    struct weft_task *current; /* the coroutine that it runs, or NULL */
    /* What a coroutine that leaves asks for the next turn, so that it need not go back to the
     * thread's own stack for it. NULL, or a NULL from it: it goes back. */
    struct weft_turn *(*next)(struct weft_thread *thread);
    void *next_arg;
    struct weft_turn *pending;     /* came from `next`, but has to run on the thread's own stack */
    struct weft_task *left;        /* has just left its stack; whoever arrives deals with it */
    struct weft_stack *left_stack; /* of one that has ended: whoever arrives gives it back */
    int left_stack_class;
    struct weft_stack_cache stacks;
    struct weft_task_blocks blocks;
    uint64_t id_next, id_end;         /* numbers for new coroutines */
    int *errno_at;                    /* its errno */
    atomic_bool runs_compact;         /* so its seat's region is in use */
    struct weft_seat *inside;         /* it has not left since it switched stacks */
    unsigned budget;                  /* turns until it must look at timers and descriptors */
    _Atomic(struct weft_seat *) seat; /* where it sits, or NULL */
    atomic_uint is_inside;            /* its seat (seat.h) */
    struct weft_seat *sat; /* where it sat down; not `seat` any more: it was given to another */
    bool is_spinning;      /* the one of its pool that looks for work */
    pid_t tid;
    clockid_t cpu_clock;
    unsigned calls_parked;        /* coroutines parked here inside libc calls; the thread's own */
    atomic_uint calls_resumed;    /* of those, on other threads */
    struct weft_view_loop *loop;  /* the innermost that it runs, or NULL */
    bool is_guest;                /* not one of weft's own: guest.h */
    struct weft_turns unconfined; /* for this thread, when its coroutine leaves */
    bool is_running;              /* inside weft_thread_run() */
    bool is_in_unconfined;        /* inside a start there: further ones are queued */
    const struct weft_custom *custom; /* the user's dispatcher for which it runs, or NULL */
    struct weft_test *test;           /* the test run that it carries out, or NULL */
    char name[24];
};

/* This thread, or NULL if it is not one of the runtime's. Never inlined, never assumed to be the
 * same after a park: compilers keep addresses of thread-locals across calls. */
struct weft_thread *weft_thread_self(void);

/* What a turn becomes that its dispatcher will not run: its coroutine is cancelled, and cleans up
 * on io; a coroutine on its way to that dispatcher goes back instead, to get `rc` from weft_with().
 * Any thread, any lock held but the pool's. In move.c. */
void weft_turn_refused(struct weft_turn *turn, int rc);

/* For dispatchers without seats: dispatches a turn that is bound to one (turn->seat: it parked
 * inside a libc call before it came to them) to that seat. 0. */
int weft_turn_to_seat(struct weft_turn *turn);

/* For independent views: blocks threads like io, but beside its limit. */
struct weft_dispatcher *weft_pool_blocking(void);

/* Runs a turn, and what came to be pending meanwhile, on the thread's own stack. */
void weft_thread_run(struct weft_thread *thread, struct weft_turn *turn);

/* A dispatcher that is a set of seats. */
struct weft_pool {
    struct weft_dispatcher base;
    struct weft_seat *seats;
    unsigned seat_count;
    bool is_closable;       /* by weft_pool_close() (fixed.c) */
    atomic_bool is_closing; /* somebody does */
    atomic_bool is_closed;  /* takes nothing any more, and its threads leave */
    atomic_bool is_gone;    /* there is nothing left of it but this */
    atomic_uint entered;    /* who hands something over just now, if it is closable */
    bool has_spares;        /* the seat of a thread that gets stuck is given to another */
    bool is_fixed;          /* a thread that sits down stays, unless it gets stuck */
    _Alignas(64) struct weft_lock lock; /* of the queue */
    struct weft_turns queue;            /* from threads without a seat here */
    atomic_uint queued;
    atomic_uint vacant;   /* seats */
    atomic_uint spinning; /* threads that look for work, or were woken to: 0 or 1 */
};

/* Whether the thread is to end its turn, and no more: it has lost its seat, or the pool is being
 * closed. The thread itself. */
bool weft_pool_must_leave(const struct weft_thread *thread);

extern const struct weft_ops weft_pool_ops;

/* Makes the seats; threads come when there is work. 0 or -errno. */
int weft_pool_init(struct weft_pool *pool, const char *name, unsigned seat_count, bool is_fixed);
/* No work may be left, and nobody sit or watch there. */
void weft_pool_fini(struct weft_pool *pool);

/* Works on the seat where the thread sits, until there is nothing to do anywhere in the pool, or
 * the thread is wanted elsewhere. It still sits there. */
void weft_pool_work(struct weft_thread *thread);

/* Sleeps at a vacant seat until there may be something to do, then sits down there, if it is still
 * vacant. sit: only that. */
void weft_pool_watch(struct weft_thread *thread, struct weft_seat *seat);
void weft_pool_sit(struct weft_thread *thread, struct weft_seat *seat);

/* For a vacant seat: if something is left there to do, wakes its watcher, or sends for one. */
void weft_pool_see_to(struct weft_seat *seat);

/* For a seat where nobody sits: whether one who sat down there would find turns. */
bool weft_pool_has_turns(const struct weft_seat *seat);

/* Queues a turn from outside the pool, and sees to it that somebody comes. */
void weft_pool_post(struct weft_pool *pool, struct weft_turn *turn);

/* threads.c --------------------------------------------------------------------------------- */

struct weft_pool_limits {
    unsigned threads, io_threads, blocking_threads, virtual_threads, threads_max;
};

/* Starts the built-in dispatchers with one thread. 0 or -errno. */
int weft_threads_open(const struct weft_pool_limits *limits);

/* Ends and joins all threads; no work may be left. */
void weft_threads_close(void);
bool weft_threads_are_stopping(void);

/* Whether the thread has something to do for which it must leave its seat. */
bool weft_thread_is_wanted(const struct weft_thread *thread);

/* Sends a thread to a seat that nobody watches. False: none can be had; then those that have
 * nothing to do look for what is left undone, and the monitor sees to seats where nobody is. */
bool weft_threads_send(struct weft_seat *seat);
int weft_threads_fetch(struct weft_seat *seat); /* 0; -EAGAIN: threads_max; -ENOMEM */

/* Whether that was so, and there may still be such a seat. */
bool weft_threads_are_short(void);

/* For each pool, one after the other, none of which is opened or closed meanwhile. */
void weft_pools_each(void (*visit)(struct weft_pool *pool, void *arg), void *arg);
void weft_pools_lock(void);
void weft_pools_unlock(void);

/* Gives the seat to another thread of the set, if one can be had, because the one that sits there
 * is stuck in a call, and has been since it was at `turns`. */
void weft_threads_replace(struct weft_seat *seat, struct weft_thread *stuck, unsigned turns);

/* Whether the calling thread will bring a turn to the pool itself: it has no seat, and is between
 * two turns. Then it has taken it. */
bool weft_threads_promise(struct weft_thread *thread, struct weft_pool *pool,
                          struct weft_turn *turn);

/* For a loop that is going to run one more turn: what its thread promised must not wait for it. */
void weft_threads_unpromise(struct weft_thread *thread);

/* After so long without work a thread ends, all but those that watch a seat. For tests: before the
 * runtime starts. */
#define WEFT_IDLE_MS_DEFAULT 10000
void weft_threads_idle_ms_set(int64_t idle_ms);

/* One line on threads and queues, for the dump. */
#define WEFT_LANE_COUNT 4
struct weft_lane_state {
    const char *name;
    unsigned running, limit;
    size_t queued;
};
struct weft_pool_state {
    unsigned threads, idle;
    unsigned replaced; /* how often a stuck thread's seat was given to another */
    struct weft_lane_state lanes[WEFT_LANE_COUNT];
};
void weft_threads_look(struct weft_pool_state *ret_state);

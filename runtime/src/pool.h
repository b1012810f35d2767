/* SPDX-License-Identifier: MIT
 *
 * What a dispatcher and a thread are inside; and pools, which are sets of seats (seat.h).
 *
 * The rest of weft sees `struct weft_ops`: how a turn finds a thread is the dispatcher's alone.
 * Where threads come from: thread_set.h.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <weft/weft.h>

#include "bias.h"
#include "lock.h"
#include "stack.h"
#include "switch.h"
#include "task_block.h"

struct weft_lane;
struct weft_scope_state;
struct weft_seat;
struct weft_task;
struct weft_test;
struct weft_thread;
struct weft_view;

/* A piece of work for a dispatcher: a turn of a coroutine (from a resume to its next park), or a
 * loop of a view. Part of whoever it is for; in one queue at most. */
struct weft_turn {
    struct weft_turn *next; /* for whoever holds it */
    /* Called once for each dispatch, on a thread's own stack, without locks. The turn may be gone
     * when it returns. */
    void (*run)(struct weft_turn *turn);
    union {
        struct weft_seat *seat; /* the only one where it may run; NULL: anywhere */
        struct weft_turn *link; /* of one that may run anywhere, in a batch of its pool (pool.c) */
    };
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

/* Asks for the turn after the next one, with what of its coroutine a first turn touches: the next
 * one was asked for before, and may be run in no time. */
static inline void weft_turns_prefetch(const struct weft_turns *turns)
{
    const char *second = turns->first ? (const char *)turns->first->next : NULL;
    if (!second)
        return;
    __builtin_prefetch(second);
    __builtin_prefetch(second + 64);
    __builtin_prefetch(second + 128);
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

/* A loop of a view (view.h) that runs: on the stack of its thread, or the thread's own_loop. */
struct weft_view_loop {
    struct weft_view *view; /* NULL: it has ended */
    struct weft_thread *thread;
    unsigned turns;
    struct weft_view_loop *outer; /* of a view that is an ancestor of this one */
};

/* A thread that runs turns: one of weft's own, or a guest (guest.h). Those of weft live until
 * weft_shutdown(), for names of threads are handed out. */
struct weft_thread {
    struct weft_fiber fiber;   /* its own stack */
    struct weft_task *current; /* the coroutine that it runs, or NULL */
    /* What a coroutine that leaves asks for the next turn, so that it need not go back to the
     * thread's own stack for it. NULL, or a NULL from it: it goes back. */
    struct weft_turn *(*next)(struct weft_thread *thread);
    struct weft_turn *pending;     /* came from `next`, but has to run on the thread's own stack */
    struct weft_task *left;        /* has just left its stack; whoever arrives deals with it */
    struct weft_task *parked;      /* the same, by the usual way of a park (turn.h) */
    struct weft_stack *left_stack; /* of one that has ended: whoever arrives gives it back */
    int left_stack_class;
    struct weft_stack_cache stacks;
    struct weft_task_blocks blocks;
    /* Coroutines that have ended here, children of one scope, which has not been told so far: as
     * long as another child of it runs here it could not close anyhow. See weft_tasks_settle(). */
    struct weft_turns ended;
    struct weft_scope_state *ended_scope;
    unsigned ended_count;
    uint64_t id_next, id_end;         /* numbers for new coroutines */
    int *errno_at;                    /* its errno */
    struct weft_bias_holder *holder;  /* for biased locks */
    atomic_bool runs_compact;         /* so its seat's region is in use */
    unsigned budget;                  /* turns until it must look at timers and descriptors; above
                                       * 0 there is a `next` */
    _Atomic(struct weft_seat *) seat; /* where it sits, or NULL */
    atomic_uint is_inside;            /* its seat (seat.h) */
    struct weft_seat *sat;   /* where it sat down; not `seat` any more: it was taken away from it */
    bool is_spinning;        /* the one of its pool that looks for work */
    bool was_fed;            /* it has had turns of other seats since it last wanted to steal */
    int64_t hungry_since_ns; /* that is when it first wanted to again */
    _Atomic pid_t tid;       /* these two: for the monitor, which may look at one that */
    _Atomic clockid_t cpu_clock;    /* has ended meanwhile, and whose block has a new thread */
    unsigned calls_parked;          /* coroutines parked here inside libc calls; the thread's own */
    atomic_uint calls_resumed;      /* of those, on other threads */
    struct weft_view_loop *loop;    /* the innermost that it runs, or NULL */
    struct weft_view_loop own_loop; /* that a coroutine has begun in place: weft_with() */
    struct weft_lane *lane;         /* where it has a place (lane.h), or NULL */
    bool was_woken_for_lane;        /* and has not come there yet */
    bool is_guest;                  /* not one of weft's own: guest.h */
    struct weft_turns unconfined;   /* for this thread, when its coroutine leaves */
    bool is_running;                /* inside weft_thread_run() */
    bool is_in_unconfined;          /* inside a start there: further ones are queued */
    const struct weft_custom *custom; /* the user's dispatcher for which it runs, or NULL */
    struct weft_test *test;           /* the test run that it carries out, or NULL */
    char name[24];
};

/* This thread, or NULL if it is not one of the runtime's. Never assumed to be the same after a
 * park: compilers keep addresses of thread-locals across calls, so they are not told of one
 * (self.c). */
#if defined(__x86_64__)
extern _Thread_local struct weft_thread *weft_this_thread WEFT_INTERNAL; /* only read here */
static inline struct weft_thread *weft_thread_self(void)
{
    struct weft_thread *thread;
    __asm__ volatile("movq weft_this_thread@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(thread)
                     :
                     : "memory");
    return thread;
}
#else
struct weft_thread *weft_thread_self(void);
#endif

/* By which the calling thread takes biased locks: weft_thread_self()'s, which may be NULL. */
static inline struct weft_bias_holder *weft_holder(const struct weft_thread *thread)
{
    return thread ? thread->holder : &weft_bias_nobody;
}

/* What a turn becomes that its dispatcher will not run: its coroutine is cancelled, and cleans up
 * on io; a coroutine on its way to that dispatcher goes back instead, to get `rc` from weft_with().
 * Any thread, any lock held but the pool's. In move.c. */
void weft_turn_refused(struct weft_turn *turn, int rc);

/* For dispatchers without seats: dispatches a turn that is bound to one (turn->seat: it parked
 * inside a libc call before it came to them) to that seat. 0. */
int weft_turn_to_seat(struct weft_turn *turn);

/* For independent views: blocks threads like io, but beside its limit. In lane.c. */
struct weft_dispatcher *weft_pool_blocking(void);

/* Whether the thread has something to do for which it must leave its seat. */
static inline bool weft_thread_is_wanted(const struct weft_thread *thread)
{
    return thread->lane != NULL;
}

/* Whether it is one of weft's own, between two turns, and looks for the next one now: else what it
 * took upon itself to do would have to wait for somebody, perhaps for long. */
static inline bool weft_thread_is_free(const struct weft_thread *thread)
{
    return !thread->is_guest && !thread->current && !thread->pending && !thread->unconfined.first;
}

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
    struct weft_turn *batches, *batches_last;     /* from seats that have many, in order */
    atomic_uint batches_published, batches_taken; /* so far; they wrap */
    atomic_uint vacant;                           /* seats */
    atomic_uint spinning; /* threads that look for work, or were woken to: 0 or 1 */
};

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

/* What a seat has above so many goes to the pool, in batches: of turns that may run anywhere. So
 * thieves seldom have to disturb a seat. Who comes to the seat later, or yields there, stands
 * behind those that it has given away, until all of them have been taken: so a yield is a brake for
 * who starts more than can run. */
#define WEFT_SEAT_QUEUED_MAX 128
#define WEFT_BATCH           64
void weft_pool_publish(struct weft_pool *pool, const struct weft_turns *batch);

/* Takes one; false: there is none. Any thread. */
bool weft_pool_take_batch(struct weft_pool *pool, struct weft_turns *ret_batch);

static inline unsigned weft_pool_batches(const struct weft_pool *pool)
{
    return atomic_load_explicit(&pool->batches_published, memory_order_relaxed) -
           atomic_load_explicit(&pool->batches_taken, memory_order_relaxed);
}

/* How many turns wait in the pool itself. Whoever queues there looks afterwards whether a seat is
 * vacant and nobody is on his way; whoever leaves a seat, or does not come after all, looks here
 * afterwards. So these are ordered loads: one of the two sees the other. */
static inline unsigned weft_pool_queued(const struct weft_pool *pool)
{
    return pool->queued + (pool->batches_published - pool->batches_taken) * WEFT_BATCH;
}

/* Queues a turn from outside the pool, and sees to it that somebody comes. */
void weft_pool_post(struct weft_pool *pool, struct weft_turn *turn);

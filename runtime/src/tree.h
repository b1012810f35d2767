/* SPDX-License-Identifier: MIT
 *
 * Coroutines and scopes as weft sees them.
 *
 * A root coroutine and everything started inside it, directly or not, form a tree: coroutine ->
 * its scopes, outermost first -> their children. A tree has one lock.
 *
 * Lock order, outermost first: runtime (runtime.c), timers, tree, descriptors or a synchronization
 * object, a view or another dispatcher, pool, stacks. Innermost is that of parking (task->park):
 * nothing is taken under it. Some of them are biased, each kind by itself (bias.h). A coroutine is
 * woken under the lock under which the waker found it: it takes that lock before it goes on, so it
 * cannot be gone meanwhile. (But for what is handed over: handover.h.)
 *
 * Invariants (under the lock)
 * 1. scope->live counts the children that have not ended, and those of whose end the scope has not
 *    been told (weft_tasks_settle()); a scope closes only at 0.
 * 2. A cancelled scope has cancelled all its children, and no child can be added to it.
 * 3. A task is cancelled from outside when it, its home scope, or anything around that was. What it
 *    feels is the flag of its innermost scope: each copies the one around it, but for a shield.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weft/weft.h>

#include "base/list.h"

#include "bias.h"
#include "compact.h"
#include "die.h"
#include "lock.h"
#include "pool.h"
#include "switch.h"
#include "timer.h"
#include "waiter.h"

struct weft_field;
struct weft_interrupt;
struct weft_stack;

struct weft_mark;

struct weft_tree {
    struct weft_bias lock;
    struct weft_mark *marks; /* where dumps stand that let go of the lock */
    atomic_uint has_ended;   /* the root: a futex for plain threads in weft_root_close() */
    struct weft_task *root;
    struct berth_list_node node; /* in the list of all trees */
    unsigned refs;               /* under the lock of that list: the root's handle, a dump */
    struct weft_test *test;      /* the test run to which it belongs, or NULL */
};

/* By a thread of the runtime, weft_thread_self(), which may be NULL. */
static inline void weft_tree_lock_by(const struct weft_thread *thread, struct weft_tree *tree)
{
    weft_bias_acquire(&tree->lock, weft_holder(thread), WEFT_BIAS_TREE);
}

static inline void weft_tree_unlock_by(const struct weft_thread *thread, struct weft_tree *tree)
{
    weft_bias_release(&tree->lock, weft_holder(thread), WEFT_BIAS_TREE);
}

static inline void weft_tree_lock(struct weft_tree *tree)
{
    weft_tree_lock_by(weft_thread_self(), tree);
}

static inline void weft_tree_unlock(struct weft_tree *tree)
{
    weft_tree_unlock_by(weft_thread_self(), tree);
}

enum weft_scope_kind { WEFT_SCOPE, WEFT_SUPERVISOR, WEFT_SHIELD };

#define WEFT_SCOPE_MAGIC 0x57454654u

/* What lies in a struct weft_scope of the user's: declared there as numbers, hence may_alias. */
struct __attribute__((may_alias)) weft_scope_state {
    unsigned magic; /* WEFT_SCOPE_MAGIC while it is open */
    uint8_t kind;
    bool is_closing;           /* the owner waits for the children, or is past that */
    bool is_done;              /* no failure counts any more */
    bool is_cancelled_by_body; /* who cancels by hand knows that the children were cut short */
    bool is_cut;               /* a child was cut short */
    atomic_bool is_cancelled;  /* what the owner feels while this is its innermost scope */
    int cause;                 /* the first failure, or 0 */
    unsigned live, held;       /* children that have not ended; those of them that are held */
    struct weft_task *owner;
    struct weft_scope_state *outer, *inner; /* of the same owner */
    struct berth_list children;             /* live ones, and ended ones that have a handle */
    struct weft_dispatcher *dispatcher;
    struct weft_field *fields;       /* the context: everything visible, newest first */
    struct weft_field *fields_outer; /* where this scope's own ones end */
    struct weft_timer timer;
    int64_t deadline_ns; /* WEFT_NEVER: the timer is not set */
    void (*on_failure)(void *arg, const char *task, int rc);
    void *on_failure_arg;
    const char *opened_by;
};

/* Whether a coroutine has begun is a flag of its own, which is set without a lock: has_begun. */
enum weft_phase {
    WEFT_PHASE_HELD,
    WEFT_PHASE_QUEUED, /* for the first time, or begun since */
    WEFT_PHASE_ENDED,
    WEFT_PHASE_GONE, /* freed; of one with a handle, and only until its memory is used again */
};

/* What becomes of a task that is cancelled while it waits for its first turn. Who gives that turn
 * sets has_begun and then looks at is_cancelled; who cancels does the reverse, with a heavy fence
 * in between, once for all that it cancels. So mostly only one of the two sees the other; if both
 * do, the first to write here decides. */
enum weft_fate {
    WEFT_FATE_OPEN,
    WEFT_FATE_RUNS,
    /* Will not run, and is ended by who cancels; his and the queue's, then that of one of them. */
    WEFT_FATE_DROPPED_LAST,
    WEFT_FATE_DROPPED,
};

/* A coroutine's place in the queue of another dispatcher, to which it is moving. It is new until
 * the coroutine has left its stack and the ticket is handed in. Then whoever changes the state
 * decides: the dispatcher takes it, or a canceller sends the coroutine back and leaves the ticket
 * to be dropped by the dispatcher. */
enum weft_ticket_state {
    WEFT_TICKET_NEW,
    WEFT_TICKET_WAITS,
    WEFT_TICKET_TAKEN,
    WEFT_TICKET_VOID,
};

struct weft_ticket {
    struct weft_turn turn;
    struct weft_task *task;
    struct weft_dispatcher *home; /* to which it comes back */
    _Atomic(int) state;
    int rc; /* of a refused one */
};

/* park.state, under that lock: where a coroutine stands between running and parked. A wake that
 * comes while it runs is kept as a token, and the next park returns at once; so wakes are never
 * lost, and whoever parks looks again whether what it waits for is there. */
enum weft_park { WEFT_PARK_RUNS, WEFT_PARK_TOKEN, WEFT_PARK_PARKED };

/* Whether a coroutine's libc calls park (intercept.h). */
enum weft_intercept { WEFT_INTERCEPT_AS_DISPATCHER, WEFT_INTERCEPT_ON, WEFT_INTERCEPT_OFF };

/* Why a coroutine left its stack; read by whoever arrives next on that thread. */
enum weft_after {
    WEFT_AFTER_PARK,
    WEFT_AFTER_YIELD,
    WEFT_AFTER_MOVE,
    WEFT_AFTER_CALL, /* of another one, which runs here until it first parks */
    WEFT_AFTER_END,
};

/* Of what others only look at, or what a lock or a later atomic step puts in order: a plain seq_cst
 * store costs as much as a lock. */
#define weft_put(object, value) atomic_store_explicit((object), (value), memory_order_relaxed)
#define weft_get(object)        atomic_load_explicit((object), memory_order_relaxed)

/* A coroutine. Blocks come and go by the million, so what counts is how many cache lines a step
 * touches: on x86-64 each of the first four groups is one line. A launch writes the first two, the
 * first turn the third; whoever adds a field puts it where it is first needed, or gives it a flag.
 *
 * The last group is missing in a small block (`is_small`), which a compact coroutine without name
 * and handle gets: there it must not be touched. Each field of it has a condition under which it is
 * there, and valid; none is initialized before. */
struct weft_task {
    /* Written by the launch; all flags are 0 at first. */
    struct weft_turn turn;
    weft_fn fn;
    union {
        void *arg;               /* until it has begun */
        struct weft_waiter *box; /* if has_box: weft_task_waiter() */
    };
    int8_t stack_class; /* reserved; negative: not any more */
    uint8_t after;      /* enum weft_after */
    _Atomic(uint8_t) phase;
    _Atomic(uint8_t) fate;
    atomic_bool has_begun;    /* its first turn, or that has found it dropped */
    atomic_bool is_cancelled; /* from outside */
    atomic_bool is_on_thread; /* for the dump */
    atomic_bool has_timed_out;
    atomic_bool is_done; /* what its waiter sets */
    /* Fixed by the launch. */
    bool has_handle : 1;
    bool has_name : 1;
    bool has_own_block : 1; /* its memory is not of one of the common sizes */
    bool is_small : 1;      /* its block ends before the last group */
    uint8_t start : 2;      /* enum weft_start */
    /* The coroutine's own. */
    uint8_t : 0;
    bool has_box : 1; /* its waiter lies on the heap */
    bool has_lock_id : 1;
    bool is_on_region : 1;  /* it has begun there */
    bool is_pinned : 1;     /* there: nobody else comes on it until this one goes on */
    bool is_in_element : 1; /* inside such a call of the user's */
    bool is_told : 1;       /* a pthread condition has woken it because it is cancelled */
    uint8_t intercept : 2;  /* enum weft_intercept */
    uint8_t calls_in_a_row; /* libc calls since it last let others run */
    union {
        struct {
            bool is_compact;   /* it runs on the region of its seat, turn.seat */
            bool has_elements; /* its context has some: weft_elements_install() */
            bool is_in_call;   /* inside an intercepted libc call: to wake on the same thread */
            bool is_unguarded; /* its stack is: to be looked at when it is left */
        };
        uint32_t unusual; /* any of these: it does not leave by the usual way (turn.h) */
    };
    uint8_t drained_count; /* reads of drained streams (intercept_transfer.c) */
    uint8_t eager_count;   /* of them to be tried all the same */
    struct weft_bias park; /* .state: enum weft_park */

    struct weft_tree *tree;
    struct weft_scope_state *scope; /* it is a child of; NULL: a root */
    struct berth_list_node node;    /* in scope->children */
    _Atomic(struct weft_dispatcher *) dispatcher;
    struct weft_field *fields; /* the context it was launched with */
    atomic_bool *feels;        /* the flag that cancels it: its own, or its innermost scope's */
    uint64_t id;

    /* Written when it begins: weft_task_begins(). Others look here only at one that has. */
    int rc; /* of fn, or of its end without that; before: of a move to another dispatcher */
    int saved_errno;
    const char *_Atomic waits_for; /* for the dump: see reason.h */
    struct weft_stack *stack;      /* with its fiber; the region's if it is compact; NULL: none */
    union {
        struct weft_compact compact;        /* if it is */
        struct weft_scope_state *outermost; /* else, if there is an innermost one */
    };
    struct weft_task *outer; /* who waits on this thread until it first parks, or NULL */
    _Atomic(struct weft_ticket *) ticket; /* while it moves to another dispatcher, else NULL */
    struct weft_interrupt *interrupt;     /* inside weft_interruptible(), under the lock; or NULL */

    /* Not initialized before it is used. */
    struct weft_timer timer;
    struct weft_task *next;          /* in one list: of a walk, then of its reap */
    struct weft_thread *call_thread; /* on which it parked first inside that call, or NULL */
    int call_errno;                  /* what errno was before an intercepted call */
    int lock_id; /* if has_lock_id: as the owner of pthread mutexes (intercept_owner.h) */

    /* Not in a small block. */
    const char *name;             /* if has_name */
    struct weft_waiters awaiters; /* if has_handle */
    uint64_t failed_order;        /* if has_handle: the how-many-th failure; 0: none */
    struct weft_waiter waiter;    /* weft_task_waiter() */

    max_align_t item[]; /* the copy of weft_launch_copy() */
};

#define WEFT_TASK_BYTES_SMALL offsetof(struct weft_task, name)

/* Blocks are whole cache lines: so many bytes of an item fit in what is left. */
#define WEFT_TASK_LINES(bytes) (((bytes) + 63) / 64 * 64)
#define WEFT_TASK_ITEM_BYTES                                                                       \
    (WEFT_TASK_LINES(sizeof(struct weft_task)) - offsetof(struct weft_task, item))

#if defined(__x86_64__) && !WEFT_UCONTEXT && !WEFT_ASAN && !WEFT_TSAN
_Static_assert(offsetof(struct weft_task, tree) == 64, "a launch writes two lines");
_Static_assert(offsetof(struct weft_task, rc) == 128, "a launch writes two lines");
_Static_assert(offsetof(struct weft_task, timer) == 192, "the first turn writes one line");
_Static_assert(WEFT_TASK_BYTES_SMALL <= 256, "a million compact ones are 256 MB and their stacks");
#endif

/* What has to be there before others may take it for one that has begun. Not `rc`, which a
 * canceller may be writing who has just dropped it. */
static inline void weft_task_begins(struct weft_task *task)
{
    task->saved_errno = 0;
    weft_put(&task->waits_for, NULL);
    task->stack = NULL;
    task->outer = NULL;
    weft_put(&task->ticket, NULL);
    task->interrupt = NULL;
}

/* The calling coroutine, or NULL. */
struct weft_task *weft_self(void);

/* The innermost scope that it has opened, or NULL. Itself, or under the tree's lock. */
static inline struct weft_scope_state *weft_task_innermost(const struct weft_task *task)
{
    void *flag = task->feels;
    return flag != &task->is_cancelled
               ? berth_container_of(flag, struct weft_scope_state, is_cancelled)
               : NULL;
}

/* Its scopes, outermost first. Under the tree's lock. */
static inline struct weft_scope_state *weft_task_scopes(const struct weft_task *task)
{
    bool has_begun = atomic_load_explicit(&task->has_begun, memory_order_acquire);
    return has_begun && weft_task_innermost(task) ? task->outermost : NULL;
}

/* Run a turn of a coroutine: what task->turn.run is. The second is that of one which has begun on
 * a stack of its own. In turn.c. */
void weft_task_turn(struct weft_turn *turn);
void weft_task_turn_again(struct weft_turn *turn);

static inline bool weft_turn_is_task(const struct weft_turn *turn)
{
    return turn->run == weft_task_turn_again || turn->run == weft_task_turn;
}

/* Its turn is its own again, after it has run something else in its name (move.c, view.c). */
static inline void weft_task_turn_restore(struct weft_task *task)
{
    bool has_stack = weft_get(&task->has_begun) && !task->is_compact;
    task->turn.run = has_stack ? weft_task_turn_again : weft_task_turn;
}

/* task.c ------------------------------------------------------------------------------------ */

struct weft_task_spec {
    struct weft_dispatcher *dispatcher;
    weft_fn fn;
    void *arg;
    const void *item; /* copied, unless NULL */
    size_t item_bytes;
    const char *name;
    enum weft_start start;
    size_t stack_bytes;
    bool has_handle, is_compact;
};

/* What the launch writes, but for its number. */
static inline void weft_task_init(struct weft_task *task, struct weft_dispatcher *d, weft_fn fn,
                                  void *arg, int stack_class)
{
    /* Not all of it at once: that compiles to `rep stos`, which costs 10 ns before it begins. */
    memset(&task->stack_class, 0,
           offsetof(struct weft_task, tree) - offsetof(struct weft_task, stack_class));
    task->turn = (struct weft_turn){ .run = weft_task_turn };
    task->fn = fn;
    task->arg = arg;
    task->stack_class = (int8_t)stack_class;
    task->tree = NULL;
    task->scope = NULL;
    task->node = (struct berth_list_node){ .next = NULL };
    weft_put(&task->dispatcher, d);
    task->fields = NULL;
    task->feels = &task->is_cancelled;
    weft_put(&task->phase, WEFT_PHASE_QUEUED);
}

/* Reserves all that its life needs. 0, -ENOMEM or -EINVAL. Neither queued nor in a scope yet. */
int weft_task_new(const struct weft_task_spec *spec, struct weft_task **ret_task);

/* At a door that takes a handle (not NULL): dies if it is dead, as far as the memory tells. */
static inline void weft_task_check(const struct weft_task *task, const char *call)
{
    WEFT_REQUIRE(
        task->has_handle && weft_get(&task->phase) != WEFT_PHASE_GONE,
        "%s: the handle of a coroutine is dead: its scope (or it, if a root) has been closed",
        call);
}

/* A dropped one goes with the second call: it is still in its queue. */
void weft_task_free(struct weft_task *task);

/* Queues a task for its first turn. If it is refused (negative) and linked into its scope, then
 * weft_task_refused(), without the tree's lock. */
int weft_task_start(struct weft_task *task);

/* Tells a scope of the children that thread->ended holds. Before anything runs on the thread that
 * is not a child of that scope; the thread itself, without locks, if thread->ended_count > 0. */
#define WEFT_ENDED_MAX 64
void weft_tasks_settle(struct weft_thread *thread);

/* The end of a task that will not run (any more): task->rc is set. Frees it unless it has a handle.
 * Call without locks (but that of the timers). */
void weft_task_finish(struct weft_task *task);

/* Whether the coroutine is cancelled, as it feels it where it stands. */
static inline bool weft_task_is_cancelled(const struct weft_task *task)
{
    return atomic_load_explicit(task->feels, memory_order_seq_cst);
}

/* What a waiting coroutine gets to see of an ended task. */
int weft_task_result(const struct weft_task *task);

/* What a start that was refused does to a task that is linked already: it fails, unless it was
 * dropped meanwhile. Without the lock. */
void weft_task_refused(struct weft_task *task, int rc);

/* In a supervisor nobody else hears of a launch that failed. As the last act of the child itself,
 * so that the handler sees its context, and the scope is certainly still open. */
void weft_task_report(struct weft_task *self);

/* turn.c ------------------------------------------------------------------------------------ */

/* For who holds the turn of a coroutine, before it can go on: FIRST: it has not run so far.
 * DROPPED: it will not, and is not to be touched but by weft_task_free(). */
enum weft_claim { WEFT_CLAIM_FIRST, WEFT_CLAIM_GOES_ON, WEFT_CLAIM_DROPPED };
enum weft_claim weft_task_claim(struct weft_task *task);

/* Goes over to a coroutine that has begun; comes back when that leaves: at once, if the caller is a
 * coroutine, too; on the thread's own stack when there is no next one. */
void weft_task_resume(struct weft_thread *thread, struct weft_task *task);

/* Queues a coroutine that goes on, on its own dispatcher. Any lock held. */
void weft_task_dispatch(struct weft_task *task);

/* Leaves the stack of the calling coroutine; comes back with its next turn. */
void weft_task_leave(struct weft_task *self, enum weft_after after);

/* The same for a compact one, in two halves around the switch, so that the caller can do that in
 * its own frame: with each frame less to be saved a million of them are some dozen MB smaller. back
 * returns the coroutine itself.
 *
 *     struct weft_fiber *to = weft_compact_leave(thread, after);
 *     thread = weft_fiber_switch_with(&self->compact.fiber, to, thread);
 *     self = weft_compact_back(thread);
 */
struct weft_fiber *weft_compact_leave(struct weft_thread *thread, enum weft_after after);
struct weft_task *weft_compact_back(struct weft_thread *thread);

/* move.c ------------------------------------------------------------------------------------ */

/* A coroutine has left its stack to move: it is handed in where it wants to go. */
void weft_move_arrived(struct weft_task *task);

/* task_name.c ---------------------------------------------------------------------------------*/

#define WEFT_NAME_BYTES 96
/* The given name, or the symbol of fn; in `buffer`, of WEFT_NAME_BYTES, or borrowed. */
const char *weft_task_name(const struct weft_task *task, char *buffer);
const char *weft_fn_name(weft_fn fn, char *buffer);

/* The same, and static functions, too: read files, so not in a signal handler or under a lock. In a
 * coroutine whose libc calls park they park. */
const char *weft_task_name_search(const struct weft_task *task, char *buffer);
const char *weft_fn_name_search(weft_fn fn, char *buffer);

/* For a new coroutine, never used before: 1 and up. In dumps and recordings. */
uint64_t weft_task_id_new(struct weft_thread *thread);

/* All ids given so far are below this; a few that will be are, too. */
uint64_t weft_task_ids_end(void);

/* wait.c ------------------------------------------------------------------------------------ */

/* What every call that waits asks first: -EPERM (a plain thread and a deadline other than 0),
 * -ECANCELED, or 0. `self` may be NULL. */
int weft_wait_check(const struct weft_task *self, int64_t deadline_ns);

/* Parks the calling coroutine until *is_done, cancelled, or the deadline: 0, -ECANCELED (first, for
 * the guarantee of promptness), -ETIMEDOUT; or -ENOMEM, without having waited. Spurious wakes are
 * dealt with. Holding no lock. `what`, for the dump: see reason.h. */
int weft_wait(struct weft_task *self, const char *what, const atomic_bool *is_done,
              int64_t deadline_ns);

/* The same, deaf to cancelling. */
int weft_wait_deaf_until(struct weft_task *self, const char *what, const atomic_bool *is_done,
                         int64_t deadline_ns);

/* The same, deaf to cancelling, without end. */
void weft_wait_deaf(struct weft_task *self, const char *what, const atomic_bool *is_done);

/* Wakes a parked coroutine, or leaves it a token. Under the lock by which it was found. */
void weft_wake(struct weft_task *task);

/* The same in two steps. claim: leaves a token, or true: it was parked, and stays where it is until
 * the caller, and nobody else, lets it go on. */
bool weft_wake_claim(struct weft_task *task);
bool weft_wake_claim_parked(struct weft_task *task); /* leaves no token */
void weft_wake_go(struct weft_task *task);

static inline bool weft_waiter_is_there(const struct weft_task *task)
{
    return !task->is_small || task->has_box;
}

int weft_waiter_reserve_slow(struct weft_task *self);

/* The waiter of the calling coroutine has a place from now on: 0 or -ENOMEM. Before it joins a
 * queue, without locks. A small block has none to begin with: those who only sleep need none. */
static inline int weft_waiter_reserve(struct weft_task *self)
{
    return weft_waiter_is_there(self) ? 0 : weft_waiter_reserve_slow(self);
}

static inline struct weft_waiter *weft_task_waiter(struct weft_task *task)
{
    return task->has_box ? task->box : &task->waiter;
}

/* cancel.c ---------------------------------------------------------------------------------- */

/* What a walk leaves to be done when the lock is gone. All-zero at first. */
struct weft_reap {
    struct weft_task *ended; /* will never run: to be finished */
};

/* Under the tree's lock: cancels a task, a scope (body and children), the children of a scope, or
 * those of them that are held. Then, without it, weft_reap(). */
void weft_cancel_task(struct weft_task *task, struct weft_reap *reap);
void weft_cancel_scope(struct weft_scope_state *scope, struct weft_reap *reap);
void weft_cancel_children(struct weft_scope_state *scope, struct weft_reap *reap);
void weft_cancel_held(struct weft_scope_state *scope, struct weft_reap *reap);
void weft_reap(struct weft_reap *reap);

/* All of it, for a task without a handle, too: without the lock. */
void weft_cancel_now(struct weft_task *task);

/* scope.c ----------------------------------------------------------------------------------- */

/* Under the tree's lock: something inside failed (rc) or the time is up. */
void weft_scope_fail(struct weft_scope_state *scope, int rc, struct weft_reap *reap);

/* The same, without it. */
void weft_scope_fail_now(struct weft_scope_state *scope, int rc);

/* Under the tree's lock: a child has ended. Afterwards the scope may be gone when the lock is. */
void weft_scope_child_ended(struct weft_scope_state *scope, struct weft_task *child,
                            struct weft_reap *reap);

/* The same for some that have ended well, and are not in its list any more. */
void weft_scope_children_left(struct weft_scope_state *scope, unsigned count,
                              struct weft_reap *reap);

/* The scope behind the public struct; dies unless it is open. `call`: for the message. */
struct weft_scope_state *weft_scope_state(struct weft_scope *scope, const char *call);

/* field.c ----------------------------------------------------------------------------------- */

/* Frees the fields from `first` up to, but without, `end`. */
void weft_fields_free(struct weft_field *first, const struct weft_field *end);

/* element.c --------------------------------------------------------------------------------- */

/* On the calling coroutine's own stack, when it has_elements: when it begins to run or runs on, and
 * before it leaves its thread. */
void weft_elements_install(struct weft_task *self);
void weft_elements_uninstall(struct weft_task *self);

/* A scope that closes: uninstalls its own ones. Its owner has_elements. */
void weft_elements_leave(struct weft_scope_state *scope);

/* Whether a coroutine launched with this context has_elements. */
bool weft_elements_are_in(const struct weft_field *fields);

/* dump.c ------------------------------------------------------------------------------------ */

/* A place among the children of a scope at which a dump will go on. To all others it is a child
 * that has ended. */
struct weft_mark {
    unsigned depth;
    struct weft_mark *next; /* in tree->marks */
    struct weft_task task;  /* without a function */
};

/* Under the tree's lock, when there are marks: the scope is about to be gone. Its marks go on
 * behind its owner. */
void weft_marks_leave(const struct weft_scope_state *scope);

/* Under the tree's lock: the next in depth-first order, marks included (they have no `fn`), or
 * NULL.
 */
struct weft_task *weft_task_walk(struct weft_task *task, unsigned *depth);

/* weft_dump(), which gives up (-ECANCELED) as soon as `stop_fd` can be read; -1: never. */
int weft_dump_until(int fd, int stop_fd);

/* runtime.c --------------------------------------------------------------------------------- */

/* Starts it, unless it runs. 0 or -errno. */
int weft_runtime_start(void);

/* Counts coroutines against tasks_max: 0 or -ENOMEM. */
extern atomic_bool weft_tasks_are_limited __attribute__((visibility("hidden")));
int weft_tasks_enter(void);
void weft_tasks_leave(void);
size_t weft_stack_bytes_default(void);
int weft_stack_class_default(void); /* the class of that */

/* The trees, for the dump: the one after `tree` (NULL: the first), with a reference, which moves on
 * from `tree`. */
struct weft_tree *weft_tree_next(struct weft_tree *tree);

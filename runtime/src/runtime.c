/* SPDX-License-Identifier: MIT
 *
 * The doors: options, the start of the threads, roots, the end.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "cores.h"
#include "custom.h"
#include "die.h"
#include "fence.h"
#include "fixed.h"
#include "immediate.h"
#include "intercept.h"
#include "intercept_child.h"
#include "intercept_kind.h"
#include "intercept_sem.h"
#include "overflow.h"
#include "poller.h"
#include "quit.h"
#include "service.h"
#include "stack.h"
#include "sys.h"
#include "test_run.h"
#include "thread_set.h"
#include "trace.h"
#include "tree.h"
#include "view.h"

#define THREADS_MAX_DEFAULT 4096
#define THREADS_MAX_MAX     65535
#define THREADS_MIN         2
#define IO_THREADS_DEFAULT  64
/* Sanitizers put much more on the stack. */
#define STACK_BYTES_DEFAULT ((size_t)(WEFT_ASAN || WEFT_TSAN ? 256 : 64) << 10)

/* Or the linker would leave out of a program what only its shared libraries call. */
extern const char weft_draws_c11, weft_draws_child, weft_draws_cond, weft_draws_join,
    weft_draws_mutex, weft_draws_name, weft_draws_rwlock, weft_draws_sem;
static const char *const draws[]
    __attribute__((used)) = { &weft_draws_c11,    &weft_draws_child, &weft_draws_cond,
                              &weft_draws_join,   &weft_draws_mutex, &weft_draws_name,
                              &weft_draws_rwlock, &weft_draws_sem };

static struct {
    pthread_mutex_t lock;
    bool is_started;
    struct weft_opts opts; /* zero: the default */
    struct berth_list trees;
    atomic_int stack_class;                      /* of stack_bytes */
    atomic_size_t tasks, tasks_max, stack_bytes; /* of the opts, with the defaults put in */
} runtime = { .lock = PTHREAD_MUTEX_INITIALIZER, .stack_bytes = STACK_BYTES_DEFAULT };

static int opts_check(const struct weft_opts *opts)
{
    for (size_t i = 0; i < sizeof opts->reserved / sizeof opts->reserved[0]; i++) {
        if (opts->reserved[i] != 0)
            return -EINVAL;
    }
    if (opts->stack_bytes != 0 &&
        (opts->stack_bytes < WEFT_STACK_BYTES_MIN || opts->stack_bytes > WEFT_STACK_BYTES_MAX))
        return -EINVAL;
    if (opts->threads_max > THREADS_MAX_MAX || opts->io_threads > THREADS_MAX_MAX)
        return -EINVAL;
    unsigned threads_max = opts->threads_max > 0 ? opts->threads_max : THREADS_MAX_DEFAULT;
    if (opts->threads >= threads_max || threads_max < 2)
        return -EINVAL;
    return 0;
}

int weft_configure(const struct weft_opts *opts)
{
    int rc = opts_check(opts);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&runtime.lock);
    if (runtime.is_started)
        rc = -EALREADY;
    else
        runtime.opts = *opts;
    (void)pthread_mutex_unlock(&runtime.lock);
    return rc;
}

static void limits_find(const struct weft_opts *opts, struct weft_pool_limits *ret_limits)
{
    unsigned cores = weft_cores();
    unsigned threads_max = opts->threads_max > 0 ? opts->threads_max : THREADS_MAX_DEFAULT;
    unsigned threads = opts->threads > 0 ? opts->threads : cores;
    if (opts->threads == 0 && threads < THREADS_MIN)
        threads = THREADS_MIN;
    if (threads >= threads_max) /* of a machine with very many cores, or threads_max 2 */
        threads = threads_max - 1;
    unsigned io_threads = opts->io_threads;
    if (io_threads == 0)
        io_threads = cores > IO_THREADS_DEFAULT ? cores : IO_THREADS_DEFAULT;
    if (io_threads > threads_max - threads)
        io_threads = threads_max - threads;
    unsigned rest = threads_max - threads - io_threads;
    *ret_limits = (struct weft_pool_limits){
        .threads = threads,
        .io_threads = io_threads,
        .virtual_threads = opts->threads > 0 ? threads : cores,
        .blocking_threads = rest > 0 ? rest : 1,
        .threads_max = threads_max,
    };
}

/* Under the lock. */
static int start(void)
{
    if (runtime.is_started)
        return 0;
    struct weft_pool_limits limits;
    limits_find(&runtime.opts, &limits);
    runtime.stack_bytes =
        runtime.opts.stack_bytes > 0 ? runtime.opts.stack_bytes : STACK_BYTES_DEFAULT;
    runtime.stack_class = weft_stack_class(runtime.stack_bytes);
    runtime.tasks_max = runtime.opts.tasks_max > 0 ? runtime.opts.tasks_max : SIZE_MAX;
    weft_tasks_are_limited = runtime.opts.tasks_max > 0;
    weft_fence_open();
    int rc = weft_service_open();
    if (rc < 0)
        return rc;
    rc = weft_threads_open(&limits);
    if (rc < 0) {
        weft_service_close();
        return rc;
    }
    weft_intercept_set(!runtime.opts.no_intercept);
    weft_fd_process_set();
    weft_child_open();
    weft_overflow_open();
    if (!runtime.opts.no_sigquit_dump)
        weft_quit_open();
    weft_trace_start_by_environment();
    berth_list_init(&runtime.trees);
    runtime.is_started = true;
    return 0;
}

int weft_runtime_start(void)
{
    (void)pthread_mutex_lock(&runtime.lock);
    int rc = start();
    (void)pthread_mutex_unlock(&runtime.lock);
    return rc;
}

int weft_shutdown(void)
{
    bool has_quit = weft_quit_close(); /* first of all, for its dump holds on to trees */
    (void)pthread_mutex_lock(&runtime.lock);
    int rc = 0;
    bool was_started = runtime.is_started;
    if (weft_customs_are_open() || weft_fixed_are_open() ||
        (was_started && !berth_list_is_empty(&runtime.trees))) {
        rc = -EBUSY;
        if (has_quit)
            weft_quit_open();
    } else if (was_started) {
        weft_threads_close();
        weft_fixed_fini();
        weft_service_close();
        weft_sem_close();
        weft_overflow_close();
        weft_fd_fini();
        weft_stack_fini();
        weft_task_block_fini();
        runtime.is_started = false;
        runtime.opts = (struct weft_opts){ 0 };
    }
    if (rc == 0) { /* these may be older than the start */
        weft_views_fini(NULL);
        weft_customs_fini();
    }
    (void)pthread_mutex_unlock(&runtime.lock);
    return rc;
}

atomic_bool weft_tasks_are_limited;

int weft_tasks_enter(void)
{
    size_t tasks_max = atomic_load_explicit(&runtime.tasks_max, memory_order_relaxed);
    if (tasks_max == SIZE_MAX || atomic_fetch_add(&runtime.tasks, 1) < tasks_max)
        return 0;
    runtime.tasks--;
    return -ENOMEM;
}

void weft_tasks_leave(void)
{
    if (atomic_load_explicit(&runtime.tasks_max, memory_order_relaxed) != SIZE_MAX)
        runtime.tasks--;
}

int weft_stack_class_default(void)
{
    return atomic_load_explicit(&runtime.stack_class, memory_order_relaxed);
}

size_t weft_stack_bytes_default(void)
{
    return runtime.stack_bytes;
}

static struct weft_tree *tree_new(void)
{
    struct weft_tree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return NULL;
    tree->refs = 1;
    return tree;
}

/* The last reference takes the tree with it. Under the runtime's lock. */
static void tree_unref(struct weft_tree *tree)
{
    if (--tree->refs > 0)
        return;
    if (berth_list_is_linked(&tree->node))
        berth_list_remove(&tree->node);
    if (tree->root)
        weft_task_free(tree->root);
    free(tree);
}

struct weft_tree *weft_tree_next(struct weft_tree *tree)
{
    (void)pthread_mutex_lock(&runtime.lock);
    struct weft_tree *next = NULL;
    if (runtime.is_started) {
        struct berth_list_node *node =
            tree ? berth_list_next(&runtime.trees, &tree->node) : berth_list_first(&runtime.trees);
        next = node ? berth_container_of(node, struct weft_tree, node) : NULL;
    }
    if (next)
        next->refs++;
    if (tree)
        tree_unref(tree);
    (void)pthread_mutex_unlock(&runtime.lock);
    return next;
}

static void tree_free(struct weft_tree *tree)
{
    (void)pthread_mutex_lock(&runtime.lock);
    tree_unref(tree);
    (void)pthread_mutex_unlock(&runtime.lock);
}

/* Makes the tree and its root, and puts it among the others. 0 or -errno. */
static int tree_open(const struct weft_task_spec *spec, struct weft_tree **ret_tree)
{
    (void)pthread_mutex_lock(&runtime.lock);
    int rc = start();
    struct weft_tree *tree = rc == 0 ? tree_new() : NULL;
    if (rc == 0)
        rc = tree ? weft_task_new(spec, &tree->root) : -ENOMEM;
    if (rc == 0) {
        tree->root->tree = tree;
        tree->test = weft_test_here();
        berth_list_push_back(&runtime.trees, &tree->node);
        *ret_tree = tree;
    } else if (tree) {
        tree_unref(tree);
    }
    (void)pthread_mutex_unlock(&runtime.lock);
    return rc;
}

static int root_start(struct weft_dispatcher *d, weft_fn fn, void *arg, struct weft_task **ret_root)
{
    struct weft_task_spec spec = {
        .dispatcher = d ? d : weft_default(),
        .fn = fn,
        .arg = arg,
        .has_handle = true,
    };
    bool is_here = weft_starts_here(&spec.dispatcher);
    if (!weft_test_fits(weft_test_here(), spec.dispatcher))
        return weft_test_foreign("weft_root_open", spec.dispatcher);
    struct weft_tree *tree = NULL;
    int rc = tree_open(&spec, &tree);
    if (rc < 0)
        return rc;
    struct weft_task *root = tree->root;
    if (is_here) {
        weft_start_here(root);
        *ret_root = root;
        return 0;
    }
    weft_tree_lock(tree);
    rc = weft_task_start(root);
    weft_tree_unlock(tree);
    if (rc < 0)
        tree_free(tree);
    else
        *ret_root = root;
    return rc;
}

/* Why the last weft_root_open() of a thread failed, for weft_root_close(NULL). Never inlined: a
 * coroutine may come back on another thread. */
__attribute__((noinline)) static int swap_refusal(int next)
{
    static _Thread_local int refusal;
    int last = refusal;
    refusal = next;
    return last;
}

struct weft_task *weft_root_open(struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    struct weft_task *root = NULL;
    int rc = root_start(d, fn, arg, &root);
    if (rc < 0)
        (void)swap_refusal(rc);
    return root;
}

/* Blocks a plain thread. */
static void block_until_end(struct weft_task *root)
{
    struct weft_tree *tree = root->tree;
    while (!tree->has_ended)
        weft_sys_futex_wait(&tree->has_ended, 0);
    weft_tree_lock(tree); /* whoever ended it is out of there */
    weft_tree_unlock(tree);
}

static int take_result(struct weft_task *root)
{
    int rc = weft_task_result(root);
    tree_free(root->tree);
    return rc;
}

int weft_root_close(struct weft_task *root)
{
    if (!root) {
        int rc = swap_refusal(0);
        return rc < 0 ? rc : -ENOMEM;
    }
    weft_task_check(root, "weft_root_close");
    WEFT_REQUIRE(!root->scope,
                 "weft_root_close: not a root, but a task of the scope that %s() opened",
                 root->scope->opened_by);
    const struct weft_task *self = weft_self();
    if (self == root)
        return -EDEADLK;
    if (!self) {
        block_until_end(root);
        return take_result(root);
    }
    /* Its result may be any number: only the phase says whether it has ended. */
    int rc = weft_await(root);
    weft_tree_lock(root->tree);
    bool has_ended = root->phase == WEFT_PHASE_ENDED;
    weft_tree_unlock(root->tree);
    return rc != -ECANCELED && has_ended ? take_result(root) : rc;
}

/* Parks a coroutine, and hands on its cancelling. */
static void park_until_end(struct weft_task *self, struct weft_task *root)
{
    struct weft_tree *tree = root->tree;
    weft_tree_lock(tree);
    bool has_ended = root->phase == WEFT_PHASE_ENDED;
    if (!has_ended)
        weft_waiters_join(&root->awaiters, self);
    weft_tree_unlock(tree);
    if (has_ended)
        return;
    if (weft_wait(self, "run", &self->is_done, WEFT_NEVER) == -ECANCELED) {
        weft_cancel(root);
        weft_wait_deaf(self, "run", &self->is_done);
    }
    weft_tree_lock(tree); /* the waker is out of there */
    weft_tree_unlock(tree);
}

int weft_run(weft_fn fn, void *arg)
{
    struct weft_task *self = weft_self();
    int rc = self ? weft_waiter_reserve(self) : 0;
    if (rc < 0)
        return rc;
    struct weft_task *root;
    rc = root_start(weft_default(), fn, arg, &root);
    if (rc < 0)
        return rc;
    if (self)
        park_until_end(self, root);
    else
        block_until_end(root);
    return take_result(root);
}

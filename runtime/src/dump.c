/* SPDX-License-Identifier: MIT
 *
 * The tree of coroutines as text, through a small buffer: no memory is taken, however many there
 * are. The walk has no stack either; it goes down by the children and up by the scopes' owners.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tree.h"

#define BUFFER_BYTES 4096
#define LINE_BYTES   256
#define DEPTH_SHOWN  20 /* deeper ones are not indented further */

struct writer {
    int fd, rc;
    size_t used;
    char buffer[BUFFER_BYTES];
};

static void flush(struct writer *w)
{
    size_t done = 0;
    while (done < w->used && w->rc == 0) {
        ssize_t written = write(w->fd, w->buffer + done, w->used - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno != EINTR)
            w->rc = -errno;
    }
    w->used = 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct writer *w, const char *format, ...)
{
    if (w->used > BUFFER_BYTES - LINE_BYTES)
        flush(w);
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of va_start */
    int wanted = vsnprintf(w->buffer + w->used, LINE_BYTES, format, args);
    va_end(args);
    if (wanted > 0)
        w->used += (size_t)wanted < LINE_BYTES ? (size_t)wanted : LINE_BYTES - 1;
}

static const char *state_of(const struct weft_task *task)
{
    switch ((enum weft_phase)task->phase) {
    case WEFT_PHASE_HELD: return "held";
    case WEFT_PHASE_QUEUED: return "queued";
    case WEFT_PHASE_STARTED: break;
    case WEFT_PHASE_DROPPED:
    case WEFT_PHASE_ENDED: return "ended";
    }
    if (task->is_on_thread)
        return "running";
    return task->park == WEFT_PARK_PARKED ? "parked" : "ready";
}

static void put_task(struct writer *w, const struct weft_task *task, unsigned depth)
{
    char name[WEFT_NAME_BYTES];
    const char *waits_for = task->waits_for;
    struct weft_dispatcher *d = task->dispatcher;
    unsigned shown = depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN;
    put(w, "%*s'%.96s' on %s: %s%s%s%s\n", (int)(2 * shown), "", weft_task_name(task, name),
        d->name, state_of(task), waits_for ? ", waits for " : "", waits_for ? waits_for : "",
        task->is_cancelled ? ", cancelled" : "");
}

static struct weft_task *first_child(const struct weft_scope_state *scope)
{
    for (const struct weft_scope_state *s = scope; s; s = s->inner) {
        struct berth_list_node *node = berth_list_first(&s->children);
        if (node)
            return berth_container_of(node, struct weft_task, node);
    }
    return NULL;
}

/* The next in depth-first order, or NULL. */
static struct weft_task *next_of(struct weft_task *task, unsigned *depth)
{
    struct weft_task *child = first_child(task->outermost);
    if (child) {
        ++*depth;
        return child;
    }
    while (task->scope) {
        const struct weft_scope_state *scope = task->scope;
        struct berth_list_node *node = berth_list_next(&scope->children, &task->node);
        if (node)
            return berth_container_of(node, struct weft_task, node);
        struct weft_task *cousin = first_child(scope->inner);
        if (cousin)
            return cousin;
        task = scope->owner;
        --*depth;
    }
    return NULL;
}

static void put_pool(struct writer *w)
{
    struct weft_pool_state state;
    weft_threads_look(&state);
    put(w, "weft: %u threads, %u idle", state.threads, state.idle);
    for (size_t i = 0; i < sizeof state.lanes / sizeof state.lanes[0]; i++) {
        put(w, "; %s: %u of %u running, %zu queued", state.lanes[i].name, state.lanes[i].running,
            state.lanes[i].limit, state.lanes[i].queued);
    }
    put(w, "\n");
}

int weft_dump(int fd)
{
    struct writer w = { .fd = fd };
    put_pool(&w);
    for (struct weft_tree *tree = weft_tree_next(NULL); tree; tree = weft_tree_next(tree)) {
        weft_lock_acquire(&tree->lock);
        unsigned depth = 1;
        for (struct weft_task *task = tree->root; task && w.rc == 0; task = next_of(task, &depth))
            put_task(&w, task, depth);
        weft_lock_release(&tree->lock);
    }
    flush(&w);
    return w.rc;
}

const char *weft_thread_name(void)
{
    static _Thread_local char name[16];
    const struct weft_thread *thread = weft_thread_self();
    if (thread && !thread->is_guest)
        return thread->name;
    if (pthread_getname_np(pthread_self(), name, sizeof name) != 0)
        name[0] = '\0';
    return name;
}

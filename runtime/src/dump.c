/* SPDX-License-Identifier: MIT
 *
 * The tree of coroutines as text. The walk has no stack: it goes down by the children and up by the
 * scopes' owners. It looks at a few coroutines at a time, leaves a mark at the next one, lets go of
 * the tree and writes; so neither the reader nor the number of coroutines is felt by anybody, and
 * the memory is that of a few.
 *
 * Under the lock facts are copied and no more: symbols are looked up afterwards. What started after
 * the dump did is left out, or a dump of a busy server would never end.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixed.h"
#include "reason.h"
#include "thread_set.h"
#include "tree.h"
#include "view.h"

#define BUFFER_BYTES PIPE_BUF /* a pipe that is writable takes so much at once */
#define LINE_BYTES   320
#define FD_BYTES     12
#define DEPTH_SHOWN  20 /* deeper ones are not indented further */
#define LOOKED_AT    64 /* coroutines under one hold of the lock */
#define REASONS_MAX  16 /* counted one by one; the rest together */

enum state { RUNNING, READY, QUEUED, PARKED, HELD, ENDED, STATE_COUNT };
static const char *const state_names[] = {
    "running", "ready", "queued", "parked", "held", "ended"
};

struct entry {
    uint64_t id;
    weft_fn fn;
    const char *waits_for; /* a text, or NULL */
    int fd;                /* for which; -1: for none */
    enum state state;
    unsigned depth;
    bool is_cancelled;
    char name[WEFT_NAME_BYTES];
    char place[WEFT_NAME_BYTES];
};

struct dump {
    int fd, stop_fd, rc;
    uint64_t ids_end; /* of those that were there at the start */
    size_t counts[STATE_COUNT], later, other_reasons;
    struct {
        const char *text;
        size_t count;
    } reasons[REASONS_MAX];
    size_t entry_count;
    struct entry entries[LOOKED_AT];
    size_t used;
    char buffer[BUFFER_BYTES];
    struct weft_mark mark; /* last, as a task is in it, which has its item behind it */
};

/* ---- writing ---- */

/* Until `fd` can be written; false: it is time to stop. */
static bool await_room(struct dump *d)
{
    struct pollfd fds[] = {
        { .fd = d->fd, .events = POLLOUT },
        { .fd = d->stop_fd, .events = POLLIN }, /* -1 is passed over */
    };
    while (poll(fds, 2, -1) < 0) {
    }
    if (fds[1].revents != 0)
        d->rc = -ECANCELED;
    return fds[1].revents == 0;
}

static void flush(struct dump *d)
{
    size_t done = 0;
    while (done < d->used && d->rc == 0) {
        if (d->stop_fd >= 0 && !await_room(d))
            break;
        ssize_t written = write(d->fd, d->buffer + done, d->used - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno == EAGAIN)
            (void)await_room(d);
        else if (errno != EINTR)
            d->rc = -errno;
    }
    d->used = 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct dump *d, const char *format, ...)
{
    if (d->used > BUFFER_BYTES - LINE_BYTES)
        flush(d);
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of va_start */
    int wanted = vsnprintf(d->buffer + d->used, LINE_BYTES, format, args);
    va_end(args);
    if (wanted > 0)
        d->used += (size_t)wanted < LINE_BYTES ? (size_t)wanted : LINE_BYTES - 1;
}

static void put_entry(struct dump *d, const struct entry *entry)
{
    char buffer[WEFT_NAME_BYTES];
    const char *name =
        entry->name[0] != '\0' ? entry->name : weft_fn_name_search(entry->fn, buffer);
    unsigned shown = entry->depth < DEPTH_SHOWN ? entry->depth : DEPTH_SHOWN;
    char number[FD_BYTES] = "";
    if (entry->fd >= 0)
        (void)snprintf(number, sizeof number, " %d", entry->fd);
    put(d, "%*s#%llu '%s'%s%s: %s%s%s%s%s\n", (int)(2 * shown), "", (unsigned long long)entry->id,
        name, entry->place[0] != '\0' ? " on " : "", entry->place, state_names[entry->state],
        entry->waits_for ? ", waits for " : "", entry->waits_for ? entry->waits_for : "", number,
        entry->is_cancelled ? ", cancelled" : "");
}

static void put_pool(struct dump *d)
{
    struct weft_pool_state state;
    weft_threads_look(&state);
    put(d, "weft: %u threads, %u idle, %u replaced", state.threads, state.idle, state.replaced);
    for (size_t i = 0; i < sizeof state.lanes / sizeof state.lanes[0]; i++) {
        put(d, "; %s: %u of %u running, %zu queued", state.lanes[i].name, state.lanes[i].running,
            state.lanes[i].limit, state.lanes[i].queued);
    }
    put(d, "\n");
    struct weft_lane_state fixed;
    for (size_t i = 0; d->rc == 0 && weft_fixed_look(i, &fixed); i++)
        put(d, "weft: pool '%s': %u of %u running, %zu queued\n", fixed.name, fixed.running,
            fixed.limit, fixed.queued);
    struct weft_view_state view;
    for (size_t i = 0; d->rc == 0 && weft_view_look(i, &view); i++) {
        bool is_more = view.queued == WEFT_VIEW_QUEUED_SHOWN_MAX;
        put(d, "weft: view '%s' of %s: %u of %u running, %zu%s queued\n", view.name, view.parent,
            view.running, view.limit, view.queued, is_more ? " or more" : "");
    }
}

static void put_sum(struct dump *d)
{
    size_t sum = 0;
    for (size_t i = 0; i < STATE_COUNT; i++)
        sum += d->counts[i];
    if (sum == 0)
        return;
    put(d, "weft: %zu coroutines", sum);
    const char *between = ": ";
    for (size_t i = 0; i < STATE_COUNT; i++) {
        if (d->counts[i] == 0)
            continue;
        put(d, "%s%zu %s", between, d->counts[i], state_names[i]);
        between = ", ";
    }
    between = "; waiting for ";
    for (size_t i = 0; i < REASONS_MAX && d->reasons[i].text; i++) {
        put(d, "%s%s %zu", between, d->reasons[i].text, d->reasons[i].count);
        between = ", ";
    }
    if (d->other_reasons > 0)
        put(d, ", others %zu", d->other_reasons);
    if (d->later > 0)
        put(d, "; %zu started meanwhile", d->later);
    put(d, "\n");
}

/* ---- looking, under the tree's lock ---- */

static enum state state_of(const struct weft_task *task)
{
    switch ((enum weft_phase)task->phase) {
    case WEFT_PHASE_HELD: return HELD;
    case WEFT_PHASE_QUEUED: break;
    case WEFT_PHASE_GONE:
    case WEFT_PHASE_ENDED: return ENDED;
    }
    if (task->fate >= WEFT_FATE_DROPPED_LAST)
        return ENDED;
    if (!task->has_begun)
        return QUEUED;
    if (task->is_on_thread)
        return RUNNING;
    return weft_get(&task->park.state) == WEFT_PARK_PARKED ? PARKED : READY;
}

/* A name must not make two lines of one. */
static void copy_name(char *to, const char *from)
{
    size_t at = 0;
    for (; at < WEFT_NAME_BYTES - 1 && from[at] != '\0'; at++)
        to[at] = (unsigned char)from[at] < ' ' ? '?' : from[at];
    to[at] = '\0';
}

static void count_reason(struct dump *d, const char *reason)
{
    size_t i = 0;
    while (i < REASONS_MAX && d->reasons[i].text && d->reasons[i].text != reason)
        i++;
    if (i == REASONS_MAX) {
        d->other_reasons++;
        return;
    }
    d->reasons[i].text = reason;
    d->reasons[i].count++;
}

static void look_at(struct dump *d, const struct weft_task *task, unsigned depth)
{
    if (task->id >= d->ids_end) {
        d->later++;
        return;
    }
    struct entry *entry = &d->entries[d->entry_count++];
    entry->id = task->id;
    entry->fn = task->fn;
    entry->depth = depth;
    entry->state = state_of(task);
    entry->is_cancelled = task->is_cancelled;
    bool has_begun = entry->state == RUNNING || entry->state == PARKED || entry->state == READY;
    const char *reason = has_begun ? task->waits_for : NULL;
    entry->waits_for = weft_reason_text(reason);
    entry->fd = weft_reason_fd(reason);
    copy_name(entry->name, task->has_name ? task->name : "");
    const struct weft_dispatcher *place = task->dispatcher;
    copy_name(entry->place,
              entry->state == ENDED ? "" : place->name); /* it may be closed by then */
    d->counts[entry->state]++;
    if (entry->waits_for)
        count_reason(d, entry->fd >= 0 ? "descriptors" : entry->waits_for);
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

struct weft_task *weft_task_walk(struct weft_task *task, unsigned *depth)
{
    struct weft_task *child = first_child(weft_task_scopes(task));
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

/* ---- marks, under the tree's lock ---- */

/* In front of `next`, which is not a root. */
static void mark_set(struct dump *d, struct weft_task *next, unsigned depth)
{
    struct weft_tree *tree = next->tree;
    struct weft_mark *mark = &d->mark;
    mark->depth = depth;
    mark->task.phase = WEFT_PHASE_ENDED;
    mark->task.tree = tree;
    mark->task.scope = next->scope;
    berth_list_insert_before(&next->node, &mark->task.node);
    mark->next = tree->marks;
    tree->marks = mark;
}

/* Takes the mark away, and returns what stands behind it, or NULL: nothing. */
static struct weft_task *mark_take(struct dump *d, struct weft_tree *tree, unsigned *ret_depth)
{
    struct weft_mark *mark = &d->mark, **link = &tree->marks;
    while (*link != mark)
        link = &(*link)->next;
    *link = mark->next;
    *ret_depth = mark->depth;
    struct weft_task *next = weft_task_walk(&mark->task, ret_depth);
    if (mark->task.scope)
        berth_list_remove(&mark->task.node);
    return next;
}

void weft_marks_leave(const struct weft_scope_state *scope)
{
    struct weft_task *owner = scope->owner;
    for (struct weft_mark *mark = owner->tree->marks; mark; mark = mark->next) {
        if (mark->task.scope != scope)
            continue;
        berth_list_remove(&mark->task.node);
        mark->task.scope = owner->scope;
        mark->depth--;
        if (owner->scope)
            berth_list_insert_before(owner->node.next, &mark->task.node);
    }
}

/* ---- the dump ---- */

/* Copies the facts of the next few; whether there are more, and a mark stands there. */
static bool look(struct dump *d, struct weft_tree *tree, bool has_mark)
{
    unsigned depth = 1;
    d->entry_count = 0;
    weft_tree_lock(tree);
    struct weft_task *task = has_mark ? mark_take(d, tree, &depth) : tree->root;
    for (size_t i = 0; task && i < LOOKED_AT; i++) {
        if (task->fn) /* no mark of another dump */
            look_at(d, task, depth);
        task = weft_task_walk(task, &depth);
    }
    if (task)
        mark_set(d, task, depth);
    weft_tree_unlock(tree);
    return task != NULL;
}

static void put_tree(struct dump *d, struct weft_tree *tree)
{
    bool has_more = false;
    do {
        has_more = look(d, tree, has_more);
        for (size_t i = 0; i < d->entry_count && d->rc == 0; i++)
            put_entry(d, &d->entries[i]);
    } while (has_more && d->rc == 0);
    if (has_more) {
        unsigned depth;
        weft_tree_lock(tree);
        (void)mark_take(d, tree, &depth);
        weft_tree_unlock(tree);
    }
}

/* On the heap, for the others see the mark, and a compact coroutine's stack comes and goes. */
int weft_dump_until(int fd, int stop_fd)
{
    struct dump *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->fd = fd;
    d->stop_fd = stop_fd;
    d->ids_end = weft_task_ids_end();
    put_pool(d);
    for (struct weft_tree *tree = weft_tree_next(NULL); tree; tree = weft_tree_next(tree)) {
        if (d->rc == 0)
            put_tree(d, tree);
    }
    put_sum(d);
    flush(d);
    int rc = d->rc;
    free(d);
    return rc;
}

int weft_dump(int fd)
{
    return weft_dump_until(fd, -1);
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

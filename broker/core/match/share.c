/* SPDX-License-Identifier: MIT */
#include "share.h"

/* Units of `used` in a millisecond of one slot at weight 1: the largest weight still counts. */
#define SHARE_UNITS      1000
#define OWN_WEIGHT       1
#define USUAL_MS_FIRST   1000
#define USUAL_MS_MAX     (60 * 60 * 1000)
#define USUAL_SMOOTHNESS 8 /* the newest is an eighth of the average */

static uint32_t weight_of(const struct dispatcher *dispatcher)
{
    return dispatcher->record.weight ? dispatcher->record.weight : 1;
}

static uint64_t used_by_now(const struct berth_core *core, const struct share *share,
                            uint64_t running, uint32_t weight)
{
    return share->used + (uint64_t)(core->now_ms - share->at_ms) * running * SHARE_UNITS / weight;
}

static void settle(const struct berth_core *core, struct share *share, uint64_t running,
                   uint32_t weight)
{
    share->used = used_by_now(core, share, running, weight);
    share->at_ms = core->now_ms;
}

void share_init(const struct berth_core *core, struct dispatcher *dispatcher)
{
    dispatcher->own.at_ms = dispatcher->branch.at_ms = core->now_ms;
    dispatcher->usual_ms = USUAL_MS_FIRST;
}

void share_settle(const struct berth_core *core, struct dispatcher *dispatcher)
{
    settle(core, &dispatcher->own, dispatcher->own_running, OWN_WEIGHT);
    settle(core, &dispatcher->branch, dispatcher->running, weight_of(dispatcher));
}

/* ---- who has what ---- */

static void lift(uint64_t *value, uint64_t to)
{
    if (*value < to)
        *value = to;
}

void share_start(const struct berth_core *core, struct dispatcher *dispatcher)
{
    share_settle(core, dispatcher);
    lift(&dispatcher->share_clock, dispatcher->own.used);
    for (struct dispatcher *at = dispatcher; at->parent; at = at->parent) {
        share_settle(core, at->parent);
        lift(&at->parent->share_clock, at->branch.used);
    }
}

void share_end(struct dispatcher *dispatcher, int64_t held_ms)
{
    for (; dispatcher; dispatcher = dispatcher->parent) {
        int64_t usual_ms = dispatcher->usual_ms;
        usual_ms += (held_ms - usual_ms) / USUAL_SMOOTHNESS;
        if (usual_ms < 1)
            usual_ms = 1;
        dispatcher->usual_ms = usual_ms < USUAL_MS_MAX ? usual_ms : USUAL_MS_MAX;
    }
}

static void add_running(const struct berth_core *core, struct dispatcher *at, uint64_t more)
{
    for (; at; at = at->parent) {
        share_settle(core, at);
        at->running += more;
    }
}

void share_move(const struct berth_core *core, struct dispatcher *dispatcher,
                struct dispatcher *parent)
{
    share_settle(core, dispatcher);
    add_running(core, dispatcher->parent, -dispatcher->running);
    dispatcher->parent = parent;
    dispatcher->branch.used = parent ? parent->share_clock : 0;
    add_running(core, parent, dispatcher->running);
}

/* ---- whose turn it is ---- */

/* The child of `top` above or at `dispatcher`; NULL: that is `top` itself. False: it does not stand
 * below it. */
static bool find_branch(struct dispatcher *dispatcher, const struct dispatcher *top,
                        struct dispatcher **ret_child)
{
    struct dispatcher *child = NULL;
    while (dispatcher && dispatcher != top) {
        child = dispatcher;
        dispatcher = dispatcher->parent;
    }
    *ret_child = child;
    return dispatcher;
}

static bool waits_below(const struct dispatcher *at, const struct dispatcher *top)
{
    struct dispatcher *child;
    BERTH_LIST_FOREACH (node, &at->waiting)
        if (find_branch(berth_container_of(node, struct dispatcher, wait_node), top, &child))
            return true;
    return false;
}

void share_come(const struct berth_core *core, struct dispatcher *dispatcher,
                const struct dispatcher *at)
{
    share_settle(core, dispatcher);
    lift(&dispatcher->own.used, dispatcher->share_clock);
    for (struct dispatcher *top = dispatcher; top != at && !waits_below(at, top);
         top = top->parent) {
        share_settle(core, top);
        lift(&top->branch.used, top->parent->share_clock);
    }
}

/* What the branch has had, and will have had when all that it runs has ended. */
static uint64_t claim(const struct berth_core *core, const struct dispatcher *top,
                      const struct dispatcher *child)
{
    const struct share *share = child ? &child->branch : &top->own;
    uint64_t running = child ? child->running : top->own_running;
    uint32_t weight = child ? weight_of(child) : OWN_WEIGHT;
    return used_by_now(core, share, running, weight) +
           running * (uint64_t)top->usual_ms * SHARE_UNITS / weight;
}

/* Of the branches of `top` with somebody who waits at `at`, the one that is next. */
static struct dispatcher *next_branch(const struct berth_core *core, const struct dispatcher *at,
                                      const struct dispatcher *top)
{
    struct dispatcher *best = NULL, *child;
    uint64_t least = 0;
    bool is_first = true;
    BERTH_LIST_FOREACH (node, &at->waiting) {
        if (!find_branch(berth_container_of(node, struct dispatcher, wait_node), top, &child))
            continue;
        uint64_t had = claim(core, top, child);
        if (is_first || had < least) {
            best = child;
            least = had;
        }
        is_first = false;
    }
    BERTH_ASSERT(!is_first);
    return best;
}

struct dispatcher *share_next(const struct berth_core *core, struct dispatcher *dispatcher)
{
    struct berth_list_node *first = berth_list_first(&dispatcher->waiting);
    BERTH_ASSERT(first != NULL);
    if (first == berth_list_last(&dispatcher->waiting))
        return berth_container_of(first, struct dispatcher, wait_node);
    struct dispatcher *top = dispatcher, *child;
    while ((child = next_branch(core, dispatcher, top)))
        top = child;
    return top;
}

/* SPDX-License-Identifier: MIT
 *
 * Waiting for one of several things.
 *
 * The channels are locked together, in the order of their addresses, while the select looks whether
 * something can happen at once, and while it joins their queues. So two selects cannot miss or
 * serve each other at the same time, and no select meets itself. After that it is one waiter among
 * others in each queue; whoever wants to serve it claims it first (channel.h).
 *
 * A task that ends claims nothing: its result is there for everybody, so it is enough to be woken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#include "channel.h"
#include "die.h"
#include "random.h"

#define ON_STACK_MAX 4 /* cases; more of them wait on the heap */
#define NONE         (-1)

struct select_node {
    struct weft_chan_node chan; /* of recv and send */
    struct weft_waiter task;    /* of await */
};

struct select {
    struct weft_task *self; /* NULL: a plain thread */
    struct weft_case *cases;
    size_t count;
    struct weft_chan **chans; /* in the order in which they are locked, each once */
    size_t chan_count;
    struct select_node *nodes;   /* one a case */
    struct weft_chan_call *call; /* beside the nodes, where others may write */
    char *sent;                  /* room there for what is sent; NULL: it stays with the caller */
};

static int check_cases(struct weft_task *self, struct weft_case *cases, size_t count);
static int run(struct select *select, int64_t deadline_ns);
static int run_boxed(struct select *select, size_t item_bytes, int64_t deadline_ns);

static struct weft_chan *chan_of(const struct weft_case *c)
{
    return c->recv ? c->recv : c->send;
}

int weft_select(struct weft_case *cases, size_t count, int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    if (count > WEFT_SELECT_CASES_MAX)
        return -EINVAL;
    rc = check_cases(self, cases, count);
    if (rc < 0)
        return rc;
    size_t item_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (cases[i].recv && cases[i].item_bytes > item_bytes)
            item_bytes = cases[i].item_bytes;
        if (cases[i].await && deadline_ns != 0)
            weft_task_release(cases[i].await);
    }
    struct select select = { .self = self, .cases = cases, .count = count };
    if (count > ON_STACK_MAX || item_bytes > WEFT_CHAN_INLINE_BYTES || !weft_lends_locals(self))
        return run_boxed(&select, item_bytes, deadline_ns);
    struct weft_chan *chans[ON_STACK_MAX];
    struct select_node nodes[ON_STACK_MAX];
    uint64_t item[WEFT_CHAN_INLINE_BYTES / sizeof(uint64_t)];
    struct weft_chan_call call = { .handover.task = self, .is_select = true, .item = item };
    select.chans = chans;
    select.nodes = nodes;
    select.call = &call;
    return run(&select, deadline_ns);
}

static int check_await(const struct weft_task *task, const struct weft_task *self)
{
    if (task == self)
        return -EDEADLK;
    weft_task_check(task, "weft_select");
    return 0;
}

/* Sets rc of them all: 0, but for the first that is wrong. */
static int check_cases(struct weft_task *self, struct weft_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cases[i].rc = 0;
    for (size_t i = 0; i < count; i++) {
        struct weft_case *c = &cases[i];
        if (!c->recv + !c->send + !c->await != 2)
            c->rc = -EINVAL;
        else if (c->await)
            c->rc = check_await(c->await, self);
        else if (c->item_bytes != chan_of(c)->item_bytes)
            c->rc = weft_chan_misfit(chan_of(c), "weft_select");
        if (c->rc < 0)
            return c->rc;
    }
    return 0;
}

static size_t rounded(size_t bytes)
{
    const size_t unit = _Alignof(max_align_t);
    return (bytes + unit - 1) / unit * unit;
}

/* The same with everything that others may touch on the heap: also what is sent, for it may lie on
 * a stack that they cannot reach. */
static int run_boxed(struct select *select, size_t item_bytes, int64_t deadline_ns)
{
    size_t count = select->count, sent_bytes = 0;
    for (size_t i = 0; i < count; i++)
        sent_bytes += select->cases[i].send ? rounded(select->cases[i].item_bytes) : 0;
    struct parts {
        struct weft_chan_call call;
        struct select_node nodes[];
    } * parts;
    size_t nodes_bytes = rounded(sizeof *parts + count * sizeof parts->nodes[0]);
    size_t chans_bytes = rounded(count * sizeof(struct weft_chan *));
    char *block = malloc(nodes_bytes + chans_bytes + rounded(item_bytes) + sent_bytes);
    if (!block)
        return -ENOMEM;
    parts = (struct parts *)(void *)block;
    char *items = block + nodes_bytes + chans_bytes;
    parts->call = (struct weft_chan_call){
        .handover.task = select->self,
        .is_select = true,
        .item = items,
    };
    select->call = &parts->call;
    select->nodes = parts->nodes;
    select->chans = (struct weft_chan **)(void *)(block + nodes_bytes);
    select->sent = items + rounded(item_bytes);
    int rc = run(select, deadline_ns);
    free(block);
    return rc;
}

/* ---- at once --------------------------------------------------------------------------------- */

/* By insertion: mostly there are two or three. */
static void sort_chans(struct select *select)
{
    for (size_t i = 0; i < select->count; i++) {
        struct weft_chan *chan = chan_of(&select->cases[i]);
        size_t place = select->chan_count;
        while (place > 0 && (uintptr_t)select->chans[place - 1] > (uintptr_t)chan)
            place--;
        if (!chan || (place > 0 && select->chans[place - 1] == chan))
            continue;
        memmove(&select->chans[place + 1], &select->chans[place],
                (select->chan_count - place) * sizeof(struct weft_chan *));
        select->chans[place] = chan;
        select->chan_count++;
    }
}

static void lock_all(const struct select *select)
{
    for (size_t i = 0; i < select->chan_count; i++)
        weft_chan_lock(select->chans[i]);
}

static void unlock_all(const struct select *select)
{
    for (size_t i = 0; i < select->chan_count; i++)
        weft_chan_unlock(select->chans[i]);
}

static bool is_ready(const struct weft_case *c)
{
    if (c->await)
        return c->await->phase == WEFT_PHASE_ENDED;
    return c->recv ? weft_chan_can_take(c->recv) : weft_chan_can_put(c->send);
}

/* One of the ready cases, each with the same probability, or NONE. */
static int choose(const struct select *select)
{
    int chosen = NONE;
    uint32_t ready_count = 0;
    for (size_t i = 0; i < select->count; i++) {
        if (!is_ready(&select->cases[i]))
            continue;
        ready_count++;
        if (ready_count == 1 || weft_random() % ready_count == 0)
            chosen = (int)i;
    }
    return chosen;
}

/* Under the locks. Lets one case happen: its index, or NONE. */
static int happen(struct select *select, struct weft_chan_after *after)
{
    int chosen;
    while ((chosen = choose(select)) != NONE) {
        struct weft_case *c = &select->cases[chosen];
        if (c->await)
            c->rc = weft_task_result(c->await);
        else if (c->recv)
            c->rc = weft_chan_take(c->recv, c->item, after);
        else
            c->rc = weft_chan_put(c->send, c->item, after);
        if (c->rc != -EAGAIN || c->await)
            return chosen;
        c->rc = 0; /* the select it was to meet has been served elsewhere */
    }
    return NONE;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* What is sent, where a receiver can reach it. */
static const void *lent_item(struct select *select, const struct weft_case *c)
{
    if (!select->sent || !c->send || c->item_bytes == 0)
        return c->item;
    char *item = select->sent;
    select->sent += rounded(c->item_bytes);
    return memcpy(item, c->item, c->item_bytes);
}

/* Under the locks. */
static void join_chans(struct select *select)
{
    for (size_t i = 0; i < select->count; i++) {
        struct weft_case *c = &select->cases[i];
        struct weft_chan_node *node = &select->nodes[i].chan;
        *node = (struct weft_chan_node){ .call = select->call, .item = lent_item(select, c) };
        if (!c->await)
            berth_list_push_back(c->recv ? &c->recv->receivers : &c->send->senders, &node->link);
    }
}

/* Without the locks: a tree's lock comes before them. */
static void join_tasks(struct select *select)
{
    atomic_bool *is_done = &select->call->handover.is_done;
    for (size_t i = 0; i < select->count; i++) {
        struct weft_task *task = select->cases[i].await;
        struct weft_waiter *waiter = &select->nodes[i].task;
        *waiter = (struct weft_waiter){ .task = select->self, .is_done = is_done };
        if (!task)
            continue;
        weft_tree_lock(task->tree);
        if (task->phase == WEFT_PHASE_ENDED)
            *is_done = true;
        else
            weft_waiters_push(&task->awaiters, waiter);
        weft_tree_unlock(task->tree);
    }
}

/* Afterwards nobody can serve it any more. */
static void leave(struct select *select)
{
    for (size_t i = 0; i < select->count; i++) {
        struct weft_chan *chan = chan_of(&select->cases[i]);
        struct berth_list_node *link = &select->nodes[i].chan.link;
        struct weft_task *task = select->cases[i].await;
        if (chan) {
            weft_chan_lock(chan);
            if (berth_list_is_linked(link))
                berth_list_remove(link);
            weft_chan_unlock(chan);
        } else {
            weft_tree_lock(task->tree);
            weft_waiters_leave(&task->awaiters, &select->nodes[i].task);
            weft_tree_unlock(task->tree);
        }
    }
}

/* A channel has served it. `rc`: how the wait ended. */
static int end_served(struct select *select, const struct weft_chan_node *node, int rc)
{
    const struct select_node *winner = berth_container_of(node, const struct select_node, chan);
    struct weft_case *c = &select->cases[winner - select->nodes];
    weft_handover_settle(&select->call->handover);
    bool has_sent = c->send && node->rc == 0, has_received = c->recv && node->rc == 1;
    if (rc == -ECANCELED && !has_sent &&
        (!has_received || weft_chan_put_back(c->recv, select->call)))
        return rc;
    if (has_received && c->item_bytes > 0)
        memcpy(c->item, select->call->item, c->item_bytes);
    c->rc = node->rc;
    return (int)(c - select->cases);
}

/* Of the tasks, when no channel has served it. */
static int end_by_task(struct select *select)
{
    int chosen = NONE;
    uint32_t ended_count = 0;
    for (size_t i = 0; i < select->count; i++) {
        const struct weft_case *c = &select->cases[i];
        if (c->await && is_ready(c) && weft_random() % ++ended_count == 0)
            chosen = (int)i;
    }
    if (chosen != NONE)
        select->cases[chosen].rc = weft_task_result(select->cases[chosen].await);
    return chosen;
}

static int run(struct select *select, int64_t deadline_ns)
{
    struct weft_chan_after after = { 0 };
    sort_chans(select);
    lock_all(select);
    int index = happen(select, &after);
    if (index == NONE && deadline_ns != 0)
        join_chans(select);
    unlock_all(select);
    weft_chan_after(&after);
    if (index != NONE)
        return index;
    if (deadline_ns == 0)
        return -ETIMEDOUT;

    join_tasks(select);
    int rc = weft_wait(select->self, "select", &select->call->handover.is_done, deadline_ns);
    leave(select);
    const struct weft_chan_node *node = select->call->winner;
    if (node)
        return end_served(select, node, rc);
    if (rc == -ECANCELED)
        return rc;
    index = end_by_task(select);
    BERTH_ASSERT(index != NONE || rc < 0);
    return index == NONE ? rc : index;
}

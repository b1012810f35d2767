/* SPDX-License-Identifier: MIT */
#include "unconfined.h"

#include "base/container.h"

#include "test_run.h"
#include "tree.h"

static int unconfined_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool unconfined_is_here(struct weft_dispatcher *d);

static const struct weft_ops unconfined_ops = {
    .dispatch = unconfined_dispatch,
    .is_here = unconfined_is_here,
};

struct weft_dispatcher weft_unconfined_dispatcher = { .name = "unconfined",
                                                      .ops = &unconfined_ops };

struct weft_dispatcher *weft_unconfined(void)
{
    return &weft_unconfined_dispatcher;
}

static int dispatch_to_default(struct weft_turn *turn)
{
    struct weft_dispatcher *d = weft_default();
    return d->ops->dispatch(d, turn);
}

/* The coroutine whose turn it is, if it is not on its way here from another dispatcher. */
static const struct weft_task *task_of(struct weft_turn *turn)
{
    return weft_turn_is_task(turn) ? berth_container_of(turn, struct weft_task, turn) : NULL;
}

static bool is_start(struct weft_turn *turn)
{
    const struct weft_task *task = task_of(turn);
    return task && !task->has_begun;
}

static bool has_yielded(struct weft_turn *turn)
{
    const struct weft_task *task = task_of(turn);
    return task && task->has_begun && task->after == WEFT_AFTER_YIELD;
}

static int unconfined_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    (void)d;
    const struct weft_task *task = task_of(turn);
    struct weft_test *test = task ? task->tree->test : NULL;
    if (test && test != weft_test_here())
        return weft_test_bring(test, turn);
    struct weft_thread *thread = weft_thread_self();
    if (turn->seat)
        return weft_turn_to_seat(turn);
    if (!thread || !thread->is_running || has_yielded(turn))
        return dispatch_to_default(turn);
    weft_turns_push(&thread->unconfined, turn);
    return 0;
}

/* Whether a start may be in place. */
static bool unconfined_is_here(struct weft_dispatcher *d)
{
    (void)d;
    const struct weft_thread *thread = weft_thread_self();
    return !thread || !thread->is_in_unconfined;
}

void weft_unconfined_start(struct weft_thread *thread, struct weft_task *task)
{
    bool was_in = thread->is_in_unconfined;
    thread->is_in_unconfined = true;
    weft_task_turn(&task->turn);
    weft_unconfined_run(thread);
    thread->is_in_unconfined = was_in;
}

/* Starts run here in any case; of those that were woken, so many in a row. */
void weft_unconfined_run(struct weft_thread *thread)
{
    unsigned woken_count = 0;
    while (!thread->pending) {
        struct weft_turn *turn = weft_turns_pop(&thread->unconfined);
        if (!turn)
            return;
        if (!is_start(turn) && ++woken_count > WEFT_UNCONFINED_TURNS_MAX)
            (void)dispatch_to_default(turn);
        else
            turn->run(turn);
    }
}

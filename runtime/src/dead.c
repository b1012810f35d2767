/* SPDX-License-Identifier: MIT */
#include "dead.h"

#include "die.h"

static int dead_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool dead_is_here(struct weft_dispatcher *d);

/* Two, so that the message can say how it ended. */
static const struct weft_ops ended_ops = { .dispatch = dead_dispatch, .is_here = dead_is_here };
static const struct weft_ops test_ended_ops = { .dispatch = dead_dispatch,
                                                .is_here = dead_is_here };

void *weft_dead_keep(struct weft_dead *dead, void *item)
{
    weft_lock_acquire(&dead->lock);
    void *oldest = dead->items[dead->next];
    dead->items[dead->next] = item;
    dead->next = (dead->next + 1) % WEFT_DEAD_MAX;
    weft_lock_release(&dead->lock);
    return oldest;
}

void weft_dispatcher_end(struct weft_dispatcher *d, bool is_of_test)
{
    *d = (struct weft_dispatcher){
        .name = d->name,
        .ops = is_of_test ? &test_ended_ops : &ended_ops,
        .test = (struct weft_test *)(void *)d, /* which no test run is, nor NULL */
    };
}

void weft_dispatcher_check(const struct weft_dispatcher *d, const char *call)
{
    WEFT_REQUIRE(d->ops != &ended_ops,
                 "%s: the handle of dispatcher '%s' is dead: it ended with weft_shutdown()", call,
                 d->name);
    WEFT_REQUIRE(d->ops != &test_ended_ops,
                 "%s: the handle of dispatcher '%s' is dead: it ended with its test run", call,
                 d->name);
}

/* Every door has looked before it comes to this. */
static int dead_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    (void)turn;
    weft_dispatcher_check(d, "dispatch");
    return 0;
}

static bool dead_is_here(struct weft_dispatcher *d)
{
    (void)d;
    return false;
}

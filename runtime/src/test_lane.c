/* SPDX-License-Identifier: MIT
 *
 * The dispatchers of a test run: bags of turns, from which one is drawn at a time.
 */
#include "test_run.h"

#include <errno.h>

#include "base/container.h"

#include "dead.h"
#include "die.h"
#include "random.h"
#include "tree.h"

static int lane_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool lane_is_here(struct weft_dispatcher *d);

static const struct weft_ops lane_ops = { .dispatch = lane_dispatch, .is_here = lane_is_here };

static struct weft_test_lane *lane_of(struct weft_dispatcher *d)
{
    return berth_container_of(d, struct weft_test_lane, base);
}

void weft_test_lanes_init(struct weft_test *test)
{
    static const char *const names[WEFT_TEST_LANE_COUNT] = {
        [WEFT_TEST_DEFAULT] = "default",   [WEFT_TEST_IO] = "io",
        [WEFT_TEST_BLOCKING] = "blocking", [WEFT_TEST_VIRTUAL] = "virtual",
        [WEFT_TEST_MAIN] = "main",
    };
    for (size_t i = 0; i < WEFT_TEST_LANE_COUNT; i++) {
        test->lanes[i].base = (struct weft_dispatcher){
            .name = names[i],
            .ops = &lane_ops,
            .intercepts = i == WEFT_TEST_VIRTUAL,
            .test = test,
        };
    }
}

struct weft_dispatcher *weft_test_door(enum weft_test_lane_kind kind, struct weft_dispatcher *real)
{
    struct weft_test *test = weft_test_here();
    return test ? &test->lanes[kind].base : real;
}

static void push(struct weft_test_lane *lane, struct weft_turn *turn)
{
    unsigned bucket = weft_random() % WEFT_TEST_BUCKETS;
    weft_turns_push(&lane->buckets[bucket], turn);
    lane->occupied |= UINT64_C(1) << bucket;
    lane->queued++;
    lane->base.test->ready_count++;
}

static int lane_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    struct weft_test *test = d->test;
    if (weft_test_here() == test) {
        push(lane_of(d), turn);
        return 0;
    }
    weft_lock_acquire(&test->inbox_lock);
    weft_turns_push(&lane_of(d)->inbox, turn);
    test->has_inbox = true;
    weft_lock_release(&test->inbox_lock);
    return 0;
}

int weft_test_bring(struct weft_test *test, struct weft_turn *turn)
{
    return lane_dispatch(&test->lanes[WEFT_TEST_DEFAULT].base, turn);
}

static bool lane_is_here(struct weft_dispatcher *d)
{
    const struct weft_test *test = weft_test_here();
    return test && test->here == lane_of(d);
}

void weft_test_collect(struct weft_test *test)
{
    if (!test->has_inbox)
        return;
    if (!test->is_inbox_touched)
        weft_say("weft_test_run: another thread has woken a coroutine of the run, which therefore "
                 "cannot be replayed");
    test->is_inbox_touched = true;
    weft_lock_acquire(&test->inbox_lock);
    test->has_inbox = false;
    for (size_t i = 0; i < WEFT_TEST_LANE_COUNT; i++) {
        for (struct weft_turn *turn; (turn = weft_turns_pop(&test->lanes[i].inbox));)
            push(&test->lanes[i], turn);
    }
    weft_lock_release(&test->inbox_lock);
}

static struct weft_turn *take_from(struct weft_test_lane *lane)
{
    unsigned skip = weft_random() % (unsigned)__builtin_popcountll(lane->occupied);
    uint64_t bits = lane->occupied;
    while (skip-- > 0)
        bits &= bits - 1;
    unsigned bucket = (unsigned)__builtin_ctzll(bits);
    struct weft_turn *turn = weft_turns_pop(&lane->buckets[bucket]);
    if (!lane->buckets[bucket].first)
        lane->occupied &= ~(UINT64_C(1) << bucket);
    lane->queued--;
    lane->base.test->ready_count--;
    return turn;
}

struct weft_turn *weft_test_take(struct weft_test *test)
{
    size_t index = weft_random() % test->ready_count;
    struct weft_test_lane *lane = test->lanes;
    while (index >= lane->queued) {
        index -= lane->queued;
        lane++;
    }
    test->here = lane;
    return take_from(lane);
}

struct weft_turn *weft_test_pop(struct weft_turns *turns, unsigned window)
{
    unsigned count = 0;
    for (const struct weft_turn *turn = turns->first; turn && count < window; turn = turn->next)
        count++;
    unsigned skip = count > 0 ? weft_random() % count : 0;
    if (skip == 0)
        return weft_turns_pop(turns);
    struct weft_turn *before = turns->first;
    while (--skip > 0)
        before = before->next;
    struct weft_turn *turn = before->next;
    before->next = turn->next;
    if (turns->last == turn)
        turns->last = before;
    return turn;
}

int weft_test_foreign(const char *call, const struct weft_dispatcher *d)
{
    weft_dispatcher_check(d, call);
    if (d->test)
        weft_say("%s: dispatcher '%s' belongs to a test run", call, d->name);
    else
        weft_say("%s: dispatcher '%s' was made outside this test run, for real threads", call,
                 d->name);
    return -ENOTSUP;
}

int weft_test_refuse(const char *what)
{
    char name[WEFT_NAME_BYTES];
    weft_say("coroutine '%s': %s: refused in a test run, for it depends on real time",
             weft_task_name_search(weft_self(), name), what);
    return -ENOTSUP;
}

void weft_test_uncaught(int rc)
{
    struct weft_test *test = weft_test_here();
    if (test && test->uncaught == 0)
        test->uncaught = rc;
}

/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <sched.h>

#define ROUNDS (TEST_IS_SLOW ? 200 : 5000)
#define PAIRS  8

/* Two coroutines on different dispatchers, thus threads, hand a token to and fro. A wake that is
 * lost once leaves them waiting. */
struct pair {
    struct weft_semaphore ping, pong;
};

static int player(struct weft_semaphore *mine, struct weft_semaphore *theirs)
{
    int rc = 0;
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        rc = weft_semaphore_acquire(mine, WEFT_NEVER);
        weft_semaphore_release(theirs);
    }
    return rc;
}

static int play_ping(void *arg)
{
    struct pair *pair = arg;
    return player(&pair->ping, &pair->pong);
}

static int play_pong(void *arg)
{
    struct pair *pair = arg;
    return player(&pair->pong, &pair->ping);
}

static int play(void *arg)
{
    struct pair *pairs = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < PAIRS; i++) {
        weft_semaphore_init(&pairs[i].ping, 1);
        weft_semaphore_init(&pairs[i].pong, 0);
        weft_launch(&scope, weft_default(), play_ping, &pairs[i]);
        weft_launch(&scope, weft_io(), play_pong, &pairs[i]);
    }
    return weft_scope_close(&scope, 0);
}

static void no_wake_is_lost_between_threads(void **state)
{
    (void)state;
    struct pair pairs[PAIRS];
    assert_int_equal(weft_run(play, pairs), 0);
}

/* A wake that meets the deadline: whichever comes first, it goes on once. */
struct meeting {
    struct weft_completion completion;
    int rc;
};

static int set_soon(void *arg)
{
    struct meeting *meeting = arg;
    int rc = weft_sleep_ms(1);
    return rc < 0 ? rc : weft_completion_set(&meeting->completion, 3);
}

static int meet(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++) {
        struct meeting meeting = { .rc = 0 };
        struct weft_scope scope;
        weft_scope_open(&scope);
        weft_launch(&scope, weft_io(), set_soon, &meeting);
        meeting.rc = weft_completion_wait(&meeting.completion, weft_deadline_ms(1));
        rc = weft_scope_close(&scope, 0);
        if (meeting.rc != 3 && meeting.rc != -ETIMEDOUT)
            rc = -EINVAL;
        if (rc == 0 && weft_completion_wait(&meeting.completion, 0) != 3)
            rc = -EIO;
    }
    return rc;
}

static void a_wake_and_a_deadline_at_once_give_one_of_both_results(void **state)
{
    (void)state;
    assert_int_equal(weft_run(meet, NULL), 0);
}

/* Woken on its own thread so often that it is biased to that (bias.h), then from a plain thread. */
#define FOREIGN_WAKES 40

struct mixed {
    struct weft_semaphore there, back;
    atomic_int asked; /* of the plain thread: wakes */
    int round_count;
};

static int local_rounds(int i)
{
    return 80 << i % 6;
}

static int send_back(void *arg)
{
    struct mixed *mixed = arg;
    int rc = 0;
    for (int i = 0; i < mixed->round_count && rc == 0; i++) {
        rc = weft_semaphore_acquire(&mixed->there, WEFT_NEVER);
        weft_semaphore_release(&mixed->back);
    }
    return rc;
}

static int serve(void *arg)
{
    struct mixed *mixed = arg;
    struct weft_scope scope;
    int rc = 0;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, send_back, mixed);
    for (int i = 0; i < FOREIGN_WAKES && rc == 0; i++) {
        for (int k = 0; k < local_rounds(i) && rc == 0; k++) {
            weft_semaphore_release(&mixed->there);
            rc = weft_semaphore_acquire(&mixed->back, WEFT_NEVER);
        }
        mixed->asked++;
        rc = rc == 0 ? weft_semaphore_acquire(&mixed->back, WEFT_NEVER) : rc;
    }
    return weft_scope_close(&scope, rc);
}

static void *wake_from_afar(void *arg)
{
    struct mixed *mixed = arg;
    for (int served = 0; served < FOREIGN_WAKES; served++) {
        while (mixed->asked == served)
            (void)sched_yield();
        weft_semaphore_release(&mixed->there);
    }
    return NULL;
}

static void no_wake_is_lost_that_comes_from_elsewhere_for_once(void **state)
{
    (void)state;
    struct mixed mixed = { .round_count = FOREIGN_WAKES };
    for (int i = 0; i < FOREIGN_WAKES; i++)
        mixed.round_count += local_rounds(i);
    weft_semaphore_init(&mixed.there, 0);
    weft_semaphore_init(&mixed.back, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_from_afar, &mixed), 0);
    assert_int_equal(weft_run(serve, &mixed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(no_wake_is_lost_between_threads),
        weft_unit_test(a_wake_and_a_deadline_at_once_give_one_of_both_results),
        weft_unit_test(no_wake_is_lost_that_comes_from_elsewhere_for_once),
    };
    return berth_test_main(tests, NULL, NULL);
}

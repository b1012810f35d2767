/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(no_wake_is_lost_between_threads),
        weft_unit_test(a_wake_and_a_deadline_at_once_give_one_of_both_results),
    };
    return berth_test_main(tests, NULL, NULL);
}

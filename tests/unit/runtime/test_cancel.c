/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <poll.h>
#include <unistd.h>

/* ---- every call that waits ------------------------------------------------------------------- */

struct waits {
    int (*call)(struct waits *waits);
    struct weft_mutex mutex, held;
    struct weft_cond cond;
    struct weft_semaphore semaphore;
    struct weft_completion completion;
    struct weft_task *endless;
    int pipe_fd;
    atomic_bool is_ready;
    int rc, next_rc, check_rc;
};

static int call_sleep(struct waits *waits)
{
    (void)waits;
    return weft_sleep_ms(TEST_WAIT_MS);
}

static int call_mutex(struct waits *waits)
{
    return weft_mutex_lock(&waits->held, WEFT_NEVER);
}

static int call_cond(struct waits *waits)
{
    int rc = weft_mutex_lock(&waits->mutex, WEFT_NEVER);
    if (rc < 0)
        return rc;
    rc = weft_cond_wait(&waits->cond, &waits->mutex, WEFT_NEVER);
    weft_mutex_unlock(&waits->mutex); /* it is locked again although cancelled: this would die */
    return rc;
}

static int call_semaphore(struct waits *waits)
{
    return weft_semaphore_acquire(&waits->semaphore, weft_deadline_ms(TEST_WAIT_MS));
}

static int call_completion(struct waits *waits)
{
    return weft_completion_wait(&waits->completion, WEFT_NEVER);
}

static int call_await(struct waits *waits)
{
    return weft_await(waits->endless);
}

static int call_await_all(struct waits *waits)
{
    return weft_await_all(&waits->endless, 1);
}

static int call_fd(struct waits *waits)
{
    return weft_fd_wait(waits->pipe_fd, POLLIN, WEFT_NEVER);
}

static int call_root_close(struct waits *waits)
{
    return weft_root_close(waits->endless);
}

static int call_yield(struct waits *waits)
{
    (void)waits;
    int rc;
    while ((rc = weft_yield()) == 0) {
    }
    return rc;
}

static int wait_in_call(void *arg)
{
    struct waits *waits = arg;
    waits->is_ready = true;
    waits->rc = waits->call(waits);
    waits->next_rc = waits->call(waits);
    waits->check_rc = weft_check();
    return waits->rc;
}

static int sleep_endless(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

static int cancel_in_call(void *arg)
{
    struct waits *waits = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    int rc = weft_mutex_lock(&waits->held, WEFT_NEVER);
    struct weft_task *task = weft_async(&scope, NULL, wait_in_call, waits);
    (void)test_await(&waits->is_ready);
    (void)weft_sleep_ms(5); /* most likely it is parked by now; it works either way */
    weft_cancel(task);
    if (rc == 0)
        rc = weft_await(task) == WEFT_ECHILD ? 0 : -EINVAL;
    weft_mutex_unlock(&waits->held);
    return weft_scope_close(&scope, rc);
}

static void every_call_that_waits_returns_ecanceled_and_so_does_the_next(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int (*const calls[])(struct waits *) = {
        call_sleep, call_mutex,     call_cond, call_semaphore,  call_completion,
        call_await, call_await_all, call_fd,   call_root_close, call_yield,
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct waits waits = { .call = calls[i], .pipe_fd = ends[0] };
        weft_semaphore_init(&waits.semaphore, 0);
        waits.endless = weft_root_open(NULL, sleep_endless, NULL);

        assert_int_equal(weft_run(cancel_in_call, &waits), 0);

        assert_int_equal(waits.rc, -ECANCELED);
        assert_int_equal(waits.next_rc, -ECANCELED);
        assert_int_equal(waits.check_rc, -ECANCELED);
        weft_cancel(waits.endless);
        assert_int_equal(weft_root_close(waits.endless), WEFT_ECHILD);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* ---- promptness ------------------------------------------------------------------------------ */

struct prompt {
    struct weft_semaphore semaphore;
    struct weft_mutex mutex;
    atomic_int waiting;
    int rc, mutex_rc;
};

static int want_permit(void *arg)
{
    struct prompt *prompt = arg;
    prompt->waiting++;
    prompt->rc = weft_semaphore_acquire(&prompt->semaphore, WEFT_NEVER);
    return prompt->rc;
}

static int want_mutex(void *arg)
{
    struct prompt *prompt = arg;
    prompt->waiting++;
    prompt->mutex_rc = weft_mutex_lock(&prompt->mutex, WEFT_NEVER);
    return prompt->mutex_rc;
}

/* On the only thread: nobody runs between the gift and the cancel. */
static int give_and_cancel(void *arg)
{
    struct prompt *prompt = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    int rc = weft_mutex_lock(&prompt->mutex, WEFT_NEVER);
    weft_launch(&scope, NULL, want_permit, prompt);
    weft_launch(&scope, NULL, want_mutex, prompt);
    while (prompt->waiting < 2 && rc == 0)
        rc = weft_yield();
    weft_semaphore_release(&prompt->semaphore);
    weft_mutex_unlock(&prompt->mutex);
    weft_scope_cancel_children(&scope);
    rc = weft_scope_close(&scope, rc);
    if (rc < 0)
        return rc;
    /* What was given to them is here again. */
    rc = weft_semaphore_acquire(&prompt->semaphore, 0);
    return rc < 0 ? rc : weft_mutex_lock(&prompt->mutex, 0);
}

static void cancelled_after_it_was_given_something_it_takes_nothing(void **state)
{
    (void)state;
    struct prompt prompt = { .rc = 0 };
    weft_semaphore_init(&prompt.semaphore, 0);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(give_and_cancel, &prompt), 0);

    assert_int_equal(prompt.rc, -ECANCELED);
    assert_int_equal(prompt.mutex_rc, -ECANCELED);
}

/* ---- deep and wide --------------------------------------------------------------------------- */

#define DEPTH (TEST_IS_SLOW ? 300 : 5000)

struct tower {
    int depth;
    atomic_int cancelled;
    atomic_bool is_built;
};

static int build(void *arg)
{
    struct tower *tower = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    if (++tower->depth < DEPTH)
        weft_launch(&scope, NULL, build, tower);
    else
        tower->is_built = true;
    int rc = weft_sleep_until(WEFT_NEVER);
    tower->cancelled += rc == -ECANCELED;
    return weft_scope_close(&scope, rc);
}

static void a_deep_tree_is_cancelled_without_a_deep_stack(void **state)
{
    (void)state;
    struct tower tower = { .depth = 0 };
    struct weft_task *root = weft_root_open(NULL, build, &tower);
    assert_true(test_block_until(&tower.is_built));

    weft_cancel(root);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_int_equal(tower.cancelled, DEPTH);
}

/* ---- races ----------------------------------------------------------------------------------- */

#define ROUNDS (TEST_IS_SLOW ? 200 : 3000)

struct race {
    struct weft_semaphore semaphore;
    atomic_int taken;
};

static int take_permit(void *arg)
{
    struct race *race = arg;
    int rc = weft_semaphore_acquire(&race->semaphore, weft_deadline_ms(TEST_WAIT_MS));
    if (rc == 0)
        race->taken++;
    return rc;
}

static int give_permit(void *arg)
{
    weft_semaphore_release(&((struct race *)arg)->semaphore);
    return 0;
}

/* A permit is given and its taker cancelled at the same time, on two threads. */
static int race_once(struct race *race)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    int before = race->taken;
    struct weft_task *taker = weft_async(&scope, NULL, take_permit, race);
    struct weft_task *giver = weft_async(&scope, weft_io(), give_permit, race);
    (void)weft_yield();
    weft_cancel(taker);
    int rc = weft_await(giver);
    (void)weft_await(taker);
    rc = weft_scope_close(&scope, rc);
    bool is_left = weft_semaphore_acquire(&race->semaphore, 0) == 0;
    return rc == 0 && is_left != (race->taken > before) ? 0 : -EINVAL;
}

static int race_often(void *arg)
{
    int rc = 0;
    for (int i = 0; i < ROUNDS && rc == 0; i++)
        rc = race_once(arg);
    return rc;
}

static void a_permit_is_either_taken_or_left(void **state)
{
    (void)state;
    struct race race = { .taken = 0 };
    weft_semaphore_init(&race.semaphore, 0);

    assert_int_equal(weft_run(race_often, &race), 0);
}

/* ---- cancelled while it moves -----------------------------------------------------------------
 */

#define MOVERS 16

struct movers {
    atomic_bool is_moving;
};

static int arrived(void *arg)
{
    ((struct movers *)arg)->is_moving = true;
    return 0;
}

static int move_to_and_fro(void *arg)
{
    int rc;
    while ((rc = weft_with(weft_io(), arrived, arg)) == 0) {
    }
    return rc;
}

static int launch_movers(void *arg)
{
    return launch_many(NULL, MOVERS, move_to_and_fro, arg);
}

/* Found on its way it is sent back; but not before it has left its stack. */
static void who_is_cancelled_on_the_way_to_another_dispatcher_goes_back_once(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct movers movers = { .is_moving = false };
        struct weft_task *root = weft_root_open(NULL, launch_movers, &movers);
        assert_true(test_block_until(&movers.is_moving));

        weft_cancel(root);

        assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(every_call_that_waits_returns_ecanceled_and_so_does_the_next),
        weft_unit_test(cancelled_after_it_was_given_something_it_takes_nothing),
        weft_unit_test(a_deep_tree_is_cancelled_without_a_deep_stack),
        weft_unit_test(a_permit_is_either_taken_or_left),
        weft_unit_test(who_is_cancelled_on_the_way_to_another_dispatcher_goes_back_once),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "support/await.h"

#define MANY 1000

/* An event loop as a user would write one: a queue that needs no memory, and a thread. */
struct event_loop {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct weft_work *first, *last;
    int held, taken,
        refuse_from; /* work in the queue; ever taken; refused once so much was taken */
    bool is_stopping;
    pthread_t thread;
    struct weft_dispatcher *d;
};

static int loop_dispatch(void *self, struct weft_work *work)
{
    struct event_loop *loop = self;
    (void)pthread_mutex_lock(&loop->lock);
    bool is_refused = loop->taken >= loop->refuse_from;
    if (!is_refused) {
        work->next = NULL;
        if (loop->first)
            loop->last->next = work;
        else
            loop->first = work;
        loop->last = work;
        loop->held++;
        loop->taken++;
        (void)pthread_cond_signal(&loop->changed);
    }
    (void)pthread_mutex_unlock(&loop->lock);
    return is_refused ? -EOVERFLOW : 0;
}

static struct weft_work *loop_pop(struct event_loop *loop)
{
    struct weft_work *work = loop->first;
    if (work) {
        loop->first = work->next;
        loop->held--;
    }
    return work;
}

static void *loop_run(void *arg)
{
    struct event_loop *loop = arg;
    (void)pthread_mutex_lock(&loop->lock);
    while (!loop->is_stopping) {
        struct weft_work *work = loop_pop(loop);
        if (!work) {
            (void)pthread_cond_wait(&loop->changed, &loop->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&loop->lock);
        weft_work_run(work);
        (void)pthread_mutex_lock(&loop->lock);
    }
    (void)pthread_mutex_unlock(&loop->lock);
    return NULL;
}

static bool loop_is_here(void *self)
{
    return pthread_equal(pthread_self(), ((struct event_loop *)self)->thread);
}

static const struct weft_dispatcher_ops loop_ops = { .dispatch = loop_dispatch };

static void loop_start(struct event_loop *loop)
{
    assert_int_equal(pthread_create(&loop->thread, NULL, loop_run, loop), 0);
}

static void loop_open(struct event_loop *loop, const struct weft_dispatcher_ops *ops)
{
    *loop = (struct event_loop){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
        .refuse_from = INT32_MAX,
    };
    assert_int_equal(weft_dispatcher_open(ops, loop, "loop", &loop->d), 0);
}

static void loop_stop(struct event_loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    loop->is_stopping = true;
    (void)pthread_cond_signal(&loop->changed);
    (void)pthread_mutex_unlock(&loop->lock);
    assert_int_equal(pthread_join(loop->thread, NULL), 0);
}

static void loop_close(struct event_loop *loop)
{
    loop_stop(loop);
    assert_int_equal(weft_dispatcher_close(loop->d), 0);
}

static bool has_work(void *arg)
{
    struct event_loop *loop = arg;
    (void)pthread_mutex_lock(&loop->lock);
    bool has_some = loop->held > 0;
    (void)pthread_mutex_unlock(&loop->lock);
    return has_some;
}

struct seen {
    struct event_loop *loop;
    struct weft_dispatcher *on, *before, *after, *at_the_end;
    int count, rc, other_rc;
    bool was_there, came_back;
    atomic_bool is_inside, may_go;
};

static int note(void *arg)
{
    struct seen *seen = arg;
    seen->before = weft_current();
    seen->was_there = pthread_equal(pthread_self(), seen->loop->thread);
    seen->count++;
    return 5;
}

static int note_and_sleep(void *arg)
{
    struct seen *seen = arg;
    int rc = note(arg);
    if (weft_sleep_ms(1) < 0)
        return -ECANCELED;
    seen->came_back = pthread_equal(pthread_self(), seen->loop->thread);
    return rc;
}

static void coroutines_run_where_the_user_runs_them_and_come_back_there(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop };

    assert_int_equal(weft_root_close(weft_root_open(loop.d, note_and_sleep, &seen)), 5);

    assert_ptr_equal(seen.before, loop.d);
    assert_true(seen.was_there);
    assert_true(seen.came_back);
    loop_close(&loop);
}

static int count_up(void *arg)
{
    ((struct seen *)arg)->count++; /* plain: TSan tells if two turns are not in order */
    return 0;
}

static int launch_counters(void *arg)
{
    struct seen *seen = arg;
    return launch_many(seen->on, MANY, count_up, seen);
}

static void a_thousand_go_through_it_and_through_a_view_of_it(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop, .on = loop.d };
    assert_int_equal(weft_run(launch_counters, &seen), 0);
    assert_int_equal(seen.count, MANY);
    int taken = loop.taken;
    assert_int_equal(taken, MANY);

    assert_int_equal(weft_view_serial(loop.d, "part", &seen.on), 0);
    assert_int_equal(weft_run(launch_counters, &seen), 0);

    assert_int_equal(seen.count, 2 * MANY);
    assert_true(loop.taken < taken + MANY); /* by loops of several turns */
    loop_close(&loop);
}

static int hop(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_with(seen->on, note, seen);
    seen->after = weft_current();
    return 0;
}

static void with_goes_there_and_back(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop, .on = loop.d };

    assert_int_equal(weft_run(hop, &seen), 0);

    assert_int_equal(seen.rc, 5);
    assert_true(seen.was_there);
    assert_ptr_equal(seen.after, weft_default());
    loop_close(&loop);
}

static int launch_immediate(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_immediate(seen->on), note, seen);
    seen->rc = seen->count;
    return weft_scope_close(&scope, 0);
}

static void inside_it_its_immediate_runs_in_place(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop, .on = loop.d };

    assert_int_equal(weft_root_close(weft_root_open(loop.d, launch_immediate, &seen)), 0);

    assert_int_equal(seen.rc, 1);
    assert_ptr_equal(seen.before, loop.d);
    loop_close(&loop);
}

static void is_here_lets_the_users_own_code_start_in_place(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &(struct weft_dispatcher_ops){ loop_dispatch, loop_is_here, { NULL } });
    loop.thread = pthread_self(); /* a callback of the loop, say */
    struct seen seen = { .loop = &loop };

    struct weft_task *root = weft_root_open(weft_immediate(loop.d), note, &seen);

    assert_int_equal(seen.count, 1);
    assert_int_equal(weft_root_close(root), 5);
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

static int run_in_coroutine(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 3; i++)
        weft_launch(&scope, seen->on, count_up, seen);
    while (seen->count < 3) {
        (void)pthread_mutex_lock(&seen->loop->lock);
        struct weft_work *work = loop_pop(seen->loop);
        (void)pthread_mutex_unlock(&seen->loop->lock);
        if (work)
            weft_work_run(work);
        else if (weft_sleep_ms(1) < 0)
            break;
    }
    seen->after = weft_current();
    return weft_scope_close(&scope, 0);
}

static void a_coroutine_may_be_the_loop(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    struct seen seen = { .loop = &loop, .on = loop.d };
    assert_int_equal(weft_run(run_in_coroutine, &seen), 0);
    assert_int_equal(seen.count, 3);
    assert_ptr_equal(seen.after, weft_default());

    seen.count = 0;
    assert_int_equal(weft_view_serial(loop.d, "part", &seen.on), 0);
    assert_int_equal(weft_run(run_in_coroutine, &seen), 0);

    assert_int_equal(seen.count, 3);
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

/* ---- refusing -------------------------------------------------------------------------------- */

static int start_refused(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, seen->on, note, seen);
    seen->rc = weft_await(task);
    seen->other_rc = weft_with(seen->on, note, seen);
    seen->after = weft_current();
    return weft_scope_close(&scope, 0);
}

static void what_is_refused_never_starts(void **state)
{
    (void)state;
    struct event_loop loop;
    struct weft_dispatcher *view;
    loop_open(&loop, &loop_ops);
    loop.refuse_from = 0;
    assert_int_equal(weft_view_nested(loop.d, 2, "part", &view), 0);
    struct weft_dispatcher *const places[] = { loop.d, view, view };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct seen seen = { .loop = &loop, .on = places[i] };

        assert_int_equal(weft_run(start_refused, &seen), 0);

        assert_int_equal(seen.count, 0);
        assert_int_equal(seen.rc, WEFT_ECHILD);
        assert_int_equal(seen.other_rc, -EOVERFLOW);
        assert_ptr_equal(seen.after, weft_default());
    }
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

/* Until it really has to wake: a sleep may be over before it has begun. */
static int sleep_and_wake(void)
{
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    int rc = 0;
    while (rc == 0 && weft_now_ns() < deadline_ns)
        rc = weft_sleep_ms(1);
    return rc;
}

static int sleep_and_clean_up(void *arg)
{
    struct seen *seen = arg;
    seen->before = weft_current();
    seen->rc = sleep_and_wake();
    struct weft_scope shield;
    weft_shield_open(&shield, TEST_WAIT_MS);
    seen->other_rc = weft_scope_close(&shield, weft_sleep_ms(1));
    seen->at_the_end = weft_current();
    return seen->rc;
}

static void who_is_refused_on_waking_is_cancelled_and_cleans_up_on_io(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    loop.refuse_from = 1; /* starts, and that is it */
    struct seen seen = { .loop = &loop };

    assert_int_equal(weft_root_close(weft_root_open(loop.d, sleep_and_clean_up, &seen)),
                     WEFT_ECHILD);

    assert_ptr_equal(seen.before, loop.d);
    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.other_rc, 0);
    assert_ptr_equal(seen.at_the_end, weft_io());
    loop_close(&loop);
}

static int own_copy(void *arg)
{
    struct seen *const *seen = arg;
    (*seen)->rc = weft_check();
    return note(*seen);
}

static int launch_own_copy(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_copy(&scope, seen->on, own_copy, &seen, sizeof seen);
    return weft_scope_close(&scope, 0);
}

static void who_owns_its_copy_runs_all_the_same_but_cancelled(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop.refuse_from = 0;
    struct seen seen = { .loop = &loop, .on = loop.d };

    assert_int_equal(weft_run(launch_own_copy, &seen), 0);

    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.rc, -ECANCELED);
    assert_ptr_equal(seen.before, weft_io());
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void closing_takes_back_what_the_user_holds(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops); /* nobody runs it */
    struct seen seen = { .loop = &loop };
    struct weft_task *root = weft_root_open(loop.d, note, &seen);
    assert_true(await(has_work, &loop, TEST_WAIT_MS));

    assert_int_equal(weft_dispatcher_close(loop.d), 0);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    weft_work_run(loop_pop(&loop)); /* does nothing */
    assert_int_equal(seen.count, 0);
}

static int stay(void *arg)
{
    struct seen *seen = arg;
    seen->is_inside = true;
    bool may_go = test_block_until(&seen->may_go);
    seen->count++;
    return may_go ? sleep_and_wake() : -ETIMEDOUT;
}

static int close_it(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_dispatcher_close(seen->loop->d);
    seen->other_rc = seen->count; /* what had run by then */
    return 0;
}

static void *close_in_thread(void *arg)
{
    (void)close_it(arg);
    return NULL;
}

static int must_not_run(void *arg)
{
    (void)arg;
    return 0;
}

/* Those that it still takes are taken back. */
static bool is_closing(void *arg)
{
    struct seen *seen = arg;
    struct weft_task *probe = weft_root_open(seen->loop->d, must_not_run, NULL);
    weft_cancel(probe);
    return weft_root_close(probe) == -ENODEV;
}

static void closing_waits_for_what_runs(void **state)
{
    (void)state;
    for (int in_coroutine = 0; in_coroutine < 2; in_coroutine++) {
        struct event_loop loop;
        loop_open(&loop, &loop_ops);
        loop_start(&loop);
        struct seen seen = { .loop = &loop };
        struct weft_task *root = weft_root_open(loop.d, stay, &seen), *closer = NULL;
        assert_true(test_block_until(&seen.is_inside));
        pthread_t thread;
        if (in_coroutine)
            closer = weft_root_open(weft_default(), close_it, &seen);
        else
            assert_int_equal(pthread_create(&thread, NULL, close_in_thread, &seen), 0);
        assert_true(await(is_closing, &seen, TEST_WAIT_MS));

        seen.may_go = true;

        if (in_coroutine)
            assert_int_equal(weft_root_close(closer), 0);
        else
            assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(seen.rc, 0);
        assert_int_equal(seen.other_rc, 1);
        assert_int_equal(weft_root_close(root), WEFT_ECHILD); /* its sleep did not come back */
        loop_stop(&loop);
    }
}

struct asked {
    struct weft_dispatcher *d;
    atomic_bool is_asked, may_answer, has_answered, was_answered;
    int rc;
};

static int take_nothing(void *self, struct weft_work *work)
{
    (void)self;
    (void)work;
    return -EOVERFLOW;
}

static bool answer_late(void *self)
{
    struct asked *asked = self;
    asked->is_asked = true;
    (void)test_block_until(&asked->may_answer);
    asked->has_answered = true;
    return false;
}

static void *ask(void *arg)
{
    const struct asked *asked = arg;
    (void)weft_root_close(weft_root_open(weft_immediate(asked->d), must_not_run, NULL));
    return NULL;
}

static void *close_asked(void *arg)
{
    struct asked *asked = arg;
    asked->rc = weft_dispatcher_close(asked->d);
    asked->was_answered = asked->has_answered;
    return NULL;
}

static bool refuses(void *arg)
{
    const struct asked *asked = arg;
    return weft_root_close(weft_root_open(asked->d, must_not_run, NULL)) == -ENODEV;
}

static void closing_waits_for_whoever_asks_is_here(void **state)
{
    (void)state;
    struct asked asked = { .rc = -1 };
    const struct weft_dispatcher_ops ops = { take_nothing, answer_late, { NULL } };
    assert_int_equal(weft_dispatcher_open(&ops, &asked, "asked", &asked.d), 0);
    pthread_t asker, closer;
    assert_int_equal(pthread_create(&asker, NULL, ask, &asked), 0);
    assert_true(test_block_until(&asked.is_asked));
    assert_int_equal(pthread_create(&closer, NULL, close_asked, &asked), 0);
    assert_true(await(refuses, &asked, TEST_WAIT_MS));

    asked.may_answer = true;

    assert_int_equal(pthread_join(closer, NULL), 0);
    assert_int_equal(pthread_join(asker, NULL), 0);
    assert_int_equal(asked.rc, 0);
    assert_true(asked.was_answered);
}

static void closing_it_from_inside_is_a_deadlock(void **state)
{
    (void)state;
    struct event_loop loop;
    struct weft_dispatcher *view;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    assert_int_equal(weft_view_serial(loop.d, "part", &view), 0);
    struct weft_dispatcher *const places[] = { loop.d, view };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct seen seen = { .loop = &loop };

        assert_int_equal(weft_root_close(weft_root_open(places[i], close_it, &seen)), 0);

        assert_int_equal(seen.rc, -EDEADLK);
    }
    loop_close(&loop);
}

static int start_on_dead(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    seen->rc = weft_launch(&scope, seen->on, note, seen);
    seen->other_rc = weft_with(seen->on, note, seen);
    return weft_scope_close(&scope, 0);
}

static void a_dead_handle_refuses_everything(void **state)
{
    (void)state;
    struct event_loop loop;
    struct weft_dispatcher *view;
    loop_open(&loop, &(struct weft_dispatcher_ops){ loop_dispatch, loop_is_here, { NULL } });
    assert_int_equal(weft_view_nested(loop.d, 3, "part", &view), 0);
    assert_int_equal(weft_dispatcher_close(weft_immediate(loop.d)), 0);
    struct weft_dispatcher *const places[] = { loop.d, weft_immediate(loop.d), view };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct seen seen = { .loop = &loop, .on = places[i] };

        assert_int_equal(weft_run(start_on_dead, &seen), 0);

        assert_int_equal(seen.rc, -ENODEV);
        assert_int_equal(seen.other_rc, -ENODEV);
        assert_null(weft_root_open(places[i], note, &seen));
        assert_int_equal(seen.count, 0);
    }
    assert_int_equal(weft_dispatcher_close(loop.d), -ENODEV);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void only_what_was_opened_can_be_closed(void **state)
{
    (void)state;
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_serial(weft_io(), "view", &view), 0);
    assert_int_equal(weft_dispatcher_close(NULL), -EINVAL);
    assert_int_equal(weft_dispatcher_close(weft_default()), -EINVAL);
    assert_int_equal(weft_dispatcher_close(view), -EINVAL);
}

static void a_dispatcher_has_a_dispatch_and_a_name_of_its_own(void **state)
{
    (void)state;
    struct event_loop loop;
    struct weft_dispatcher *none = NULL, *again = NULL;
    const struct weft_dispatcher_ops empty = { .dispatch = NULL };
    const struct weft_dispatcher_ops future = { .dispatch = loop_dispatch, .reserved = { &loop } };
    loop_open(&loop, &loop_ops);

    assert_int_equal(weft_dispatcher_open(NULL, &loop, "a", &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&empty, &loop, "a", &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&future, &loop, "a", &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&loop_ops, &loop, NULL, &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&loop_ops, &loop, "loop", &none), -EEXIST);
    assert_int_equal(weft_view_independent(1, "loop", &none), -EEXIST);
    assert_null(none);

    assert_int_equal(weft_dispatcher_close(loop.d), 0);
    assert_int_equal(weft_dispatcher_open(&loop_ops, &loop, "loop", &again), 0);
    assert_int_equal(weft_dispatcher_close(again), 0);
}

static void shutdown_is_busy_while_one_is_open(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    assert_int_equal(weft_shutdown(), -EBUSY);
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
    assert_int_equal(weft_shutdown(), 0);
}

static int run_at_once(void *self, struct weft_work *work)
{
    (void)self;
    weft_work_run(work);
    return 0;
}

static int start_on_hasty(void *arg)
{
    const struct weft_dispatcher_ops hasty = { .dispatch = run_at_once };
    struct weft_dispatcher *d;
    if (weft_dispatcher_open(&hasty, NULL, "hasty", &d) < 0)
        return -EINVAL;
    return weft_root_close(weft_root_open(d, note, arg));
}

static void to_run_work_inside_dispatch_is_a_bug(void **state)
{
    (void)state;
    assert_dies(start_on_hasty, NULL, "weft_work_run: called from inside a dispatch");
}

static int run_twice(void *arg)
{
    struct event_loop *loop = arg;
    struct seen seen = { .loop = loop };
    *loop = (struct event_loop){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
        .refuse_from = INT32_MAX,
    };
    if (weft_dispatcher_open(&loop_ops, loop, "loop", &loop->d) < 0 ||
        !weft_root_open(loop->d, note, &seen) || !await(has_work, loop, TEST_WAIT_MS))
        return -EINVAL;
    struct weft_work *work = loop_pop(loop);
    weft_work_run(work);
    weft_work_run(work);
    return 0;
}

static void to_run_work_twice_is_a_bug(void **state)
{
    (void)state;
    struct event_loop loop;
    assert_dies(run_twice, &loop, "weft_work_run: this work has been run already");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(coroutines_run_where_the_user_runs_them_and_come_back_there),
        weft_unit_test(a_thousand_go_through_it_and_through_a_view_of_it),
        weft_unit_test(with_goes_there_and_back),
        weft_unit_test(inside_it_its_immediate_runs_in_place),
        weft_unit_test(is_here_lets_the_users_own_code_start_in_place),
        weft_unit_test(a_coroutine_may_be_the_loop),
        weft_unit_test(what_is_refused_never_starts),
        weft_unit_test(who_is_refused_on_waking_is_cancelled_and_cleans_up_on_io),
        weft_unit_test(who_owns_its_copy_runs_all_the_same_but_cancelled),
        weft_unit_test(closing_takes_back_what_the_user_holds),
        weft_unit_test(closing_waits_for_what_runs),
        weft_unit_test(closing_waits_for_whoever_asks_is_here),
        weft_unit_test(closing_it_from_inside_is_a_deadlock),
        weft_unit_test(a_dead_handle_refuses_everything),
        weft_unit_test(only_what_was_opened_can_be_closed),
        weft_unit_test(a_dispatcher_has_a_dispatch_and_a_name_of_its_own),
        weft_unit_test(shutdown_is_busy_while_one_is_open),
        weft_unit_test(to_run_work_inside_dispatch_is_a_bug),
        weft_unit_test(to_run_work_twice_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

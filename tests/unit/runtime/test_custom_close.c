/* SPDX-License-Identifier: MIT */
/* Closing a dispatcher of the user's: what it holds, what runs on it, and who asks it. */
#include "event_loop.h"

#include "support/await.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(closing_takes_back_what_the_user_holds),
        weft_unit_test(closing_waits_for_what_runs),
        weft_unit_test(closing_waits_for_whoever_asks_is_here),
        weft_unit_test(closing_it_from_inside_is_a_deadlock),
        weft_unit_test(a_dead_handle_refuses_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <unistd.h>

#include <weft/sync.h>

#include "thread_set.h"
#include "view.h"

#define MANY  40
#define COUNT (TEST_IS_SLOW ? 1000 : 10000)

/* Bodies that block their threads until they may go, and how many of them did so at once. */
struct crowd {
    struct weft_dispatcher *on;
    int count, full_at;
    atomic_int running, running_max, ended;
    atomic_bool is_free, is_full;
};

static int stand(void *arg)
{
    struct crowd *crowd = arg;
    int running = ++crowd->running;
    int max = crowd->running_max;
    while (running > max && !atomic_compare_exchange_weak(&crowd->running_max, &max, running)) {
    }
    if (running == crowd->full_at)
        crowd->is_full = true;
    bool is_free = test_block_until(&crowd->is_free);
    crowd->running--;
    crowd->ended++;
    return is_free ? 0 : -ETIMEDOUT;
}

static int launch_crowd(void *arg)
{
    struct crowd *crowd = arg;
    return launch_many(crowd->on, crowd->count, stand, crowd);
}

static void newsletter_and_auth_keep_their_limits_and_never_wait_for_each_other(void **state)
{
    (void)state;
    struct crowd newsletter = { .count = 150, .full_at = 5 },
                 auth = { .count = 300, .full_at = 50 };
    assert_int_equal(weft_view_independent(5, "newsletter", &newsletter.on), 0);
    assert_int_equal(weft_view_independent(50, "auth", &auth.on), 0);

    struct weft_task *first = weft_root_open(NULL, launch_crowd, &newsletter);
    assert_true(test_block_until(&newsletter.is_full));
    struct weft_task *second = weft_root_open(NULL, launch_crowd, &auth);
    assert_true(test_block_until(&auth.is_full)); /* while the newsletter stands still */
    auth.is_free = true;
    assert_int_equal(weft_root_close(second), 0);
    assert_int_equal(auth.ended, 300);
    assert_int_equal(newsletter.ended, 0);
    newsletter.is_free = true;
    assert_int_equal(weft_root_close(first), 0);

    assert_int_equal(newsletter.ended, 150);
    assert_int_equal(newsletter.running_max, 5);
    assert_int_equal(auth.running_max, 50);
}

static void independent_views_run_beside_all_of_io(void **state)
{
    (void)state;
    struct crowd crowd = { .count = MANY, .full_at = 3 };
    struct io_block block;
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 1 }), 0);
    assert_int_equal(weft_view_independent(3, "beside", &crowd.on), 0);
    io_block(&block);

    struct weft_task *root = weft_root_open(NULL, launch_crowd, &crowd);

    assert_true(test_block_until(&crowd.is_full));
    crowd.is_free = true;
    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(crowd.running_max, 3);
    io_free(&block);
}

static void check_nested(unsigned io_threads, int limit, int expected)
{
    struct crowd crowd = { .count = MANY, .full_at = expected };
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = io_threads }), 0);
    assert_int_equal(weft_view_nested(weft_io(), limit, "nested", &crowd.on), 0);

    struct weft_task *root = weft_root_open(NULL, launch_crowd, &crowd);

    assert_true(test_block_until(&crowd.is_full));
    crowd.is_free = true;
    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(crowd.ended, MANY);
    assert_int_equal(crowd.running_max, expected);
    assert_int_equal(weft_shutdown(), 0);
}

static void a_nested_view_keeps_its_limit_and_its_parents(void **state)
{
    (void)state;
    check_nested(4, 1, 1);
    check_nested(4, 3, 3);
    check_nested(4, 4, 4);
    check_nested(4, WEFT_VIEW_LIMIT_MAX, 4);
}

static void a_view_of_a_view_keeps_the_limits_of_both(void **state)
{
    (void)state;
    struct crowd outer = { .count = MANY, .full_at = 3 }, inner = { .count = MANY, .full_at = 2 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 8 }), 0);
    assert_int_equal(weft_view_nested(weft_io(), 3, "outer", &outer.on), 0);
    assert_int_equal(weft_view_nested(outer.on, 2, "inner", &inner.on), 0);

    struct weft_task *first = weft_root_open(NULL, launch_crowd, &inner);
    assert_true(test_block_until(&inner.is_full));
    outer.full_at = 1; /* what the inner one leaves */
    struct weft_task *second = weft_root_open(NULL, launch_crowd, &outer);
    assert_true(test_block_until(&outer.is_full));
    outer.is_free = true;
    inner.is_free = true;
    assert_int_equal(weft_root_close(first), 0);
    assert_int_equal(weft_root_close(second), 0);

    assert_int_equal(inner.running_max, 2);
    assert_true(outer.running_max <= 3);
    assert_int_equal(inner.ended + outer.ended, 2 * MANY);
}

static void a_view_leaves_the_rest_of_its_parent_to_others(void **state)
{
    (void)state;
    struct crowd in_view = { .count = MANY, .full_at = 1 }, beside = { .count = 1, .full_at = 1 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 2 }), 0);
    assert_int_equal(weft_view_nested(weft_io(), 1, "part", &in_view.on), 0);
    beside.on = weft_io();
    beside.is_free = true;
    struct weft_task *first = weft_root_open(NULL, launch_crowd, &in_view);
    assert_true(test_block_until(&in_view.is_full));

    struct weft_task *second = weft_root_open(NULL, launch_crowd, &beside);

    assert_int_equal(weft_root_close(second), 0); /* while the view is full */
    in_view.is_free = true;
    assert_int_equal(weft_root_close(first), 0);
}

/* ---- views in views, and libc's calls ---------------------------------------------------------
 */

struct inside {
    struct weft_dispatcher *outer, *inner;
    int count;
    bool was_inside;
    struct weft_scope scope;
};

static int look_round(void *arg)
{
    struct inside *inside = arg;
    int before = inside->count;
    weft_launch(&inside->scope, weft_immediate(inside->outer), increment, &inside->count);
    inside->was_inside = inside->count != before;
    return 0;
}

static int launch_inside_and_beside(void *arg)
{
    struct inside *inside = arg;
    weft_scope_open(&inside->scope);
    for (int i = 0; i < 3; i++)
        weft_launch(&inside->scope, inside->inner, increment, &inside->count);
    weft_launch(&inside->scope, weft_default(), look_round, inside);
    return weft_scope_close(&inside->scope, 0);
}

static void after_the_last_turn_of_a_view_its_thread_is_outside_of_all(void **state)
{
    (void)state;
    struct inside inside = { .count = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    assert_int_equal(weft_view_nested(weft_default(), 2, "outer", &inside.outer), 0);
    assert_int_equal(weft_view_nested(inside.outer, 2, "inner", &inside.inner), 0);

    assert_int_equal(weft_run(launch_inside_and_beside, &inside), 0);

    assert_int_equal(inside.count, 4);
    assert_false(inside.was_inside);
}

struct sleepers {
    struct weft_dispatcher *on;
    int limit;
    atomic_int running, ended;
    atomic_bool has_moved, are_too_many;
};

static int sleep_and_look(void *arg)
{
    struct sleepers *sleepers = arg;
    for (int i = 0; i < 20; i++) {
        const char *before = weft_thread_name(); /* pthread_self() is const to compilers */
        if (usleep(100) != 0)                    /* sleeps: that is what parks */
            return -errno;
        if (++sleepers->running > sleepers->limit)
            sleepers->are_too_many = true;
        if (weft_thread_name() != before)
            sleepers->has_moved = true;
        sleepers->running--;
        int rc = weft_yield(); /* here it may move */
        if (rc < 0)
            return rc;
    }
    sleepers->ended++;
    return 0;
}

static int launch_sleepers(void *arg)
{
    struct sleepers *sleepers = arg;
    return launch_many(sleepers->on, MANY, sleep_and_look, sleepers);
}

static void check_sleepers(struct weft_dispatcher *on, int limit)
{
    struct sleepers sleepers = { .on = on, .limit = limit };

    assert_int_equal(weft_run(launch_sleepers, &sleepers), 0);

    struct weft_pool_state threads;
    weft_threads_look(&threads);
    assert_int_equal(sleepers.ended, MANY);
    /* A thread that a busy machine holds up can look stuck; then its seat goes to another. */
    assert_true(!sleepers.has_moved || threads.replaced > 0);
    assert_false(sleepers.are_too_many);
}

static void who_parks_inside_libc_in_a_view_wakes_on_the_same_thread(void **state)
{
    (void)state;
    struct weft_dispatcher *two, *one, *serial;
    assert_int_equal(weft_view_nested(weft_virtual(), 2, "two", &two), 0);
    assert_int_equal(weft_view_nested(two, 1, "one", &one), 0);
    assert_int_equal(weft_view_serial(weft_virtual(), "serial", &serial), 0);
    check_sleepers(two, 2);
    check_sleepers(serial, 1);
    check_sleepers(one, 1);
}

/* ---- weft_with() in place ------------------------------------------------------------------- */

struct place {
    struct weft_dispatcher *view;
    struct weft_completion *others_turn;
    int inside_max, entered;
    atomic_int inside;
    bool was_inside;
};

static int set_completion(void *arg)
{
    return weft_completion_set(((struct place *)arg)->others_turn, 0);
}

static int look_inside(void *arg)
{
    struct place *place = arg;
    place->was_inside = weft_current() == place->view;
    place->entered++;
    return 7;
}

static int enter_and_go_on(void *arg)
{
    struct place *place = arg;
    const struct weft_dispatcher *home = weft_current();
    for (int i = 0; i < COUNT; i++) {
        int rc = weft_with(place->view, look_inside, place);
        if (rc != 7 || !place->was_inside || weft_current() != home)
            return -1;
    }
    /* And the place is free again. */
    place->others_turn = &(struct weft_completion){ 0 };
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, place->view, set_completion, place);
    return weft_scope_close(&scope, weft_completion_wait(place->others_turn, WEFT_NEVER));
}

static void with_a_free_view_enters_and_leaves_it_in_place(void **state)
{
    (void)state;
    struct place place = { 0 };
    assert_int_equal(weft_view_serial(weft_default(), "place", &place.view), 0);
    assert_int_equal(weft_run(enter_and_go_on, &place), 0);
    assert_int_equal(place.entered, COUNT);
}

static int wait_for_the_other(void *arg)
{
    struct place *place = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, place->view, set_completion, place);
    int rc = weft_completion_wait(place->others_turn, WEFT_NEVER); /* parks: the other comes in */
    place->was_inside = weft_current() == place->view;
    return weft_scope_close(&scope, rc);
}

static int enter_and_wait(void *arg)
{
    struct place *place = arg;
    for (int i = 0; i < COUNT / 10; i++) {
        place->others_turn = &(struct weft_completion){ 0 };
        int rc = weft_with(place->view, wait_for_the_other, place);
        if (rc != 0 || !place->was_inside || weft_current() != weft_default())
            return -1;
    }
    return 0;
}

static void who_parks_in_a_view_that_was_entered_in_place_has_left_its_place(void **state)
{
    (void)state;
    struct place place = { 0 };
    assert_int_equal(weft_view_serial(weft_default(), "place", &place.view), 0);
    assert_int_equal(weft_run(enter_and_wait, &place), 0);
}

static int count_inside(void *arg)
{
    struct place *place = arg;
    int inside = ++place->inside;
    if (inside > place->inside_max)
        place->inside_max = inside;
    place->entered++;
    place->inside--;
    return 0;
}

static int count_inside_often(void *arg)
{
    struct place *place = arg;
    for (int i = 0; i < COUNT; i++) {
        int rc = weft_with(place->view, count_inside, place);
        if (rc < 0)
            return rc;
        if (i % 7 == 0 && (rc = weft_yield()) < 0)
            return rc;
    }
    return 0;
}

static int enter_from_everywhere(void *arg)
{
    struct place *place = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 4; i++)
        weft_launch(&scope, NULL, count_inside_often, place);
    for (int i = 0; i < COUNT; i++)
        weft_launch(&scope, place->view, count_inside, place);
    return weft_scope_close(&scope, 0);
}

static void entering_in_place_keeps_the_limit_beside_those_who_queue(void **state)
{
    (void)state;
    struct place place = { 0 };
    assert_int_equal(weft_view_serial(weft_default(), "place", &place.view), 0);
    assert_int_equal(weft_run(enter_from_everywhere, &place), 0);
    assert_int_equal(place.inside_max, 1);
    assert_int_equal(place.entered, 5 * COUNT); /* plain int: the view is its lock */
}

/* ---- cancelling ------------------------------------------------------------------------------ */

struct stop {
    struct crowd crowd;
    atomic_bool has_closed;
    int count;
};

static int launch_and_cancel(void *arg)
{
    struct stop *stop = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        weft_launch(&scope, stop->crowd.on, increment, &stop->count);
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static void what_is_cancelled_in_the_queue_of_a_full_view_ends_at_once(void **state)
{
    (void)state;
    struct stop stop = { .crowd = { .count = 1, .full_at = 1 } };
    assert_int_equal(weft_view_independent(1, "full", &stop.crowd.on), 0);
    struct weft_task *root = weft_root_open(NULL, launch_crowd, &stop.crowd);
    assert_true(test_block_until(&stop.crowd.is_full));

    assert_int_equal(weft_run(launch_and_cancel, &stop), 0); /* while the view is full */

    assert_int_equal(stop.count, 0);
    stop.crowd.is_free = true;
    assert_int_equal(weft_root_close(root), 0);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void a_limit_lies_between_1_and_65535(void **state)
{
    (void)state;
    struct weft_dispatcher *view = NULL;
    const int limits[] = { 0, -1, INT32_MIN, WEFT_VIEW_LIMIT_MAX + 1, INT32_MAX };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        assert_int_equal(weft_view_nested(weft_io(), limits[i], "bad", &view), -EINVAL);
        assert_int_equal(weft_view_independent(limits[i], "bad", &view), -EINVAL);
    }
    assert_null(view);
    assert_int_equal(weft_view_nested(weft_io(), WEFT_VIEW_LIMIT_MAX, "bad", &view), 0);
}

static void a_view_has_a_parent(void **state)
{
    (void)state;
    struct weft_dispatcher *view = NULL;
    assert_int_equal(weft_view_nested(NULL, 1, "orphan", &view), -EINVAL);
    assert_int_equal(weft_view_serial(NULL, "orphan", &view), -EINVAL);
    assert_null(view);
}

static void a_name_is_used_once_and_is_free_again_after_shutdown(void **state)
{
    (void)state;
    struct weft_dispatcher *view = NULL, *none = NULL;
    assert_int_equal(weft_view_serial(weft_io(), "twice", &view), 0);

    assert_int_equal(weft_view_serial(weft_io(), "twice", &none), -EEXIST);
    assert_int_equal(weft_view_nested(weft_default(), 3, "twice", &none), -EEXIST);
    assert_int_equal(weft_view_independent(3, "twice", &none), -EEXIST);
    assert_int_equal(weft_view_independent(3, "io", &none), -EEXIST);
    assert_int_equal(weft_view_independent(3, "", &none), -EINVAL);
    assert_int_equal(weft_view_independent(3, NULL, &none), -EINVAL);

    assert_null(none);
    assert_int_equal(weft_shutdown(), 0);
    assert_int_equal(weft_view_serial(weft_io(), "twice", &view), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(newsletter_and_auth_keep_their_limits_and_never_wait_for_each_other),
        weft_unit_test(independent_views_run_beside_all_of_io),
        weft_unit_test(a_nested_view_keeps_its_limit_and_its_parents),
        weft_unit_test(a_view_of_a_view_keeps_the_limits_of_both),
        weft_unit_test(a_view_leaves_the_rest_of_its_parent_to_others),
        weft_unit_test(after_the_last_turn_of_a_view_its_thread_is_outside_of_all),
        weft_unit_test(who_parks_inside_libc_in_a_view_wakes_on_the_same_thread),
        weft_unit_test(with_a_free_view_enters_and_leaves_it_in_place),
        weft_unit_test(who_parks_in_a_view_that_was_entered_in_place_has_left_its_place),
        weft_unit_test(entering_in_place_keeps_the_limit_beside_those_who_queue),
        weft_unit_test(what_is_cancelled_in_the_queue_of_a_full_view_ends_at_once),
        weft_unit_test(a_limit_lies_between_1_and_65535),
        weft_unit_test(a_view_has_a_parent),
        weft_unit_test(a_name_is_used_once_and_is_free_again_after_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

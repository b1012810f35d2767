/* SPDX-License-Identifier: MIT
 *
 * The foreign thread-local of these tests is the prefix of a logger: the names of all elements
 * that are installed, outermost first.
 */
#include "wefttest.h"

#include <stdio.h>

#include "support/faulty.h"

#define PREFIX_BYTES 200
#define LINES        8

struct name {
    const char *text;
};

static _Thread_local char prefix[PREFIX_BYTES];
static atomic_int installs, disorders; /* disorders: not the last installed was uninstalled */
static const char logger;              /* its address is the key */

/* Not inlined, for a coroutine may call them on another thread each time. */
static __attribute__((noinline)) void push_name(void *value)
{
    const struct name *name = value;
    __asm__ volatile("" ::: "memory");
    size_t used = strlen(prefix);
    (void)snprintf(prefix + used, PREFIX_BYTES - used, "%s ", name->text);
    installs++;
    errno = EBADF; /* a logger may do that */
}

static __attribute__((noinline)) void pop_name(void *value)
{
    const struct name *name = value;
    __asm__ volatile("" ::: "memory");
    size_t used = strlen(prefix), bytes = strlen(name->text) + 1;
    bool is_last = used >= bytes && strncmp(prefix + used - bytes, name->text, bytes - 1) == 0;
    if (is_last)
        prefix[used - bytes] = '\0';
    else
        disorders++;
    errno = EBADF;
}

static __attribute__((noinline)) bool prefix_is(const char *text)
{
    __asm__ volatile("" ::: "memory");
    return strcmp(prefix, text) == 0;
}

static __attribute__((noinline)) void copy_prefix(char *line)
{
    __asm__ volatile("" ::: "memory");
    (void)snprintf(line, PREFIX_BYTES, "%s", prefix);
}

static struct weft_element element_of(const struct name *name)
{
    return (struct weft_element){ &logger, (void *)(uintptr_t)name, push_name, pop_name };
}

static const struct name outer_name = { "outer" }, inner_name = { "inner" };

struct seen {
    char lines[LINES][PREFIX_BYTES];
    int rc, other_rc;
    const void *found[4];
    atomic_bool is_ready, is_free;
};

static int reset(void **state)
{
    (void)state;
    installs = disorders = 0;
    return 0;
}

static int check_order(void **state)
{
    int rc = weft_test_teardown(state);
    return disorders > 0 || !prefix_is("") ? -1 : rc;
}

#define element_test(f) cmocka_unit_test_setup_teardown(f, reset, check_order)

/* ---- where it is seen ------------------------------------------------------------------------ */

static int note(void *line)
{
    copy_prefix(line);
    return 0;
}

static int yield_and_note(void *line)
{
    int rc = weft_yield();
    copy_prefix(line);
    return rc;
}

static int nest(void *arg)
{
    struct seen *seen = arg;
    struct weft_element outer_element = element_of(&outer_name);
    struct weft_element inner_element = element_of(&inner_name);
    struct weft_scope outer, inner;
    weft_scope_open(&outer);
    weft_launch(&outer, NULL, yield_and_note, seen->lines[0]); /* too early to inherit it */
    weft_scope_element(&outer, &outer_element);
    weft_launch(&outer, NULL, yield_and_note, seen->lines[1]);
    weft_scope_open(&inner);
    weft_scope_element(&inner, &inner_element);
    note(seen->lines[2]);
    weft_launch(&inner, NULL, yield_and_note, seen->lines[3]);
    weft_launch(&outer, NULL, yield_and_note, seen->lines[4]); /* the context is the scope's */
    int rc = weft_scope_close(&inner, weft_sleep_ms(1));
    note(seen->lines[5]);
    rc = weft_scope_close(&outer, rc);
    note(seen->lines[6]);
    return rc;
}

static void it_is_seen_inside_and_by_children_launched_later_in_order_of_nesting(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(nest, &seen), 0);

    assert_string_equal(seen.lines[0], "");
    assert_string_equal(seen.lines[1], "outer ");
    assert_string_equal(seen.lines[2], "outer inner ");
    assert_string_equal(seen.lines[3], "outer inner ");
    assert_string_equal(seen.lines[4], "outer ");
    assert_string_equal(seen.lines[5], "outer ");
    assert_string_equal(seen.lines[6], "");
}

static int find_all(void *arg)
{
    struct seen *seen = arg;
    static const char other_key;
    struct weft_element outer_element = element_of(&outer_name);
    struct weft_element inner_element = element_of(&inner_name);
    struct weft_element silent = { .key = &other_key, .value = seen };
    struct weft_scope outer, inner;
    weft_scope_open(&outer);
    weft_scope_element(&outer, &outer_element);
    seen->rc = weft_scope_field(&outer, "a", "1");
    weft_scope_element(&outer, &silent);
    weft_scope_open(&inner);
    seen->found[0] = weft_element_find(&logger);
    weft_scope_element(&inner, &inner_element);
    seen->found[1] = weft_element_find(&logger);
    seen->found[2] = weft_element_find(&other_key);
    seen->found[3] = weft_element_find(seen);
    seen->other_rc = strcmp(weft_field_find("a"), "1") == 0 && !weft_field_find("");
    return weft_scope_close(&outer, weft_scope_close(&inner, 0));
}

static void the_nearest_value_is_found_by_its_key_beside_the_fields(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1 };

    assert_int_equal(weft_run(find_all, &seen), 0);

    assert_ptr_equal(seen.found[0], &outer_name);
    assert_ptr_equal(seen.found[1], &inner_name);
    assert_ptr_equal(seen.found[2], &seen);
    assert_null(seen.found[3]);
    assert_int_equal(seen.rc, 0);
    assert_true(seen.other_rc);
    assert_null(weft_element_find(&logger));
}

/* ---- parks, moves, threads ------------------------------------------------------------------- */

#define WORKERS 12
#define ROUNDS  (TEST_IS_SLOW ? 10 : 100)

struct worker {
    struct name name;
    char text[16], line[PREFIX_BYTES];
    atomic_int wrong;
};

static int check_there(void *arg)
{
    struct worker *worker = arg;
    worker->wrong += !prefix_is(worker->line);
    int rc = weft_yield();
    worker->wrong += !prefix_is(worker->line);
    return rc;
}

static int work_with_prefix(void *arg)
{
    struct worker *worker = arg;
    struct weft_element element = element_of(&worker->name);
    int rc = 0;
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        struct weft_scope scope;
        weft_scope_open(&scope);
        weft_scope_element(&scope, &element);
        worker->wrong += !prefix_is(worker->line);
        rc = weft_yield();
        worker->wrong += !prefix_is(worker->line);
        if (rc == 0)
            rc = weft_with(weft_io(), check_there, worker);
        worker->wrong += !prefix_is(worker->line);
        weft_launch(&scope, NULL, check_there, worker);
        rc = weft_scope_close(&scope, rc);
        worker->wrong += !prefix_is("outer ");
    }
    return rc;
}

static int work_without_prefix(void *arg)
{
    struct worker *worker = arg;
    int rc = 0;
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        worker->wrong += !prefix_is("");
        rc = i % 2 ? weft_yield() : weft_with(weft_io(), check_there, worker);
    }
    return rc;
}

static int launch_workers(void *arg)
{
    struct worker *workers = arg;
    struct weft_element element = element_of(&outer_name);
    struct weft_scope bare, named;
    weft_scope_open(&bare);
    weft_scope_open(&named);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];
        if (i % 3 == 0) {
            weft_launch(&bare, i % 2 ? weft_io() : NULL, work_without_prefix, worker);
            continue;
        }
        (void)snprintf(worker->text, sizeof worker->text, "worker%d", i);
        (void)snprintf(worker->line, sizeof worker->line, "outer %s ", worker->text);
        worker->name.text = worker->text;
        if (i == 1)
            weft_scope_element(&named, &element);
        weft_launch(&named, i % 2 ? weft_io() : NULL, work_with_prefix, worker);
    }
    return weft_scope_close(&bare, weft_scope_close(&named, 0));
}

static void it_follows_the_coroutine_over_threads_and_nobody_else_sees_it(void **state)
{
    (void)state;
    struct worker workers[WORKERS] = { { .wrong = 0 } };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2, .io_threads = 2 }), 0);

    assert_int_equal(weft_run(launch_workers, workers), 0);

    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(workers[i].wrong, 0);
    assert_true(installs > WORKERS * ROUNDS);
}

static int errno_over_a_park(void *arg)
{
    struct seen *seen = arg;
    struct weft_element element = element_of(&outer_name);
    struct weft_scope scope;
    weft_scope_open(&scope);
    errno = ENOTTY;
    weft_scope_element(&scope, &element);
    seen->rc = errno;
    return weft_scope_close(&scope, 0);
}

static void an_element_leaves_errno_alone(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_int_equal(weft_run(errno_over_a_park, &seen), 0);
    assert_int_equal(seen.rc, ENOTTY);
}

static int note_park_and_note(void *arg)
{
    struct seen *seen = arg;
    note(seen->lines[1]);
    int rc = weft_yield();
    note(seen->lines[2]);
    return rc;
}

static int launch_undispatched(void *arg)
{
    struct seen *seen = arg;
    struct weft_element outer_element = element_of(&outer_name);
    struct weft_element inner_element = element_of(&inner_name);
    struct weft_scope outer, inner;
    weft_scope_open(&outer);
    weft_scope_element(&outer, &outer_element);
    weft_scope_open(&inner);
    weft_scope_element(&inner, &inner_element);
    note(seen->lines[0]);
    weft_launch_opts(&outer, NULL, note_park_and_note, seen,
                     &(struct weft_task_opts){ .start = WEFT_START_UNDISPATCHED });
    note(seen->lines[3]);
    return weft_scope_close(&outer, weft_scope_close(&inner, 0));
}

static void a_child_that_runs_in_place_has_its_own_context_meanwhile(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(launch_undispatched, &seen), 0);

    assert_string_equal(seen.lines[0], "outer inner ");
    assert_string_equal(seen.lines[1], "outer ");
    assert_string_equal(seen.lines[2], "outer ");
    assert_string_equal(seen.lines[3], "outer inner ");
}

/* ---- ends ------------------------------------------------------------------------------------ */

static int sleep_and_note(void *arg)
{
    struct seen *seen = arg;
    struct weft_element element = element_of(&inner_name);
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_element(&scope, &element);
    seen->is_ready = true;
    int rc = weft_sleep_ms(TEST_WAIT_MS);
    note(seen->lines[0]);
    rc = weft_scope_close(&scope, rc);
    note(seen->lines[1]);
    return rc;
}

static int cancel_sleeper(void *arg)
{
    struct seen *seen = arg;
    struct weft_element element = element_of(&outer_name);
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_element(&scope, &element);
    struct weft_task *task = weft_async(&scope, weft_io(), sleep_and_note, seen);
    (void)test_await(&seen->is_ready);
    weft_cancel(task);
    seen->rc = weft_await(task);
    note(seen->lines[2]);
    return weft_scope_close(&scope, 0);
}

static void a_cancelled_coroutine_tidies_up_under_its_own_prefix(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(cancel_sleeper, &seen), 0);

    assert_int_equal(seen.rc, WEFT_ECHILD);
    assert_string_equal(seen.lines[0], "outer inner ");
    assert_string_equal(seen.lines[1], "outer ");
    assert_string_equal(seen.lines[2], "outer ");
}

static int fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

static void note_failure(void *arg, const char *task, int rc)
{
    struct seen *seen = arg;
    (void)task;
    seen->rc = rc;
    note(seen->lines[0]);
}

static int supervise_one(void *arg)
{
    struct weft_element element = element_of(&outer_name);
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_scope_on_failure(&scope, note_failure, arg);
    weft_scope_element(&scope, &element);
    weft_launch(&scope, NULL, fail_at_once, NULL);
    return weft_scope_close(&scope, 0);
}

static void a_failure_is_reported_under_the_prefix_of_the_one_that_failed(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(supervise_one, &seen), 0);

    assert_int_equal(seen.rc, -EIO);
    assert_string_equal(seen.lines[0], "outer ");
}

/* ---- limits and mistakes --------------------------------------------------------------------- */

static int add_too_many(void *arg)
{
    struct seen *seen = arg;
    struct weft_element element = element_of(&outer_name);
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < WEFT_ELEMENTS_MAX; i++)
        weft_scope_element(&scope, &element);
    seen->rc = weft_check();
    weft_scope_element(&scope, &element);
    seen->other_rc = weft_check();
    return weft_scope_close(&scope, 0);
}

static int add_nothing(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_element(&scope, NULL);
    return weft_scope_close(&scope, 0);
}

static void an_element_that_cannot_be_added_fails_the_scope(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1 };

    assert_int_equal(weft_run(add_too_many, &seen), -E2BIG);
    assert_int_equal(weft_run(add_nothing, NULL), -EINVAL);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.other_rc, -ECANCELED);
    assert_int_equal(installs, WEFT_ELEMENTS_MAX);
}

static void whatever_allocation_fails_comes_out_of_close(void **state)
{
    (void)state;
    FAULTY_FOREACH(n)
    {
        struct seen seen = { .rc = 0 };
        int rc = weft_run(nest, &seen);
        bool has_failed = faulty_stop();
        if (!has_failed || rc != -ENOMEM) {
            assert_int_equal(rc, 0);
            assert_string_equal(seen.lines[3], "outer inner ");
        }
        assert_string_equal(seen.lines[6], "");
        assert_int_equal(disorders, 0);
        assert_int_equal(weft_shutdown(), 0);
    }
}

static void wait_in_element(void *value)
{
    (void)value;
    (void)weft_sleep_ms(TEST_WAIT_MS);
}

static int add_one_that_waits(void *arg)
{
    static const struct weft_element element = { .install = wait_in_element };
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_element(&scope, &element);
    (void)weft_yield();
    return weft_scope_close(&scope, 0);
}

static int run_one_that_waits(void *arg)
{
    return weft_run(add_one_that_waits, arg);
}

static int add_to_outer(void *arg)
{
    struct weft_element element = element_of(&outer_name);
    struct weft_scope outer, inner;
    (void)arg;
    weft_scope_open(&outer);
    weft_scope_open(&inner);
    weft_scope_element(&outer, &element);
    return weft_scope_close(&outer, weft_scope_close(&inner, 0));
}

static int run_add_to_outer(void *arg)
{
    return weft_run(add_to_outer, arg);
}

static void misuse_ends_the_program(void **state)
{
    (void)state;
    assert_dies(run_one_that_waits, NULL, "an element's install or uninstall waits");
    assert_dies(run_add_to_outer, NULL,
                "weft_scope_element: the scope that add_to_outer() opened is not the caller's");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        element_test(it_is_seen_inside_and_by_children_launched_later_in_order_of_nesting),
        element_test(the_nearest_value_is_found_by_its_key_beside_the_fields),
        element_test(it_follows_the_coroutine_over_threads_and_nobody_else_sees_it),
        element_test(an_element_leaves_errno_alone),
        element_test(a_child_that_runs_in_place_has_its_own_context_meanwhile),
        element_test(a_cancelled_coroutine_tidies_up_under_its_own_prefix),
        element_test(a_failure_is_reported_under_the_prefix_of_the_one_that_failed),
        element_test(an_element_that_cannot_be_added_fails_the_scope),
        element_test(whatever_allocation_fails_comes_out_of_close),
        element_test(misuse_ends_the_program),
    };
    return berth_test_main(tests, NULL, NULL);
}

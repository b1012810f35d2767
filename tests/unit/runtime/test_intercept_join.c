/* SPDX-License-Identifier: MIT
 *
 * pthread_join in a coroutine whose libc calls park, on one thread.
 */
#include "wefttest.h"

static struct {
    pthread_t thread;
    atomic_bool is_free;
    void *result;
    int rc;
} joined;

static void *wait_until_free(void *arg)
{
    return test_block_until(&joined.is_free) ? arg : NULL;
}

static int join_it(void *arg)
{
    (void)arg;
    joined.rc = pthread_join(joined.thread, &joined.result);
    return 0;
}

static int let_go(void *arg)
{
    (void)arg;
    joined.is_free = true;
    return 0;
}

/* The second one would never run if the first had blocked their thread. */
static int join_and_let_go(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, join_it, arg);
    weft_launch(&scope, NULL, let_go, arg);
    return weft_scope_close(&scope, 0);
}

static void joining_holds_nobody_up(void **state)
{
    (void)state;
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    for (int i = 0; i < 3; i++) {
        joined.rc = -1;
        joined.is_free = false;
        assert_int_equal(pthread_create(&joined.thread, NULL, wait_until_free, &joined), 0);

        assert_int_equal(weft_root_close(weft_root_open(weft_virtual(), join_and_let_go, NULL)), 0);

        assert_int_equal(joined.rc, 0);
        assert_ptr_equal(joined.result, &joined);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(joining_holds_nobody_up),
    };
    return berth_test_main(tests, NULL, NULL);
}

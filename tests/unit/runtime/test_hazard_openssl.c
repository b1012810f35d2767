/* SPDX-License-Identifier: MIT
 *
 * Hazard: state that a library keeps for each thread. OpenSSL's queue of errors is such a one: what
 * a coroutine leaves there over a park is seen, and can be thrown away, by the others of its
 * thread. So fetch errors before the next call that may park, as libcurl and libpq do; or let the
 * queue follow the coroutine, by a context element.
 */
#include "wefttest.h"

#include <openssl/err.h>
#include <unistd.h>

#define REASON_A   101
#define ERRORS_MAX 16

struct errors {
    bool follows;
    int seen_by_first, seen_by_second;
    atomic_bool is_left;
};

/* Errors of one coroutine while it does not run. */
struct queue {
    unsigned long codes[ERRORS_MAX];
    int count;
};

static void put_back(void *value)
{
    struct queue *queue = value;
    for (int i = 0; i < queue->count; i++) {
        ERR_new();
        ERR_set_error(ERR_GET_LIB(queue->codes[i]), ERR_GET_REASON(queue->codes[i]), NULL);
    }
    queue->count = 0;
}

static void take_away(void *value)
{
    struct queue *queue = value;
    queue->count = 0;
    for (unsigned long code; queue->count < ERRORS_MAX && (code = ERR_get_error()) != 0;)
        queue->codes[queue->count++] = code;
    ERR_clear_error();
}

static void leave_error(int reason)
{
    ERR_raise(ERR_LIB_USER, reason);
}

/* Runs `fn` with a queue of errors that is this coroutine's, if that is wanted. */
static int with_queue(struct errors *e, int (*fn)(struct errors *errors))
{
    struct queue queue = { .count = 0 };
    struct weft_element element = {
        .key = &put_back, .value = &queue, .install = put_back, .uninstall = take_away
    };
    struct weft_scope scope;
    weft_scope_open(&scope);
    if (e->follows)
        weft_scope_element(&scope, &element);
    int rc = fn(e);
    return weft_scope_close(&scope, rc);
}

static int first_body(struct errors *e)
{
    leave_error(REASON_A);
    e->is_left = true;
    int rc = usleep(5000); /* sleeps: with an error in the queue */
    e->seen_by_first = ERR_GET_REASON(ERR_peek_error());
    ERR_clear_error();
    return rc;
}

static int second_body(struct errors *e)
{
    while (!e->is_left && weft_yield() == 0) {
    }
    e->seen_by_second = ERR_GET_REASON(ERR_peek_error());
    ERR_clear_error();
    return 0;
}

static int first(void *arg)
{
    return with_queue(arg, first_body);
}

static int second(void *arg)
{
    return with_queue(arg, second_body);
}

static int run_both(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, first, arg);
    weft_launch(&scope, NULL, second, arg);
    return weft_scope_close(&scope, 0);
}

static void run_on_one_thread(struct errors *e)
{
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1, .stack_bytes = 512 << 10 }),
                     0);
    assert_int_equal(weft_root_close(weft_root_open(weft_virtual(), run_both, e)), 0);
}

static void the_queue_of_errors_is_the_threads(void **state)
{
    (void)state;
    struct errors e = { .follows = false };

    run_on_one_thread(&e);

    assert_int_equal(e.seen_by_second, REASON_A);
    assert_int_equal(e.seen_by_first, 0);
}

static void a_context_element_makes_it_the_coroutines(void **state)
{
    (void)state;
    struct errors e = { .follows = true };

    run_on_one_thread(&e);

    assert_int_equal(e.seen_by_second, 0);
    assert_int_equal(e.seen_by_first, REASON_A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(the_queue_of_errors_is_the_threads),
        weft_unit_test(a_context_element_makes_it_the_coroutines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

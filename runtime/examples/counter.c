/* SPDX-License-Identifier: MIT
 *
 * usage: weft_counter
 *
 * Ten thousand coroutines add one to the same number. On several threads some of that gets lost;
 * through a serial view, which runs one at a time and lets each see what the last one wrote, it is
 * exactly ten thousand, without a lock and without a thread of its own.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include <weft/weft.h>

#define TIMES 10000

static int add(void *arg)
{
    ++*(long *)arg;
    return 0;
}

/* The same mistake in words that C defines: between the load and the store others may come. */
static int add_in_two_steps(void *arg)
{
    atomic_long *counter = arg;
    long value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
    return 0;
}

static int repeat(struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < TIMES; i++)
        weft_launch(&scope, d, fn, arg);
    return weft_scope_close(&scope, 0);
}

static int count(void *arg)
{
    long counter = 0;
    atomic_long racy = 0;
    struct weft_dispatcher *serial;
    (void)arg;
    int rc = weft_view_serial(weft_default(), "counter", &serial);
    if (rc >= 0)
        rc = repeat(weft_io(), add_in_two_steps, &racy);
    if (rc >= 0)
        rc = repeat(serial, add, &counter);
    (void)printf("on io: %ld; through a serial view: %ld\n", (long)racy, counter);
    return rc < 0 || counter == TIMES ? rc : -ERANGE;
}

int main(void)
{
    int rc = weft_run(count, NULL);
    if (rc < 0)
        (void)fprintf(stderr, "counter: %s\n", weft_strerror(rc));
    return rc < 0 || weft_shutdown() < 0;
}

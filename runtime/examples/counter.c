/* SPDX-License-Identifier: MIT
 *
 * usage: weft_counter
 *
 * Ten thousand coroutines add one to the same number, in two steps. On several threads much of that
 * gets lost; through a serial view, which runs one at a time and lets each see what the last one
 * wrote, the same code counts to exactly ten thousand, without a lock and without a thread of its
 * own.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include <weft/weft.h>

#define TIMES 10000
#define EVERY 10

/* The usual mistake, in words that C defines: between the load and the store others may come. That
 * the thread lets others run there, now and then, makes it visible. */
static int add(void *arg)
{
    atomic_long *counter = arg;
    long value = atomic_load_explicit(counter, memory_order_relaxed);
    if (value % EVERY == 0)
        (void)sched_yield();
    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
    return 0;
}

static int repeat(struct weft_dispatcher *d, atomic_long *counter)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < TIMES; i++)
        weft_launch(&scope, d, add, counter);
    return weft_scope_close(&scope, 0);
}

static int count(void *arg)
{
    atomic_long on_io = 0, in_series = 0;
    struct weft_dispatcher *serial;
    (void)arg;
    int rc = weft_view_serial(weft_io(), "counter", &serial);
    if (rc >= 0)
        rc = repeat(weft_io(), &on_io);
    if (rc >= 0)
        rc = repeat(serial, &in_series);
    (void)printf("on io: %ld; through a serial view of it: %ld\n", (long)on_io, (long)in_series);
    return rc < 0 || in_series == TIMES ? rc : -ERANGE;
}

int main(void)
{
    int rc = weft_run(count, NULL);
    if (rc < 0)
        (void)fprintf(stderr, "counter: %s\n", weft_strerror(rc));
    return rc < 0 || weft_shutdown() < 0;
}

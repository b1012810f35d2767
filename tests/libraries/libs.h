/* SPDX-License-Identifier: MIT
 *
 * Unmodified libraries in weft's virtual threads, all on one carrier: a library whose wait blocked
 * it would stop everybody, which the time shows.
 */
#pragma once

#include "support/berthtest.h"

#include <weft/weft.h>

/* Far longer than any of it takes, in one. */
#define LIBS_WAIT_MS 60000

/* Libraries put buffers of 16 KiB on the stack. */
#define LIBS_STACK_BYTES ((size_t)512 << 10)

static inline int libs_one_carrier(void **state)
{
    (void)state;
    return weft_configure(&(struct weft_opts){ .threads = 1, .stack_bytes = LIBS_STACK_BYTES });
}

static inline int libs_shutdown(void **state)
{
    (void)state;
    return weft_shutdown();
}

#define libs_test(f) cmocka_unit_test_setup_teardown(f, libs_one_carrier, libs_shutdown)

struct libs_many {
    int count;
    weft_fn fn;
    void *arg;
    int64_t took_ms;
};

/* Coroutine: `count` times fn(arg) at once. */
static inline int libs_run_many(void *arg)
{
    struct libs_many *many = arg;
    int64_t start_ns = weft_now_ns();
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < many->count; i++)
        weft_launch(&scope, NULL, many->fn, many->arg);
    int rc = weft_scope_close(&scope, 0);
    many->took_ms = (weft_now_ns() - start_ns) / 1000000;
    return rc;
}

static inline int libs_run(weft_fn fn, void *arg)
{
    return weft_root_close(weft_root_open(weft_virtual(), fn, arg));
}

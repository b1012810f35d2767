/* SPDX-License-Identifier: MIT
 *
 * usage: weft_coroutines_blocking [TRACE.json]
 *
 * The third picture: twenty coroutines on two threads, and calls that block. It is no better than
 * the fixed pool: a coroutine gives its thread away where it waits in weft's own calls, and
 * connect, write and read are not among them. A blocked thread is a blocked thread.
 */
#include <weft/weft.h>

#include "twenty.h"

static int calls_at_once(void *arg)
{
    struct call *calls = arg;
    struct weft_task *jobs[TWENTY];
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < TWENTY; i++)
        jobs[i] = weft_async(&scope, NULL, call_blocking, &calls[i]);
    return weft_scope_close(&scope, weft_await_all(jobs, TWENTY));
}

static int coroutines_on_two_threads(struct call calls[TWENTY])
{
    struct weft_dispatcher *pool;
    int rc = weft_view_independent(2, "coroutines", &pool);
    if (rc < 0)
        return rc;
    return weft_root_close(weft_root_open(pool, calls_at_once, calls)); /* runBlocking(pool) */
}

int main(int argc, char **argv)
{
    static const struct claim claim = { .title = "coroutines over blocking calls",
                                        .at_least_ms = TWENTY_ON_TWO_MS,
                                        .at_most_ms = TWENTY_MS_MAX,
                                        .at_once = 2 };
    return twenty_main(argc, argv, &claim, coroutines_on_two_threads);
}

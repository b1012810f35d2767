/* SPDX-License-Identifier: MIT
 *
 * usage: weft_coroutines_waiting [TRACE.json]
 *
 * The fourth picture: the same twenty coroutines on the same two threads, with calls that do not
 * block: where there is nothing to read yet, weft_fd_wait() parks the coroutine and the thread goes
 * on with another. The price: all that code had to be written for it.
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
        jobs[i] = weft_async(&scope, NULL, call_waiting, &calls[i]);
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
    static const struct claim claim = { .title = "coroutines that wait without blocking",
                                        .at_least_ms = 700,
                                        .at_most_ms = TWENTY_ON_TWO_MS - 1,
                                        .at_once = TWENTY };
    return twenty_main(argc, argv, &claim, coroutines_on_two_threads);
}

/* SPDX-License-Identifier: MIT
 *
 * usage: weft_virtual_threads [TRACE.json]
 *
 * The fifth picture: the code of the first three, unchanged, in virtual threads. It reads as if it
 * blocked, and only the coroutine is parked.
 */
#include <weft/weft.h>

#include "twenty.h"

static int calls_at_once(void *arg)
{
    struct call *calls = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < TWENTY; i++)
        weft_launch(&scope, weft_virtual(), call_blocking, &calls[i]);
    return weft_scope_close(&scope, 0);
}

static int virtual_threads(struct call calls[TWENTY])
{
    return weft_run(calls_at_once, calls);
}

int main(int argc, char **argv)
{
    static const struct claim claim = { .title = "virtual threads",
                                        .at_least_ms = 700,
                                        .at_most_ms = TWENTY_ON_TWO_MS - 1,
                                        .at_once = TWENTY };
    return twenty_main(argc, argv, &claim, virtual_threads);
}

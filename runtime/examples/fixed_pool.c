/* SPDX-License-Identifier: MIT
 *
 * usage: weft_fixed_pool [TRACE.json]
 *
 * The second picture: a pool of two threads, and a queue before it. Never too many threads; but a
 * thread that waits for an answer does nothing else, so eighteen calls stand in the queue.
 */
#include <weft/weft.h>

#include "twenty.h"

static int queue_for_two(struct call calls[TWENTY])
{
    struct weft_dispatcher *pool;
    struct weft_task *futures[TWENTY];
    int rc = weft_view_independent(2, "fixed", &pool);
    if (rc < 0)
        return rc;
    for (int i = 0; i < TWENTY; i++)
        futures[i] = weft_root_open(pool, call_blocking, &calls[i]); /* executor.submit() */
    for (int i = 0; i < TWENTY; i++) {
        int ended = weft_root_close(futures[i]); /* future.get() */
        rc = rc < 0 ? rc : ended;
    }
    return rc;
}

int main(int argc, char **argv)
{
    static const struct claim claim = { .title = "fixed pool",
                                        .at_least_ms = TWENTY_ON_TWO_MS,
                                        .at_most_ms = TWENTY_MS_MAX,
                                        .at_once = 2 };
    return twenty_main(argc, argv, &claim, queue_for_two);
}

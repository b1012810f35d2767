/* SPDX-License-Identifier: MIT
 *
 * usage: weft_unbounded_threads [TRACE.json]
 *
 * The first picture: a thread for each call, as many as there are. It is as fast as can be, and
 * with a hundred thousand calls it would want a hundred thousand threads.
 */
#include <weft/weft.h>

#include "twenty.h"

#define NO_BOUND 65535

static int thread_each(struct call calls[TWENTY])
{
    struct weft_dispatcher *unbounded;
    struct weft_task *threads[TWENTY];
    int rc = weft_view_independent(NO_BOUND, "unbounded", &unbounded);
    if (rc < 0)
        return rc;
    for (int i = 0; i < TWENTY; i++)
        threads[i] = weft_root_open(unbounded, call_blocking, &calls[i]);
    for (int i = 0; i < TWENTY; i++) {
        int ended = weft_root_close(threads[i]);
        rc = rc < 0 ? rc : ended;
    }
    return rc;
}

int main(int argc, char **argv)
{
    static const struct claim claim = { .title = "unbounded threads",
                                        .at_least_ms = 700,
                                        .at_most_ms = TWENTY_ON_TWO_MS - 1,
                                        .at_once = TWENTY };
    return twenty_main(argc, argv, &claim, thread_each);
}

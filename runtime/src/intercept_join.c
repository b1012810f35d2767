/* SPDX-License-Identifier: MIT
 *
 * pthread_join: nothing that could be polled tells the end of a thread, so it is awaited on a
 * thread of the pool, beside io's limit. (libcurl joins its resolver's threads, for instance.)
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "intercept.h"
#include "intercept_own.h"
#include "tree.h"

WEFT_NEXT(int, pthread_join, pthread_t, void **)

extern const char weft_draws_join;
const char weft_draws_join = 1;

struct join {
    pthread_t thread;
    void *result;
    int rc;
};

static void join_run(void *arg)
{
    struct join *join = arg;
    join->rc = next_pthread_join()(join->thread, &join->result);
}

int pthread_join(pthread_t thread, void **ret_result)
{
    struct weft_task *self =
        pthread_equal(thread, pthread_self()) == 0 ? weft_call_enter() : NULL; /* else EDEADLK */
    struct join *join = self ? malloc(sizeof *join) : NULL;
    if (join)
        *join = (struct join){ .thread = thread };
    if (!join || weft_call_pooled_long(self, "pthread_join", join_run, join) < 0) {
        if (self)
            (void)weft_call_leave(self, 0);
        free(join);
        return next_pthread_join()(thread, ret_result);
    }
    int rc = join->rc;
    if (rc == 0 && ret_result)
        *ret_result = join->result;
    free(join);
    return (int)weft_call_leave(self, rc);
}

int weft_own_join(pthread_t thread, void **ret_result)
{
    return next_pthread_join()(thread, ret_result);
}

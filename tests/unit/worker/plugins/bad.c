/* SPDX-License-Identifier: MIT */
/* Plugins that must be refused; BAD says in which way. */
#include <stdlib.h>

#include <berth/worker.h>

#define BAD_ABI   1
#define BAD_BYTES 2
#define BAD_NAME  3
#define BAD_TWICE 4
#define BAD_OPEN  5
#define BAD_NONE  6
#define BAD_EMPTY 7

#if BAD != BAD_NONE && BAD != BAD_EMPTY
static int nothing(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    (void)arg;
    return 0;
}

static int bad_open(struct berth_worker *worker, struct berth_error *err)
{
    if (BAD == BAD_NAME)
        return berth_worker_handler(worker, "no name", nothing, NULL, NULL, err);
    if (BAD == BAD_OPEN)
        return berth_fail(err, -101, "the mail server's address is missing");
    if (BAD == BAD_ABI || BAD == BAD_BYTES)
        abort(); /* must not be called */
    int rc = berth_worker_handler(worker, "same", nothing, NULL, NULL, err);
    return rc < 0 ? rc : berth_worker_handler(worker, "same", nothing, NULL, NULL, err);
}

static void bad_close(void)
{
    abort(); /* what did not open is not closed */
}

const struct berth_plugin berth_plugin = {
    .abi = BERTH_PLUGIN_ABI + (BAD == BAD_ABI),
    .bytes = sizeof(struct berth_plugin) + (BAD == BAD_BYTES),
    .name = "bad",
    .version = "0",
    .open = bad_open,
    .close = bad_close,
};
#elif BAD == BAD_EMPTY
const struct berth_plugin berth_plugin = { .abi = BERTH_PLUGIN_ABI,
                                           .bytes = sizeof(struct berth_plugin) };
#else
int not_a_plugin(void);
int not_a_plugin(void)
{
    return 0;
}
#endif

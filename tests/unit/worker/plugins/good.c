/* SPDX-License-Identifier: MIT */
/* A plugin as it should be; its close leaves a trace in the environment. */
#include <stdlib.h>

#include <berth/worker.h>

static int greet(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    return berth_attempt_result(attempt, "hello", 5);
}

static int good_open(struct berth_worker *worker, struct berth_error *err)
{
    return berth_worker_handler(worker, "greet", greet, NULL, NULL, err);
}

static void good_close(void)
{
    (void)setenv("TEST_PLUGIN_CLOSED", "yes", 1);
}

const struct berth_plugin berth_plugin = { BERTH_PLUGIN_ABI, sizeof(struct berth_plugin),
                                           "good",           "1.2",
                                           good_open,        good_close };

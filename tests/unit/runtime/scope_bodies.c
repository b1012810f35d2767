/* SPDX-License-Identifier: MIT */
#include "scope_bodies.h"

int nap(void *arg)
{
    struct seen *seen = arg;
    seen->started++;
    seen->is_ready = true;
    int rc = weft_sleep_ms(20);
    if (rc == -ECANCELED)
        seen->cancelled++;
    seen->ended++;
    return rc;
}

int sleep_long(void *arg)
{
    struct seen *seen = arg;
    seen->started++;
    seen->is_ready = true;
    int rc = weft_sleep_ms(TEST_WAIT_MS);
    if (rc == -ECANCELED)
        seen->cancelled++;
    seen->ended++;
    return rc;
}

int fail_when_ready(void *arg)
{
    struct seen *seen = arg;
    (void)test_await(&seen->is_ready);
    seen->ended++;
    return -EPIPE;
}

/* SPDX-License-Identifier: MIT
 *
 * Opening a worker's parts when each allocation in turn fails: an error, and nothing left behind.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>

#include <berth/worker.h>

#include "base/assert.h"
#include "support/faulty.h"
#include "worker/net/link.h"
#include "worker/plugin.h"
#include "worker/slots.h"
#include "worker/watchdog.h"

static const char *const handlers[] = { "mail" };

static void start(void *arg, const struct agent_grant *grant)
{
    (void)arg;
    (void)grant;
}

static void opening_a_worker_without_memory_is_an_error(void **state)
{
    (void)state;
    const char *const served[] = { "auth", "newsletter", NULL };
    const struct berth_worker_opts opts = { .url = "tcp://127.0.0.1:1",
                                            .name = "w",
                                            .dispatchers = served };
    FAULTY_FOREACH(n)
    {
        struct berth_worker *worker = NULL;
        int rc = berth_worker_open(&opts, &worker, NULL);
        bool has_failed = faulty_stop();
        if (rc < 0)
            assert_null(worker);
        else
            berth_worker_close(worker);
        /* weft may go without: then it is configured by nobody. */
        assert_true(rc == 0 || (has_failed && rc == -ENOMEM));
    }
}

static void opening_the_slots_without_memory_is_an_error(void **state)
{
    (void)state;
    struct inbox *inbox;
    static struct registry registry;
    assert_ok(inbox_open(&inbox, NULL));
    const struct slots_opts opts = { .attempts_max = 4, .registry = &registry, .inbox = inbox };
    FAULTY_FOREACH(n)
    {
        struct slots *slots = NULL;
        int rc = slots_open(&opts, &slots, NULL);
        bool has_failed = faulty_stop();
        assert_rc(rc, has_failed ? -ENOMEM : 0);
        slots_close(slots);
    }
    inbox_close(inbox);
}

static void opening_the_link_without_memory_is_an_error(void **state)
{
    (void)state;
    struct inbox *inbox;
    assert_ok(inbox_open(&inbox, NULL));
    const struct link_opts opts = { .url = "tcp://127.0.0.1:1",
                                    .agent = { .name = "w",
                                               .handlers = handlers,
                                               .handler_count = 1,
                                               .capacity = 4,
                                               .child = 1 },
                                    .inbox = inbox,
                                    .host = { .start = start } };
    FAULTY_FOREACH(n)
    {
        struct link *link = NULL;
        int rc = link_open(&opts, &link, NULL);
        bool has_failed = faulty_stop();
        assert_rc(rc, has_failed ? -ENOMEM : 0);
        link_close(link);
    }
    inbox_close(inbox);
}

static size_t none(void *arg)
{
    (void)arg;
    return 0;
}

static void opening_the_smaller_parts_without_memory_is_an_error(void **state)
{
    (void)state;
    FAULTY_FOREACH(n)
    {
        struct inbox *inbox = NULL;
        int rc = inbox_open(&inbox, NULL);
        bool has_failed = faulty_stop();
        inbox_close(inbox);
        assert_rc(rc, has_failed ? -ENOMEM : 0);
    }
    struct watchdog *watchdog = NULL;
    faulty_fail_at(1);
    int rc = watchdog_open(none, NULL, &watchdog, NULL);
    assert_true(faulty_stop());
    assert_rc(rc, -ENOMEM);
    struct plugin *plugin = NULL;
    faulty_fail_at(1);
    rc = plugin_open(BERTH_BIN_DIR "/test_plugin_good.so", NULL, &plugin, NULL);
    assert_true(faulty_stop());
    assert_rc(rc, -ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_a_worker_without_memory_is_an_error),
        cmocka_unit_test(opening_the_slots_without_memory_is_an_error),
        cmocka_unit_test(opening_the_link_without_memory_is_an_error),
        cmocka_unit_test(opening_the_smaller_parts_without_memory_is_an_error),
    };
    return berth_test_main(tests, NULL, NULL);
}

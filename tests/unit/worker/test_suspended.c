/* SPDX-License-Identifier: MIT
 *
 * Many attempts that wait: they hold no thread, so that what they wait for can run beside them.
 */
#include "slots_fixture.h"

#include <stdatomic.h>

#include "support/await.h"

#define IO_THREADS   4
#define WAITING_MAX  64 /* far more than there are threads */
#define SLOTS_OPENED (WAITING_MAX + 1)

static int setup(void **state)
{
    const struct weft_opts opts = { .io_threads = IO_THREADS };
    int rc = weft_configure(&opts);
    return rc < 0 ? rc : slots_setup_with(state, SLOTS_OPENED);
}

static int sleeps_long(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    return berth_attempt_sleep_ms(attempt, 3600000);
}

static int counts(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    (void)atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void await_of(struct fixture *f, enum inbox_kind kind)
{
    assert_int_equal(await_item(f)->kind, kind);
    if (kind == INBOX_OVER)
        finish(f);
    f->item = NULL;
}

static void attempts_that_wait_hold_no_thread(void **state)
{
    struct fixture *f = *state;
    atomic_int count = 0;
    given_handler(f, "waits", sleeps_long, NULL);
    given_handler(f, "counts", counts, &count);
    for (uint64_t i = 1; i <= WAITING_MAX; i++) {
        start(f, i, "waits", "");
        await_of(f, INBOX_SUSPEND);
    }

    for (uint64_t i = 0; i < IO_THREADS + 1; i++) {
        start(f, WAITING_MAX + 1 + i, "counts", "");
        await_of(f, INBOX_OVER);
    }

    assert_int_equal(atomic_load(&count), IO_THREADS + 1);
    assert_int_equal(slots_running_count(f->slots), WAITING_MAX);
    for (uint64_t i = 1; i <= WAITING_MAX; i++) {
        slots_cancel(f->slots, i, AGENT_CANCEL_JOB, 5000);
        await_of(f, INBOX_RESUME_ME);
        slots_resume(f->slots, i);
        await_of(f, INBOX_OVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(attempts_that_wait_hold_no_thread, setup, slots_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * The link thread against a broker that says what the test wants: real sockets, a host that only
 * takes notes.
 */
#include "fake_broker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "proto/columns.h"
#include "support/await.h"
#include "worker/net/link.h"

#define AWAIT_MS     FAKE_AWAIT_MS
#define ATTEMPTS_MAX 8

#define AWAIT(f, NAME, member)                                                                     \
    (fake_await(&(f)->broker, BERTH__V1__ENVELOPE__MESSAGE_##NAME)->member)

struct fixture {
    struct fake_broker broker;
    struct inbox *inbox;
    struct link *link;
    pthread_t thread;
    bool has_thread;
    int rc;
    struct link_exit exit;
    struct berth_error err;
    atomic_uint starts, cancels, finishes, sessions;
    atomic_bool has_news;
    _Atomic int64_t lease_end_ms;
    struct inbox_item items[ATTEMPTS_MAX];
};

static const char *const handlers[] = { "mail" };

static void on_start(void *arg, const struct agent_grant *grant)
{
    struct fixture *f = arg;
    f->items[atomic_load(&f->starts)].attempt = grant->attempt;
    atomic_fetch_add(&f->starts, 1);
}

static void on_cancel(void *arg, uint64_t attempt, enum agent_cancel_reason reason,
                      int64_t grace_ms)
{
    struct fixture *f = arg;
    (void)attempt;
    (void)reason;
    (void)grace_ms;
    atomic_fetch_add(&f->cancels, 1);
}

static void on_finish(void *arg, struct inbox_item *item)
{
    struct fixture *f = arg;
    (void)item;
    atomic_fetch_add(&f->finishes, 1);
}

static bool on_news(void *arg, uint64_t *ret_attempt)
{
    struct fixture *f = arg;
    *ret_attempt = FAKE_ID(1);
    return atomic_exchange(&f->has_news, false);
}

static bool on_show(void *arg, uint64_t attempt, uint32_t epoch, uint32_t join, size_t bytes_max,
                    struct berth_arena *arena, struct agent_show *ret_show)
{
    (void)arg, (void)arena;
    *ret_show = (struct agent_show){ .attempt = attempt,
                                     .has_progress = true,
                                     .done = join,
                                     .total = epoch,
                                     .out_from = bytes_max,
                                     .out = { "abc", 3 } };
    return true;
}

static void on_session(void *arg, uint64_t session, uint32_t epoch, uint64_t lineage,
                       int64_t worker_lease_ms)
{
    struct fixture *f = arg;
    (void)epoch;
    (void)lineage;
    (void)worker_lease_ms;
    if (session != 0)
        atomic_fetch_add(&f->sessions, 1);
}

static void on_lease(void *arg, int64_t end_ms)
{
    struct fixture *f = arg;
    atomic_store(&f->lease_end_ms, end_ms);
}

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->rc = link_run(f->link, &f->exit, &f->err);
    return NULL;
}

static int link_setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    fake_open(&f->broker);
    *state = f;
    return inbox_open(&f->inbox, NULL);
}

static void given_link(struct fixture *f)
{
    const struct link_opts opts = { .url = f->broker.url,
                                    .agent = { .nonce = { 3 },
                                               .child = 4,
                                               .name = "w1",
                                               .handlers = handlers,
                                               .handler_count = 1,
                                               .capacity = ATTEMPTS_MAX,
                                               .cores = 1,
                                               .seed = 1 },
                                    .inbox = f->inbox,
                                    .host = { .arg = f,
                                              .start = on_start,
                                              .cancel = on_cancel,
                                              .finish = on_finish,
                                              .news = on_news,
                                              .show = on_show,
                                              .session = on_session,
                                              .lease = on_lease },
                                    .stop_grace_ms = 200 };
    assert_ok(link_open(&opts, &f->link, NULL));
    f->has_thread = pthread_create(&f->thread, NULL, run, f) == 0;
    assert_true(f->has_thread);
}

static void await_exit(struct fixture *f)
{
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    f->has_thread = false;
    assert_int_equal(f->rc, 0);
}

/* A test that failed may have left the link running: then it is stopped. */
static int link_teardown(void **state)
{
    struct fixture *f = *state;
    if (f->has_thread) {
        inbox_command(f->inbox, INBOX_STOP);
        (void)pthread_join(f->thread, NULL);
    }
    link_close(f->link);
    inbox_close(f->inbox);
    fake_close(&f->broker);
    return 0;
}

static bool is_positive(void *arg)
{
    return atomic_load((atomic_uint *)arg) > 0;
}

static void given_running(struct fixture *f)
{
    given_link(f);
    fake_join(&f->broker);
    fake_say_grant(&f->broker, FAKE_ID(1), "mail", "alice");
    assert_true(await(is_positive, &f->starts, AWAIT_MS));
}

static void end_first(struct fixture *f)
{
    f->items[0].end = (struct agent_end){ .outcome = AGENT_COMPLETED };
    inbox_push(f->inbox, &f->items[0]);
}

static void it_joins_and_takes_its_lease(void **state)
{
    struct fixture *f = *state;
    int64_t before_ms = berth_clock_boottime_ns() / 1000000;
    given_link(f);
    const Berth__V1__WorkerHello *hello = AWAIT(f, WORKER_HELLO, worker_hello);
    assert_int_equal(hello->epoch, 0);
    fake_say_epoch(&f->broker);
    do /* it may have asked twice: at its start, and when it was connected */
        hello = AWAIT(f, WORKER_HELLO, worker_hello);
    while (hello->epoch == 0);
    assert_int_equal(hello->epoch, FAKE_EPOCH);

    fake_say_welcome(&f->broker, hello);

    assert_true(await(is_positive, &f->sessions, AWAIT_MS));
    const Berth__V1__WorkerRenew *renew = AWAIT(f, WORKER_RENEW, worker_renew);
    assert_int_equal(renew->session, FAKE_SESSION);
    assert_int_equal(renew->renewal, 1);
    assert_true(atomic_load(&f->lease_end_ms) >= before_ms + FAKE_K_MS);
    assert_true(atomic_load(&f->lease_end_ms) <= berth_clock_boottime_ns() / 1000000 + FAKE_K_MS);
}

static void an_attempt_is_started_reported_and_finished_with(void **state)
{
    struct fixture *f = *state;
    given_running(f);
    assert_int_equal(f->items[0].attempt, FAKE_ID(1));

    end_first(f);

    const Berth__V1__WorkerReports *reports = AWAIT(f, WORKER_REPORTS, worker_reports);
    assert_int_equal(reports->number, 1);
    assert_int_equal(reports->n_attempt, 1);
    assert_int_equal(reports->attempt[0], FAKE_ID(1));
    assert_true(await(is_positive, &f->finishes, AWAIT_MS));
}

static void what_an_attempt_has_to_show_is_fetched_and_sent(void **state)
{
    struct fixture *f = *state;
    given_running(f);

    atomic_store(&f->has_news, true);
    inbox_command(f->inbox, INBOX_NEWS);

    const Berth__V1__WorkerReports *reports = AWAIT(f, WORKER_REPORTS, worker_reports);
    assert_int_equal(reports->number, 1);
    assert_int_equal(reports->n_attempt, 0);
    assert_int_equal(reports->n_show_attempt, 1);
    assert_int_equal(reports->show_attempt[0], FAKE_ID(1));
    assert_int_equal(reports->show_done[0], 1);
    assert_int_equal(reports->show_total[0], FAKE_EPOCH);
    assert_int_equal(reports->show_out_from[0], LINK_SHOW_BYTES_MAX);
    assert_memory_equal(reports->show_outs.data, "abc", 3);
}

static void a_cancel_reaches_the_host(void **state)
{
    struct fixture *f = *state;
    given_running(f);

    fake_say_cancel(&f->broker, FAKE_ID(1));

    assert_true(await(is_positive, &f->cancels, AWAIT_MS));
}

static void garbage_is_dropped_and_harms_nothing(void **state)
{
    struct fixture *f = *state;
    given_link(f);
    fake_join(&f->broker);

    fake_say_bytes(&f->broker, "\xff\xff garbage", 10);
    fake_say_bytes(&f->broker, "", 0);
    fake_say_grant(&f->broker, FAKE_ID(1), "mail", "alice");

    assert_true(await(is_positive, &f->starts, AWAIT_MS));
}

static void a_broker_that_comes_back_is_joined_again_with_what_runs(void **state)
{
    struct fixture *f = *state;
    given_running(f);

    fake_restart(&f->broker);
    const Berth__V1__WorkerJoin *join = AWAIT(f, WORKER_JOIN, worker_join);
    assert_int_equal(join->epoch, FAKE_EPOCH);
    f->broker.epoch = FAKE_EPOCH + 1;
    fake_say_epoch(&f->broker);
    do
        join = AWAIT(f, WORKER_JOIN, worker_join);
    while (join->epoch != FAKE_EPOCH + 1);

    assert_int_equal(join->session, FAKE_SESSION);
    assert_int_equal(join->join, 1);
    assert_int_equal(join->n_attempt, 1);
    assert_int_equal(join->attempt[0], FAKE_ID(1));
    f->broker.join = 1;
    f->broker.orders = 0;
    fake_say_joined(&f->broker, join->renewal);
    end_first(f);
    const Berth__V1__WorkerReports *reports = AWAIT(f, WORKER_REPORTS, worker_reports);
    assert_int_equal(reports->epoch, FAKE_EPOCH + 1);
}

static void drain_ends_the_loop_when_all_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    given_running(f);

    inbox_command(f->inbox, INBOX_DRAIN);
    assert_true(AWAIT(f, WORKER_REPORTS, worker_reports)->is_draining);
    end_first(f);
    (void)AWAIT(f, WORKER_REPORTS, worker_reports);
    fake_say_ack(&f->broker, FAKE_ID(1));
    fake_say_renewed(&f->broker, AWAIT(f, WORKER_RENEW, worker_renew));

    await_exit(f);
    assert_int_equal(f->exit.why, AGENT_EXIT_DRAINED);
    assert_int_equal(f->exit.running_count, 0);
}

static void stop_ends_the_loop_after_its_grace_whatever_runs(void **state)
{
    struct fixture *f = *state;
    given_running(f);

    inbox_command(f->inbox, INBOX_STOP);

    await_exit(f);
    assert_int_equal(f->exit.why, AGENT_EXIT_DRAINED);
    assert_int_equal(f->exit.running_count, 1);
    assert_int_equal(atomic_load(&f->cancels), 1);
}

static void being_fenced_ends_the_loop(void **state)
{
    struct fixture *f = *state;
    given_running(f);

    fake_say_fenced(&f->broker);

    await_exit(f);
    assert_int_equal(f->exit.why, AGENT_EXIT_FENCED);
    assert_non_null(strstr(f->exit.reason, "the test says so"));
}

static void a_lease_that_nobody_renews_ends_the_loop_in_time(void **state)
{
    struct fixture *f = *state;
    f->broker.worker_lease_ms = FAKE_SHORT_K_MS;
    given_running(f);

    await_exit(f);

    assert_int_equal(f->exit.why, AGENT_EXIT_LEASE_OVER);
    int64_t late_ms = berth_clock_boottime_ns() / 1000000 - atomic_load(&f->lease_end_ms);
    assert_in_range(late_ms, 0, FAKE_LEASE_MS - FAKE_SHORT_K_MS);
}

static void the_end_of_a_session_is_said_until_it_is_heard(void **state)
{
    struct fixture *f = *state;
    given_link(f);
    fake_join(&f->broker);
    assert_true(await(is_positive, &f->sessions, AWAIT_MS));
    inbox_command(f->inbox, INBOX_STOP);
    await_exit(f);

    assert_int_equal(link_say_gone(f->link, 50), -ETIMEDOUT);
    const Berth__V1__WorkerGone *gone = AWAIT(f, WORKER_GONE, worker_gone);
    assert_int_equal(gone->session, FAKE_SESSION);
    fake_say_gone_ok(&f->broker);

    assert_int_equal(link_say_gone(f->link, AWAIT_MS), 0);
}

int main(void)
{
#define LINK_TEST(fact) cmocka_unit_test_setup_teardown(fact, link_setup, link_teardown)
    const struct CMUnitTest tests[] = {
        LINK_TEST(it_joins_and_takes_its_lease),
        LINK_TEST(an_attempt_is_started_reported_and_finished_with),
        LINK_TEST(what_an_attempt_has_to_show_is_fetched_and_sent),
        LINK_TEST(a_cancel_reaches_the_host),
        LINK_TEST(garbage_is_dropped_and_harms_nothing),
        LINK_TEST(a_broker_that_comes_back_is_joined_again_with_what_runs),
        LINK_TEST(drain_ends_the_loop_when_all_is_acknowledged),
        LINK_TEST(stop_ends_the_loop_after_its_grace_whatever_runs),
        LINK_TEST(being_fenced_ends_the_loop),
        LINK_TEST(a_lease_that_nobody_renews_ends_the_loop_in_time),
        LINK_TEST(the_end_of_a_session_is_said_until_it_is_heard),
    };
    return berth_test_main(tests, NULL, NULL);
}

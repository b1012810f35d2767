/* SPDX-License-Identifier: MIT
 *
 * A worker embedded in a program: what it refuses, and a life of it against a broker of the test's.
 */
#include "fake_broker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/worker.h>

#include "base/assert.h"
#include "base/text.h"
#include "proto/body.h"
#include "proto/columns.h"
#include "support/await.h"
#include "support/process.h"

#define AWAIT(f, NAME, member)                                                                     \
    (fake_await(&(f)->broker, BERTH__V1__ENVELOPE__MESSAGE_##NAME)->member)

struct fixture {
    struct fake_broker broker;
    struct berth_worker *worker;
    pthread_t thread;
    int rc;
    struct berth_error err;
};

static int echo(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    struct berth_slice payload = berth_attempt_payload(attempt);
    return berth_attempt_result(attempt, payload.data, payload.bytes);
}

static int sleep_long(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    (void)arg;
    return weft_sleep_ms(60000);
}

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->rc = berth_worker_run(f->worker, &f->err);
    return NULL;
}

static int worker_setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    fake_open(&f->broker);
    *state = f;
    const struct berth_worker_opts opts = {
        .url = f->broker.url, .name = "embedded", .capacity = 3, .grace_ms = 1000
    };
    int rc = berth_worker_open(&opts, &f->worker, NULL);
    if (rc >= 0)
        rc = berth_worker_handler(f->worker, "echo", echo, NULL, NULL, NULL);
    if (rc >= 0)
        rc = berth_worker_handler(f->worker, "sleep", sleep_long, NULL, NULL, NULL);
    return rc;
}

static int worker_teardown(void **state)
{
    struct fixture *f = *state;
    berth_worker_close(f->worker);
    fake_close(&f->broker);
    return weft_shutdown();
}

static void given_joined(struct fixture *f)
{
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    fake_join(&f->broker);
}

static void await_end(struct fixture *f, int rc)
{
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    assert_int_equal(f->rc, rc);
}

/* ---- what it refuses ---- */

static void bad_options_are_refused_and_named(void **state)
{
    static const char *const bad_names[] = { "news letter", NULL };
    static const struct {
        struct berth_worker_opts opts;
        const char *text;
    } rows[] = {
        { { .url = "http://x" }, "http://x" },
        { { .name = "a b" }, "name" },
        { { .capacity = 65536 }, "capacity 65536" },
        { { .grace_ms = -1 }, "grace_ms -1" },
        { { .capacity = 60000, .suspended_max = 5536 },
          "suspended_max 5536 beside capacity 60000: allowed are 65535 together" },
        { { .dispatchers = bad_names }, "news letter" },
        { { .reserved = { 1 } }, "reserved[0]" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct berth_worker *worker = NULL;
        struct berth_error err;
        assert_true(berth_worker_open(&rows[i].opts, &worker, &err) < 0);
        assert_null(worker);
        assert_non_null(strstr(err.message, rows[i].text));
    }
}

static void the_url_of_the_environment_is_checked_too(void **state)
{
    struct berth_worker *worker;
    struct berth_error err;
    (void)state;
    assert_int_equal(setenv("BERTH_URL", "nonsense", 1), 0);

    int rc = berth_worker_open(NULL, &worker, &err);

    assert_int_equal(unsetenv("BERTH_URL"), 0);
    assert_int_equal(rc, BERTH_EVALUE);
    assert_non_null(strstr(err.message, "BERTH_URL"));
}

static void a_worker_without_a_handler_does_not_run(void **state)
{
    struct berth_worker *worker;
    struct berth_error err;
    (void)state;
    assert_ok(
        berth_worker_open(&(struct berth_worker_opts){ .url = "ipc:///tmp/none" }, &worker, NULL));

    assert_rc(berth_worker_run(worker, &err), -EINVAL);

    assert_non_null(strstr(err.message, "no handler"));
    berth_worker_close(worker);
}

static void a_drain_before_the_run_ends_it_at_once(void **state)
{
    struct fixture *f = *state;
    berth_worker_drain(f->worker);

    assert_rc(berth_worker_run(f->worker, &f->err), 0);
    assert_rc(berth_worker_run(f->worker, &f->err), -EBUSY);
    assert_rc(berth_worker_handler(f->worker, "late", echo, NULL, NULL, NULL), -EBUSY);
    assert_rc(berth_worker_plugin(f->worker, "late.so", NULL), -EBUSY);
}

static void assert_offers(struct fixture *f, uint32_t capacity, uint32_t suspended_max,
                          uint32_t expected)
{
    const struct berth_worker_opts opts = { .url = f->broker.url,
                                            .capacity = capacity,
                                            .suspended_max = suspended_max };
    berth_worker_close(f->worker);
    assert_ok(berth_worker_open(&opts, &f->worker, &f->err));
    assert_ok(berth_worker_handler(f->worker, "echo", echo, NULL, NULL, NULL));
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    const Berth__V1__WorkerHello *hello;
    do /* the one before may have said it twice */
        hello = AWAIT(f, WORKER_HELLO, worker_hello);
    while (hello->capacity != (capacity > 0 ? capacity : 256));
    assert_int_equal(hello->suspended_max, expected);
    berth_worker_drain(f->worker);
    await_end(f, 0);
}

static void places_for_the_suspended_are_offered_as_far_as_the_capacity_leaves_any(void **state)
{
    struct fixture *f = *state;
    assert_offers(f, 0, 0, 4096);
    assert_offers(f, 8, 3, 3);
    assert_offers(f, 65000, 0, 535);
    assert_offers(f, 65535, 0, 0);
}

/* ---- a life ---- */

static void a_job_is_run_and_its_result_reported(void **state)
{
    struct fixture *f = *state;
    given_joined(f);

    fake_say_grant(&f->broker, FAKE_ID(1), "echo", "hello");

    const Berth__V1__WorkerReports *reports = AWAIT(f, WORKER_REPORTS, worker_reports);
    struct berth_arena arena;
    struct berth_result result;
    berth_arena_init(&arena, 1 << 20);
    assert_int_equal(reports->n_attempt, 1);
    assert_int_equal(reports->ends->outcome[0], BERTH__V1__OUTCOME__OUTCOME_COMPLETED);
    assert_ok(berth_result_unpack(berth_slice_from(reports->ends->results), &arena, &result, NULL));
    assert_true(berth_slice_is_equal(result.payload, berth_slice_of("hello")));
    berth_arena_fini(&arena);

    fake_say_ack(&f->broker, FAKE_ID(1));
    berth_worker_drain(f->worker);
    assert_true(AWAIT(f, WORKER_REPORTS, worker_reports)->is_draining);
    fake_say_renewed(&f->broker, AWAIT(f, WORKER_RENEW, worker_renew));
    const Berth__V1__WorkerGone *gone = AWAIT(f, WORKER_GONE, worker_gone);
    assert_int_equal(gone->session, FAKE_SESSION);
    fake_say_gone_ok(&f->broker);
    await_end(f, 0);
}

static void stop_hands_back_what_runs_and_says_gone(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    fake_say_grant(&f->broker, FAKE_ID(1), "sleep", "");
    /* The renewal comes after the grant was taken. */
    while (AWAIT(f, WORKER_RENEW, worker_renew)->taken < 1)
        ;

    berth_worker_stop(f->worker);

    assert_int_equal(AWAIT(f, WORKER_GONE, worker_gone)->session, FAKE_SESSION);
    fake_say_gone_ok(&f->broker);
    await_end(f, 0);
}

/* ---- all places are taken ---- */

#define FULL_CAPACITY 64 /* as many as there are threads of io in any case */
#define UNHURRIED_MS  10000

struct crowd {
    atomic_int blocked_count;
    sem_t is_over;
};

static int waits(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    return berth_attempt_sleep_ms(attempt, 3600000);
}

static int blocks(struct berth_attempt *attempt, void *arg)
{
    struct crowd *crowd = arg;
    (void)attempt;
    (void)atomic_fetch_add(&crowd->blocked_count, 1);
    while (sem_wait(&crowd->is_over) < 0)
        ;
    return 0;
}

static bool all_block(void *arg)
{
    const struct crowd *crowd = arg;
    return atomic_load(&crowd->blocked_count) == FULL_CAPACITY;
}

static void given_full_beside_one_that_waits(struct fixture *f, struct crowd *crowd)
{
    const struct berth_worker_opts opts = {
        .url = f->broker.url, .capacity = FULL_CAPACITY, .suspended_max = 1, .grace_ms = 1000
    };
    berth_worker_close(f->worker);
    assert_ok(berth_worker_open(&opts, &f->worker, &f->err));
    assert_ok(berth_worker_handler(f->worker, "waits", waits, NULL, NULL, NULL));
    assert_ok(berth_worker_handler(f->worker, "blocks", blocks, crowd, NULL, NULL));
    f->broker.renew_ms = UNHURRIED_MS; /* so that no renewal is missed */
    given_joined(f);
    fake_say_grant(&f->broker, FAKE_ID(1), "waits", "");
    assert_int_equal(AWAIT(f, WORKER_REPORTS, worker_reports)->n_suspend_attempt, 1);
    for (unsigned i = 0; i < FULL_CAPACITY; i++)
        fake_say_grant(&f->broker, FAKE_ID(2 + i), "blocks", "");
    assert_true(await(all_block, crowd, FAKE_AWAIT_MS));
}

static void who_is_cancelled_while_it_waits_needs_no_thread_of_a_full_worker(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd = { .blocked_count = 0 };
    assert_int_equal(sem_init(&crowd.is_over, 0, 0), 0);
    given_full_beside_one_that_waits(f, &crowd);

    fake_say_cancel(&f->broker, FAKE_ID(1));
    assert_int_equal(AWAIT(f, WORKER_REPORTS, worker_reports)->n_resume_attempt, 1);
    fake_say_resume(&f->broker, FAKE_ID(1), 1);

    const Berth__V1__WorkerReports *reports = AWAIT(f, WORKER_REPORTS, worker_reports);
    assert_int_equal(reports->n_attempt, 1);
    assert_int_equal(reports->attempt[0], FAKE_ID(1));
    assert_int_equal(reports->ends->outcome[0], BERTH__V1__OUTCOME__OUTCOME_CANCELLED);
    for (unsigned i = 0; i < FULL_CAPACITY; i++)
        assert_int_equal(sem_post(&crowd.is_over), 0);
    berth_worker_stop(f->worker);
    (void)AWAIT(f, WORKER_GONE, worker_gone);
    fake_say_gone_ok(&f->broker);
    await_end(f, 0);
    (void)sem_destroy(&crowd.is_over);
}

static void a_lost_session_is_followed_by_a_fresh_one(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    fake_say_fenced(&f->broker);
    assert_int_equal(AWAIT(f, WORKER_GONE, worker_gone)->child, 1);
    fake_say_gone_ok(&f->broker);

    const Berth__V1__WorkerHello *hello = AWAIT(f, WORKER_HELLO, worker_hello);

    assert_int_equal(hello->child, 2);
    assert_int_equal(hello->epoch_seen, FAKE_EPOCH);
    berth_worker_stop(f->worker);
    await_end(f, 0);
}

/* ---- the boundary: attempts that do not end ---- */

#define TRIES_MAX 5

#define DEAF "deaf" /* how this program is called to be the one below */

static int deaf(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

/* A program that embeds a worker whose handler never returns. */
static void deaf_program(const char *url)
{
    struct berth_worker *worker;
    const struct berth_worker_opts opts = { .url = url, .capacity = 1 };
    BERTH_ASSERT(berth_worker_open(&opts, &worker, NULL) == 0);
    BERTH_ASSERT(berth_worker_handler(worker, "deaf", deaf, NULL, NULL, NULL) == 0);
    (void)berth_worker_run(worker, NULL);
    _exit(0);
}

static void an_attempt_that_outlives_its_lease_ends_the_program(void **state)
{
    struct fixture *f = *state;
    struct process program;
    process_start(&program, (const char *const[]){ "/proc/self/exe", DEAF, f->broker.url, NULL },
                  NULL);
    f->broker.worker_lease_ms = FAKE_SHORT_K_MS;
    int code = PROCESS_TIMED_OUT;
    /* On a busy machine the lease may be over before the attempt has begun. Then it joins again. */
    for (uint32_t i = 1; i <= TRIES_MAX && code == PROCESS_TIMED_OUT; i++) {
        f->broker.session++;
        fake_join(&f->broker);
        fake_say_grant(&f->broker, FAKE_ID(i), "deaf", "");
        code = process_await_exit(&program, 5 * (int64_t)FAKE_SHORT_K_MS);
    }

    assert_int_equal(code, 81);
    assert_non_null(strstr(process_err(&program), "the lease is over and 1 attempts still run"));
    process_fini(&program);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], DEAF) == 0)
        deaf_program(argv[2]);
#define WORKER_TEST(fact) cmocka_unit_test_setup_teardown(fact, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        WORKER_TEST(bad_options_are_refused_and_named),
        WORKER_TEST(the_url_of_the_environment_is_checked_too),
        WORKER_TEST(a_worker_without_a_handler_does_not_run),
        WORKER_TEST(a_drain_before_the_run_ends_it_at_once),
        WORKER_TEST(places_for_the_suspended_are_offered_as_far_as_the_capacity_leaves_any),
        WORKER_TEST(a_job_is_run_and_its_result_reported),
        WORKER_TEST(stop_hands_back_what_runs_and_says_gone),
        WORKER_TEST(who_is_cancelled_while_it_waits_needs_no_thread_of_a_full_worker),
        WORKER_TEST(a_lost_session_is_followed_by_a_fresh_one),
        WORKER_TEST(an_attempt_that_outlives_its_lease_ends_the_program),
    };
    return berth_test_main(tests, NULL, NULL);
}

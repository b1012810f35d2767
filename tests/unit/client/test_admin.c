/* SPDX-License-Identifier: MIT
 *
 * What operators ask: dispatchers, workers, the broker.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <berth/admin.h>

static void a_new_dispatcher_needs_a_limit(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    struct berth_dispatcher_settings settings = { .max_attempts = 3 };

    assert_rc(berth_dispatcher_set(f->client, "mail", &settings, NULL, PATIENT, &err),
              BERTH_ENOTFOUND);

    assert_non_null(strstr(err.message, "limit"));
}

static void a_dispatcher_is_made_and_then_only_changed_where_told(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher *made;
    assert_ok(berth_dispatcher_set(f->client, "mail",
                                   &(struct berth_dispatcher_settings){
                                       .limit = { BERTH_LIMIT_NUMBER, 5 },
                                       .timeout_ms = 30000,
                                   },
                                   &made, PATIENT, NULL));
    assert_string_equal(made->name, "mail");
    assert_string_equal(made->parent, "");
    assert_int_equal(made->limit.kind, BERTH_LIMIT_NUMBER);
    assert_int_equal(made->limit.value, 5);
    assert_true(made->has_effective_limit);
    assert_int_equal(made->effective_limit, 5);
    assert_int_equal(made->timeout_ms, 30000);
    assert_int_equal(made->backoff_ms, 1000);
    berth_dispatcher_free(made);

    struct berth_dispatcher *changed;
    assert_ok(berth_dispatcher_set(f->client, "mail",
                                   &(struct berth_dispatcher_settings){
                                       .limit = { .kind = BERTH_LIMIT_UNLIMITED },
                                       .timeout_ms = BERTH_NONE,
                                       .backoff_ms_max = 5000,
                                   },
                                   &changed, PATIENT, NULL));
    assert_int_equal(changed->limit.kind, BERTH_LIMIT_UNLIMITED);
    assert_false(changed->has_effective_limit);
    assert_int_equal(changed->timeout_ms, 0);
    assert_int_equal(changed->backoff_ms, 1000);
    assert_int_equal(changed->backoff_ms_max, 5000);
    assert_int_equal(changed->max_attempts, 5);
    berth_dispatcher_free(changed);
    berth_dispatcher_free(NULL);
}

static void limits_are_set_and_taken_back(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher *made;
    const struct berth_dispatcher_settings settings = { .limit = { BERTH_LIMIT_NUMBER, 5 },
                                                        .parent = "io",
                                                        .weight = 7,
                                                        .group_limit = 2,
                                                        .rate_count = 100,
                                                        .rate_ms = 60000,
                                                        .burst = 10,
                                                        .max_queued = 1000,
                                                        .hold = BERTH_HOLDS_RUNNING,
                                                        .on_lost = BERTH_LOST_HOLD,
                                                        .jitter = BERTH_JITTER_OFF,
                                                        .queue_timeout_ms = 300000,
                                                        .deadline_ms = 3600000,
                                                        .retention_ms = 1,
                                                        .retention_count = BERTH_NONE };
    assert_ok(berth_dispatcher_set(f->client, "mail", &settings, &made, PATIENT, NULL));
    assert_string_equal(made->parent, "io");
    assert_int_equal(made->weight, 7);
    assert_int_equal(made->group_limit, 2);
    assert_int_equal(made->rate_count, 100);
    assert_int_equal(made->rate_ms, 60000);
    assert_int_equal(made->burst, 10);
    assert_int_equal(made->max_queued, 1000);
    assert_int_equal(made->hold, BERTH_HOLDS_RUNNING);
    assert_int_equal(made->on_lost, BERTH_LOST_HOLD);
    assert_int_equal(made->jitter, BERTH_JITTER_OFF);
    assert_int_equal(made->queue_timeout_ms, 300000);
    assert_int_equal(made->deadline_ms, 3600000);
    assert_int_equal(made->retention_ms, 1);
    assert_int_equal(made->retention_count, 0);
    assert_int_equal(made->changed_unix_us, 1767225600000250);
    const char *at = strchr(made->changed_by, '@');
    assert_true(at && at > made->changed_by && at[1] != '\0');
    assert_true(strlen(made->changed_by) <= 64);
    berth_dispatcher_free(made);

    struct berth_dispatcher *changed;
    assert_ok(berth_dispatcher_set(f->client, "mail",
                                   &(struct berth_dispatcher_settings){
                                       .parent = "",
                                       .group_limit = BERTH_NONE,
                                       .rate_ms = BERTH_NONE,
                                       .jitter = BERTH_JITTER_ON,
                                       .hold = BERTH_HOLDS_JOB,
                                       .deadline_ms = BERTH_NONE,
                                   },
                                   &changed, PATIENT, NULL));
    assert_string_equal(changed->parent, "");
    assert_int_equal(changed->weight, 7);
    assert_int_equal(changed->group_limit, 0);
    assert_int_equal(changed->rate_count, 0);
    assert_int_equal(changed->rate_ms, 0);
    assert_int_equal(changed->burst, 10);
    assert_int_equal(changed->hold, BERTH_HOLDS_JOB);
    assert_int_equal(changed->on_lost, BERTH_LOST_HOLD);
    assert_int_equal(changed->jitter, BERTH_JITTER_ON);
    assert_int_equal(changed->deadline_ms, 0);
    berth_dispatcher_free(changed);
}

static void a_limit_of_zero_is_a_limit(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher *made;
    assert_ok(berth_dispatcher_set(
        f->client, "off", &(struct berth_dispatcher_settings){ .limit = { BERTH_LIMIT_NUMBER, 0 } },
        &made, PATIENT, NULL));
    assert_int_equal(made->limit.kind, BERTH_LIMIT_NUMBER);
    assert_int_equal(made->limit.value, 0);
    berth_dispatcher_free(made);
}

static void malformed_settings_are_refused_here(void **state)
{
    struct fixture *f = *state;
    const struct berth_dispatcher_settings bad[] = {
        { .limit = { .kind = (enum berth_limit_kind)9 } },
        { .backoff_ms = -2 },
        { .backoff_ms_max = -2 },
        { .timeout_ms = -2 },
        { .grace_ms = -2 },
        { .reserved = { 1 } },
        { .limit = { BERTH_LIMIT_NUMBER, 1000000001 } },
        { .limit = { BERTH_LIMIT_CORES, 5 } },
        { .limit = { .value = 5 } },
        { .max_attempts = 1000001 },
        { .backoff_ms = 315360000001 },
        { .grace_ms = 86400001 },
        { .backoff_ms = 2, .backoff_ms_max = 1 },
        { .backoff_ms = 2, .backoff_ms_max = BERTH_NONE },
        { .parent = "a b" },
        { .weight = 1001 },
        { .group_limit = -2 },
        { .group_limit = 1000000001 },
        { .rate_count = 1 },
        { .rate_ms = 1000 },
        { .rate_count = 1, .rate_ms = BERTH_NONE },
        { .rate_count = 1, .rate_ms = 2000 },
        { .rate_count = 1000001, .rate_ms = 1000 },
        { .burst = -2 },
        { .burst = 1000001 },
        { .max_queued = 1000000001 },
        { .hold = (enum berth_dispatcher_hold)3 },
        { .on_lost = (enum berth_dispatcher_on_lost)3 },
        { .jitter = (enum berth_dispatcher_jitter)3 },
        { .queue_timeout_ms = -2 },
        { .deadline_ms = 315360000001 },
        { .retention_ms = -1 },
        { .retention_ms = 315360000001 },
        { .retention_count = 1000000001 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct berth_error err = { .message = "" };
        assert_rc(berth_dispatcher_set(f->client, "mail", &bad[i], NULL, PATIENT, &err),
                  BERTH_EVALUE);
        assert_string_not_equal(err.message, "");
    }
    assert_rc(berth_dispatcher_pause(f->client, "a b", PATIENT, NULL), BERTH_EVALUE);
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void pause_and_resume_are_seen(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        assert_ok(i == 0 ? berth_dispatcher_pause(f->client, "io", PATIENT, NULL)
                         : berth_dispatcher_resume(f->client, "io", PATIENT, NULL));
        struct berth_dispatcher *io;
        assert_ok(berth_dispatcher_get(f->client, "io", &io, PATIENT, NULL));
        assert_int_equal(io->is_paused, i == 0);
        berth_dispatcher_free(io);
    }
}

static void an_unknown_dispatcher_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher *found;
    assert_rc(berth_dispatcher_get(f->client, "nowhere", &found, PATIENT, NULL), BERTH_ENOTFOUND);
    assert_rc(berth_dispatcher_pause(f->client, "nowhere", PATIENT, NULL), BERTH_ENOTFOUND);
    assert_rc(berth_dispatcher_resume(f->client, "nowhere", PATIENT, NULL), BERTH_ENOTFOUND);
}

struct names {
    char text[200];
    int rc;
};

static int on_dispatcher(void *arg, const struct berth_dispatcher *dispatcher)
{
    struct names *names = arg;
    size_t used = strlen(names->text);
    (void)snprintf(names->text + used, sizeof names->text - used, "%s %d/%u %d;", dispatcher->name,
                   (int)dispatcher->limit.kind, dispatcher->limit.value, (int)dispatcher->ready);
    return names->rc;
}

static void dispatchers_are_listed_in_order(void **state)
{
    struct fixture *f = *state;
    given_job(f);
    struct names names = { .rc = 0 };

    assert_ok(berth_dispatcher_list(f->client, on_dispatcher, &names, PATIENT, NULL));

    assert_string_equal(names.text, "default 3/0 1;io 4/64 0;");
    names = (struct names){ .rc = -ECANCELED };
    assert_rc(berth_dispatcher_list(f->client, on_dispatcher, &names, PATIENT, NULL), -ECANCELED);
    assert_string_equal(names.text, "default 3/0 1;");
}

static int on_worker(void *arg, const struct berth_worker_info *worker)
{
    struct names *names = arg;
    (void)snprintf(names->text, sizeof names->text, "%s %s %u/%u+%u %u %s,%s %s %d %d",
                   worker->name, worker->state, worker->running, worker->capacity,
                   worker->suspended, worker->cores, worker->handlers[0], worker->handlers[1],
                   worker->software, (int)worker->silent_ms, (int)worker->lease_left_ms);
    assert_null(worker->handlers[2]);
    return names->rc;
}

static void workers_are_listed(void **state)
{
    struct fixture *f = *state;
    struct names names = { .rc = 0 };

    assert_ok(berth_worker_list(f->client, on_worker, &names, PATIENT, NULL));

    assert_string_equal(names.text,
                        "host-1 joined 3/256+5 4 exec,mail berth-worker 0.1.0 800 9200");
    names.rc = -ECANCELED;
    assert_rc(berth_worker_list(f->client, on_worker, &names, PATIENT, NULL), -ECANCELED);
}

static void a_worker_can_be_declared_gone(void **state)
{
    struct fixture *f = *state;
    struct names names = { .rc = 0 };
    struct berth_error err;

    assert_int_equal(berth_worker_gone(f->client, "host-1", on_worker, &names, PATIENT, NULL), 1);

    assert_string_equal(names.text, "host-1 gone 3/256+5 4 exec,mail berth-worker 0.1.0 800 9200");
    assert_int_equal(berth_worker_gone(f->client, "host-1", NULL, NULL, PATIENT, NULL), 1);
    assert_rc(berth_worker_gone(f->client, "host-2", NULL, NULL, PATIENT, &err), BERTH_ENOTFOUND);
    assert_rc(berth_worker_gone(f->client, "no name", NULL, NULL, PATIENT, &err), BERTH_EVALUE);
}

static void the_broker_tells_how_it_is(void **state)
{
    struct fixture *f = *state;
    given_job(f);
    struct berth_broker_status *status;

    assert_ok(berth_broker_status(f->client, &status, PATIENT, NULL));

    assert_string_equal(status->software, "berthd 0.1.0");
    assert_int_equal(status->epoch, 7);
    assert_int_equal(status->uptime_ms, 90500);
    assert_int_equal(status->recovering, 1);
    assert_int_equal(status->ready, 1);
    assert_int_equal(status->wal_bytes, 4096);
    berth_broker_status_free(status);
    berth_broker_status_free(NULL);
}

static void a_change_that_was_sent_and_not_answered_is_unknown(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_DISPATCHER_PAUSE, FAKE_SWALLOW, 9);
    ASSERT_UNKNOWN(200, timeout_ms, berth_dispatcher_pause(f->client, "io", timeout_ms, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_new_dispatcher_needs_a_limit),
        FIXTURE_TEST(a_dispatcher_is_made_and_then_only_changed_where_told),
        FIXTURE_TEST(limits_are_set_and_taken_back),
        FIXTURE_TEST(a_limit_of_zero_is_a_limit),
        FIXTURE_TEST(malformed_settings_are_refused_here),
        FIXTURE_TEST(pause_and_resume_are_seen),
        FIXTURE_TEST(an_unknown_dispatcher_is_not_found),
        FIXTURE_TEST(dispatchers_are_listed_in_order),
        FIXTURE_TEST(workers_are_listed),
        FIXTURE_TEST(a_worker_can_be_declared_gone),
        FIXTURE_TEST(the_broker_tells_how_it_is),
        FIXTURE_TEST(a_change_that_was_sent_and_not_answered_is_unknown),
    };
    return berth_test_main(tests, NULL, NULL);
}

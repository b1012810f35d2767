/* SPDX-License-Identifier: MIT
 *
 * From calls to messages: what is asked together leaves together, and each gets its own answer.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "client/call.h"

#define CALLS 3

struct group {
    struct berth_job_spec specs[CALLS];
    struct berth_buf bodies[CALLS];
    uint32_t body_bytes[CALLS];
    struct berth_submitted submitted[CALLS];
    struct berth_call calls[CALLS];
};

/* One job a call, all started before anybody drives. */
static void start_all(struct fixture *f, struct group *group, struct berth_waiter *waiter,
                      int64_t apart_ms)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (!group->specs[i].handler)
            group->specs[i].handler = "mail";
        berth_buf_init(&group->bodies[i], BERTH_ASK_BYTES_MAX);
        assert_ok(berth_pack_body(&group->specs[i], &group->bodies[i], NULL));
        group->body_bytes[i] = (uint32_t)group->bodies[i].bytes;
        group->calls[i] = (struct berth_call){
            .kind = REQUEST_SUBMIT,
            .jobs = { .specs = &group->specs[i],
                      .body_bytes = &group->body_bytes[i],
                      .count = 1,
                      .bodies = berth_buf_slice(&group->bodies[i]) },
            .bytes = group->bodies[i].bytes,
            .submitted = &group->submitted[i],
        };
        berth_call_start(f->client, &group->calls[i], waiter,
                         berth_deadline_ms(PATIENT + (int64_t)i * apart_ms));
    }
}

static void run_all(struct fixture *f, struct group *group, int64_t apart_ms)
{
    struct berth_waiter waiter;
    berth_waiter_init(&waiter);
    pthread_mutex_lock(&f->client->lock);
    start_all(f, group, &waiter, apart_ms);
    while (!group->calls[0].is_done || !group->calls[1].is_done || !group->calls[2].is_done)
        berth_call_wait(f->client, &waiter);
    pthread_mutex_unlock(&f->client->lock);
    berth_waiter_fini(&waiter);
    for (size_t i = 0; i < CALLS; i++)
        berth_buf_fini(&group->bodies[i]);
}

static void submits_asked_together_leave_as_one_message(void **state)
{
    struct fixture *f = *state;
    struct group group = { .specs = { { .payload = { "a", 1 } }, { .payload = { "bb", 2 } } } };

    run_all(f, &group, 0);

    assert_int_equal(fake_broker_submits(f->broker), 1);
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(group.calls[i].rc, 0);
        assert_int_equal(group.submitted[i].rc, 0);
        assert_int_equal(group.submitted[i].id.v, i + 1);
        struct fake_job job = fake_broker_job(f->broker, i + 1);
        assert_int_equal(job.body.bytes, group.body_bytes[i]);
    }
}

static void submits_whose_time_ends_differently_leave_apart(void **state)
{
    struct fixture *f = *state;
    struct group group = { .submitted = { { .rc = 1 } } };

    run_all(f, &group, (int64_t)10 * BERTH_MERGE_MS_MAX);

    assert_int_equal(fake_broker_submits(f->broker), CALLS);
    assert_int_equal(fake_broker_jobs(f->broker), CALLS);
}

static void a_refusal_reaches_the_caller_it_is_for(void **state)
{
    struct fixture *f = *state;
    struct group group = { .specs = { [1] = { .dispatcher = "nowhere" } } };

    run_all(f, &group, 0);

    assert_int_equal(fake_broker_submits(f->broker), 1);
    assert_int_equal(group.submitted[0].rc, 0);
    assert_int_equal(group.calls[0].err.code, 0);
    assert_int_equal(group.submitted[1].rc, BERTH_ENOTFOUND);
    assert_int_equal(group.submitted[1].id.v, 0);
    assert_int_equal(group.calls[1].err.code, BERTH_ENOTFOUND);
    assert_string_equal(group.calls[1].err.message, "there is no such dispatcher");
    assert_int_equal(group.submitted[2].rc, 0);
    assert_int_equal(group.submitted[2].id.v, 2);
    assert_int_equal(group.calls[2].err.code, 0);
}

static void a_refusal_of_the_whole_message_reaches_all(void **state)
{
    struct fixture *f = *state;
    fake_broker_next_error(f->broker, FAKE_SUBMIT, BERTH_EFULL, "full of jobs", 1);
    struct group group = { .submitted = { { .rc = 1 } } };

    run_all(f, &group, 0);

    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(group.submitted[i].rc, BERTH_EFULL);
        assert_string_equal(group.calls[i].err.message, "full of jobs");
    }
}

static void a_call_given_up_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct group group = { .submitted = { { .rc = 1 } } };
    struct berth_waiter waiter;
    berth_waiter_init(&waiter);
    pthread_mutex_lock(&f->client->lock);
    start_all(f, &group, &waiter, 0);
    berth_call_drop(f->client, &group.calls[1]); /* still in the inbox */
    while (!group.calls[0].is_done || !group.calls[2].is_done)
        berth_call_wait(f->client, &waiter);
    pthread_mutex_unlock(&f->client->lock);
    berth_waiter_fini(&waiter);

    assert_int_equal(fake_broker_jobs(f->broker), 2);
    assert_int_equal(request_pending(f->client->table), 0);
    for (size_t i = 0; i < CALLS; i++)
        berth_buf_fini(&group.bodies[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(submits_asked_together_leave_as_one_message),
        FIXTURE_TEST(submits_whose_time_ends_differently_leave_apart),
        FIXTURE_TEST(a_refusal_reaches_the_caller_it_is_for),
        FIXTURE_TEST(a_refusal_of_the_whole_message_reaches_all),
        FIXTURE_TEST(a_call_given_up_leaves_nothing_behind),
    };
    return berth_test_main(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT
 *
 * A client and a broker that answers by script, for each test of the client library.
 */
#pragma once

#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>

#include <berth/client.h>

#include "fakebroker/fakebroker.h"

#define PATIENT 120000 /* milliseconds: for what should be soon */

/* That `call`, with the time limit `timeout_ms`, says that its effect is not known: it was sent in
 * time and not answered. A machine too busy to send it in time is given more. */
#define ASSERT_UNKNOWN(first_ms, timeout_ms, call)                                                 \
    do {                                                                                           \
        int rc_ = -ETIMEDOUT;                                                                      \
        for (int64_t timeout_ms = (first_ms); rc_ == -ETIMEDOUT && timeout_ms <= PATIENT;          \
             timeout_ms *= 2)                                                                      \
            rc_ = (call);                                                                          \
        assert_int_equal(rc_, BERTH_EUNKNOWN);                                                     \
    } while (0)

struct fixture {
    struct fake_broker *broker;
    struct berth_client *client;
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->broker = fake_broker_new();
    *state = f;
    return berth_client_open(&(struct berth_client_opts){ .url = fake_broker_url(f->broker) },
                             &f->client, NULL);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    berth_client_close(f->client);
    fake_broker_free(f->broker);
    free(f);
    return 0;
}

/* Submits a job for the handler `mail` and returns its id. */
static inline berth_job_id given_job(struct fixture *f)
{
    struct berth_job_spec spec = { .handler = "mail", .payload = { "alice", 5 } };
    berth_job_id id = { 0 };
    assert_ok(berth_submit(f->client, &spec, &id, PATIENT, NULL));
    return id;
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* SPDX-License-Identifier: MIT
 *
 * A broker that says what the test tells it to: a ROUTER socket on a free port of loopback. What it
 * receives is checked as a broker would check it.
 */
#pragma once

#include "support/berthtest.h"

#include <berth/v1/envelope.pb-c.h>

#include "base/arena.h"
#include "base/buf.h"

#define FAKE_EPOCH    5u
#define FAKE_LINEAGE  77u
#define FAKE_ID(n)    ((UINT64_C(5) << 40) | (n))
#define FAKE_SESSION  FAKE_ID(9)
#define FAKE_LEASE_MS 70000u /* leases that no test waits for */
#define FAKE_K_MS     60000u
#define FAKE_R_MS     500u
#define FAKE_AWAIT_MS 30000

/* For a test that waits until a lease is over: long enough for a join and a grant on a busy
 * machine, and far from the broker's own end of it. */
#define FAKE_SHORT_K_MS 2000u

struct fake_broker {
    void *context, *router;
    char url[128];
    uint8_t peer[256]; /* who spoke last: answers go there */
    size_t peer_bytes;
    uint32_t lease_ms, worker_lease_ms, renew_ms, epoch;
    uint64_t session;
    uint64_t orders; /* number of the last ones in this join */
    uint32_t join;
    struct berth_arena arena;
    struct berth_buf frame;
};

void fake_open(struct fake_broker *broker);
void fake_close(struct fake_broker *broker);
/* Everybody is cut off; then it listens on the same port again. */
void fake_restart(struct fake_broker *broker);

/* The next message of that kind; others are dropped. Fails the test after FAKE_AWAIT_MS. Valid
 * until the next call. */
const Berth__V1__Envelope *fake_await(struct fake_broker *broker, int message_case);

void fake_say_bytes(struct fake_broker *broker, const void *data, size_t bytes);
void fake_say_epoch(struct fake_broker *broker);
void fake_say_welcome(struct fake_broker *broker, const Berth__V1__WorkerHello *hello);
void fake_say_joined(struct fake_broker *broker, uint64_t renewal);
void fake_say_renewed(struct fake_broker *broker, const Berth__V1__WorkerRenew *renew);
void fake_say_fenced(struct fake_broker *broker);
void fake_say_gone_ok(struct fake_broker *broker);
void fake_say_grant(struct fake_broker *broker, uint64_t attempt, const char *handler,
                    const char *payload);
void fake_say_cancel(struct fake_broker *broker, uint64_t attempt);
void fake_say_resume(struct fake_broker *broker, uint64_t attempt, uint32_t number);
void fake_say_ack(struct fake_broker *broker, uint64_t attempt);

/* Hello, epoch, hello, welcome. */
void fake_join(struct fake_broker *broker);

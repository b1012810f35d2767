/* SPDX-License-Identifier: MIT
 *
 * A fake broker for the keeper's tests: hears WorkerGone, answers WorkerGoneOk. Asserts by cmocka.
 */
#pragma once

#include "support/berthtest.h"

#include <stdbool.h>

#define BROKER_DEADLINE_MS  30000
#define BROKER_ATTEMPTS_MAX 16

struct broker;

struct heard_gone {
    uint64_t session;
    uint8_t nonce[16];
    uint32_t child;
    int cause, status; /* cause: GoneCause of the wire */
    uint64_t attempts[BROKER_ATTEMPTS_MAX], jobs[BROKER_ATTEMPTS_MAX];
    uint32_t numbers[BROKER_ATTEMPTS_MAX];
    size_t count;
    uint64_t culprit;
    int64_t at_ms; /* monotonic: when it was taken */
    uint64_t peer; /* a part of the identity that it came from */
};

/* Listens on a port of its own choice. */
struct broker *broker_new(void);
void broker_free(struct broker *broker);
const char *broker_url(const struct broker *broker);

/* Stops listening, and listens on the same port again. */
void broker_go_deaf(struct broker *broker);
void broker_listen_again(struct broker *broker);

/* The next one. Every frame must be valid for a broker. With a timeout: false if none came. */
void broker_await_gone(struct broker *broker, struct heard_gone *ret_gone);
bool broker_poll_gone(struct broker *broker, int timeout_ms, struct heard_gone *ret_gone);

/* Acknowledges the one heard last, by its session (if it had one) or by nonce and child. */
void broker_acknowledge(struct broker *broker, const struct heard_gone *gone, bool is_by_session);

/* Refuses it with this sentence. */
void broker_refuse(struct broker *broker, const char *sentence);

/* Sends what is no answer at all. */
void broker_send_garbage(struct broker *broker);

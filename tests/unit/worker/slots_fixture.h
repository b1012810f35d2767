/* SPDX-License-Identifier: MIT
 *
 * Slots with an inbox and a fence of the test's own: a grant goes in, the one item comes out.
 */
#pragma once

#include "support/berthtest.h"

#include "proto/body.h"
#include "worker/slots.h"

#define SLOTS_CAPACITY 4
#define AWAIT_MS       30000

struct fixture {
    struct registry *registry;
    struct inbox *inbox;
    struct fence *fence;
    struct slots *slots;
    struct inbox_item *item; /* the last one, until it is finished */
    struct berth_list items;
};

int slots_setup(void **state);
int slots_setup_with(void **state, uint32_t attempts_max);
int slots_teardown(void **state);

void given_handler(struct fixture *f, const char *name, berth_handler_fn fn, void *arg);

/* Starts attempt `id` of job 100 + id, number 3, on dispatcher "newsletter". */
void start_body(struct fixture *f, uint64_t id, const char *handler, const struct berth_body *body);
void start_with_clocks(struct fixture *f, uint64_t id, const char *handler, int64_t timeout_ms,
                       int64_t deadline_ms);
void start(struct fixture *f, uint64_t id, const char *handler, const char *payload);

/* Takes the next item; what it says is valid until finish(). */
const struct agent_end *await_end(struct fixture *f, uint64_t *ret_id);
struct inbox_item *await_item(struct fixture *f);
void finish(struct fixture *f);

/* The end of the one attempt that is under way: its outcome, kind and message. */
void assert_end(const struct agent_end *end, enum agent_outcome outcome, const char *kind,
                const char *message);
/* The payload of its packed result. */
void assert_result(const struct agent_end *end, const char *payload);

/* How many attempts the fence knows. */
size_t fenced_count(struct fixture *f);

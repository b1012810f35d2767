/* SPDX-License-Identifier: MIT
 *
 * The fake broker inside: its tables, and what answers.c makes of a message.
 */
#pragma once

#include <pthread.h>

#include "base/arena.h"
#include "base/buf.h"
#include "fakebroker.h"

#include <berth/v1/envelope.pb-c.h>

#define FAKE_SUBMITTED_US INT64_C(1767225600000250) /* 2026-01-01T00:00:00.000250Z */
#define FAKE_EPOCH        7

#define FAKE_PEERS_MAX   64
#define FAKE_WAITS_MAX   64
#define FAKE_SUBMITS_MAX 4096

struct fake_rule {
    enum fake_message message;
    enum fake_action action;
    unsigned times;
    int rc;
    char text[256];
};

struct fake_dispatcher {
    char name[65];
    uint32_t limit_kind, limit_value, max_attempts;
    uint64_t backoff_ms, backoff_max_ms, timeout_ms, grace_ms;
    bool is_paused;
    char parent[65], changed_by[65];
    uint32_t weight, group_limit, rate_count, burst, max_queued, hold, on_lost;
    bool no_jitter;
    uint64_t rate_ms, queue_timeout_ms, deadline_ms, retention_ms, retention_count;
};

/* What makes a Submit the same when it comes again. */
struct fake_submit {
    uint8_t client[16];
    uint64_t request;
    struct berth_slice answer; /* owned */
};

struct fake_wait {
    bool is_used;
    uint8_t peer[256];
    size_t peer_bytes;
    uint64_t request;
    uint64_t *ids;
    size_t count;
};

struct fake_broker {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    void *context, *router;
    int wake_fd;
    bool is_stopping;
    char url[64];

    struct fake_rule rules[FAKE_SCRIPT_MAX];
    size_t rules_count;
    enum berth_state submit_as;
    struct fake_job *jobs; /* id - 1 is the index */
    size_t jobs_count;
    struct fake_dispatcher dispatchers[FAKE_DISPATCHERS_MAX];
    size_t dispatchers_count;
    struct fake_submit submits[FAKE_SUBMITS_MAX];
    size_t submits_count;
    struct fake_wait waits[FAKE_WAITS_MAX];
    uint8_t peers[FAKE_PEERS_MAX][16];
    size_t peers_count;
    struct berth_slice frames[FAKE_MESSAGES][FAKE_SEEN_MAX];
    size_t seen[FAKE_MESSAGES];
    enum fake_message first;
};

/* Stops the test program with a line, if it is not true. */
void fake_check(bool is_true, const char *what);

/* On the heap. */
struct berth_slice fake_copy(struct berth_slice bytes);

/* Zeroed, in the arena. */
void *fake_get(struct berth_arena *arena, size_t count, size_t bytes);
void fake_error(Berth__V1__Envelope *answer, int rc, const char *field, const char *message,
                struct berth_arena *arena);
/* With a NUL. It must fit. */
void fake_copy_text(char *to, size_t bytes, struct berth_slice from);
/* NULL: there is none. */
struct fake_dispatcher *fake_dispatcher_find(struct fake_broker *broker, struct berth_slice name);

enum fake_message fake_message_of(const Berth__V1__Envelope *envelope);

/* answers_dead.c: retry, discard, purge and remove. */
void fake_answer_dead(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                      Berth__V1__Envelope *answer, struct berth_arena *arena);

/* answers_admin.c: dispatchers, workers, the broker. */
void fake_answer_admin(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                       Berth__V1__Envelope *answer, struct berth_arena *arena);

/* answers_explain.c */
void fake_answer_explain(struct fake_broker *broker, const Berth__V1__Explain *explain,
                         Berth__V1__Envelope *answer, struct berth_arena *arena);

/* Does what the message says and fills `answer`, whose parts live in the arena. */
void fake_answer(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                 struct berth_slice peer, Berth__V1__Envelope *answer, struct berth_arena *arena);

/* What one who waits is to be told now. */
void fake_waited(struct fake_broker *broker, const struct fake_wait *wait,
                 Berth__V1__Envelope *answer, struct berth_arena *arena);

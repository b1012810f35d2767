/* SPDX-License-Identifier: MIT
 *
 * A peer of the broker that speaks the wire by hand: for what no client of ours would send, and for
 * what must hold before a client library stands between. A failed assertion ends the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

#define PEER_TIMEOUT_MS 60000
#define PEER_IDS_MAX    64

struct peer {
    void *context, *socket;
    struct berth_arena arena; /* of the answer that came last */
    struct berth_buf frame;   /* that was sent last */
    uint64_t request;         /* the last one's number */
    char client[17];
};

/* An answer, as far as tests ask for it. */
struct peer_answer {
    const char *name; /* of the message: "submitted", "error" */
    uint64_t request;
    uint32_t code; /* of an error, or of the first refusal: the wire's ErrorCode */
    char field[64], message[1024];
    uint32_t version_min, version_max;
    uint64_t ids[PEER_IDS_MAX]; /* jobs that were submitted, waited for or shown; the first */
    uint32_t states[PEER_IDS_MAX];
    size_t count;
    size_t unknown_count; /* ids that no job has */
    size_t body_bytes;    /* of all jobs shown */
    uint64_t next;
    uint32_t pending, epoch;
    uint32_t limit_value; /* of the first dispatcher shown */
    bool is_paused;
};

/* The wire's ErrorCode. */
enum {
    PEER_INVALID = 1,
    PEER_VERSION = 2,
    PEER_TOO_LARGE = 3,
    PEER_NOT_FOUND = 4,
    PEER_CONFLICT = 5,
    PEER_LIMIT = 6,
    PEER_FULL = 13,
};

/* `name` makes the id of the client: 1 to 16 letters. */
void peer_open(struct peer *peer, const char *url, const char *name);
void peer_close(struct peer *peer);

/* Any bytes; `frames` times, as one message. */
void peer_send_bytes(struct peer *peer, const void *data, size_t bytes, size_t frames);

/* Each sends a request, under the next number. */
void peer_submit(struct peer *peer, const char *dispatcher, const char *handler, size_t count,
                 size_t body_bytes);
void peer_submit_with_key(struct peer *peer, const char *dispatcher, const char *key,
                          const char *body);
void peer_get(struct peer *peer, const uint64_t *ids, size_t count);
void peer_list(struct peer *peer);
void peer_wait(struct peer *peer, uint64_t id);
void peer_cancel(struct peer *peer, uint64_t id);
void peer_wait_all(struct peer *peer, const uint64_t *ids, size_t count);
void peer_cancel_all(struct peer *peer, const uint64_t *ids, size_t count);
void peer_hello(struct peer *peer);
void peer_status(struct peer *peer);
void peer_set_limit(struct peer *peer, const char *dispatcher, uint32_t limit);
void peer_pause(struct peer *peer, const char *dispatcher, bool is_paused);
void peer_show_dispatcher(struct peer *peer, const char *dispatcher);

/* The last request, unchanged. */
void peer_repeat(struct peer *peer);

/* The last request in another version of the protocol. */
void peer_repeat_in_version(struct peer *peer, uint32_t version);

/* The next answer within PEER_TIMEOUT_MS, whatever it is; `false`: none. */
bool peer_next(struct peer *peer, struct peer_answer *ret_answer);

/* The answer to the last request, which must be a message of this name; repeats the request every
 * second, as clients do. */
struct peer_answer peer_await(struct peer *peer, const char *name);

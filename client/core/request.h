/* SPDX-License-Identifier: MIT */
/* The client's request table, pure: correlation, time limits, resending, changing a connection that
 * is silent.
 *
 * It knows numbers, not messages: whoever uses it (client/client.c, the simulator) keeps what
 * request n says and sends it when told to. Times are milliseconds of one monotonic clock, never
 * decreasing.
 *
 * 1. Every request that was added, and not dropped, is finished exactly once: answered (0), timed
 * out
 * (-ETIMEDOUT: nothing happened) or unknown (BERTH_EUNKNOWN: a submit or a cancel that may have
 * been taken), whatever the connection does.
 * 2. A request is sent again, unchanged and under its own number, when the connection is new, and
 * after RESEND_MS doubling to RESEND_MS_MAX without an answer; a wait every WAIT_RENEW_MS. The
 * broker answers a repeat as it answered the first.
 * 3. A repeat of a submit never leaves later than SUBMIT_REPEAT_MS after its first sending: then it
 * finishes UNKNOWN.
 * Nothing is sent while there is no connection: at first, after RECONNECT, and after DISCONNECTED.
 * 4. With anything unanswered and nothing heard for SILENCE_MS, the connection is changed (at most
 * once in that time).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_RESEND_MS        1000
#define REQUEST_RESEND_MS_MAX    5000
#define REQUEST_WAIT_RENEW_MS    2000
#define REQUEST_SILENCE_MS       3000
#define REQUEST_SUBMIT_REPEAT_MS (INT64_C(9) * 60 * 1000)

struct request_table;

enum request_kind {
    REQUEST_SUBMIT = 1, /* has an effect: may end UNKNOWN */
    REQUEST_CANCEL,     /* has an effect that may be repeated without harm: may end UNKNOWN */
    REQUEST_QUERY,
    REQUEST_WAIT, /* stays until its last answer */
};

enum request_event_type {
    REQUEST_EV_ADD = 1,      /* a new request; its number comes back */
    REQUEST_EV_ANSWER,       /* an answer to `number` came; is_last: it is complete */
    REQUEST_EV_CONNECTED,    /* a new connection is up */
    REQUEST_EV_DISCONNECTED, /* it is gone, as far as one knows; optional: silence finds out, too */
    REQUEST_EV_DROP,         /* the caller gives up on `number`: no FINISH follows */
    REQUEST_EV_TIMER,
};

struct request_event {
    enum request_event_type type;
    int64_t now_ms;
    enum request_kind kind; /* ADD */
    int64_t deadline_ms;    /* ADD; INT64_MAX: none */
    void *arg;              /* ADD: comes back with each effect */
    uint64_t number;        /* ANSWER, DROP */
    bool is_last;           /* ANSWER */
};

enum request_effect_type { REQUEST_DO_SEND = 1, REQUEST_DO_FINISH, REQUEST_DO_RECONNECT };

struct request_effect {
    enum request_effect_type type;
    uint64_t number;
    void *arg;
    int rc;       /* FINISH: 0 answered, -ETIMEDOUT: nothing happened, BERTH_EUNKNOWN */
    bool is_sent; /* FINISH: it was handed to a connection at least once */
};

struct request_effects {
    struct request_effect *items;
    size_t count;
};

struct request_table *request_table_new(size_t pending_max); /* NULL: no memory */
void request_table_free(struct request_table *table);
/* 0, for ADD the request's number (> 0, counted from 1); -EAGAIN: pending_max reached; -ENOMEM.
 * Only ADD fails, and then it has done nothing. An ADD whose deadline has passed finishes in the
 * same step, unsent. Answers to unknown numbers are ignored (but heard). The effects are to be
 * carried out in their order, and are valid until the next step. */
int64_t request_step(struct request_table *table, const struct request_event *event,
                     struct request_effects *ret_effects);
int64_t request_next_deadline_ms(const struct request_table *table);    /* INT64_MAX: none */
void *request_find(const struct request_table *table, uint64_t number); /* its arg, or NULL */
size_t request_pending(const struct request_table *table);

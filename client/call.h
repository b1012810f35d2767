/* SPDX-License-Identifier: MIT */
/* The client inside: what threads ask, how they wait, and how one of them drives the socket for
 * all.
 *
 *     thread: call ──► inbox ──► ask (one request, one frame) ──► outbox ──► dealer
 *     thread: waits ◄── call is done, or has an answer ◄───────────────────── dealer
 *
 * 1. Everything but the wait itself happens under the client's lock.
 * 2. A thread that waits drives if nobody does; a driver that leaves wakes another one that waits.
 * 3. A call belongs to its thread, an ask to the client. A call is in the inbox, in one ask, or
 * done.
 * 4. An ask is packed when it leaves for the first time, then kept and sent unchanged.
 * 5. The broker remembers submits alone. A change that left more than once, and is answered that
 * there is nothing left to change, was carried out: its first answer was lost.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <berth/client.h>

#include "base/list.h"
#include "client/core/request.h"
#include "client/dealer.h"
#include "client/translate.h"

#define BERTH_PENDING_MAX     65536
#define BERTH_CLIENT_URL_MAX  384
#define BERTH_ASK_BYTES_MAX   (4u << 20) /* bodies and keys of one Submit */
#define BERTH_MERGE_JOBS_MAX  1024       /* of several calls, in one Submit */
#define BERTH_MERGE_MS_MAX    50         /* calls may end that much later than they said */
#define BERTH_FRAMES_PER_TURN 64

struct berth_client {
    pthread_mutex_t lock;
    struct berth_dealer *dealer;
    struct request_table *table; /* its args are asks */
    struct berth_list inbox;     /* calls */
    struct berth_list asks;      /* all in the table, the oldest first */
    struct berth_list outbox;    /* those of them that are to be sent */
    struct berth_list waiters;
    bool has_driver;
    bool is_waiting; /* the driver waits, without the lock: only to be reached by wake */
    bool is_connected, wants_hello, wants_send;
    int64_t heard_ms; /* when something sensible was heard last */
    int64_t unreachable_ms;
    uint8_t id[BERTH_CLIENT_ID_BYTES];
    char url[BERTH_CLIENT_URL_MAX];
    char nonsense[BERTH_ERROR_MESSAGE_MAX]; /* why what was heard last made no sense, or "" */
};

/* A thread that waits for one or several calls. */
struct berth_waiter {
    struct berth_list_node node;
    pthread_cond_t wake;
    bool is_woken;
};

struct berth_call;
typedef int (*berth_pack_fn)(const struct berth_call *call, uint64_t number,
                             struct berth_buf *frame);

struct berth_call {
    enum request_kind kind;
    int64_t deadline_ms;
    berth_pack_fn pack; /* for all but submits, */
    const void *args;   /* which are merged: */
    struct berth_pack_jobs jobs;
    int done_rc;  /* the Error to a repeat whose first sending was carried out; 0: none */
    size_t bytes; /* about what it adds to the frame */
    struct berth_submitted *submitted; /* one for each job, out */

    struct berth_list_node node;
    struct berth_ask *ask; /* NULL: in the inbox, or done */
    struct berth_waiter *waiter;
    struct berth_list answers; /* owned; of a submit always empty */
    bool is_done;
    bool is_repeated; /* it left more than once before its answer came; not of submits */
    int rc;
    struct berth_error err; /* if rc or one of `submitted` is negative */
};

void berth_waiter_init(struct berth_waiter *waiter);
void berth_waiter_fini(struct berth_waiter *waiter);

/* Each with the lock held. start: until `deadline_ms`; the call must not move until it is done or
 * dropped. wait: returns when one of the waiter's calls is done or has a new answer. drop: gives it
 * up; it is done then. */
void berth_call_start(struct berth_client *client, struct berth_call *call,
                      struct berth_waiter *waiter, int64_t deadline_ms);
void berth_call_wait(struct berth_client *client, struct berth_waiter *waiter);
void berth_call_drop(struct berth_client *client, struct berth_call *call);

/* Frees the answers that nobody took. */
void berth_call_fini(struct berth_call *call);

/* A whole call with one answer of the wanted type, which becomes the caller's; takes the lock
 * itself. 0 without an answer, `ret_answer` as it was: a repeat was told `done_rc`. */
int berth_call_run(struct berth_client *client, struct berth_call *call, int64_t deadline_ms,
                   enum berth_answer_type wanted, struct berth_answer **ret_answer,
                   struct berth_error *err);

/* "USER@HOST" of this process, of printable ASCII. */
#define BERTH_WHO_BYTES 65 /* with its NUL */
void berth_who(char who[static BERTH_WHO_BYTES]);

/* BERTH_EVALUE: no job can have it. */
int berth_job_id_check(berth_job_id id, struct berth_error *err);

/* Now + timeout_ms, saturating. */
int64_t berth_deadline_ms(int64_t timeout_ms);

/* ask.c: requests under way. With the lock held. */
struct berth_ask {
    struct berth_list_node node, in_outbox;
    struct berth_list calls; /* one; of submits one or several */
    enum request_kind kind;
    int64_t started_ms, deadline_ms;
    uint64_t number;
    size_t jobs, bytes; /* of a submit */
    bool is_sent, has_left, is_repeated;
    struct berth_buf frame; /* empty until it leaves for the first time */
};

/* Takes all calls out of the inbox into the table, merging submits. */
void berth_ask_take_inbox(struct berth_client *client, int64_t now_ms);
/* A new connection is up, or it is gone. */
void berth_ask_connected(struct berth_client *client, bool is_connected, int64_t now_ms);
/* Sends what is in the outbox, as far as it can leave now. */
void berth_ask_send(struct berth_client *client, int64_t now_ms);
/* Carries an event to the table and its effects out. Returns what the table said. */
int64_t berth_ask_step(struct berth_client *client, const struct request_event *event);
/* Takes a frame that came. */
void berth_ask_receive(struct berth_client *client, struct berth_slice frame, int64_t now_ms);
/* Ends what has waited too long for a broker that is not heard. */
void berth_ask_give_up(struct berth_client *client, int64_t now_ms);
/* When the driver must look again, at the latest. */
int64_t berth_ask_next_deadline_ms(const struct berth_client *client);
/* Takes it out of its lists and frees it. Its calls are the caller's. */
void berth_ask_free(struct berth_ask *ask);

/* SPDX-License-Identifier: MIT */
/* Opening and closing a client, and how its threads wait: see call.h. */
#include <berth/client.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"
#include "client/call.h"

static int check_opts(const struct berth_client_opts *opts, struct berth_error *err);
static const char *choose_url(const struct berth_client_opts *opts);
static void drive(struct berth_client *client, const struct berth_waiter *waiter);

int berth_client_open(const struct berth_client_opts *opts, struct berth_client **ret_client,
                      struct berth_error *err)
{
    static const struct berth_client_opts defaults;
    if (!opts)
        opts = &defaults;
    int rc = check_opts(opts, err);
    if (rc < 0)
        return rc;
    struct berth_client *client = calloc(1, sizeof *client);
    if (!client)
        return berth_fail(err, -ENOMEM, "open a client");
    pthread_mutex_init(&client->lock, NULL);
    berth_list_init(&client->inbox);
    berth_list_init(&client->asks);
    berth_list_init(&client->outbox);
    berth_list_init(&client->waiters);
    client->unreachable_ms = opts->unreachable_ms;
    client->heard_ms = INT64_MIN;

    const char *url = choose_url(opts);
    client->table = request_table_new(opts->pending_max ? opts->pending_max : BERTH_PENDING_MAX);
    if (!client->table)
        rc = berth_fail(err, -ENOMEM, "open a client");
    else if (strlen(url) >= sizeof client->url)
        rc = berth_fail(err, BERTH_EVALUE, "the broker's URL is longer than %d bytes",
                        BERTH_CLIENT_URL_MAX - 1);
    else if (getrandom(client->id, sizeof client->id, 0) != (ssize_t)sizeof client->id)
        rc = berth_fail(err, -EIO, "draw the client's id");
    else
        rc = berth_dealer_open(url, &client->dealer, err);
    if (rc < 0) {
        berth_client_close(client);
        return rc;
    }
    memcpy(client->url, url, strlen(url) + 1);
    *ret_client = client;
    return 0;
}

void berth_client_close(struct berth_client *client)
{
    if (!client)
        return;
    BERTH_ASSERT(berth_list_is_empty(&client->inbox));
    BERTH_ASSERT(berth_list_is_empty(&client->asks));
    BERTH_ASSERT(berth_list_is_empty(&client->waiters));
    berth_dealer_close(client->dealer);
    request_table_free(client->table);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

static int check_opts(const struct berth_client_opts *opts, struct berth_error *err)
{
    for (size_t i = 0; i < sizeof opts->reserved / sizeof opts->reserved[0]; i++)
        if (opts->reserved[i] != 0)
            return berth_fail(err, BERTH_EVALUE, "reserved members of the options must be zero");
    if (opts->unreachable_ms < 0)
        return berth_fail(err, BERTH_EVALUE, "unreachable_ms must not be negative");
    return 0;
}

static const char *choose_url(const struct berth_client_opts *opts)
{
    if (opts->url)
        return opts->url;
    const char *url = getenv("BERTH_URL");
    return url && url[0] != '\0' ? url : BERTH_URL_DEFAULT;
}

int64_t berth_deadline_ms(int64_t timeout_ms)
{
    int64_t now_ms = berth_clock_monotonic_ms();
    if (timeout_ms <= 0)
        return now_ms;
    return timeout_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + timeout_ms;
}

void berth_waiter_init(struct berth_waiter *waiter)
{
    *waiter = (struct berth_waiter){ .is_woken = false };
    pthread_cond_init(&waiter->wake, NULL);
}

void berth_waiter_fini(struct berth_waiter *waiter)
{
    BERTH_ASSERT(!berth_list_is_linked(&waiter->node));
    pthread_cond_destroy(&waiter->wake);
}

void berth_call_start(struct berth_client *client, struct berth_call *call,
                      struct berth_waiter *waiter, int64_t deadline_ms)
{
    call->deadline_ms = deadline_ms;
    call->waiter = waiter;
    call->ask = NULL;
    call->is_done = false;
    call->rc = 0;
    call->err = (struct berth_error){ .code = 0 };
    berth_list_init(&call->answers);
    berth_list_push_back(&client->inbox, &call->node);
    if (client->is_waiting)
        berth_dealer_wake(client->dealer);
}

void berth_call_wait(struct berth_client *client, struct berth_waiter *waiter)
{
    berth_list_push_back(&client->waiters, &waiter->node);
    while (!waiter->is_woken) {
        if (client->has_driver) {
            pthread_cond_wait(&waiter->wake, &client->lock);
            continue;
        }
        client->has_driver = true;
        drive(client, waiter);
        client->has_driver = false;
    }
    waiter->is_woken = false;
    berth_list_remove(&waiter->node);

    struct berth_list_node *next = berth_list_first(&client->waiters);
    if (next && !client->has_driver)
        pthread_cond_signal(&berth_container_of(next, struct berth_waiter, node)->wake);
}

void berth_call_drop(struct berth_client *client, struct berth_call *call)
{
    struct berth_ask *ask = call->ask;
    if (!call->is_done && !ask) {
        berth_list_remove(&call->node);
    } else if (ask) {
        /* Only submits share an ask, and they are never given up. */
        BERTH_ASSERT(call->kind != REQUEST_SUBMIT);
        (void)berth_ask_step(client, &(struct request_event){ .type = REQUEST_EV_DROP,
                                                              .now_ms = berth_clock_monotonic_ms(),
                                                              .number = ask->number });
        berth_list_remove(&call->node);
        berth_ask_free(ask);
    }
    call->ask = NULL;
    call->is_done = true;
}

void berth_call_fini(struct berth_call *call)
{
    for (;;) {
        struct berth_list_node *node = berth_list_pop_front(&call->answers);
        if (!node)
            break;
        berth_answer_free(berth_container_of(node, struct berth_answer, node));
    }
}

/* The first answer, and a failure if that is what it says. */
static int take_answer(struct berth_call *call, enum berth_answer_type wanted,
                       struct berth_answer **ret_answer, struct berth_error *err)
{
    if (call->rc < 0) {
        if (err)
            *err = call->err;
        return call->rc;
    }
    struct berth_list_node *node = berth_list_pop_front(&call->answers);
    BERTH_ASSERT(node);
    BERTH_AUTO(berth_answer) answer = berth_container_of(node, struct berth_answer, node);
    if (answer->type == BERTH_ANSWER_ERROR) {
        if (call->is_repeated && call->done_rc && answer->error.code == call->done_rc)
            return 0;
        if (err)
            *err = answer->error;
        return answer->error.code;
    }
    if (answer->type != wanted)
        return berth_fail(err, BERTH_EPROTO, "the broker's answer is to another question");
    *ret_answer = berth_take(answer);
    return 0;
}

int berth_call_run(struct berth_client *client, struct berth_call *call, int64_t deadline_ms,
                   enum berth_answer_type wanted, struct berth_answer **ret_answer,
                   struct berth_error *err)
{
    struct berth_waiter waiter;
    berth_waiter_init(&waiter);
    pthread_mutex_lock(&client->lock);
    berth_call_start(client, call, &waiter, deadline_ms);
    while (!call->is_done)
        berth_call_wait(client, &waiter);
    pthread_mutex_unlock(&client->lock);
    berth_waiter_fini(&waiter);

    int rc = take_answer(call, wanted, ret_answer, err);
    berth_call_fini(call);
    return rc;
}

/* Of several things that happened to the connection only the last one matters. */
static void take_events(struct berth_client *client, int64_t now_ms)
{
    enum berth_dealer_event event, last = DEALER_NOTHING;
    while ((event = berth_dealer_next_event(client->dealer)) != DEALER_NOTHING)
        last = event;
    if (last != DEALER_NOTHING)
        berth_ask_connected(client, last == DEALER_CONNECTED, now_ms);
}

static void take_frames(struct berth_client *client, int64_t now_ms)
{
    struct berth_slice frame;
    for (int i = 0; i < BERTH_FRAMES_PER_TURN && berth_dealer_receive(client->dealer, &frame) > 0;
         i++)
        berth_ask_receive(client, frame, now_ms);
}

/* One turn: what has come, what is due, what is asked, and then the wait for more; unless the
 * waiter's own call has had its answer. */
static void drive(struct berth_client *client, const struct berth_waiter *waiter)
{
    int64_t now_ms = berth_clock_monotonic_ms();
    take_events(client, now_ms);
    take_frames(client, now_ms);
    (void)berth_ask_step(client,
                         &(struct request_event){ .type = REQUEST_EV_TIMER, .now_ms = now_ms });
    berth_ask_give_up(client, now_ms);
    berth_ask_take_inbox(client, now_ms);
    berth_ask_send(client, now_ms);
    if (waiter->is_woken)
        return;

    int64_t next_ms = berth_ask_next_deadline_ms(client);
    bool wants_send = client->wants_send;
    client->is_waiting = true;
    pthread_mutex_unlock(&client->lock);
    berth_dealer_wait(client->dealer, wants_send,
                      next_ms == INT64_MAX ? INT64_MAX : next_ms - now_ms);
    pthread_mutex_lock(&client->lock);
    client->is_waiting = false;
}

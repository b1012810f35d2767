/* SPDX-License-Identifier: MIT */
/* Requests under way: from calls to frames, and from answers back to calls. See call.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "client/call.h"
#include "proto/limits.h"

static void finish(struct berth_client *client, struct berth_ask *ask, int rc);
static void deliver(struct berth_ask *ask, struct berth_answer *answer_to_take);

static struct berth_call *call_of(struct berth_list_node *node)
{
    return berth_container_of(node, struct berth_call, node);
}

static struct berth_call *first_call(const struct berth_ask *ask)
{
    struct berth_list_node *node = berth_list_first(&ask->calls);
    BERTH_ASSERT(node);
    return call_of(node);
}

void berth_ask_free(struct berth_ask *ask)
{
    berth_list_remove(&ask->node);
    if (berth_list_is_linked(&ask->in_outbox))
        berth_list_remove(&ask->in_outbox);
    berth_buf_fini(&ask->frame);
    free(ask);
}

static void outbox_clear(struct berth_client *client)
{
    while (berth_list_pop_front(&client->outbox)) {
    }
}

static void wake(struct berth_call *call)
{
    call->waiter->is_woken = true;
    pthread_cond_signal(&call->waiter->wake);
}

static void complete(struct berth_call *call, int rc)
{
    call->rc = rc;
    call->ask = NULL;
    call->is_done = true;
    wake(call);
}

/* Joining a submit to the ones before it. */
static bool can_join(const struct berth_ask *ask, const struct berth_call *call)
{
    if (ask->kind != REQUEST_SUBMIT || call->kind != REQUEST_SUBMIT)
        return false;
    int64_t apart_ms = call->deadline_ms > ask->deadline_ms ? call->deadline_ms - ask->deadline_ms
                                                            : ask->deadline_ms - call->deadline_ms;
    return apart_ms <= BERTH_MERGE_MS_MAX && ask->jobs + call->jobs.count <= BERTH_MERGE_JOBS_MAX &&
           ask->bytes + call->bytes <= BERTH_ASK_BYTES_MAX;
}

static void join(struct berth_ask *ask, struct berth_call *call)
{
    berth_list_push_back(&ask->calls, &call->node);
    call->ask = ask;
    ask->jobs += call->jobs.count;
    ask->bytes += call->bytes;
    if (call->deadline_ms > ask->deadline_ms)
        ask->deadline_ms = call->deadline_ms;
}

static struct berth_ask *ask_new(struct berth_client *client, enum request_kind kind,
                                 int64_t now_ms)
{
    struct berth_ask *ask = calloc(1, sizeof *ask);
    if (!ask)
        return NULL;
    ask->kind = kind;
    ask->started_ms = now_ms;
    berth_list_init(&ask->calls);
    berth_buf_init(&ask->frame, BERTH_FRAME_BYTES_MAX);
    berth_list_push_back(&client->asks, &ask->node);
    return ask;
}

/* Into the table; if that is full, the calls end at once. */
static void add(struct berth_client *client, struct berth_ask *ask, int64_t now_ms)
{
    int64_t rc = berth_ask_step(client, &(struct request_event){ .type = REQUEST_EV_ADD,
                                                                 .now_ms = now_ms,
                                                                 .kind = ask->kind,
                                                                 .deadline_ms = ask->deadline_ms,
                                                                 .arg = ask });
    if (rc < 0)
        finish(client, ask, (int)rc);
}

void berth_ask_take_inbox(struct berth_client *client, int64_t now_ms)
{
    struct berth_ask *open = NULL; /* not in the table yet, so that submits can still join */
    for (;;) {
        struct berth_list_node *node = berth_list_pop_front(&client->inbox);
        if (!node)
            break;
        struct berth_call *call = call_of(node);
        if (open && can_join(open, call)) {
            join(open, call);
            continue;
        }
        if (open)
            add(client, open, now_ms);
        open = ask_new(client, call->kind, now_ms);
        if (open) {
            open->deadline_ms = call->deadline_ms;
            join(open, call);
        } else {
            complete(call, berth_fail(&call->err, -ENOMEM, "ask '%s'", client->url));
        }
    }
    if (open)
        add(client, open, now_ms);
}

static void carry_out(struct berth_client *client, const struct request_effect *effect)
{
    struct berth_ask *ask = effect->arg;
    switch (effect->type) {
    case REQUEST_DO_SEND:
        ask->number = effect->number;
        ask->is_sent = true;
        if (!berth_list_is_linked(&ask->in_outbox))
            berth_list_push_back(&client->outbox, &ask->in_outbox);
        return;
    case REQUEST_DO_FINISH: finish(client, ask, effect->rc); return;
    case REQUEST_DO_RECONNECT:
        outbox_clear(client);
        client->is_connected = client->wants_hello = client->wants_send = false;
        /* If there is no socket to be had, the table's next silence tries again. */
        (void)berth_dealer_reopen(client->dealer);
        return;
    }
}

int64_t berth_ask_step(struct berth_client *client, const struct request_event *event)
{
    struct request_effects effects;
    int64_t rc = request_step(client->table, event, &effects);
    for (size_t i = 0; i < effects.count; i++)
        carry_out(client, &effects.items[i]);
    return rc;
}

void berth_ask_connected(struct berth_client *client, bool is_connected, int64_t now_ms)
{
    outbox_clear(client);
    client->is_connected = client->wants_hello = is_connected;
    client->wants_send = false;
    enum request_event_type type = is_connected ? REQUEST_EV_CONNECTED : REQUEST_EV_DISCONNECTED;
    (void)berth_ask_step(client, &(struct request_event){ .type = type, .now_ms = now_ms });
}

static int pack_submit(struct berth_client *client, struct berth_ask *ask)
{
    size_t count = 0;
    BERTH_LIST_FOREACH (node, &ask->calls)
        count++;
    BERTH_ASSERT(count > 0);
    BERTH_AUTO_MEM struct berth_pack_jobs *parts = calloc(count, sizeof *parts);
    if (!parts)
        return -ENOMEM;
    size_t at = 0;
    BERTH_LIST_FOREACH (node, &ask->calls)
        parts[at++] = call_of(node)->jobs;
    return berth_pack_submit(client->id, ask->number, parts, count, &ask->frame);
}

static int pack(struct berth_client *client, struct berth_ask *ask)
{
    if (ask->frame.bytes > 0)
        return 0;
    if (ask->kind == REQUEST_SUBMIT)
        return pack_submit(client, ask);
    struct berth_call *call = first_call(ask);
    return call->pack(call, ask->number, &ask->frame);
}

static int send_hello(struct berth_client *client)
{
    struct berth_buf frame;
    berth_buf_init(&frame, BERTH_FRAME_BYTES_MAX);
    int rc = berth_pack_hello(client->id, &frame);
    if (rc == 0)
        rc = berth_dealer_send(client->dealer, berth_buf_slice(&frame));
    berth_buf_fini(&frame);
    return rc;
}

/* Ends it without an answer, and without another sending. */
static void abandon(struct berth_client *client, struct berth_ask *ask, int rc, int64_t now_ms)
{
    (void)berth_ask_step(client, &(struct request_event){ .type = REQUEST_EV_DROP,
                                                          .now_ms = now_ms,
                                                          .number = ask->number });
    finish(client, ask, rc);
}

void berth_ask_send(struct berth_client *client, int64_t now_ms)
{
    client->wants_send = false;
    if (!client->is_connected)
        return;
    int rc = client->wants_hello ? send_hello(client) : 0;
    if (rc == 0)
        client->wants_hello = false;
    while (rc == 0) {
        struct berth_list_node *node = berth_list_first(&client->outbox);
        if (!node)
            return;
        struct berth_ask *ask = berth_container_of(node, struct berth_ask, in_outbox);
        int packed = pack(client, ask);
        if (packed < 0) {
            abandon(client, ask, packed, now_ms);
            continue;
        }
        rc = berth_dealer_send(client->dealer, berth_buf_slice(&ask->frame));
        if (rc < 0)
            break;
        berth_list_remove(node);
        ask->is_repeated = ask->has_left;
        ask->has_left = true;
    }
    /* Whatever it was, what is left is tried again when the socket says so. */
    client->wants_send = true;
}

/* What a person reads when no answer came. */
static int fail_unanswered(const struct berth_client *client, int rc, struct berth_error *err)
{
    switch (rc) {
    case BERTH_EUNKNOWN:
        return berth_fail(err, rc, "no answer from '%s': whether it was done is not known",
                          client->url);
    case -EAGAIN: return berth_fail(err, rc, "too many requests are unanswered");
    case -ETIMEDOUT:
    case -EHOSTUNREACH:
        if (client->nonsense[0] != '\0')
            return berth_fail(err, rc, "'%s' answers, but not as a broker does (%s)", client->url,
                              client->nonsense);
        return berth_fail(err, rc,
                          client->is_connected ? "no answer from '%s'" : "no connection to '%s'",
                          client->url);
    }
    return berth_fail(err, rc, "ask '%s'", client->url);
}

static void finish(struct berth_client *client, struct berth_ask *ask, int rc)
{
    for (;;) {
        struct berth_list_node *node = berth_list_pop_front(&ask->calls);
        if (!node)
            break;
        struct berth_call *call = call_of(node);
        if (rc < 0)
            fail_unanswered(client, rc, &call->err);
        complete(call, rc);
    }
    berth_ask_free(ask);
}

/* Ends it with an answer of our own. */
static void end(struct berth_client *client, struct berth_ask *ask, struct berth_answer *answer,
                int64_t now_ms)
{
    uint64_t number = ask->number;
    deliver(ask, answer);
    (void)berth_ask_step(client, &(struct request_event){ .type = REQUEST_EV_ANSWER,
                                                          .now_ms = now_ms,
                                                          .number = number,
                                                          .is_last = true });
}

static void submitted_failed(struct berth_ask *ask, const struct berth_error *err)
{
    BERTH_LIST_FOREACH (node, &ask->calls) {
        struct berth_call *call = call_of(node);
        for (size_t i = 0; i < call->jobs.count; i++)
            call->submitted[i] = (struct berth_submitted){ .rc = err->code };
        call->err = *err;
    }
}

/* The broker's sentence as it is: berth_fail would add the text of an -errno. */
static void set_error(struct berth_error *err, int rc, const char *message)
{
    err->code = rc;
    (void)snprintf(err->message, sizeof err->message, "%s",
                   message[0] != '\0' ? message : berth_strerror(rc));
}

/* Gives each call its part of the answer. */
static void submitted_deliver(struct berth_ask *ask, const struct berth_answer *answer)
{
    struct berth_error err = { .code = BERTH_EPROTO };
    if (answer->type == BERTH_ANSWER_ERROR) {
        submitted_failed(ask, &answer->error);
        return;
    }
    if (answer->type != BERTH_ANSWER_SUBMITTED || answer->submitted.count != ask->jobs) {
        berth_fail(&err, BERTH_EPROTO, "the broker's answer to a submit of %zu jobs is not one",
                   ask->jobs);
        submitted_failed(ask, &err);
        return;
    }
    size_t at = 0, refusal = 0;
    BERTH_LIST_FOREACH (node, &ask->calls) {
        struct berth_call *call = call_of(node);
        size_t count = call->jobs.count;
        memcpy(call->submitted, answer->submitted.jobs + at, count * sizeof *call->submitted);
        at += count;
        for (; refusal < answer->submitted.refusals_count; refusal++) {
            const struct berth_refusal *refused = &answer->submitted.refusals[refusal];
            if (refused->index >= at)
                break;
            if (call->err.code == 0)
                set_error(&call->err, refused->rc, refused->message);
        }
    }
}

/* Hands the answer to the calls. */
static void deliver(struct berth_ask *ask, struct berth_answer *answer_to_take)
{
    BERTH_AUTO(berth_answer) answer = answer_to_take;
    if (ask->kind == REQUEST_SUBMIT) {
        submitted_deliver(ask, answer);
        return;
    }
    struct berth_call *call = first_call(ask);
    call->is_repeated = ask->is_repeated;
    berth_list_push_back(&call->answers, &berth_take(answer)->node);
    wake(call);
}

static bool is_last(const struct berth_ask *ask, const struct berth_answer *answer)
{
    return ask->kind != REQUEST_WAIT || answer->type != BERTH_ANSWER_WAITED ||
           answer->waited.pending == 0;
}

/* A broker that is starting or leaving will be back, and a wait is patient. */
static bool is_to_wait_on(const struct berth_ask *ask, const struct berth_answer *answer)
{
    return ask->kind == REQUEST_WAIT && answer->type == BERTH_ANSWER_ERROR &&
           answer->error.code == BERTH_ELATER;
}

static bool is_of_no_request(uint64_t number)
{
    return number == 0 || number == BERTH_HELLO_NUMBER;
}

/* The hello was refused, so nothing else will be taken either. */
static void refuse_all(struct berth_client *client, const struct berth_error *err, int64_t now_ms)
{
    BERTH_LIST_FOREACH_SAFE (node, &client->asks) {
        struct berth_ask *ask = berth_container_of(node, struct berth_ask, node);
        struct berth_answer *answer = berth_answer_of_error(ask->number, err);
        if (answer)
            end(client, ask, answer, now_ms);
    }
}

static void receive_nonsense(struct berth_client *client, uint64_t number,
                             const struct berth_error *err, int64_t now_ms)
{
    memcpy(client->nonsense, err->message, sizeof client->nonsense);
    struct berth_ask *ask = request_find(client->table, number);
    struct berth_answer *answer = ask ? berth_answer_of_error(number, err) : NULL;
    if (answer)
        end(client, ask, answer, now_ms);
    else if (is_of_no_request(number) && err->code == BERTH_EVERSION)
        refuse_all(client, err, now_ms);
}

void berth_ask_receive(struct berth_client *client, struct berth_slice frame, int64_t now_ms)
{
    BERTH_AUTO(berth_answer) answer = NULL;
    struct berth_error err;
    uint64_t number = 0;
    int rc = berth_answer_read(frame, &answer, &number, &err);
    if (rc == -ENOMEM)
        return; /* as if it had been lost: the request is repeated */
    if (rc < 0) {
        receive_nonsense(client, number, &err, now_ms);
        return;
    }

    client->heard_ms = now_ms;
    client->nonsense[0] = '\0';
    struct berth_ask *ask = request_find(client->table, answer->number);
    bool is_final = ask && !is_to_wait_on(ask, answer) && is_last(ask, answer);
    if (is_of_no_request(answer->number) && answer->type == BERTH_ANSWER_ERROR &&
        answer->error.code == BERTH_EVERSION)
        refuse_all(client, &answer->error, now_ms);
    number = answer->number;
    if (ask && !is_to_wait_on(ask, answer))
        deliver(ask, berth_take(answer));
    (void)berth_ask_step(client, &(struct request_event){ .type = REQUEST_EV_ANSWER,
                                                          .now_ms = now_ms,
                                                          .number = number,
                                                          .is_last = is_final });
}

/* The one that started first is the first to be given up: all count from the same last sign of the
 * broker, or from their start. */
static int64_t give_up_ms(const struct berth_client *client)
{
    const struct berth_list_node *node = berth_list_first(&client->asks);
    if (!node || client->unreachable_ms == 0)
        return INT64_MAX;
    const struct berth_ask *ask = berth_container_of(node, struct berth_ask, node);
    int64_t since_ms = ask->started_ms > client->heard_ms ? ask->started_ms : client->heard_ms;
    return since_ms > INT64_MAX - client->unreachable_ms ? INT64_MAX
                                                         : since_ms + client->unreachable_ms;
}

void berth_ask_give_up(struct berth_client *client, int64_t now_ms)
{
    while (now_ms >= give_up_ms(client)) {
        struct berth_ask *ask =
            berth_container_of(berth_list_first(&client->asks), struct berth_ask, node);
        bool has_effect = ask->kind == REQUEST_SUBMIT || ask->kind == REQUEST_CANCEL;
        abandon(client, ask, has_effect && ask->is_sent ? BERTH_EUNKNOWN : -EHOSTUNREACH, now_ms);
    }
}

int64_t berth_ask_next_deadline_ms(const struct berth_client *client)
{
    int64_t table_ms = request_next_deadline_ms(client->table);
    int64_t client_ms = give_up_ms(client);
    return table_ms < client_ms ? table_ms : client_ms;
}

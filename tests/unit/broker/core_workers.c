/* SPDX-License-Identifier: MIT */
/* Workers of core_fixture.h: what they say, and what they are ordered. */
#include "core_fixture.h"

struct worker *new_worker(struct fixture *f, uint32_t capacity)
{
    static const char *const names[WORKERS] = { "w1",  "w2",  "w3",  "w4",  "w5",  "w6",
                                                "w7",  "w8",  "w9",  "w10", "w11", "w12",
                                                "w13", "w14", "w15", "w16" };
    assert_true(f->worker_count < WORKERS);
    struct worker *w = &f->workers[f->worker_count++];
    *w = (struct worker){
        .name = names[f->worker_count - 1],
        .peer = 100 + f->worker_count,
        .keeper_peer = 200 + f->worker_count,
        .nonce = (uint8_t)f->worker_count,
        .child = 1,
        .epoch = EPOCH,
        .capacity = capacity,
        .cores = 2,
        .handlers = { "mail" },
    };
    return w;
}

/* Good until the next call. */
static struct berth_offer offer_of(const struct worker *w)
{
    static struct berth_slice handlers[WORKER_HANDLERS];
    struct berth_offer offer = { .name = text(w->name),
                                 .software = text("test"),
                                 .handlers = handlers,
                                 .capacity = w->capacity,
                                 .cores = w->cores,
                                 .suspended_max = w->suspended_max,
                                 .is_alone = w->is_alone,
                                 .can_start_alone = w->can_start_alone };
    while (offer.handler_count < WORKER_HANDLERS && w->handlers[offer.handler_count]) {
        handlers[offer.handler_count] = text(w->handlers[offer.handler_count]);
        offer.handler_count++;
    }
    return offer;
}

void hello(struct fixture *f, struct worker *w)
{
    struct berth_event event = { .type = BERTH_EV_HELLO,
                                 .hello = { .peer = w->peer,
                                            .epoch = w->epoch,
                                            .nonce = { w->nonce },
                                            .child = w->child,
                                            .offer = offer_of(w) } };
    step(f, event);
}

void take_welcome(struct fixture *f, struct worker *w)
{
    w->session = get_to(f, BERTH_DO_WELCOME, w->peer)->welcome.session;
    w->join = 1;
    w->reported = 0;
}

struct worker *given_worker(struct fixture *f, uint32_t capacity)
{
    struct worker *w = new_worker(f, capacity);
    given_joined(f, w);
    return w;
}

void given_joined(struct fixture *f, struct worker *w)
{
    hello(f, w);
    store_all(f);
    take_welcome(f, w);
}

void join_as(struct fixture *f, struct worker *w, uint32_t number,
             const struct berth_join_line *lines, size_t count)
{
    step(f, (struct berth_event){ .type = BERTH_EV_JOIN,
                                  .join = { .peer = w->peer,
                                            .session = w->session,
                                            .epoch = w->epoch,
                                            .join = number,
                                            .renewal = ++w->renewal,
                                            .lines = lines,
                                            .count = count,
                                            .is_draining = w->is_draining,
                                            .offer = offer_of(w) } });
}

void join(struct fixture *f, struct worker *w, const struct berth_join_line *lines, size_t count)
{
    w->reported = 0;
    join_as(f, w, ++w->join, lines, count);
}

struct berth_join_line line(uint64_t attempt, uint64_t job, uint32_t number)
{
    return (struct berth_join_line){ .attempt = attempt,
                                     .job = job,
                                     .dispatcher = text("default"),
                                     .number = number,
                                     .state = BERTH_ATTEMPT_RUNNING };
}

struct berth_join_line ended_line(uint64_t attempt, uint64_t job, uint32_t number,
                                  enum berth_outcome outcome)
{
    struct berth_join_line ended = line(attempt, job, number);
    ended.state = BERTH_ATTEMPT_ENDED;
    ended.end.outcome = outcome;
    return ended;
}

void renew(struct fixture *f, struct worker *w)
{
    step(f, (struct berth_event){ .type = BERTH_EV_RENEW,
                                  .renew = { .peer = w->peer,
                                             .session = w->session,
                                             .epoch = w->epoch,
                                             .join = w->join,
                                             .renewal = ++w->renewal,
                                             .sent = w->reported } });
}

void send_reports(struct fixture *f, struct worker *w, struct berth_ev_reports reports)
{
    reports.peer = w->peer;
    reports.session = w->session;
    reports.epoch = w->epoch;
    reports.join = w->join;
    reports.number = ++w->reported;
    reports.is_draining = w->is_draining;
    step(f, (struct berth_event){ .type = BERTH_EV_REPORTS, .reports = reports });
}

void report_end(struct fixture *f, struct worker *w, uint64_t attempt, uint64_t job,
                struct berth_attempt_end end)
{
    struct berth_report one = { .attempt = attempt, .job = job, .end = end };
    send_reports(f, w, (struct berth_ev_reports){ .reports = &one, .count = 1 });
}

void report(struct fixture *f, struct worker *w, uint64_t job, enum berth_outcome outcome)
{
    report_end(f, w, attempt_of(f, job), job, (struct berth_attempt_end){ .outcome = outcome });
}

void release(struct fixture *f, struct worker *w, uint64_t attempt)
{
    uint8_t reason = 1;
    send_reports(f, w,
                 (struct berth_ev_reports){
                     .releases = &attempt, .release_reasons = &reason, .release_count = 1 });
}

void gone_with(struct fixture *f, struct worker *w, struct berth_ev_gone event)
{
    event.peer = w->keeper_peer;
    event.session = w->session;
    event.nonce[0] = w->nonce;
    event.child = w->child;
    step(f, (struct berth_event){ .type = BERTH_EV_GONE, .gone = event });
}

void gone(struct fixture *f, struct worker *w, enum berth_gone_cause cause)
{
    gone_with(f, w, (struct berth_ev_gone){ .cause = cause });
}

void peer_gone(struct fixture *f, uint64_t peer)
{
    step(f, (struct berth_event){ .type = BERTH_EV_PEER_GONE, .peer = peer });
}

const struct session *session_of(const struct fixture *f, const struct worker *w)
{
    struct berth_map_node *node = berth_map_find_id(&f->core->sessions, w->session);
    return node ? berth_container_of(node, struct session, by_id) : NULL;
}

/* ---- orders ---- */

const struct berth_order_grant *grant_of(const struct fixture *f, uint64_t job)
{
    for (size_t i = f->said_count; i-- > 0;)
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < f->said[i].orders.grant_count;
             j++)
            if (f->said[i].orders.grants[j].job == job)
                return &f->said[i].orders.grants[j];
    return NULL;
}

uint64_t attempt_of(const struct fixture *f, uint64_t job)
{
    const struct berth_order_grant *grant = grant_of(f, job);
    assert_non_null(grant);
    return grant->attempt;
}

size_t grants_to(const struct fixture *f, const struct worker *w)
{
    size_t count = 0;
    for (size_t i = 0; i < f->said_count; i++)
        if (f->said[i].type == BERTH_DO_ORDERS && (!w || f->said[i].peer == w->peer))
            count += f->said[i].orders.grant_count;
    return count;
}

bool was_cancel_sent(const struct fixture *f, uint64_t attempt)
{
    for (size_t i = 0; i < f->said_count; i++)
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < f->said[i].orders.cancel_count;
             j++)
            if (f->said[i].orders.cancels[j].attempt == attempt)
                return true;
    return false;
}

const struct berth_order_ack *ack_of(const struct fixture *f, uint64_t attempt)
{
    for (size_t i = f->said_count; i-- > 0;)
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < f->said[i].orders.ack_count;
             j++)
            if (f->said[i].orders.acks[j].attempt == attempt)
                return &f->said[i].orders.acks[j];
    return NULL;
}

uint64_t given_running(struct fixture *f, struct submit item)
{
    uint64_t job = given_job(f, item);
    assert_non_null(grant_of(f, job));
    return job;
}

/* SPDX-License-Identifier: MIT */
/* MAIN LOOP of the link thread; see link.h. */
#include "worker/net/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/limits.h"
#include "worker/net/socket.h"
#include "worker/net/translate.h"

#define REFUSED_LOG_EVERY_MS 1000 /* a broker that talks nonsense does not fill the disk */

struct link {
    struct link_opts opts;
    struct worker_socket *socket;
    struct agent *agent;
    struct berth_arena in, out; /* of one frame */
    struct berth_buf frame;
    uint64_t session;
    bool is_gone_ok, is_over;
    int64_t refused_log_at_ms;
    uint64_t refused_count;
    struct link_exit exit;
};

static int turn(struct link *link, struct berth_error *err);
static int step(struct link *link, struct agent_event *event, struct berth_error *err);
static int carry_out(struct link *link, const struct agent_effect *effect, struct berth_error *err);

static int64_t now_ms(void)
{
    return berth_clock_boottime_ns() / 1000000;
}

int link_open(const struct link_opts *opts, struct link **ret_link, struct berth_error *err)
{
    struct link *link = calloc(1, sizeof *link);
    if (!link)
        return berth_fail(err, -ENOMEM, "open the link");
    link->opts = *opts;
    berth_arena_init(&link->in, TRANSLATE_ARENA_BYTES_MAX);
    berth_arena_init(&link->out, TRANSLATE_ARENA_BYTES_MAX);
    berth_buf_init(&link->frame, BERTH_FRAME_BYTES_MAX);
    link->agent = agent_new(&opts->agent);
    int rc = link->agent ? worker_socket_open(opts->url, &link->socket, err)
                         : berth_fail(err, -ENOMEM, "open the link");
    if (rc < 0) {
        link_close(link);
        return rc;
    }
    *ret_link = link;
    return 0;
}

void link_close(struct link *link)
{
    if (!link)
        return;
    worker_socket_close(link->socket, link->is_over ? LINK_LINGER_MS : 0);
    agent_free(link->agent);
    berth_buf_fini(&link->frame);
    berth_arena_fini(&link->out);
    berth_arena_fini(&link->in);
    free(link);
}

int link_run(struct link *link, struct link_exit *ret_exit, struct berth_error *err)
{
    struct agent_event start = { .type = AGENT_EV_START };
    int rc = step(link, &start, err);
    while (rc >= 0 && !link->is_over)
        rc = turn(link, err);
    if (rc < 0)
        return rc;
    *ret_exit = link->exit;
    return 0;
}

/* ---- one turn ---- */

static int take_item(struct link *link, const struct inbox_item *item, struct berth_error *err)
{
    struct agent_event event = { .type = AGENT_EV_ENDED };
    switch (item->kind) {
    case INBOX_OVER:
        event.ended.attempt = item->attempt;
        event.ended.end = item->end;
        if (item->release_reason != 0)
            event = (struct agent_event){ .type = AGENT_EV_RELEASED,
                                          .released = { item->attempt, item->release_reason } };
        break;
    case INBOX_SUSPEND:
        event = (struct agent_event){ .type = AGENT_EV_SUSPEND, .suspend = { item->attempt } };
        break;
    case INBOX_RESUME_ME:
        event = (struct agent_event){ .type = AGENT_EV_RESUME_ME, .resume_me = { item->attempt } };
        break;
    case INBOX_CHILDREN:
        event = (struct agent_event){ .type = AGENT_EV_CHILDREN, .children = item->children };
        break;
    }
    return step(link, &event, err);
}

/* Jobs that the host asks for: what cannot be sent now, it asks for again. */
static void send_asks(struct link *link)
{
    const struct link_host *host = &link->opts.host;
    uint64_t number;
    berth_job_id id;
    while (host->ask && host->ask(host->arg, &number, &id)) {
        berth_buf_clear(&link->frame);
        int rc = translate_ask(number, id, &link->frame);
        if (rc >= 0)
            rc = worker_socket_send(link->socket, berth_buf_slice(&link->frame));
        if (rc < 0 && rc != -EAGAIN)
            berth_log(BERTH_LOG_ERROR, "not_sent", BERTH_LOG_TEXT("error", berth_strerror(rc)));
    }
}

static int take_news(struct link *link, struct berth_error *err)
{
    struct agent_event event = { .type = AGENT_EV_NEWS };
    int rc = 0;
    while (rc >= 0 && link->opts.host.news &&
           link->opts.host.news(link->opts.host.arg, &event.news.attempt))
        rc = step(link, &event, err);
    return rc;
}

static int take_inbox(struct link *link, struct berth_error *err)
{
    struct berth_list items;
    berth_list_init(&items);
    unsigned commands = inbox_take(link->opts.inbox, &items);
    int rc = 0;
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&items)) != NULL) {
        struct inbox_item *item = berth_container_of(node, struct inbox_item, node);
        bool is_over = item->kind == INBOX_OVER; /* else its teller may be gone with the answer */
        if (rc >= 0)
            rc = take_item(link, item, err);
        if (is_over)
            link->opts.host.finish(link->opts.host.arg, item);
    }
    if (commands & INBOX_ASKS)
        send_asks(link);
    if (rc >= 0 && (commands & INBOX_NEWS))
        rc = take_news(link, err);
    if (rc >= 0 && (commands & INBOX_DRAIN)) {
        struct agent_event event = { .type = AGENT_EV_DRAIN };
        rc = step(link, &event, err);
    }
    if (rc >= 0 && (commands & INBOX_STOP)) {
        struct agent_event event = { .type = AGENT_EV_STOP,
                                     .stop.grace_ms = link->opts.stop_grace_ms };
        rc = step(link, &event, err);
    }
    return rc;
}

/* What the broker says and we cannot take is dropped: a gap in its stream is mended like any other.
 */
static void note_refused(struct link *link, const struct berth_error *why)
{
    link->refused_count++;
    if (now_ms() < link->refused_log_at_ms)
        return;
    link->refused_log_at_ms = now_ms() + REFUSED_LOG_EVERY_MS;
    berth_log(BERTH_LOG_WARN, "message_refused", BERTH_LOG_ERR(why),
              BERTH_LOG_U64("refused", link->refused_count));
}

static int take_frame(struct link *link, struct berth_slice frame, struct berth_error *err)
{
    struct heard heard;
    struct berth_error why;
    berth_arena_reset(&link->in);
    if (translate_in(frame, &link->in, &heard, &why) < 0) {
        note_refused(link, &why);
        return 0;
    }
    switch (heard.kind) {
    case HEARD_EVENT: return step(link, &heard.event, err);
    case HEARD_GONE_OK: link->is_gone_ok |= heard.session == link->session; return 0;
    case HEARD_ANSWER:
        if (link->opts.host.answer)
            link->opts.host.answer(link->opts.host.arg, heard.number, frame);
        return 0;
    case HEARD_REFUSAL:
        berth_log(BERTH_LOG_WARN, "broker_refused", BERTH_LOG_TEXT("error", heard.sentence));
        return 0;
    }
    BERTH_UNREACHABLE();
}

static int take_frames(struct link *link, struct berth_error *err)
{
    for (size_t i = 0; i < LINK_FRAMES_PER_TURN_MAX && !link->is_over; i++) {
        struct berth_slice frame;
        int rc = worker_socket_receive(link->socket, &frame);
        if (rc < 0)
            return berth_fail(err, rc, "receive from the broker");
        if (rc == 0)
            return 0;
        rc = take_frame(link, frame, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t wait_ms(struct link *link)
{
    int64_t due_ms = agent_next_deadline_ms(link->agent), now = now_ms();
    int64_t wait = due_ms == INT64_MAX ? INT64_MAX : due_ms > now ? due_ms - now : 0;
    bool is_untidy = link->opts.host.tidy && link->opts.host.tidy(link->opts.host.arg);
    return is_untidy && wait > LINK_TIDY_EVERY_MS ? LINK_TIDY_EVERY_MS : wait;
}

static int turn(struct link *link, struct berth_error *err)
{
    int rc = worker_socket_wait(link->socket, inbox_fd(link->opts.inbox), wait_ms(link));
    if (rc < 0)
        return berth_fail(err, rc, "wait for the broker");
    if (worker_socket_connected(link->socket)) {
        struct agent_event event = { .type = AGENT_EV_CONNECTED };
        rc = step(link, &event, err);
    }
    if (rc >= 0)
        rc = take_inbox(link, err);
    if (rc >= 0)
        rc = take_frames(link, err);
    if (rc >= 0 && now_ms() >= agent_next_deadline_ms(link->agent)) {
        struct agent_event event = { .type = AGENT_EV_TIMER };
        rc = step(link, &event, err);
    }
    return rc;
}

/* ---- effects ---- */

/* The clock is read here, before anything is sent: a lease counts from before its renewal left. */
static int step(struct link *link, struct agent_event *event, struct berth_error *err)
{
    struct agent_effects effects;
    event->now_ms = now_ms();
    int rc = agent_step(link->agent, event, &effects);
    if (rc < 0)
        return berth_fail(err, rc, "keep track of attempts");
    for (size_t i = 0; i < effects.count; i++) {
        rc = carry_out(link, &effects.items[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What all attempts that an effect names have to show, as far as it fits. */
static int show_effect(struct link *link, const struct agent_effect *effect,
                       struct berth_error *err)
{
    const struct link_host *host = &link->opts.host;
    struct agent_show *shows =
        berth_arena_alloc_array(&link->out, effect->show.count, sizeof *shows);
    size_t count = 0, room = LINK_SHOW_BYTES_MAX;
    if (!shows)
        return berth_fail(err, -ENOMEM, "show what attempts do");
    for (size_t i = 0; host->show && i < effect->show.count; i++) {
        if (!host->show(host->arg, effect->show.attempts[i], effect->show.epoch, effect->show.join,
                        room, &link->out, &shows[count]))
            continue;
        room -= shows[count].out.bytes + shows[count].err.bytes;
        count++;
    }
    return translate_show(effect, shows, count, &link->out, &link->frame, err);
}

static void send_effect(struct link *link, const struct agent_effect *effect)
{
    struct berth_error why;
    berth_buf_clear(&link->frame);
    berth_arena_reset(&link->out);
    int rc = effect->type == AGENT_DO_SHOW
                 ? show_effect(link, effect, &why)
                 : translate_out(effect, &link->opts.agent, &link->out, &link->frame, &why);
    if (rc >= 0) {
        rc = worker_socket_send(link->socket, berth_buf_slice(&link->frame));
        if (rc < 0)
            (void)berth_fail(&why, rc, "send to the broker");
    }
    /* Not connected is no news: the protocol asks again. */
    if (rc < 0)
        berth_log(rc == -EAGAIN ? BERTH_LOG_DEBUG : BERTH_LOG_ERROR, "not_sent",
                  BERTH_LOG_ERR(&why));
}

static void note_session(struct link *link, const struct agent_effect *effect)
{
    if (effect->session.session != 0 && link->session == 0)
        berth_log(BERTH_LOG_INFO, "joined", BERTH_LOG_TEXT("broker", link->opts.url),
                  BERTH_LOG_U64("session", effect->session.session),
                  BERTH_LOG_U64("epoch", effect->session.epoch));
    else if (effect->session.session != 0)
        berth_log(BERTH_LOG_INFO, "broker_restarted",
                  BERTH_LOG_U64("session", effect->session.session),
                  BERTH_LOG_U64("epoch", effect->session.epoch));
    link->session = effect->session.session;
    if (link->opts.host.session)
        link->opts.host.session(link->opts.host.arg, effect->session.session, effect->session.epoch,
                                effect->session.lineage, effect->session.worker_lease_ms);
}

static void note_exit(struct link *link, const struct agent_effect *effect)
{
    link->is_over = true;
    link->exit.why = effect->exit.why;
    link->exit.running_count = agent_running_count(link->agent);
    (void)snprintf(link->exit.reason, sizeof link->exit.reason, "%s", effect->exit.reason);
}

static int carry_out(struct link *link, const struct agent_effect *effect, struct berth_error *err)
{
    const struct link_host *host = &link->opts.host;
    switch (effect->type) {
    case AGENT_DO_HELLO:
    case AGENT_DO_JOIN:
    case AGENT_DO_RENEW:
    case AGENT_DO_REPORTS:
    case AGENT_DO_SHOW: send_effect(link, effect); return 0;
    case AGENT_DO_START: host->start(host->arg, &effect->start); return 0;
    case AGENT_DO_CANCEL:
        host->cancel(host->arg, effect->cancel.attempt, effect->cancel.reason,
                     effect->cancel.grace_ms);
        return 0;
    case AGENT_DO_SESSION: note_session(link, effect); return 0;
    case AGENT_DO_LEASE:
        if (host->lease)
            host->lease(host->arg, effect->lease.end_ms);
        return 0;
    case AGENT_DO_START_ALONE:
        if (host->start_alone)
            host->start_alone(host->arg, effect->start_alone.count);
        return 0;
    case AGENT_DO_RECONNECT:
        berth_log(BERTH_LOG_INFO, "broker_silent", BERTH_LOG_TEXT("broker", link->opts.url));
        return worker_socket_reopen(link->socket, err);
    case AGENT_DO_RESUME:
        if (host->resume)
            host->resume(host->arg, effect->resume.attempt);
        return 0;
    case AGENT_DO_CHILDREN:
        if (host->children)
            host->children(host->arg, &effect->children);
        return 0;
    case AGENT_DO_CHILD_ENDED:
        if (host->child_ended)
            host->child_ended(host->arg, &effect->child_ended);
        return 0;
    case AGENT_DO_EXIT: note_exit(link, effect); return 0;
    }
    BERTH_UNREACHABLE();
}

/* ---- gone ---- */

static void send_gone(struct link *link)
{
    berth_buf_clear(&link->frame);
    int rc = translate_gone(link->session, &link->opts.agent, &link->frame);
    if (rc >= 0)
        rc = worker_socket_send(link->socket, berth_buf_slice(&link->frame));
    if (rc < 0 && rc != -EAGAIN)
        berth_log(BERTH_LOG_ERROR, "not_sent", BERTH_LOG_TEXT("error", berth_strerror(rc)));
}

int link_say_gone(struct link *link, int64_t timeout_ms)
{
    int64_t until_ms = now_ms() + timeout_ms, next_ms = 0;
    while (link->session != 0 && !link->is_gone_ok) {
        if (now_ms() >= until_ms)
            return -ETIMEDOUT;
        if (now_ms() >= next_ms) {
            send_gone(link);
            next_ms = now_ms() + LINK_GONE_EVERY_MS;
        }
        int rc = worker_socket_wait(link->socket, -1, LINK_GONE_EVERY_MS);
        struct berth_slice frame;
        while (rc >= 0 && (rc = worker_socket_receive(link->socket, &frame)) > 0)
            rc = take_frame(link, frame, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

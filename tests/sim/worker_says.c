/* SPDX-License-Identifier: MIT */
#include "worker_says.h"

#include <string.h>

#include "parent.h"

#define SHOW_BYTES_MAX 16384

/* The worker itself, or the one that a process for a suspect belongs to. */
static const struct worker *home_of(const struct worker *worker)
{
    return worker->host ? worker->host : worker;
}

static struct agent_end copy_end(struct note *note, const struct agent_end *end)
{
    struct agent_end copy = *end;
    copy.error_kind = note_slice(note, end->error_kind);
    copy.error_message = note_slice(note, end->error_message);
    copy.result = note_slice(note, end->result);
    return copy;
}

static struct berth_attempt_end broker_end(struct note *note, const struct agent_end *end)
{
    struct agent_end copy = copy_end(note, end);
    return (struct berth_attempt_end){ .outcome = (enum berth_outcome)copy.outcome,
                                       .retry_ms = copy.retry_ms,
                                       .run_us = copy.run_us,
                                       .error_kind = copy.error_kind,
                                       .error_message = copy.error_message,
                                       .result = copy.result };
}

static struct berth_offer offer_of(const struct worker *worker, struct note *note)
{
    /* Not every worker has the rare handler, and its commands may be off. */
    unsigned index = home_of(worker)->index;
    size_t count = index == 0 ? 3 : index % 2 ? 2 : 1;
    struct berth_slice *handlers = berth_arena_alloc_array(&note->arena, 3, sizeof *handlers);
    for (size_t i = 0; i < 3; i++)
        handlers[i] = (struct berth_slice){ sim_handlers[i], strlen(sim_handlers[i]) };
    return (struct berth_offer){ .name = { note_copy(note, worker->name, strlen(worker->name)),
                                           strlen(worker->name) },
                                 .handlers = handlers,
                                 .handler_count = count,
                                 .capacity = worker->capacity,
                                 .suspended_max = worker->suspended_max,
                                 .cores = worker->cores,
                                 .is_alone = worker->host != NULL,
                                 .can_start_alone = worker->host == NULL };
}

/* What the agent says of the end of a parent. */
static void take_end(struct worker *worker, const struct agent_line *line)
{
    struct run *run = line->state == AGENT_ENDED ? find_run(worker, line->attempt) : NULL;
    if (!run || !run->is_body_over)
        return;
    run->end = (struct agent_end){ .outcome = line->end.outcome, .retry_ms = line->end.retry_ms };
    finish_run(worker, run);
}

void say_hello(struct worker *worker, uint32_t epoch)
{
    struct note *note = note_new(TO_BROKER);
    note->broker.type = BERTH_EV_HELLO;
    struct berth_ev_hello *hello = &note->broker.hello;
    *hello = (struct berth_ev_hello){ .peer = worker->link.peer,
                                      .epoch = epoch,
                                      .child = worker->child,
                                      .offer = offer_of(worker, note) };
    memcpy(hello->nonce, worker->nonce, sizeof hello->nonce);
    link_send_up(&worker->link, note);
}

void say_join(struct worker *worker, const struct agent_effect *effect)
{
    struct note *note = note_new(TO_BROKER);
    note->broker.type = BERTH_EV_JOIN;
    size_t count = effect->join.count;
    struct berth_join_line *lines = berth_arena_alloc_array(&note->arena, count + 1, sizeof *lines);
    for (size_t i = 0; i < count; i++) {
        const struct agent_line *from = &effect->join.lines[i];
        lines[i] = (struct berth_join_line){ .attempt = from->attempt,
                                             .job = from->job,
                                             .dispatcher = note_slice(note, from->dispatcher),
                                             .number = from->number,
                                             .state = (enum berth_attempt_state)from->state,
                                             .suspensions = from->suspensions,
                                             .is_cancelled = from->is_cancelled,
                                             .end = broker_end(note, &from->end) };
        take_end(worker, from);
    }
    note->broker.join = (struct berth_ev_join){ .peer = worker->link.peer,
                                                .session = effect->join.session,
                                                .epoch = effect->join.epoch,
                                                .join = effect->join.join,
                                                .renewal = effect->join.renewal,
                                                .lines = lines,
                                                .count = count,
                                                .is_draining = effect->join.is_draining,
                                                .offer = offer_of(worker, note) };
    sim_note(worker->sim, "worker %u joins (%u, %u) with %zu", worker->index, effect->join.epoch,
             effect->join.join, count);
    link_send_up(&worker->link, note);
}

void say_renew(struct worker *worker, const struct agent_effect *effect)
{
    struct note *note = note_new(TO_BROKER);
    note->broker.type = BERTH_EV_RENEW;
    note->broker.renew = (struct berth_ev_renew){ .peer = worker->link.peer,
                                                  .session = effect->renew.session,
                                                  .epoch = effect->renew.epoch,
                                                  .join = effect->renew.join,
                                                  .renewal = effect->renew.renewal,
                                                  .sent = effect->renew.sent,
                                                  .taken = effect->renew.taken };
    link_send_up(&worker->link, note);
}

void say_reports(struct worker *worker, const struct agent_effect *effect)
{
    struct note *note = note_new(TO_BROKER);
    note->broker.type = BERTH_EV_REPORTS;
    size_t count = effect->reports.count, released = effect->reports.release_count;
    struct berth_report *reports =
        berth_arena_alloc_array(&note->arena, count + 1, sizeof *reports);
    uint8_t *reasons = berth_arena_alloc_array(&note->arena, released + 1, sizeof *reasons);
    for (size_t i = 0; i < count; i++) {
        const struct agent_line *from = &effect->reports.lines[i];
        reports[i] = (struct berth_report){ .attempt = from->attempt,
                                            .job = from->job,
                                            .end = broker_end(note, &from->end) };
        take_end(worker, from);
    }
    for (size_t i = 0; i < released; i++)
        reasons[i] = (uint8_t)effect->reports.release_reasons[i];
    note->broker.reports = (struct berth_ev_reports){
        .peer = worker->link.peer,
        .session = effect->reports.session,
        .epoch = effect->reports.epoch,
        .join = effect->reports.join,
        .number = effect->reports.number,
        .reports = reports,
        .count = count,
        .releases = note_copy(note, effect->reports.release_attempts, released * sizeof(uint64_t)),
        .release_reasons = reasons,
        .release_count = released,
        .is_draining = effect->reports.is_draining,
    };
    parent_say(note, effect);
    link_send_up(&worker->link, note);
}

/* What a run has written and not shown in this join. */
static struct berth_show show_run(struct run *run, const struct agent_effect *effect,
                                  struct note *note)
{
    if (run->shown_epoch != effect->show.epoch || run->shown_join != effect->show.join)
        run->shown = 0;
    run->shown_epoch = effect->show.epoch;
    run->shown_join = effect->show.join;
    uint64_t left = run->written - run->shown;
    size_t bytes = left < SHOW_BYTES_MAX ? (size_t)left : SHOW_BYTES_MAX;
    uint8_t *text = berth_arena_alloc(&note->arena, bytes);
    BERTH_ASSERT(text != NULL);
    for (size_t i = 0; i < bytes; i++)
        text[i] = check_written(run->job, run->number, run->shown + i);
    struct berth_show show = { .attempt = run->attempt,
                               .has_progress = true,
                               .done = run->written,
                               .out_from = run->shown,
                               .out = { text, bytes } };
    run->shown += bytes;
    return show;
}

void say_show(struct worker *worker, const struct agent_effect *effect)
{
    struct note *note = note_new(TO_BROKER);
    struct berth_show *shows =
        berth_arena_alloc_array(&note->arena, effect->show.count + 1, sizeof *shows);
    size_t count = 0;
    for (size_t i = 0; i < effect->show.count; i++) {
        struct run *run = find_run(worker, effect->show.attempts[i]);
        if (run)
            shows[count++] = show_run(run, effect, note);
    }
    note->broker.type = BERTH_EV_REPORTS;
    note->broker.reports = (struct berth_ev_reports){ .peer = worker->link.peer,
                                                      .session = effect->show.session,
                                                      .epoch = effect->show.epoch,
                                                      .join = effect->show.join,
                                                      .number = effect->show.number,
                                                      .shows = shows,
                                                      .show_count = count };
    link_send_up(&worker->link, note);
}

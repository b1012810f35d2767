/* SPDX-License-Identifier: MIT */
#include "parent.h"

#include <string.h>

#define CHILD_TAG       (UINT64_C(0xC5) << 56)
#define CHILDREN_MAX    4
#define SUBMIT_US_MAX   (2 * SECOND)
#define SLEEP_US_MAX    (5 * SECOND)
#define PATIENCE_US_MIN (5 * SECOND)
#define PATIENCE_US_MAX (40 * SECOND)
#define PARENT_PERCENT  15
#define GRANDCHILDREN   8 /* percent of the children that are parents */
#define SLEEPER_PERCENT 15

bool parent_is_child(uint64_t tag)
{
    return tag >> 56 == CHILD_TAG >> 56;
}

static uint64_t mix(uint64_t value)
{
    struct berth_rng rng;
    berth_rng_init(&rng, value);
    return berth_rng_next(&rng);
}

bool parent_is_supervisor(uint64_t job)
{
    return mix(job * 3 + 1) % 3 == 0;
}

static unsigned children_of(uint64_t job)
{
    return 1 + (unsigned)(mix(job * 3 + 2) % CHILDREN_MAX);
}

static uint64_t child_tag(uint64_t job, uint32_t ordinal)
{
    return CHILD_TAG | mix(job << 16 | ordinal) >> 8;
}

/* ---- what the body does ---- */

static struct run *run_of(struct sim *sim, const struct appointment *appointment, sim_fn fn,
                          void *arg)
{
    struct worker *worker = appointment->worker;
    if (postpone(sim, appointment, fn, arg))
        return NULL;
    struct run *run = find_run(worker, appointment->attempt);
    bool is_it = run && run->life == appointment->life && run->life == worker->life;
    return is_it && !worker->is_frozen && !run->is_body_over ? run : NULL;
}

static void suspend(struct run *run)
{
    struct worker *worker = run->worker;
    run->is_suspended = true;
    check_limits_given(worker->sim, run);
    struct agent_event event = { .type = AGENT_EV_SUSPEND };
    event.suspend.attempt = run->attempt;
    feed(worker, &event);
}

static void ask_to_go_on(struct sim *sim, void *arg)
{
    struct run *run = run_of(sim, arg, ask_to_go_on, arg);
    if (!run || !run->is_suspended || run->has_asked)
        return;
    run->has_asked = true;
    struct agent_event event = { .type = AGENT_EV_RESUME_ME };
    event.resume_me.attempt = run->attempt;
    feed(run->worker, &event);
}

static void wake(struct run *run, int64_t after_us)
{
    struct worker *worker = run->worker;
    appoint(worker, worker->sim->now_us + after_us, ask_to_go_on, run->life, run->attempt);
}

/* It goes to sleep. */
static void sleep_now(struct sim *sim, void *arg)
{
    struct run *run = run_of(sim, arg, sleep_now, arg);
    if (!run || run->is_suspended || run->is_cancelled)
        return;
    suspend(run);
    run = find_run(((const struct appointment *)arg)->worker,
                   ((const struct appointment *)arg)->attempt);
    if (run)
        wake(run, sim_random_us(sim, 0, SLEEP_US_MAX));
}

/* A part of its children, then perhaps it waits. */
static void submit_some(struct sim *sim, void *arg)
{
    struct run *run = run_of(sim, arg, submit_some, arg);
    if (!run || run->is_suspended || run->is_cancelled || run->submitted == run->children)
        return;
    struct worker *worker = run->worker;
    unsigned left = run->children - run->submitted;
    unsigned count = 1 + (unsigned)berth_rng_below(&sim->rng, left);
    uint64_t tags[CHILDREN_MAX];
    for (unsigned i = 0; i < count; i++)
        tags[i] = child_tag(run->job, run->submitted + 1 + i);
    struct agent_event event = { .type = AGENT_EV_CHILDREN };
    event.children = (struct agent_submit){ .attempt = run->attempt,
                                            .ordinal = run->submitted + 1,
                                            .is_supervisor = run->is_supervisor,
                                            .submit = { tags, count * sizeof *tags } };
    run->submitted += count;
    run->unanswered++;
    uint64_t attempt = run->attempt;
    feed(worker, &event);
    run = find_run(worker, attempt);
    if (!run)
        return;
    if (run->submitted < run->children)
        appoint(worker, sim->now_us + sim_random_us(sim, 0, SUBMIT_US_MAX), submit_some, run->life,
                attempt);
    else if (sim_chance(sim, 70))
        suspend(run);
}

static void lose_patience(struct sim *sim, void *arg)
{
    struct run *run = run_of(sim, arg, lose_patience, arg);
    if (!run || run->is_cancelled)
        return;
    run->end = (struct agent_end){ .outcome = AGENT_FAILED, .error_kind = { "handler", 7 } };
    run->ends_us = sim->now_us;
    if (run->is_suspended)
        ask_to_go_on(sim, arg);
    else
        end_run(sim, arg);
}

void parent_begin(struct run *run, struct berth_slice body)
{
    struct worker *worker = run->worker;
    struct sim *sim = worker->sim;
    uint64_t tag;
    memcpy(&tag, body.data, sizeof tag);
    run->is_parent =
        mix(tag * 5 + 3) % 100 < (parent_is_child(tag) ? GRANDCHILDREN : PARENT_PERCENT);
    run->is_supervisor = parent_is_supervisor(run->job);
    run->children = run->is_parent ? children_of(run->job) : 0;
    if (run->is_parent) {
        appoint(worker, sim->now_us + sim_random_us(sim, 0, SUBMIT_US_MAX), submit_some, run->life,
                run->attempt);
        appoint(worker, sim->now_us + sim_random_us(sim, PATIENCE_US_MIN, PATIENCE_US_MAX),
                lose_patience, run->life, run->attempt);
    }
    if (!run->is_parent && sim_chance(sim, SLEEPER_PERCENT))
        appoint(worker, sim->now_us + sim_random_us(sim, 0, SUBMIT_US_MAX), sleep_now, run->life,
                run->attempt);
}

/* What it had planned is over: it ends as soon as it may go on. */
void parent_cancelled(struct run *run)
{
    if (run->is_suspended && !run->is_body_over)
        wake(run, MS);
}

/* Processes for suspects are few: if parents that are suspects waited there for children that are,
 * without end, no place would be left for these. So there they fail, and end their children. */
void parent_ends(struct run *run)
{
    bool is_waiting = run->is_parent && (run->awaited || run->unanswered);
    if (is_waiting && run->worker->host && !run->is_cancelled)
        run->end = (struct agent_end){ .outcome = AGENT_FAILED, .error_kind = { "handler", 7 } };
}

void parent_body_over(struct run *run)
{
    run->is_body_over = true;
    check_limits_given(run->worker->sim, run); /* its agent waits for its children, suspended */
}

/* ---- what it hears ---- */

void parent_resumed(struct worker *worker, uint64_t attempt)
{
    struct sim *sim = worker->sim;
    struct run *run = find_run(worker, attempt);
    if (!run)
        return;
    if (!run->is_suspended || !run->has_asked)
        sim_fail(sim, "attempt %llx may go on, and did not ask", (unsigned long long)attempt);
    check_limits_resume(sim, run);
    run->is_suspended = run->has_asked = false;
    check_place(sim, run);
    if (run->ends_us < sim->now_us)
        run->ends_us = sim->now_us + sim_random_us(sim, 0, 200 * MS);
    appoint(worker, run->ends_us, end_run, run->life, attempt);
}

static void look(struct run *run)
{
    if (run->is_suspended && !run->unanswered && !run->awaited)
        wake(run, 0);
}

void parent_answered(struct worker *worker, const struct agent_submitted *answer)
{
    struct run *run = find_run(worker, answer->attempt);
    if (!run || !run->is_parent || !run->unanswered)
        sim_fail(worker->sim, "attempt %llx is answered, and did not ask",
                 (unsigned long long)answer->attempt);
    run->unanswered--;
    run->awaited += (unsigned)answer->count;
    if (!answer->count)
        sim_note(worker->sim, "job %llu gets no children: %d", (unsigned long long)run->job,
                 answer->code);
    if (!answer->count && !run->is_cancelled && !run->is_body_over)
        run->end = (struct agent_end){ .outcome = AGENT_FAILED, .error_kind = { "handler", 7 } };
    look(run);
}

void parent_child_ended(struct worker *worker, const struct agent_child_end *end)
{
    struct run *run = find_run(worker, end->attempt);
    if (!run)
        return; /* it has ended */
    if (!run->awaited)
        sim_fail(worker->sim, "attempt %llx hears of child %llu, and awaits none",
                 (unsigned long long)end->attempt, (unsigned long long)end->job);
    run->awaited--;
    look(run);
}

/* ---- on the wire ---- */

static struct berth_child_submit broker_submit(struct note *note, const struct agent_submit *from)
{
    size_t count = from->submit.bytes / sizeof(uint64_t);
    const uint64_t *tags = note_copy(note, from->submit.data, from->submit.bytes);
    struct berth_submit_item *items = berth_arena_zalloc(&note->arena, count * sizeof *items);
    struct berth_slice *dispatchers =
        berth_arena_alloc_array(&note->arena, SIM_DISPATCHERS, sizeof *dispatchers);
    struct berth_slice *handlers =
        berth_arena_alloc_array(&note->arena, SIM_HANDLERS, sizeof *handlers);
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        dispatchers[i] = (struct berth_slice){ sim_rules[i].name, strlen(sim_rules[i].name) };
    for (unsigned i = 0; i < SIM_HANDLERS; i++)
        handlers[i] = (struct berth_slice){ sim_handlers[i], strlen(sim_handlers[i]) };
    for (size_t i = 0; i < count; i++) {
        const char *group = sim_groups[sim_group_of(tags[i])];
        items[i].dispatcher = (uint32_t)(tags[i] % SIM_DRAWN);
        items[i].handler = tags[i] / 64 % 8 ? 0 : 1;
        items[i].group = (struct berth_slice){ group, strlen(group) };
        items[i].body = (struct berth_slice){ &tags[i], sizeof tags[i] };
        sim_bring(tags[i], true, &items[i]);
    }
    return (struct berth_child_submit){ .attempt = from->attempt,
                                        .job = from->job,
                                        .ordinal = from->ordinal,
                                        .is_supervisor = from->is_supervisor,
                                        .jobs = { .dispatchers = dispatchers,
                                                  .dispatcher_count = SIM_DISPATCHERS,
                                                  .handlers = handlers,
                                                  .handler_count = SIM_HANDLERS,
                                                  .items = items,
                                                  .count = count } };
}

static const struct berth_suspension *
broker_suspensions(struct note *note, const struct agent_suspension *from, size_t count)
{
    struct berth_suspension *rows = berth_arena_alloc_array(&note->arena, count + 1, sizeof *rows);
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct berth_suspension){ from[i].attempt, from[i].number };
    return rows;
}

void parent_say(struct note *note, const struct agent_effect *effect)
{
    struct berth_ev_reports *reports = &note->broker.reports;
    struct berth_child_submit *submits =
        berth_arena_alloc_array(&note->arena, effect->reports.submit_count + 1, sizeof *submits);
    struct berth_child_ask *asks =
        berth_arena_alloc_array(&note->arena, effect->reports.ask_count + 1, sizeof *asks);
    for (size_t i = 0; i < effect->reports.submit_count; i++)
        submits[i] = broker_submit(note, &effect->reports.submits[i]);
    for (size_t i = 0; i < effect->reports.ask_count; i++)
        asks[i] = (struct berth_child_ask){ effect->reports.asks[i].attempt,
                                            effect->reports.asks[i].job };
    reports->suspends =
        broker_suspensions(note, effect->reports.suspends, effect->reports.suspend_count);
    reports->suspend_count = effect->reports.suspend_count;
    reports->resumes =
        broker_suspensions(note, effect->reports.resumes, effect->reports.resume_count);
    reports->resume_count = effect->reports.resume_count;
    reports->child_submits = submits;
    reports->child_submit_count = effect->reports.submit_count;
    reports->end_children = note_copy(note, effect->reports.end_children,
                                      effect->reports.end_children_count * sizeof(uint64_t));
    reports->end_children_count = effect->reports.end_children_count;
    reports->child_asks = asks;
    reports->child_ask_count = effect->reports.ask_count;
}

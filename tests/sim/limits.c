/* SPDX-License-Identifier: MIT */
/* The checkers of limits: rules 2, 10, 12 and 29 of checkers.c. What is counted are attempts
 * that are truly alive. */
#include <stdlib.h>
#include <string.h>

#include "broker/core/life/attempt.h"
#include "sim.h"

/* ---- slots ---- */

void check_limit(struct sim *sim, unsigned dispatcher, uint32_t limit)
{
    struct checkers *checkers = &sim->checkers;
    size_t *count = &checkers->limit_count[dispatcher];
    if (*count == sizeof checkers->limits[0] / sizeof *checkers->limits[0])
        sim_fail(sim, "too many changes of limits for one run");
    checkers->limits[dispatcher][*count].from_us = sim->now_us;
    checkers->limits[dispatcher][(*count)++].limit = limit;
}

/* The most that may have been in force at any time from then until now. */
static uint32_t limit_since(const struct sim *sim, int dispatcher, int64_t from_us)
{
    const struct checkers *checkers = &sim->checkers;
    uint32_t most = 0;
    for (size_t i = checkers->limit_count[dispatcher]; i-- > 0;) {
        if (checkers->limits[dispatcher][i].limit > most)
            most = checkers->limits[dispatcher][i].limit;
        if (checkers->limits[dispatcher][i].from_us < from_us)
            break;
    }
    return most;
}

void check_move(struct sim *sim, bool is_home)
{
    sim->checkers.moved_in_us = is_home ? sim->now_us : INT64_MAX;
}

/* While it is not known where a dispatcher stands it counts only where it does in either case. */
static int parent_of(const struct sim *sim, int dispatcher, int64_t granted_us)
{
    int parent = sim_rules[dispatcher].parent;
    bool is_away = dispatcher == SIM_MOVER && granted_us <= sim->checkers.moved_in_us;
    return is_away ? sim_rules[parent].parent : parent;
}

void check_pause(struct sim *sim, unsigned dispatcher, bool is_paused)
{
    sim->checkers.paused_us[dispatcher] = is_paused ? sim->now_us : INT64_MAX;
}

static void granted_in_chain(struct sim *sim, const struct berth_order_grant *grant,
                             int64_t decided_us)
{
    int at = (int)sim_dispatcher_index(sim, grant->dispatcher);
    for (; at >= 0; at = parent_of(sim, at, decided_us))
        if (decided_us > sim->checkers.paused_us[at])
            sim_fail(sim, "%s is paused, and job %llu is granted", sim_rules[at].name,
                     (unsigned long long)grant->job);
}

static unsigned alive_below(const struct sim *sim, int top, int64_t granted_us)
{
    unsigned alive = 0;
    for (int i = 0; i < SIM_DISPATCHERS; i++) {
        int at = i;
        while (at >= 0 && at != top)
            at = parent_of(sim, at, granted_us);
        alive += at == top ? sim->checkers.alive[i] : 0;
    }
    return alive;
}

static void start_in_chain(struct sim *sim, const struct run *run, int64_t granted_us)
{
    for (int at = (int)run->dispatcher; at >= 0; at = parent_of(sim, at, granted_us)) {
        unsigned alive = alive_below(sim, at, granted_us);
        uint32_t limit = limit_since(sim, at, granted_us);
        if (limit == 0 && run->shall_end)
            limit = 1; /* what goes on in order to end needs one */
        if (alive >= limit)
            sim_fail(sim, "%s: job %llu is started beside %u alive, the limit is %u",
                     sim_rules[at].name, (unsigned long long)run->job, alive, limit);
    }
    sim->checkers.alive[run->dispatcher]++;
}

static void start_in_group(struct sim *sim, const struct run *run)
{
    const struct sim_rule *rule = &sim_rules[run->dispatcher];
    unsigned *alive = &sim->checkers.alive_in_group[run->dispatcher][run->group];
    if (run->group && rule->group_limit && *alive >= rule->group_limit)
        sim_fail(sim, "%s: job %llu of group %s is started beside %u alive, the limit is %u",
                 rule->name, (unsigned long long)run->job, sim_groups[run->group], *alive,
                 rule->group_limit);
    ++*alive;
}

void check_limits_start(struct sim *sim, const struct run *run, int64_t granted_us)
{
    start_in_chain(sim, run, granted_us);
    start_in_group(sim, run);
    check_rate_start(sim, run);
}

void check_limits_given(struct sim *sim, struct run *run)
{
    if (run->is_ghost || run->has_given || !sim_rules[run->dispatcher].is_given_back)
        return;
    check_limits_end(sim, run);
    run->has_given = true;
}

/* It may have waited for a place since it took its slots. */
void check_limits_resume(struct sim *sim, struct run *run)
{
    if (!run->has_given)
        return;
    run->has_given = false;
    if (run->is_ghost)
        return;
    start_in_chain(sim, run, check_attempt_of(sim, run->attempt)->taken_us);
    start_in_group(sim, run);
}

void check_limits_end(struct sim *sim, const struct run *run)
{
    if (run->has_given)
        return;
    sim->checkers.alive[run->dispatcher]--;
    sim->checkers.alive_in_group[run->dispatcher][run->group]--;
}

/* ---- grants ---- */

static void note_resumed(struct sim *sim, const struct berth_do_orders *orders)
{
    for (size_t i = 0; i < orders->resume_count; i++) {
        const struct attempt *attempt = attempt_find(sim->broker.core, orders->resumes[i].attempt);
        if (attempt)
            check_attempt_of(sim, attempt->by_id.id)->taken_us = attempt->slot_ms * MS;
    }
}

/* When it was decided: a body may have been read back since, and a message has its way to go. */
void check_granted(struct sim *sim, const struct berth_do_orders *orders)
{
    note_resumed(sim, orders);
    for (size_t i = 0; i < orders->grant_count; i++) {
        uint64_t id = orders->grants[i].attempt;
        const struct attempt *attempt = attempt_find(sim->broker.core, id);
        if (!attempt)
            sim_fail(sim, "attempt %llx is granted and not known", (unsigned long long)id);
        check_attempt_of(sim, id)->job = orders->grants[i].job;
        check_attempt_of(sim, id)->granted_ms = attempt->slot_ms;
        granted_in_chain(sim, &orders->grants[i], attempt->slot_ms * MS);
        check_life_granted(sim, &orders->grants[i], attempt->slot_ms == sim_ms(sim));
    }
}

/* ---- reasons ---- */

static bool begins_with(struct berth_slice text, const char *start)
{
    return text.bytes >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
}

/* "... is reached: N of M ...": N is not below M. */
static void check_numbers(struct sim *sim, uint64_t job, struct berth_slice reason)
{
    char text[256];
    size_t bytes = reason.bytes < sizeof text ? reason.bytes : sizeof text - 1;
    memcpy(text, reason.data, bytes);
    text[bytes] = '\0';
    const char *numbers = strstr(text, "is reached: ");
    if (!numbers)
        sim_fail(sim, "job %llu waits because '%s'", (unsigned long long)job, text);
    char *of;
    unsigned long used = strtoul(numbers + strlen("is reached: "), &of, 10);
    unsigned long limit = strtoul(of + strlen(" of "), NULL, 10);
    if (used < limit)
        sim_fail(sim, "job %llu waits because '%s'", (unsigned long long)job, text);
}

void check_shown(struct sim *sim, const struct berth_do_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const struct berth_job_view *view = &jobs->items[i];
        enum berth_state state = view->record.state;
        bool is_waiting = state == BERTH_SCHEDULED || state == BERTH_READY ||
                          state == BERTH_RETRYING || state == BERTH_CANCELLING ||
                          state == BERTH_SUSPENDED;
        bool is_held = state == BERTH_RUNNING && begins_with(view->reason, "its worker w");
        if (!is_held && is_waiting != (view->reason.bytes > 0))
            sim_fail(sim, "job %llu is in state %d, and its reason is '%.*s'",
                     (unsigned long long)view->record.id, (int)state, (int)view->reason.bytes,
                     (const char *)view->reason.data);
        if (begins_with(view->reason, "the limit of "))
            check_numbers(sim, view->record.id, view->reason);
    }
}

/* SPDX-License-Identifier: MIT */
/* The checker of explanations, beside rule 12 of checkers.c: of a job it has one cause or none, as
 * its state says; of a dispatcher the causes add up to all that wait; who holds slots is as many as
 * are in use. */
#include <string.h>

#include "broker/core/dispatcher/dispatcher.h"
#include "sim.h"

static bool is_waiting(enum berth_state state)
{
    return state == BERTH_SCHEDULED || state == BERTH_READY || state == BERTH_RETRYING ||
           state == BERTH_CANCELLING;
}

static void check_cause(struct sim *sim, const struct berth_explain_cause *cause)
{
    if (!cause->count || !cause->job || !cause->reason.bytes)
        sim_fail(sim, "%llu jobs wait for '%s' because '%.*s'", (unsigned long long)cause->count,
                 cause->kind, (int)cause->reason.bytes, (const char *)cause->reason.data);
    bool is_limit = strcmp(cause->kind, "slots") == 0 || strcmp(cause->kind, "group") == 0;
    if (is_limit && cause->in_use < cause->limit)
        sim_fail(sim, "job %llu waits for %s, of which %llu of %llu are in use",
                 (unsigned long long)cause->job, cause->kind, (unsigned long long)cause->in_use,
                 (unsigned long long)cause->limit);
}

static void check_job(struct sim *sim, const struct berth_do_explained *explained)
{
    bool may_be_none = explained->state == BERTH_RUNNING || explained->state == BERTH_SUSPENDED;
    size_t wanted = is_waiting(explained->state) ? 1 : 0;
    if (explained->cause_count != wanted && !(may_be_none && explained->cause_count == 1))
        sim_fail(sim, "job %llu is in state %d and has %zu causes",
                 (unsigned long long)explained->id, (int)explained->state, explained->cause_count);
    if (explained->cause_count && strcmp(explained->causes[0].kind, "slots") == 0 &&
        explained->holder_sum != explained->causes[0].in_use)
        sim_fail(sim, "job %llu waits for %llu slots, which %llu hold",
                 (unsigned long long)explained->id, (unsigned long long)explained->causes[0].in_use,
                 (unsigned long long)explained->holder_sum);
}

static void check_dispatcher(struct sim *sim, const struct berth_do_explained *explained)
{
    const struct dispatcher *d = dispatcher_find(sim->broker.core, explained->dispatcher);
    uint64_t waiting = d->count[JOB_SCHEDULED] + d->count[JOB_READY] + d->count[JOB_RETRYING];
    uint64_t sum = explained->more;
    for (size_t i = 0; i < explained->cause_count; i++)
        sum += explained->causes[i].count;
    if (sum < waiting || sum > waiting + d->count[JOB_RUNNING] + d->count[JOB_SETTLING])
        sim_fail(sim, "%s: %llu jobs wait, and %llu are explained", d->record.name,
                 (unsigned long long)waiting, (unsigned long long)sum);
    if (explained->holder_sum != d->running)
        sim_fail(sim, "%s: %llu slots are in use, and %llu hold them", d->record.name,
                 (unsigned long long)d->running, (unsigned long long)explained->holder_sum);
}

void check_explained(struct sim *sim, const struct berth_do_explained *explained)
{
    for (size_t i = 0; i < explained->cause_count; i++)
        check_cause(sim, &explained->causes[i]);
    if (explained->id)
        check_job(sim, explained);
    else
        check_dispatcher(sim, explained);
}

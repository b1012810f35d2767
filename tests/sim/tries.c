/* SPDX-License-Identifier: MIT */
/* Rule 30 of checkers.c: what a try costs, and when the next one comes. What an attempt said is
 * known from the attempt itself, not from what its worker told. */
#include <string.h>

#include "broker/core/state.h"
#include "sim.h"

/* ---- the wall clock ---- */

void check_wall(struct sim *sim)
{
    struct checkers *checkers = &sim->checkers;
    size_t room = sizeof checkers->skews / sizeof *checkers->skews;
    size_t count = checkers->skew_count;
    if (count > 0 && checkers->skews[count - 1].skew_us == sim->wall_skew_us)
        return;
    if (count == room)
        sim_fail(sim, "too many jumps of the wall clock for one run");
    checkers->skews[checkers->skew_count++] =
        (struct check_skew){ .from_us = sim->now_us, .skew_us = sim->wall_skew_us };
}

/* What the broker's wall clock may have shown at some time since then: the least of that time, and
 * the most of now. */
struct span {
    int64_t least_us, most_us;
};

static struct span wall_since(const struct sim *sim, int64_t from_us)
{
    const struct checkers *checkers = &sim->checkers;
    int64_t unskewed_us = sim_wall_us(sim) - sim->wall_skew_us;
    int64_t least_us = sim->wall_skew_us, most_us = sim->wall_skew_us;
    for (size_t i = checkers->skew_count; i-- > 0;) {
        int64_t skew_us = checkers->skews[i].skew_us;
        least_us = skew_us < least_us ? skew_us : least_us;
        most_us = skew_us > most_us ? skew_us : most_us;
        if (checkers->skews[i].from_us <= from_us)
            break;
    }
    return (struct span){ .least_us = unskewed_us - (sim->now_us - from_us) + least_us,
                          .most_us = unskewed_us + most_us };
}

/* ---- what an attempt said ---- */

void check_tries_finish(struct sim *sim, const struct run *run)
{
    struct check_attempt *attempt = check_attempt_of(sim, run->attempt);
    attempt->outcome = check_outcome_of(run);
    attempt->asked_ms = run->end.retry_ms;
    attempt->ended_us = sim->now_us;
}

/* ---- what is on the disk ---- */

static bool kind_is(const struct berth_attempt_record *last, const char *kind)
{
    return slice_is_equal(last->error_kind, slice_of(kind));
}

/* It did not say how it ended. */
static bool is_lost(const struct berth_attempt_record *last)
{
    return kind_is(last, "lost") || kind_is(last, "crash");
}

/* As in docs: base x 2^(n-1), and never more than the maximum. */
static int64_t ceiling_ms(struct sim *sim, const struct check_job *job, uint32_t failures)
{
    const struct sim_rule *rule = check_rule_of(sim, job->dispatcher);
    bool is_remade = rule == &sim_rules[SIM_FLEETING]; /* with what is built in */
    int64_t base_ms = job->backoff_ms ? job->backoff_ms : BERTH_DEFAULT_BACKOFF_MS;
    int64_t most_ms = job->backoff_ms_max ? job->backoff_ms_max
                      : is_remade         ? BERTH_DEFAULT_BACKOFF_MS_MAX
                                          : SIM_BACKOFF_MS_MAX;
    for (uint32_t i = 1; i < failures && base_ms < most_ms; i++)
        base_ms *= 2;
    return base_ms < most_ms ? base_ms : most_ms;
}

/* 0: at once. */
static void check_backoff(struct sim *sim, const struct check_job *job,
                          const struct check_attempt *attempt,
                          const struct berth_retry_record *retry)
{
    struct span written = wall_since(sim, attempt->ended_us);
    int64_t most_us = ceiling_ms(sim, job, retry->failures) * MS;
    int64_t least_us = check_rule_of(sim, job->dispatcher)->is_without_jitter ? most_us : 0;
    if (attempt->outcome == AGENT_SNOOZED)
        least_us = most_us = attempt->asked_ms * MS;
    if (retry->run_at_us > written.most_us + most_us)
        sim_fail(sim, "job %llu is to run again in %.3f s, and that is to be in %.3f s at most",
                 (unsigned long long)retry->id, (double)(retry->run_at_us - written.most_us) / 1e6,
                 (double)most_us / 1e6);
    if (least_us && retry->run_at_us < written.least_us + least_us)
        sim_fail(sim, "job %llu is to run again %.3f s after its end, and not before %.3f s",
                 (unsigned long long)retry->id,
                 retry->run_at_us ? (double)(retry->run_at_us - written.least_us) / 1e6 : 0.0,
                 (double)least_us / 1e6);
}

/* Who is said to have run out of time has. */
static void check_kind(struct sim *sim, uint64_t id, const struct berth_attempt_record *last)
{
    bool is_timed_out = check_attempt_of(sim, last->id)->outcome == AGENT_TIMED_OUT;
    bool is_said = kind_is(last, "timeout");
    if (is_said && !is_timed_out)
        sim_fail(sim, "job %llu has run out of time, it is said, and attempt %llx did not",
                 (unsigned long long)id, (unsigned long long)last->id);
}

static void check_retry(struct sim *sim, const struct berth_retry_record *retry)
{
    struct check_job *job = check_job_of(sim, retry->id);
    const struct check_attempt *attempt = check_attempt_of(sim, retry->last.id);
    bool is_told = !is_lost(&retry->last);
    bool is_timed_out = attempt->outcome == AGENT_TIMED_OUT;
    bool has_failed = is_told && (attempt->outcome == AGENT_FAILED || is_timed_out);
    if (is_told && !attempt->outcome)
        sim_fail(sim, "job %llu is to run again after attempt %llx, which has not ended",
                 (unsigned long long)retry->id, (unsigned long long)retry->last.id);
    if (retry->failures != job->stored_failures + has_failed)
        sim_fail(sim, "job %llu has failed %u times, it is said, after %u and one more that %s",
                 (unsigned long long)retry->id, retry->failures, job->stored_failures,
                 has_failed ? "failed" : "did not fail");
    if (has_failed || (is_told && attempt->outcome == AGENT_SNOOZED))
        check_backoff(sim, job, attempt, retry);
    else if (retry->run_at_us)
        sim_fail(sim, "job %llu is to wait, and nothing of it failed",
                 (unsigned long long)retry->id);
    if (is_told && is_timed_out && !kind_is(&retry->last, "timeout"))
        sim_fail(sim, "attempt %llx of job %llu ran out of time, and that is not said (%.*s)",
                 (unsigned long long)retry->last.id, (unsigned long long)retry->id,
                 (int)retry->last.error_kind.bytes, (const char *)retry->last.error_kind.data);
    job->stored_failures = retry->failures;
}

void check_tries_stored(struct sim *sim, const struct berth_record *record)
{
    struct check_job *job;
    switch (record->type) {
    case BERTH_RECORD_JOB:
        job = check_job_of(sim, record->job.id);
        job->backoff_ms = record->job.backoff_ms;
        job->backoff_ms_max = record->job.backoff_ms_max;
        return;
    case BERTH_RECORD_RETRY:
        check_kind(sim, record->retry.id, &record->retry.last);
        check_retry(sim, &record->retry);
        return;
    case BERTH_RECORD_END: check_kind(sim, record->end.id, &record->end.last); return;
    case BERTH_RECORD_REVIVE: check_job_of(sim, record->revive.id)->stored_failures = 0; return;
    default: return;
    }
}

/* SPDX-License-Identifier: MIT */
/* Whether a job can be submitted as it is described, as far as that can be told without a broker.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "client/translate.h"
#include "proto/limits.h"

/* 0: the dispatcher's. */
static int check_duration(const char *what, int64_t ms, struct berth_error *err)
{
    if (ms >= 0 && ms <= BERTH_DURATION_MS_MAX)
        return 0;
    return berth_fail(err, BERTH_EVALUE, "%s %" PRId64 " is not within 0 (none) and %" PRId64, what,
                      ms, BERTH_DURATION_MS_MAX);
}

static int check_times(const struct berth_job_spec *spec, struct berth_error *err)
{
    int rc = check_duration("timeout_ms", spec->timeout_ms, err);
    if (rc == 0)
        rc = check_duration("delay_ms", spec->delay_ms, err);
    if (rc == 0)
        rc = check_duration("queue_timeout_ms", spec->queue_timeout_ms, err);
    if (rc == 0)
        rc = check_duration("deadline_ms", spec->deadline_ms, err);
    if (rc == 0)
        rc = check_duration("backoff_ms", spec->backoff_ms, err);
    if (rc == 0)
        rc = check_duration("backoff_ms_max", spec->backoff_ms_max, err);
    if (rc < 0)
        return rc;
    if (spec->run_at_unix_us < 0 || spec->run_at_unix_us > BERTH_TIME_US_MAX)
        return berth_fail(err, BERTH_EVALUE,
                          "run_at_unix_us %" PRId64 " is not within 0 (none) and %" PRId64,
                          spec->run_at_unix_us, BERTH_TIME_US_MAX);
    if (spec->delay_ms && spec->run_at_unix_us)
        return berth_fail(err, BERTH_EVALUE,
                          "delay_ms %" PRId64 " and run_at_unix_us %" PRId64
                          ": a job has one of the two",
                          spec->delay_ms, spec->run_at_unix_us);
    if (spec->backoff_ms_max && spec->backoff_ms > spec->backoff_ms_max)
        return berth_fail(err, BERTH_EVALUE,
                          "backoff_ms %" PRId64 " is more than backoff_ms_max %" PRId64,
                          spec->backoff_ms, spec->backoff_ms_max);
    return 0;
}

static int check_relations(const struct berth_job_spec *spec, struct berth_error *err)
{
    int rc = spec->group ? berth_key_check("group", berth_slice_of(spec->group), err) : 0;
    if (rc == 0 && spec->unique)
        rc = berth_key_check("unique", berth_slice_of(spec->unique), err);
    if (rc < 0)
        return rc;
    if (spec->on_conflict != BERTH_UNIQUE_REJECT && spec->on_conflict != BERTH_UNIQUE_EXISTING)
        return berth_fail(err, BERTH_EVALUE, "on_conflict %d is neither reject nor existing",
                          (int)spec->on_conflict);
    if (spec->on_conflict && !spec->unique)
        return berth_fail(err, BERTH_EVALUE, "on_conflict is for a job with a unique key");
    if (spec->after_count > BERTH_JOB_AFTER_MAX)
        return berth_fail(err, BERTH_EVALUE, "after has %zu ids, allowed is %d", spec->after_count,
                          BERTH_JOB_AFTER_MAX);
    for (size_t i = 0; i < spec->after_count; i++)
        if (spec->after[i].v == 0 || spec->after[i].v > BERTH_JOB_ID_MAX)
            return berth_fail(err, BERTH_EVALUE, "after: id %" PRIu64 " is not within 1 and 2^53-1",
                              spec->after[i].v);
    return 0;
}

static int check_options(const struct berth_job_spec *spec, struct berth_error *err)
{
    if (spec->priority < BERTH_PRIORITY_MIN || spec->priority > BERTH_PRIORITY_MAX)
        return berth_fail(err, BERTH_EVALUE, "priority %" PRId32 " is not within %d to %d",
                          spec->priority, BERTH_PRIORITY_MIN, BERTH_PRIORITY_MAX);
    if (spec->max_attempts > BERTH_MAX_ATTEMPTS_MAX)
        return berth_fail(err, BERTH_EVALUE, "max_attempts %" PRIu32 " is more than %d",
                          spec->max_attempts, BERTH_MAX_ATTEMPTS_MAX);
    if (spec->has_array_index && spec->array_index > BERTH_JOB_ID_MAX) /* as large as in JSON */
        return berth_fail(err, BERTH_EVALUE, "array_index %" PRIu64 " is not within 0 and %" PRIu64,
                          spec->array_index, BERTH_JOB_ID_MAX);
    for (size_t i = 0; i < sizeof spec->reserved / sizeof spec->reserved[0]; i++)
        if (spec->reserved[i] != 0)
            return berth_fail(err, BERTH_EVALUE, "reserved members of a job must be zero");
    int rc = check_times(spec, err);
    return rc < 0 ? rc : check_relations(spec, err);
}

int berth_spec_check(const struct berth_job_spec *spec, struct berth_error *err)
{
    int rc = 0;
    if (spec->dispatcher)
        rc = berth_name_check("dispatcher", spec->dispatcher, err);
    if (rc == 0 && spec->handler)
        rc = berth_name_check("handler", spec->handler, err);
    if (rc == 0 && !spec->handler == !spec->command)
        rc = berth_fail(err, BERTH_EVALUE, "a job has either a handler or a command");
    if (rc == 0 && spec->handler && strcmp(spec->handler, "exec") == 0)
        rc = berth_fail(err, BERTH_EVALUE,
                        "handler: 'exec' is how commands run; allowed is another name, or a "
                        "command without a handler");
    if (rc == 0 && spec->idempotency_key)
        rc = berth_key_check("key", berth_slice_of(spec->idempotency_key), err);
    if (rc == 0 && spec->payload.bytes > BERTH_PAYLOAD_BYTES_MAX)
        rc = berth_fail(err, -EMSGSIZE, "the payload has %zu bytes, allowed is %u",
                        spec->payload.bytes, BERTH_PAYLOAD_BYTES_MAX);
    return rc < 0 ? rc : check_options(spec, err);
}

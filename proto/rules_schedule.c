/* SPDX-License-Identifier: MIT
 *
 * The fields of schedule.proto.
 */
#include <inttypes.h>

#include <berth/v1/envelope.pb-c.h>

#include "proto/rules.h"

#define NAME(number_, presence_)                                                                   \
    RULE(number_, name, NAME, .presence = (presence_), .max = BERTH_NAME_BYTES_MAX)

static const struct berth_rule schedule_set_rules[] = {
    NAME(1, RULE_NEEDED),
    RULE(2, cron, TEXT, .max = BERTH_CRON_BYTES_MAX),
    RULE(3, tz, TEXT, .max = BERTH_ZONE_NAME_BYTES_MAX),
    RULE(4, overlap, NUMBER, .max = 1),
    RULE(5, catch_up, NUMBER, .max = 2),
    RULE(6, job, PART, .thing = "job", .inside = &berth_rules_child_jobs),
    RULE(7, changed_by, TEXT, .max = BERTH_CHANGED_BY_MAX),
};

/* What a job that recurs cannot have. */
static int recurring_check(struct berth_checker *checker, const Berth__V1__Submit *job)
{
    if (job->n_body_bytes != 1)
        return RULE_FAIL(checker, "job", BERTH_EPROTO, "job has %zu jobs: allowed is 1",
                         job->n_body_bytes);
    if (job->n_run_at_us && job->run_at_us[0])
        return RULE_FAIL(checker, "run_at_us", BERTH_EPROTO,
                         "run_at_us %" PRIu64 ": a job that recurs has its instants",
                         job->run_at_us[0]);
    if (job->n_after)
        return RULE_FAIL(checker, "after", BERTH_EPROTO,
                         "after has %zu ids: a job that recurs waits for none", job->n_after);
    return 0;
}

static int schedule_set_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__ScheduleSet *set = (const Berth__V1__ScheduleSet *)message;
    return set->job ? recurring_check(checker, set->job) : 0;
}
const struct berth_rules berth_rules_schedule_set =
    RULES(berth__v1__schedule_set__descriptor, schedule_set_rules, .check = schedule_set_check);

static const struct berth_rule schedule_pause_rules[] = {
    NAME(1, RULE_NEEDED),
    RULE(2, is_paused, ANY),
    RULE(3, changed_by, TEXT, .max = BERTH_CHANGED_BY_MAX),
};
const struct berth_rules berth_rules_schedule_pause =
    RULES(berth__v1__schedule_pause__descriptor, schedule_pause_rules);

static const struct berth_rule schedule_remove_rules[] = { NAME(1, RULE_NEEDED) };
const struct berth_rules berth_rules_schedule_remove =
    RULES(berth__v1__schedule_remove__descriptor, schedule_remove_rules);

static const struct berth_rule schedule_list_rules[] = {
    NAME(1, RULE_UNLESS_0),
    RULE(2, after, ANY),
};
const struct berth_rules berth_rules_schedule_list =
    RULES(berth__v1__schedule_list__descriptor, schedule_list_rules);

static const struct berth_rule schedule_rules[] = {
    RULE(1, id, NUMBER, .min = 1, .max = UINT32_MAX),
    NAME(2, RULE_NEEDED),
    RULE(3, cron, TEXT, .max = BERTH_CRON_BYTES_MAX),
    RULE(4, tz, TEXT, .max = BERTH_ZONE_NAME_BYTES_MAX),
    RULE(5, overlap, NUMBER, .max = 1),
    RULE(6, catch_up, NUMBER, .max = 2),
    RULE(7, is_paused, ANY),
    RULE(8, dispatcher, NAME, .max = BERTH_NAME_BYTES_MAX),
    RULE(9, handler, NAME, .max = BERTH_NAME_BYTES_MAX),
    RULE(10, priority, NUMBER, .min = BERTH_PRIORITY_MIN, .max = BERTH_PRIORITY_MAX),
    RULE(11, delay_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(12, max_attempts, NUMBER, .max = BERTH_MAX_ATTEMPTS_MAX),
    RULE(13, timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(14, queue_timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(15, deadline_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(16, backoff_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(17, backoff_max_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(18, group, KEY, .presence = RULE_UNLESS_0),
    RULE(19, unique, KEY, .presence = RULE_UNLESS_0),
    RULE(20, on_conflict, NUMBER, .max = 1),
    RULE(21, body, BYTES, .max = BERTH_BODY_BYTES_MAX),
    RULE(22, next_us, ANY),
    RULE(23, last_us, ANY),
    RULE(24, last_fate, NUMBER, .max = 3),
    RULE(25, last_job, NUMBER, .max = BERTH_JOB_ID_MAX),
    RULE(26, last_text, BYTES, .max = BERTH_SENTENCE_BYTES_MAX),
    RULE(27, changed_us, ANY),
    RULE(28, changed_by, TEXT, .max = BERTH_CHANGED_BY_MAX),
};
static const struct berth_rules rules_schedule =
    RULES(berth__v1__schedule__descriptor, schedule_rules);

static const struct berth_rule schedules_rules[] = {
    RULE(1, schedule, ROWS, .inside = &rules_schedule, .thing = "schedule",
         .count_max = BERTH_SCHEDULES_ANSWER_MAX),
    RULE(2, next, ANY),
};
const struct berth_rules berth_rules_schedules =
    RULES(berth__v1__schedules__descriptor, schedules_rules);

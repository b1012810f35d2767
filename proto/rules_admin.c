/* SPDX-License-Identifier: MIT
 *
 * The fields of admin.proto.
 */
#include <inttypes.h>

#include <berth/v1/envelope.pb-c.h>

#include "proto/rules.h"

#define NAME(number_, presence_)                                                                   \
    RULE(number_, name, NAME, .presence = (presence_), .max = BERTH_NAME_BYTES_MAX)

static const struct berth_rule dispatcher_set_rules[] = {
    NAME(1, RULE_NEEDED),
    RULE(2, limit_kind, NUMBER, .presence = RULE_IF_SET, .min = BERTH__V1__LIMIT_KIND__LIMIT_NUMBER,
         .max = BERTH__V1__LIMIT_KIND__LIMIT_MAX_CORES),
    RULE(3, limit_value, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(4, max_attempts, NUMBER, .presence = RULE_IF_SET, .min = 1, .max = BERTH_MAX_ATTEMPTS_MAX),
    RULE(5, backoff_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(6, backoff_max_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(7, timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(8, grace_ms, NUMBER, .max = BERTH_GRACE_MS_MAX),
    RULE(9, parent, NAME, .presence = RULE_UNLESS_0, .max = BERTH_NAME_BYTES_MAX),
    RULE(10, weight, NUMBER, .presence = RULE_IF_SET, .min = 1, .max = BERTH_WEIGHT_MAX),
    RULE(11, group_limit, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(12, rate_count, NUMBER, .max = BERTH_RATE_COUNT_MAX),
    RULE(13, rate_ms, NUMBER, .max = BERTH_RATE_MS_MAX),
    RULE(14, burst, NUMBER, .max = BERTH_BURST_MAX),
    RULE(15, max_queued, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(16, hold, NUMBER, .max = 1),
    RULE(17, on_lost, NUMBER, .max = 1),
    RULE(18, no_jitter, ANY),
    RULE(19, queue_timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(20, deadline_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(21, retention_ms, NUMBER, .presence = RULE_IF_SET, .min = 1, .max = BERTH_DURATION_MS_MAX),
    RULE(22, retention_count, NUMBER, .max = BERTH_RETENTION_MAX),
    RULE(23, changed_by, TEXT, .max = BERTH_CHANGED_BY_MAX),
};

static int rate_check(struct berth_checker *checker, const Berth__V1__DispatcherSet *set)
{
    if (set->has_rate_count != set->has_rate_ms)
        return RULE_FAIL(checker, set->has_rate_ms ? "rate_count" : "rate_ms", BERTH_EPROTO,
                         "rate_count and rate_ms: only both together are allowed");
    if (berth_rate_is_valid(set->rate_count, (int64_t)set->rate_ms))
        return 0;
    return RULE_FAIL(checker, "rate_ms", BERTH_EPROTO,
                     "rate_ms %" PRIu64 " beside rate_count %" PRIu32
                     ": allowed is 1000, 60000, 3600000 or 86400000, or 0 for both",
                     set->rate_ms, set->rate_count);
}

static int limit_check(struct berth_checker *checker, const Berth__V1__DispatcherSet *set)
{
    bool has_value = set->limit_kind == BERTH__V1__LIMIT_KIND__LIMIT_NUMBER ||
                     set->limit_kind == BERTH__V1__LIMIT_KIND__LIMIT_MAX_CORES;
    if (!set->has_limit_kind && set->has_limit_value)
        return RULE_FAIL(checker, "limit_kind", BERTH_EPROTO,
                         "limit_kind is missing beside limit_value %" PRIu32, set->limit_value);
    if (set->has_limit_kind && has_value && !set->has_limit_value)
        return RULE_FAIL(checker, "limit_value", BERTH_EPROTO,
                         "limit_value is missing: allowed is 0 to %d", BERTH_LIMIT_VALUE_MAX);
    if (set->has_limit_kind && !has_value && set->limit_value != 0)
        return RULE_FAIL(checker, "limit_value", BERTH_EPROTO,
                         "limit_value %" PRIu32 ": a limit of this kind has none",
                         set->limit_value);
    return 0;
}

static int dispatcher_set_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__DispatcherSet *set = (const Berth__V1__DispatcherSet *)message;
    if (set->has_backoff_ms && set->has_backoff_max_ms && set->backoff_ms > set->backoff_max_ms)
        return RULE_FAIL(checker, "backoff_ms", BERTH_EPROTO,
                         "backoff_ms %" PRIu64 ": allowed is 0 to backoff_max_ms, %" PRIu64,
                         set->backoff_ms, set->backoff_max_ms);
    int rc = rate_check(checker, set);
    return rc < 0 ? rc : limit_check(checker, set);
}
const struct berth_rules berth_rules_dispatcher_set = RULES(
    berth__v1__dispatcher_set__descriptor, dispatcher_set_rules, .check = dispatcher_set_check);

static const struct berth_rule dispatcher_pause_rules[] = {
    NAME(1, RULE_NEEDED),
    RULE(2, is_paused, ANY),
    RULE(3, changed_by, TEXT, .max = BERTH_CHANGED_BY_MAX),
};
const struct berth_rules berth_rules_dispatcher_pause =
    RULES(berth__v1__dispatcher_pause__descriptor, dispatcher_pause_rules);

static const struct berth_rule dispatcher_get_rules[] = { NAME(1, RULE_UNLESS_0) };
const struct berth_rules berth_rules_dispatcher_get =
    RULES(berth__v1__dispatcher_get__descriptor, dispatcher_get_rules);

static const struct berth_rule dispatcher_rules[] = {
    NAME(1, RULE_NEEDED),
    RULE(2, limit_kind, NUMBER, .min = BERTH__V1__LIMIT_KIND__LIMIT_NUMBER,
         .max = BERTH__V1__LIMIT_KIND__LIMIT_MAX_CORES),
    RULE(3, limit_value, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(4, effective_limit, ANY),
    RULE(5, parent, NAME, .presence = RULE_UNLESS_0, .max = BERTH_NAME_BYTES_MAX),
    RULE(6, is_paused, ANY),
    RULE(7, running, ANY),
    RULE(8, ready, ANY),
    RULE(9, scheduled, ANY),
    RULE(10, retrying, ANY),
    RULE(11, dead, ANY),
    RULE(12, completed_total, ANY),
    RULE(13, oldest_ready_us, ANY),
    RULE(14, max_attempts, NUMBER, .min = 1, .max = BERTH_MAX_ATTEMPTS_MAX),
    RULE(15, backoff_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(16, backoff_max_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(17, timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(18, grace_ms, NUMBER, .max = BERTH_GRACE_MS_MAX),
    RULE(19, weight, NUMBER, .presence = RULE_UNLESS_0, .min = 1, .max = BERTH_WEIGHT_MAX),
    RULE(20, group_limit, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(21, rate_count, NUMBER, .max = BERTH_RATE_COUNT_MAX),
    RULE(22, rate_ms, NUMBER, .max = BERTH_RATE_MS_MAX),
    RULE(23, burst, NUMBER, .max = BERTH_BURST_MAX),
    RULE(24, max_queued, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(25, hold, NUMBER, .max = 1),
    RULE(26, on_lost, NUMBER, .max = 1),
    RULE(27, no_jitter, ANY),
    RULE(28, queue_timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(29, deadline_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(30, retention_ms, NUMBER, .presence = RULE_UNLESS_0, .min = 1,
         .max = BERTH_DURATION_MS_MAX),
    RULE(31, retention_count, NUMBER, .max = BERTH_RETENTION_MAX),
    RULE(32, changed_us, ANY),
    RULE(33, changed_by, TEXT, .max = BERTH_CHANGED_BY_MAX),
    RULE(34, remark, TEXT, .max = BERTH_SENTENCE_BYTES_MAX),
};
static const struct berth_rules rules_dispatcher =
    RULES(berth__v1__dispatcher__descriptor, dispatcher_rules);

static const struct berth_rule dispatchers_rules[] = {
    RULE(1, dispatcher, ROWS, .inside = &rules_dispatcher, .thing = "dispatcher",
         .count_max = BERTH_DISPATCHERS_MAX),
};
const struct berth_rules berth_rules_dispatchers =
    RULES(berth__v1__dispatchers__descriptor, dispatchers_rules);

const struct berth_rules berth_rules_worker_list = { .descriptor =
                                                         &berth__v1__worker_list__descriptor };

static const struct berth_rule worker_rules[] = {
    RULE(1, session, NUMBER, .min = BERTH_FENCED_ID_MIN, .max = UINT64_MAX),
    NAME(2, RULE_NEEDED),
    RULE(3, state, BYTES, .max = BERTH_NAME_BYTES_MAX),
    RULE(4, capacity, NUMBER, .max = BERTH_CAPACITY_MAX),
    RULE(5, running, ANY),
    RULE(6, cores, NUMBER, .max = BERTH_CORES_MAX),
    RULE(7, handlers, NAMES, .max = BERTH_NAME_BYTES_MAX, .count_max = BERTH_WORKER_SHOWN_MAX),
    RULE(8, software, TEXT, .max = BERTH_SOFTWARE_BYTES_MAX),
    RULE(9, silent_ms, ANY),
    RULE(10, lease_left_ms, ANY),
    RULE(11, held, ANY),
    RULE(12, suspended, ANY),
};
static const struct berth_rules rules_worker = RULES(berth__v1__worker__descriptor, worker_rules);

static const struct berth_rule workers_rules[] = {
    RULE(1, worker, ROWS, .inside = &rules_worker, .thing = "worker",
         .count_max = BERTH_WORKERS_MAX),
};
const struct berth_rules berth_rules_workers = RULES(berth__v1__workers__descriptor, workers_rules);

static const struct berth_rule dispatcher_purge_rules[] = {
    NAME(1, RULE_NEEDED),
    RULE(2, below, NUMBER, .max = BERTH_JOB_ID_MAX + 1),
    RULE(3, cursor, ANY),
};
const struct berth_rules berth_rules_dispatcher_purge =
    RULES(berth__v1__dispatcher_purge__descriptor, dispatcher_purge_rules);

static const struct berth_rule dispatcher_purged_rules[] = {
    RULE(1, count, ANY),
    RULE(2, below, NUMBER, .max = BERTH_JOB_ID_MAX + 1),
    RULE(3, cursor, ANY),
};
const struct berth_rules berth_rules_dispatcher_purged =
    RULES(berth__v1__dispatcher_purged__descriptor, dispatcher_purged_rules);

static const struct berth_rule dispatcher_remove_rules[] = { NAME(1, RULE_NEEDED) };
const struct berth_rules berth_rules_dispatcher_remove =
    RULES(berth__v1__dispatcher_remove__descriptor, dispatcher_remove_rules);

const struct berth_rules berth_rules_dispatcher_removed = {
    .descriptor = &berth__v1__dispatcher_removed__descriptor
};

static const struct berth_rule worker_declare_gone_rules[] = { NAME(1, RULE_NEEDED) };
const struct berth_rules berth_rules_worker_declare_gone =
    RULES(berth__v1__worker_declare_gone__descriptor, worker_declare_gone_rules);

const struct berth_rules berth_rules_broker_status_get = {
    .descriptor = &berth__v1__broker_status_get__descriptor
};

static const struct berth_rule broker_status_rules[] = {
    RULE(1, software, TEXT, .max = BERTH_SOFTWARE_BYTES_MAX),
    RULE(2, epoch, NUMBER, .min = 1, .max = BERTH_EPOCH_MAX),
    RULE(3, uptime_ms, ANY),
    RULE(4, recovering, ANY),
    RULE(5, recovery_left_ms, ANY),
    RULE(6, scheduled, ANY),
    RULE(7, ready, ANY),
    RULE(8, running, ANY),
    RULE(9, cancelling, ANY),
    RULE(10, retrying, ANY),
    RULE(11, completed, ANY),
    RULE(12, dead, ANY),
    RULE(13, cancelled, ANY),
    RULE(14, wal_bytes, ANY),
    RULE(15, stale_reports, ANY),
    RULE(16, workers, ANY),
    RULE(17, suspended, ANY),
};
const struct berth_rules berth_rules_broker_status =
    RULES(berth__v1__broker_status__descriptor, broker_status_rules);

/* SPDX-License-Identifier: MIT
 *
 * The fields of job.proto, and Error.
 */
#include <inttypes.h>

#include <berth/v1/envelope.pb-c.h>

#include "proto/columns.h"
#include "proto/rules.h"

#define JOB_IDS(number_, count_min_)                                                               \
    RULE(number_, id, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX, .leader = (number_),              \
         .thing = "job", .count_min = (count_min_), .count_max = BERTH_IDS_MAX)

static const struct berth_rule error_rules[] = {
    RULE(1, code, NUMBER, .min = 1, .max = INT32_MAX), /* newer ones are told apart later */
    RULE(2, field, BYTES, .max = BERTH_SENTENCE_BYTES_MAX),
    RULE(3, message, BYTES, .max = BERTH_SENTENCE_BYTES_MAX),
    RULE(4, version_min, ANY),
    RULE(5, version_max, ANY),
    RULE(6, retry_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
};
const struct berth_rules berth_rules_error = RULES(berth__v1__error__descriptor, error_rules);

static const struct berth_rule client_hello_rules[] = {
    RULE(1, client, ID),
    RULE(2, software, TEXT, .max = BERTH_SOFTWARE_BYTES_MAX),
};
const struct berth_rules berth_rules_client_hello =
    RULES(berth__v1__client_hello__descriptor, client_hello_rules);

static const struct berth_rule client_welcome_rules[] = {
    RULE(1, epoch, NUMBER, .min = 1, .max = BERTH_EPOCH_MAX),
    RULE(2, software, TEXT, .max = BERTH_SOFTWARE_BYTES_MAX),
    RULE(3, frame_bytes_max, NUMBER, .min = 1, .max = UINT32_MAX),
    RULE(4, jobs_max, NUMBER, .min = 1, .max = UINT32_MAX),
    RULE(5, body_bytes_max, NUMBER, .min = 1, .max = UINT32_MAX),
};
const struct berth_rules berth_rules_client_welcome =
    RULES(berth__v1__client_welcome__descriptor, client_welcome_rules);

enum { SUBMIT_BODY_BYTES = 12 }; /* the column that says how many jobs there are */

static const struct berth_rule submit_rules[] = {
    RULE(1, client, ID, .presence = RULE_UNLESS_0), /* needed, or not allowed: see the checks */
    RULE(2, dispatchers, NAMES, .max = BERTH_NAME_BYTES_MAX, .count_max = BERTH_NAMES_MAX),
    RULE(3, handlers, NAMES, .max = BERTH_NAME_BYTES_MAX, .count_max = BERTH_NAMES_MAX),
    RULE(4, dispatcher, INDEX, .leader = SUBMIT_BODY_BYTES, .of = 2),
    RULE(5, handler, INDEX, .leader = SUBMIT_BODY_BYTES, .of = 3),
    RULE(6, priority, NUMBER, .min = BERTH_PRIORITY_MIN, .max = BERTH_PRIORITY_MAX,
         .leader = SUBMIT_BODY_BYTES),
    RULE(7, delay_ms, NUMBER, .max = BERTH_DURATION_MS_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(8, max_attempts, NUMBER, .max = BERTH_MAX_ATTEMPTS_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(9, timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(10, key_bytes, LENGTHS, .max = BERTH_KEY_BYTES_MAX, .leader = SUBMIT_BODY_BYTES, .of = 11),
    RULE(11, keys, BLOB),
    RULE(12, body_bytes, LENGTHS, .max = BERTH_BODY_BYTES_MAX, .leader = SUBMIT_BODY_BYTES,
         .of = 13, .thing = "job", .count_min = 1, .count_max = BERTH_SUBMIT_JOBS_MAX),
    RULE(13, bodies, BLOB),
    RULE(14, group_bytes, LENGTHS, .max = BERTH_KEY_BYTES_MAX, .leader = SUBMIT_BODY_BYTES,
         .of = 15),
    RULE(15, groups, BLOB),
    RULE(16, run_at_us, NUMBER, .max = BERTH_TIME_US_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(17, queue_timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(18, deadline_ms, NUMBER, .max = BERTH_DURATION_MS_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(19, backoff_ms, NUMBER, .max = BERTH_DURATION_MS_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(20, backoff_max_ms, NUMBER, .max = BERTH_DURATION_MS_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(21, unique_bytes, LENGTHS, .max = BERTH_KEY_BYTES_MAX, .leader = SUBMIT_BODY_BYTES,
         .of = 22),
    RULE(22, uniques, BLOB),
    RULE(23, on_conflict, NUMBER, .max = 1, .leader = SUBMIT_BODY_BYTES),
    RULE(24, after_count, NUMBER, .max = BERTH_JOB_AFTER_MAX, .leader = SUBMIT_BODY_BYTES),
    RULE(25, after, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX, .leader = 25, .thing = "id",
         .count_max = BERTH_SUBMIT_AFTER_MAX),
};

/* Each is UTF-8: idempotency keys, groups, unique keys. */
static int keys_check(struct berth_checker *checker, const char *field, const uint32_t *lengths,
                      size_t count, ProtobufCBinaryData bytes)
{
    struct berth_spans keys = berth_spans_of(lengths, count, bytes);
    for (size_t i = 0; i < count; i++)
        if (!berth_utf8_is_valid(berth_spans_next(&keys)))
            return RULE_FAIL(checker, field, BERTH_EPROTO, "%s: that of job %zu is not valid UTF-8",
                             field, i);
    return 0;
}

/* What two columns of one job say together. */
static int submit_job_check(struct berth_checker *checker, const Berth__V1__Submit *submit,
                            size_t i)
{
    uint64_t delay_ms = berth_column_u64(submit->delay_ms, submit->n_delay_ms, i);
    uint64_t run_at_us = berth_column_u64(submit->run_at_us, submit->n_run_at_us, i);
    uint64_t backoff_ms = berth_column_u64(submit->backoff_ms, submit->n_backoff_ms, i);
    uint64_t backoff_max_ms = berth_column_u64(submit->backoff_max_ms, submit->n_backoff_max_ms, i);
    if (delay_ms && run_at_us)
        return RULE_FAIL(checker, "run_at_us", BERTH_EPROTO,
                         "run_at_us %" PRIu64 " of job %zu: only one of this and delay_ms, which is"
                         " %" PRIu64 ", is allowed",
                         run_at_us, i, delay_ms);
    if (backoff_max_ms && backoff_ms > backoff_max_ms)
        return RULE_FAIL(checker, "backoff_ms", BERTH_EPROTO,
                         "backoff_ms %" PRIu64
                         " of job %zu: allowed is 0 to backoff_max_ms, %" PRIu64,
                         backoff_ms, i, backoff_max_ms);
    if (berth_column_u32(submit->on_conflict, submit->n_on_conflict, i) &&
        !berth_column_u32(submit->unique_bytes, submit->n_unique_bytes, i))
        return RULE_FAIL(checker, "on_conflict", BERTH_EPROTO,
                         "on_conflict 1 of job %zu: without a unique key only 0 is allowed", i);
    return 0;
}

static int after_check(struct berth_checker *checker, const Berth__V1__Submit *submit)
{
    size_t sum = 0;
    for (size_t i = 0; i < submit->n_after_count; i++)
        sum += submit->after_count[i];
    if (sum == submit->n_after)
        return 0;
    return RULE_FAIL(checker, "after", BERTH_EPROTO,
                     "after has %zu ids, but after_count adds up to %zu", submit->n_after, sum);
}

static int jobs_check(struct berth_checker *checker, const Berth__V1__Submit *submit)
{
    int rc = keys_check(checker, "keys", submit->key_bytes, submit->n_key_bytes, submit->keys);
    if (rc == 0)
        rc = keys_check(checker, "groups", submit->group_bytes, submit->n_group_bytes,
                        submit->groups);
    if (rc == 0)
        rc = keys_check(checker, "uniques", submit->unique_bytes, submit->n_unique_bytes,
                        submit->uniques);
    if (rc == 0)
        rc = after_check(checker, submit);
    bool has_pairs = submit->n_run_at_us || submit->n_backoff_ms || submit->n_on_conflict;
    for (size_t i = 0; rc == 0 && has_pairs && i < submit->n_body_bytes; i++)
        rc = submit_job_check(checker, submit, i);
    return rc;
}

static int submit_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__Submit *submit = (const Berth__V1__Submit *)message;
    if (!submit->has_client || submit->client.len == 0)
        return RULE_FAIL(checker, "client", BERTH_EPROTO,
                         "client has 0 bytes; exactly %u are allowed", BERTH_ID_BYTES);
    return jobs_check(checker, submit);
}
const struct berth_rules berth_rules_submit =
    RULES(berth__v1__submit__descriptor, submit_rules, .check = submit_check);

/* The parent's job and an ordinal are the key of a child; that of a schedule's job is its instant.
 */
static int child_jobs_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__Submit *submit = (const Berth__V1__Submit *)message;
    if (submit->has_client && submit->client.len > 0)
        return RULE_FAIL(checker, "client", BERTH_EPROTO,
                         "client has %zu bytes; for a child or a schedule 0 are allowed",
                         submit->client.len);
    if (submit->has_keys && submit->keys.len > 0)
        return RULE_FAIL(checker, "keys", BERTH_EPROTO,
                         "keys has %zu bytes; for a child or a schedule 0 are allowed",
                         submit->keys.len);
    return jobs_check(checker, submit);
}
const struct berth_rules berth_rules_child_jobs =
    RULES(berth__v1__submit__descriptor, submit_rules, .check = child_jobs_check);

static const struct berth_rule submitted_rules[] = {
    RULE(1, id, NUMBER, .min = 0, .max = BERTH_JOB_ID_MAX, .leader = 1, .thing = "job",
         .count_min = 1, .count_max = BERTH_SUBMIT_JOBS_MAX),
    RULE(2, is_existing, NUMBER, .max = 1, .leader = 1),
    RULE(3, refused, NUMBER, .max = BERTH_SUBMIT_JOBS_MAX - 1, .leader = 3, .thing = "refusal",
         .count_max = BERTH_SUBMIT_JOBS_MAX),
    RULE(4, refused_code, NUMBER, .min = 1, .max = INT32_MAX, .leader = 3),
    RULE(5, refused_field, LIST, .max = BERTH_SENTENCE_BYTES_MAX, .leader = 3),
    RULE(6, refused_message, LIST, .max = BERTH_SENTENCE_BYTES_MAX, .leader = 3),
};

/* Each job has an id or stands among the refused, never both. */
static int submitted_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__Submitted *submitted = (const Berth__V1__Submitted *)message;
    size_t refused = 0;
    for (size_t i = 0; i < submitted->n_id; i++) {
        bool is_listed = refused < submitted->n_refused && submitted->refused[refused] == i;
        if (is_listed != (submitted->id[i] == 0))
            return RULE_FAIL(checker, "refused", BERTH_EPROTO,
                             "refused: job %zu has %s id and stands %samong the refused", i,
                             is_listed ? "an" : "no", is_listed ? "" : "not ");
        refused += is_listed;
    }
    if (refused != submitted->n_refused)
        return RULE_FAIL(checker, "refused", BERTH_EPROTO,
                         "refused %u: allowed are the jobs 0 to %zu, in ascending order",
                         submitted->refused[refused], submitted->n_id - 1);
    return 0;
}
const struct berth_rules berth_rules_submitted =
    RULES(berth__v1__submitted__descriptor, submitted_rules, .check = submitted_check);

static const struct berth_rule job_wait_rules[] = { JOB_IDS(1, 1) };
const struct berth_rules berth_rules_job_wait =
    RULES(berth__v1__job_wait__descriptor, job_wait_rules);

static const struct berth_rule job_waited_rules[] = {
    JOB_IDS(1, 0),
    RULE(2, state, NUMBER, .min = BERTH__V1__JOB_STATE__JOB_STATE_COMPLETED,
         .max = BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED, .leader = 1),
    RULE(3, unknown, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX, .leader = 3, .thing = "job",
         .count_max = BERTH_IDS_MAX),
    RULE(4, pending, NUMBER, .max = BERTH_IDS_MAX),
};
const struct berth_rules berth_rules_job_waited =
    RULES(berth__v1__job_waited__descriptor, job_waited_rules);

static const struct berth_rule job_cancel_rules[] = { JOB_IDS(1, 1), RULE(2, is_forced, ANY) };
const struct berth_rules berth_rules_job_cancel =
    RULES(berth__v1__job_cancel__descriptor, job_cancel_rules);

static const struct berth_rule job_cancelled_rules[] = {
    JOB_IDS(1, 1),
    RULE(2, code, NUMBER, .max = INT32_MAX, .leader = 1),
    RULE(3, state, NUMBER, .max = BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED, .leader = 1),
};
const struct berth_rules berth_rules_job_cancelled =
    RULES(berth__v1__job_cancelled__descriptor, job_cancelled_rules);

static const struct berth_rule job_retry_rules[] = { JOB_IDS(1, 1) };
const struct berth_rules berth_rules_job_retry =
    RULES(berth__v1__job_retry__descriptor, job_retry_rules);

static const struct berth_rule job_discard_rules[] = { JOB_IDS(1, 1) };
const struct berth_rules berth_rules_job_discard =
    RULES(berth__v1__job_discard__descriptor, job_discard_rules);

static const struct berth_rule job_changed_rules[] = {
    JOB_IDS(1, 1),
    RULE(2, code, NUMBER, .max = INT32_MAX, .leader = 1),
    RULE(3, state, NUMBER, .max = BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED, .leader = 1),
    RULE(4, other, NUMBER, .max = BERTH_JOB_ID_MAX, .leader = 1),
};
const struct berth_rules berth_rules_job_changed =
    RULES(berth__v1__job_changed__descriptor, job_changed_rules);

static const struct berth_rule job_get_rules[] = { JOB_IDS(1, 1) };
const struct berth_rules berth_rules_job_get = RULES(berth__v1__job_get__descriptor, job_get_rules);

static const struct berth_rule job_list_rules[] = {
    RULE(1, dispatcher, NAME, .presence = RULE_UNLESS_0, .max = BERTH_NAME_BYTES_MAX),
    RULE(2, state, NUMBER, .max = BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED),
    RULE(3, after, NUMBER, .max = BERTH_JOB_ID_MAX),
    RULE(4, newest_first, ANY),
    RULE(5, count_max, NUMBER, .max = BERTH_JOBS_ANSWER_MAX),
    RULE(6, with_bodies, ANY),
};
const struct berth_rules berth_rules_job_list =
    RULES(berth__v1__job_list__descriptor, job_list_rules);

static const struct berth_rule job_rules[] = {
    RULE(1, id, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX),
    RULE(2, dispatcher, NAME, .max = BERTH_NAME_BYTES_MAX),
    RULE(3, handler, NAME, .max = BERTH_NAME_BYTES_MAX),
    RULE(4, state, NUMBER, .min = BERTH__V1__JOB_STATE__JOB_STATE_SCHEDULED,
         .max = BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED),
    RULE(5, reason, BYTES, .max = BERTH_SENTENCE_BYTES_MAX),
    RULE(6, attempt, ANY),
    RULE(7, max_attempts, NUMBER, .max = BERTH_MAX_ATTEMPTS_MAX),
    RULE(8, priority, NUMBER, .min = BERTH_PRIORITY_MIN, .max = BERTH_PRIORITY_MAX),
    RULE(9, key, KEY, .presence = RULE_UNLESS_0),
    RULE(10, group, KEY, .presence = RULE_UNLESS_0),
    RULE(11, parent, NUMBER, .max = BERTH_JOB_ID_MAX),
    RULE(12, submitted_us, ANY),
    RULE(13, run_at_us, ANY),
    RULE(14, started_us, ANY),
    RULE(15, finished_us, ANY),
    RULE(16, worker, NAME, .presence = RULE_UNLESS_0, .max = BERTH_NAME_BYTES_MAX),
    RULE(17, body, BYTES, .max = BERTH_BODY_BYTES_MAX),
    RULE(18, result, BYTES, .max = BERTH_RESULT_BYTES_MAX),
    RULE(19, error_kind, NAME, .presence = RULE_UNLESS_0, .max = BERTH_ERROR_KIND_MAX),
    RULE(20, error_message, BYTES, .max = BERTH_ERROR_TEXT_MAX),
    RULE(21, deadline_us, ANY),
    RULE(22, queue_timeout_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(23, backoff_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(24, backoff_max_ms, NUMBER, .max = BERTH_DURATION_MS_MAX),
    RULE(25, unique, KEY, .presence = RULE_UNLESS_0),
    RULE(26, after, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX, .leader = 26, .thing = "id",
         .count_max = BERTH_JOB_AFTER_MAX),
    RULE(40, progress_done, ANY),
    RULE(41, progress_total, ANY),
};
static const struct berth_rules rules_job = RULES(berth__v1__job__descriptor, job_rules);

static const struct berth_rule jobs_rules[] = {
    RULE(1, job, ROWS, .inside = &rules_job, .thing = "job", .count_max = BERTH_JOBS_ANSWER_MAX),
    RULE(2, unknown, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX, .leader = 2, .thing = "job",
         .count_max = BERTH_IDS_MAX),
    RULE(3, next, NUMBER, .presence = RULE_UNLESS_0, .min = 1, .max = BERTH_JOB_ID_MAX),
};
const struct berth_rules berth_rules_jobs = RULES(berth__v1__jobs__descriptor, jobs_rules);

/* SPDX-License-Identifier: MIT
 *
 * The fields of worker.proto.
 *
 * What a worker passes on from a handler (error messages, results) is checked for its size only: a
 * report that is refused comes again and again, so nothing that a handler can write may make it so.
 */
#include <inttypes.h>

#include <berth/v1/envelope.pb-c.h>

#include "proto/columns.h"
#include "proto/rules.h"

#define SESSION(number_, presence_)                                                                \
    RULE(number_, session, NUMBER, .presence = (presence_), .min = BERTH_FENCED_ID_MIN,            \
         .max = UINT64_MAX)
#define EPOCH(number_)               RULE(number_, epoch, NUMBER, .min = 1, .max = BERTH_EPOCH_MAX)
#define POSITIVE_U32(number_, name_) RULE(number_, name_, NUMBER, .min = 1, .max = UINT32_MAX)
#define NAMES(number_, name_, count_max_)                                                          \
    RULE(number_, name_, NAMES, .max = BERTH_NAME_BYTES_MAX, .count_max = (count_max_))
/* What a worker offers, in its hello and in its joins. */
#define OFFER_NAME(number_)                RULE(number_, name, NAME, .max = BERTH_NAME_BYTES_MAX)
#define OFFER_SOFTWARE(number_)            RULE(number_, software, TEXT, .max = BERTH_SOFTWARE_BYTES_MAX)
#define OFFER_NUMBER(number_, name_, max_) RULE(number_, name_, NUMBER, .min = 1, .max = (max_))
#define OFFER_SUSPENDED_MAX(number_)                                                               \
    RULE(number_, suspended_max, NUMBER, .presence = RULE_UNLESS_0, .min = 1,                      \
         .max = BERTH_CAPACITY_MAX - 1)
/* A column of attempts that says how many things there are. */
#define ATTEMPTS(number_, name_, thing_)                                                           \
    RULE(number_, name_, NUMBER, .min = BERTH_FENCED_ID_MIN, .max = UINT64_MAX,                    \
         .leader = (number_), .thing = (thing_), .count_max = BERTH_ATTEMPTS_MAX)
#define COLUMN(number_, name_, leader_, min_, max_)                                                \
    RULE(number_, name_, NUMBER, .min = (min_), .max = (max_), .leader = (leader_))

/* A worker's attempts stand in one list. */
static int offer_check(struct berth_checker *checker, uint32_t capacity, uint32_t suspended_max)
{
    if (suspended_max <= BERTH_CAPACITY_MAX - capacity)
        return 0;
    return RULE_FAIL(checker, "suspended_max", BERTH_EPROTO,
                     "suspended_max %" PRIu32 " beside capacity %" PRIu32
                     ": allowed are %d together",
                     suspended_max, capacity, BERTH_CAPACITY_MAX);
}

static const struct berth_rule worker_hello_rules[] = {
    RULE(1, epoch, NUMBER, .max = BERTH_EPOCH_MAX),
    RULE(2, node, ID),
    RULE(3, boot, ID),
    RULE(4, nonce, ID),
    POSITIVE_U32(5, child),
    RULE(6, epoch_seen, NUMBER, .max = BERTH_EPOCH_MAX),
    RULE(7, lineage_seen, ANY),
    OFFER_NAME(8),
    NAMES(9, handlers, BERTH_WORKER_HANDLERS_MAX),
    NAMES(10, served, BERTH_WORKER_SERVED_MAX),
    OFFER_NUMBER(11, capacity, BERTH_CAPACITY_MAX),
    OFFER_NUMBER(12, cores, BERTH_CORES_MAX),
    OFFER_SOFTWARE(13),
    RULE(14, is_alone, ANY),
    RULE(15, can_start_alone, ANY),
    OFFER_SUSPENDED_MAX(16),
};

static int worker_hello_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__WorkerHello *hello = (const Berth__V1__WorkerHello *)message;
    return offer_check(checker, hello->capacity, hello->suspended_max);
}
const struct berth_rules berth_rules_worker_hello =
    RULES(berth__v1__worker_hello__descriptor, worker_hello_rules, .check = worker_hello_check);

static const struct berth_rule worker_welcome_rules[] = {
    SESSION(1, RULE_NEEDED),
    EPOCH(2),
    RULE(3, lineage, ANY),
    RULE(4, lease_ms, NUMBER, .min = 1, .max = BERTH_LEASE_MS_MAX),
    RULE(5, worker_lease_ms, NUMBER, .min = 1, .max = BERTH_LEASE_MS_MAX),
    RULE(6, renew_ms, NUMBER, .min = 1, .max = BERTH_LEASE_MS_MAX),
    RULE(7, nonce, ID),
    POSITIVE_U32(8, child),
};

/* The part of the lease's inequality that a worker can see: its own lease ends before the broker's,
 * and it can miss renewals without losing it. */
static int worker_welcome_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__WorkerWelcome *welcome = (const Berth__V1__WorkerWelcome *)message;
    if (welcome->worker_lease_ms >= welcome->lease_ms)
        return RULE_FAIL(checker, "worker_lease_ms", BERTH_EPROTO,
                         "worker_lease_ms %" PRIu32 ": allowed is less than lease_ms, %" PRIu32,
                         welcome->worker_lease_ms, welcome->lease_ms);
    if (welcome->renew_ms > welcome->worker_lease_ms / 4)
        return RULE_FAIL(checker, "renew_ms", BERTH_EPROTO,
                         "renew_ms %" PRIu32 ": allowed is a quarter of worker_lease_ms, %" PRIu32
                         ", at most",
                         welcome->renew_ms, welcome->worker_lease_ms);
    return 0;
}
const struct berth_rules berth_rules_worker_welcome = RULES(
    berth__v1__worker_welcome__descriptor, worker_welcome_rules, .check = worker_welcome_check);

static const struct berth_rule ends_rules[] = {
    COLUMN(1, outcome, 0, 0, BERTH__V1__OUTCOME__OUTCOME_TIMED_OUT),
    COLUMN(2, retry_ms, 0, 0, BERTH_DURATION_MS_MAX),
    COLUMN(3, run_us, 0, 0, INT64_MAX),
    RULE(4, kinds, NAMES, .max = BERTH_ERROR_KIND_MAX, .count_max = BERTH_ERROR_KINDS_MAX),
    RULE(5, kind, INDEX1, .of = 4),
    RULE(6, message_bytes, LENGTHS, .max = BERTH_ERROR_TEXT_MAX, .of = 7),
    RULE(7, messages, BLOB),
    RULE(8, result_bytes, LENGTHS, .max = BERTH_RESULT_BYTES_MAX, .of = 9),
    RULE(9, results, BLOB),
};
static const struct berth_rules rules_ends = RULES(berth__v1__ends__descriptor, ends_rules);

static uint32_t outcome_of(const Berth__V1__Ends *ends, size_t index)
{
    return ends ? berth_column_u32(ends->outcome, ends->n_outcome, index) : 0;
}

static int fail_outcome(struct berth_checker *checker, uint32_t outcome, uint64_t attempt,
                        const char *allowed)
{
    return RULE_FAIL(checker, "outcome", BERTH_EPROTO,
                     "outcome %" PRIu32 " of attempt %" PRIu64 ": allowed is %s", outcome, attempt,
                     allowed);
}

static const struct berth_rule worker_join_rules[] = {
    SESSION(1, RULE_NEEDED),
    EPOCH(2),
    POSITIVE_U32(3, join),
    RULE(4, renewal, ANY),
    ATTEMPTS(5, attempt, "attempt"),
    COLUMN(6, job, 5, 1, BERTH_JOB_ID_MAX),
    NAMES(7, dispatchers, BERTH_NAMES_MAX),
    RULE(8, dispatcher, INDEX, .leader = 5, .of = 7),
    COLUMN(9, number, 5, 1, UINT32_MAX),
    COLUMN(10, state, 5, BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_RUNNING,
           BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_ENDED),
    COLUMN(11, is_cancelled, 5, 0, 1),
    RULE(12, ends, PART, .leader = 5, .inside = &rules_ends),
    RULE(13, is_draining, ANY),
    OFFER_NAME(14),
    NAMES(15, handlers, BERTH_WORKER_HANDLERS_MAX),
    NAMES(16, served, BERTH_WORKER_SERVED_MAX),
    OFFER_NUMBER(17, capacity, BERTH_CAPACITY_MAX),
    OFFER_NUMBER(18, cores, BERTH_CORES_MAX),
    OFFER_SOFTWARE(19),
    COLUMN(20, suspensions, 5, 0, UINT32_MAX),
    RULE(21, is_alone, ANY),
    RULE(22, can_start_alone, ANY),
    OFFER_SUSPENDED_MAX(23),
};

/* An attempt has an outcome if and only if it has ended, and stands in the list once. */
static int worker_join_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__WorkerJoin *join = (const Berth__V1__WorkerJoin *)message;
    int rc = offer_check(checker, join->capacity, join->suspended_max);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < join->n_attempt; i++) {
        uint32_t outcome = outcome_of(join->ends, i);
        bool is_ended = join->state[i] == BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_ENDED;
        if (is_ended != (outcome != 0))
            return fail_outcome(checker, outcome, join->attempt[i],
                                is_ended ? "1 to 6, for it has ended" : "0, for it has not ended");
    }
    return berth_rules_check_unique(checker, "attempt", join->attempt, join->n_attempt);
}
const struct berth_rules berth_rules_worker_join =
    RULES(berth__v1__worker_join__descriptor, worker_join_rules, .check = worker_join_check);

static const struct berth_rule worker_joined_rules[] = {
    SESSION(1, RULE_NEEDED),
    EPOCH(2),
    POSITIVE_U32(3, join),
    RULE(4, renewal, ANY),
};
const struct berth_rules berth_rules_worker_joined =
    RULES(berth__v1__worker_joined__descriptor, worker_joined_rules);

static const struct berth_rule worker_renew_rules[] = {
    SESSION(1, RULE_NEEDED), EPOCH(2),           POSITIVE_U32(3, join),
    RULE(4, renewal, ANY),   RULE(5, sent, ANY), RULE(6, taken, ANY),
};
const struct berth_rules berth_rules_worker_renew =
    RULES(berth__v1__worker_renew__descriptor, worker_renew_rules);

static const struct berth_rule worker_renewed_rules[] = {
    SESSION(1, RULE_NEEDED),  EPOCH(2),           POSITIVE_U32(3, join),
    RULE(4, renewal, ANY),    RULE(5, sent, ANY), RULE(6, taken, ANY),
    RULE(7, join_again, ANY),
};
const struct berth_rules berth_rules_worker_renewed =
    RULES(berth__v1__worker_renewed__descriptor, worker_renewed_rules);

static const struct berth_rule worker_epoch_rules[] = {
    EPOCH(1),
    RULE(2, lineage, ANY),
};
const struct berth_rules berth_rules_worker_epoch =
    RULES(berth__v1__worker_epoch__descriptor, worker_epoch_rules);

/* Who is meant, if there is no session. */
static int who_check(struct berth_checker *checker, uint64_t session, ProtobufCBinaryData nonce,
                     uint32_t child)
{
    if (session != 0)
        return 0;
    if (nonce.len != BERTH_ID_BYTES)
        return RULE_FAIL(checker, "session", BERTH_EPROTO,
                         "session is missing, and so are nonce and child");
    if (child == 0)
        return RULE_FAIL(checker, "child", BERTH_EPROTO, "child is missing: allowed is 1 to %u",
                         UINT32_MAX);
    return 0;
}

static const struct berth_rule worker_fenced_rules[] = {
    SESSION(1, RULE_UNLESS_0),
    RULE(2, nonce, ID, .presence = RULE_UNLESS_0),
    RULE(3, child, ANY),
    RULE(4, reason, BYTES, .max = BERTH_SENTENCE_BYTES_MAX),
};

static int worker_fenced_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__WorkerFenced *fenced = (const Berth__V1__WorkerFenced *)message;
    return who_check(checker, fenced->session, fenced->nonce, fenced->child);
}
const struct berth_rules berth_rules_worker_fenced =
    RULES(berth__v1__worker_fenced__descriptor, worker_fenced_rules, .check = worker_fenced_check);

static const struct berth_rule worker_orders_rules[] = {
    SESSION(1, RULE_NEEDED),
    EPOCH(2),
    POSITIVE_U32(3, join),
    RULE(4, number, NUMBER, .min = 1, .max = UINT64_MAX),
    ATTEMPTS(5, grant_attempt, "grant"),
    COLUMN(6, grant_job, 5, 1, BERTH_JOB_ID_MAX),
    NAMES(7, dispatchers, BERTH_NAMES_MAX),
    NAMES(8, handlers, BERTH_NAMES_MAX),
    RULE(9, grant_dispatcher, INDEX, .leader = 5, .of = 7),
    RULE(10, grant_handler, INDEX, .leader = 5, .of = 8),
    COLUMN(11, grant_number, 5, 1, UINT32_MAX),
    COLUMN(12, grant_timeout_ms, 5, 0, BERTH_DURATION_MS_MAX),
    COLUMN(13, grant_grace_ms, 5, 0, BERTH_GRACE_MS_MAX),
    RULE(14, grant_body_bytes, LENGTHS, .max = BERTH_BODY_BYTES_MAX, .leader = 5, .of = 15),
    RULE(15, grant_bodies, BLOB),
    ATTEMPTS(16, cancel_attempt, "cancel"),
    COLUMN(17, cancel_grace_ms, 16, 0, BERTH_GRACE_MS_MAX),
    ATTEMPTS(18, ack_attempt, "acknowledgement"),
    COLUMN(19, ack_is_stale, 18, 0, 1),
    COLUMN(20, cancel_is_forced, 16, 0, 1),
    ATTEMPTS(21, resume_attempt, "resumption"),
    COLUMN(22, resume_number, 21, 1, UINT32_MAX),
    RULE(23, child_submitted, ROWS, .inside = &berth_rules_child_submitted,
         .thing = "answer to a parent", .count_max = BERTH_CHILD_SUBMITS_MAX),
    ATTEMPTS(24, child_end_attempt, "child's end"),
    COLUMN(25, child_end_job, 24, 1, BERTH_JOB_ID_MAX),
    COLUMN(26, child_end_state, 24, BERTH__V1__JOB_STATE__JOB_STATE_COMPLETED,
           BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED),
    RULE(27, child_end_kinds, NAMES, .max = BERTH_ERROR_KIND_MAX,
         .count_max = BERTH_ERROR_KINDS_MAX),
    RULE(28, child_end_kind, INDEX1, .leader = 24, .of = 27),
    RULE(29, child_end_message_bytes, LENGTHS, .max = BERTH_ERROR_TEXT_MAX, .leader = 24, .of = 30),
    RULE(30, child_end_messages, BLOB),
    COLUMN(31, grant_deadline_ms, 5, 0, BERTH_DURATION_MS_MAX),
    COLUMN(32, cancel_reason, 16, 0, BERTH__V1__CANCEL_REASON__CANCEL_REASON_CHILD),
    RULE(33, start_alone, NUMBER, .presence = RULE_UNLESS_0, .min = 1, .max = BERTH_ALONE_MAX),
};
const struct berth_rules berth_rules_worker_orders =
    RULES(berth__v1__worker_orders__descriptor, worker_orders_rules);

static const struct berth_rule worker_reports_rules[] = {
    SESSION(1, RULE_NEEDED),
    EPOCH(2),
    POSITIVE_U32(3, join),
    RULE(4, number, NUMBER, .min = 1, .max = UINT64_MAX),
    ATTEMPTS(5, attempt, "report"),
    COLUMN(6, job, 5, 1, BERTH_JOB_ID_MAX),
    RULE(7, ends, PART, .leader = 5, .inside = &rules_ends),
    ATTEMPTS(8, release_attempt, "release"),
    COLUMN(9, release_reason, 8, BERTH__V1__RELEASE_REASON__RELEASE_DRAINING,
           BERTH__V1__RELEASE_REASON__RELEASE_LEASE_OVER),
    RULE(10, is_draining, ANY),
    ATTEMPTS(11, show_attempt, "show"),
    COLUMN(12, show_has_progress, 11, 0, 1),
    COLUMN(13, show_done, 11, 0, UINT64_MAX),
    COLUMN(14, show_total, 11, 0, UINT64_MAX),
    COLUMN(15, show_out_from, 11, 0, BERTH_STREAM_BYTES_MAX),
    RULE(16, show_out_bytes, LENGTHS, .max = BERTH_OUTPUT_BYTES_MAX, .leader = 11, .of = 17),
    RULE(17, show_outs, BLOB),
    COLUMN(18, show_err_from, 11, 0, BERTH_STREAM_BYTES_MAX),
    RULE(19, show_err_bytes, LENGTHS, .max = BERTH_OUTPUT_BYTES_MAX, .leader = 11, .of = 20),
    RULE(20, show_errs, BLOB),
    ATTEMPTS(21, suspend_attempt, "suspension"),
    COLUMN(22, suspend_number, 21, 1, UINT32_MAX),
    ATTEMPTS(23, resume_attempt, "resumption"),
    COLUMN(24, resume_number, 23, 1, UINT32_MAX),
    RULE(25, child_submit, ROWS, .inside = &berth_rules_child_submit, .thing = "submit of children",
         .count_max = BERTH_CHILD_SUBMITS_MAX),
    ATTEMPTS(26, end_children_attempt, "parent"),
    ATTEMPTS(27, child_ask_attempt, "awaited child"),
    COLUMN(28, child_ask_job, 27, 1, BERTH_JOB_ID_MAX),
};

static int worker_reports_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__WorkerReports *reports = (const Berth__V1__WorkerReports *)message;
    for (size_t i = 0; i < reports->n_attempt; i++)
        if (outcome_of(reports->ends, i) == 0)
            return fail_outcome(checker, 0, reports->attempt[i], "1 to 6");
    return 0;
}
const struct berth_rules berth_rules_worker_reports = RULES(
    berth__v1__worker_reports__descriptor, worker_reports_rules, .check = worker_reports_check);

static const struct berth_rule worker_gone_rules[] = {
    SESSION(1, RULE_UNLESS_0),
    RULE(2, nonce, ID),
    POSITIVE_U32(3, child),
    RULE(4, cause, NUMBER, .min = BERTH__V1__GONE_CAUSE__GONE_EXIT,
         .max = BERTH__V1__GONE_CAUSE__GONE_DRAIN),
    RULE(5, status, ANY),
    ATTEMPTS(6, attempt, "attempt"),
    COLUMN(7, job, 6, 1, BERTH_JOB_ID_MAX),
    COLUMN(8, number, 6, 0, UINT32_MAX),
    RULE(9, culprit, NUMBER, .presence = RULE_UNLESS_0, .min = BERTH_FENCED_ID_MIN,
         .max = UINT64_MAX),
};

static int worker_gone_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__WorkerGone *gone = (const Berth__V1__WorkerGone *)message;
    bool is_listed = gone->culprit == 0;
    for (size_t i = 0; i < gone->n_attempt && !is_listed; i++)
        is_listed = gone->attempt[i] == gone->culprit;
    if (!is_listed)
        return RULE_FAIL(checker, "culprit", BERTH_EPROTO,
                         "culprit %" PRIu64 ": allowed are 0 and the attempts of the list",
                         gone->culprit);
    return berth_rules_check_unique(checker, "attempt", gone->attempt, gone->n_attempt);
}
const struct berth_rules berth_rules_worker_gone =
    RULES(berth__v1__worker_gone__descriptor, worker_gone_rules, .check = worker_gone_check);

static const struct berth_rule worker_gone_ok_rules[] = {
    SESSION(1, RULE_UNLESS_0),
    RULE(2, nonce, ID, .presence = RULE_UNLESS_0),
    RULE(3, child, ANY),
};

static int worker_gone_ok_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__WorkerGoneOk *gone = (const Berth__V1__WorkerGoneOk *)message;
    return who_check(checker, gone->session, gone->nonce, gone->child);
}
const struct berth_rules berth_rules_worker_gone_ok = RULES(
    berth__v1__worker_gone_ok__descriptor, worker_gone_ok_rules, .check = worker_gone_ok_check);

/* SPDX-License-Identifier: MIT */
#include "samples_worker.h"

#include "samples_schedule.h"

#define NODE  "node............"
#define BOOT  "boot............"
#define NONCE "nonce..........."

/* What all messages of a join say first; of a child, where it lives; of an offer, who it is. */
#define IN_JOIN(message_)                                                                          \
    MESSAGE(message_), SET(session, ATTEMPT(7, 1)), SET(epoch, 8), SET(join, 2)
#define OF_CHILD                                                                                   \
    SET_BYTES(node, NODE), SET_BYTES(boot, BOOT), SET_BYTES(nonce, NONCE), SET(child, 2)
#define OFFER(capacity_)                                                                           \
    SET_BYTES(name, "host-42"), SET(capacity, capacity_), SET(cores, 8),                           \
        SET_BYTES(software, "berth-worker 0.1.0")

Berth__V1__WorkerHello worker_hello = {
    MESSAGE(worker_hello),
    SET(epoch, 7),
    OF_CHILD,
    SET(epoch_seen, 6),
    SET(lineage_seen, UINT64_C(0xfedcba9876543210)),
    NAMES(handlers, BYTES("exec"), BYTES("mail")),
    NAMES(served, BYTES("newsletter")),
    OFFER(256),
};

Berth__V1__WorkerHello worker_hello_alone = {
    MESSAGE(worker_hello),
    SET(epoch, 7),
    OF_CHILD,
    SET(epoch_seen, 6),
    SET(lineage_seen, UINT64_C(0xfedcba9876543210)),
    NAMES(handlers, BYTES("exec"), BYTES("mail")),
    OFFER(1),
    SET(is_alone, 1),
    SET(can_start_alone, 0),
};

Berth__V1__WorkerHello worker_hello_with_parents = {
    MESSAGE(worker_hello),          SET(epoch, 7), OF_CHILD,
    NAMES(handlers, BYTES("mail")), OFFER(256),    SET(suspended_max, 4096),
};

Berth__V1__WorkerWelcome worker_welcome = {
    MESSAGE(worker_welcome), SET(session, ATTEMPT(7, 1)),
    SET(epoch, 7),           SET(lineage, UINT64_C(0x0123456789abcdef)),
    SET(lease_ms, 10000),    SET(worker_lease_ms, 8500),
    SET(renew_ms, 2000),     SET_BYTES(nonce, NONCE),
    SET(child, 2),
};

static Berth__V1__Ends ends_of_join = {
    MESSAGE(ends),
    COLUMN(outcome, uint32_t, 0, 0, BERTH__V1__OUTCOME__OUTCOME_FAILED),
    COLUMN(retry_ms, uint64_t, 0, 0, 60000),
    COLUMN(run_us, uint64_t, 0, 0, 1234567),
    NAMES(kinds, BYTES("exit")),
    COLUMN(kind, uint32_t, 0, 0, 1),
    COLUMN(message_bytes, uint32_t, 0, 0, 11),
    SET_BYTES(messages, "exit code 2"),
    COLUMN(result_bytes, uint32_t, 0, 0, 2),
    SET_BYTES(results, "\x08\x04"),
};

Berth__V1__WorkerJoin worker_join = {
    IN_JOIN(worker_join),
    SET(renewal, 40),
    COLUMN(attempt, uint64_t, ATTEMPT(7, 3), ATTEMPT(7, 4), ATTEMPT(7, 9)),
    COLUMN(job, uint64_t, 11, 12, 300),
    NAMES(dispatchers, BYTES("newsletter"), BYTES("auth")),
    COLUMN(dispatcher, uint32_t, 0, 1, 0),
    COLUMN(number, uint32_t, 1, 1, 2),
    COLUMN(state, uint32_t, BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_RUNNING,
           BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_SUSPENDED,
           BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_ENDED),
    COLUMN(is_cancelled, uint32_t, 1, 0, 0),
    .ends = &ends_of_join,
    SET(is_draining, 1),
    NAMES(handlers, BYTES("exec"), BYTES("mail")),
    NAMES(served, BYTES("newsletter")),
    OFFER(256),
};

Berth__V1__WorkerJoin worker_join_with_keeper = {
    IN_JOIN(worker_join), SET(renewal, 40), NAMES(handlers, BYTES("mail")),
    OFFER(256),           SET(is_alone, 0), SET(can_start_alone, 1),
};

Berth__V1__WorkerJoin worker_join_with_parents = {
    IN_JOIN(worker_join), SET(renewal, 40),         NAMES(handlers, BYTES("mail")),
    OFFER(256),           SET(suspended_max, 4096),
};

Berth__V1__WorkerJoined worker_joined = {
    IN_JOIN(worker_joined),
    SET(renewal, 40),
};

Berth__V1__WorkerRenew worker_renew = {
    IN_JOIN(worker_renew),
    SET(renewal, 41),
    SET(sent, 17),
    SET(taken, 300),
};

Berth__V1__WorkerRenewed worker_renewed = {
    IN_JOIN(worker_renewed), SET(renewal, 41), SET(sent, 301), SET(taken, 17), SET(join_again, 1),
};

Berth__V1__WorkerEpoch worker_epoch = {
    MESSAGE(worker_epoch),
    SET(epoch, 8),
    SET(lineage, UINT64_C(0x0123456789abcdef)),
};

Berth__V1__WorkerFenced worker_fenced = {
    MESSAGE(worker_fenced),
    SET(session, ATTEMPT(7, 1)),
    SET_BYTES(nonce, NONCE),
    SET(child, 2),
    SET_BYTES(reason, "the session has run out"),
};

Berth__V1__WorkerOrders worker_orders = {
    IN_JOIN(worker_orders),
    SET(number, 3),
    COLUMN(grant_attempt, uint64_t, ATTEMPT(8, 1), ATTEMPT(8, 2)),
    COLUMN(grant_job, uint64_t, 13, 14),
    NAMES(dispatchers, BYTES("auth")),
    NAMES(handlers, BYTES("mail"), BYTES("exec")),
    COLUMN(grant_dispatcher, uint32_t, 0, 0),
    COLUMN(grant_handler, uint32_t, 0, 1),
    COLUMN(grant_number, uint32_t, 1, 3),
    COLUMN(grant_timeout_ms, uint64_t, 0, 30000),
    COLUMN(grant_grace_ms, uint64_t, 5000, 5000),
    COLUMN(grant_body_bytes, uint32_t, 5, 4),
    SET_BYTES(grant_bodies, "\x12\x03"
                            "abc"
                            "\n\x02"
                            "ls"),
    COLUMN(cancel_attempt, uint64_t, ATTEMPT(7, 3)),
    COLUMN(cancel_grace_ms, uint64_t, 5000),
    COLUMN(ack_attempt, uint64_t, ATTEMPT(7, 9), ATTEMPT(7, 4)),
    COLUMN(ack_is_stale, uint32_t, 0, 1),
};

Berth__V1__WorkerOrders worker_orders_with_force = {
    IN_JOIN(worker_orders),
    SET(number, 4),
    COLUMN(cancel_attempt, uint64_t, ATTEMPT(7, 3), ATTEMPT(7, 4)),
    COLUMN(cancel_grace_ms, uint64_t, 5000, 5000),
    COLUMN(cancel_is_forced, uint32_t, 0, 1),
};

Berth__V1__WorkerOrders worker_orders_with_deadline = {
    IN_JOIN(worker_orders),
    SET(number, 5),
    COLUMN(grant_attempt, uint64_t, ATTEMPT(8, 3)),
    COLUMN(grant_job, uint64_t, 15),
    NAMES(dispatchers, BYTES("auth")),
    NAMES(handlers, BYTES("mail")),
    COLUMN(grant_dispatcher, uint32_t, 0),
    COLUMN(grant_handler, uint32_t, 0),
    COLUMN(grant_number, uint32_t, 1),
    COLUMN(grant_deadline_ms, uint64_t, 60000),
    COLUMN(cancel_attempt, uint64_t, ATTEMPT(7, 3), ATTEMPT(7, 4)),
    COLUMN(cancel_grace_ms, uint64_t, 5000, 5000),
    COLUMN(cancel_reason, uint32_t, 0, BERTH__V1__CANCEL_REASON__CANCEL_REASON_DEADLINE),
};

Berth__V1__WorkerOrders worker_orders_with_alone = {
    IN_JOIN(worker_orders),
    SET(number, 5),
    SET(start_alone, 2),
};

static Berth__V1__Ends ends_of_reports = {
    MESSAGE(ends),
    COLUMN(outcome, uint32_t, BERTH__V1__OUTCOME__OUTCOME_COMPLETED,
           BERTH__V1__OUTCOME__OUTCOME_SNOOZED),
    COLUMN(retry_ms, uint64_t, 0, 60000),
    COLUMN(run_us, uint64_t, 1000, 2000),
    NAMES(kinds, BYTES("handler")),
    COLUMN(kind, uint32_t, 0, 1),
    COLUMN(message_bytes, uint32_t, 0, 4),
    SET_BYTES(messages, "busy"),
    COLUMN(result_bytes, uint32_t, 4, 0),
    SET_BYTES(results, "2\x02ok"),
};

Berth__V1__WorkerReports worker_reports = {
    IN_JOIN(worker_reports),
    SET(number, 4),
    COLUMN(attempt, uint64_t, ATTEMPT(7, 3), ATTEMPT(8, 2)),
    COLUMN(job, uint64_t, 11, 14),
    .ends = &ends_of_reports,
    COLUMN(release_attempt, uint64_t, ATTEMPT(8, 1)),
    COLUMN(release_reason, uint32_t, BERTH__V1__RELEASE_REASON__RELEASE_NO_HANDLER),
    SET(is_draining, 1),
};

Berth__V1__WorkerReports worker_reports_with_shows = {
    IN_JOIN(worker_reports),
    SET(number, 5),
    COLUMN(show_attempt, uint64_t, ATTEMPT(8, 2), ATTEMPT(8, 3)),
    COLUMN(show_has_progress, uint32_t, 1, 0),
    COLUMN(show_done, uint64_t, 3, 0),
    COLUMN(show_total, uint64_t, 1000, 0),
    COLUMN(show_out_from, uint64_t, 0, 70000),
    COLUMN(show_out_bytes, uint32_t, 0, 3),
    SET_BYTES(show_outs, "out"),
    COLUMN(show_err_from, uint64_t, 0, 3),
    COLUMN(show_err_bytes, uint32_t, 1, 1),
    SET_BYTES(show_errs, "er"),
};

Berth__V1__WorkerJoin worker_join_with_suspensions = {
    IN_JOIN(worker_join),
    SET(renewal, 40),
    COLUMN(attempt, uint64_t, ATTEMPT(7, 3), ATTEMPT(7, 4)),
    COLUMN(job, uint64_t, 11, 12),
    NAMES(dispatchers, BYTES("newsletter")),
    COLUMN(number, uint32_t, 1, 1),
    COLUMN(state, uint32_t, BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_RUNNING,
           BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_SUSPENDED),
    OFFER(256),
    COLUMN(suspensions, uint32_t, 0, 2),
};

static Berth__V1__Submit submit_of_children = {
    MESSAGE(submit),
    NAMES(dispatchers, BYTES("auth")),
    NAMES(handlers, BYTES("mail")),
    COLUMN(priority, int32_t, 0, 5),
    COLUMN(body_bytes, uint32_t, 5, 0),
    SET_BYTES(bodies, "\x12\x03"
                      "abc"),
};

static Berth__V1__ChildSubmit child_submit = {
    MESSAGE(child_submit),   SET(attempt, ATTEMPT(8, 2)), SET(job, 14),
    SET(ordinal, 999999999), SET(is_supervisor, 1),       .submit = &submit_of_children,
};

Berth__V1__WorkerReports worker_reports_with_scopes = {
    IN_JOIN(worker_reports),
    SET(number, 6),
    COLUMN(suspend_attempt, uint64_t, ATTEMPT(8, 2), ATTEMPT(8, 3)),
    COLUMN(suspend_number, uint32_t, 1, 7),
    COLUMN(resume_attempt, uint64_t, ATTEMPT(8, 4), ATTEMPT(8, 5)),
    COLUMN(resume_number, uint32_t, 2, 1),
    COLUMN(child_submit, Berth__V1__ChildSubmit *, &child_submit),
    COLUMN(end_children_attempt, uint64_t, ATTEMPT(8, 6)),
    COLUMN(child_ask_attempt, uint64_t, ATTEMPT(8, 2), ATTEMPT(8, 2)),
    COLUMN(child_ask_job, uint64_t, 20, 21),
};

static Berth__V1__Submitted submitted_children = { MESSAGE(submitted),
                                                   COLUMN(id, uint64_t, 20, 21) };

static Berth__V1__Submitted refused_children = {
    MESSAGE(submitted),
    COLUMN(id, uint64_t, 0),
    COLUMN(refused, uint32_t, 0),
    COLUMN(refused_code, uint32_t, BERTH__V1__ERROR_CODE__ERROR_DEADLOCK),
    NAMES(refused_field, BYTES("dispatcher")),
    NAMES(refused_message, BYTES("job 14 would wait for itself")),
};

static Berth__V1__ChildSubmitted children_submitted = { MESSAGE(child_submitted),
                                                        SET(attempt, ATTEMPT(8, 2)),
                                                        SET(ordinal, 5),
                                                        .submitted = &submitted_children };

static Berth__V1__ChildSubmitted children_refused = { MESSAGE(child_submitted),
                                                      SET(attempt, ATTEMPT(8, 3)), SET(ordinal, 1),
                                                      .submitted = &refused_children };

Berth__V1__WorkerOrders worker_orders_with_scopes = {
    IN_JOIN(worker_orders),
    SET(number, 5),
    COLUMN(resume_attempt, uint64_t, ATTEMPT(8, 4), ATTEMPT(8, 5)),
    COLUMN(resume_number, uint32_t, 2, 1),
    COLUMN(child_submitted, Berth__V1__ChildSubmitted *, &children_submitted, &children_refused),
    COLUMN(child_end_attempt, uint64_t, ATTEMPT(8, 2), ATTEMPT(8, 2)),
    COLUMN(child_end_job, uint64_t, 20, 21),
    COLUMN(child_end_state, uint32_t, BERTH__V1__JOB_STATE__JOB_STATE_COMPLETED,
           BERTH__V1__JOB_STATE__JOB_STATE_DEAD),
    NAMES(child_end_kinds, BYTES("exit")),
    COLUMN(child_end_kind, uint32_t, 0, 1),
    COLUMN(child_end_message_bytes, uint32_t, 0, 11),
    SET_BYTES(child_end_messages, "exit code 2"),
};

Berth__V1__WorkerGone worker_gone = {
    MESSAGE(worker_gone),
    SET(session, ATTEMPT(7, 1)),
    SET_BYTES(nonce, NONCE),
    SET(child, 2),
    SET(cause, BERTH__V1__GONE_CAUSE__GONE_SIGNAL),
    SET(status, 11),
    COLUMN(attempt, uint64_t, ATTEMPT(7, 3), ATTEMPT(7, 4)),
    COLUMN(job, uint64_t, 11, 12),
    COLUMN(number, uint32_t, 1, 0),
    SET(culprit, ATTEMPT(7, 4)),
};

Berth__V1__WorkerGoneOk worker_gone_ok = {
    MESSAGE(worker_gone_ok),
    SET(session, ATTEMPT(7, 1)),
    SET_BYTES(nonce, NONCE),
    SET(child, 2),
};

/* SPDX-License-Identifier: MIT
 *
 * The samples. Numbers are chosen so that varints of several lengths occur.
 */
#include "samples.h"

#include <string.h>

#include "base/assert.h"
#include "samples_explain.h"
#include "samples_schedule.h"
#include "samples_worker.h"

#define CLIENT "0123456789abcdef"

static Berth__V1__Error error = {
    MESSAGE(error),
    SET(code, BERTH__V1__ERROR_CODE__ERROR_VERSION),
    SET_BYTES(field, "version"),
    SET_BYTES(message, "protocol version 2 is not spoken here; 1 is"),
    SET(version_min, 1),
    SET(version_max, 1),
    SET(retry_ms, 1500),
};

static Berth__V1__ClientHello client_hello = {
    MESSAGE(client_hello),
    SET_BYTES(client, CLIENT),
    SET_BYTES(software, "libberth_client 0.1.0"),
};

static Berth__V1__ClientWelcome client_welcome = {
    MESSAGE(client_welcome),        SET(epoch, 7),        SET_BYTES(software, "berthd 0.1.0"),
    SET(frame_bytes_max, 16 << 20), SET(jobs_max, 10000), SET(body_bytes_max, (1 << 20) + 65536),
};

static Berth__V1__Submit submit = {
    MESSAGE(submit),
    SET_BYTES(client, CLIENT),
    NAMES(dispatchers, BYTES("newsletter"), BYTES("auth")),
    NAMES(handlers, BYTES("mail"), BYTES("exec")),
    COLUMN(dispatcher, uint32_t, 0, 1, 1),
    COLUMN(handler, uint32_t, 0, 0, 1),
    COLUMN(priority, int32_t, -100, 0, 100),
    COLUMN(delay_ms, uint64_t, 0, 10000, UINT64_C(315360000000)),
    COLUMN(max_attempts, uint32_t, 0, 5, 1000000),
    COLUMN(timeout_ms, uint64_t, 30000, 0, 1),
    COLUMN(key_bytes, uint32_t, 3, 0, 2),
    SET_BYTES(keys, "one\xc3\xa9"),
    COLUMN(body_bytes, uint32_t, 5, 0, 4),
    SET_BYTES(bodies, "\x12\x03"
                      "abc"
                      "\n\x02"
                      "ls"),
};

static Berth__V1__Submit submit_with_options = {
    MESSAGE(submit),
    SET_BYTES(client, CLIENT),
    NAMES(dispatchers, BYTES("newsletter")),
    NAMES(handlers, BYTES("mail")),
    COLUMN(delay_ms, uint64_t, 10000, 0, 0),
    COLUMN(body_bytes, uint32_t, 0, 0, 0),
    COLUMN(group_bytes, uint32_t, 6, 0, 3),
    SET_BYTES(groups, "tenantk\xc3\xa9"),
    COLUMN(run_at_us, uint64_t, 0, UINT64_C(1763769610000000), 0),
    COLUMN(queue_timeout_ms, uint64_t, 300000, 0, 1),
    COLUMN(deadline_ms, uint64_t, 0, 3600000, 0),
    COLUMN(backoff_ms, uint64_t, 250, 0, 1000),
    COLUMN(backoff_max_ms, uint64_t, 60000, 1, 1000),
    COLUMN(unique_bytes, uint32_t, 0, 5, 4),
    SET_BYTES(uniques, "aliceb\xc3\xb6s"),
    COLUMN(on_conflict, uint32_t, 0, 0, 1),
    COLUMN(after_count, uint32_t, 2, 0, 1),
    COLUMN(after, uint64_t, 1, 300, UINT64_C(9007199254740991)),
};

static Berth__V1__Submitted submitted = {
    MESSAGE(submitted),
    COLUMN(id, uint64_t, 1, 0, UINT64_C(9007199254740991)),
    COLUMN(is_existing, uint32_t, 0, 0, 1),
    COLUMN(refused, uint32_t, 1),
    COLUMN(refused_code, uint32_t, BERTH__V1__ERROR_CODE__ERROR_NOT_FOUND),
    NAMES(refused_field, BYTES("dispatcher")),
    NAMES(refused_message, BYTES("dispatcher 'auht' does not exist")),
};

static Berth__V1__JobWait job_wait = { MESSAGE(job_wait), COLUMN(id, uint64_t, 1, 300) };

static Berth__V1__JobWaited job_waited = {
    MESSAGE(job_waited),
    COLUMN(id, uint64_t, 1, 300),
    COLUMN(state, uint32_t, BERTH__V1__JOB_STATE__JOB_STATE_COMPLETED,
           BERTH__V1__JOB_STATE__JOB_STATE_DEAD),
    COLUMN(unknown, uint64_t, 4000000),
    SET(pending, 2),
};

static Berth__V1__JobCancel job_cancel = { MESSAGE(job_cancel), COLUMN(id, uint64_t, 5, 6, 7) };

static Berth__V1__JobCancel job_cancel_forced = {
    MESSAGE(job_cancel),
    COLUMN(id, uint64_t, 5),
    SET(is_forced, 1),
};

static Berth__V1__JobRetry job_retry = { MESSAGE(job_retry), COLUMN(id, uint64_t, 5, 300) };
static Berth__V1__JobDiscard job_discard = { MESSAGE(job_discard), COLUMN(id, uint64_t, 6) };

static Berth__V1__JobChanged job_changed = {
    MESSAGE(job_changed),
    COLUMN(id, uint64_t, 5, 300),
    COLUMN(code, uint32_t, 0, BERTH__V1__ERROR_CODE__ERROR_CONFLICT),
    COLUMN(state, uint32_t, BERTH__V1__JOB_STATE__JOB_STATE_DEAD,
           BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED),
    COLUMN(other, uint64_t, 0, 301),
};

static Berth__V1__DispatcherPurge dispatcher_purge = {
    MESSAGE(dispatcher_purge),
    SET_BYTES(name, "newsletter"),
    SET(below, 70000),
    SET(cursor, UINT64_C(7) << 32 | 10000),
};

static Berth__V1__DispatcherPurged dispatcher_purged = {
    MESSAGE(dispatcher_purged),
    SET(count, 10000),
    SET(below, 70000),
    SET(cursor, UINT64_C(7) << 32 | 10000),
};

static Berth__V1__DispatcherRemove dispatcher_remove = {
    MESSAGE(dispatcher_remove),
    SET_BYTES(name, "newsletter"),
};

static Berth__V1__DispatcherRemoved dispatcher_removed = { MESSAGE(dispatcher_removed) };

static Berth__V1__JobCancelled job_cancelled = {
    MESSAGE(job_cancelled),
    COLUMN(id, uint64_t, 5, 6, 7),
    COLUMN(code, uint32_t, 0, BERTH__V1__ERROR_CODE__ERROR_ALREADY,
           BERTH__V1__ERROR_CODE__ERROR_NOT_FOUND),
    COLUMN(state, uint32_t, BERTH__V1__JOB_STATE__JOB_STATE_CANCELLING,
           BERTH__V1__JOB_STATE__JOB_STATE_COMPLETED, 0),
};

static Berth__V1__JobGet job_get = { MESSAGE(job_get), COLUMN(id, uint64_t, 128, 129) };

static Berth__V1__JobList job_list = {
    MESSAGE(job_list),
    SET_BYTES(dispatcher, "newsletter"),
    SET(state, BERTH__V1__JOB_STATE__JOB_STATE_DEAD),
    SET(after, 1000),
    SET(newest_first, 1),
    SET(count_max, 1000),
};

static Berth__V1__JobList job_list_with_bodies = {
    MESSAGE(job_list),
    SET(with_bodies, 1),
};

static Berth__V1__Job job = {
    MESSAGE(job),
    SET(id, 128),
    SET_BYTES(dispatcher, "newsletter"),
    SET_BYTES(handler, "exec"),
    SET(state, BERTH__V1__JOB_STATE__JOB_STATE_RETRYING),
    SET_BYTES(reason, "waits for its next attempt"),
    SET(attempt, 2),
    SET(max_attempts, 5),
    SET(priority, -3),
    SET_BYTES(key, "k-1"),
    SET_BYTES(group, "tenant"),
    SET(parent, 127),
    SET(submitted_us, INT64_C(1763769600000000)),
    SET(run_at_us, INT64_C(1763769610000000)),
    SET(started_us, INT64_C(1763769601000000)),
    SET(finished_us, INT64_C(1763769602000000)),
    SET_BYTES(worker, "host-42"),
    SET_BYTES(body, "\n\x02"
                    "ls"),
    SET_BYTES(result, "\x08\x04"),
    SET_BYTES(error_kind, "exit"),
    SET_BYTES(error_message, "exit code 2"),
};

static Berth__V1__Jobs jobs = {
    MESSAGE(jobs),  .n_job = 1, .job = (Berth__V1__Job *[]){ &job }, COLUMN(unknown, uint64_t, 129),
    SET(next, 128),
};

static Berth__V1__Job job_with_options = {
    MESSAGE(job),
    SET(id, 129),
    SET_BYTES(dispatcher, "newsletter"),
    SET_BYTES(handler, "mail"),
    SET(state, BERTH__V1__JOB_STATE__JOB_STATE_SCHEDULED),
    SET(deadline_us, INT64_C(1763773200000000)),
    SET(queue_timeout_ms, 300000),
    SET(backoff_ms, 250),
    SET(backoff_max_ms, 60000),
    SET_BYTES(unique, "alice"),
    COLUMN(after, uint64_t, 1, 300),
};

static Berth__V1__Jobs jobs_with_options = {
    MESSAGE(jobs),
    .n_job = 1,
    .job = (Berth__V1__Job *[]){ &job_with_options },
};

static Berth__V1__Job job_with_progress = {
    MESSAGE(job),
    SET(id, 128),
    SET_BYTES(dispatcher, "newsletter"),
    SET_BYTES(handler, "mail"),
    SET(state, BERTH__V1__JOB_STATE__JOB_STATE_RUNNING),
    SET(progress_done, 3),
    SET(progress_total, 1000),
};

static Berth__V1__Jobs jobs_with_progress = {
    MESSAGE(jobs),
    .n_job = 1,
    .job = (Berth__V1__Job *[]){ &job_with_progress },
};

static Berth__V1__JobOutputGet job_output_get = {
    MESSAGE(job_output_get), SET(id, 128), SET(attempt, 2), SET(out_from, 70000), SET(err_from, 3),
};

static Berth__V1__JobOutput job_output = {
    MESSAGE(job_output),  SET(id, 128),     SET(state, BERTH__V1__JOB_STATE__JOB_STATE_RUNNING),
    SET(attempt, 2),      SET(is_over, 1),  SET(out_from, 70000),
    SET_BYTES(out, "ou"), SET(err_from, 3), SET_BYTES(err, "e"),
};

static Berth__V1__DispatcherSet dispatcher_set = {
    MESSAGE(dispatcher_set),
    SET_BYTES(name, "newsletter"),
    SET(limit_kind, BERTH__V1__LIMIT_KIND__LIMIT_NUMBER),
    SET(limit_value, 5),
    SET(max_attempts, 5),
    SET(backoff_ms, 1000),
    SET(backoff_max_ms, 600000),
    SET(timeout_ms, 30000),
    SET(grace_ms, 5000),
};

static Berth__V1__DispatcherSet dispatcher_set_with_limits = {
    MESSAGE(dispatcher_set),
    SET_BYTES(name, "newsletter"),
    SET_BYTES(parent, "default"),
    SET(weight, 3),
    SET(group_limit, 2),
    SET(rate_count, 100),
    SET(rate_ms, 60000),
    SET(burst, 10),
    SET(max_queued, 1000000),
    SET(hold, 1),
    SET(on_lost, 1),
    SET(no_jitter, 1),
    SET(queue_timeout_ms, 300000),
    SET(deadline_ms, 3600000),
    SET(retention_ms, 86400000),
    SET(retention_count, 1000),
    SET_BYTES(changed_by, "alice@host-42"),
};

static Berth__V1__DispatcherPause dispatcher_pause_by_somebody = {
    MESSAGE(dispatcher_pause),
    SET_BYTES(name, "newsletter"),
    SET(is_paused, 1),
    SET_BYTES(changed_by, "alice@host-42"),
};

static Berth__V1__DispatcherPause dispatcher_pause = {
    MESSAGE(dispatcher_pause),
    SET_BYTES(name, "newsletter"),
    SET(is_paused, 1),
};

static Berth__V1__DispatcherGet dispatcher_get = {
    MESSAGE(dispatcher_get),
    SET_BYTES(name, "newsletter"),
};

static Berth__V1__Dispatcher dispatcher = {
    MESSAGE(dispatcher),
    SET_BYTES(name, "newsletter"),
    SET(limit_kind, BERTH__V1__LIMIT_KIND__LIMIT_MAX_CORES),
    SET(limit_value, 64),
    SET(effective_limit, 64),
    SET_BYTES(parent, "default"),
    SET(is_paused, 1),
    SET(running, 1),
    SET(ready, 2),
    SET(scheduled, 3),
    SET(retrying, 4),
    SET(dead, 5),
    SET(completed_total, 1000000),
    SET(oldest_ready_us, INT64_C(1763769600000000)),
    SET(max_attempts, 5),
    SET(backoff_ms, 1000),
    SET(backoff_max_ms, 600000),
    SET(timeout_ms, 30000),
    SET(grace_ms, 5000),
};

static Berth__V1__Dispatchers dispatchers = {
    MESSAGE(dispatchers),
    .n_dispatcher = 1,
    .dispatcher = (Berth__V1__Dispatcher *[]){ &dispatcher },
};

static Berth__V1__Dispatcher dispatcher_with_limits = {
    MESSAGE(dispatcher),
    SET_BYTES(name, "newsletter"),
    SET(limit_kind, BERTH__V1__LIMIT_KIND__LIMIT_NUMBER),
    SET(limit_value, 5),
    SET(max_attempts, 5),
    SET(weight, 3),
    SET(group_limit, 2),
    SET(rate_count, 100),
    SET(rate_ms, 60000),
    SET(burst, 10),
    SET(max_queued, 1000000),
    SET(hold, 1),
    SET(on_lost, 1),
    SET(no_jitter, 1),
    SET(queue_timeout_ms, 300000),
    SET(deadline_ms, 3600000),
    SET(retention_ms, 86400000),
    SET(retention_count, 1000),
    SET(changed_us, INT64_C(1763769600000000)),
    SET_BYTES(changed_by, "alice@host-42"),
};

static Berth__V1__Dispatchers dispatchers_with_limits = {
    MESSAGE(dispatchers),
    .n_dispatcher = 1,
    .dispatcher = (Berth__V1__Dispatcher *[]){ &dispatcher_with_limits },
};

static Berth__V1__Dispatcher dispatcher_with_remark = {
    MESSAGE(dispatcher),
    SET_BYTES(name, "mail"),
    SET(limit_kind, BERTH__V1__LIMIT_KIND__LIMIT_NUMBER),
    SET(limit_value, 5),
    SET(max_attempts, 5),
    SET_BYTES(remark, "what is lost is held here, because it is in 'all' above it"),
};

static Berth__V1__Dispatchers dispatchers_with_remark = {
    MESSAGE(dispatchers),
    .n_dispatcher = 1,
    .dispatcher = (Berth__V1__Dispatcher *[]){ &dispatcher_with_remark },
};

static Berth__V1__WorkerList worker_list = { MESSAGE(worker_list) };

static Berth__V1__Worker worker = {
    MESSAGE(worker),
    SET(session, ATTEMPT(7, 1)),
    SET_BYTES(name, "host-42"),
    SET_BYTES(state, "joined"),
    SET(capacity, 256),
    SET(running, 3),
    SET(cores, 8),
    NAMES(handlers, BYTES("exec"), BYTES("mail")),
    SET_BYTES(software, "berth-worker 0.1.0"),
    SET(silent_ms, 1200),
    SET(lease_left_ms, 8800),
};

static Berth__V1__Workers workers = {
    MESSAGE(workers),
    .n_worker = 1,
    .worker = (Berth__V1__Worker *[]){ &worker },
};

static Berth__V1__Worker worker_lost = {
    MESSAGE(worker),
    SET(session, ATTEMPT(7, 1)),
    SET_BYTES(name, "host-42"),
    SET_BYTES(state, "lost"),
    SET(running, 2),
    SET(silent_ms, 72000),
    SET(held, 2),
};

static Berth__V1__Workers workers_lost = {
    MESSAGE(workers),
    .n_worker = 1,
    .worker = (Berth__V1__Worker *[]){ &worker_lost },
};

static Berth__V1__Worker worker_with_parents = {
    MESSAGE(worker),
    SET(session, ATTEMPT(7, 1)),
    SET_BYTES(name, "host-42"),
    SET_BYTES(state, "joined"),
    SET(capacity, 2),
    SET(running, 2),
    SET(cores, 8),
    NAMES(handlers, BYTES("mail")),
    SET(suspended, 50),
};

static Berth__V1__Workers workers_with_parents = {
    MESSAGE(workers),
    .n_worker = 1,
    .worker = (Berth__V1__Worker *[]){ &worker_with_parents },
};

static Berth__V1__WorkerDeclareGone worker_declare_gone = {
    MESSAGE(worker_declare_gone),
    SET_BYTES(name, "host-42"),
};

static Berth__V1__BrokerStatusGet broker_status_get = { MESSAGE(broker_status_get) };

static Berth__V1__BrokerStatus broker_status = {
    MESSAGE(broker_status),
    SET_BYTES(software, "berthd 0.1.0"),
    SET(epoch, 8),
    SET(uptime_ms, 3600000),
    SET(recovering, 1),
    SET(recovery_left_ms, 7000),
    SET(scheduled, 1),
    SET(ready, 2),
    SET(running, 3),
    SET(cancelling, 4),
    SET(retrying, 5),
    SET(completed, 100000),
    SET(dead, 6),
    SET(cancelled, 7),
    SET(wal_bytes, 4194304),
    SET(stale_reports, 8),
    SET(workers, 9),
};

/* A second sample of a message has a name of its own. */
#define SAMPLE_OF(name_, case_, field, sample, side_, request_)                                    \
    {                                                                                              \
        (name_), (side_),                                                                          \
        {                                                                                          \
            .base = PROTOBUF_C_MESSAGE_INIT(&berth__v1__envelope__descriptor), SET(version, 1),    \
            .has_request = (request_) != 0, .request = (request_), .message_case = (case_),        \
            .field = &(sample)                                                                     \
        }                                                                                          \
    }
#define SAMPLE(case_, member, side, request_)                                                      \
    SAMPLE_OF(#member, BERTH__V1__ENVELOPE__MESSAGE_##case_, member, member, BERTH_SIDE_##side,    \
              request_)

const struct sample samples[] = {
    SAMPLE(ERROR, error, CLIENT, 77),
    SAMPLE(CLIENT_HELLO, client_hello, BROKER, 1),
    SAMPLE(CLIENT_WELCOME, client_welcome, CLIENT, 1),
    SAMPLE(SUBMIT, submit, BROKER, 77),
    SAMPLE_OF("submit_with_options", BERTH__V1__ENVELOPE__MESSAGE_SUBMIT, submit,
              submit_with_options, BERTH_SIDE_BROKER, 77),
    SAMPLE(SUBMITTED, submitted, CLIENT, 77),
    SAMPLE(JOB_WAIT, job_wait, BROKER, 77),
    SAMPLE(JOB_WAITED, job_waited, CLIENT, 77),
    SAMPLE(JOB_CANCEL, job_cancel, BROKER, 77),
    SAMPLE_OF("job_cancel_forced", BERTH__V1__ENVELOPE__MESSAGE_JOB_CANCEL, job_cancel,
              job_cancel_forced, BERTH_SIDE_BROKER, 77),
    SAMPLE(JOB_CANCELLED, job_cancelled, CLIENT, 77),
    SAMPLE(JOB_RETRY, job_retry, BROKER, 77),
    SAMPLE(JOB_DISCARD, job_discard, BROKER, 77),
    SAMPLE(JOB_CHANGED, job_changed, CLIENT, 77),
    SAMPLE(DISPATCHER_PURGE, dispatcher_purge, BROKER, 77),
    SAMPLE(DISPATCHER_PURGED, dispatcher_purged, CLIENT, 77),
    SAMPLE(DISPATCHER_REMOVE, dispatcher_remove, BROKER, 77),
    SAMPLE(DISPATCHER_REMOVED, dispatcher_removed, CLIENT, 77),
    SAMPLE_OF("explain", BERTH__V1__ENVELOPE__MESSAGE_EXPLAIN, explain, sample_explain,
              BERTH_SIDE_BROKER, 77),
    SAMPLE_OF("explain_dispatcher", BERTH__V1__ENVELOPE__MESSAGE_EXPLAIN, explain,
              sample_explain_dispatcher, BERTH_SIDE_BROKER, 77),
    SAMPLE_OF("explained", BERTH__V1__ENVELOPE__MESSAGE_EXPLAINED, explained, sample_explained,
              BERTH_SIDE_CLIENT, 77),
    SAMPLE(JOB_GET, job_get, BROKER, 77),
    SAMPLE(JOB_LIST, job_list, BROKER, 77),
    SAMPLE_OF("job_list_with_bodies", BERTH__V1__ENVELOPE__MESSAGE_JOB_LIST, job_list,
              job_list_with_bodies, BERTH_SIDE_BROKER, 77),
    SAMPLE(JOBS, jobs, CLIENT, 77),
    SAMPLE_OF("jobs_with_options", BERTH__V1__ENVELOPE__MESSAGE_JOBS, jobs, jobs_with_options,
              BERTH_SIDE_CLIENT, 77),
    SAMPLE_OF("jobs_with_progress", BERTH__V1__ENVELOPE__MESSAGE_JOBS, jobs, jobs_with_progress,
              BERTH_SIDE_CLIENT, 77),
    SAMPLE(JOB_OUTPUT_GET, job_output_get, BROKER, 77),
    SAMPLE(JOB_OUTPUT, job_output, CLIENT, 77),
    SAMPLE(WORKER_HELLO, worker_hello, BROKER, 0),
    SAMPLE_OF("worker_hello_alone", BERTH__V1__ENVELOPE__MESSAGE_WORKER_HELLO, worker_hello,
              worker_hello_alone, BERTH_SIDE_BROKER, 0),
    SAMPLE_OF("worker_hello_with_parents", BERTH__V1__ENVELOPE__MESSAGE_WORKER_HELLO, worker_hello,
              worker_hello_with_parents, BERTH_SIDE_BROKER, 0),
    SAMPLE(WORKER_WELCOME, worker_welcome, WORKER, 0),
    SAMPLE(WORKER_JOIN, worker_join, BROKER, 0),
    SAMPLE_OF("worker_join_with_keeper", BERTH__V1__ENVELOPE__MESSAGE_WORKER_JOIN, worker_join,
              worker_join_with_keeper, BERTH_SIDE_BROKER, 0),
    SAMPLE_OF("worker_join_with_parents", BERTH__V1__ENVELOPE__MESSAGE_WORKER_JOIN, worker_join,
              worker_join_with_parents, BERTH_SIDE_BROKER, 0),
    SAMPLE(WORKER_JOINED, worker_joined, WORKER, 0),
    SAMPLE(WORKER_RENEW, worker_renew, BROKER, 0),
    SAMPLE(WORKER_RENEWED, worker_renewed, WORKER, 0),
    SAMPLE(WORKER_EPOCH, worker_epoch, WORKER, 0),
    SAMPLE(WORKER_FENCED, worker_fenced, WORKER, 0),
    SAMPLE(WORKER_ORDERS, worker_orders, WORKER, 0),
    SAMPLE_OF("worker_orders_with_force", BERTH__V1__ENVELOPE__MESSAGE_WORKER_ORDERS, worker_orders,
              worker_orders_with_force, BERTH_SIDE_WORKER, 0),
    SAMPLE_OF("worker_orders_with_deadline", BERTH__V1__ENVELOPE__MESSAGE_WORKER_ORDERS,
              worker_orders, worker_orders_with_deadline, BERTH_SIDE_WORKER, 0),
    SAMPLE_OF("worker_orders_with_alone", BERTH__V1__ENVELOPE__MESSAGE_WORKER_ORDERS, worker_orders,
              worker_orders_with_alone, BERTH_SIDE_WORKER, 0),
    SAMPLE(WORKER_REPORTS, worker_reports, BROKER, 0),
    SAMPLE_OF("worker_reports_with_shows", BERTH__V1__ENVELOPE__MESSAGE_WORKER_REPORTS,
              worker_reports, worker_reports_with_shows, BERTH_SIDE_BROKER, 0),
    SAMPLE_OF("worker_join_with_suspensions", BERTH__V1__ENVELOPE__MESSAGE_WORKER_JOIN, worker_join,
              worker_join_with_suspensions, BERTH_SIDE_BROKER, 0),
    SAMPLE_OF("worker_reports_with_scopes", BERTH__V1__ENVELOPE__MESSAGE_WORKER_REPORTS,
              worker_reports, worker_reports_with_scopes, BERTH_SIDE_BROKER, 0),
    SAMPLE_OF("worker_orders_with_scopes", BERTH__V1__ENVELOPE__MESSAGE_WORKER_ORDERS,
              worker_orders, worker_orders_with_scopes, BERTH_SIDE_WORKER, 0),
    SAMPLE(WORKER_GONE, worker_gone, BROKER, 0),
    SAMPLE(WORKER_GONE_OK, worker_gone_ok, WORKER, 0),
    SAMPLE(DISPATCHER_SET, dispatcher_set, BROKER, 77),
    SAMPLE_OF("dispatcher_set_with_limits", BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_SET,
              dispatcher_set, dispatcher_set_with_limits, BERTH_SIDE_BROKER, 77),
    SAMPLE(DISPATCHER_PAUSE, dispatcher_pause, BROKER, 77),
    SAMPLE_OF("dispatcher_pause_by_somebody", BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PAUSE,
              dispatcher_pause, dispatcher_pause_by_somebody, BERTH_SIDE_BROKER, 77),
    SAMPLE(DISPATCHER_GET, dispatcher_get, BROKER, 77),
    SAMPLE(DISPATCHERS, dispatchers, CLIENT, 77),
    SAMPLE_OF("dispatchers_with_limits", BERTH__V1__ENVELOPE__MESSAGE_DISPATCHERS, dispatchers,
              dispatchers_with_limits, BERTH_SIDE_CLIENT, 77),
    SAMPLE_OF("dispatchers_with_remark", BERTH__V1__ENVELOPE__MESSAGE_DISPATCHERS, dispatchers,
              dispatchers_with_remark, BERTH_SIDE_CLIENT, 77),
    SAMPLE(WORKER_LIST, worker_list, BROKER, 77),
    SAMPLE(WORKERS, workers, CLIENT, 77),
    SAMPLE_OF("workers_lost", BERTH__V1__ENVELOPE__MESSAGE_WORKERS, workers, workers_lost,
              BERTH_SIDE_CLIENT, 77),
    SAMPLE_OF("workers_with_parents", BERTH__V1__ENVELOPE__MESSAGE_WORKERS, workers,
              workers_with_parents, BERTH_SIDE_CLIENT, 77),
    SAMPLE(WORKER_DECLARE_GONE, worker_declare_gone, BROKER, 77),
    SAMPLE(BROKER_STATUS_GET, broker_status_get, BROKER, 77),
    SAMPLE(BROKER_STATUS, broker_status, CLIENT, UINT64_MAX),
    SAMPLE_OF("schedule_set", BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_SET, schedule_set,
              sample_schedule_set, BERTH_SIDE_BROKER, 77),
    SAMPLE_OF("schedule_pause", BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_PAUSE, schedule_pause,
              sample_schedule_pause, BERTH_SIDE_BROKER, 77),
    SAMPLE_OF("schedule_remove", BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_REMOVE, schedule_remove,
              sample_schedule_remove, BERTH_SIDE_BROKER, 77),
    SAMPLE_OF("schedule_list", BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_LIST, schedule_list,
              sample_schedule_list, BERTH_SIDE_BROKER, 77),
    SAMPLE_OF("schedules", BERTH__V1__ENVELOPE__MESSAGE_SCHEDULES, schedules, sample_schedules,
              BERTH_SIDE_CLIENT, 77),
};
const size_t sample_count = sizeof samples / sizeof *samples;

const struct sample *sample_get(const char *name)
{
    for (size_t i = 0; i < sample_count; i++)
        if (strcmp(samples[i].name, name) == 0)
            return &samples[i];
    BERTH_UNREACHABLE();
}

const struct berth_body sample_body = {
    .argv = (const char *const[]){ "send-mail", "--to", "alice", "", NULL },
    .argv_count = 4,
    .payload = { "stdin\0bytes", 11 },
    .context = (const struct berth_field[]){ { "traceparent", "00-4bf9-01" },
                                             { "tenant", "caf\xc3\xa9" } },
    .context_count = 2,
};

const struct berth_result sample_result = {
    .has_exit_code = true,
    .exit_code = 137,
    .out = { "out\xff", 4 },
    .err = { "err", 3 },
    .out_truncated = true,
    .err_truncated = true,
    .payload = { "done", 4 },
};

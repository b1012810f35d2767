/* SPDX-License-Identifier: MIT
 *
 * Which side receives which message, and under which request number. The fields are in rules_*.c.
 */
#include "proto/validate.h"

#include <inttypes.h>

#include "base/assert.h"
#include "proto/rules.h"
#include "proto/wire.h"

#define BIT(side) (1u << (side))

/* The number that ties an answer to its request. */
enum request_rule {
    REQUEST_OF_CLIENT = 1, /* needed: not 0 */
    REQUEST_NONE,          /* between worker and broker: 0 */
    REQUEST_EITHER,        /* an Error answers both, and also frames that could not be read */
};

struct message_row {
    uint32_t message_case;
    unsigned receivers;
    enum request_rule request;
    const struct berth_rules *rules;
};

#define ROW(name, receivers_, request_, table)                                                     \
    {                                                                                              \
        BERTH__V1__ENVELOPE__MESSAGE_##name, (receivers_), (request_), &berth_rules_##table        \
    }
#define ASKED(name, table)     ROW(name, BIT(BERTH_SIDE_BROKER), REQUEST_OF_CLIENT, table)
#define ANSWERED(name, table)  ROW(name, BIT(BERTH_SIDE_CLIENT), REQUEST_OF_CLIENT, table)
#define TO_BROKER(name, table) ROW(name, BIT(BERTH_SIDE_BROKER), REQUEST_NONE, table)
#define TO_WORKER(name, table) ROW(name, BIT(BERTH_SIDE_WORKER), REQUEST_NONE, table)

static const struct message_row message_rows[] = {
    ROW(ERROR, BIT(BERTH_SIDE_CLIENT) | BIT(BERTH_SIDE_WORKER), REQUEST_EITHER, error),
    ASKED(CLIENT_HELLO, client_hello),
    ANSWERED(CLIENT_WELCOME, client_welcome),
    ASKED(SUBMIT, submit),
    ANSWERED(SUBMITTED, submitted),
    ASKED(JOB_WAIT, job_wait),
    ANSWERED(JOB_WAITED, job_waited),
    ASKED(JOB_CANCEL, job_cancel),
    ANSWERED(JOB_CANCELLED, job_cancelled),
    ASKED(JOB_RETRY, job_retry),
    ASKED(JOB_DISCARD, job_discard),
    ANSWERED(JOB_CHANGED, job_changed),
    ASKED(JOB_GET, job_get),
    ASKED(JOB_LIST, job_list),
    ANSWERED(JOBS, jobs),
    ASKED(JOB_OUTPUT_GET, job_output_get),
    ANSWERED(JOB_OUTPUT, job_output),
    TO_BROKER(WORKER_HELLO, worker_hello),
    TO_WORKER(WORKER_WELCOME, worker_welcome),
    TO_BROKER(WORKER_JOIN, worker_join),
    TO_WORKER(WORKER_JOINED, worker_joined),
    TO_BROKER(WORKER_RENEW, worker_renew),
    TO_WORKER(WORKER_RENEWED, worker_renewed),
    TO_WORKER(WORKER_EPOCH, worker_epoch),
    TO_WORKER(WORKER_FENCED, worker_fenced),
    TO_WORKER(WORKER_ORDERS, worker_orders),
    TO_BROKER(WORKER_REPORTS, worker_reports),
    TO_BROKER(WORKER_GONE, worker_gone),
    TO_WORKER(WORKER_GONE_OK, worker_gone_ok),
    ASKED(DISPATCHER_SET, dispatcher_set),
    ASKED(DISPATCHER_PAUSE, dispatcher_pause),
    ASKED(DISPATCHER_GET, dispatcher_get),
    ASKED(DISPATCHER_PURGE, dispatcher_purge),
    ANSWERED(DISPATCHER_PURGED, dispatcher_purged),
    ASKED(EXPLAIN, explain),
    ANSWERED(EXPLAINED, explained),
    ASKED(DISPATCHER_REMOVE, dispatcher_remove),
    ANSWERED(DISPATCHER_REMOVED, dispatcher_removed),
    ANSWERED(DISPATCHERS, dispatchers),
    ASKED(WORKER_LIST, worker_list),
    ANSWERED(WORKERS, workers),
    ASKED(WORKER_DECLARE_GONE, worker_declare_gone),
    ASKED(BROKER_STATUS_GET, broker_status_get),
    ANSWERED(BROKER_STATUS, broker_status),
    ASKED(SCHEDULE_SET, schedule_set),
    ASKED(SCHEDULE_PAUSE, schedule_pause),
    ASKED(SCHEDULE_REMOVE, schedule_remove),
    ASKED(SCHEDULE_LIST, schedule_list),
    ANSWERED(SCHEDULES, schedules),
};

static const struct message_row *row_find(uint32_t message_case)
{
    for (size_t i = 0; i < sizeof message_rows / sizeof *message_rows; i++)
        if (message_rows[i].message_case == message_case)
            return &message_rows[i];
    return NULL;
}

const struct berth_rules *berth_rules_find(uint32_t message_case)
{
    const struct message_row *row = row_find(message_case);
    return row ? row->rules : NULL;
}

static const char *side_name(enum berth_side side)
{
    switch (side) {
    case BERTH_SIDE_BROKER: return "broker";
    case BERTH_SIDE_WORKER: return "worker";
    case BERTH_SIDE_CLIENT: return "client";
    }
    BERTH_UNREACHABLE();
}

static int request_check(const struct message_row *row, uint64_t request,
                         struct berth_checker *checker)
{
    if (row->request == REQUEST_OF_CLIENT && request == 0)
        return RULE_FAIL(checker, "request", BERTH_EPROTO,
                         "request is missing: allowed is 1 to %" PRIu64, UINT64_MAX);
    if (row->request == REQUEST_NONE && request != 0)
        return RULE_FAIL(checker, "request", BERTH_EPROTO,
                         "request %" PRIu64 ": allowed is 0 between worker and broker", request);
    return 0;
}

static int envelope_check(const Berth__V1__Envelope *envelope, enum berth_side receiver,
                          struct berth_checker *checker)
{
    const struct message_row *row = row_find((uint32_t)envelope->message_case);
    if (!row || !(row->receivers & BIT(receiver)))
        return berth_fail(checker->err, BERTH_EPROTO, "%s: a %s never gets this message",
                          berth_wire_name(envelope), side_name(receiver));
    int rc = request_check(row, envelope->request, checker);
    if (rc < 0)
        return rc;
    /* Every member of the union is a pointer to a message, and a message begins with its base. */
    return berth_rules_check(row->rules, &envelope->error->base, checker);
}

int berth_validate(const Berth__V1__Envelope *envelope, enum berth_side receiver,
                   struct berth_error *err, const char **ret_field)
{
    struct berth_checker checker = { .err = err };
    int rc = envelope_check(envelope, receiver, &checker);
    if (rc < 0 && ret_field)
        *ret_field = checker.field;
    return rc;
}

/* SPDX-License-Identifier: MIT
 *
 * The rules of the fields as tables, one rule for each field of a message, in the order of the
 * numbers. Private to proto/. rules.c walks a message and its table side by side; a field without a
 * rule is a bug that a test finds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <protobuf-c/protobuf-c.h>

#include "proto/limits.h"

enum rule_kind {
    RULE_ANY = 0, /* every value is fine */
    RULE_NUMBER,  /* min .. max; in a column: each */
    RULE_INDEX,   /* a column of indices into the table `of` */
    RULE_INDEX1,  /* the same counted from 1; 0 is none */
    RULE_LENGTHS, /* a column of lengths, each 0 .. max, of what is joined in the bytes `of` */
    RULE_BLOB,    /* the bytes that a column of lengths describes: checked there */
    RULE_ID,      /* exactly BERTH_ID_BYTES bytes */
    RULE_NAME,    /* a name of at most `max` bytes */
    RULE_KEY,     /* 1 to 255 bytes of UTF-8 */
    RULE_TEXT,    /* at most `max` bytes of UTF-8 */
    RULE_BYTES,   /* at most `max` bytes of anything */
    RULE_NAMES,   /* a table: at most `count_max` names, each of at most `max` bytes */
    RULE_LIST,    /* repeated bytes beside other columns, each at most `max` bytes */
    RULE_ROWS,    /* at most `count_max` sub-messages, with the rules `inside` */
    RULE_PART,    /* one sub-message with columns beside the column `leader` of this one */
    RULE_INNER,   /* in a row: one sub-message, which must be there, with the rules `inside` */
};

/* A field that is absent is 0, or empty. */
enum rule_presence {
    RULE_NEEDED = 0, /* absent must be allowed as 0, else it is missing */
    RULE_IF_SET,     /* checked when it is there */
    RULE_UNLESS_0,   /* absent, 0 and empty are fine, too */
};

struct berth_rules;

struct berth_rule {
    uint32_t number;
    const char *name; /* as in the .proto, so that a table cannot slip */
    enum rule_kind kind;
    enum rule_presence presence;
    int64_t min;
    uint64_t max;
    /* Columns and tables. */
    uint32_t leader; /* the number of the column that says how many; its own: it is the one; 0:
                        outside */
    uint32_t of;     /* the number of the table or of the joined bytes */
    size_t count_min, count_max; /* of a leader, a table, rows */
    const char *thing;           /* of a leader or of rows: what it is a column of, "job" */
    const struct berth_rules *inside;
};

/* While a message is checked. */
struct berth_checker {
    struct berth_error *err;
    const char *field; /* at fault */
};

struct berth_rules {
    const ProtobufCMessageDescriptor *descriptor;
    const struct berth_rule *rules;
    size_t count;
    /* What no single field says; called when all fields are right. */
    int (*check)(struct berth_checker *checker, const ProtobufCMessage *message);
};

/* Fails with a field. */
#define RULE_FAIL(checker, name, code, ...)                                                        \
    ((checker)->field = (name), berth_fail((checker)->err, (code), __VA_ARGS__))

/* 0, BERTH_EPROTO or -EMSGSIZE. */
int berth_rules_check(const struct berth_rules *rules, const ProtobufCMessage *message,
                      struct berth_checker *checker);

/* The n values are all different: 0 or BERTH_EPROTO. O(n) if they ascend, else O(n log n) with
 * memory for a copy. */
int berth_rules_check_unique(struct berth_checker *checker, const char *field,
                             const uint64_t *values, size_t count);

/* The tables. */
extern const struct berth_rules berth_rules_error, berth_rules_client_hello,
    berth_rules_client_welcome, berth_rules_submit, berth_rules_submitted, berth_rules_job_wait,
    berth_rules_job_waited, berth_rules_job_cancel, berth_rules_job_cancelled, berth_rules_job_get,
    berth_rules_job_retry, berth_rules_job_discard, berth_rules_job_changed, berth_rules_job_list,
    berth_rules_jobs, berth_rules_job_output_get, berth_rules_job_output;
extern const struct berth_rules berth_rules_worker_hello, berth_rules_worker_welcome,
    berth_rules_worker_join, berth_rules_worker_joined, berth_rules_worker_renew,
    berth_rules_worker_renewed, berth_rules_worker_epoch, berth_rules_worker_fenced,
    berth_rules_worker_orders, berth_rules_worker_reports, berth_rules_worker_gone,
    berth_rules_worker_gone_ok;
/* Those that stand in others. */
extern const struct berth_rules berth_rules_child_jobs, berth_rules_child_submit,
    berth_rules_child_submitted;
extern const struct berth_rules berth_rules_dispatcher_set, berth_rules_dispatcher_pause,
    berth_rules_dispatcher_get, berth_rules_dispatcher_purge, berth_rules_dispatcher_purged,
    berth_rules_explain, berth_rules_explained, berth_rules_dispatcher_remove,
    berth_rules_dispatcher_removed, berth_rules_dispatchers, berth_rules_worker_list,
    berth_rules_workers, berth_rules_worker_declare_gone, berth_rules_broker_status_get,
    berth_rules_broker_status;

extern const struct berth_rules berth_rules_schedule_set, berth_rules_schedule_pause,
    berth_rules_schedule_remove, berth_rules_schedule_list, berth_rules_schedules;

/* The rules of the message that an Envelope holds under this number, or NULL. */
const struct berth_rules *berth_rules_find(uint32_t message_case);

/* One rule: number and name of the field, its kind, and the members that this kind reads. */
#define RULE(number_, name_, kind_, ...)                                                           \
    {                                                                                              \
        .number = (number_), .name = #name_, .kind = RULE_##kind_, __VA_ARGS__                     \
    }

#define RULES(descriptor_, table, ...)                                                             \
    {                                                                                              \
        .descriptor = &(descriptor_), .rules = (table), .count = sizeof(table) / sizeof *(table),  \
        __VA_ARGS__                                                                                \
    }

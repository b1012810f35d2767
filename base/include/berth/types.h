/* SPDX-License-Identifier: MIT
 *
 * The small types that every public header shares. Public and stable; no function, nothing to own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BERTH_PRINTF(format_index, first_index)                                                    \
    __attribute__((format(printf, format_index, first_index)))

/* Ids are structs with one member, so that the compiler refuses to swap them. 0 is no id. */
typedef struct {
    uint64_t v;
} berth_job_id;

/* One try at a job: a fencing token, never used twice. */
typedef struct {
    uint64_t v;
} berth_attempt_id;

/* One registration of a worker with a broker. */
typedef struct {
    uint64_t v;
} berth_session_id;

/* Bytes that somebody else owns. `data` may be NULL if `bytes` is 0. */
struct berth_slice {
    const void *data;
    size_t bytes;
};

/* One entry of a job's context. */
struct berth_field {
    const char *key, *value;
};

/* The states of a job, as every front door shows them. */
enum berth_state {
    BERTH_SCHEDULED = 1, /* waits for its time */
    BERTH_READY,         /* may start as soon as there is room */
    BERTH_RUNNING,       /* an attempt holds a lease */
    BERTH_SUSPENDED,     /* runs, but waits and has given its slot back */
    BERTH_CANCELLING,    /* was told to stop and has not ended yet */
    BERTH_RETRYING,      /* failed and waits for its next attempt */
    BERTH_COMPLETED,     /* ended well */
    BERTH_DEAD,          /* failed for good */
    BERTH_CANCELLED,     /* ended because somebody asked for it */
};

/* How many at once. */
enum berth_limit_kind {
    BERTH_LIMIT_NUMBER = 1, /* value; 0 pauses */
    BERTH_LIMIT_UNLIMITED,
    BERTH_LIMIT_CORES,     /* the sum over joined workers, at least 2 */
    BERTH_LIMIT_MAX_CORES, /* max(value, cores) */
};

struct berth_limit {
    enum berth_limit_kind kind;
    uint32_t value;
};

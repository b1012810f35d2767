/* SPDX-License-Identifier: MIT
 *
 * A broker for tests: a ROUTER socket in a thread of its own, which answers as a broker would, from
 * a few tables, unless a script says otherwise. It keeps its tables over a stop and a start.
 *
 * Any thread may call; what goes wrong inside stops the test program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/types.h>

#define FAKE_JOBS_MAX        12000
#define FAKE_DISPATCHERS_MAX 16
#define FAKE_SCRIPT_MAX      32
#define FAKE_SEEN_MAX        256 /* frames kept of each kind */
#define FAKE_AFTER_MAX       4

enum fake_message {
    FAKE_ANY = 0,
    FAKE_HELLO,
    FAKE_SUBMIT,
    FAKE_WAIT,
    FAKE_CANCEL,
    FAKE_RETRY,
    FAKE_DISCARD,
    FAKE_GET,
    FAKE_LIST,
    FAKE_OUTPUT,
    FAKE_DISPATCHER_SET,
    FAKE_DISPATCHER_PAUSE,
    FAKE_DISPATCHER_GET,
    FAKE_PURGE,
    FAKE_REMOVE,
    FAKE_SCHEDULE_LIST,
    FAKE_SCHEDULE_REMOVE, /* it knows none: "done", unless a script says otherwise */
    FAKE_EXPLAIN,
    FAKE_WORKERS,
    FAKE_WORKER_GONE,
    FAKE_STATUS,
    FAKE_MESSAGES,
};

enum fake_action {
    FAKE_DROP = 1,  /* takes no notice */
    FAKE_SWALLOW,   /* does it, and the answer is lost */
    FAKE_GARBAGE,   /* answers with bytes that are nothing */
    FAKE_TRUNCATE,  /* answers with half of the answer */
    FAKE_OTHER,     /* answers with a ClientWelcome */
    FAKE_NO_ENDS,   /* answers with a JobWaited that says that all is over, and names nothing */
    FAKE_ERROR,     /* answers with an Error */
    FAKE_VERSION,   /* answers with an Error that says it speaks 2 and 3 */
    FAKE_VERSION_2, /* the same, in an envelope of version 2 */
};

struct fake_broker;

/* Listens on a free port of 127.0.0.1. */
struct fake_broker *fake_broker_new(void);
void fake_broker_free(struct fake_broker *broker);
const char *fake_broker_url(const struct fake_broker *broker);

/* As kill -9 and a new start, at the same place. A broker that stops forgets who waits. */
void fake_broker_stop(struct fake_broker *broker);
void fake_broker_start(struct fake_broker *broker);

/* The next `times` messages of this kind are treated so. `rc` (ours) and `text` are for FAKE_ERROR.
 */
void fake_broker_next(struct fake_broker *broker, enum fake_message message,
                      enum fake_action action, unsigned times);
void fake_broker_next_error(struct fake_broker *broker, enum fake_message message, int rc,
                            const char *text, unsigned times);

/* The state that a submitted job has from now on: BERTH_READY at first. */
void fake_broker_submit_as(struct fake_broker *broker, enum berth_state state);

/* Job `id`, which must be there, goes into this state, and who waits for it is told. */
void fake_broker_move(struct fake_broker *broker, uint64_t id, enum berth_state state);

/* Gives a job all the members that an attempt leaves behind; `out` and `err` as its output. */
void fake_broker_report(struct fake_broker *broker, uint64_t id, enum berth_state state,
                        int32_t exit_code, struct berth_slice out, struct berth_slice err,
                        const char *error_kind, const char *error_message);

/* The job runs, and the broker has this of its output, which it gives each time, whatever is known.
 * What it leaves (fake_broker_report) begins at the same places. */
void fake_broker_write(struct fake_broker *broker, uint64_t id, uint32_t attempt, uint64_t out_from,
                       const char *out, uint64_t err_from, const char *err);

/* How many messages of this kind have come, dropped ones too. */
size_t fake_broker_seen(struct fake_broker *broker, enum fake_message message);

/* Of which kind the first one was; FAKE_ANY: there was none yet. */
enum fake_message fake_broker_first(struct fake_broker *broker);

/* Waits until `count` of them have come; false: not within `timeout_ms`. */
bool fake_broker_await(struct fake_broker *broker, enum fake_message message, size_t count,
                       int64_t timeout_ms);

/* The frame of the n-th of them, from 0; borrowed until the broker is freed. */
struct berth_slice fake_broker_frame(struct fake_broker *broker, enum fake_message message,
                                     size_t n);

/* How many jobs there are, and about one of them (from 1). */
size_t fake_broker_jobs(struct fake_broker *broker);
struct fake_job {
    uint64_t id;
    enum berth_state state;
    char dispatcher[65], handler[65];
    char key[256];
    char error_kind[33], error_message[128];
    uint32_t max_attempts;
    int32_t priority;
    uint64_t timeout_ms;
    char group[256], unique[256];
    uint64_t delay_ms, run_at_us, queue_timeout_ms, deadline_ms, backoff_ms, backoff_max_ms;
    uint32_t on_conflict;
    uint64_t after[FAKE_AFTER_MAX]; /* the first of them */
    size_t after_count;
    uint32_t attempt;
    uint64_t out_from, err_from;
    char out[128], err[128];
    struct berth_slice body, result; /* packed; owned by the broker */
};
struct fake_job fake_broker_job(struct fake_broker *broker, uint64_t id);

/* How many different submits were done, however often each came. */
size_t fake_broker_submits(struct fake_broker *broker);

/* How many different connections were seen. */
size_t fake_broker_peers(struct fake_broker *broker);

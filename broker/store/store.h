/* SPDX-License-Identifier: MIT */
/* Durability behind one interface. Every backend passes the contract suite of tests/store.
 *
 * 1. A batch is atomic and durable before its completion says STORED. Batches are applied in the
 * order of submit.
 * 2. A store belongs to the newest epoch: `open` returns one greater than any before, and a batch
 * of an older epoch is FENCED, without effect.
 * 3. Asynchronous: `submit` and `read` never block on the disk; `reap` gives completions in the
 * order of submission.
 * 4. What `load` visits after a crash is exactly what the STORED batches say, plus whole batches
 * whose completion had not been reaped yet; never part of a batch.
 * 5. FULL means: nothing of the batch was written, and the store can go on. UNKNOWN means: written
 * or not, and this open store takes nothing more; the process starts anew and the file decides.
 *
 * One thread uses a store; the backend's own thread is its secret. Never includes anything of
 * broker/net or proto.
 */
#pragma once

#include <berth/error.h>

#include "broker/core/record.h"

struct berth_store;

#define BERTH_STORE_READ_JOBS_MAX  1000        /* of a page */
#define BERTH_STORE_READ_IDS_MAX   10000       /* asked for by id */
#define BERTH_STORE_READ_BYTES_MAX (16u << 20) /* of bodies and results in one answer */
#define BERTH_STORE_LIST_BYTES_MAX (4u << 20)  /* the same in one page of a list */
#define BERTH_STORE_READ_ROWS_MAX  20000       /* looked at for one page of a list */
#define BERTH_STORE_READS_MAX      64          /* under way at a time */

/* How long ended jobs are kept: the smaller of both, per dispatcher, but never less than a request
 * key's window. */
#define BERTH_STORE_HISTORY_US    (INT64_C(7) * 24 * 3600 * 1000000)
#define BERTH_STORE_HISTORY_COUNT 100000

struct berth_store_opts {
    const char *dir;  /* data directory; the memory backend ignores it */
    uint64_t lineage; /* random, stored with the new epoch: two brokers of one epoch are told apart
                         by it */
    int64_t wall_us;  /* now */
    uint64_t bytes_max; /* bound of the database file, 0: none; the reserve for ends and cancels
                           lies beyond it */
};

struct berth_store_info {
    uint64_t epoch;       /* 1 .. 2^24 - 1 */
    uint8_t cluster[16];  /* random, drawn when the store was made */
    uint64_t next_job_id; /* greater than every id that was ever stored */
    uint32_t next_dispatcher_id;
    uint32_t next_schedule_id; /* as next_job_id */
};

/* Called by load: dispatchers, then sessions, then schedules, then live jobs in order of id (of
 * `last` the id alone: the rest is shown, by a read, and not decided with), then keys of ended jobs
 * that can still come again (job.id, job.dispatcher, job.key, and of a child job.parent only; 0:
 * not known), in order of id. That of a child can if it completed, and its parent lives or may be
 * retried. What a callback returns negative ends the load with that code. */
struct berth_store_visitor {
    void *arg;
    int (*dispatcher)(void *arg, const struct berth_dispatcher_record *record);
    int (*session)(void *arg, const struct berth_session_record *record);
    int (*schedule)(void *arg, const struct berth_schedule_record *record,
                    const struct berth_schedule_done_record *done);
    int (*job)(void *arg, const struct berth_job_record *record);
    int (*ended_key)(void *arg, const struct berth_job_record *record);
    uint64_t body_bytes_budget; /* bodies are handed over until so many bytes were; after that data
                                   is NULL */
};

enum berth_read_type {
    BERTH_READ_JOBS = 1, /* by id, live or ended, with bodies and results */
    BERTH_READ_LIST,     /* a page, in order of id; bodies and results only if asked for */
    BERTH_READ_COUNTS,   /* ended jobs per dispatcher */
};

enum berth_read_scope { BERTH_SCOPE_ALL = 0, BERTH_SCOPE_LIVE, BERTH_SCOPE_ENDED };

struct berth_read {
    uint64_t number; /* the caller's, repeated in the completion */
    enum berth_read_type type;
    const uint64_t *ids; /* JOBS: copied by read(); at most BERTH_STORE_READ_IDS_MAX */
    size_t id_count;
    enum berth_read_scope scope; /* LIST, and all below */
    enum berth_state state;      /* of ended jobs: only these; 0: all */
    uint32_t dispatcher;         /* 0: all */
    uint64_t after; /* beyond this id, in the direction of the order; 0: from the start */
    bool is_newest_first;
    bool with_bodies; /* and results; the page ends with the job that reaches
                         BERTH_STORE_LIST_BYTES_MAX of them */
    size_t count_max; /* 1 .. BERTH_STORE_READ_JOBS_MAX */
};

struct berth_ended_count {
    uint32_t dispatcher;
    uint64_t completed, dead, cancelled; /* kept in the history */
    uint64_t completed_total;            /* ever */
};

enum berth_store_result {
    BERTH_STORED = 1,
    BERTH_STORE_FULL,
    BERTH_STORE_UNKNOWN,
    BERTH_STORE_FENCED
};

struct berth_completion {
    struct berth_batch *batch;           /* of a submit: handed back; NULL: of a read */
    enum berth_store_result result;      /* of a read: STORED, or UNKNOWN if it failed */
    uint64_t number;                     /* of a read, and all below: valid until the next reap */
    const struct berth_job_record *jobs; /* in the order asked for; unknown ids are left out */
    size_t job_count;
    /* LIST: there may be further rows; ask again with `after` = `next`. A page may be short, even
     * empty, with more to come: a read looks at no more than BERTH_STORE_READ_ROWS_MAX rows, so
     * that no question holds up the batches behind it. JOBS: bodies and results were left out,
     * because they would pass BERTH_STORE_READ_BYTES_MAX (data NULL, bytes true); never those of
     * the first job. */
    bool has_more;
    uint64_t next;
    const struct berth_ended_count *counts;
    size_t count_count;
    struct berth_error error; /* code 0 when all is well */
};

struct berth_store_stats {
    uint64_t wal_bytes, file_bytes;
};

/* `backend`: "sqlite" or "mem". Blocks (a start may wait for the disk). -EBUSY with the holder's
 * pid in the message if another process has the store; BERTH_EVERSION for a database of a newer
 * version; BERTH_ESTORE if it is none of ours or damaged; -EACCES and the like for the directory.
 * The directory is made with mode 0700. */
int berth_store_open(const char *backend, const struct berth_store_opts *opts,
                     struct berth_store **ret_store, struct berth_store_info *ret_info,
                     struct berth_error *err);
/* Once, after open, before the first submit. Blocks. Returns 0, what a callback returned, or
 * BERTH_ESTORE. */
int berth_store_load(struct berth_store *store, const struct berth_store_visitor *visitor,
                     struct berth_error *err);
/* Takes the batch until its completion is reaped. At most one batch may be under way: -EAGAIN
 * otherwise (see is_idle). An arrival is stored as SCHEDULED if it has a run_at_us, else READY. */
int berth_store_submit(struct berth_store *store, struct berth_batch *batch);
bool berth_store_is_idle(
    const struct berth_store *store); /* true: a submit would be taken and written at once */
/* Copies the question. -EAGAIN when too many (BERTH_STORE_READS_MAX) are under way, -ENOMEM. Sees
 * all batches that were submitted before it. */
int berth_store_read(struct berth_store *store, const struct berth_read *read);
/* Readable when reap has something; level-triggered; -1: the memory backend has none. */
int berth_store_fd(const struct berth_store *store);
/* The next completion. 1: there is one, 0: none. Never blocks. */
int berth_store_reap(struct berth_store *store, struct berth_completion *ret_completion);
void berth_store_stats(struct berth_store *store, struct berth_store_stats *ret_stats);
/* Finishes what was submitted, then releases everything. What was not reaped is dropped: a batch
 * under way is the caller's again. NULL is fine. */
void berth_store_close(struct berth_store *store);

/* What a backend provides. Blocking backends implement this and are made asynchronous by
 * store_thread.c. */
struct berth_store_ops {
    const char *name;
    int (*open)(const struct berth_store_opts *opts, struct berth_store **ret_store,
                struct berth_store_info *ret_info, struct berth_error *err);
    int (*load)(struct berth_store *store, const struct berth_store_visitor *visitor,
                struct berth_error *err);
    int (*submit)(struct berth_store *store, struct berth_batch *batch);
    bool (*is_idle)(const struct berth_store *store);
    int (*read)(struct berth_store *store, const struct berth_read *read);
    int (*fd)(const struct berth_store *store);
    int (*reap)(struct berth_store *store, struct berth_completion *ret_completion);
    void (*stats)(struct berth_store *store, struct berth_store_stats *ret_stats);
    void (*close)(struct berth_store *store);
};

/* Every backend begins with this. */
struct berth_store {
    const struct berth_store_ops *ops;
};

/* SPDX-License-Identifier: MIT */
/* Housekeeping, in steps of a few milliseconds: checkpoints, the history's bounds, keys whose
 * window has passed, the reserve on the disk.
 *
 * 1. Each step is a transaction of its own and leaves the file as good as it found it.
 * 2. The history loses the oldest first: jobs that ended longer ago than their dispatcher keeps
 * them, and of a dispatcher with too many those with the lowest ids; but never one whose request
 * key may still come again.
 * 3. next_job in `meta` is brought up before rows go, because the largest id may go with them.
 */
#include "base/clock.h"
#include "broker/store/store_sqlite.h"

/* The write-ahead log is copied back when it has so many bytes; while idle for a moment, when it
 * has fewer; while idle for a second, whatever it has. A checkpoint's time follows the pages it
 * copies: docs/STORE.md has the figures. */
#define CHECKPOINT_BYTES       (4u << 20)
#define CHECKPOINT_PAUSE_BYTES (512u << 10)
#define CHECKPOINT_PAUSE_MS    50
#define CHECKPOINT_IDLE_MS     1000
#define CHECKPOINT_RETRY_MS    1000

/* Looked at in one step, and twice the jobs that ended in the last batch on top. */
#define STEP_ROWS   500
#define KEY_PASS_MS 60000
/* Ages are looked at each hour, or several times within the shortest retention that there is. */
#define AGE_PASS_MS      3600000
#define AGE_PASS_MS_MIN  60000
#define PASSES_IN_AN_AGE 4
/* After meeting a job whose request key is still inside its window. */
#define COUNT_PAUSE_MS   10000
#define GONE_PAUSE_MS    60000
#define RESERVE_RETRY_MS 1000

/* A walk for the count starts when a dispatcher is over its bound by the hundredth part of it, and
 * cannot wait for idleness when it is over by the tenth. */
#define EXCESS_PART      100
#define EXCESS_PART_LATE 10
#define EXCESS_ANY       UINT64_MAX /* no part: one is too many */

static uint64_t kept(const struct berth_ended_count *count)
{
    return count->completed + count->dead + count->cancelled;
}

/* Some dispatcher has more than it may keep, and that part of it on top. */
static bool has_excess(const struct store_sqlite *self, uint64_t part)
{
    for (size_t i = 0; i < self->count_count; i++) {
        const struct sqlite_count *count = &self->counts[i];
        if (kept(&count->stored) > count->retention_count + count->retention_count / part)
            return true;
    }
    return false;
}

/* The shortest time that a dispatcher with ended jobs keeps them. */
static int64_t shortest_retention_us(const struct store_sqlite *self)
{
    int64_t shortest_us = BERTH_STORE_HISTORY_US;
    for (size_t i = 0; i < self->count_count; i++) {
        const struct sqlite_count *count = &self->counts[i];
        if (kept(&count->stored) > 0 && count->retention_us < shortest_us)
            shortest_us = count->retention_us;
    }
    return shortest_us;
}

static int64_t age_pass_ms(const struct store_sqlite *self)
{
    int64_t ms = shortest_retention_us(self) / 1000 / PASSES_IN_AN_AGE;
    if (ms < AGE_PASS_MS_MIN)
        return AGE_PASS_MS_MIN;
    return ms < AGE_PASS_MS ? ms : AGE_PASS_MS;
}

static uint64_t wal_bytes(const struct store_sqlite *self)
{
    return self->wal_pages * self->page_bytes;
}

/* A checkpoint that finds no room is no harm: what is in the log is durable. Any other failure is.
 */
void sqlite_checkpoint(struct store_sqlite *self)
{
    int logged = 0, copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &logged, &copied);
    if (rc == SQLITE_OK && logged == copied) {
        self->wal_pages = 0;
        self->chores.checkpoint_due_ms = 0;
        int64_t pages = 0;
        if (sqlite_number(self, "PRAGMA page_count", &pages) == SQLITE_OK)
            self->file_bytes = (uint64_t)pages * self->page_bytes;
        return;
    }
    self->chores.checkpoint_due_ms = berth_clock_monotonic_ms() + CHECKPOINT_RETRY_MS;
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_FULL && (rc & 0xff) != SQLITE_NOMEM)
        (void)sqlite_die(self, rc, "checkpoint", NULL);
}

/* After how much idleness the log is copied back. */
static int64_t checkpoint_pause_ms(const struct store_sqlite *self)
{
    if (wal_bytes(self) >= CHECKPOINT_BYTES)
        return 0;
    return wal_bytes(self) >= CHECKPOINT_PAUSE_BYTES ? CHECKPOINT_PAUSE_MS : CHECKPOINT_IDLE_MS;
}

static bool is_checkpoint_due(const struct store_sqlite *self, int64_t idle_ms, int64_t now_ms)
{
    if (self->wal_pages == 0 || now_ms < self->chores.checkpoint_due_ms)
        return false;
    return idle_ms >= checkpoint_pause_ms(self);
}

/* Ends a step's transaction by its outcome. A step that found no room is tried again another time.
 * Whether it was committed. */
static bool settle(struct store_sqlite *self, int rc)
{
    if (rc == SQLITE_OK)
        rc = sqlite_counts_write(self);
    bool is_commit = rc == SQLITE_OK;
    if (is_commit)
        rc = sqlite_run(self, SQL_COMMIT);
    sqlite_counts_settle(self, rc == SQLITE_OK);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_FULL && ((rc & 0xff) != SQLITE_NOMEM || is_commit))
        (void)sqlite_die(self, rc, "tidy", NULL);
    sqlite_rollback(self);
    return rc == SQLITE_OK;
}

static size_t step_rows(const struct store_sqlite *self)
{
    return STEP_ROWS + 2 * self->end_count;
}

static int delete_by_id(struct store_sqlite *self, enum sqlite_statement which, int64_t id)
{
    (void)sqlite3_bind_int64(self->statements[which], 1, id);
    return sqlite_run(self, which);
}

/* Keys that outlived their rows: a walk over the whole table each minute. */
static void step_keys(struct store_sqlite *self, int64_t now_ms)
{
    int64_t now_us = berth_clock_wall_us();
    sqlite3_stmt *row = self->statements[SQL_KEY_AGES];
    size_t looked_at = 0;
    int rc = sqlite_run(self, SQL_BEGIN);
    sqlite_bind_u64(row, 1, self->chores.key_cursor);
    sqlite_bind_u64(row, 2, step_rows(self));
    while (rc == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(row, 0);
        looked_at++;
        self->chores.key_cursor = (uint64_t)id + 1;
        if (sqlite3_column_int64(row, 1) <= now_us)
            rc = delete_by_id(self, SQL_KEY_DELETE, id);
    }
    int reset_rc = sqlite3_reset(row);
    (void)settle(self, rc == SQLITE_OK ? reset_rc : rc);
    self->chores.is_walking_keys = looked_at == step_rows(self);
    if (!self->chores.is_walking_keys) {
        self->chores.key_cursor = 0;
        self->chores.key_due_ms = now_ms + KEY_PASS_MS;
    }
}

/* One row of the history on its walk. */
struct done_row {
    int64_t id, submitted_us, finished_us;
    enum berth_state state;
    struct sqlite_count *count;
    bool is_protected; /* by a request key inside its window */
    bool has_key;      /* inside its window: SQL_KEY_KEEP says whether it outlives the row */
};

struct done_walk {
    int64_t shortest_us; /* that anybody keeps its ended jobs */
    size_t looked_at;
    bool has_old, is_blocked;
};

static bool read_done_row(struct store_sqlite *self, sqlite3_stmt *row, int64_t now_us,
                          struct done_row *ret_row)
{
    /* Columns 5 and 6 of SQL_DONE_AGES. */
    enum berth_key_kind kind = (enum berth_key_kind)sqlite3_column_int64(row, 5);
    bool has_key = kind != BERTH_KEY_NONE && sqlite3_column_int64(row, 6) > now_us;
    *ret_row = (struct done_row){
        .id = sqlite3_column_int64(row, 0),
        .count = sqlite_count_get(self, (uint32_t)sqlite3_column_int64(row, 1)),
        .state = (enum berth_state)sqlite3_column_int64(row, 2),
        .submitted_us = sqlite3_column_int64(row, 3),
        .finished_us = sqlite3_column_int64(row, 4),
        .is_protected = has_key && kind == BERTH_KEY_REQUEST,
        .has_key = has_key,
    };
    return ret_row->count != NULL;
}

static int64_t kept_now(const struct sqlite_count *count)
{
    return (int64_t)kept(&count->stored) + count->completed + count->dead + count->cancelled;
}

static int forget(struct store_sqlite *self, const struct done_row *row)
{
    sqlite_count_job(row->count, row->state, -1);
    int rc = SQLITE_OK;
    if (row->has_key) {
        (void)sqlite3_bind_int64(self->statements[SQL_KEY_KEEP], 1, row->id);
        rc = sqlite_run(self, SQL_KEY_KEEP);
    }
    if (rc == SQLITE_OK)
        rc = delete_by_id(self, SQL_OPTION_DELETE, row->id);
    return rc == SQLITE_OK ? delete_by_id(self, SQL_DONE_DELETE, row->id) : rc;
}

static int look_at(struct store_sqlite *self, const struct done_row *row, int64_t now_us,
                   struct done_walk *walk)
{
    bool is_old = row->finished_us < now_us - row->count->retention_us;
    bool is_excess = kept_now(row->count) > (int64_t)row->count->retention_count;
    walk->looked_at++;
    walk->has_old |= row->submitted_us < now_us - walk->shortest_us;
    if (is_excess && row->is_protected)
        walk->is_blocked = true;
    if (walk->is_blocked)
        return SQLITE_OK;
    if (is_excess)
        row->count->trim_from = (uint64_t)row->id + 1;
    self->chores.done_cursor = (uint64_t)row->id + 1;
    return (is_old || is_excess) && !row->is_protected ? forget(self, row) : SQLITE_OK;
}

static int walk_done(struct store_sqlite *self, struct done_walk *walk)
{
    int64_t now_us = berth_clock_wall_us();
    sqlite3_stmt *row = self->statements[SQL_DONE_AGES];
    sqlite_bind_u64(row, 1, self->chores.done_cursor);
    sqlite_bind_u64(row, 2, step_rows(self));
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && !walk->is_blocked && sqlite3_step(row) == SQLITE_ROW) {
        struct done_row done;
        rc = read_done_row(self, row, now_us, &done) ? SQLITE_OK : SQLITE_NOMEM;
        if (rc == SQLITE_OK)
            rc = look_at(self, &done, now_us, walk);
    }
    int reset_rc = sqlite3_reset(row);
    return rc == SQLITE_OK ? reset_rc : rc;
}

static int keep_next_job(struct store_sqlite *self)
{
    sqlite_bind_u64(self->statements[SQL_META_NEXT_JOB], 1, self->next_job_id);
    return sqlite_run(self, SQL_META_NEXT_JOB);
}

static void step_done(struct store_sqlite *self, int64_t now_ms)
{
    struct done_walk walk = { .shortest_us = shortest_retention_us(self) };
    int rc = sqlite_run(self, SQL_BEGIN);
    if (rc == SQLITE_OK)
        rc = keep_next_job(self);
    if (rc == SQLITE_OK)
        rc = walk_done(self, &walk);
    (void)settle(self, rc);
    bool has_ended =
        walk.looked_at < step_rows(self) || (!walk.has_old && !has_excess(self, EXCESS_ANY));
    /* Too many though all were looked at: the count is wrong, which only a damaged file can bring
     * about. */
    if (walk.is_blocked || (has_ended && has_excess(self, EXCESS_PART)))
        self->chores.count_due_ms = now_ms + COUNT_PAUSE_MS;
    self->chores.is_walking_done = rc == SQLITE_OK && !walk.is_blocked && !has_ended;
}

/* From the lowest id that a dispatcher with too many may have. */
static uint64_t excess_start(const struct store_sqlite *self)
{
    uint64_t start = UINT64_MAX;
    for (size_t i = 0; i < self->count_count; i++) {
        const struct sqlite_count *count = &self->counts[i];
        if (kept(&count->stored) > count->retention_count && count->trim_from < start)
            start = count->trim_from;
    }
    return start;
}

static bool begin_done_walk(struct store_sqlite *self, int64_t now_ms)
{
    struct sqlite_chores *chores = &self->chores;
    if (now_ms >= chores->age_due_ms) {
        chores->age_due_ms = now_ms + age_pass_ms(self);
        chores->done_cursor = 0;
        return true;
    }
    if (now_ms >= chores->count_due_ms && has_excess(self, EXCESS_PART)) {
        chores->done_cursor = excess_start(self);
        return true;
    }
    return false;
}

/* ---- what removed dispatchers have left ---- */

static int walk_gone(struct store_sqlite *self, size_t *ret_looked_at)
{
    int64_t now_us = berth_clock_wall_us();
    sqlite3_stmt *row = self->statements[SQL_DONE_AGES];
    sqlite_bind_u64(row, 1, self->chores.gone_cursor);
    sqlite_bind_u64(row, 2, step_rows(self));
    int rc = SQLITE_OK;
    for (; rc == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW; ++*ret_looked_at) {
        struct done_row done;
        if (!read_done_row(self, row, now_us, &done)) {
            rc = SQLITE_NOMEM;
            break;
        }
        self->chores.gone_cursor = (uint64_t)done.id + 1;
        if (!done.count->is_gone)
            continue;
        self->chores.has_gone_left |= done.is_protected;
        if (!done.is_protected)
            rc = forget(self, &done);
    }
    int reset_rc = sqlite3_reset(row);
    return rc == SQLITE_OK ? reset_rc : rc;
}

/* Nothing is left of those that were removed before this walk began. */
static int forget_gone(struct store_sqlite *self)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < self->count_count; i++)
        if (self->counts[i].is_gone)
            rc = delete_by_id(self, SQL_GONE_DELETE, self->counts[i].stored.dispatcher);
    return rc;
}

static void drop_gone(struct store_sqlite *self)
{
    size_t kept_count = 0;
    for (size_t i = 0; i < self->count_count; i++)
        if (!self->counts[i].is_gone)
            self->counts[kept_count++] = self->counts[i];
    self->count_count = kept_count;
    self->has_gone = false;
}

static void step_gone(struct store_sqlite *self, int64_t now_ms)
{
    struct sqlite_chores *chores = &self->chores;
    size_t looked_at = 0;
    int rc = sqlite_run(self, SQL_BEGIN);
    if (rc == SQLITE_OK)
        rc = keep_next_job(self);
    if (rc == SQLITE_OK)
        rc = walk_gone(self, &looked_at);
    bool is_end = looked_at < step_rows(self);
    bool is_all = rc == SQLITE_OK && is_end && !chores->has_gone_left;
    if (is_all)
        rc = forget_gone(self);
    bool is_committed = settle(self, rc);
    chores->is_walking_gone = is_committed && !is_end;
    if (is_committed && is_all)
        drop_gone(self);
    if (!chores->is_walking_gone)
        chores->gone_due_ms = now_ms + GONE_PAUSE_MS;
}

/* A dispatcher that is removed while a walk is under way has that walk begin anew. */
static bool begin_gone_walk(struct store_sqlite *self, int64_t now_ms)
{
    if (!self->has_gone || now_ms < self->chores.gone_due_ms)
        return false;
    self->chores.gone_cursor = 0;
    self->chores.has_gone_left = false;
    return true;
}

static void make_reserve_again(struct store_sqlite *self, int64_t now_ms)
{
    self->chores.reserve_due_ms = now_ms + RESERVE_RETRY_MS;
    if (!sqlite_disk_is_short(self) && sqlite_reserve_make(self) == 0)
        self->is_short = false;
}

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the next thing is due, if nothing else happens. */
static int64_t next_due_ms(const struct store_sqlite *self, int64_t idle_ms, int64_t now_ms)
{
    const struct sqlite_chores *chores = &self->chores;
    int64_t due_ms = min_i64(chores->key_due_ms, chores->age_due_ms) - now_ms + idle_ms;
    if (has_excess(self, EXCESS_PART))
        due_ms = min_i64(due_ms, chores->count_due_ms - now_ms + idle_ms);
    if (self->has_gone)
        due_ms = min_i64(due_ms, chores->gone_due_ms - now_ms + idle_ms);
    if (self->is_short)
        due_ms = min_i64(due_ms, chores->reserve_due_ms - now_ms + idle_ms);
    if (self->wal_pages > 0) {
        int64_t retry_ms = chores->checkpoint_due_ms - now_ms + idle_ms;
        int64_t pause_ms = checkpoint_pause_ms(self);
        due_ms = min_i64(due_ms, retry_ms > pause_ms ? retry_ms : pause_ms);
    }
    return due_ms > idle_ms ? due_ms : idle_ms + 1;
}

int64_t sqlite_tend(struct store_blocking *backend, int64_t idle_ms)
{
    struct store_sqlite *self = sqlite_of(backend);
    int64_t now_ms = berth_clock_monotonic_ms();
    if (self->death.code < 0)
        return INT64_MAX;
    if (is_checkpoint_due(self, idle_ms, now_ms))
        sqlite_checkpoint(self);
    else if (self->is_short && now_ms >= self->chores.reserve_due_ms)
        make_reserve_again(self, now_ms);
    else if (self->chores.is_walking_done || begin_done_walk(self, now_ms))
        step_done(self, now_ms);
    else if (self->chores.is_walking_gone || begin_gone_walk(self, now_ms))
        step_gone(self, now_ms);
    else if (self->chores.is_walking_keys || now_ms >= self->chores.key_due_ms)
        step_keys(self, now_ms);
    else
        return next_due_ms(self, idle_ms, now_ms);
    return 0;
}

bool sqlite_is_overdue(const struct store_blocking *backend)
{
    const struct store_sqlite *self = (const struct store_sqlite *)(const void *)backend;
    if (self->death.code < 0)
        return false;
    if (wal_bytes(self) >= CHECKPOINT_BYTES)
        return berth_clock_monotonic_ms() >= self->chores.checkpoint_due_ms;
    int64_t now_ms = berth_clock_monotonic_ms();
    if (now_ms >= self->chores.key_due_ms + KEY_PASS_MS)
        return true;
    return now_ms >= self->chores.count_due_ms && has_excess(self, EXCESS_PART_LATE);
}

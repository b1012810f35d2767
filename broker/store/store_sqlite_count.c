/* SPDX-License-Identifier: MIT */
/* What is known of each dispatcher beside its row: how many ended jobs the history has of it, how
 * long they are kept, and whether it was removed.
 *
 * 1. What the open transaction changes is beside what is stored, until its COMMIT decides.
 * 2. Of a removed dispatcher the entry stays until its ended jobs have gone, too: they are not read
 * any more, and housekeeping deletes them bit by bit.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/store/store_sqlite.h"

#define COUNTS_MIN 16

/* The place of a dispatcher, or where it would be. */
static size_t place_of(const struct store_sqlite *self, uint32_t dispatcher)
{
    size_t low = 0, high = self->count_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->counts[middle].stored.dispatcher < dispatcher)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct sqlite_count *sqlite_count_find(const struct store_sqlite *self, uint32_t dispatcher)
{
    size_t place = place_of(self, dispatcher);
    bool is_there =
        place < self->count_count && self->counts[place].stored.dispatcher == dispatcher;
    return is_there ? &self->counts[place] : NULL;
}

struct sqlite_count *sqlite_count_get(struct store_sqlite *self, uint32_t dispatcher)
{
    size_t place = place_of(self, dispatcher);
    if (place < self->count_count && self->counts[place].stored.dispatcher == dispatcher)
        return &self->counts[place];
    if (self->count_count == self->count_max) {
        size_t count_max = self->count_max ? 2 * self->count_max : COUNTS_MIN;
        struct sqlite_count *counts = realloc(self->counts, count_max * sizeof *counts);
        if (!counts)
            return NULL;
        self->counts = counts;
        self->count_max = count_max;
    }
    memmove(&self->counts[place + 1], &self->counts[place],
            (self->count_count - place) * sizeof *self->counts);
    self->counts[place] = (struct sqlite_count){ .stored.dispatcher = dispatcher,
                                                 .retention_us = BERTH_STORE_HISTORY_US,
                                                 .retention_count = BERTH_STORE_HISTORY_COUNT };
    self->count_count++;
    return &self->counts[place];
}

bool sqlite_is_hidden(const struct store_sqlite *self, uint32_t dispatcher)
{
    const struct sqlite_count *count = sqlite_count_find(self, dispatcher);
    return count && count->is_gone;
}

void sqlite_count_job(struct sqlite_count *count, enum berth_state state, int change)
{
    if (count->is_gone)
        return;
    count->is_touched = true;
    count->completed += state == BERTH_COMPLETED ? change : 0;
    count->dead += state == BERTH_DEAD ? change : 0;
    count->cancelled += state == BERTH_CANCELLED ? change : 0;
}

/* ---- a transaction ---- */

/* Never below 0, whatever a damaged file said. */
static uint64_t sum(uint64_t stored, int64_t change)
{
    if (change < 0 && (uint64_t)-change > stored)
        return 0;
    return stored + (uint64_t)change;
}

static struct berth_ended_count count_sum(const struct sqlite_count *count)
{
    return (struct berth_ended_count){
        .dispatcher = count->stored.dispatcher,
        .completed = sum(count->stored.completed, count->completed),
        .dead = sum(count->stored.dead, count->dead),
        .cancelled = sum(count->stored.cancelled, count->cancelled),
        .completed_total = sum(count->stored.completed_total, count->completed_total),
    };
}

static int write_count(struct store_sqlite *self, const struct sqlite_count *count)
{
    if (count->is_ending) {
        sqlite_bind_u64(self->statements[SQL_COUNT_DELETE], 1, count->stored.dispatcher);
        return sqlite_run(self, SQL_COUNT_DELETE);
    }
    sqlite3_stmt *put = self->statements[SQL_COUNT_PUT];
    struct berth_ended_count sum = count_sum(count);
    sqlite_bind_u64(put, 1, sum.dispatcher);
    sqlite_bind_u64(put, 2, sum.completed);
    sqlite_bind_u64(put, 3, sum.dead);
    sqlite_bind_u64(put, 4, sum.cancelled);
    sqlite_bind_u64(put, 5, sum.completed_total);
    return sqlite_run(self, SQL_COUNT_PUT);
}

int sqlite_counts_write(struct store_sqlite *self)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < self->count_count; i++)
        if (self->counts[i].is_touched)
            rc = write_count(self, &self->counts[i]);
    return rc;
}

/* What a change makes due. */
static void note_changes(struct store_sqlite *self, const struct sqlite_count *count)
{
    struct sqlite_chores *chores = &self->chores;
    if (count->has_wanted && count->wanted_us != count->retention_us)
        chores->age_due_ms = 0;
    if (count->has_wanted && count->wanted_count != count->retention_count)
        chores->count_due_ms = 0;
    if (!count->is_ending)
        return;
    self->has_gone = true;
    chores->gone_cursor = 0;
    chores->gone_due_ms = 0;
    chores->has_gone_left = false;
}

static struct sqlite_count settled(const struct sqlite_count *count, bool is_committed)
{
    struct sqlite_count after = { .stored = count->stored,
                                  .is_gone = count->is_gone,
                                  .retention_us = count->retention_us,
                                  .retention_count = count->retention_count,
                                  .trim_from = count->trim_from };
    if (!is_committed)
        return after;
    after.stored = count_sum(count);
    if (count->has_wanted) {
        after.retention_us = count->wanted_us;
        after.retention_count = count->wanted_count;
    }
    if (count->is_ending) {
        after.stored = (struct berth_ended_count){ .dispatcher = count->stored.dispatcher };
        after.is_gone = true;
    }
    return after;
}

void sqlite_counts_settle(struct store_sqlite *self, bool is_committed)
{
    for (size_t i = 0; i < self->count_count; i++) {
        struct sqlite_count *count = &self->counts[i];
        if (is_committed)
            note_changes(self, count);
        if (count->is_touched || count->has_wanted)
            *count = settled(count, is_committed);
    }
}

/* ---- at the open ---- */

/* SQLITE_OK, or what is wrong with the row: all numbers, the first one an id. */
static int read_numbers(sqlite3_stmt *row, int64_t *ret_numbers, int count)
{
    for (int i = 0; i < count; i++) {
        ret_numbers[i] = sqlite3_column_int64(row, i);
        if (ret_numbers[i] < 0 || (i == 0 && ret_numbers[i] > UINT32_MAX))
            return SQLITE_CORRUPT;
    }
    return SQLITE_OK;
}

static int read_count(struct store_sqlite *self, sqlite3_stmt *row)
{
    int64_t numbers[5];
    int rc = read_numbers(row, numbers, 5);
    struct sqlite_count *count =
        rc == SQLITE_OK ? sqlite_count_get(self, (uint32_t)numbers[0]) : NULL;
    if (!count)
        return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
    count->stored.completed = (uint64_t)numbers[1];
    count->stored.dead = (uint64_t)numbers[2];
    count->stored.cancelled = (uint64_t)numbers[3];
    count->stored.completed_total = (uint64_t)numbers[4];
    return SQLITE_OK;
}

/* What makes no sense is found when the dispatchers are loaded. */
static int read_retention(struct store_sqlite *self, sqlite3_stmt *row)
{
    int64_t numbers[3];
    int rc = read_numbers(row, numbers, 3);
    if (rc != SQLITE_OK || numbers[1] > INT64_MAX / 1000)
        return SQLITE_OK;
    struct sqlite_count *count = sqlite_count_get(self, (uint32_t)numbers[0]);
    if (!count)
        return SQLITE_NOMEM;
    count->retention_us = numbers[1] * 1000;
    count->retention_count = (uint64_t)numbers[2];
    return SQLITE_OK;
}

static int read_gone(struct store_sqlite *self, sqlite3_stmt *row)
{
    int64_t number;
    int rc = read_numbers(row, &number, 1);
    struct sqlite_count *count = rc == SQLITE_OK ? sqlite_count_get(self, (uint32_t)number) : NULL;
    if (!count)
        return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
    count->is_gone = self->has_gone = true;
    return SQLITE_OK;
}

static int read_all(struct store_sqlite *self, const char *sql,
                    int (*read)(struct store_sqlite *self, sqlite3_stmt *row),
                    struct berth_error *err)
{
    sqlite3_stmt *row = NULL;
    int rc = sqlite3_prepare_v2(self->db, sql, -1, &row, NULL);
    while (rc == SQLITE_OK) {
        rc = sqlite3_step(row);
        if (rc == SQLITE_ROW)
            rc = read(self, row);
    }
    (void)sqlite3_finalize(row);
    return rc == SQLITE_DONE ? 0 : sqlite_fail(self, rc, "read", err);
}

int sqlite_counts_read(struct store_sqlite *self, struct berth_error *err)
{
    int rc = read_all(self,
                      "SELECT dispatcher, completed, dead, cancelled, completed_total"
                      " FROM dispatcher_count ORDER BY dispatcher",
                      read_count, err);
    if (rc == 0)
        rc = read_all(self, "SELECT id, retention_ms, retention_count FROM dispatcher ORDER BY id",
                      read_retention, err);
    return rc == 0 ? read_all(self, "SELECT id FROM dispatcher_gone ORDER BY id", read_gone, err)
                   : rc;
}

/* SPDX-License-Identifier: MIT */
/* What every store promises of schedules, run once for each backend. */
#include "support/berthtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_kit.h"

#define SEEN_MAX 8

static const char *backend_under_test;

/* What a load visited. */
struct seen {
    struct berth_schedule_record schedules[SEEN_MAX];
    struct berth_schedule_done_record done[SEEN_MAX];
    size_t count, job_count;
};

static int setup(void **state)
{
    struct kit *kit = calloc(1, sizeof *kit);
    kit_init(kit, backend_under_test);
    kit_open(kit);
    *state = kit;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    free(*state);
    return 0;
}

static struct berth_slice own(struct kit *kit, struct berth_slice slice)
{
    return slice.bytes
               ? (struct berth_slice){ berth_arena_memdup(&kit->memory, slice.data, slice.bytes),
                                       slice.bytes }
               : slice;
}

struct visit {
    struct kit *kit;
    struct seen *seen;
};

static int visit_schedule(void *arg, const struct berth_schedule_record *record,
                          const struct berth_schedule_done_record *done)
{
    struct visit *visit = arg;
    struct seen *seen = visit->seen;
    assert_true(seen->count < SEEN_MAX);
    assert_int_equal(seen->job_count, 0); /* jobs come behind them */
    struct berth_schedule_record *kept = &seen->schedules[seen->count];
    *kept = *record;
    struct berth_slice *slices[] = { &kept->cron, &kept->zone,  &kept->tzif,  &kept->handler,
                                     &kept->body, &kept->group, &kept->unique };
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        *slices[i] = own(visit->kit, *slices[i]);
    seen->done[seen->count] = *done;
    seen->done[seen->count++].last_text = own(visit->kit, done->last_text);
    return 0;
}

static int visit_job(void *arg, const struct berth_job_record *record)
{
    (void)record;
    ((struct visit *)arg)->seen->job_count++;
    return 0;
}

static int ignore_dispatcher(void *arg, const struct berth_dispatcher_record *record)
{
    (void)arg, (void)record;
    return 0;
}

static int ignore_session(void *arg, const struct berth_session_record *record)
{
    (void)arg, (void)record;
    return 0;
}

static int ignore_key(void *arg, const struct berth_job_record *record)
{
    (void)arg, (void)record;
    return 0;
}

static struct seen load(struct kit *kit)
{
    struct seen seen = { .count = 0 };
    struct visit visit = { kit, &seen };
    const struct berth_store_visitor visitor = { .arg = &visit,
                                                 .dispatcher = ignore_dispatcher,
                                                 .session = ignore_session,
                                                 .schedule = visit_schedule,
                                                 .job = visit_job,
                                                 .ended_key = ignore_key };
    kit_reopen(kit);
    struct berth_error err = { .code = 0 };
    assert_rc(berth_store_load(kit->store, &visitor, &err), 0);
    return seen;
}

static struct berth_record full_schedule(struct kit *kit, uint32_t id, const char *name)
{
    struct berth_record record = { .type = BERTH_RECORD_SCHEDULE };
    record.schedule = (struct berth_schedule_record){ .id = id,
                                                      .cron = kit_text("0 3 * * *"),
                                                      .zone = kit_text("Europe/Berlin"),
                                                      .tzif = kit_bytes(kit, 2000, 1),
                                                      .overlap = 1,
                                                      .catch_up = 2,
                                                      .is_paused = true,
                                                      .dispatcher = 7,
                                                      .handler = kit_text("report"),
                                                      .body = kit_bytes(kit, 30000, 2),
                                                      .group = kit_text("tenant"),
                                                      .unique = kit_text("one"),
                                                      .priority = -3,
                                                      .delay_ms = 4,
                                                      .max_attempts = 5,
                                                      .timeout_ms = 6,
                                                      .queue_timeout_ms = 7,
                                                      .deadline_ms = 8,
                                                      .backoff_ms = 9,
                                                      .backoff_ms_max = 10,
                                                      .on_conflict = 1,
                                                      .changed_us = 11,
                                                      .changed_by = "ops@host",
                                                      .has_done = true,
                                                      .done_us = 1000 };
    (void)snprintf(record.schedule.name, sizeof record.schedule.name, "%s", name);
    return record;
}

static struct berth_record done_record(uint32_t id, int64_t done_us, uint64_t last_job)
{
    return (struct berth_record){ .type = BERTH_RECORD_SCHEDULE_DONE,
                                  .schedule_done = { .id = id,
                                                     .done_us = done_us,
                                                     .last_job = last_job,
                                                     .last_us = done_us,
                                                     .last_fate = 1 } };
}

static void store(struct kit *kit, const struct berth_record *records, size_t count)
{
    struct berth_batch *batch = kit_batch(kit);
    for (size_t i = 0; i < count; i++)
        kit_add(batch, &records[i]);
    kit_store(kit, batch);
}

static void check_slice(struct berth_slice is, struct berth_slice wanted)
{
    assert_int_equal(is.bytes, wanted.bytes);
    if (wanted.bytes)
        assert_memory_equal(is.data, wanted.data, wanted.bytes);
}

static void check_schedule(const struct berth_schedule_record *is,
                           const struct berth_schedule_record *wanted)
{
    assert_int_equal(is->id, wanted->id);
    assert_string_equal(is->name, wanted->name);
    check_slice(is->cron, wanted->cron);
    check_slice(is->zone, wanted->zone);
    check_slice(is->tzif, wanted->tzif);
    assert_int_equal(is->overlap, wanted->overlap);
    assert_int_equal(is->catch_up, wanted->catch_up);
    assert_int_equal(is->is_paused, wanted->is_paused);
    assert_int_equal(is->dispatcher, wanted->dispatcher);
    check_slice(is->handler, wanted->handler);
    check_slice(is->body, wanted->body);
    check_slice(is->group, wanted->group);
    check_slice(is->unique, wanted->unique);
    assert_int_equal(is->priority, wanted->priority);
    assert_int_equal(is->delay_ms, wanted->delay_ms);
    assert_int_equal(is->max_attempts, wanted->max_attempts);
    assert_int_equal(is->timeout_ms, wanted->timeout_ms);
    assert_int_equal(is->queue_timeout_ms, wanted->queue_timeout_ms);
    assert_int_equal(is->deadline_ms, wanted->deadline_ms);
    assert_int_equal(is->backoff_ms, wanted->backoff_ms);
    assert_int_equal(is->backoff_ms_max, wanted->backoff_ms_max);
    assert_int_equal(is->on_conflict, wanted->on_conflict);
    assert_int_equal(is->changed_us, wanted->changed_us);
    assert_string_equal(is->changed_by, wanted->changed_by);
}

static void a_schedule_comes_back_with_all_that_it_has(void **state)
{
    struct kit *kit = *state;
    struct berth_record records[] = { full_schedule(kit, 1, "nightly"),
                                      full_schedule(kit, 2, "hourly") };
    records[1].schedule.tzif = records[1].schedule.body = (struct berth_slice){ 0 };
    records[1].schedule.group = records[1].schedule.unique = (struct berth_slice){ 0 };
    store(kit, records, 2);

    struct seen seen = load(kit);

    assert_int_equal(seen.count, 2);
    check_schedule(&seen.schedules[0], &records[0].schedule);
    check_schedule(&seen.schedules[1], &records[1].schedule);
    assert_int_equal(seen.done[0].done_us, 1000);
    assert_int_equal(seen.done[0].last_job, 0);
}

static void a_schedule_that_is_changed_keeps_how_far_it_has_come(void **state)
{
    struct kit *kit = *state;
    struct berth_record first[] = { full_schedule(kit, 1, "nightly"), done_record(1, 5000, 17) };
    first[1].schedule_done.last_text = kit_text("why");
    struct berth_record changed = full_schedule(kit, 1, "nightly");
    changed.schedule.has_done = false;
    changed.schedule.cron = kit_text("@daily");
    store(kit, first, 2);
    store(kit, &changed, 1);

    struct seen seen = load(kit);

    assert_int_equal(seen.count, 1);
    check_schedule(&seen.schedules[0], &changed.schedule);
    assert_int_equal(seen.done[0].done_us, 5000);
    assert_int_equal(seen.done[0].last_job, 17);
    assert_int_equal(seen.done[0].last_us, 5000);
    assert_int_equal(seen.done[0].last_fate, 1);
    check_slice(seen.done[0].last_text, kit_text("why"));
}

static void a_change_that_begins_anew_keeps_the_last_job(void **state)
{
    struct kit *kit = *state;
    struct berth_record records[] = { full_schedule(kit, 1, "nightly"), done_record(1, 5000, 17),
                                      full_schedule(kit, 1, "nightly") };
    records[2].schedule.done_us = 9000;
    store(kit, records, 3);

    struct seen seen = load(kit);

    assert_int_equal(seen.done[0].done_us, 9000);
    assert_int_equal(seen.done[0].last_job, 17);
}

static void an_instant_and_its_job_are_stored_together(void **state)
{
    struct kit *kit = *state;
    struct berth_record records[] = { full_schedule(kit, 1, "nightly"),
                                      kit_job(17, 7, kit_text("body")), done_record(1, 5000, 17) };
    uint8_t key[16] = { [7] = 1, [15] = 5 };
    records[1].job.key = (struct berth_key){ .kind = BERTH_KEY_SCHEDULE,
                                             .bytes = { key, sizeof key },
                                             .until_us = 10000 };
    store(kit, records, 1);
    store(kit, records + 1, 2);

    struct seen seen = load(kit);

    assert_int_equal(seen.job_count, 1);
    assert_int_equal(seen.done[0].last_job, 17);
}

static void an_id_is_never_used_again(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit->info.next_schedule_id, 1);
    struct berth_record records[] = { full_schedule(kit, 1, "one"),
                                      full_schedule(kit, 2, "two"),
                                      { .type = BERTH_RECORD_SCHEDULE_END, .id = 2 },
                                      full_schedule(kit, 3, "two"),
                                      { .type = BERTH_RECORD_SCHEDULE_END, .id = 3 } };
    store(kit, records, sizeof records / sizeof *records);

    struct seen seen = load(kit);

    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.schedules[0].name, "one");
    assert_int_equal(kit->info.next_schedule_id, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_comes_back_with_all_that_it_has),
        TEST(a_schedule_that_is_changed_keeps_how_far_it_has_come),
        TEST(a_change_that_begins_anew_keeps_the_last_job),
        TEST(an_instant_and_its_job_are_stored_together),
        TEST(an_id_is_never_used_again),
    };
    int failed = 0;
    static const char *const backends[] = { "sqlite", "mem" };
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        backend_under_test = backends[i];
        failed += cmocka_run_group_tests_name(backends[i], tests, NULL, NULL);
    }
    return failed;
}

/* SPDX-License-Identifier: MIT */
/* Rule 21: recurring jobs, as the disk has them. An operator sets, changes, pauses and removes
 * schedules; what they fire is compared with what their expressions say:
 *
 * - an instant has one job at most, whatever crashes; it lies in one batch with the note that the
 *   instant was dealt with, is one of the expression's, and had come;
 * - with `skip` it has none while the one before it lives; with `none` it has none that is late;
 * - with `one` and `all` what was dealt with is the next instant behind the last one, and with
 * `all` no instant is left out;
 * - in the end, when all is well, no instant waits to be dealt with.
 *
 * The operator draws from a generator of his own: without him a seed is as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/core/recur/schedule.h"
#include "sim.h"

#define NAMES            4
#define IDS_MAX          256
#define ACT_US_MIN       (500 * MS)
#define ACT_US_MAX       (12 * SECOND)
#define SETTLED_US       (17 * SECOND) /* of calm: no stall lasts longer */
#define LOOK_US          (2 * SECOND)  /* for a turn, and its batch */
#define REMOVE_EVERY_US  (2 * SECOND)
#define TAG              (UINT64_C(1) << 61)
#define SEED_OF_OPERATOR 0x5c4ed01eu

static const char *const names[NAMES] = { "minutely", "often", "poll", "report" };
static const char *const crons[] = { "* * * * *", "* * * * *", "*/2 * * * *", "0-59/3 0-23 * * *" };

/* A schedule as the disk has it. */
struct known {
    bool is_there, is_paused;
    struct cron cron;
    enum schedule_overlap overlap;
    enum schedule_catch_up catch_up;
    int64_t done_us, last_us;
    uint64_t last_job;
    char name[BERTH_NAME_BYTES];
};

struct instant {
    struct berth_map_node by_key;
    char key[SCHEDULE_KEY_BYTES];
    uint64_t job;
};

struct recur_state {
    struct berth_rng rng;
    struct berth_map instants;
    struct known known[IDS_MAX]; /* by id */
    bool is_settled;             /* it was looked at whether all is dealt with */
};

/* ---- the operator ---- */

static struct note *note_for(enum berth_event_type type)
{
    struct note *note = note_new(TO_BROKER);
    note->broker.type = type;
    return note;
}

static struct berth_slice slice(const char *text)
{
    return (struct berth_slice){ text, strlen(text) };
}

static void set(struct sim *sim, const char *name)
{
    struct berth_rng *rng = &sim->recur->rng;
    struct note *note = note_for(BERTH_EV_SCHEDULE_SET);
    unsigned dispatcher = (unsigned)berth_rng_below(rng, SIM_FLEETING);
    uint64_t tag = TAG + berth_rng_below(rng, 64);
    const char *group = sim_groups[sim_group_of(tag)];
    bool is_whole = berth_rng_chance(rng, 60, 100);
    note->broker.schedule_set = (struct berth_ev_schedule_set){
        .peer = UINT64_MAX,
        .name = slice(name),
        .has_cron = is_whole,
        .cron = slice(crons[berth_rng_below(rng, sizeof crons / sizeof *crons)]),
        .has_overlap = is_whole || berth_rng_chance(rng, 50, 100),
        .overlap = (uint8_t)berth_rng_below(rng, 2),
        .has_catch_up = is_whole || berth_rng_chance(rng, 50, 100),
        .catch_up = (uint8_t)berth_rng_below(rng, 3),
        .has_job = is_whole,
        .dispatcher = slice(sim_rules[dispatcher].name),
        .handler = slice(sim_handlers[berth_rng_below(rng, 2)]),
        .job = { .body = { note_copy(note, &tag, sizeof tag), sizeof tag },
                 .group = slice(group),
                 .timeout_ms = sim_timeout_ms_of(tag) },
    };
    broker_deliver(sim, note);
}

static void change(struct sim *sim, enum berth_event_type type, const char *name, bool is_paused)
{
    struct note *note = note_for(type);
    note->broker.schedule_name = (struct berth_ev_schedule_name){ .peer = UINT64_MAX,
                                                                  .name = slice(name),
                                                                  .is_paused = is_paused };
    broker_deliver(sim, note);
}

static void act(struct sim *sim, void *arg)
{
    (void)arg;
    struct berth_rng *rng = &sim->recur->rng;
    if (sim->is_calm)
        return;
    const char *name = names[berth_rng_below(rng, NAMES)];
    uint64_t dice = berth_rng_below(rng, 100);
    if (dice < 60)
        set(sim, name);
    else if (dice < 75)
        change(sim, BERTH_EV_SCHEDULE_PAUSE, name, true);
    else if (dice < 92)
        change(sim, BERTH_EV_SCHEDULE_PAUSE, name, false);
    else
        change(sim, BERTH_EV_SCHEDULE_REMOVE, name, false);
    int64_t after_us = berth_rng_between(rng, ACT_US_MIN, ACT_US_MAX) * sim_patience(sim);
    sim_at(sim, sim->now_us + after_us, act, NULL);
}

void recur_start(struct sim *sim)
{
    sim->recur = berth_arena_zalloc(&sim->checkers.arena, sizeof *sim->recur);
    BERTH_ASSERT(sim->recur != NULL);
    berth_rng_init(&sim->recur->rng, sim->opts.seed ^ SEED_OF_OPERATOR);
    for (size_t i = 0; i < NAMES; i++)
        set(sim, names[i]);
    sim_at(sim, ACT_US_MIN, act, NULL);
}

void recur_fini(struct sim *sim)
{
    if (sim->recur)
        berth_map_fini(&sim->recur->instants);
}

/* ---- what is stored ---- */

static struct known *known_of(struct sim *sim, uint64_t id)
{
    if (id >= IDS_MAX)
        sim_fail(sim, "too many schedules for one run");
    return &sim->recur->known[id];
}

static void note_schedule(struct sim *sim, const struct berth_schedule_record *record)
{
    struct known *known = known_of(sim, record->id);
    struct berth_error err;
    if (cron_parse("cron", record->cron, &known->cron, &err) < 0)
        sim_fail(sim, "schedule %s is stored with %s", record->name, err.message);
    if (!known->is_there && !record->has_done)
        sim_fail(sim, "schedule %s is new and has no beginning", record->name);
    known->is_there = true;
    known->is_paused = record->is_paused;
    known->overlap = (enum schedule_overlap)record->overlap;
    known->catch_up = (enum schedule_catch_up)record->catch_up;
    memcpy(known->name, record->name, sizeof known->name);
    if (record->has_done)
        known->done_us = record->done_us;
}

static int64_t next_of(const struct known *known, int64_t after_us)
{
    static const struct zone utc;
    return cron_next(&known->cron, &utc, after_us);
}

static const struct berth_job_record *job_in(const struct berth_batch *batch, uint64_t id)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->records[i].type == BERTH_RECORD_JOB && batch->records[i].job.id == id)
            return &batch->records[i].job;
    return NULL;
}

static void check_key_is_new(struct sim *sim, const struct berth_job_record *job)
{
    struct instant *instant = berth_arena_zalloc(&sim->checkers.arena, sizeof *instant);
    BERTH_ASSERT(instant != NULL);
    memcpy(instant->key, job->key.bytes.data, sizeof instant->key);
    instant->job = job->id;
    if (berth_map_insert_bytes(&sim->recur->instants, &instant->by_key,
                               (struct berth_slice){ instant->key, sizeof instant->key }) < 0)
        sim_fail(sim, "job %llu is the second one of its instant", (unsigned long long)job->id);
    sim_total.instants++;
}

/* The job of an instant. */
static void check_fired(struct sim *sim, const struct known *known,
                        const struct berth_schedule_done_record *done,
                        const struct berth_batch *batch)
{
    const struct berth_job_record *job = job_in(batch, done->last_job);
    if (!job)
        sim_fail(sim, "%s: an instant is dealt with, and job %llu of it is not in its batch",
                 known->name, (unsigned long long)done->last_job);
    struct schedule schedule = { .id = done->id };
    uint8_t key[SCHEDULE_KEY_BYTES];
    schedule_key(&schedule, done->last_us, key);
    if (job->key.kind != BERTH_KEY_SCHEDULE || memcmp(key, job->key.bytes.data, sizeof key) != 0)
        sim_fail(sim, "%s: job %llu has not the key of its instant", known->name,
                 (unsigned long long)job->id);
    check_key_is_new(sim, job);
    if (next_of(known, done->last_us - 1) != done->last_us)
        sim_fail(sim, "%s: job %llu is of no instant of its expression", known->name,
                 (unsigned long long)job->id);
    if (job->submitted_us < done->last_us)
        sim_fail(sim, "%s: job %llu is there before its instant", known->name,
                 (unsigned long long)job->id);
    if (known->catch_up == SCHEDULE_CATCH_UP_NONE &&
        job->submitted_us - done->last_us >= SCHEDULE_LATE_US)
        sim_fail(sim, "%s: job %llu is late, and what was missed passes", known->name,
                 (unsigned long long)job->id);
    if (known->overlap == SCHEDULE_OVERLAP_SKIP && known->last_job &&
        !check_job_of(sim, known->last_job)->stored_end)
        sim_fail(sim, "%s: job %llu is there beside %llu, which lives", known->name,
                 (unsigned long long)job->id, (unsigned long long)known->last_job);
}

static void note_done(struct sim *sim, const struct berth_schedule_done_record *done,
                      const struct berth_batch *batch)
{
    struct known *known = known_of(sim, done->id);
    if (!known->is_there)
        sim_fail(sim, "an instant of schedule %u is dealt with, which is not there", done->id);
    bool is_dealt_with = done->last_us != known->last_us;
    int64_t next_us = next_of(known, known->done_us);
    if (known->catch_up != SCHEDULE_CATCH_UP_NONE && done->last_us != next_us)
        sim_fail(sim, "%s: %lld s is dealt with, and the next one is %lld s", known->name,
                 (long long)(done->last_us / SECOND), (long long)(next_us / SECOND));
    if (known->catch_up == SCHEDULE_CATCH_UP_ALL && done->done_us != next_us)
        sim_fail(sim, "%s: all until %lld s passes, and nothing may", known->name,
                 (long long)(done->done_us / SECOND));
    if (done->done_us <= known->done_us)
        sim_fail(sim, "%s: goes back", known->name);
    if (is_dealt_with && done->last_fate == SCHEDULE_FIRED)
        check_fired(sim, known, done, batch);
    else if (done->last_job != known->last_job)
        sim_fail(sim, "%s: has job %llu of no instant", known->name,
                 (unsigned long long)done->last_job);
    known->done_us = done->done_us;
    known->last_us = done->last_us;
    known->last_job = done->last_job;
}

/* Jobs of instants are looked at with their schedules. */
void check_recur_stored(struct sim *sim, const struct berth_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct berth_record *record = &batch->records[i];
        if (record->type == BERTH_RECORD_SCHEDULE)
            note_schedule(sim, &record->schedule);
        else if (record->type == BERTH_RECORD_SCHEDULE_DONE)
            note_done(sim, &record->schedule_done, batch);
        else if (record->type == BERTH_RECORD_SCHEDULE_END)
            known_of(sim, record->id)->is_there = false;
    }
}

/* ---- the end ---- */

static void check_settled(struct sim *sim)
{
    for (size_t i = 0; i < IDS_MAX; i++) {
        const struct known *known = &sim->recur->known[i];
        if (!known->is_there || known->is_paused)
            continue;
        if (next_of(known, known->done_us) <= sim_wall_us(sim) - SECOND)
            sim_fail(sim, "%s: nobody deals with its instants", known->name);
    }
}

static void remove_all(struct sim *sim, void *arg)
{
    (void)arg;
    bool is_any = false;
    for (size_t i = 0; i < IDS_MAX; i++) {
        const struct known *known = &sim->recur->known[i];
        if (!known->is_there)
            continue;
        is_any = true;
        change(sim, BERTH_EV_SCHEDULE_REMOVE, known->name, false);
    }
    if (is_any)
        sim_at(sim, sim->now_us + REMOVE_EVERY_US, remove_all, NULL);
}

/* A clock that was put forward is noticed at the next turn, and some 20 s later if there is none.
 */
static void look(struct sim *sim, void *arg);

static void settle(struct sim *sim, void *life)
{
    if (!sim->broker.is_up || sim->broker.life != (unsigned)(uintptr_t)life) {
        sim_at(sim, sim->now_us, look, NULL);
        return;
    }
    check_settled(sim);
    sim->recur->is_settled = true;
    remove_all(sim, NULL);
}

static void look(struct sim *sim, void *arg)
{
    (void)arg;
    struct note *note = note_for(BERTH_EV_SCHEDULE_LIST);
    note->broker.schedule_list = (struct berth_ev_schedule_list){ .peer = UINT64_MAX };
    broker_deliver(sim, note);
    sim_at(sim, sim->now_us + LOOK_US, settle, (void *)(uintptr_t)sim->broker.life);
}

void recur_calm(struct sim *sim)
{
    sim_at(sim, sim->now_us + SETTLED_US, look, NULL);
}

bool recur_is_over(const struct sim *sim)
{
    for (size_t i = 0; i < IDS_MAX; i++)
        if (sim->recur->known[i].is_there)
            return false;
    return sim->recur->is_settled;
}

/* SPDX-License-Identifier: MIT */
/* Recurring jobs. */
#include <berth/schedule.h>

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "base/text.h"
#include "client/call.h"
#include "proto/limits.h"

/* What is given away: the schedule, and the answer in which it lies. */
struct schedule_box {
    struct berth_schedule schedule;
    struct berth_answer *answer;
};

struct set_args {
    struct berth_pack_schedule set;
    struct berth_buf body;
    uint32_t body_bytes;
    char changed_by[BERTH_WHO_BYTES];
};

struct name_args {
    const char *name;
    bool is_paused;
    uint32_t after;
    char changed_by[BERTH_WHO_BYTES];
};

void berth_schedule_free(struct berth_schedule *schedule)
{
    if (!schedule)
        return;
    struct schedule_box *box = berth_container_of(schedule, struct schedule_box, schedule);
    berth_answer_free(box->answer);
    free(box);
}

/* Asks, and gives the one schedule that the answer holds to `ret_schedule`, unless NULL. */
static int ask_one(struct berth_client *client, struct berth_call *call, const char *name,
                   struct berth_schedule **ret_schedule, int64_t deadline_ms,
                   struct berth_error *err)
{
    int rc = berth_name_check("schedule", name, err);
    if (rc < 0)
        return rc;
    BERTH_AUTO(berth_answer) answer = NULL;
    rc = berth_call_run(client, call, deadline_ms, BERTH_ANSWER_SCHEDULES, &answer, err);
    if (rc < 0 || !ret_schedule)
        return rc;
    if (answer->schedules.count == 0)
        return berth_fail(err, BERTH_ENOTFOUND, "there is no schedule '%s'", name);
    struct schedule_box *box = calloc(1, sizeof *box);
    if (!box)
        return berth_fail(err, -ENOMEM, "get schedule '%s'", name);
    box->schedule = answer->schedules.items[0];
    box->answer = berth_take(answer);
    *ret_schedule = &box->schedule;
    return 0;
}

/* ---- set ---- */

static int check_job(const struct berth_job_spec *job, struct berth_error *err)
{
    if (job->idempotency_key)
        return berth_fail(
            err, BERTH_EVALUE,
            "idempotency_key '%s': a job that recurs has none, its instant is its key",
            job->idempotency_key);
    if (job->run_at_unix_us || job->after_count || job->has_array_index || job->line)
        return berth_fail(err, BERTH_EVALUE,
                          "a job that recurs has no time to run at, no jobs to wait for, no index "
                          "and no line");
    return berth_spec_check(job, err);
}

static int check_settings(const struct berth_schedule_settings *settings, struct berth_error *err)
{
    for (size_t i = 0; i < sizeof settings->reserved / sizeof settings->reserved[0]; i++)
        if (settings->reserved[i] != 0)
            return berth_fail(err, BERTH_EVALUE, "reserved members of settings must be zero");
    if ((int)settings->overlap < 0 || settings->overlap > BERTH_OVERLAP_QUEUE)
        return berth_fail(err, BERTH_EVALUE, "overlap %d is neither skip nor queue",
                          (int)settings->overlap);
    if ((int)settings->catch_up < 0 || settings->catch_up > BERTH_CATCH_UP_ALL)
        return berth_fail(err, BERTH_EVALUE, "catch_up %d is none of one, none and all",
                          (int)settings->catch_up);
    if (settings->cron && berth_slice_of(settings->cron).bytes > BERTH_CRON_BYTES_MAX)
        return berth_fail(err, BERTH_EVALUE, "cron has more than %d bytes", BERTH_CRON_BYTES_MAX);
    if (settings->tz && berth_slice_of(settings->tz).bytes > BERTH_ZONE_NAME_BYTES_MAX)
        return berth_fail(err, BERTH_EVALUE, "tz has more than %d bytes",
                          BERTH_ZONE_NAME_BYTES_MAX);
    return settings->job ? check_job(settings->job, err) : 0;
}

static int pack_set(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct set_args *args = call->args;
    return berth_pack_schedule_set(number, &args->set, frame);
}

int berth_schedule_set(struct berth_client *client, const char *name,
                       const struct berth_schedule_settings *settings,
                       struct berth_schedule **ret_schedule, int64_t timeout_ms,
                       struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = check_settings(settings, err);
    if (rc < 0)
        return rc;
    struct set_args args = { .set = { .name = name, .settings = settings } };
    berth_who(args.changed_by);
    args.set.changed_by = args.changed_by;
    berth_buf_init(&args.body, BERTH_BODY_BYTES_MAX);
    if (settings->job)
        rc = berth_pack_body(settings->job, &args.body, err);
    args.body_bytes = (uint32_t)args.body.bytes;
    args.set.job = (struct berth_pack_jobs){ .specs = settings->job,
                                             .body_bytes = &args.body_bytes,
                                             .count = settings->job ? 1 : 0,
                                             .bodies = berth_buf_slice(&args.body) };
    struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_set, .args = &args };
    if (rc >= 0)
        rc = ask_one(client, &call, name, ret_schedule, deadline_ms, err);
    berth_buf_fini(&args.body);
    return rc;
}

/* ---- by name ---- */

static int pack_get(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct name_args *args = call->args;
    return berth_pack_schedules(number, args->name, args->after, frame);
}

int berth_schedule_get(struct berth_client *client, const char *name,
                       struct berth_schedule **ret_schedule, int64_t timeout_ms,
                       struct berth_error *err)
{
    struct name_args args = { .name = name };
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_get, .args = &args };
    return ask_one(client, &call, name, ret_schedule, berth_deadline_ms(timeout_ms), err);
}

static int pack_pause(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct name_args *args = call->args;
    return berth_pack_schedule_pause(number, args->name, args->is_paused, args->changed_by, frame);
}

static int set_paused(struct berth_client *client, const char *name, bool is_paused,
                      int64_t timeout_ms, struct berth_error *err)
{
    struct name_args args = { .name = name, .is_paused = is_paused };
    berth_who(args.changed_by);
    struct berth_call call = { .kind = REQUEST_CANCEL, .pack = pack_pause, .args = &args };
    return ask_one(client, &call, name, NULL, berth_deadline_ms(timeout_ms), err);
}

int berth_schedule_pause(struct berth_client *client, const char *name, int64_t timeout_ms,
                         struct berth_error *err)
{
    return set_paused(client, name, true, timeout_ms, err);
}

int berth_schedule_resume(struct berth_client *client, const char *name, int64_t timeout_ms,
                          struct berth_error *err)
{
    return set_paused(client, name, false, timeout_ms, err);
}

static int pack_remove(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct name_args *args = call->args;
    return berth_pack_schedule_remove(number, args->name, frame);
}

int berth_schedule_remove(struct berth_client *client, const char *name, int64_t timeout_ms,
                          struct berth_error *err)
{
    struct name_args args = { .name = name };
    struct berth_call call = {
        .kind = REQUEST_CANCEL, .pack = pack_remove, .args = &args, .done_rc = BERTH_ENOTFOUND
    };
    return ask_one(client, &call, name, NULL, berth_deadline_ms(timeout_ms), err);
}

int berth_schedule_list(struct berth_client *client,
                        int (*each)(void *arg, const struct berth_schedule *schedule), void *arg,
                        int64_t timeout_ms, struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    struct name_args page = { .after = 0 };
    for (;;) {
        struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_get, .args = &page };
        BERTH_AUTO(berth_answer) answer = NULL;
        int rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_SCHEDULES, &answer, err);
        for (size_t i = 0; rc == 0 && i < answer->schedules.count; i++) {
            rc = each(arg, &answer->schedules.items[i]);
            if (rc < 0)
                return berth_fail(err, rc, "the list was ended");
        }
        if (rc < 0 || answer->schedules.next <= page.after)
            return rc;
        page.after = answer->schedules.next;
    }
}

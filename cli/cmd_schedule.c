/* SPDX-License-Identifier: MIT */
/* berth schedule ls, set, pause, resume, rm. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <berth/schedule.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/job_opts.h"
#include "cli/list.h"

#define COMMAND_WIDTH_MAX 40
#define SECONDS_TEXT_MAX  24

/* In the orders of enum berth_schedule_overlap, _catch_up (both from 1) and _fate. */
static const char *const overlaps[] = { "skip", "queue", NULL };
static const char *const catch_ups[] = { "one", "none", "all", NULL };
static const char *const fates[] = { "", "fired", "skipped", "refused" };

struct set_opts {
    const char *cron, *zone;
    int overlap, catch_up; /* -1: not given */
    struct job_opts job;
};

static const struct berth_setting set_settings[] = {
    { .name = "cron",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct set_opts, cron),
      .value = "EXPRESSION",
      .help = "minute hour day-of-month month day-of-week, or @daily and the like" },
    { .name = "tz",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct set_opts, zone),
      .value = "ZONE",
      .help = "the time zone of the expression: Europe/Berlin (default: UTC)" },
    { .name = "overlap",
      .type = BERTH_SETTING_CHOICE,
      .offset = offsetof(struct set_opts, overlap),
      .choices = overlaps,
      .value = "skip|queue",
      .help = "while its last job has not ended: no job, or one all the same (default skip)" },
    { .name = "catch_up",
      .type = BERTH_SETTING_CHOICE,
      .offset = offsetof(struct set_opts, catch_up),
      .choices = catch_ups,
      .value = "one|none|all",
      .help = "of what was missed while the broker was down (default one)" },
    JOB_SETTINGS(struct set_opts, job),
};

/* ---- shown ---- */

static void argv_json(struct json *json, const struct berth_job_spec *job)
{
    if (!job->command) {
        json_null(json, "argv");
        return;
    }
    json_array_begin(json, "argv");
    for (size_t i = 0; job->command[i]; i++)
        json_text(json, NULL, job->command[i]);
    json_array_end(json);
}

/* null: the dispatcher's, or none. */
static void number_json(struct json *json, const char *key, int64_t value)
{
    if (value != 0)
        json_i64(json, key, value);
    else
        json_null(json, key);
}

static void job_json(struct json *json, const struct berth_job_spec *job)
{
    json_text(json, "dispatcher", job->dispatcher);
    json_text(json, "handler", job->handler ? job->handler : "exec");
    argv_json(json, job);
    json_i64(json, "priority", job->priority);
    json_text_or_null(json, "group", job->group ? job->group : "");
    json_text_or_null(json, "unique", job->unique ? job->unique : "");
    bool is_existing = job->on_conflict == BERTH_UNIQUE_EXISTING;
    json_text_or_null(json, "on_conflict", !job->unique ? "" : is_existing ? "existing" : "reject");
    number_json(json, "delay_ms", job->delay_ms);
    number_json(json, "max_attempts", job->max_attempts);
    number_json(json, "timeout_ms", job->timeout_ms);
    number_json(json, "queue_timeout_ms", job->queue_timeout_ms);
    number_json(json, "deadline_ms", job->deadline_ms);
    number_json(json, "backoff_ms", job->backoff_ms);
    number_json(json, "backoff_max_ms", job->backoff_ms_max);
    json_object_begin(json, "context");
    for (size_t i = 0; i < job->context_count; i++)
        json_text(json, job->context[i].key, job->context[i].value);
    json_object_end(json);
}

static void schedule_json(struct json *json, const void *item)
{
    const struct berth_schedule *schedule = item;
    json_text(json, "name", schedule->name);
    json_text(json, "cron", schedule->cron);
    json_text(json, "tz", schedule->tz);
    json_text(json, "overlap", overlaps[schedule->overlap - 1]);
    json_text(json, "catch_up", catch_ups[schedule->catch_up - 1]);
    json_bool(json, "paused", schedule->is_paused);
    json_time(json, "next_at", schedule->next_unix_us);
    json_time(json, "last_at", schedule->last_unix_us);
    json_text_or_null(json, "last_result", fates[schedule->last_fate]);
    json_text_or_null(json, "last_message", schedule->last_message);
    if (schedule->last_job.v != 0)
        json_u64(json, "last_job", schedule->last_job.v);
    else
        json_null(json, "last_job");
    job_json(json, &schedule->job);
    json_time(json, "changed_at", schedule->changed_unix_us);
    json_text_or_null(json, "changed_by", schedule->changed_by);
}

static void print_json(const struct berth_schedule *schedule)
{
    struct json json;
    json_init(&json, stdout);
    json_document_begin(&json, "berth.schedule/1");
    schedule_json(&json, schedule);
    json_document_end(&json);
}

/* "2026-11-22T03:00:00Z": instants are whole seconds. */
static const char *seconds_of(int64_t unix_us, char text[static SECONDS_TEXT_MAX])
{
    char time[BERTH_TIME_TEXT_MAX];
    if (unix_us == 0)
        return "-";
    (void)berth_time_format(unix_us, time);
    (void)snprintf(text, SECONDS_TEXT_MAX, "%.19sZ", time);
    return text;
}

static int add_row(struct print_table *table, const void *item)
{
    const struct berth_schedule *schedule = item;
    char next[SECONDS_TEXT_MAX], last[SECONDS_TEXT_MAX], job[SECONDS_TEXT_MAX] = "-";
    const char *const handler[] = { schedule->job.handler, NULL };
    if (schedule->last_job.v != 0)
        (void)snprintf(job, sizeof job, "%" PRIu64, schedule->last_job.v);
    print_cell(table, "%s", schedule->name);
    print_cell(table, "%s", schedule->cron);
    print_cell(table, "%s", schedule->tz);
    print_cell(table, "%s",
               schedule->is_paused ? "paused" : seconds_of(schedule->next_unix_us, next));
    print_cell(table, "%s", seconds_of(schedule->last_unix_us, last));
    print_cell(table, "%s", fates[schedule->last_fate]);
    print_cell(table, "%s", job);
    print_cell(table, "%s", schedule->job.dispatcher);
    print_words(table, schedule->job.command ? schedule->job.command : handler, COMMAND_WIDTH_MAX);
    return 0;
}

/* ---- ls ---- */

static int on_schedule(void *arg, const struct berth_schedule *schedule)
{
    return list_add(arg, schedule->name, schedule);
}

static int each_schedule(struct cli *cli, struct list *list)
{
    return berth_schedule_list(cli->client, on_schedule, list, cli->opts.connect_timeout_ms,
                               &cli->err);
}

static int run_ls(void *context)
{
    static const char *const heads[] = { "NAME",   "CRON", "TZ",         "NEXT",   "LAST",
                                         "RESULT", ">JOB", "DISPATCHER", "COMMAND" };
    static const struct list_kind kind = { .schema = "berth.schedules/1",
                                           .heads = heads,
                                           .heads_count = sizeof heads / sizeof heads[0],
                                           .none = "there are no schedules",
                                           .json = schedule_json,
                                           .row = add_row,
                                           .each = each_schedule };
    return list_run(context, &kind);
}

/* ---- set ---- */

/* What all that are about one schedule begin with. */
static int begin_one(struct cli *cli, void *target, const char **ret_name)
{
    int rc = cli_begin(cli, target);
    if (rc == 0)
        rc = berth_name_check("schedule", cli->args->operands[0], &cli->err);
    if (rc == 0)
        *ret_name = cli->args->operands[0];
    return rc;
}

static int check_set(const struct berth_args *args, const struct set_opts *opts, bool has_job)
{
    if (args->rest_index > 1)
        return cli_usage("'%.60s': the command stands behind '--': berth schedule set NAME -- "
                         "COMMAND",
                         args->operands[1]);
    bool has_other = opts->cron || opts->zone || opts->overlap >= 0 || opts->catch_up >= 0;
    if (!has_job && !args->has_rest)
        return has_other ? CLI_OK : cli_usage("nothing to set: --cron, --tz, a command ...");
    return job_opts_check(args, &opts->job);
}

static int set(struct cli *cli, const char *name, const struct set_opts *opts,
               const struct berth_job_spec *job)
{
    const struct berth_schedule_settings settings = {
        .cron = opts->cron,
        .tz = opts->zone,
        .overlap = (enum berth_schedule_overlap)(opts->overlap + 1),
        .catch_up = (enum berth_schedule_catch_up)(opts->catch_up + 1),
        .job = job,
    };
    struct berth_schedule *schedule;
    int rc = cli_connect(cli, 0);
    if (rc == 0)
        rc = berth_schedule_set(cli->client, name, &settings, &schedule,
                                cli->opts.connect_timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (cli->opts.is_json)
        print_json(schedule);
    berth_schedule_free(schedule);
    return CLI_OK;
}

static int run_set(void *context)
{
    struct cli *cli = context;
    struct set_opts opts;
    memset(&opts, 0, sizeof opts);
    opts.overlap = opts.catch_up = -1;
    const char *name = NULL; /* gcc 12 does not see that it is written */
    int rc = begin_one(cli, &opts, &name);
    if (rc < 0)
        return cli_fail(cli, rc);
    bool has_job = job_opts_are_given(cli->args);
    int code = check_set(cli->args, &opts, has_job);
    if (code != CLI_OK)
        return code;
    struct job_parts parts;
    memset(&parts, 0, sizeof parts);
    struct berth_job_spec job;
    if (has_job)
        code = job_opts_spec(cli, &opts.job, &parts, &job);
    if (code == CLI_OK)
        code = set(cli, name, &opts, has_job ? &job : NULL);
    if (has_job)
        job_parts_fini(&parts);
    return code;
}

/* ---- pause, resume, rm ---- */

static int set_paused(struct cli *cli, bool is_paused)
{
    const char *name = NULL; /* gcc 12 does not see that it is written */
    int rc = begin_one(cli, NULL, &name);
    int64_t timeout_ms = cli->opts.connect_timeout_ms;
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc == 0)
        rc = is_paused ? berth_schedule_pause(cli->client, name, timeout_ms, &cli->err)
                       : berth_schedule_resume(cli->client, name, timeout_ms, &cli->err);
    struct berth_schedule *schedule = NULL;
    if (rc == 0 && cli->opts.is_json)
        rc = berth_schedule_get(cli->client, name, &schedule, timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (schedule)
        print_json(schedule);
    berth_schedule_free(schedule);
    return CLI_OK;
}

static int run_pause(void *context)
{
    return set_paused(context, true);
}

static int run_resume(void *context)
{
    return set_paused(context, false);
}

static int run_rm(void *context)
{
    struct cli *cli = context;
    const char *name = NULL; /* gcc 12 does not see that it is written */
    int rc = begin_one(cli, NULL, &name);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc == 0)
        rc = berth_schedule_remove(cli->client, name, cli->opts.connect_timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (cli->opts.is_json)
        json_removed(stdout, name);
    return CLI_OK;
}

const struct berth_command cmd_schedule_ls = {
    .name = "schedule ls",
    .summary = "list recurring jobs, their last instants and the next",
    .examples = "  berth schedule ls\n"
                "  berth schedule ls --json | jq '.items[] | {name, next_at}'\n",
    .run = run_ls,
};

const struct berth_command cmd_schedule_set = {
    .name = "schedule set",
    .operands = "SCHEDULE [-- COMMAND [ARG...]]",
    .summary = "make a recurring job, or change what is given",
    .examples = "  berth schedule set report --cron '0 3 * * *' --tz Europe/Berlin -- make-report\n"
                "  berth schedule set poll --cron '*/5 * * * *' -d io --handler poll\n"
                "  berth schedule set poll --overlap queue --catch-up none\n"
                "  berth schedule set report --cron @weekly\n",
    .settings = set_settings,
    .settings_count = sizeof set_settings / sizeof set_settings[0],
    .operands_min = 1,
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run_set,
};

const struct berth_command cmd_schedule_pause = {
    .name = "schedule pause",
    .operands = "SCHEDULE",
    .summary = "let its instants pass",
    .examples = "  berth schedule pause report\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_pause,
};

const struct berth_command cmd_schedule_resume = {
    .name = "schedule resume",
    .operands = "SCHEDULE",
    .summary = "go on after a pause; what came in it has passed",
    .examples = "  berth schedule resume report\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_resume,
};

const struct berth_command cmd_schedule_rm = {
    .name = "schedule rm",
    .operands = "SCHEDULE",
    .summary = "remove a recurring job; the jobs it has submitted stay",
    .examples = "  berth schedule rm report\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_rm,
};

/* SPDX-License-Identifier: MIT */
/* berth ls, show, cancel: jobs that are there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

#define LIST_COUNT     100
#define LIST_COUNT_MAX 1000000
#define COMMAND_WIDTH  40

struct ls_opts {
    const char *dispatcher;
    int state;
    uint64_t count;
};

/* In the order of enum berth_state; the first means all. */
static const char *const states[] = { "all",       "scheduled",  "ready",    "running",
                                      "suspended", "cancelling", "retrying", "completed",
                                      "dead",      "cancelled",  NULL };

static const struct berth_setting ls_settings[] = {
    { .name = "dispatcher",
      .letter = 'd',
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct ls_opts, dispatcher),
      .value = "NAME",
      .help = "only those of this dispatcher" },
    { .name = "state",
      .type = BERTH_SETTING_CHOICE,
      .offset = offsetof(struct ls_opts, state),
      .choices = states,
      .value = "STATE",
      .help = "only those in this state: scheduled, ready, running ..." },
    { .name = "number",
      .letter = 'n',
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct ls_opts, count),
      .min = 1,
      .max = LIST_COUNT_MAX,
      .value = "N",
      .help = "at most N, the newest (default 100)" },
};

/* A list while it is written. */
struct list {
    const struct cli_opts *opts;
    struct json json;
    struct print_table *table;
    uint64_t count, count_max;
    int64_t now_us;
    berth_job_id last; /* of those that were written */
    bool has_more;
};

/* Why it waits, or what became of it; of one that is tried again, why it has to be. */
static const char *remark_of(const struct berth_job *job)
{
    bool is_why = job->reason[0] != '\0' && job->state != BERTH_RETRYING;
    return is_why || !job->error_message[0] ? job->reason : job->error_message;
}

static void add_row(struct list *list, const struct berth_job *job)
{
    char age[BERTH_DURATION_TEXT_MAX];
    int64_t age_ms = (list->now_us - job->submitted_unix_us) / 1000;
    print_cell(list->table, "%" PRIu64, job->id.v);
    print_cell(list->table, "%s", berth_state_name(job->state));
    print_cell(list->table, "%s", job->dispatcher);
    print_cell(list->table, "%s", job->handler);
    print_cell(list->table, "%" PRIu32 "/%" PRIu32, job->attempt, job->max_attempts);
    print_cell(list->table, "%s", berth_duration_format(age_ms > 0 ? age_ms : 0, age));
    print_words(list->table, job->command, COMMAND_WIDTH);
    print_cell(list->table, "%s", remark_of(job));
}

static int on_job(void *arg, const struct berth_job *job)
{
    struct list *list = arg;
    if (list->count == list->count_max) {
        list->has_more = true;
        return 0;
    }
    list->count++;
    list->last = job->id;
    if (list->opts->is_json) {
        json_object_begin(&list->json, NULL);
        cli_job_json(&list->json, job);
        json_object_end(&list->json);
    } else if (list->opts->is_quiet) {
        (void)printf("%" PRIu64 "\n", job->id.v);
    } else {
        add_row(list, job);
    }
    return 0;
}

static int write_list(struct cli *cli, const struct ls_opts *opts, struct list *list)
{
    struct berth_job_filter filter = { .dispatcher = opts->dispatcher,
                                       .state = (enum berth_state)opts->state,
                                       .is_newest_first = true,
                                       .with_bodies = cli->opts.is_json || !cli->opts.is_quiet,
                                       .count_max = opts->count + 1 }; /* to see if there is more */
    if (cli->opts.is_json)
        json_list_begin(&list->json, "berth.jobs/1");
    int rc =
        berth_job_list(cli->client, &filter, on_job, list, cli->opts.connect_timeout_ms, &cli->err);
    if (cli->opts.is_json)
        json_list_end(&list->json, list->has_more ? list->last.v : 0, rc);
    return rc < 0 ? rc : print_table(list->table, stdout);
}

static int run_ls(void *context)
{
    static const char *const heads[] = { ">ID",      "STATE", "DISPATCHER", "HANDLER",
                                         ">ATTEMPT", ">AGE",  "COMMAND",    "REASON" };
    struct cli *cli = context;
    struct ls_opts opts = { .count = LIST_COUNT };
    int rc = cli_begin(cli, &opts);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc < 0)
        return cli_fail(cli, rc);
    struct list list = { .opts = &cli->opts,
                         .table = print_table_new(heads, sizeof heads / sizeof heads[0]),
                         .count_max = opts.count,
                         .now_us = berth_clock_wall_us() };
    json_init(&list.json, stdout);
    rc = list.table ? write_list(cli, &opts, &list) : -ENOMEM;
    print_table_free(list.table);
    if (rc == 0 && list.has_more)
        cli_remark(cli, "there are more; -n N shows N of them");
    if (rc == 0 && list.count == 0)
        cli_remark(cli, opts.dispatcher || opts.state ? "no such jobs" : "there are no jobs");
    return rc < 0 ? cli_fail(cli, rc) : CLI_OK;
}

static int run_show(void *context)
{
    struct cli *cli = context;
    berth_job_id id;
    struct berth_job *job;
    int rc = cli_begin(cli, NULL);
    if (rc == 0)
        rc = cli_id(cli, cli->args->operands[0], &id);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc == 0)
        rc = berth_job_get(cli->client, id, &job, cli->opts.connect_timeout_ms, &cli->err);
    if (rc != 0)
        return cli_fail(cli, rc);
    if (cli->opts.is_json) {
        struct json json;
        json_init(&json, stdout);
        json_document_begin(&json, "berth.job/1");
        cli_job_json(&json, job);
        json_document_end(&json);
    } else if (cli->opts.is_quiet) {
        (void)printf("%" PRIu64 "\n", job->id.v);
    } else {
        cli_job_print(job);
    }
    berth_job_free(job);
    return CLI_OK;
}

struct cancel_opts {
    bool is_forced;
};

static const struct berth_setting cancel_settings[] = {
    { .name = "force",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct cancel_opts, is_forced),
      .help = "end the process of one that does not stop in its grace; others there run again" },
};

/* Cancels one and writes what came of it. */
static int cancel(struct cli *cli, berth_job_id id, bool is_forced, struct json *json)
{
    int64_t timeout_ms = cli->opts.connect_timeout_ms;
    int rc = is_forced ? berth_job_cancel_force(cli->client, id, timeout_ms, &cli->err)
                       : berth_job_cancel(cli->client, id, timeout_ms, &cli->err);
    if (cli->opts.is_json) {
        json_object_begin(json, NULL);
        json_u64(json, "id", id.v);
        json_text_or_null(json, "error", rc < 0 ? cli->err.message : "");
        json_object_end(json);
    } else if (rc == 0) {
        (void)printf("%" PRIu64 "\n", id.v);
    }
    return rc < 0 ? cli_fail(cli, rc) : CLI_OK;
}

static int run_cancel(void *context)
{
    struct cli *cli = context;
    struct cancel_opts opts = { .is_forced = false };
    berth_job_id id;
    int rc = cli_begin(cli, &opts);
    for (size_t i = 0; rc == 0 && i < cli->args->operands_count; i++)
        rc = cli_id(cli, cli->args->operands[i], &id);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc < 0)
        return cli_fail(cli, rc);

    struct json json;
    json_init(&json, stdout);
    if (cli->opts.is_json) {
        json_document_begin(&json, "berth.cancelled/1");
        json_array_begin(&json, "items");
    }
    int code = CLI_OK, last = CLI_OK;
    for (size_t i = 0; last != CLI_UNREACHABLE && i < cli->args->operands_count; i++) {
        (void)cli_id(cli, cli->args->operands[i], &id);
        last = cancel(cli, id, opts.is_forced, &json);
        code = code == CLI_OK || last == CLI_UNREACHABLE ? last : code;
    }
    if (cli->opts.is_json) {
        json_array_end(&json);
        json_null(&json, "next");
        json_document_end(&json);
    }
    return code;
}

const struct berth_command cmd_ls = {
    .name = "ls",
    .summary = "list jobs, the newest first",
    .examples = "  berth ls\n"
                "  berth ls -d newsletter --state dead\n"
                "  berth ls -n 1000 --json | jq -r '.items[].worker'\n",
    .settings = ls_settings,
    .settings_count = sizeof ls_settings / sizeof ls_settings[0],
    .run = run_ls,
};

const struct berth_command cmd_show = {
    .name = "show",
    .operands = "ID",
    .summary = "show all about one job",
    .examples = "  berth show 17\n"
                "  berth show 17 --json | jq -r .result.stdout\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_show,
};

const struct berth_command cmd_cancel = {
    .name = "cancel",
    .operands = "ID...",
    .summary = "cancel jobs",
    .examples = "  berth cancel 17\n"
                "  berth ls -q -d newsletter --state ready | xargs berth cancel\n"
                "  berth cancel --force 17\n",
    .settings = cancel_settings,
    .settings_count = sizeof cancel_settings / sizeof cancel_settings[0],
    .operands_min = 1,
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run_cancel,
};

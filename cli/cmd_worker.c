/* SPDX-License-Identifier: MIT */
/* berth worker ls, gone. */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/list.h"

#define HANDLERS_BYTES_MAX (64u << 10)

static void worker_json(struct json *json, const void *item)
{
    const struct berth_worker_info *worker = item;
    json_text(json, "name", worker->name);
    json_text(json, "state", worker->state);
    json_u64(json, "capacity", worker->capacity);
    json_u64(json, "running", worker->running);
    json_u64(json, "suspended", worker->suspended);
    json_u64(json, "cores", worker->cores);
    json_array_begin(json, "handlers");
    for (size_t i = 0; i < worker->handlers_count; i++)
        json_text(json, NULL, worker->handlers[i]);
    json_array_end(json);
    json_text_or_null(json, "software", worker->software);
    json_i64(json, "silent_ms", worker->silent_ms);
    json_i64(json, "lease_left_ms", worker->lease_left_ms);
    json_u64(json, "held", worker->held);
}

static int add_row(struct print_table *table, const void *item)
{
    const struct berth_worker_info *worker = item;
    char silent[BERTH_DURATION_TEXT_MAX];
    struct berth_buf handlers;
    berth_buf_init(&handlers, HANDLERS_BYTES_MAX);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < worker->handlers_count; i++)
        rc = berth_buf_printf(&handlers, "%s%s", i > 0 ? "," : "", worker->handlers[i]);
    print_cell(table, "%s", worker->name);
    if (worker->held > 0)
        print_cell(table, "%s, holds %" PRIu32, worker->state, worker->held);
    else
        print_cell(table, "%s", worker->state);
    print_cell(table, "%" PRIu32, worker->running);
    print_cell(table, "%" PRIu32, worker->capacity);
    print_cell(table, "%" PRIu32, worker->suspended);
    print_cell(table, "%" PRIu32, worker->cores);
    print_cell(table, "%s", berth_duration_format(worker->silent_ms, silent));
    print_cell(table, "%s", worker->handlers_count > 0 ? berth_buf_text(&handlers) : "-");
    berth_buf_fini(&handlers);
    return rc;
}

static int on_worker(void *arg, const struct berth_worker_info *worker)
{
    return list_add(arg, worker->name, worker);
}

static int each_worker(struct cli *cli, struct list *list)
{
    return berth_worker_list(cli->client, on_worker, list, cli->opts.connect_timeout_ms, &cli->err);
}

static int run_ls(void *context)
{
    static const char *const heads[] = { "NAME",       "STATE",  ">RUNNING", ">CAPACITY",
                                         ">SUSPENDED", ">CORES", ">SILENT",  "HANDLERS" };
    static const struct list_kind kind = { .schema = "berth.workers/1",
                                           .heads = heads,
                                           .heads_count = sizeof heads / sizeof heads[0],
                                           .none = "no worker has joined this broker",
                                           .json = worker_json,
                                           .row = add_row,
                                           .each = each_worker };
    return list_run(context, &kind);
}

const struct berth_command cmd_worker_ls = {
    .name = "worker ls",
    .summary = "list the workers that the broker knows",
    .examples = "  berth worker ls\n"
                "  berth worker ls --json | jq '[.items[].cores] | add'\n",
    .run = run_ls,
};

struct gone_opts {
    bool is_sure;
};

static const struct berth_setting gone_settings[] = {
    { .name = "yes",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct gone_opts, is_sure),
      .help = "you know that its processes cannot run any more" },
};

struct gone {
    const struct cli_opts *opts;
    struct json json;
};

static int on_gone(void *arg, const struct berth_worker_info *worker)
{
    struct gone *gone = arg;
    if (gone->opts->is_json) {
        json_object_begin(&gone->json, NULL);
        worker_json(&gone->json, worker);
        json_object_end(&gone->json);
    } else if (gone->opts->is_quiet) {
        (void)printf("%s\n", worker->name);
    } else {
        (void)printf("%s is gone; %" PRIu32 " %s of it %s known to run\n", worker->name,
                     worker->running, worker->running == 1 ? "attempt" : "attempts",
                     worker->running == 1 ? "was" : "were");
    }
    return 0;
}

static int declare_gone(struct cli *cli)
{
    struct gone gone = { .opts = &cli->opts };
    json_init(&gone.json, stdout);
    if (cli->opts.is_json)
        json_list_begin(&gone.json, "berth.workers/1");
    int rc = berth_worker_gone(cli->client, cli->args->operands[0], on_gone, &gone,
                               cli->opts.connect_timeout_ms, &cli->err);
    if (cli->opts.is_json)
        json_list_end(&gone.json, 0, rc);
    return rc;
}

static int run_gone(void *context)
{
    struct cli *cli = context;
    struct gone_opts opts = { .is_sure = false };
    int rc = cli_begin(cli, &opts);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (!opts.is_sure)
        return cli_usage("what worker %s runs is given to others at once, and runs twice if it "
                         "still runs; if its host is off or destroyed, say --yes",
                         cli->args->operands[0]);
    rc = cli_connect(cli, 0);
    if (rc == 0)
        rc = declare_gone(cli);
    return rc < 0 ? cli_fail(cli, rc) : CLI_OK;
}

const struct berth_command cmd_worker_gone = {
    .name = "worker gone",
    .operands = "NAME",
    .summary = "say that a lost worker's processes cannot run any more",
    .examples = "  berth worker gone host-7 --yes\n",
    .settings = gone_settings,
    .settings_count = sizeof gone_settings / sizeof gone_settings[0],
    .operands_min = 1,
    .operands_max = 1,
    .run = run_gone,
};

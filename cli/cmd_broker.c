/* SPDX-License-Identifier: MIT */
/* berth broker status. */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

static void print_json(const struct berth_broker_status *status)
{
    struct json json;
    json_init(&json, stdout);
    json_document_begin(&json, "berth.broker/1");
    json_text(&json, "version", status->software);
    json_u64(&json, "epoch", status->epoch);
    json_i64(&json, "uptime_seconds", status->uptime_ms / 1000);
    json_object_begin(&json, "recovery");
    json_u64(&json, "workers_missing", status->recovering);
    json_i64(&json, "left_ms", status->recovery_left_ms);
    json_object_end(&json);
    json_object_begin(&json, "jobs");
    json_u64(&json, "scheduled", status->scheduled);
    json_u64(&json, "ready", status->ready);
    json_u64(&json, "running", status->running);
    json_u64(&json, "suspended", status->suspended);
    json_u64(&json, "cancelling", status->cancelling);
    json_u64(&json, "retrying", status->retrying);
    json_u64(&json, "completed", status->completed);
    json_u64(&json, "dead", status->dead);
    json_u64(&json, "cancelled", status->cancelled);
    json_object_end(&json);
    json_u64(&json, "workers", status->workers);
    json_u64(&json, "stale_reports", status->stale_reports);
    json_u64(&json, "wal_bytes", status->wal_bytes);
    json_document_end(&json);
}

static void print_count(const char *name, uint64_t count)
{
    (void)printf("%-16s%" PRIu64 "\n", name, count);
}

static void print_status(const struct berth_broker_status *status)
{
    char text[BERTH_DURATION_TEXT_MAX];
    (void)printf("%-16s", "version");
    print_text(stdout, berth_slice_of(status->software), false);
    (void)printf("\n%-16s%" PRIu32 "\n", "epoch", status->epoch);
    (void)printf("%-16s%s\n", "uptime", berth_duration_format(status->uptime_ms, text));
    if (status->recovering == 0)
        (void)printf("%-16sdone: slots are given out\n", "recovery");
    else
        (void)printf("%-16swaits for %" PRIu32 " worker%s to come back, at most %s\n", "recovery",
                     status->recovering, status->recovering == 1 ? "" : "s",
                     berth_duration_format(status->recovery_left_ms, text));
    print_count("workers", status->workers);
    print_count("scheduled", status->scheduled);
    print_count("ready", status->ready);
    print_count("running", status->running);
    print_count("suspended", status->suspended);
    print_count("cancelling", status->cancelling);
    print_count("retrying", status->retrying);
    print_count("completed", status->completed);
    print_count("dead", status->dead);
    print_count("cancelled", status->cancelled);
    print_count("stale reports", status->stale_reports);
    (void)printf("%-16s%" PRIu64 "\n", "WAL bytes", status->wal_bytes);
}

static int run_status(void *context)
{
    struct cli *cli = context;
    struct berth_broker_status *status;
    int rc = cli_begin(cli, NULL);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc == 0)
        rc = berth_broker_status(cli->client, &status, cli->opts.connect_timeout_ms, &cli->err);
    if (rc != 0)
        return cli_fail(cli, rc);
    if (cli->opts.is_json)
        print_json(status);
    else if (cli->opts.is_quiet)
        (void)printf("%" PRIu32 "\n", status->epoch);
    else
        print_status(status);
    berth_broker_status_free(status);
    return CLI_OK;
}

const struct berth_command cmd_broker_status = {
    .name = "broker status",
    .summary = "show how the broker is; 0 as soon as submits are taken",
    .examples = "  berth broker status\n"
                "  until berth broker status --connect-timeout 1s -q; do :; done\n",
    .run = run_status,
};
